//! Engine time and peak memory of plan and apply, by number of resources of 1 KB, on the simulated world.
//!
//! `cargo bench -p platform-tests --bench engine [-- SIZE...]`. Every measurement is a process of its own, so that none
//! finds a warm allocator or inherits a peak; each figure is the best of several. With `--short` it is a check: two sizes,
//! and a failure when the time grows faster than the number of resources, noise allowed for.
#![allow(clippy::unwrap_used, clippy::panic)]

use platform_core::engine::{Approvals, Engine, PlanRequest};
use platform_core::testing::{ManualClock, World, fixtures, kinds};
use platform_core::value::ResourceId;
use platform_core::{Error, ErrorKind, Resource, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two of these, growth is judged.
const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];
/// What has a limit of its own: planned and applied in half a second.
const LIMITED: usize = 5_000;
/// Time spent on repeating one size, and in the short check.
const BUDGET: [Duration; 2] = [Duration::from_secs(12), Duration::from_secs(4)];
/// Growth that the short check refuses. Aim is 1.1; the rest is for busy machines and unoptimised builds.
const REFUSED: f64 = 1.3;

/// One size, once: seconds and megabytes.
#[derive(Clone, Copy)]
struct Figures {
    plan: f64,
    apply: f64,
    again: f64,
    /// Peak of the whole process.
    peak: f64,
    /// What the world alone takes at the end.
    world: f64,
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| *word != "--bench")
        .collect();
    match words[..] {
        ["--one", size, file] => one(size.parse().unwrap(), Path::new(file)),
        ["--stand", file] => stand(Path::new(file)),
        ["--short"] => {
            let growth = table(&[1_000, 10_000], BUDGET[1]);
            assert!(
                growth <= REFUSED,
                "time grows with the {growth:.2}th power of the number of resources"
            );
            Ok(())
        }
        [] => {
            table(&SIZES, BUDGET[0]);
            table(&[LIMITED], BUDGET[0]);
            Ok(())
        }
        _ => {
            table(
                &words.iter().map(|size| size.parse().unwrap()).collect::<Vec<_>>(),
                BUDGET[0],
            );
            Ok(())
        }
    }
}

/// Prints a line a size and returns the largest exponent between neighbours.
fn table(sizes: &[usize], budget: Duration) -> f64 {
    println!(
        "{:>9}{:>6}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}{:>10}",
        "resources", "runs", "plan ms", "apply ms", "again ms", "peak MB", "world MB", "engine MB", "exponent"
    );
    let mut largest: f64 = 0.0;
    let mut seen: Vec<(usize, f64)> = Vec::new();
    for &size in sizes {
        let (best, runs) = best(size, budget);
        let total = best.plan + best.apply;
        let mut exponent = String::new();
        if let Some(smaller) = seen.last() {
            let growth = exponent_of(*smaller, (size, total));
            largest = largest.max(growth);
            exponent = format!("{growth:.2}");
        }
        println!(
            "{size:>9}{runs:>6}{:>11.1}{:>11.1}{:>11.1}{:>11.1}{:>11.1}{:>11.1}{exponent:>10}",
            best.plan * 1e3,
            best.apply * 1e3,
            best.again * 1e3,
            best.peak,
            best.world,
            best.peak - best.world,
        );
        seen.push((size, total));
    }
    if let [first, _, .., last] = seen[..] {
        println!("{:>96.2} over all sizes", exponent_of(first, last));
    }
    largest
}

/// With which power of the number of resources the seconds grow from one size to another.
#[allow(clippy::cast_precision_loss)] // sizes are small
fn exponent_of((smaller, before): (usize, f64), (larger, after): (usize, f64)) -> f64 {
    (after / before).ln() / (larger as f64 / smaller as f64).ln()
}

/// The best of three processes at least, and of as many as the budget allows, twenty at most.
fn best(size: usize, budget: Duration) -> (Figures, u32) {
    let began = Instant::now();
    let mut best = measured(size);
    let mut runs = 1;
    while runs < 3 || (runs < 20 && began.elapsed() < budget) {
        let more = measured(size);
        best = Figures {
            plan: best.plan.min(more.plan),
            apply: best.apply.min(more.apply),
            again: best.again.min(more.again),
            peak: best.peak.min(more.peak),
            world: best.world.min(more.world),
        };
        runs += 1;
    }
    (best, runs)
}

