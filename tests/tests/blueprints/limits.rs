//! What is refused before any call, and what is not fits.

use platform_core::value::{Span, Supplied, mib};
use platform_core::{AllowRule, BucketSpec, Capability, Context, Environment, ErrorKind};
use platform_tests::manifests::{Wanted, resources};
use serde_json::Value;
use std::collections::BTreeMap;

/// The longest prefix and names that are not refused give objects that the API server takes.
#[test]
fn names_stay_within_limits() {
    let longest = "a".repeat(63 - "-prod-12345678".len() - 1);
    let prefix = format!("{}-", "p".repeat(63 - "monitoring-node".len() - 1));
    let mut wanted = Wanted::local();
    wanted.context = Context {
        security: wanted.context.security.clone(),
        ..Context::new(&longest, Environment::Prod, &prefix)
    };
    for (name, letter) in [
        ("postgres", "x"),
        ("redis", "x"),
        ("minio", "x"),
        ("prometheus", "x"),
        ("alertmanager", "x"),
        ("prometheus-grafana", "y"),
        ("kube-state-metrics", "x"),
        ("node-exporter", "x"),
    ] {
        wanted
            .context
            .names
            .insert(name.to_owned(), format!("{name}{}", letter.repeat(40 - name.len())));
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
    let cases: [(&str, ErrorKind, Change); 19] = [
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
        ("metrics of an hour", ErrorKind::Invalid, |w| {
            w.monitoring.retention = Span::hours(1);
        }),
        ("metrics in little memory", ErrorKind::Invalid, |w| {
            w.monitoring.memory = mib(64);
        }),
        ("metrics on a small volume", ErrorKind::Invalid, |w| {
            w.monitoring.storage = mib(512);
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
