//! What holds data, and the keys to it.

use platform_core::{Holds, OnRemoval, Stack};
use platform_tests::manifests::{Wanted, context, resources, stack};

/// Data, the passwords that open it and the namespace around both outlive the wish for them; nothing else does.
#[test]
fn data_and_its_keys_outlive_their_block() {
    for resource in resources(&Wanted::strict()).unwrap() {
        let kept = match resource.id.kind().as_str() {
            "Namespace" | "PersistentVolumeClaim" | "CustomResourceDefinition.apiextensions.k8s.io" => true,
            "Secret" => ![
                "-tls",
                "-ca",
                "-receivers",
                "-client",
                "ca-certificate",
                "grafana-credentials",
                "velero-s3",
            ]
            .iter()
            .any(|end| resource.id.name().base().ends_with(end)),
            // Applications go on running where the platform let them in.
            "NetworkPolicy.networking.k8s.io" => {
                let application = ["two-training", "two-batch"].contains(&resource.id.name().namespace().unwrap());
                application && resource.id.name().base() == "default-deny"
            }
            _ => false,
        };
        assert_eq!(resource.on_removal == OnRemoval::Retain, kept, "{}", resource.id);
        let holds = match (resource.id.kind().as_str(), resource.id.name().base()) {
            ("PersistentVolumeClaim", "data-redis-0" | "data-prometheus-0" | "data-alertmanager-0") => {
                Some(Holds::Rebuildable)
            }
            ("PersistentVolumeClaim", _) => Some(Holds::Durable),
            ("Secret", _) if kept => Some(Holds::Durable),
            ("Secret", _) => Some(Holds::Nothing),
            _ => None,
        };
        assert_eq!(resource.holds, holds, "{}", resource.id);
    }
}

/// The volume is there before the server, under the name that the claim template yields, and asks for the same.
#[test]
fn volumes_are_what_claim_templates_yield() {
    let all = resources(&Wanted::strict()).unwrap();
    let mut checked = 0;
    for server in all.iter().filter(|one| one.id.kind().as_str() == "StatefulSet.apps") {
        for template in server.desired["spec"]["volumeClaimTemplates"].as_array().unwrap() {
            let name = format!(
                "{}/{}-{}-0",
                server.id.name().namespace().unwrap(),
                template["metadata"]["name"].as_str().unwrap(),
                server.id.name().base()
            );
            let claim = all
                .iter()
                .find(|one| one.id.kind().as_str() == "PersistentVolumeClaim" && one.id.name().as_str() == name)
                .unwrap();
            assert_eq!(claim.desired["spec"], template["spec"]);
            assert!(server.after.contains(&claim.id));
            checked += 1;
        }
    }
    assert_eq!(checked, 5);
}

/// A cache in memory alone asks for no volume and claims no data.
#[test]
fn a_cache_without_persistence_has_no_volume() {
    let mut wanted = Wanted::local();
    wanted.cache = wanted.cache.with_persistence(false);
    let all = resources(&wanted).unwrap();
    let of_cache = |kind: &str| {
        all.iter()
            .filter(|one| one.id.kind().as_str() == kind && one.id.name().namespace() == Some("cache"))
            .collect::<Vec<_>>()
    };
    assert!(of_cache("PersistentVolumeClaim").is_empty());
    assert!(
        of_cache("ResourceQuota")[0].desired["spec"]["hard"]
            .get("requests.storage")
            .is_none()
    );
    let server = &of_cache("StatefulSet.apps")[0].desired["spec"];
    assert!(server.get("volumeClaimTemplates").is_none());
    let volumes = server["template"]["spec"]["volumes"].as_array().unwrap();
    let data = volumes.iter().find(|volume| volume["name"] == "data").unwrap();
    assert_eq!(data["emptyDir"]["sizeLimit"], "64Mi");
}

/// The applications' key is in a Secret of its own where the server knows users, and nobody but the server and its Job
/// sees the server's own.
#[test]
fn applications_get_a_key_of_their_own_where_the_server_knows_users() {
    for (wanted, secret, user) in [
        (Wanted::strict(), "two-storage/minio-credentials", "app"),
        (Wanted::local(), "storage/minio-internal", "platform"),
    ] {
        let stack = stack(&wanted.options);
        let context = context(&wanted).unwrap();
        let outputs = stack
            .storage()
            .unwrap()
            .blueprint(&wanted.storage, &context)
            .unwrap()
            .outputs;
        let credentials = &outputs["credentials"];
        assert_eq!(credentials["username"], user);
        assert!(
            credentials["location"].as_str().unwrap().ends_with(secret),
            "{credentials}"
        );
        assert!(
            resources(&wanted)
                .unwrap()
                .iter()
                .any(|one| one.id.name().as_str() == secret)
        );
    }
}
