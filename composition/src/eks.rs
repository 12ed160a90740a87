//! The EKS cluster that a platform's own plan makes, and one that is there.

use crate::config::{PlatformConfig, ProviderName, Rule};
use crate::lower;
use crate::platform::IntoStack;
use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use platform_core::value::{Clock, Place, SecretSource};
use platform_core::{Capability, Connect, Error, ErrorKind, Provider, Result, Stack};
use provider_aws::{Aws, AwsProvider, ClusterTokens};
use provider_k8s::{BlockStorage, Endpoint, KubeProvider, Kubernetes, TokenSource};
use secrecy::SecretString;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of the place.
const PLACE: &str = "main";
/// What provisions volumes in a cluster of EKS, by the add-on that the platform brings.
const PROVISIONER: &str = "ebs.csi.aws.com";

/// The platform's cluster of EKS: its contents are planned together with it, also while it is not there.
///
/// Add it to the builder beside the [`Aws`] that it was made of; it is used once the config has `aws.cluster`.
#[derive(Clone, Debug)]
pub struct Eks {
    aws: Aws,
    place: Place,
    connect: Arc<dyn Connect>,
    clock: Arc<dyn Clock>,
}

impl Eks {
    /// The cluster in an account, reached with tokens that are signed with the account's credentials. Calls nothing.
    ///
    /// # Errors
    /// `Invalid` when `aws` is an in-memory world.
    pub fn of(aws: &Aws, secrets: Option<Arc<dyn SecretSource>>) -> Result<Self> {
        let Some(account) = aws.account() else {
            return Err(
                Error::new(ErrorKind::Invalid, "an in-memory world has no cluster to connect to")
                    .with_help("say how the cluster is reached: Eks::by"),
            );
        };
        let clock = Arc::clone(aws.engine().clock());
        let way = Way {
            account: account.clone(),
            place: Place::kubernetes(PLACE)?,
            secrets,
            clock: Arc::clone(&clock),
        };
        Self::by(aws, Arc::new(way))
    }

    /// A cluster that somebody else made, by its name. Asks EKS where it is, and the cluster whether it knows the caller.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Invalid` when `aws` is an in-memory world, and whatever keeps it from answering.
    pub async fn existing(aws: &Aws, name: &str, secrets: Option<Arc<dyn SecretSource>>) -> Result<Kubernetes> {
        let eks = Self::of(aws, secrets)?;
        let outputs = match aws.account() {
            Some(account) => account.cluster(name).await?,
            None => BTreeMap::new(),
        };
        let provider = eks.connect.connect(&outputs).await?;
        Ok(Kubernetes::on(provider, eks.clock))
    }

    /// The cluster, reached in some other way: an in-memory world of its own.
    ///
    /// # Errors
    /// As [`Place::kubernetes`]: never, the name is ours.
    pub fn by(aws: &Aws, connect: Arc<dyn Connect>) -> Result<Self> {
        Ok(Self {
            aws: aws.clone(),
            place: Place::kubernetes(PLACE)?,
            connect,
            clock: Arc::clone(aws.engine().clock()),
        })
    }

    /// Its place.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// How it is reached.
    pub fn connection(&self) -> Arc<dyn Connect> {
        Arc::clone(&self.connect)
    }
}

impl IntoStack for Eks {
    /// Images and the S3 server as the config says; volumes of the add-on, encrypted with the data's key.
    fn into_stack(self, config: &PlatformConfig) -> Result<Arc<dyn Stack>> {
        let made = config
            .aws
            .as_ref()
            .and_then(|block| block.cluster.as_ref()?.create.as_ref())
            .is_some();
        let inside = |capability: &Capability| config.placed(*capability).contains(&ProviderName::Kubernetes);
        if let Some(capability) = config.wanted().into_iter().find(inside).filter(|_| !made) {
            let (key, why) = (format!("placement.{capability}"), "there is no cluster to place it on");
            let help = "add `aws.cluster: { create: { admins: [...] } }`, or place it on aws";
            return Err(config.problem(Rule::Placement, &key, why, help).into());
        }
        let context = lower::context(config, &lower::specs(config));
        let cluster = self.aws.cluster_id(&context)?;
        let stack = Kubernetes::later(self.place, cluster, self.connect, self.clock);
        let key = self.aws.data_key(&context)?;
        let volumes = BlockStorage::new(PROVISIONER)
            .with_parameter("type", Value::from("gp3"))
            .with_parameter("encrypted", Value::from("true"))
            .with_parameter("kmsKeyId", key);
        let options = stack.options().clone().with_block_storage(volumes);
        let options = options.with_cloudwatch(self.aws.region());
        stack.with_options(options)?.into_stack(config)
    }
}

/// How the cluster of an account is reached, from what EKS says of it.
#[derive(Debug)]
struct Way {
    account: AwsProvider,
    place: Place,
    secrets: Option<Arc<dyn SecretSource>>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Connect for Way {
    async fn connect(&self, outputs: &BTreeMap<String, Value>) -> Result<Arc<dyn Provider>> {
        let text = |key: &str| {
            let value = outputs.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
            value.ok_or_else(|| {
                Error::new(
                    ErrorKind::Unavailable,
                    format!("EKS does not say the cluster's {key} yet"),
                )
            })
        };
        let authority = BASE64.decode(text("certificate_authority")?).ok();
        let authority = authority.and_then(|bytes| String::from_utf8(bytes).ok());
        let endpoint = Endpoint {
            url: text("endpoint")?.to_owned(),
            certificate_authority: authority
                .ok_or_else(|| Error::new(ErrorKind::Invalid, "the cluster's authority is no certificate"))?,
            tokens: Arc::new(Tokens(self.account.cluster_tokens(text("name")?))),
        };
        let mut builder = KubeProvider::at(endpoint)
            .place(self.place.clone())
            .clock(Arc::clone(&self.clock));
        if let Some(secrets) = &self.secrets {
            builder = builder.secrets(Arc::clone(secrets));
        }
        let provider = builder.connect().await.map_err(explained)?;
        // Anybody may ask for the version; this tells whether the cluster knows the caller.
        provider.identity().await.map_err(explained)?;
        Ok(Arc::new(provider))
    }
}

fn explained(why: Error) -> Error {
    match why.kind() {
        ErrorKind::Unauthenticated | ErrorKind::Forbidden => why.with_help(
            "the cluster does not know the caller's role: name it in `aws.cluster.create.admins`, or run as one of those",
        ),
        ErrorKind::Unavailable | ErrorKind::Timeout => why.with_help(
            "its API server answers in the VPC alone: run from there, or name your addresses in `aws.cluster.create.public_access`",
        ),
        _ => why,
    }
}

#[derive(Debug)]
struct Tokens(ClusterTokens);

#[async_trait]
impl TokenSource for Tokens {
    async fn token(&self) -> Result<SecretString> {
        self.0.token().await
    }
}
