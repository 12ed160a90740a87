//! What a wish would leave: the matcher where it can prove "nothing", else one dry run on the server.

use crate::client::{APPLY, Answer, Call, JSON};
use crate::error::Attempt;
use crate::kind::KubeKind;
use crate::observe::Seen;
use crate::provider::Inner;
use crate::set::MANAGER;
use crate::shape;
use crate::stamp::{self, Reader};
use crate::{autoscaled, helm, matcher, secret_write};
use http::Method;
use platform_core::value::{Recipe, ResourceId, references};
use platform_core::{Error, ErrorKind, Live, Observation, Owner, Preview, Resource, Result, State};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Refusals that the facts of the kind explain better than the server does.
const IMMUTABLE: [&str; 6] = [
    "field is immutable",
    "may not change once set",
    "is immutable after creation",
    "updates to statefulset spec for fields other than",
    "field can not be less than",
    "cannot change roleRef",
];

struct Asker<'a> {
    inner: &'a Inner,
    seen: &'a Seen,
    kind: &'static KubeKind,
    wish: &'a Resource,
    reader: Reader<'a>,
}

pub(crate) async fn preview(inner: &Inner, wish: &Resource, observation: &Observation) -> Result<Preview> {
    let kind = stamp::kind_of(&wish.id)?;
    let Some(seen) = observation.notes.get::<Seen>() else {
        return Err(Error::new(
            ErrorKind::Internal,
            "the observation is of another provider",
        ));
    };
    let asker = Asker {
        inner,
        seen,
        kind,
        wish,
        reader: Reader {
            place: &inner.place,
            names: &seen.names,
        },
    };
    if let Some(Err(why)) = asker.is_secret().then(|| secret_write::recipes(wish)) {
        return Ok(Preview::Refused { why });
    }
    // A wish that the planner resolved further than the observation is compared anew.
    let live = seen
        .objects
        .get(&wish.id)
        .map(|object| asker.reader.live(kind, &wish.id, object, Some(&wish.desired)));
    match live {
        Some(live) => asker.existing(&live).await,
        None => asker.absent().await,
    }
}

