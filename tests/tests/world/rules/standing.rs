//! Rules for objects that are there already: busy, unstamped, renamed, to be removed with a snapshot.

use crate::stage::{Stage, everything, kind_of, nothing};
use platform_core::engine::{Action, ApplyOptions, Approvals, Cause, Event, Outcome, PlanRequest, Report, Stop};
use platform_core::testing::fixtures::{self, Wishes, id};
use platform_core::testing::{Faults, kinds};
use platform_core::value::{Clock as _, FieldPath, Kind, ResourceId};
use platform_core::{ErrorKind, Holds, KindFacts, OnRemoval, Owner, Resource, Risk, Updating};
use serde_json::{Value, json};
use std::time::Duration;

fn request(resources: impl IntoIterator<Item = Resource>) -> PlanRequest {
    PlanRequest {
        resources: resources.into_iter().collect(),
        ..Wishes::default().request()
    }
}

/// Applies and stops as soon as an object is waited for: it is left on its way.
fn interrupted(stage: &Stage, request: &PlanRequest) {
    let plan = stage.plan(request).unwrap();
    let engine = stage.process(&Faults::none());
    let stop = Stop::new();
    let options = ApplyOptions::default().with_stop(stop.clone());
    let mut events = |event| {
        if matches!(event, Event::Waiting { .. }) {
            stop.raise();
        }
    };
    let approvals = Approvals::none();
    let applied = engine.apply_with(&plan, &approvals, &options, &mut events);
    stage.clock.drive(applied).done().unwrap().unwrap();
}

/// Applies and tells what was heard of an object, and for how long it was waited for.
fn heard(stage: &Stage, request: &PlanRequest, id: &ResourceId) -> (Report, Vec<&'static str>, Duration) {
    let plan = stage.plan(request).unwrap();
    assert_eq!(plan.step(id).unwrap().action, Action::Update);
    let (start, mut words) = (stage.clock.elapsed(), Vec::new());
    let report = stage
        .apply_telling(&plan, &Approvals::none(), &mut |event| match event {
            Event::Started { id: of, .. } if of == *id => words.push("started"),
            Event::Waiting { id: of, .. } if of == *id => words.push("waiting"),
            Event::Done { id: of, .. } if of == *id => words.push("done"),
            Event::Failed { id: of, .. } if of == *id => words.push("failed"),
            _ => {}
        })
        .unwrap();
    (report, words, stage.clock.elapsed().saturating_sub(start))
}

/// An object as AWS has them: it takes its time, and no change meanwhile.
const INSTANCE: &KindFacts = &KindFacts {
    kind: "test.Instance",
    update: Updating::WhenSettled,
    usually: Duration::from_secs(3),
    taken: "",
    ..*kinds::CONFIG
};

fn instances(kind: &Kind) -> Option<&'static KindFacts> {
    if kind.as_str() == INSTANCE.kind {
        Some(INSTANCE)
    } else {
        kinds::facts(kind)
    }
}

fn instance(size: u32) -> Resource {
    Resource::new(id("test.Instance/main"), "database", json!({"size": size}))
}

/// The world refuses the change of an instance that is not ready, as such APIs do.
pub(super) fn an_update_waits_where_the_api_takes_none_meanwhile() {
    let stage = Stage::of(fixtures::place(), instances, fixtures::set());
    let main = instance(5).id;
    interrupted(&stage, &request([instance(5)]));
    assert!(!stage.world.is_ready(&main));
    let (report, words, took) = heard(&stage, &request([instance(6)]), &main);
    assert!(report.is_success(), "{:?}", report.outcomes);
    assert_eq!(words, ["started", "waiting", "done"]);
    assert!(took >= INSTANCE.usually, "{took:?}");
    // A failed one is not waited for: the change may be the cure.
    stage.world.fail(&main, Some("out of capacity"));
    let (report, words, _) = heard(&stage, &request([instance(7)]), &main);
    assert!(report.is_success(), "{:?}", report.outcomes);
    assert_eq!(words, ["started", "done"]);
    assert!(stage.world.is_ready(&main));
}

