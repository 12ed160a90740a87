//! Reading: what is wanted by name, what else the set owns by each kind's native list, always proved on the object.

use crate::existing::{Asked, Surveyed};
use crate::kind::{self, AnyKind, Found, Kinds, Wish};
use crate::lock::ControlBucket;
use crate::provider::{Connection, Scope};
use crate::tags;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use platform_core::value::{Kind, Name, ResourceId, SetId, Uid};
use platform_core::{Error, ErrorKind, Live, Notes, Observation, Owner, Preview, Resource, Result, State};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Reads in flight at most.
const READS: usize = 16;

/// What `preview` has to know beyond the observation.
#[derive(Debug, Default)]
struct Known {
    /// Objects whose deletion is scheduled, and what is left of earlier ones.
    past: BTreeMap<ResourceId, String>,
    /// What others made and this plan is about to use.
    existing: Option<Surveyed>,
}

pub(crate) async fn observe(
    connection: &Connection,
    lock: &ControlBucket,
    set: &SetId,
    wanted: &[Resource],
) -> Result<Observation> {
    let scope = connection.scope(set).await?.observing();
    let mut seen = Observation::new(set.clone(), connection.place.clone(), connection.clock.now());
    let mut unreadable: BTreeMap<Kind, Error> = BTreeMap::new();
    let mut known = Known::default();

    for resource in wanted {
        connection.kinds.known(&resource.id)?;
    }
    let ids = wanted.iter().map(|resource| resource.id.clone()).collect();
    let (open, named, listed) = futures::join!(lock.open(set), read(&scope, ids), list(&scope));
    let open = open?;
    seen.recorded = open.is_some();
    seen.open = open.unwrap_or_default();

    let mut gone = Vec::new();
    let mut known_ids = BTreeSet::new();
    let desired: BTreeMap<&ResourceId, &Value> = wanted.iter().map(|r| (&r.id, &*r.desired)).collect();
    for (id, outcome) in named {
        known_ids.insert(id.clone());
        match outcome {
            Ok(None) => gone.push(id),
            Ok(Some(found)) => {
                // Nobody has used it yet: the next create finishes it, without asking about each field.
                if tags::unfinished(&found.tags) && tags::owner(&found.tags, set) == Owner::ThisSet {
                    continue;
                }
                seen.warnings.extend(known.note(&id, &found));
                let tags = desired.get(&id).map(|desired| callers(desired)).unwrap_or_default();
                seen.live.insert(id.clone(), live(&id, set, &found, &tags));
            }
            Err(error) => blind(&mut unreadable, id.kind(), error)?,
        }
    }

    for id in gone {
        let kind = scope.kinds.known(&id)?;
        let said = |field: &str| desired.get(&id).is_some_and(|desired| desired.get(field).is_some());
        if !kind.made_by().iter().any(|field| said(field)) {
            match kind.traces(&scope, id.name().as_str()).await {
                Ok(text) => known.past.extend(text.map(|text| (id, text))),
                Err(error) => blind(&mut unreadable, id.kind(), error)?,
            }
        }
    }

    let mut candidates = Vec::new();
    for (kind, outcome) in listed {
        match outcome {
            Ok(found) => {
                for name in found.into_iter().collect::<BTreeSet<_>>() {
                    let id = identify(connection, kind, &name)?;
                    if !known_ids.contains(&id) {
                        candidates.push(id);
                    }
                }
            }
            Err(error) => blind(&mut unreadable, &kind.facts().kind.parse()?, error)?,
        }
    }
    for (id, outcome) in read(&scope, candidates).await {
        match outcome {
            Ok(Some(found)) if found.doomed.is_none() => {
                // Of the whole account: the place that made it sees to it.
                let global = scope.kinds.known(&id)?.global();
                if global && tags::is_elsewhere(&found.tags, scope.region) {
                    continue;
                }
                let live = live(&id, set, &found, &BTreeSet::new());
                if matches!(live.owner, Owner::ThisSet | Owner::Retained) {
                    seen.extra.insert(id, live);
                }
            }
            Ok(_) => {}
            // Not wanted and perhaps not ours: a stranger's bucket with our prefix must not stop a plan.
            Err(error) if error.kind() == ErrorKind::Forbidden => scope.warn(format!("{id} cannot be read: {error}")),
            Err(error) => blind(&mut unreadable, id.kind(), error)?,
        }
    }

    known.existing = survey(connection, &scope, wanted, &seen).await?;
    seen.warnings.extend(scope.take_warnings());
    seen.unreadable = unreadable.into_iter().collect();
    seen.notes = Notes::new(known);
    Ok(seen)
}

/// Looks at what others made of the network that new objects and changed ones name.
async fn survey(
    connection: &Connection,
    scope: &Scope<'_>,
    wanted: &[Resource],
    seen: &Observation,
) -> Result<Option<Surveyed>> {
    let Some(lookup) = connection.lookup else {
        return Ok(None);
    };
    let mut asked = Asked::default();
    for resource in wanted {
        let live = seen.live.get(&resource.id).map(|live| &*live.view);
        asked.add(connection.kinds.known(&resource.id)?, &resource.desired, live);
    }
    if asked.is_empty() {
        return Ok(None);
    }
    match lookup.look(scope, &asked).await {
        Ok(sites) => Ok(Some(Surveyed { asked, sites })),
        Err(error) if error.kind() == ErrorKind::Unauthenticated => Err(error),
        Err(error) => {
            scope.warn(format!("whether the network fits is not known: {error}"));
            Ok(None)
        }
    }
}

