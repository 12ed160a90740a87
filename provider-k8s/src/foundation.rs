//! What the capabilities share: namespaces, the certificate authority, default-deny.

use crate::kubernetes::BlockStorage;
use crate::object::{Scope, with_metadata};
use crate::{people, policy};
use platform_core::value::{Place, Recipe, ResourceId};
use platform_core::{Capability, Context, OnRemoval, Resource, Result};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const COMPONENT: &str = "foundation";
pub(crate) const AUTHORITY: &str = "certificate-authority";
pub(crate) const CERTIFICATE: &str = "ca-certificate";

/// Capabilities that run in the cluster, each in a namespace of its own.
const WITH_NAMESPACE: [Capability; 6] = [
    Capability::Database,
    Capability::Cache,
    Capability::Storage,
    Capability::Security,
    Capability::Backup,
    Capability::Monitoring,
];

/// Namespaces of the wanted capabilities, and the platform's certificate authority in that of Security,
/// or in the only one when a capability is used alone.
pub(crate) fn resources(place: &Place, wanted: &BTreeSet<Capability>, context: &Context) -> Result<Vec<Resource>> {
    let mut resources = Vec::new();
    let mut namespaces: BTreeSet<_> = WITH_NAMESPACE.into_iter().filter(|one| wanted.contains(one)).collect();
    if !context.alone && !namespaces.is_empty() {
        namespaces.insert(Capability::Security);
    }
    for capability in &namespaces {
        let scope = Scope::new(place, context, *capability)?.under(COMPONENT);
        // The node agent reads every pod's volumes as root, which no other level allows.
        let level = match capability {
            Capability::Backup => "privileged",
            _ => context.security.pod_security_of(scope.base()).as_str(),
        };
        resources.push(namespace(&scope, capability.as_str(), level)?);
        resources.push(policy::default_deny(&scope)?);
        resources.extend(people::rights(&scope)?);
    }
    if !namespaces.is_empty() {
        let scope = shared(place, context)?.under(COMPONENT);
        resources.push(scope.kept_secret(
            AUTHORITY,
            AUTHORITY,
            &BTreeMap::from([(
                "*",
                Recipe::CertificateAuthority {
                    common_name: format!("{} certificate authority", context.set),
                    revision: context.security.revisions.authority,
                },
            )]),
        )?);
        resources.push(certificate_of_authority(&scope, CERTIFICATE, CERTIFICATE)?);
    }
    Ok(resources)
}

/// The class of volumes whose claim names none. They lie where their pod runs, may grow, and go with their claim, which
/// the platform keeps.
pub(crate) fn storage_class(place: &Place, context: &Context, storage: &BlockStorage) -> Result<Resource> {
    let scope = shared(place, context)?.under(COMPONENT);
    let class = json!({
        "metadata": { "annotations": { "storageclass.kubernetes.io/is-default-class": "true" } },
        "provisioner": storage.provisioner,
        "parameters": storage.parameters,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": true,
    });
    scope.cluster_object("StorageClass.storage.k8s.io", "volumes", class)
}

/// The Secret with the authority's key and certificate.
pub(crate) fn authority(place: &Place, context: &Context) -> Result<ResourceId> {
    shared(place, context)?.id("Secret", AUTHORITY)
}

/// A Secret with the authority's certificate alone, for clients in this namespace; key `ca.crt`.
pub(crate) fn certificate_of_authority(scope: &Scope<'_>, name: &str, app: &str) -> Result<Resource> {
    let copy = Recipe::Copy {
        from: authority(scope.place(), scope.context())?.to_string(),
        key: "ca.crt".to_owned(),
        revision: 1,
    };
    scope.remade_secret(name, app, &BTreeMap::from([("ca.crt", copy)]))
}

/// Where clients find the certificate that they verify servers with.
pub(crate) fn ca_location(place: &Place, context: &Context) -> Result<String> {
    Ok(format!(
        "{}, key ca.crt",
        shared(place, context)?.id("Secret", CERTIFICATE)?.label()
    ))
}

/// Where the authority lies. Used alone, every capability has the set's own namespace.
fn shared<'a>(place: &'a Place, context: &'a Context) -> Result<Scope<'a>> {
    Scope::new(place, context, Capability::Security)
}

/// A namespace under a Pod Security Standard.
pub(crate) fn namespace(scope: &Scope<'_>, app: &str, level: &str) -> Result<Resource> {
    let scope = scope.under(COMPONENT);
    let body = json!({ "metadata": { "labels": {
        "pod-security.kubernetes.io/enforce": level,
        "pod-security.kubernetes.io/enforce-version": "latest",
        // Our own pods pass the restricted level everywhere: anything else is worth a line in the audit log.
        "pod-security.kubernetes.io/audit": "restricted",
        "pod-security.kubernetes.io/audit-version": "latest",
        "pod-security.kubernetes.io/warn": "restricted",
        "pod-security.kubernetes.io/warn-version": "latest",
    }}});
    let desired = with_metadata(scope.context(), COMPONENT, app, BTreeMap::new(), body);
    // Its removal would take the volumes in it along.
    Ok(Resource::new(scope.namespace_id()?, COMPONENT, desired).with_on_removal(OnRemoval::Retain))
}
