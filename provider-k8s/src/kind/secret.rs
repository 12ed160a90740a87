use super::{KubeKind, PLAIN, at_once, calls};
use platform_core::value::REVISION;
use platform_core::{Field, FieldChange, KindFacts, Risk, RiskRule};

/// Passwords, keys and certificates, made by recipes. What one holds is said by each resource: a generated password
/// of a database is durable, a certificate that is signed again is nothing.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "Secret",
        outputs: &[REVISION],
        rank: 20,
        fields: &[
            Field::new("type").changes(FieldChange::Never),
            Field::new("immutable").changes(FieldChange::Never),
            Field::new("data.*").risk(RiskRule::Removed(Risk::DestroysData)),
        ],
        calls: calls!("secrets"),
        ..PLAIN
    },
    group: "",
    version: "v1",
    plural: "secrets",
    namespaced: true,
    state: at_once,
};
