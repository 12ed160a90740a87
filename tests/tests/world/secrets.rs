//! A canary: whatever stands for a secret value shows in nothing that people or files get to see.

use crate::platform;
use crate::stage::{Stage, everything};
use libtest_mimic::Trial;
use platform_core::engine::PlanRequest;
use platform_core::testing::fixtures::{self, Wishes};
use platform_tests::canary::{Canary, Log, Shown};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial("secrets::no_value_shows_anywhere", || {
            no_value_shows(
                &Stage::new(),
                [Wishes::default().request(), PlanRequest::destroy(fixtures::set())],
            );
        }),
        crate::trial("secrets::no_value_of_the_platform_shows_anywhere", || {
            let destroy = PlanRequest::destroy(platform::set());
            no_value_shows(&platform::empty(), [platform::request(platform::EXAMPLE), destroy]);
        }),
    ]
}

/// Neither as a plan, its file, events and the report, nor in a refusal, a log or as `Debug`.
fn no_value_shows(stage: &Stage, requests: [PlanRequest; 2]) {
    let log = Log::default();
    let mut canary = Canary::default();
    let mut shown = Shown::default();
    let mut leak = String::new();
    tracing::subscriber::with_default(log.clone(), || {
        tracing::info!(probe = "the log works");
        for request in requests {
            let plan = stage.plan(&request).unwrap();
            let report = stage
                .apply_telling(&plan, &everything(&plan), &mut |event| {
                    shown.text("an event", format!("{event} {}", event.document()));
                    shown.debug("an event", &event);
                })
                .unwrap();
            for ((id, key), value) in stage.secrets() {
                // What stands for a constant is its text.
                if !value.starts_with("literal ") && !value.starts_with("derived ") {
                    canary.watch(&format!("{id} {key}"), value.as_bytes());
                    leak = value;
                }
            }
            shown.text("a plan file", plan.to_json().unwrap());
            shown.text("a plan", format!("{} {}", plan.display(), plan.document()));
            shown.debug("a plan", &plan);
            shown.text("a report", format!("{} {}", report.display(), report.document()));
            shown.debug("a report", &report);
            shown.text("outputs", report.outputs().document().to_string());
            let refused = stage.apply(&plan, &everything(&plan));
            shown.debug("a refusal", &refused);
            shown.debug("the world", &stage.world);
            shown.debug("an engine", &stage.process(&platform_core::testing::Faults::none()));
        }
    });
    let log = log.text();
    assert!(log.contains("the log works"));
    shown.text("the log", log);
    canary.assert_hidden(&shown);
    shown.text("a leak", leak);
    assert!(!canary.sightings(&shown).is_empty(), "what shows is found");
}
