//! Writes of Secrets: values posted once, wiped, never read back but to copy, derive or sign.

use crate::client::{Call, MERGE};
use crate::error::Attempt;
use crate::provider::Inner;
use crate::secret::{Lookup, Rendered, SEVERAL, Values, render};
use crate::set::{
    DESIRED_HASH, EXPIRES, FIELDS, HOLDS, MANAGER, Names, ON_REMOVAL, RECIPES, RETAINED_FROM, SECRET_TYPE,
};
use crate::stamp;
use crate::write::{Writer, old_marks};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use platform_core::value::{Recipe, ResourceId, SecretText, Timestamp, canonical};
use platform_core::{Error, ErrorKind, Live, Resolved, Resource, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::Mutex;
use zeroize::{Zeroize, Zeroizing};

/// The Secret to post, with its values.
pub(crate) async fn body(inner: &Inner, names: &Names, wish: &Resource) -> Result<Value> {
    let recipes = recipes(wish)?;
    let made = make(inner, &recipes, Values::new()).await?;
    let mut object = stamped(inner, names, wish, &recipes)?;
    object["data"] = encoded(&made);
    Ok(object)
}

/// The Secret without values.
fn stamped(inner: &Inner, names: &Names, wish: &Resource, recipes: &BTreeMap<String, Recipe>) -> Result<Value> {
    let kind = stamp::kind_of(&wish.id)?;
    let mut object = stamp::body(kind, names, wish);
    if let Some(map) = object.as_object_mut() {
        map.remove("data");
    }
    object["metadata"]["annotations"][RECIPES] = json!(canonical(&wish.desired.get("data").unwrap_or(&json!({}))));
    if let Some(text) = wish.desired.get("type").and_then(Value::as_str) {
        object["metadata"]["annotations"][SECRET_TYPE] = json!(text);
    }
    let days = recipes.values().find_map(|recipe| match recipe {
        Recipe::Tls { days, .. } => Some(*days),
        _ => None,
    });
    if let Some(days) = days {
        let now = inner.api.clock().now();
        object["metadata"]["annotations"][EXPIRES] = json!(plus_days(now, days).to_string());
    }
    Ok(object)
}

/// Changes a Secret in place: labels and stamps, keys that are new or gone, supplied values of a new revision, leaves
/// that are due. Generated values that exist are kept, whatever their recipe says now.
pub(crate) async fn update(writer: &Writer<'_>, wish: &Resolved, there: &Value, adopt: bool) -> Result<Live> {
    let inner = writer.inner;
    let recipes = recipes(wish)?;
    let metadata = &there["metadata"];
    let annotation = |key: &str| metadata["annotations"][key].as_str();
    let before: BTreeMap<String, Value> = annotation(RECIPES)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let wished = wish
        .desired
        .get("data")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let due = annotation(EXPIRES)
        .and_then(|text| text.parse::<Timestamp>().ok())
        .is_some_and(|ends| ends <= plus_days(inner.api.clock().now(), 30));
    let same = wished.len() == before.len() && wished.iter().all(|(key, recipe)| before.get(key) == Some(recipe));

    let mut object = stamped(inner, &writer.names, wish, &recipes)?;
    let mut patch = json!({ "metadata": {
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
        "labels": object["metadata"]["labels"].take(),
        "annotations": object["metadata"]["annotations"].take(),
    }});
    forget_old_metadata(&mut patch, there);
    if adopt {
        for mark in old_marks(there, &json!({})) {
            patch["metadata"]["annotations"][mark] = Value::Null;
        }
    }
    if same && !due {
        if let Some(expires) = annotation(EXPIRES) {
            patch["metadata"]["annotations"][EXPIRES] = json!(expires);
        }
    } else {
        let full = read(inner, writer.id).await?;
        let unchanged = |key: &str| before.get(key).is_some_and(|old| wished.get(key) == Some(old));
        let renew = |key: &str, recipe: &Recipe| match recipe {
            Recipe::Generate { .. } | Recipe::GenerateBytes { .. } => !full.contains_key(key),
            Recipe::CertificateAuthority { .. } => !full.contains_key("ca.key"),
            Recipe::Tls { .. } => due || !unchanged(key),
            // Whatever they are made of may have changed with the rest.
            Recipe::Derive { .. } => true,
            _ => !unchanged(key) || !full.contains_key(key),
        };
        let (anew, stays): (BTreeMap<String, Recipe>, BTreeMap<String, Recipe>) =
            recipes.into_iter().partition(|(key, recipe)| renew(key, recipe));
        let mut kept = Values::new();
        for (key, recipe) in &stays {
            for name in keys_of(key, recipe) {
                if let Some(value) = full.get(name) {
                    kept.insert(name.to_owned(), value.clone());
                }
            }
        }
        let made = make(inner, &anew, kept).await?;
        let mut data = encoded(&made);
        // Keys that were never of a wish belong to whoever put them there.
        let were_ours = before
            .iter()
            .filter_map(|(key, recipe)| Some((key, Recipe::of_value(recipe)?)));
        for (key, recipe) in were_ours {
            for name in keys_of(key, &recipe).into_iter().filter(|name| !made.has(name)) {
                data[name] = Value::Null;
            }
        }
        patch["data"] = data;
    }
    let uri = format!("{}?fieldManager={MANAGER}", stamp::path(writer.kind, writer.id));
    let attempt = Attempt::new("update", stamp::what(writer.kind, writer.id));
    let call = Call::send(Method::PATCH, uri, MERGE, &patch, attempt);
    wipe(patch);
    let mut object = inner.api.call(call).await?.ok()?;
    wipe_data(&mut object);
    Ok(writer.live(&object, Some(wish)))
}

/// A merge keeps what it does not name: labels and annotations that the last wish named, and marks of a release.
fn forget_old_metadata(patch: &mut Value, there: &Value) {
    let annotations = &there["metadata"]["annotations"];
    let fields: Value = annotations[FIELDS]
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or(Value::Null);
    for group in ["labels", "annotations"] {
        for key in fields["metadata"][group]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key)
        {
            if patch["metadata"][group].get(key).is_none() {
                patch["metadata"][group][key] = Value::Null;
            }
        }
    }
    patch["metadata"]["labels"][RETAINED_FROM] = Value::Null;
    for stamp in [HOLDS, ON_REMOVAL, EXPIRES, DESIRED_HASH] {
        let gone = patch["metadata"]["annotations"].get(stamp).is_none() && annotations[stamp].is_string();
        if gone {
            patch["metadata"]["annotations"][stamp] = Value::Null;
        }
    }
}

