//! Ids, names, labels and edges that all Kubernetes objects of a blueprint share.

use crate::foundation;
use crate::set::{AUTHORITY, CERTIFICATE};
use platform_core::value::{Kind, Name, Place, Promoted, REVISION, Recipe, Reference, ResourceId};
use platform_core::{Capability, Context, Error, ErrorKind, OnRemoval, Resource, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Labels by key.
pub(crate) type Labels = BTreeMap<String, String>;

/// The label by which policies, Services and budgets select pods.
pub(crate) const NAME_LABEL: &str = "app.kubernetes.io/name";

/// The record of a start from a backup, in the namespace of the backups.
pub(crate) const STARTED_FROM: &str = "started-from";

/// Where the objects of one capability lie, and what they are called.
#[derive(Clone, Debug)]
pub(crate) struct Scope<'a> {
    place: &'a Place,
    context: &'a Context,
    /// Name of the namespace in configs: without the platform's prefix, and before any override.
    base: String,
    namespace: String,
    component: &'static str,
}

impl<'a> Scope<'a> {
    /// The scope of a capability: its namespace is the capability's name behind the platform's prefix, or
    /// the set's own when the capability is used alone.
    pub(crate) fn new(place: &'a Place, context: &'a Context, capability: Capability) -> Result<Self> {
        Self::of(place, context, capability.as_str(), capability.as_str())
    }

    /// [`Scope::new`] for a namespace that no capability is named after.
    pub(crate) fn of(place: &'a Place, context: &'a Context, default: &str, component: &'static str) -> Result<Self> {
        Ok(Self {
            place,
            context,
            base: default.to_owned(),
            namespace: namespace_of(context, default)?,
            component,
        })
    }

    /// A namespace beside this one, such as `monitoring-node`, for what its own would not let in.
    ///
    /// # Errors
    /// `Invalid` when the name that results can be no namespace's.
    pub(crate) fn beside(&self, suffix: &str) -> Result<Self> {
        Ok(Self {
            base: format!("{}-{suffix}", self.base),
            namespace: legal_namespace(format!("{}-{suffix}", self.namespace))?,
            ..self.clone()
        })
    }

    /// The same namespace under another heading of the plan.
    pub(crate) fn under(&self, component: &'static str) -> Self {
        Self {
            component,
            ..self.clone()
        }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What configs call the namespace.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn context(&self) -> &'a Context {
        self.context
    }

