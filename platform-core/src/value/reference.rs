//! Values that only the server knows, named before they exist.

use super::{InvalidValue, ResourceId};
use serde_json::{Map, Value};
use std::fmt;
use std::str::FromStr;

const REF: &str = "$ref";

/// An output of another resource: `{"$ref": "<id>#<output>"}`.
///
/// Used for server-made ids only (a KMS key id, a VPC id); whatever can be computed is computed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// The resource that has the output.
    pub id: ResourceId,
    /// Which of its outputs.
    pub output: String,
}

impl Reference {
    /// A reference to `output` of `id`.
    pub fn new(id: ResourceId, output: impl Into<String>) -> Self {
        Self {
            id,
            output: output.into(),
        }
    }

    /// How it stands in a desired value.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert(REF.to_owned(), Value::String(self.to_string()));
        Value::Object(map)
    }

    /// The reference that a value is, if it is one.
    pub fn of_value(value: &Value) -> Option<Self> {
        let map = value.as_object().filter(|map| map.len() == 1)?;
        map.get(REF)?.as_str()?.parse().ok()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.id, self.output)
    }
}

impl FromStr for Reference {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let (id, output) = text
            .rsplit_once('#')
            .ok_or_else(|| InvalidValue::new(text, "a reference <id>#<output>"))?;
        Ok(Self::new(id.parse()?, output))
    }
}

/// Every reference inside a value.
pub fn references(value: &Value) -> Vec<Reference> {
    let mut found = Vec::new();
    collect(value, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<Reference>) {
    match value {
        Value::Object(map) => match Reference::of_value(value) {
            Some(reference) => found.push(reference),
            None => map.values().for_each(|child| collect(child, found)),
        },
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// The value with every reference replaced that `lookup` knows; the others stay as they are.
pub fn resolve(value: &Value, lookup: &dyn Fn(&Reference) -> Option<Value>) -> Value {
    match value {
        Value::Object(map) => match Reference::of_value(value) {
            Some(reference) => lookup(&reference).unwrap_or_else(|| value.clone()),
            None => map
                .iter()
                .map(|(key, child)| (key.clone(), resolve(child, lookup)))
                .collect(),
        },
        Value::Array(items) => items.iter().map(|item| resolve(item, lookup)).collect(),
        other => other.clone(),
    }
}
