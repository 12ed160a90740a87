//! The kinds that Velero brings, as it ships them.

use crate::object::{NAME_LABEL, tidy};
use platform_core::value::{Kind, Name, PRODUCT, Place, ResourceId};
use platform_core::{Error, ErrorKind, OnRemoval, Resource, Result};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// Velero's release that the definitions are from.
pub(super) const VELERO: &str = "1.18.3";

/// `config/crd/*/bases` of github.com/vmware-tanzu/velero at v1.18.3, unchanged. Apache-2.0: see `crds/NOTICE`.
const FILES: [&str; 13] = [
    include_str!("crds/velero.io_backuprepositories.yaml"),
    include_str!("crds/velero.io_backups.yaml"),
    include_str!("crds/velero.io_backupstoragelocations.yaml"),
    include_str!("crds/velero.io_datadownloads.yaml"),
    include_str!("crds/velero.io_datauploads.yaml"),
    include_str!("crds/velero.io_deletebackuprequests.yaml"),
    include_str!("crds/velero.io_downloadrequests.yaml"),
    include_str!("crds/velero.io_podvolumebackups.yaml"),
    include_str!("crds/velero.io_podvolumerestores.yaml"),
    include_str!("crds/velero.io_restores.yaml"),
    include_str!("crds/velero.io_schedules.yaml"),
    include_str!("crds/velero.io_serverstatusrequests.yaml"),
    include_str!("crds/velero.io_volumesnapshotlocations.yaml"),
];

/// Parsed once a process: they are 160 kB of text.
static PARSED: LazyLock<Result<Vec<Value>, String>> = LazyLock::new(|| {
    FILES
        .iter()
        .map(|text| serde_saphyr::from_str::<Value>(text).map_err(|why| why.to_string()))
        .collect()
});

/// The definitions as resources. They stay when the platform goes: with them would go every backup of everybody in the
/// cluster.
pub(super) fn resources(place: &Place) -> Result<Vec<Resource>> {
    let parsed = PARSED.as_ref().map_err(|why| {
        Error::new(ErrorKind::Internal, "Velero's definitions cannot be read").with_context("cause", why)
    })?;
    parsed.iter().map(|definition| resource(place, definition)).collect()
}

fn resource(place: &Place, definition: &Value) -> Result<Resource> {
    let name = definition["metadata"]["name"].as_str().unwrap_or_default();
    let id = ResourceId::new(
        place.clone(),
        Kind::new("CustomResourceDefinition.apiextensions.k8s.io")?,
        Name::new(name)?,
    );
    // Nothing of the platform's name: the definitions are the cluster's.
    let labels = json!({
        NAME_LABEL: "velero",
        "app.kubernetes.io/component": "backup",
        "app.kubernetes.io/managed-by": PRODUCT,
        "app.kubernetes.io/version": VELERO,
        "component": "velero",
    });
    let desired = tidy(json!({
        "metadata": { "annotations": definition["metadata"]["annotations"], "labels": labels },
        "spec": definition["spec"],
    }));
    Ok(Resource::new(id, "backup", desired).with_on_removal(OnRemoval::Retain))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{FILES, PARSED, resources};
    use crate::kind::KINDS;
    use platform_core::value::Place;

    #[test]
    fn every_definition_is_read_whole_and_serves_the_kinds_that_are_made() {
        let parsed = PARSED.as_ref().unwrap();
        assert_eq!(parsed.len(), FILES.len());
        for (definition, text) in parsed.iter().zip(FILES) {
            let name = definition["metadata"]["name"].as_str().unwrap();
            assert!(name.ends_with(".velero.io"), "{name}");
            assert_eq!(definition["spec"]["scope"], "Namespaced", "{name}");
            let version = &definition["spec"]["versions"][0];
            assert_eq!(
                (&version["served"], &version["storage"]),
                (&true.into(), &true.into()),
                "{name}"
            );
            let schema = &version["schema"]["openAPIV3Schema"]["properties"];
            assert!(schema["metadata"].is_object(), "{name}");
            let described = |value: &serde_json::Value| value.to_string().matches("\"description\":").count();
            assert_eq!(described(definition), text.matches("description:").count(), "{name}");
        }
        for kind in KINDS.iter().filter(|kind| kind.is_custom()) {
            let definition = parsed
                .iter()
                .find(|definition| definition["metadata"]["name"] == kind.resource().as_str())
                .unwrap();
            assert_eq!(definition["spec"]["names"]["kind"], kind.short());
            assert_eq!(definition["spec"]["versions"][0]["name"], kind.version);
        }
        assert_eq!(
            resources(&Place::kubernetes("main").unwrap()).unwrap().len(),
            FILES.len()
        );
    }
}
