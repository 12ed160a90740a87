//! The scheduler: a resource starts when its own dependencies are ready, longest path first.
//!
//! One future drives everything: writes in flight, states that providers report, deadlines and the lease's
//! heartbeat. Nothing is spawned, so dropping it stops everything at the next await, as a kill would.

mod job;
mod open;
mod order;
mod outcome;
mod wait;

use self::job::Job;
use self::open::Connected;
use super::apply::Stop;
use super::approve::ApprovedPlan;
use super::lease::Leases;
use super::plan::{Action, Step};
use super::planner::{Survey, Wishes};
use super::report::{Outcome, Report};
use super::{Engine, Event};
use crate::facts::{Creation, KindFacts, Updating};
use crate::provider::{Interest, Provider};
use crate::resource::{Live, OpenCreate, State};
use crate::value::{Digest, Place, Reference, ResourceId, resolve};
use crate::{Error, ErrorKind, Result};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered, SelectAll, StreamExt};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Tries of one write, the first included.
const TRIES: u32 = 5;
/// Longest pause between two tries.
const PAUSE: Duration = Duration::from_secs(30);

type Followed = SelectAll<BoxStream<'static, Result<(ResourceId, Option<Live>)>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waits for this many nodes.
    Pending(usize),
    Writing,
    Waiting {
        until: Duration,
        awaited: Awaited,
    },
    Done,
    Failed,
    Skipped,
}

/// What an object is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// Written, or found unfinished: to become ready.
    Ready,
    /// To be gone.
    Gone,
    /// To take a change, which its API refuses while an earlier one is under way.
    Settled,
}

struct Node<'a> {
    step: &'a Step,
    action: Action,
    /// The position of its wish, which is that in the plan's graph; what is removed has none.
    wish: Option<usize>,
    facts: &'static KindFacts,
    phase: Phase,
    /// Nodes of the plan's graph, or of the next rank, that wait for this one.
    dependants: Vec<usize>,
    priority: u32,
    started: Duration,
    tries: u32,
    /// The delete of a replacement is through: the create comes next.
    cleared: bool,
    /// Made by this run, and reads have not shown it yet.
    unseen: bool,
    on: String,
    /// How it ended, once it did.
    outcome: Option<Outcome>,
}

impl Node<'_> {
    /// Whether its next write makes an object.
    fn creates(&self) -> bool {
        self.action == Action::Create || (self.action == Action::Replace && self.cleared)
    }

    /// A create that nothing guards may have taken effect though it failed: sent again at once it would make a
    /// second object.
    fn may_be_half_made(&self, why: &Error) -> bool {
        self.creates() && self.facts.create == Creation::Unguarded && why.kind() != ErrorKind::Throttled
    }
}

struct Written {
    node: usize,
    result: Result<Option<Live>>,
}

