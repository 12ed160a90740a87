//! What a binary says of itself.

use crate::args::{Common, Format};
use crate::world_file::Embedded;
use anyhow::{Result, bail};
use composition::PlatformBuilder;
use composition::config::PlatformConfig;
use platform_core::Resource;
use platform_core::engine::{EngineBuilder, Plan};
use platform_core::testing::World;
use platform_core::value::Clock;
use serde_json::Value;
use std::fmt::Write as _;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Where a binary's runs go, and the flags that say so.
pub trait Site: clap::Args + Clone + std::fmt::Debug + Send + Sync + 'static {
    /// Name of the binary.
    const NAME: &'static str;
    /// What stands first in its help.
    const ABOUT: &'static str;
    /// Its config file when none is named, from the root of the workspace.
    const CONFIG: &'static str;
    /// What runs it: `cargo run --bin local --`.
    const COMMAND: &'static str;

    /// Connects to what the flags name: the embedded world, or something real. The config is absent where a stored plan
    /// says everything.
    fn connect(
        &self,
        common: &Common,
        config: Option<&PlatformConfig>,
    ) -> impl Future<Output = Result<Connection>> + Send;

    /// What a config asks for in the words of others, of one region where they have it by region. Default: the binary has
    /// nothing that they know.
    ///
    /// # Errors
    /// Something in it cannot be exported; nothing says of which region.
    fn export(
        _config: &PlatformConfig,
        _resources: &[Resource],
        _format: Format,
        _region: Option<&str>,
    ) -> Result<Value> {
        bail!(
            "{} has no export: scanners read what is made in a cluster as manifests",
            Self::NAME
        )
    }
}

/// What a run works on.
#[derive(Debug)]
pub struct Connection {
    /// Time, as the providers measure it.
    pub clock: Arc<dyn Clock>,
    /// Where it all is.
    pub target: Target,
    /// Wires a platform to it.
    pub wiring: Box<dyn Wiring>,
}

/// Adds what is connected to what is built.
pub trait Wiring: std::fmt::Debug + Send + Sync {
    /// To a platform.
    fn platform(&self, builder: PlatformBuilder) -> PlatformBuilder;
    /// To an engine without a platform, for a stored plan.
    fn engine(&self, builder: EngineBuilder, plan: &Plan) -> EngineBuilder;
}

/// Where a run goes.
#[derive(Debug)]
pub struct Target {
    /// The embedded worlds, whose files stay locked while this lives; empty for something real.
    pub embedded: Option<Embedded>,
    /// How a heading names it: `context kind-ml-platform`.
    pub label: String,
    /// The flags that lead there again.
    pub flags: Vec<(&'static str, String)>,
    /// How to run the same on something real, for those who tried the embedded world.
    pub real: String,
    /// What to type to reach what runs there, from the outputs.
    pub reach: Box<dyn Reach>,
}

/// What to type to reach what runs there, from the outputs.
pub trait Reach: std::fmt::Debug + Send + Sync {
    /// Command lines.
    fn lines(&self, outputs: &Value) -> Vec<String>;
}

impl Target {
    pub(crate) fn is_simulated(&self) -> bool {
        self.embedded.is_some()
    }

    /// How a heading names it.
    pub(crate) fn label(&self) -> String {
        match &self.embedded {
            Some(world) => format!("{} world {}", World::LABEL, world.path().display()),
            None => self.label.clone(),
        }
    }

    /// How long a lease outlives its last heartbeat: nobody waits a minute for a killed run on the embedded world.
    pub(crate) fn lease_ttl(&self) -> Option<Duration> {
        self.is_simulated().then(|| Duration::from_secs(2))
    }
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Appends a flag to a command line.
pub(crate) fn flag(command: &mut String, name: &str, value: &str) {
    let _ = write!(command, " {name} {}", quoted(value));
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_survive_a_shell() {
        for (word, shell) in [
            ("a/b.yaml", "a/b.yaml"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), shell);
        }
    }
}