/// The recipes of a wish.
fn recipes(wish: &Resource) -> Result<BTreeMap<String, Recipe>> {
    let data = wish.desired.get("data").and_then(Value::as_object);
    data.into_iter()
        .flatten()
        .map(|(key, value)| match Recipe::of_value(value) {
            Some(recipe) => Ok((key.clone(), recipe)),
            None => Err(
                Error::new(ErrorKind::Invalid, format!("key {key} of a Secret is no recipe"))
                    .with_context("resource", &wish.id)
                    .with_help("a wish never holds a secret value: say how it is made"),
            ),
        })
        .collect()
}

/// The keys that a recipe yields.
fn keys_of<'a>(key: &'a str, recipe: &Recipe) -> Vec<&'a str> {
    match recipe {
        _ if key != SEVERAL => vec![key],
        Recipe::CertificateAuthority { .. } => vec!["ca.crt", "ca.key"],
        _ => vec!["tls.crt", "tls.key", "ca.crt"],
    }
}

async fn make(inner: &Inner, recipes: &BTreeMap<String, Recipe>, kept: Values) -> Result<Rendered> {
    let now = inner.api.clock().now().into();
    let others = OtherSecrets {
        inner,
        read: Mutex::default(),
    };
    render(recipes, kept, &others, inner.secrets.as_deref(), now).await
}

/// Other Secrets of the same cluster, each read once for all its keys.
struct OtherSecrets<'a> {
    inner: &'a Inner,
    read: Mutex<BTreeMap<ResourceId, Values>>,
}

#[async_trait]
impl Lookup for OtherSecrets<'_> {
    async fn key(&self, object: &ResourceId, key: &str) -> Result<SecretText> {
        let lacks = || {
            Error::new(ErrorKind::NotFound, format!("{} has no key {key}", object.label()))
                .with_operation("make secret values")
        };
        let mut all = self.read.lock().await;
        if !all.contains_key(object) {
            all.insert(object.clone(), read(self.inner, object).await?);
        }
        let value = all.get(object).and_then(|values| values.get(key)).ok_or_else(lacks)?;
        String::from_utf8(value.to_vec())
            .map(SecretText::new)
            .map_err(|_| lacks())
    }
}

/// Every value of a Secret.
async fn read(inner: &Inner, id: &ResourceId) -> Result<Values> {
    let kind = stamp::kind_of(id)?;
    let call = Call::get(stamp::path(kind, id), Attempt::new("get", stamp::what(kind, id)));
    let mut object = inner.api.call(call).await?.ok()?;
    let mut values = Values::new();
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        if let Some(bytes) = value.as_str().and_then(|text| STANDARD.decode(text).ok()) {
            values.insert(key.clone(), Zeroizing::new(bytes));
        }
    }
    wipe_data(&mut object);
    Ok(values)
}

fn encoded(values: &Rendered) -> Value {
    values
        .encoded()
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Value::String(value.to_string())))
        .collect::<Map<_, _>>()
        .into()
}

/// Overwrites every text of a value.
pub(crate) fn wipe(mut value: Value) {
    wipe_texts(&mut value);
}

/// Overwrites and removes the values of a Secret that the API answered with.
pub(crate) fn wipe_data(object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        for key in ["data", "stringData"] {
            if let Some(value) = map.remove(key) {
                wipe(value);
            }
        }
    }
}

fn wipe_texts(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe_texts),
        Value::Object(map) => map.values_mut().for_each(wipe_texts),
        _ => {}
    }
}

fn plus_days(now: Timestamp, days: u32) -> Timestamp {
    now.plus(Duration::from_secs(u64::from(days) * 86_400))
}
