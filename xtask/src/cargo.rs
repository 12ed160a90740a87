//! Cargo, run by a program that cargo itself runs.

use std::{env, process::Command};

/// What cargo tells a program of the package that it belongs to.
const OF_A_PACKAGE: [&str; 4] = ["CARGO_BIN_", "CARGO_CRATE_", "CARGO_MANIFEST_", "CARGO_PKG_"];

/// The cargo that runs this program, told nothing of its package.
///
/// The build script of `ring` takes these variables for a reason to build anew, and so half of all crates with it.
pub fn command() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let of_a_package = |name: &str| OF_A_PACKAGE.iter().any(|start| name.starts_with(start));
        if name.to_str().is_some_and(of_a_package) {
            command.env_remove(name);
        }
    }
    command
}
