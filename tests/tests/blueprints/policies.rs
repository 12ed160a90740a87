//! NetworkPolicies by an evaluator of their own: a connection is allowed exactly when the surfaces say so.

use platform_core::{AllowRule, Call, Capability, Scrape, Surfaces, Workload};
use platform_tests::manifests::{Wanted, context, manifest, resources};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A pod as policies see it.
#[derive(Clone, Debug)]
struct Pod {
    name: String,
    namespace: String,
    labels: BTreeMap<String, String>,
}

/// What the API's documentation says: a pod that no policy selects for a direction is open in it; one that is
/// selected may do what any of its policies allows.
fn allowed(policies: &[Value], from: &Pod, to: &Pod, protocol: &str, port: u16) -> bool {
    side(policies, from, to, "Egress", "egress", "to", protocol, port)
        && side(policies, to, from, "Ingress", "ingress", "from", protocol, port)
}

#[allow(clippy::too_many_arguments)]
fn side(
    policies: &[Value],
    subject: &Pod,
    peer: &Pod,
    policy_type: &str,
    rules: &str,
    peers: &str,
    protocol: &str,
    port: u16,
) -> bool {
    let selecting: Vec<&Value> = policies
        .iter()
        .filter(|policy| {
            policy["metadata"]["namespace"] == subject.namespace.as_str()
                && selects(&policy["spec"]["podSelector"], &subject.labels)
                && policy["spec"]["policyTypes"]
                    .as_array()
                    .unwrap()
                    .contains(&json!(policy_type))
        })
        .collect();
    selecting.is_empty()
        || selecting.iter().any(|policy| {
            policy["spec"][rules].as_array().into_iter().flatten().any(|rule| {
                let peer_fits = rule[peers]
                    .as_array()
                    .is_none_or(|list| list.iter().any(|one| is_peer(one, subject, peer)));
                let port_fits = rule["ports"].as_array().is_none_or(|list| {
                    list.iter().any(|one| {
                        one.get("port").is_none_or(|open| *open == port)
                            && one["protocol"].as_str().unwrap_or("TCP") == protocol
                    })
                });
                peer_fits && port_fits
            })
        })
}

fn is_peer(peer: &Value, subject: &Pod, pod: &Pod) -> bool {
    let namespace = match peer.get("namespaceSelector") {
        Some(selector) => selects(
            selector,
            &BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), pod.namespace.clone())]),
        ),
        None => pod.namespace == subject.namespace,
    };
    // An address block never names a pod here.
    namespace
        && peer.get("ipBlock").is_none()
        && peer
            .get("podSelector")
            .is_none_or(|selector| selects(selector, &pod.labels))
}

fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    assert!(
        selector.get("matchExpressions").is_none(),
        "the evaluator does not know matchExpressions"
    );
    selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
}

/// What the surfaces and the config say, without looking at any policy.
fn intended(surfaces: &Surfaces, allow: &[AllowRule], from: &Pod, to: &Pod, port: u16) -> bool {
    let to_workload = surfaces.workloads().find(|(_, workload)| is_pod(workload, to));
    let from_workload = surfaces.workloads().find(|(_, workload)| is_pod(workload, from));
    let reads_metrics = from_workload.is_some_and(|(_, workload)| workload.calls.contains(&Call::Scrapes));
    let Some((capability, to_workload)) = to_workload else {
        return reads_metrics && allow.iter().any(|rule| is_of(rule, to));
    };
    if capability == Capability::Security {
        return reads_metrics && to_workload.ports.get("metrics") == Some(&port);
    }
    let is_endpoint = || {
        let endpoints = &surfaces.get(capability).unwrap().endpoints;
        endpoints.iter().any(|endpoint| {
            endpoint.workload.as_deref() == Some(&to_workload.name) && to_workload.ports[&endpoint.name] == port
        })
    };
    let Some((_, from_workload)) = from_workload else {
        let may = |rule: &AllowRule| is_of(rule, from) && rule.to.contains(&capability);
        return allow.iter().any(may) && is_endpoint();
    };
    let calls = |call: &Call| match call {
        Call::Workload { name, port: named } => {
            *name == to_workload.name && to_workload.ports.get(named) == Some(&port)
        }
        Call::Endpoints(called) => *called == capability && is_endpoint(),
        _ => false,
    };
    let reads =
        |scrape: &Scrape| scrape.workload == to_workload.name && to_workload.ports.get(&scrape.port) == Some(&port);
    from_workload.calls.iter().any(calls) || reads_metrics && surfaces.scrapes().any(reads)
}