/// One run of an approved plan.
pub(super) struct Run<'a> {
    engine: &'a Engine,
    approved: &'a ApprovedPlan,
    wishes: &'a Wishes,
    survey: &'a Survey,
    leases: &'a mut Leases,
    stop: Stop,
    nodes: Vec<Node<'a>>,
    /// Nodes that wait or waited, by object.
    index: HashMap<&'a ResourceId, usize>,
    ready: BinaryHeap<(u32, std::cmp::Reverse<usize>)>,
    writes: FuturesUnordered<BoxFuture<'a, Written>>,
    deadlines: BTreeSet<(Duration, usize)>,
    /// Creates to be sent again, by when.
    again: BTreeSet<(Duration, usize)>,
    followed: Followed,
    interests: BTreeMap<Place, Interest>,
    /// Later places that are being connected, the nodes that wait for them, and what came of it.
    opening: FuturesUnordered<BoxFuture<'a, Connected>>,
    parked: BTreeMap<Place, Vec<usize>>,
    opened: BTreeMap<Place, Arc<dyn Provider>>,
    unreachable: BTreeMap<Place, Error>,
    /// Of the objects that have any.
    outputs: HashMap<ResourceId, BTreeMap<String, Value>>,
    report: Report,
    limit: usize,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        approved: &'a ApprovedPlan,
        wishes: &'a Wishes,
        survey: &'a Survey,
        leases: &'a mut Leases,
        stop: Stop,
    ) -> Result<Self> {
        let plan = approved.plan();
        let engine = &survey.engine;
        let mut run = Self {
            engine,
            approved,
            wishes,
            survey,
            leases,
            stop,
            nodes: Vec::with_capacity(plan.steps.len()),
            index: HashMap::new(),
            ready: BinaryHeap::new(),
            writes: FuturesUnordered::new(),
            deadlines: BTreeSet::new(),
            again: BTreeSet::new(),
            followed: Followed::new(),
            interests: BTreeMap::new(),
            opening: FuturesUnordered::new(),
            parked: BTreeMap::new(),
            opened: BTreeMap::new(),
            unreachable: BTreeMap::new(),
            outputs: HashMap::new(),
            report: Report {
                set: plan.request.set.clone(),
                outcomes: BTreeMap::new(),
                outputs: Value::Null,
                left: Vec::new(),
                places: BTreeMap::new(),
                unseen: Vec::new(),
                took: Duration::ZERO,
                writes: 0,
            },
            limit: engine
                .places()
                .map(|(_, provider)| provider.features().parallel)
                .sum::<usize>()
                .max(1),
        };
        for live in survey.observations.values().flat_map(|seen| seen.live.values()) {
            run.note_outputs(&live.id, &live.outputs);
        }
        for step in &plan.steps {
            let action = approved.action(step);
            if action == Action::Unchanged && step.ready {
                continue;
            }
            let wish = wishes.position(&step.id);
            run.nodes.push(Node {
                step,
                action,
                wish,
                facts: match wish {
                    Some(wish) => wishes.at(wish).facts,
                    None => engine.facts(&step.id)?,
                },
                phase: Phase::Pending(0),
                dependants: Vec::new(),
                priority: 0,
                started: Duration::ZERO,
                tries: 0,
                cleared: false,
                unseen: false,
                on: String::new(),
                outcome: None,
            });
        }
        run.connect();
        Ok(run)
    }

    /// Runs to the end and reports.
    pub(super) async fn finish(mut self, events: &mut (dyn FnMut(Event) + Send)) -> Report {
        events(Event::Planned {
            steps: self.nodes.len(),
            unchanged: self.approved.plan().steps.len() - self.nodes.len(),
        });
        self.follow_places();
        loop {
            self.start_ready(events).await;
            let waiting = !self.deadlines.is_empty() || !self.again.is_empty() || !self.opening.is_empty();
            if self.writes.is_empty() && !waiting {
                break;
            }
            let clock = self.engine.clock();
            let now = clock.elapsed();
            let beat = self.leases.next_heartbeat();
            let due = self.deadlines.first().into_iter().chain(self.again.first());
            let next = due.map(|(until, _)| *until).fold(beat, Duration::min);
            let pause = clock.sleep(next.saturating_sub(now));
            tokio::select! {
                biased;
                Some(written) = self.writes.next(), if !self.writes.is_empty() => self.written(written, events),
                Some(connected) = self.opening.next(), if !self.opening.is_empty() => self.connected(connected, events),
                Some(news) = self.followed.next(), if !self.followed.is_empty() => self.news(news, events),
                () = pause => {
                    let now = self.engine.clock().elapsed();
                    if now >= self.leases.next_heartbeat() {
                        self.leases.beat().await;
                    }
                    self.expire(now, events);
                }
            }
            if self.stop.is_raised() && self.writes.is_empty() && self.opening.is_empty() {
                break;
            }
        }
        self.close(events);
        let outputs = |reference: &Reference| self.output(reference);
        self.report.outputs = resolve(&self.approved.plan().request.outputs, &outputs);
        // At once, in the order of the steps: nearly sorted, which is cheaper than one by one as they ended.
        let mut nodes = self.nodes.into_iter().peekable();
        let steps = self.approved.plan().steps.iter();
        self.report.outcomes = steps
            .map(|step| {
                let node = nodes.next_if(|node| node.step.id == step.id);
                let outcome = node.and_then(|node| node.outcome);
                (step.id.clone(), outcome.unwrap_or(Outcome::Unchanged))
            })
            .collect();
        self.report
    }

    fn output(&self, reference: &Reference) -> Option<Value> {
        self.outputs.get(&reference.id)?.get(&reference.output).cloned()
    }

    fn note_outputs(&mut self, id: &ResourceId, outputs: &BTreeMap<String, Value>) {
        if outputs.is_empty() {
            self.outputs.remove(id);
        } else {
            self.outputs.insert(id.clone(), outputs.clone());
        }
    }

    /// One stream per place with something to wait for, opened before the first write.
    fn follow_places(&mut self) {
        let places: BTreeSet<&Place> = self.nodes.iter().map(|node| node.step.id.place()).collect();
        for place in places {
            let (Ok(provider), Some(seen)) = (self.engine.provider(place), self.survey.observations.get(place)) else {
                continue;
            };
            let interest = Interest::new();
            self.followed.push(provider.follow(interest.clone(), seen));
            self.interests.insert(place.clone(), interest);
        }
    }

    async fn start_ready(&mut self, events: &mut (dyn FnMut(Event) + Send)) {
        let mut batch = Vec::new();
        while self.writes.len() + batch.len() < self.limit && !self.stop.is_raised() {
            let Some((_, std::cmp::Reverse(node))) = self.ready.pop() else {
                break;
            };
            if !matches!(self.nodes[node].phase, Phase::Pending(_)) {
                continue;
            }
            if let Some(lost) = self.leases.lost() {
                let why = lost.clone();
                self.fail(node, why, events);
                continue;
            }
            if let Some(why) = self.unreachable(node) {
                self.fail(node, why, events);
                continue;
            }
            if self.parks(node) {
                continue;
            }
            if self.nodes[node].action == Action::Delete {
                let step = self.nodes[node].step;
                self.leave(&step.id, events).await;
            }
            batch.push(node);
        }
        if let Err(why) = self.record_open(&batch).await {
            for node in batch {
                self.fail(node, why.clone(), events);
            }
            return;
        }
        for node in batch {
            self.start(node, events);
        }
    }

    /// Creates that nothing would find again are stored in the lease before they go out, one write a wave.
    async fn record_open(&mut self, batch: &[usize]) -> Result<()> {
        let mut open = Vec::new();
        for &node in batch {
            let node = &self.nodes[node];
            let guarded = node.facts.create == Creation::Exclusive;
            if guarded || !matches!(node.action, Action::Create | Action::Replace) {
                continue;
            }
            let token = self.token(&node.step.id);
            // Sent again, it may take effect as late as now.
            if node.tries > 0 || !self.leases.open().any(|other| other.id == node.step.id) {
                open.push(OpenCreate {
                    id: node.step.id.clone(),
                    token,
                    since: self.engine.clock().now(),
                });
            }
        }
        if open.is_empty() {
            Ok(())
        } else {
            self.leases.record(open).await
        }
    }

    /// The token of an earlier, killed create of this object, or a new one that is the same for every retry of this run.
    fn token(&self, id: &ResourceId) -> String {
        match self.leases.open().find(|open| &open.id == id) {
            Some(open) => open.token.clone(),
            None => Digest::of(&(id, self.engine.clock().now(), &self.engine.holder))
                .short(32)
                .to_owned(),
        }
    }

    fn start(&mut self, position: usize, events: &mut (dyn FnMut(Event) + Send)) {
        if self.nodes[position].tries > 0 {
            return self.write(position, Duration::ZERO, events);
        }
        let now = self.engine.clock().elapsed();
        self.nodes[position].started = now;
        let (id, action) = (self.nodes[position].step.id.clone(), self.nodes[position].action);
        let deleting = self
            .live(position)
            .is_some_and(|live| matches!(live.state, State::Deleting { .. }));
        if action == Action::Unchanged {
            return self.wait(position, "as an earlier run left it", Awaited::Ready, events);
        }
        events(Event::Started { id, action });
        if deleting && matches!(action, Action::Create | Action::Delete) {
            return self.wait(position, "deletion", Awaited::Gone, events);
        }
        if let Some(what) = self.unsettled(position) {
            return self.wait(position, &what, Awaited::Settled, events);
        }
        self.write(position, Duration::ZERO, events);
    }

    /// Sends a write, after a pause when it is a repetition.
    fn write(&mut self, position: usize, pause: Duration, events: &mut (dyn FnMut(Event) + Send)) {
        let node = &self.nodes[position];
        let outputs = |reference: &Reference| self.output(reference);
        let resolved = match node
            .wish
            .map(|wish| self.wishes.at(wish).resolved(&outputs))
            .transpose()
        {
            Ok(resolved) => resolved,
            Err(unknown) => {
                let why = Error::new(ErrorKind::Internal, format!("{unknown} is still unknown"));
                return self.fail(position, why, events);
            }
        };
        let provider = match self.provider(node.step.id.place()) {
            Ok(provider) => provider,
            Err(why) => return self.fail(position, why, events),
        };
        let job = Job {
            provider,
            set: &self.approved.plan().request.set,
            step: node.step,
            action: if node.action == Action::Replace && node.cleared {
                Action::Create
            } else {
                node.action
            },
            resolved,
            live: self.live(position),
            seen: self.survey.observations.get(node.step.id.place()),
            token: self.token(&node.step.id),
            permit: self.approved.permit(node.step),
            facts: node.facts,
            repeated: node.tries > 0,
        };
        let clock = Arc::clone(self.engine.clock());
        self.nodes[position].phase = Phase::Writing;
        self.nodes[position].tries += 1;
        self.report.writes += 1;
        self.writes.push(Box::pin(async move {
            if !pause.is_zero() {
                clock.sleep(pause).await;
            }
            Written {
                node: position,
                result: job.run().await,
            }
        }));
    }

    /// What an object is busy with whose API takes no change until that is through.
    fn unsettled(&self, position: usize) -> Option<String> {
        let node = &self.nodes[position];
        let changes = matches!(node.action, Action::Update | Action::Adopt);
        match &self.live(position)?.state {
            State::Progressing { what } if changes && node.facts.update == Updating::WhenSettled => Some(what.clone()),
            _ => None,
        }
    }

    fn live(&self, position: usize) -> Option<&'a Live> {
        self.survey.live(&self.nodes[position].step.id)
    }
}
