//! The whole platform on AWS, or on an embedded SIMULATED world: what the binaries `dev`, `staging` and `prod` share.

mod account;
mod endpoints;

use account::Account;
use anyhow::{Context as _, Result};
use composition::config::PlatformConfig;
use platform_command::{Common, Connection, Site};
use platform_core::Resource;
use serde_json::Value;

/// Declares a binary's site.
macro_rules! site {
    ($(#[doc = $doc:literal] $site:ident, $name:literal, $what:literal;)+) => {$(
        #[doc = $doc]
        #[derive(Clone, Debug, clap::Args)]
        pub struct $site {
            #[command(flatten)]
            account: Account,
        }

        impl Site for $site {
            const NAME: &'static str = $name;
            const ABOUT: &'static str = concat!("The ", $what, " ML platform on AWS, or on an embedded SIMULATED world");
            const CONFIG: &'static str = concat!("examples/config/cloud/", $name, ".yaml");
            const COMMAND: &'static str = concat!("cargo run -p cloud --bin ", $name, " --");

            async fn connect(&self, common: &Common, config: Option<&PlatformConfig>) -> Result<Connection> {
                self.account.connect($name, common, config).await
            }

            fn export(config: &PlatformConfig, resources: &[Resource]) -> Result<Value> {
                let block = config.aws.as_ref().context("the config has no block aws")?;
                Ok(provider_aws::export::terraform(&block.account, resources)?)
            }
        }
    )+};
}

site! {
    /// The binary `dev`.
    Dev, "dev", "development";
    /// The binary `staging`.
    Staging, "staging", "staging";
    /// The binary `prod`.
    Prod, "prod", "production";
}
