//! What a namespace holds beside the set's own: deleting it would take that along.

use crate::client::Call;
use crate::error::Attempt;
use crate::provider::{Inner, PARALLEL};
use crate::set::{Names, PART_OF, SET};
use futures::FutureExt;
use futures::stream::{StreamExt, iter};
use platform_core::{ErrorKind, Result};
use serde_json::Value;
use std::fmt;

/// What every cluster has: resource and the version that serves it. Without what controllers keep beside these: events,
/// endpoints and their slices, revisions.
pub(crate) const BUILT_IN: [(&str, &str); 22] = [
    ("configmaps", "v1"),
    ("limitranges", "v1"),
    ("persistentvolumeclaims", "v1"),
    ("pods", "v1"),
    ("replicationcontrollers", "v1"),
    ("resourcequotas", "v1"),
    ("secrets", "v1"),
    ("serviceaccounts", "v1"),
    ("services", "v1"),
    ("daemonsets.apps", "v1"),
    ("deployments.apps", "v1"),
    ("replicasets.apps", "v1"),
    ("statefulsets.apps", "v1"),
    ("horizontalpodautoscalers.autoscaling", "v2"),
    ("cronjobs.batch", "v1"),
    ("jobs.batch", "v1"),
    ("leases.coordination.k8s.io", "v1"),
    ("ingresses.networking.k8s.io", "v1"),
    ("networkpolicies.networking.k8s.io", "v1"),
    ("poddisruptionbudgets.policy", "v1"),
    ("rolebindings.rbac.authorization.k8s.io", "v1"),
    ("roles.rbac.authorization.k8s.io", "v1"),
];
/// API groups of the cluster's own: what matters of them is listed above.
const OWN_GROUPS: [&str; 23] = [
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "metrics.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];
/// Objects of one resource that are looked at: a namespace of ours has few.
const PAGE: usize = 100;
/// Objects that a message names.
const NAMED: usize = 5;

/// What else is in a namespace.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    /// `services x/theirs`.
    objects: Vec<String>,
    /// Resources that may not be listed there.
    unseen: Vec<String>,
}

impl Strangers {
    /// Whether it is certain that there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.unseen.is_empty()
    }

    /// What to do about them.
    pub(crate) fn help(&self) -> String {
        if self.objects.is_empty() {
            format!("grant list on {}, or keep the namespace", self.unseen.join(", "))
        } else {
            "move or delete them first, or keep the namespace: it would take them along".to_owned()
        }
    }
}

impl fmt::Display for Strangers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.objects.is_empty() {
            return write!(
                f,
                "it is not known whether it holds objects of others: not allowed to list {}",
                self.unseen.join(", ")
            );
        }
        write!(
            f,
            "it holds objects that are not of this set: {}",
            self.objects[..self.objects.len().min(NAMED)].join(", ")
        )?;
        match self.objects.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// A resource of the API.
struct Listed {
    /// `services`, `widgets.example.com`
    resource: String,
    version: String,
}

impl Listed {
    fn path(&self, namespace: &str) -> String {
        let version = &self.version;
        let (root, plural) = match self.resource.split_once('.') {
            Some((plural, group)) => (format!("/apis/{group}/{version}"), plural),
            None => (format!("/api/{version}"), self.resource.as_str()),
        };
        format!("{root}/namespaces/{namespace}/{plural}?labelSelector=&limit={PAGE}")
    }
}

/// Everything in a namespace that is not the set's, does not belong to another object and was not put there by the cluster.
///
/// # Errors
/// When the API cannot be asked; a resource that may not be listed is no error.
pub(crate) async fn strangers(inner: &Inner, names: &Names, namespace: &str) -> Result<Strangers> {
    let found = strangers_in(inner, names, &[namespace]).await?;
    Ok(found.into_iter().map(|(_, found)| found).next().unwrap_or_default())
}

