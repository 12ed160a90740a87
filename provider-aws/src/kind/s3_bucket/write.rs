//! Writing a bucket's settings.

use super::lifecycle::Rule;
use super::settings::{Reader, is_unknown, on};
use super::{Desired, Encryption, Logging, ObjectLock, PublicAccessBlock, Replication, WHOLE_BUCKET, tls_statement};
use crate::error::Outcome;
use crate::policy;
use crate::provider::Scope;
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, BucketLoggingStatus, BucketVersioningStatus, DefaultRetention,
    DeleteMarkerReplication, DeleteMarkerReplicationStatus, Destination, EncryptionConfiguration,
    EventBridgeConfiguration, LoggingEnabled, MetricsConfiguration, NotificationConfiguration, ObjectLockConfiguration,
    ObjectLockEnabled, ObjectLockRetentionMode, ObjectLockRule, ObjectOwnership, OwnershipControls,
    OwnershipControlsRule, PublicAccessBlockConfiguration, ReplicationConfiguration, ReplicationRule,
    ReplicationRuleFilter, ReplicationRuleStatus, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule, SourceSelectionCriteria, SseKmsEncryptedObjects,
    SseKmsEncryptedObjectsStatus, VersioningConfiguration,
};
use platform_core::{Error, ErrorKind, Result};
use std::collections::BTreeMap;

/// Writes what differs, one after another: S3 aborts changes of one bucket that meet.
pub(super) async fn write(scope: &Scope<'_>, name: &str, have: &Desired, want: &Desired) -> Result<()> {
    let to = Writer(Reader { scope, name });
    if have.public_access_block != want.public_access_block {
        to.public_access_block(&want.public_access_block).await?;
    }
    if have.acls_disabled != want.acls_disabled {
        to.ownership(want.acls_disabled).await?;
    }
    if have.encryption != want.encryption {
        to.encryption(&want.encryption).await?;
    }
    if have.versioning != want.versioning {
        to.versioning(want.versioning).await?;
    }
    if have.object_lock != want.object_lock {
        to.object_lock(want.object_lock.as_ref()).await?;
    }
    if (have.tls_only, &have.statements) != (want.tls_only, &want.statements) {
        to.policy(want).await?;
    }
    if have.lifecycle != want.lifecycle {
        to.lifecycle(&want.lifecycle).await?;
    }
    if have.logging != want.logging {
        to.logging(want.logging.as_ref()).await?;
    }
    if have.event_bridge != want.event_bridge {
        to.event_bridge(want.event_bridge).await?;
    }
    if have.request_metrics != want.request_metrics {
        to.request_metrics(want.request_metrics).await?;
    }
    if have.replication != want.replication {
        to.replication(want.replication.as_ref()).await?;
    }
    Ok(())
}

struct Writer<'a>(Reader<'a>);

/// A builder that lacks a part is a defect of ours.
fn built<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T> {
    result.map_err(|cause| Error::new(ErrorKind::Internal, cause.to_string()))
}

