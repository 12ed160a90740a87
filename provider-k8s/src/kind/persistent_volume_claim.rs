use super::status::{condition, progressing};
use super::{KubeKind, PLAIN, calls};
use platform_core::value::quantity;
use platform_core::{Equal, Field, FieldChange, Holds, KindFacts, State};
use serde_json::Value;
use std::time::Duration;

/// How data gets from one program, or one major version, to another.
const OTHER_FORMAT: &str = "the new server does not start on this data: set the version or flavour back, or move the data. \
    To move it, copy it out while the present server runs (pg_dump --format=custom, mc mirror); give the new server a \
    name of its own beside the new version, as in names: { postgres: postgres18 } or names: { minio: store }; apply, and load the \
    copy into it (pg_restore, mc mirror). The old volume and its passwords are kept: the old version under the old name \
    takes them up again";

/// Data. It only grows, and nothing else of it ever changes.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "PersistentVolumeClaim",
        holds: Holds::Durable,
        rank: 10,
        patience: Duration::from_mins(5),
        usually: Duration::from_secs(2),
        outputs: &["volume"],
        fields: &[
            Field::new("spec").changes(FieldChange::Never),
            Field::new("spec.resources.requests.storage")
                .changes(FieldChange::GrowOnly)
                .equal(Equal::Quantity),
            Field::new("spec.volumeAttributesClassName").changes(FieldChange::InPlace),
            // Texts that are no amounts never grow: written once, an adopted volume included, and never changed. Another
            // program, or another major version, does not start on the data.
            Field::new("metadata.annotations.\"mlplat.dev/data-format\"")
                .changes(FieldChange::GrowOnly)
                .instead(OTHER_FORMAT),
        ],
        calls: calls!("persistentvolumeclaims", watched),
        ..PLAIN
    },
    group: "",
    version: "v1",
    plural: "persistentvolumeclaims",
    namespaced: true,
    state,
};

/// A claim that no pod uses yet is as ready as it gets: its class may bind at the first pod only, and that pod's
/// workload waits for the claim. Whether the volume comes is then part of the workload's readiness.
fn state(object: &Value) -> State {
    match object["status"]["phase"].as_str() {
        Some("Lost") => {
            return State::Failed {
                why: "its volume is gone".to_owned(),
            };
        }
        Some("Bound") => {}
        _ => {
            return match object["metadata"]["annotations"]["volume.kubernetes.io/selected-node"].as_str() {
                Some(node) => progressing(&format!("its volume on {node}")),
                None => State::Ready,
            };
        }
    }
    for failed in ["ControllerResizeError", "NodeResizeError"] {
        if let Some(failure) = condition(object, failed) {
            return State::Failed { why: failure.text() };
        }
    }
    let asked = &object["spec"]["resources"]["requests"]["storage"];
    let have = &object["status"]["capacity"]["storage"];
    let smaller = matches!((quantity(have), quantity(asked)), (Some(have), Some(asked)) if have < asked);
    // The file system grows when a pod mounts it.
    if smaller && condition(object, "FileSystemResizePending").is_none() {
        return progressing("the larger volume");
    }
    State::Ready
}
