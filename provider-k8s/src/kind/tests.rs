#![allow(clippy::unwrap_used)]

use super::{KINDS, facts, find};
use platform_core::State;
use platform_core::value::Kind;
use serde_json::{Value, json};

#[test]
fn registry_is_consistent() {
    for pair in KINDS.windows(2) {
        assert!(pair[0].facts.kind < pair[1].facts.kind, "sorted and unique");
    }
    for kind in KINDS {
        assert!(facts(&Kind::new(kind.facts.kind).unwrap()).is_some());
        let group = kind.facts.kind.split_once('.').map_or("", |(_, group)| group);
        assert_eq!(group, kind.group, "{}", kind.facts.kind);
        assert!(
            kind.facts
                .calls
                .create
                .contains(&format!("create {}", kind.resource()).as_str())
        );
    }
}

fn word(state: &State) -> String {
    match state {
        State::Ready => "ready".to_owned(),
        State::Progressing { what } => format!("progressing: {what}"),
        State::Failed { why } => format!("failed: {why}"),
        State::Deleting { blocked_by } => format!("deleting: {}", blocked_by.join(" ")),
    }
}

#[test]
fn states() {
    let condition = |kind: &str, status: &str, message: &str| json!({"type": kind, "status": status, "reason": "R", "message": message});
    let deployment = |status: Value| json!({"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status});
    let set = |status: Value| json!({"metadata": {"generation": 1}, "spec": {"replicas": 1}, "status": status});
    let full = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2});
    let velero = |status: Value| json!({"metadata": {}, "status": status});
    let with = |base: &Value, key: &str, value: Value| {
        let mut base = base.clone();
        base[key] = value;
        base
    };
    for (kind, object, expected) in [
        ("ConfigMap", json!({"metadata": {}}), "ready"),
        (
            "ConfigMap",
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}}),
            "deleting: a/b",
        ),
        (
            "Deployment.apps",
            deployment(json!({})),
            "progressing: its controller has not seen it yet",
        ),
        ("Deployment.apps", deployment(full.clone()), "ready"),
        (
            "Deployment.apps",
            deployment(with(&full, "observedGeneration", json!(1))),
            "progressing: its controller has not seen the change yet",
        ),
        (
            "Deployment.apps",
            deployment(with(&full, "readyReplicas", json!(1))),
            "progressing: 1 of 2 pods ready",
        ),
        (
            "Deployment.apps",
            deployment(with(&full, "replicas", json!(3))),
            "progressing: 1 pods of the old version still there",
        ),
        (
            "Deployment.apps",
            deployment(with(
                &json!({"observedGeneration": 2}),
                "conditions",
                json!([condition("ReplicaFailure", "True", "exceeded quota: q")]),
            )),
            "failed: exceeded quota: q",
        ),
        (
            "Deployment.apps",
            deployment(with(
                &full,
                "conditions",
                json!([condition("ReplicaFailure", "True", "exceeded quota: q")]),
            )),
            "progressing: exceeded quota: q",
        ),
        (
            "Deployment.apps",
            deployment(with(
                &full,
                "conditions",
                json!([condition("Progressing", "False", "too late")]),
            )),
            "failed: too late",
        ),
        (
            "StatefulSet.apps",
            set(json!({"observedGeneration": 1})),
            "progressing: 0 of 1 pods there",
        ),
        (
            "StatefulSet.apps",
            set(
                json!({"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "currentRevision": "a", "updateRevision": "b"}),
            ),
            "progressing: 0 of 1 pods of this version",
        ),
        (
            "StatefulSet.apps",
            set(
                json!({"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "currentRevision": "a", "updateRevision": "a"}),
            ),
            "ready",
        ),
        (
            "Job.batch",
            json!({"metadata": {}, "status": {"active": 1}}),
            "progressing: completion",
        ),
        (
            "Job.batch",
            json!({"metadata": {}, "status": {"conditions": [condition("Complete", "True", "")]}}),
            "ready",
        ),
        (
            "Job.batch",
            json!({"metadata": {}, "status": {"conditions": [condition("Failed", "True", "backoff")]}}),
            "failed: backoff",
        ),
        // WaitForFirstConsumer: its workload waits for it, so it must not wait for its workload.
        (
            "PersistentVolumeClaim",
            json!({"metadata": {}, "status": {"phase": "Pending"}}),
            "ready",
        ),
        (
            "PersistentVolumeClaim",
            json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "n1"}}, "status": {"phase": "Pending"}}),
            "progressing: its volume on n1",
        ),
        (
            "PersistentVolumeClaim",
            json!({"metadata": {}, "spec": {"resources": {"requests": {"storage": "2Gi"}}}, "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}),
            "progressing: the larger volume",
        ),
        (
            "PersistentVolumeClaim",
            json!({"metadata": {}, "spec": {"resources": {"requests": {"storage": "1024Mi"}}}, "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}),
            "ready",
        ),
        (
            "PersistentVolumeClaim",
            json!({"metadata": {}, "status": {"phase": "Lost"}}),
            "failed: its volume is gone",
        ),
        (
            "DaemonSet.apps",
            json!({"metadata": {}, "status": {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberReady": 1}}),
            "progressing: 1 of 2 pods ready",
        ),
        ("Backup.velero.io", velero(json!({})), "progressing: New"),
        (
            "Backup.velero.io",
            velero(json!({"phase": "InProgress", "progress": {"itemsBackedUp": 3, "totalItems": 47}})),
            "progressing: InProgress: 3 of 47 items",
        ),
        (
            "Backup.velero.io",
            velero(json!({"phase": "Completed", "warnings": 1})),
            "ready",
        ),
        (
            "Backup.velero.io",
            velero(json!({"phase": "Completed", "errors": 1})),
            "failed: Completed with 1 error",
        ),
        (
            "Backup.velero.io",
            velero(json!({"phase": "PartiallyFailed", "errors": 2, "failureReason": "hook failed"})),
            "failed: PartiallyFailed with 2 errors: hook failed",
        ),
        (
            "Backup.velero.io",
            velero(json!({"phase": "FailedValidation", "validationErrors": ["no location", "no namespace"]})),
            "failed: FailedValidation: no location; no namespace",
        ),
        (
            "Restore.velero.io",
            velero(json!({"phase": "FinalizingPartiallyFailed", "errors": 1})),
            "progressing: FinalizingPartiallyFailed, 1 errors so far",
        ),
        ("Restore.velero.io", velero(json!({"phase": "Completed"})), "ready"),
        (
            "Schedule.velero.io",
            velero(json!({"phase": "FailedValidation", "validationErrors": ["invalid schedule"]})),
            "failed: invalid schedule",
        ),
        ("Schedule.velero.io", velero(json!({"phase": "Enabled"})), "ready"),
        (
            "BackupStorageLocation.velero.io",
            velero(json!({"phase": "Available"})),
            "ready",
        ),
        (
            "BackupStorageLocation.velero.io",
            velero(json!({"phase": "Unavailable", "message": "no such bucket"})),
            "progressing: Unavailable: no such bucket",
        ),
        (
            "CustomResourceDefinition.apiextensions.k8s.io",
            json!({"metadata": {}, "status": {"conditions": [condition("Established", "True", "")]}}),
            "ready",
        ),
        (
            "CustomResourceDefinition.apiextensions.k8s.io",
            json!({"metadata": {}, "status": {"conditions": [condition("NamesAccepted", "False", "\"backups\" is taken")]}}),
            "failed: \"backups\" is taken",
        ),
    ] {
        assert_eq!(
            word(&find(kind).unwrap().state_of(&object)),
            expected,
            "{kind} {object}"
        );
    }
}
