//! A canary: whatever stands for a secret value shows in nothing that people or files get to see.

use crate::platform;
use crate::stage::{Stage, everything};
use libtest_mimic::Trial;
use platform_core::engine::PlanRequest;
use platform_core::testing::fixtures::{self, Wishes};
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};

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

/// Keeps every span and event with all its fields as text.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<String>>);

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        writeln!(self.0, "{field}={value:?}").unwrap();
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Fields(&mut self.0.lock().unwrap()));
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut self.0.lock().unwrap()));
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut Fields(&mut self.0.lock().unwrap()));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Neither as a plan, its file, events and the report, nor in a refusal, a log or as `Debug`.
fn no_value_shows(stage: &Stage, requests: [PlanRequest; 2]) {
    let log = Log::default();
    let shown = tracing::subscriber::with_default(log.clone(), || {
        tracing::info!(probe = "the log works");
        let mut shown = String::new();
        let mut secrets = Vec::new();
        for request in requests {
            let plan = stage.plan(&request).unwrap();
            let mut events = String::new();
            let report = stage
                .apply_telling(&plan, &everything(&plan), &mut |event| {
                    writeln!(events, "{event:?} {}", event.document()).unwrap();
                })
                .unwrap();
            secrets.extend(stage.secrets().into_values());
            let file = plan.to_json().unwrap();
            writeln!(
                shown,
                "{file} {plan:?} {} {} {events} {report:?} {} {} {}",
                plan.display(),
                plan.document(),
                report.display(),
                report.document(),
                report.outputs().document()
            )
            .unwrap();
            // What a refusal says.
            let refused = stage.apply(&plan, &everything(&plan));
            writeln!(
                shown,
                "{refused:?} {:?} {:?}",
                stage.world,
                stage.process(&platform_core::testing::Faults::none())
            )
            .unwrap();
        }
        (shown, secrets)
    });
    let (mut text, mut secrets) = shown;
    // What stands for a constant is its text.
    secrets.retain(|value| !value.starts_with("literal ") && !value.starts_with("derived "));
    assert!(!secrets.is_empty(), "nothing secret was ever made");
    let log = log.0.lock().unwrap();
    assert!(log.contains("the log works"));
    text.push_str(&log);
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} shows");
    }
}
