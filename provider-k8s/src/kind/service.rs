use super::{KubeKind, PLAIN, at_once, calls};
use platform_core::{Charset, Field, FieldChange, KindFacts, NameRule, Risk, RiskRule};

/// A name and an address for pods. A load balancer's address is no part of readiness: a cluster may have no controller for it.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "Service",
        rank: 60,
        name: NameRule {
            max: 63,
            charset: Charset::Dns1035Label,
        },
        outputs: &["cluster_ip"],
        fields: &[
            Field::new("spec.clusterIP").changes(FieldChange::Replace),
            Field::new("spec.type").risk(RiskRule::Always(Risk::Exposes)),
            Field::new("spec.externalIPs").risk(RiskRule::Widens(Risk::Exposes)),
            Field::new("spec.loadBalancerSourceRanges").risk(RiskRule::Always(Risk::Exposes)),
        ],
        calls: calls!("services"),
        ..PLAIN
    },
    group: "",
    version: "v1",
    plural: "services",
    namespaced: true,
    state: at_once,
};
