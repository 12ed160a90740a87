//! Layers of a config, from files, texts and overrides to one checked [`PlatformConfig`].

use std::path::Path;
use std::sync::Arc;

use platform_core::Environment;

use super::block::{Read, Reader};
use super::model::PlatformConfig;
use super::problem::{ConfigErrors, Found, Rule, report};
use super::source::{At, Kind, Sources};
use super::yaml::{self, Entry, Node, Value};
use super::{merge, secrets, validate};

/// Where every value of a loaded config came from. All origins are equal: two configs that say the same are.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin(pub(super) Arc<Loaded>);

#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) sources: Sources,
    pub(super) tree: Option<Node>,
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Origin {}

impl PlatformConfig {
    /// Loads a config file: the built-in profile of its environment, under `base.yaml` in the same folder if there is
    /// one, under the file.
    ///
    /// # Errors
    /// Fails when a file cannot be read or anything is wrong in it; every problem is in the error.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigErrors> {
        Self::layers().file(path).load()
    }

    /// Reads a config from a text; `name` is what problems call it.
    ///
    /// # Errors
    /// Fails when anything is wrong in it; every problem is in the error.
    pub fn parse(text: &str, name: &str) -> Result<Self, ConfigErrors> {
        Self::layers().text(name, text).load()
    }

    /// Starts a config of several layers, lowest first.
    pub fn layers() -> Layers {
        Layers::default()
    }

    /// An error about a key of this config, located where its value was written: for those who find out later that
    /// a wish cannot be fulfilled. A key that was not written is located at the block above it.
    pub fn problem(&self, rule: Rule, key: &str, message: &str, help: &str) -> ConfigErrors {
        let loaded = &self.origin.0;
        let at = std::iter::successors(Some(key), |key| key.rsplit_once('.').map(|(above, _)| above))
            .find_map(|key| loaded.tree.as_ref()?.find(key))
            .map_or_else(At::default, |node| node.at);
        let found = Found::new(rule, at, key, message).help(help);
        match report(&loaded.sources, vec![found]) {
            Err(errors) => errors,
            Ok(()) => ConfigErrors::default(),
        }
    }
}

/// A config of several layers: `PlatformConfig::layers().file("prod.yaml").set("database.storage=20Gi").load()`.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    layers: Vec<Layer>,
}

#[derive(Clone, Debug)]
struct Layer {
    name: String,
    kind: Kind,
    bytes: Result<Vec<u8>, String>,
}

impl Layers {
    /// Adds a file above the layers so far, and below it `base.yaml` from the same folder if there is one.
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let base = path.with_file_name("base.yaml");
        if base != path && base.exists() {
            self.read(&base, Kind::Base);
        }
        self.read(path, Kind::Own);
        self
    }

    /// Adds a text above the layers so far; `name` is what problems call it.
    pub fn text(mut self, name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        self.layers.push(Layer {
            name: name.into(),
            kind: Kind::Own,
            bytes: Ok(text.into()),
        });
        self
    }

    /// Adds a text that environments share: like [`Layers::text`], but keys that another provider would need are
    /// ignored, not refused.
    pub fn base_text(mut self, name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        self.layers.push(Layer {
            name: name.into(),
            kind: Kind::Base,
            bytes: Ok(text.into()),
        });
        self
    }

    /// Adds one value above the layers so far: `database.storage=20Gi`. The value is YAML, so lists and mappings can be
    /// written as `{ a: 1 }` and `[1, 2]`; keys cannot reach into lists.
    pub fn set(mut self, assignment: impl Into<String>) -> Self {
        let bytes = Ok(assignment.into().into_bytes());
        self.layers.push(Layer {
            name: "--set".to_owned(),
            kind: Kind::Override,
            bytes,
        });
        self
    }

    fn read(&mut self, path: &Path, kind: Kind) {
        let bytes = match std::fs::metadata(path) {
            // A larger file is refused by its first bytes too.
            Ok(meta) if meta.is_file() => read_at_most(path, yaml::MAX_BYTES + 1).map_err(|e| e.to_string()),
            Ok(_) => Err("it is not a file".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        self.layers.push(Layer {
            name: path.display().to_string(),
            kind,
            bytes,
        });
    }

    /// Merges and checks the layers, over the built-in profile of the environment they name.
    ///
    /// # Errors
    /// Fails when a file cannot be read or anything is wrong in a layer; every problem is in the error.
    pub fn load(self) -> Result<PlatformConfig, ConfigErrors> {
        let mut sources = Sources::default();
        let profile_source = sources.add("", "", Kind::Profile);
        let mut found = Vec::new();
        let mut tree = Node::map(At::whole(profile_source));
        let (mut readable, mut root) = (true, None);
        for layer in self.layers {
            let kind = layer.kind;
            let Some(mut node) = read_layer(layer, &mut sources, &mut found) else {
                readable = false;
                continue;
            };
            secrets::remove(&mut node, "", &mut found);
            merge::tidy(&mut node, "", &mut found);
            if kind == Kind::Own || root.is_none() {
                root = Some(node.at);
            }
            if matches!(node.value, Value::Map(_)) {
                merge::lay_over(&mut tree, node);
            } else {
                readable = false;
                let message = "a config file is a mapping of keys to values";
                found.push(Found::new(Rule::WrongType, node.at, "", message).help("start with `name: ml-platform`"));
            }
        }
        // A text that could not be read may hold what seems to be missing.
        if !readable {
            report(&sources, found)?;
            return Err(ConfigErrors::default());
        }
        merge::drop_nulls(&mut tree);
        let environment = environment(&tree);
        let (name, text) = profile(environment);
        sources.replace(profile_source, name, text);
        match yaml::parse(text, profile_source) {
            Ok(profile) => merge::lay_under(&mut tree, profile),
            Err(problem) => found.push(*problem),
        }
        merge::keep_provider_keys(&mut tree, &sources, &mut found);
        tree.at = root.unwrap_or(At::whole(profile_source));
        merge::sort_keys(&mut tree, PlatformConfig::KEYS);
        let mut reader = Reader::default();
        validate::check_names(&tree, environment, &mut reader);
        let config = PlatformConfig::read(&tree, &mut reader);
        // A key that was taken out with a problem of its own is not missing as well.
        reader
            .found
            .retain(|f| f.rule != Rule::MissingKey || found.iter().all(|other| other.key != f.key));
        found.append(&mut reader.found);
        report(&sources, found)?;
        let origin = Origin(Arc::new(Loaded {
            sources,
            tree: Some(tree),
        }));
        // Nothing was found, so there is a config.
        config
            .map(|config| PlatformConfig { origin, ..config })
            .ok_or_else(ConfigErrors::default)
    }
}

#[allow(clippy::disallowed_methods)] // the one place where this crate reads files
fn read_at_most(path: &Path, bytes: usize) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut text = Vec::new();
    std::fs::File::open(path)?
        .take(u64::try_from(bytes).unwrap_or(u64::MAX))
        .read_to_end(&mut text)?;
    Ok(text)
}

