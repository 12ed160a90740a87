//! The part of a live object that a wish is about, in the shape of the wish.
//!
//! Where a list is a map by key on the server (containers, ports...), elements of others stay out of sight; where a
//! list or map is one value on the server (selectors, policy rules...), all of it is seen, without what the server
//! adds by itself.

use platform_core::value::quantity;
use serde_json::{Map, Value};

/// Lists that are maps on the server, with the fields that make their key.
const KEYED: [(&str, &[&str]); 12] = [
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("volumes", &["name"]),
    ("env", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("ports", &["containerPort", "port", "protocol"]),
    ("volumeMounts", &["mountPath"]),
    ("volumeDevices", &["devicePath"]),
    ("hostAliases", &["ip"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("resourceClaims", &["name"]),
];

/// Maps that are one value on the server.
const WHOLE: [&str; 6] = [
    "selector",
    "matchLabels",
    "nodeSelector",
    "podSelector",
    "namespaceSelector",
    "labelSelector",
];

/// Maps whose values are quantities.
const QUANTITIES: [&str; 9] = [
    "requests",
    "limits",
    "hard",
    "capacity",
    "default",
    "defaultRequest",
    "max",
    "min",
    "maxLimitRequestRatio",
];

/// A wish as it is sent: without nulls and empty lists, which server-side apply would own for ever.
pub(crate) fn cleaned(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, child)| !child.is_null() && !child.as_array().is_some_and(Vec::is_empty))
            .map(|(key, child)| (key.clone(), cleaned(child)))
            .collect(),
        Value::Array(items) => items.iter().map(cleaned).collect(),
        other => other.clone(),
    }
}

/// Which fields a wish names: the wish with `null` for every value but the keys of list elements.
pub(crate) fn fields_of(wish: &Value) -> Value {
    fields_under("", wish)
}

fn fields_under(key: &str, wish: &Value) -> Value {
    match wish {
        Value::Object(map) if !WHOLE.contains(&key) => map
            .iter()
            .map(|(key, child)| (key.clone(), fields_under(key, child)))
            .collect(),
        Value::Array(items) => match keyed(key) {
            Some(names) if items.iter().all(|item| has_key(names, item)) => items
                .iter()
                .map(|item| {
                    let mut fields = fields_under("", item);
                    for name in names {
                        if let Some(value) = item.get(name) {
                            fields[name] = value.clone();
                        }
                    }
                    fields
                })
                .collect(),
            _ => Value::Null,
        },
        _ => Value::Null,
    }
}

/// What `live` has of the fields that the wish names, and of those that it named when it was last written.
pub(crate) fn view(live: &Value, wish: &Value, before: Option<&Value>) -> Value {
    see("", "", live, Some(wish), before)
}

/// What `live` has of the fields it was last written with, for an object that nobody wishes any more.
pub(crate) fn view_as_written(live: &Value, before: &Value) -> Value {
    see("", "", live, None, Some(before))
}

