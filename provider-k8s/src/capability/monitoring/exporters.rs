//! What turns the state of the cluster and of its nodes into metrics.
//!
//! The exporters of PostgreSQL and of the cache run beside their servers, and are part of those.

use super::servers::{Site, TOKEN, get};
use super::stateless::Stateless;
use crate::object::Scope;
use crate::pod::{Container, Resources, node_volume, token_volume};
use crate::{foundation, people, policy};
use platform_core::value::{Digest, ResourceId, Size};
use platform_core::{Capability, Context, Resource, Result, Surfaces};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const STATE_PORT: u16 = 8080;
pub(super) const STATE_TELEMETRY: u16 = 8081;
const NODE_PORT: u16 = 9100;

/// The port of node-exporter, which is one of the node's: another one for every prefix, since a node lets only one pod have
/// it. Below those of Services (30000 to 32767) and of outgoing connections (32768 on).
pub(super) fn node_port(context: &Context) -> u16 {
    if context.namespace_prefix.is_empty() {
        return NODE_PORT;
    }
    let digest = Digest::of(&context.namespace_prefix);
    29_100 + u16::from_str_radix(digest.short(4), 16).unwrap_or_default() % 800
}

/// What kube-state-metrics watches: API group, and resources in it. No Secrets and no ConfigMaps.
const WATCHED: [(&str, &[&str]); 5] = [
    (
        "",
        &[
            "namespaces",
            "nodes",
            "persistentvolumeclaims",
            "persistentvolumes",
            "pods",
            "resourcequotas",
            "services",
        ],
    ),
    ("apps", &["daemonsets", "deployments", "replicasets", "statefulsets"]),
    ("batch", &["cronjobs", "jobs"]),
    ("networking.k8s.io", &["networkpolicies"]),
    ("policy", &["poddisruptionbudgets"]),
];
/// Labels that become metrics: without them nobody could tell which namespaces are secured and whose pods run.
const LABELS: &str = "namespaces=[pod-security.kubernetes.io/enforce],\
                      pods=[app.kubernetes.io/name,app.kubernetes.io/managed-by]";

/// kube-state-metrics' container.
///
/// # Errors
/// When the catalogue has no image.
pub(super) fn state_container(site: &Site<'_>) -> Result<Container> {
    let image = site.shared.options.images.image("kube-state-metrics", None)?;
    let resources = Resources {
        cpu_request: 25,
        cpu_limit: 100,
        memory_request: Size::mib(64),
        memory_limit: Size::mib(256),
    };
    let watched: Vec<&str> = WATCHED.iter().flat_map(|(_, resources)| *resources).copied().collect();
    Ok(Container::new("kube-state-metrics", image, resources)
        .args([
            format!("--port={STATE_PORT}"),
            format!("--telemetry-port={STATE_TELEMETRY}"),
            format!("--resources={}", watched.join(",")),
            format!("--metric-labels-allowlist={LABELS}"),
        ])
        .ports(&BTreeMap::from([
            ("metrics".to_owned(), STATE_PORT),
            ("telemetry".to_owned(), STATE_TELEMETRY),
        ]))
        .probes(&get("/readyz", "telemetry"), &get("/livez", "metrics"), 120)
        .mount_read_only("token", TOKEN))
}

/// kube-state-metrics' objects.
///
/// # Errors
/// When a name is none.
pub(super) fn state_resources(site: &Site<'_>, name: &str, container: Container) -> Result<Vec<Resource>> {
    let rules: Vec<Value> = WATCHED
        .iter()
        .map(|(group, resources)| json!({ "apiGroups": [group], "resources": resources, "verbs": ["list", "watch"] }))
        .collect();
    let mut resources = rights(site.scope, name, &rules)?;
    resources.extend(
        Stateless {
            scope: site.scope,
            name,
            serves: None,
            inputs: Vec::new(),
            containers: vec![container],
            volumes: vec![token_volume("token")],
            pull_secrets: &site.shared.options.images.pull_secrets,
        }
        .into_deployment()?,
    );
    Ok(resources)
}

