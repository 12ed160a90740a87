//! YAML that people can read.

use serde_json::Value;

/// A value as YAML in block style, for people who read a ConfigMap. Texts are in double quotes, so that none is taken for something else.
pub fn document(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, child) in map {
                text.push_str(&indent);
                text.push_str(key);
                text.push(':');
                nested(child, depth + 1, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut inner = String::new();
                block(item, depth + 1, &mut inner);
                text.push_str(&indent);
                text.push_str("- ");
                text.push_str(inner.trim_start());
            }
        }
        scalar => {
            text.push_str(&indent);
            text.push_str(&scalar.to_string());
            text.push('\n');
        }
    }
}

fn nested(child: &Value, depth: usize, text: &mut String) {
    let is_block = match child {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if is_block {
        text.push('\n');
        block(child, depth, text);
    } else {
        text.push(' ');
        block(child, 0, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn blocks_are_indented_and_texts_quoted() {
        let value = json!({
            "groups": [{ "name": "a", "rules": [{ "expr": "up == 0\n", "labels": { "on": "yes" } }, "x"] }],
            "none": [], "nothing": {}, "n": 5, "t": true,
        });
        assert_eq!(
            document(&value),
            "groups:\n  - name: \"a\"\n    rules:\n      - expr: \"up == 0\\n\"\n        labels:\n          on: \"yes\"\n      - \"x\"\n\
             n: 5\nnone: []\nnothing: {}\nt: true\n"
        );
    }
}
