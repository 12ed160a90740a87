//! The one generic diff: what is against what will be, field by field, with what each change means.

use crate::facts::{Equal, Field, FieldChange, Risk, RiskRule};
use crate::value::{FieldPath, Span, quantity};
use serde_json::{Map, Value};

/// One differing field.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Which.
    pub path: FieldPath,
    /// As it is.
    pub before: Option<Value>,
    /// As it will be.
    pub after: Option<Value>,
    /// What the change means for the running object.
    pub effect: FieldChange,
    /// What it puts at risk.
    pub risk: Option<Risk>,
    /// The change is one that the field forbids: a shrink of what only grows.
    pub forbidden: bool,
    /// What to do where it is refused.
    pub instead: Option<&'static str>,
}

/// All fields in which two values differ, in the order of their keys.
///
/// Lists whose elements all have a `name` (or a `metadata.name`) are compared element by element, others as a whole.
pub fn diff(before: &Value, after: &Value, fields: &[Field]) -> Vec<Difference> {
    let fields: Vec<(FieldPath, Field)> = fields
        .iter()
        .map(|field| (FieldPath::from(field.path), *field))
        .collect();
    let mut found = Vec::new();
    walk(&FieldPath::root(), Some(before), Some(after), &fields, &mut found);
    found
}

fn walk(
    path: &FieldPath,
    before: Option<&Value>,
    after: Option<&Value>,
    fields: &[(FieldPath, Field)],
    found: &mut Vec<Difference>,
) {
    if before == after {
        return;
    }
    let facts = fields
        .iter()
        .filter(|(pattern, _)| path.is_within(pattern))
        .max_by_key(|(pattern, _)| pattern.segments().len());
    let whole = facts.is_some_and(|(pattern, field)| {
        pattern.segments().len() == path.segments().len()
            && (field.equal != Equal::Exact || matches!(field.risk, RiskRule::Widens(_)))
    });
    if !whole {
        match (before, after) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => return walk_maps(path, old, new, fields, found),
            (Some(Value::Array(old)), Some(Value::Array(new))) => {
                if let (Some(old), Some(new)) = (by_name(old), by_name(new)) {
                    for (name, value) in &old {
                        let other = new.iter().find(|(other, _)| other == name).map(|(_, value)| *value);
                        walk(&path.element(name), Some(value), other, fields, found);
                    }
                    for (name, value) in &new {
                        if !old.iter().any(|(other, _)| other == name) {
                            walk(&path.element(name), None, Some(value), fields, found);
                        }
                    }
                    return;
                }
            }
            _ => {}
        }
    }
    let field = facts.map_or(Field::new(""), |(_, field)| *field);
    if same(before, after, field.equal) {
        return;
    }
    found.push(Difference {
        path: path.clone(),
        before: before.cloned(),
        after: after.cloned(),
        effect: field.change,
        risk: risk(before, after, field.risk),
        instead: field.instead,
        forbidden: match field.change {
            FieldChange::GrowOnly => shrinks(before, after),
            FieldChange::Never | FieldChange::NewName => true,
            _ => false,
        },
    });
}

fn walk_maps(
    path: &FieldPath,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    fields: &[(FieldPath, Field)],
    found: &mut Vec<Difference>,
) {
    let mut keys: Vec<&String> = old
        .keys()
        .chain(new.keys().filter(|key| !old.contains_key(*key)))
        .collect();
    keys.sort();
    for key in keys {
        walk(&path.key(key), old.get(key), new.get(key), fields, found);
    }
}

/// The elements by their unique names, if all have one.
fn by_name(items: &[Value]) -> Option<Vec<(&str, &Value)>> {
    let mut named: Vec<(&str, &Value)> = Vec::with_capacity(items.len());
    for item in items {
        let name = item
            .get("name")
            .or_else(|| item.get("metadata")?.get("name"))?
            .as_str()?;
        if named.iter().any(|(other, _)| *other == name) {
            return None;
        }
        named.push((name, item));
    }
    Some(named)
}

