//! Faults of backups, each seeded where it would arise, and what `status` or `drill` says of it.

use std::fs::{self, OpenOptions};
use std::time::Duration;

use platform_core::{BackupRecord, BackupStatus};
use serde_json::{Value, json};
use xtask::fake_kubelet::hook;

use super::agent::Copies;
use super::ground::Ground;
use super::now;
use crate::shared::{kubectl, object, within};

pub(super) async fn each_is_named(mut ground: Ground) {
    let whole = ground.backups().run(|_| {}).await;
    let whole = whole.unwrap_or_else(|why| panic!("{}\n{}", why.report(), ground.velero().log()));
    copies(&ground).await;
    silent(&ground).await;
    planted(&ground).await;
    truncated(&ground, &whole).await;
    let good = ground.backups().run(|_| {}).await;
    good.unwrap_or_else(|why| panic!("{}\n{}", why.report(), ground.velero().log()));
    store(&mut ground).await;
    key(&ground).await;
    hooks(&mut ground).await;
    lapsed(&ground, &whole).await;
}

fn says(status: &BackupStatus, words: &str) {
    let said = status.problems.iter().any(|problem| problem.contains(words));
    assert!(said, "nothing says {words:?}: {:#?}", status.problems);
}

/// A backup that the real Velero makes of volumes about which the agents tell the worst.
async fn copies(ground: &Ground) {
    let volume = format!("volume {}storage/minio-0/data", ground.prefix);
    for (copies, words) in [
        (Copies::Empty, "was empty"),
        (Copies::Failing, "no space left on device"),
    ] {
        ground.agents.set(copies);
        let run = ground.backups().run(|_| {}).await;
        assert_eq!(run.is_err(), copies == Copies::Failing);
        let status = ground.backups().status().await.unwrap();
        says(&status, &volume);
        says(&status, words);
    }
    ground.agents.set(Copies::Whole);
}

/// Velero passes over the volumes of a pod that does not run.
async fn silent(ground: &Ground) {
    let space = format!("{}storage", ground.prefix);
    let wait = |why: &Value, phase: &str| {
        let template = json!({ "metadata": { "annotations": { hook::WAITING: why } } });
        let patch = json!({ "spec": { "template": template } }).to_string();
        kubectl(&[
            "patch",
            "statefulset",
            "minio",
            "--namespace",
            &space,
            "--patch",
            &patch,
        ]);
        // the controller leaves a pod that is not ready alone; one that was it may have taken already
        kubectl(&[
            "delete",
            "pod",
            "minio-0",
            "--wait=true",
            "--ignore-not-found",
            "--namespace",
            &space,
        ]);
        within(Duration::from_mins(1), phase, || {
            let pod = object(&format!("pod minio-0 --namespace={space}")).unwrap_or_default();
            pod["status"]["phase"] == phase && pod["spec"]["nodeName"].is_string()
        });
    };
    wait(&json!("ImagePullBackOff"), "Pending");
    ground.backups().run(|_| {}).await.unwrap();
    let status = ground.backups().status().await.unwrap();
    says(&status, &format!("volume {space}/minio-0/data was left out"));
    says(&status, "it ended with 1 warning");
    wait(&Value::Null, "Running");
}

/// What only Velero writes, written in its place.
async fn planted(ground: &Ground) {
    let (now, later) = (now().to_string(), "2093-01-01T00:00:00Z");
    for (what, started, status, words) in [
        (
            "errors",
            now.as_str(),
            json!({ "phase": "Completed", "errors": 2 }),
            "failed: Completed with 2 errors",
        ),
        (
            "partly",
            &now,
            json!({ "phase": "PartiallyFailed", "errors": 1 }),
            "failed: PartiallyFailed with 1 error",
        ),
        ("skewed", later, json!({ "phase": "Completed" }), "a clock is wrong"),
    ] {
        let name = format!("planted-{what}");
        let mut status = status;
        status["startTimestamp"] = json!(started);
        crate::shared::apply(&[json!({
            "apiVersion": "velero.io/v1", "kind": "Backup",
            "metadata": { "name": name, "namespace": ground.namespace() },
            "spec": {}, "status": status,
        })]);
        let status = ground.backups().status().await.unwrap();
        says(&status, &format!("backup {name}"));
        says(&status, words);
        kubectl(&["delete", "backups.velero.io", &name, "--namespace", &ground.namespace()]);
    }
}

