//! Values in one short line, without secrets.

use super::super::plan::{Change, Step};
use crate::value::{Digest, FieldPath, Recipe, Reference, Segment};
use serde_json::Value;

const MASK: &str = "***";
const MASK_CHANGED: &str = "*** (changed)";
const UNKNOWN: &str = "(known after apply)";
const UNSET: &str = "(unset)";
/// Longest printed value in characters.
const LONGEST: usize = 48;

/// One change as it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) path: String,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) secret: bool,
}

pub(super) fn shown(step: &Step, change: &Change) -> Shown {
    let (path, secret) = public_path(step, change);
    if secret {
        // A part of a recipe that comes or goes leaves a value in its place.
        let within = recipe_begins(change).is_some();
        let both = within || (change.before.is_some() && change.after.is_some());
        let side = |value: &Option<Value>, text: &str| if both || value.is_some() { text } else { UNSET }.to_owned();
        return Shown {
            path,
            before: side(&change.before, MASK),
            after: side(&change.after, if both { MASK_CHANGED } else { MASK }),
            secret,
        };
    }
    let before = change.before.as_ref().map(masked);
    let after = change.after.as_ref().map(masked);
    let (before, mut after) = pair(before.as_ref(), after.as_ref());
    if change.unknown {
        UNKNOWN.clone_into(&mut after);
    }
    Shown {
        path,
        before,
        after,
        secret,
    }
}

/// Before and after for programs: the whole values, masked.
pub(in super::super) fn masked_sides(step: &Step, change: &Change) -> (String, Value, Value, bool) {
    let (path, secret) = public_path(step, change);
    let within = recipe_begins(change).is_some();
    let side = |value: &Option<Value>| match value {
        None if !within => Value::Null,
        None => Value::String(MASK.to_owned()),
        Some(_) if secret => Value::String(MASK.to_owned()),
        Some(value) => masked(value),
    };
    let after = if change.unknown {
        Value::String(UNKNOWN.to_owned())
    } else {
        side(&change.after)
    };
    (path, side(&change.before), after, secret)
}

/// The position in the path of a change at which it enters a recipe.
fn recipe_begins(change: &Change) -> Option<usize> {
    let mut segments = change.path.segments().iter();
    segments.position(|segment| matches!(segment, Segment::Key(key) if key == "$secret"))
}

/// The path, cut where a recipe begins; and whether the field is a secret.
fn public_path(step: &Step, change: &Change) -> (String, bool) {
    let segments = change.path.segments();
    if let Some(position) = recipe_begins(change) {
        let public = segments[..position]
            .iter()
            .fold(FieldPath::root(), |path, segment| match segment {
                Segment::Key(key) => path.key(key),
                Segment::Element(name) => path.element(name),
                Segment::Index(index) => path.index(*index),
            });
        return (public.to_string(), true);
    }
    let recipe = [&change.before, &change.after]
        .into_iter()
        .flatten()
        .any(|value| Recipe::of_value(value).is_some());
    // Providers show no values; were one to, the data of a Secret would still not be printed.
    let data = step.id.kind().as_str() == "Secret"
        && matches!(segments.first(), Some(Segment::Key(key)) if key == "data" || key == "stringData");
    (change.path.to_string(), recipe || data)
}

/// The value with every recipe as `***` and every reference as `(known after apply)`.
pub(in super::super) fn masked(value: &Value) -> Value {
    match value {
        Value::Object(map) if map.contains_key("$secret") => Value::String(MASK.to_owned()),
        Value::Object(_) if Reference::of_value(value).is_some() => Value::String(UNKNOWN.to_owned()),
        Value::Object(map) => map.iter().map(|(key, child)| (key.clone(), masked(child))).collect(),
        Value::Array(items) => items.iter().map(masked).collect(),
        other => other.clone(),
    }
}

/// Two values in short; where both are long texts, from shortly before they begin to differ.
pub(super) fn pair(before: Option<&Value>, after: Option<&Value>) -> (String, String) {
    if let (Some(Value::String(old)), Some(Value::String(new))) = (before, after)
        && !old.contains('\n')
        && !new.contains('\n')
        && old.chars().count().max(new.chars().count()) > LONGEST
    {
        let same = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).count();
        let start = if same > LONGEST / 2 {
            let common: Vec<char> = old.chars().take(same).collect();
            let word = common.iter().rposition(|c| matches!(c, '/' | ' ' | ',' | '='));
            word.map(|position| position + 1)
                .filter(|start| same - start <= LONGEST / 2)
                .unwrap_or(same - LONGEST / 4)
        } else {
            0
        };
        return (cut(old, start), cut(new, start));
    }
    if let (Some(Value::Array(old)), Some(Value::Array(new))) = (before, after)
        && [before, after].iter().any(|side| side.is_some_and(is_long))
    {
        return (elements(old, new), elements(new, old));
    }
    let one = |value: Option<&Value>| value.map_or_else(|| UNSET.to_owned(), short);
    (one(before), one(after))
}

pub(super) fn is_long(value: &Value) -> bool {
    value.to_string().chars().count() > LONGEST
}

/// The elements that the other list does not have, or its length where only the order differs.
fn elements(list: &[Value], other: &[Value]) -> String {
    let own: Vec<String> = list.iter().filter(|item| !other.contains(item)).map(short).collect();
    match (own.len(), list.len()) {
        (0, length) => format!("[{length} elements #{}]", Digest::of(&list).short(8)),
        (own_count, length) if own_count == length => cut(&format!("[{}]", own.join(", ")), 0),
        _ => cut(&format!("[.., {}, ..]", own.join(", ")), 0),
    }
}

/// One value in short.
pub(super) fn short(value: &Value) -> String {
    match value {
        Value::String(text) if text.contains('\n') => {
            format!(
                "text of {} lines #{}",
                text.lines().count(),
                Digest::of_text(text).short(8)
            )
        }
        Value::String(text) if text.is_empty() || text != text.trim() => cut(&format!("{text:?}"), 0),
        Value::String(text) => cut(text, 0),
        other => {
            let text = other.to_string();
            match other {
                _ if text.chars().count() <= LONGEST => text,
                Value::Object(map) => format!("{{{} fields #{}}}", map.len(), Digest::of(other).short(8)),
                Value::Array(items) => format!("[{} elements #{}]", items.len(), Digest::of(other).short(8)),
                _ => cut(&text, 0),
            }
        }
    }
}

/// At most [`LONGEST`] characters from `start`, with `…` where something was left out. Control characters are escaped.
fn cut(text: &str, start: usize) -> String {
    let mut out = String::new();
    if start > 0 {
        out.push('…');
    }
    let mut rest = text.chars().skip(start);
    for character in rest.by_ref().take(LONGEST) {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    if rest.next().is_some() {
        out.push('…');
    }
    out
}
