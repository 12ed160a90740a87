//! What the engine has to know of a bucket.

use platform_core::{
    Calls, Charset, Creation, Equal, Field, FieldChange, Holds, KindFacts, NameRule, Risk, RiskRule, Updating,
};
use std::time::Duration;

pub(super) static FACTS: KindFacts = KindFacts {
    kind: "s3.Bucket",
    holds: Holds::Durable,
    rank: 40,
    name: NameRule {
        max: 63,
        charset: Charset::Bucket,
    },
    create: Creation::Exclusive,
    update: Updating::WhenSettled,
    patience: Duration::from_mins(5),
    usually: Duration::from_secs(4),
    taken: "",
    removal: None,
    outputs: &["arn", "name", "region"],
    fields: &[
        Field::new("encryption.kms_key")
            .names("kms.Key")
            .risk(RiskRule::Removed(Risk::LowersProtection)),
        Field::new("versioning").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        Field::new("public_access_block").risk(RiskRule::TurnsOff(Risk::Exposes)),
        Field::new("acls_disabled").risk(RiskRule::TurnsOff(Risk::Exposes)),
        Field::new("tls_only").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        Field::new("statements")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
        Field::new("lifecycle.*.abort_multipart_days"),
        Field::new("lifecycle.*.transition_days"),
        Field::new("lifecycle.*.transition_class"),
        // A rule that is new, wider or earlier deletes objects.
        Field::new("lifecycle.*.prefix").risk(RiskRule::Widens(Risk::DestroysData)),
        Field::new("lifecycle.*.enabled").risk(RiskRule::Widens(Risk::DestroysData)),
        Field::new("lifecycle.*.expire_days").risk(RiskRule::Widens(Risk::DestroysData)),
        Field::new("lifecycle.*.noncurrent_days").risk(RiskRule::Widens(Risk::DestroysData)),
        Field::new("lifecycle.*").risk(RiskRule::Always(Risk::DestroysData)),
        Field::new("logging")
            .names("s3.Bucket")
            .risk(RiskRule::Removed(Risk::LowersProtection)),
        Field::new("replication")
            .names("iam.Role")
            .risk(RiskRule::Removed(Risk::LowersProtection)),
        Field::new("object_lock.days").risk(RiskRule::Shrinks(Risk::LowersProtection)),
        Field::new("object_lock").changes(FieldChange::Never),
    ],
    calls: Calls {
        read: &[
            "s3:ListAllMyBuckets",
            "s3:ListBucket",
            "s3:GetBucketTagging",
            "s3:GetEncryptionConfiguration",
            "s3:GetBucketVersioning",
            "s3:GetBucketPublicAccessBlock",
            "s3:GetBucketOwnershipControls",
            "s3:GetBucketPolicy",
            "s3:GetLifecycleConfiguration",
            "s3:GetBucketLogging",
            "s3:GetBucketNotification",
            "s3:GetBucketObjectLockConfiguration",
            "s3:GetReplicationConfiguration",
            "s3:GetMetricsConfiguration",
            "tag:GetResources",
        ],
        create: &[
            "s3:CreateBucket",
            "s3:TagResource",
            "s3:PutBucketTagging",
            "s3:PutEncryptionConfiguration",
            "s3:PutBucketVersioning",
            "s3:PutBucketPublicAccessBlock",
            "s3:PutBucketOwnershipControls",
            "s3:PutBucketPolicy",
            "s3:PutLifecycleConfiguration",
            "s3:PutBucketLogging",
            "s3:PutBucketNotification",
            "s3:PutBucketObjectLockConfiguration",
            "s3:PutReplicationConfiguration",
            "s3:PutMetricsConfiguration",
            "iam:PassRole",
        ],
        update: &[
            "s3:PutBucketTagging",
            "s3:PutEncryptionConfiguration",
            "s3:PutBucketVersioning",
            "s3:PutBucketPublicAccessBlock",
            "s3:PutBucketOwnershipControls",
            "s3:PutBucketPolicy",
            "s3:DeleteBucketPolicy",
            "s3:PutLifecycleConfiguration",
            "s3:PutBucketLogging",
            "s3:PutBucketNotification",
            "s3:PutBucketObjectLockConfiguration",
            "s3:PutReplicationConfiguration",
            "s3:PutMetricsConfiguration",
            "iam:PassRole",
        ],
        delete: &["s3:DeleteBucket"],
    },
};
