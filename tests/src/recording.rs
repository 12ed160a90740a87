//! What a Kubernetes API server answers through the contract, as lines of text.
//!
//! The same script runs on a real API server, whose answers are kept in `tests/corpus/recorded/kubernetes.txt`,
//! and on the in-memory world, which has to answer the same. Names, uids and times do not show.

use platform_core::testing::conformance::Subject;
use platform_core::value::{Clock, Place, Recipe, ResourceId, SetId, Uid};
use platform_core::{Error, ErrorKind, Holds, Live, OnRemoval, Owner, Preview, Provider, Resource, Result, State};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Where the answers of the real server are kept.
pub fn recorded() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus/recorded/kubernetes.txt")
}

/// The script's answers from a provider; every namespace gets the prefix.
///
/// # Errors
/// When the place cannot be reached, or an object that the script builds on cannot be made.
pub async fn record(provider: Arc<dyn Provider>, clock: Arc<dyn Clock>, prefix: &str) -> Result<String> {
    let mut script = Script {
        place: provider.place().clone(),
        namespace: format!("{prefix}recorded"),
        subject: Subject::over(provider, SetId::of("recorded", "local", prefix), clock),
        text: String::new(),
    };
    script.subject.provider.lock().prepare(&script.subject.set).await?;
    let space = script.namespace_resource()?;
    script.subject.stand(std::slice::from_ref(&space)).await?;
    script.creation().await?;
    script.changes().await?;
    script.deletion().await?;
    script.volumes().await?;
    script.immutable_fields().await?;
    script.ownership().await?;
    script.secrets().await?;
    Ok(script.text)
}

struct Script {
    place: Place,
    namespace: String,
    subject: Subject,
    text: String,
}

impl Script {
    fn id(&self, kind: &str, name: &str) -> Result<ResourceId> {
        Ok(ResourceId::new(self.place.clone(), kind.parse()?, name.parse()?))
    }

    fn namespace_resource(&self) -> Result<Resource> {
        let id = self.id("Namespace", &self.namespace)?;
        Ok(Resource::new(id, "recorded", json!({})).with_on_removal(OnRemoval::Retain))
    }

    fn resource(&self, kind: &str, name: &str, desired: Value) -> Result<Resource> {
        let id = self.id(kind, &format!("{}/{name}", self.namespace))?;
        Ok(Resource::new(id, "recorded", desired))
    }

    fn config(&self, name: &str, value: &str) -> Result<Resource> {
        self.resource("ConfigMap", name, json!({ "data": { "key": value } }))
    }

    fn title(&mut self, text: &str) {
        let _ = writeln!(self.text, "{}# {text}", if self.text.is_empty() { "" } else { "\n" });
    }

    fn line(&mut self, what: &str, answer: impl AsRef<str>) {
        let _ = writeln!(self.text, "{what}: {}", answer.as_ref());
    }

    async fn creation(&mut self) -> Result<()> {
        self.title("creation");
        let config = self.config("made", "one")?;
        let before = self.subject.live(&config).await?;
        self.line("before", if before.is_none() { "absent" } else { "there" });
        let preview = self.subject.preview(&config).await?;
        self.line("preview of the absent", previewed(&preview));
        let made = self.subject.create(&config, "token").await;
        self.line("create", written(&made));
        let made = made?;
        let again = self.subject.create(&config, "token").await;
        self.line("create again", written(&again));
        self.line("it is the same", same(&made, again.as_ref().ok()));
        let other = self.config("made", "two")?;
        let again = self.subject.create(&other, "other").await;
        self.line("create another wish under its name", written(&again));
        self.line(
            "preview of what stands",
            previewed(&self.subject.preview(&config).await?),
        );
        self.line(
            "preview of another wish",
            previewed(&self.subject.preview(&other).await?),
        );

        let id = self.id("ConfigMap", &format!("{}-absent/made", self.namespace))?;
        let nowhere = Resource::new(id, "recorded", json!({ "data": { "key": "one" } }));
        self.line(
            "create in a namespace that does not exist",
            written(&self.subject.create(&nowhere, "token").await),
        );
        Ok(())
    }

