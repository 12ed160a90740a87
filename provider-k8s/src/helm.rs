//! Releases of Helm: which one an object is marked as part of, and whether that still looks after it.
//!
//! Helm keeps a record of every revision, as a Secret or a ConfigMap in the release's namespace, in which the rendered
//! manifest lists what it would upgrade and delete. An object that no living revision lists is left over: it was kept
//! at the uninstall, or taken out of the chart. Records in a database (`HELM_DRIVER=sql`) cannot be seen from here.

use crate::client::Call;
use crate::error::Attempt;
use crate::kind::KubeKind;
use crate::provider::Inner;
use crate::secret_write::wipe;
use crate::set::Names;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use platform_core::{Error, ErrorKind, Live, Owner, Result};
use serde_json::Value;
use std::fmt;
use std::io::Read as _;
use zeroize::Zeroizing;

const NAME: &str = "meta.helm.sh/release-name";
const NAMESPACE: &str = "meta.helm.sh/release-namespace";
/// Annotations by which Helm knows its objects.
pub(crate) const MARKS: [&str; 3] = [NAME, NAMESPACE, "helm.sh/resource-policy"];
/// Where records are kept, and whether values in them are encoded once more.
const RECORDS: [(&str, bool); 2] = [("secrets", true), ("configmaps", false)];
/// No manifest is larger: records are limited to 1 MB, packed.
const LARGEST: u64 = 64 << 20;

/// Leaves an object that a release is marked to own, but looks after no more, to nobody; else why it may not be taken.
///
/// # Errors
/// When the API cannot be asked.
pub(crate) async fn let_go(
    inner: &Inner,
    names: &Names,
    kind: &KubeKind,
    object: &Value,
    live: &mut Live,
) -> Result<Option<Error>> {
    let Some(release) = names.release(kind, object) else {
        return Ok(None);
    };
    let refusal = release.refusal(inner, kind, object).await?;
    if refusal.is_none() {
        live.owner = Owner::Nobody;
    }
    Ok(refusal)
}

/// A release that an object says it is part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Release {
    name: String,
    namespace: String,
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Helm release {}", self.name)
    }
}

impl Release {
    /// The release that an object is marked with.
    pub(crate) fn of(object: &Value) -> Option<Self> {
        let metadata = &object["metadata"];
        let mark = |key: &str| metadata["annotations"][key].as_str();
        Some(Self {
            name: mark(NAME)?.to_owned(),
            namespace: mark(NAMESPACE)
                .or_else(|| metadata["namespace"].as_str())
                .unwrap_or("default")
                .to_owned(),
        })
    }

    /// Why an object may not be taken from it; `None` when no living revision lists it any more.
    ///
    /// # Errors
    /// When the API cannot be asked.
    async fn refusal(&self, inner: &Inner, kind: &KubeKind, object: &Value) -> Result<Option<Error>> {
        for (records, encoded_twice) in RECORDS {
            let folder = format!("/api/v1/namespaces/{}/{records}", self.namespace);
            let path = format!("{folder}?labelSelector=owner%3Dhelm,name%3D{}", self.name);
            let attempt = Attempt::new("list", format!("{records} in {}", self.namespace));
            let list = match inner.api.call(Call::get(path, attempt).metadata_only()).await?.ok() {
                Ok(list) => list,
                Err(why) if why.kind() == ErrorKind::Forbidden => {
                    return Ok(Some(self.unknown(&format!("not allowed to list {records} there"))));
                }
                Err(why) => return Err(why),
            };
            for record in list["items"].as_array().into_iter().flatten().filter(|one| lives(one)) {
                let name = record["metadata"]["name"].as_str().unwrap_or_default();
                let attempt = Attempt::new("get", format!("{records} {}/{name}", self.namespace));
                let mut there = match inner
                    .api
                    .call(Call::get(format!("{folder}/{name}"), attempt))
                    .await?
                    .found()
                {
                    Ok(Some(there)) => there,
                    Ok(None) => continue,
                    Err(why) if why.kind() == ErrorKind::Forbidden => {
                        return Ok(Some(self.unknown(&format!("not allowed to get {records} there"))));
                    }
                    Err(why) => return Err(why),
                };
                let manifest = there["data"]["release"]
                    .as_str()
                    .and_then(|text| manifest(text, encoded_twice));
                // Values of the chart are in it as well.
                wipe(there["data"].take());
                let Some(manifest) = manifest else {
                    return Ok(Some(self.unknown(&format!("{name} cannot be read"))));
                };
                if lists(&manifest, &self.namespace, kind, object) {
                    let revision = record["metadata"]["labels"]["version"].as_str().unwrap_or("?");
                    return Ok(Some(self.keeps(revision)));
                }
            }
        }
        Ok(None)
    }

