//! What a kind is: one taggable object with everything on it that cannot carry a tag.
//!
//! To add a kind to this crate: one file below `kind/` that implements [`AwsKind`], and one line in `KINDS`.
//!
//! A kind may have a crate of its own, where its SDK is not to be compiled by everybody: it implements [`AwsKind`] with the
//! client that [`Scope::client`] keeps, and the provider gets it by [`AwsProvider::with_kinds`](crate::AwsProvider::with_kinds)
//! as an [`AddedKind`]. The implementation reads and writes single objects and carries the tags that it is given. Whose an
//! object is, whether it may be written, its stamps, takeovers and conflicts are decided above it, from [`Found::tags`].

pub(crate) mod backup;
pub(crate) mod backup_plan;
pub(crate) mod backup_recovery_point;
pub(crate) mod backup_restore_job;
pub(crate) mod backup_restore_proof;
pub(crate) mod backup_vault;
pub(crate) mod cloudwatch;
pub(crate) mod cloudwatch_alarm;
pub(crate) mod cloudwatch_composite_alarm;
pub(crate) mod cloudwatch_dashboard;
mod eks;
pub(crate) mod eks_access_entry;
pub(crate) mod eks_addon;
pub(crate) mod eks_cluster;
pub(crate) mod eks_nodegroup;
pub(crate) mod eks_pod_identity_association;
mod elasticache;
pub(crate) mod elasticache_parameter_group;
pub(crate) mod elasticache_replication_group;
pub(crate) mod elasticache_subnet_group;
pub(crate) mod elasticache_user;
pub(crate) mod elasticache_user_group;
pub(crate) mod events_rule;
pub(crate) mod iam_role;
pub(crate) mod kms_key;
mod limits;
pub(crate) mod logs_log_group;
pub(crate) mod rds;
pub(crate) mod rds_db_instance;
pub(crate) mod rds_db_parameter_group;
pub(crate) mod rds_db_subnet_group;
pub(crate) mod s3_bucket;
pub(crate) mod secretsmanager_secret;
pub(crate) mod sns_topic;

pub use crate::error::Outcome;
pub use crate::iam::Reach;
pub use crate::provider::Scope;
pub use crate::tags::{EKS_CLUSTER, Tags, id_tag, set_tag, unfinished};
pub use limits::Limit;

use crate::existing::Needs;
use crate::{names, tags};
use async_trait::async_trait;
use platform_core::value::{FieldPath, Kind, Reference, ResourceId, Segment, SetId, Uid, references, resolve};
use platform_core::{Error, ErrorKind, KindFacts, Resource, Result, State};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::marker::PhantomData;

/// This crate's kinds, in the order in which a plan reads them.
static KINDS: &[&dyn AnyKind] = &[
    &Adaptor::<backup_plan::Plan>(PhantomData),
    &Adaptor::<backup_recovery_point::RecoveryPoint>(PhantomData),
    &Adaptor::<backup_restore_job::RestoreJob>(PhantomData),
    &Adaptor::<backup_restore_proof::Proof>(PhantomData),
    &Adaptor::<backup_vault::Vault>(PhantomData),
    &Adaptor::<eks_access_entry::AccessEntry>(PhantomData),
    &Adaptor::<eks_addon::Addon>(PhantomData),
    &Adaptor::<eks_cluster::Cluster>(PhantomData),
    &Adaptor::<eks_nodegroup::Nodegroup>(PhantomData),
    &Adaptor::<eks_pod_identity_association::PodIdentityAssociation>(PhantomData),
    &Adaptor::<elasticache_parameter_group::ParameterGroup>(PhantomData),
    &Adaptor::<elasticache_replication_group::ReplicationGroup>(PhantomData),
    &Adaptor::<elasticache_subnet_group::SubnetGroup>(PhantomData),
    &Adaptor::<elasticache_user::User>(PhantomData),
    &Adaptor::<elasticache_user_group::UserGroup>(PhantomData),
    &Adaptor::<iam_role::Role>(PhantomData),
    &Adaptor::<kms_key::KmsKey>(PhantomData),
    &Adaptor::<rds_db_instance::DbInstance>(PhantomData),
    &Adaptor::<rds_db_parameter_group::DbParameterGroup>(PhantomData),
    &Adaptor::<rds_db_subnet_group::DbSubnetGroup>(PhantomData),
    &Adaptor::<s3_bucket::Bucket>(PhantomData),
    &Adaptor::<secretsmanager_secret::Secret>(PhantomData),
    &Adaptor::<sns_topic::Topic>(PhantomData),
    &Adaptor::<logs_log_group::LogGroup>(PhantomData),
    &Adaptor::<cloudwatch_alarm::Alarm>(PhantomData),
    &Adaptor::<cloudwatch_composite_alarm::CompositeAlarm>(PhantomData),
    &Adaptor::<cloudwatch_dashboard::Dashboard>(PhantomData),
    &Adaptor::<events_rule::Rule>(PhantomData),
];

