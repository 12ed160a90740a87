//! How texts, switches, numbers, lists and mappings are read.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::super::problem::Rule;
use super::super::yaml::{Node, Plain, Value};
use super::{Read, Reader};

impl Read for String {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.text(node).map(str::to_owned)
    }
    fn schema() -> Json {
        json!({ "type": "string" })
    }
}

impl Read for bool {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if let Value::Scalar {
            text,
            plain: Plain::Bool,
        } = &node.value
        {
            return Some(text == "true");
        }
        reader.wrong_type(node, "true or false", "write true or false, without quotes");
        None
    }
    fn schema() -> Json {
        json!({ "type": "boolean" })
    }
}

macro_rules! numbers {
    ($($type:ty)+) => {$(
        impl Read for $type {
            fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
                let Value::Scalar { text, plain: Plain::Number } = &node.value else {
                    reader.wrong_type(node, "a whole number", "write digits, without quotes");
                    return None;
                };
                let number = text.parse().ok();
                if number.is_none() {
                    let most = <$type>::MAX;
                    reader.refuse(Rule::NumberRange, node.at, "", format!("{text} is not a whole number from 0 to {most}"),
                        "write a whole number in digits");
                }
                number
            }
            fn schema() -> Json {
                json!({ "type": "integer", "minimum": 0 })
            }
        }
    )+};
}
numbers!(u32 u64);

impl<T: Read> Read for Option<T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        T::read(node, reader).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
    fn schema() -> Json {
        // `null` takes away what lower layers say.
        let mut schema = T::schema();
        if let Some(object) = schema.as_object_mut() {
            match object.get_mut("type") {
                Some(Json::Array(types)) => types.push(json!("null")),
                Some(one) => *one = json!([one, "null"]),
                None => {
                    if let Some(Json::Array(words)) = object.get_mut("enum") {
                        words.push(Json::Null);
                    }
                    if let Some(Json::Array(kinds)) = object.get_mut("oneOf") {
                        kinds.push(json!({ "type": "null" }));
                    }
                }
            }
        }
        schema
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::List(items) = &node.value else {
            reader.wrong_type(node, "a list", "write it as a list: [...]");
            return None;
        };
        let read: Vec<Option<T>> = items
            .iter()
            .enumerate()
            .map(|(index, item)| reader.below(&format!("[{index}]"), |reader| T::read(item, reader)))
            .collect();
        read.into_iter().collect()
    }
    fn absent() -> Option<Self> {
        Some(Self::new())
    }
    fn schema() -> Json {
        json!({ "type": "array", "items": T::schema() })
    }
}

impl<T: Read> Read for BTreeMap<String, T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            reader.wrong_type(node, "a mapping", "write it as a mapping: { key: value }");
            return None;
        };
        let read: Vec<Option<(String, T)>> = entries
            .iter()
            .map(|e| {
                reader
                    .below(&e.key, |reader| T::read(&e.value, reader))
                    .map(|value| (e.key.clone(), value))
            })
            .collect();
        read.into_iter().collect()
    }
    fn absent() -> Option<Self> {
        Some(Self::new())
    }
    fn schema() -> Json {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
}
