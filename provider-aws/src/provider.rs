//! One account and region as a [`Provider`].

use crate::client::{Clients, counted};
use crate::error::Outcome;
use crate::existing::Lookup;
use crate::kind::backup_recovery_point::{self, RecoveryPoint};
use crate::kind::backup_restore_job::{self, RestoreJob};
use crate::kind::backup_restore_proof::{self, Proof};
use crate::kind::{self, AddedKind, AnyKind, Kinds, Room, settled};
use crate::lock::ControlBucket;
use crate::once::Once;
use crate::tags::Tags;
use crate::{follow, observe, preflight, write};
use async_trait::async_trait;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::SdkConfig;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use platform_core::engine::Permit;
use platform_core::value::{Clock, Kind, Name, Place, PlaceIdentity, ResourceId, SecretSource, SetId};
use platform_core::{
    Error, ErrorKind, Finding, Interest, KindFacts, Live, Lock, Observation, Owner, PlannedWrite, Preview, Provider,
    ProviderFeatures, Resource, Result, Write,
};
use std::sync::{Arc, Mutex, PoisonError};

/// The calls that tell a quota.
pub(crate) const APPLIED_QUOTA: &str = "servicequotas:GetServiceQuota";
pub(crate) const DEFAULT_QUOTA: &str = "servicequotas:GetAWSDefaultServiceQuota";
/// Writes in flight at most: KMS takes five key changes a second, S3 bucket changes are slow.
const PARALLEL: usize = 8;

/// One AWS account and region.
///
/// Nothing is ambient: credentials, region, endpoint, timeouts and retry come from the [`SdkConfig`] that the caller
/// loaded; only what it leaves open gets defaults (rustls with ring, 5 attempts, 5 s to connect, 30 s an attempt).
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct AwsProvider {
    connection: Arc<Connection>,
    lock: Arc<ControlBucket>,
}

impl AwsProvider {
    /// The account that the credentials of `config` belong to, in its region. Makes no call.
    ///
    /// # Errors
    /// `Invalid` when `config` names no region.
    ///
    /// # Example
    /// ```
    /// use platform_core::Provider;
    /// use platform_core::value::SystemClock;
    /// use provider_aws::{AwsProvider, SdkConfig};
    /// use std::sync::Arc;
    ///
    /// // In a tool: aws_config::load_defaults(BehaviorVersion::latest()).await
    /// let config = SdkConfig::builder().region(aws_types::region::Region::new("eu-west-1")).build();
    /// let provider = AwsProvider::from_config(&config, Arc::new(SystemClock::new()))?;
    /// assert_eq!(provider.place().to_string(), "aws/eu-west-1");
    /// # Ok::<(), platform_core::Error>(())
    /// ```
    pub fn from_config(config: &SdkConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let region = config
            .region()
            .map(|region| region.as_ref().to_owned())
            .ok_or_else(|| {
                Error::new(ErrorKind::Invalid, "no AWS region").with_help("set AWS_REGION, or `region:` in the config")
            })?;
        Ok(Self::of(Connection {
            place: Place::aws(&region)?,
            region,
            clients: Clients::new(config),
            credentials: config.credentials_provider(),
            clock,
            kinds: Kinds::default(),
            lookup: None,
            account: tokio::sync::OnceCell::new(),
            expected: None,
            secrets: None,
        }))
    }

    /// Sets the account that the credentials must belong to; with those of another one nothing is read or written.
    /// Default: any.
    pub fn with_account(self, id: impl Into<String>) -> Self {
        Self::of(Connection {
            expected: Some(id.into()),
            ..Connection::clone(&self.connection)
        })
    }

    /// Sets where supplied secrets come from. Default: none, and a resource that needs one is refused.
    pub fn with_secrets(self, source: Arc<dyn SecretSource>) -> Self {
        Self::of(Connection {
            secrets: Some(source),
            ..Connection::clone(&self.connection)
        })
    }

