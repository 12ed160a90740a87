//! The embedded world and the one visible file that it lives in.

use crate::args::Common;
use anyhow::{Context as _, Result, bail};
use platform_core::testing::World;
use platform_core::value::{Clock, Kind, Place, Span};
use platform_core::{Error, ErrorKind, KindFacts};
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind as IoErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Objects of the embedded world become ready in this share of the time they take on a cluster, in percent.
const PACE: u32 = 2;

/// A place that the embedded worlds have.
#[derive(Clone, Debug)]
pub struct Inhabited {
    /// Which.
    pub place: Place,
    /// What is known of its kinds.
    pub facts: fn(&Kind) -> Option<&'static KindFacts>,
}

/// Worlds that are written to their files after every change, one a place: the first in the file that was named, the
/// others beside it. The files are locked while they are open.
#[derive(Debug)]
pub struct Embedded {
    path: PathBuf,
    worlds: Vec<World>,
    _locks: Vec<File>,
}

impl Embedded {
    /// Opens the worlds; an absent file is an empty world. Waits up to `--wait` for another run to end.
    ///
    /// # Errors
    /// When a file is in use, cannot be read or written, or holds no world.
    pub async fn open(
        common: &Common,
        name: &str,
        places: impl IntoIterator<Item = Inhabited>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self> {
        let path = match &common.world {
            Some(path) => path.clone(),
            None => default_path(name)?,
        };
        let wait = common.wait.map_or(Duration::ZERO, Span::as_duration);
        let mut worlds = Vec::new();
        let mut locks = Vec::new();
        for (number, inhabited) in places.into_iter().enumerate() {
            let file = if number == 0 {
                path.clone()
            } else {
                beside(&path, &inhabited.place.to_string().replace('/', "-"))
            };
            locks.push(lock(&file, wait).await?);
            worlds.push(world(&file, inhabited, Arc::clone(clock))?);
        }
        Ok(Self {
            path,
            worlds,
            _locks: locks,
        })
    }

    /// The file of the first.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The worlds, in the order of their places.
    pub fn worlds(&self) -> &[World] {
        &self.worlds
    }
}

fn world(path: &Path, inhabited: Inhabited, clock: Arc<dyn Clock>) -> Result<World> {
    let world = World::new(inhabited.place, inhabited.facts, clock).with_pace(PACE);
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
    Ok(world)
}

/// Locks the file beside the world's; it is the lock that counts, not that the file is there.
async fn lock(world: &Path, wait: Duration) -> Result<File> {
    if let Some(folder) = world.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
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

/// `$XDG_STATE_HOME/mlplat/NAME.json`, else `~/.local/state/mlplat/NAME.json`.
fn default_path(name: &str) -> Result<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let home = || {
        std::env::var_os("HOME")
            .filter(|path| !path.is_empty())
            .map(|home| PathBuf::from(home).join(".local/state"))
    };
    match state.or_else(home) {
        Some(folder) => Ok(folder.join(platform_core::value::PRODUCT).join(format!("{name}.json"))),
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