fn read_layer(layer: Layer, sources: &mut Sources, found: &mut Vec<Found>) -> Option<Node> {
    let next = sources.len();
    let bytes = match layer.bytes {
        Ok(bytes) => bytes,
        Err(why) => {
            let source = sources.add(layer.name, "", layer.kind);
            let message = format!("the file cannot be read: {why}");
            found.push(Found::new(Rule::Unreadable, At::whole(source), "", message).help("check the path"));
            return None;
        }
    };
    let text = match yaml::decode(&bytes, next) {
        Ok(text) => text,
        Err(problem) => {
            let start = bytes.get(..yaml::MAX_BYTES).unwrap_or(&bytes);
            sources.add(layer.name, String::from_utf8_lossy(start), layer.kind);
            found.push(*problem);
            return None;
        }
    };
    let source = sources.add(layer.name, text, layer.kind);
    let node = if layer.kind == Kind::Override {
        assignment(text, source)
    } else {
        yaml::parse(text, source)
    };
    node.map_err(|problem| found.push(*problem)).ok()
}

/// `a.b=value` as a tree.
fn assignment(text: &str, source: usize) -> Result<Node, Box<Found>> {
    let at = |column: usize, width: usize| At {
        source,
        line: 1,
        column,
        width: width.max(1),
    };
    let refuse = |at, message: &str| {
        Box::new(Found::new(Rule::Override, at, "", message).help("write key=value, such as database.storage=20Gi"))
    };
    let Some((path, value)) = text.split_once('=') else {
        return Err(refuse(at(1, text.chars().count()), "an override is key=value"));
    };
    let start = path.chars().count() + 1;
    if value.trim().is_empty() {
        return Err(refuse(at(start, 1), "the override has no value"));
    }
    let key_syntax = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    if !path.split('.').all(key_syntax) {
        return Err(refuse(
            at(1, start - 1),
            "the key of an override is made of words and dots; it cannot reach into lists",
        ));
    }
    let mut node = yaml::parse_value(value, source).map_err(|mut problem| {
        problem.at.column += if problem.at.line == 1 { start } else { 0 };
        problem
    })?;
    shift(&mut node, start);
    let mut column = start;
    for key in path.rsplit('.') {
        let width = key.chars().count();
        column -= width + 1;
        let at = at(column + 1, width);
        let entry = Entry {
            key: key.to_owned(),
            at,
            value: node,
        };
        node = Node {
            at,
            value: Value::Map(vec![entry]),
        };
    }
    Ok(node)
}

fn shift(node: &mut Node, columns: usize) {
    let shift_at = |at: &mut At| at.column += if at.line == 1 { columns } else { 0 };
    shift_at(&mut node.at);
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| shift(item, columns)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| {
            shift_at(&mut entry.at);
            shift(&mut entry.value, columns);
        }),
        Value::Null { .. } | Value::Scalar { .. } => {}
    }
}

/// The environment that the layers name; local when they name none that there is, which is reported later.
fn environment(tree: &Node) -> Environment {
    let word = tree.get("environment").and_then(|node| match &node.value {
        Value::Scalar { text, .. } => Some(text.as_str()),
        _ => None,
    });
    match word {
        Some("dev") => Environment::Dev,
        Some("staging") => Environment::Staging,
        Some("prod") => Environment::Prod,
        _ => Environment::Local,
    }
}

fn profile(environment: Environment) -> (&'static str, &'static str) {
    match environment {
        Environment::Local => ("profile local", include_str!("profiles/local.yaml")),
        Environment::Dev => ("profile dev", include_str!("profiles/dev.yaml")),
        Environment::Staging => ("profile staging", include_str!("profiles/staging.yaml")),
        Environment::Prod => ("profile prod", include_str!("profiles/prod.yaml")),
    }
}
