//! Reading and writing a bucket's settings, one call each, always with the expected owner.

use super::lifecycle::Rule;
use super::{Desired, Encryption, Logging, ObjectLock, PublicAccessBlock, Replication, WHOLE_BUCKET, tls_statement};
use crate::error::Outcome;
use crate::policy;
use crate::provider::Scope;
use crate::tags::Tags;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::types::{
    BucketVersioningStatus, DefaultRetention, Destination, EncryptionConfiguration, ObjectLockRule, ObjectOwnership,
    PublicAccessBlockConfiguration, ReplicationRule, ServerSideEncryption,
};
use platform_core::Result;
use serde_json::Value;
use std::collections::BTreeMap;

/// Reads one bucket.
pub(super) struct Reader<'a> {
    pub(super) scope: &'a Scope<'a>,
    pub(super) name: &'a str,
}

/// A call on the bucket with its expected owner.
macro_rules! on {
    ($of:expr, $call:ident) => {
        $of.scope
            .clients
            .s3
            .$call()
            .bucket($of.name)
            .expected_bucket_owner(&$of.scope.account.id)
    };
}
pub(super) use on;

/// Whether an S3 has no request metrics: an emulator overlooks what a request is about, and lists objects.
pub(super) fn is_unknown<T, E>(answer: &std::result::Result<T, SdkError<E>>) -> bool {
    let raw = answer.as_ref().err().and_then(SdkError::raw_response);
    raw.is_some_and(|raw| raw.status().is_success())
}

