//! What two configs say differently.

use platform_core::value::{Schedule, Size, Span};

use super::model::PlatformConfig;
use super::source::Sources;
use super::yaml::{Node, Value};

/// A key that means something else in another config.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The key, `database.storage`; what has a name in a list goes by it: `storage.buckets[models].versioning`.
    pub key: String,
    /// The value here and the layer that it comes from; `None` where nothing is said.
    pub here: Option<(String, String)>,
    /// The same of the other config.
    pub there: Option<(String, String)>,
}

impl PlatformConfig {
    /// Where the effective values of this config and of another one mean different things, profile included. Values that
    /// are written differently and mean the same, such as `1Ti` and `1024Gi`, or `7d` and `168h`, are no difference.
    ///
    /// ```
    /// # use composition::config::PlatformConfig;
    /// let here = PlatformConfig::parse("name: demo\nenvironment: local\ncache: { storage: 1Ti }\n", "here.yaml")?;
    /// let there = PlatformConfig::parse("name: demo\nenvironment: local\ncache: { storage: 1024Gi, memory: 1Gi }\n", "there.yaml")?;
    /// let keys: Vec<_> = here.differences(&there).into_iter().map(|one| one.key).collect();
    /// assert_eq!(keys, ["cache.memory"]);
    /// # Ok::<(), composition::config::ConfigErrors>(())
    /// ```
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let (here, there) = (&self.origin.0, &other.origin.0);
        let mut found = Vec::new();
        compare(
            "",
            (here.tree.as_ref(), &here.sources),
            (there.tree.as_ref(), &there.sources),
            &mut found,
        );
        found
    }
}

type Side<'a> = (Option<&'a Node>, &'a Sources);

fn compare(key: &str, here: Side<'_>, there: Side<'_>, found: &mut Vec<Difference>) {
    let parts = [here.0, there.0].map(|node| node.map(parts).unwrap_or_default());
    if parts.iter().any(|parts| !parts.is_empty()) {
        let names: Vec<&String> = parts[0].iter().map(|(name, _)| name).collect();
        let added = parts[1]
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !names.contains(name));
        for name in names.iter().copied().chain(added) {
            let of = |parts: &'_ [(String, _)]| parts.iter().find(|(other, _)| other == name).map(|(_, node)| *node);
            let below = match name.strip_prefix('[') {
                Some(_) => format!("{key}{name}"),
                None => super::block::join(key, name),
            };
            compare(&below, (of(&parts[0]), here.1), (of(&parts[1]), there.1), found);
        }
        return;
    }
    let [one, other] = [here, there].map(|(node, sources)| node.map(|node| (text(node), sources.describe(node.at))));
    let same = match (&one, &other) {
        (Some((one, _)), Some((other, _))) => means_the_same(one, other),
        (one, other) => one.is_none() && other.is_none(),
    };
    if !same {
        found.push(Difference {
            key: key.to_owned(),
            here: one,
            there: other,
        });
    }
}

/// The children of a node by what they are called; none for a value.
fn parts(node: &Node) -> Vec<(String, &Node)> {
    match &node.value {
        Value::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), &entry.value)).collect(),
        Value::List(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| match item.get("name").map(|name| &name.value) {
                Some(Value::Scalar { text, .. }) => (format!("[{text}]"), item),
                _ => match &item.value {
                    // The order of plain values means nothing in any list of a config.
                    Value::Scalar { text, .. } => (format!("[{text}]"), item),
                    _ => (format!("[{index}]"), item),
                },
            })
            .collect(),
        Value::Null { .. } | Value::Scalar { .. } => Vec::new(),
    }
}

fn text(node: &Node) -> String {
    match &node.value {
        Value::Scalar { text, .. } => text.clone(),
        Value::Null { .. } => "null".to_owned(),
        Value::List(_) => "[]".to_owned(),
        Value::Map(_) => "{}".to_owned(),
    }
}

fn means_the_same(one: &str, other: &str) -> bool {
    fn read<T: std::str::FromStr + PartialEq>(one: &str, other: &str) -> bool {
        matches!((one.parse::<T>(), other.parse::<T>()), (Ok(one), Ok(other)) if one == other)
    }
    one == other || read::<Size>(one, other) || read::<Span>(one, other) || read::<Schedule>(one, other)
}

#[cfg(test)]
mod tests {
    use super::PlatformConfig;

    #[test]
    fn what_differs_in_meaning_is_told_with_its_layers() {
        let read = |text: &str, name: &str| PlatformConfig::parse(text, name).unwrap();
        let dev = read(
            "name: ml\nenvironment: dev\nstorage: { buckets: [{ name: aaa }, { name: bbb, expire: 7d }] }\n\
             backup: { scope: [storage] }\n",
            "dev.yaml",
        );
        let prod = read(
            "name: ml\nenvironment: prod\nstorage: { buckets: [{ name: bbb, expire: 168h, versioning: true }, { name: ccc }] }\n\
             backup: { scope: [storage], copy_to: none }\n",
            "prod.yaml",
        );
        let told: Vec<String> = dev
            .differences(&prod)
            .iter()
            .map(|one| {
                let side = |side: &Option<(String, String)>| {
                    side.clone()
                        .map_or("-".to_owned(), |(text, from)| format!("{text} ({from})"))
                };
                format!("{}: {} | {}", one.key, side(&one.here), side(&one.there))
            })
            .collect();
        assert_eq!(
            told,
            [
                "environment: dev (dev.yaml:2:14) | prod (prod.yaml:2:14)",
                "storage.buckets[aaa].name: aaa (dev.yaml:3:30) | -",
                "storage.buckets[bbb].versioning: - | true (prod.yaml:3:61)",
                "storage.buckets[ccc].name: - | ccc (prod.yaml:3:77)",
                "backup.schedule: 0 2 * * 0 (profile dev) | 0 2 * * * (profile prod)",
                "backup.retention: 8d (profile dev) | 30d (profile prod)",
                "backup.lock: false (profile dev) | true (profile prod)",
                "backup.copy_to: - | none (prod.yaml:4:38)",
            ]
        );
        assert!(dev.differences(&dev).is_empty());
    }
}
