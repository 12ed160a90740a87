//! Monitoring on a real API server: admitted, settled, unchanged, gone.

use crate::shared::object;
use crate::stage::Stage;
use platform_core::{Capability, Context, Resource, Stack};
use platform_tests::manifests::{Wanted, stack};
use std::time::Instant;

fn monitoring(prefix: &str) -> Vec<Resource> {
    let wanted = Wanted::local();
    let context = Context::alone(prefix.trim_end_matches('-'), Capability::Monitoring).unwrap();
    let monitoring = stack(&wanted.options).monitoring().unwrap();
    monitoring.blueprint(&wanted.monitoring, &context).unwrap().resources
}

/// Pod Security, quotas and the real controllers take every pod of it, the agents on the nodes among them.
#[tokio::test(flavor = "multi_thread")]
async fn monitoring_stands_and_a_second_apply_writes_nothing() {
    let stage = Stage::new().await;
    let wanted = monitoring(&stage.prefix);
    let started = Instant::now();
    stage.apply(wanted.clone()).await;
    let applied = started.elapsed();
    let started = Instant::now();
    let again = stage.plan(wanted.clone()).await;
    assert!(again.is_empty(), "{}", again.display());
    println!(
        "monitoring: {} objects, applied and ready in {applied:.2?}, planned again in {:.2?}",
        wanted.len(),
        started.elapsed()
    );

    let namespace = format!("{}-monitoring", stage.prefix.trim_end_matches('-'));
    let agents = object(&format!("daemonsets node-exporter --namespace={namespace}-node")).unwrap();
    assert!(agents["status"]["numberReady"].as_u64().unwrap() > 0, "{agents}");
    let role = format!("clusterroles {namespace}-prometheus");
    assert!(object(&role).is_some());

    stage.apply(Vec::new()).await;
    assert!(object(&role).is_none(), "rights outlive what had them");
    assert!(object(&format!("deployments prometheus-grafana --namespace={namespace}")).is_none());
}
