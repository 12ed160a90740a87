//! The one place that changes the user's objects: exclusive create, apply under a lock, release, delete.

mod removal;
mod tries;

use self::tries::Tries;
use crate::client::{APPLY, Answer, Call, JSON, JSON_PATCH};
use crate::error::Attempt;
use crate::kind::KubeKind;
use crate::provider::Inner;
use crate::set::{MANAGER, Names};
use crate::stamp::{self, Reader};
use crate::{autoscaled, helm, matcher, parent, secret_write};
use http::Method;
use platform_core::engine::{Change, Origin, Permit};
use platform_core::value::{Digest, FieldPath, ResourceId, SetId};
use platform_core::{Error, ErrorKind, FieldChange, Live, Owner, Resolved, Resource, Result, Retry, Write};
use serde_json::{Value, json};
use std::time::Duration;

/// How long an orphaning delete may take.
const ORPHANED: Duration = Duration::from_secs(30);

/// One object to write.
pub(crate) struct Writer<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) names: Names,
    pub(crate) kind: &'static KubeKind,
    pub(crate) id: &'a ResourceId,
    permit: Permit<'a>,
}

pub(crate) async fn write(inner: &Inner, write: Write<'_>, permit: Permit<'_>) -> Result<Option<Live>> {
    let id = write.id().clone();
    let kind = stamp::kind_of(&id)?;
    let set: &SetId = match &write {
        Write::Create { set, .. }
        | Write::Update { set, .. }
        | Write::Adopt { set, .. }
        | Write::Release { set, .. }
        | Write::Delete { set, .. } => set,
    };
    if permit.step().id != id {
        return Err(Error::new(
            ErrorKind::Internal,
            format!("the permit is for {}", permit.step().id),
        ));
    }
    let writer = Writer {
        inner,
        names: inner.names(set),
        kind,
        id: &id,
        permit,
    };
    match write {
        Write::Create { resource, .. } => {
            parent::list(inner, set, &writer.names, &id).await?;
            let live = writer.create(resource).await?;
            parent::joined(inner, set, &id).await;
            Ok(Some(live))
        }
        Write::Update { resource, live, .. } => writer.update(resource, live, false).await.map(Some),
        Write::Adopt { resource, live, .. } => {
            parent::list(inner, set, &writer.names, &id).await?;
            let live = writer.update(resource, live, true).await?;
            parent::joined(inner, set, &id).await;
            Ok(Some(live))
        }
        Write::Release { live, .. } => {
            let live = writer.release(live).await?;
            parent::left(inner, set, &id).await;
            Ok(live)
        }
        Write::Delete { live, snapshot, .. } => {
            if snapshot {
                return Err(
                    Error::new(ErrorKind::Unsupported, "no snapshots before a delete on Kubernetes")
                        .with_context("resource", &id)
                        .with_help("back the volume up first, then approve the delete with on_removal: delete"),
                );
            }
            let live = writer.delete(live).await?;
            if live.is_none() {
                parent::left(inner, set, &id).await;
            }
            Ok(live)
        }
    }
}

