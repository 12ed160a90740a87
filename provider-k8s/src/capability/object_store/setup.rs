//! What is set up in a store once it runs: buckets, and the user of the applications.

use super::{BUCKETS, Keys, ObjectStore};
use crate::capability::stateful::Job;
use crate::flavour::CREDENTIALS;
use crate::object::Scope;
use crate::pod::{Container, Resources, config_volume, scratch_volume, secret_volume};
use platform_core::value::{DOMAIN, Size, Span};
use platform_core::{BucketSpec, Resource, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The Job that makes them once for every content.
pub(super) fn job(store: &ObjectStore<'_>, keys: &Keys<'_>) -> Result<Job> {
    let ObjectStore { scope, name, setup, .. } = *store;
    let buckets = &store.spec.buckets;
    let endpoint = store.endpoint();
    let access_key = store.access_key();
    let mut env = BTreeMap::from([
        ("BUCKETS", BUCKETS),
        ("CA", "/etc/store/ca/ca.crt"),
        ("ENDPOINT", endpoint.as_str()),
        ("SCRATCH", "/tmp"),
        ("SECRETS", CREDENTIALS),
    ]);
    let mut scripts = json!({ "setup.sh": include_str!("../storage/setup.sh") });
    let secret = |secret: &str, items: Value| json!({ "secret": { "name": secret, "items": items } });
    let mut credentials = vec![secret(
        &keys.server,
        json!([
            { "key": "access-key", "path": "access-key" },
            { "key": "secret-key", "path": "secret-key" },
        ]),
    )];
    if let Some(application) = &keys.application {
        scripts["policy.json"] = json!(policy(buckets).to_string());
        env.extend([
            ("APPLICATION", access_key.as_str()),
            ("POLICY", "/etc/store/scripts/policy.json"),
        ]);
        let (made_in, made_as) = application.source();
        credentials.push(secret(
            &made_in,
            json!([{ "key": made_as, "path": "application/secret-key" }]),
        ));
    }
    let mut inputs = vec![scope.object("ConfigMap", setup, setup, json!({ "data": scripts }))?];
    let mut sources = Vec::new();
    for bucket in buckets {
        let record = bucket_record(scope, setup, bucket)?;
        sources.push(json!({ "configMap": { "name": record.id.name().base(), "items": [
            { "key": "lifecycle.json", "path": format!("{}/lifecycle.json", bucket.name) },
            { "key": "versioning", "path": format!("{}/versioning", bucket.name) },
        ]}}));
        inputs.push(record);
    }
    Ok(Job {
        name: setup,
        containers: vec![
            Container::new(
                "setup",
                store.shared.options.images.image("mc", None)?,
                Resources::client(),
            )
            .command(["/bin/sh", "/etc/store/scripts/setup.sh"])
            .env(env)
            .mount("tmp", "/tmp")
            .mount_read_only("scripts", "/etc/store/scripts")
            .mount_read_only("buckets", BUCKETS)
            .mount_read_only("credentials", CREDENTIALS)
            .mount_read_only("ca", "/etc/store/ca"),
        ],
        volumes: vec![
            scratch_volume("tmp", Size::mib(16), true),
            config_volume("scripts", setup, &[]),
            json!({ "name": "buckets", "projected": { "defaultMode": 0o444, "sources": sources } }),
            json!({ "name": "credentials", "projected": { "defaultMode": 0o440, "sources": credentials } }),
            secret_volume("ca", &format!("{name}-tls"), &[("ca.crt", "ca.crt")]),
        ],
        inputs,
    })
}

/// What the applications' key may do: read, write and list in the described buckets, and take nothing away for good
/// where versions are kept. It changes no bucket and makes no further key.
fn policy(buckets: &[BucketSpec]) -> Value {
    let within = |suffix: &str| -> Vec<String> {
        let one = |bucket: &BucketSpec| format!("arn:aws:s3:::{}{suffix}", bucket.name);
        buckets.iter().map(one).collect()
    };
    let mut statements = vec![
        json!({ "Effect": "Deny", "Action": ["s3:DeleteObjectVersion"], "Resource": ["arn:aws:s3:::*"] }),
        json!({ "Effect": "Deny", "Action": ["admin:CreateServiceAccount"] }),
    ];
    if !buckets.is_empty() {
        statements.push(json!({
            "Effect": "Allow",
            "Action": [
                "s3:GetBucketLocation",
                "s3:GetBucketVersioning",
                "s3:ListBucket",
                "s3:ListBucketMultipartUploads",
                "s3:ListBucketVersions",
            ],
            "Resource": within(""),
        }));
        statements.push(json!({
            "Effect": "Allow",
            "Action": [
                "s3:AbortMultipartUpload",
                "s3:DeleteObject",
                "s3:DeleteObjectTagging",
                "s3:GetObject",
                "s3:GetObjectTagging",
                "s3:GetObjectVersion",
                "s3:ListMultipartUploadParts",
                "s3:PutObject",
                "s3:PutObjectTagging",
            ],
            "Resource": within("/*"),
        }));
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// What a bucket should be, as an object of its own: a change that protects its objects less is seen in the
/// annotations. Its removal changes nothing in the store.
fn bucket_record(scope: &Scope<'_>, setup: &str, bucket: &BucketSpec) -> Result<Resource> {
    let versioning = if bucket.versioning { "Enabled" } else { "Disabled" };
    // "Never" is the longest span, so that a first expiry counts as a shortened one.
    let days = |span: Option<Span>| span.unwrap_or(Span::MAX).as_days_rounded_up().to_string();
    let annotations = BTreeMap::from([
        (format!("{DOMAIN}/versioning"), versioning.to_owned()),
        (format!("{DOMAIN}/expire-days"), days(bucket.expire)),
        (
            format!("{DOMAIN}/expire-noncurrent-days"),
            days(bucket.expire_noncurrent),
        ),
    ]);
    let data = json!({ "data": { "versioning": versioning, "lifecycle.json": lifecycle(bucket) } });
    scope.annotated(
        "ConfigMap",
        &format!("bucket-{}", bucket.name),
        setup,
        annotations,
        data,
    )
}

/// The lifecycle rules of a bucket as S3 writes them in JSON; an empty text for none.
fn lifecycle(bucket: &BucketSpec) -> String {
    let rule = |id: &str, key: &str, days_key: &str, span: Span| json!({ "ID": id, "Status": "Enabled", "Filter": { "Prefix": "" }, key: { days_key: span.as_days_rounded_up() } });
    let rules: Vec<Value> = [
        bucket.expire.map(|span| rule("expire", "Expiration", "Days", span)),
        bucket.expire_noncurrent.map(|span| {
            rule(
                "expire-noncurrent",
                "NoncurrentVersionExpiration",
                "NoncurrentDays",
                span,
            )
        }),
    ]
    .into_iter()
    .flatten()
    .collect();
    if rules.is_empty() {
        String::new()
    } else {
        json!({ "Rules": rules }).to_string()
    }
}
