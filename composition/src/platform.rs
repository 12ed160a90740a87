//! A platform: one config, its providers, one engine.

use crate::backups::Backups;
use crate::config::{PlatformConfig, ProviderName, Rule};
use crate::lower::{self, Specs};
use crate::wire::{self, Stacks};
use platform_core::engine::{ApplyOptions, Approvals, Engine, Event, Outputs, Plan, PlanRequest, Policy, Report};
use platform_core::value::{Clock, ResourceId, SetId, SystemClock};
use platform_core::{
    BackupOutputs, CacheOutputs, Capability, Context, DatabaseOutputs, Error, ErrorKind, MonitoringOutputs, Remade,
    RestoreFrom, Result, SecurityOutputs, Stack, StorageOutputs,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// A provider that a platform can be wired to: it takes its options from the config.
pub trait IntoStack {
    /// The provider with its capabilities, set up as the config says.
    ///
    /// # Errors
    /// When the config asks for what the provider cannot do.
    fn into_stack(self, config: &PlatformConfig) -> Result<Arc<dyn Stack>>;
}

impl IntoStack for Arc<dyn Stack> {
    fn into_stack(self, _config: &PlatformConfig) -> Result<Arc<dyn Stack>> {
        Ok(self)
    }
}

/// A whole platform: what its config asks for, planned and applied as one.
///
/// Cheap to clone; any number may live in one process.
#[derive(Clone, Debug)]
pub struct Platform {
    config: Arc<PlatformConfig>,
    specs: Specs,
    context: Context,
    stacks: Stacks,
    engine: Engine,
}

/// What to plan.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PlanOptions {
    /// Only these capabilities and what they depend on; such a run never prunes. Default: everything.
    pub only: BTreeSet<Capability>,
    /// Objects of nobody that may be taken over. Default: none.
    pub adopt: BTreeSet<ResourceId>,
}

impl PlanOptions {
    /// Sets which capabilities to plan alone.
    pub fn with_only(mut self, only: impl IntoIterator<Item = Capability>) -> Self {
        self.only.extend(only);
        self
    }
    /// Sets which objects of nobody may be taken over.
    pub fn with_adopt(mut self, adopt: impl IntoIterator<Item = ResourceId>) -> Self {
        self.adopt.extend(adopt);
        self
    }
}

impl Platform {
    /// Starts with a config; add the provider that it names.
    pub fn builder(config: PlatformConfig) -> PlatformBuilder {
        PlatformBuilder {
            config,
            stacks: Vec::new(),
            clock: None,
            policy: None,
            holder: None,
            lease_ttl: None,
            lease_wait: None,
        }
    }

    /// The config.
    pub fn config(&self) -> &PlatformConfig {
        &self.config
    }