    fn keeps(&self, revision: &str) -> Error {
        let Self { name, namespace } = self;
        Error::new(
            ErrorKind::Foreign,
            format!("the name is taken by {self}: its revision {revision} in {namespace} lists it"),
        )
        .with_help(format!(
            "take it out of the release first and keep it: annotate it with helm.sh/resource-policy=keep in the chart, upgrade, \
             then remove it from the chart and upgrade again, or run: helm uninstall {name} --namespace {namespace}; then --adopt it"
        ))
    }

    fn unknown(&self, why: &str) -> Error {
        Error::new(
            ErrorKind::Foreign,
            format!(
                "the name is taken by {self}, and whether that lives in {} is not known: {why}",
                self.namespace
            ),
        )
        .with_help(
            "grant get and list on the records of the release (secrets with the label owner=helm), or uninstall it",
        )
    }
}

/// Whether a revision is one that Helm goes on from.
fn lives(record: &Value) -> bool {
    !matches!(
        record["metadata"]["labels"]["status"].as_str(),
        Some("superseded" | "uninstalled")
    )
}

/// The manifest in a record: base64 of a packed JSON document.
fn manifest(text: &str, encoded_twice: bool) -> Option<Zeroizing<String>> {
    #[derive(serde::Deserialize)]
    struct Record {
        manifest: String,
    }
    let mut packed = Zeroizing::new(STANDARD.decode(text.trim()).ok()?);
    if encoded_twice {
        packed = Zeroizing::new(STANDARD.decode(packed.trim_ascii()).ok()?);
    }
    let mut document = Zeroizing::new(Vec::new());
    if packed.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = GzDecoder::new(packed.as_slice()).take(LARGEST);
        unpacked.read_to_end(&mut document).ok()?;
    } else {
        document = packed;
    }
    let record: Record = serde_json::from_slice(&document).ok()?;
    Some(Zeroizing::new(record.manifest))
}

/// Whether a manifest lists an object; one that cannot be read might.
fn lists(manifest: &str, release_namespace: &str, kind: &KubeKind, object: &Value) -> bool {
    let Ok(documents) = serde_saphyr::from_multiple::<Value>(manifest) else {
        return true;
    };
    let metadata = &object["metadata"];
    documents.into_iter().any(|document| {
        let same = document["kind"] == kind.short()
            && document["metadata"]["name"] == metadata["name"]
            && (!kind.namespaced
                || document["metadata"]["namespace"].as_str().unwrap_or(release_namespace) == metadata["namespace"]);
        wipe(document);
        same
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{STANDARD, lists, lives, manifest};
    use crate::kind::find;
    use base64::Engine as _;
    use flate2::{Compression, write::GzEncoder};
    use serde_json::json;
    use std::io::Write as _;

    #[test]
    fn records_are_unpacked_as_helm_packs_them() {
        let record =
            json!({ "name": "pg", "manifest": "---\nkind: Secret\n", "config": { "password": "x" } }).to_string();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(record.as_bytes()).unwrap();
        let once = STANDARD.encode(gzip.finish().unwrap());
        let plain = STANDARD.encode(&record);
        for (text, twice) in [
            (once.clone(), false),
            (STANDARD.encode(&once), true),
            // as Helm 2 wrote them
            (plain, false),
        ] {
            assert_eq!(manifest(&text, twice).unwrap().as_str(), "---\nkind: Secret\n");
        }
        assert!(manifest("no base64!", false).is_none());
        assert!(manifest(&once, true).is_none());
    }

    #[test]
    fn a_manifest_lists_what_it_names() {
        let text = "---\n# Source: pg/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  labels: { name: other }\n  name: \"settings\"\n\
                    ---\n# nothing\n---\nkind: Namespace\nmetadata: { name: apps }\n---\nkind: ConfigMap\nmetadata: { name: far, namespace: elsewhere }\n";
        for (kind, name, namespace, listed) in [
            ("ConfigMap", "settings", "apps", true),
            ("ConfigMap", "settings", "elsewhere", false),
            ("ConfigMap", "far", "elsewhere", true),
            ("ConfigMap", "far", "apps", false),
            ("ConfigMap", "other", "apps", false),
            ("Secret", "settings", "apps", false),
            ("Namespace", "apps", "", true),
        ] {
            let object = json!({ "metadata": { "name": name, "namespace": namespace } });
            assert_eq!(
                lists(text, "apps", find(kind).unwrap(), &object),
                listed,
                "{kind} {namespace}/{name}"
            );
        }
        let any = json!({ "metadata": { "name": "x", "namespace": "apps" } });
        assert!(
            lists("a: [", "apps", find("Secret").unwrap(), &any),
            "not readable: it might"
        );
    }

    #[test]
    fn revisions_that_are_over_do_not_count() {
        for (status, living) in [
            ("deployed", true),
            ("failed", true),
            ("pending-upgrade", true),
            ("uninstalling", true),
            ("superseded", false),
            ("uninstalled", false),
        ] {
            let record = json!({ "metadata": { "labels": { "status": status } } });
            assert_eq!(lives(&record), living, "{status}");
        }
    }
}
