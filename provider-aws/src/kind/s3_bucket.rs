//! `s3.Bucket`: a bucket with all its settings. It is never emptied by this library: a bucket with objects in it refuses its
//! deletion.

mod facts;
mod lifecycle;
mod settings;
mod write;

use super::{AwsKind, Found, Reach, yes};
use crate::error::{Outcome, code};
use crate::names;
use crate::policy;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use aws_sdk_s3::types::{BucketLocationConstraint, BucketNamespace, CreateBucketConfiguration, Tag, Tagging};
use facts::FACTS;
use lifecycle::Rule;
use platform_core::value::{SetId, Uid};
use platform_core::{Error, ErrorKind, KindFacts, Result, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What CloudWatch's request metrics of a whole bucket are called by S3's console, too.
pub(crate) const WHOLE_BUCKET: &str = "EntireBucket";

/// Characters of a bucket's name at most.
pub(crate) const MAX_NAME: usize = 63;

/// How the names of buckets end that lie in an account's own namespace, where nobody else can take them.
pub(crate) fn account_tail(account: &str, region: &str) -> String {
    format!("-{account}-{region}-an")
}

#[derive(Debug)]
pub(crate) struct Bucket;

/// Every setting of a bucket. Left out, each has the value that a security review asks for; only the KMS key and the
/// log bucket have to be named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    #[serde(default)]
    encryption: Encryption,
    #[serde(default = "yes")]
    versioning: bool,
    #[serde(default)]
    public_access_block: PublicAccessBlock,
    /// Objects belong to the bucket's owner, whoever wrote them; ACLs mean nothing.
    #[serde(default = "yes")]
    acls_disabled: bool,
    /// Requests without TLS are denied.
    #[serde(default = "yes")]
    tls_only: bool,
    /// Further statements of the bucket policy.
    #[serde(default)]
    statements: Vec<Value>,
    /// Rules by id. Default: uploads that were never completed are dropped after 7 days.
    #[serde(default = "lifecycle::default")]
    lifecycle: BTreeMap<String, Rule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    logging: Option<Logging>,
    /// Events go to EventBridge.
    #[serde(default = "yes")]
    event_bridge: bool,
    /// CloudWatch's request metrics of the whole bucket, under the filter `EntireBucket`. They cost as custom metrics do.
    #[serde(default)]
    request_metrics: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object_lock: Option<ObjectLock>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replication: Option<Replication>,
}

/// Default encryption of new objects: with the KMS key if there is one, else with S3's own keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Encryption {
    /// Key ARN. S3's log delivery cannot write to a bucket with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kms_key: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicAccessBlock {
    #[serde(default = "yes")]
    block_acls: bool,
    #[serde(default = "yes")]
    ignore_acls: bool,
    #[serde(default = "yes")]
    block_policies: bool,
    #[serde(default = "yes")]
    restrict_buckets: bool,
}

impl Default for PublicAccessBlock {
    fn default() -> Self {
        Self::all(true)
    }
}

impl PublicAccessBlock {
    fn all(on: bool) -> Self {
        Self {
            block_acls: on,
            ignore_acls: on,
            block_policies: on,
            restrict_buckets: on,
        }
    }
}

/// Server access logs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Logging {
    bucket: String,
    #[serde(default)]
    prefix: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectLock {
    /// `GOVERNANCE` or `COMPLIANCE`.
    mode: String,
    /// Days of retention of a new object.
    days: i32,
}

/// Replication of all objects to one other bucket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replication {
    /// ARN of the role that S3 takes on.
    role: String,
    /// ARN of the other bucket.
    bucket: String,
    /// ARN of the key in the other region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kms_key: Option<String>,
}

impl Desired {
    /// The control bucket's settings: kilobytes, no versions, no key of ours to depend on.
    pub(crate) fn control() -> Self {
        Self {
            versioning: false,
            event_bridge: false,
            ..Self::usual()
        }
    }

    fn usual() -> Self {
        Self {
            encryption: Encryption::default(),
            versioning: true,
            public_access_block: PublicAccessBlock::default(),
            acls_disabled: true,
            tls_only: true,
            statements: Vec::new(),
            lifecycle: lifecycle::default(),
            logging: None,
            event_bridge: true,
            request_metrics: false,
            object_lock: None,
            replication: None,
        }
    }

    /// A new bucket before any setting was written.
    fn bare() -> Self {
        Self {
            versioning: false,
            public_access_block: PublicAccessBlock::all(false),
            acls_disabled: false,
            tls_only: false,
            lifecycle: BTreeMap::new(),
            event_bridge: false,
            ..Self::usual()
        }
    }
}

fn arn(scope: &Scope<'_>, name: &str) -> String {
    format!("arn:{}:s3:::{name}", scope.account.partition)
}

/// Whether a bucket that may not be looked at is the account's own: then a right is missing.
async fn is_ours(scope: &Scope<'_>, name: &str) -> Result<bool> {
    let answer = scope
        .clients
        .s3
        .list_buckets()
        .prefix(name)
        .send()
        .await
        .during("s3:ListBuckets")?;
    Ok(answer.buckets().iter().any(|bucket| bucket.name() == Some(name)))
}

fn tls_statement(scope: &Scope<'_>, name: &str) -> Value {
    let arn = arn(scope, name);
    policy::normal(&json!({
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, format!("{arn}/*")],
        "Condition": { "Bool": { "aws:SecureTransport": "false" } },
    }))
}