    /// The set that owns the platform's objects.
    pub fn set(&self) -> &SetId {
        &self.context.set
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What the capabilities are asked for.
    pub fn specs(&self) -> &Specs {
        &self.specs
    }

    /// The heading of this platform's plans: `Platform ml-platform (local) on kubernetes`.
    pub fn title(&self) -> String {
        let config = &self.config;
        let providers: Vec<&str> = self.stacks.keys().map(|provider| provider.as_str()).collect();
        format!(
            "Platform {} ({}) on {}",
            config.name,
            config.environment,
            providers.join(", ")
        )
    }

    /// Everything that the config asks for, as data. Reads nothing.
    ///
    /// # Errors
    /// When a provider refuses a wish; located in the config where the wish stands there.
    pub fn request(&self) -> Result<PlanRequest> {
        self.request_for(&self.specs)
    }

    fn request_for(&self, specs: &Specs) -> Result<PlanRequest> {
        wire::request(&self.config, specs, &self.context, &self.stacks).map_err(|error| located(&self.config, error))
    }

    /// What making the config true would do. Reads only.
    ///
    /// # Errors
    /// When a provider refuses a wish or a place cannot be read.
    pub async fn plan(&self) -> Result<Plan> {
        self.engine.plan(&self.wanted().await?).await
    }

    /// The rights that a plan of this platform needs, planning included, for whoever applies it: IAM policies for an account, a
    /// ClusterRole for a cluster. Makes no call.
    pub fn rights(&self, plan: &Plan) -> Vec<Value> {
        let (set, writes) = (&plan.request.set, plan.writes());
        let stacks = self.stacks.values();
        stacks.flat_map(|stack| stack.rights(set, &writes)).collect()
    }

    /// [`Platform::request`] with what became of a start from a backup. Reads only.
    async fn wanted(&self) -> Result<PlanRequest> {
        let Some(from) = self.specs.backup.as_ref().and_then(|spec| spec.restore_from.clone()) else {
            return self.request();
        };
        let Some(backups) = self.backups()? else {
            return self.request();
        };
        let done = backups.provider.started(&backups.spec, &backups.context).await;
        let mut specs = self.specs.clone();
        if let Some(spec) = &mut specs.backup {
            let done = done.map_err(|error| located(&self.config, error))?;
            spec.restore_from = Some(RestoreFrom { done, ..from });
        }
        self.request_for(&specs)
    }

    /// [`Platform::plan`] for some capabilities, or with objects to adopt.
    ///
    /// # Errors
    /// As [`Platform::plan`]; `Invalid` for a capability that the config does not ask for.
    pub async fn plan_with(&self, options: &PlanOptions) -> Result<Plan> {
        let mut request = self.wanted().await?.with_adopt(options.adopt.iter().cloned());
        if !options.only.is_empty() {
            if let Some(absent) = options
                .only
                .iter()
                .find(|capability| !self.specs.wanted().any(|wanted| wanted == **capability))
            {
                return Err(
                    Error::new(ErrorKind::Invalid, format!("the config does not ask for {absent}"))
                        .with_help(format!("add a `{absent}:` block, or plan without --only {absent}")),
                );
            }
            request = request.with_only(options.only.iter().map(ToString::to_string));
        }
        self.engine.plan(&request).await
    }

    /// [`Platform::plan`] for some capabilities and what they depend on. Never prunes.
    ///
    /// # Errors
    /// As [`Platform::plan_with`].
    pub async fn plan_only(&self, only: impl IntoIterator<Item = Capability> + Send) -> Result<Plan> {
        self.plan_with(&PlanOptions::default().with_only(only)).await
    }

    /// [`Platform::plan_only`] for what a restore makes again. Reads only.
    pub(crate) async fn plan_remade(&self, remade: &Remade) -> Result<Plan> {
        let mut specs = self.specs.clone();
        if let (Some(database), Some(source)) = (&mut specs.database, &remade.database) {
            database.restore_from = Some(source.clone());
        }
        let only = remade.capabilities.iter().map(ToString::to_string);
        self.engine.plan(&self.request_for(&specs)?.with_only(only)).await
    }

    /// What removing the platform would do: everything goes, what holds data stays. Reads only.
    ///
    /// # Errors
    /// When a place cannot be read.
    pub async fn destroy_plan(&self) -> Result<Plan> {
        let words = wire::words(&self.config, &self.context, &self.stacks);
        let nothing = PlanRequest::destroy(self.context.set.clone()).with_words(words);
        self.engine.plan(&nothing).await
    }

    /// Verifies a plan against the world as it is now, then does exactly that.
    ///
    /// # Errors
    /// Before the first write: `Stale`, `Unapproved`, `Blocked`, `Locked`, `WrongPlace`, `Forbidden`. Failures of single
    /// steps are in the report.
    pub async fn apply(
        &self,
        plan: &Plan,
        approvals: &Approvals,
        mut on_event: impl FnMut(Event) + Send,
    ) -> Result<Report> {
        self.engine.apply(plan, approvals, &mut on_event).await
    }

    /// [`Platform::apply`] with options.
    ///
    /// # Errors
    /// As [`Platform::apply`].
    pub async fn apply_with(
        &self,
        plan: &Plan,
        approvals: &Approvals,
        options: &ApplyOptions,
        mut on_event: impl FnMut(Event) + Send,
    ) -> Result<Report> {
        self.engine.apply_with(plan, approvals, options, &mut on_event).await
    }

    /// Where to connect and where the credentials are; `None` while anything differs from the config. Reads only.
    ///
    /// # Errors
    /// As [`Platform::plan`].
    pub async fn outputs(&self) -> Result<Option<Outputs>> {
        let plan = self.plan().await?;
        Ok(plan.is_empty().then(|| plan.known_outputs()))
    }

    /// The database of this platform; `None` when the config asks for none.
    pub fn database(&self) -> Option<Part<'_, DatabaseOutputs>> {
        self.part(Capability::Database)
    }

