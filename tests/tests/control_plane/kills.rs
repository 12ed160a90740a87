//! A process that dies by SIGKILL at any call to the API server, and the next one, which ends where an undisturbed one does.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant, SystemTime},
};

use platform_core::engine::{Approvals, Plan, Report};
use serde_json::Value;
use xtask::proxy::{Fault, Proxy, Rule};

use crate::end_state::{differences, end_state};
use crate::shared::{api, control_plane, get, prefix, proxied};
use crate::stage::{Stage, told};

/// The run that the process is to do and be killed in: `apply` or `destroy`. Set for the victim only.
const RUN: &str = "MLPLAT_TEST_KILLED_RUN";
const KUBECONFIG: &str = "MLPLAT_TEST_KILLED_KUBECONFIG";
const PREFIX: &str = "MLPLAT_TEST_KILLED_PREFIX";
/// A number that moves the calls at which processes die. Default: the time.
const SEED: &str = "MLPLAT_KILL_SEED";
/// Every how many calls a process dies; 1: at each. Default: as the budget allows.
const EVERY: &str = "MLPLAT_KILL_EVERY";
/// Seconds that all deaths and recoveries may take together, if `EVERY` is not set. Default 25.
const BUDGET: &str = "MLPLAT_KILL_BUDGET";
/// Platforms that die and recover side by side: most of the time is waiting for leases to run out.
const LANES: u64 = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Apply,
    Destroy,
}

/// Where a process dies.
#[derive(Clone, Copy, Debug)]
struct Death {
    run: Run,
    /// Counted from 1, reads, writes, watches and lease calls alike.
    call: u64,
    /// Before the server hears of the call, or after it has answered.
    after: bool,
}

/// Every how many calls, and from which on.
#[derive(Clone, Copy, Debug)]
struct Choice {
    every: u64,
    seed: u64,
}

impl Choice {
    /// The deaths of a run that makes so many calls; before and after a call take turns.
    fn deaths(self, run: Run, calls: u64) -> Vec<Death> {
        let first = self.seed % self.every + 1;
        (first..=calls)
            .step_by(usize::try_from(self.every).unwrap())
            .zip(self.seed / self.every..)
            .map(|(call, turn)| Death {
                run,
                call,
                after: turn % 2 == 1,
            })
            .collect()
    }
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text}: a number was expected")),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_at_any_call_leaves_what_the_next_one_completes() {
    if let Some(run) = env::var_os(RUN) {
        let stage = Stage::at(Path::new(&env::var_os(KUBECONFIG).unwrap()), env::var(PREFIX).unwrap()).await;
        let run = if run == "apply" { Run::Apply } else { Run::Destroy };
        finish(&stage, run).await.expect("an undisturbed run");
        return;
    }
    // The undisturbed platform: what it ends as, how many calls that takes, how long.
    let (stage, proxy, file) = fresh().await;
    let mut undisturbed = Duration::ZERO;
    let mut expected = Vec::new();
    let mut calls = Vec::new();
    let mut kept = None;
    for run in [Run::Apply, Run::Destroy] {
        proxy.forget_calls();
        let began = Instant::now();
        let mut process = victim(&file, &stage.prefix, run);
        assert!(process.wait().await.unwrap().success(), "{run:?}");
        undisturbed += began.elapsed();
        calls.push(proxy.calls().len() as u64);
        let password = password(&stage).await;
        assert_eq!(*kept.get_or_insert(password.clone()), password);
        expected.push(settled_state(&stage, None).await);
    }
    let budget = Duration::from_secs(number(BUDGET).unwrap_or(25));
    // Both runs twice, and twice the lease that runs out.
    let each = undisturbed * 2 + Duration::from_millis(2500);
    let lives = (budget.as_secs_f64() / each.as_secs_f64() * f64::from(u32::try_from(LANES).unwrap())).max(2.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small and positive
    let every = number(EVERY).unwrap_or_else(|| calls[0].div_ceil(lives as u64)).max(1);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let choice = Choice {
        every,
        seed: number(SEED).unwrap_or(now),
    };
    let applies = choice.deaths(Run::Apply, calls[0]);
    let destroys = choice.deaths(Run::Destroy, calls[1]);
    told_anyway(&format!(
        "undisturbed: apply {} calls, destroy {} calls, {undisturbed:.1?} together; \
         again with {SEED}={} {EVERY}={every}",
        calls[0], calls[1], choice.seed
    ));

    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let killed = AtomicU64::new(0);
    let lives = applies.len().max(destroys.len());
    let lane = async || {
        loop {
            let life = next.fetch_add(1, Ordering::Relaxed);
            if life >= lives {
                return;
            }
            let (stage, proxy, file) = fresh().await;
            let mut password_made = None;
            let runs = [
                (Run::Apply, applies.get(life), &expected[0]),
                (Run::Destroy, destroys.get(life), &expected[1]),
            ];
            for (run, death, expected) in runs {
                if let Some(death) = death {
                    let died = kill(&stage, &proxy, &file, *death).await;
                    killed.fetch_add(u64::from(died), Ordering::Relaxed);
                }
                let found = password(&stage).await;
                if password_made.is_some() {
                    assert_eq!(found, password_made, "{death:?}");
                }
                let before = found;
                // Another process: it knows nothing and is not the holder of the lease.
                let next = Stage::at(&file, stage.prefix.clone()).await;
                let next = next.with_holder("tests@here:2:next");
                let report = finish(&next, run)
                    .await
                    .unwrap_or_else(|why| panic!("after {death:?}: {why}"));
                assert!(report.is_success(), "after {death:?}");
                let now = password(&stage).await;
                assert!(now.is_some(), "{death:?}");
                if before.is_some() {
                    assert_eq!(now, before, "after {death:?}: a second password");
                }
                password_made = now;
                let ended = settled_state(&stage, Some(expected)).await;
                let differing = differences(expected, &ended);
                assert!(differing.is_empty(), "after {death:?}: {differing:#?}");
                let again = wanted(&next, run).await;
                assert_eq!(told(&again), Vec::<String>::new(), "after {death:?}");
            }
        }
    };
    futures::future::join_all((0..LANES).map(|_| lane())).await;
    let (killed, chosen) = (killed.into_inner(), (applies.len() + destroys.len()) as u64);
    told_anyway(&format!(
        "{killed} of {chosen} processes killed and followed by a good one in {:.1?}",
        began.elapsed()
    ));
    // A run that is faster than the counted one may end before its last calls.
    assert!(killed >= 4 && killed * 10 >= chosen * 8, "{killed} of {chosen}");
}

