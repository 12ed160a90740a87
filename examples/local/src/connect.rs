//! To the embedded world or to a real cluster.

use crate::args::Options;
use crate::world_file::{WorldFile, default_path};
use anyhow::{Context as _, Result, bail};
use platform_core::testing::World;
use platform_core::value::{Clock, Place, Span, SystemClock};
use provider_k8s::{KubeProvider, Kubernetes};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a run works on.
pub(crate) struct Connection {
    pub(crate) stack: Kubernetes,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) target: Target,
}

/// Where that is.
pub(crate) enum Target {
    /// The embedded world; its file stays locked while this lives.
    World(WorldFile),
    /// A real cluster.
    Cluster {
        /// Its kubeconfig context.
        context: String,
        /// `--kubeconfig`, if it was given.
        kubeconfig: Option<PathBuf>,
    },
}

impl Target {
    pub(crate) fn is_simulated(&self) -> bool {
        matches!(self, Self::World(_))
    }

    /// How a heading names it.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::World(world) => format!("{} world {}", World::LABEL, world.path.display()),
            Self::Cluster { context, .. } => format!("context {context}"),
        }
    }

    /// How long a lease outlives its last heartbeat: nobody waits a minute for a killed run on the embedded world.
    pub(crate) fn lease_ttl(&self) -> Option<Duration> {
        self.is_simulated().then(|| Duration::from_secs(2))
    }
}

pub(crate) async fn connect(options: &Options) -> Result<Connection> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    // clap sees no conflict between a flag before and one after the sub-command
    if options.world.is_some() && (options.context.is_some() || options.kubeconfig.is_some()) {
        bail!("--world is the embedded world, --context a real cluster: choose one");
    }
    if options.context.is_none() && options.kubeconfig.is_some() {
        bail!("--kubeconfig needs --context: a cluster is named, never guessed");
    }
    let Some(context) = options.context.clone() else {
        let path = match &options.world {
            Some(path) => path.clone(),
            None => default_path()?,
        };
        let wait = options.wait.map_or(Duration::ZERO, Span::as_duration);
        let world = WorldFile::open(&path, Place::kubernetes("main")?, Arc::clone(&clock), wait).await?;
        return Ok(Connection {
            stack: Kubernetes::on(Arc::new(world.world.clone()), Arc::clone(&clock)),
            clock,
            target: Target::World(world),
        });
    };
    let file = match &options.kubeconfig {
        Some(path) => path.clone(),
        None => kubeconfig()?,
    };
    let provider = KubeProvider::builder(&file, context.as_str())
        .clock(Arc::clone(&clock))
        .connect()
        .await?;
    Ok(Connection {
        stack: Kubernetes::on(Arc::new(provider), Arc::clone(&clock)),
        clock,
        target: Target::Cluster {
            context,
            kubeconfig: options.kubeconfig.clone(),
        },
    })
}

/// `$KUBECONFIG` (its first file), else `~/.kube/config`.
fn kubeconfig() -> Result<PathBuf> {
    let named = std::env::var_os("KUBECONFIG")
        .and_then(|paths| std::env::split_paths(&paths).find(|path| !path.as_os_str().is_empty()));
    match named {
        Some(path) => Ok(path),
        None => std::env::var_os("HOME")
            .map(|home| PathBuf::from(home).join(".kube/config"))
            .context("neither KUBECONFIG nor HOME is set; name the file with --kubeconfig"),
    }
}