fn same(before: Option<&Value>, after: Option<&Value>, equal: Equal) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        return false;
    };
    match equal {
        Equal::Exact => before == after,
        Equal::Quantity => quantity(before).is_some() && quantity(before) == quantity(after),
        Equal::Set => match (before, after) {
            (Value::Array(old), Value::Array(new)) => {
                let sorted = |items: &[Value]| {
                    let mut texts: Vec<String> = items.iter().map(crate::value::canonical).collect();
                    texts.sort();
                    texts
                };
                sorted(old) == sorted(new)
            }
            _ => before == after,
        },
        Equal::JsonText => document(before) == document(after),
    }
}

/// A JSON document, given as such or as a text.
fn document(value: &Value) -> Value {
    value
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_else(|| value.clone())
}

fn risk(before: Option<&Value>, after: Option<&Value>, rule: RiskRule) -> Option<Risk> {
    match rule {
        RiskRule::Never => None,
        RiskRule::Always(risk) => Some(risk),
        RiskRule::Shrinks(risk) => shrinks(before, after).then_some(risk),
        RiskRule::TurnsOff(risk) => (is_on(before) && !is_on(after)).then_some(risk),
        RiskRule::Removed(risk) => removes(before, after).then_some(risk),
        RiskRule::Widens(risk) => widens(before, after).then_some(risk),
        RiskRule::Lowers(words, risk) => (level(words, after) < level(words, before)).then_some(risk),
    }
}

/// The position of a word, counted from 1; 0 when absent or unknown.
fn level(words: &[&str], value: Option<&Value>) -> usize {
    value
        .and_then(Value::as_str)
        .and_then(|text| words.iter().position(|word| *word == text))
        .map_or(0, |position| position + 1)
}

fn is_on(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !matches!(text.as_str(), "Disabled" | "Suspended" | "false" | "off" | "none" | ""),
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(_) => true,
    }
}

/// The whole field is gone, or an element of a list.
fn removes(before: Option<&Value>, after: Option<&Value>) -> bool {
    match (before, after) {
        (Some(Value::Array(old)), Some(Value::Array(new))) => old.iter().any(|item| !new.contains(item)),
        (before, after) => before.is_some() && after.is_none(),
    }
}

/// More elements than before; what is no list widens by any change, to be on the safe side.
fn widens(before: Option<&Value>, after: Option<&Value>) -> bool {
    match (before, after) {
        (_, None) => false,
        (Some(Value::Array(old)), Some(Value::Array(new))) => new.iter().any(|item| !old.contains(item)),
        _ => true,
    }
}

/// A smaller value than before; values that cannot be compared shrink, to be on the safe side.
fn shrinks(before: Option<&Value>, after: Option<&Value>) -> bool {
    match (before, after) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(before), Some(after)) => match (amount(before), amount(after)) {
            (Some(old), Some(new)) => new < old,
            _ => true,
        },
    }
}

pub(super) fn amount(value: &Value) -> Option<i128> {
    quantity(value).or_else(|| {
        let span: Span = value.as_str()?.parse().ok()?;
        Some(i128::from(span.as_seconds()))
    })
}

#[cfg(test)]
mod tests {
    use super::diff;
    use crate::facts::{Equal, Field, FieldChange, Risk, RiskRule};
    use serde_json::json;

    const FIELDS: &[Field] = &[
        Field::new("spec.containers[*].resources.limits.*").equal(Equal::Quantity),
        Field::new("spec.size")
            .changes(FieldChange::GrowOnly)
            .equal(Equal::Quantity),
        Field::new("spec.retention").risk(RiskRule::Shrinks(Risk::LowersProtection)),
        Field::new("spec.versioning").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        Field::new("spec.allow")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
        Field::new("spec.covers")
            .equal(Equal::Set)
            .risk(RiskRule::Removed(Risk::LowersProtection)),
        Field::new("spec.policy").equal(Equal::JsonText),
        Field::new("spec.class").changes(FieldChange::Never),
        Field::new("data.*").risk(RiskRule::Removed(Risk::DestroysData)),
        Field::new("spec.level").risk(RiskRule::Lowers(
            &["privileged", "baseline", "restricted"],
            Risk::LowersProtection,
        )),
        Field::new("spec.claims[*].size").changes(FieldChange::GrowOnly),
    ];