pub(super) fn waiting_to_update_ends_with_the_kinds_patience() {
    let stage = Stage::of(fixtures::place(), instances, fixtures::set());
    let slow = stage.world.clone().with_pace(10_000);
    let (main, size) = (instance(5).id, FieldPath::from("size"));
    interrupted(&stage, &request([instance(5)]));
    let (report, words, took) = heard(&stage, &request([instance(6)]), &main);
    assert_eq!(words, ["started", "waiting", "failed"]);
    assert!(took >= INSTANCE.patience && took < INSTANCE.patience * 2, "{took:?}");
    let Outcome::Failed(why) = &report.outcomes[&main] else {
        panic!("{:?}", report.outcomes);
    };
    assert_eq!(why.kind(), ErrorKind::Timeout);
    assert_eq!(slow.field(&main, &size), Some(json!(5)));
}

/// A workload whose image cannot start never becomes ready: only the update can help.
pub(super) fn an_update_goes_out_at_once_where_the_api_takes_it() {
    let workload = |image: &str| {
        let containers = json!([{"name": "app", "image": image, "memory": "1Gi"}]);
        let desired = json!({"spec": {"selector": "app", "containers": containers}});
        Resource::new(id("StatefulSet.apps/app"), "app", desired)
    };
    let stage = Stage::new();
    let world = stage.world.clone().with_pace(1_000_000);
    interrupted(&stage, &request([workload("wrong:1")]));
    assert!(!world.is_ready(&workload("").id));
    let world = world.with_pace(100);
    let (report, words, _) = heard(&stage, &request([workload("right:1")]), &workload("").id);
    assert!(report.is_success(), "{:?}", report.outcomes);
    assert_eq!(words, ["started", "waiting", "done"]);
    assert!(world.is_ready(&workload("").id));
}

/// The snapshot keeps the data, but the running instance does not come back.
pub(super) fn a_removal_with_a_snapshot_is_asked_for() {
    let bucket = Resource::new(id("test.Bucket/precious"), "storage", json!({"versioning": true}))
        .with_on_removal(OnRemoval::Snapshot);
    let stage = Stage::new();
    stage.settle(&request([bucket.clone()]), &nothing).unwrap();
    stage.world.seed_data(&bucket.id, &["row"]).unwrap();
    for without in [request([]), PlanRequest::destroy(fixtures::set())] {
        let plan = stage.plan(&without).unwrap();
        assert_eq!(plan.step(&bucket.id).unwrap().action, Action::Delete);
        let demands: Vec<_> = plan
            .demands()
            .iter()
            .map(|demand| (demand.risk, demand.optional))
            .collect();
        assert_eq!(demands, [(Risk::Irreversible, false)]);
        assert_eq!(kind_of(stage.apply(&plan, &Approvals::none())), ErrorKind::Unapproved);
        assert_eq!(stage.world.data(&bucket.id).map(|rows| rows.len()), Some(1));
    }
    let plan = stage.plan(&request([])).unwrap();
    assert!(stage.apply(&plan, &everything(&plan)).unwrap().is_success());
    assert_eq!(stage.world.losses(), []);
    assert_eq!(stage.world.snapshots().len(), 1);
    // What holds nothing that lasts goes without a question.
    let cache = bucket.with_holds(Holds::Rebuildable);
    stage.settle(&request([cache]), &nothing).unwrap();
    stage.settle(&request([]), &nothing).unwrap();
}

/// An older version did not stamp it, or somebody took the stamp away.
pub(super) fn a_missing_stamp_is_added_and_the_stricter_counts_until_then() {
    let config = id("ConfigMap/keys");
    let desired = json!({"data": {"value": "1"}});
    let wish = |holds| Resource::new(config.clone(), "settings", desired.clone()).with_holds(holds);
    // By its kind it holds nothing.
    let stage = Stage::new();
    stage.world.plant(&fixtures::set(), &Owner::ThisSet, &config, &desired);
    let plan = stage.plan(&request([wish(Holds::Durable)])).unwrap();
    let step = plan.step(&config).unwrap();
    assert_eq!((step.action, step.holds), (Action::Update, Holds::Durable));
    let [change] = &step.changes[..] else {
        panic!("{:?}", step.changes);
    };
    assert_eq!((&change.before, change.risk), (&None, None));
    assert_eq!(change.path.to_string(), "\"mlplat.dev\".holds");
    assert!(stage.apply(&plan, &Approvals::none()).unwrap().is_success());
    let stamped = stage.shape()[&config][0].holds;
    assert_eq!(stamped, Some(Holds::Durable));
    let writes = stage.world.writes();
    stage.settle(&request([wish(Holds::Durable)]), &nothing).unwrap();
    assert_eq!(stage.world.writes(), writes, "no needless write");
    assert_eq!(
        stage.plan(&request([])).unwrap().step(&config).unwrap().action,
        Action::Release
    );
    // By its kind it holds data; a stamp that says less is a lower protection.
    let stage = Stage::new();
    let volume = id("PersistentVolumeClaim/data");
    let fields = json!({"spec": {"size": "1Gi", "class": "fast"}});
    stage.world.plant(&fixtures::set(), &Owner::ThisSet, &volume, &fields);
    let cache = Resource::new(volume.clone(), "cache", fields).with_holds(Holds::Rebuildable);
    let plan = stage.plan(&request([cache])).unwrap();
    let step = plan.step(&volume).unwrap();
    assert_eq!((step.action, step.holds), (Action::Update, Holds::Durable));
    assert_eq!(step.risks, [Risk::LowersProtection].into());
    assert_eq!(kind_of(stage.apply(&plan, &Approvals::none())), ErrorKind::Unapproved);
}