/// A kind of another crate.
#[derive(Clone, Copy, Debug)]
pub struct AddedKind(&'static dyn AnyKind);

impl AddedKind {
    /// The kind `K`.
    pub const fn of<K: AwsKind>() -> Self {
        Self(Adaptor::<K>::THIS)
    }

    /// What the engine has to know of it.
    pub fn facts(&self) -> &'static KindFacts {
        self.0.facts()
    }
}

/// What AWS takes for the fields of a kind of this crate; nothing for any other.
pub fn limits(kind: &Kind) -> &'static [Limit] {
    Kinds::default().find(kind).map_or(&[], AnyKind::limits)
}

/// The kinds that a provider knows: this crate's, and added ones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kinds {
    pub(crate) added: &'static [AddedKind],
}

impl Kinds {
    /// All, in the order in which a plan reads them.
    pub(crate) fn all(self) -> impl Iterator<Item = &'static dyn AnyKind> {
        KINDS.iter().copied().chain(self.added.iter().map(|added| added.0))
    }

    /// A kind by its name.
    pub(crate) fn find(self, kind: &Kind) -> Option<&'static dyn AnyKind> {
        self.all().find(|any| any.facts().kind == kind.as_str())
    }

    /// The kind of an id, checked.
    pub(crate) fn known(self, id: &ResourceId) -> Result<&'static dyn AnyKind> {
        self.find(id.kind()).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!("AWS provider knows no kind {}", id.kind()),
            )
            .with_context("resource", id)
        })
    }

    /// The facts of a kind.
    pub(crate) fn facts(self, kind: &Kind) -> Option<&'static KindFacts> {
        self.find(kind).map(AnyKind::facts)
    }
}

/// The facts of a kind of this crate; `None` for any other.
pub fn facts(kind: &Kind) -> Option<&'static KindFacts> {
    Kinds::default().facts(kind)
}

