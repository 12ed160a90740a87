//! Answers may repeat what was sent: admission policies word their own messages, and warnings.

use crate::set::RECIPES;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platform_core::value::Recipe;
use serde_json::Value;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// A shorter line of a value of several lines is too common to be taken out of a text.
const SHORTEST_LINE: usize = 8;

/// The values of a Secret that was sent, as an answer may repeat them; wiped when dropped.
pub(crate) struct Sent(Vec<Zeroizing<String>>);

impl Sent {
    /// From the body of a request.
    pub(crate) fn of(body: &[u8]) -> Self {
        let body: Sensitive = serde_json::from_slice(body).unwrap_or_default();
        let recipes: BTreeMap<String, Value> = body
            .metadata
            .annotations
            .get(RECIPES)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let literal = |key: &str| {
            let recipe = recipes.get(key).and_then(Recipe::of_value);
            matches!(recipe, Some(Recipe::Literal { .. }))
        };
        let mut texts = Vec::new();
        for (key, encoded) in body.data {
            let Some(encoded) = encoded
                .map(Zeroizing::new)
                .filter(|encoded| !encoded.is_empty() && !literal(&key))
            else {
                continue;
            };
            if let Some(value) = STANDARD
                .decode(encoded.as_bytes())
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .map(Zeroizing::new)
            {
                let lines = value.lines().filter(|line| line.len() >= SHORTEST_LINE);
                texts.extend(lines.map(|line| Zeroizing::new(line.to_owned())));
                texts.push(value);
            }
            texts.push(encoded);
        }
        // a value may be part of another
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self(texts)
    }

    /// Takes the values out of a text.
    pub(crate) fn hide(&self, text: &mut String) {
        for value in self.0.iter().filter(|value| !value.is_empty()) {
            if text.contains(value.as_str()) {
                *text = text.replace(value.as_str(), "***");
            }
        }
    }

    /// Takes the values out of every text in a document.
    pub(crate) fn hide_in(&self, document: &mut Value) {
        match document {
            Value::String(text) => self.hide(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_in(item)),
            Value::Object(map) => map.values_mut().for_each(|value| self.hide_in(value)),
            _ => {}
        }
    }
}

/// The parts of a Secret that matter here.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Sensitive {
    metadata: Metadata,
    data: BTreeMap<String, Option<String>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Metadata {
    annotations: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_taken_out_and_literals_stay() {
        let recipes = json!({
            "user": Recipe::Literal { value: "postgres".to_owned() }.to_value(),
            "password": Recipe::generate(4).to_value(),
        });
        let body = json!({
            "metadata": { "annotations": { RECIPES: recipes.to_string() } },
            "data": {
                "user": STANDARD.encode("postgres"), "password": STANDARD.encode("pa55"), "gone": null,
                "tls.key": STANDARD.encode("-----BEGIN\nAAAABBBBCCCC\n-----END"),
                "url": STANDARD.encode("db://postgres:pa55@db"),
            },
        });
        let sent = Sent::of(body.to_string().as_bytes());
        for (text, hidden) in [
            ("postgres may not have pa55", "postgres may not have ***"),
            ("data: cGE1NQ== is wrong", "data: *** is wrong"),
            ("line \"AAAABBBBCCCC\\n\" is wrong", "line \"***\\n\" is wrong"),
            ("not db://postgres:pa55@db!", "not ***!"),
        ] {
            let mut document = json!({ "message": text, "details": { "causes": [{ "message": text }] } });
            sent.hide_in(&mut document);
            assert_eq!(document["message"], hidden);
            assert_eq!(document["details"]["causes"][0]["message"], hidden);
        }
        let mut text = "unchanged".to_owned();
        Sent::of(b"no JSON").hide(&mut text);
        assert_eq!(text, "unchanged");
    }
}
