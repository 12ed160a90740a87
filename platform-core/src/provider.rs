//! The contract between the engine and one cluster, or one account and region.

use crate::engine::Permit;
use crate::facts::KindFacts;
use crate::resource::{Live, Observation, OpenCreate, Resolved, Resource};
use crate::value::{Kind, Name, Place, PlaceIdentity, ResourceId, SetId, Timestamp};
use crate::{Error, Result};
use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One cluster, or one account and region: everything the engine knows of the outside.
///
/// The contract for implementers; it stays minimal and has no default methods.
#[async_trait]
pub trait Provider: Debug + Send + Sync {
    /// Its logical name.
    fn place(&self) -> &Place;

    /// Facts of a kind; `None` for a kind it does not know.
    fn facts(&self, kind: &Kind) -> Option<&'static KindFacts>;

    /// What it can do.
    fn features(&self) -> ProviderFeatures;

    /// Proved identity, compared with the plan before anything else.
    ///
    /// # Errors
    /// When the place cannot be reached or refuses the credentials.
    async fn identity(&self) -> Result<PlaceIdentity>;

    /// Every `wanted` object that exists and everything else that `set` owns here. Reads only.
    ///
    /// A kind that cannot be read is listed as unreadable, never "absent".
    ///
    /// # Errors
    /// When nothing can be read at all.
    async fn observe(&self, set: &SetId, wanted: &[Resource]) -> Result<Observation>;

    /// What making `wanted` true would leave. Reads only; references that are not known yet stand as they are.
    ///
    /// # Errors
    /// When the place cannot be asked. A wish that the API refuses is [`Preview::Refused`], not an error.
    async fn preview(&self, wanted: &Resource, seen: &Observation) -> Result<Preview>;

    /// Every object of a kind in one namespace or vault, whoever made it: for what no plan holds, such as the backups
    /// that a schedule made. Reads only.
    ///
    /// `Live::view` is the whole object as the API shows it, and `Live::owner` is as `set` sees it. A kind that is not
    /// there at all has no objects.
    ///
    /// # Errors
    /// When it cannot be read; `Unsupported` for kinds that hold secrets, and where the place has no such list.
    async fn list(&self, set: &SetId, kind: &Kind, within: &Name) -> Result<Vec<Live>>;

    /// Missing permissions and quotas for these writes, found before the first.
    ///
    /// # Errors
    /// When the place cannot be asked.
    async fn preflight(&self, set: &SetId, writes: &[PlannedWrite]) -> Result<Vec<Finding>>;

    /// One planned write; returns the object as the API then shows it, `None` after a delete.
    ///
    /// Repeating it is harmless: a create of what this set made with the same desired value succeeds, a delete of the absent too.
    ///
    /// # Errors
    /// `Conflict` when the object changed since `live` was read, `Foreign` when the name is somebody else's.
    async fn write(&self, write: Write<'_>, permit: Permit<'_>) -> Result<Option<Live>>;

    /// Fresh states of the ids in `interest`, which the engine extends as it goes.
    ///
    /// Called once per place before the first write; ends when dropped. An id's present state is sent
    /// soon after it joins the interest, then each change; `None` means gone. A stream error ends nothing:
    /// the provider goes on by itself.
    fn follow(&self, interest: Interest, seen: &Observation) -> BoxStream<'static, Result<(ResourceId, Option<Live>)>>;

    /// The lease of a set here.
    fn lock(&self) -> &dyn Lock;
}

/// Reaches a place that another object makes, such as what runs in a cluster.
#[async_trait]
pub trait Connect: Debug + Send + Sync {
    /// A provider of the place, from the outputs of the object that makes it (endpoint, CA). Harmless to repeat.
    ///
    /// # Errors
    /// When the place cannot be reached yet (with an advice to retry), or not with these credentials.
    async fn connect(&self, outputs: &BTreeMap<String, Value>) -> Result<Arc<dyn Provider>>;
}

/// What a provider can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProviderFeatures {
    /// `Live::touched` names who changed a field.
    pub tells_actors: bool,
    /// `preview` asks the server, so its own defaults and admission rules are seen.
    pub previews_on_server: bool,
    /// Writes in flight at most.
    pub parallel: usize,
}

