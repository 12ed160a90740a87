//! Namespaces of applications: what is in them, and what they are refused for.

use platform_core::value::{Recipe, gib, mib};
use platform_core::{ApplicationSpec, Capability, ErrorKind, OnRemoval, Resource, Stack};
use platform_tests::manifests::{Wanted, context, manifest, resources, stack};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

fn of<'a>(resources: &'a [Resource], namespace: &str) -> BTreeMap<String, &'a Resource> {
    let lies = |one: &&Resource| one.id.name().namespace() == Some(namespace) || one.id.name().base() == namespace;
    let key = |one: &Resource| format!("{} {}", one.id.kind().short(), one.id.name().base());
    resources.iter().filter(lies).map(|one| (key(one), one)).collect()
}

#[test]
fn an_application_finds_all_it_needs_and_no_more() {
    let resources = resources(&Wanted::strict()).unwrap();
    let training = of(&resources, "two-training");
    assert_eq!(
        training.keys().map(String::as_str).collect::<Vec<_>>(),
        [
            "LimitRange limits",
            "Namespace two-training",
            "NetworkPolicy application-training",
            "NetworkPolicy default-deny",
            "ResourceQuota quota",
            "Role platform-operator",
            "Role platform-viewer",
            "RoleBinding platform-operator",
            "RoleBinding platform-viewer",
            "Secret ca-certificate",
            "Secret cache-client",
            "Secret database-client",
            "Secret storage-client",
            "ServiceAccount application",
        ]
    );
    let level = |of: &BTreeMap<String, &Resource>, name: &str| {
        of[&format!("Namespace {name}")].desired["metadata"]["labels"]["pod-security.kubernetes.io/enforce"].clone()
    };
    assert_eq!(level(&training, "two-training"), "restricted");
    let batch = of(&resources, "two-batch");
    assert_eq!(level(&batch, "two-batch"), "baseline");
    assert!(batch.contains_key("Secret storage-client") && !batch.contains_key("Secret database-client"));
    assert_eq!(
        training["ServiceAccount application"].desired["automountServiceAccountToken"],
        json!(false)
    );
    // Kept with everything in it; what goes on running there stays closed in.
    let kept: Vec<&str> = training
        .iter()
        .filter(|(_, one)| one.on_removal == OnRemoval::Retain)
        .map(|(key, _)| key.as_str())
        .collect();
    assert_eq!(kept, ["Namespace two-training", "NetworkPolicy default-deny"]);
    assert_eq!(
        manifest(batch["ResourceQuota quota"])["spec"]["hard"],
        json!({
            "limits.cpu": "16", "requests.cpu": "16", "pods": "50", "services.loadbalancers": "0", "services.nodeports": "0",
        })
    );
    let limits = &batch["LimitRange limits"].desired["spec"]["limits"][0];
    assert_eq!(
        (&limits["max"], &limits["default"]["memory"]),
        (&json!({ "memory": gib(8) }), &json!(mib(256)))
    );
}

/// What clients log in with comes from the surfaces: every key that they name, where it lies, and where to connect.
#[test]
fn credentials_are_copies_of_what_the_capabilities_hand_out() {
    let wanted = Wanted::strict();
    let surfaces = context(&wanted).unwrap().surfaces;
    let resources = resources(&wanted).unwrap();
    let training = of(&resources, "two-training");
    for capability in [Capability::Database, Capability::Cache, Capability::Storage] {
        let surface = surfaces.get(capability).unwrap();
        let client = surface.client.as_ref().unwrap();
        let source = resources.iter().find(|one| one.id == client.secret).unwrap();
        let secret = training[&format!("Secret {capability}-client")];
        let data = secret.desired["data"].as_object().unwrap();
        let keys: BTreeSet<&str> = data.keys().map(String::as_str).collect();
        let mut expected: BTreeSet<&str> = client.keys.iter().map(String::as_str).collect();
        expected.extend(["host", "port"]);
        assert_eq!(keys, expected);
        for key in &client.keys {
            assert!(source.desired["data"].get(key).is_some(), "{} has no {key}", source.id);
            let copy = Recipe::Copy {
                from: client.secret.to_string(),
                key: key.clone(),
                revision: 1,
            };
            assert_eq!(Recipe::of_value(&data[key]), Some(copy));
        }
        let literal = |key: &str| match Recipe::of_value(&data[key]) {
            Some(Recipe::Literal { value }) => value,
            other => panic!("{key}: {other:?}"),
        };
        let endpoint = &surface.endpoints[0];
        assert_eq!(
            (literal("host"), literal("port")),
            (endpoint.host.clone(), endpoint.port.to_string())
        );
        assert!(secret.after.contains(&client.secret));
        assert_eq!(secret.on_removal, OnRemoval::Delete);
    }
}

#[test]
fn what_an_application_cannot_be_is_refused() {
    for (application, help) in [
        (ApplicationSpec::new("database"), "write a name of its own"),
        (ApplicationSpec::new("kube-public"), "write a name of its own"),
        (ApplicationSpec::new("training"), "write a name of its own"),
        (ApplicationSpec::new("Apps"), "write a name of its own"),
        (
            ApplicationSpec::new("apps").with_use(Capability::Monitoring),
            "write database, cache or storage",
        ),
    ] {
        let mut wanted = Wanted::strict();
        wanted.context.security.applications.push(application.clone());
        let error = resources(&wanted).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{application:?}");
        assert!(error.help().unwrap().starts_with(help), "{error:?}");
    }
    let wanted = Wanted::strict();
    let stack = stack(&wanted.options);
    let mut context = context(&wanted).unwrap();
    context.surfaces.0.remove(&Capability::Cache);
    let refused = stack.security().unwrap().blueprint(&context.security, &context);
    let error = refused.unwrap_err();
    assert_eq!(
        error.message(),
        "application training uses cache, which the platform does not have"
    );
}
