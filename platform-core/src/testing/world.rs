//! A provider in memory that behaves like a server.

mod disturb;
mod fields;
mod follow;
mod inspect;
mod lease;
mod provider;
mod read;
mod state;
#[cfg(all(test, feature = "testing"))]
mod tests;
mod write;

pub use inspect::Shape;
pub use state::Loss;

use crate::facts::{Creation, KindFacts};
use crate::value::{Clock, Digest, Kind, Place, PlaceIdentity, ResourceId};
use crate::{Error, ErrorKind, Result};
use state::{Object, WorldState};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

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
