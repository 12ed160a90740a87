//! Letting go of objects, and deleting them.

use super::{ROUNDS, Writer};
use crate::client::{Answer, Call, JSON, MERGE};
use crate::error::Attempt;
use crate::secret_write;
use crate::set::{PART_OF, RETAINED_FROM, SET, never_member};
use crate::strangers::strangers;
use http::Method;
use platform_core::{ErrorKind, Live, Owner, Result};
use serde_json::{Value, json};

impl Writer<'_> {
    pub(super) async fn release(&self, seen: &Live) -> Result<Option<Live>> {
        for _ in 0..ROUNDS {
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
                continue;
            }
            let mut object = answer.ok()?;
            if self.is_secret() {
                secret_write::wipe_data(&mut object);
            }
            return Ok(Some(self.live(&object, None)));
        }
        Err(self
            .error("release", ErrorKind::Conflict, "it keeps changing")
            .with_help("run again"))
    }

    pub(super) async fn delete(&self, seen: &Live) -> Result<Option<Live>> {
        if !self.permit.allows_delete() {
            return Err(self.error("delete", ErrorKind::Internal, "the permit does not allow a delete"));
        }
        let mut version = seen.version.clone();
        for _ in 0..ROUNDS {
            if let Some(version) = version.take() {
                let answer = self.delete_exactly(seen, &version).await?;
                match (answer.status, answer.message()) {
                    (404, _) => return Ok(None),
                    (409, text) if text.contains("UID in the precondition") => {
                        return Err(self
                            .error("delete", ErrorKind::Conflict, "it is another object now")
                            .with_help("plan again"));
                    }
                    (409, text) if text.contains("ResourceVersion in the precondition") => {}
                    _ => return Ok(self.deleted(answer.ok()?)),
                }
            }
            // Its status moved, or more: whose is it now, and does it still hold what the plan said?
            let Some(there) = self.read().await? else {
                return Ok(None);
            };
            let now = self.live(&there, None);
            if now.uid != seen.uid {
                return Err(self
                    .error("delete", ErrorKind::Conflict, "it is another object now")
                    .with_help("plan again"));
            }
            if there["metadata"]["deletionTimestamp"].is_string() {
                return Ok(Some(now));
            }
            match &now.owner {
                Owner::ThisSet | Owner::Retained => {}
                owner => return Err(self.foreign("delete", owner)),
            }
            if now.holds != seen.holds || now.on_removal != seen.on_removal {
                return Err(self
                    .error(
                        "delete",
                        ErrorKind::Conflict,
                        "its protection was changed since the plan",
                    )
                    .with_help("plan again"));
            }
            version = now.version;
        }
        Err(self
            .error("delete", ErrorKind::Conflict, "it keeps changing")
            .with_help("run again"))
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
