//! Volumes and pods, and the quota of their namespace.

use http::Method;
use platform_core::engine::Action;
use platform_core::{ErrorKind, OnRemoval, Resource};
use serde_json::json;
use std::time::{Duration, Instant};
use xtask::proxy::{Fault, Rule};

use crate::shared::{becomes, control_plane, kubectl, prefix, proxied, within};
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
    // What admits goes by a watch of its own, which is shown it a moment later.
    let volume = stage.id("PersistentVolumeClaim", "data");
    becomes(Duration::from_secs(10), "more is refused", async || {
        let plan = stage.plan(wanted(&stage, "2Gi", "5Gi")).await;
        plan.step(&volume).is_some_and(|step| step.action == Action::Blocked)
    })
    .await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_right_after_the_quota_was_written_is_tried_again() {
    let (proxy, through) = proxied(control_plane().admin());
    let stage = Stage::at(&through, prefix()).await;
    let refused = "persistentvolumeclaims \"data\" is forbidden: exceeded quota: quota, requested: requests.storage=2Gi, \
                   used: requests.storage=2Gi, limited: requests.storage=2Gi";
    let claims = || {
        Rule::new(Fault::refusal(403, "Forbidden", refused))
            .writes()
            .method(Method::POST)
            .path("/persistentvolumeclaims?")
    };
    proxy.set_rules([claims().first(1)]);
    stage.apply(wanted(&stage, "4Gi", "2Gi")).await;

    // Another process has written no quota: what it is told is meant.
    let other = Stage::at(&through, stage.prefix.clone()).await;
    let mut more = wanted(&other, "4Gi", "2Gi");
    let mut claim = more[2].clone();
    claim.id = other.id("PersistentVolumeClaim", "more");
    more.push(claim);
    let plan = other.plan(more).await;
    proxy.set_rules([claims()]);
    let report = other.try_apply(&plan).await.unwrap();
    let kinds: Vec<ErrorKind> = report.failures().map(|(_, why)| why.kind()).collect();
    assert_eq!((kinds, report.writes), (vec![ErrorKind::QuotaExceeded], 1));
}

/// A quota that leaves no pod, of another spec by revision, and Deployments of one pod behind it.
fn pods(stage: &Stage, revision: u32, deployments: &[&str]) -> Vec<Resource> {
    let quota = json!({ "spec": { "hard": { "pods": "0", "count/services": revision.to_string() } } });
    let mut all = vec![
        stage.resource("Namespace", &stage.space(), json!({})),
        stage.resource("ResourceQuota", "quota", quota),
    ];
    all.extend(deployments.iter().map(|name| {
        let labels = json!({ "app": name });
        let template = json!({
            "metadata": { "labels": labels },
            "spec": { "containers": [{ "name": "main", "image": "registry.invalid/main:1" }] },
        });
        let spec = json!({ "spec": { "selector": { "matchLabels": labels }, "template": template } });
        stage
            .resource("Deployment.apps", name, spec)
            .with_after(stage.id("ResourceQuota", "quota"))
    }));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_were_refused_right_after_the_quota_was_written_are_waited_for() {
    let stage = Stage::new().await;
    stage.apply(pods(&stage, 1, &[])).await;
    within(Duration::from_mins(1), "the quota counts", || {
        stage
            .live("resourcequota", "quota")
            .is_some_and(|quota| quota["status"]["hard"]["pods"] == "0")
    });
    let failing = |name: &str| {
        stage.live("deployment", name).is_some_and(|live| {
            let conditions = live["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions
                .iter()
                .any(|one| one["type"] == "ReplicaFailure" && one["status"] == "True")
        })
    };

    // As if the server took a while to see that the quota was raised.
    let plan = stage.plan(pods(&stage, 2, &["web"])).await;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            within(Duration::from_secs(20), "the pod is refused", || failing("web"));
            let raised = r#"{"spec":{"hard":{"pods":"1"}}}"#;
            let space = format!("--namespace={}", stage.space());
            kubectl(&["patch", "resourcequota", "quota", &space, "--patch", raised]);
        });
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(stage.apply_plan(&plan)));
    });

    // A refusal that is meant is told soon after, not when the patience is over.
    let plan = stage.plan(pods(&stage, 3, &["more"])).await;
    let began = Instant::now();
    let report = stage.try_apply(&plan).await.unwrap();
    let failures: Vec<String> = report
        .failures()
        .map(|(id, why)| format!("{}: {}", id.label(), why.message()))
        .collect();
    assert!(
        failures.len() == 1 && failures[0].contains("exceeded quota"),
        "{failures:?}"
    );
    assert!(began.elapsed() > Duration::from_secs(14), "{:?}", began.elapsed());
}