impl Writer<'_> {
    async fn public_access_block(&self, want: &PublicAccessBlock) -> Result<()> {
        on!(self.0, put_public_access_block)
            .public_access_block_configuration(
                PublicAccessBlockConfiguration::builder()
                    .block_public_acls(want.block_acls)
                    .ignore_public_acls(want.ignore_acls)
                    .block_public_policy(want.block_policies)
                    .restrict_public_buckets(want.restrict_buckets)
                    .build(),
            )
            .send()
            .await
            .during("s3:PutPublicAccessBlock")
            .map(drop)
    }

    async fn ownership(&self, enforced: bool) -> Result<()> {
        let rule = built(
            OwnershipControlsRule::builder()
                .object_ownership(if enforced {
                    ObjectOwnership::BucketOwnerEnforced
                } else {
                    ObjectOwnership::BucketOwnerPreferred
                })
                .build(),
        )?;
        on!(self.0, put_bucket_ownership_controls)
            .ownership_controls(built(OwnershipControls::builder().rules(rule).build())?)
            .send()
            .await
            .during("s3:PutBucketOwnershipControls")
            .map(drop)
    }

    async fn encryption(&self, want: &Encryption) -> Result<()> {
        let default = match &want.kms_key {
            Some(key) => ServerSideEncryptionByDefault::builder()
                .sse_algorithm(ServerSideEncryption::AwsKms)
                .kms_master_key_id(key),
            None => ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::Aes256),
        };
        let rule = ServerSideEncryptionRule::builder()
            .apply_server_side_encryption_by_default(built(default.build())?)
            // One data key a bucket instead of one an object: a hundredth of the KMS requests.
            .bucket_key_enabled(want.kms_key.is_some())
            .build();
        on!(self.0, put_bucket_encryption)
            .server_side_encryption_configuration(built(
                ServerSideEncryptionConfiguration::builder().rules(rule).build(),
            )?)
            .send()
            .await
            .during("s3:PutBucketEncryption")
            .map(drop)
    }

    async fn versioning(&self, want: bool) -> Result<()> {
        let status = if want {
            BucketVersioningStatus::Enabled
        } else {
            BucketVersioningStatus::Suspended
        };
        on!(self.0, put_bucket_versioning)
            .versioning_configuration(VersioningConfiguration::builder().status(status).build())
            .send()
            .await
            .during("s3:PutBucketVersioning")
            .map(drop)
    }

    async fn object_lock(&self, want: Option<&ObjectLock>) -> Result<()> {
        let Some(want) = want else {
            return Err(Error::new(ErrorKind::Unsupported, "object lock cannot be turned off"));
        };
        let retention = DefaultRetention::builder()
            .mode(ObjectLockRetentionMode::from(want.mode.as_str()))
            .days(want.days)
            .build();
        on!(self.0, put_object_lock_configuration)
            .object_lock_configuration(
                ObjectLockConfiguration::builder()
                    .object_lock_enabled(ObjectLockEnabled::Enabled)
                    .rule(ObjectLockRule::builder().default_retention(retention).build())
                    .build(),
            )
            .send()
            .await
            .during("s3:PutObjectLockConfiguration")
            .map(drop)
    }

    async fn policy(&self, want: &Desired) -> Result<()> {
        let mut statements = want.statements.clone();
        if want.tls_only {
            statements.insert(0, tls_statement(self.0.scope, self.0.name));
        }
        if statements.is_empty() {
            return on!(self.0, delete_bucket_policy)
                .send()
                .await
                .during("s3:DeleteBucketPolicy")
                .map(drop);
        }
        on!(self.0, put_bucket_policy)
            .policy(policy::document(&statements))
            .send()
            .await
            .during("s3:PutBucketPolicy")
            .map(drop)
    }

    async fn lifecycle(&self, want: &BTreeMap<String, Rule>) -> Result<()> {
        if want.is_empty() {
            return on!(self.0, delete_bucket_lifecycle)
                .send()
                .await
                .during("s3:DeleteBucketLifecycle")
                .map(drop);
        }
        let rules = want
            .iter()
            .map(|(id, rule)| rule.to_sdk(id))
            .collect::<Result<Vec<_>>>()?;
        on!(self.0, put_bucket_lifecycle_configuration)
            .lifecycle_configuration(built(
                BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build(),
            )?)
            .send()
            .await
            .during("s3:PutBucketLifecycleConfiguration")
            .map(drop)
    }

    async fn logging(&self, want: Option<&Logging>) -> Result<()> {
        let enabled = want
            .map(|want| {
                built(
                    LoggingEnabled::builder()
                        .target_bucket(&want.bucket)
                        .target_prefix(&want.prefix)
                        .build(),
                )
            })
            .transpose()?;
        on!(self.0, put_bucket_logging)
            .bucket_logging_status(BucketLoggingStatus::builder().set_logging_enabled(enabled).build())
            .send()
            .await
            .during("s3:PutBucketLogging")
            .map(drop)
    }

    /// The call replaces everything, so the topics, queues and functions of others are sent along.
    async fn event_bridge(&self, want: bool) -> Result<()> {
        let now = on!(self.0, get_bucket_notification_configuration)
            .send()
            .await
            .during("s3:GetBucketNotificationConfiguration")?;
        let configuration = NotificationConfiguration::builder()
            .set_topic_configurations(now.topic_configurations)
            .set_queue_configurations(now.queue_configurations)
            .set_lambda_function_configurations(now.lambda_function_configurations)
            .set_event_bridge_configuration(want.then(|| EventBridgeConfiguration::builder().build()))
            .build();
        on!(self.0, put_bucket_notification_configuration)
            .notification_configuration(configuration)
            .send()
            .await
            .during("s3:PutBucketNotificationConfiguration")
            .map(drop)
    }

    async fn request_metrics(&self, want: bool) -> Result<()> {
        if !want {
            return on!(self.0, delete_bucket_metrics_configuration)
                .id(WHOLE_BUCKET)
                .send()
                .await
                .absent("s3:DeleteBucketMetricsConfiguration", &["NoSuchConfiguration"])
                .map(drop);
        }
        // The call that switches them on would make the bucket.
        let now = on!(self.0, get_bucket_metrics_configuration)
            .id(WHOLE_BUCKET)
            .send()
            .await;
        if is_unknown(&now) {
            return Err(Error::new(ErrorKind::Unsupported, "this S3 knows no request metrics")
                .with_operation("s3:GetBucketMetricsConfiguration")
                .with_help("write `request_metrics: false` in the block `storage`: an emulator may have none"));
        }
        on!(self.0, put_bucket_metrics_configuration)
            .id(WHOLE_BUCKET)
            .metrics_configuration(built(MetricsConfiguration::builder().id(WHOLE_BUCKET).build())?)
            .send()
            .await
            .during("s3:PutBucketMetricsConfiguration")
            .map(drop)
    }

    async fn replication(&self, want: Option<&Replication>) -> Result<()> {
        let Some(want) = want else {
            return on!(self.0, delete_bucket_replication)
                .send()
                .await
                .during("s3:DeleteBucketReplication")
                .map(drop);
        };
        let encryption = want
            .kms_key
            .as_ref()
            .map(|key| EncryptionConfiguration::builder().replica_kms_key_id(key).build());
        let mut rule = ReplicationRule::builder()
            .id("all")
            .priority(1)
            .status(ReplicationRuleStatus::Enabled)
            .filter(ReplicationRuleFilter::builder().prefix("").build())
            .delete_marker_replication(
                DeleteMarkerReplication::builder()
                    .status(DeleteMarkerReplicationStatus::Enabled)
                    .build(),
            )
            .destination(built(
                Destination::builder()
                    .bucket(&want.bucket)
                    .set_encryption_configuration(encryption)
                    .build(),
            )?);
        if want.kms_key.is_some() {
            let encrypted = SseKmsEncryptedObjects::builder()
                .status(SseKmsEncryptedObjectsStatus::Enabled)
                .build();
            rule = rule.source_selection_criteria(
                SourceSelectionCriteria::builder()
                    .sse_kms_encrypted_objects(built(encrypted)?)
                    .build(),
            );
        }
        on!(self.0, put_bucket_replication)
            .replication_configuration(built(
                ReplicationConfiguration::builder()
                    .role(&want.role)
                    .rules(built(rule.build())?)
                    .build(),
            )?)
            .send()
            .await
            .during("s3:PutBucketReplication")
            .map(drop)
    }
}
