//! YAML text to a tree whose every key and value knows its place. It and its `fault` alone know the YAML crate.

mod fault;

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Location, Spanned};

use super::problem::{Found, Rule};
use super::source::At;

/// Largest text in bytes.
pub(super) const MAX_BYTES: usize = 1 << 20;
const MAX_DEPTH: usize = 32;
const MAX_ALIASED: usize = 10_000;
/// Keys and values of the largest text that is looked at.
const MAX_NODES: usize = 20_000;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// `null` or `~`, or nothing at all.
    Null {
        /// Whether there is a word for it.
        written: bool,
    },
    /// A text or what looks like a number or truth value; `text` is as written, without quotes.
    Scalar { text: String, plain: Plain },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the text; keys are not yet checked for duplicates.
    Map(Vec<Entry>),
}

/// What an unquoted scalar looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Text,
    Number,
    Bool,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: At,
    pub(super) value: Node,
}

impl Node {
    pub(super) fn map(at: At) -> Self {
        Self {
            at,
            value: Value::Map(Vec::new()),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.value),
            _ => None,
        }
    }

    /// The value at `a.b[2].c`; keys that hold dots themselves are found too.
    pub(super) fn find(&self, path: &str) -> Option<&Self> {
        let path = path.strip_prefix('.').unwrap_or(path);
        if path.is_empty() {
            return Some(self);
        }
        match &self.value {
            Value::Map(entries) => entries
                .iter()
                .filter_map(|e| Some((&e.value, path.strip_prefix(e.key.as_str())?)))
                .filter(|(_, rest)| rest.is_empty() || rest.starts_with(['.', '[']))
                .find_map(|(value, rest)| value.find(rest)),
            Value::List(items) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                items.get(index.parse::<usize>().ok()?)?.find(rest)
            }
            Value::Null { .. } | Value::Scalar { .. } => None,
        }
    }
}

/// Reads the bytes of a file.
pub(super) fn decode(bytes: &[u8], source: usize) -> Result<&str, Box<Found>> {
    let whole = |rule, message: &str, help: &str| Box::new(Found::new(rule, At::whole(source), "", message).help(help));
    if bytes.len() > MAX_BYTES {
        let message = format!("the file has {} bytes; a config has at most 1 MiB", bytes.len());
        return Err(whole(Rule::FileSize, &message, "is it the right file?"));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || bytes.iter().take(4).any(|b| *b == 0) {
        return Err(whole(
            Rule::Encoding,
            "the file is UTF-16 or UTF-32, not UTF-8",
            "save it as UTF-8",
        ));
    }
    let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let message = "this byte is not UTF-8 (Latin-1 or Windows-1252?)";
        let at = At {
            source,
            line,
            column,
            width: 1,
        };
        Box::new(Found::new(Rule::Encoding, at, "", message).help("save the file as UTF-8"))
    })
}

/// Parses a text; the root of an empty one is an empty mapping.
pub(super) fn parse(text: &str, source: usize) -> Result<Node, Box<Found>> {
    let mut node = parse_value(text, source)?;
    if matches!(node.value, Value::Null { .. }) {
        node.value = Value::Map(Vec::new());
    }
    Ok(node)
}

/// Parses a text that may be any value.
pub(super) fn parse_value(text: &str, source: usize) -> Result<Node, Box<Found>> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_ALIASED,
            max_replay_stack_depth: MAX_DEPTH,
        },
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES },
        with_snippet: false,
    };
    let raw = serde_saphyr::from_str_with_options::<Option<Spanned<Raw>>>(text, options)
        .map_err(|error| Box::new(fault::explain(text, source, error.without_snippet())))?;
    Ok(match raw {
        Some(raw) => Placer {
            text,
            lines: text.lines().collect(),
            source,
        }
        .node(raw),
        None => Node {
            at: At::whole(source),
            value: Value::Null {
                written: !text.trim().is_empty(),
            },
        },
    })
}

