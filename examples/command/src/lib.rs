//! The command line of the example binaries: plan, apply, drift, outputs, destroy, backups, config.
//!
//! A binary says what it is and how it connects ([`Site`]); everything that is typed and shown is here, once.

mod args;
mod backups;
mod consent;
mod next;
mod progress;
mod promote;
mod run;
mod screen;
mod site;
mod world_file;

pub use args::{Common, Format};
pub use site::{Connection, Reach, Site, Target, Wiring, quoted};
pub use world_file::{Embedded, Inhabited};

use args::Cli;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};
use platform_core::engine::Stop;
use std::process::ExitCode;

/// How a run ended; the numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Nothing to change, or all done.
    Done = 0,
    /// An error, wrong usage included.
    Error = 1,
    /// A plan has changes.
    Changes = 2,
    /// A plan is blocked; an apply was refused before its first write.
    Refused = 3,
    /// An approval is missing.
    Unapproved = 4,
    /// Some steps failed.
    Partly = 5,
    /// A plan has effects that the promoted one did not have.
    Differs = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Runs what was typed and returns the exit code.
pub fn main<S: Site>() -> ExitCode {
    let command = Cli::<S>::command().name(S::NAME).about(S::ABOUT).long_about(format!(
        "{}\n\nWithout arguments: plans and applies {} on the embedded world.",
        S::ABOUT,
        S::CONFIG
    ));
    let typed = command
        .try_get_matches()
        .and_then(|matches| Cli::<S>::from_arg_matches(&matches));
    let cli = match typed {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done.into(),
                _ => Exit::Error.into(),
            };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Error.into();
        }
    };
    let exit = runtime.block_on(async {
        let stop = Stop::new();
        tokio::select! {
            ended = run::run(&cli, &stop) => ended,
            () = interrupted_twice(&stop) => Err(anyhow::anyhow!("stopped at once; run again to continue")),
        }
    });
    runtime.shutdown_background();
    match exit {
        Ok(exit) => exit.into(),
        Err(error) if run::is_closed_pipe(&error) => Exit::Error.into(),
        Err(error) => {
            eprintln!("error: {}", text(&error));
            run::exit_of(&error).into()
        }
    }
}

/// The first Ctrl-C lets calls in flight finish, the second ends the wait for them.
async fn interrupted_twice(stop: &Stop) {
    for first in [true, false] {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        if first {
            stop.raise();
            eprintln!("finishing calls in flight; Ctrl-C again stops at once");
        }
    }
}

/// The chain of an error, with what to do where the error says so.
fn text(error: &anyhow::Error) -> String {
    match error.downcast_ref::<platform_core::Error>() {
        Some(inner) => inner.report(),
        None => format!("{error:#}").trim_end().to_owned(),
    }
}
