//! Lays one tree over another, and takes out what does not count where the platform lives.

use platform_core::Capability;

use super::problem::{Found, Rule};
use super::source::{Kind, Sources};
use super::words::CAPABILITIES;
use super::yaml::{Entry, Node, Value};

/// Keys that count on one provider only.
const ONLY: [(&str, &str, &str); 25] = [
    ("database", "cpu", "kubernetes"),
    ("database", "memory", "kubernetes"),
    ("database", "storage_class", "kubernetes"),
    ("database", "instance_class", "aws"),
    ("database", "multi_az", "aws"),
    ("database", "deletion_protection", "aws"),
    ("database", "restore_from", "aws"),
    ("cache", "memory", "kubernetes"),
    ("cache", "persistence", "kubernetes"),
    ("cache", "storage", "kubernetes"),
    ("cache", "storage_class", "kubernetes"),
    ("cache", "node_type", "aws"),
    ("storage", "capacity", "kubernetes"),
    ("storage", "memory", "kubernetes"),
    ("storage", "flavour", "kubernetes"),
    ("storage", "request_metrics", "aws"),
    ("monitoring", "storage", "kubernetes"),
    ("monitoring", "memory", "kubernetes"),
    ("monitoring", "storage_class", "kubernetes"),
    ("monitoring", "node_exporter", "kubernetes"),
    ("backup", "store", "kubernetes"),
    ("backup", "definitions", "kubernetes"),
    ("backup", "restore_from", "kubernetes"),
    ("backup", "copy_to", "aws"),
    ("backup", "lock", "aws"),
];

/// Reports keys that stand twice and keys without a value, and takes both out.
pub(super) fn tidy(node: &mut Node, path: &str, found: &mut Vec<Found>) {
    match &mut node.value {
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                tidy(item, &format!("{path}[{index}]"), found);
            }
        }
        Value::Map(entries) => {
            let all = std::mem::take(entries);
            for mut entry in all {
                let key = super::block::join(path, &entry.key);
                if let Some(first) = entries.iter().find(|e| e.key == entry.key) {
                    let message = format!("this key stands here twice; first on line {}", first.at.line);
                    found.push(Found::new(Rule::DuplicateKey, entry.at, key, message).help("remove one of them"));
                    continue;
                }
                if matches!(entry.value.value, Value::Null { written: false }) {
                    let help = if path.is_empty() && CAPABILITIES.contains(&entry.key.as_str()) {
                        format!(
                            "write `{}: {{}}` for the environment's values, or remove the line",
                            entry.key
                        )
                    } else {
                        "write a value, or remove the line".to_owned()
                    };
                    found.push(Found::new(Rule::EmptyValue, entry.at, key, "this key has no value").help(help));
                    continue;
                }
                tidy(&mut entry.value, &key, found);
                entries.push(entry);
            }
        }
        Value::Null { .. } | Value::Scalar { .. } => {}
    }
}

/// Lays `upper` over `lower`: mappings are merged key by key, everything else is replaced.
pub(super) fn lay_over(lower: &mut Node, upper: Node) {
    match (&mut lower.value, upper.value) {
        (Value::Map(below), Value::Map(above)) => {
            if upper.at.line > 0 {
                lower.at = upper.at;
            }
            for entry in above {
                match below.iter_mut().find(|e| e.key == entry.key) {
                    Some(same) => {
                        same.at = entry.at;
                        lay_over(&mut same.value, entry.value);
                    }
                    None => below.push(entry),
                }
            }
        }
        (value, upper_value) => {
            *value = upper_value;
            lower.at = upper.at;
        }
    }
}

/// Fills in from the profile what the config leaves out; a block that the config does not have stays absent.
pub(super) fn lay_under(config: &mut Node, mut profile: Node) {
    let wanted =
        |key: &str| !CAPABILITIES.contains(&key) || matches!(config.get(key).map(|n| &n.value), Some(Value::Map(_)));
    if let Value::Map(entries) = &mut profile.value {
        entries.retain(|entry| wanted(&entry.key));
    }
    let own = std::mem::replace(config, profile);
    lay_over(config, own);
}

/// Brings the keys of a mapping into the order of their documentation.
pub(super) fn sort_keys(node: &mut Node, keys: &[&str]) {
    if let Value::Map(entries) = &mut node.value {
        entries.sort_by_key(|entry| keys.iter().position(|key| *key == entry.key).unwrap_or(keys.len()));
    }
}

/// Takes out what was set to `null`: as if no layer had said anything, so that the profile's value counts again, or a
/// block is not wanted.
pub(super) fn drop_nulls(node: &mut Node) {
    if let Value::Map(entries) = &mut node.value {
        entries.retain_mut(|entry| {
            drop_nulls(&mut entry.value);
            !matches!(entry.value.value, Value::Null { .. })
        });
    }
}

/// Takes out the keys of other providers than a capability lives on; reports those that the config's own layers set.
/// Those of the profile and of a shared base are no mistake: one base serves environments on different providers.
pub(super) fn keep_provider_keys(config: &mut Node, sources: &Sources, found: &mut Vec<Found>) {
    let word = |node: &Node| match &node.value {
        Value::Scalar { text, .. } => Some(text.clone()),
        _ => None,
    };
    let default = config
        .get("provider")
        .and_then(word)
        .filter(|p| p == "kubernetes" || p == "aws");
    let Some(default) = default else { return };
    for capability in [
        Capability::Database,
        Capability::Cache,
        Capability::Storage,
        Capability::Monitoring,
        Capability::Backup,
    ] {
        let block = capability.as_str();
        let placed = config
            .get("placement")
            .and_then(|p| p.get(block))
            .and_then(|n| match &n.value {
                Value::List(items) => Some(items.iter().filter_map(word).collect::<Vec<_>>()),
                _ => None,
            });
        let providers = placed.unwrap_or_else(|| vec![default.clone()]);
        let Some(Entry {
            value: Node {
                value: Value::Map(entries),
                ..
            },
            ..
        }) = entry(config, block)
        else {
            continue;
        };
        entries.retain(|e| {
            let other = ONLY
                .iter()
                .find(|(b, key, only)| *b == block && *key == e.key && !providers.iter().any(|p| p == only));
            let Some((_, key, only)) = other else { return true };
            if matches!(sources.kind(e.at), Kind::Own | Kind::Override) {
                let message = format!(
                    "counts on {only} only, and this {block} lives on {}",
                    providers.join(", ")
                );
                let help = format!("remove it; it may stand in base.yaml for environments on {only}");
                found.push(Found::new(Rule::ProviderKey, e.at, format!("{block}.{key}"), message).help(help));
            }
            false
        });
    }
}

fn entry<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Entry> {
    match &mut node.value {
        Value::Map(entries) => entries.iter_mut().find(|e| e.key == key),
        _ => None,
    }
}
