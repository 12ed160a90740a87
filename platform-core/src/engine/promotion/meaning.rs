//! What a change of a field means: the values, but of a size only that it is one, and which way it goes.

use super::super::diff::amount;
use super::FieldEffect;
use crate::value::{FieldPath, Schedule, Segment};
use serde::Serialize;
use serde_json::Value;
use std::cmp::Ordering;
use std::net::Ipv4Addr;

/// What stands in the place of a size.
const SIZE: &str = "<size>";

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Meaning {
    pub(super) before: Value,
    pub(super) after: Value,
    /// A size that becomes smaller or larger.
    goes: Option<&'static str>,
}

impl Meaning {
    pub(super) fn of(field: &FieldEffect) -> Self {
        let key = last_key(&field.path);
        let (before, after) = (sized(&field.before, &key), sized(&field.after, &key));
        let sizes = [&before, &after].iter().all(|side| **side == SIZE);
        let goes = match (sizes, amount(&field.before), amount(&field.after)) {
            (true, Some(before), Some(after)) => match after.cmp(&before) {
                Ordering::Less => Some("down"),
                Ordering::Equal => None,
                Ordering::Greater => Some("up"),
            },
            _ => None,
        };
        Self { before, after, goes }
    }
}

/// What the value of a field is called: its last two steps, since lists have `name` and `value`.
fn last_key(path: &str) -> String {
    let path = FieldPath::from(path);
    let names = path.segments().iter().map(|segment| match segment {
        Segment::Key(text) | Segment::Element(text) => text.as_str(),
        Segment::Index(_) => "",
    });
    let names: Vec<&str> = names.collect();
    names[names.len().saturating_sub(2)..].join(".")
}

/// The value with every size as `<size>`.
fn sized(value: &Value, key: &str) -> Value {
    match value {
        Value::Object(map) => {
            let name = map.get("name").and_then(Value::as_str).unwrap_or_default();
            map.iter()
                .map(|(key, child)| (key.clone(), sized(child, &format!("{name}.{key}"))))
                .collect()
        }
        Value::Array(items) => items.iter().map(|item| sized(item, key)).collect(),
        Value::Number(_) if !is_exact(key) => Value::String(SIZE.to_owned()),
        Value::String(text) if !is_exact(key) && is_size(text) => Value::String(SIZE.to_owned()),
        Value::String(text) if is_prose(text) => Value::String(without_numbers(text)),
        other => other.clone(),
    }
}

/// Fields whose numbers say what, not how much.
fn is_exact(key: &str) -> bool {
    let key = key.to_lowercase();
    ["version", "port", "protocol", "major", "image"]
        .iter()
        .any(|word| key.contains(word))
}

/// A quantity, a time, a schedule, a class of servers, a private block of addresses.
fn is_size(text: &str) -> bool {
    amount(&Value::String(text.to_owned())).is_some()
        || text.contains(' ') && text.parse::<Schedule>().is_ok()
        || ["cron(", "rate("].iter().any(|word| text.starts_with(word))
        || is_class(text)
        || is_private(text)
}

/// As clouds name the sizes of servers: `db.t4g.medium`, `m7i.2xlarge`.
fn is_class(text: &str) -> bool {
    let Some((family, size)) = text.rsplit_once('.') else {
        return false;
    };
    let family = family.rsplit('.').next().unwrap_or(family);
    let multiple = size
        .strip_suffix("xlarge")
        .is_some_and(|times| times.bytes().all(|byte| byte.is_ascii_digit()));
    let is_named = ["nano", "micro", "small", "medium", "large", "metal"].contains(&size);
    (multiple || is_named) && family.contains(|c: char| c.is_ascii_digit())
}

fn is_private(text: &str) -> bool {
    let address = text.split_once('/').map_or(text, |(address, _)| address);
    address.parse::<Ipv4Addr>().is_ok_and(|address| address.is_private())
}

/// Files and sentences.
fn is_prose(text: &str) -> bool {
    text.contains('\n') || text.split(' ').count() > 2
}

/// A line's numbers are sizes, but in one about versions, ports and images.
fn without_numbers(text: &str) -> String {
    let line = |line: &str| {
        if is_exact(line) {
            return line.to_owned();
        }
        let mut out = String::with_capacity(line.len());
        for character in line.chars() {
            match (character.is_ascii_digit(), out.ends_with('#')) {
                (true, true) => {}
                (true, false) => out.push('#'),
                (false, _) => out.push(character),
            }
        }
        out
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::FieldEffect;
    use super::Meaning;
    use serde_json::{Value, json};

    #[test]
    fn sizes_may_differ_and_nothing_else() {
        let change = |path: &str, before: Value, after: Value| {
            Meaning::of(&FieldEffect {
                path: path.to_owned(),
                before,
                after,
                effect: None,
                risk: None,
            })
        };
        for (path, one, other, same) in [
            (
                "allocated_storage",
                (json!(20), json!(40)),
                (json!(100), json!(200)),
                true,
            ),
            (
                "allocated_storage",
                (json!(20), json!(40)),
                (json!(200), json!(100)),
                false,
            ),
            (
                "spec.size",
                (json!("1Gi"), json!("2Gi")),
                (json!("10Gi"), json!("1Ti")),
                true,
            ),
            (
                "retention",
                (json!("7d"), json!("14d")),
                (json!("30d"), json!("365d")),
                true,
            ),
            (
                "schedule",
                (json!("0 2 * * 0"), json!("0 3 * * 0")),
                (json!("0 2 * * *"), json!("0 3 * * *")),
                true,
            ),
            (
                "class",
                (json!("db.t4g.small"), json!("db.t4g.large")),
                (json!("db.r8g.large"), json!("db.r8g.2xlarge")),
                true,
            ),
            (
                "parameters.max_connections",
                (Value::Null, json!("200")),
                (Value::Null, json!("400")),
                true,
            ),
            (
                "engine_version",
                (json!("17"), json!("18")),
                (json!("16"), json!("18")),
                false,
            ),
            (
                "env[PG_MAJOR].value",
                (json!("17"), json!("18")),
                (json!("17"), json!("17")),
                false,
            ),
            (
                "rules",
                (json!([]), json!([{"port": 22}])),
                (json!([]), json!([{"port": 23}])),
                false,
            ),
            (
                "rules",
                (json!([]), json!([{"from": "10.1.0.0/16"}])),
                (json!([]), json!([{"from": "10.2.0.0/16"}])),
                true,
            ),
            (
                "rules",
                (json!([]), json!([{"from": "10.1.0.0/16"}])),
                (json!([]), json!([{"from": "0.0.0.0/0"}])),
                false,
            ),
            (
                "multi_az",
                (json!(false), json!(true)),
                (json!(true), json!(false)),
                false,
            ),
            (
                "image",
                (json!("a:1"), json!("a:2")),
                (json!("a:1"), json!("a:3")),
                false,
            ),
            (
                "says",
                (Value::Null, json!("more than 85 of 100 GiB")),
                (Value::Null, json!("more than 85 of 9 GiB")),
                true,
            ),
            (
                "data",
                (json!("max 1\nx"), json!("max 20\nx")),
                (json!("max 300\nx"), json!("max 4\nx")),
                true,
            ),
            (
                "data",
                (json!("v\nx"), json!("image: a:1\nx")),
                (json!("v\nx"), json!("image: a:2\nx")),
                false,
            ),
        ] {
            let (one, other) = (change(path, one.0, one.1), change(path, other.0, other.1));
            assert_eq!(one == other, same, "{path}: {one:?} {other:?}");
        }
    }
}
