//! Every pod passes the restricted Pod Security Standard and our own rules beyond it.

use platform_tests::manifests::{Wanted, manifest, pod_template, resources};
use serde_json::{Value, json};

/// What is wrong with a pod; empty when nothing is.
fn complaints(template: &Value) -> Vec<String> {
    let spec = &template["spec"];
    let context = &spec["securityContext"];
    let mut wrong = Vec::new();
    let mut demand = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    // The restricted standard of Kubernetes 1.36, control by control.
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        demand(spec[key] != true, key.to_owned());
    }
    demand(context["runAsNonRoot"] == true, "runAsNonRoot".to_owned());
    demand(
        context["seccompProfile"]["type"] == "RuntimeDefault",
        "seccompProfile".to_owned(),
    );
    for volume in spec["volumes"].as_array().unwrap() {
        let kinds = [
            "configMap",
            "secret",
            "emptyDir",
            "projected",
            "persistentVolumeClaim",
            "downwardAPI",
            "csi",
            "ephemeral",
        ];
        demand(
            volume
                .as_object()
                .unwrap()
                .keys()
                .all(|key| key == "name" || kinds.contains(&key.as_str())),
            format!("volume {}", volume["name"]),
        );
    }
    // Beyond it.
    demand(
        context["runAsUser"].as_u64().is_some_and(|uid| uid >= 10_000),
        "runAsUser".to_owned(),
    );
    demand(
        context["fsGroup"].as_u64().is_some_and(|gid| gid >= 10_000),
        "fsGroup".to_owned(),
    );
    demand(
        context["fsGroupChangePolicy"] == "OnRootMismatch",
        "fsGroupChangePolicy".to_owned(),
    );
    demand(
        spec["automountServiceAccountToken"] == false,
        "automountServiceAccountToken".to_owned(),
    );
    demand(spec["enableServiceLinks"] == false, "enableServiceLinks".to_owned());
    demand(
        spec["serviceAccountName"] != "default" && spec["serviceAccountName"].is_string(),
        "serviceAccountName".to_owned(),
    );
    let all = ["containers", "initContainers"];
    for container in all.iter().flat_map(|key| spec[key].as_array().into_iter().flatten()) {
        let name = &container["name"];
        let own = &container["securityContext"];
        demand(
            own["allowPrivilegeEscalation"] == false,
            format!("{name} allowPrivilegeEscalation"),
        );
        demand(own["privileged"] != true, format!("{name} privileged"));
        demand(own["capabilities"]["drop"] == json!(["ALL"]), format!("{name} drop"));
        demand(own["capabilities"].get("add").is_none(), format!("{name} add"));
        demand(
            own.get("runAsUser").is_none_or(|uid| uid != 0),
            format!("{name} runAsUser"),
        );
        demand(
            own["readOnlyRootFilesystem"] == true,
            format!("{name} readOnlyRootFilesystem"),
        );
        demand(
            container["imagePullPolicy"] == "IfNotPresent",
            format!("{name} imagePullPolicy"),
        );
        demand(
            container["image"]
                .as_str()
                .is_some_and(|image| image.contains("@sha256:")),
            format!("{name} image"),
        );
        for port in container["ports"].as_array().into_iter().flatten() {
            demand(port.get("hostPort").is_none(), format!("{name} hostPort"));
        }
        for variable in container["env"].as_array().into_iter().flatten() {
            demand(
                variable.get("valueFrom").is_none(),
                format!("{name} env {}", variable["name"]),
            );
        }
        for (limit, resource) in [
            ("limits", "cpu"),
            ("limits", "memory"),
            ("requests", "cpu"),
            ("requests", "memory"),
        ] {
            demand(
                container["resources"][limit][resource].is_string(),
                format!("{name} {limit}.{resource}"),
            );
        }
        for mount in container["volumeMounts"].as_array().unwrap() {
            let volume = spec["volumes"]
                .as_array()
                .unwrap()
                .iter()
                .find(|volume| volume["name"] == mount["name"]);
            let writable = volume.is_none_or(|volume| volume.get("emptyDir").is_some());
            demand(
                mount["readOnly"] == true || writable,
                format!("{name} writes {}", mount["name"]),
            );
        }
    }
    wrong
}

