//! To the embedded world, to an account, or to something that answers like one.

use crate::endpoints::{Endpoint, Services};
use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_smithy_http_client::tls::{Provider as Tls, rustls_provider::CryptoMode};
use composition::config::PlatformConfig;
use composition::{Eks, PlatformBuilder};
use platform_command::{Common, Connection, Embedded, Inhabited, Reach, Target, Wiring};
use platform_core::engine::{EngineBuilder, Plan};
use platform_core::testing::World;
use platform_core::value::{Clock, Place, SystemClock};
use platform_core::{Connect, Provider, Stack as _};
use provider_aws::{Aws, SdkConfig};
use provider_k8s::Kubernetes;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The region where neither the config nor anything else names one.
const REGION: &str = "eu-west-1";

/// The account of a run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Account {
    /// A real account, by its profile in ~/.aws; never guessed. `-` takes what the environment, a pod or an instance has
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// The region; else the config's
    #[arg(long, global = true, value_name = "REGION")]
    region: Option<String>,
    /// Something that answers like AWS, with no account behind it: URL, or SERVICE=URL for one service. May be repeated
    #[arg(long, global = true, value_name = "[SERVICE=]URL")]
    endpoint_url: Vec<Endpoint>,
}

/// An account and its cluster.
#[derive(Debug)]
struct OneAccount {
    aws: Aws,
    cluster: Cluster,
}

#[derive(Debug)]
enum Cluster {
    /// Made by the plan.
    Made(Eks),
    /// Made by somebody else.
    There(Kubernetes),
}

impl Wiring for OneAccount {
    fn platform(&self, builder: PlatformBuilder) -> PlatformBuilder {
        let builder = builder.provider(self.aws.clone());
        match &self.cluster {
            Cluster::Made(eks) => builder.provider(eks.clone()),
            Cluster::There(kubernetes) => builder.provider(kubernetes.clone()),
        }
    }
    fn engine(&self, builder: EngineBuilder, plan: &Plan) -> EngineBuilder {
        let builder = self.aws.join(builder);
        match &self.cluster {
            Cluster::Made(eks) => match plan.steps.iter().find(|step| step.id.kind().as_str() == "eks.Cluster") {
                Some(cluster) => builder.later(
                    eks.place().clone(),
                    cluster.id.clone(),
                    provider_k8s::facts,
                    eks.connection(),
                ),
                None => builder,
            },
            Cluster::There(kubernetes) => kubernetes.join(builder),
        }
    }
}

/// The embedded world of a cluster, which is there as soon as the cluster is.
#[derive(Debug)]
struct Inside(World);

#[async_trait]
impl Connect for Inside {
    async fn connect(&self, _outputs: &BTreeMap<String, Value>) -> platform_core::Result<Arc<dyn Provider>> {
        Ok(Arc::new(self.0.clone()))
    }
}

/// The AWS commands that lead to what runs in an account.
#[derive(Debug)]
struct AwsCli {
    flags: String,
}

impl Reach for AwsCli {
    fn lines(&self, outputs: &Value) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(secret) = outputs["database"]["credentials"]["location"].as_str() {
            lines.push(format!(
                "aws secretsmanager get-secret-value --secret-id {secret} --query SecretString --output text{}",
                self.flags
            ));
        }
        for bucket in outputs["storage"]["buckets"].as_array().into_iter().flatten() {
            lines.extend(
                bucket
                    .as_str()
                    .map(|bucket| format!("aws s3 ls s3://{bucket}{}", self.flags)),
            );
        }
        lines
    }
}