    /// The cache of this platform; `None` when the config asks for none.
    pub fn cache(&self) -> Option<Part<'_, CacheOutputs>> {
        self.part(Capability::Cache)
    }

    /// The object storage of this platform; `None` when the config asks for none.
    pub fn storage(&self) -> Option<Part<'_, StorageOutputs>> {
        self.part(Capability::Storage)
    }

    /// Metrics, alarms and dashboards of this platform; `None` when the config asks for none.
    pub fn monitoring(&self) -> Option<Part<'_, MonitoringOutputs>> {
        self.part(Capability::Monitoring)
    }

    /// Policies and secrets of this platform; `None` when the config asks for none.
    pub fn security(&self) -> Option<Part<'_, SecurityOutputs>> {
        self.part(Capability::Security)
    }

    /// Backups by hand: taken, listed, drilled, restored; `None` when the config asks for none.
    ///
    /// # Errors
    /// When a provider refuses a wish.
    pub fn backups(&self) -> Result<Option<Backups>> {
        let Some(spec) = &self.specs.backup else {
            return Ok(None);
        };
        let stack = self
            .config
            .placed(Capability::Backup)
            .into_iter()
            .find_map(|provider| self.stacks.get(&provider));
        let Some(provider) = stack.and_then(|stack| stack.backup()) else {
            return Ok(None);
        };
        Ok(Some(Backups {
            provider,
            spec: spec.clone(),
            context: wire::with_surfaces(&self.config, &self.specs, &self.context, &self.stacks)?,
            engine: self.engine.clone(),
            platform: self.clone(),
        }))
    }

    /// The backup block of this platform; `None` when the config asks for none.
    pub fn backup(&self) -> Option<Part<'_, BackupOutputs>> {
        self.part(Capability::Backup)
    }

    fn part<O>(&self, capability: Capability) -> Option<Part<'_, O>> {
        self.specs.wanted().any(|wanted| wanted == capability).then_some(Part {
            platform: self,
            capability,
            outputs: PhantomData,
        })
    }
}

/// One capability of a platform: plans the whole platform, writes only this capability and what it depends on.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a, O> {
    platform: &'a Platform,
    capability: Capability,
    outputs: PhantomData<fn() -> O>,
}

impl<O: DeserializeOwned> Part<'_, O> {
    /// What provisioning it would do. Reads only; never prunes.
    ///
    /// # Errors
    /// As [`Platform::plan`].
    pub async fn plan(&self) -> Result<Plan> {
        self.platform.plan_only([self.capability]).await
    }

    /// Plans and applies it.
    ///
    /// # Errors
    /// As [`Platform::apply`], and the first failure of the run.
    pub async fn provision(&self, approvals: &Approvals) -> Result<O> {
        let plan = self.plan().await?;
        let report = self.platform.apply(&plan, approvals, |_| {}).await?;
        if let Some((id, why)) = report.failures().next() {
            return Err(why.clone().with_context("resource", id));
        }
        self.known(&report.outputs())
    }

    /// Its outputs if it stands as the config says; `None` if not. Reads only.
    ///
    /// # Errors
    /// As [`Platform::plan`].
    pub async fn describe(&self) -> Result<Option<O>> {
        let plan = self.plan().await?;
        if plan.is_empty() {
            self.known(&plan.known_outputs()).map(Some)
        } else {
            Ok(None)
        }
    }

    fn known(&self, outputs: &Outputs) -> Result<O> {
        outputs.get(self.capability)?.ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                format!("the run has no outputs of {}", self.capability),
            )
        })
    }
}

type Wire = Box<dyn FnOnce(&PlatformConfig) -> Result<Arc<dyn Stack>> + Send>;

/// Builds a [`Platform`].
pub struct PlatformBuilder {
    config: PlatformConfig,
    stacks: Vec<Wire>,
    clock: Option<Arc<dyn Clock>>,
    policy: Option<Policy>,
    holder: Option<String>,
    lease_ttl: Option<Duration>,
    lease_wait: Option<Duration>,
}

impl std::fmt::Debug for PlatformBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlatformBuilder")
            .field("config", &self.config)
            .field("providers", &self.stacks.len())
            .finish_non_exhaustive()
    }
}

