//! Work folders: one a control plane, on tmpfs where there is one, removed when their owner is gone.

use std::{
    env, fs,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, bail};

use crate::cache::FileLock;

const OWNER: &str = "owner.lock";
/// A folder without a lock is being made, unless it is older than this.
const BEING_MADE: Duration = Duration::from_mins(1);

/// A folder of this process; the lock tells others that it is in use. It is removed by the supervisor, not here.
#[derive(Debug)]
pub(super) struct WorkFolder {
    pub(super) path: PathBuf,
    _lock: FileLock,
}

impl WorkFolder {
    pub(super) fn create() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let base = base()?;
        remove_stale(&base);
        let name = format!("{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = base.join(name);
        // left by a process that had our pid: its lock was free a moment ago, or it is too young to tell
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("remove {}", path.display()))?;
        }
        private_folder(&path)?;
        let lock = FileLock::wait(&path.join(OWNER))?;
        Ok(Self { path, _lock: lock })
    }
}

fn base() -> Result<PathBuf> {
    // unix sockets and mmap work there, and etcd's files never reach a disk
    let memory = Path::new("/dev/shm");
    let home = if memory.is_dir() {
        memory.to_owned()
    } else {
        env::temp_dir()
    };
    // the folder of a process is owned by the user: two users cannot share one base
    let user =
        fs::metadata("/proc/self").map_or_else(|_| env::var("USER").unwrap_or_default(), |own| own.uid().to_string());
    let base = home.join(format!("mlplat-control-plane-{user}"));
    match private_folder(&base) {
        Ok(()) => Ok(base),
        Err(_) if base.is_dir() => Ok(base),
        Err(error) => Err(error),
    }
}

fn private_folder(path: &Path) -> Result<()> {
    // private keys lie inside
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .with_context(|| format!("make {}", path.display()))
}

fn remove_stale(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let lock = path.join(OWNER);
        let stale = if lock.exists() {
            FileLock::try_existing(&lock).is_some()
        } else {
            entry
                .metadata()
                .and_then(|data| data.modified())
                .is_ok_and(|made| SystemTime::now().duration_since(made).is_ok_and(|age| age > BEING_MADE))
        };
        if stale {
            // somebody else may be removing it as well: what counts is that it goes
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// The names of the work folders of this user that exist now, in use or not.
///
/// # Errors
/// The folder above them cannot be made or read.
pub(super) fn existing() -> Result<Vec<PathBuf>> {
    let base = base()?;
    let Ok(entries) = fs::read_dir(&base) else {
        bail!("cannot read {}", base.display())
    };
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}