impl ProviderFeatures {
    /// A provider that takes this many writes in flight.
    pub fn new(parallel: usize) -> Self {
        Self {
            parallel,
            ..Self::default()
        }
    }
    /// Sets whether it names who changed a field.
    pub fn with_tells_actors(mut self, tells: bool) -> Self {
        self.tells_actors = tells;
        self
    }
    /// Sets whether it asks the server.
    pub fn with_previews_on_server(mut self, previews: bool) -> Self {
        self.previews_on_server = previews;
        self
    }
}

/// What making a resource true would leave.
#[derive(Clone, Debug)]
pub enum Preview {
    /// Proved: nothing would be written.
    Unchanged,
    /// The object would look like this; the engine diffs it with `live.view` (or with nothing).
    Change {
        /// In the shape of `Live::view`.
        after: Arc<Value>,
        /// Why the server could not be asked (its namespace is part of this plan), if so.
        unverified: Option<String>,
        /// What the API said beside it.
        warnings: Vec<String>,
        /// Somebody else's object of this name that the observation did not hold, if the preview met one.
        found: Option<Box<Live>>,
    },
    /// The API would refuse it.
    Refused {
        /// Why, and what to do.
        why: Error,
    },
}

impl Clone for Error {
    /// A copy without the source, which cannot be copied; its text is kept in the context.
    fn clone(&self) -> Self {
        let mut copy = Error::new(self.kind(), self.message())
            .with_operation(self.operation().to_owned())
            .with_retry(self.retry());
        for (key, value) in self.context() {
            copy = copy.with_context(key, value);
        }
        if let Some(help) = self.help() {
            copy = copy.with_help(help);
        }
        if let Some(source) = std::error::Error::source(self) {
            copy = copy.with_context("cause", source);
        }
        copy
    }
}

/// A write that a plan holds, before references are known.
#[derive(Clone, Debug)]
pub struct PlannedWrite {
    /// Which object.
    pub id: ResourceId,
    /// What is done to it.
    pub verb: Verb,
}

impl PlannedWrite {
    /// One verb on one object.
    pub fn new(id: ResourceId, verb: Verb) -> Self {
        Self { id, verb }
    }
}

/// What can be done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Make it.
    Create,
    /// Change it.
    Update,
    /// Take it into the set, changing what differs.
    Adopt,
    /// Let go of it: it stays with its data, marked as retained from this set.
    Release,
    /// Remove it.
    Delete,
}

/// A missing permission or quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which writes would fail.
    pub id: Option<ResourceId>,
    /// What is missing and for whom.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// One write.
#[derive(Clone, Copy, Debug)]
pub enum Write<'a> {
    /// Make it; never touches an object that is there.
    Create {
        /// For which set.
        set: &'a SetId,
        /// What.
        resource: &'a Resolved,
        /// The same for every retry of this create.
        token: &'a str,
    },
    /// Change it, if it is still as seen.
    Update {
        /// For which set.
        set: &'a SetId,
        /// What it shall be.
        resource: &'a Resolved,
        /// As seen: uid and version are preconditions.
        live: &'a Live,
    },
    /// Take it into the set, if it is still as seen.
    Adopt {
        /// For which set.
        set: &'a SetId,
        /// What it shall be.
        resource: &'a Resolved,
        /// As seen.
        live: &'a Live,
    },
    /// Let go of it.
    Release {
        /// From which set.
        set: &'a SetId,
        /// As seen.
        live: &'a Live,
    },
    /// Remove it, if it is still the incarnation seen.
    Delete {
        /// From which set.
        set: &'a SetId,
        /// As seen: the uid is a precondition.
        live: &'a Live,
        /// Take a final snapshot first.
        snapshot: bool,
    },
}

impl Write<'_> {
    /// Which object.
    pub fn id(&self) -> &ResourceId {
        match self {
            Self::Create { resource, .. } | Self::Update { resource, .. } | Self::Adopt { resource, .. } => {
                &resource.id
            }
            Self::Release { live, .. } | Self::Delete { live, .. } => &live.id,
        }
    }

    /// What is done.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Create { .. } => Verb::Create,
            Self::Update { .. } => Verb::Update,
            Self::Adopt { .. } => Verb::Adopt,
            Self::Release { .. } => Verb::Release,
            Self::Delete { .. } => Verb::Delete,
        }
    }
}