    pub(crate) fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.connection)
    }

    /// Adds kinds of another crate, such as those of `provider-aws-network`. Default: none.
    pub fn with_kinds(self, kinds: &'static [AddedKind]) -> Self {
        Self::of(Connection {
            kinds: Kinds { added: kinds },
            ..Connection::clone(&self.connection)
        })
    }

    /// Sets who looks at networks that others made, before a plan makes something in one: `provider-aws-network` has a
    /// [`Lookup`]. Default: nobody, and what is wrong there shows when AWS refuses it.
    pub fn with_lookup(self, lookup: &'static dyn Lookup) -> Self {
        Self::of(Connection {
            lookup: Some(lookup),
            ..Connection::clone(&self.connection)
        })
    }

    fn of(connection: Connection) -> Self {
        let connection = Arc::new(connection);
        Self {
            lock: Arc::new(ControlBucket::new(Arc::clone(&connection))),
            connection,
        }
    }
}

/// What every call needs.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) place: Place,
    pub(crate) region: String,
    pub(crate) clients: Clients,
    pub(crate) credentials: Option<SharedCredentialsProvider>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) kinds: Kinds,
    pub(crate) lookup: Option<&'static dyn Lookup>,
    account: tokio::sync::OnceCell<Account>,
    expected: Option<String>,
    pub(crate) secrets: Option<Arc<dyn SecretSource>>,
}

impl Connection {
    /// The account, asked for once.
    pub(crate) async fn account(&self) -> Result<&Account> {
        self.account.get_or_try_init(|| self.ask_account()).await
    }

    async fn ask_account(&self) -> Result<Account> {
        let answer = self
            .clients
            .sts
            .get_caller_identity()
            .send()
            .await
            .during("sts:GetCallerIdentity")?;
        let partition = answer.arn().and_then(|arn| arn.split(':').nth(1)).unwrap_or("aws");
        let id = answer
            .account()
            .ok_or_else(|| Error::new(ErrorKind::Internal, "sts:GetCallerIdentity named no account"))?;
        if let Some(expected) = self.expected.as_deref().filter(|expected| *expected != id) {
            return Err(Error::new(
                ErrorKind::WrongPlace,
                format!("the credentials belong to account {id}, the config names {expected}"),
            )
            .with_help("choose the profile of that account, or correct `aws.account`"));
        }
        Ok(Account {
            partition: partition.to_owned(),
            id: id.to_owned(),
            caller: answer.arn().unwrap_or_default().to_owned(),
        })
    }

    /// Everything a kind needs for one operation on behalf of a set.
    pub(crate) async fn scope<'a>(&'a self, set: &'a SetId) -> Result<Scope<'a>> {
        Ok(Scope {
            clients: &self.clients,
            account: self.account().await?,
            place: &self.place,
            region: &self.region,
            clock: &*self.clock,
            kinds: self.kinds,
            secrets: self.secrets.as_deref(),
            set,
            once: None,
            warnings: Mutex::new(Vec::new()),
        })
    }
}

/// The account that the credentials belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) partition: String,
    pub(crate) id: String,
    /// ARN of whoever calls.
    pub(crate) caller: String,
}

impl Account {
    /// What a policy names to mean "whoever this account's IAM policies allow".
    pub(crate) fn root_arn(&self) -> String {
        format!("arn:{}:iam::{}:root", self.partition, self.id)
    }
}

/// One operation on behalf of a set: the account, and who asks.
#[derive(Debug)]
pub struct Scope<'a> {
    pub(crate) clients: &'a Clients,
    pub(crate) account: &'a Account,
    pub(crate) place: &'a Place,
    pub(crate) region: &'a str,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) kinds: Kinds,
    pub(crate) secrets: Option<&'a dyn SecretSource>,
    pub(crate) set: &'a SetId,
    once: Option<Once>,
    warnings: Mutex<Vec<String>>,
}

