//! Fresh states: one watch a kind of interest, by the set's label.
//!
//! A watch begins with everything there is, so there is no list beside it; when it ends or fails it begins anew, and
//! what it no longer shows is gone. States older than what a write of ours returned are not passed on.

use crate::client::Call;
use crate::error::Attempt;
use crate::kind::{KubeKind, find};
use crate::provider::Inner;
use crate::set::{Names, SET};
use crate::stamp::{self, Reader};
use futures::stream::{self, BoxStream, SelectAll, StreamExt};
use futures::{TryStreamExt, pin_mut};
use kube::api::WatchEvent;
use platform_core::value::ResourceId;
use platform_core::{Error, Interest, Live, Observation, Result, State};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The server ends a watch after so long.
const ROUND: u64 = 60;
/// A watch that is silent for longer is dead.
const SILENCE: Duration = Duration::from_secs(75);
/// How often the events of what is still on its way are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Between two tries to open a watch, and two looks where watching is not allowed.
const PAUSE: Duration = Duration::from_secs(1);

/// Kinds whose status does not tell why pods are refused.
pub(crate) const SILENT: [&str; 3] = ["DaemonSet.apps", "Job.batch", "StatefulSet.apps"];

type News = Result<(ResourceId, Option<Live>)>;

enum Line {
    /// The watch begins anew.
    Begin,
    Object(Value),
    Gone(Value),
    /// Everything that there is has been shown, up to this version.
    Shown(u64),
    Failed(Error),
}

/// What the watch of a kind showed.
#[derive(Default)]
struct Shown {
    objects: HashMap<ResourceId, (u64, Value)>,
    /// Shown in this round, while it is not complete.
    again: Option<HashSet<ResourceId>>,
    complete: bool,
    /// Newest version seen.
    version: u64,
}

struct Follower {
    inner: Arc<Inner>,
    names: Names,
    interest: Interest,
    asked: BTreeSet<ResourceId>,
    watches: SelectAll<BoxStream<'static, (&'static KubeKind, Line)>>,
    kinds: HashMap<&'static str, Shown>,
    /// What was told last, by version; `None`: gone.
    told: HashMap<ResourceId, Option<u64>>,
    /// Failures that were told as progress, since a quota was moving.
    excused: BTreeSet<ResourceId>,
    ready: VecDeque<News>,
}

pub(crate) fn follow(inner: Arc<Inner>, interest: Interest, seen: &Observation) -> BoxStream<'static, News> {
    let follower = Follower {
        names: inner.names(&seen.set),
        inner,
        interest,
        asked: BTreeSet::new(),
        watches: SelectAll::new(),
        kinds: HashMap::new(),
        told: HashMap::new(),
        excused: BTreeSet::new(),
        ready: VecDeque::new(),
    };
    stream::unfold(follower, |mut follower| async move {
        let news = follower.next().await;
        Some((news, follower))
    })
    .boxed()
}

impl Follower {
    async fn next(&mut self) -> News {
        let clock = Arc::clone(self.inner.api.clock());
        loop {
            if let Some(news) = self.ready.pop_front() {
                return news;
            }
            tokio::select! {
                Some((kind, line)) = self.watches.next(), if !self.watches.is_empty() => self.line(kind, line).await,
                // Only then: looking through all that is asked for takes its time.
                () = self.interest.changed() => self.join(),
                () = clock.sleep(LOOK), if !self.asked.is_empty() => {
                    self.judge_anew();
                    self.diagnose().await;
                }
            }
        }
    }

    /// Opens watches for kinds that were not asked for before, and tells what is known of ids that joined.
    fn join(&mut self) {
        let ids = self.interest.ids();
        let joined: Vec<ResourceId> = ids.difference(&self.asked).cloned().collect();
        self.asked = ids;
        for id in joined {
            self.told.remove(&id);
            let Some(kind) = find(id.kind().as_str()) else { continue };
            if self.kinds.contains_key(kind.facts.kind) {
                self.tell(kind, &id);
            } else {
                self.kinds.insert(kind.facts.kind, Shown::default());
                self.watches
                    .push(watch(Arc::clone(&self.inner), &self.names.label, kind));
            }
        }
    }