impl Account {
    pub(crate) async fn connect(
        &self,
        name: &str,
        common: &Common,
        config: Option<&PlatformConfig>,
    ) -> Result<Connection> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let real = self.profile.is_some() || !self.endpoint_url.is_empty();
        if common.world.is_some() && real {
            bail!("--world is the embedded world, --profile and --endpoint-url something real: choose one");
        }
        let configured = config.and_then(|config| config.aws.as_ref()?.region.clone());
        let region = self.region.clone().or(configured);
        let copies = config.and_then(|config| config.backup.as_ref()?.second_region());
        let existing = config.and_then(|config| config.aws.as_ref()?.cluster.as_ref()?.existing.as_deref());
        let mut target = Target {
            embedded: None,
            label: String::new(),
            flags: Vec::new(),
            real: "--profile PROFILE".to_owned(),
            reach: Box::new(AwsCli { flags: String::new() }),
        };
        if !real {
            let regions = std::iter::once(region.as_deref().unwrap_or(REGION)).chain(copies);
            let places = regions.map(|region| {
                Ok(Inhabited {
                    place: Place::aws(region)?,
                    facts: provider_aws_network::facts,
                })
            });
            let mut places = places.collect::<Result<Vec<_>>>()?;
            places.insert(
                1,
                Inhabited {
                    place: Place::kubernetes("main")?,
                    facts: provider_k8s::facts,
                },
            );
            let embedded = Embedded::open(common, name, places, &clock).await?;
            let mut worlds = embedded.worlds().iter().cloned();
            let (world, inside) = (worlds.next(), worlds.next());
            let (world, inside) = world.zip(inside).context("no embedded world")?;
            let mut aws = Aws::on(Arc::new(world), Arc::clone(&clock));
            if let Some(second) = worlds.next() {
                aws = aws.with_second_region(Arc::new(second));
            }
            let cluster = match existing {
                Some(_) => Cluster::There(Kubernetes::on(Arc::new(inside), Arc::clone(&clock))),
                None => Cluster::Made(Eks::by(&aws, Arc::new(Inside(inside)))?),
            };
            target.embedded = Some(embedded);
            return Ok(Connection {
                clock,
                target,
                wiring: Box::new(OneAccount { aws, cluster }),
            });
        }
        let account = config.and_then(|config| Some(config.aws.as_ref()?.account.as_str()));
        let sdk = self.sdk(region.as_deref(), account).await;
        if let Some(profile) = &self.profile {
            target.flags.push(("--profile", profile.clone()));
        }
        target
            .flags
            .extend(self.region.clone().map(|region| ("--region", region)));
        for endpoint in &self.endpoint_url {
            let service = endpoint.service.as_ref().map(|service| format!("{service}="));
            target
                .flags
                .push(("--endpoint-url", service.unwrap_or_default() + &endpoint.url));
        }
        let region = sdk.region().map(ToString::to_string).unwrap_or_default();
        target.label = match (&self.profile, self.endpoint_url.first()) {
            (_, Some(endpoint)) => format!("{region} at {}", endpoint.url),
            (Some(profile), None) => format!("{region}, profile {profile}"),
            (None, None) => region,
        };
        let profile = self.profile.as_ref().filter(|name| *name != "-");
        target.reach = Box::new(AwsCli {
            flags: profile.map_or_else(String::new, |name| {
                format!(" --profile {}", platform_command::quoted(name))
            }),
        });
        let mut aws = Aws::from_config(&sdk)?;
        if let Some(region) = copies {
            aws = aws.with_copies_in(region)?;
        }
        let cluster = match existing {
            Some(name) => Cluster::There(Eks::existing(&aws, name, None).await?),
            None => Cluster::Made(Eks::of(&aws, None)?),
        };
        Ok(Connection {
            clock,
            target,
            wiring: Box::new(OneAccount { aws, cluster }),
        })
    }

    async fn sdk(&self, region: Option<&str>, account: Option<&str>) -> SdkConfig {
        let client = aws_smithy_http_client::Builder::new()
            .tls_provider(Tls::Rustls(CryptoMode::Ring))
            .build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(client);
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        match self.profile.as_deref() {
            Some("-") => {}
            Some(profile) => loader = loader.profile_name(profile),
            // No account behind it: whatever credentials the machine has stay here. Emulators take the key for the account.
            None => {
                let key = account.unwrap_or("test");
                loader = loader.credentials_provider(Credentials::new(key, "test", None, None, "endpoint-url"));
            }
        }
        if let Some(all) = self.endpoint_url.iter().find(|endpoint| endpoint.service.is_none()) {
            loader = loader.endpoint_url(&all.url);
        }
        let sdk = loader.load().await;
        if self.endpoint_url.iter().any(|endpoint| endpoint.service.is_some()) {
            sdk.into_builder()
                .service_config(Services::of(&self.endpoint_url))
                .build()
        } else {
            sdk
        }
    }
}