/// [`strangers`] of several namespaces, in their order.
///
/// # Errors
/// As [`strangers`].
pub(crate) async fn strangers_in<'a>(
    inner: &Inner,
    names: &Names,
    namespaces: &[&'a str],
) -> Result<Vec<(&'a str, Strangers)>> {
    let mut all: Vec<(&str, Strangers)> = namespaces.iter().map(|name| (*name, Strangers::default())).collect();
    if all.is_empty() {
        return Ok(all);
    }
    let mut resources: Vec<Listed> = BUILT_IN
        .iter()
        .map(|(resource, version)| Listed {
            resource: (*resource).to_owned(),
            version: (*version).to_owned(),
        })
        .collect();
    resources.extend(extensions(inner).await?);
    let mut asked = Vec::new();
    for namespace in namespaces {
        for resource in &resources {
            let attempt = Attempt::new("list", format!("{} in {namespace}", resource.resource));
            let call = Call::get(resource.path(namespace), attempt).metadata_only();
            asked.push(inner.api.call(call).boxed());
        }
    }
    let answers: Vec<_> = iter(asked).buffered(PARALLEL).collect().await;
    let mut answers = answers.into_iter();
    for (namespace, found) in &mut all {
        for (resource, answer) in resources.iter().map(|one| &one.resource).zip(answers.by_ref()) {
            match answer?.ok() {
                Ok(list) => {
                    let items = list["items"].as_array().into_iter().flatten();
                    found.objects.extend(
                        items
                            .filter(|item| is_strange(names, resource, &item["metadata"]))
                            .filter_map(|item| item["metadata"]["name"].as_str())
                            .map(|name| format!("{resource} {namespace}/{name}")),
                    );
                }
                Err(why) if why.kind() == ErrorKind::Forbidden => found.unseen.push(resource.clone()),
                // Served a moment ago, or not by this version of the cluster.
                Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::TooOld) => {}
                Err(why) => return Err(why),
            }
        }
    }
    Ok(all)
}

/// Resources in namespaces that this cluster has beside the built-in ones.
async fn extensions(inner: &Inner) -> Result<Vec<Listed>> {
    let groups = inner
        .api
        .call(Call::get("/apis", Attempt::new("list", "APIs")))
        .await?
        .ok()?;
    let mut asked = Vec::new();
    for group in groups["groups"].as_array().into_iter().flatten() {
        let name = group["name"].as_str().unwrap_or_default();
        let own = OWN_GROUPS.contains(&name);
        if let (false, Some(version)) = (own, group["preferredVersion"]["groupVersion"].as_str()) {
            let attempt = Attempt::new("list", format!("resources of {version}"));
            asked.push(inner.api.call(Call::get(format!("/apis/{version}"), attempt)).boxed());
        }
    }
    let mut resources = Vec::new();
    let answers: Vec<_> = iter(asked).buffered(PARALLEL).collect().await;
    for answer in answers {
        // An API whose server is away cannot be looked at, and a namespace cannot go without it either.
        let Some(list) = answer?.found()? else { continue };
        let (group, version) = list["groupVersion"]
            .as_str()
            .unwrap_or_default()
            .split_once('/')
            .unwrap_or_default();
        for resource in list["resources"].as_array().into_iter().flatten() {
            let can = |verb: &str| {
                resource["verbs"]
                    .as_array()
                    .is_some_and(|verbs| verbs.iter().any(|can| can == verb))
            };
            if let (true, true, true, Some(plural)) = (
                resource["namespaced"] == true,
                can("list"),
                can("delete"),
                resource["name"].as_str(),
            ) {
                resources.push(Listed {
                    resource: format!("{plural}.{group}"),
                    version: version.to_owned(),
                });
            }
        }
    }
    Ok(resources)
}

fn is_strange(names: &Names, resource: &str, metadata: &Value) -> bool {
    let labels = &metadata["labels"];
    let ours = labels[SET] == names.label.as_str() || labels[PART_OF] == names.id.as_str();
    let name = metadata["name"].as_str().unwrap_or_default();
    let made_by_cluster = matches!(
        (resource, name),
        ("configmaps", "kube-root-ca.crt" | "openshift-service-ca.crt") | ("serviceaccounts", "default")
    );
    // What belongs to another object goes with it; what is going already is no reason to wait.
    let goes = metadata["ownerReferences"]
        .as_array()
        .is_some_and(|owners| !owners.is_empty())
        || metadata["deletionTimestamp"].is_string();
    !ours && !made_by_cluster && !goes && !names.is_parent(resource, metadata)
}
