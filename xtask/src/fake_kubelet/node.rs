//! Nodes: made Ready once, kept so by a heartbeat (the controller-manager gives up on one after 50 s).

use anyhow::Result;
use http::{Method, StatusCode};
use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};

use super::api::call;

/// Name of the node with this number, counted from 1.
pub(super) fn name(number: u32) -> String {
    format!("node-{number}")
}

/// The address all pods of the simulation say their host has.
pub(super) const ADDRESS: &str = "10.250.0.2";

pub(super) async fn create(client: &Client, name: &str) -> Result<()> {
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": "test-a",
        } },
    });
    call(
        client,
        Method::POST,
        "/api/v1/nodes",
        Some(&node),
        &[StatusCode::CONFLICT],
    )
    .await?;
    let capacity = json!({ "cpu": "1000", "memory": "1000Gi", "pods": "10000", "ephemeral-storage": "1000Gi" });
    let status = json!({ "status": {
        "capacity": capacity, "allocatable": capacity,
        "addresses": [{ "type": "InternalIP", "address": ADDRESS }, { "type": "Hostname", "address": name }],
        "nodeInfo": {
            "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "fake://1", "kernelVersion": "0",
            "kubeProxyVersion": "", "kubeletVersion": "v1.36.3", "machineID": "", "operatingSystem": "linux",
            "osImage": "simulated", "systemUUID": "",
        },
        "conditions": conditions(),
    } });
    call(
        client,
        Method::PATCH,
        &format!("/api/v1/nodes/{name}/status"),
        Some(&status),
        &[],
    )
    .await?;
    // the controller-manager takes this taint away when it has seen Ready; pods need not wait for that
    let schedulable = json!({ "spec": { "taints": null } });
    call(
        client,
        Method::PATCH,
        &format!("/api/v1/nodes/{name}"),
        Some(&schedulable),
        &[],
    )
    .await?;
    beat(client, name).await
}

fn conditions() -> Value {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let condition = |kind: &str, status: &str, reason: &str| json!({ "type": kind, "status": status, "reason": reason, "message": reason, "lastHeartbeatTime": now });
    json!([
        condition("Ready", "True", "KubeletReady"),
        condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID"),
    ])
}

/// Renews the node's lease and its Ready condition.
pub(super) async fn beat(client: &Client, name: &str) -> Result<()> {
    const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    // six decimals, or the server refuses it
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    let spec = json!({ "holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now });
    let renewed = call(
        client,
        Method::PATCH,
        &format!("{LEASES}/{name}"),
        Some(&json!({ "spec": spec })),
        &[StatusCode::NOT_FOUND],
    )
    .await?;
    if renewed["kind"] == "Status" {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": { "name": name, "namespace": "kube-node-lease" }, "spec": spec,
        });
        // the namespace itself appears some moments after the server's start
        call(
            client,
            Method::POST,
            LEASES,
            Some(&lease),
            &[StatusCode::CONFLICT, StatusCode::NOT_FOUND],
        )
        .await?;
    }
    let status = json!({ "status": { "conditions": conditions() } });
    call(
        client,
        Method::PATCH,
        &format!("/api/v1/nodes/{name}/status"),
        Some(&status),
        &[StatusCode::NOT_FOUND],
    )
    .await?;
    Ok(())
}
