//! Names, edges and determinism.

use platform_core::value::{ResourceId, gib};
use platform_core::{Capability, Context, Resource, Stack};
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
                        _ if child["optional"] == true => {}
                        // Kubernetes puts it into every namespace.
                        ("configMap", Some("kube-root-ca.crt")) => {}
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
            Value::Object(map) if map.is_empty() && path.ends_with("/matchLabels") => wrong.push(path.to_owned()),
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

    // Agents on the nodes never share a namespace with what Pod Security confines.
    let context = Context::alone("orders", Capability::Monitoring).unwrap();
    let monitoring = stack.monitoring().unwrap();
    let blueprint = monitoring.blueprint(&wanted.monitoring, &context).unwrap();
    let ids: BTreeSet<_> = blueprint.resources.iter().map(|one| one.id.clone()).collect();
    for resource in &blueprint.resources {
        assert!(resource.dependencies().is_subset(&ids), "{}", resource.id);
    }
    for (kind, name) in [
        ("StatefulSet.apps", "orders-monitoring/prometheus"),
        ("Service", "orders-monitoring/prometheus-grafana"),
        ("DaemonSet.apps", "orders-monitoring-node/node-exporter"),
        ("ClusterRole.rbac.authorization.k8s.io", "orders-monitoring-prometheus"),
    ] {
        let found = ids
            .iter()
            .any(|id| id.kind().as_str() == kind && id.name().as_str() == name);
        assert!(found, "no {kind} {name}");
    }
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