    async fn line(&mut self, kind: &'static KubeKind, line: Line) {
        let reader = Reader {
            place: &self.inner.place,
            names: &self.names,
        };
        let shown = self.kinds.entry(kind.facts.kind).or_default();
        match line {
            Line::Begin => shown.again = Some(HashSet::new()),
            Line::Object(object) => {
                let Some(id) = reader.id(kind, &object) else { return };
                let version = version_of(&object);
                shown.version = shown.version.max(version);
                if let Some(again) = &mut shown.again {
                    again.insert(id.clone());
                }
                shown.objects.insert(id.clone(), (version, object));
                self.tell(kind, &id);
            }
            Line::Gone(object) => {
                let Some(id) = reader.id(kind, &object) else { return };
                shown.version = shown.version.max(version_of(&object));
                shown.objects.remove(&id);
                self.tell(kind, &id);
            }
            Line::Shown(version) => {
                shown.version = shown.version.max(version);
                if let Some(again) = shown.again.take() {
                    shown.objects.retain(|id, _| again.contains(id));
                    shown.complete = true;
                }
                let asked: Vec<ResourceId> = self.of_kind(kind);
                for id in asked {
                    self.tell(kind, &id);
                }
            }
            Line::Failed(why) => {
                self.ready.push_back(Err(why));
                self.look(kind).await;
            }
        }
    }

    fn of_kind(&self, kind: &KubeKind) -> Vec<ResourceId> {
        let ours = |id: &&ResourceId| id.kind().as_str() == kind.facts.kind;
        self.asked.iter().filter(ours).cloned().collect()
    }

    /// Passes on what the watch says of an id, if it is asked for and news.
    fn tell(&mut self, kind: &'static KubeKind, id: &ResourceId) {
        if !self.asked.contains(id) {
            return;
        }
        let floor = self.inner.floor(id);
        let Some(shown) = self.kinds.get(kind.facts.kind) else {
            return;
        };
        let state = match shown.objects.get(id) {
            Some((version, object)) if *version >= floor => Some((*version, object)),
            None if shown.complete && shown.version >= floor => None,
            // Older than what a write of ours returned: the news is still to come.
            Some(_) | None => return,
        };
        let mark = state.map(|(version, _)| version);
        if self.told.get(id) == Some(&mark) {
            return;
        }
        let live = state.map(|(_, object)| self.live(kind, id, object));
        let live = live.map(|live| self.judged(live));
        self.told.insert(id.clone(), mark);
        self.ready.push_back(Ok((id.clone(), live)));
    }

    fn live(&self, kind: &'static KubeKind, id: &ResourceId, object: &Value) -> Live {
        let reader = Reader {
            place: &self.inner.place,
            names: &self.names,
        };
        reader.live(kind, id, object, None)
    }

    /// A refusal by a quota is no failure while the quota moves.
    fn judged(&mut self, mut live: Live) -> Live {
        if self.inner.quotas.excuses(&live, self.inner.api.clock().elapsed())
            && let State::Failed { why } = live.state
        {
            self.excused.insert(live.id.clone());
            live.state = State::Progressing { what: why };
        }
        live
    }

    /// Tells again of what was excused, once its quota stands.
    fn judge_anew(&mut self) {
        let now = self.inner.api.clock().elapsed();
        let over: Vec<ResourceId> = self
            .excused
            .iter()
            .filter(|id| !self.inner.quotas.is_moving(id, now))
            .cloned()
            .collect();
        for id in over {
            self.excused.remove(&id);
            self.told.remove(&id);
            if let Some(kind) = find(id.kind().as_str()) {
                self.tell(kind, &id);
            }
        }
    }

    /// Some workloads never say in their status why they have no pods: their events do.
    async fn diagnose(&mut self) {
        let inner = Arc::clone(&self.inner);
        let asked: Vec<ResourceId> = self.asked.iter().cloned().collect();
        for id in asked {
            let Some(kind) = find(id.kind().as_str()).filter(|kind| SILENT.contains(&kind.facts.kind)) else {
                continue;
            };
            let shown = self.kinds.get(kind.facts.kind).and_then(|shown| shown.objects.get(&id));
            let Some(object) = shown.map(|(_, object)| object.clone()) else {
                continue;
            };
            let State::Progressing { what } = kind.state_of(&object) else {
                continue;
            };
            let Some(text) = warning(&inner, kind, &id, &object).await else {
                continue;
            };
            let mut live = self.live(kind, &id, &object);
            live.state = if text.contains("violates PodSecurity") {
                State::Failed { why: text }
            } else {
                State::Progressing {
                    what: format!("{what}: {text}"),
                }
            };
            self.ready.push_back(Ok((id, Some(live))));
        }
    }

