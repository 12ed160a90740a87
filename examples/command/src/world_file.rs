//! The embedded world and the one visible file that it lives in.

use anyhow::{Context as _, Result, bail};
use platform_core::testing::World;
use platform_core::value::{Clock, Place};
use platform_core::{Error, ErrorKind};
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind as IoErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Objects of the embedded world become ready in this share of the time they take on a cluster, in percent.
const PACE: u32 = 2;

/// A world that is written to its file after every change. The file is locked while it is open.
#[derive(Debug)]
pub(crate) struct WorldFile {
    pub(crate) world: World,
    pub(crate) path: PathBuf,
    _lock: File,
}

impl WorldFile {
    /// Opens the world in a file; an absent file is an empty world.
    ///
    /// Waits up to `wait` for another run to end.
    pub(crate) async fn open(path: &Path, place: Place, clock: Arc<dyn Clock>, wait: Duration) -> Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let lock = lock(path, wait).await?;
        let world = World::new(place, provider_k8s::facts, clock).with_pace(PACE);
        match fs::read(path) {
            Ok(bytes) => world
                .restore(&bytes)
                .map_err(|why| anyhow::anyhow!("{}: {}", path.display(), why.report()))?,
            Err(why) if why.kind() == IoErrorKind::NotFound => {}
            Err(why) => return Err(why).with_context(|| format!("cannot read {}", path.display())),
        }
        let file = path.to_path_buf();
        world.on_change(move |bytes| {
            write_private(&file, bytes).map_err(|why| {
                Error::new(ErrorKind::Unavailable, "the world's file cannot be written")
                    .with_context("file", file.display())
                    .with_source(why)
            })
        });
        Ok(Self {
            world,
            path: path.to_path_buf(),
            _lock: lock,
        })
    }
}

/// Locks the file beside the world's; it is the lock that counts, not that the file is there.
async fn lock(world: &Path, wait: Duration) -> Result<File> {
    let path = beside(world, "lock");
    let lock = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let until = Instant::now() + wait;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(
                    ErrorKind::Locked,
                    format!("{} is in use by another run", world.display()),
                )
                .with_help("--wait 60s waits for it to end")
                .into());
            }
            Err(TryLockError::Error(why)) => {
                return Err(why).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
}

/// `$XDG_STATE_HOME/mlplat/world.json`, else `~/.local/state/mlplat/world.json`.
pub(crate) fn default_path() -> Result<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let home = || {
        std::env::var_os("HOME")
            .filter(|path| !path.is_empty())
            .map(|home| PathBuf::from(home).join(".local/state"))
    };
    match state.or_else(home) {
        Some(folder) => Ok(folder.join(platform_core::value::PRODUCT).join("world.json")),
        None => bail!("neither XDG_STATE_HOME nor HOME is set; choose a file with --world FILE"),
    }
}

/// Writes a file that only its owner may read: whole, or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = beside(path, &format!("{}.tmp", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}
