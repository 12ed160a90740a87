//! What should be, and what is.

use crate::Error;
use crate::facts::KindFacts;
use crate::value::{Digest, FieldPath, Kind, Place, Reference, ResourceId, SetId, Timestamp, Uid, references, resolve};
use serde::{Deserialize, Serialize};
use serde_json::Value;
#[cfg(feature = "world")]
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What an object holds that its deletion would take away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// Nothing.
    #[default]
    Nothing,
    /// What fills itself again: a cache.
    Rebuildable,
    /// What is lost for ever: rows, objects, keys.
    Durable,
}

/// What happens to an object that the config no longer asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRemoval {
    /// It is deleted; with an approval where it holds data.
    #[default]
    Delete,
    /// It stays, released from the set, and is adopted when asked for again.
    Retain,
    /// A final snapshot is taken, then it is deleted; where it holds data that needs an approval.
    Snapshot,
}

/// What should be, as data. Holds no secret value: recipes, locators and references only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Which object.
    pub id: ResourceId,
    /// Its wanted fields, in the shape of its API; shared by all copies of the resource.
    pub desired: Arc<Value>,
    /// The capability or foundation it belongs to: the heading in a plan, the target of `--only`.
    pub component: String,
    /// Objects that must be ready first, beyond those that references imply.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub after: BTreeSet<ResourceId>,
    /// What happens when the config no longer asks for it.
    #[serde(default)]
    pub on_removal: OnRemoval,
    /// Overrides what its kind holds; stamped on the live object, whose stamp then counts. Where the stamp is missing,
    /// the stricter of this and the kind counts until it is stamped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<Holds>,
    /// Ids under which an older library version made it. One object under both ids is adopted; another object is pruned
    /// once this one is ready, or blocks it when it holds data.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub formerly: BTreeSet<ResourceId>,
    /// Fields that stay as they are found on an object that is there; a new one gets the wanted ones.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub leave: BTreeSet<FieldPath>,
}

impl Resource {
    /// The same with every reference replaced that `lookup` knows.
    pub(crate) fn resolved(&self, lookup: &dyn Fn(&Reference) -> Option<Value>) -> Self {
        Self {
            desired: Arc::new(resolve(&self.desired, lookup)),
            ..self.clone()
        }
    }

    /// A resource that is deleted when no longer asked for.
    pub fn new(id: ResourceId, component: impl Into<String>, desired: impl Into<Arc<Value>>) -> Self {
        Self {
            id,
            desired: desired.into(),
            component: component.into(),
            after: BTreeSet::new(),
            on_removal: OnRemoval::Delete,
            holds: None,
            formerly: BTreeSet::new(),
            leave: BTreeSet::new(),
        }
    }

    /// Its wanted fields, to be changed; other copies keep theirs.
    pub fn desired_mut(&mut self) -> &mut Value {
        Arc::make_mut(&mut self.desired)
    }

    /// Adds an object that must be ready first.
    pub fn with_after(mut self, id: ResourceId) -> Self {
        self.after.insert(id);
        self
    }

    /// Sets what happens when no longer asked for.
    pub fn with_on_removal(mut self, on_removal: OnRemoval) -> Self {
        self.on_removal = on_removal;
        self
    }

    /// Overrides what its kind holds.
    pub fn with_holds(mut self, holds: Holds) -> Self {
        self.holds = Some(holds);
        self
    }

    /// Sets which fields stay as they are found.
    pub fn with_leave(mut self, fields: impl IntoIterator<Item = FieldPath>) -> Self {
        self.leave.extend(fields);
        self
    }

    /// Puts into wanted fields what stays as it is of the live ones.
    pub fn leave(&self, wanted: &mut Value, live: &Value) {
        for path in &self.leave {
            path.put(wanted, path.find(live));
        }
    }

    /// The same resource, wanting what stays as it is.
    #[cfg(feature = "world")]
    pub(crate) fn left_as(&self, live: &Value) -> Cow<'_, Self> {
        if self.leave.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut left = self.clone();
        self.leave(left.desired_mut(), live);
        Cow::Owned(left)
    }

    /// Everything that has to be ready before it: `after` and the targets of its references.
    pub fn dependencies(&self) -> BTreeSet<ResourceId> {
        self.dependencies_by(references(&self.desired))
    }

    /// The same by the references that its wanted fields are known to hold.
    pub(crate) fn dependencies_by(&self, references: Vec<Reference>) -> BTreeSet<ResourceId> {
        let mut all = self.after.clone();
        all.extend(references.into_iter().map(|reference| reference.id));
        all.remove(&self.id);
        all
    }

    /// Of all its fields, the wanted ones by a digest of their own, so that no copy is made of them.
    pub(crate) fn digest(&self) -> Digest {
        let Self {
            id,
            desired,
            component,
            after,
            on_removal,
            holds,
            formerly,
            leave,
        } = self;
        let desired = Digest::of_value(desired);
        Digest::of(&(id, desired, component, after, on_removal, holds, formerly, leave))
    }
}

/// A resource whose references are all known: what `write` takes.
#[derive(Clone, Debug)]
pub struct Resolved(Resource);

impl Resolved {
    /// Replaces every reference by what `lookup` knows.
    ///
    /// # Errors
    /// With the reference that is not known.
    pub fn new(resource: &Resource, lookup: &dyn Fn(&Reference) -> Option<Value>) -> Result<Self, Reference> {
        if references(&resource.desired).is_empty() {
            return Ok(Self::without_references(resource));
        }
        let resolved = resource.resolved(lookup);
        match references(&resolved.desired).into_iter().next() {
            Some(unknown) => Err(unknown),
            None => Ok(Self(resolved)),
        }
    }