    pub(crate) fn place(&self) -> &'a Place {
        self.place
    }

    /// A base name after the caller's overrides; checked, since every other name is made of it.
    pub(crate) fn name(&self, default: &str) -> Result<String> {
        let name = self.context.names.get(default).map_or(default, String::as_str);
        // 40: `<name>-headless-<hash of the controller>` and the pod's own suffixes still fit into 63.
        if is_label(name) && name.len() <= 40 {
            return Ok(name.to_owned());
        }
        Err(Error::new(
            ErrorKind::Invalid,
            format!("{name:?} cannot replace the name {default:?}"),
        )
        .with_help("write at most 40 lower-case letters, digits and inner hyphens"))
    }

    /// The id of an object in this namespace.
    pub(crate) fn id(&self, kind: &str, name: &str) -> Result<ResourceId> {
        Ok(ResourceId::new(
            self.place.clone(),
            Kind::new(kind)?,
            Name::new(format!("{}/{name}", self.namespace))?,
        ))
    }

    /// The id of the namespace.
    pub(crate) fn namespace_id(&self) -> Result<ResourceId> {
        Ok(ResourceId::new(
            self.place.clone(),
            Kind::new("Namespace")?,
            Name::new(&self.namespace)?,
        ))
    }

    /// An object of this namespace. `app` names what it belongs to; `body` is the object without id and metadata.
    pub(crate) fn object(&self, kind: &str, name: &str, app: &str, body: Value) -> Result<Resource> {
        self.annotated(kind, name, app, BTreeMap::new(), body)
    }

    /// [`Scope::object`] with annotations of its own.
    pub(crate) fn annotated(
        &self,
        kind: &str,
        name: &str,
        app: &str,
        annotations: BTreeMap<String, String>,
        body: Value,
    ) -> Result<Resource> {
        let desired = with_metadata(self.context, self.component, app, annotations, body);
        Ok(Resource::new(self.id(kind, name)?, self.component, desired).with_after(self.namespace_id()?))
    }

    /// An object of no namespace, `<set>-<name>`: platforms in one cluster don't share it.
    pub(crate) fn cluster_object(&self, kind: &str, name: &str, body: Value) -> Result<Resource> {
        let id = ResourceId::new(
            self.place.clone(),
            Kind::new(kind)?,
            Name::new(self.cluster_name(name))?,
        );
        let desired = with_metadata(self.context, self.component, name, BTreeMap::new(), body);
        Ok(Resource::new(id, self.component, desired))
    }

    /// The name of an object of no namespace.
    pub(crate) fn cluster_name(&self, name: &str) -> String {
        format!("{}-{name}", self.context.set)
    }

    /// What has to be there before anything that a backup may bring back into this namespace is made anew.
    fn restored_by(&self) -> Result<Option<ResourceId>> {
        let restored = &self.context.restored;
        let comes_back = restored.iter().any(|one| one.as_str() == self.base)
            // Data would be served under certificates that nobody trusts if the authority were another one.
            || (!restored.is_empty() && self.base == Capability::Security.as_str());
        if comes_back {
            let backups = Self::new(self.place, self.context, Capability::Backup)?;
            backups.id("ConfigMap", STARTED_FROM).map(Some)
        } else {
            Ok(None)
        }
    }

    /// A Secret made by recipes. What is made from an authority says from which: another one makes it anew.
    fn secret(&self, name: &str, app: &str, recipes: &BTreeMap<&str, Recipe>) -> Result<Resource> {
        let data: Map<String, Value> = recipes
            .iter()
            .map(|(key, recipe)| ((*key).to_owned(), recipe.to_value()))
            .collect();
        let mut resource = self.object("Secret", name, app, json!({ "type": "Opaque", "data": data }))?;
        // Volumes and servers come after their Secrets.
        resource.after.extend(self.restored_by()?);
        for recipe in recipes.values() {
            if let Recipe::Copy { from, .. }
            | Recipe::Tls { authority: from, .. }
            | Recipe::Generate {
                promoted: Some(Promoted { from, .. }),
                ..
            } = recipe
            {
                let from: ResourceId = from.parse()?;
                if is_authority(&from) {
                    let revision = Reference::new(from.clone(), REVISION);
                    annotate(&mut resource.desired_mut()["metadata"], AUTHORITY, &revision);
                }
                resource = resource.with_after(from);
            }
        }
        Ok(resource)
    }

    /// A Secret whose values can be had again from where they came, or open nothing that outlives it.
    pub(crate) fn remade_secret(&self, name: &str, app: &str, recipes: &BTreeMap<&str, Recipe>) -> Result<Resource> {
        Ok(self
            .secret(name, app, recipes)?
            .with_holds(platform_core::Holds::Nothing))
    }

    /// A Secret that outlives the wish for it: what its passwords open outlives it too.
    pub(crate) fn kept_secret(&self, name: &str, app: &str, recipes: &BTreeMap<&str, Recipe>) -> Result<Resource> {
        Ok(self
            .secret(name, app, recipes)?
            .with_holds(platform_core::Holds::Durable)
            .with_on_removal(OnRemoval::Retain))
    }
}

fn is_authority(secret: &ResourceId) -> bool {
    secret.name().base() == foundation::AUTHORITY
}

fn annotate(metadata: &mut Value, key: &str, revision: &Reference) {
    let annotations = &mut metadata["annotations"];
    if annotations.is_null() {
        *annotations = json!({});
    }
    annotations[key] = revision.to_value();
}

/// Starts the pods of a workload anew whenever the certificate in one of these Secrets is made again, or the authority
/// behind it: servers read both when they start.
pub(crate) fn start_with_certificates(workload: &mut Resource, secrets: &[Resource]) {
    for secret in secrets {
        let recipes = &secret.desired["data"];
        let Some(Recipe::Tls { authority, .. }) = Recipe::of_certificates(recipes) else {
            continue;
        };
        let metadata = &mut workload.desired_mut()["spec"]["template"]["metadata"];
        annotate(metadata, CERTIFICATE, &Reference::new(secret.id.clone(), REVISION));
        if let Ok(authority) = authority.parse() {
            annotate(metadata, AUTHORITY, &Reference::new(authority, REVISION));
        }
    }
}