    async fn changes(&mut self) -> Result<()> {
        self.title("changes");
        let config = self.config("changed", "one")?;
        let first = self.subject.create(&config, "token").await?;
        let changed = self
            .subject
            .update(&config, &first, &json!({ "data": { "key": "two" } }))
            .await;
        self.line("update", written(&changed));
        self.line("it is the same", same(&first, changed.as_ref().ok()));
        let stale = self
            .subject
            .update(&config, &first, &json!({ "data": { "key": "three" } }))
            .await;
        self.line("update of what was seen before that", written(&stale));
        let second = changed?;
        let removed = self
            .subject
            .update(&config, &second, &json!({ "data": { "other": "two" } }))
            .await;
        self.line("update that drops a key", written(&removed));
        if let Ok(live) = &removed {
            self.line("keys", live.view["data"].to_string());
        }
        let quiet = removed?;
        let unchanged = self
            .subject
            .update(&config, &quiet, &json!({ "data": { "other": "two" } }))
            .await;
        let kept = unchanged.as_ref().is_ok_and(|live| live.version == quiet.version);
        self.line("update that changes nothing", written(&unchanged));
        self.line("its version", if kept { "kept" } else { "new" });
        let impostor = Live {
            uid: Uid::new("00000000-0000-0000-0000-000000000000"),
            ..quiet
        };
        let wrong = self
            .subject
            .update(&config, &impostor, &json!({ "data": { "other": "four" } }))
            .await;
        self.line("update of another incarnation", written(&wrong));
        Ok(())
    }

    async fn deletion(&mut self) -> Result<()> {
        self.title("deletion");
        let config = self.config("deleted", "one")?;
        let live = self.subject.create(&config, "token").await?;
        let impostor = Live {
            uid: Uid::new("00000000-0000-0000-0000-000000000000"),
            ..live.clone()
        };
        self.line(
            "delete of another incarnation",
            deleted(&self.subject.delete(&impostor).await),
        );
        self.line("delete", deleted(&self.subject.delete(&live).await));
        self.line("delete again", deleted(&self.subject.delete(&live).await));
        let update = self
            .subject
            .update(&config, &live, &json!({ "data": { "key": "two" } }))
            .await;
        self.line("update of what is gone", written(&update));
        let again = self.subject.create(&config, "again").await;
        self.line("create after it", written(&again));
        self.line("it is the same", same(&live, again.as_ref().ok()));
        Ok(())
    }

