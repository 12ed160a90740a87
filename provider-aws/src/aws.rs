//! The platform in one account and region.

use crate::capability::{AwsBackup, AwsCache, AwsDatabase, AwsMonitoring, AwsSecurity, AwsStorage};
use crate::cluster::Cluster;
use crate::draft::Draft;
use crate::existing::Lookup;
use crate::kind::{AddedKind, Kinds};
use crate::network::Network;
use crate::provider::AwsProvider;
use crate::{foundation, iam};
use aws_types::SdkConfig;
use aws_types::region::Region;
use platform_core::engine::{Engine, EngineBuilder};
use platform_core::value::{Clock, Kind, Place, ResourceId, SetId, SystemClock};
use platform_core::{
    Backup, Cache, Capability, Context, Database, Error, ErrorKind, Monitoring, PlannedWrite, Provider, Resource,
    Result, Security, Stack, Storage,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How a platform is put into an account, beyond what its specs say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AwsOptions {
    /// The account's 12 digits: part of ARNs and bucket names, which are computed, and proved before anything is written.
    pub account: String,
    /// Where servers lie.
    pub network: Network,
    /// The EKS cluster. Default none.
    pub cluster: Option<Cluster>,
    /// ARN of the policy that bounds every role made here. Default none.
    pub permissions_boundary: Option<String>,
}

impl AwsOptions {
    /// The options of an account, with nothing else said.
    pub fn new(account: impl Into<String>) -> Self {
        Self {
            account: account.into(),
            ..Self::default()
        }
    }
    /// Sets where servers lie.
    pub fn with_network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }
    /// Sets the cluster.
    pub fn with_cluster(mut self, cluster: Cluster) -> Self {
        self.cluster = Some(cluster);
        self
    }
    /// Sets the policy that bounds every role made here.
    pub fn with_permissions_boundary(mut self, arn: impl Into<String>) -> Self {
        self.permissions_boundary = Some(arn.into());
        self
    }
}

/// The platform in one account and region: RDS, ElastiCache, S3, and what secures, watches and backs them up.
///
/// Its blueprints are pure and never touch a client, so they run the same on an account and on an in-memory world.
#[derive(Clone, Debug)]
pub struct Aws {
    shared: Arc<Shared>,
}

/// What the capabilities of one stack share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    provider: Arc<dyn Provider>,
    /// The same, where it is an account and no world.
    account: Option<AwsProvider>,
    /// How it was reached.
    sdk: Option<SdkConfig>,
    /// The region that copies of backups go to.
    second: Option<Arc<dyn Provider>>,
    /// The same, where it was reached as the first one.
    copies: Option<AwsProvider>,
    /// What the provider is known to hold; a world may hold more.
    kinds: Kinds,
    pub(crate) engine: Engine,
    pub(crate) options: AwsOptions,
}

impl Shared {
    pub(crate) fn place(&self) -> &Place {
        self.provider.place()
    }

    pub(crate) fn provider(&self) -> &dyn Provider {
        &*self.provider
    }

    /// Whether the provider has this kind.
    pub(crate) fn knows(&self, kind: &Kind) -> bool {
        self.provider.facts(kind).is_some()
    }

    /// `eu-west-1`.
    pub(crate) fn region(&self) -> &str {
        region_of(self.place())
    }

    /// Where copies of backups go.
    pub(crate) fn second(&self) -> Option<&Place> {
        self.second.as_ref().map(|provider| provider.place())
    }

    fn reach(&mut self, copies: AwsProvider) {
        let provider: Arc<dyn Provider> = Arc::new(copies.clone());
        self.engine = self.engine.with_provider(Arc::clone(&provider));
        self.second = Some(provider);
        self.copies = Some(copies);
    }

    /// The same with another connection, where it is an account.
    fn with_account(mut self, change: impl FnOnce(AwsProvider) -> AwsProvider) -> Self {
        if let Some(provider) = self.account.take() {
            let provider = change(provider);
            self.provider = Arc::new(provider.clone());
            self.engine = self.engine.with_provider(Arc::clone(&self.provider));
            self.account = Some(provider);
        }
        self
    }