    /// A resource that is known to hold none.
    pub(crate) fn without_references(resource: &Resource) -> Self {
        Self(resource.clone())
    }
}

impl std::ops::Deref for Resolved {
    type Target = Resource;
    fn deref(&self) -> &Resource {
        &self.0
    }
}

/// Whether a live object does its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It does.
    Ready,
    /// Not yet.
    Progressing {
        /// What it waits for, as a person reads it.
        what: String,
    },
    /// It will not without a change.
    Failed {
        /// Why.
        why: String,
    },
    /// It is going away.
    Deleting {
        /// Finalizers or dependants that hold it.
        blocked_by: Vec<String>,
    },
}

/// Whose a live object is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// The set that was asked for.
    ThisSet,
    /// Released by this set with its data; adopted again without a flag.
    Retained,
    /// Nobody that left a mark: adopted only when named.
    Nobody,
    /// Another set or tool: never touched.
    Other(String),
}

/// Who wrote a field last, as far as the API keeps that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `kubectl-edit`, `helm`, a controller.
    pub name: String,
    /// When; absent when the API does not say.
    pub at: Option<Timestamp>,
}

/// What a live object needs once its time has come: a certificate that ends is made again.
///
/// A plan decides by its own time whether that is so, and its step says it: an apply does what the plan says, whatever
/// the time is then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Renewal {
    /// What is made again, as plans name it; no field of the wish.
    pub path: FieldPath,
    /// What there is, in a few words.
    pub before: String,
    /// What there will be.
    pub after: String,
    /// From when on; absent: at once, since the wish asks for it.
    pub from: Option<Timestamp>,
    /// It waits till everything that refers to the object stands as wished and is ready.
    pub settled: bool,
    /// Outputs that will be others, so that plans show what follows from it.
    pub outputs: BTreeMap<String, Value>,
}

/// What is: one live object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// Which object.
    pub id: ResourceId,
    /// This incarnation.
    pub uid: Uid,
    /// The object in the shape of `desired`: secret-free, only fields that are wanted or ours, pending changes folded in.
    /// Shared by all copies.
    pub view: Arc<Value>,
    /// Server-made values that others refer to.
    pub outputs: BTreeMap<String, Value>,
    /// Whether it works.
    pub state: State,
    /// Whose it is.
    pub owner: Owner,
    /// What it holds by its own stamp; absent: by its kind.
    pub holds: Option<Holds>,
    /// What is to happen when the set no longer wants it, by its own stamp.
    pub on_removal: OnRemoval,
    /// The component stamped on it; empty when unknown.
    pub component: String,
    /// resourceVersion or ETag: opaque, never stored in a plan.
    #[serde(skip)]
    pub version: Option<String>,
    /// Digest of the desired value that it was last written from: tells drift from a changed wish.
    pub written_from: Option<String>,
    /// Who else wrote which wanted fields; empty where the API does not tell.
    pub touched: Vec<(FieldPath, Actor)>,
    /// What it will need by itself, sooner or later.
    pub renewal: Option<Box<Renewal>>,
}

impl Live {
    /// What it holds by its own stamp, else by its kind.
    pub(crate) fn holds_by(&self, facts: &KindFacts) -> Holds {
        self.holds.unwrap_or(facts.holds)
    }
}

/// A create whose object could not be found again if the process died right after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCreate {
    /// What is being made.
    pub id: ResourceId,
    /// The idempotency token sent with the create.
    pub token: String,
    /// Since when.
    pub since: Timestamp,
}

/// Everything a place showed at one time.
#[derive(Debug)]
pub struct Observation {
    /// The set it was read for.
    pub set: SetId,
    /// The place.
    pub place: Place,
    /// When it began.
    pub at: Timestamp,
    /// Live objects that are wanted.
    pub live: BTreeMap<ResourceId, Live>,
    /// Live objects of the set that are not wanted.
    pub extra: BTreeMap<ResourceId, Live>,
    /// Kinds that could not be read, never taken for "absent".
    pub unreadable: Vec<(Kind, Error)>,
    /// Creates that a killed run may have left.
    pub open: Vec<OpenCreate>,
    /// Whether the set's own record (its lease, and the home that was made for that) is there. A provider that would
    /// have to ask for it may look only when nothing is wanted: a destroy is through when it is gone as well.
    pub recorded: bool,
    /// Requests it took.
    pub requests: u32,
    /// What the API wanted people to read.
    pub warnings: Vec<String>,
    /// The provider's own notes for `preview` and `follow` (list versions, raw objects); opaque to the engine.
    pub notes: Notes,
}

impl Observation {
    /// An observation that saw nothing yet.
    pub fn new(set: SetId, place: Place, at: Timestamp) -> Self {
        Self {
            set,
            place,
            at,
            live: BTreeMap::new(),
            extra: BTreeMap::new(),
            unreadable: Vec::new(),
            open: Vec::new(),
            recorded: false,
            requests: 0,
            warnings: Vec::new(),
            notes: Notes::default(),
        }
    }

    /// A live object, wanted or not.
    pub fn get(&self, id: &ResourceId) -> Option<&Live> {
        self.live.get(id).or_else(|| self.extra.get(id))
    }
}

/// A provider's private data inside an [`Observation`].
#[derive(Default)]
pub struct Notes(Option<Box<dyn std::any::Any + Send + Sync>>);

impl Notes {
    /// Keeps a value.
    pub fn new<T: std::any::Any + Send + Sync>(value: T) -> Self {
        Self(Some(Box::new(value)))
    }

    /// The value, if it is of this type.
    pub fn get<T: std::any::Any>(&self) -> Option<&T> {
        self.0.as_ref()?.downcast_ref()
    }
}

impl std::fmt::Debug for Notes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Notes(..)")
    }
}
