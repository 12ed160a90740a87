//! A cache with replicas: more and fewer of them on a running platform.

use platform_core::engine::Action;
use serde_json::Value;

use crate::configured::{apply, config, platform, uids};
use crate::shared::{object, prefix};
use crate::stage::told;

fn of(prefix: &str, replicas: u32) -> String {
    config(
        prefix,
        "{ version: \"17\" }",
        &format!("{{ memory: 256Mi, replicas: {replicas} }}"),
        "{ capacity: 20Gi }",
        "",
    )
}

/// Pods behind a Service of the cache.
fn behind(space: &str, service: &str) -> Vec<String> {
    let slices = object(&format!(
        "endpointslices --namespace={space} --selector=kubernetes.io/service-name={service}"
    ));
    let slices = slices.map_or(Value::Null, |list| list["items"].clone());
    let mut pods: Vec<String> = slices
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|slice| slice["endpoints"].as_array().cloned().unwrap_or_default())
        .filter_map(|endpoint| endpoint["targetRef"]["name"].as_str().map(str::to_owned))
        .collect();
    pods.sort();
    pods
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_come_and_go_around_the_first() {
    let prefix = prefix();
    let space = format!("{prefix}cache");
    let none = platform(&of(&prefix, 0), None).await;
    apply(&none, &none.plan().await.unwrap()).await;
    let pods = uids(&prefix, "pods");

    let two = platform(&of(&prefix, 2), None).await;
    let plan = two.plan().await.unwrap();
    let mut lines = told(&plan);
    lines.sort();
    assert_eq!(
        lines,
        [
            "Create PersistentVolumeClaim",
            "Create PersistentVolumeClaim",
            "Create Service",
            "Update NetworkPolicy spec.egress spec.ingress",
            "Update ResourceQuota spec.hard.\"limits.cpu\" spec.hard.\"limits.memory\" spec.hard.pods spec.hard.\"requests.cpu\" \
             spec.hard.\"requests.memory\" spec.hard.\"requests.storage\"",
            "Update StatefulSet spec.replicas",
        ]
    );
    // The pods of the cache may reach each other from now on: somebody has to say yes to that, and to nothing else.
    let asked: Vec<String> = plan
        .demands()
        .iter()
        .map(|demand| format!("{:?} {}", demand.risk, demand.resource.label()))
        .collect();
    assert_eq!(asked, [format!("Exposes NetworkPolicy {space}/redis")]);
    let report = apply(&two, &plan).await;
    assert!(
        format!("{:?}", report.outputs()).contains(&format!("redis-ro.{space}.svc")),
        "{:?}",
        report.outputs()
    );
    let more = uids(&prefix, "pods");
    assert!(pods.iter().all(|(name, uid)| more[name] == *uid), "no pod restarted");
    assert_eq!(more.len(), pods.len() + 2);
    let all = ["redis-0", "redis-1", "redis-2"];
    crate::shared::within(
        std::time::Duration::from_secs(20),
        "the Services lead to the pods",
        || behind(&space, "redis") == all[..1] && behind(&space, "redis-ro") == all,
    );
    let budget = object(&format!("pdb redis --namespace={space}")).unwrap();
    assert_eq!(budget["status"]["expectedPods"], 3);
    assert_eq!(told(&two.plan().await.unwrap()), Vec::<String>::new());

    // Fewer: the copy's volume goes with its pod, and asks for no approval; the first one's stays whatever happens.
    let one = platform(&of(&prefix, 1), None).await;
    let plan = one.plan().await.unwrap();
    let deleted: Vec<String> = plan
        .steps
        .iter()
        .filter(|step| step.action == Action::Delete)
        .map(|step| step.id.label())
        .collect();
    assert_eq!(deleted, [format!("PersistentVolumeClaim {space}/data-redis-2")]);
    let asked: Vec<String> = plan
        .demands()
        .iter()
        .map(|demand| format!("{:?} {}", demand.risk, demand.resource.label()))
        .collect();
    assert_eq!(
        asked,
        [format!("Downtime StatefulSet {space}/redis")],
        "of those who read there"
    );
    apply(&one, &plan).await;
    let left = uids(&prefix, "pods");
    assert_eq!(left.len(), pods.len() + 1);
    assert!(left.iter().all(|(name, uid)| more[name] == *uid), "no pod restarted");
    assert_eq!(told(&one.plan().await.unwrap()), Vec::<String>::new());

    apply(&none, &none.plan().await.unwrap()).await;
    assert_eq!(uids(&prefix, "pods"), pods);
    assert!(object(&format!("service redis-ro --namespace={space}")).is_none());
    assert!(object(&format!("pvc data-redis-0 --namespace={space}")).is_some());
    assert_eq!(told(&none.plan().await.unwrap()), Vec::<String>::new());
}