/// What no other settings would do: Velero talks to the API server, and its agent reads the volumes of all pods of a node.
const KNOWN: [(&str, &[&str]); 3] = [
    // What it reads is the node's own.
    (
        "node-exporter",
        &[
            "hostNetwork",
            "hostPID",
            "volume \"root\"",
            "volume \"proc\"",
            "volume \"sys\"",
        ],
    ),
    (
        "velero",
        &["automountServiceAccountToken", "\"velero-plugin-for-aws\" image"],
    ),
    (
        "node-agent",
        &[
            "runAsNonRoot",
            "volume \"host-pods\"",
            "volume \"host-plugins\"",
            "runAsUser",
            "fsGroup",
            "fsGroupChangePolicy",
            "automountServiceAccountToken",
            "\"node-agent\" drop",
            "\"node-agent\" readOnlyRootFilesystem",
            "\"node-agent\" env \"NODE_NAME\"",
            "\"node-agent\" writes \"host-pods\"",
            "\"node-agent\" writes \"host-plugins\"",
        ],
    ),
];

#[test]
fn every_pod_is_restricted() {
    let mut checked = 0;
    for wanted in [Wanted::local(), Wanted::strict()] {
        for document in resources(&wanted).unwrap().iter().map(manifest) {
            if let Some(template) = pod_template(&document) {
                let name = document["metadata"]["name"].as_str().unwrap();
                let known = KNOWN
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map_or(&[][..], |(_, why)| why);
                assert_eq!(complaints(template), known, "{name}");
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 25);
}

/// The table above sees what it should: each loosening of a good pod is one complaint.
#[test]
fn every_loosening_is_seen() {
    let all = resources(&Wanted::local()).unwrap();
    let good = all
        .iter()
        .map(manifest)
        .find_map(|document| pod_template(&document).cloned())
        .unwrap();
    for (path, value) in [
        ("/spec/hostNetwork", json!(true)),
        ("/spec/securityContext/runAsNonRoot", json!(false)),
        ("/spec/securityContext/runAsUser", json!(999)),
        ("/spec/securityContext/seccompProfile/type", json!("Unconfined")),
        ("/spec/automountServiceAccountToken", json!(true)),
        ("/spec/serviceAccountName", json!("default")),
        ("/spec/containers/0/securityContext/privileged", json!(true)),
        (
            "/spec/containers/0/securityContext/allowPrivilegeEscalation",
            json!(true),
        ),
        (
            "/spec/containers/0/securityContext/capabilities/drop",
            json!(["NET_RAW"]),
        ),
        (
            "/spec/containers/0/securityContext/capabilities/add",
            json!(["NET_ADMIN"]),
        ),
        (
            "/spec/containers/0/securityContext/readOnlyRootFilesystem",
            json!(false),
        ),
        ("/spec/containers/0/image", json!("docker.io/library/postgres:17")),
        ("/spec/containers/0/ports/0/hostPort", json!(5432)),
        (
            "/spec/containers/0/env/0/valueFrom",
            json!({ "secretKeyRef": { "name": "x", "key": "y" } }),
        ),
        ("/spec/containers/0/resources/limits/memory", Value::Null),
        ("/spec/volumes/0/hostPath", json!({ "path": "/" })),
    ] {
        let mut bad = good.clone();
        let (parent, key) = path.rsplit_once('/').unwrap();
        bad.pointer_mut(parent).unwrap()[key] = value;
        assert_eq!(complaints(&bad).len(), 1, "{path}: {:?}", complaints(&bad));
    }
}
