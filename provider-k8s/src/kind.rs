//! How each kind behaves: one file a kind, one line here.

mod backup;
mod backup_repository;
mod backup_storage_location;
mod cluster_role;
mod cluster_role_binding;
mod config_map;
mod custom_resource_definition;
mod daemon_set;
mod deployment;
mod job;
mod limit_range;
mod namespace;
mod network_policy;
mod persistent_volume_claim;
mod pod;
mod pod_disruption_budget;
mod pod_volume_backup;
mod resource_quota;
mod restore;
mod role;
mod role_binding;
mod schedule;
mod secret;
mod service;
mod service_account;
mod stateful_set;
mod status;
mod storage_class;
mod velero;

use platform_core::value::Kind;
use platform_core::{Calls, Charset, Creation, Holds, KindFacts, NameRule, State, Updating};
use serde_json::Value;
use std::time::Duration;

/// All kinds, in the order of their names.
pub(crate) static KINDS: [&KubeKind; 27] = [
    &backup::KIND,
    &backup_repository::KIND,
    &backup_storage_location::KIND,
    &cluster_role::KIND,
    &cluster_role_binding::KIND,
    &config_map::KIND,
    &custom_resource_definition::KIND,
    &daemon_set::KIND,
    &deployment::KIND,
    &job::KIND,
    &limit_range::KIND,
    &namespace::KIND,
    &network_policy::KIND,
    &persistent_volume_claim::KIND,
    &pod::KIND,
    &pod_disruption_budget::KIND,
    &pod_volume_backup::KIND,
    &resource_quota::KIND,
    &restore::KIND,
    &role::KIND,
    &role_binding::KIND,
    &schedule::KIND,
    &secret::KIND,
    &service::KIND,
    &service_account::KIND,
    &stateful_set::KIND,
    &storage_class::KIND,
];

/// One kind: what the engine knows of it, where its API lies, and how its readiness is judged.
#[derive(Debug)]
pub(crate) struct KubeKind {
    pub(crate) facts: &'static KindFacts,
    /// API group; empty for the core group.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    /// Resource in URLs.
    pub(crate) plural: &'static str,
    pub(crate) namespaced: bool,
    /// State of an object that is neither going away nor behind its own generation.
    pub(crate) state: fn(&Value) -> State,
}

impl KubeKind {
    /// `apps/v1`, `v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The kind as manifests spell it: `StatefulSet`.
    pub(crate) fn short(&self) -> &'static str {
        self.facts.kind.split('.').next().unwrap_or(self.facts.kind)
    }

    /// Whether a CustomResourceDefinition brings it: groups of Kubernetes' own have no dot or end in `k8s.io`.
    pub(crate) fn is_custom(&self) -> bool {
        self.group.contains('.') && !self.group.ends_with(".k8s.io")
    }

    /// State of a live object.
    pub(crate) fn state_of(&self, object: &Value) -> State {
        status::general(object).unwrap_or_else(|| (self.state)(object))
    }

    /// `statefulsets.apps`, as rights spell it.
    pub(crate) fn resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }
}

/// The kind of this name, such as `StatefulSet.apps`.
pub(crate) fn find(kind: &str) -> Option<&'static KubeKind> {
    KINDS.into_iter().find(|known| known.facts.kind == kind)
}

/// Facts of a Kubernetes kind, named `Kind` or `Kind.group`; `None` for a kind that this crate does not make.
pub fn facts(kind: &Kind) -> Option<&'static KindFacts> {
    find(kind.as_str()).map(|known| known.facts)
}

/// What most kinds have in common.
const PLAIN: KindFacts = KindFacts {
    kind: "",
    holds: Holds::Nothing,
    rank: 50,
    name: NameRule {
        max: 253,
        charset: Charset::Dns1123Subdomain,
    },
    create: Creation::Exclusive,
    update: Updating::AtOnce,
    patience: Duration::from_mins(1),
    usually: Duration::ZERO,
    taken: "",
    removal: None,
    outputs: &[],
    fields: &[],
    calls: Calls {
        read: &[],
        create: &[],
        update: &[],
        delete: &[],
    },
};

/// Names that must also be legal as DNS labels.
const LABEL: NameRule = NameRule {
    max: 63,
    charset: Charset::Dns1123Label,
};

/// A state of kinds that do their work as soon as they exist.
fn at_once(_: &Value) -> State {
    State::Ready
}

/// The rights that reads and writes of a resource need; `watched`: also those to wait till it is ready. Where that is at
/// once nothing is watched, and what is slow to go is looked at by itself. `granting`: its writes give rights away, which
/// the API server asks a right of its own for.
macro_rules! calls {
    ($resource:literal, watched) => {
        calls!(
            $resource,
            &[
                concat!("get ", $resource),
                concat!("list ", $resource),
                concat!("watch ", $resource),
            ]
        )
    };
    ($resource:literal, granting $right:literal) => {
        calls!($resource, &[concat!("get ", $resource), concat!("list ", $resource)], $right)
    };
    ($resource:literal) => {
        calls!($resource, &[concat!("get ", $resource), concat!("list ", $resource)])
    };
    ($resource:literal, $read:expr $(, $right:literal)?) => {
        platform_core::Calls {
            read: $read,
            create: &[concat!("create ", $resource) $(, $right)?],
            update: &[concat!("get ", $resource), concat!("patch ", $resource) $(, $right)?],
            delete: &[concat!("get ", $resource), concat!("delete ", $resource)],
        }
    };
}
use calls;

#[cfg(test)]
mod tests;