impl Scope<'_> {
    /// The same for a look at all that the set has.
    pub(crate) fn observing(mut self) -> Self {
        self.once = Some(Once::default());
        self
    }

    /// Whether this is a look at all that the set has, in which [`Scope::once`] asks once.
    pub fn observes(&self) -> bool {
        self.once.is_some()
    }

    /// What a look at all that the set has asks once, however many objects need the answer; any other operation asks anew.
    /// `what` tells answers of one type apart.
    ///
    /// # Errors
    /// Those of the question.
    pub async fn once<T: Send + Sync + 'static>(
        &self,
        what: &str,
        ask: impl Future<Output = Result<T>> + Send,
    ) -> Result<Arc<T>> {
        match &self.once {
            Some(once) => once.get(what, ask).await,
            None => Ok(Arc::new(ask.await?)),
        }
    }

    /// One object: in a look at all that the set has by the list, which is read once, else asked for by its name.
    pub(crate) fn find<'a, T: Clone + Send + Sync + 'static>(
        &'a self,
        what: &'a str,
        all: impl Future<Output = Result<Vec<T>>> + Send + 'a,
        is_it: impl Fn(&T) -> bool + Send + 'a,
        by_name: impl Future<Output = Result<Option<T>>> + Send + 'a,
    ) -> BoxFuture<'a, Result<Option<T>>> {
        async move {
            if !self.observes() {
                return by_name.await;
            }
            let all = self.once(what, all).await?;
            Ok(all.iter().find(|one| is_it(one)).cloned())
        }
        .boxed()
    }

    /// The account's 12 digits.
    pub fn account(&self) -> &str {
        &self.account.id
    }

    /// `aws`, or the partition of China or GovCloud.
    pub fn partition(&self) -> &str {
        &self.account.partition
    }

    /// `eu-west-1`.
    pub fn region(&self) -> &str {
        self.region
    }

    /// Whose objects it is about.
    pub fn set(&self) -> &SetId {
        self.set
    }

    /// Time, of which there is no other source.
    pub fn clock(&self) -> &dyn Clock {
        self.clock
    }

    /// Whose an object with these tags is.
    pub fn owner(&self, tags: &Tags) -> Owner {
        crate::tags::owner(tags, self.set)
    }

    /// The client of an SDK, made once a provider from the configuration that all clients share: same credentials, same
    /// transport, same retries, and its requests are counted.
    pub fn client<T: Clone + Send + Sync + 'static>(&self, make: impl FnOnce(&SdkConfig) -> T) -> T {
        self.clients.added(make)
    }

    /// Keeps a note for people.
    pub fn warn(&self, text: String) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    /// The notes so far.
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `<name>-<environment>`: what the names of the set's objects usually start with.
    pub fn name_prefix(&self) -> &str {
        let set = self.set.as_str();
        match set.rsplit_once('-') {
            Some((name, hash)) if hash.len() == 8 && hash.chars().all(|c| c.is_ascii_hexdigit()) => name,
            _ => set,
        }
    }

    /// What a quota of Service Quotas leaves: `room("vpc", "L-F678F1CE", "VPCs", 3)`.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn room(
        &self,
        service: &str,
        quota: &'static str,
        of: &'static str,
        used: usize,
    ) -> Result<Option<Room>> {
        let quotas = &self.clients.quotas;
        let applied = quotas.get_service_quota().service_code(service).quota_code(quota);
        let applied = applied
            .send()
            .await
            .absent(APPLIED_QUOTA, &["NoSuchResourceException"])?;
        let limit = if let Some(applied) = applied {
            applied.quota
        } else {
            // Nobody asked for more yet.
            let default = quotas.get_aws_default_service_quota();
            let default = default.service_code(service).quota_code(quota);
            default.send().await.during(DEFAULT_QUOTA)?.quota
        };
        let limit = limit.and_then(|quota| quota.value).filter(|value| *value >= 0.0);
        // Quotas are whole numbers, sent as if they were not.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(limit.map(|limit| Room {
            of,
            quota,
            used: used as u64,
            limit: limit as u64,
        }))
    }

    /// What the tagging API knows of the set: hints only, late in both directions. A caller that may not ask gets none.
    pub(crate) async fn tagged_of_set(&self, resource_type: &str) -> Result<Vec<(String, Tags)>> {
        let all = self
            .once("tagged", self.tagged(None, crate::tags::SET, self.set.as_str()))
            .await?;
        let (service, resource) = resource_type.split_once(':').unwrap_or((resource_type, ""));
        let of = |arn: &str| {
            let mut parts = arn.splitn(6, ':').skip(2);
            let named = parts.next() == Some(service);
            named && (resource.is_empty() || parts.nth(2).is_some_and(|rest| starts_with_word(rest, resource)))
        };
        Ok(all.iter().filter(|(arn, _)| of(arn)).cloned().collect())
    }

    /// What the tagging API knows of a tag, as [`Scope::tagged_of_set`].
    pub(crate) async fn tagged(
        &self,
        resource_type: Option<&str>,
        key: &str,
        value: &str,
    ) -> Result<Vec<(String, Tags)>> {
        let filter = aws_sdk_resourcegroupstagging::types::TagFilter::builder()
            .key(crate::tags::key(key))
            .values(value)
            .build();
        let mut pages = self
            .clients
            .tagging
            .get_resources()
            .set_resource_type_filters(resource_type.map(|one| vec![one.to_owned()]))
            .tag_filters(filter)
            .into_paginator()
            .send();
        let mut hits = Vec::new();
        while let Some(page) = pages.next().await {
            let page = match page.during("tag:GetResources") {
                Err(error) if matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::Denied) => {
                    self.warn(format!("objects that lost their name cannot be found: {error}"));
                    return Ok(Vec::new());
                }
                other => other?,
            };
            for hit in page.resource_tag_mapping_list() {
                let tags = hit
                    .tags()
                    .iter()
                    .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
                    .collect();
                hits.extend(hit.resource_arn().map(|arn| (arn.to_owned(), tags)));
            }
        }
        Ok(hits)
    }
}

