//! A plan that was stored: what happens meanwhile, and what of it matters.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::stream::{StreamExt, iter};
use platform_core::ErrorKind;
use platform_core::engine::Plan;
use platform_core::value::Timestamp;
use serde_json::{Value, json};

use crate::shared::{api, control_plane, get, kubectl};
use crate::stage::{Stage, of_kind, told};

/// Writes of status, all of objects that the plan changes.
const UPDATES: usize = 1000;

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_yesterday_still_applies_after_a_thousand_status_updates() {
    let stage = Stage::new().await;
    let mut wanted = stage.platform();
    stage.apply(wanted.clone()).await;

    of_kind(&mut wanted, "Namespace").desired_mut()["metadata"]["labels"]["round"] = json!("two");
    of_kind(&mut wanted, "ConfigMap").desired_mut()["data"]["mode"] = json!("b");
    of_kind(&mut wanted, "Service").desired_mut()["spec"]["ports"][0]["port"] = json!(5433);
    of_kind(&mut wanted, "Deployment.apps").desired_mut()["spec"]["replicas"] = json!(3);
    let grown = json!("2Gi");
    of_kind(&mut wanted, "PersistentVolumeClaim").desired_mut()["spec"]["resources"]["requests"]["storage"] =
        grown.clone();
    of_kind(&mut wanted, "StatefulSet.apps").desired_mut()["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]
        ["storage"] = grown;
    let mut plan = stage.plan(wanted.clone()).await;
    let before = told(&plan);
    assert!(
        before.len() == 6 && before.iter().all(|line| line.starts_with("Update")),
        "{before:?}"
    );
    plan.as_of = Timestamp::from_seconds(plan.as_of.seconds() - 24 * 3600);
    let file = plan.to_json().unwrap();

    let space = format!("/api/v1/namespaces/{}", stage.space());
    let apps = format!("/apis/apps/v1/namespaces/{}", stage.space());
    let objects = [
        space.clone(),
        format!("{space}/services/db"),
        format!("{space}/persistentvolumeclaims/data-db-0"),
        format!("{apps}/deployments/web"),
        format!("{apps}/statefulsets/db"),
    ];
    let api = api().await;
    let versions = async || {
        let mut versions = Vec::new();
        for object in &objects {
            versions.push(get(&api, object).await.unwrap()["metadata"]["resourceVersion"].clone());
        }
        versions
    };
    let seen = versions().await;
    let began = Instant::now();
    let patched: Vec<Value> = iter(0..UPDATES)
        .map(|round| {
            let condition = json!({
                "type": "Round", "status": "True", "reason": "Test", "message": format!("round {round}"),
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            });
            let body = json!({ "status": { "conditions": [condition] } });
            let request = http::Request::patch(format!("{}/status", objects[round % objects.len()]))
                .header("content-type", "application/strategic-merge-patch+json")
                .body(body.to_string().into_bytes())
                .unwrap();
            let api = api.clone();
            async move { api.request::<Value>(request).await.unwrap() }
        })
        .buffer_unordered(16)
        .collect()
        .await;
    let took = began.elapsed();
    let moved: BTreeSet<&str> = patched
        .iter()
        .map(|object| object["metadata"]["resourceVersion"].as_str().unwrap())
        .collect();
    assert_eq!(moved.len(), UPDATES, "each made a version of its own");
    let now = versions().await;
    assert!(seen.iter().zip(&now).all(|(seen, now)| seen != now), "{seen:?} {now:?}");
    println!("{UPDATES} status updates in {took:.1?}");

    let stored = Plan::from_json(&file).unwrap();
    assert_eq!(stored.digest(), plan.digest());
    let report = stage.apply_plan(&stored).await;
    assert_eq!(report.writes, 6);
    assert_eq!(stage.live("deployment", "web").unwrap()["spec"]["replicas"], 3);
    assert_eq!(told(&stage.plan(wanted).await), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_world_is_refused_before_the_first_write() {
    let stage = Stage::new().await;
    let mut wanted = stage.platform();
    stage.apply(wanted.clone()).await;
    of_kind(&mut wanted, "Deployment.apps").desired_mut()["spec"]["replicas"] = json!(1);
    of_kind(&mut wanted, "ConfigMap").desired_mut()["data"]["mode"] = json!("c");
    let plan = stage.plan(wanted).await;
    let space = stage.space();
    kubectl(&["scale", "deployment", "web", "--replicas=5", "--namespace", &space]);
    let mark = control_plane().audit_mark().unwrap();
    let why = stage.try_apply(&plan).await.unwrap_err();
    assert_eq!(why.kind(), ErrorKind::Stale, "{why}");
    assert!(why.to_string().contains("spec.replicas is 5 (kubectl)"), "{why}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(stage.writes_since(mark), Vec::<String>::new());
}
