use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fmt::{self, Write as _};

/// SHA-256 over canonical JSON: equal values have equal digests, whatever order they were built in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of a value's canonical JSON.
    pub fn of(value: &impl Serialize) -> Self {
        Self::of_text(&canonical(value))
    }

    /// The digest of a text.
    pub fn of_text(text: &str) -> Self {
        Self(format!("{:x}", Sha256::digest(text.as_bytes())))
    }

    /// The first `length` hexadecimal digits, for names.
    pub fn short(&self, length: usize) -> &str {
        &self.0[..length.min(self.0.len())]
    }

    /// All 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short(12))
    }
}

/// JSON text with sorted keys and no spaces, also where a user's tree makes serde_json keep insertion order.
pub fn canonical(value: &impl Serialize) -> String {
    let mut text = String::new();
    // A value that cannot be JSON (a map with odd keys) has no place in this crate's types.
    write_sorted(&serde_json::to_value(value).unwrap_or(Value::Null), &mut text);
    text
}

fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (position, (key, child)) in entries.into_iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                append(&Value::from(key.as_str()), text);
                text.push(':');
                write_sorted(child, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                write_sorted(item, text);
            }
            text.push(']');
        }
        other => append(other, text),
    }
}

fn append(value: &Value, text: &mut String) {
    // Writing to a text cannot fail.
    let _ = write!(text, "{value}");
}