/// Shown whether or not the test fails.
fn told_anyway(line: &str) {
    let _ = writeln!(std::io::stderr(), "\nkills: {line}");
}

/// A platform of its own behind a proxy of its own.
async fn fresh() -> (Stage, Proxy, PathBuf) {
    let (proxy, file) = proxied(control_plane().admin());
    let stage = Stage::at(&file, prefix()).await;
    (stage, proxy, file)
}

async fn wanted(stage: &Stage, run: Run) -> Plan {
    let wanted = if run == Run::Apply {
        stage.platform()
    } else {
        Vec::new()
    };
    stage.plan(wanted).await
}

async fn finish(stage: &Stage, run: Run) -> Result<Report, String> {
    let plan = wanted(stage, run).await;
    let report = stage.engine.apply(&plan, &Approvals::none(), &mut |_| {}).await;
    let report = report.map_err(|why| why.report())?;
    let failures: Vec<String> = report
        .failures()
        .map(|(id, why)| format!("{id}: {}", why.report()))
        .collect();
    if failures.is_empty() {
        Ok(report)
    } else {
        Err(failures.join("\n"))
    }
}

/// This test as a process of its own that does one run.
fn victim(kubeconfig: &Path, prefix: &str, run: Run) -> tokio::process::Child {
    let name = "kills::a_process_killed_at_any_call_leaves_what_the_next_one_completes";
    tokio::process::Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(RUN, if run == Run::Apply { "apply" } else { "destroy" })
        .env(KUBECONFIG, kubeconfig)
        .env(PREFIX, prefix)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Whether the process got that far.
async fn kill(stage: &Stage, proxy: &Proxy, kubeconfig: &Path, death: Death) -> bool {
    let fault = if death.after {
        Fault::StopAfter
    } else {
        Fault::StopBefore
    };
    proxy.set_rules([Rule::new(fault).nth(death.call)]);
    let mut process = victim(kubeconfig, &stage.prefix, death.run);
    let died = tokio::select! {
        () = proxy.stopped() => {
            // SIGKILL
            process.kill().await.unwrap();
            true
        }
        status = process.wait() => {
            assert!(status.unwrap().success(), "{death:?}");
            false
        }
    };
    proxy.set_rules([]);
    died
}

/// Uid and values of the generated Secret.
async fn password(stage: &Stage) -> Option<(Value, Value)> {
    let path = format!("/api/v1/namespaces/{}/secrets/password", stage.space());
    let secret = get(&api().await, &path).await?;
    Some((secret["metadata"]["uid"].clone(), secret["data"].clone()))
}

/// The state as soon as it is the expected one, or 20 s later: controllers take a moment, above all to clean up.
async fn settled_state(
    stage: &Stage,
    expected: Option<&std::collections::BTreeMap<String, Value>>,
) -> std::collections::BTreeMap<String, Value> {
    let api = api().await;
    let began = Instant::now();
    let mut last = end_state(&api, stage).await;
    loop {
        let settled = match expected {
            Some(expected) => &last == expected,
            None => began.elapsed() > Duration::from_secs(3),
        };
        if settled || began.elapsed() > Duration::from_secs(20) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        last = end_state(&api, stage).await;
    }
}
