use super::{KubeKind, PLAIN, at_once, calls};
use platform_core::{Charset, Field, FieldChange, KindFacts, NameRule};

/// How volumes are made. Those that are there keep what they were made with.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "StorageClass.storage.k8s.io",
        // After the claims.
        rank: 20,
        name: NameRule {
            max: 253,
            charset: Charset::Dns1123Subdomain,
        },
        fields: &[
            Field::new("parameters").changes(FieldChange::Replace),
            Field::new("provisioner").changes(FieldChange::Replace),
            Field::new("reclaimPolicy").changes(FieldChange::Replace),
            Field::new("volumeBindingMode").changes(FieldChange::Replace),
        ],
        calls: calls!("storageclasses.storage.k8s.io"),
        ..PLAIN
    },
    group: "storage.k8s.io",
    version: "v1",
    plural: "storageclasses",
    namespaced: false,
    state: at_once,
};
