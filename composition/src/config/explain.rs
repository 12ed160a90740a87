//! The effective config, each value with the layer it came from.

use super::model::PlatformConfig;
use super::source::Sources;
use super::yaml::{Node, Plain, Value};

impl PlatformConfig {
    /// The effective config as YAML, each value with the layer, line and column it came from as a comment.
    ///
    /// ```
    /// # use composition::config::PlatformConfig;
    /// let config = PlatformConfig::parse("name: demo\nenvironment: local\ncache: {}\n", "demo.yaml")?;
    /// assert!(config.explain().contains("name: demo"));
    /// # Ok::<(), composition::config::ConfigErrors>(())
    /// ```
    pub fn explain(&self) -> String {
        let loaded = &self.origin.0;
        let mut lines = Vec::new();
        if let Some(tree) = &loaded.tree {
            block(tree, 0, &loaded.sources, &mut lines);
        }
        let width = lines
            .iter()
            .map(|(text, _)| text.chars().count())
            .max()
            .unwrap_or(0)
            .min(56);
        lines
            .iter()
            .map(|(text, from)| match from {
                Some(from) => format!("{text:width$}  # {from}\n"),
                None => format!("{text}\n"),
            })
            .collect()
    }

    /// The effective config as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        self.origin.0.tree.as_ref().map_or(serde_json::Value::Null, json)
    }
}

fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null { .. } => serde_json::Value::Null,
        Value::Scalar {
            text,
            plain: Plain::Text,
        } => text.as_str().into(),
        Value::Scalar { text, .. } => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), json(&entry.value)))
            .collect(),
    }
}

type Line = (String, Option<String>);

fn block(node: &Node, indent: usize, sources: &Sources, lines: &mut Vec<Line>) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                value(
                    &format!("{}:", scalar(&entry.key, Plain::Text)),
                    &entry.value,
                    indent,
                    sources,
                    lines,
                );
            }
        }
        Value::List(items) => {
            for item in items {
                let first = lines.len();
                if matches!(&item.value, Value::Map(entries) if !entries.is_empty()) {
                    block(item, indent + 2, sources, lines);
                    if let Some((text, _)) = lines.get_mut(first) {
                        text.replace_range(indent..indent + 2, "- ");
                    }
                } else {
                    value("-", item, indent, sources, lines);
                }
            }
        }
        Value::Null { .. } | Value::Scalar { .. } => {}
    }
}

fn value(before: &str, node: &Node, indent: usize, sources: &Sources, lines: &mut Vec<Line>) {
    let text = match &node.value {
        Value::Null { .. } => "null".to_owned(),
        Value::Scalar { text, plain } => scalar(text, *plain),
        Value::List(items) if items.is_empty() => "[]".to_owned(),
        Value::Map(entries) if entries.is_empty() => "{}".to_owned(),
        Value::List(_) | Value::Map(_) => {
            lines.push((format!("{:indent$}{before}", ""), None));
            return block(node, indent + 2, sources, lines);
        }
    };
    lines.push((
        format!("{:indent$}{before} {text}", ""),
        Some(sources.describe(node.at)),
    ));
}

/// A scalar that YAML reads back as the same.
fn scalar(text: &str, plain: Plain) -> String {
    let safe = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b'@' | b':' | b'%'))
        && !text.ends_with(':');
    let looks_typed = text.parse::<f64>().is_ok()
        || matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off"
        );
    if plain != Plain::Text || (safe && (!looks_typed || matches!(text, "on" | "off"))) {
        text.to_owned()
    } else {
        serde_json::Value::String(text.to_owned()).to_string()
    }
}
