//! The whole platform on one Kubernetes cluster, or on an embedded SIMULATED world.

mod connect;
mod reach;

use std::process::ExitCode;

fn main() -> ExitCode {
    platform_command::main::<connect::Local>()
}
