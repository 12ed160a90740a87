//! The set on the cluster: an ApplySet exactly as kubectl implements it, and whose an object is by its labels.
//!
//! Members carry kubectl's part-of label. They and what the set retains carry a label of our own besides, by which one
//! list a kind finds them all; claims never carry part-of, so that no prune of any tool takes data.

mod scope;

pub(crate) use scope::Scope;

use crate::helm::Release;
use crate::kind::KubeKind;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use platform_core::Owner;
use platform_core::value::{Digest, PRODUCT, SetId};
use serde_json::Value;
use sha2::Digest as _;

/// kubectl's label of members.
pub(crate) const PART_OF: &str = "applyset.kubernetes.io/part-of";
const ID: &str = "applyset.kubernetes.io/id";
/// Whose field manager we are.
pub(crate) const MANAGER: &str = PRODUCT;
/// Field manager of the parent, as kubectl names its own.
pub(crate) const PARENT_MANAGER: &str = "mlplat-applyset";

/// A label or annotation of our own.
macro_rules! ours {
    ($name:literal) => {
        concat!("mlplat.dev/", $name)
    };
}
/// Members and retained objects: the set.
pub(crate) const SET: &str = ours!("set");
/// Retained objects: the set that let go of them.
pub(crate) const RETAINED_FROM: &str = ours!("retained-from");
/// Namespaces that were made for a parent and its lease.
pub(crate) const HOME_OF: &str = ours!("home-of");
/// Digest of the wish that an object was last written from.
pub(crate) const DESIRED_HASH: &str = ours!("desired-hash");
/// Fields that the wish named when the object was last written.
pub(crate) const FIELDS: &str = ours!("fields");
pub(crate) const HOLDS: &str = ours!("holds");
pub(crate) const ON_REMOVAL: &str = ours!("on-removal");
pub(crate) const COMPONENT: &str = ours!("component");
/// Recipes of a Secret, without values.
pub(crate) const RECIPES: &str = ours!("recipes");
/// Type of a Secret: lists of metadata do not tell.
pub(crate) const SECRET_TYPE: &str = ours!("secret-type");
/// Open creates, on the Lease.
pub(crate) const OPEN_CREATES: &str = ours!("open-creates");
/// A location whose backups are read before it counts as ready.
pub(crate) const READ_FIRST: &str = ours!("read-first");
/// Which certificates a Secret holds: numbers and times, no value.
pub(crate) const CERTIFICATES: &str = ours!("certificates");
/// On what is made from an authority, and on pods that read its certificate when they start: its revision.
pub(crate) const AUTHORITY: &str = ours!("authority");
/// On pods that read their certificate when they start: its revision.
pub(crate) const CERTIFICATE: &str = ours!("certificate");

/// Every name that follows from a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// Value of our labels; also the parent's name.
    pub(crate) label: String,
    /// Namespace of the parent and the lease.
    pub(crate) home: String,
    /// kubectl's id of the set.
    pub(crate) id: String,
}

impl Names {
    /// The names of a set whose parent lies in `home`; default: a namespace named after the set, a run of which lies beside it.
    pub(crate) fn new(set: &SetId, home: Option<&str>) -> Self {
        let label = label(set.as_str());
        let home = home.map_or_else(
            || self::label(set.as_str().split('/').next().unwrap_or_default()),
            str::to_owned,
        );
        let id = apply_set_id(&label, &home, "ConfigMap", "");
        Self { label, home, id }
    }

    pub(crate) fn lease(&self) -> String {
        format!("{}-lock", self.label)
    }

    pub(crate) fn parent_path(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps/{}", self.home, self.label)
    }

    /// Whether an object in the home is the set's parent.
    pub(crate) fn is_parent(&self, resource: &str, metadata: &Value) -> bool {
        resource == "configmaps" && metadata["labels"][ID] == self.id.as_str()
    }

