//! Velero's server and node agent.

use super::location::Target;
use super::{METRICS, NODE_AGENT, SERVER};
use crate::capability::stateful::{selector, with_surface};
use crate::kubernetes::Shared;
use crate::object::{Scope, tidy};
use crate::pod::{Container, Pod, Resources, scratch_volume};
use crate::policy;
use platform_core::value::{DOMAIN, Digest, Kind, Name, ResourceId, Size};
use platform_core::{Capability, Resource, Result, Surface};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Settings of the node agent, and of the Jobs that keep repositories in order.
const AGENT_CONFIG: &str = "node-agent-config";
const UPKEEP_CONFIG: &str = "repo-maintenance-config";
const RESTORE_CONFIG: &str = "fs-restore-action-config";

pub(super) fn resources(
    shared: &Shared,
    scope: &Scope<'_>,
    surface: Surface,
    target: &Target,
) -> Result<Vec<Resource>> {
    let surfaces = with_surface(scope.context(), Capability::Backup, surface);
    let security = scope.under(Capability::Security.as_str());
    let mut first = policy::of_workloads(&security, Capability::Backup, &surfaces, &shared.options)?;
    // How many workers there are depends on nodes and volumes, so only what opens the cluster is counted.
    first.push(security.object(
        "ResourceQuota",
        "quota",
        "quota",
        json!({ "spec": { "hard": { "services.loadbalancers": "0", "services.nodeports": "0" } } }),
    )?);
    // Velero itself runs, its workers too, with the token of this account.
    first.push(scope.object(
        "ServiceAccount",
        SERVER,
        SERVER,
        json!({ "automountServiceAccountToken": true }),
    )?);
    first.push(binding(scope)?);
    first.extend(target.secrets(scope, SERVER)?);
    let configs = configs(scope)?;
    let config_hash = Digest::of(&configs.iter().map(|config| &config.desired).collect::<Vec<_>>())
        .short(16)
        .to_owned();
    first.extend(configs);
    let mut server = deployment(shared, scope, &config_hash)?;
    let mut agent = daemon_set(shared, scope, &config_hash)?;
    for one in [&mut server, &mut agent] {
        one.after.extend(first.iter().map(|one| one.id.clone()));
        one.after
            .insert(scope.id("NetworkPolicy.networking.k8s.io", policy::DEFAULT_DENY)?);
    }
    first.extend([server, agent]);
    Ok(first)
}

/// It reads and restores objects of every kind in any namespace: what Velero itself ships.
fn binding(scope: &Scope<'_>) -> Result<Resource> {
    let mut binding = scope.object(
        "ClusterRoleBinding.rbac.authorization.k8s.io",
        SERVER,
        SERVER,
        json!({
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
            "subjects": [{ "kind": "ServiceAccount", "name": SERVER, "namespace": scope.namespace() }],
        }),
    )?;
    // The cluster's, so its name says whose it is.
    binding.id = ResourceId::new(
        scope.place().clone(),
        Kind::new("ClusterRoleBinding.rbac.authorization.k8s.io")?,
        Name::new(format!("{}-{SERVER}", scope.context().set.as_str().replace('/', "-")))?,
    );
    Ok(binding)
}

fn configs(scope: &Scope<'_>) -> Result<Vec<Resource>> {
    let worker = json!({ "cpuRequest": "50m", "cpuLimit": "1", "memoryRequest": "128Mi", "memoryLimit": "1Gi" });
    let json_file = |name: &str, key: &str, value: Value| {
        scope.object("ConfigMap", name, SERVER, json!({ "data": { key: value.to_string() } }))
    };
    // The init container of a restored pod has to pass the restricted standard, as the pod itself does.
    let restored = json!({
        "metadata": { "labels": {
            "velero.io/plugin-config": "",
            "velero.io/pod-volume-restore": "RestoreItemAction",
        }},
        "data": {
            "cpuRequest": "50m",
            "memRequest": "64Mi",
            "cpuLimit": "100m",
            "memLimit": "128Mi",
            "secCtx": json!({
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
                "readOnlyRootFilesystem": true,
                "runAsNonRoot": true,
                "runAsUser": crate::pod::UID,
                "seccompProfile": { "type": "RuntimeDefault" },
            }).to_string(),
        },
    });
    Ok(vec![
        json_file(AGENT_CONFIG, "node-agent.json", json!({ "podResources": worker }))?,
        json_file(
            UPKEEP_CONFIG,
            "repo-maintenance.json",
            json!({ "global": { "podResources": worker } }),
        )?,
        scope.object("ConfigMap", RESTORE_CONFIG, SERVER, restored)?,
    ])
}

