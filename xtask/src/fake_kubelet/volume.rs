//! Volumes: what a volume driver's provisioner and resizer would do.

use anyhow::Result;
use http::{Method, StatusCode};
use kube::Client;
use serde_json::{Value, json};

use super::{
    Handled, Handler, LATE_STORAGE_CLASS, STORAGE_CLASS,
    api::{annotation, call, delete, patch, text},
    hook,
};

const PROVISIONER: &str = "fake.test.mlplat.dev";

pub(super) async fn create_classes(client: &Client) -> Result<()> {
    for (name, default, mode) in [
        (STORAGE_CLASS, "true", "Immediate"),
        (LATE_STORAGE_CLASS, "false", "WaitForFirstConsumer"),
    ] {
        let class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {
                "name": name,
                "annotations": { "storageclass.kubernetes.io/is-default-class": default },
            },
            "provisioner": PROVISIONER, "allowVolumeExpansion": true, "reclaimPolicy": "Delete",
            "volumeBindingMode": mode,
        });
        call(
            client,
            Method::POST,
            "/apis/storage.k8s.io/v1/storageclasses",
            Some(&class),
            &[StatusCode::CONFLICT],
        )
        .await?;
    }
    Ok(())
}

/// Claims: those that wait get a volume, those that grew a larger one.
#[derive(Debug)]
pub(super) struct Claims;

impl Handler for Claims {
    async fn handle(&mut self, client: &Client, claim: &Value) -> Result<Handled> {
        let class = text(claim, "/spec/storageClassName");
        if (class != STORAGE_CLASS && class != LATE_STORAGE_CLASS)
            || !text(claim, "/metadata/deletionTimestamp").is_empty()
            || annotation(claim, hook::PROVISION) == Some("false")
        {
            return Ok(Handled::default());
        }
        let wanted = &claim["spec"]["resources"]["requests"]["storage"];
        let volume = text(claim, "/spec/volumeName");
        match text(claim, "/status/phase") {
            "Pending" if volume.is_empty() => {
                let scheduled = annotation(claim, "volume.kubernetes.io/selected-node").is_some();
                if class == STORAGE_CLASS || scheduled {
                    provision(client, claim, class, wanted).await?;
                }
            }
            // the request can only be larger than what there is: the server refuses the rest
            "Bound" if claim["status"]["capacity"]["storage"] != *wanted => {
                let now = grow(client, claim, volume, wanted).await?;
                return Ok(Handled { now, again: None });
            }
            _ => {}
        }
        Ok(Handled::default())
    }
}

async fn provision(client: &Client, claim: &Value, class: &str, size: &Value) -> Result<()> {
    let uid = text(claim, "/metadata/uid");
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {
            "name": format!("pvc-{uid}"),
            "annotations": { "pv.kubernetes.io/provisioned-by": PROVISIONER },
        },
        "spec": {
            "capacity": { "storage": size }, "accessModes": claim["spec"]["accessModes"],
            "volumeMode": claim["spec"]["volumeMode"], "storageClassName": class,
            "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "uid": uid,
                "namespace": claim["metadata"]["namespace"], "name": claim["metadata"]["name"],
            },
            "csi": { "driver": PROVISIONER, "volumeHandle": uid },
        },
    });
    call(
        client,
        Method::POST,
        "/api/v1/persistentvolumes",
        Some(&volume),
        &[StatusCode::CONFLICT],
    )
    .await?;
    Ok(())
}

async fn grow(client: &Client, claim: &Value, volume: &str, size: &Value) -> Result<Option<Value>> {
    let path = format!("/api/v1/persistentvolumes/{volume}");
    let capacity = json!({ "capacity": { "storage": size } });
    call(
        client,
        Method::PATCH,
        &path,
        Some(&json!({ "spec": capacity })),
        &[StatusCode::NOT_FOUND],
    )
    .await?;
    let path = format!(
        "/api/v1/namespaces/{}/persistentvolumeclaims/{}/status",
        text(claim, "/metadata/namespace"),
        text(claim, "/metadata/name")
    );
    patch(
        client,
        &path,
        text(claim, "/metadata/uid"),
        json!({ "status": capacity }),
    )
    .await
}

/// Volumes: those whose claim is gone and that are not to be kept go too.
#[derive(Debug)]
pub(super) struct Volumes;

impl Handler for Volumes {
    async fn handle(&mut self, client: &Client, volume: &Value) -> Result<Handled> {
        let ours = text(volume, "/spec/csi/driver") == PROVISIONER;
        let over = text(volume, "/status/phase") == "Released"
            && text(volume, "/spec/persistentVolumeReclaimPolicy") == "Delete"
            && text(volume, "/metadata/deletionTimestamp").is_empty();
        if ours && over {
            let path = format!("/api/v1/persistentvolumes/{}", text(volume, "/metadata/name"));
            delete(client, &path, text(volume, "/metadata/uid")).await?;
        }
        Ok(Handled::default())
    }
}
