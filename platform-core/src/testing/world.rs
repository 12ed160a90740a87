//! A provider in memory that behaves like a server.

mod fields;
mod follow;
mod lease;
mod provider;
mod read;
mod state;
#[cfg(all(test, feature = "testing"))]
mod tests;
mod write;

pub use state::Loss;

use crate::facts::{Creation, KindFacts};
use crate::provider::Verb;
use crate::resource::{Actor, Holds, OnRemoval, Owner, State};
use crate::value::{Clock, Digest, FieldPath, Kind, Place, PlaceIdentity, ResourceId, SetId, Uid};
use crate::{Error, ErrorKind, Result};
use serde_json::Value;
use state::{Limit, Mark, Object, WorldState};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Characters of a uid.
const UID_LENGTH: usize = 18;

/// The kind whose objects hold others, by name.
const NAMESPACE: &str = "Namespace";

type Facts = fn(&Kind) -> Option<&'static KindFacts>;
type OnChange = Box<dyn Fn(&[u8]) -> Result<()> + Send + Sync>;

/// A whole cluster or account in memory, behind the [`Provider`](crate::Provider) contract.
///
/// It behaves where behaviour matters: objects take time to become ready and to go away, the server adds
/// fields of its own, refuses changes of immutable ones, counts quotas, knows other owners; reads may lag
/// behind writes; namespaces have to exist and take their objects with them; rows live exactly as long as
/// the object that holds them; a create that nothing guards makes a second object.
///
/// Whatever is shown from it has to be marked with [`World::LABEL`]. It never holds a secret value, only
/// a random id for each. Clones share one world; [`World::snapshot`] and [`World::restore`] keep it in a file.
#[derive(Clone)]
pub struct World {
    shared: Arc<Shared>,
}

struct Shared {
    place: Place,
    facts: Facts,
    clock: Arc<dyn Clock>,
    state: Mutex<WorldState>,
    settings: Mutex<Settings>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    followers: Mutex<Vec<Weak<Follower>>>,
    on_change: Mutex<Option<OnChange>>,
}

#[derive(Debug)]
struct Follower {
    changed: Mutex<VecDeque<ResourceId>>,
    notify: tokio::sync::Notify,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    pace: u32,
    lag: Lag,
    parallel: usize,
}

/// How far reads lag behind writes, for kinds whose creates are not exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Reads answer from before this many writes. 0: never behind.
    pub writes: u32,
    /// After this long a write shows in any case.
    pub window: Duration,
}

impl World {
    /// What has to stand on every screen that shows this world.
    pub const LABEL: &'static str = "SIMULATED";

    /// An empty world. `facts` tells its kinds; objects take as long as their kinds usually do.
    pub fn new(place: Place, facts: Facts, clock: Arc<dyn Clock>) -> Self {
        let identity = format!("world-{}", Digest::of(&place).short(12));
        Self {
            shared: Arc::new(Shared {
                place,
                facts,
                clock,
                state: Mutex::new(WorldState {
                    schema: state::SCHEMA,
                    label: Self::LABEL.to_owned(),
                    identity,
                    ..WorldState::default()
                }),
                settings: Mutex::new(Settings {
                    pace: 100,
                    lag: Lag::default(),
                    parallel: 16,
                }),
                counts: Mutex::new(BTreeMap::new()),
                followers: Mutex::new(Vec::new()),
                on_change: Mutex::new(None),
            }),
        }
    }

    /// Scales how long objects take to become ready, in percent of what their kinds usually take.
    /// Default 100; 0: at once.
    #[must_use]
    pub fn with_pace(self, percent: u32) -> Self {
        self.settings().pace = percent;
        self
    }

    /// Lets reads lag behind writes. Default: not at all.
    #[must_use]
    pub fn with_lag(self, lag: Lag) -> Self {
        self.settings().lag = lag;
        self
    }

    /// Sets how many writes the engine may have in flight. Default 16.
    #[must_use]
    pub fn with_parallel(self, parallel: usize) -> Self {
        self.settings().parallel = parallel;
        self
    }

    /// Makes it another place than any other world: what `identity` proves.
    #[must_use]
    pub fn with_identity(self, identity: PlaceIdentity) -> Self {
        self.state().identity = identity.0;
        self
    }

