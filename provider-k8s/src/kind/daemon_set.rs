use super::status::{count, progressing, share};
use super::{KubeKind, PLAIN, calls};
use platform_core::{Equal, Field, FieldChange, KindFacts, NameRule, Risk, RiskRule, State};
use serde_json::Value;
use std::time::Duration;

/// One pod a node.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "DaemonSet.apps",
        rank: 85,
        // Its revisions are called by the name and a hash of ten characters; without one it starts no pod.
        name: NameRule { max: 242, ..PLAIN.name },
        patience: Duration::from_mins(10),
        usually: Duration::from_secs(10),
        fields: &[
            Field::new("spec.selector").changes(FieldChange::Replace),
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
        calls: calls!("daemonsets.apps", watched),
        ..PLAIN
    },
    group: "apps",
    version: "v1",
    plural: "daemonsets",
    namespaced: true,
    state,
};

fn state(object: &Value) -> State {
    if !object["status"]["observedGeneration"].is_i64() {
        return progressing("its controller has not seen it yet");
    }
    let want = count(object, "desiredNumberScheduled");
    for (field, what) in [
        ("updatedNumberScheduled", "of this version"),
        ("numberReady", "ready"),
        ("numberAvailable", "available"),
    ] {
        let have = count(object, field);
        if have < want {
            return share(have, want, what);
        }
    }
    State::Ready
}