/// The namespace of a capability.
///
/// # Errors
/// `Invalid` when the name that results can be no namespace's.
pub(crate) fn namespace_of(context: &Context, default: &str) -> Result<String> {
    let namespace = match context.names.get(default) {
        Some(wanted) => wanted.clone(),
        None if context.alone => context.set.as_str().to_owned(),
        None => context.namespace(default),
    };
    legal_namespace(namespace)
}

fn legal_namespace(namespace: String) -> Result<String> {
    if is_label(&namespace) {
        return Ok(namespace);
    }
    Err(Error::new(
        ErrorKind::Invalid,
        format!("{namespace:?} cannot be the name of a namespace"),
    )
    .with_help(
        "a namespace has at most 63 lower-case letters, digits and inner hyphens: shorten the name, the prefix or the override",
    ))
}

/// Adds labels and annotations to an object's body and drops what the API server would not keep.
pub(crate) fn with_metadata(
    context: &Context,
    component: &str,
    app: &str,
    mut annotations: BTreeMap<String, String>,
    body: Value,
) -> Value {
    let labels = labels(context, component, app);
    for (key, value) in &context.tags {
        if !(is_label_key(key) && is_label_value(value)) {
            annotations.insert(
                format!("{}/tag.{}", platform_core::value::DOMAIN, slug(key)),
                value.clone(),
            );
        }
    }
    let mut body = body;
    if let Some(map) = body.as_object_mut() {
        let metadata = map.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            let extra = metadata.remove("labels");
            let mut all: Map<String, Value> = labels.into_iter().map(|(k, v)| (k, Value::String(v))).collect();
            if let Some(Value::Object(extra)) = extra {
                all.extend(extra);
            }
            metadata.insert("labels".to_owned(), Value::Object(all));
            if !annotations.is_empty() {
                metadata.insert("annotations".to_owned(), json!(annotations));
            }
        }
    }
    tidy(body)
}

/// The labels of an object and of what is made after its example: whose it is for people, not what makes it a member.
pub(crate) fn labels(context: &Context, component: &str, app: &str) -> Labels {
    let mut labels: Labels = context
        .tags
        .iter()
        .filter(|(key, value)| is_label_key(key) && is_label_value(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    labels.insert(NAME_LABEL.to_owned(), app.to_owned());
    labels.insert("app.kubernetes.io/component".to_owned(), component.to_owned());
    labels.insert(
        "app.kubernetes.io/managed-by".to_owned(),
        platform_core::value::PRODUCT.to_owned(),
    );
    if is_label_value(&context.name) && !context.name.is_empty() {
        labels.insert("app.kubernetes.io/part-of".to_owned(), context.name.clone());
    }
    labels
}

/// Drops nulls and empty lists, which the API server owns as leaves but does not keep; `{}` has a meaning and stays.
pub(crate) fn tidy(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, child)| (key, tidy(child)))
            .filter(|(_, child)| !child.is_null() && child.as_array().is_none_or(|items| !items.is_empty()))
            .collect(),
        Value::Array(items) => items.into_iter().map(tidy).collect(),
        other => other,
    }
}

/// CPU in thousandths of a core as the API server prints it: `250m`, `2`.
pub(crate) fn cpu(milli: u32) -> String {
    if milli.is_multiple_of(1000) {
        (milli / 1000).to_string()
    } else {
        format!("{milli}m")
    }
}

/// An RFC 1123 label.
pub(crate) fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_label_value(text: &str) -> bool {
    let edge = |b: Option<u8>| b.is_none_or(|b| b.is_ascii_alphanumeric());
    text.len() <= 63
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && edge(text.bytes().next())
        && edge(text.bytes().last())
}

/// A key that a caller may label with: legal, and in nobody's reserved domain.
fn is_label_key(text: &str) -> bool {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let reserved = |domain: &str| {
        [platform_core::value::DOMAIN, "kubernetes.io", "k8s.io"]
            .iter()
            .any(|taken| domain == *taken || domain.ends_with(&format!(".{taken}")))
    };
    !name.is_empty()
        && is_label_value(name)
        && prefix.is_none_or(|prefix| {
            prefix.len() <= 253 && prefix.split('.').all(is_label) && prefix.contains('.') && !reserved(prefix)
        })
}

/// An annotation name that stands for a tag key that is no label key.
fn slug(key: &str) -> String {
    let text: String = key
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(50)
        .collect();
    format!("{}x", text.trim_matches('-'))
}
