use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// The value of a key.
    Key(String),
    /// The element of a list that has this name: `containers[postgres]`.
    Element(String),
    /// The element of a list by position: `args[0]`.
    Index(usize),
}

/// Where in a value: `spec.template.spec.containers[postgres].image`.
///
/// A key that holds a dot or a bracket is printed in quotes: `metadata.labels."app.kubernetes.io/name"`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct FieldPath(Vec<Segment>);

impl FieldPath {
    /// The whole value.
    pub fn root() -> Self {
        Self::default()
    }

    /// The path of a key below this one.
    pub fn key(&self, key: &str) -> Self {
        self.push(Segment::Key(key.to_owned()))
    }

    /// The path of a named list element below this one.
    pub fn element(&self, name: &str) -> Self {
        self.push(Segment::Element(name.to_owned()))
    }

    /// The path of a list element by position below this one.
    pub fn index(&self, index: usize) -> Self {
        self.push(Segment::Index(index))
    }

    /// The steps.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The value at this path in a document; `None` where the path leads nowhere.
    pub fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(document, |value, segment| match segment {
            Segment::Key(key) => value.get(key),
            Segment::Element(name) => value.as_array()?.iter().find(|item| item["name"] == name.as_str()),
            Segment::Index(index) => value.get(index),
        })
    }

    /// Sets or removes the value at this path, where all of it are keys; what is missing on the way is made.
    pub(crate) fn put(&self, document: &mut Value, value: Option<&Value>) {
        let Some((Segment::Key(last), way)) = self.0.split_last() else {
            return;
        };
        let mut within = document;
        for segment in way {
            let (Segment::Key(key), Value::Object(map)) = (segment, within) else {
                return;
            };
            if value.is_none() && !map.contains_key(key) {
                return;
            }
            within = map
                .entry(key.as_str())
                .or_insert_with(|| Value::Object(serde_json::Map::new()));
        }
        let Value::Object(map) = within else { return };
        match value {
            Some(value) => drop(map.insert(last.clone(), value.clone())),
            None => drop(map.remove(last)),
        }
    }

    /// Whether `pattern` names this field or one above it. `[*]` in a pattern stands for any element,
    /// `*` for any key.
    pub fn is_within(&self, pattern: &FieldPath) -> bool {
        pattern.0.len() <= self.0.len()
            && pattern
                .0
                .iter()
                .zip(&self.0)
                .all(|(wanted, have)| match (wanted, have) {
                    (Segment::Element(any), Segment::Element(_) | Segment::Index(_)) if any == "*" => true,
                    (Segment::Key(any), Segment::Key(_)) if any == "*" => true,
                    _ => wanted == have,
                })
    }

    fn push(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    if key.is_empty() || key.contains(['.', '[', ']', '"']) {
                        write!(f, "{key:?}")?;
                    } else {
                        f.write_str(key)?;
                    }
                }
                Segment::Element(name) => write!(f, "[{name}]")?,
                Segment::Index(index) => write!(f, "[#{index}]")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> String {
        path.to_string()
    }
}

impl From<String> for FieldPath {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&str> for FieldPath {
    /// Reads what `Display` prints.
    fn from(text: &str) -> Self {
        let mut segments = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let end = inner.find(']').unwrap_or(inner.len());
                let name = &inner[..end];
                segments.push(match name.strip_prefix('#').and_then(|index| index.parse().ok()) {
                    Some(index) => Segment::Index(index),
                    None => Segment::Element(name.to_owned()),
                });
                rest = inner.get(end + 1..).unwrap_or("");
            } else if rest.starts_with('"') {
                let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                if let Some(Ok(key)) = stream.next() {
                    let used = stream.byte_offset();
                    segments.push(Segment::Key(key));
                    rest = &rest[used..];
                } else {
                    segments.push(Segment::Key(rest.to_owned()));
                    rest = "";
                }
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                if end > 0 {
                    segments.push(Segment::Key(rest[..end].to_owned()));
                }
                rest = &rest[end..];
            }
            rest = rest.strip_prefix('.').unwrap_or(rest);
        }
        Self(segments)
    }
}

#[cfg(test)]
mod tests {
    use super::FieldPath;
    use serde_json::json;

    #[test]
    fn display_and_parse_agree() {
        for text in [
            "spec.template.spec.containers[postgres].image",
            "metadata.labels.\"app.kubernetes.io/name\"",
            "args[#0]",
            "a.b[x][#3].\"c\\\"d\"",
            "",
        ] {
            assert_eq!(FieldPath::from(text).to_string(), text);
        }
    }

    #[test]
    fn a_field_is_put_where_the_path_leads() {
        let live = json!({"a": 1, "b": {"c": {"d": 2}}});
        for (path, wanted, left) in [
            ("a", json!({"a": 3}), json!({"a": 1})),
            ("e", json!({"e": 3}), json!({})),
            ("b.c.d", json!({"b": {"x": 1}}), json!({"b": {"x": 1, "c": {"d": 2}}})),
            ("b.e.f", json!({"b": {}}), json!({"b": {}})),
            ("a.b", json!({"a": 3}), json!({"a": 3})),
        ] {
            let (path, mut document) = (FieldPath::from(path), wanted);
            path.put(&mut document, path.find(&live));
            assert_eq!(document, left, "{path}");
        }
    }

    #[test]
    fn patterns_cover_what_lies_below() {
        let path = FieldPath::from("spec.containers[postgres].resources.limits.memory");
        for (pattern, covers) in [
            ("spec", true),
            ("spec.containers[*].resources", true),
            ("spec.containers[redis]", false),
            ("spec.*", true),
            ("spec.containers[*].image", false),
            ("", true),
        ] {
            assert_eq!(path.is_within(&FieldPath::from(pattern)), covers, "{pattern}");
        }
    }
}
