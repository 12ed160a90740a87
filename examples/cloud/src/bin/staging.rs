//! The staging platform on AWS, or on an embedded SIMULATED world.

use std::process::ExitCode;

fn main() -> ExitCode {
    platform_command::main::<cloud::Staging>()
}
