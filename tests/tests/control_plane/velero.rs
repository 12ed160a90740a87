//! The real Velero, driven through platforms of config files: everything but the copying of volumes is real, which
//! [`agent`] plays.

mod agent;
mod ground;
mod seeds;
mod start;

use std::time::{Duration, Instant, SystemTime};

use platform_core::value::{Clock, SystemClock, Timestamp};
use platform_core::{ErrorKind, State};
use platform_tests::metrics::VELERO;
use xtask::proxy::{Fault, Rule};

use crate::metrics::loopback;
use crate::shared::{control_plane, kinds, kubectl, proxied, within};
use ground::Ground;

/// Drills that die, spread over the calls of one.
const DEATHS: u64 = 2;

/// Two platforms of one cluster, whose definitions the first makes.
#[tokio::test(flavor = "multi_thread")]
async fn backups_are_taken_drilled_and_restored_and_faults_are_named() {
    let _more_kinds = kinds().await;
    let mut first = Ground::new("[storage]", "").await;
    first.up().await;
    let refused = Ground::new("[storage]", "").await;
    let plan = refused.platform.plan().await.unwrap();
    let text = plan.display().to_string();
    assert!(text.contains("definitions: existing"), "{text}");
    drop(refused);
    let mut second = Ground::new("[storage]", "  definitions: existing\n").await;
    second.up().await;

    let mut third = Ground::new("[storage]", "  definitions: existing\n").await;
    third.up().await;

    let all = futures::future::join3(
        Box::pin(life(first)),
        Box::pin(seeds::each_is_named(second)),
        Box::pin(start::a_new_platform_has_what_the_lost_one_had(third)),
    );
    // Velero would wait for an agent for hours
    tokio::time::timeout(Duration::from_mins(8), all)
        .await
        .expect("all within eight minutes");
}

fn now() -> Timestamp {
    SystemClock::new().now()
}

async fn life(mut ground: Ground) {
    let began = Instant::now();
    let told = |what: &str| println!("{what}: {:.1?}", began.elapsed());
    let backups = ground.backups();

    let status = ground.a_week_passes().await;
    assert!(status.backups[0].scheduled, "{status:?}");
    assert_eq!(status.problems, Vec::<String>::new());
    metrics(&ground);
    told("scheduled");

    let taken = backups.run(|_| {}).await;
    let taken = taken.unwrap_or_else(|why| panic!("{}\n{}", why.report(), ground.velero().log()));
    let status = backups.status().await.unwrap();
    assert_eq!(status.problems, Vec::<String>::new());
    assert_eq!((&status.store, status.backups.len()), (&State::Ready, 2));
    assert_eq!(status.backups[0], taken);
    assert!(!taken.scheduled);
    let kept = taken.expires.unwrap().since(taken.started.unwrap());
    assert_eq!(kept, Duration::from_hours(8 * 24));
    told("taken");

    let why = backups.restore(&taken.name, |_| {}).await.unwrap_err();
    assert_eq!(why.kind(), ErrorKind::Blocked);
    assert!(why.to_string().contains("StatefulSet"), "{why}");

    drills(&ground, &taken.name).await;
    told("drilled");

    // The loss of a namespace with all that is in it.
    let space = format!("{}storage", ground.prefix);
    let before = ground.secrets("storage");
    kubectl(&[
        "delete",
        "statefulsets,deployments,pods",
        "--all",
        "--namespace",
        &space,
    ]);
    kubectl(&["delete", "namespace", &space]);
    let restored = backups.restore(&taken.name, |_| {}).await;
    restored.unwrap_or_else(|why| panic!("{}\n{}", why.report(), ground.velero().log()));
    assert_eq!(ground.secrets("storage"), before, "the keys of what came back");
    let plan = ground.platform.plan().await.unwrap();
    let steps: Vec<String> = plan.changes().map(|step| step.id.kind().short().to_owned()).collect();
    assert_eq!(steps, ["Job"], "{}", plan.display());
    crate::configured::apply(&ground.platform, &plan).await;
    let plan = ground.platform.plan().await.unwrap();
    assert!(plan.is_empty(), "{}", plan.display());
    told("restored");
}

/// One that is left alone, and some that die at a call; each is followed by one that proves the backup and leaves nothing else.
async fn drills(ground: &Ground, backup: &str) {
    let before = ground.everything();
    let (proxy, file) = proxied(control_plane().admin());
    let watched = ground.elsewhere(&file).await;
    let proof = watched.drill(None, |_| {}).await;
    let proof = proof.unwrap_or_else(|why| panic!("{}\n{}", why.report(), ground.velero().log()));
    assert_eq!(proof.backup, backup);
    assert_eq!(proof.checks.len(), 1);
    let calls = proxy.calls().len() as u64;
    let record = [format!("ConfigMap {} restore-proof-{backup}", ground.namespace())];
    assert_eq!(ground.new_since(&before), record);

    let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    // a later drill may make fewer
    let every = calls * 9 / 10 / DEATHS;
    for death in 0..DEATHS {
        let call = death * every + seed % every + 1;
        let after = (seed + death) % 2 == 1;
        let victim = ground.elsewhere(&file).await;
        let fault = if after { Fault::StopAfter } else { Fault::StopBefore };
        proxy.set_rules([Rule::new(fault).nth(call)]);
        let died = tokio::select! {
            () = proxy.stopped() => true,
            drilled = victim.drill(Some(backup), |_| {}) => { drilled.unwrap(); false }
        };
        proxy.set_rules([]);
        let next = ground.elsewhere(control_plane().admin().kubeconfig()).await;
        let again = next.drill(Some(backup), |_| {}).await;
        let again = again.unwrap_or_else(|why| {
            let log = ground.velero().log();
            panic!("after call {call} of {calls}: {}\n{log}", why.report())
        });
        assert!(again.at > proof.at);
        let left = ground.new_since(&before);
        assert_eq!(left, record, "after call {call} of {calls}");
        println!("drill: died at call {call} of {calls}, after it: {after}; {died}");
    }
    let status = ground.backups().status().await.unwrap();
    assert!(status.last_proof().unwrap().at > proof.at);
}

/// Every metric that rules and panels name, with the label by which they select.
fn metrics(ground: &Ground) {
    for name in VELERO {
        let label = if name.contains("location") {
            "backup_location_name=\"default\""
        } else {
            "schedule=\"ml\""
        };
        within(Duration::from_mins(1), &format!("{name}{{{label}}}"), || {
            let text = loopback(ground.velero().metrics_port()).unwrap_or_default();
            text.lines()
                .any(|line| line.starts_with(&format!("{name}{{")) && line.contains(label))
        });
    }
}
