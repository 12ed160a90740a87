//! To the embedded world or to a real cluster.

use crate::reach::Kubectl;
use anyhow::{Context as _, Result, bail};
use composition::PlatformBuilder;
use composition::config::PlatformConfig;
use platform_command::{Common, Connection, Embedded, Inhabited, Site, Target, Wiring};
use platform_core::Stack as _;
use platform_core::engine::{EngineBuilder, Plan};
use platform_core::value::{Clock, Place, SystemClock};
use provider_k8s::{KubeProvider, Kubernetes};
use std::path::PathBuf;
use std::sync::Arc;

/// The cluster of a run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Local {
    /// A real cluster, by its kubeconfig context; never guessed
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// The kubeconfig file; else $KUBECONFIG, else ~/.kube/config. Needs --context
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

#[derive(Debug)]
struct OneCluster(Kubernetes);

impl Wiring for OneCluster {
    fn platform(&self, builder: PlatformBuilder) -> PlatformBuilder {
        builder.provider(self.0.clone())
    }
    fn engine(&self, builder: EngineBuilder, _plan: &Plan) -> EngineBuilder {
        self.0.join(builder)
    }
}

impl Site for Local {
    const NAME: &'static str = "local";
    const ABOUT: &'static str = "A whole ML platform on one Kubernetes cluster, or on an embedded SIMULATED world";
    const CONFIG: &'static str = "examples/config/local.yaml";
    const COMMAND: &'static str = "cargo run --bin local --";

    async fn connect(&self, common: &Common, _config: Option<&PlatformConfig>) -> Result<Connection> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        // clap sees no conflict between a flag before and one after the sub-command
        if common.world.is_some() && (self.context.is_some() || self.kubeconfig.is_some()) {
            bail!("--world is the embedded world, --context a real cluster: choose one");
        }
        if self.context.is_none() && self.kubeconfig.is_some() {
            bail!("--kubeconfig needs --context: a cluster is named, never guessed");
        }
        let mut target = Target {
            embedded: None,
            label: String::new(),
            flags: Vec::new(),
            real: "--context kind-ml-platform".to_owned(),
            reach: Box::new(Kubectl {
                context: self.context.clone().unwrap_or_default(),
                kubeconfig: self.kubeconfig.clone(),
            }),
        };
        let Some(context) = &self.context else {
            let place = Inhabited {
                place: Place::kubernetes("main")?,
                facts: provider_k8s::facts,
            };
            let embedded = Embedded::open(common, "world", [place], &clock).await?;
            let world = embedded.worlds().first().context("no embedded world")?;
            let stack = Kubernetes::on(Arc::new(world.clone()), Arc::clone(&clock));
            target.embedded = Some(embedded);
            return Ok(Connection {
                clock,
                target,
                wiring: Box::new(OneCluster(stack)),
            });
        };
        let file = match &self.kubeconfig {
            Some(path) => path.clone(),
            None => kubeconfig()?,
        };
        let provider = KubeProvider::builder(&file, context.as_str())
            .clock(Arc::clone(&clock))
            .connect()
            .await?;
        target.label = format!("context {context}");
        target.flags.push(("--context", context.clone()));
        if let Some(path) = &self.kubeconfig {
            target.flags.push(("--kubeconfig", path.display().to_string()));
        }
        let stack = Kubernetes::on(Arc::new(provider), Arc::clone(&clock));
        Ok(Connection {
            clock,
            target,
            wiring: Box::new(OneCluster(stack)),
        })
    }
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