    /// What a capability brings along when it is used alone; nothing in a platform, whose foundation is shared.
    pub(crate) fn own_foundation(&self, capability: Capability, context: &Context) -> Result<Vec<Resource>> {
        if context.alone {
            foundation::resources(self, &BTreeSet::from([capability]), context)
        } else {
            Ok(Vec::new())
        }
    }
}

/// The region of a place.
pub(crate) fn region_of(place: &Place) -> &str {
    let place = place.as_ref();
    place.split_once('/').map_or(place, |(_, region)| region)
}

impl Aws {
    /// A stack over any provider: an account and region, or an in-memory world. [`Aws::with_options`] has to follow, unless
    /// a config does it.
    pub fn on(provider: Arc<dyn Provider>, clock: Arc<dyn Clock>) -> Self {
        Self::of(provider, None, clock)
    }

    /// A stack in the account that the credentials of `config` belong to, with the machine's clock. Makes no call; before
    /// anything is read or written the account is proved to be the one that the options name.
    ///
    /// # Errors
    /// As [`AwsProvider::from_config`].
    pub fn from_config(config: &SdkConfig) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let provider = AwsProvider::from_config(config, Arc::clone(&clock))?;
        let mut stack = Self::of(Arc::new(provider.clone()), Some(provider), clock);
        let mut shared = Shared::clone(&stack.shared);
        shared.sdk = Some(config.clone());
        stack.shared = Arc::new(shared);
        Ok(stack)
    }

    /// Adds kinds of another crate, such as those of `provider-aws-network`, by which a network can be made. A provider that
    /// is no account knows its own.
    pub fn with_kinds(self, kinds: &'static [AddedKind]) -> Self {
        let mut shared = Shared::clone(&self.shared).with_account(|account| account.with_kinds(kinds));
        shared.kinds = Kinds { added: kinds };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Sets who looks at networks that others made, as [`AwsProvider::with_lookup`]. A provider that is no account has its own.
    pub fn with_lookup(self, lookup: &'static dyn Lookup) -> Self {
        Self {
            shared: Arc::new(Shared::clone(&self.shared).with_account(|account| account.with_lookup(lookup))),
        }
    }

    fn of(provider: Arc<dyn Provider>, account: Option<AwsProvider>, clock: Arc<dyn Clock>) -> Self {
        let engine = Engine::builder(clock).provider(Arc::clone(&provider)).build();
        Self {
            shared: Arc::new(Shared {
                provider,
                account,
                sdk: None,
                second: None,
                copies: None,
                kinds: Kinds::default(),
                engine,
                options: AwsOptions::default(),
            }),
        }
    }

    /// Sets the options.
    ///
    /// # Errors
    /// `Invalid` when they name no account, or a network that cannot be.
    pub fn with_options(self, options: AwsOptions) -> Result<Self> {
        let account = &options.account;
        if account.len() != 12 || !account.chars().all(|c| c.is_ascii_digit()) {
            return Err(Error::new(ErrorKind::Invalid, format!("{account:?} is no AWS account"))
                .with_context("config", "aws.account")
                .with_help("write its 12 digits, with quotes"));
        }
        options.network.check()?;
        if let Some(cluster) = &options.cluster {
            cluster.check()?;
        }
        let mut shared = Shared::clone(&self.shared).with_account(|provider| provider.with_account(account.clone()));
        if let Some(copies) = shared.copies.take() {
            let copies = copies.with_account(account.clone());
            shared.reach(copies);
        }
        shared.options = options;
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Sets the region that copies of backups go to: the same account elsewhere, or an in-memory world.
    pub fn with_second_region(self, provider: Arc<dyn Provider>) -> Self {
        Self {
            shared: Arc::new(Shared {
                engine: self.shared.engine.with_provider(Arc::clone(&provider)),
                second: Some(provider),
                ..Shared::clone(&self.shared)
            }),
        }
    }

    /// Sets the region that copies of backups go to, reached as the first one; nothing changes where the stack has a second
    /// region already, or does not reach an account.
    ///
    /// # Errors
    /// `Invalid` when that is no region.
    pub fn with_copies_in(self, region: &str) -> Result<Self> {
        let (None, Some(sdk)) = (&self.shared.second, &self.shared.sdk) else {
            return Ok(self);
        };
        let config = sdk.to_builder().region(Region::new(region.to_owned())).build();
        let mut copies = AwsProvider::from_config(&config, Arc::clone(self.shared.engine.clock()))?;
        if !self.shared.options.account.is_empty() {
            copies = copies.with_account(self.shared.options.account.clone());
        }
        let mut shared = Shared::clone(&self.shared);
        shared.reach(copies);
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Sets the engine that drives capabilities used alone: its clock, policy and lease. It must know this stack's provider.
    pub fn with_engine(self, engine: Engine) -> Self {
        Self {
            shared: Arc::new(Shared {
                engine,
                ..Shared::clone(&self.shared)
            }),
        }
    }

    /// The id of the platform's cluster, in this account and region.
    ///
    /// # Errors
    /// `Invalid` when its name cannot be one.
    pub fn cluster_id(&self, context: &Context) -> Result<ResourceId> {
        foundation::cluster::id(&Draft::new(&self.shared, context, "foundation"))
    }

    /// A reference to the ARN of the key that encrypts the platform's data.
    ///
    /// # Errors
    /// `Invalid` when its name cannot be one.
    pub fn data_key(&self, context: &Context) -> Result<Value> {
        Draft::new(&self.shared, context, "foundation").data_key()
    }

    /// The rights that these writes of a set need, and planning them, as IAM policies: nothing more. They are several where
    /// one managed policy cannot hold them; `Plan::writes` lists what a plan writes, and nothing written is what a plan needs.
    ///
    /// Actions are allowed on the ARNs of the objects. Where AWS makes their ids, tags bind: to what the set owns or
    /// let go of, and for creates and takeovers to what no set owns. Roles are passed from the set's own path only.
    pub fn policies(&self, set: &SetId, writes: &[PlannedWrite]) -> Vec<Value> {
        let shared = &self.shared;
        let regions: Vec<&str> = std::iter::once(shared.region())
            .chain(shared.second().map(region_of))
            .collect();
        iam::policies(shared.kinds, &shared.options.account, &regions, set, writes)
    }

    /// The region: `eu-west-1`.
    pub fn region(&self) -> &str {
        self.shared.region()
    }

    /// The account, where this is one and no in-memory world.
    pub fn account(&self) -> Option<&AwsProvider> {
        self.shared.account.as_ref()
    }

    /// The options.
    pub fn options(&self) -> &AwsOptions {
        &self.shared.options
    }
}

impl Stack for Aws {
    fn join(&self, engine: EngineBuilder) -> EngineBuilder {
        let all = std::iter::once(&self.shared.provider).chain(&self.shared.second);
        all.cloned().fold(engine, EngineBuilder::provider)
    }
    fn place(&self) -> &Place {
        self.shared.place()
    }
    fn engine(&self) -> &Engine {
        &self.shared.engine
    }
    fn foundation(&self, wanted: &BTreeSet<Capability>, context: &Context) -> Result<Vec<Resource>> {
        foundation::resources(&self.shared, wanted, context)
    }
    fn rights(&self, set: &SetId, writes: &[PlannedWrite]) -> Vec<Value> {
        self.policies(set, writes)
    }
    fn database(&self) -> Option<Arc<dyn Database>> {
        Some(Arc::new(AwsDatabase(Arc::clone(&self.shared))))
    }
    fn cache(&self) -> Option<Arc<dyn Cache>> {
        Some(Arc::new(AwsCache(Arc::clone(&self.shared))))
    }
    fn storage(&self) -> Option<Arc<dyn Storage>> {
        Some(Arc::new(AwsStorage(Arc::clone(&self.shared))))
    }
    fn monitoring(&self) -> Option<Arc<dyn Monitoring>> {
        Some(Arc::new(AwsMonitoring(Arc::clone(&self.shared))))
    }
    fn security(&self) -> Option<Arc<dyn Security>> {
        Some(Arc::new(AwsSecurity(Arc::clone(&self.shared))))
    }
    fn backup(&self) -> Option<Arc<dyn Backup>> {
        Some(Arc::new(AwsBackup(Arc::clone(&self.shared))))
    }
}
