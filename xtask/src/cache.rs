//! The per-user folder of built peers, shared by all checkouts and safe for two runs at once.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The cache folder: `$MLPLAT_CACHE`, else `$XDG_CACHE_HOME/mlplat`, else `~/.cache/mlplat`. Created if absent.
///
/// # Errors
/// None of the three variables is set, or the folder cannot be made.
pub fn root() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let root = set("MLPLAT_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|home| home.join("mlplat")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/mlplat")))
        .context("no cache folder: set MLPLAT_CACHE to a folder of your own")?;
    fs::create_dir_all(&root).with_context(|| format!("make cache folder {}", root.display()))?;
    Ok(root)
}

/// An exclusive lock on a file, held until dropped; the kernel releases it when the process dies.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Waits for the lock on `path`, which is created if absent and never removed.
    ///
    /// # Errors
    /// The file cannot be made or locked.
    pub fn wait(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("make lock file {}", path.display()))?;
        file.lock().with_context(|| format!("lock {}", path.display()))?;
        Ok(Self { _file: file })
    }

    /// Takes the lock on an existing `path` if nobody holds it. `None`: held, or no such file.
    pub fn try_existing(path: &Path) -> Option<Self> {
        let file = File::options().write(true).open(path).ok()?;
        file.try_lock().ok()?;
        Some(Self { _file: file })
    }
}
