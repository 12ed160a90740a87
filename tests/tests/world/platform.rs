//! The platform of the example config, planned from its file, on the world: killed before and after every call. With
//! monitoring the platform is more than half as large again, and kills cost the square of that: they are a sample.

use crate::crash::{Scenario, exhaust, sample};
use crate::stage::{LAG, Stage, everything, nothing};
use composition::Platform;
use composition::config::PlatformConfig;
use composition::kubernetes::Kubernetes;
use libtest_mimic::Trial;
use platform_core::engine::{Action, Approvals, Plan, PlanRequest};
use platform_core::value::{Place, ResourceId, SetId};
use platform_core::{ErrorKind, Risk};
use std::sync::Arc;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial("platform::apply_killed_anywhere", || {
            let empty = empty().world.snapshot().unwrap();
            exhaust(&scenario("apply", empty, request(&edited(&[UNWATCHED])), nothing), None).unwrap();
        }),
        crate::trial("platform::whole_killed_here_and_there", || {
            let empty = empty().world.snapshot().unwrap();
            sample(&scenario("apply of all", empty, request(EXAMPLE), nothing), LIVES).unwrap();
        }),
        crate::trial("platform::monitoring_joins_killed_here_and_there", || {
            let joins = scenario("monitoring joins", standing(), request(EXAMPLE), other_peers);
            sample(&joins, LIVES).unwrap();
        }),
        crate::trial("platform::monitoring_leaves_killed_here_and_there", || {
            let start = standing_as(EXAMPLE);
            let leaves = scenario("monitoring leaves", start, request(&edited(&[UNWATCHED])), nothing);
            sample(&leaves, LIVES).unwrap();
        }),
        crate::trial("platform::whole_destroy_killed_here_and_there", || {
            let destroy = scenario(
                "destroy of all",
                standing_as(EXAMPLE),
                PlanRequest::destroy(set()),
                nothing,
            );
            sample(&destroy, LIVES).unwrap();
        }),
        crate::trial("platform::smaller_killed_anywhere", || {
            let request = request(&edited(&SMALLER));
            exhaust(&scenario("change to less", standing(), request, less_protected), None).unwrap();
        }),
        crate::trial("platform::larger_killed_anywhere", larger_killed_anywhere),
        crate::trial("platform::destroy_killed_anywhere", || {
            let request = PlanRequest::destroy(set());
            exhaust(&scenario("destroy", standing(), request, nothing), None).unwrap();
        }),
        crate::trial(
            "platform::approved_destroy_killed_anywhere",
            approved_destroy_killed_anywhere,
        ),
        crate::trial(
            "platform::another_major_version_moves_beside_its_data",
            another_major_version,
        ),
        crate::trial("platform::what_does_not_fit_is_shown_in_the_file", what_does_not_fit),
        crate::trial("platform::backups_end_with_an_approval", backups_end_with_an_approval),
    ]
}

pub(crate) const EXAMPLE: &str = include_str!("../../../examples/config/local.yaml");

/// How often a sample dies.
const LIVES: usize = 16;

/// The example without monitoring.
const UNWATCHED: (&str, &str) = (
    "monitoring:\n  alerts: { connections: 80%, errors: 5%, utilisation: 85% }\n",
    "",
);

/// More connections, and no cache.
const SMALLER: [(&str, &str); 4] = [
    UNWATCHED,
    ("max_connections: 200", "max_connections: 210"),
    ("cache: { memory: 256Mi }", ""),
    ("[database, cache, storage]", "[database, storage]"),
];

/// Larger volumes, another version of the cache, a bucket more, stricter pods.
const LARGER: [(&str, &str); 6] = [
    UNWATCHED,
    ("storage: 10Gi", "storage: 30Gi"),
    ("capacity: 20Gi", "capacity: 50Gi"),
    ("cache: { memory: 256Mi }", "cache: { memory: 256Mi, version: \"8\" }"),
    (
        "- { name: models }",
        "- { name: models }\n    - { name: logs, expire: 14d }",
    ),
    ("pod_security: baseline", "pod_security: restricted"),
];

/// The example with other texts in it.
pub(crate) fn edited(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(EXAMPLE.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "the example config no longer says {old}");
        text.replace(old, new)
    })
}

