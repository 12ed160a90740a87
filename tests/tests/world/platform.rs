//! The whole platform of the example config, planned from its file, on the world: killed before and after every call.

use crate::crash::{Scenario, exhaust};
use crate::stage::{LAG, Stage, nothing};
use composition::Platform;
use composition::config::PlatformConfig;
use composition::kubernetes::Kubernetes;
use libtest_mimic::Trial;
use platform_core::Risk;
use platform_core::engine::{Action, Approvals, Plan, PlanRequest};
use platform_core::value::{Place, ResourceId, SetId};
use std::sync::Arc;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial("platform::apply_killed_anywhere", || {
            exhaust(
                &scenario("apply", empty().world.snapshot().unwrap(), request(EXAMPLE)),
                None,
            )
            .unwrap();
        }),
        crate::trial("platform::change_killed_anywhere", || {
            let (changed, count) = changed();
            assert_eq!(count, 2, "the example config no longer holds what this test changes");
            exhaust(&scenario("change", standing(), request(&changed)), None).unwrap();
        }),
        crate::trial("platform::destroy_killed_anywhere", || {
            exhaust(&scenario("destroy", standing(), PlanRequest::destroy(set())), None).unwrap();
        }),
        crate::trial(
            "platform::another_major_version_moves_beside_its_data",
            another_major_version,
        ),
    ]
}

pub(crate) const EXAMPLE: &str = include_str!("../../../examples/config/local.yaml");

/// The example with more connections and without its cache.
fn changed() -> (String, usize) {
    let mut count = 0;
    let lines: Vec<String> = EXAMPLE
        .lines()
        .filter_map(|line| {
            if line.starts_with("cache:") {
                count += 1;
                return None;
            }
            if line.trim_start().starts_with("max_connections:") {
                count += 1;
                return Some("  max_connections: 210".to_owned());
            }
            Some(line.replace("[database, cache, storage]", "[database, storage]"))
        })
        .collect();
    (lines.join("\n"), count)
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

/// The platform of the example, with a row in whatever holds data.
fn standing() -> Vec<u8> {
    let stage = empty();
    stage.settle(&request(EXAMPLE), &nothing).unwrap();
    stage.clock.advance(LAG.window);
    assert!(stage.seed().len() > 3);
    stage.world.snapshot().unwrap()
}

/// Another major version never starts on the data, and the way that the plan names leads to one that does and back.
fn another_major_version() {
    let stage = empty().restored(&standing());
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
    let other_peer = |plan: &Plan| {
        let demands = plan.demands();
        let exposed = demands.iter().filter(|demand| demand.risk == Risk::Exposes);
        exposed.fold(Approvals::none(), |all, demand| {
            all.with(demand.accept("test", "another name"))
        })
    };
    stage.settle(&request(&beside), &other_peer).unwrap();
    assert_eq!(stage.world.data(&volume).as_ref(), Some(&row));
    let empty: ResourceId = "k8s/main:PersistentVolumeClaim/database/data-postgres18-0"
        .parse()
        .unwrap();
    assert!(stage.world.data(&empty).is_none_or(|rows| rows.is_empty()));
    let back = stage.plan(&request(EXAMPLE)).unwrap();
    assert_eq!(back.step(&volume).unwrap().action, Action::Adopt);
    stage.settle(&request(EXAMPLE), &other_peer).unwrap();
    assert_eq!(stage.world.data(&volume).as_ref(), Some(&row));
    assert_eq!(stage.secrets().remove(&password), Some(before));
}

fn scenario(name: &'static str, start: Vec<u8>, request: PlanRequest) -> Scenario {
    Scenario {
        name,
        stage: empty,
        start,
        request,
        consent: nothing,
    }
}