    /// What has to stand on every screen that shows this world: [`World::LABEL`].
    pub fn label(&self) -> &'static str {
        Self::LABEL
    }

    /// Everything in it as a JSON document without any secret, to be kept in a file.
    ///
    /// # Errors
    /// Never in practice: the state is JSON by construction.
    pub fn snapshot(&self) -> Result<Vec<u8>> {
        snapshot(&self.state())
    }

    /// Replaces everything in it by a [`World::snapshot`].
    ///
    /// # Errors
    /// `Invalid` when the bytes are no snapshot, or of another version; the world is unchanged then.
    pub fn restore(&self, bytes: &[u8]) -> Result<()> {
        let invalid = |message: String| {
            Error::new(ErrorKind::Invalid, message)
                .with_operation("restore world")
                .with_help("remove the file to start with an empty world")
        };
        let state: WorldState = serde_json::from_slice(bytes)
            .map_err(|cause| invalid("not a saved world".to_owned()).with_source(cause))?;
        if state.schema != state::SCHEMA {
            let message = format!("saved as version {}, this is {}", state.schema, state::SCHEMA);
            return Err(invalid(message));
        }
        *self.state() = state;
        Ok(())
    }

    /// Calls back with a snapshot after every change that a caller made. What it fails with fails the write,
    /// whose effect stays in memory.
    pub fn on_change(&self, callback: impl Fn(&[u8]) -> Result<()> + Send + Sync + 'static) {
        *lock(&self.shared.on_change) = Some(Box::new(callback));
    }

    // What tests do to it.

    /// Puts an object there that no run made: somebody's, nobody's, or an older run's. Ready at once.
    pub fn plant(&self, set: &SetId, owner: &Owner, id: &ResourceId, fields: &Value) -> Uid {
        let mark = match owner {
            Owner::ThisSet => Mark::Set(set.clone()),
            Owner::Retained => Mark::RetainedFrom(set.clone()),
            Owner::Nobody => Mark::Nobody,
            Owner::Other(who) => Mark::Other(who.clone()),
        };
        let ours = matches!(owner, Owner::ThisSet | Owner::Retained);
        let now = self.shared.clock.now();
        let mut state = self.state();
        let uid = state.next_uid();
        let object = Object {
            uid: uid.clone(),
            generation: 1,
            revision: 0,
            mark,
            fields: fields::with_defaults(fields.clone()),
            // What others asked for is not known, so an adoption leaves it alone.
            wanted: if ours { fields.clone() } else { Value::Null },
            written_from: ours.then(|| Digest::of(fields).as_str().to_owned()),
            holds: None,
            on_removal: OnRemoval::default(),
            component: String::new(),
            token: None,
            made_at: Some(now),
            ready_at: now,
            gone_at: None,
            finalizers: Vec::new(),
            failed: None,
            touched: Vec::new(),
            secrets: BTreeMap::new(),
        };
        state.slots.entry(id.clone()).or_default().objects.push(object);
        drop(state);
        self.tell(std::slice::from_ref(id));
        uid
    }

    /// Lets somebody change a field behind our back; `None` removes it. Whether the object and the path are there.
    pub fn mutate(&self, id: &ResourceId, actor: &str, path: &FieldPath, value: Option<Value>) -> bool {
        let at = Some(self.shared.clock.now());
        let done = self.edit(id, |object| {
            let done = fields::set_value_at(&mut object.fields, path.segments(), value);
            object.generation += 1;
            object.touched.retain(|(other, _)| other != path);
            let name = actor.to_owned();
            object.touched.push((path.clone(), Actor { name, at }));
            done
        });
        done.unwrap_or(false)
    }

    /// Lets a controller write status: nothing that anybody wants changes.
    pub fn touch_status(&self, id: &ResourceId) -> bool {
        self.edit(id, |object| object.revision += 1).is_some()
    }

    /// Lets somebody delete an object behind our back, with all that it holds. Whether it was there.
    pub fn remove(&self, id: &ResourceId) -> bool {
        let mut state = self.state();
        let Some(slot) = state.slots.remove(id) else {
            return false;
        };
        for object in &slot.objects {
            state.bury(id, &object.uid, false);
        }
        drop(state);
        self.tell(std::slice::from_ref(id));
        true
    }

    /// Lets an object fail, or recover.
    pub fn fail(&self, id: &ResourceId, why: Option<&str>) -> bool {
        self.edit(id, |object| object.failed = why.map(ToOwned::to_owned))
            .is_some()
    }

    /// Holds back an object's end until the finalizers are lifted with an empty list.
    pub fn hold_back(&self, id: &ResourceId, finalizers: &[&str]) -> bool {
        let now = self.shared.clock.now();
        let held = self.edit(id, |object| {
            object.finalizers = finalizers.iter().map(|text| (*text).to_owned()).collect();
        });
        self.state().due.insert((now, id.clone()));
        self.advance();
        held.is_some()
    }

    /// Allows at most `max` objects of a kind, in one namespace or in all.
    pub fn limit(&self, kind: &Kind, namespace: Option<&str>, max: usize) {
        self.state().limits.push(Limit {
            kind: kind.clone(),
            namespace: namespace.map(ToOwned::to_owned),
            max,
        });
    }

    /// Lifts all limits.
    pub fn lift_limits(&self) {
        self.state().limits.clear();
    }

    /// Takes a right away: `None` is the right to read.
    pub fn forbid(&self, kind: &Kind, verb: Option<Verb>) {
        self.state().forbidden.insert((kind.clone(), verb));
    }

    /// Gives all rights back.
    pub fn permit_all(&self) {
        self.state().forbidden.clear();
    }

    /// Writes rows into an object that holds data. They live as long as this incarnation.
    ///
    /// # Errors
    /// `Invalid` when the object is not there or holds nothing.
    pub fn seed_data(&self, id: &ResourceId, rows: &[&str]) -> Result<Uid> {
        let mut state = self.state();
        let holds = |object: &Object| {
            let by_kind = (self.shared.facts)(id.kind()).map(|facts| facts.holds);
            object.holds.or(by_kind).unwrap_or_default()
        };
        let Some(object) = state.object(id).filter(|object| holds(object) != Holds::Nothing) else {
            return Err(Error::new(ErrorKind::Invalid, "holds no data").with_context("resource", id));
        };
        let uid = object.uid.clone();
        let data = state.data.entry(uid.as_str().to_owned()).or_default();
        data.extend(rows.iter().map(|row| (*row).to_owned()));
        Ok(uid)
    }

    // What tests ask it.

    /// The rows that the object under this id holds now.
    pub fn data(&self, id: &ResourceId) -> Option<Vec<String>> {
        let state = self.state();
        state.data.get(state.object(id)?.uid.as_str()).cloned()
    }

    /// All rows that went away with their object.
    pub fn losses(&self) -> Vec<Loss> {
        self.state().losses.clone()
    }

    /// All final snapshots.
    pub fn snapshots(&self) -> Vec<Loss> {
        self.state().snapshots.clone()
    }

    /// The random ids that stand for the secret values of an object, by key.
    pub fn secrets(&self, id: &ResourceId) -> BTreeMap<String, String> {
        self.state()
            .object(id)
            .map(|object| object.secrets.clone())
            .unwrap_or_default()
    }

    /// The uid under an id.
    pub fn uid(&self, id: &ResourceId) -> Option<Uid> {
        self.state().object(id).map(|object| object.uid.clone())
    }

    /// The whole object as the server keeps it.
    pub fn fields(&self, id: &ResourceId) -> Option<Value> {
        self.state().object(id).map(|object| object.fields.clone())
    }

    /// The object as its owner sees it.
    pub fn view(&self, id: &ResourceId) -> Option<Value> {
        self.state().object(id).map(Object::view)
    }

    /// A field of the object as the server keeps it.
    pub fn field(&self, id: &ResourceId, path: &FieldPath) -> Option<Value> {
        fields::value_at(&self.state().object(id)?.fields, path).cloned()
    }

    /// Whether an object is ready.
    pub fn is_ready(&self, id: &ResourceId) -> bool {
        let now = self.shared.clock.now();
        self.state()
            .object(id)
            .is_some_and(|object| object.state(now) == State::Ready)
    }

    /// Whose the object is, as `set` sees it.
    pub fn owner(&self, set: &SetId, id: &ResourceId) -> Option<Owner> {
        self.state().object(id).map(|object| object.mark.owner(set))
    }

    /// Every object there.
    pub fn ids(&self) -> BTreeSet<ResourceId> {
        self.advance();
        self.state()
            .slots
            .iter()
            .filter(|(_, slot)| !slot.objects.is_empty())
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Ids under which more than one object exists: the mark of an unguarded create sent twice.
    pub fn duplicates(&self) -> BTreeSet<ResourceId> {
        let state = self.state();
        let twice = state.slots.iter().filter(|(_, slot)| slot.objects.len() > 1);
        twice.map(|(id, _)| id.clone()).collect()
    }

    /// Everything that the owner asked for or made, without times and versions, and with ids in the place of
    /// uids: two worlds that converged to the same end have equal ones.
    pub fn shape(&self, set: &SetId) -> BTreeMap<ResourceId, Vec<Shape>> {
        self.advance();
        let state = self.state();
        let mut names: BTreeMap<&str, String> = BTreeMap::new();
        for (id, slot) in &state.slots {
            names.extend(
                slot.objects
                    .iter()
                    .map(|object| (object.uid.as_str(), format!("<{id}>"))),
            );
        }
        let mut shape = BTreeMap::new();
        for (id, slot) in &state.slots {
            let objects: Vec<_> = slot
                .objects
                .iter()
                .map(|object| Shape {
                    view: named(object.view(), &names),
                    owner: object.mark.owner(set),
                    holds: object.holds,
                    on_removal: object.on_removal,
                    deleting: object.gone_at.is_some(),
                })
                .collect();
            if !objects.is_empty() {
                shape.insert(id.clone(), objects);
            }
        }
        shape
    }

    /// Calls so far, by name: `observe`, `preview`, `create`, `release`, `acquire`, `release lease`, ...
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.shared.counts).clone()
    }

    /// Creates, updates, adoptions, releases and deletes so far.
    pub fn writes(&self) -> u64 {
        let counts = lock(&self.shared.counts);
        ["create", "update", "adopt", "release", "delete"]
            .iter()
            .filter_map(|verb| counts.get(verb))
            .sum()
    }

    // Inside.

    fn state(&self) -> MutexGuard<'_, WorldState> {
        lock(&self.shared.state)
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.shared.settings)
    }

    fn count(&self, call: &'static str) {
        *lock(&self.shared.counts).entry(call).or_insert(0) += 1;
    }

    fn known(&self, id: &ResourceId) -> Result<&'static KindFacts> {
        (self.shared.facts)(id.kind()).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!("this world knows no kind {}", id.kind()),
            )
            .with_context("resource", id)
        })
    }

    fn edit<T>(&self, id: &ResourceId, act: impl FnOnce(&mut Object) -> T) -> Option<T> {
        let result = self
            .state()
            .slots
            .get_mut(id)
            .and_then(|slot| slot.objects.first_mut())
            .map(act);
        if result.is_some() {
            self.tell(std::slice::from_ref(id));
        }
        result
    }

    fn advance(&self) {
        let now = self.shared.clock.now();
        let happened = self.state().advance(now);
        self.tell(&happened);
    }

    fn tell(&self, ids: &[ResourceId]) {
        if ids.is_empty() {
            return;
        }
        let mut followers = lock(&self.shared.followers);
        followers.retain(|follower| match follower.upgrade() {
            Some(follower) => {
                lock(&follower.changed).extend(ids.iter().cloned());
                follower.notify.notify_one();
                true
            }
            None => false,
        });
    }

    /// Hands the new state to whoever keeps it.
    fn keep(&self) -> Result<()> {
        let on_change = lock(&self.shared.on_change);
        match &*on_change {
            Some(callback) => callback(&self.snapshot()?),
            None => Ok(()),
        }
    }

    fn delay(&self, facts: &KindFacts) -> Duration {
        facts.usually * self.settings().pace / 100
    }

    fn lag(&self, creation: Creation) -> Lag {
        if creation == Creation::Exclusive {
            Lag::default()
        } else {
            self.settings().lag
        }
    }
}

/// One object as [`World::shape`] shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// As its owner sees it.
    pub view: Value,
    /// Whose it is.
    pub owner: Owner,
    /// Its stamp.
    pub holds: Option<Holds>,
    /// Its stamp.
    pub on_removal: OnRemoval,
    /// On its way out.
    pub deleting: bool,
}

/// The value with ids where server-made texts end in a uid.
fn named(value: Value, names: &BTreeMap<&str, String>) -> Value {
    match value {
        Value::String(text) => {
            let start = text.len().saturating_sub(UID_LENGTH);
            let uid = text.get(start..).and_then(|uid| names.get(uid));
            Value::String(uid.map_or_else(|| text.clone(), |name| format!("{}{name}", &text[..start])))
        }
        Value::Array(items) => items.into_iter().map(|item| named(item, names)).collect(),
        Value::Object(map) => map.into_iter().map(|(key, child)| (key, named(child, names))).collect(),
        other => other,
    }
}

fn snapshot(state: &WorldState) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(state)
        .map_err(|cause| Error::new(ErrorKind::Internal, "the world is not JSON").with_source(cause))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("place", &self.shared.place)
            .field("label", &Self::LABEL)
            .field("objects", &self.state().slots.len())
            .finish_non_exhaustive()
    }
}
