//! Cargo tools of a pinned version.

use std::{fs, path::PathBuf, process::Command, time::Instant};

use anyhow::{Context, Result, bail};

use crate::cache::{self, FileLock};

const CARGO_DENY: &str = "0.20.2";

/// cargo-deny, after building it if need be: about 80 seconds of processor time, once.
///
/// # Errors
/// crates.io does not serve it or it does not build.
pub fn cargo_deny() -> Result<PathBuf> {
    let home = cache::root()?.join("tools");
    fs::create_dir_all(&home).with_context(|| format!("make {}", home.display()))?;
    let root = home.join(format!("cargo-deny-{CARGO_DENY}"));
    let program = root.join("bin/cargo-deny");
    // cargo moves the program there when it is whole
    if program.exists() {
        return Ok(program);
    }
    let _lock = FileLock::wait(&home.join("cargo-deny.lock"))?;
    if !program.exists() {
        eprintln!("building cargo-deny {CARGO_DENY} (once)");
        let began = Instant::now();
        let build = root.join("build");
        // its release profile takes five times as long to build and saves a second a run
        let status = Command::new("cargo")
            .args([
                "install",
                "cargo-deny",
                "--quiet",
                "--locked",
                "--debug",
                "--version",
                CARGO_DENY,
                "--root",
            ])
            .arg(&root)
            .env("CARGO_TARGET_DIR", &build)
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .status()
            .context("start cargo")?;
        let removed = fs::remove_dir_all(&build);
        if !status.success() {
            bail!("cargo install cargo-deny failed ({status})");
        }
        removed.with_context(|| format!("remove {}", build.display()))?;
        eprintln!("built cargo-deny in {:.0?}", began.elapsed());
    }
    Ok(program)
}
