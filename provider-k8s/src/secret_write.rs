//! Writes of Secrets: values posted once, wiped, never read back but to copy, derive or sign.

use crate::client::{Call, MERGE};
use crate::error::Attempt;
use crate::provider::Inner;
use crate::secret::{Lookup, NEXT_KEY, Rendered, SEVERAL, Values, render, roll_over};
use crate::set::{
    AUTHORITY, CERTIFICATES, DESIRED_HASH, FIELDS, HOLDS, MANAGER, Names, ON_REMOVAL, RECIPES, RETAINED_FROM,
    SECRET_TYPE,
};
use crate::stamp;
use crate::write::{Writer, old_marks};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use platform_core::value::{Certificates, NextCertificates, Recipe, ResourceId, SecretText, Timestamp, canonical};
use platform_core::{Error, ErrorKind, Live, Resolved, Resource, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tokio::sync::Mutex;
use zeroize::{Zeroize, Zeroizing};

/// The Secret to post, with its values.
pub(crate) async fn body(inner: &Inner, names: &Names, wish: &Resource) -> Result<Value> {
    let recipes = recipes(wish)?;
    let made = make(inner, &recipes, Values::new()).await?;
    let first = certificates_of(&recipes).and_then(|recipe| Certificates::first(recipe, inner.api.clock().now()));
    let mut object = stamped(names, wish, first.as_ref())?;
    object["data"] = encoded(&made);
    Ok(object)
}

/// The Secret without values.
fn stamped(names: &Names, wish: &Resource, certificates: Option<&Certificates>) -> Result<Value> {
    let kind = stamp::kind_of(&wish.id)?;
    let mut object = stamp::body(kind, names, wish);
    if let Some(map) = object.as_object_mut() {
        map.remove("data");
    }
    object["metadata"]["annotations"][RECIPES] = json!(canonical(&wish.desired.get("data").unwrap_or(&json!({}))));
    if let Some(text) = wish.desired.get("type").and_then(Value::as_str) {
        object["metadata"]["annotations"][SECRET_TYPE] = json!(text);
    }
    if let Some(certificates) = certificates {
        object["metadata"]["annotations"][CERTIFICATES] = json!(canonical(&json!(certificates)));
    }
    Ok(object)
}

/// Changes a Secret in place: labels and stamps, keys that are new or gone, supplied values of a new revision, what is
/// made from an authority that changed, and certificates where the plan `renews` them. Generated values that exist are
/// kept, whatever their recipe says now.
pub(crate) async fn update(
    writer: &Writer<'_>,
    wish: &Resolved,
    there: &Value,
    adopt: bool,
    renews: bool,
) -> Result<Live> {
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
    let other_authority = wish.desired["metadata"]["annotations"][AUTHORITY].as_str() != annotation(AUTHORITY);
    let same = wished.len() == before.len() && wished.iter().all(|(key, recipe)| before.get(key) == Some(recipe));
    let next = Next::of(&recipes, there, renews, other_authority, inner.api.clock().now());

    let mut object = stamped(&writer.names, wish, next.certificates.as_ref())?;
    let mut patch = json!({ "metadata": {
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
        "labels": object["metadata"]["labels"].take(),
        "annotations": object["metadata"]["annotations"].take(),
    }});
    if let Some(sort) = wish.desired.get("type") {
        // Never another: the server refuses that.
        patch["type"] = sort.clone();
    }
    forget_old_metadata(&mut patch, there);
    if adopt {
        for mark in old_marks(there, &json!({})) {
            patch["metadata"]["annotations"][mark] = Value::Null;
        }
    }
    if !same || renews || other_authority {
        let full = read(inner, writer.id).await?;
        let unchanged = |key: &str| before.get(key).is_some_and(|old| wished.get(key) == Some(old));
        let renew = |key: &str, recipe: &Recipe| match recipe {
            _ if recipe.is_made_once() => {
                let before = before.get(key).and_then(Recipe::of_value);
                !full.contains_key(key) || recipe.replaces(before.as_ref())
            }
            Recipe::CertificateAuthority { .. } => !full.contains_key("ca.key"),
            Recipe::Tls { .. } => renews || other_authority || !unchanged(key),
            // Whatever they are made of may have changed with the rest.
            Recipe::Derive { .. } => true,
            Recipe::Copy { .. } => other_authority || !unchanged(key) || !full.contains_key(key),
            _ => !unchanged(key) || !full.contains_key(key),
        };
        let (anew, stays): (BTreeMap<String, Recipe>, BTreeMap<String, Recipe>) =
            recipes.into_iter().partition(|(key, recipe)| renew(key, recipe));
        let mut kept = Values::new();
        // What goes by another Secret stays if there is nothing in that.
        let followers = anew
            .iter()
            .filter(|(_, recipe)| matches!(recipe, Recipe::Before { .. }));
        for (key, recipe) in stays.iter().chain(followers) {
            for name in keys_of(key, recipe) {
                if let Some(value) = full.get(name) {
                    kept.insert(name.to_owned(), value.clone());
                }
            }
        }
        if let (Some(step), Some(Recipe::CertificateAuthority { common_name, .. })) =
            (next.step, certificates_of(&stays))
        {
            let number = next.certificates.as_ref().map_or(0, Certificates::newest);
            roll_over(step, common_name, number, inner.api.clock().now().into(), &mut kept)?;
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

/// What becomes of the certificates in a Secret.
struct Next {
    /// What is made, if anything.
    step: Option<NextCertificates>,
    /// What there is then.
    certificates: Option<Certificates>,
}

impl Next {
    fn of(
        recipes: &BTreeMap<String, Recipe>,
        there: &Value,
        renews: bool,
        other_authority: bool,
        now: Timestamp,
    ) -> Self {
        let nothing = |certificates| Self {
            step: None,
            certificates,
        };
        let Some(recipe) = certificates_of(recipes) else {
            return nothing(None);
        };
        let Some(made) = stamp::certificates(there) else {
            return nothing(Certificates::first(recipe, now));
        };
        let made_by = stamp::recipes(there).as_ref().and_then(Recipe::of_certificates);
        let at_once = made
            .renewal(recipe, made_by.as_ref())
            .is_some_and(|renewal| renewal.from.is_none());
        if renews || at_once {
            let next = made.next(recipe, now);
            return Self {
                step: next.as_ref().map(|(step, _)| *step),
                certificates: next.map(|(_, certificates)| certificates),
            };
        }
        let is_leaf = matches!(recipe, Recipe::Tls { .. });
        nothing(Some(if is_leaf && other_authority {
            made.signed_again(recipe, now)
        } else {
            made
        }))
    }
}

/// The recipe that makes certificates.
fn certificates_of(recipes: &BTreeMap<String, Recipe>) -> Option<&Recipe> {
    let makes = |recipe: &&Recipe| matches!(recipe, Recipe::CertificateAuthority { .. } | Recipe::Tls { .. });
    recipes.values().find(makes)
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
    for stamp in [HOLDS, ON_REMOVAL, CERTIFICATES, DESIRED_HASH] {
        let gone = patch["metadata"]["annotations"].get(stamp).is_none() && annotations[stamp].is_string();
        if gone {
            patch["metadata"]["annotations"][stamp] = Value::Null;
        }
    }
}

/// The recipes of a wish.
///
/// # Errors
/// `Invalid` for what is no recipe, and for data that are no map: read as none, they would take every value away.
pub(crate) fn recipes(wish: &Resource) -> Result<BTreeMap<String, Recipe>> {
    let empty = Map::new();
    let data = match wish.desired.get("data") {
        None | Some(Value::Null) if wish.desired.is_object() => &empty,
        Some(Value::Object(data)) => data,
        _ => {
            return Err(
                Error::new(ErrorKind::Invalid, "the data of a Secret are no map of recipes")
                    .with_context("resource", &wish.id)
                    .with_help("write each key with how its value is made"),
            );
        }
    };
    data.iter()
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
        Recipe::CertificateAuthority { .. } => vec!["ca.crt", "ca.key", NEXT_KEY],
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::recipes;
    use platform_core::value::Recipe;
    use platform_core::{ErrorKind, Resource};
    use serde_json::{Value, json};

    #[test]
    fn data_that_are_no_map_are_not_taken_for_none() {
        let of = |desired: Value| recipes(&Resource::new("k8s/x:Secret/a/b".parse().unwrap(), "test", desired));
        for wrong in [
            json!({"data": 5}),
            json!({"data": []}),
            json!(5),
            json!({"data": {"key": "text"}}),
        ] {
            assert_eq!(of(wrong).unwrap_err().kind(), ErrorKind::Invalid);
        }
        assert_eq!(of(json!({})).unwrap().len(), 0);
        assert_eq!(
            of(json!({"data": {"key": Recipe::generate(9).to_value()}}))
                .unwrap()
                .len(),
            1
        );
    }
}