fn larger_killed_anywhere() {
    let scenario = scenario("change to more", standing(), request(&edited(&LARGER)), nothing);
    let stage = empty().restored(&scenario.start);
    let plan = stage.plan(&scenario.request).unwrap();
    let changed = |kind: &str, path: &str| {
        let mut changes = plan.changes().filter(|step| step.id.kind().as_str() == kind);
        changes.any(|step| step.changes.iter().any(|change| change.path.to_string().contains(path)))
    };
    assert!(changed("PersistentVolumeClaim", "requests.storage"), "no volume grows");
    assert!(changed("StatefulSet.apps", "image"), "no other version");
    exhaust(&scenario, None).unwrap();
}

/// Everything goes, the data with it: each object's loss approved by its uid.
fn approved_destroy_killed_anywhere() {
    let scenario = scenario("approved destroy", standing(), PlanRequest::destroy(set()), everything);
    let stage = empty().restored(&scenario.start);
    let plan = stage.plan(&scenario.request).unwrap();
    let lost = everything(&plan);
    let lost = lost.iter().filter(|approval| approval.risk == Risk::DestroysData);
    assert!(lost.filter(|approval| approval.uid.is_some()).count() > 3);
    stage.settle(&scenario.request, &everything).unwrap();
    // A namespace is kept as the home of what the plan itself keeps.
    let mut left = stage.world.ids();
    left.retain(|id| id.kind().as_str() != "Namespace");
    assert!(left.is_empty(), "{left:?} stay");
    exhaust(&scenario, None).unwrap();
}

fn platform(text: &str) -> Platform {
    let stage = Stage::of(
        Place::kubernetes("main").unwrap(),
        provider_k8s::facts,
        SetId::of("none", "local", ""),
    );
    let stack = Kubernetes::on(Arc::new(stage.world.clone()), Arc::new(stage.clock.clone()));
    let config = PlatformConfig::parse(text, "local.yaml").unwrap();
    Platform::builder(config).provider(stack).build().unwrap()
}

pub(crate) fn request(text: &str) -> PlanRequest {
    platform(text).request().unwrap()
}

pub(crate) fn set() -> SetId {
    platform(EXAMPLE).set().clone()
}

pub(crate) fn empty() -> Stage {
    Stage::of(Place::kubernetes("main").unwrap(), provider_k8s::facts, set())
}

/// The platform of the example without monitoring, with a row in whatever holds data.
fn standing() -> Vec<u8> {
    standing_as(&edited(&[UNWATCHED]))
}

fn standing_as(config: &str) -> Vec<u8> {
    let stage = empty();
    stage.settle(&request(config), &nothing).unwrap();
    stage.clock.advance(LAG.window);
    assert!(stage.seed().len() > 3);
    stage.world.snapshot().unwrap()
}

/// Another major version never starts on the data, and the way that the plan names leads to one that does and back.
fn another_major_version() {
    let stage = empty().restored(&standing_as(EXAMPLE));
    let volume: ResourceId = "k8s/main:PersistentVolumeClaim/database/data-postgres-0"
        .parse()
        .unwrap();
    let row = vec![format!("row of {volume}")];
    let newer = EXAMPLE.replace("version: \"17\"", "version: \"18\"");
    let plan = stage.plan(&request(&newer)).unwrap();
    let step = plan.step(&volume).unwrap();
    assert_eq!(step.action, Action::Blocked);
    let blocked = step.blocked.as_ref().unwrap();
    assert_eq!(
        blocked.why,
        "metadata.annotations.\"mlplat.dev/data-format\" cannot change on an object that holds data"
    );
    assert_eq!(
        blocked.help,
        "the new server does not start on this data: set the version or flavour back, or move the data. To move it, copy \
         it out while the present server runs (pg_dump --format=custom, mc mirror); give the new server a name of its own \
         beside the new version, as in names: { postgres: postgres18 } or names: { minio: store }; apply, and load the copy \
         into it (pg_restore, mc mirror). The old volume and its passwords are kept: the old version under the old name \
         takes them up again"
    );

    let password = "k8s/main:Secret/database/postgres-credentials".parse().unwrap();
    let password = (password, ".data.password".to_owned());
    let before = stage.secrets().remove(&password).unwrap();
    let beside = format!("{newer}\nnames: {{ postgres: postgres18 }}\n");
    // The roles Job may now call another server: the only thing that somebody must agree to.
    stage.settle(&request(&beside), &other_peers).unwrap();
    assert_eq!(stage.world.data(&volume).as_ref(), Some(&row));
    let empty: ResourceId = "k8s/main:PersistentVolumeClaim/database/data-postgres18-0"
        .parse()
        .unwrap();
    assert!(stage.world.data(&empty).is_none_or(|rows| rows.is_empty()));
    let back = stage.plan(&request(EXAMPLE)).unwrap();
    assert_eq!(back.step(&volume).unwrap().action, Action::Adopt);
    stage.settle(&request(EXAMPLE), &other_peers).unwrap();
    assert_eq!(stage.world.data(&volume).as_ref(), Some(&row));
    assert_eq!(stage.secrets().remove(&password), Some(before));
}