impl Asker<'_> {
    fn change(&self, unverified: Option<String>) -> Preview {
        Preview::Change {
            after: shape::cleaned(&self.wish.desired).into(),
            unverified,
            warnings: Vec::new(),
            found: None,
        }
    }

    fn is_secret(&self) -> bool {
        self.kind.facts.kind == "Secret"
    }

    async fn existing(&self, live: &Live) -> Result<Preview> {
        if matcher::is_unchanged(live, self.wish) {
            return Ok(Preview::Unchanged);
        }
        if matches!(live.state, State::Deleting { .. }) {
            return Ok(self.change(None));
        }
        // Values of Secrets are made inside of the write, so there is nothing to ask with.
        if self.is_secret() {
            return Ok(
                if live.owner == Owner::ThisSet && *live.view == shape::cleaned(&self.wish.desired) {
                    Preview::Unchanged
                } else {
                    self.change(None)
                },
            );
        }
        if let Some(unknown) = references(&self.wish.desired).first() {
            return Ok(self.change(Some(format!("{unknown} is not known yet"))));
        }
        self.predicted(None).await
    }

    /// A forced dry run over what is there.
    async fn predicted(&self, found: Option<Live>) -> Result<Preview> {
        let answer = self.dry_apply().await?;
        if answer.is_success() {
            return Ok(Preview::Change {
                after: self.seen_as_wished(&answer.body).into(),
                unverified: None,
                warnings: answer.warnings,
                found: found.map(Box::new),
            });
        }
        // The planner knows what to do about these: replace, grow, or say which field.
        let immutable = IMMUTABLE.iter().any(|text| answer.message().contains(text));
        let merged = self.is_merged_with_what_goes(&answer);
        if immutable || merged || found.is_some() {
            return Ok(Preview::Change {
                after: shape::cleaned(&self.wish.desired).into(),
                unverified: merged.then(|| "its first update: the server cannot be asked before".to_owned()),
                warnings: answer.warnings,
                found: found.map(Box::new),
            });
        }
        self.refused(answer)
    }

    /// Till the hand-over before its first update an object keeps items that the wish no longer has, so a dry run sees
    /// them beside the new ones: a changed port next to the old one of the same name.
    fn is_merged_with_what_goes(&self, answer: &Answer) -> bool {
        answer.status == 422
            && answer.message().contains("Duplicate value")
            && self
                .seen
                .objects
                .get(&self.wish.id)
                .is_some_and(|there| matcher::handed_over(there, MANAGER, &self.kind.api_version(), None).is_some())
    }

    async fn dry_apply(&self) -> Result<Answer> {
        let path = format!(
            "{}?dryRun=All&force=true&fieldManager={MANAGER}&fieldValidation=Strict",
            stamp::path(self.kind, &self.wish.id)
        );
        let mut body = stamp::body(self.kind, &self.seen.names, self.wish);
        if let Some(there) = self.seen.objects.get(&self.wish.id) {
            autoscaled::left_out(&mut body, &autoscaled::fields(there, &self.wish.desired));
        }
        let attempt = Attempt::new("preview", stamp::what(self.kind, &self.wish.id));
        self.inner
            .api
            .call(Call::send(Method::PATCH, path, APPLY, &body, attempt))
            .await
    }

    async fn absent(&self) -> Result<Preview> {
        let name = self.wish.id.name();
        if let Some(namespace) = name.namespace() {
            let there = self
                .seen
                .objects
                .keys()
                .any(|id| id.kind().as_str() == "Namespace" && id.name().as_str() == namespace)
                || self.seen.strange_namespaces.contains(namespace);
            if self.seen.wished_namespaces.contains(namespace) && !there {
                // It may exist and be somebody's; then its own step says so.
                return Ok(self.change(Some(format!("namespace {namespace} does not exist yet"))));
            }
        }
        if let Some(unknown) = references(&self.wish.desired).first() {
            // The server cannot be asked with it, but whether somebody has the name.
            return self.taken(Some(format!("{unknown} is not known yet"))).await;
        }
        if let Some(definition) = self.definition_to_come() {
            return Ok(self.change(Some(format!("{definition} does not exist yet"))));
        }
        let path = format!(
            "{}?dryRun=All&fieldManager={MANAGER}&fieldValidation=Strict",
            stamp::collection(self.kind, name.namespace())
        );
        let mut body = stamp::body(self.kind, &self.seen.names, self.wish);
        if self.is_secret() {
            // What the values will be is no question for now.
            body["data"] = json!({});
        }
        let attempt = Attempt::new("preview", stamp::what(self.kind, &self.wish.id));
        let answer = self
            .inner
            .api
            .call(Call::send(Method::POST, path, JSON, &body, attempt))
            .await?;
        if answer.is_success() {
            return Ok(Preview::Change {
                after: Arc::new(if self.is_secret() {
                    shape::cleaned(&self.wish.desired)
                } else {
                    self.seen_as_wished(&answer.body)
                }),
                unverified: None,
                warnings: answer.warnings,
                found: None,
            });
        }
        if answer.status == 409 && answer.reason() == "AlreadyExists" {
            return self.taken(None).await;
        }
        if self.kind.is_custom() && answer.status == 404 && !answer.body.is_object() {
            return Ok(Preview::Refused {
                why: Error::new(
                    ErrorKind::NotFound,
                    format!("the cluster knows no kind {}", self.kind.facts.kind),
                )
                .with_help("install its CustomResourceDefinitions, or let this platform make them"),
            });
        }
        self.refused(answer)
    }

    /// What brings the wish's kind, if this plan makes that first.
    fn definition_to_come(&self) -> Option<String> {
        let name = self.kind.resource();
        let definition = |id: &ResourceId| {
            id.kind().as_str() == "CustomResourceDefinition.apiextensions.k8s.io" && id.name().as_str() == name
        };
        let wished = self.kind.is_custom() && self.seen.wished.iter().any(definition);
        (wished && !self.seen.objects.keys().any(definition)).then(|| format!("CustomResourceDefinition {name}"))
    }

    /// Somebody has the name, or may have it where it is `unverified`.
    async fn taken(&self, unverified: Option<String>) -> Result<Preview> {
        let attempt = Attempt::new("get", stamp::what(self.kind, &self.wish.id));
        let mut call = Call::get(stamp::path(self.kind, &self.wish.id), attempt);
        if self.is_secret() {
            call = call.metadata_only();
        }
        let Some(object) = self.inner.api.call(call).await?.found()? else {
            return Ok(self.change(unverified));
        };
        if self.seen.names.is_bare_home(self.kind, &object) {
            return Ok(self.change(unverified));
        }
        let mut live = self
            .reader
            .live(self.kind, &self.wish.id, &object, Some(&self.wish.desired));
        if let Some(why) = helm::let_go(self.inner, &self.seen.names, self.kind, &object, &mut live).await? {
            return Ok(Preview::Refused { why });
        }
        let mut preview = if self.is_secret() || unverified.is_some() || matches!(live.owner, Owner::Other(_)) {
            if self.is_secret() && live.owner == Owner::Nobody {
                self.show_values_to_keep(&mut live, &object).await?;
            }
            Preview::Change {
                after: shape::cleaned(&self.wish.desired).into(),
                unverified,
                warnings: Vec::new(),
                found: Some(Box::new(live)),
            }
        } else {
            self.predicted(Some(live)).await?
        };
        if let (true, Preview::Change { warnings, .. }) = (matcher::is_of_terraform(&object), &mut preview) {
            warnings.push(
                "Terraform made it: take it out of its state (terraform state rm), or its next apply or destroy acts on it"
                    .to_owned(),
            );
        }
        Ok(preview)
    }

    /// What an adoption leaves of a Secret: its type, and the values that would be generated if they were not there. No
    /// value is read: managedFields name the keys, and the type is asked for by a selector.
    async fn show_values_to_keep(&self, live: &mut Live, object: &Value) -> Result<()> {
        let wish = &self.wish.desired;
        let mut kept = Map::new();
        for (key, recipe) in wish["data"].as_object().into_iter().flatten() {
            let generated = Recipe::of_value(recipe).is_some_and(|recipe| recipe.is_made_once());
            if generated && matcher::has_field(object, &["f:data", &format!("f:{key}")]) {
                kept.insert(key.clone(), recipe.clone());
            }
        }
        if !kept.is_empty() {
            Arc::make_mut(&mut live.view)["data"] = Value::Object(kept);
        }
        if let Some(sort) = wish["type"].as_str() {
            let id = &self.wish.id;
            let path = stamp::collection(self.kind, id.name().namespace());
            let path = format!(
                "{path}?fieldSelector=metadata.name%3D{},type%3D{}",
                id.name().base(),
                sort.replace('/', "%2F")
            );
            let attempt = Attempt::new("list", stamp::what(self.kind, id));
            let list = self
                .inner
                .api
                .call(Call::get(path, attempt).metadata_only())
                .await?
                .ok()?;
            let same = list["items"].as_array().is_some_and(|items| !items.is_empty());
            Arc::make_mut(&mut live.view)["type"] = if same { json!(sort) } else { json!("another") };
        }
        Ok(())
    }

    fn refused(&self, answer: Answer) -> Result<Preview> {
        let missing = answer.status == 404
            && self
                .seen
                .wished
                .iter()
                .any(|id| answer.message().contains(&format!("\"{}\"", id.name().base())));
        let warnings = answer.warnings.clone();
        let why = answer.into_error();
        let quota_first = why.kind() == ErrorKind::QuotaExceeded
            && self.wish.after.iter().any(|id| self.seen.changed_quotas.contains(id));
        if missing || quota_first {
            // A binding whose role is part of this plan, or what grows behind a quota of this plan.
            return Ok(Preview::Change {
                after: shape::cleaned(&self.wish.desired).into(),
                unverified: Some(why.message().to_owned()),
                warnings,
                found: None,
            });
        }
        match why.kind() {
            ErrorKind::Unavailable | ErrorKind::Throttled | ErrorKind::Timeout | ErrorKind::Unauthenticated => Err(why),
            _ => Ok(Preview::Refused { why }),
        }
    }

    fn seen_as_wished(&self, object: &Value) -> Value {
        let wish = shape::cleaned(&self.wish.desired);
        let mut view = shape::view(object, &wish, None);
        autoscaled::as_wished(&mut view, &wish, &autoscaled::fields(object, &wish));
        view
    }
}
