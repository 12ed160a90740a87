//! Letting go of objects, and deleting them.

use super::tries::Tries;
use super::{Writer, changed_by};
use crate::client::{Answer, Call, JSON, MERGE};
use crate::error::Attempt;
use crate::secret_write;
use crate::set::{PART_OF, RETAINED_FROM, SET, never_member};
use crate::stamp::version_of_ours;
use crate::strangers::strangers;
use http::Method;
use platform_core::{Error, ErrorKind, Live, Owner, Result, State};
use serde_json::{Value, json};

impl Writer<'_> {
    pub(super) async fn release(&self, seen: &Live) -> Result<Option<Live>> {
        let mut tries = Tries::new(self.inner.api.clock());
        loop {
            let Some(there) = self.read().await? else {
                return Ok(None);
            };
            let now = self.live(&there, None);
            if now.uid != seen.uid {
                return Err(self
                    .error("release", ErrorKind::Conflict, "it is another object now")
                    .with_help("plan again"));
            }
            match &now.owner {
                Owner::Retained => return Ok(Some(now)),
                Owner::ThisSet => {}
                owner => return Err(self.foreign("release", owner)),
            }
            let mut labels = json!({ SET: self.names.label, RETAINED_FROM: self.names.label });
            if !never_member(self.kind) {
                labels[PART_OF] = Value::Null;
            }
            let body = json!({ "metadata": {
                "uid": there["metadata"]["uid"],
                "resourceVersion": there["metadata"]["resourceVersion"],
                "labels": labels,
            }});
            let answer = self.send(Method::PATCH, "", MERGE, &body, "release").await?;
            if answer.status == 409 {
                if tries.again().await {
                    continue;
                }
                return Err(self.restless("release"));
            }
            let mut object = answer.ok()?;
            if self.is_secret() {
                secret_write::wipe_data(&mut object);
            }
            return Ok(Some(self.live(&object, None)));
        }
    }

    pub(super) async fn delete(&self, seen: &Live) -> Result<Option<Live>> {
        if !self.permit.allows_delete() {
            return Err(self.error("delete", ErrorKind::Internal, "the permit does not allow a delete"));
        }
        let mut version = version_of_ours(seen);
        let mut tries = Tries::new(self.inner.api.clock());
        loop {
            if self.is_at_work().await? {
                if tries.again().await {
                    continue;
                }
                return Err(self
                    .error("delete", ErrorKind::Conflict, "Velero is still at work on it")
                    .with_help("run again when it has ended"));
            }
            if let Some(version) = version.take() {
                let answer = self.delete_exactly(seen, &version).await?;
                match (answer.status, answer.message()) {
                    (404, _) => return Ok(None),
                    (409, text) if fails_on("UID", text) => {
                        return Err(self
                            .error("delete", ErrorKind::Conflict, "it is another object now")
                            .with_help("plan again"));
                    }
                    (409, text) if fails_on("ResourceVersion", text) => {}
                    _ => return Ok(self.deleted(answer.ok()?)),
                }
                if !tries.again().await {
                    return Err(self.restless("delete"));
                }
            }
            let Some(there) = self.read().await? else {
                return Ok(None);
            };
            let now = self.live_as(&there, Some(&seen.view));
            if there["metadata"]["deletionTimestamp"].is_string() && now.uid == seen.uid {
                return Ok(Some(now));
            }
            self.is_as_planned(&now, seen)?;
            version = now.version;
        }
    }

    /// Refuses unless only the status moved: whose an object is, what it holds and what it says are what was to go.
    fn is_as_planned(&self, now: &Live, seen: &Live) -> Result<()> {
        let refused = |why: String| Err(self.error("delete", ErrorKind::Conflict, why).with_help("plan again"));
        if now.uid != seen.uid {
            return refused("it is another object now".to_owned());
        }
        match &now.owner {
            Owner::ThisSet | Owner::Retained => {}
            owner => return Err(self.foreign("delete", owner)),
        }
        if now.holds != seen.holds || now.on_removal != seen.on_removal || now.owner != seen.owner {
            return refused("its protection was changed since the plan".to_owned());
        }
        if now.view != seen.view || now.written_from != seen.written_from {
            return refused(format!("it was changed since the plan{}", changed_by(now)));
        }
        Ok(())
    }

    fn restless(&self, verb: &str) -> Error {
        self.error(verb, ErrorKind::Conflict, "it keeps changing")
            .with_help("find out who writes it all the time, then run again")
    }

    async fn delete_exactly(&self, seen: &Live, version: &str) -> Result<Answer> {
        if self.kind.facts.kind == "Namespace" {
            self.holds_no_data().await?;
            let strangers = strangers(self.inner, &self.names, self.id.name().base()).await?;
            if !strangers.is_empty() {
                return Err(self
                    .error("delete", ErrorKind::Denied, strangers.to_string())
                    .with_help(strangers.help()));
            }
        }
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": { "uid": seen.uid, "resourceVersion": version },
        });
        let call = Call::send(Method::DELETE, self.path(), JSON, &options, self.attempt("delete"));
        self.inner.api.call(call).await
    }

    /// Whether Velero would go on with it: it ends a restore that it has begun though that is deleted, and writes its end
    /// into whatever has the name then.
    async fn is_at_work(&self) -> Result<bool> {
        if self.kind.facts.kind != "Restore.velero.io" {
            return Ok(false);
        }
        let there = self.read().await?.unwrap_or_default();
        let begun = !matches!(there["status"]["phase"].as_str(), None | Some("" | "New"));
        Ok(begun && matches!((self.kind.state)(&there), State::Progressing { .. }))
    }

    /// A namespace takes its volumes along, whatever they say about themselves.
    async fn holds_no_data(&self) -> Result<()> {
        let namespace = self.id.name().base();
        let path = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims?labelSelector=&limit=5");
        let attempt = Attempt::new("list", format!("persistentvolumeclaims in {namespace}"));
        let list = self
            .inner
            .api
            .call(Call::get(path, attempt).metadata_only())
            .await?
            .ok()?;
        let claims: Vec<&str> = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|claim| claim["metadata"]["deletionTimestamp"].is_null())
            .filter_map(|claim| claim["metadata"]["name"].as_str())
            .collect();
        if claims.is_empty() {
            return Ok(());
        }
        Err(self
            .error(
                "delete",
                ErrorKind::Denied,
                format!("it still holds volumes: {}", claims.join(", ")),
            )
            .with_help("delete them first, each with its own approval, or keep the namespace"))
    }

    fn deleted(&self, mut object: Value) -> Option<Live> {
        // An object that finalizers hold comes back; what is gone comes back as a Status.
        if object["metadata"]["deletionTimestamp"].is_string() {
            if self.is_secret() {
                secret_write::wipe_data(&mut object);
            }
            return Some(self.live(&object, None));
        }
        None
    }
}

/// Whether a refusal is about a precondition. The server words it in two ways: when it compares before the delete, and
/// when its storage finds that the object moved since.
fn fails_on(precondition: &str, message: &str) -> bool {
    ["in the precondition", "in precondition"]
        .iter()
        .any(|words| message.contains(&format!("{precondition} {words}")))
}

#[cfg(test)]
mod tests {
    use super::fails_on;

    #[test]
    fn both_wordings_of_a_failed_precondition_are_known() {
        let early = "the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (2)";
        let late = "StorageError: invalid object, Code: 4, Key: /registry/x, ResourceVersion: 0, AdditionalErrorMsg: \
                    Precondition failed: ResourceVersion in precondition: 6250, ResourceVersion in object meta: 6378";
        for text in [early, late] {
            assert!(fails_on("ResourceVersion", text) && !fails_on("UID", text), "{text}");
            assert!(fails_on("UID", &text.replace("ResourceVersion in", "UID in")), "{text}");
        }
    }
}