/// Who takes the block out is asked once, before the first write; who ends the platform is not asked about it at all.
fn backups_end_with_an_approval() {
    const BACKUP: &str = "backup: { schedule: \"0 3 * * 0\", retention: 8d, scope: [database, cache, storage] }";
    let stage = empty().restored(&standing());
    let without = request(&edited(&[UNWATCHED, (BACKUP, "")]));
    let plan = stage.plan(&without).unwrap();
    // The pods' hooks go too, which is a restart that a laptop doesn't ask about.
    let asked: Vec<_> = plan
        .demands()
        .iter()
        .filter(|demand| !demand.optional && plan.policy.risks.contains(&demand.risk))
        .map(|demand| (demand.resource.to_string(), demand.risk, demand.action))
        .collect();
    let schedule = "k8s/main:Schedule.velero.io/backup/ml-platform";
    assert_eq!(asked, [(schedule.to_owned(), Risk::LowersProtection, Action::Delete)]);
    let writes = stage.world.writes();
    let refused = stage.apply(&plan, &Approvals::none());
    let why = refused.unwrap_err();
    assert_eq!(why.kind(), ErrorKind::Unapproved);
    assert!(
        why.help()
            .unwrap()
            .contains("--approve lowers-protection:Schedule/backup/ml-platform@"),
        "{why:?}"
    );
    assert_eq!(stage.world.writes(), writes, "a refused run wrote");
    // Another object's consent is none for this one.
    assert_eq!(
        plan.demands()
            .accept(&[Risk::Exposes, Risk::Irreversible], "test", "")
            .iter()
            .count(),
        0
    );

    let consent = plan
        .demands()
        .accept(&[Risk::LowersProtection], "test", "backed up elsewhere");
    assert!(stage.apply(&plan, &consent).unwrap().is_success());
    assert!(!stage.world.ids().iter().any(|id| id.to_string() == schedule));
    assert!(stage.plan(&without).unwrap().is_empty());
    let password = "k8s/main:Secret/backup/velero-repo-credentials".parse().unwrap();
    assert!(stage.world.ids().contains(&password), "what opens old backups stays");

    // It ends with everything else, and is gone with nobody being asked when somebody took it away by hand.
    let stage = empty().restored(&standing());
    let end = stage.plan(&PlanRequest::destroy(set())).unwrap();
    assert!(end.demands().iter().all(|demand| demand.optional), "{}", end.display());
    assert!(stage.world.remove(&schedule.parse().unwrap()));
    assert!(
        stage
            .plan(&without)
            .unwrap()
            .demands()
            .iter()
            .all(|demand| demand.optional || demand.risk == Risk::Downtime)
    );
}

/// Only the provider knows what its pods need; the config is still what the refusal points at.
fn what_does_not_fit() {
    let text = "name: demo\nenvironment: local\ndatabase: {}\nsecurity: { quotas: { database: { memory: 1Gi } } }\n";
    let refused = platform(text).request().unwrap_err();
    assert_eq!(
        refused.report(),
        "load config: 1 problem in local.yaml\n\n  x security.quotas.database.memory: 1Gi is less than the 1152Mi that the \
         platform's own pods in `database` need\n     ,-[local.yaml:4:43]\n   4 | security: { quotas: { database: { memory: 1Gi \
         } } }\n     .                                           ^^^ write at least 1152Mi\n"
    );
}

/// The cache leaves the backups with its block: the only thing that somebody agrees to.
fn less_protected(plan: &Plan) -> Approvals {
    plan.demands().accept(&[Risk::LowersProtection], "test", "a cache")
}

/// Who may connect to whom changes: the only thing that somebody agrees to.
fn other_peers(plan: &Plan) -> Approvals {
    let demands = plan.demands();
    let exposed = demands.iter().filter(|demand| demand.risk == Risk::Exposes);
    exposed.fold(Approvals::none(), |all, demand| {
        all.with(demand.accept("test", "other peers"))
    })
}

fn scenario(name: &'static str, start: Vec<u8>, request: PlanRequest, consent: fn(&Plan) -> Approvals) -> Scenario {
    Scenario {
        name,
        stage: empty,
        start,
        request,
        consent,
        changes: |_| false,
    }
}
