//! A wish as an object to send, and a live object as the engine sees it.

use crate::kind::{KubeKind, find};
use crate::set::{
    CERTIFICATES, COMPONENT, DESIRED_HASH, FIELDS, HOLDS, MANAGER, Names, ON_REMOVAL, RECIPES, SECRET_TYPE,
};
use crate::{autoscaled, matcher, shape};
use platform_core::value::{Certificates, Digest, Place, REVISION, Recipe, ResourceId, Uid, canonical};
use platform_core::{Error, ErrorKind, Holds, Live, OnRemoval, Owner, Resource, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Before the version of what is not ours, so that no delete goes by that version alone, whoever asks for it.
const NOT_OURS: &str = "not ours: ";

/// Where the outputs of kinds lie in their objects.
const OUTPUTS: [(&str, &str); 7] = [
    ("backup", "/spec/backupName"),
    ("cluster_ip", "/spec/clusterIP"),
    ("completed", "/status/completionTime"),
    ("completed", "/status/completionTimestamp"),
    ("expires", "/status/expiration"),
    ("started", "/status/startTimestamp"),
    ("volume", "/spec/volumeName"),
];

/// The kind of an id.
///
/// # Errors
/// `Unsupported` for a kind that this crate does not make.
pub(crate) fn kind_of(id: &ResourceId) -> Result<&'static KubeKind> {
    find(id.kind().as_str()).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, format!("no kind {} on Kubernetes", id.kind())).with_context("resource", id)
    })
}

/// The collection of an id's kind, within its namespace.
pub(crate) fn collection(kind: &KubeKind, namespace: Option<&str>) -> String {
    let root = if kind.group.is_empty() {
        format!("/api/{}", kind.version)
    } else {
        format!("/apis/{}/{}", kind.group, kind.version)
    };
    match namespace.filter(|_| kind.namespaced) {
        Some(namespace) => format!("{root}/namespaces/{namespace}/{}", kind.plural),
        None => format!("{root}/{}", kind.plural),
    }
}

/// The object's own path.
pub(crate) fn path(kind: &KubeKind, id: &ResourceId) -> String {
    let name = id.name();
    format!("{}/{}", collection(kind, name.namespace()), name.base())
}

/// `statefulsets.apps database/postgres`, for messages.
pub(crate) fn what(kind: &KubeKind, id: &ResourceId) -> String {
    format!("{} {}", kind.resource(), id.name())
}

/// The object to send for a wish: its fields, its name and our stamps.
pub(crate) fn body(kind: &KubeKind, names: &Names, wish: &Resource) -> Value {
    let mut object = shape::cleaned(&wish.desired);
    if !object.is_object() {
        object = json!({});
    }
    let name = wish.id.name();
    object["apiVersion"] = json!(kind.api_version());
    object["kind"] = json!(kind.short());
    let metadata = &mut object["metadata"];
    if !metadata.is_object() {
        *metadata = json!({});
    }
    metadata["name"] = json!(name.base());
    if let (true, Some(namespace)) = (kind.namespaced, name.namespace()) {
        metadata["namespace"] = json!(namespace);
    }
    for (key, value) in names.labels(kind) {
        metadata["labels"][key] = json!(value);
    }
    for (key, value) in annotations(wish) {
        metadata["annotations"][key] = json!(value);
    }
    object
}

/// The stamps of a wish.
fn annotations(wish: &Resource) -> Vec<(&'static str, String)> {
    let mut stamps = vec![
        (DESIRED_HASH, Digest::of_value(&wish.desired).as_str().to_owned()),
        (COMPONENT, wish.component.clone()),
        (
            FIELDS,
            canonical(&shape::fields_of(&shape::cleaned(&without_data(wish)))),
        ),
    ];
    if let Some(holds) = wish.holds {
        stamps.push((HOLDS, word(&holds)));
    }
    if wish.on_removal != OnRemoval::Delete {
        stamps.push((ON_REMOVAL, word(&wish.on_removal)));
    }
    stamps
}

/// A Secret's recipes are stamped apart.
fn without_data(wish: &Resource) -> Value {
    let mut desired = Value::clone(&wish.desired);
    if wish.id.kind().as_str() == "Secret"
        && let Some(map) = desired.as_object_mut()
    {
        map.remove("data");
        map.remove("type");
    }
    desired
}

fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// Reads live objects of one set.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) place: &'a Place,
    pub(crate) names: &'a Names,
}