impl Reader<'_> {
    pub(super) async fn tags(&self) -> Result<Tags> {
        let answer = on!(self, get_bucket_tagging)
            .send()
            .await
            .absent("s3:GetBucketTagging", &["NoSuchTagSet"])?;
        Ok(answer
            .map(|answer| {
                answer
                    .tag_set()
                    .iter()
                    .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
                    .collect()
            })
            .unwrap_or_default())
    }

    pub(super) async fn all(&self) -> Result<Desired> {
        let (encryption, versioning, public_access_block, acls_disabled, statements) = futures::try_join!(
            self.encryption(),
            self.versioning(),
            self.public_access_block(),
            self.acls_disabled(),
            self.statements(),
        )?;
        let (lifecycle, logging, event_bridge, request_metrics, object_lock, replication) = futures::try_join!(
            self.lifecycle(),
            self.logging(),
            self.event_bridge(),
            self.request_metrics(),
            self.object_lock(),
            self.replication(),
        )?;
        let tls = tls_statement(self.scope, self.name);
        Ok(Desired {
            encryption,
            versioning,
            public_access_block,
            acls_disabled,
            tls_only: statements.contains(&tls),
            statements: statements.into_iter().filter(|statement| statement != &tls).collect(),
            lifecycle,
            logging,
            event_bridge,
            request_metrics,
            object_lock,
            replication,
        })
    }

    async fn encryption(&self) -> Result<Encryption> {
        let answer = on!(self, get_bucket_encryption).send().await.absent(
            "s3:GetBucketEncryption",
            &["ServerSideEncryptionConfigurationNotFoundError"],
        )?;
        let kms_key = answer.as_ref().and_then(|answer| {
            let rule = answer.server_side_encryption_configuration()?.rules().first()?;
            let default = rule.apply_server_side_encryption_by_default()?;
            match default.sse_algorithm() {
                ServerSideEncryption::Aes256 => None,
                _ => Some(default.kms_master_key_id().unwrap_or("alias/aws/s3").to_owned()),
            }
        });
        Ok(Encryption { kms_key })
    }

    async fn versioning(&self) -> Result<bool> {
        let answer = on!(self, get_bucket_versioning)
            .send()
            .await
            .during("s3:GetBucketVersioning")?;
        Ok(answer.status() == Some(&BucketVersioningStatus::Enabled))
    }

    async fn public_access_block(&self) -> Result<PublicAccessBlock> {
        let answer = on!(self, get_public_access_block)
            .send()
            .await
            .absent("s3:GetPublicAccessBlock", &["NoSuchPublicAccessBlockConfiguration"])?;
        let block = answer
            .as_ref()
            .and_then(|answer| answer.public_access_block_configuration());
        Ok(PublicAccessBlock {
            block_acls: block
                .and_then(PublicAccessBlockConfiguration::block_public_acls)
                .unwrap_or_default(),
            ignore_acls: block
                .and_then(PublicAccessBlockConfiguration::ignore_public_acls)
                .unwrap_or_default(),
            block_policies: block
                .and_then(PublicAccessBlockConfiguration::block_public_policy)
                .unwrap_or_default(),
            restrict_buckets: block
                .and_then(PublicAccessBlockConfiguration::restrict_public_buckets)
                .unwrap_or_default(),
        })
    }

    async fn acls_disabled(&self) -> Result<bool> {
        let answer = on!(self, get_bucket_ownership_controls)
            .send()
            .await
            .absent("s3:GetBucketOwnershipControls", &["OwnershipControlsNotFoundError"])?;
        let rule = answer
            .as_ref()
            .and_then(|answer| answer.ownership_controls())
            .and_then(|controls| controls.rules().first());
        // Buckets of before 2021 have no rule: their ACLs count.
        Ok(rule.is_some_and(|rule| rule.object_ownership() == &ObjectOwnership::BucketOwnerEnforced))
    }

    async fn statements(&self) -> Result<Vec<Value>> {
        let answer = on!(self, get_bucket_policy)
            .send()
            .await
            .absent("s3:GetBucketPolicy", &["NoSuchBucketPolicy"])?;
        match answer.as_ref().and_then(|answer| answer.policy()) {
            Some(document) => policy::statements(document),
            None => Ok(Vec::new()),
        }
    }

    async fn lifecycle(&self) -> Result<BTreeMap<String, Rule>> {
        let answer = on!(self, get_bucket_lifecycle_configuration)
            .send()
            .await
            .absent("s3:GetBucketLifecycleConfiguration", &["NoSuchLifecycleConfiguration"])?;
        Ok(answer
            .map(|answer| answer.rules().iter().map(Rule::from_sdk).collect())
            .unwrap_or_default())
    }

    async fn logging(&self) -> Result<Option<Logging>> {
        let answer = on!(self, get_bucket_logging)
            .send()
            .await
            .during("s3:GetBucketLogging")?;
        Ok(answer.logging_enabled().map(|logging| Logging {
            bucket: logging.target_bucket().to_owned(),
            prefix: logging.target_prefix().to_owned(),
        }))
    }

    async fn event_bridge(&self) -> Result<bool> {
        let answer = on!(self, get_bucket_notification_configuration)
            .send()
            .await
            .during("s3:GetBucketNotificationConfiguration")?;
        Ok(answer.event_bridge_configuration().is_some())
    }

    async fn request_metrics(&self) -> Result<bool> {
        let answer = on!(self, get_bucket_metrics_configuration)
            .id(WHOLE_BUCKET)
            .send()
            .await;
        if is_unknown(&answer) {
            return Ok(false);
        }
        let answer = answer.absent("s3:GetBucketMetricsConfiguration", &["NoSuchConfiguration"])?;
        let metrics = answer.and_then(|answer| answer.metrics_configuration);
        Ok(metrics.is_some_and(|metrics| metrics.filter.is_none()))
    }

    async fn object_lock(&self) -> Result<Option<ObjectLock>> {
        let answer = on!(self, get_object_lock_configuration).send().await.absent(
            "s3:GetObjectLockConfiguration",
            &["ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration"],
        )?;
        let configuration = answer.as_ref().and_then(|answer| answer.object_lock_configuration());
        Ok(configuration.map(|configuration| {
            let retention = configuration.rule().and_then(ObjectLockRule::default_retention);
            ObjectLock {
                mode: retention
                    .and_then(DefaultRetention::mode)
                    .map(|mode| mode.as_str().to_owned())
                    .unwrap_or_default(),
                days: retention
                    .map(|retention| retention.days().unwrap_or_default() + 365 * retention.years().unwrap_or_default())
                    .unwrap_or_default(),
            }
        }))
    }

    async fn replication(&self) -> Result<Option<Replication>> {
        let answer = on!(self, get_bucket_replication)
            .send()
            .await
            .absent("s3:GetBucketReplication", &["ReplicationConfigurationNotFoundError"])?;
        let configuration = answer.as_ref().and_then(|answer| answer.replication_configuration());
        Ok(configuration.map(|configuration| {
            let destination = configuration.rules().first().and_then(ReplicationRule::destination);
            Replication {
                role: configuration.role().to_owned(),
                bucket: destination
                    .map(|destination| destination.bucket().to_owned())
                    .unwrap_or_default(),
                kms_key: destination
                    .and_then(Destination::encryption_configuration)
                    .and_then(EncryptionConfiguration::replica_kms_key_id)
                    .map(str::to_owned),
            }
        }))
    }
}
