//! A cluster and what runs in it, in one plan: two worlds, the second of which comes to be with an object of the first.

use crate::stage::{everything, kind_of, nothing, plan_and_apply};
use async_trait::async_trait;
use libtest_mimic::Trial;
use platform_core::engine::{Action, Approvals, Engine, Event, Outcome, Plan, PlanRequest, Report};
use platform_core::testing::{Driven, Faults, ManualClock, Side, World, fixtures, kinds};
use platform_core::value::{Clock, Kind, Place, ResourceId};
use platform_core::{Charset, Connect, Creation, Error, ErrorKind, KindFacts, NameRule, OnRemoval, Owner, Provider};
use platform_core::{Resource, Result, Updating};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) fn trials() -> Vec<Trial> {
    [
        ("a_cluster_and_its_contents_are_one_plan", one_plan as fn()),
        ("a_killed_run_converges", a_killed_run_converges),
        ("contents_go_before_their_cluster", contents_go_before_their_cluster),
        (
            "a_gone_cluster_takes_its_contents_along",
            a_gone_cluster_takes_its_contents_along,
        ),
        ("a_cluster_of_kept_data_is_kept", a_cluster_of_kept_data_is_kept),
        (
            "an_unreachable_cluster_fails_its_steps_only",
            an_unreachable_cluster_fails_its_steps_only,
        ),
        (
            "what_cannot_be_reached_is_never_absent",
            what_cannot_be_reached_is_never_absent,
        ),
    ]
    .into_iter()
    .map(|(name, run)| crate::trial(&format!("later::{name}"), run))
    .collect()
}

const CLUSTER: &KindFacts = &KindFacts {
    kind: "test.Cluster",
    rank: 30,
    name: NameRule {
        max: 100,
        charset: Charset::AwsIdentifier,
    },
    create: Creation::Exclusive,
    update: Updating::WhenSettled,
    patience: Duration::from_mins(30),
    usually: Duration::from_mins(10),
    outputs: &["endpoint"],
    ..*kinds::CONFIG
};

fn cloud_kinds(kind: &Kind) -> Option<&'static KindFacts> {
    if kind.as_str() == CLUSTER.kind {
        Some(CLUSTER)
    } else {
        kinds::facts(kind)
    }
}

fn inside(text: &str) -> ResourceId {
    format!("k8s/inner:{text}").parse().unwrap()
}

fn cluster() -> ResourceId {
    fixtures::id("test.Cluster/main")
}

/// Every cluster there ever was, by its endpoint.
#[derive(Clone, Debug)]
struct Clusters {
    clock: ManualClock,
    worlds: Arc<Mutex<BTreeMap<String, World>>>,
    /// Why none can be reached.
    down: Arc<Mutex<Option<ErrorKind>>>,
}

impl Clusters {
    fn at(&self, endpoint: &str) -> World {
        let mut worlds = self.worlds.lock().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let made = || {
            let identity = platform_core::value::PlaceIdentity(format!("cluster at {endpoint}"));
            World::new(Place::new("k8s/inner").unwrap(), kinds::facts, clock).with_identity(identity)
        };
        worlds.entry(endpoint.to_owned()).or_insert_with(made).clone()
    }
}

/// A process's way to them.
#[derive(Debug)]
struct Way {
    clusters: Clusters,
    faults: Faults,
}

#[async_trait]
impl Connect for Way {
    async fn connect(&self, outputs: &BTreeMap<String, Value>) -> Result<Arc<dyn Provider>> {
        if let Some(kind) = *self.clusters.down.lock().unwrap() {
            return Err(Error::new(kind, "no route to the cluster"));
        }
        let endpoint = outputs["endpoint"].as_str().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(self.clusters.clock.clone());
        Ok(self.faults.around(Arc::new(self.clusters.at(endpoint)), clock))
    }
}

struct Stage {
    clock: ManualClock,
    cloud: World,
    clusters: Clusters,
}

impl Stage {
    fn new() -> Self {
        let clock = ManualClock::new();
        let cloud = World::new(fixtures::place(), cloud_kinds, Arc::new(clock.clone()));
        let clusters = Clusters {
            clock: clock.clone(),
            worlds: Arc::default(),
            down: Arc::default(),
        };
        Self { clock, cloud, clusters }
    }

    fn process(&self, faults: &Faults) -> Engine {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let way = Way {
            clusters: self.clusters.clone(),
            faults: faults.clone(),
        };
        Engine::builder(Arc::clone(&clock))
            .provider(faults.around(Arc::new(self.cloud.clone()), clock))
            .later(Place::new("k8s/inner").unwrap(), cluster(), kinds::facts, Arc::new(way))
            .lease_ttl(Duration::from_secs(4))
            .build()
    }

    fn run(
        &self,
        faults: &Faults,
        request: &PlanRequest,
        consent: &dyn Fn(&Plan) -> Approvals,
    ) -> Driven<Result<Report>> {
        plan_and_apply(&self.clock, &self.process(faults), faults, request, consent)
    }

