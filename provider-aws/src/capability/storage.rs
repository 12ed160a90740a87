//! The platform's objects: buckets of S3.

use crate::aws::Shared;
use crate::draft::Draft;
use async_trait::async_trait;
use platform_core::engine::Engine;
use platform_core::{
    AlarmSubject, Blueprint, BucketSpec, Capability, Context, DataAsset, Endpoint, Holds, Resource, Result, Storage,
    StorageFeatures, StorageOutputs, StorageSpec, Surface,
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The bucket that takes the access logs of the others.
const LOGS: &str = "access-logs";
/// Days that access logs are kept.
const LOG_DAYS: u64 = 90;

/// Buckets of S3.
#[derive(Debug)]
pub(crate) struct AwsStorage(pub(crate) Arc<Shared>);

impl AwsStorage {
    fn draft<'a>(&'a self, context: &'a Context) -> Draft<'a> {
        Draft::new(&self.0, context, Capability::Storage.as_str())
    }
}

fn endpoint(draft: &Draft<'_>) -> String {
    format!("s3.{}.{}", draft.shared.region(), draft.suffix())
}

#[async_trait]
impl Storage for AwsStorage {
    fn features(&self) -> StorageFeatures {
        let mut features = StorageFeatures::default();
        features.versioning = true;
        features.expiry = true;
        features
    }

    fn surface(&self, spec: &StorageSpec, context: &Context) -> Result<Surface> {
        let draft = self.draft(context);
        let mut surface = Surface {
            endpoints: vec![Endpoint {
                name: "s3".to_owned(),
                host: endpoint(&draft),
                port: 443,
                tls: true,
                workload: None,
            }],
            ..Surface::default()
        };
        for bucket in &spec.buckets {
            let name = draft.bucket(&bucket.name);
            // What can be brought back: AWS Backup takes no bucket that keeps no versions.
            if bucket.versioning {
                surface.data.push(DataAsset {
                    id: draft.id("s3.Bucket", &name)?,
                    holds: Holds::Durable,
                    workload: None,
                });
            }
            if spec.request_metrics {
                surface.subjects.push(AlarmSubject {
                    what: "errors".to_owned(),
                    capability: Capability::Storage,
                    limit: None,
                    subject: name,
                });
            }
        }
        Ok(surface)
    }

    fn blueprint(&self, spec: &StorageSpec, context: &Context) -> Result<Blueprint<StorageOutputs>> {
        let draft = self.draft(context);
        let mut resources = self.0.own_foundation(Capability::Storage, context)?;
        if !spec.buckets.is_empty() {
            resources.push(logs(&draft)?);
        }
        for bucket in &spec.buckets {
            resources.push(data(&draft, bucket, spec.request_metrics)?);
        }
        Blueprint::new(
            resources,
            &StorageOutputs {
                endpoint: format!("https://{}", endpoint(&draft)),
                console: None,
                buckets: spec.buckets.iter().map(|bucket| draft.bucket(&bucket.name)).collect(),
                credentials: None,
            },
        )
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }
}

/// Access logs: written by S3 itself, which cannot use a key of ours; it has no log of its own.
fn logs(draft: &Draft<'_>) -> Result<Resource> {
    let name = draft.bucket(LOGS);
    let desired = json!({
        "versioning": false,
        "statements": [{
            "Sid": "AccessLogs",
            "Effect": "Allow",
            "Principal": { "Service": "logging.s3.amazonaws.com" },
            "Action": "s3:PutObject",
            "Resource": format!("{}/*", draft.global_arn("s3", "", &name)),
            "Condition": { "StringEquals": { "aws:SourceAccount": draft.shared.options.account } },
        }],
        "lifecycle": lifecycle(&[("expire", json!({ "expire_days": LOG_DAYS }))]),
    });
    // What was logged is worth keeping longer than the platform.
    Ok(draft.resource(draft.id("s3.Bucket", &name)?, desired))
}

fn data(draft: &Draft<'_>, bucket: &BucketSpec, request_metrics: bool) -> Result<Resource> {
    let mut rules = Vec::new();
    if let Some(age) = bucket.expire {
        rules.push(("expire", json!({ "expire_days": age.as_days_rounded_up() })));
    }
    if let Some(age) = bucket.expire_noncurrent {
        rules.push((
            "expire-noncurrent",
            json!({ "noncurrent_days": age.as_days_rounded_up() }),
        ));
    }
    let logs = draft.bucket(LOGS);
    let desired = json!({
        "encryption": { "kms_key": draft.data_key()? },
        "versioning": bucket.versioning,
        "lifecycle": lifecycle(&rules),
        "logging": { "bucket": logs, "prefix": format!("{}/", bucket.name) },
        "request_metrics": request_metrics,
    });
    Ok(draft
        .resource(draft.id("s3.Bucket", &draft.bucket(&bucket.name))?, desired)
        .with_after(draft.id("s3.Bucket", &logs)?))
}

/// Rules by id, and the one that drops uploads that were never completed.
fn lifecycle(rules: &[(&str, Value)]) -> Value {
    let mut all = Map::from_iter([(
        "abort-incomplete-uploads".to_owned(),
        json!({ "abort_multipart_days": 7 }),
    )]);
    all.extend(rules.iter().map(|(id, rule)| ((*id).to_owned(), rule.clone())));
    Value::Object(all)
}
