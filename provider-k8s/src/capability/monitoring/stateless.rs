//! Workloads that keep nothing: a Deployment of one pod, or a pod on every node.

use crate::capability::stateful::{selector, service_account};
use crate::object::Scope;
use crate::pod::{Container, Pod};
use crate::policy;
use platform_core::value::{DOMAIN, Digest, ResourceId};
use platform_core::{Resource, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A workload that keeps nothing.
#[derive(Debug)]
pub(super) struct Stateless<'a> {
    pub(super) scope: &'a Scope<'a>,
    /// Of the objects, of the Service if there is one, and of its pods' label.
    pub(super) name: &'a str,
    /// Port of the Service and name of the pod's port; absent: nobody looks for it by name.
    pub(super) serves: Option<(u16, &'static str)>,
    /// Objects that must be there first; a change of a ConfigMap among them starts the pods anew.
    pub(super) inputs: Vec<Resource>,
    pub(super) containers: Vec<Container>,
    pub(super) volumes: Vec<Value>,
    pub(super) pull_secrets: &'a [String],
}

impl Stateless<'_> {
    /// One pod; a new one starts when the old one is gone.
    pub(super) fn into_deployment(self) -> Result<Vec<Resource>> {
        let (scope, name) = (self.scope, self.name);
        let (mut resources, template) = self.into_parts()?;
        let mut deployment = scope.object(
            "Deployment.apps",
            name,
            name,
            json!({ "spec": {
                "replicas": 1,
                "revisionHistoryLimit": 5,
                "strategy": { "type": "Recreate" },
                "selector": { "matchLabels": selector(name) },
                "template": template,
            }}),
        )?;
        deployment.after = after(scope, &resources)?;
        resources.push(deployment);
        Ok(resources)
    }

    /// A pod on every node, whatever else the node keeps away, in the node's own namespaces of processes and network.
    pub(super) fn into_daemon_set_of_nodes(self) -> Result<Vec<Resource>> {
        let (scope, name) = (self.scope, self.name);
        let (mut resources, mut template) = self.into_parts()?;
        template["spec"]["hostNetwork"] = json!(true);
        template["spec"]["hostPID"] = json!(true);
        template["spec"]["tolerations"] = json!([{ "operator": "Exists" }]);
        let mut daemon_set = scope.object(
            "DaemonSet.apps",
            name,
            name,
            json!({ "spec": {
                "revisionHistoryLimit": 5,
                "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": "10%" } },
                "selector": { "matchLabels": selector(name) },
                "template": template,
            }}),
        )?;
        daemon_set.after = after(scope, &resources)?;
        resources.push(daemon_set);
        Ok(resources)
    }

    fn into_parts(self) -> Result<(Vec<Resource>, Value)> {
        let config: Vec<&Value> = self
            .inputs
            .iter()
            .filter(|input| input.id.kind().as_str() == "ConfigMap")
            .map(|input| &input.desired["data"])
            .collect();
        let annotations = if config.is_empty() {
            BTreeMap::new()
        } else {
            let hash = Digest::of(&config).short(16).to_owned();
            BTreeMap::from([(format!("{DOMAIN}/config-hash"), hash)])
        };
        let mut resources = vec![service_account(self.scope, self.name)?];
        resources.extend(self.inputs);
        if let Some((port, target)) = self.serves {
            let ports = json!([{ "name": target, "port": port, "targetPort": target, "protocol": "TCP" }]);
            resources.push(self.scope.object(
                "Service",
                self.name,
                self.name,
                json!({ "spec": { "type": "ClusterIP", "selector": selector(self.name), "ports": ports } }),
            )?);
        }
        let pod = Pod {
            service_account: self.name.to_owned(),
            labels: selector(self.name),
            annotations,
            containers: self.containers,
            volumes: self.volumes,
            grace: 30,
            pull_secrets: self.pull_secrets.to_vec(),
            ends: false,
        };
        Ok((resources, pod.into_template()))
    }
}

fn after(scope: &Scope<'_>, resources: &[Resource]) -> Result<BTreeSet<ResourceId>> {
    let mut after: BTreeSet<_> = resources.iter().map(|one| one.id.clone()).collect();
    after.insert(scope.namespace_id()?);
    after.insert(scope.id("NetworkPolicy.networking.k8s.io", policy::DEFAULT_DENY)?);
    Ok(after)
}
