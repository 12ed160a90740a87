//! What a set's parent says: which kinds and namespaces to look at.

use super::{ID, Names};
use platform_core::value::PRODUCT;
use platform_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const TOOLING: &str = "applyset.kubernetes.io/tooling";
const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";

/// What the parent says: which kinds and namespaces to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    /// `Kind` or `Kind.group`.
    pub(crate) kinds: BTreeSet<String>,
    /// Without the parent's own.
    pub(crate) namespaces: BTreeSet<String>,
}

impl Scope {
    /// What a parent says.
    ///
    /// # Errors
    /// `Foreign` when another tool keeps it.
    pub(crate) fn of_parent(names: &Names, parent: &Value) -> Result<Self> {
        let annotation = |key: &str| parent["metadata"]["annotations"][key].as_str().unwrap_or_default();
        let id = parent["metadata"]["labels"][ID].as_str();
        let tool = annotation(TOOLING).rsplit_once('/').map_or("", |(tool, _)| tool);
        if tool != PRODUCT || id.is_some_and(|id| id != names.id) {
            let who = if tool.is_empty() { "nobody that says so" } else { tool };
            return Err(Error::new(
                ErrorKind::Foreign,
                format!(
                    "ConfigMap {}/{} is the set's name and is kept by {who}",
                    names.home, names.label
                ),
            )
            .with_operation("read the set")
            .with_help("choose another platform name or namespace prefix, or remove that ConfigMap"));
        }
        let list = |key: &str| {
            annotation(key)
                .split(',')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect()
        };
        Ok(Self {
            kinds: list(KINDS),
            namespaces: list(NAMESPACES),
        })
    }

    /// The parent that says this.
    pub(crate) fn parent(&self, names: &Names) -> Value {
        let joined = |set: &BTreeSet<String>| set.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": names.label,
                "namespace": names.home,
                "labels": { ID: names.id },
                "annotations": {
                    TOOLING: concat!("mlplat/v", env!("CARGO_PKG_VERSION")),
                    KINDS: joined(&self.kinds),
                    NAMESPACES: joined(&self.namespaces),
                },
            },
        })
    }

    /// Adds an object's kind and namespace.
    pub(crate) fn add(&mut self, names: &Names, kind: &str, namespace: Option<&str>) {
        self.kinds.insert(kind.to_owned());
        if let Some(namespace) = namespace.filter(|namespace| *namespace != names.home) {
            self.namespaces.insert(namespace.to_owned());
        }
    }

    /// Whether it says so already.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.kinds.is_superset(&other.kinds) && self.namespaces.is_superset(&other.namespaces)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Names, Scope};
    use platform_core::value::SetId;
    use serde_json::json;

    #[test]
    fn parents_say_what_they_were_told() {
        let names = Names::new(&SetId::new("mine").unwrap(), Some("home"));
        let mut scope = Scope::default();
        scope.add(&names, "StatefulSet.apps", Some("database"));
        scope.add(&names, "ConfigMap", Some("home"));
        scope.add(&names, "Namespace", None);
        let parent = scope.parent(&names);
        let annotations = &parent["metadata"]["annotations"];
        assert_eq!(
            annotations["applyset.kubernetes.io/contains-group-kinds"],
            "ConfigMap,Namespace,StatefulSet.apps"
        );
        assert_eq!(annotations["applyset.kubernetes.io/additional-namespaces"], "database");
        assert_eq!(Scope::of_parent(&names, &parent).unwrap(), scope);
        let mut kubectls = parent.clone();
        kubectls["metadata"]["annotations"]["applyset.kubernetes.io/tooling"] = json!("kubectl/v1.36.3");
        assert!(Scope::of_parent(&names, &kubectls).is_err());
    }
}
