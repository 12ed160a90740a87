//! The whole platform on AWS, or on an embedded SIMULATED world: what the binaries `dev`, `staging` and `prod` share.

mod account;
mod endpoints;

use account::Account;
use anyhow::{Context as _, Result, bail};
use composition::config::PlatformConfig;
use platform_command::{Common, Connection, Format, Site};
use platform_core::Resource;
use serde_json::Value;

fn export(config: &PlatformConfig, resources: &[Resource], format: Format, region: Option<&str>) -> Result<Value> {
    let account = &config.aws.as_ref().context("the config has no block aws")?.account;
    let mut templates = match (format, region) {
        (Format::Terraform, None) => return Ok(provider_aws::export::terraform(account, resources)?),
        (Format::Terraform, Some(_)) => bail!("a plan of Terraform has all regions: leave --of out"),
        (Format::Cloudformation, _) => provider_aws::export::cloudformation(account, resources)?,
    };
    let regions: Vec<String> = templates.keys().cloned().collect();
    let region = match (region, &regions[..]) {
        (Some(region), _) => region,
        (None, [only]) => only,
        (None, _) => bail!(
            "there is a template for each region: add --of {}",
            regions.join(" or --of ")
        ),
    };
    templates
        .remove(region)
        .with_context(|| format!("nothing lies in {region}, but in {}", regions.join(" and ")))
}

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

            fn export(
                config: &PlatformConfig,
                resources: &[Resource],
                format: Format,
                region: Option<&str>,
            ) -> Result<Value> {
                export(config, resources, format, region)
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