fn renamed(old: &Resource, name: &str) -> Resource {
    let mut new = Resource {
        id: id(name),
        ..old.clone()
    };
    new.formerly.insert(old.id.clone());
    new
}

pub(super) fn what_was_renamed_is_made_anew_before_the_old_one_goes() {
    let workload = |image: &str| {
        let containers = json!([{"name": "app", "image": image, "memory": "1Gi"}]);
        let desired = json!({"spec": {"selector": "app", "containers": containers}});
        Resource::new(id("StatefulSet.apps/old"), "app", desired)
    };
    let stage = Stage::new();
    stage.settle(&request([workload("app:1")]), &nothing).unwrap();
    let new = renamed(&workload("app:1"), "StatefulSet.apps/new");
    let plan = stage.plan(&request([new.clone()])).unwrap();
    let told: Vec<_> = plan
        .changes()
        .map(|step| (step.id.clone(), step.action, step.cause))
        .collect();
    let old = workload("").id;
    assert_eq!(
        told,
        [
            (new.id.clone(), Action::Create, Cause::Renamed),
            (old.clone(), Action::Delete, Cause::Renamed)
        ]
    );
    let world = stage.world.clone();
    let report = stage
        .apply_telling(&plan, &Approvals::none(), &mut |event| {
            if matches!(&event, Event::Started { id, .. } if *id == old) {
                assert!(world.is_ready(&new.id), "the old one goes only then");
            }
        })
        .unwrap();
    assert!(report.is_success(), "{:?}", report.outcomes);
    assert_eq!(stage.world.ids(), [new.id.clone()].into());
    assert!(stage.plan(&request([new])).unwrap().is_empty());
}

/// Neither owned nor retained data is left behind by a new, empty object under another name.
pub(super) fn renamed_data_is_never_left_behind() {
    let old = Resource::new(id("test.Bucket/old"), "storage", json!({"versioning": true}));
    let new = renamed(&old, "test.Bucket/new");
    let stage = Stage::new();
    stage.settle(&request([old.clone()]), &nothing).unwrap();
    stage.world.seed_data(&old.id, &["row"]).unwrap();
    for owner in [Owner::ThisSet, Owner::Retained] {
        if owner == Owner::Retained {
            stage.settle(&request([]), &nothing).unwrap();
        }
        assert_eq!(stage.world.owner(&fixtures::set(), &old.id), Some(owner));
        let plan = stage.plan(&request([new.clone()])).unwrap();
        let step = plan.step(&new.id).unwrap();
        assert_eq!(step.action, Action::Blocked);
        let blocked = step.blocked.as_ref().unwrap();
        assert!(
            blocked.why.contains("Bucket old") && blocked.help.contains("names:"),
            "{blocked:?}"
        );
        let before = stage.world.writes();
        assert_eq!(kind_of(stage.apply(&plan, &everything(&plan))), ErrorKind::Blocked);
        assert_eq!(stage.world.writes(), before);
    }
    // Kept under its old name it goes on.
    stage.settle(&request([old.clone()]), &nothing).unwrap();
    assert_eq!(stage.world.data(&old.id).map(|rows| rows.len()), Some(1));
    // A name that cannot be read may hide it.
    stage.world.forbid(old.id.kind(), None);
    let elsewhere = Resource {
        id: id("ConfigMap/new"),
        desired: json!({"data": Value::Null}).into(),
        ..new
    };
    let plan = stage.plan(&request([elsewhere.clone()])).unwrap();
    assert_eq!(plan.step(&elsewhere.id).unwrap().action, Action::Blocked);
}