impl Writer<'_> {
    fn attempt(&self, verb: &'static str) -> Attempt {
        Attempt::new(verb, stamp::what(self.kind, self.id))
    }

    fn path(&self) -> String {
        stamp::path(self.kind, self.id)
    }

    pub(crate) fn error(&self, verb: &str, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, message).with_operation(format!("{verb} {}", stamp::what(self.kind, self.id)))
    }

    pub(crate) fn live(&self, object: &Value, wish: Option<&Resource>) -> Live {
        self.live_as(object, wish.map(|wish| &*wish.desired))
    }

    /// The object in the shape of a wish, or of what it was seen as.
    fn live_as(&self, object: &Value, shape: Option<&Value>) -> Live {
        let reader = Reader {
            place: &self.inner.place,
            names: &self.names,
        };
        reader.live(self.kind, self.id, object, shape)
    }

    pub(crate) fn is_secret(&self) -> bool {
        self.kind.facts.kind == "Secret"
    }

    /// The object now; a Secret without its values.
    async fn read(&self) -> Result<Option<Value>> {
        let mut call = Call::get(self.path(), self.attempt("get"));
        if self.is_secret() {
            call = call.metadata_only();
        }
        self.inner.api.call(call).await?.found()
    }

    async fn send(
        &self,
        method: Method,
        query: &str,
        content: &'static str,
        body: &Value,
        verb: &'static str,
    ) -> Result<Answer> {
        let path = format!("{}?fieldManager={MANAGER}{query}", self.path());
        self.inner
            .api
            .call(Call::send(method, path, content, body, self.attempt(verb)))
            .await
    }

    async fn create(&self, wish: &Resolved) -> Result<Live> {
        let body = if self.is_secret() {
            // Where the name is taken they are thrown away: nobody has seen them.
            secret_write::body(self.inner, &self.names, wish).await?
        } else {
            stamp::body(self.kind, &self.names, wish)
        };
        let path = format!(
            "{}?fieldManager={MANAGER}&fieldValidation=Strict",
            stamp::collection(self.kind, self.id.name().namespace())
        );
        let call = Call::send(Method::POST, path, JSON, &body, self.attempt("create"));
        secret_write::wipe(body);
        let answer = self.inner.api.call(call).await?;
        if answer.status == 409 && answer.reason() == "AlreadyExists" {
            return match self.read().await? {
                Some(there) => self.exists(wish, &there).await,
                None => Err(answer.into_error().with_retry(Retry::After(Duration::from_secs(1)))),
            };
        }
        if self.kind.is_custom() && answer.status == 404 && !answer.body.is_object() {
            // Established, but this API server does not serve it yet.
            return Err(answer.into_error().with_retry(Retry::After(Duration::from_secs(1))));
        }
        let mut object = answer.ok()?;
        if self.is_secret() {
            secret_write::wipe_data(&mut object);
        }
        Ok(self.live(&object, Some(wish)))
    }

    /// The name is taken: by an earlier try of ours, by a namespace that waits for this, or by somebody else.
    async fn exists(&self, wish: &Resolved, there: &Value) -> Result<Live> {
        let live = self.live(there, Some(wish));
        if there["metadata"]["deletionTimestamp"].is_string() {
            return Err(self
                .error("create", ErrorKind::Conflict, "an object of this name is being deleted")
                .with_retry(Retry::After(Duration::from_secs(1))));
        }
        if self.names.is_bare_home(self.kind, there) {
            return self.apply(wish, there, true).await;
        }
        match &live.owner {
            Owner::ThisSet if live.written_from.as_deref() == Some(Digest::of_value(&wish.desired).as_str()) => {
                Ok(live)
            }
            Owner::ThisSet | Owner::Retained => Err(self
                .error(
                    "create",
                    ErrorKind::Conflict,
                    "it exists already, written from another wish",
                )
                .with_help("plan again")),
            owner => Err(self.foreign("create", owner)),
        }
    }

    fn foreign(&self, verb: &str, owner: &Owner) -> Error {
        let who = match owner {
            Owner::Other(who) => who.as_str(),
            _ => "somebody",
        };
        self.error(verb, ErrorKind::Foreign, format!("the name is taken by {who}"))
            .with_help("choose another name in the config, or remove it there first; what nobody owns can be adopted")
    }

    async fn update(&self, wish: &Resolved, seen: &Live, adopt: bool) -> Result<Live> {
        let verb = if adopt { "adopt" } else { "update" };
        let mut tries = Tries::new(self.inner.api.clock());
        loop {
            let Some(there) = self.read().await? else {
                return Err(self
                    .error(verb, ErrorKind::Conflict, "it is gone")
                    .with_help("plan again"));
            };
            let mut now = self.live(&there, Some(wish));
            if now.uid != seen.uid {
                return Err(self
                    .error(
                        verb,
                        ErrorKind::Conflict,
                        "it is another object now, made after the plan",
                    )
                    .with_help("plan again"));
            }
            if there["metadata"]["deletionTimestamp"].is_string() {
                return Err(self
                    .error(verb, ErrorKind::Conflict, "it is being deleted")
                    .with_help("plan again when it is gone"));
            }
            if adopt && let Some(why) = helm::let_go(self.inner, &self.names, self.kind, &there, &mut now).await? {
                return Err(why);
            }
            match (&now.owner, adopt) {
                (Owner::ThisSet, _) | (Owner::Nobody | Owner::Retained, true) => {}
                (owner, _) => return Err(self.foreign(verb, owner)),
            }
            let renews = self.renews(&now, seen);
            let stands = matcher::is_unchanged(&now, wish) && now.holds == wish.holds;
            if stands && now.on_removal == wish.on_removal && !renews {
                return Ok(now);
            }
            // A status that moved is no change; anything else was not planned.
            if now.version != seen.version
                && (now.view != seen.view || now.written_from != seen.written_from || now.owner != seen.owner)
            {
                let why = format!("it was changed since the plan{}", changed_by(&now));
                return Err(self.error(verb, ErrorKind::Conflict, why).with_help("plan again"));
            }
            let outcome = if self.is_secret() {
                secret_write::update(self, wish, &there, adopt, renews).await
            } else if self.grows_claims() {
                self.orphan_and_create(wish, &there).await
            } else {
                self.apply(wish, &there, adopt).await
            };
            let moved = |why: &Error| {
                why.kind() == ErrorKind::Conflict && why.message().contains("the object has been modified")
            };
            if !outcome.as_ref().is_err_and(moved) || !tries.again().await {
                return outcome;
            }
        }
    }

    /// Whether the plan makes its certificates again, and nobody did so since.
    fn renews(&self, now: &Live, seen: &Live) -> bool {
        let planned = |change: &Change| change.origin == Origin::Time;
        self.permit.step().changes.iter().any(planned) && now.renewal == seen.renewal
    }

    /// Server-side apply over exactly this incarnation and version.
    async fn apply(&self, wish: &Resolved, there: &Value, adopt: bool) -> Result<Live> {
        let mut version = there["metadata"]["resourceVersion"].clone();
        let mut body = stamp::body(self.kind, &self.names, wish);
        let mut patch = Vec::new();
        if let Some(entries) = matcher::handed_over(there, MANAGER, &self.kind.api_version(), adopt.then_some(&body)) {
            patch.push(json!({ "op": "replace", "path": "/metadata/managedFields", "value": entries }));
        }
        if adopt {
            patch.extend(old_marks(there, &body).map(|mark| {
                let key = mark.replace('/', "~1");
                json!({ "op": "remove", "path": format!("/metadata/annotations/{key}") })
            }));
        }
        if !patch.is_empty() {
            patch.push(json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": version }));
            let handed = self
                .send(Method::PATCH, "", JSON_PATCH, &Value::Array(patch), "take over")
                .await?
                .ok()?;
            version = handed["metadata"]["resourceVersion"].clone();
        }
        autoscaled::left_out(&mut body, &autoscaled::fields(there, &wish.desired));
        body["metadata"]["uid"] = there["metadata"]["uid"].clone();
        body["metadata"]["resourceVersion"] = version;
        let strict = "&fieldValidation=Strict";
        let answer = self.send(Method::PATCH, strict, APPLY, &body, "apply").await?;
        let object = if answer.status == 409 && self.may_force(&answer, adopt) {
            let forced = format!("{strict}&force=true");
            self.send(Method::PATCH, &forced, APPLY, &body, "apply").await?.ok()?
        } else {
            answer.ok()?
        };
        Ok(self.live(&object, Some(wish)))
    }

    /// Other people's fields are taken only where the plan said so; what it did not say is a conflict.
    fn may_force(&self, answer: &Answer, adopt: bool) -> bool {
        let Some(causes) = answer.body["details"]["causes"]
            .as_array()
            .filter(|causes| !causes.is_empty())
        else {
            return false;
        };
        causes.iter().all(|cause| {
            cause["reason"] == "FieldManagerConflict"
                && (adopt
                    || cause["field"].as_str().is_some_and(|field| {
                        let ours = field.contains("mlplat.dev/") || field.contains("applyset.kubernetes.io/");
                        let changes = &self.permit.step().changes;
                        ours || changes.iter().any(|change| is_conflict_over(field, &change.path))
                    }))
        })
    }

    fn grows_claims(&self) -> bool {
        let templates = FieldPath::from("spec.volumeClaimTemplates");
        self.kind.facts.kind == "StatefulSet.apps"
            && self
                .permit
                .step()
                .changes
                .iter()
                .any(|change| change.effect == FieldChange::GrowOnly && change.path.is_within(&templates))
    }

    /// Claim templates cannot change: the StatefulSet is deleted without its pods and made again around them.
    ///
    /// A run that is killed in between leaves pods and claims; the next plan makes the StatefulSet.
    async fn orphan_and_create(&self, wish: &Resolved, there: &Value) -> Result<Live> {
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Orphan",
            "preconditions": { "uid": there["metadata"]["uid"], "resourceVersion": there["metadata"]["resourceVersion"] },
        });
        let call = Call::send(Method::DELETE, self.path(), JSON, &options, self.attempt("make anew"));
        let answer = self.inner.api.call(call).await?;
        if answer.status != 404 {
            answer.ok()?;
        }
        let clock = self.inner.api.clock();
        let start = clock.elapsed();
        while self
            .read()
            .await?
            .is_some_and(|now| now["metadata"]["uid"] == there["metadata"]["uid"])
        {
            if clock.elapsed().saturating_sub(start) > ORPHANED {
                return Err(self
                    .error("make anew", ErrorKind::Timeout, "it does not let go of its pods")
                    .with_help("check that the controller manager runs, then run again"));
            }
            clock.sleep(Duration::from_millis(50)).await;
        }
        self.create(wish).await
    }
}

