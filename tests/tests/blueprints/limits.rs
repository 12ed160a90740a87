//! What is refused before any call, and what is not fits.

use platform_core::value::{Span, Supplied, gib, mib};
use platform_core::{
    AllowRule, BucketSpec, Capability, Context, Environment, ErrorKind, LimitSpec, PodSecurity, QuotaSpec, SecuritySpec,
};
use platform_tests::manifests::{Wanted, resources};
use serde_json::{Value, json};
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
        let mut queue = vec![&*resource.desired];
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
        ("a sixth read replica", ErrorKind::Invalid, |w| w.cache.replicas = 6),
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

/// A quota or limit that the platform's own pods don't fit into is refused at its key of the config, with the least
/// that fits; that least is not refused.
#[test]
fn limits_below_the_platforms_own_pods_are_refused() {
    let quota = |cpu_milli, memory, pods, storage| QuotaSpec {
        cpu_milli,
        memory,
        pods,
        storage,
    };
    let most = |max_cpu_milli, max_memory| LimitSpec {
        max_cpu_milli,
        max_memory,
        ..LimitSpec::default()
    };
    let refused = |security: SecuritySpec| {
        let mut wanted = Wanted::local();
        wanted.context.security = security;
        resources(&wanted).err().map(|error| {
            let key = error.context().iter().find(|(name, _)| *name == "config");
            let key = key.map(|(_, key)| key.clone()).unwrap_or_default();
            (key, error.help().unwrap_or_default().to_owned())
        })
    };
    let security = || Wanted::local().context.security;
    let cases = [
        (
            security().with_quota("database", quota(Some(1000), None, None, None)),
            ("security.quotas.database.cpu", "write at least 1200m"),
        ),
        (
            security().with_quota("cache", quota(None, Some(mib(256)), None, None)),
            ("security.quotas.cache.memory", "write at least 320Mi"),
        ),
        (
            security().with_quota("storage", quota(None, None, Some(1), None)),
            ("security.quotas.storage.pods", "write at least 2"),
        ),
        (
            security().with_quota("monitoring", quota(None, None, Some(3), None)),
            ("security.quotas.monitoring.pods", "write at least 4"),
        ),
        (
            security().with_quota("backup-store", quota(None, None, None, Some(gib(1)))),
            ("security.quotas.backup-store.storage", "write at least 20Gi"),
        ),
        (
            security().with_limits("database", most(Some(500), None)),
            ("security.limits.database.max_cpu", "write at least 1"),
        ),
        (
            {
                let mut security = security();
                security.default_limits = most(None, Some(mib(128)));
                security
            },
            ("security.default_limits.max_memory", "write at least 1Gi"),
        ),
    ];
    for (security, (key, help)) in cases {
        assert_eq!(refused(security), Some((key.to_owned(), help.to_owned())));
    }
    for fits in [
        security().with_quota("database", quota(Some(1200), None, Some(2), Some(gib(10)))),
        security().with_quota("security", quota(Some(1), Some(mib(1)), Some(1), None)),
        security().with_limits("database", most(Some(1000), Some(gib(1)))),
    ] {
        assert_eq!(refused(fits), None);
    }
}

/// Levels, quotas and limits reach the namespace that they are for, behind the platform's prefix, and no other.
#[test]
fn levels_quotas_and_limits_are_by_namespace() {
    let mut wanted = Wanted::strict();
    let security = &mut wanted.context.security;
    security.quota_factor = 3;
    security.pod_security_overrides = BTreeMap::from([("cache".to_owned(), PodSecurity::Baseline)]);
    let small = LimitSpec {
        max_cpu_milli: Some(1000),
        max_memory: Some(gib(1)),
        cpu_milli: Some(2000),
        ..LimitSpec::default()
    };
    security.limits.insert("cache".to_owned(), small);
    let resources = resources(&wanted).unwrap();
    let find = |id: &str| {
        let found = resources
            .iter()
            .find(|one| one.id.to_string() == format!("k8s/main:{id}"));
        &found.unwrap_or_else(|| panic!("no {id}")).desired
    };
    let enforced = |namespace: &str| {
        find(&format!("Namespace/{namespace}"))["metadata"]["labels"]["pod-security.kubernetes.io/enforce"].clone()
    };
    let levels = ["two-cache", "two-database", "two-backup", "two-security"].map(enforced);
    assert_eq!(levels, ["baseline", "restricted", "privileged", "restricted"]);
    let limits = |namespace: &str| find(&format!("LimitRange/{namespace}/limits"))["spec"]["limits"][0].clone();
    assert_eq!(
        limits("two-cache"),
        json!({
            "type": "Container", "default": { "cpu": "1", "memory": "256Mi" },
            "defaultRequest": { "cpu": "100m", "memory": "64Mi" }, "max": { "cpu": "1", "memory": "1Gi" },
        })
    );
    assert_eq!(
        limits("two-database"),
        json!({
            "type": "Container", "default": { "cpu": "500m", "memory": "256Mi" },
            "defaultRequest": { "cpu": "50m", "memory": "64Mi" },
        })
    );
    let quota = |namespace: &str| find(&format!("ResourceQuota/{namespace}/quota"))["spec"]["hard"].clone();
    assert_eq!(quota("two-database")["pods"], "7");
    assert_eq!(quota("two-database")["requests.storage"], "300Gi");
    assert_eq!(quota("two-security")["limits.cpu"], "1500m");
}
