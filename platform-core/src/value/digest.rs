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

    /// The same for what is JSON already: no copy is made of it.
    pub fn of_value(value: &Value) -> Self {
        let mut text = String::with_capacity(512);
        write_sorted(value, &mut text);
        Self::of_text(&text)
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
        Value::Object(map) if map.keys().is_sorted() => write_entries(map.iter(), text),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            write_entries(entries.into_iter(), text);
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
        Value::String(string) => write_string(string, text),
        other => {
            // Writing to a text cannot fail.
            let _ = write!(text, "{other}");
        }
    }
}

fn write_entries<'a>(entries: impl Iterator<Item = (&'a String, &'a Value)>, text: &mut String) {
    text.push('{');
    for (position, (key, child)) in entries.enumerate() {
        if position > 0 {
            text.push(',');
        }
        write_string(key, text);
        text.push(':');
        write_sorted(child, text);
    }
    text.push('}');
}

/// Most texts need no escape and are taken over as they are.
fn write_string(string: &str, text: &mut String) {
    if string.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        // Writing to a text cannot fail.
        let _ = write!(text, "{}", Value::from(string));
    } else {
        text.push('"');
        text.push_str(string);
        text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::{Digest, canonical};
    use serde_json::json;

    #[test]
    fn canonical_text_is_sorted_json() {
        let value = json!({"b": [1, -2.5, null, true, {"z": "\u{1}", "a": "é\n"}], "a \"quoted\" \\ key": {}, "": []});
        let text = canonical(&value);
        assert_eq!(
            text,
            r#"{"":[],"a \"quoted\" \\ key":{},"b":[1,-2.5,null,true,{"a":"é\n","z":"\u0001"}]}"#
        );
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        assert_eq!(Digest::of_value(&value), Digest::of(&value));
        assert_eq!(Digest::of(&value), Digest::of_text(&text));
    }
}
