//! Reads typed blocks from a tree and collects every problem on the way.
//!
//! A block is declared once with `block!`: the struct, its reader, its keys and its part of the JSON Schema all
//! come from that one list.

mod types;

use std::fmt::Display;

use serde_json::Value as Json;

use super::problem::{Found, Rule};
use super::source::At;
use super::suggest;
use super::yaml::{Entry, Node, Plain, Value};

/// Declares blocks of the config. `key: Type;` must be there after the profile was laid under it unless the type
/// says otherwise (`Option`, lists, mappings); `key: Type = value;` has a default of its own.
macro_rules! block {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident {
            $( $(#[doc = $key_doc:literal])+ $key:ident : $type:ty $(= $default:expr)?; )+
        } $(with $hidden:ident : $hidden_type:ty)?
    )+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name {
            $( $(#[doc = $key_doc])+ pub $key: $type, )+
            $( pub(super) $hidden: $hidden_type, )?
        }

        impl $name {
            /// The keys of the block, in the order of its documentation.
            pub(super) const KEYS: &'static [&'static str] = &[$(stringify!($key)),+];
        }

        impl $crate::config::block::Read for $name {
            fn read(node: &$crate::config::yaml::Node, reader: &mut $crate::config::block::Reader) -> Option<Self> {
                let entries = reader.entries(node, Self::KEYS)?;
                $( let $key = reader.field::<$type>(
                    entries, node, stringify!($key), $crate::config::block::block!(@default $($default)?)); )+
                let block = Self { $($key: $key?,)+ $($hidden: Default::default(),)? };
                block.check(node, reader);
                Some(block)
            }

            fn schema() -> serde_json::Value {
                let mut properties = serde_json::Map::new();
                $( properties.insert(stringify!($key).to_owned(), $crate::config::block::documented(
                    <$type as $crate::config::block::Read>::schema(), &[$($key_doc),+])); )+
                serde_json::json!({
                    "type": "object",
                    "description": $crate::config::block::text(&[$($doc),+]),
                    "additionalProperties": false,
                    "properties": properties,
                })
            }
        }
    )+};
    (@default) => { None };
    (@default $default:expr) => { Some($default) };
}
pub(super) use block;

/// Declares a choice between a few words.
macro_rules! choice {
    ($($type:ty { $($word:literal => $value:expr),+ $(,)? })+) => {$(
        impl $crate::config::block::Read for $type {
            fn read(node: &$crate::config::yaml::Node, reader: &mut $crate::config::block::Reader) -> Option<Self> {
                match reader.word(node, &[$($word),+])? {
                    $($word => Some($value),)+
                    _ => None,
                }
            }
            fn schema() -> serde_json::Value {
                serde_json::json!({ "enum": [$($word),+] })
            }
        }
    )+};
}
pub(super) use choice;

/// A type that a value of the tree can be read as.
pub(super) trait Read: Sized {
    /// The value, or nothing after at least one problem was put down.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self>;

    /// What stands for an absent key; nothing when the key must be there.
    fn absent() -> Option<Self> {
        None
    }

    /// The type's part of the JSON Schema.
    fn schema() -> Json;
}

/// Where reading stands, and what it found.
#[derive(Debug, Default)]
pub(super) struct Reader {
    path: String,
    pub(super) found: Vec<Found>,
}

impl Reader {
    /// Puts a problem down at `node`, for the current key or, with `below`, one below it.
    pub(super) fn refuse(
        &mut self,
        rule: Rule,
        at: At,
        below: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let key = join(&self.path, below);
        self.found.push(Found::new(rule, at, key, message).help(help));
    }

    /// Puts a problem down for the key `below` a block.
    pub(super) fn refuse_key(
        &mut self,
        block: &Node,
        rule: Rule,
        below: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let at = block.find(below).map_or(block.at, |node| node.at);
        self.refuse(rule, at, below, message, help);
    }

    /// Puts a problem of two keys down, at the first that the config itself has, naming where the other comes from.
    pub(super) fn refuse_pair(&mut self, block: &Node, rule: Rule, keys: [&str; 2], message: String, help: String) {
        let [one, other] = match keys.map(|key| block.find(key)) {
            [Some(one), _] if !one.at.in_profile() => keys,
            [_, Some(_)] => [keys[1], keys[0]],
            _ => keys,
        };
        self.refuse_key(block, rule, one, message, help);
        let Some(Node {
            at,
            value: Value::Scalar { text, .. },
        }) = block.find(other)
        else {
            return;
        };
        if let Some(found) = self.found.pop() {
            self.found.push(found.because(format!("{other} {text}"), *at));
        }
    }