    async fn volumes(&mut self) -> Result<()> {
        self.title("volumes");
        let claim = |size: &str, class: &str| {
            json!({ "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": class, "volumeMode": "Filesystem",
                "resources": { "requests": { "storage": size } },
            }})
        };
        let volume = self
            .resource("PersistentVolumeClaim", "data", claim("1Gi", "fake"))?
            .with_on_removal(OnRemoval::Retain);
        self.subject.stand(std::slice::from_ref(&volume)).await?;
        for (what, desired) in [
            ("preview of the same size in other words", claim("1024Mi", "fake")),
            ("preview of growth", claim("2Gi", "fake")),
        ] {
            let wish = Resource {
                desired: desired.into(),
                ..volume.clone()
            };
            self.line(what, previewed(&self.subject.preview(&wish).await?));
        }
        let live = self.present(&volume).await?;
        self.line(
            "shrink",
            written(&self.subject.update(&volume, &live, &claim("512Mi", "fake")).await),
        );
        self.line(
            "another class",
            written(&self.subject.update(&volume, &live, &claim("1Gi", "other")).await),
        );
        self.line(
            "grow",
            written(&self.subject.update(&volume, &live, &claim("2Gi", "fake")).await),
        );
        let grown = self.subject.ready(&volume.id).await;
        self.line("grown", written(&grown));
        Ok(())
    }

    async fn immutable_fields(&mut self) -> Result<()> {
        self.title("immutable fields");
        let job = |image: &str| {
            json!({ "spec": { "template": { "spec": {
                "restartPolicy": "Never",
                "containers": [{ "name": "work", "image": image }],
            }}}})
        };
        let work = self.resource("Job.batch", "work", job("example.test/work:1"))?;
        let live = self.subject.create(&work, "token").await?;
        let changed = self.subject.update(&work, &live, &job("example.test/work:2")).await;
        self.line("another template of a Job", written(&changed));
        Ok(())
    }

    async fn ownership(&mut self) -> Result<()> {
        self.title("ownership");
        let config = self.config("kept", "one")?.with_on_removal(OnRemoval::Retain);
        let live = self.subject.create(&config, "token").await?;
        let released = self.subject.release(&live).await;
        self.line("release", released.as_ref().map_or_else(failure, |_| "done".to_owned()));
        self.line(
            "release again",
            self.subject
                .release(&live)
                .await
                .as_ref()
                .map_or_else(failure, |_| "done".to_owned()),
        );
        let seen = self.subject.observe(&[]).await?;
        let extra = seen
            .extra
            .get(&config.id)
            .is_some_and(|live| live.owner == Owner::ThisSet);
        self.line("among the set's objects", if extra { "yes" } else { "no" });
        let kept = self.present(&config).await?;
        self.line("seen as", owner(&kept));
        let adopted = self.subject.update(&config, &kept, &config.desired).await;
        self.line("adopt", written(&adopted));
        self.line("it is the same", same(&live, adopted.as_ref().ok()));
        Ok(())
    }

    async fn secrets(&mut self) -> Result<()> {
        self.title("secrets");
        let desired = json!({ "type": "Opaque", "data": { "password": Recipe::generate(24).to_value() } });
        let secret = self
            .resource("Secret", "password", desired)?
            .with_holds(Holds::Durable)
            .with_on_removal(OnRemoval::Retain);
        let made = self.subject.create(&secret, "token").await?;
        self.line("view", made.view["data"].to_string());
        self.line("preview", previewed(&self.subject.preview(&secret).await?));
        let again = self.subject.create(&secret, "token").await;
        self.line("create again", written(&again));
        self.line("it is the same", same(&made, again.as_ref().ok()));
        Ok(())
    }

    /// The live object, wherever the provider shows it: in the observation or as met by a preview.
    async fn present(&self, resource: &Resource) -> Result<Live> {
        if let Some(live) = self.subject.live(resource).await? {
            return Ok(live);
        }
        match self.subject.preview(resource).await? {
            Preview::Change { found: Some(found), .. } => Ok(*found),
            _ => Err(Error::new(ErrorKind::NotFound, "it does not show").with_context("resource", &resource.id)),
        }
    }
}

fn previewed(preview: &Preview) -> String {
    match preview {
        Preview::Unchanged => "unchanged".to_owned(),
        Preview::Change { .. } => "a change".to_owned(),
        Preview::Refused { why } => format!("refused, {:?}", why.kind()),
    }
}

fn written(answer: &Result<Live>) -> String {
    match answer {
        Ok(live) => {
            let state = match live.state {
                State::Ready => "ready",
                State::Progressing { .. } => "progressing",
                State::Failed { .. } => "failed",
                State::Deleting { .. } => "deleting",
            };
            format!("{}, {state}", owner(live))
        }
        Err(why) => failure(why),
    }
}

fn deleted(answer: &Result<Option<Live>>) -> String {
    match answer {
        Ok(None) => "gone".to_owned(),
        Ok(Some(_)) => "going".to_owned(),
        Err(why) => failure(why),
    }
}

fn failure(why: &Error) -> String {
    format!("error, {:?}", why.kind())
}

fn same(first: &Live, second: Option<&Live>) -> &'static str {
    match second {
        Some(second) if second.uid == first.uid => "yes",
        Some(_) => "no",
        None => "not there",
    }
}

fn owner(live: &Live) -> String {
    match &live.owner {
        Owner::ThisSet => "ours".to_owned(),
        Owner::Retained => "retained".to_owned(),
        Owner::Nobody => "nobody's".to_owned(),
        Owner::Other(_) => "somebody's".to_owned(),
    }
}