/// One size in a process of its own, and its world in another.
fn measured(size: usize) -> Figures {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let mut figures = answers(&["--one", &size.to_string(), path]);
    figures.extend(answers(&["--stand", path]));
    let [plan, apply, again, peak, world] = figures[..] else {
        panic!("five figures, not {figures:?}");
    };
    Figures {
        plan,
        apply,
        again,
        peak,
        world,
    }
}

fn answers(arguments: &[&str]) -> Vec<f64> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().map(|figure| figure.parse().unwrap()).collect()
}

fn world(clock: &ManualClock) -> World {
    World::new(fixtures::place(), kinds::facts, Arc::new(clock.clone())).with_pace(0)
}

fn request(size: usize) -> PlanRequest {
    let filling = "x".repeat(900);
    // One place for all, as blueprints have it.
    let place = fixtures::place();
    let id = |n: usize| {
        let name = format!("c{n}").parse().unwrap();
        ResourceId::new(place.clone(), "ConfigMap".parse().unwrap(), name)
    };
    let resources = (0..size).map(|n| {
        let resource = Resource::new(id(n), "bench", json!({"data": {"text": filling}}));
        // A tenth is needed by the next nine.
        if n % 10 == 0 {
            resource
        } else {
            resource.with_after(id(n - n % 10))
        }
    });
    PlanRequest {
        set: fixtures::set(),
        resources: resources.collect(),
        outputs: Value::Null,
        only: None,
        adopt: BTreeSet::new(),
        words: std::collections::BTreeMap::new(),
    }
}

/// Processor time of this thread, on which the engine runs alone: others on the machine do not count. Where the kernel
/// does not tell, the time that passed.
fn worked(began: Instant) -> Duration {
    // The kernel brings its count up to date when a thread leaves the processor, else only every few milliseconds.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|field| field.parse().ok());
    nanoseconds.map_or_else(|| began.elapsed(), Duration::from_nanos)
}

/// Seconds to plan, to apply, and to plan again when all stands, and the peak; leaves the world in `file`.
fn one(size: usize, file: &Path) -> Result<()> {
    let clock = ManualClock::new();
    let world = world(&clock);
    let engine = Engine::builder(Arc::new(clock.clone()))
        .provider(Arc::new(world.clone()))
        .build();
    let request = request(size);
    let stalled = || Error::new(ErrorKind::Internal, "it stalled");
    let began = Instant::now();
    let start = worked(began);
    let plan = clock.drive(engine.plan(&request)).done().ok_or_else(stalled)??;
    let planned = worked(began).saturating_sub(start);
    let start = worked(began);
    let (none, mut ignore) = (Approvals::none(), |_| {});
    let report = clock
        .drive(engine.apply(&plan, &none, &mut ignore))
        .done()
        .ok_or_else(stalled)??;
    let applied = worked(began).saturating_sub(start);
    assert!(report.is_success(), "an apply failed");
    let start = worked(began);
    let again = clock.drive(engine.plan(&request)).done().ok_or_else(stalled)??;
    assert!(again.is_empty(), "not settled");
    for time in [planned, applied, worked(began).saturating_sub(start)] {
        println!("{}", time.as_secs_f64());
    }
    println!("{}", megabytes("VmHWM"));
    std::fs::write(file, world.snapshot()?).unwrap();
    Ok(())
}

/// What a world that is read from `file` takes.
fn stand(file: &Path) -> Result<()> {
    let before = megabytes("VmRSS");
    let world = world(&ManualClock::new());
    world.restore(&std::fs::read(file).unwrap())?;
    println!("{}", megabytes("VmRSS") - before);
    Ok(())
}

/// Of this process, as the kernel tells; 0 where it does not.
fn megabytes(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|text| text.starts_with(line));
    let kilobytes: Option<f64> = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    kilobytes.unwrap_or_default() / 1024.0
}