enum Raw {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }
            fn visit_none<E: de::Error>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Raw, E> {
                Ok(Raw::Bool(value))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Raw, E> {
                Ok(Raw::Number(value.to_string()))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Raw, E> {
                Ok(Raw::Number(value.to_string()))
            }
            fn visit_i128<E: de::Error>(self, value: i128) -> Result<Raw, E> {
                Ok(Raw::Number(value.to_string()))
            }
            fn visit_u128<E: de::Error>(self, value: u128) -> Result<Raw, E> {
                Ok(Raw::Number(value.to_string()))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Raw, E> {
                Ok(Raw::Number(value.to_string()))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Raw, E> {
                Ok(Raw::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Raw::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Raw::Map(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Turns the parser's places into ours.
struct Placer<'a> {
    text: &'a str,
    lines: Vec<&'a str>,
    source: usize,
}

impl Placer<'_> {
    fn node(&self, raw: Spanned<Raw>) -> Node {
        let written = self.slice(raw.defined);
        let mut at = self.at(raw.defined);
        let value = match raw.value {
            Raw::Null => Value::Null {
                written: !written.is_empty(),
            },
            Raw::Bool(value) => scalar(written, value.to_string(), Plain::Bool),
            Raw::Number(value) => scalar(written, value, Plain::Number),
            Raw::Text(text) => Value::Scalar {
                text,
                plain: Plain::Text,
            },
            Raw::List(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            Raw::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| {
                        let at = self.at(key.defined);
                        let mut value = self.node(value);
                        // The parser places an empty value at whatever comes next.
                        if matches!(value.value, Value::Null { written: false }) {
                            value.at = at;
                        }
                        Entry {
                            key: key.value,
                            at,
                            value,
                        }
                    })
                    .collect(),
            ),
        };
        if matches!(value, Value::List(_) | Value::Map(_)) {
            at.width = 1;
        }
        Node { at, value }
    }

    fn slice(&self, location: Location) -> &str {
        let span = location.span();
        let range = span
            .byte_offset()
            .zip(span.byte_len())
            .and_then(|(from, len)| Some(usize::try_from(from).ok()?..usize::try_from(from.checked_add(len)?).ok()?));
        range.and_then(|r| self.text.get(r)).unwrap_or_default().trim()
    }

    fn at(&self, location: Location) -> At {
        let mut at = place(location, self.source);
        let line = self
            .lines
            .get(at.line.saturating_sub(1))
            .map_or("", |line| line.trim_end());
        // An empty value may be placed behind the end of its line.
        let rest = (line.chars().count() + 1).saturating_sub(at.column).max(1);
        let written = self.slice(location).lines().next().unwrap_or_default().chars().count();
        at.width = written.clamp(1, rest);
        at
    }
}

fn scalar(written: &str, value: String, plain: Plain) -> Value {
    // What was written, so that `17.10` does not become `17.1`.
    let text = if written.is_empty() || written.contains('\n') {
        value
    } else {
        written.to_owned()
    };
    Value::Scalar { text, plain }
}

fn place(location: Location, source: usize) -> At {
    let number = |n: u64| usize::try_from(n).unwrap_or(0);
    At {
        source,
        line: number(location.line()),
        column: number(location.column()).max(1),
        width: 1,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_value_knows_its_place() {
        let text = "a: 1\nb:\n  - { c: \"x y\", d: 17.10 }\n  - &n on\ne: *n\nf:\ng: ~\na: 2\nü: 'ö' # end\n";
        let root = parse(text, 0).unwrap();
        let place = |path: &str| {
            let node = root.find(path).unwrap();
            let text = match &node.value {
                Value::Scalar { text, plain } => format!("{text} {plain:?}"),
                Value::Null { written } => format!("null {written}"),
                Value::List(_) => "list".to_owned(),
                Value::Map(_) => "map".to_owned(),
            };
            (text, node.at.line, node.at.column, node.at.width)
        };
        for (path, text, line, column, width) in [
            ("a", "1 Number", 1, 4, 1),
            ("b", "list", 3, 3, 1),
            ("b[0]", "map", 3, 5, 1),
            ("b[0].c", "x y Text", 3, 10, 5),
            ("b[0].d", "17.10 Number", 3, 20, 5),
            ("b[1]", "on Text", 4, 8, 2),
            ("e", "on Text", 4, 8, 2),
            ("f", "null false", 6, 1, 1),
            ("g", "null true", 7, 4, 1),
            ("ü", "ö Text", 9, 4, 3),
        ] {
            assert_eq!(place(path), (text.to_owned(), line, column, width), "{path}");
        }
        let Value::Map(entries) = &root.value else {
            unreachable!()
        };
        let keys: Vec<_> = entries.iter().map(|e| (e.key.as_str(), e.at.line)).collect();
        assert_eq!(
            keys,
            [("a", 1), ("b", 2), ("e", 5), ("f", 6), ("g", 7), ("a", 8), ("ü", 9)]
        );
    }
}
