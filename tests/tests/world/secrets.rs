//! A canary: whatever stands for a secret value shows in nothing that people or files get to see.

use crate::platform;
use crate::stage::{Stage, everything};
use libtest_mimic::Trial;
use platform_core::engine::PlanRequest;
use platform_core::testing::fixtures::{self, Wishes};
use platform_core::value::ResourceId;
use platform_tests::canary::{Canary, Log, Shown};
use std::collections::BTreeSet;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial("secrets::no_value_shows_anywhere", || {
            let destroy = PlanRequest::destroy(fixtures::set());
            no_value_shows(&Stage::new(), [Wishes::default().request(), destroy]);
        }),
        crate::trial("secrets::no_value_of_the_platform_shows_anywhere", || {
            let destroy = PlanRequest::destroy(platform::set());
            let watched = no_value_shows(
                &platform::empty(),
                [platform::request(&platform::edited(&TOLD)), destroy],
            );
            for (guard, least) in [("monitoring", 7), ("backup", 2)] {
                let count = watched.iter().filter(|id| id.name().namespace() == Some(guard)).count();
                assert!(count >= least, "{count} values in {guard}");
            }
        }),
    ]
}

/// The example with somebody who is told of alarms in each of the ways, and with backups in a store outside.
const TOLD: [(&str, &str); 2] = [
    (
        "utilisation: 85% }\n",
        "utilisation: 85% }\n  heartbeat: { supplied: HEARTBEAT, revision: 1 }\n  receivers:\n    \
         hook: { webhook: { supplied: HOOK, revision: 1 } }\n    \
         team: { slack: { channel: \"#alarms\", access: { supplied: SLACK, revision: 1 } } }\n    \
         page: { pagerduty: { supplied: PAGER, revision: 1 } }\n    \
         mail: { email: { to: a@example.com, from: b@example.com, server: \"smtp.example.com:587\", user: b, \
         access: { supplied: MAIL, revision: 1 } } }\n",
    ),
    (
        "scope: [database, cache, storage] }",
        "scope: [database, cache, storage], store: { endpoint: \"https://s3.example.com\", bucket: backups, \
         access: { supplied: STORE, revision: 1 } } }",
    ),
];

/// Neither as a plan, its file, events and the report, nor in a refusal, a log or as `Debug`. Returns where each value
/// that was looked for lies.
fn no_value_shows(stage: &Stage, requests: [PlanRequest; 2]) -> Vec<ResourceId> {
    let log = Log::default();
    let mut canary = Canary::default();
    let mut shown = Shown::default();
    let mut leak = String::new();
    let mut watched = BTreeSet::new();
    let mut earlier = None;
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
                    watched.insert((id, key));
                    leak = value;
                }
            }
            shown.text("a plan file", plan.to_json().unwrap());
            shown.text("a plan", format!("{} {}", plan.display(), plan.document()));
            shown.debug("a plan", &plan);
            let promotion = plan.promotion();
            let first = earlier.replace(promotion.clone()).unwrap_or_else(|| promotion.clone());
            let comparison = promotion.compare(&first);
            shown.text("a promotion", serde_json::to_string(&promotion).unwrap());
            shown.text(
                "a comparison",
                format!("{} {}", comparison.display(), comparison.document()),
            );
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
    watched.into_iter().map(|(id, _)| id).collect()
}
