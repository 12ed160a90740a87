use super::status::{condition, condition_that_is, count, progressing, replicas, share};
use super::{KubeKind, PLAIN, calls};
use platform_core::{Equal, Field, FieldChange, KindFacts, Risk, RiskRule, State};
use serde_json::Value;
use std::time::Duration;

/// Pods that share nothing.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "Deployment.apps",
        rank: 85,
        patience: Duration::from_mins(10),
        usually: Duration::from_secs(10),
        fields: &[
            Field::new("spec.selector").changes(FieldChange::Replace),
            Field::new("spec.replicas").risk(RiskRule::Shrinks(Risk::Downtime)),
            Field::new("spec.template")
                .changes(FieldChange::Restart)
                .risk(RiskRule::Always(Risk::Downtime)),
            Field::new("spec.template.spec.containers[*].resources.requests.*")
                .equal(Equal::Quantity)
                .changes(FieldChange::Restart)
                .risk(RiskRule::Always(Risk::Downtime)),
            Field::new("spec.template.spec.containers[*].resources.limits.*")
                .equal(Equal::Quantity)
                .changes(FieldChange::Restart)
                .risk(RiskRule::Always(Risk::Downtime)),
        ],
        calls: calls!("deployments.apps", watched),
        ..PLAIN
    },
    group: "apps",
    version: "v1",
    plural: "deployments",
    namespaced: true,
    state,
};

fn state(object: &Value) -> State {
    if object["spec"]["paused"] == true {
        return State::Ready;
    }
    if !object["status"]["observedGeneration"].is_i64() {
        return progressing("its controller has not seen it yet");
    }
    let want = replicas(object);
    // Admission, quota or Pod Security refuses its pods. While old pods serve, a quota may free itself.
    if let Some(failure) = condition(object, "ReplicaFailure") {
        let serves = count(object, "readyReplicas") > 0;
        return if serves && failure.message.contains("exceeded quota") {
            progressing(failure.message)
        } else {
            State::Failed { why: failure.text() }
        };
    }
    if let Some(failure) = condition_that_is(object, "Progressing", "False") {
        return State::Failed { why: failure.text() };
    }
    let updated = count(object, "updatedReplicas");
    if updated < want {
        return share(updated, want, "of this version");
    }
    let all = count(object, "replicas");
    if all > updated {
        return progressing(&format!("{} pods of the old version still there", all - updated));
    }
    for (field, what) in [("readyReplicas", "ready"), ("availableReplicas", "available")] {
        let have = count(object, field);
        if have < want {
            return share(have, want, what);
        }
    }
    State::Ready
}
