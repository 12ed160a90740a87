//! A platform whose cluster is lost, made anew from what its store outside has.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::ground::Ground;
use super::now;
use crate::shared::{apply as put, kubectl, object, within};

const SPACES: [&str; 5] = ["backup", "database", "ml", "security", "storage"];

pub(super) async fn a_new_platform_has_what_the_lost_one_had(mut ground: Ground) {
    let began = Instant::now();
    let status = ground.a_week_passes().await;
    let taken = status.newest_good(now()).unwrap().name.clone();
    let backup = ground.namespace();
    let before = ["storage", "security"].map(|base| ground.secrets(base));
    assert!(before.iter().all(|secrets| !secrets.is_empty()));

    // What its people keep outside of the cluster: the key to the copies, with the namespace that it lies in.
    let kept = [
        object(&format!("namespace {backup}")).unwrap(),
        object(&format!("secret velero-repo-credentials --namespace={backup}")).unwrap(),
    ]
    .map(bare);
    ground.stop();
    let spaces = SPACES.map(|base| format!("{}{base}", ground.prefix));
    let mut delete = vec!["delete", "namespace", "--wait=false", "--ignore-not-found"];
    delete.extend(spaces.iter().map(String::as_str));
    kubectl(&delete);
    for space in &spaces {
        within(Duration::from_mins(1), &format!("{space} is gone"), || {
            object(&format!("namespace {space}")).is_none()
        });
    }
    put(&kept[..1]);
    put(&kept[1..]);
    println!("lost: {:.1?}", began.elapsed());

    ground.ask("  definitions: existing\n  restore_from: latest\n").await;
    ground.up().await;
    println!("started anew: {:.1?}", began.elapsed());
    let back = ["storage", "security"].map(|base| ground.secrets(base));
    assert_eq!(back, before, "what came back");
    let record = object(&format!("configmap started-from --namespace={backup}")).unwrap();
    assert_eq!(
        (&record["data"]["wanted"], &record["data"]["backup"]),
        (&json!("latest"), &json!(taken))
    );
    let restores = || {
        let all = object(&format!("restores.velero.io --namespace={backup}"));
        all.map_or(0, |all| all["items"].as_array().unwrap().len())
    };
    assert_eq!(restores(), 1);
    let plan = ground.platform.plan().await.unwrap();
    assert!(plan.is_empty(), "{}", plan.display());

    // From now on it is where the data came from, and nothing else.
    ground.ask("  definitions: existing\n  restore_from: another\n").await;
    let told = ground.platform.plan().await.unwrap_err().report();
    assert!(
        told.contains("started from \"latest\"") && told.contains("restore_from"),
        "{told}"
    );
    ground.ask("  definitions: existing\n").await;
    ground.apply().await;
    ground.ask("  definitions: existing\n  restore_from: latest\n").await;
    ground.apply().await;
    assert_eq!(restores(), 0);
    assert_eq!(["storage", "security"].map(|base| ground.secrets(base)), before);
    println!("provenance only: {:.1?}", began.elapsed());
}

/// Without what only the server may say.
fn bare(mut object: Value) -> Value {
    for key in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "managedFields",
        "generation",
    ] {
        object["metadata"].as_object_mut().unwrap().remove(key);
    }
    object.as_object_mut().unwrap().remove("status");
    object
}