/// What Prometheus may read: where nodes, pods and the API servers are, and the metrics of kubelets and API servers.
///
/// # Errors
/// When a name is none.
pub(super) fn prometheus_rights(scope: &Scope<'_>, name: &str) -> Result<Vec<Resource>> {
    let find = ["get", "list", "watch"];
    rights(
        scope,
        name,
        &[
            json!({ "apiGroups": [""], "resources": ["nodes", "pods", "services"], "verbs": find }),
            json!({ "apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"] }),
            json!({ "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": find }),
            json!({ "nonResourceURLs": ["/metrics"], "verbs": ["get"] }),
        ],
    )
}

/// Rights beyond the namespace for the service account of a name.
fn rights(scope: &Scope<'_>, name: &str, rules: &[Value]) -> Result<Vec<Resource>> {
    let role = scope.cluster_object("ClusterRole.rbac.authorization.k8s.io", name, json!({ "rules": rules }))?;
    let binding = scope.cluster_object(
        "ClusterRoleBinding.rbac.authorization.k8s.io",
        name,
        json!({
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": scope.cluster_name(name),
            },
            "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": scope.namespace() }],
        }),
    )?;
    let binding = binding.with_after(role.id.clone());
    Ok(vec![role, binding])
}

/// The namespace of the agents on the nodes: what they need no Pod Security Standard lets in.
pub(super) fn node_scope<'a>(scope: &Scope<'a>) -> Result<Scope<'a>> {
    scope.beside("node")
}

/// node-exporter's objects, in a namespace that holds nothing else.
///
/// # Errors
/// When the catalogue has no image, or a name is none.
pub(super) fn node_resources(site: &Site<'_>, name: &str, surfaces: &Surfaces) -> Result<Vec<Resource>> {
    let scope = node_scope(site.scope)?;
    let security = scope.under(Capability::Security.as_str());
    let mut resources = vec![
        foundation::namespace(&scope, name, "privileged")?,
        policy::default_deny(&security)?,
        // How many pods there are is up to the nodes.
        security.object(
            "ResourceQuota",
            "quota",
            "quota",
            json!({ "spec": { "hard": {
                "persistentvolumeclaims": "0",
                "services.loadbalancers": "0",
                "services.nodeports": "0",
            }}}),
        )?,
    ];
    resources.extend(people::rights(&scope)?);
    resources.extend(policy::of_workloads(
        &security,
        Capability::Monitoring,
        surfaces,
        &site.shared.options,
    )?);
    let image = site.shared.options.images.image("node-exporter", None)?;
    let port = node_port(site.scope.context());
    let limits = Resources {
        cpu_request: 25,
        cpu_limit: 200,
        memory_request: Size::mib(32),
        memory_limit: Size::mib(96),
    };
    let container = Container::new("node-exporter", image, limits)
        .args([
            "--path.procfs=/host/proc".to_owned(),
            "--path.sysfs=/host/sys".to_owned(),
            "--path.rootfs=/host/root".to_owned(),
            format!("--web.listen-address=:{port}"),
            // Mounts of containers are not the node's.
            "--collector.filesystem.mount-points-exclude=^/(dev|proc|sys|run|var/lib/(docker|containerd|kubelet)/.+)($|/)"
                .to_owned(),
        ])
        .ports(&BTreeMap::from([("metrics".to_owned(), port)]))
        .probes(&get("/", "metrics"), &get("/", "metrics"), 60)
        .mount_of_node("root", "/host/root")
        .mount_read_only("proc", "/host/proc")
        .mount_read_only("sys", "/host/sys");
    let before: BTreeSet<ResourceId> = resources.iter().map(|one| one.id.clone()).collect();
    let mut agent = Stateless {
        scope: &scope,
        name,
        serves: None,
        inputs: Vec::new(),
        containers: vec![container],
        volumes: vec![
            node_volume("root", "/"),
            node_volume("proc", "/proc"),
            node_volume("sys", "/sys"),
        ],
        pull_secrets: &site.shared.options.images.pull_secrets,
    }
    .into_daemon_set_of_nodes()?;
    if let Some(daemon_set) = agent.last_mut() {
        daemon_set.after.extend(before);
    }
    resources.extend(agent);
    Ok(resources)
}
