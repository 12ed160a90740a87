//! Plan and apply on a real API server: what is created, what is left alone, what is refused.

use platform_core::engine::Action;
use serde_json::json;
use xtask::control_plane::{AuditEvent, AuditMark};

use crate::shared::{apply, control_plane, kubectl};
use crate::stage::{Stage, of_kind, told};

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_is_made_and_a_second_apply_writes_nothing() {
    let stage = Stage::new().await;
    let wanted = stage.platform();
    let plan = stage.plan(wanted.clone()).await;
    assert!(
        plan.steps.iter().all(|step| step.action == Action::Create),
        "{:?}",
        told(&plan)
    );
    stage.apply_plan(&plan).await;

    let mark = control_plane().audit_mark().unwrap();
    let before = stage.provider.requests();
    let again = stage.plan(wanted.clone()).await;
    assert_eq!(told(&again), Vec::<String>::new());
    let asked = stage.provider.requests() - before;
    let kinds = wanted
        .iter()
        .map(|wish| wish.id.kind())
        .collect::<std::collections::BTreeSet<_>>()
        .len();
    assert!(asked as usize <= 1 + kinds + 1, "{asked} requests for {kinds} kinds");
    stage.apply_plan(&again).await;
    assert_eq!(stage.writes_since(mark), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_wish_changes_exactly_that() {
    let stage = Stage::new().await;
    let mut wanted = stage.platform();
    stage.apply(wanted.clone()).await;
    let secret = stage.live("secret", "password").unwrap();

    *of_kind(&mut wanted, "ConfigMap").desired_mut() = json!({ "data": { "mode": "b" } });
    let web = of_kind(&mut wanted, "Deployment.apps");
    web.desired_mut()["spec"]["replicas"] = json!(1);
    let labelled = of_kind(&mut wanted, "Secret");
    labelled.desired_mut()["metadata"]["labels"] = json!({ "team": "ml" });
    // The volume grows in its claim and in the template, which is made anew around its pods.
    of_kind(&mut wanted, "PersistentVolumeClaim").desired_mut()["spec"]["resources"]["requests"]["storage"] =
        json!("2Gi");
    of_kind(&mut wanted, "StatefulSet.apps").desired_mut()["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]
        ["storage"] = json!("2Gi");
    let pod = stage.live("pod", "db-0").unwrap()["metadata"]["uid"].clone();
    let plan = stage.plan(wanted.clone()).await;
    let mut lines = told(&plan);
    lines.sort();
    assert_eq!(
        lines,
        [
            "Update ConfigMap data.mode data.more",
            "Update Deployment spec.replicas",
            "Update PersistentVolumeClaim spec.resources.requests.storage",
            "Update Secret metadata.labels.team",
            "Update StatefulSet spec.volumeClaimTemplates[data].spec.resources.requests.storage",
        ]
    );
    stage.apply_plan(&plan).await;
    assert_eq!(
        stage.live("configmap", "settings").unwrap()["data"],
        json!({ "mode": "b" })
    );
    let changed = stage.live("secret", "password").unwrap();
    assert_eq!(changed["data"], secret["data"], "a new label makes no new password");
    assert_eq!(changed["metadata"]["labels"]["team"], "ml");
    assert_eq!(
        stage.live("pod", "db-0").unwrap()["metadata"]["uid"],
        pod,
        "the pod stayed"
    );
    assert_eq!(told(&stage.plan(wanted).await), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_told_with_its_author_and_mended() {
    let stage = Stage::new().await;
    let mut wanted = stage.platform();
    // The server names a conflict over this key without quoting its dot.
    *of_kind(&mut wanted, "ConfigMap").desired_mut() = json!({ "data": { "app.conf": "ours" } });
    stage.apply(wanted.clone()).await;
    let space = stage.space();
    kubectl(&["scale", "deployment", "web", "--replicas=1", "--namespace", &space]);
    let patch = "{\"data\":{\"app.conf\":\"theirs\"}}";
    kubectl(&[
        "patch",
        "configmap",
        "settings",
        "--patch",
        patch,
        "--namespace",
        &space,
    ]);
    kubectl(&["label", "namespace", &space, "someone=else"]);
    let plan = stage.plan(wanted.clone()).await;
    assert_eq!(
        told(&plan),
        ["Update ConfigMap data.\"app.conf\"", "Update Deployment spec.replicas"]
    );
    // The server keeps no time of a write to a subresource such as scale.
    for (step, (who, timed)) in plan.changes().zip([("kubectl-patch", true), ("kubectl", false)]) {
        let change = &step.changes[0];
        assert_eq!(change.origin, platform_core::engine::Origin::Drift);
        let actor = change.actor.as_ref().unwrap();
        assert_eq!((actor.name.as_str(), actor.at.is_some()), (who, timed));
    }
    stage.apply_plan(&plan).await;
    assert_eq!(stage.live("configmap", "settings").unwrap()["data"]["app.conf"], "ours");
    assert_eq!(stage.live("deployment", "web").unwrap()["spec"]["replicas"], 2);
    assert_eq!(
        stage.live("namespace", &space).unwrap()["metadata"]["labels"]["someone"],
        "else"
    );
    assert_eq!(told(&stage.plan(wanted).await), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_wanted_goes_and_what_holds_data_stays() {
    let stage = Stage::new().await;
    let wanted = stage.platform();
    stage.apply(wanted.clone()).await;
    let fewer: Vec<_> = wanted
        .iter()
        .filter(|wish| matches!(wish.id.kind().short(), "Namespace" | "ConfigMap"))
        .cloned()
        .collect();
    let report = stage.apply(fewer).await;
    let mut left: Vec<_> = report.left.iter().map(|live| live.id.label()).collect();
    left.sort();
    let space = stage.space();
    assert_eq!(
        left,
        [
            format!("PersistentVolumeClaim {space}/data-db-0"),
            format!("Secret {space}/password")
        ]
    );
    assert!(stage.live("deployment", "web").is_none());
    let kinds = stage.live_parent()["metadata"]["annotations"]["applyset.kubernetes.io/contains-group-kinds"].clone();
    assert_eq!(kinds, "ConfigMap,Namespace");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_object_is_refused_and_nobodys_adopted_when_named() {
    let stage = Stage::new().await;
    let space = stage.space();
    let wanted: Vec<_> = stage
        .platform()
        .into_iter()
        .filter(|wish| matches!(wish.id.kind().short(), "Namespace" | "ConfigMap"))
        .collect();
    stage.apply(wanted[..1].to_vec()).await;
    let theirs = |labels: serde_json::Value, annotations: serde_json::Value| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "settings", "namespace": space, "labels": labels, "annotations": annotations },
            "data": { "mode": "theirs", "other": "y" },
        })
    };
    apply(&[theirs(json!({ "kapp.k14s.io/app": "1" }), json!({}))]);
    assert_eq!(
        told(&stage.plan(wanted.clone()).await),
        ["Blocked ConfigMap (the name is taken by kapp app 1)"]
    );
    kubectl(&[
        "label",
        "configmap",
        "settings",
        "kapp.k14s.io/app-",
        "--namespace",
        &space,
    ]);
    assert_eq!(
        told(&stage.plan(wanted.clone()).await),
        ["Blocked ConfigMap (it exists and belongs to nobody)"]
    );
    let request = stage
        .request(wanted.clone())
        .with_adopt([stage.id("ConfigMap", "settings")]);
    let plan = stage.engine.plan(&request).await.unwrap();
    assert_eq!(told(&plan), ["Adopt ConfigMap data.mode data.more"]);
    stage.apply_plan(&plan).await;
    // What kubectl had set and the wish does not name stays: the plan did not say that it goes.
    assert_eq!(
        stage.live("configmap", "settings").unwrap()["data"],
        json!({ "mode": "a", "more": "x", "other": "y" })
    );
    assert_eq!(told(&stage.plan(wanted).await), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn immutable_fields_are_replaced_or_blocked_by_what_they_hold() {
    let stage = Stage::new().await;
    let mut wanted = stage.platform();
    stage.apply(wanted.clone()).await;
    of_kind(&mut wanted, "RoleBinding.rbac.authorization.k8s.io").desired_mut()["roleRef"] =
        json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" });
    let plan = stage.plan(wanted.clone()).await;
    assert_eq!(told(&plan), ["Replace RoleBinding roleRef.kind roleRef.name"]);
    stage.apply_plan(&plan).await;
    assert_eq!(stage.live("rolebinding", "app").unwrap()["roleRef"]["name"], "view");

    let claim = of_kind(&mut wanted, "PersistentVolumeClaim");
    claim.desired_mut()["spec"]["storageClassName"] = json!("other");
    let plan = stage.plan(wanted.clone()).await;
    let lines = told(&plan);
    assert!(
        lines[0].starts_with("Blocked PersistentVolumeClaim spec.storageClassName"),
        "{lines:?}"
    );
}

impl Stage {
    /// What this library has asked the server to change for this stage since then, by the server's audit log.
    pub(crate) fn writes_since(&self, mark: AuditMark) -> Vec<String> {
        let (events, _) = control_plane().audit_since(mark).unwrap();
        // The namespace of the parent and lease is named after the stage as well.
        let ours = |event: &&AuditEvent| event.user_agent.starts_with("mlplat/") && event.uri.contains(&self.prefix);
        events
            .iter()
            .filter(|event| event.writes())
            .filter(ours)
            .map(|event| format!("{} {}", event.verb, event.uri))
            .collect()
    }

    /// The set's parent.
    pub(crate) fn live_parent(&self) -> serde_json::Value {
        let list = crate::shared::object(&format!(
            "configmaps --namespace={}home --selector=applyset.kubernetes.io/id",
            self.prefix
        ));
        list.unwrap()["items"][0].clone()
    }
}
