//! The peer itself: what the suites take for granted of the control plane and its simulated nodes.

use std::time::Duration;

use serde_json::{Value, json};
use xtask::control_plane::AuditMark;

use crate::shared::{apply, control_plane, kubectl, kubectl_as, object, prefix, within};

fn template(labels: &str, annotations: &Value) -> Value {
    json!({
        "metadata": { "labels": { "app": labels }, "annotations": annotations },
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "initContainers": [{ "name": "first", "image": "example.test/first:1" }],
            "containers": [{ "name": "main", "image": "example.test/main:1" }],
        },
    })
}

fn deployment(namespace: &str, name: &str, replicas: u32, annotations: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "replicas": replicas, "selector": { "matchLabels": { "app": name } },
            "template": template(name, annotations),
        },
    })
}

fn job(namespace: &str, name: &str, annotations: &Value) -> Value {
    let mut template = template(name, annotations);
    template["spec"]["restartPolicy"] = json!("Never");
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name, "namespace": namespace },
        "spec": { "template": template, "backoffLimit": 0 },
    })
}

fn claim(class: &str) -> Value {
    json!({ "storageClassName": class, "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } })
}

fn namespace(name: &str, level: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": name, "labels": { "pod-security.kubernetes.io/enforce": level } },
    })
}

#[test]
fn workloads_come_up_and_volumes_grow() {
    let space = format!("{}work", prefix());
    let mut database = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "database", "namespace": space },
        "spec": {
            "replicas": 2, "serviceName": "database", "selector": { "matchLabels": { "app": "database" } },
            "template": template("database", &json!({})),
            "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": claim("fake") }],
        },
    });
    database["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] =
        json!([{ "name": "data", "mountPath": "/data" }]);
    let mut late = template("late", &json!({}));
    late["spec"]["volumes"] = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "late" } }]);
    late["apiVersion"] = json!("v1");
    late["kind"] = json!("Pod");
    late["metadata"]["name"] = json!("late");
    late["metadata"]["namespace"] = json!(space);

    // started before the clock runs: the suite's first test pays for the control plane
    control_plane();
    apply(&[
        namespace(&space, "baseline"),
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": "late", "namespace": space }, "spec": claim("fake-late"),
        }),
        database,
        late,
        deployment(&space, "web", 3, &json!({})),
        job(&space, "once", &json!({})),
    ]);
    let ready = |words: &str, pointer: &str, expected: Value| {
        let words = format!("{words} --namespace {space}");
        // about a second on an idle machine
        within(Duration::from_mins(1), &words, || {
            object(&words).is_some_and(|object| object.pointer(pointer) == Some(&expected))
        });
    };
    ready("statefulset database", "/status/readyReplicas", json!(2));
    ready("deployment web", "/status/availableReplicas", json!(3));
    ready("job once", "/status/succeeded", json!(1));
    ready("pod late", "/status/containerStatuses/0/ready", json!(true));

    let pod = object(&format!("pod database-0 --namespace {space}")).unwrap();
    assert!(
        pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"].is_string(),
        "{}",
        pod["status"]
    );
    assert_eq!(
        pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"],
        0
    );

    let grow = r#"{"spec":{"resources":{"requests":{"storage":"3Gi"}}}}"#;
    kubectl(&[
        "patch",
        "pvc",
        "data-database-1",
        "--namespace",
        &space,
        "--patch",
        grow,
    ]);
    ready("pvc data-database-1", "/status/capacity/storage", json!("3Gi"));
    ready("pvc data-database-0", "/status/capacity/storage", json!("1Gi"));

    let uid = pod["metadata"]["uid"].clone();
    kubectl(&["delete", "pod", "database-0", "--namespace", &space, "--wait=false"]);
    within(Duration::from_mins(1), "another database-0", || {
        object(&format!("pod database-0 --namespace {space}")).is_some_and(|pod| pod["metadata"]["uid"] != uid)
    });
}

