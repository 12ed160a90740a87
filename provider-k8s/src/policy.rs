//! Micro-segmentation: who may connect to whom, from the surfaces alone.
//!
//! Every namespace denies all; every workload gets one policy that opens exactly what the surfaces say it
//! calls and is called by, and what [`SecuritySpec::allow`](platform_core::SecuritySpec) lets in.

use crate::kubernetes::KubernetesOptions;
use crate::object::{Scope, tidy};
use platform_core::{Call, Capability, Endpoint, Error, ErrorKind, Resource, Result, Surfaces, Workload};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The port of an application on which it is read.
pub(crate) const METRICS: &str = "metrics";

/// The policy under which nothing moves.
pub(crate) const DEFAULT_DENY: &str = "default-deny";

/// Denies every connection in the scope's namespace.
pub(crate) fn default_deny(scope: &Scope<'_>) -> Result<Resource> {
    scope.object(
        "NetworkPolicy.networking.k8s.io",
        DEFAULT_DENY,
        scope.namespace(),
        json!({ "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] } }),
    )
}

/// One policy for each workload of a capability.
pub(crate) fn of_workloads(
    scope: &Scope<'_>,
    capability: Capability,
    surfaces: &Surfaces,
    options: &KubernetesOptions,
) -> Result<Vec<Resource>> {
    let workloads = surfaces.get(capability).map_or(&[][..], |surface| &surface.workloads);
    workloads
        .iter()
        .filter(|workload| workload.namespace == scope.namespace())
        .map(|workload| {
            // The server keeps no empty `matchLabels`: every plan would ask it about them.
            let pods = if workload.labels.is_empty() {
                json!({})
            } else {
                json!({ "matchLabels": workload.labels })
            };
            let spec = json!({ "spec": {
                "podSelector": pods,
                "policyTypes": ["Ingress", "Egress"],
                "ingress": ingress(scope, capability, workload, surfaces),
                "egress": egress(scope, workload, surfaces, options)?,
            }});
            scope.object(
                "NetworkPolicy.networking.k8s.io",
                &workload.name,
                &workload.name,
                tidy(spec),
            )
        })
        .collect()
}

fn ingress(scope: &Scope<'_>, capability: Capability, workload: &Workload, surfaces: &Surfaces) -> Vec<Value> {
    // A set, so that the order of surfaces and of the config means nothing.
    let mut rules = BTreeSet::new();
    for (_, caller) in surfaces.workloads() {
        for call in &caller.calls {
            let called: BTreeSet<&String> = match call {
                Call::Workload { name, port } if *name == workload.name => BTreeSet::from([port]),
                Call::Endpoints(called) if *called == capability => endpoints(surfaces, capability)
                    .filter(|endpoint| endpoint.workload.as_ref() == Some(&workload.name))
                    .map(|endpoint| &endpoint.name)
                    .collect(),
                Call::Scrapes => scraped(surfaces)
                    .filter_map(|(one, port)| (one == workload).then_some(port))
                    .collect(),
                _ => BTreeSet::new(),
            };
            for port in called.into_iter().filter_map(|port| workload.ports.get(port)) {
                let from = peer(&caller.namespace, &caller.labels);
                rules.insert(rule("from", &from, &[("TCP", *port)]));
            }
        }
    }
    for allowed in scope
        .context()
        .security
        .allow
        .iter()
        .filter(|rule| rule.to.contains(&capability))
    {
        for endpoint in endpoints(surfaces, capability)
            .filter(|endpoint| endpoint.workload.as_deref() == Some(workload.name.as_str()))
        {
            // An endpoint bears the name of the workload's port; the Service's own number may differ from the pod's.
            if let Some(port) = workload.ports.get(&endpoint.name) {
                rules.insert(rule(
                    "from",
                    &peer(&allowed.namespace, &allowed.labels),
                    &[("TCP", *port)],
                ));
            }
        }
    }
    parsed(&rules)
}

fn egress(
    scope: &Scope<'_>,
    workload: &Workload,
    surfaces: &Surfaces,
    options: &KubernetesOptions,
) -> Result<Vec<Value>> {
    let mut rules = BTreeSet::new();
    for call in &workload.calls {
        match call {
            Call::Workload { name, port } => {
                let callee = surfaces.workload(name);
                let target = callee.and_then(|callee| Some((callee, *callee.ports.get(port)?)));
                let Some((callee, number)) = target else {
                    return Err(Error::new(
                        ErrorKind::Invalid,
                        format!(
                            "workload {} calls port {port} of {name}, which nobody has",
                            workload.name
                        ),
                    ));
                };
                rules.insert(rule("to", &peer(&callee.namespace, &callee.labels), &[("TCP", number)]));
            }
            Call::Endpoints(capability) => {
                for endpoint in endpoints(surfaces, *capability) {
                    let callee = endpoint.workload.as_ref().and_then(|name| surfaces.workload(name));
                    let inside = callee.and_then(|callee| Some((callee, callee.ports.get(&endpoint.name)?)));
                    rules.insert(match inside {
                        Some((callee, port)) => rule("to", &peer(&callee.namespace, &callee.labels), &[("TCP", *port)]),
                        // A managed service, whose addresses nobody knows beforehand.
                        None => rule("to", &Value::Array(anywhere()), &[("TCP", endpoint.port)]),
                    });
                }
            }
            Call::Dns => {
                let dns = json!([{
                    "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } },
                    "podSelector": { "matchLabels": { "k8s-app": "kube-dns" } },
                }]);
                rules.insert(rule("to", &dns, &[("UDP", 53), ("TCP", 53)]));
            }
            Call::ApiServer => {
                let blocks: Vec<Value> = if options.api_server.is_empty() {
                    anywhere()
                } else {
                    options.api_server.iter().map(|cidr| block(cidr)).collect()
                };
                rules.insert(rule("to", &Value::Array(blocks), &[("TCP", 443), ("TCP", 6443)]));
            }
            Call::Outside { port } | Call::Nodes { port } => {
                rules.insert(rule("to", &Value::Array(anywhere()), &[("TCP", *port)]));
            }
            Call::Scrapes => {
                for (callee, port) in scraped(surfaces) {
                    if let Some(port) = callee.ports.get(port) {
                        let to = peer(&callee.namespace, &callee.labels);
                        rules.insert(rule("to", &to, &[("TCP", *port)]));
                    }
                }
                // Whoever else is let in says himself on which port he is read.
                for allowed in &scope.context().security.allow {
                    let to = peer(&allowed.namespace, &allowed.labels);
                    rules.insert(json!({ "to": to, "ports": [{ "protocol": "TCP" }] }).to_string());
                }
            }
        }
    }
    Ok(parsed(&rules))
}

fn endpoints(surfaces: &Surfaces, capability: Capability) -> impl Iterator<Item = &Endpoint> {
    surfaces
        .get(capability)
        .into_iter()
        .flat_map(|surface| &surface.endpoints)
}

/// What Prometheus may read, applications included, and the name of the port.
fn scraped(surfaces: &Surfaces) -> impl Iterator<Item = (&Workload, &String)> {
    let stated = surfaces
        .scrapes()
        .filter_map(|scrape| Some((surfaces.workload(&scrape.workload)?, &scrape.port)));
    let applications = surfaces.applications().iter();
    stated.chain(applications.filter_map(|one| Some((one, one.ports.get_key_value(METRICS)?.0))))
}

fn block(cidr: &str) -> Value {
    json!({ "ipBlock": { "cidr": cidr } })
}

fn anywhere() -> Vec<Value> {
    ["0.0.0.0/0", "::/0"].map(block).to_vec()
}

fn peer(namespace: &str, labels: &std::collections::BTreeMap<String, String>) -> Value {
    let namespaces = json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace } });
    if labels.is_empty() {
        json!([{ "namespaceSelector": namespaces }])
    } else {
        json!([{ "namespaceSelector": namespaces, "podSelector": { "matchLabels": labels } }])
    }
}

fn rule(side: &str, peers: &Value, ports: &[(&str, u16)]) -> String {
    let ports: Vec<Value> = ports
        .iter()
        .map(|(protocol, port)| json!({ "protocol": protocol, "port": port }))
        .collect();
    json!({ side: peers, "ports": ports }).to_string()
}

fn parsed(rules: &BTreeSet<String>) -> Vec<Value> {
    rules
        .iter()
        .filter_map(|rule| serde_json::from_str(rule).ok())
        .collect()
}
