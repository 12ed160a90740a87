//! What needs no question to the server, and what managedFields tell.
//!
//! An object is certainly unchanged when it was last written from this very wish (its stamped digest) and every field
//! of the wish still has its value. Anything doubtful is for the server's dry run: the matcher never says "changed".

use crate::shape;
use platform_core::value::{Digest, FieldPath, Timestamp};
use platform_core::{Actor, Live, Owner, Resource};
use serde_json::{Map, Value, json};

/// Whether making the wish true would certainly change nothing.
pub(crate) fn is_unchanged(live: &Live, wish: &Resource) -> bool {
    live.owner == Owner::ThisSet
        && live.written_from.as_deref() == Some(Digest::of_value(&wish.desired).as_str())
        && *live.view == shape::cleaned(&wish.desired)
}

/// Which fields of the wish were last written by others, and by whom.
pub(crate) fn touched(object: &Value, wish: &Value, manager: &str) -> Vec<(FieldPath, Actor)> {
    let mut found = Vec::new();
    for entry in entries(object) {
        // `scale` writes fields of the spec, `status` none that anybody wishes.
        if entry["manager"] == manager || entry["subresource"] == "status" {
            continue;
        }
        let actor = Actor {
            name: entry["manager"].as_str().unwrap_or_default().to_owned(),
            at: entry["time"].as_str().and_then(|time| time.parse::<Timestamp>().ok()),
        };
        walk(&entry["fieldsV1"], wish, object, &FieldPath::root(), &mut |path| {
            found.push((path.clone(), actor.clone()));
        });
    }
    found
}