    /// Whose an object is.
    pub(crate) fn owner(&self, kind: &KubeKind, object: &Value) -> Owner {
        let metadata = &object["metadata"];
        let label = |key: &str| metadata["labels"][key].as_str();
        let annotation = |key: &str| metadata["annotations"][key].as_str();
        if let Some(part_of) = label(PART_OF) {
            if part_of == self.id {
                return Owner::ThisSet;
            }
            return Owner::Other(label(SET).map_or_else(|| format!("ApplySet {part_of}"), |set| format!("set {set}")));
        }
        if let Some(from) = label(RETAINED_FROM) {
            return if from == self.label {
                Owner::Retained
            } else {
                Owner::Other(format!("set {from}, which retained it"))
            };
        }
        if let (true, Some(set)) = (never_member(kind), label(SET)) {
            return if set == self.label {
                Owner::ThisSet
            } else {
                Owner::Other(format!("set {set}"))
            };
        }
        let helm = || Release::of(object).map(|release| release.to_string());
        other_tool(&label, &annotation, metadata)
            .or_else(helm)
            .map_or(Owner::Nobody, Owner::Other)
    }

    /// The release of Helm whose an object is, by its marks: nobody else claims it.
    pub(crate) fn release(&self, kind: &KubeKind, object: &Value) -> Option<Release> {
        let release = Release::of(object)?;
        (self.owner(kind, object) == Owner::Other(release.to_string())).then_some(release)
    }

    /// The labels of a member.
    pub(crate) fn labels(&self, kind: &KubeKind) -> Vec<(&'static str, String)> {
        let mut labels = vec![(SET, self.label.clone())];
        if !never_member(kind) {
            labels.push((PART_OF, self.id.clone()));
        }
        labels
    }

    /// A namespace that [`crate::lock`] made for this set and that is nothing more yet.
    pub(crate) fn is_bare_home(&self, kind: &KubeKind, object: &Value) -> bool {
        kind.facts.kind == "Namespace" && self.is_home(object)
    }

    /// [`Names::is_bare_home`] of what is known to be a namespace.
    pub(crate) fn is_home(&self, namespace: &Value) -> bool {
        let labels = &namespace["metadata"]["labels"];
        labels[HOME_OF] == self.label.as_str() && labels[PART_OF].is_null() && labels[RETAINED_FROM].is_null()
    }
}

/// Kinds whose objects are ours by our own label only.
pub(crate) fn never_member(kind: &KubeKind) -> bool {
    kind.facts.kind == "PersistentVolumeClaim"
}

/// The id that kubectl computes of a set's parent.
pub(crate) fn apply_set_id(name: &str, namespace: &str, kind: &str, group: &str) -> String {
    let hash = sha2::Sha256::digest(format!("{name}.{namespace}.{kind}.{group}"));
    format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(hash))
}

/// A set id as a label value and as a name: the text itself where it can be one.
pub(crate) fn label(set: &str) -> String {
    const LONGEST: usize = 58;
    let plain: String = set
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' })
        .collect();
    let plain = plain.trim_matches('-');
    if plain == set && plain.len() <= LONGEST {
        return plain.to_owned();
    }
    let hash = Digest::of_text(set);
    let cut: String = plain.chars().take(LONGEST - 9).collect();
    format!("{}-{}", cut.trim_end_matches('-'), hash.short(8))
}

