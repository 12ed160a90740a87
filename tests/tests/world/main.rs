//! Everything that is proved on the in-memory world: the contract, crashes, faults, the engine's rules.
//!
//! Each rule is a test of its own, so that `cargo test -p platform-tests --test world NAME` runs one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod certificates;
mod cloud;
mod configs;
mod conformance;
mod crash;
mod golden;
mod later;
mod many;
mod platform;
mod recorded;
mod rotation;
mod rules;
mod secrets;
mod seeds;
mod stage;
mod starting;
mod stories;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let mut trials = conformance::trials();
    trials.extend(rules::trials());
    trials.extend(crash::trials());
    trials.extend(later::trials());
    trials.extend(platform::trials());
    trials.extend(cloud::trials());
    trials.extend(many::trials());
    trials.extend(starting::trials());
    trials.extend(stories::trials());
    trials.extend(configs::trials());
    trials.extend(secrets::trials());
    trials.extend(certificates::trials());
    trials.extend(rotation::trials());
    trials.extend(recorded::trials());
    trials.extend(golden::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// A trial from a function that panics when it fails.
fn trial(name: &str, run: fn()) -> Trial {
    Trial::test(name.to_owned(), move || {
        run();
        Ok(())
    })
}
