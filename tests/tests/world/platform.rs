//! The whole platform of the example config, planned from its file, on the world: killed before and after every call.

use crate::crash::{Scenario, exhaust};
use crate::stage::{LAG, Stage, nothing};
use composition::Platform;
use composition::config::PlatformConfig;
use composition::kubernetes::Kubernetes;
use libtest_mimic::Trial;
use platform_core::engine::PlanRequest;
use platform_core::value::{Place, SetId};
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
    ]
}

const EXAMPLE: &str = include_str!("../../../examples/config/local.yaml");

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

fn request(text: &str) -> PlanRequest {
    platform(text).request().unwrap()
}

fn set() -> SetId {
    platform(EXAMPLE).set().clone()
}

fn empty() -> Stage {
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

fn scenario(name: &'static str, start: Vec<u8>, request: PlanRequest) -> Scenario {
    Scenario {
        name,
        stage: empty,
        start,
        request,
        consent: nothing,
    }
}