/// ` by kubectl-edit`: who last wrote fields that were looked at; nothing if nobody else did.
fn changed_by(now: &Live) -> String {
    let mut who: Vec<&str> = now.touched.iter().map(|(_, actor)| actor.name.as_str()).collect();
    who.sort_unstable();
    who.dedup();
    if who.is_empty() {
        String::new()
    } else {
        format!(" by {}", who.join(", "))
    }
}

/// Annotations by which the tool that made an object would take it back, or merge over what is ours now.
pub(crate) fn old_marks<'a>(there: &'a Value, wish: &'a Value) -> impl Iterator<Item = &'static str> + 'a {
    let has = |object: &Value, mark: &str| !object["metadata"]["annotations"][mark].is_null();
    helm::MARKS
        .into_iter()
        .chain(["kubectl.kubernetes.io/last-applied-configuration"])
        .filter(move |mark| has(there, mark) && !has(wish, mark))
}

/// Whether a conflict, named as the server names it, is about a planned change or something above or below it.
///
/// The server does not quote the dots inside a key (`.data.redis.conf`), so texts are compared, not segments.
fn is_conflict_over(field: &str, change: &FieldPath) -> bool {
    let field = field
        .trim_start_matches('.')
        .replace("[name=\"", "[")
        .replace("\"]", "]");
    let change = change.to_string().replace('"', "");
    let holds = |outer: &str, inner: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    holds(&field, &change) || holds(&change, &field)
}

#[cfg(test)]
mod tests {
    use super::is_conflict_over;
    use platform_core::value::FieldPath;

    #[test]
    fn conflicts_name_fields_as_plans_do() {
        let data = FieldPath::root().key("data");
        for (field, change, same) in [
            (".spec.replicas", FieldPath::from("spec.replicas"), true),
            (".spec", FieldPath::from("spec.replicas"), true),
            (".spec.replicas", FieldPath::from("spec"), true),
            (".spec.replicas", FieldPath::from("spec.replica"), false),
            (
                ".spec.template.spec.containers[name=\"c\"].image",
                FieldPath::from("spec.template.spec.containers[c].image"),
                true,
            ),
            (".data.redis.conf", data.key("redis.conf"), true),
            (".data.redis.conf", data.key("redis"), true),
            (".data.redis.conf", data.key("start.sh"), false),
        ] {
            assert_eq!(is_conflict_over(field, &change), same, "{field} and {change}");
        }
    }
}