/// A backup whose file in the store ends early.
async fn truncated(ground: &Ground, whole: &BackupRecord) {
    let file = ground.stored(&whole.name).join(format!("{}.tar.gz", whole.name));
    let length = fs::metadata(&file).unwrap().len();
    let opened = OpenOptions::new().write(true).open(&file).unwrap();
    opened.set_len(length / 2).unwrap();
    let before = ground.everything();
    let why = ground.backups().drill(Some(&whole.name), |_| {}).await.unwrap_err();
    let told = why.report();
    assert!(told.contains("the backup cannot be read from the store"), "{told}");
    assert_eq!(ground.new_since(&before), Vec::<String>::new());
}

/// A store that is gone, that takes another key, and one that is another.
async fn store(ground: &mut Ground) {
    const LOCATION: &str = "backupstoragelocations.velero.io";
    // Velero asks once a minute; so long ago, it asks at once.
    let mut asked = json!({ "status": { "lastValidationTime": "2026-01-01T00:00:00Z" } });
    ground.store.interrupt();
    ground.plant(LOCATION, "default", &asked);
    told(ground, &["the backup store: Unavailable", "connection refused"]).await;

    ground.store.resume_with_key("another key").unwrap();
    ground.plant(LOCATION, "default", &asked);
    told(ground, &["the backup store: Unavailable", "SignatureDoesNotMatch"]).await;

    let key = ground.store_key();
    ground.store.resume_with_key(&key).unwrap();
    asked["spec"] = json!({ "objectStorage": { "bucket": "elsewhere" } });
    ground.plant(LOCATION, "default", &asked);
    told(ground, &["backups go to https://", "/elsewhere/", "as the config says"]).await;
    ground.apply().await;
    ground
        .until("the store again", |status| status.problems.is_empty())
        .await;
}

/// Waits for a problem that contains all of these words.
async fn told(ground: &Ground, words: &[&str]) {
    let named = |status: &BackupStatus| {
        let all = |problem: &String| words.iter().all(|word| problem.contains(word));
        status.problems.iter().any(all)
    };
    ground.until(&words.join(", "), named).await;
}

/// Copies that another password was used for. The real server does not notice, whatever becomes of the password: it
/// only reads what is not encrypted. The Job that keeps them in order does, and a simulated node runs none; so what
/// Velero writes of that Job is written in its place, and what it writes of a store that cannot be read.
async fn key(ground: &Ground) {
    let name = format!("{}storage-default-kopia", ground.prefix);
    for (status, words) in [
        (
            json!({ "recentMaintenance": [{ "result": "Failed", "message": "invalid repository password" }] }),
            "could not be kept in order: invalid repository password",
        ),
        (
            json!({ "phase": "NotReady", "message": "error reading format blob" }),
            "cannot be read: error reading format blob",
        ),
    ] {
        // Velero, which gets in, takes it back in its next look.
        let mut said = ground.backups().status().await.unwrap();
        for _ in 0..10 {
            if !said.problems.iter().any(|problem| problem.contains(words)) {
                ground.plant("backuprepositories.velero.io", &name, &json!({ "status": status }));
                said = ground.backups().status().await.unwrap();
            }
        }
        says(&said, words);
    }
}

/// On simulated nodes nothing can be run in a pod, so every hook fails.
async fn hooks(ground: &mut Ground) {
    ground.rescope("[database, storage]").await;
    ground.apply().await;
    let why = ground.backups().run(|_| {}).await.unwrap_err();
    assert!(why.report().contains("1 of 1 hooks failed"), "{}", why.report());
    let status = ground.backups().status().await.unwrap();
    says(
        &status,
        "1 of 1 hooks failed, so what they should have written is not in it",
    );
    says(
        &status,
        &format!("volume {}database/postgres-0/backup was left out", ground.prefix),
    );
}

/// Retention, and a schedule that takes no more.
async fn lapsed(ground: &Ground, whole: &BackupRecord) {
    let past = json!({ "status": { "expiration": "2026-01-01T00:00:00Z" } });
    ground.plant("backups.velero.io", &whole.name, &past);
    ground.plant("schedules.velero.io", "ml", &json!({ "spec": { "paused": true } }));
    let status = ground.backups().status().await.unwrap();
    says(&status, &format!("backup {} is past its time", whole.name));
    says(&status, "the schedule is paused");
    kubectl(&[
        "delete",
        "schedules.velero.io",
        "ml",
        "--namespace",
        &ground.namespace(),
    ]);
    says(&ground.backups().status().await.unwrap(), "there is no schedule");
}