impl PlatformBuilder {
    /// Adds a provider: a cluster, or an account and region. Every provider that the config names must be added.
    pub fn provider(mut self, provider: impl IntoStack + Send + 'static) -> Self {
        self.stacks.push(Box::new(|config| provider.into_stack(config)));
        self
    }
    /// Sets the clock. Default: that of the first provider's own engine.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }
    /// Sets which risks need an approval. Default: those of the config's environment.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }
    /// How others read who holds the lease: `user@host:pid`. Default: `unnamed`.
    pub fn holder(mut self, holder: impl Into<String>) -> Self {
        self.holder = Some(holder.into());
        self
    }
    /// How long the lease outlives its last heartbeat. Default 60 s.
    pub fn lease_ttl(mut self, ttl: Duration) -> Self {
        self.lease_ttl = Some(ttl);
        self
    }
    /// How long to wait for somebody's lease whose heartbeat moves. Default: not at all.
    pub fn lease_wait(mut self, wait: Duration) -> Self {
        self.lease_wait = Some(wait);
        self
    }

    /// The platform. Reads and writes nothing.
    ///
    /// # Errors
    /// `Invalid`, located in the config, when it places a capability where no provider was added or where this version has
    /// none.
    pub fn build(self) -> Result<Platform> {
        let mut stacks: Stacks = BTreeMap::new();
        for wire in self.stacks {
            let stack = wire(&self.config)?;
            stacks.insert(provider_of(stack.as_ref())?, stack);
        }
        let specs = lower::specs(&self.config);
        refuse_missing(&self.config, &specs, &stacks)?;
        let context = lower::context(&self.config, &specs);
        let clock = self
            .clock
            .or_else(|| stacks.values().next().map(|stack| Arc::clone(stack.engine().clock())))
            .unwrap_or_else(|| Arc::new(SystemClock::new()));
        let mut engine =
            Engine::builder(clock).policy(self.policy.unwrap_or_else(|| Policy::of(self.config.environment)));
        for stack in stacks.values() {
            engine = stack.join(engine);
        }
        if let Some(holder) = self.holder {
            engine = engine.holder(holder);
        }
        if let Some(ttl) = self.lease_ttl {
            engine = engine.lease_ttl(ttl);
        }
        if let Some(wait) = self.lease_wait {
            engine = engine.lease_wait(wait);
        }
        Ok(Platform {
            config: Arc::new(self.config),
            specs,
            context,
            stacks,
            engine: engine.build(),
        })
    }
}

fn provider_of(stack: &dyn Stack) -> Result<ProviderName> {
    match stack.place().as_ref().split('/').next() {
        Some("k8s") => Ok(ProviderName::Kubernetes),
        Some("aws") => Ok(ProviderName::Aws),
        _ => Err(Error::new(
            ErrorKind::Invalid,
            format!("{} is neither a cluster nor an account", stack.place()),
        )),
    }
}

/// A provider's refusal that names a key of the config, shown at that key.
fn located(config: &PlatformConfig, error: Error) -> Error {
    match error.context().iter().find(|(name, _)| *name == "config") {
        Some((_, key)) => {
            let rule = match key.split('.').next() {
                _ if key.contains(".restore_from") => Rule::RestoreFrom,
                Some("leave") => Rule::Leave,
                Some("backup") if key.ends_with("copy_to") => Rule::Placement,
                Some("aws") if error.kind() == ErrorKind::Unsupported => Rule::NotAvailable,
                Some("aws") => Rule::Network,
                _ if error.kind() == ErrorKind::Unsupported => Rule::NotAvailable,
                _ => Rule::Quota,
            };
            config
                .problem(rule, key, error.message(), error.help().unwrap_or_default())
                .into()
        }
        None => error,
    }
}

/// Refuses, located in the file, what no added provider has.
fn refuse_missing(config: &PlatformConfig, specs: &Specs, stacks: &Stacks) -> Result<()> {
    for capability in specs.wanted() {
        for provider in config.placed(capability) {
            let (message, help) = match stacks.get(&provider) {
                None => (
                    format!("it is placed on {provider}, but no {provider} provider is connected"),
                    "add that provider to the builder, or change `provider` or `placement`".to_owned(),
                ),
                Some(stack) if !wire::has(stack.as_ref(), capability) => (
                    format!("{provider} has no {capability} in this version"),
                    "remove the block, or place it elsewhere".to_owned(),
                ),
                Some(_) => continue,
            };
            return Err(config
                .problem(Rule::NotAvailable, capability.as_str(), &message, &help)
                .into());
        }
    }
    Ok(())
}
