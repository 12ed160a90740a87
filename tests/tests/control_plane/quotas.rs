//! Volumes and the quota of their namespace.

use platform_core::engine::Action;
use platform_core::{OnRemoval, Resource};
use serde_json::json;
use std::time::Duration;

use crate::shared::within;
use crate::stage::{Stage, told};

/// A namespace that may hold `quota` of volumes, and a volume of `size` behind the quota.
fn wanted(stage: &Stage, quota: &str, size: &str) -> Vec<Resource> {
    let claim = json!({ "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": "fake",
        "resources": { "requests": { "storage": size } },
    }});
    let quota = json!({ "spec": { "hard": { "requests.storage": quota } } });
    vec![
        stage
            .resource("Namespace", &stage.space(), json!({}))
            .with_on_removal(OnRemoval::Retain),
        stage.resource("ResourceQuota", "quota", quota),
        stage
            .resource("PersistentVolumeClaim", "data", claim)
            .with_on_removal(OnRemoval::Retain)
            .with_after(stage.id("ResourceQuota", "quota")),
    ]
}

/// A volume of 2 GiB stands behind a quota of 2 GiB, and the server counts it.
async fn filled() -> Stage {
    let stage = Stage::new().await;
    stage.apply(wanted(&stage, "2Gi", "2Gi")).await;
    // Until the quota's controller has seen it, a new quota limits nothing.
    within(Duration::from_mins(1), "the quota counts the volume", || {
        stage
            .live("resourcequota", "quota")
            .is_some_and(|quota| quota["status"]["used"]["requests.storage"] == "2Gi")
    });
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_grows_beyond_the_quota_that_the_same_plan_raises() {
    let stage = filled().await;
    // The server refuses the dry run: it counts by the quota as it is.
    let plan = stage.plan(wanted(&stage, "6Gi", "5Gi")).await;
    let mut lines = told(&plan);
    lines.sort();
    assert_eq!(
        lines,
        [
            "Update PersistentVolumeClaim spec.resources.requests.storage",
            "Update ResourceQuota spec.hard.\"requests.storage\"",
        ]
    );
    let volume = plan
        .step(&stage.id("PersistentVolumeClaim", "data"))
        .expect("the volume's step");
    let unverified = volume.unverified.as_deref().unwrap_or_default();
    assert!(unverified.contains("exceeded quota"), "{unverified:?}");
    stage.apply_plan(&plan).await;
    let live = stage.live("persistentvolumeclaim", "data").unwrap();
    assert_eq!(live["status"]["capacity"]["storage"], "5Gi");
    assert_eq!(
        told(&stage.plan(wanted(&stage, "6Gi", "5Gi")).await),
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_beyond_a_quota_that_stays_is_refused() {
    let stage = filled().await;
    let plan = stage.plan(wanted(&stage, "2Gi", "5Gi")).await;
    let volume = plan
        .step(&stage.id("PersistentVolumeClaim", "data"))
        .expect("the volume's step");
    assert_eq!(volume.action, Action::Blocked, "{:?}", told(&plan));
}
