//! The world answers as the real API server did when it was recorded.

use libtest_mimic::Trial;
use std::sync::Arc;

use crate::stage::cluster;
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(
        "recorded::the_world_answers_as_recorded",
        the_world_answers_as_recorded,
    )]
}

fn the_world_answers_as_recorded() {
    let (world, clock) = cluster();
    let script = platform_tests::recording::record(Arc::new(world), Arc::new(clock.clone()), "t-");
    let answers = clock.drive(script).done().unwrap().unwrap();
    let recorded = std::fs::read_to_string(platform_tests::recording::recorded()).unwrap();
    assert_eq!(answers, recorded);
}