/// The ids whose states the engine waits for; shared between engine and provider.
#[derive(Clone, Debug, Default)]
pub struct Interest {
    inner: Arc<InterestState>,
}

#[derive(Debug, Default)]
struct InterestState {
    ids: Mutex<BTreeSet<ResourceId>>,
    changed: tokio::sync::Notify,
}

impl Interest {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for an id.
    pub fn add(&self, id: ResourceId) {
        if self.inner.ids.lock().unwrap_or_else(PoisonError::into_inner).insert(id) {
            self.inner.changed.notify_one();
        }
    }

    /// Asks no more for an id.
    pub fn remove(&self, id: &ResourceId) {
        if self.inner.ids.lock().unwrap_or_else(PoisonError::into_inner).remove(id) {
            self.inner.changed.notify_one();
        }
    }

    /// Whether an id is asked for.
    pub fn contains(&self, id: &ResourceId) -> bool {
        self.inner
            .ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(id)
    }

    /// All ids asked for now.
    pub fn ids(&self) -> BTreeSet<ResourceId> {
        self.inner.ids.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Completes when ids were added or removed since the last completion. For one waiter.
    pub async fn changed(&self) {
        self.inner.changed.notified().await;
    }
}

/// The lease of a set at a place: who may write, and the creates that may be half-made.
///
/// The lease keeps people from working against each other; what keeps data safe when it is lost are the
/// preconditions of each write.
#[async_trait]
pub trait Lock: Debug + Send + Sync {
    /// Makes the lease's home (namespace, control bucket) if it is missing. Harmless to repeat.
    ///
    /// # Errors
    /// When it cannot be made.
    async fn prepare(&self, set: &SetId) -> Result<()>;

    /// Tries once to take the lease; expiry is judged by the holder's heartbeat as this process saw it,
    /// never by comparing clocks.
    ///
    /// # Errors
    /// When the lease cannot be read or written.
    async fn acquire(&self, request: &LeaseRequest) -> Result<Acquired>;

    /// Renews the heartbeat and stores the open creates.
    ///
    /// # Errors
    /// `Locked` when somebody took it over.
    async fn renew(&self, lease: &mut Lease) -> Result<()>;

    /// Gives it back; `last` removes the record and, when empty, its home.
    ///
    /// # Errors
    /// When it cannot be written; it then runs out by itself.
    async fn release(&self, lease: Lease, last: bool) -> Result<()>;
}

/// A wish for the lease.
#[derive(Clone, Debug)]
pub struct LeaseRequest {
    /// Of which set.
    pub set: SetId,
    /// `user@host:pid:random`, as others read it.
    pub holder: String,
    /// How long it lasts without a heartbeat.
    pub ttl: Duration,
    /// What was seen at the last try, so that a heartbeat that does not move can be told from one that does.
    pub last_seen: Option<LeaseSeen>,
}

/// Somebody's lease as seen, and for how long it has not moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSeen {
    /// Who holds it.
    pub holder: String,
    /// Its heartbeat, opaque.
    pub heartbeat: String,
    /// Its time to live.
    pub ttl: Duration,
    /// For how long, by our own clock, we have seen this very heartbeat.
    pub unmoved_for: Duration,
}

/// What came of a try.
#[derive(Debug)]
pub enum Acquired {
    /// It is ours.
    Held(Lease),
    /// It is somebody's.
    Busy(LeaseSeen),
}

/// The lease while we hold it.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Of which set.
    pub set: SetId,
    /// Who holds it.
    pub holder: String,
    /// How long it lasts without a heartbeat.
    pub ttl: Duration,
    /// Creates under way that nothing else would find again.
    pub open: Vec<OpenCreate>,
    /// The record's uid and version, opaque.
    pub version: String,
    /// When it was last renewed, for people.
    pub renewed: Timestamp,
}
