//! The scheduler: a resource starts when its own dependencies are ready, longest path first.
//!
//! One future drives everything: writes in flight, states that providers report, deadlines and the lease's
//! heartbeat. Nothing is spawned, so dropping it stops everything at the next await, as a kill would.

mod job;

use self::job::Job;
use super::apply::{Stop, WINDOW};
use super::approve::ApprovedPlan;
use super::lease::Leases;
use super::plan::{Action, Step};
use super::planner::Survey;
use super::report::{Outcome, Report};
use super::{Engine, Event};
use crate::facts::{Creation, KindFacts};
use crate::provider::Interest;
use crate::resource::{Live, OpenCreate, Resolved, Resource, State};
use crate::value::{Digest, Place, Reference, ResourceId, resolve};
use crate::{Error, ErrorKind, Result, Retry};
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
    /// Written, or found unfinished: waits to become ready, or to be gone.
    Waiting {
        until: Duration,
        gone: bool,
    },
    Done,
    Failed,
    Skipped,
}

struct Node<'a> {
    step: &'a Step,
    action: Action,
    resource: Option<&'a Resource>,
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
    survey: &'a Survey,
    leases: &'a mut Leases,
    stop: Stop,
    nodes: Vec<Node<'a>>,
    index: HashMap<&'a ResourceId, usize>,
    ready: BinaryHeap<(u32, std::cmp::Reverse<usize>)>,
    writes: FuturesUnordered<BoxFuture<'a, Written>>,
    deadlines: BTreeSet<(Duration, usize)>,
    /// Creates to be sent again, by when.
    again: BTreeSet<(Duration, usize)>,
    followed: Followed,
    interests: BTreeMap<Place, Interest>,
    outputs: HashMap<ResourceId, BTreeMap<String, Value>>,
    report: Report,
    limit: usize,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        approved: &'a ApprovedPlan,
        survey: &'a Survey,
        leases: &'a mut Leases,
        stop: Stop,
    ) -> Result<Self> {
        let plan = approved.plan();
        let resources: HashMap<&ResourceId, &Resource> = plan
            .request
            .resources
            .iter()
            .map(|resource| (&resource.id, resource))
            .collect();
        let mut run = Self {
            engine,
            approved,
            survey,
            leases,
            stop,
            nodes: Vec::new(),
            index: HashMap::new(),
            ready: BinaryHeap::new(),
            writes: FuturesUnordered::new(),
            deadlines: BTreeSet::new(),
            again: BTreeSet::new(),
            followed: Followed::new(),
            interests: BTreeMap::new(),
            outputs: HashMap::new(),
            report: Report {
                set: plan.request.set.clone(),
                outcomes: BTreeMap::new(),
                outputs: Value::Null,
                left: Vec::new(),
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
            run.outputs.insert(live.id.clone(), live.outputs.clone());
        }
        for step in &plan.steps {
            let action = approved.action(step);
            if action == Action::Unchanged && step.ready {
                run.report.outcomes.insert(step.id.clone(), Outcome::Unchanged);
                continue;
            }
            run.index.insert(&step.id, run.nodes.len());
            run.nodes.push(Node {
                step,
                action,
                resource: resources.get(&step.id).copied(),
                facts: engine.facts(&step.id)?,
                phase: Phase::Pending(0),
                dependants: Vec::new(),
                priority: 0,
                started: Duration::ZERO,
                tries: 0,
                cleared: false,
                unseen: false,
                on: String::new(),
            });
        }
        run.connect();
        Ok(run)
    }

    /// Edges of the plan's graph among what makes; what removes comes after all of that, rank by rank.
    fn connect(&mut self) {
        let removes = |node: &Node| matches!(node.action, Action::Delete | Action::Release);
        let mut ranks: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        let mut makers = Vec::new();
        for position in 0..self.nodes.len() {
            if removes(&self.nodes[position]) {
                ranks.entry(self.nodes[position].facts.rank).or_default().push(position);
                continue;
            }
            makers.push(position);
            let Some(place_in_graph) = self.survey.graph.position(&self.nodes[position].step.id) else {
                continue;
            };
            self.nodes[position].priority = self.survey.graph.height(place_in_graph);
        }
        let mut edges = Vec::new();
        for &position in &makers {
            let id = &self.nodes[position].step.id;
            // A dependency that stands needs no node, but what it waits for itself has none either.
            if let Some(place_in_graph) = self.survey.graph.position(id) {
                for &dependant in self.survey.graph.dependants(place_in_graph) {
                    edges.push((position, dependant));
                }
            }
        }
        let by_graph: HashMap<usize, usize> = makers
            .iter()
            .filter_map(|&position| Some((self.survey.graph.position(&self.nodes[position].step.id)?, position)))
            .collect();
        for (from, dependant) in edges {
            if let Some(&to) = by_graph.get(&dependant) {
                self.edge(from, to);
            }
        }
        self.gate(&makers, ranks.into_values().rev().collect());
        for position in 0..self.nodes.len() {
            if self.nodes[position].phase == Phase::Pending(0) {
                self.ready
                    .push((self.nodes[position].priority, std::cmp::Reverse(position)));
            }
        }
    }

    fn edge(&mut self, from: usize, to: usize) {
        self.nodes[from].dependants.push(to);
        if let Phase::Pending(count) = &mut self.nodes[to].phase {
            *count += 1;
        }
    }

    /// Chains waves of nodes so that a wave starts when the one before it is through. Large waves meet in the
    /// first node of the later one, which keeps the number of edges linear.
    fn gate(&mut self, makers: &[usize], waves: Vec<Vec<usize>>) {
        let mut before: Vec<usize> = makers.to_vec();
        for wave in waves {
            let every = before.len().saturating_mul(wave.len()) <= 10_000;
            let Some((&first, fellows)) = wave.split_first() else {
                continue;
            };
            for &position in &before {
                self.edge(position, first);
                for &fellow in fellows.iter().filter(|_| every) {
                    self.edge(position, fellow);
                }
            }
            for &fellow in fellows.iter().filter(|_| !every) {
                self.edge(first, fellow);
            }
            before = wave;
        }
    }

    /// Runs to the end and reports.
    pub(super) async fn finish(mut self, events: &mut (dyn FnMut(Event) + Send)) -> Report {
        events(Event::Planned {
            steps: self.nodes.len(),
            unchanged: self.report.outcomes.len(),
        });
        self.follow_places();
        loop {
            self.start_ready(events).await;
            let waiting = !self.deadlines.is_empty() || !self.again.is_empty();
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
                Some(news) = self.followed.next(), if !self.followed.is_empty() => self.news(news, events),
                () = pause => {
                    let now = self.engine.clock().elapsed();
                    if now >= self.leases.next_heartbeat() {
                        self.leases.beat().await;
                    }
                    self.expire(now, events);
                }
            }
            if self.stop.is_raised() && self.writes.is_empty() {
                break;
            }
        }
        self.close(events);
        let outputs = |reference: &Reference| self.outputs.get(&reference.id)?.get(&reference.output).cloned();
        self.report.outputs = resolve(&self.approved.plan().request.outputs, &outputs);
        self.report
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
            return self.wait(position, "as an earlier run left it", false, events);
        }
        events(Event::Started { id, action });
        if deleting && matches!(action, Action::Create | Action::Delete) {
            return self.wait(position, "deletion", true, events);
        }
        self.write(position, Duration::ZERO, events);
    }

    /// Sends a write, after a pause when it is a repetition.
    fn write(&mut self, position: usize, pause: Duration, events: &mut (dyn FnMut(Event) + Send)) {
        let node = &self.nodes[position];
        let outputs = |reference: &Reference| self.outputs.get(&reference.id)?.get(&reference.output).cloned();
        let resolved = match node
            .resource
            .map(|resource| Resolved::new(resource, &outputs))
            .transpose()
        {
            Ok(resolved) => resolved,
            Err(unknown) => {
                let why = Error::new(ErrorKind::Internal, format!("{unknown} is still unknown"));
                return self.fail(position, why, events);
            }
        };
        let provider = match self.engine.provider(node.step.id.place()) {
            Ok(provider) => provider,
            Err(why) => return self.fail(position, why, events),
        };
        let job = Job {
            provider: &**provider,
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

    fn live(&self, position: usize) -> Option<&'a Live> {
        self.survey.live(&self.nodes[position].step.id)
    }

    fn written(&mut self, written: Written, events: &mut (dyn FnMut(Event) + Send)) {
        let position = written.node;
        let node = &self.nodes[position];
        match written.result {
            Err(why) => {
                let retry = match why.retry() {
                    Retry::After(pause) if node.tries < TRIES && self.leases.lost().is_none() => Some(pause),
                    _ => None,
                };
                match retry {
                    Some(pause) => {
                        let half_made = node.may_be_half_made(&why);
                        let after = if half_made {
                            WINDOW
                        } else {
                            (pause * 2_u32.pow(node.tries - 1)).min(PAUSE)
                        };
                        events(Event::Retrying {
                            id: node.step.id.clone(),
                            why,
                            after,
                        });
                        if half_made {
                            let until = self.engine.clock().elapsed() + after;
                            self.nodes[position].phase = Phase::Pending(0);
                            self.again.insert((until, position));
                        } else {
                            self.write(position, after, events);
                        }
                    }
                    None => self.fail(position, why, events),
                }
            }
            Ok(live) => {
                let removing = node.action == Action::Delete || (node.action == Action::Replace && !node.cleared);
                match (removing, live) {
                    (true, None) => self.gone(position, events),
                    (true, Some(_)) => self.wait(position, "deletion", true, events),
                    (false, live) => self.made(position, live, events),
                }
            }
        }
    }

    /// A create, update, adoption or release came back.
    fn made(&mut self, position: usize, live: Option<Live>, events: &mut (dyn FnMut(Event) + Send)) {
        let node = &mut self.nodes[position];
        let Some(live) = live else {
            return self.done(position, events);
        };
        if node.action == Action::Release {
            self.report.left.push(live);
            return self.done(position, events);
        }
        // Its open create stays on record until reads show it: a next run that does not see it must know of it.
        node.unseen = node.creates() && node.facts.create != Creation::Exclusive;
        let unseen = node.unseen;
        self.outputs.insert(live.id.clone(), live.outputs.clone());
        match live.state {
            State::Ready if unseen => self.wait(position, "reads to show it", false, events),
            State::Ready => self.done(position, events),
            State::Progressing { what } => self.wait(position, &what, false, events),
            // What the object said before this write need not be its last word.
            State::Failed { why } => self.wait(position, &why, false, events),
            State::Deleting { .. } => {
                let why =
                    Error::new(ErrorKind::Conflict, "it is being deleted").with_help("plan again when it is gone");
                self.fail(position, why, events);
            }
        }
    }

    fn gone(&mut self, position: usize, events: &mut (dyn FnMut(Event) + Send)) {
        match self.nodes[position].action {
            Action::Replace => {
                self.nodes[position].cleared = true;
                self.nodes[position].tries = 0;
                self.write(position, Duration::ZERO, events);
            }
            Action::Create => self.write(position, Duration::ZERO, events),
            _ => self.done(position, events),
        }
    }

    fn wait(&mut self, position: usize, on: &str, gone: bool, events: &mut (dyn FnMut(Event) + Send)) {
        let now = self.engine.clock().elapsed();
        let node = &mut self.nodes[position];
        let until = now + node.facts.patience;
        node.phase = Phase::Waiting { until, gone };
        on.clone_into(&mut node.on);
        events(Event::Waiting {
            id: node.step.id.clone(),
            on: on.to_owned(),
            since: now.saturating_sub(node.started),
            usually: node.facts.usually,
        });
        self.deadlines.insert((until, position));
        if let Some(interest) = self.interests.get(node.step.id.place()) {
            interest.add(node.step.id.clone());
        }
    }

    /// A provider told the state of an object.
    fn news(&mut self, news: Result<(ResourceId, Option<Live>)>, events: &mut (dyn FnMut(Event) + Send)) {
        let (id, live) = match news {
            Ok(news) => news,
            Err(why) => {
                return events(Event::Warning {
                    text: format!("states are late: {why}"),
                });
            }
        };
        let Some(&position) = self.index.get(&id) else { return };
        let Phase::Waiting { until, gone } = self.nodes[position].phase else {
            return;
        };
        let state = live.as_ref().map(|live| live.state.clone());
        if self.nodes[position].unseen && !gone {
            if live.is_none() {
                return; // not shown yet
            }
            self.nodes[position].unseen = false;
            self.leases.settle(&id);
        }
        match (gone, state) {
            (true, None) => {
                self.arrived(position, until);
                self.gone(position, events);
            }
            (true, Some(State::Deleting { blocked_by })) if !blocked_by.is_empty() => {
                self.still(position, format!("deletion, held by {}", blocked_by.join(", ")), events);
            }
            (true, Some(State::Deleting { .. })) => {}
            (true, Some(_)) => {
                let same = live.is_some_and(|live| Some(&live.uid) == self.nodes[position].step.uid.as_ref());
                if !same {
                    // What was to go is gone, but what depends on that (its namespace) must not take the new one along.
                    self.arrived(position, until);
                    let why = Error::new(ErrorKind::Conflict, "somebody made it anew while it was being deleted")
                        .with_help("find out who, then plan again");
                    self.fail(position, why, events);
                }
            }
            (false, Some(State::Ready)) => {
                self.arrived(position, until);
                if let Some(live) = live {
                    self.outputs.insert(live.id.clone(), live.outputs);
                }
                self.done(position, events);
            }
            (false, Some(State::Progressing { what })) => self.still(position, what, events),
            (false, Some(State::Failed { why })) => {
                self.arrived(position, until);
                self.fail(position, Error::new(ErrorKind::Failed, why), events);
            }
            (false, Some(State::Deleting { .. }) | None) => {
                self.arrived(position, until);
                let why = Error::new(ErrorKind::Conflict, "it was deleted while it was waited for")
                    .with_help("find out who deletes it, then run again");
                self.fail(position, why, events);
            }
        }
    }

    fn still(&mut self, position: usize, on: String, events: &mut (dyn FnMut(Event) + Send)) {
        let now = self.engine.clock().elapsed();
        let node = &mut self.nodes[position];
        if node.on != on {
            node.on.clone_from(&on);
            events(Event::Waiting {
                id: node.step.id.clone(),
                on,
                since: now.saturating_sub(node.started),
                usually: node.facts.usually,
            });
        }
    }

    fn arrived(&mut self, position: usize, until: Duration) {
        self.deadlines.remove(&(until, position));
        let id = &self.nodes[position].step.id;
        if let Some(interest) = self.interests.get(id.place()) {
            interest.remove(id);
        }
    }

    fn expire(&mut self, now: Duration, events: &mut (dyn FnMut(Event) + Send)) {
        while let Some(&(until, position)) = self.again.first()
            && until <= now
        {
            self.again.remove(&(until, position));
            let priority = self.nodes[position].priority;
            self.ready.push((priority, std::cmp::Reverse(position)));
        }
        while let Some(&(until, position)) = self.deadlines.first() {
            if until > now {
                break;
            }
            self.arrived(position, until);
            let node = &self.nodes[position];
            let patience = node.facts.patience.as_secs();
            let why = Error::new(ErrorKind::Timeout, format!("not there after {patience} s: {}", node.on))
                .with_help("look at the object; run again to go on waiting");
            self.fail(position, why, events);
        }
    }

    fn done(&mut self, position: usize, events: &mut (dyn FnMut(Event) + Send)) {
        let now = self.engine.clock().elapsed();
        let node = &mut self.nodes[position];
        node.phase = Phase::Done;
        let (id, action) = (node.step.id.clone(), node.action);
        events(Event::Done {
            id: id.clone(),
            action,
            took: now.saturating_sub(node.started),
        });
        self.report.outcomes.insert(id, Outcome::Done(action));
        for dependant in std::mem::take(&mut self.nodes[position].dependants) {
            if let Phase::Pending(count) = &mut self.nodes[dependant].phase {
                *count -= 1;
                if *count == 0 {
                    self.ready
                        .push((self.nodes[dependant].priority, std::cmp::Reverse(dependant)));
                }
            }
        }
    }

    fn fail(&mut self, position: usize, why: Error, events: &mut (dyn FnMut(Event) + Send)) {
        let because = self.nodes[position].step.id.clone();
        self.nodes[position].phase = Phase::Failed;
        events(Event::Failed {
            id: because.clone(),
            why: why.clone(),
        });
        self.report.outcomes.insert(because.clone(), Outcome::Failed(why));
        let mut queue = std::mem::take(&mut self.nodes[position].dependants);
        while let Some(dependant) = queue.pop() {
            let node = &mut self.nodes[dependant];
            if matches!(node.phase, Phase::Pending(_)) {
                node.phase = Phase::Skipped;
                queue.append(&mut node.dependants);
                let id = node.step.id.clone();
                events(Event::Skipped {
                    id: id.clone(),
                    because: because.clone(),
                });
                self.report.outcomes.insert(id, Outcome::Skipped(because.clone()));
            }
        }
    }

    /// What a stop left untouched is not done.
    fn close(&mut self, events: &mut (dyn FnMut(Event) + Send)) {
        for position in 0..self.nodes.len() {
            if !matches!(self.nodes[position].phase, Phase::Done | Phase::Failed | Phase::Skipped) {
                let why =
                    Error::new(ErrorKind::Cancelled, "stopped before it was done").with_help("run again to continue");
                self.nodes[position].dependants.clear();
                self.fail(position, why, events);
            }
        }
    }
}