    fn settle(&self, request: &PlanRequest, consent: &dyn Fn(&Plan) -> Approvals) -> Report {
        let report = self
            .run(&Faults::none(), request, consent)
            .done()
            .expect("stalled")
            .unwrap();
        assert!(report.is_success(), "{:?}", report.outcomes);
        report
    }

    fn plan(&self, request: &PlanRequest) -> Plan {
        let engine = self.process(&Faults::none());
        self.clock.drive(engine.plan(request)).done().expect("stalled").unwrap()
    }

    fn apply(&self, plan: &Plan, events: &mut (dyn FnMut(Event) + Send)) -> Result<Report> {
        let engine = self.process(&Faults::none());
        let approvals = everything(plan);
        self.clock
            .drive(engine.apply(plan, &approvals, events))
            .done()
            .expect("stalled")
    }

    /// The cluster that stands now.
    fn inner(&self) -> Option<World> {
        let uid = self.cloud.uid(&cluster())?;
        Some(self.clusters.at(&format!("endpoint-{uid}")))
    }
}

/// A key, a cluster, and in it a namespace with a config and a workload.
fn request() -> PlanRequest {
    let containers = json!([{"name": "app", "image": "app:1", "memory": "1Gi"}]);
    let home = inside("Namespace/app");
    let config = inside("ConfigMap/app/settings");
    PlanRequest {
        resources: vec![
            Resource::new(
                fixtures::id("ConfigMap/account"),
                "foundation",
                json!({"data": {"value": "1"}}),
            ),
            Resource::new(cluster(), "foundation", json!({"version": "1.35"})),
            Resource::new(home.clone(), "app", json!({})),
            Resource::new(config.clone(), "app", json!({"data": {"value": "1"}})).with_after(home),
            Resource::new(
                inside("StatefulSet.apps/app/main"),
                "app",
                json!({"spec": {"selector": "app", "containers": containers}}),
            )
            .with_after(config),
        ],
        outputs: json!({"endpoint": platform_core::value::Reference::new(cluster(), "endpoint").to_value()}),
        ..PlanRequest::destroy(fixtures::set())
    }
}

fn actions(plan: &Plan) -> Vec<Action> {
    plan.steps.iter().map(|step| step.action).collect()
}

fn one_plan() {
    let stage = Stage::new();
    let plan = stage.plan(&request());
    assert_eq!(actions(&plan), [Action::Create; 5]);
    assert_eq!(plan.places.len(), 1, "who the cluster is will be known after apply");
    for step in &plan.steps {
        let later = step.id.place() != &fixtures::place();
        assert_eq!(step.unverified.is_some(), later, "{step:?}");
    }
    let mut started = Vec::new();
    let report = stage
        .apply(&plan, &mut |event| {
            if let Event::Started { id, .. } = event {
                started.push((id, stage.clock.elapsed()));
            }
        })
        .unwrap();
    assert!(report.is_success(), "{:?}", report.outcomes);
    let early = started
        .iter()
        .filter(|(id, at)| id.place() != &fixtures::place() && *at < CLUSTER.usually);
    assert_eq!(early.count(), 0, "{started:?}");
    let inner = stage.inner().unwrap();
    assert_eq!((stage.cloud.ids().len(), inner.ids().len()), (2, 3));
    let uid = stage.cloud.uid(&cluster()).unwrap();
    assert_eq!(report.outputs, json!({"endpoint": format!("endpoint-{uid}")}));
    // Proved when it connected, recorded then.
    let place = Place::new("k8s/inner").unwrap();
    let proved = report.places[&place].clone();
    // Each place has a lease of its own, and gives it back.
    assert_eq!((inner.calls()["acquire"], inner.calls()["release lease"]), (1, 1));
    // Now it is a place like any other: nothing to do, not one write.
    let again = stage.plan(&request());
    assert_eq!(again.places[&place], proved);
    assert!(again.is_empty(), "{:?}", again.changes().collect::<Vec<_>>());
    let writes = (stage.cloud.writes(), inner.writes());
    stage.settle(&request(), &nothing);
    assert_eq!((stage.cloud.writes(), inner.writes()), writes);
    // The first plan still applies, as one whose outcome holds; with another cluster behind the name the second does not.
    assert_eq!(stage.apply(&plan, &mut |_| {}).unwrap().writes, 0);
    stage.cloud.remove(&cluster());
    stage.settle(&request(), &nothing);
    assert_eq!(kind_of(stage.apply(&again, &mut |_| {})), ErrorKind::WrongPlace);
}