    pub(super) fn wrong_type(&mut self, node: &Node, expected: &str, help: impl Into<String>) {
        let found = match &node.value {
            Value::Null { .. } => "null".to_owned(),
            Value::Scalar {
                text,
                plain: Plain::Text,
            } => format!("{text:?}"),
            Value::Scalar {
                text,
                plain: Plain::Number,
            } => format!("the number {text}"),
            Value::Scalar {
                text,
                plain: Plain::Bool,
            } => format!("the truth value {text}"),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        };
        self.refuse(
            Rule::WrongType,
            node.at,
            "",
            format!("{expected} is expected, not {found}"),
            help,
        );
    }

    /// The entries of a mapping; unknown keys are put down.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, keys: &[&str]) -> Option<&'n [Entry]> {
        let Value::Map(entries) = &node.value else {
            self.wrong_type(node, "a mapping", format!("write keys below it: {}", list(keys)));
            return None;
        };
        for entry in entries.iter().filter(|e| !keys.contains(&e.key.as_str())) {
            let close = suggest::closest(&entry.key, keys);
            let mut message = "unknown key".to_owned();
            if let Some(close) = close {
                message = format!("{message}; did you mean `{close}`?");
            }
            let mut help = format!("known here: {}", list(keys));
            if super::secrets::almost_password(&entry.key) {
                message = format!(
                    "{}{} Passwords themselves never belong in a config file",
                    message,
                    if close.is_some() { "" } else { "." }
                );
                super::secrets::WHERE_SECRETS_BELONG.clone_into(&mut help);
            } else if keys.contains(&entry.key.to_ascii_lowercase().replace('-', "_").as_str()) {
                "keys are lower case, with underscores".clone_into(&mut help);
            }
            self.refuse(Rule::UnknownKey, entry.at, &entry.key, message, help);
        }
        Some(entries)
    }

    /// The value of a key.
    pub(super) fn field<T: Read>(
        &mut self,
        entries: &[Entry],
        block: &Node,
        key: &str,
        default: Option<T>,
    ) -> Option<T> {
        match entries.iter().find(|e| e.key == key) {
            Some(entry) => self.below(key, |reader| T::read(&entry.value, reader)),
            None => default.or_else(T::absent).or_else(|| {
                self.refuse(
                    Rule::MissingKey,
                    block.at,
                    key,
                    "this key must be there",
                    format!("add `{key}: ...`"),
                );
                None
            }),
        }
    }

    pub(super) fn below<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = join(&self.path, key);
        let outer = std::mem::replace(&mut self.path, outer);
        let value = read(self);
        self.path = outer;
        value
    }

    /// A text; a number or truth value is refused, as YAML would change how it reads.
    pub(super) fn text<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        match &node.value {
            Value::Scalar {
                text,
                plain: Plain::Text,
            } => Some(text),
            Value::Scalar { text, .. } => {
                self.wrong_type(node, "a text", format!("write \"{text}\" with quotes"));
                None
            }
            _ => {
                self.wrong_type(node, "a text", "write a single text");
                None
            }
        }
    }

    /// A text or a number as written: for values with units.
    pub(super) fn loose_text<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        match &node.value {
            Value::Scalar {
                text,
                plain: Plain::Text | Plain::Number,
            } => Some(text),
            _ => self.text(node),
        }
    }

    /// One of a few words.
    pub(super) fn word<'w>(&mut self, node: &Node, words: &[&'w str]) -> Option<&'w str> {
        let Value::Scalar { text, .. } = &node.value else {
            self.wrong_type(node, "one word", format!("write one of: {}", list(words)));
            return None;
        };
        let found = words.iter().find(|word| *word == text);
        if found.is_none() {
            let help = match suggest::closest(text, words) {
                Some(close) => format!("did you mean `{close}`? Known: {}", list(words)),
                None => format!("write one of: {}", list(words)),
            };
            self.refuse(Rule::Choice, node.at, "", format!("{text:?} is not known"), help);
        }
        found.copied()
    }

    /// A text that parses, with the problem its error states.
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        node: &Node,
        rule: Rule,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
        help: impl FnOnce(&E) -> String,
    ) -> Option<T> {
        match parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(rule, node.at, "", error.to_string(), help(&error));
                None
            }
        }
    }
}

/// `a` and `b` as `a.b`, `a` and `[0]` as `a[0]`.
pub(super) fn join(path: &str, below: &str) -> String {
    match (path, below) {
        ("", _) => below.to_owned(),
        (_, "") => path.to_owned(),
        _ if below.starts_with('[') => format!("{path}{below}"),
        _ => format!("{path}.{below}"),
    }
}

/// The lines of a doc comment as one text, paragraphs kept.
pub(super) fn text(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|l| l.trim()).collect();
    lines.join(" ").replace("  ", "\n").trim().to_owned()
}

pub(super) fn documented(mut schema: Json, lines: &[&str]) -> Json {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), Json::String(text(lines)));
    }
    schema
}

fn list(words: &[&str]) -> String {
    words.join(", ")
}