type Listed = (&'static dyn AnyKind, Result<Vec<String>>);
type Outcome = Result<Option<Found<Value>>>;

/// Reads many objects, some at a time.
async fn read(scope: &Scope<'_>, ids: Vec<ResourceId>) -> Vec<(ResourceId, Outcome)> {
    let reads: Vec<BoxFuture<'_, (ResourceId, Outcome)>> = ids
        .into_iter()
        .map(|id| {
            async move {
                let outcome = match scope.kinds.known(&id) {
                    Ok(kind) => kind.read(scope, id.name().as_str()).await,
                    Err(error) => Err(error),
                };
                (id, outcome)
            }
            .boxed()
        })
        .collect();
    futures::stream::iter(reads).buffer_unordered(READS).collect().await
}

/// Names that may belong to the set, by kind.
async fn list(scope: &Scope<'_>) -> Vec<Listed> {
    let lists: Vec<BoxFuture<'_, Listed>> = scope
        .kinds
        .all()
        .map(|kind| async move { (kind, kind.list(scope, scope.set).await) }.boxed())
        .collect();
    futures::future::join_all(lists).await
}

impl Known {
    fn note(&mut self, id: &ResourceId, found: &Found<Value>) -> Option<String> {
        let when = found.doomed.as_ref()?;
        let text = format!(
            "{} is scheduled for deletion ({when}); taking it back calls that off and keeps what it holds",
            id.label()
        );
        self.past.insert(id.clone(), text.clone());
        Some(text)
    }
}

/// An error that hides one kind, or all of them.
fn blind(unreadable: &mut BTreeMap<Kind, Error>, kind: &Kind, error: Error) -> Result<()> {
    if error.kind() == ErrorKind::Unauthenticated {
        return Err(error);
    }
    unreadable.entry(kind.clone()).or_insert(error);
    Ok(())
}

fn identify(connection: &Connection, kind: &dyn AnyKind, name: &str) -> Result<ResourceId> {
    Ok(ResourceId::new(
        connection.place.clone(),
        kind.facts().kind.parse()?,
        Name::new(name)?,
    ))
}

/// The caller's tag keys that a desired value names.
pub(crate) fn callers(desired: &Value) -> BTreeSet<&str> {
    desired
        .get("tags")
        .and_then(Value::as_object)
        .map(|tags| tags.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

/// What was read, as the engine sees it.
pub(crate) fn live(id: &ResourceId, set: &SetId, found: &Found<Value>, wanted_tags: &BTreeSet<&str>) -> Live {
    let owner = match &found.stranger {
        Some(stranger) => Owner::Other(stranger.clone()),
        None => tags::owner(&found.tags, set),
    };
    // Of an object that is on its way out the set has let go, whatever its tags say; it can be taken back.
    let owner = match owner {
        Owner::ThisSet if found.doomed.is_some() => Owner::Retained,
        owner => owner,
    };
    Live {
        id: id.clone(),
        uid: Uid::new(found.uid.as_str()),
        view: Arc::new(kind::view(&found.settings, &tags::view(&found.tags, wanted_tags))),
        outputs: found.outputs.clone(),
        state: match &found.state {
            _ if found.doomed.is_some() => State::Ready,
            State::Ready if tags::unfinished(&found.tags) && owner == Owner::ThisSet => State::Progressing {
                what: "its create is not finished".to_owned(),
            },
            state => state.clone(),
        },
        owner,
        holds: tags::holds(&found.tags),
        on_removal: tags::on_removal(&found.tags),
        component: tags::component(&found.tags),
        version: None,
        written_from: tags::hash(&found.tags),
        touched: Vec::new(),
        renewal: None,
    }
}

/// What making a resource true would leave. Pure.
pub(crate) fn preview(kinds: Kinds, wanted: &Resource, seen: &Observation) -> Result<Preview> {
    let kind = kinds.known(&wanted.id)?;
    let known = wanted.leave.iter().try_for_each(|field| kind.knows(field));
    let wish: Wish = match known.and_then(|()| kind.normalise(&wanted.id, &wanted.desired)) {
        Ok(wish) => wish,
        Err(why) => return Ok(Preview::Refused { why }),
    };
    let after = match seen.get(&wanted.id) {
        Some(live) => wish.beside(wanted, kind.made_by(), &live.view).view(),
        None => wish.view(),
    };
    if seen.get(&wanted.id).is_some_and(|live| *live.view == after) {
        return Ok(Preview::Unchanged);
    }
    let mut warnings = Vec::new();
    if let Some(known) = seen.notes.get::<Known>() {
        warnings.extend(known.past.get(&wanted.id).cloned());
        match known.existing.as_ref().map(|surveyed| surveyed.check(kind, &after)) {
            Some(Ok(more)) => warnings.extend(more),
            Some(Err(why)) => return Ok(Preview::Refused { why }),
            None => {}
        }
    }
    Ok(Preview::Change {
        after: after.into(),
        unverified: None,
        warnings,
        found: None,
    })
}

/// The object of an id as it is now; `None` also when its deletion is scheduled.
pub(crate) async fn look(scope: &Scope<'_>, id: &ResourceId, wanted_tags: &BTreeSet<&str>) -> Result<Option<Live>> {
    let found = scope.kinds.known(id)?.read(scope, id.name().as_str()).await?;
    Ok(found
        .filter(|found| found.doomed.is_none())
        .map(|found| live(id, scope.set, &found, wanted_tags)))
}
