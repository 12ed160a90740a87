//! A number of pods that an autoscaler decides.

use std::time::Duration;

use serde_json::json;

use crate::shared::{apply, kubectl, within};
use crate::stage::{Stage, of_kind, told};

#[tokio::test(flavor = "multi_thread")]
async fn what_an_autoscaler_decides_is_left_to_it() {
    let stage = Stage::new().await;
    let mut wanted = stage.platform();
    stage.apply(wanted.clone()).await;
    let space = stage.space();
    // More than there are, which needs no metrics to be seen.
    apply(&[json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "web", "namespace": space },
        "spec": {
            "minReplicas": 4, "maxReplicas": 6,
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 } } }],
        },
    })]);
    let replicas = || stage.live("deployment", "web").unwrap()["spec"]["replicas"].clone();
    within(Duration::from_mins(1), "the autoscaler acts", || replicas() == 4);
    assert_eq!(told(&stage.plan(wanted.clone()).await), Vec::<String>::new());

    // Whatever else changes, its field is not sent.
    of_kind(&mut wanted, "Deployment.apps").desired_mut()["spec"]["template"]["spec"]["containers"][0]["image"] =
        json!("registry.invalid/main:2");
    let plan = stage.plan(wanted.clone()).await;
    assert_eq!(
        told(&plan),
        ["Update Deployment spec.template.spec.containers[main].image"]
    );
    stage.apply_plan(&plan).await;
    assert_eq!(replicas(), 4);
    let image = &stage.live("deployment", "web").unwrap()["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, "registry.invalid/main:2");
    assert_eq!(told(&stage.plan(wanted.clone()).await), Vec::<String>::new());

    // Container resources by a vertical one.
    let resized = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/resources/requests/memory", "value": "96Mi" }]);
    let resize = |manager: &str| {
        kubectl(&[
            "patch",
            "deployment",
            "web",
            "--namespace",
            &space,
            "--type=json",
            "--patch",
            &resized.to_string(),
            &format!("--field-manager={manager}"),
        ])
    };
    resize("vpa-updater");
    assert_eq!(told(&stage.plan(wanted.clone()).await), Vec::<String>::new());

    // A person who scales is no autoscaler.
    kubectl(&["delete", "hpa", "web", "--namespace", &space]);
    kubectl(&["scale", "deployment", "web", "--replicas=1", "--namespace", &space]);
    assert_eq!(told(&stage.plan(wanted).await), ["Update Deployment spec.replicas"]);
}