    #[test]
    fn differences() {
        for (before, after, expected) in [
            (json!({"spec": {"a": 1}}), json!({"spec": {"a": 1}}), vec![]),
            (
                json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}}),
                json!({"spec": {"containers": [{"name": "b"}, {"name": "a", "image": "2"}]}}),
                vec!["spec.containers[a].image"],
            ),
            (
                json!({"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "1000m"}}}]}}),
                json!({"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": 1}}}]}}),
                vec![],
            ),
            (
                json!({"spec": {"args": ["a", "b"]}}),
                json!({"spec": {"args": ["a"]}}),
                vec!["spec.args"],
            ),
            (
                json!({"spec": {"size": "1Gi"}}),
                json!({"spec": {"size": "1024Mi"}}),
                vec![],
            ),
            (
                json!({"spec": {"size": "1Gi"}}),
                json!({"spec": {"size": "2Gi"}}),
                vec!["spec.size"],
            ),
            (
                json!({"spec": {"size": "1.5Gi"}}),
                json!({"spec": {"size": "1Gi"}}),
                vec!["spec.size forbidden"],
            ),
            (
                json!({"spec": {"class": "a"}}),
                json!({"spec": {"class": "b"}}),
                vec!["spec.class forbidden"],
            ),
            (
                json!({"spec": {"retention": "30d"}}),
                json!({"spec": {"retention": "7d"}}),
                vec!["spec.retention lowers-protection"],
            ),
            (
                json!({"spec": {"retention": "7d"}}),
                json!({"spec": {"retention": "30d"}}),
                vec!["spec.retention"],
            ),
            (
                json!({"spec": {"versioning": "Enabled"}}),
                json!({"spec": {"versioning": "Suspended"}}),
                vec!["spec.versioning lowers-protection"],
            ),
            (
                json!({"spec": {"versioning": true}}),
                json!({"spec": {}}),
                vec!["spec.versioning lowers-protection"],
            ),
            (
                json!({"spec": {"allow": ["a", "b"]}}),
                json!({"spec": {"allow": ["b", "a"]}}),
                vec![],
            ),
            (
                json!({"spec": {"allow": ["a"]}}),
                json!({"spec": {"allow": ["a", "b"]}}),
                vec!["spec.allow exposes"],
            ),
            (
                json!({"spec": {"allow": ["a", "b"]}}),
                json!({"spec": {"allow": ["a"]}}),
                vec!["spec.allow"],
            ),
            (
                json!({"spec": {"covers": ["a", "b"]}}),
                json!({"spec": {"covers": ["c", "b", "a"]}}),
                vec!["spec.covers"],
            ),
            (
                json!({"spec": {"covers": ["a", "b"]}}),
                json!({"spec": {"covers": ["b", "c"]}}),
                vec!["spec.covers lowers-protection"],
            ),
            (
                json!({"spec": {"policy": "{\"a\": 1}"}}),
                json!({"spec": {"policy": {"a": 1}}}),
                vec![],
            ),
            (
                json!({"data": {"password": 1, "b": 2}}),
                json!({"data": {"b": 2}}),
                vec!["data.password destroys-data"],
            ),
            (
                json!({"spec": {"level": "restricted"}}),
                json!({"spec": {"level": "baseline"}}),
                vec!["spec.level lowers-protection"],
            ),
            (
                json!({"spec": {"level": "baseline"}}),
                json!({"spec": {"level": "restricted"}}),
                vec!["spec.level"],
            ),
            (
                json!({"spec": {"level": "baseline"}}),
                json!({"spec": {}}),
                vec!["spec.level lowers-protection"],
            ),
            (
                json!({"spec": {"claims": [{"metadata": {"name": "data"}, "size": "1Gi"}]}}),
                json!({"spec": {"claims": [{"metadata": {"name": "data"}, "size": "2Gi"}]}}),
                vec!["spec.claims[data].size"],
            ),
        ] {
            let found: Vec<String> = diff(&before, &after, FIELDS)
                .iter()
                .map(|d| {
                    let risk = d.risk.map_or(String::new(), |risk| format!(" {risk}"));
                    format!("{}{risk}{}", d.path, if d.forbidden { " forbidden" } else { "" })
                })
                .collect();
            assert_eq!(found, expected, "{before} -> {after}");
        }
    }
}
