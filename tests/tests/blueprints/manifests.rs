//! Names, edges, determinism, and what is refused.

use platform_core::value::{ResourceId, Supplied, gib, mib};
use platform_core::{
    AllowRule, BucketSpec, Capability, Context, Environment, ErrorKind, Holds, OnRemoval, Resource, Stack,
};
use platform_tests::manifests::{Wanted, context, manifest, pod_template, resources, stack};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn fixtures() -> Vec<(&'static str, Wanted)> {
    vec![("local", Wanted::local()), ("strict", Wanted::strict())]
}

/// The rendered platform as one text; bless a wanted change with `MLPLAT_BLESS=1`.
#[test]
fn rendered_manifests_are_as_recorded() {
    for (name, wanted) in fixtures() {
        let documents: Vec<Value> = resources(&wanted).unwrap().iter().map(manifest).collect();
        let text = serde_json::to_string_pretty(&documents).unwrap() + "\n";
        let path = format!("{}/corpus/manifests/{name}.json", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("MLPLAT_BLESS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let recorded = std::fs::read_to_string(&path).unwrap_or_default();
        if recorded != text {
            let line = recorded.lines().zip(text.lines()).position(|(old, new)| old != new);
            panic!("{path} differs from line {line:?} on; look at it, then bless it with MLPLAT_BLESS=1");
        }
    }
}

#[test]
fn the_same_wish_gives_the_same_bytes() {
    for (name, wanted) in fixtures() {
        let once = serde_json::to_string(&resources(&wanted).unwrap()).unwrap();
        let twice = serde_json::to_string(&resources(&wanted).unwrap()).unwrap();
        assert_eq!(once, twice, "{name}");
    }
    // The order in which a config lists what has no order means nothing either.
    let mut turned = Wanted::local();
    turned.context.security.allow[0].to.reverse();
    assert_eq!(resources(&turned).unwrap(), resources(&Wanted::local()).unwrap());
}

#[test]
fn every_id_is_unique_and_every_edge_leads_somewhere() {
    for (name, wanted) in fixtures() {
        let all = resources(&wanted).unwrap();
        let ids: BTreeSet<&ResourceId> = all.iter().map(|resource| &resource.id).collect();
        assert_eq!(ids.len(), all.len(), "{name}");
        for resource in &all {
            for needed in resource.dependencies() {
                assert!(ids.contains(&needed), "{name}: {} needs {needed}", resource.id);
            }
            if let Some(namespace) = resource.id.name().namespace() {
                let namespace = resource
                    .after
                    .iter()
                    .any(|id| id.kind().as_str() == "Namespace" && id.name().as_str() == namespace);
                assert!(namespace, "{} does not wait for its namespace", resource.id);
            }
        }
    }
}

/// What a pod mounts, runs as or is fenced by is there before it.
#[test]
fn pods_start_after_all_they_name() {
    for (name, wanted) in fixtures() {
        let all = resources(&wanted).unwrap();
        let by_id: BTreeMap<&ResourceId, &Resource> = all.iter().map(|resource| (&resource.id, resource)).collect();
        let mut checked = 0;
        for workload in all.iter().filter(|one| pod_template(&one.desired).is_some()) {
            let mut before = BTreeSet::new();
            let mut queue = vec![workload];
            while let Some(next) = queue.pop() {
                for id in next.dependencies() {
                    if before.insert(id.clone()) {
                        queue.push(by_id[&id]);
                    }
                }
            }
            let namespace = workload.id.name().namespace().unwrap();
            let mut needed = named_objects(&workload.desired["spec"]["template"]["spec"]);
            needed.push(("NetworkPolicy.networking.k8s.io".to_owned(), "default-deny".to_owned()));
            needed.push(("ResourceQuota".to_owned(), "quota".to_owned()));
            for (kind, object) in needed {
                let found = before
                    .iter()
                    .any(|id| id.kind().as_str() == kind && id.name().as_str() == format!("{namespace}/{object}"));
                assert!(found, "{name}: {} starts before {kind} {object}", workload.id);
                checked += 1;
            }
        }
        assert!(checked > 30, "{name}: only {checked} checked");
    }
}

fn named_objects(spec: &Value) -> Vec<(String, String)> {
    let mut found = vec![(
        "ServiceAccount".to_owned(),
        spec["serviceAccountName"].as_str().unwrap().to_owned(),
    )];
    let mut queue = vec![&spec["volumes"]];
    while let Some(value) = queue.pop() {
        match value {
            Value::Array(items) => queue.extend(items),
            Value::Object(map) => {
                for (key, child) in map {
                    let name = child
                        .get("name")
                        .or_else(|| child.get("secretName"))
                        .and_then(Value::as_str);
                    match (key.as_str(), name) {
                        ("configMap", Some(name)) => found.push(("ConfigMap".to_owned(), name.to_owned())),
                        ("secret", Some(name)) => found.push(("Secret".to_owned(), name.to_owned())),
                        _ => queue.push(child),
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// The API server owns nulls and empty lists as leaves but does not keep them: every plan would show them anew.
#[test]
fn nothing_is_null_or_an_empty_list_or_an_odd_quantity() {
    fn walk(path: &str, value: &Value, wrong: &mut Vec<String>) {
        match value {
            Value::Null => wrong.push(path.to_owned()),
            Value::Array(items) if items.is_empty() => wrong.push(path.to_owned()),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if path.ends_with("/env") && item.get("value") == Some(&Value::from("")) {
                        wrong.push(format!("{path}/{index}"));
                    }
                    if path.ends_with("/ports") && item.get("protocol").is_none() {
                        wrong.push(format!("{path}/{index}"));
                    }
                    walk(&format!("{path}/{index}"), item, wrong);
                }
            }
            Value::Object(map) => {
                for (key, child) in map {
                    let quantity = ["/requests", "/limits", "/hard", "/default", "/defaultRequest"]
                        .iter()
                        .any(|end| path.ends_with(end));
                    if quantity && child.is_string() && !is_canonical(child.as_str().unwrap()) {
                        wrong.push(format!("{path}/{key} {child}"));
                    }
                    walk(&format!("{path}/{key}"), child, wrong);
                }
            }
            _ => {}
        }
    }
    fn is_canonical(quantity: &str) -> bool {
        let digits = quantity.trim_end_matches(char::is_alphabetic);
        let unit = &quantity[digits.len()..];
        let Ok(number) = digits.parse::<u64>() else {
            return false;
        };
        match unit {
            "" => digits == number.to_string(),
            "m" => !number.is_multiple_of(1000),
            "Mi" | "Gi" => !number.is_multiple_of(1024),
            "Ti" => true,
            _ => false,
        }
    }
    for (_, wanted) in fixtures() {
        for resource in resources(&wanted).unwrap() {
            let mut wrong = Vec::new();
            // Schemas are data, not wishes.
            if resource.id.kind().as_str() == "CustomResourceDefinition.apiextensions.k8s.io" {
                continue;
            }
            walk("", &resource.desired, &mut wrong);
            assert!(wrong.is_empty(), "{}: {wrong:?}", resource.id);
            assert!(resource.desired.get("apiVersion").is_none() && resource.desired.get("kind").is_none());
            assert!(resource.desired["metadata"].get("name").is_none());
        }
    }
}

/// The longest prefix and names that are not refused give objects that the API server takes.
#[test]
fn names_stay_within_limits() {
    let longest = "a".repeat(63 - "-prod-12345678".len() - 1);
    let prefix = format!("{}-", "p".repeat(63 - "backup-store".len() - 1));
    let mut wanted = Wanted::local();
    wanted.context = Context {
        security: wanted.context.security.clone(),
        ..Context::new(&longest, Environment::Prod, &prefix)
    };
    for name in ["postgres", "redis", "minio"] {
        wanted
            .context
            .names
            .insert(name.to_owned(), format!("{name}{}", "x".repeat(40 - name.len())));
    }
    wanted.storage.buckets = vec![BucketSpec::new("b".repeat(63))];
    let mut labels = 0;
    for resource in resources(&wanted).unwrap() {
        let kind = resource.id.kind().as_str();
        let max = match kind {
            "Namespace" | "Service" | "Job.batch" => 63,
            // The controller adds `-` and ten characters to it in a label of its pods.
            "StatefulSet.apps" => 52,
            _ => 253,
        };
        let name = resource.id.name().base();
        assert!(name.len() <= max, "{kind} {name}: {} characters", name.len());
        let namespace = resource.id.name().namespace().unwrap_or_default();
        assert!(namespace.len() <= 63, "{namespace}");
        let mut queue = vec![&resource.desired];
        while let Some(value) = queue.pop() {
            if let Some(map) = value.get("labels").and_then(Value::as_object) {
                for value in map.values() {
                    assert!(value.as_str().unwrap().len() <= 63, "{} label {value}", resource.id);
                    labels += 1;
                }
            }
            queue.extend(value.as_object().into_iter().flat_map(serde_json::Map::values));
        }
    }
    assert!(labels > 100, "{labels}");

    wanted.context.namespace_prefix.push('p');
    assert_eq!(resources(&wanted).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn what_cannot_be_had_is_refused_before_any_call() {
    type Change = fn(&mut Wanted);
    let cases: [(&str, ErrorKind, Change); 16] = [
        ("PostgreSQL 12", ErrorKind::Unsupported, |w| {
            w.database.version = "12".to_owned();
        }),
        ("a standby", ErrorKind::Unsupported, |w| w.database.multi_az = true),
        ("deletion protection", ErrorKind::Unsupported, |w| {
            w.database.deletion_protection = true;
        }),
        ("an instance class", ErrorKind::Unsupported, |w| {
            w.database.instance_class = Some("db.t4g.micro".to_owned());
        }),
        ("too few connections", ErrorKind::Invalid, |w| {
            w.database.max_connections = 8;
        }),
        ("a short password", ErrorKind::Invalid, |w| {
            w.database.password_length = 8;
        }),
        ("too little memory", ErrorKind::Invalid, |w| w.database.memory = mib(64)),
        ("read replicas", ErrorKind::Unsupported, |w| w.cache.replicas = 2),
        ("a node type", ErrorKind::Unsupported, |w| {
            w.cache.node_type = Some("cache.t4g.micro".to_owned());
        }),
        ("Valkey 3", ErrorKind::Unsupported, |w| {
            w.cache.version = Some("3".to_owned());
        }),
        ("a bucket for a shell", ErrorKind::Invalid, |w| {
            w.storage.buckets = vec![BucketSpec::new("a$(reboot)")];
        }),
        ("a bucket like an address", ErrorKind::Invalid, |w| {
            w.storage.buckets = vec![BucketSpec::new("10.0.0.1")];
        }),
        ("a bucket twice", ErrorKind::Invalid, |w| {
            w.storage.buckets.push(BucketSpec::new("models"));
        }),
        ("expiry of no versions", ErrorKind::Invalid, |w| {
            w.storage.buckets[0].versioning = false;
        }),
        ("a namespace in upper case", ErrorKind::Invalid, |w| {
            w.context.security.allow.push(AllowRule {
                namespace: "ML".to_owned(),
                labels: BTreeMap::new(),
                to: vec![Capability::Cache],
            });
        }),
        ("a supplied CA", ErrorKind::Invalid, |w| {
            let supplied = Supplied {
                supplied: "X".to_owned(),
                revision: 1,
            };
            w.context
                .security
                .secrets
                .insert("certificate-authority".to_owned(), supplied);
        }),
    ];
    for (what, kind, change) in cases {
        let mut wanted = Wanted::local();
        change(&mut wanted);
        let error = resources(&wanted).unwrap_err();
        assert_eq!(error.kind(), kind, "{what}: {error:?}");
        assert!(
            error.help().is_some_and(|help| !help.is_empty()),
            "{what} gives no help"
        );
    }
}

/// Velero gives a backup the labels of its template, or those of the schedule: with the set's mark on it, the next plan
/// would take every backup for a member that nobody asks for.
#[test]
fn backups_never_carry_the_marks_of_the_set() {
    for (name, wanted) in fixtures() {
        let all = resources(&wanted).unwrap();
        let schedule = all
            .iter()
            .find(|one| one.id.kind().as_str() == "Schedule.velero.io")
            .unwrap();
        let template = &schedule.desired["spec"]["template"];
        let labels = template["metadata"]["labels"].as_object().unwrap();
        assert!(
            !labels.is_empty(),
            "{name}: without labels Velero copies those of the schedule"
        );
        assert!(
            labels
                .keys()
                .all(|key| !key.contains("mlplat.dev") && !key.contains("applyset")),
            "{name}: {labels:?}"
        );
        assert_ne!(schedule.desired["spec"]["useOwnerReferencesInBackup"], true);
        assert!(
            !template["includedNamespaces"].as_array().unwrap().is_empty(),
            "{name}: none is all of the cluster"
        );
    }
}

/// Data, the passwords that open it and the namespace around both outlive the wish for them; nothing else does.
#[test]
fn data_and_its_keys_outlive_their_block() {
    for resource in resources(&Wanted::strict()).unwrap() {
        let kept = match resource.id.kind().as_str() {
            "Namespace" | "PersistentVolumeClaim" | "CustomResourceDefinition.apiextensions.k8s.io" => true,
            "Secret" => {
                let name = resource.id.name().base();
                !name.ends_with("-tls") && !["ca-certificate", "velero-s3", "velero-s3-ca"].contains(&name)
            }
            _ => false,
        };
        assert_eq!(resource.on_removal == OnRemoval::Retain, kept, "{}", resource.id);
        let holds = match (resource.id.kind().as_str(), resource.id.name().base()) {
            ("PersistentVolumeClaim", "data-redis-0") => Some(Holds::Rebuildable),
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
    assert_eq!(checked, 3);
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

/// Another content is another Job; the same content is the same one, whatever else changes around it.
#[test]
fn jobs_are_named_by_their_content() {
    fn jobs(wanted: &Wanted) -> BTreeSet<String> {
        resources(wanted)
            .unwrap()
            .iter()
            .filter(|one| one.id.kind().as_str() == "Job.batch")
            .map(|one| one.id.name().base().to_owned())
            .collect()
    }
    let before = jobs(&Wanted::local());
    assert_eq!(before.len(), 3);
    let mut changed = Wanted::local();
    changed.storage.buckets[0].versioning = false;
    changed.storage.buckets[0].expire_noncurrent = None;
    let after = jobs(&changed);
    assert_eq!(
        before.intersection(&after).count(),
        2,
        "only the buckets' Job is another: {before:?} {after:?}"
    );
    let mut unrelated = Wanted::local();
    unrelated.storage.capacity = gib(40);
    unrelated.database.max_connections = 300;
    assert_eq!(jobs(&unrelated), before);
}

/// Used alone, a capability lives in its own namespace with its own authority and fence, and leads nowhere else.
#[test]
fn a_capability_used_alone_is_complete() {
    let wanted = Wanted::local();
    let stack = stack(&wanted.options);
    let context = Context::alone("orders", Capability::Database).unwrap();
    let blueprint = stack.database().unwrap().blueprint(&wanted.database, &context).unwrap();
    let ids: BTreeSet<_> = blueprint.resources.iter().map(|one| one.id.clone()).collect();
    let has = |kind: &str, name: &str| {
        ids.iter()
            .any(|id| id.kind().as_str() == kind && id.name().as_str() == name)
    };
    assert!(has("Namespace", "orders-database"));
    assert!(has("Secret", "orders-database/certificate-authority"));
    assert!(has("NetworkPolicy.networking.k8s.io", "orders-database/default-deny"));
    assert!(has("StatefulSet.apps", "orders-database/postgres"));
    for resource in &blueprint.resources {
        assert!(resource.dependencies().is_subset(&ids), "{}", resource.id);
    }
    assert_eq!(blueprint.outputs["host"], "postgres.orders-database.svc");
    assert_eq!(
        blueprint.outputs["credentials"]["location"],
        "Secret orders-database/postgres-credentials"
    );
    let foundation = stack.foundation(&BTreeSet::new(), &context).unwrap();
    assert!(foundation.is_empty(), "nothing wanted here, nothing made");
}

/// Names, tags and prefix of the config arrive where a platform made by others has them.
#[test]
fn names_and_tags_are_the_callers() {
    let mut wanted = Wanted::strict();
    wanted.context.names = BTreeMap::from([
        ("postgres".to_owned(), "pg-main".to_owned()),
        ("cache".to_owned(), "caches".to_owned()),
    ]);
    wanted
        .context
        .tags
        .insert("app.kubernetes.io/name".to_owned(), "mine".to_owned());
    let all = resources(&wanted).unwrap();
    let find = |kind: &str, name: &str| {
        all.iter()
            .find(|one| one.id.kind().as_str() == kind && one.id.name().as_str() == name)
            .unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    let server = find("StatefulSet.apps", "two-database/pg-main");
    find("PersistentVolumeClaim", "two-database/data-pg-main-0");
    find("Secret", "two-database/pg-main-credentials");
    find("StatefulSet.apps", "caches/redis");
    let metadata = &server.desired["metadata"];
    assert_eq!(metadata["labels"]["team"], "ml");
    assert_eq!(
        metadata["labels"]["app.kubernetes.io/name"], "pg-main",
        "our own labels are not a caller's"
    );
    let annotations = metadata["annotations"].as_object().unwrap();
    assert!(
        annotations.values().any(|value| value == "4711 / research"),
        "{annotations:?}"
    );
    // A changed tag must not restart a server.
    assert!(
        server.desired["spec"]["template"]["metadata"]["labels"]
            .get("team")
            .is_none()
    );
    assert_eq!(
        context(&wanted)
            .unwrap()
            .surfaces
            .workload("pg-main")
            .unwrap()
            .namespace,
        "two-database"
    );
}
