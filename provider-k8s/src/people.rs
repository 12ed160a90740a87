//! What people may do in the platform's namespaces, by Roles that end at each of them.

use crate::object::Scope;
use platform_core::{Capability, Resource, Result, Subjects};
use serde_json::{Value, json};

const GROUP: &str = "rbac.authorization.k8s.io";

/// What everybody with rights reads: API group, resources.
///
/// Left out are Secrets, subresources that are doors (log, exec, attach, proxy, port-forward), and Velero's
/// downloadrequests: their status is a signed link to what a backup holds, Secrets among it.
const READ: [(&str, &[&str]); 11] = [
    (
        "",
        &[
            "configmaps",
            "endpoints",
            "events",
            "limitranges",
            "namespaces",
            "persistentvolumeclaims",
            "pods",
            "replicationcontrollers",
            "resourcequotas",
            "serviceaccounts",
            "services",
        ],
    ),
    (
        "apps",
        &[
            "controllerrevisions",
            "daemonsets",
            "deployments",
            "replicasets",
            "statefulsets",
        ],
    ),
    ("autoscaling", &["horizontalpodautoscalers"]),
    ("batch", &["cronjobs", "jobs"]),
    ("discovery.k8s.io", &["endpointslices"]),
    ("events.k8s.io", &["events"]),
    ("metrics.k8s.io", &["pods"]),
    ("networking.k8s.io", &["ingresses", "networkpolicies"]),
    ("policy", &["poddisruptionbudgets"]),
    (GROUP, &["rolebindings", "roles"]),
    (
        "velero.io",
        &[
            "backuprepositories",
            "backups",
            "backupstoragelocations",
            "podvolumebackups",
            "podvolumerestores",
            "restores",
            "schedules",
        ],
    ),
];

/// What operators do beside: resources, verbs. A WebSocket to a port is opened by GET, older clients POST.
const OPERATE: [(&[&str], &[&str]); 4] = [
    (&["pods/log"], &["get"]),
    (&["pods/portforward"], &["create", "get"]),
    (&["pods"], &["delete"]),
    (&["pods/eviction"], &["create"]),
];

/// Roles and their bindings in the scope's namespace, for those whom the config names.
///
/// # Errors
/// When a name is none.
pub(crate) fn rights(scope: &Scope<'_>) -> Result<Vec<Resource>> {
    let scope = scope.under(Capability::Security.as_str());
    let people = &scope.context().security.people;
    let read = READ.iter().map(
        |(group, resources)| json!({ "apiGroups": [group], "resources": resources, "verbs": ["get", "list", "watch"] }),
    );
    let operate = OPERATE
        .iter()
        .map(|(resources, verbs)| json!({ "apiGroups": [""], "resources": resources, "verbs": verbs }));
    let viewer: Vec<Value> = read.clone().collect();
    let operator: Vec<Value> = read.chain(operate).collect();
    let mut resources = role(&scope, "platform-viewer", &viewer, &people.viewers)?;
    resources.extend(role(&scope, "platform-operator", &operator, &people.operators)?);
    Ok(resources)
}

/// A Role and who has it; nothing where nobody does.
fn role(scope: &Scope<'_>, name: &str, rules: &[Value], who: &Subjects) -> Result<Vec<Resource>> {
    if who.is_empty() {
        return Ok(Vec::new());
    }
    let subject = |kind: &str, name: &String| json!({ "kind": kind, "apiGroup": GROUP, "name": name });
    let groups = who.groups.iter().map(|name| subject("Group", name));
    let users = who.users.iter().map(|name| subject("User", name));
    let role = scope.object("Role.rbac.authorization.k8s.io", name, name, json!({ "rules": rules }))?;
    let binding = scope.object(
        "RoleBinding.rbac.authorization.k8s.io",
        name,
        name,
        json!({
            "roleRef": { "apiGroup": GROUP, "kind": "Role", "name": name },
            "subjects": groups.chain(users).collect::<Vec<_>>(),
        }),
    )?;
    let binding = binding.with_after(role.id.clone());
    Ok(vec![role, binding])
}