fn sdk_tags(tags: &Tags) -> Result<Vec<Tag>> {
    tags.iter()
        // AWS's own tags are kept by AWS and refused in a request.
        .filter(|(key, _)| !key.starts_with("aws:"))
        .map(|(key, value)| {
            Tag::builder()
                .key(key)
                .value(value)
                .build()
                .map_err(|cause| Error::new(ErrorKind::Internal, format!("tag {key}: {cause}")))
        })
        .collect()
}

#[async_trait]
impl AwsKind for Bucket {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["s3:::{name}"]);
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        let invalid = |what: &str, help: &str| Err(Error::new(ErrorKind::Invalid, what).with_help(help));
        for (id, rule) in &wanted.lifecycle {
            rule.check(id)?;
        }
        if wanted.object_lock.is_some() && !wanted.versioning {
            return invalid("object_lock without versioning", "turn versioning on");
        }
        if wanted.replication.is_some() && !wanted.versioning {
            return invalid("replication without versioning", "turn versioning on");
        }
        wanted.statements = policy::normals(&wanted.statements);
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let head = scope
            .clients
            .s3
            .head_bucket()
            .bucket(name)
            .expected_bucket_owner(&scope.account.id)
            .send()
            .await;
        let stranger = match &head {
            Ok(_) => None,
            Err(error) => match code(error) {
                "NotFound" | "NoSuchBucket" | "404" => return Ok(None),
                "403" | "Forbidden" | "AccessDenied" => {
                    if is_ours(scope, name).await? {
                        head.during("s3:HeadBucket")?;
                    }
                    Some("another AWS account".to_owned())
                }
                "301" | "PermanentRedirect" => Some("a bucket of this name in another region".to_owned()),
                _ => {
                    head.during("s3:HeadBucket")?;
                    None
                }
            },
        };
        let mut found = Found {
            uid: Uid::new(format!("bucket:{name}")),
            handle: name.to_owned(),
            settings: Desired::bare(),
            tags: Tags::new(),
            outputs: BTreeMap::from([
                ("arn".to_owned(), Value::String(arn(scope, name))),
                ("name".to_owned(), Value::String(name.to_owned())),
                ("region".to_owned(), Value::String(scope.region.to_owned())),
            ]),
            state: State::Ready,
            doomed: None,
            stranger,
            version: None,
        };
        if found.stranger.is_none() {
            let read = settings::Reader { scope, name };
            (found.settings, found.tags) = futures::try_join!(read.all(), read.tags())?;
            found.uid = tags::incarnation(&found.tags, found.uid.as_str());
        }
        Ok(Some(found))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let tail = account_tail(&scope.account.id, scope.region);
        let start = names::start(scope.name_prefix(), MAX_NAME.saturating_sub(tail.len()));
        let mut names = Vec::new();
        let mut pages = scope
            .clients
            .s3
            .list_buckets()
            .prefix(start)
            .bucket_region(scope.region)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.during("s3:ListBuckets")?;
            names.extend(
                page.buckets()
                    .iter()
                    .filter_map(|bucket| bucket.name())
                    .filter(|name| name.starts_with(start))
                    .map(str::to_owned),
            );
        }
        // Buckets whose name the config overrides. The tagging API only names candidates: each is read itself.
        for (arn, _) in scope.tagged_of_set("s3").await? {
            names.extend(arn.rsplit(':').next().map(str::to_owned));
        }
        Ok(names)
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        // A bucket has no id of its own, and its creation date moves when its policy is edited.
        let tags = tags::born(tags);
        let mut configuration = CreateBucketConfiguration::builder().set_tags(Some(sdk_tags(&tags)?));
        if scope.region != "us-east-1" {
            configuration = configuration.location_constraint(BucketLocationConstraint::from(scope.region));
        }
        let mut call = scope
            .clients
            .s3
            .create_bucket()
            .bucket(name)
            .create_bucket_configuration(configuration.build());
        if name.ends_with(&account_tail(&scope.account.id, scope.region)) {
            call = call.bucket_namespace(BucketNamespace::AccountRegional);
        }
        if wanted.object_lock.is_some() {
            call = call.object_lock_enabled_for_bucket(true);
        }
        call.send().await.during("s3:CreateBucket")?;
        // There a create of a bucket that the account has already is answered with 200 and does nothing.
        if scope.region == "us-east-1" {
            let found = settings::Reader { scope, name }.tags().await?;
            if tags::ours(&found, tags::UID) != tags::ours(&tags, tags::UID) {
                return Err(
                    Error::new(ErrorKind::Conflict, "a bucket of this name was made since we looked")
                        .with_help("plan again"),
                );
            }
        }
        // Request metrics follow as a difference, where S3 shows whether they are on.
        let bare = Desired {
            request_metrics: wanted.request_metrics,
            ..Desired::bare()
        };
        write::write(scope, name, &bare, wanted).await
    }

    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        write::write(scope, name, &found.settings, wanted).await
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        // One call replaces all of them.
        let mut tags = found.tags.clone();
        tags.extend(put.clone());
        tags.retain(|key, _| !remove.contains(key));
        let tagging = Tagging::builder()
            .set_tag_set(Some(sdk_tags(&tags)?))
            .build()
            .map_err(|cause| Error::new(ErrorKind::Internal, format!("tags: {cause}")))?;
        scope
            .clients
            .s3
            .put_bucket_tagging()
            .bucket(&found.handle)
            .expected_bucket_owner(&scope.account.id)
            .tagging(tagging)
            .send()
            .await
            .during("s3:PutBucketTagging")?;
        Ok(())
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        scope
            .clients
            .s3
            .delete_bucket()
            .bucket(&found.handle)
            .expected_bucket_owner(&scope.account.id)
            .send()
            .await
            .absent("s3:DeleteBucket", &["NoSuchBucket"])?;
        Ok(())
    }
}
