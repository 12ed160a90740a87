//! What a run left, in a form that is the same for every prefix and every incarnation.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::shared::get;
use crate::stage::Stage;

/// Everything that lies in a namespace and does not come and go by itself.
const KINDS: [&str; 17] = [
    "api/v1/NAMESPACE/configmaps",
    "api/v1/NAMESPACE/limitranges",
    "api/v1/NAMESPACE/persistentvolumeclaims",
    "api/v1/NAMESPACE/pods",
    "api/v1/NAMESPACE/resourcequotas",
    "api/v1/NAMESPACE/secrets",
    "api/v1/NAMESPACE/serviceaccounts",
    "api/v1/NAMESPACE/services",
    "apis/apps/v1/NAMESPACE/daemonsets",
    "apis/apps/v1/NAMESPACE/deployments",
    "apis/apps/v1/NAMESPACE/replicasets",
    "apis/apps/v1/NAMESPACE/statefulsets",
    "apis/batch/v1/NAMESPACE/jobs",
    "apis/coordination.k8s.io/v1/NAMESPACE/leases",
    "apis/networking.k8s.io/v1/NAMESPACE/networkpolicies",
    "apis/rbac.authorization.k8s.io/v1/NAMESPACE/rolebindings",
    "apis/rbac.authorization.k8s.io/v1/NAMESPACE/roles",
];

/// Every object in the namespaces of a stage, and these namespaces, by kind and name; what others own, such as pods, by
/// its owner and number.
pub(crate) async fn end_state(api: &kube::Client, of: &Stage) -> BTreeMap<String, Value> {
    let mut state: BTreeMap<String, Value> = BTreeMap::new();
    for (namespace, name) in [(of.space(), "app"), (format!("{}home", of.prefix), "home")] {
        let Some(object) = get(api, &format!("/api/v1/namespaces/{namespace}")).await else {
            continue;
        };
        if object["metadata"]["deletionTimestamp"].is_string() {
            continue;
        }
        state.insert(format!("namespace {name}"), plain(of, object));
        let mut lists = Vec::new();
        for kind in KINDS {
            let path = format!("/{}", kind.replace("NAMESPACE", &format!("namespaces/{namespace}")));
            lists.push(async move { (kind, get(api, &path).await) });
        }
        for (kind, list) in futures::future::join_all(lists).await {
            let plural = kind.rsplit('/').next().unwrap();
            let items = list.unwrap()["items"].as_array().cloned().unwrap_or_default();
            for item in items {
                if let Some(owner) = item["metadata"]["ownerReferences"].get(0) {
                    let owner = format!("{name}/{plural} of {}", owner["kind"].as_str().unwrap());
                    let count = state.entry(owner).or_insert(json!(0));
                    *count = json!(count.as_u64().unwrap() + 1);
                    continue;
                }
                let item = plain(of, item);
                state.insert(
                    format!("{name}/{plural} {}", item["metadata"]["name"].as_str().unwrap()),
                    item,
                );
            }
        }
    }
    state
}

/// One line for each object, or part of one, that only one of the two states has.
pub(crate) fn differences(expected: &BTreeMap<String, Value>, found: &BTreeMap<String, Value>) -> Vec<String> {
    let lines = |state: &BTreeMap<String, Value>| -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        for (name, object) in state {
            leaves(name, object, &mut lines);
        }
        lines
    };
    let (expected, found) = (lines(expected), lines(found));
    let missing = expected.difference(&found).map(|line| format!("- {line}"));
    missing
        .chain(found.difference(&expected).map(|line| format!("+ {line}")))
        .collect()
}

fn leaves(path: &str, value: &Value, lines: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| leaves(&format!("{path} {key}"), value, lines)),
        Value::Array(items) => items.iter().for_each(|item| leaves(&format!("{path} []"), item, lines)),
        leaf => {
            lines.insert(format!("{path} {leaf}"));
        }
    }
}

/// The object without what differs from one incarnation to the next, and without secret values.
fn plain(of: &Stage, mut object: Value) -> Value {
    if let Some(data) = object.get_mut("data").and_then(Value::as_object_mut) {
        for value in data.values_mut() {
            *value = json!(value.as_str().map(str::len));
        }
    }
    let names = [
        (format!("{}app", of.prefix), "app"),
        (format!("{}home", of.prefix), "home"),
        (of.set.to_string(), "set"),
    ];
    object.as_object_mut().unwrap().remove("status");
    for field in ["clusterIP", "clusterIPs", "volumeName"] {
        object["spec"].as_object_mut().map(|spec| spec.remove(field));
    }
    clean(&mut object, &names);
    object
}

fn clean(value: &mut Value, names: &[(String, &str)]) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| {
                let of_one = [
                    "uid",
                    "resourceVersion",
                    "creationTimestamp",
                    "managedFields",
                    "generation",
                    "acquireTime",
                    "renewTime",
                    "leaseTransitions",
                    // a run that had nothing to do leaves the lease of a dead one to run out
                    "holderIdentity",
                    "mlplat.dev/desired-hash",
                    "applyset.kubernetes.io/id",
                    "applyset.kubernetes.io/part-of",
                ];
                let of_a_controller = key.starts_with("pv.kubernetes.io/")
                    || key.starts_with("volume.kubernetes.io/")
                    || key.starts_with("volume.beta.kubernetes.io/")
                    || key.ends_with("controller-uid");
                !of_one.contains(&key.as_str()) && !of_a_controller
            });
            map.values_mut().for_each(|value| clean(value, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| clean(item, names)),
        Value::String(text) => {
            for (name, word) in names {
                if text.contains(name.as_str()) {
                    *text = text.replace(name.as_str(), word);
                }
            }
        }
        _ => {}
    }
}