pub(crate) fn entries(object: &Value) -> &[Value] {
    object["metadata"]["managedFields"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Calls `leaf` with the path of each owned field that the wish names.
pub(crate) fn walk(fields: &Value, wish: &Value, live: &Value, path: &FieldPath, leaf: &mut dyn FnMut(&FieldPath)) {
    let Some(map) = fields.as_object() else { return };
    let mut below = false;
    for (key, inner) in map {
        if let Some(name) = key.strip_prefix("f:") {
            below = true;
            if let Some(wish) = wish.get(name) {
                walk(
                    inner,
                    wish,
                    live.get(name).unwrap_or(&Value::Null),
                    &path.key(name),
                    leaf,
                );
            }
        } else if let Some(keys) = key
            .strip_prefix("k:")
            .and_then(|keys| serde_json::from_str::<Map<String, Value>>(keys).ok())
        {
            below = true;
            let fits = |item: &&Value| has_key(item, &keys);
            let Some(wished) = wish.as_array().and_then(|items| items.iter().find(fits)) else {
                continue;
            };
            let position = live
                .as_array()
                .and_then(|items| items.iter().position(|item| fits(&item)));
            let element = wished.get("name").and_then(Value::as_str);
            let path = match (element, position) {
                (Some(name), _) => path.element(name),
                (None, Some(position)) => path.index(position),
                (None, None) => continue,
            };
            let live = position.and_then(|position| live.get(position)).unwrap_or(&Value::Null);
            walk(inner, wished, live, &path, leaf);
        } else if key.starts_with("v:") || key.starts_with("i:") {
            below = true;
            leaf(path);
        }
    }
    if !below {
        leaf(path);
    }
}

/// Whether an element of a list has these keys; the protocol of a port that names none is TCP.
fn has_key(item: &Value, keys: &Map<String, Value>) -> bool {
    keys.iter().all(|(key, value)| {
        item.get(key)
            .map_or(key == "protocol" && value == "TCP", |have| have == value)
    })
}

/// The managedFields that make our own entry an Apply entry, so that server-side apply removes what the wish drops.
///
/// A create leaves an Update entry of ours, with which an apply of ours would conflict. An adoption of what is
/// `adopted_as` takes the entries of the tool that made it away too: what the wish names becomes ours, the rest nobody's.
/// Nothing changes its value by that. Were the rest left to the tool, a field of ours could never go later: its defaults
/// (a probe's period, a port's protocol), which the tool's create owns, would hold on to it. `None`: nothing to do.
pub(crate) fn handed_over(
    object: &Value,
    manager: &str,
    api_version: &str,
    adopted_as: Option<&Value>,
) -> Option<Vec<Value>> {
    let is_main = |entry: &Value| entry["subresource"].as_str().is_none_or(str::is_empty);
    let is_ours = |entry: &Value| is_main(entry) && entry["manager"] == manager;
    let made_it = |entry: &Value| is_main(entry) && entry["manager"].as_str().is_some_and(is_person);
    let mut fields = Value::Object(Map::new());
    if let Some(wish) = adopted_as {
        for entry in entries(object).iter().filter(|entry| made_it(entry)) {
            merge(&mut fields, &shared(&entry["fieldsV1"], wish));
        }
    }
    // An object must not be left without any entry: the server would make one that owns everything.
    let takes = fields.as_object().is_some_and(|shared| !shared.is_empty());
    let updated = |entry: &Value| is_ours(entry) && entry["operation"] == "Update";
    if !takes && !entries(object).iter().any(updated) {
        return None;
    }
    let mut kept = Vec::new();
    for entry in entries(object) {
        if is_ours(entry) {
            merge(&mut fields, &entry["fieldsV1"]);
        } else if !(takes && made_it(entry)) {
            kept.push(entry.clone());
        }
    }
    kept.push(json!({
        "manager": manager,
        "operation": "Apply",
        "apiVersion": api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }));
    Some(kept)
}

/// The owned fields that the wish names too.
fn shared(fields: &Value, wish: &Value) -> Value {
    let mut found = Map::new();
    for (key, inner) in fields.as_object().into_iter().flatten() {
        let (sort, name) = key.split_once(':').unwrap_or((key, ""));
        let items = || wish.as_array().into_iter().flatten();
        let wished = match sort {
            "f" => wish.get(name),
            "k" => serde_json::from_str(name)
                .ok()
                .and_then(|keys| items().find(|item| has_key(item, &keys))),
            "v" => serde_json::from_str::<Value>(name)
                .ok()
                .and_then(|value| items().find(|item| **item == value)),
            "." => Some(wish),
            _ => None,
        };
        let Some(wished) = wished else { continue };
        if inner.as_object().is_none_or(Map::is_empty) {
            found.insert(key.clone(), inner.clone());
            continue;
        }
        let below = shared(inner, wished);
        if below.as_object().is_some_and(|below| !below.is_empty()) {
            found.insert(key.clone(), below);
        }
    }
    Value::Object(found)
}

/// Managers that stand for a person or a tool which made the object, not for a controller that keeps working on it.
fn is_person(manager: &str) -> bool {
    [
        "kubectl",
        "helm",
        "before-first-apply",
        "terraform",
        "Terraform",
        "HashiCorp",
        "pulumi",
    ]
    .iter()
    .any(|prefix| manager.to_lowercase().starts_with(&prefix.to_lowercase()))
}

/// Whether Terraform's provider wrote an object: typed resources under the one name, manifests under the other.
pub(crate) fn is_of_terraform(object: &Value) -> bool {
    let by = |name: &str| name.starts_with("HashiCorp") || name.starts_with("Terraform");
    entries(object)
        .iter()
        .any(|entry| entry["manager"].as_str().is_some_and(by))
}

/// Whether somebody owns a field, which is there then.
pub(crate) fn has_field(object: &Value, path: &[&str]) -> bool {
    let is_below = |fields: &Value| path.iter().try_fold(fields, |fields, key| fields.get(*key)).is_some();
    entries(object).iter().any(|entry| is_below(&entry["fieldsV1"]))
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(
                    into.entry(key.clone()).or_insert_with(|| Value::Object(Map::new())),
                    value,
                );
            }
        }
        (into, from) => *into = from.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{handed_over, shared, touched};
    use serde_json::{Value, json};

    fn object(entries: &Value) -> Value {
        json!({
            "metadata": {"managedFields": entries},
            "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "a", "image": "x", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}},
        })
    }

    #[test]
    fn others_fields_of_the_wish_are_told() {
        let live = object(&json!([
            {"manager": "mlplat", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}},
            {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "kubectl-edit", "operation": "Update", "time": "2026-01-02T03:04:05Z", "fieldsV1": {
                "f:metadata": {"f:labels": {"f:x": {}}},
                "f:spec": {
                    "f:replicas": {},
                    "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}, "f:tty": {},
                        "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}}}}}}},
                },
            }},
        ]));
        let wish = json!({"spec": {"replicas": 1, "template": {"spec": {"containers": [
            {"name": "a", "image": "x", "ports": [{"containerPort": 80, "name": "http"}]},
        ]}}}});
        let found: Vec<String> = touched(&live, &wish, "mlplat")
            .iter()
            .map(|(path, actor)| format!("{path} {} {}", actor.name, actor.at.unwrap()))
            .collect();
        let by = "kubectl-edit 2026-01-02T03:04:05Z";
        assert_eq!(
            found,
            [
                format!("spec.replicas {by}"),
                format!("spec.template.spec.containers[a].image {by}"),
                format!("spec.template.spec.containers[a].ports[http].name {by}"),
            ]
        );
    }

    #[test]
    fn an_adoption_takes_what_the_wish_names() {
        let owned = json!({
            "f:metadata": {"f:annotations": {".": {}, "f:old": {}}, "f:finalizers": {".": {}, "v:\"a\"": {}, "v:\"b\"": {}}},
            "f:spec": {"f:selector": {}, "f:dnsPolicy": {}, "f:ports": {
                "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}, "f:targetPort": {}},
                "k:{\"port\":81,\"protocol\":\"UDP\"}": {".": {}, "f:port": {}},
            }},
        });
        let wish = json!({
            "metadata": {"finalizers": ["a"]},
            "spec": {"selector": {"app": "x"}, "ports": [{"port": 80, "name": "http"}]},
        });
        assert_eq!(
            shared(&owned, &wish),
            json!({
                "f:metadata": {"f:finalizers": {".": {}, "v:\"a\"": {}}},
                "f:spec": {"f:selector": {}, "f:ports": {
                    "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}},
                }},
            })
        );
    }

    #[test]
    fn our_entries_become_one_apply_entry() {
        let ours = |operation: &str, field: &str| json!({"manager": "mlplat", "operation": operation, "fieldsV1": {"f:spec": {field: {}}}});
        let kubectl =
            json!({"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": {"f:spec": {"f:c": {}}}});
        let controller = json!({"manager": "hpa", "operation": "Update", "fieldsV1": {"f:spec": {"f:d": {}}}});
        let elsewhere = json!({"manager": "helm", "operation": "Apply", "fieldsV1": {"f:spec": {"f:x": {}}}});
        for (entries, adopts, expected) in [
            (json!([ours("Apply", "f:a")]), false, None),
            (json!([ours("Apply", "f:a"), kubectl]), false, None),
            (
                json!([ours("Update", "f:a"), controller]),
                false,
                Some((2, json!({"f:spec": {"f:a": {}}}))),
            ),
            (
                json!([ours("Update", "f:a"), ours("Apply", "f:b"), kubectl]),
                false,
                Some((2, json!({"f:spec": {"f:a": {}, "f:b": {}}}))),
            ),
            (
                json!([kubectl, controller]),
                true,
                Some((2, json!({"f:spec": {"f:c": {}}}))),
            ),
            (
                json!([kubectl, elsewhere]),
                true,
                Some((1, json!({"f:spec": {"f:c": {}}}))),
            ),
            (json!([elsewhere]), true, None),
        ] {
            let wish = json!({ "spec": { "c": 1 } });
            let result = handed_over(&object(&entries), "mlplat", "apps/v1", adopts.then_some(&wish));
            let result = result.map(|list| (list.len(), list.last().unwrap()["fieldsV1"].clone()));
            assert_eq!(result, expected, "{entries}");
        }
    }
}