fn see(parent: &str, key: &str, live: &Value, wish: Option<&Value>, before: Option<&Value>) -> Value {
    match live {
        Value::Object(have) if !WHOLE.contains(&key) => {
            let wished = wish.and_then(Value::as_object);
            let written = before.and_then(Value::as_object);
            if wished.is_none() && written.is_none() {
                return live.clone();
            }
            let mut seen = Map::new();
            let names = wished
                .into_iter()
                .flatten()
                .chain(written.into_iter().flatten())
                .map(|(name, _)| name);
            for name in names {
                if seen.contains_key(name) {
                    continue;
                }
                let wish = wished.and_then(|map| map.get(name));
                match have.get(name) {
                    Some(child) => {
                        let child = see(key, name, child, wish, written.and_then(|map| map.get(name)));
                        seen.insert(name.clone(), child);
                    }
                    // The server drops empty values of variables.
                    None if name == "value" && wish == Some(&Value::String(String::new())) => {
                        seen.insert(name.clone(), Value::String(String::new()));
                    }
                    None => {}
                }
            }
            Value::Object(seen)
        }
        Value::Array(have) => {
            let (wished, written) = (wish.and_then(Value::as_array), before.and_then(Value::as_array));
            let names = keyed(key).filter(|names| have.iter().all(|item| has_key(names, item)));
            match names {
                Some(names) if wished.is_some() || written.is_some() => {
                    let mut seen: Vec<Value> = Vec::new();
                    let mut taken: Vec<String> = Vec::new();
                    for item in wished.into_iter().flatten().chain(written.into_iter().flatten()) {
                        let wanted = key_of(names, item);
                        if taken.contains(&wanted) {
                            continue;
                        }
                        let of = |list: Option<&'_ Vec<Value>>| {
                            list.and_then(|items| items.iter().find(|item| key_of(names, item) == wanted).cloned())
                        };
                        if let Some(live) = have.iter().find(|item| key_of(names, item) == wanted) {
                            seen.push(see(key, "", live, of(wished).as_ref(), of(written).as_ref()));
                        }
                        taken.push(wanted);
                    }
                    Value::Array(seen)
                }
                _ => whole(key, live, wish.unwrap_or(&Value::Null)),
            }
        }
        _ => spelled(parent, key, live, wish),
    }
}

/// A value that the server holds in one piece, without what it adds by itself and in the wish's spelling.
fn whole(key: &str, live: &Value, wish: &Value) -> Value {
    match (live, wish) {
        (Value::Object(have), Value::Object(want)) => have
            .iter()
            .filter(|(name, value)| want.contains_key(*name) || !added_by_server(name, value))
            .map(|(name, value)| {
                let value = want.get(name).map_or_else(
                    || value.clone(),
                    |wish| match value {
                        Value::Object(_) | Value::Array(_) => whole(name, value, wish),
                        leaf => spelled(key, name, leaf, Some(wish)),
                    },
                );
                (name.clone(), value)
            })
            .collect(),
        (Value::Array(have), Value::Array(want)) => have
            .iter()
            .enumerate()
            .map(|(position, value)| whole(key, value, want.get(position).unwrap_or(&Value::Null)))
            .collect(),
        _ => live.clone(),
    }
}

/// Defaults inside of values that are held in one piece.
fn added_by_server(name: &str, value: &Value) -> bool {
    match name {
        "protocol" => value == "TCP",
        "volumeMode" => value == "Filesystem",
        "apiVersion" => value == "v1",
        "kind" => value == "PersistentVolumeClaim",
        // Of claim templates.
        "status" => value.is_object(),
        "creationTimestamp" => value.is_null(),
        _ => false,
    }
}

/// The live value, in the wish's spelling if both mean the same.
fn spelled(parent: &str, key: &str, live: &Value, wish: Option<&Value>) -> Value {
    let is_quantity = QUANTITIES.contains(&parent) || matches!(key, "sizeLimit" | "storage");
    let same = |wish| quantity(live).is_some_and(|amount| Some(amount) == quantity(wish));
    match wish {
        Some(wish) if is_quantity && same(wish) => wish.clone(),
        _ => live.clone(),
    }
}

fn keyed(list: &str) -> Option<&'static [&'static str]> {
    KEYED.iter().find(|(name, _)| *name == list).map(|(_, names)| *names)
}

fn has_key(names: &[&str], item: &Value) -> bool {
    names.iter().any(|name| item.get(name).is_some())
}