/// Marks of tools that would take an object back.
fn other_tool<'a>(
    label: &dyn Fn(&str) -> Option<&'a str>,
    annotation: &dyn Fn(&str) -> Option<&'a str>,
    metadata: &Value,
) -> Option<String> {
    for (key, tool) in [
        ("kapp.k14s.io/app", "kapp app"),
        ("kustomize.toolkit.fluxcd.io/name", "Flux Kustomization"),
        ("helm.toolkit.fluxcd.io/name", "Flux HelmRelease"),
        ("argocd.argoproj.io/instance", "Argo CD application"),
    ] {
        if let Some(name) = label(key) {
            return Some(format!("{tool} {name}"));
        }
    }
    for (key, tool) in [
        ("argocd.argoproj.io/tracking-id", "Argo CD"),
        ("config.k8s.io/owning-inventory", "inventory"),
    ] {
        if let Some(name) = annotation(key) {
            return Some(format!("{tool} {}", name.split(':').next().unwrap_or(name)));
        }
    }
    let owner = metadata["ownerReferences"].as_array()?.first()?;
    Some(format!(
        "{} {}",
        owner["kind"].as_str().unwrap_or("object"),
        owner["name"].as_str().unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{
        COMPONENT, DESIRED_HASH, FIELDS, HOLDS, HOME_OF, Names, ON_REMOVAL, RECIPES, RETAINED_FROM, SET, apply_set_id,
    };
    use crate::kind::find;
    use platform_core::Owner;
    use platform_core::value::{DOMAIN, SetId};
    use serde_json::json;

    #[test]
    fn our_marks_lie_in_our_domain() {
        for mark in [
            SET,
            RETAINED_FROM,
            HOME_OF,
            DESIRED_HASH,
            FIELDS,
            HOLDS,
            ON_REMOVAL,
            COMPONENT,
            RECIPES,
        ] {
            assert!(
                mark.strip_prefix(DOMAIN).is_some_and(|rest| rest.starts_with('/')),
                "{mark}"
            );
        }
    }

    #[test]
    fn ids_are_those_of_kubectl() {
        for (name, namespace, kind, group, id) in [
            (
                "my-set",
                "test",
                "Secret",
                "",
                "applyset-0eFHV8ySqp7XoShsGvyWFQD3s96yqwHmzc4e0HR1dsY-v1",
            ),
            (
                "mySet",
                "test",
                "ConfigMap",
                "",
                "applyset-fiFtcQ4FCeVW7gziklidUyREyoDA-w5cQZHTqhw7OXM-v1",
            ),
            (
                "mySet",
                "",
                "ApplySet",
                "company.com",
                "applyset-RWUDizbMGM5khsgCbS8UEoq4P3Rjy3xkI7nsUE6iaZk-v1",
            ),
        ] {
            assert_eq!(apply_set_id(name, namespace, kind, group), id);
        }
    }

    #[test]
    fn names_are_legal_and_distinct() {
        let long = "x".repeat(150);
        let mut seen = std::collections::BTreeSet::new();
        for set in [
            "ml-platform-local-1a2b3c4d",
            "a/run/backup-1",
            "a-run-backup-1",
            "A.b",
            &long,
        ] {
            let names = Names::new(&SetId::new(set).unwrap(), None);
            assert!(names.lease().len() <= 63, "{names:?}");
            assert!(
                names
                    .label
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            );
            assert!(seen.insert(names.label.clone()), "{set}");
        }
        let run = Names::new(&SetId::new("a-local-1/run/backup-1").unwrap(), None);
        assert_eq!(run.home, "a-local-1");
    }

    #[test]
    fn owners_by_labels() {
        let names = Names::new(&SetId::new("mine").unwrap(), Some("home"));
        let id = names.id.clone();
        let part_of = "applyset.kubernetes.io/part-of";
        let other = |who: &str| Owner::Other(who.to_owned());
        for (kind, labels, annotations, expected) in [
            ("ConfigMap", json!({part_of: id}), json!({}), Owner::ThisSet),
            ("ConfigMap", json!({"mlplat.dev/set": "mine"}), json!({}), Owner::Nobody),
            (
                "ConfigMap",
                json!({part_of: "x", "mlplat.dev/set": "theirs"}),
                json!({}),
                other("set theirs"),
            ),
            (
                "PersistentVolumeClaim",
                json!({"mlplat.dev/set": "mine"}),
                json!({}),
                Owner::ThisSet,
            ),
            (
                "PersistentVolumeClaim",
                json!({"mlplat.dev/set": "theirs"}),
                json!({}),
                other("set theirs"),
            ),
            (
                "PersistentVolumeClaim",
                json!({"mlplat.dev/set": "mine", "mlplat.dev/retained-from": "mine"}),
                json!({}),
                Owner::Retained,
            ),
            (
                "Secret",
                json!({"mlplat.dev/retained-from": "theirs"}),
                json!({}),
                other("set theirs, which retained it"),
            ),
            (
                "Secret",
                json!({}),
                json!({"meta.helm.sh/release-name": "pg"}),
                other("Helm release pg"),
            ),
            (
                "Secret",
                json!({"kapp.k14s.io/app": "1"}),
                json!({}),
                other("kapp app 1"),
            ),
            ("Secret", json!({}), json!({}), Owner::Nobody),
        ] {
            let object = json!({"metadata": {"labels": labels, "annotations": annotations}});
            assert_eq!(names.owner(find(kind).unwrap(), &object), expected, "{kind} {object}");
        }
    }
}
