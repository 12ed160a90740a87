//! `cargo xtask`: the project's own tasks.

mod standing;
mod suite;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::control_plane;

/// The project's own tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run the tests: all of them, or the parts named; installs the peers they need into the cache folder
    Test {
        /// Which parts
        parts: Vec<suite::Part>,
    },
    /// Rewrite the JSON Schema of config files, composition/schema/platform.schema.json, from the code
    Schema,
    /// Rewrite docs/differences.md from the features and facts of the providers
    Docs,
    /// Print what plan and apply cost, in an optimised build: the engine by size, and the real control plane beside kubectl
    Bench,
    /// Install every peer of the tests into the cache folder, so that they need no network later
    Peers,
    /// A real Kubernetes control plane with simulated nodes, on loopback, for trials and tests
    #[command(subcommand)]
    ControlPlane(ControlPlane),
}

#[derive(Debug, Subcommand)]
enum ControlPlane {
    /// Build etcd, the three Kubernetes servers and kubectl into the cache folder (once, about 5 minutes)
    Build,
    /// Start one and keep it up until Ctrl-C
    Up {
        /// Folder for `kubeconfig`, `pid` and `log` [default: `control-plane` in the cache folder]
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Return when it is up; `down` ends it
        #[arg(long)]
        detach: bool,
        /// Simulated nodes
        #[arg(long, default_value_t = 1)]
        nodes: u32,
    },
    /// End the one that `up` started
    Down {
        /// The folder given to `up`
        #[arg(long)]
        dir: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Test { parts } => suite::run(&parts),
        Task::Schema => suite::rewrite_schema(),
        Task::Docs => suite::rewrite_docs(),
        Task::Bench => suite::bench(),
        Task::Peers => suite::make_peers_ready(),
        Task::ControlPlane(ControlPlane::Build) => {
            let binaries = control_plane::build()?;
            for file in [
                &binaries.etcd,
                &binaries.apiserver,
                &binaries.controller_manager,
                &binaries.scheduler,
                &binaries.kubectl,
            ] {
                println!("{}", file.display());
            }
            Ok(())
        }
        Task::ControlPlane(ControlPlane::Up { dir, detach, nodes }) => standing::up(dir, detach, nodes),
        Task::ControlPlane(ControlPlane::Down { dir }) => standing::down(dir),
    }
}
