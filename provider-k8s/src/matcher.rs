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
        && live.written_from.as_deref() == Some(Digest::of(&wish.desired).as_str())
        && live.view == shape::cleaned(&wish.desired)
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
            let fits = |item: &&Value| {
                keys.iter().all(|(key, value)| {
                    item.get(key)
                        .map_or(key == "protocol" && value == "TCP", |have| have == value)
                })
            };
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

/// The managedFields that make our own entry an Apply entry, so that server-side apply removes what the wish drops.
///
/// A create leaves an Update entry of ours, with which an apply of ours would conflict. `migrate` takes the entries of
/// other managers over too, for adoptions. `None`: nothing to do.
pub(crate) fn handed_over(object: &Value, manager: &str, api_version: &str, migrate: bool) -> Option<Vec<Value>> {
    let is_main = |entry: &Value| entry["subresource"].as_str().is_none_or(str::is_empty);
    let taken = |entry: &Value| {
        is_main(entry)
            && ((entry["manager"] == manager && entry["operation"] == "Update")
                || (migrate && entry["manager"].as_str().is_some_and(is_person)))
    };
    if !entries(object).iter().any(taken) {
        return None;
    }
    let mut fields = Value::Object(Map::new());
    let mut kept = Vec::new();
    for entry in entries(object) {
        if taken(entry) || (is_main(entry) && entry["manager"] == manager) {
            merge(&mut fields, &entry["fieldsV1"]);
        } else {
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
    use super::{handed_over, touched};
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
    fn our_entries_become_one_apply_entry() {
        let ours = |operation: &str, field: &str| json!({"manager": "mlplat", "operation": operation, "fieldsV1": {"f:spec": {field: {}}}});
        let kubectl =
            json!({"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": {"f:spec": {"f:c": {}}}});
        let controller = json!({"manager": "hpa", "operation": "Update", "fieldsV1": {"f:spec": {"f:d": {}}}});
        for (entries, migrate, expected) in [
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
        ] {
            let result = handed_over(&object(&entries), "mlplat", "apps/v1", migrate);
            let result = result.map(|list| (list.len(), list.last().unwrap()["fieldsV1"].clone()));
            assert_eq!(result, expected, "{entries}");
        }
    }
}