fn key_of(names: &[&str], item: &Value) -> String {
    let part = |name: &&str| match item.get(name) {
        Some(value) => value.to_string(),
        None if *name == "protocol" => "\"TCP\"".to_owned(),
        None => String::new(),
    };
    names.iter().map(part).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::{cleaned, fields_of, view};
    use serde_json::{Value, json};

    fn pod(container: &Value) -> Value {
        json!({"spec": {"template": {"spec": {"containers": [container]}}}})
    }

    #[test]
    fn views_have_the_shape_of_the_wish() {
        for (name, live, wish, expected) in [
            (
                "defaults and other people's fields stay out of sight",
                json!({"metadata": {"labels": {"a": "1", "b": "2"}, "uid": "u"}, "spec": {"replicas": 1, "paused": false}, "status": {}}),
                json!({"metadata": {"labels": {"a": "1"}}, "spec": {"replicas": 1}}),
                json!({"metadata": {"labels": {"a": "1"}}, "spec": {"replicas": 1}}),
            ),
            (
                "a quantity in the wish's spelling",
                pod(&json!({"name": "a", "resources": {"limits": {"memory": "1Gi", "cpu": "1"}}})),
                pod(&json!({"name": "a", "resources": {"limits": {"memory": "1024Mi", "cpu": "1000m"}}})),
                pod(&json!({"name": "a", "resources": {"limits": {"memory": "1024Mi", "cpu": "1000m"}}})),
            ),
            (
                "a text that looks like a quantity is none",
                json!({"data": {"memory": "1Gi"}}),
                json!({"data": {"memory": "1024Mi"}}),
                json!({"data": {"memory": "1Gi"}}),
            ),
            (
                "an empty variable, a port with the server's protocol, a container put in by others",
                json!({"spec": {"template": {"spec": {"containers": [
                    {"name": "mesh"},
                    {"name": "a", "env": [{"name": "E"}], "ports": [{"containerPort": 80, "protocol": "TCP"}]},
                ]}}}}),
                pod(&json!({"name": "a", "env": [{"name": "E", "value": ""}], "ports": [{"containerPort": 80}]})),
                pod(&json!({"name": "a", "env": [{"name": "E", "value": ""}], "ports": [{"containerPort": 80}]})),
            ),
            (
                "a selector is one value",
                json!({"spec": {"selector": {"app": "a", "more": "b"}}}),
                json!({"spec": {"selector": {"app": "a"}}}),
                json!({"spec": {"selector": {"app": "a", "more": "b"}}}),
            ),
            (
                "a policy rule is one value: what widens it is seen, the server's protocol is not",
                json!({"spec": {"ingress": [{"ports": [{"port": 80, "protocol": "TCP"}], "from": [{"podSelector": {}, "namespaceSelector": {}}]}]}}),
                json!({"spec": {"ingress": [{"ports": [{"port": 80}], "from": [{"podSelector": {}}]}]}}),
                json!({"spec": {"ingress": [{"ports": [{"port": 80}], "from": [{"podSelector": {}, "namespaceSelector": {}}]}]}}),
            ),
            (
                "a claim template",
                json!({"spec": {"volumeClaimTemplates": [{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "creationTimestamp": null}, "spec": {"resources": {"requests": {"storage": "1Gi"}}, "volumeMode": "Filesystem"}, "status": {"phase": "Pending"}}]}}),
                json!({"spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1024Mi"}}}}]}}),
                json!({"spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1024Mi"}}}}]}}),
            ),
            ("absent is absent", json!({}), json!({"spec": {"a": 1}}), json!({})),
        ] {
            assert_eq!(view(&live, &wish, None), expected, "{name}");
        }
    }

    #[test]
    fn fields_of_an_earlier_wish_are_seen() {
        let before = fields_of(&json!({
            "metadata": {"labels": {"old": "x"}},
            "spec": {"template": {"spec": {"containers": [{"name": "a", "args": ["x"]}, {"name": "b", "image": "i"}]}}},
        }));
        let wish = pod(&json!({"name": "a", "image": "n"}));
        let live = json!({
            "metadata": {"labels": {"old": "x", "other": "y"}},
            "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "n", "args": ["x"]}, {"name": "b", "image": "i", "tty": true}]}}},
        });
        assert_eq!(
            view(&live, &wish, Some(&before)),
            json!({
                "metadata": {"labels": {"old": "x"}},
                "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "n", "args": ["x"]}, {"name": "b", "image": "i"}]}}},
            })
        );
    }

    #[test]
    fn what_is_sent_holds_no_nulls_and_no_empty_lists() {
        assert_eq!(
            cleaned(&json!({"a": null, "b": [], "c": {}, "d": {"e": null}, "f": [{"g": []}]})),
            json!({"c": {}, "d": {}, "f": [{}]})
        );
    }
}
