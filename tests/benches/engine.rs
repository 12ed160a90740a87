//! Engine time and peak memory of plan and apply, by number of resources of 1 KB.
//!
//! `cargo bench -p platform-tests [-- SIZE...]`: one size a process gives honest peaks.

use platform_core::engine::{Approvals, Engine, PlanRequest};
use platform_core::testing::{ManualClock, World, fixtures, kinds};
use platform_core::{Resource, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<()> {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|size| size.parse().ok()).collect();
    let sizes = if sizes.is_empty() {
        vec![100, 1_000, 5_000, 10_000, 100_000]
    } else {
        sizes
    };
    println!(
        "{:>9} {:>10} {:>10} {:>10} {:>10}",
        "resources", "plan s", "apply s", "again s", "peak MB"
    );
    let mut earlier: Option<(usize, f64)> = None;
    for size in sizes {
        let (plan, apply, again) = measure(size)?;
        let total = plan + apply;
        let growth = earlier.map_or_else(String::new, |(smaller, seconds)| {
            #[allow(clippy::cast_precision_loss)] // sizes are small
            let ratio = (size as f64 / smaller as f64).ln();
            format!("   exponent {:.2}", (total / seconds).ln() / ratio)
        });
        println!(
            "{size:>9} {plan:>10.3} {apply:>10.3} {again:>10.3} {:>10}{growth}",
            peak()
        );
        earlier = Some((size, total));
    }
    Ok(())
}

/// Seconds to plan, to apply, and to plan again when all stands.
fn measure(size: usize) -> Result<(f64, f64, f64)> {
    let clock = ManualClock::new();
    let world = World::new(fixtures::place(), kinds::facts, Arc::new(clock.clone())).with_pace(0);
    let engine = Engine::builder(Arc::new(clock.clone()))
        .provider(Arc::new(world))
        .build();
    let filling = "x".repeat(900);
    let resources = (0..size).map(|n| {
        let resource = Resource::new(
            fixtures::id(&format!("ConfigMap/c{n}")),
            "bench",
            json!({"data": {"text": filling}}),
        );
        // A tenth is needed by the next nine.
        if n % 10 == 0 {
            resource
        } else {
            resource.with_after(fixtures::id(&format!("ConfigMap/c{}", n - n % 10)))
        }
    });
    let request = PlanRequest {
        set: fixtures::set(),
        resources: resources.collect(),
        outputs: Value::Null,
        only: None,
        adopt: BTreeSet::new(),
    };
    let stalled = || platform_core::Error::new(platform_core::ErrorKind::Internal, "it stalled");
    let start = Instant::now();
    let plan = clock.drive(engine.plan(&request)).done().ok_or_else(stalled)??;
    let planned = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let (none, mut ignore) = (Approvals::none(), |_| {});
    let report = clock
        .drive(engine.apply(&plan, &none, &mut ignore))
        .done()
        .ok_or_else(stalled)??;
    let applied = start.elapsed().as_secs_f64();
    assert!(report.is_success(), "an apply failed");
    let start = Instant::now();
    let again = clock.drive(engine.plan(&request)).done().ok_or_else(stalled)??;
    assert!(again.is_empty(), "not settled");
    Ok((planned, applied, start.elapsed().as_secs_f64()))
}

/// Peak resident memory of this process in MB, where the kernel tells.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let kilobytes: Option<u64> = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    kilobytes.map_or_else(|| "unknown".to_owned(), |kilobytes| (kilobytes / 1024).to_string())
}