#[test]
fn annotations_steer_single_pods() {
    let space = format!("{}steered", prefix());
    control_plane();
    apply(&[
        namespace(&space, "baseline"),
        deployment(&space, "unready", 1, &json!({ "test.mlplat.dev/ready": "false" })),
        deployment(&space, "crashing", 1, &json!({ "test.mlplat.dev/exit-code": "1" })),
        deployment(
            &space,
            "pulling",
            1,
            &json!({ "test.mlplat.dev/waiting": "ImagePullBackOff" }),
        ),
        job(
            &space,
            "failing",
            &json!({ "test.mlplat.dev/exit-code": "3", "test.mlplat.dev/delay-ms": "1000" }),
        ),
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": "stuck", "namespace": space, "annotations": { "test.mlplat.dev/provision": "false" } },
            "spec": claim("fake"),
        }),
    ]);
    let pod = |app: &str| {
        let pods = object(&format!("pods --namespace {space} --selector app={app}")).unwrap_or_default();
        pods["items"][0].clone()
    };
    let container = |app: &str| pod(app)["status"]["containerStatuses"][0].clone();
    let limit = Duration::from_secs(20);
    within(limit, "running, not ready", || {
        let seen = container("unready");
        seen["state"]["running"].is_object() && seen["ready"] == false
    });
    within(limit, "crash loop", || {
        let seen = container("crashing");
        seen["state"]["waiting"]["reason"] == "CrashLoopBackOff" && seen["lastState"]["terminated"]["exitCode"] == 1
    });
    within(limit, "image pull", || {
        container("pulling")["state"]["waiting"]["reason"] == "ImagePullBackOff"
    });
    within(limit, "failed job", || {
        object(&format!("job failing --namespace {space}")).is_some_and(|job| job["status"]["failed"] == 1)
    });
    assert_eq!(container("failing")["state"]["terminated"]["exitCode"], 3);
    assert_eq!(
        object(&format!("pvc stuck --namespace {space}")).unwrap()["status"]["phase"],
        "Pending"
    );

    // steered otherwise while it runs
    let name = pod("unready")["metadata"]["name"].as_str().unwrap().to_owned();
    kubectl(&[
        "annotate",
        "pod",
        &name,
        "--namespace",
        &space,
        "test.mlplat.dev/ready-",
        "--overwrite",
    ]);
    within(limit, "ready after all", || container("unready")["ready"] == true);
}

#[test]
fn admission_and_rbac_are_real_and_the_audit_log_tells() {
    let space = format!("{}strict", prefix());
    let plane = control_plane();
    let mark = plane.audit_mark().unwrap();
    apply(&[namespace(&space, "restricted")]);
    let privileged = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "privileged", "namespace": space },
        "spec": { "containers": [{ "name": "c", "image": "i", "securityContext": { "privileged": true } }] },
    });
    let file = plane.folder().join(format!("{space}.json"));
    std::fs::write(&file, privileged.to_string()).unwrap();
    let refused = kubectl_as(plane.admin(), &["create", "--filename", file.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && text.contains(r#"violates PodSecurity "restricted:latest": privileged"#),
        "{text}"
    );

    let binding = format!("{space}-view");
    kubectl(&[
        "create",
        "rolebinding",
        &binding,
        "--namespace",
        &space,
        "--clusterrole=view",
        "--group=ops",
    ]);
    let dev = plane.user(&format!("{space}-dev"), &["devs", "ops"]).unwrap();
    assert!(
        kubectl_as(&dev, &["get", "pods", "--namespace", &space])
            .status
            .success(),
        "the second group counts"
    );
    let refused = kubectl_as(&dev, &["delete", "namespace", &space]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("cannot delete resource \"namespaces\""));

    let (events, end) = plane.audit_since(mark).unwrap();
    let mine: Vec<(&str, u16, bool)> = events
        .iter()
        .filter(|event| event.user == dev.name() && event.uri.contains("/namespaces/"))
        .map(|event| (event.verb.as_str(), event.code, event.writes()))
        .collect();
    assert_eq!(mine, [("list", 200, false), ("delete", 403, true)]);
    let forbidden = format!("/api/v1/namespaces/{space}/pods?");
    let created = events
        .iter()
        .find(|event| event.uri.starts_with(&forbidden) && event.verb == "create")
        .unwrap();
    assert_eq!((created.user.as_str(), created.code), ("admin", 403));
    assert!(
        created.user_agent.starts_with("kubectl/v1.36.3"),
        "{}",
        created.user_agent
    );
    assert!(
        plane
            .audit_since(end)
            .unwrap()
            .0
            .iter()
            .all(|event| event.user != dev.name())
    );
    assert!(plane.audit_since(AuditMark::default()).unwrap().0.len() > events.len());
}
