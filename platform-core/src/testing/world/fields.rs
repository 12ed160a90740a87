//! Fields of objects, as a server looks at them: owned parts, merges, immutability.
//!
//! That a real server looks at them so is held by the recording in `tests/corpus/recorded/`.

use crate::engine::diff;
use crate::facts::{FieldChange, KindFacts};
use crate::value::{Recipe, Segment};
use serde_json::{Map, Value};

/// The part of `live` that `wanted` asks for: keys, named list elements, whole other lists.
pub(super) fn owned_part(live: &Value, wanted: &Value) -> Value {
    match (live, wanted) {
        (Value::Object(_), Value::Object(_)) if Recipe::of_value(wanted).is_some() => live.clone(),
        (Value::Object(live), Value::Object(wanted)) => wanted
            .iter()
            .filter_map(|(key, wanted)| Some((key.clone(), owned_part(live.get(key)?, wanted))))
            .collect(),
        (Value::Array(have), Value::Array(want)) => match (names(have), names(want)) {
            (Some(have), Some(want)) => want
                .iter()
                .filter_map(|(name, wanted)| Some(owned_part(have.iter().find(|(other, _)| other == name)?.1, wanted)))
                .collect(),
            _ => live.clone(),
        },
        _ => live.clone(),
    }
}

/// What an object becomes when its owner, who asked for `before`, asks for `after`: what others set stays.
pub(super) fn merged(live: &Value, before: &Value, after: &Value) -> Value {
    match (live, after) {
        (Value::Object(_), Value::Object(_)) if Recipe::of_value(after).is_some() => after.clone(),
        (Value::Object(live), Value::Object(after)) => {
            let none = Map::new();
            let before = before.as_object().unwrap_or(&none);
            let mut result: Map<String, Value> = live
                .iter()
                .filter(|(key, _)| !before.contains_key(*key) || after.contains_key(*key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            for (key, value) in after {
                let old = before.get(key).unwrap_or(&Value::Null);
                let value = live
                    .get(key)
                    .map_or_else(|| value.clone(), |live| merged(live, old, value));
                result.insert(key.clone(), value);
            }
            Value::Object(result)
        }
        (Value::Array(have), Value::Array(want)) => match (names(have), names(want)) {
            (Some(have), Some(want)) => {
                let old = before.as_array().and_then(|items| names(items)).unwrap_or_default();
                let old_of = |name: &str| old.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
                let mut result: Vec<Value> = want
                    .iter()
                    .map(|(name, wanted)| match have.iter().find(|(other, _)| other == name) {
                        Some((_, live)) => merged(live, old_of(name).unwrap_or(&Value::Null), wanted),
                        None => (*wanted).clone(),
                    })
                    .collect();
                let foreign = have
                    .iter()
                    .filter(|(name, _)| old_of(name).is_none() && !want.iter().any(|(other, _)| other == name));
                result.extend(foreign.map(|(_, value)| (*value).clone()));
                Value::Array(result)
            }
            _ => Value::Array(want.clone()),
        },
        _ => after.clone(),
    }
}

/// Adds what a server adds by itself, which no view may show.
pub(super) fn with_defaults(mut value: Value) -> Value {
    fn fill(value: &mut Value, depth: u32) {
        if Recipe::of_value(value).is_some() {
            return;
        }
        match value {
            Value::Object(map) => {
                for key in ["spec", "template"] {
                    if let Some(child) = map.get_mut(key) {
                        fill(child, depth + 1);
                    }
                }
                for child in map.values_mut().filter(|child| child.is_array()) {
                    fill(child, depth + 1);
                }
                let default = if depth == 0 { "status" } else { "setByServer" };
                map.entry(default).or_insert_with(|| Value::Bool(true));
            }
            Value::Array(items) if names(items).is_some() => items.iter_mut().for_each(|item| fill(item, depth + 1)),
            _ => {}
        }
    }
    fill(&mut value, 0);
    value
}

/// The elements of a list by their names, if all have one and no two the same.
fn names(items: &[Value]) -> Option<Vec<(&str, &Value)>> {
    let mut named: Vec<(&str, &Value)> = Vec::with_capacity(items.len());
    for item in items {
        let name = item.get("name")?.as_str()?;
        if named.iter().any(|(other, _)| *other == name) {
            return None;
        }
        named.push((name, item));
    }
    Some(named)
}

/// Sets or removes the value at a path, making the maps on the way. Whether the path could be walked.
pub(super) fn set_value_at(value: &mut Value, path: &[Segment], to: Option<Value>) -> bool {
    let Some((first, rest)) = path.split_first() else {
        *value = to.unwrap_or(Value::Null);
        return true;
    };
    match first {
        Segment::Key(key) => {
            if value.is_null() {
                *value = Value::Object(Map::new());
            }
            let Some(map) = value.as_object_mut() else { return false };
            if rest.is_empty() && to.is_none() {
                map.remove(key);
                return true;
            }
            set_value_at(map.entry(key.as_str()).or_insert(Value::Null), rest, to)
        }
        Segment::Element(name) => value
            .as_array_mut()
            .and_then(|items| items.iter_mut().find(|item| item["name"] == name.as_str()))
            .is_some_and(|item| set_value_at(item, rest, to)),
        Segment::Index(index) => value
            .as_array_mut()
            .and_then(|items| items.get_mut(*index))
            .is_some_and(|item| set_value_at(item, rest, to)),
    }
}

/// What changing an object from `before` to `after` means, by the facts of its kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Impact {
    /// The field that the server will not change, and why.
    pub(super) refused: Option<String>,
    /// The workload starts anew.
    pub(super) restarts: bool,
}

pub(super) fn impact(facts: &KindFacts, before: &Value, after: &Value) -> Impact {
    let mut impact = Impact::default();
    for found in diff(before, after, facts.fields) {
        match found.effect {
            FieldChange::Never | FieldChange::Replace | FieldChange::NewName => {
                impact.refused = Some(format!("{}: field is immutable", found.path));
            }
            FieldChange::GrowOnly if found.forbidden => {
                impact.refused = Some(format!("{}: field can not be less than previous value", found.path));
            }
            // A larger volume is there only after a while, as a restarted workload is.
            FieldChange::GrowOnly if found.before.is_some() => impact.restarts = true,
            FieldChange::Restart => impact.restarts = true,
            FieldChange::GrowOnly | FieldChange::InPlace => {}
        }
    }
    impact
}

#[cfg(test)]
mod tests {
    use super::{impact, merged, owned_part, set_value_at, with_defaults};
    use crate::facts::{Equal, Field, FieldChange};
    use crate::testing::kinds;
    use crate::value::FieldPath;
    use serde_json::json;

    #[test]
    fn the_view_is_what_was_asked_for() {
        let wanted = json!({"spec": {"a": 1, "list": [{"name": "x", "v": 1}], "args": ["p"]}});
        let live = with_defaults(wanted.clone());
        assert_ne!(live, wanted, "the server added something");
        assert_eq!(owned_part(&live, &wanted), wanted);
        let mut drifted = live.clone();
        assert!(set_value_at(
            &mut drifted,
            FieldPath::from("spec.list[x].v").segments(),
            Some(json!(2))
        ));
        assert!(set_value_at(
            &mut drifted,
            FieldPath::from("spec.foreign").segments(),
            Some(json!(3))
        ));
        assert!(set_value_at(&mut drifted, FieldPath::from("spec.a").segments(), None));
        assert_eq!(
            owned_part(&drifted, &wanted),
            json!({"spec": {"list": [{"name": "x", "v": 2}], "args": ["p"]}})
        );
        assert_eq!(FieldPath::from("spec.list[x].v").find(&drifted), Some(&json!(2)));
    }

    #[test]
    fn a_write_keeps_what_others_set_and_removes_what_is_no_longer_asked_for() {
        let before = json!({"labels": {"ours": 1, "old": 1}, "list": [{"name": "a", "v": 1}, {"name": "b"}]});
        let live = json!({"labels": {"ours": 5, "old": 1, "theirs": 1}, "list": [{"name": "a", "v": 1, "s": 1}, {"name": "b"}, {"name": "c"}]});
        let after = json!({"labels": {"ours": 2}, "list": [{"name": "a", "v": 2}]});
        assert_eq!(
            merged(&live, &before, &after),
            json!({"labels": {"ours": 2, "theirs": 1}, "list": [{"name": "a", "v": 2, "s": 1}, {"name": "c"}]})
        );
    }

    #[test]
    fn the_server_refuses_what_the_facts_forbid() {
        const FIELDS: &[Field] = &[
            Field::new("spec.size")
                .changes(FieldChange::GrowOnly)
                .equal(Equal::Quantity),
            Field::new("spec.class").changes(FieldChange::Never),
            Field::new("spec.containers[*].image").changes(FieldChange::Restart),
        ];
        let facts = crate::KindFacts {
            fields: FIELDS,
            ..*kinds::VOLUME
        };
        for (before, after, refused, restarts) in [
            (
                json!({"spec": {"size": "1Gi"}}),
                json!({"spec": {"size": "1024Mi"}}),
                false,
                false,
            ),
            (
                json!({"spec": {"size": "1Gi"}}),
                json!({"spec": {"size": "1.5Gi"}}),
                false,
                true,
            ),
            (
                json!({"spec": {"size": "1.5Gi"}}),
                json!({"spec": {"size": "1Gi"}}),
                true,
                false,
            ),
            (json!({"spec": {"size": "1Gi"}}), json!({"spec": {}}), true, false),
            (json!({"spec": {}}), json!({"spec": {"size": "1Gi"}}), false, false),
            (
                json!({"spec": {"class": "a"}}),
                json!({"spec": {"class": "b"}}),
                true,
                false,
            ),
            (json!({"spec": {"x": "a"}}), json!({"spec": {"x": "b"}}), false, false),
            (
                json!({"spec": {"containers": [{"name": "a", "image": "1"}]}}),
                json!({"spec": {"containers": [{"name": "a", "image": "2"}]}}),
                false,
                true,
            ),
        ] {
            let found = impact(&facts, &before, &after);
            assert_eq!(
                (found.refused.is_some(), found.restarts),
                (refused, restarts),
                "{before} -> {after}"
            );
        }
    }
}
