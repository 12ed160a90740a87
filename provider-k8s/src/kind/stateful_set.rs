use super::status::{count, progressing, replicas, share};
use super::{KubeKind, LABEL, PLAIN};
use platform_core::{Calls, Equal, Field, FieldChange, KindFacts, Risk, RiskRule, State};
use serde_json::Value;
use std::time::Duration;

/// Pods with volumes and names of their own. Its claim templates grow by the orphan recipe: the object is
/// deleted without its pods and made again, which is why an update needs the rights for both.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "StatefulSet.apps",
        rank: 85,
        // Its pods' label holds the name and a hash.
        name: platform_core::NameRule { max: 52, ..LABEL },
        patience: Duration::from_mins(10),
        usually: Duration::from_secs(20),
        fields: &[
            Field::new("spec.selector").changes(FieldChange::Never),
            Field::new("spec.serviceName").changes(FieldChange::Never),
            Field::new("spec.podManagementPolicy").changes(FieldChange::Never),
            Field::new("spec.replicas").risk(RiskRule::Shrinks(Risk::Downtime)),
            Field::new("spec.volumeClaimTemplates")
                .changes(FieldChange::Never)
                .instead("take the capability out of the config, apply, and put it back as wished: its volume is kept"),
            Field::new("spec.volumeClaimTemplates[*].spec.resources.requests.storage")
                .changes(FieldChange::GrowOnly)
                .equal(Equal::Quantity),
            Field::new("spec.persistentVolumeClaimRetentionPolicy").risk(RiskRule::Always(Risk::LowersProtection)),
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
        calls: Calls {
            read: &[
                "get statefulsets.apps",
                "list statefulsets.apps",
                "watch statefulsets.apps",
            ],
            create: &["create statefulsets.apps"],
            update: &[
                "get statefulsets.apps",
                "patch statefulsets.apps",
                "create statefulsets.apps",
                "delete statefulsets.apps",
            ],
            delete: &["get statefulsets.apps", "delete statefulsets.apps"],
        },
        ..PLAIN
    },
    group: "apps",
    version: "v1",
    plural: "statefulsets",
    namespaced: true,
    state,
};

fn state(object: &Value) -> State {
    let status = &object["status"];
    if !status["observedGeneration"].is_i64() {
        return progressing("its controller has not seen it yet");
    }
    let want = replicas(object);
    let have = count(object, "replicas");
    if have < want {
        return share(have, want, "there");
    }
    let ready = count(object, "readyReplicas");
    if ready < want {
        return share(ready, want, "ready");
    }
    if have > want {
        return progressing(&format!("{} pods to go away", have - want));
    }
    if object["spec"]["updateStrategy"]["type"] == "OnDelete" {
        return State::Ready;
    }
    let kept = object["spec"]["updateStrategy"]["rollingUpdate"]["partition"]
        .as_i64()
        .unwrap_or(0);
    let updated = count(object, "updatedReplicas");
    if kept > 0 {
        return if updated < want - kept {
            share(updated, want - kept, "of this version")
        } else {
            State::Ready
        };
    }
    if status["currentRevision"] != status["updateRevision"] {
        return share(updated, want, "of this version");
    }
    State::Ready
}
