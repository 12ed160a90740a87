//! A process killed before and after every single call: the next one ends where an undisturbed one would have.

use crate::stage::{LAG, Stage, everything, nothing};
use libtest_mimic::Trial;
use platform_core::engine::{Approvals, Plan, PlanRequest};
use platform_core::testing::fixtures::{self, Wishes};
use platform_core::testing::{Driven, Faults, Sabotage, Side};
use platform_core::value::{Clock, ResourceId};
use std::collections::BTreeSet;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial("crash::apply", || exhaust(&apply(), None).unwrap()),
        crate::trial("crash::change", || exhaust(&change(), None).unwrap()),
        crate::trial("crash::destroy_that_keeps_data", || {
            exhaust(&destroy(nothing), None).unwrap();
        }),
        crate::trial("crash::destroy_of_everything", || {
            exhaust(&destroy(everything), None).unwrap();
        }),
        crate::trial("crash::adoption_of_retained_data", || exhaust(&adopt(), None).unwrap()),
        crate::trial("crash::a_stored_plan_resumes", a_stored_plan_resumes),
        crate::trial("crash::sabotage_is_noticed", sabotage_is_noticed),
    ]
}

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// An empty world of its kinds.
    pub(crate) stage: fn() -> Stage,
    /// The world before, as saved.
    pub(crate) start: Vec<u8>,
    pub(crate) request: PlanRequest,
    pub(crate) consent: fn(&Plan) -> Approvals,
    /// Secret values that it may change.
    pub(crate) changes: fn(&(ResourceId, String)) -> bool,
}

fn changed() -> Wishes {
    Wishes {
        database: Some(20),
        image: 2,
        selector: 1,
        cache: false,
        buckets: [("models".to_owned(), 60), ("datasets".to_owned(), 7)].into(),
        queues: ["events".to_owned()].into(),
        settings: [("bounds".to_owned(), 1), ("limits".to_owned(), 2)].into(),
    }
}

fn standing() -> Stage {
    let stage = Stage::new();
    stage.settle(&Wishes::default().request(), &nothing).unwrap();
    stage.seed();
    stage
}

fn apply() -> Scenario {
    Scenario {
        name: "apply",
        stage: Stage::new,
        start: Stage::new().world.snapshot().unwrap(),
        request: Wishes::default().request(),
        consent: nothing,
        changes: |_| false,
    }
}

fn change() -> Scenario {
    Scenario {
        name: "change",
        stage: Stage::new,
        start: standing().world.snapshot().unwrap(),
        request: changed().request(),
        consent: nothing,
        changes: |_| false,
    }
}

fn destroy(consent: fn(&Plan) -> Approvals) -> Scenario {
    Scenario {
        name: "destroy",
        stage: Stage::new,
        start: standing().world.snapshot().unwrap(),
        request: PlanRequest::destroy(fixtures::set()),
        consent,
        changes: |_| false,
    }
}

fn adopt() -> Scenario {
    let stage = standing();
    stage.settle(&PlanRequest::destroy(fixtures::set()), &nothing).unwrap();
    Scenario {
        name: "adopt",
        stage: Stage::new,
        start: stage.world.snapshot().unwrap(),
        request: Wishes::default().request(),
        consent: nothing,
        changes: |_| false,
    }
}

/// Kills before and after every call; the first point from which the world does not recover is the error.
pub(crate) fn exhaust(scenario: &Scenario, sabotage: Option<Sabotage>) -> Result<(), String> {
    kill(scenario, sabotage, |_| (0, 1))
}

/// Kills at so many of the points of [`exhaust`], at other ones each time; `MLPLAT_KILL_SEED` repeats them, and
/// `MLPLAT_KILL_EVERY=1` takes every point.
pub(crate) fn sample(scenario: &Scenario, lives: usize) -> Result<(), String> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<usize>().unwrap());
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    let seed = number("MLPLAT_KILL_SEED").unwrap_or(usize::try_from(now).unwrap());
    kill(scenario, None, |points| {
        let every = number("MLPLAT_KILL_EVERY").unwrap_or(points.div_ceil(lives)).max(1);
        println!(
            "{}: again with MLPLAT_KILL_SEED={seed} MLPLAT_KILL_EVERY={every}",
            scenario.name
        );
        (seed % every, every)
    })
}

/// Kills at every n-th point from the m-th on, as `choose` says of their number.
fn kill(
    scenario: &Scenario,
    sabotage: Option<Sabotage>,
    choose: impl Fn(usize) -> (usize, usize),
) -> Result<(), String> {
    let reference = (scenario.stage)().restored(&scenario.start);
    let counting = Faults::none();
    let report = reference
        .run(&counting, &scenario.request, &scenario.consent)
        .done()
        .expect("stalled");
    let report = report.map_err(|why| why.report())?;
    assert!(report.is_success(), "{:?}", report.failures().collect::<Vec<_>>());
    let calls = counting.calls();
    assert!(calls > 20, "only {calls} calls");
    let points: Vec<_> = [Side::Before, Side::After]
        .into_iter()
        .flat_map(|side| (1..=calls).map(move |n| (side, n)))
        .collect();
    let (first, every) = choose(points.len());
    let mut seen = BTreeSet::new();
    let chosen = points.iter().skip(first).step_by(every);
    let deaths = chosen.len();
    for &(side, n) in chosen {
        let stage = (scenario.stage)().restored(&scenario.start).with_sabotage(sabotage);
        let faults = Faults::none().kill_at(n, side);
        let killed = stage.run(&faults, &scenario.request, &scenario.consent);
        if let Some(ended) = killed.done() {
            // Which of two answers is seen first is chance, and so is whether a last look is needed.
            assert!(calls - n < 3, "call {n} of {calls} did not kill");
            assert!(
                ended.is_ok_and(|report| report.is_success()),
                "it died of something else"
            );
            continue;
        }
        // What comes after depends on the saved world and the time alone: a read before and after it leaves one point.
        if !seen.insert((stage.clock.now(), stage.snapshot())) {
            continue;
        }
        recovered(&stage, scenario, &reference)
            .map_err(|why| format!("{}: killed {side:?} call {n} of {calls}: {why}", scenario.name))?;
    }
    println!(
        "{}: {calls} calls, killed at {deaths} of {} points before and after them: {} recoveries from as many different worlds",
        scenario.name,
        points.len(),
        seen.len()
    );
    Ok(())
}