fn a_killed_run_converges() {
    let bound = |change: &dyn Fn(&Stage), request: &PlanRequest| {
        let stage = Stage::new();
        change(&stage);
        let counting = Faults::none();
        stage.run(&counting, request, &everything).done().unwrap().unwrap();
        counting.calls()
    };
    let destroy = PlanRequest::destroy(fixtures::set());
    let stands = |stage: &Stage| {
        stage.settle(&request(), &nothing);
    };
    let mut killed = 0;
    for (before, request, left) in [
        (&(|_: &Stage| {}) as &dyn Fn(&Stage), request(), (2, 3)),
        (&stands, destroy, (0, 0)),
    ] {
        let calls = bound(before, &request);
        assert!(calls > 15, "{calls}");
        for n in 1..=calls {
            for side in [Side::Before, Side::After] {
                let stage = Stage::new();
                before(&stage);
                let faults = Faults::none().kill_at(n, side);
                stage.run(&faults, &request, &everything);
                killed += u32::from(faults.is_dead());
                stage.settle(&request, &everything);
                let inner = stage.inner();
                let found = (
                    stage.cloud.ids().len(),
                    inner.as_ref().map_or(0, |inner| inner.ids().len()),
                );
                assert_eq!(found, left, "call {n} {side:?}");
                assert!(stage.plan(&request).is_empty(), "call {n} {side:?}");
                let made = stage.clusters.worlds.lock().unwrap().len();
                assert!(made <= 1, "call {n} {side:?}: {made} clusters");
            }
        }
    }
    assert!(killed > 60, "{killed}");
}

fn contents_go_before_their_cluster() {
    let stage = Stage::new();
    stage.settle(&request(), &nothing);
    let inner = stage.inner().unwrap();
    let plan = stage.plan(&PlanRequest::destroy(fixtures::set()));
    let report = stage
        .apply(&plan, &mut |event| {
            if matches!(&event, Event::Started { id, .. } if *id == cluster()) {
                assert_eq!(inner.ids().len(), 0, "contents first");
                assert_eq!(inner.calls()["release lease"], 2, "its lease goes before it");
            }
            assert!(!matches!(event, Event::Warning { .. }), "{event:?}");
        })
        .unwrap();
    assert!(report.is_success(), "{:?}", report.outcomes);
    assert_eq!((report.left.len(), report.unseen.len()), (0, 0));
    assert_eq!(stage.cloud.ids().len(), 0);
}

fn a_gone_cluster_takes_its_contents_along() {
    let stage = Stage::new();
    stage.settle(&request(), &nothing);
    let planned = stage.plan(&PlanRequest::destroy(fixtures::set()));
    stage.cloud.remove(&cluster());
    let report = stage.apply(&planned, &mut |_| {}).unwrap();
    assert!(report.is_success(), "{:?}", report.outcomes);
    assert_eq!(stage.cloud.ids().len(), 0);
    // Asked for again, all of it is made anew.
    stage.settle(&request(), &nothing);
    assert_eq!(stage.inner().unwrap().ids().len(), 3);
}

fn a_cluster_of_kept_data_is_kept() {
    let stage = Stage::new();
    let volume = inside("PersistentVolumeClaim/app/data");
    let mut with_data = request();
    with_data.resources.push(
        Resource::new(volume.clone(), "app", json!({"spec": {"size": "1Gi"}}))
            .with_on_removal(OnRemoval::Retain)
            .with_after(inside("Namespace/app")),
    );
    stage.settle(&with_data, &nothing);
    let inner = stage.inner().unwrap();
    inner.seed_data(&volume, &["row"]).unwrap();
    for _ in 0..2 {
        stage.settle(&PlanRequest::destroy(fixtures::set()), &nothing);
        assert_eq!(inner.data(&volume).map(|rows| rows.len()), Some(1));
        assert_eq!(stage.cloud.owner(&fixtures::set(), &cluster()), Some(Owner::Retained));
    }
    // A replacement would take it along, too: asked for again, it is adopted.
    stage.settle(&with_data, &nothing);
    assert_eq!(inner.data(&volume).map(|rows| rows.len()), Some(1));
}

fn an_unreachable_cluster_fails_its_steps_only() {
    let stage = Stage::new();
    *stage.clusters.down.lock().unwrap() = Some(ErrorKind::Forbidden);
    let plan = stage.plan(&request());
    let report = stage.apply(&plan, &mut |_| {}).unwrap();
    let count = |wanted: fn(&Outcome) -> bool| report.outcomes.values().filter(|outcome| wanted(outcome)).count();
    assert_eq!(count(|outcome| matches!(outcome, Outcome::Done(_))), 2);
    assert_eq!(count(|outcome| matches!(outcome, Outcome::Failed(_))), 1);
    assert_eq!(count(|outcome| matches!(outcome, Outcome::Skipped(_))), 2);
    let (_, why) = report.failures().next().unwrap();
    assert!(why.report().contains("no route to the cluster"), "{}", why.report());
    *stage.clusters.down.lock().unwrap() = None;
    stage.settle(&request(), &nothing);
    assert_eq!(stage.inner().unwrap().ids().len(), 3);
}

fn what_cannot_be_reached_is_never_absent() {
    let stage = Stage::new();
    stage.settle(&request(), &nothing);
    *stage.clusters.down.lock().unwrap() = Some(ErrorKind::Unavailable);
    let plan = stage.plan(&request());
    assert_eq!(plan.counts().blocked, 3);
    let destroy = stage.plan(&PlanRequest::destroy(fixtures::set()));
    assert_eq!(destroy.step(&cluster()).unwrap().action, Action::Blocked);
    assert_eq!(kind_of(stage.apply(&destroy, &mut |_| {})), ErrorKind::Blocked);
}