impl Reader<'_> {
    /// The id of a listed object.
    pub(crate) fn id(&self, kind: &KubeKind, object: &Value) -> Option<ResourceId> {
        let metadata = &object["metadata"];
        let name = metadata["name"].as_str()?;
        let full = match metadata["namespace"].as_str().filter(|_| kind.namespaced) {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        };
        Some(ResourceId::new(
            self.place.clone(),
            kind.facts.kind.parse().ok()?,
            full.parse().ok()?,
        ))
    }

    /// A live object, in the shape of the wish for it or of the last one.
    pub(crate) fn live(&self, kind: &KubeKind, id: &ResourceId, object: &Value, wish: Option<&Value>) -> Live {
        let metadata = &object["metadata"];
        let stamp = |key: &str| metadata["annotations"][key].as_str();
        let before: Option<Value> = stamp(FIELDS).and_then(|text| serde_json::from_str(text).ok());
        let wish = wish.map(shape::cleaned);
        let mut view = match (&wish, &before) {
            (Some(wish), before) => shape::view(object, wish, before.as_ref()),
            (None, Some(before)) => shape::view_as_written(object, before),
            (None, None) => Value::Object(Map::new()),
        };
        let decided = wish
            .as_ref()
            .map_or_else(Vec::new, |wish| autoscaled::fields(object, wish));
        if let Some(wish) = &wish {
            autoscaled::as_wished(&mut view, wish, &decided);
        }
        if kind.facts.kind == "Secret" {
            show_recipes(&mut view, object, wish.as_ref());
        }
        let mut outputs: BTreeMap<String, Value> = OUTPUTS
            .iter()
            .filter(|(output, _)| kind.facts.outputs.contains(output))
            .filter_map(|(output, pointer)| Some(((*output).to_owned(), object.pointer(pointer)?.clone())))
            .collect();
        let mut renewal = None;
        if let Some(made) = certificates(object) {
            outputs.insert(REVISION.to_owned(), json!(made.revision()));
            let made_by = recipes(object).as_ref().and_then(Recipe::of_certificates);
            let wished = wish.as_ref().map_or_else(|| made_by.clone(), Recipe::of_certificates);
            renewal = wished
                .and_then(|wished| made.renewal(&wished, made_by.as_ref()))
                .map(Box::new);
        }
        let owner = self.names.owner(kind, object);
        Live {
            id: id.clone(),
            uid: Uid::new(metadata["uid"].as_str().unwrap_or_default()),
            view: Arc::new(view),
            outputs,
            state: kind.state_of(object),
            holds: stamp(HOLDS).and_then(parsed::<Holds>),
            on_removal: stamp(ON_REMOVAL).and_then(parsed::<OnRemoval>).unwrap_or_default(),
            component: stamp(COMPONENT).unwrap_or_default().to_owned(),
            version: metadata["resourceVersion"].as_str().map(|version| match owner {
                Owner::ThisSet | Owner::Retained => version.to_owned(),
                _ => format!("{NOT_OURS}{version}"),
            }),
            owner,
            written_from: stamp(DESIRED_HASH).map(str::to_owned),
            touched: wish.map_or_else(Vec::new, |wish| {
                let mut touched = matcher::touched(object, &wish, MANAGER);
                touched.retain(|(path, _)| !decided.contains(path));
                touched
            }),
            renewal,
        }
    }
}

/// Puts the stamped recipes where the values would be.
fn show_recipes(view: &mut Value, object: &Value, wish: Option<&Value>) {
    let Some(view) = view.as_object_mut() else { return };
    view.remove("data");
    view.remove("type");
    let Some(recipes) = recipes(object) else { return };
    if recipes.as_object().is_some_and(|map| !map.is_empty()) || wish.is_some_and(|wish| wish.get("data").is_some()) {
        view.insert("data".to_owned(), recipes);
    }
    if let Some(kind) = object["metadata"]["annotations"][SECRET_TYPE].as_str() {
        view.insert("type".to_owned(), json!(kind));
    }
}

/// The recipes that a Secret was last written from.
pub(crate) fn recipes(object: &Value) -> Option<Value> {
    serde_json::from_str(object["metadata"]["annotations"][RECIPES].as_str()?).ok()
}

/// Which certificates a Secret holds, if its recipes make any. Where that stamp is lost, they are as old as the Secret.
pub(crate) fn certificates(object: &Value) -> Option<Certificates> {
    let metadata = &object["metadata"];
    let stamped = metadata["annotations"][CERTIFICATES].as_str();
    stamped.and_then(|text| serde_json::from_str(text).ok()).or_else(|| {
        let recipe = Recipe::of_certificates(&recipes(object)?)?;
        Certificates::first(&recipe, metadata["creationTimestamp"].as_str()?.parse().ok()?)
    })
}

/// The version that a delete of this object may go by without a look at whose it is now.
pub(crate) fn version_of_ours(live: &Live) -> Option<String> {
    live.version.clone().filter(|version| !version.starts_with(NOT_OURS))
}

fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(Value::String(text.to_owned())).ok()
}
