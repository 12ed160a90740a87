//! The world answers as the real API server did when it was recorded.

use libtest_mimic::Trial;
use platform_core::testing::{ManualClock, World};
use platform_core::value::{Clock, Place};
use std::sync::Arc;

use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(
        "recorded::the_world_answers_as_recorded",
        the_world_answers_as_recorded,
    )]
}

fn the_world_answers_as_recorded() {
    let clock = Arc::new(ManualClock::new());
    let world = World::new(
        Place::kubernetes("main").unwrap(),
        provider_k8s::facts,
        Arc::clone(&clock) as Arc<dyn Clock>,
    );
    let script = platform_tests::recording::record(Arc::new(world), Arc::clone(&clock) as Arc<dyn Clock>, "t-");
    let answers = clock.drive(script).done().unwrap().unwrap();
    let recorded = std::fs::read_to_string(platform_tests::recording::recorded()).unwrap();
    assert_eq!(answers, recorded);
}