/// `db:name` with `db`, `key/id` with `key`.
fn starts_with_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word).is_some_and(|rest| rest.starts_with([':', '/']))
}

/// What every account can do.
pub fn features() -> ProviderFeatures {
    ProviderFeatures::new(PARALLEL)
}

#[async_trait]
impl Provider for AwsProvider {
    fn place(&self) -> &Place {
        &self.connection.place
    }

    fn facts(&self, kind: &Kind) -> Option<&'static KindFacts> {
        self.connection.kinds.facts(kind)
    }

    fn features(&self) -> ProviderFeatures {
        features()
    }

    async fn identity(&self) -> Result<PlaceIdentity> {
        let account = self.connection.ask_account().await?;
        Ok(PlaceIdentity(format!(
            "{}/{}/{}",
            account.partition, account.id, self.connection.region
        )))
    }

    async fn observe(&self, set: &SetId, wanted: &[Resource]) -> Result<Observation> {
        let (observation, requests) = counted(observe::observe(&self.connection, &self.lock, set, wanted)).await;
        let mut observation = observation?;
        observation.requests = requests;
        Ok(observation)
    }

    async fn preview(&self, wanted: &Resource, seen: &Observation) -> Result<Preview> {
        observe::preview(self.connection.kinds, wanted, seen)
    }

    async fn list(&self, set: &SetId, kind: &Kind, within: &Name) -> Result<Vec<Live>> {
        let scope = self.connection.scope(set).await?;
        match kind.as_str() {
            RecoveryPoint::KIND => backup_recovery_point::all(&scope, within).await,
            RestoreJob::KIND => backup_restore_job::under_way(&scope, within).await,
            Proof::KIND => backup_restore_proof::all(&scope, within).await,
            _ => Err(Error::new(
                ErrorKind::Unsupported,
                format!("this version cannot list every {kind} of an account"),
            )),
        }
    }

    async fn preflight(&self, set: &SetId, writes: &[PlannedWrite]) -> Result<Vec<Finding>> {
        preflight::preflight(&self.connection.scope(set).await?, writes).await
    }

    async fn write(&self, write: Write<'_>, permit: Permit<'_>) -> Result<Option<Live>> {
        write::write(&self.connection, write, permit).await
    }

    fn follow(&self, interest: Interest, seen: &Observation) -> BoxStream<'static, Result<(ResourceId, Option<Live>)>> {
        follow::follow(Arc::clone(&self.connection), interest, seen)
    }

    fn lock(&self) -> &dyn Lock {
        &*self.lock
    }
}

/// A wish in normal form whose references are all known.
pub(crate) fn wish(kind: &dyn AnyKind, resource: &Resource) -> Result<kind::Wish> {
    let wish = kind.normalise(&resource.id, &resource.desired)?;
    settled(&resource.id, &wish)?;
    Ok(wish)
}