/// How one kind behaves. Implementations see fresh values only and decide nothing about ownership.
#[async_trait]
pub trait AwsKind: Debug + Send + Sync + 'static {
    /// What the engine has to know.
    const FACTS: &'static KindFacts;
    /// Where the rights to its calls end.
    const REACH: Reach;
    /// Fields that say what an object is made from or with: a wish that leaves them out takes those of what is there.
    const MADE_BY: &'static [&'static str] = &[];
    /// What AWS takes for its fields, beyond what [`AwsKind::normal`] sees to. Default: anything.
    const LIMITS: &'static [Limit] = &[];
    /// What it needs of subnets that others made. Default: that they are there.
    const NEEDS: Needs = Needs::NOTHING;
    /// Whether its objects are the account's, seen from every region. Default: a region's.
    const GLOBAL: bool = false;
    /// The settings, without tags. Serialises to what `read` shows for the same settings, whatever was left out or
    /// written in another order; refuses unknown keys.
    type Desired: Serialize + DeserializeOwned + Send + Sync;

    /// Checks settings and brings them into the one form that `read` shows.
    ///
    /// # Errors
    /// `Invalid`, naming the setting that the service or a review would refuse.
    fn normal(wanted: Self::Desired) -> Result<Self::Desired>;

    /// The object of this name, also while it is scheduled for deletion; `None` when there is none.
    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Self::Desired>>>;

    /// What is left of an earlier object of this name, in words for people; asked where none is there and the wish does not
    /// say what to make it from. Default: nothing.
    async fn traces(_scope: &Scope<'_>, _name: &str) -> Result<Option<String>> {
        Ok(None)
    }

    /// How many of these the account may have in the region, and has: [`Scope::room`]. Asked before the first create.
    /// Default: nobody asks.
    async fn room(_scope: &Scope<'_>) -> Result<Option<Room>> {
        Ok(None)
    }

    /// Names of everything that may belong to the set: by the native list. Candidates only, each is proved by `read`.
    async fn list(scope: &Scope<'_>, set: &SetId) -> Result<Vec<String>>;

    /// Makes the object with these tags, its identity first; called when `read` found nothing.
    async fn create(scope: &Scope<'_>, name: &str, wanted: &Self::Desired, tags: &Tags, token: &str) -> Result<()>;

    /// Calls off a scheduled deletion. Default: the kind has none, and never shows an object as doomed.
    async fn revive(_scope: &Scope<'_>, _found: &Found<Self::Desired>) -> Result<()> {
        Err(Error::new(
            ErrorKind::Internal,
            format!("a deletion of {} is never scheduled", Self::FACTS.kind),
        ))
    }

    /// Makes what differs as wanted.
    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Self::Desired>, wanted: &Self::Desired) -> Result<()>;

    /// Writes and takes away tags, nothing else.
    async fn tag(scope: &Scope<'_>, found: &Found<Self::Desired>, put: &Tags, remove: &[String]) -> Result<()>;

    /// Removes the object, or schedules its removal as late as the service allows.
    async fn delete(scope: &Scope<'_>, found: &Found<Self::Desired>) -> Result<()>;

    /// The same with a final snapshot, whose name is that of this incarnation. Default: the kind has none.
    async fn delete_with_snapshot(_scope: &Scope<'_>, _found: &Found<Self::Desired>) -> Result<()> {
        Err(Error::new(
            ErrorKind::Unsupported,
            format!("{} has no final snapshot", Self::FACTS.kind),
        )
        .with_help("use on_removal retain or delete for this kind"))
    }
}

/// How much of a quota is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// What is counted: `VPCs`.
    pub of: &'static str,
    /// The quota's code in Service Quotas: `L-F678F1CE`.
    pub quota: &'static str,
    /// How many there are.
    pub used: u64,
    /// How many there may be.
    pub limit: u64,
}

/// A live object as a kind read it.
#[derive(Clone, Debug)]
pub struct Found<D> {
    /// The incarnation.
    pub uid: Uid,
    /// What the service's calls take: an ARN, a key id, a bucket name.
    pub handle: String,
    /// The settings, without tags.
    pub settings: D,
    /// All tags.
    pub tags: Tags,
    /// Values that others refer to.
    pub outputs: BTreeMap<String, Value>,
    /// Whether it works.
    pub state: State,
    /// When it will be gone, if its deletion is scheduled.
    pub doomed: Option<String>,
    /// Whose it is, where the tags cannot say: another account's, AWS's own.
    pub stranger: Option<String>,
    /// The current version, where the service counts them.
    pub version: Option<String>,
}

impl<D> Found<D> {
    /// An object that its ARN leads to, as read. Its incarnation is the mark of ours; somebody else's has none: its ARN must do.
    pub(crate) fn of_arn(name: &str, arn: &str, settings: D, tags: Tags, state: State) -> Self {
        Self {
            uid: tags::incarnation(&tags, arn),
            handle: arn.to_owned(),
            settings,
            tags,
            outputs: BTreeMap::from([
                ("arn".to_owned(), Value::String(arn.to_owned())),
                ("name".to_owned(), Value::String(name.to_owned())),
            ]),
            state,
            doomed: None,
            stranger: None,
            version: None,
        }
    }

    /// What it is called, as [`Found::of_arn`] was told.
    pub(crate) fn name(&self) -> &str {
        self.outputs.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// The same object with its settings in another form.
    pub(crate) fn map<E>(self, change: impl FnOnce(D) -> Result<E>) -> Result<Found<E>> {
        Ok(Found {
            settings: change(self.settings)?,
            uid: self.uid,
            handle: self.handle,
            tags: self.tags,
            outputs: self.outputs,
            state: self.state,
            doomed: self.doomed,
            stranger: self.stranger,
            version: self.version,
        })
    }
}

/// [`AwsKind`] with its type taken away, on JSON.
#[async_trait]
pub(crate) trait AnyKind: Debug + Send + Sync {
    fn facts(&self) -> &'static KindFacts;
    fn reach(&self) -> Reach;
    fn limits(&self) -> &'static [Limit];
    fn needs(&self) -> Needs;
    fn normalise(&self, id: &ResourceId, desired: &Value) -> Result<Wish>;
    fn knows(&self, field: &FieldPath) -> Result<()>;
    async fn read(&self, scope: &Scope<'_>, name: &str) -> Result<Option<Found<Value>>>;
    fn made_by(&self) -> &'static [&'static str];
    fn global(&self) -> bool;
    async fn traces(&self, scope: &Scope<'_>, name: &str) -> Result<Option<String>>;
    async fn room(&self, scope: &Scope<'_>) -> Result<Option<Room>>;
    async fn list(&self, scope: &Scope<'_>, set: &SetId) -> Result<Vec<String>>;
    async fn create(&self, scope: &Scope<'_>, name: &str, wanted: &Value, tags: &Tags, token: &str) -> Result<()>;
    async fn revive(&self, scope: &Scope<'_>, found: &Found<Value>) -> Result<()>;
    async fn update(&self, scope: &Scope<'_>, name: &str, found: &Found<Value>, wanted: &Value) -> Result<()>;
    async fn tag(&self, scope: &Scope<'_>, found: &Found<Value>, put: &Tags, remove: &[String]) -> Result<()>;
    async fn delete(&self, scope: &Scope<'_>, found: &Found<Value>, snapshot: bool) -> Result<()>;
}

/// A desired value, checked and in normal form.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// The settings with all defaults; references stand as they are.
    pub(crate) settings: Value,
    /// The caller's tags.
    pub tags: Tags,
}

impl Wish {
    /// The same beside an object that is there: what the wish leaves as it is, and what it does not say of how it was made.
    pub(crate) fn beside(mut self, resource: &Resource, made_by: &[&str], live: &Value) -> Self {
        resource.leave(&mut self.settings, live);
        let unsaid = made_by.iter().filter(|field| resource.desired.get(**field).is_none());
        for field in unsaid {
            if let (Value::Object(settings), Some(value)) = (&mut self.settings, live.get(*field)) {
                settings.insert((*field).to_owned(), value.clone());
            }
        }
        self
    }

    /// As a view shows it.
    pub(crate) fn view(&self) -> Value {
        view(&self.settings, &self.tags)
    }
}

/// Settings and the caller's tags as one value.
pub(crate) fn view(settings: &Value, tags: &Tags) -> Value {
    let mut view = settings.clone();
    if let (Value::Object(map), false) = (&mut view, tags.is_empty()) {
        map.insert(
            "tags".to_owned(),
            tags.iter()
                .map(|(k, v)| (k.clone(), Value::String(v.clone())))
                .collect(),
        );
    }
    view
}

#[derive(Debug)]
pub(crate) struct Adaptor<K>(PhantomData<K>);

impl<K: AwsKind> Adaptor<K> {
    const THIS: &'static dyn AnyKind = &Self(PhantomData);
}

/// Stands for a reference while a value is parsed; no API takes a NUL.
const MARK: &str = "\0ref:";

impl<K: AwsKind> Adaptor<K> {
    fn typed(value: &Value) -> Result<K::Desired> {
        serde_json::from_value(value.clone()).map_err(|cause| {
            Error::new(ErrorKind::Invalid, format!("{}: {cause}", K::FACTS.kind))
                .with_help("compare with the settings that docs list for this kind")
        })
    }

    fn untyped(settings: &K::Desired) -> Result<Value> {
        serde_json::to_value(settings)
            .map_err(|cause| Error::new(ErrorKind::Internal, format!("{}: {cause}", K::FACTS.kind)))
    }
}

#[async_trait]
impl<K: AwsKind> AnyKind for Adaptor<K> {
    fn facts(&self) -> &'static KindFacts {
        K::FACTS
    }

    fn reach(&self) -> Reach {
        K::REACH
    }

    fn limits(&self) -> &'static [Limit] {
        K::LIMITS
    }

    fn needs(&self) -> Needs {
        K::NEEDS
    }

    fn normalise(&self, id: &ResourceId, desired: &Value) -> Result<Wish> {
        names::check(K::FACTS.kind, id.name().as_str(), &K::FACTS.name)?;
        let marked = resolve(desired, &|reference: &Reference| {
            Some(Value::String(format!("{MARK}{reference}")))
        });
        let mut marked = match marked {
            Value::Object(map) => map,
            Value::Null => serde_json::Map::new(),
            _ => return Err(Error::new(ErrorKind::Invalid, "desired is not an object").with_context("resource", id)),
        };
        let callers: Tags = match marked.remove("tags") {
            None => Tags::new(),
            Some(value) => serde_json::from_value(value)
                .map_err(|_| Error::new(ErrorKind::Invalid, "tags are texts by key").with_context("resource", id))?,
        };
        tags::check(id, &callers)?;
        let typed = Self::typed(&Value::Object(marked))
            .and_then(K::normal)
            .map_err(|error| error.with_context("resource", id))?;
        let settings = unmark(Self::untyped(&typed)?);
        limits::check(K::FACTS.kind, K::LIMITS, &settings).map_err(|error| error.with_context("resource", id))?;
        Ok(Wish {
            settings,
            tags: callers,
        })
    }

    /// Refuses a field that no object of this kind has.
    fn knows(&self, field: &FieldPath) -> Result<()> {
        let Some(Segment::Key(key)) = field.segments().first() else {
            return Ok(());
        };
        let alone = Value::Object([(key.clone(), Value::Null)].into_iter().collect());
        match serde_json::from_value::<K::Desired>(alone) {
            Err(cause) if cause.to_string().starts_with("unknown field") => Err(Error::new(
                ErrorKind::Invalid,
                format!("{} cannot leave: {cause}", K::FACTS.kind),
            )
            .with_help("correct it under `leave:` in the config")),
            _ => Ok(()),
        }
    }

    async fn read(&self, scope: &Scope<'_>, name: &str) -> Result<Option<Found<Value>>> {
        match K::read(scope, name).await? {
            Some(found) => found.map(|settings| Self::untyped(&settings)).map(Some),
            None => Ok(None),
        }
    }

    fn global(&self) -> bool {
        K::GLOBAL
    }
    fn made_by(&self) -> &'static [&'static str] {
        K::MADE_BY
    }

    async fn traces(&self, scope: &Scope<'_>, name: &str) -> Result<Option<String>> {
        K::traces(scope, name).await
    }

    async fn room(&self, scope: &Scope<'_>) -> Result<Option<Room>> {
        K::room(scope).await
    }

    async fn list(&self, scope: &Scope<'_>, set: &SetId) -> Result<Vec<String>> {
        K::list(scope, set).await
    }

    async fn create(&self, scope: &Scope<'_>, name: &str, wanted: &Value, tags: &Tags, token: &str) -> Result<()> {
        K::create(scope, name, &Self::typed(wanted)?, tags, token).await
    }

    async fn revive(&self, scope: &Scope<'_>, found: &Found<Value>) -> Result<()> {
        K::revive(scope, &found.clone().map(|settings| Self::typed(&settings))?).await
    }

    async fn update(&self, scope: &Scope<'_>, name: &str, found: &Found<Value>, wanted: &Value) -> Result<()> {
        let found = found.clone().map(|settings| Self::typed(&settings))?;
        K::update(scope, name, &found, &Self::typed(wanted)?).await
    }

    async fn tag(&self, scope: &Scope<'_>, found: &Found<Value>, put: &Tags, remove: &[String]) -> Result<()> {
        let found = found.clone().map(|settings| Self::typed(&settings))?;
        K::tag(scope, &found, put, remove).await
    }

    async fn delete(&self, scope: &Scope<'_>, found: &Found<Value>, snapshot: bool) -> Result<()> {
        let found = found.clone().map(|settings| Self::typed(&settings))?;
        if snapshot {
            K::delete_with_snapshot(scope, &found).await
        } else {
            K::delete(scope, &found).await
        }
    }
}

/// What a delete of an object is refused with that is protected from it.
fn protected() -> Error {
    Error::new(ErrorKind::Denied, "it is protected from deletion")
        .with_help("switch the protection off first, by a plan of its own: deletion_protection: false; then remove it")
}

/// Default of settings that are on.
pub(crate) fn yes() -> bool {
    true
}

fn unmark(value: Value) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix(MARK).and_then(|text| text.parse::<Reference>().ok()) {
            Some(reference) => reference.to_value(),
            None => Value::String(text),
        },
        Value::Array(items) => items.into_iter().map(unmark).collect(),
        Value::Object(map) => map.into_iter().map(|(key, child)| (key, unmark(child))).collect(),
        other => other,
    }
}

/// Refuses a value that still holds references.
pub(crate) fn settled(id: &ResourceId, wish: &Wish) -> Result<()> {
    match references(&wish.settings).first() {
        None => Ok(()),
        Some(reference) => {
            Err(Error::new(ErrorKind::Internal, format!("{reference} is not known yet")).with_context("resource", id))
        }
    }
}