fn is_of(rule: &AllowRule, pod: &Pod) -> bool {
    rule.namespace == pod.namespace
        && rule
            .labels
            .iter()
            .all(|(key, value)| pod.labels.get(key) == Some(value))
}

fn is_pod(workload: &Workload, pod: &Pod) -> bool {
    workload.namespace == pod.namespace
        && workload
            .labels
            .iter()
            .all(|(key, value)| pod.labels.get(key) == Some(value))
}

fn outsider(namespace: &str, labels: &[(&str, &str)]) -> Pod {
    Pod {
        name: format!("{namespace} {labels:?}"),
        namespace: namespace.to_owned(),
        labels: labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn pods(surfaces: &Surfaces) -> Vec<Pod> {
    let mut pods: Vec<Pod> = surfaces
        .workloads()
        .map(|(_, workload)| Pod {
            name: workload.name.clone(),
            namespace: workload.namespace.clone(),
            labels: workload.labels.clone(),
        })
        .collect();
    let namespaces: BTreeSet<String> = pods.iter().map(|pod| pod.namespace.clone()).collect();
    // A stranger inside every namespace of the platform, and in others; one that borrows a workload's labels.
    pods.extend(
        namespaces
            .iter()
            .map(|namespace| outsider(namespace, &[("app", "stranger")])),
    );
    pods.extend([
        outsider("two-training", &[("app", "web")]),
        outsider("two-batch", &[("app.kubernetes.io/name", "postgres")]),
        outsider("ml-apps", &[]),
        outsider("ml-apps", &[("role", "trainer")]),
        outsider("ml-api", &[("app", "api")]),
        outsider("default", &[]),
        outsider("default", &[("app.kubernetes.io/name", "database-roles")]),
        outsider("kube-system", &[("k8s-app", "kube-dns")]),
        outsider("kube-system", &[]),
    ]);
    pods
}

#[test]
fn connections_are_allowed_exactly_as_stated() {
    for (name, wanted) in [("local", Wanted::local()), ("strict", Wanted::strict())] {
        let surfaces = context(&wanted).unwrap().surfaces;
        let policies = policies(&wanted);
        let pods = pods(&surfaces);
        let mut ports: BTreeSet<u16> = surfaces
            .workloads()
            .flat_map(|(_, workload)| workload.ports.values().copied())
            .collect();
        ports.extend([22, 53, 80, 443, 6443, 8080]);
        let (mut open, mut closed) = (0, 0);
        for from in &pods {
            for to in pods.iter().filter(|to| to.name != from.name) {
                for port in &ports {
                    for protocol in ["TCP", "UDP"] {
                        let is = allowed(&policies, from, to, protocol, *port);
                        let inside = |pod: &Pod| {
                            surfaces
                                .workloads()
                                .any(|(_, workload)| workload.namespace == pod.namespace)
                        };
                        let dns = to.labels.contains_key("k8s-app") && *port == 53 && calls_dns(&surfaces, from);
                        // Between strangers outside, the platform has no say.
                        let should = (!inside(from) && !inside(to))
                            || dns
                            || (protocol == "TCP"
                                && intended(&surfaces, &wanted.context.security.allow, from, to, *port));
                        assert_eq!(is, should, "{name}: {} -> {} {protocol} {port}", from.name, to.name);
                        if inside(from) || inside(to) {
                            if is { open += 1 } else { closed += 1 }
                        }
                    }
                }
            }
        }
        assert!(open >= 8 && closed > 1000, "{name}: {open} open, {closed} closed");
    }
}

fn calls_dns(surfaces: &Surfaces, pod: &Pod) -> bool {
    surfaces
        .workloads()
        .any(|(_, workload)| is_pod(workload, pod) && workload.calls.contains(&Call::Dns))
}

fn policies(wanted: &Wanted) -> Vec<Value> {
    resources(wanted)
        .unwrap()
        .iter()
        .filter(|resource| resource.id.kind().as_str() == "NetworkPolicy.networking.k8s.io")
        .map(manifest)
        .collect()
}

/// The evaluator is no rubber stamp: without one policy, or with one rule more, it disagrees with the surfaces.
#[test]
fn a_missing_policy_is_seen() {
    let wanted = Wanted::local();
    let surfaces = context(&wanted).unwrap().surfaces;
    let disagreements = |policies: &[Value]| {
        let pods = pods(&surfaces);
        let mut count = 0;
        for from in &pods {
            for to in &pods {
                let port = 5432;
                let ours = surfaces.workloads().any(|(_, workload)| is_pod(workload, to));
                if ours && from.name != to.name {
                    let should = intended(&surfaces, &wanted.context.security.allow, from, to, port);
                    count += usize::from(allowed(policies, from, to, "TCP", port) != should);
                }
            }
        }
        count
    };
    let all = policies(&wanted);
    assert_eq!(disagreements(&all), 0);
    let named = |name: &str, namespace: &str| {
        all.iter()
            .position(|policy| policy["metadata"]["name"] == name && policy["metadata"]["namespace"] == namespace)
            .unwrap()
    };
    for missing in [
        named("postgres", "database"),
        named("database-roles", "database"),
        named("default-deny", "cache"),
    ] {
        let mut fewer = all.clone();
        fewer.remove(missing);
        // default-deny matters for pods that have no policy of their own: see the test above
        let strangers = all[missing]["metadata"]["name"] == "default-deny";
        assert!(
            strangers || disagreements(&fewer) > 0,
            "{}",
            all[missing]["metadata"]["name"]
        );
    }
    let mut wider = all.clone();
    wider[named("postgres", "database")]["spec"]["ingress"] = json!([{}]);
    assert!(disagreements(&wider) > 0);
    assert!(wanted.context.security.allow[0].to.contains(&Capability::Database));
}

/// Addresses, not pods: only what calls the API server, nodes or hosts outside gets there, and on no other port. Where the
/// API server's addresses are known, nothing that calls it alone gets anywhere else.
#[test]
fn addresses_are_reached_exactly_as_stated() {
    const API: &str = "10.0.0.1";
    const ELSEWHERE: &str = "192.0.2.7";
    for known in [false, true] {
        let mut wanted = Wanted::strict();
        wanted.monitoring.node_exporter = true;
        if known {
            wanted.options.api_server = vec![format!("{API}/32")];
        }
        let surfaces = context(&wanted).unwrap().surfaces;
        let policies = policies(&wanted);
        let rules = policies
            .iter()
            .flat_map(|policy| policy["spec"]["egress"].as_array().into_iter().flatten());
        let opened = rules.flat_map(|rule| rule["ports"].as_array().into_iter().flatten());
        let opened = opened.filter_map(|open| u16::try_from(open["port"].as_u64()?).ok());
        let ports: BTreeSet<u16> = opened.flat_map(|port| [port - 1, port, port + 1]).collect();
        let mut seen = BTreeSet::new();
        for (_, workload) in surfaces.workloads() {
            let of_pod = |policy: &&Value| {
                policy["metadata"]["namespace"] == workload.namespace.as_str()
                    && selects(&policy["spec"]["podSelector"], &workload.labels)
            };
            for (address, port) in [API, ELSEWHERE]
                .into_iter()
                .flat_map(|one| ports.iter().map(move |port| (one, *port)))
            {
                let is = policies.iter().filter(of_pod).any(|policy| {
                    policy["spec"]["egress"].as_array().into_iter().flatten().any(|rule| {
                        let block = |peer: &Value| {
                            let cidr = peer["ipBlock"]["cidr"].as_str();
                            cidr.is_some_and(|cidr| cidr == "0.0.0.0/0" || cidr == format!("{address}/32"))
                        };
                        rule["to"].as_array().unwrap().iter().any(block)
                            && rule["ports"]
                                .as_array()
                                .unwrap()
                                .iter()
                                .any(|open| open["port"] == port)
                    })
                });
                let should = workload.calls.iter().any(|call| match call {
                    Call::ApiServer => [443, 6443].contains(&port) && (!known || address == API),
                    Call::Outside { port: open } | Call::Nodes { port: open } => *open == port,
                    _ => false,
                });
                assert_eq!(is, should, "{} -> {address}:{port}, known: {known}", workload.name);
                if is {
                    seen.insert((address, port));
                }
            }
        }
        let everywhere: BTreeSet<u16> = seen
            .iter()
            .filter(|(to, _)| *to == ELSEWHERE)
            .map(|(_, port)| *port)
            .collect();
        assert!(everywhere.is_superset(&BTreeSet::from([443, 10_250])), "{everywhere:?}");
        assert_eq!(everywhere.contains(&6443), !known);
        assert!(seen.contains(&(API, 6443)));
    }
}
