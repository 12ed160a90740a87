//! Namespaces that a config declares for applications.

use platform_core::engine::Action;
use serde_json::{Value, json};
use std::time::Duration;

use crate::configured::{apply, platform, try_apply};
use crate::shared::{apply as put, kubectl, object, prefix, within};
use crate::stage::accepted;

fn text(prefix: &str, applications: &str) -> String {
    format!(
        "name: ml\nenvironment: local\nprovider: kubernetes\nnamespace_prefix: {prefix}\ndatabase: {{}}\ncache: {{}}\n\
         security: {{ applications: [{applications}] }}\n"
    )
}

/// A pod that passes the restricted level and states no limits.
fn pod(name: &str, namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "serviceAccountName": "application",
            "securityContext": { "runAsNonRoot": true, "runAsUser": 10_001, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "main", "image": "registry.invalid/main:1",
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    })
}

/// It stands as declared, holds what runs in it to that, is found settled, and outlives its line in the config with all that
/// others made in it.
#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_let_in_and_outlives_its_line() {
    let prefix = prefix();
    let space = format!("{prefix}apps");
    let wanted = text(
        &prefix,
        "{ name: apps, pod_security: restricted, uses: [database, cache], quota: { pods: 2 } }",
    );
    let standing = platform(&wanted, None).await;
    apply(&standing, &standing.plan().await.unwrap()).await;
    let again = platform(&wanted, None).await.plan().await.unwrap();
    assert!(again.is_empty(), "{}", again.display());

    let value = |words: &str, pointer: &str| object(words).and_then(|found| found.pointer(pointer).cloned());
    let password = |words: &str| value(words, "/data/password").unwrap();
    let own = password(&format!("secret postgres-credentials -n {prefix}database"));
    assert_eq!(password(&format!("secret database-client -n {space}")), own);
    let authority = |namespace: &str| value(&format!("secret ca-certificate -n {namespace}"), "/data/ca.crt").unwrap();
    assert_eq!(authority(&space), authority(&format!("{prefix}security")));

    // Pods get the limits that they don't state; a third is too much; one of the baseline level is not let in.
    put(&[pod("one", &space), pod("two", &space)]);
    let limits = value(&format!("pod one -n {space}"), "/spec/containers/0/resources/limits").unwrap();
    assert_eq!(limits, json!({ "cpu": "500m", "memory": "256Mi" }));
    let refused = |pod: &Value| {
        let api = crate::shared::api();
        let body = pod.clone();
        let path = format!("/api/v1/namespaces/{space}/pods");
        async move {
            let request = http::Request::post(path).body(body.to_string().into_bytes()).unwrap();
            match api.await.request::<Value>(request).await {
                Err(kube::Error::Api(status)) => status.message.clone(),
                other => panic!("{other:?}"),
            }
        }
    };
    let third = refused(&pod("three", &space)).await;
    assert!(third.contains("exceeded quota"), "{third}");
    let mut root = pod("root", &space);
    root["spec"]["securityContext"] = json!({});
    let root = refused(&root).await;
    assert!(root.contains("violates PodSecurity \"restricted"), "{root}");

    // Somebody keeps data there. The line goes; whoever is there stays, cut off.
    put(&[json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "models", "namespace": space },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    })]);
    let uid = |words: &str| value(words, "/metadata/uid");
    let there = [
        format!("namespace {space}"),
        format!("persistentvolumeclaim models -n {space}"),
        format!("pod one -n {space}"),
        format!("networkpolicy default-deny -n {space}"),
    ];
    let before: Vec<_> = there.iter().map(|words| uid(words)).collect();
    let without = platform(&text(&prefix, ""), None).await;
    let plan = without.plan().await.unwrap();
    let of_space = |action: Action| -> Vec<String> {
        plan.changes()
            .filter(|step| step.action == action && step.id.to_string().contains(&space))
            .map(|step| format!("{} {}", step.id.kind().short(), step.id.name().base()))
            .collect()
    };
    assert_eq!(
        of_space(Action::Release),
        [format!("Namespace {space}"), "NetworkPolicy default-deny".to_owned()]
    );
    assert!(of_space(Action::Delete).contains(&"Secret database-client".to_owned()));
    apply(&without, &plan).await;
    assert_eq!(there.iter().map(|words| uid(words)).collect::<Vec<_>>(), before);
    assert_eq!(object(&format!("secret database-client -n {space}")), None);
    let again = platform(&text(&prefix, ""), None).await.plan().await.unwrap();
    assert!(again.is_empty(), "{}", again.display());

    // Declared again, it takes its namespace up again, and destroying the platform leaves all of that there too.
    let back = platform(&wanted, None).await;
    apply(&back, &back.plan().await.unwrap()).await;
    let end = back.destroy_plan().await.unwrap();
    try_apply(&back, &end, &accepted(&end)).await.unwrap();
    assert_eq!(there.iter().map(|words| uid(words)).collect::<Vec<_>>(), before);
    let home = format!("namespace {prefix}ml");
    within(Duration::from_mins(1), "the home goes", || object(&home).is_none());
    kubectl(&["delete", "namespace", &space, "--wait=false"]);
}

/// A namespace that somebody else made is not taken without a word.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_of_somebody_else_is_not_taken() {
    let prefix = prefix();
    let space = format!("{prefix}apps");
    kubectl(&["create", "namespace", &space]);
    let platform = platform(&text(&prefix, "{ name: apps, uses: [cache] }"), None).await;
    let plan = platform.plan().await.unwrap();
    let step = plan
        .changes()
        .find(|step| step.id.kind().short() == "Namespace" && step.id.name().base() == space)
        .unwrap();
    assert_eq!(step.action, Action::Blocked);
    let help = &step.blocked.as_ref().unwrap().help;
    assert!(help.contains(&format!("--adopt Namespace/{space}")), "{help}");
}