fn deployment(shared: &Shared, scope: &Scope<'_>, config_hash: &str) -> Result<Resource> {
    let images = &shared.options.images;
    let alive = json!({ "httpGet": { "path": "/metrics", "port": "metrics", "scheme": "HTTP" } });
    let env = [
        // Its own user has no home, and its workers inherit this.
        ("HOME", "/scratch"),
        ("LD_LIBRARY_PATH", "/plugins"),
        ("VELERO_NAMESPACE", scope.namespace()),
        ("VELERO_SCRATCH_DIR", "/scratch"),
    ];
    let server = Container::new(
        "velero",
        images.image("velero", None)?,
        Resources {
            cpu_request: 100,
            cpu_limit: 1000,
            memory_request: Size::mib(128),
            memory_limit: Size::mib(512),
        },
    )
    .command(["/velero"])
    .args([
        "server",
        "--uploader-type=kopia",
        "--default-volumes-to-fs-backup=false",
        "--fs-backup-timeout=4h",
        "--garbage-collection-frequency=1h",
        &format!("--repo-maintenance-job-configmap={UPKEEP_CONFIG}"),
        &format!("--metrics-address=:{METRICS}"),
    ])
    .env(env)
    .ports(&BTreeMap::from([("metrics".to_owned(), METRICS)]))
    .probes(&alive, &alive, 300)
    .mount_read_only("plugins", "/plugins")
    .mount("scratch", "/scratch")
    .mount("tmp", "/tmp");
    let plugin = Container::new(
        "velero-plugin-for-aws",
        images.image("velero-plugin-for-aws", None)?,
        Resources::small(),
    )
    .mount("plugins", "/target");
    let mut template = pod(shared, SERVER, config_hash, vec![server]).into_template();
    template["spec"]["automountServiceAccountToken"] = json!(true);
    template["spec"]["initContainers"] = json!([plugin.into_value()]);
    template["metadata"]["labels"]["component"] = json!(SERVER);
    scope.object(
        "Deployment.apps",
        SERVER,
        SERVER,
        json!({ "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 5,
            // Two servers would work on the same backups.
            "strategy": { "type": "Recreate" },
            "selector": { "matchLabels": selector(SERVER) },
            "template": template,
        }}),
    )
}

fn daemon_set(shared: &Shared, scope: &Scope<'_>, config_hash: &str) -> Result<Resource> {
    let alive = json!({ "httpGet": { "path": "/metrics", "port": "metrics", "scheme": "HTTP" } });
    let env = [
        ("VELERO_NAMESPACE", scope.namespace()),
        ("VELERO_SCRATCH_DIR", "/scratch"),
    ];
    let agent = Container::new(
        "node-agent",
        shared.options.images.image("velero", None)?,
        Resources {
            cpu_request: 100,
            cpu_limit: 1000,
            memory_request: Size::mib(128),
            memory_limit: Size::gib(1),
        },
    )
    .command(["/velero"])
    .args([
        "node-agent",
        "server",
        &format!("--node-agent-configmap={AGENT_CONFIG}"),
    ])
    .env(env)
    .ports(&BTreeMap::from([("metrics".to_owned(), METRICS)]))
    .probes(&alive, &alive, 300)
    .mount("scratch", "/scratch");
    let mut template = pod(shared, NODE_AGENT, config_hash, vec![agent]).into_template();
    // Velero looks for the agent of a node by these.
    for (key, value) in [("component", SERVER), ("name", NODE_AGENT), ("role", NODE_AGENT)] {
        template["metadata"]["labels"][key] = json!(value);
    }
    let spec = &mut template["spec"];
    spec["automountServiceAccountToken"] = json!(true);
    // The files of volumes belong to anybody, so only root can read them all. That is why its namespace is privileged.
    spec["securityContext"] = json!({ "runAsUser": 0, "seccompProfile": { "type": "RuntimeDefault" } });
    let container = &mut spec["containers"][0];
    container["securityContext"] = json!({ "allowPrivilegeEscalation": false, "privileged": false });
    if let Some(env) = container["env"].as_array_mut() {
        env.push(json!({ "name": "NODE_NAME", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }));
    }
    for (volume, path, mount) in [
        ("host-pods", "/var/lib/kubelet/pods", "/host_pods"),
        ("host-plugins", "/var/lib/kubelet/plugins", "/var/lib/kubelet/plugins"),
    ] {
        push(
            &mut spec["volumes"],
            json!({ "name": volume, "hostPath": { "path": path } }),
        );
        push(
            &mut spec["containers"][0]["volumeMounts"],
            json!({ "name": volume, "mountPath": mount, "mountPropagation": "HostToContainer" }),
        );
    }
    let keep = ["scratch", "host-pods", "host-plugins"];
    if let Some(volumes) = spec["volumes"].as_array_mut() {
        volumes.retain(|volume| keep.iter().any(|name| volume["name"] == *name));
    }
    scope.object(
        "DaemonSet.apps",
        NODE_AGENT,
        NODE_AGENT,
        tidy(json!({ "spec": {
            "revisionHistoryLimit": 5,
            "updateStrategy": { "type": "RollingUpdate" },
            "selector": { "matchLabels": selector(NODE_AGENT) },
            "template": template,
        }})),
    )
}

fn pod(shared: &Shared, name: &str, config_hash: &str, containers: Vec<Container>) -> Pod {
    Pod {
        service_account: SERVER.to_owned(),
        labels: selector(name),
        annotations: BTreeMap::from([(format!("{DOMAIN}/config-hash"), config_hash.to_owned())]),
        containers,
        volumes: vec![
            scratch_volume("plugins", Size::mib(512), false),
            scratch_volume("scratch", Size::gib(5), false),
            // Velero keeps the credentials of stores there.
            scratch_volume("tmp", Size::mib(64), true),
        ],
        grace: 60,
        pull_secrets: shared.options.images.pull_secrets.clone(),
        ends: false,
    }
}

fn push(list: &mut Value, item: Value) {
    if let Some(list) = list.as_array_mut() {
        list.push(item);
    }
}