/// The next run ends where the undisturbed one did, with the same secrets and rows.
fn recovered(stage: &Stage, scenario: &Scenario, reference: &Stage) -> Result<(), String> {
    let secrets = stage.secrets();
    stage
        .settle(&scenario.request, &scenario.consent)
        .map_err(|why| why.report())?;
    // At once again, while reads still lag behind the last writes; then when they do not.
    stage
        .settle(&scenario.request, &scenario.consent)
        .map_err(|why| why.report())?;
    stage.clock.advance(LAG.window);
    let twice = stage.world.duplicates();
    if !twice.is_empty() {
        return Err(format!("made twice: {twice:?}"));
    }
    let (found, expected) = (stage.shape(), reference.shape());
    if found != expected {
        let ids = |shape: &std::collections::BTreeMap<_, _>| format!("{:?}", shape.keys().collect::<Vec<_>>());
        let differing: Vec<_> = found
            .iter()
            .filter(|(id, shape)| expected.get(*id) != Some(*shape))
            .collect();
        return Err(format!(
            "another end: {} instead of {}, {differing:?}",
            ids(&found),
            ids(&expected)
        ));
    }
    let now = stage.secrets();
    for (key, value) in secrets {
        if !(scenario.changes)(&key) && now.get(&key).is_some_and(|other| *other != value) {
            return Err(format!("{key:?} was made a second time"));
        }
    }
    if stage.world.losses().len() != reference.world.losses().len() {
        return Err(format!("rows lost: {:?}", stage.world.losses()));
    }
    let again = stage.plan(&scenario.request).map_err(|why| why.report())?;
    if !again.is_empty() {
        return Err(format!("not settled: {:?}", again.changes().collect::<Vec<_>>()));
    }
    // A destroy that could not see yet that all was gone has kept its record till now.
    stage
        .settle(&scenario.request, &scenario.consent)
        .map_err(|why| why.report())?;
    let before = stage.world.calls();
    stage
        .settle(&scenario.request, &scenario.consent)
        .map_err(|why| why.report())?;
    let mut after = stage.world.calls();
    after.retain(|call, count| !["identity", "observe", "preview"].contains(call) && before.get(call) != Some(count));
    if after.is_empty() {
        Ok(())
    } else {
        Err(format!("a settled apply did more than read: {after:?}"))
    }
}

/// A killed `apply FILE` goes on with the same file and the same approvals.
fn a_stored_plan_resumes() {
    let scenario = Scenario {
        consent: everything,
        changes: |_| false,
        ..change()
    };
    let reference = (scenario.stage)().restored(&scenario.start);
    reference.settle(&scenario.request, &everything).unwrap();
    let mut resumed = 0;
    for n in 1.. {
        let stage = (scenario.stage)().restored(&scenario.start);
        let plan = stage.plan(&scenario.request).unwrap();
        let stored = Plan::from_json(&plan.to_json().unwrap()).unwrap();
        let approvals = everything(&plan);
        let faults = Faults::none().kill_at(n, Side::After);
        let engine = stage.process(&faults);
        let mut ignore = |_| {};
        let applied = engine.apply(&stored, &approvals, &mut ignore);
        if !matches!(stage.clock.drive_until(applied, || faults.is_dead()), Driven::Stopped) {
            break;
        }
        let report = stage
            .apply(&stored, &approvals)
            .unwrap_or_else(|why| panic!("call {n}: {}", why.report()));
        assert!(report.is_success(), "call {n}: {:?}", report.outcomes);
        assert_eq!(stage.shape(), reference.shape(), "call {n}");
        resumed += 1;
    }
    assert!(resumed > 50, "{resumed}");
    println!("resumed after each of {resumed} calls");
}

/// Weak creates and lost data show; an exhaustive suite that cannot fail proves nothing.
fn sabotage_is_noticed() {
    for (sabotage, scenario) in [
        (Sabotage::IgnoreHolds, destroy(nothing)),
        (Sabotage::ForgetToken, apply()),
        (Sabotage::DropOpenRecord, apply()),
    ] {
        let found = exhaust(&scenario, Some(sabotage));
        println!(
            "{sabotage:?}: {}",
            found.as_ref().err().map_or("not noticed", String::as_str)
        );
        assert!(found.is_err(), "{sabotage:?} went unnoticed");
    }
}
