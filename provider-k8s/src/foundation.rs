//! What the capabilities share: namespaces, the certificate authority, default-deny, limits.

use crate::object::{Scope, cpu, with_metadata};
use crate::policy;
use platform_core::value::{Place, Recipe, ResourceId, Size};
use platform_core::{Capability, Context, OnRemoval, QuotaSpec, Resource, Result};
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
            _ => context.security.pod_security.as_str(),
        };
        resources.push(namespace(&scope, capability.as_str(), level)?);
        resources.push(policy::default_deny(&scope)?);
    }
    if !namespaces.is_empty() {
        let scope = shared(place, context)?.under(COMPONENT);
        let common_name = format!("{} certificate authority", context.set);
        resources.push(scope.kept_secret(
            AUTHORITY,
            AUTHORITY,
            // X.509 allows 64 characters in a common name.
            &BTreeMap::from([(
                "*",
                Recipe::CertificateAuthority {
                    common_name: common_name.chars().take(64).collect(),
                },
            )]),
        )?);
        resources.push(certificate_of_authority(&scope, CERTIFICATE, CERTIFICATE)?);
    }
    Ok(resources)
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

/// What the pods of a namespace need at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    pub(crate) cpu_milli: u32,
    pub(crate) memory: Size,
    pub(crate) pods: u32,
    /// Volumes; absent where there is none.
    pub(crate) storage: Option<Size>,
}

/// The namespace's quota and the limits of containers that state none.
///
/// The quota is twice what the capability's own pods need (a replacement starts beside the old one, a
/// Job beside both), with room for ten pods more; the wishes of the security block go before it.
pub(crate) fn limits(scope: &Scope<'_>, capability: Capability, needs: Needs) -> Result<Vec<Resource>> {
    let scope = scope.under(Capability::Security.as_str());
    let quotas = &scope.context().security.quotas;
    let wanted = quotas
        .get(capability.as_str())
        .or_else(|| quotas.get(scope.namespace()))
        .cloned()
        .unwrap_or_default();
    let QuotaSpec {
        cpu_milli,
        memory,
        pods,
        storage,
    } = wanted;
    let cpu_limit = cpu(cpu_milli.unwrap_or(needs.cpu_milli.saturating_mul(2)));
    let memory_limit = memory.unwrap_or(Size::mib(needs.memory.as_mib().saturating_mul(2)));
    let mut hard = json!({
        "limits.cpu": cpu_limit,
        "limits.memory": memory_limit,
        "requests.cpu": cpu_limit,
        "requests.memory": memory_limit,
        "pods": (pods.unwrap_or(needs.pods + 10)).to_string(),
        // No Service of the platform opens the cluster to the outside.
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    });
    let twice = |size: Size| Size::mib(size.as_mib().saturating_mul(2));
    if let Some(storage) = storage.or(needs.storage.map(twice)) {
        hard["requests.storage"] = json!(storage);
    }
    Ok(vec![
        scope.object("ResourceQuota", "quota", "quota", json!({ "spec": { "hard": hard } }))?,
        scope.object(
            "LimitRange",
            "limits",
            "limits",
            json!({ "spec": { "limits": [{
                "type": "Container",
                "default": { "cpu": "500m", "memory": "256Mi" },
                "defaultRequest": { "cpu": "50m", "memory": "64Mi" },
            }]}}),
        )?,
    ])
}
