use super::{InvalidValue, Place, text_newtype};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

/// What sort of object: `StatefulSet.apps`, `ConfigMap`, `rds.DbInstance`.
///
/// On Kubernetes `Kind` or `Kind.group` as ApplySets write it; on AWS `service.Type`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Kind(Arc<str>);

impl Kind {
    /// A kind.
    ///
    /// # Errors
    /// When the text is empty or holds a slash, colon or space.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidValue> {
        let text = text.as_ref();
        if text.is_empty() || text.contains(['/', ':', ' ']) {
            return Err(InvalidValue::new(text, "a kind such as StatefulSet.apps"));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a person reads it: `StatefulSet` for `StatefulSet.apps`; an AWS kind stays whole, `s3.Bucket`.
    pub fn short(&self) -> &str {
        match self.0.split_once('.') {
            Some((kind, _group)) if kind.starts_with(|c: char| c.is_ascii_uppercase()) => kind,
            _ => &self.0,
        }
    }
}

text_newtype!(Kind);

/// The name of an object within its kind; `namespace/name` for a namespaced Kubernetes object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

impl Name {
    /// A name.
    ///
    /// # Errors
    /// When the text is empty, holds a space or `#`, or an empty part between slashes.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidValue> {
        let text = text.as_ref();
        if text.split('/').any(str::is_empty) || text.contains(['#', ' ', '@']) {
            return Err(InvalidValue::new(text, "a name such as database/postgres"));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The namespace of a namespaced object.
    pub fn namespace(&self) -> Option<&str> {
        self.0.split_once('/').map(|(namespace, _)| namespace)
    }

    /// The name without its namespace.
    pub fn base(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, name)| name)
    }
}

text_newtype!(Name);

/// Which object, for ever: place, kind and name.
///
/// Printed as `k8s/ml-platform:StatefulSet.apps/database/postgres`, parsed from the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceId(Arc<Parts>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Parts {
    place: Place,
    kind: Kind,
    name: Name,
}

impl ResourceId {
    /// An id from its parts.
    pub fn new(place: Place, kind: Kind, name: Name) -> Self {
        Self(Arc::new(Parts { place, kind, name }))
    }

    /// Where the object lies.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// What it is.
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// What it is called there.
    pub fn name(&self) -> &Name {
        &self.0.name
    }

    /// `StatefulSet database/postgres`: how a person reads it within one place.
    pub fn label(&self) -> String {
        format!("{} {}", self.kind().short(), self.name())
    }
}

impl Hash for ResourceId {
    /// By name alone: few objects share one.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.place(), self.kind(), self.name())
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for ResourceId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let parts = text
            .split_once(':')
            .and_then(|(place, rest)| Some((place, rest.split_once('/')?)));
        let Some((place, (kind, name))) = parts else {
            return Err(InvalidValue::new(
                text,
                "an id such as k8s/ml-platform:StatefulSet.apps/database/postgres",
            ));
        };
        Ok(Self::new(place.parse()?, kind.parse()?, name.parse()?))
    }
}

impl TryFrom<String> for ResourceId {
    type Error = InvalidValue;
    fn try_from(text: String) -> Result<Self, InvalidValue> {
        text.parse()
    }
}

impl From<ResourceId> for String {
    fn from(id: ResourceId) -> String {
        id.to_string()
    }
}