    /// Where a watch fails, each id is read by itself.
    async fn look(&mut self, kind: &'static KubeKind) {
        for id in self.of_kind(kind) {
            let mut call = Call::get(stamp::path(kind, &id), Attempt::new("get", stamp::what(kind, &id)));
            if kind.facts.kind == "Secret" {
                call = call.metadata_only();
            }
            let found = match self.inner.api.call(call).await {
                Ok(answer) => answer.found(),
                Err(why) => Err(why),
            };
            match found {
                Ok(object) => {
                    let mark = object.as_ref().map(version_of);
                    if self.told.get(&id) != Some(&mark) {
                        self.told.insert(id.clone(), mark);
                        let live = object.map(|object| self.live(kind, &id, &object));
                        let live = live.map(|live| self.judged(live));
                        self.ready.push_back(Ok((id, live)));
                    }
                }
                Err(why) => self.ready.push_back(Err(why)),
            }
        }
    }
}

/// The newest warning about an object. Without the right to see events there is none.
async fn warning(inner: &Inner, kind: &KubeKind, id: &ResourceId, object: &Value) -> Option<String> {
    let path = format!(
        "/api/v1/namespaces/{}/events?fieldSelector=involvedObject.uid%3D{},type%3DWarning&limit=50",
        id.name().namespace()?,
        object["metadata"]["uid"].as_str()?
    );
    let call = Call::get(
        path,
        Attempt::new("list", format!("events of {}", stamp::what(kind, id))),
    );
    let list = inner.api.call(call).await.ok()?.ok().ok()?;
    let newest = list["items"].as_array()?.iter().max_by_key(|event| version_of(event))?;
    newest["message"].as_str().map(str::to_owned)
}

fn version_of(object: &Value) -> u64 {
    let text = object["metadata"]["resourceVersion"].as_str();
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Lines of one kind for ever: watch after watch.
fn watch(inner: Arc<Inner>, label: &str, kind: &'static KubeKind) -> BoxStream<'static, (&'static KubeKind, Line)> {
    let path = format!(
        "{}?watch=1&labelSelector={SET}%3D{label}&allowWatchBookmarks=true&sendInitialEvents=true\
         &resourceVersionMatch=NotOlderThan&timeoutSeconds={ROUND}",
        stamp::collection(kind, None)
    );
    let rounds = stream::unfold(true, move |first| {
        let (inner, path) = (Arc::clone(&inner), path.clone());
        async move {
            if !first {
                inner.api.clock().sleep(PAUSE / 10).await;
            }
            Some((round(inner, path, kind).await, false))
        }
    });
    rounds.flatten().map(move |line| (kind, line)).boxed()
}

/// One watch, from its beginning to its end.
async fn round(inner: Arc<Inner>, path: String, kind: &'static KubeKind) -> BoxStream<'static, Line> {
    let attempt = Attempt::new("watch", kind.resource());
    let opened = inner.api.watch(&path, kind.facts.kind == "Secret", &attempt).await;
    match opened {
        Ok(events) => {
            let clock = Arc::clone(inner.api.clock());
            let lines = stream::unfold(Box::pin(events), move |mut events| {
                let clock = Arc::clone(&clock);
                async move {
                    let next = {
                        let next = events.try_next();
                        pin_mut!(next);
                        tokio::select! {
                            next = next => next.ok().flatten(),
                            () = clock.sleep(SILENCE) => None,
                        }
                    };
                    Some((line(next?)?, events))
                }
            });
            stream::once(async { Line::Begin }).chain(lines).boxed()
        }
        Err(why) => {
            inner.api.clock().sleep(PAUSE).await;
            stream::once(async { Line::Failed(why) }).boxed()
        }
    }
}

/// `None` ends the round: the version is too old, or the server is in trouble.
fn line(event: WatchEvent<Value>) -> Option<Line> {
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => Some(Line::Object(object)),
        WatchEvent::Deleted(object) => Some(Line::Gone(object)),
        WatchEvent::Bookmark(bookmark) => Some(Line::Shown(bookmark.metadata.resource_version.parse().unwrap_or(0))),
        WatchEvent::Error(_) => None,
    }
}
