//! What the engine has to know of a vault.

use crate::kind::backup::MAX_NAME;
use platform_core::{
    Calls, Charset, Creation, Equal, Field, FieldChange, Holds, KindFacts, NameRule, Risk, RiskRule, Updating,
};
use std::time::Duration;

pub(super) static FACTS: KindFacts = KindFacts {
    kind: "backup.Vault",
    holds: Holds::Durable,
    // After the plans that fill it, before its key and its topic.
    rank: 55,
    name: NameRule {
        max: MAX_NAME,
        charset: Charset::AwsPath,
    },
    create: Creation::Exclusive,
    update: Updating::AtOnce,
    patience: Duration::from_mins(2),
    usually: Duration::from_secs(2),
    taken: "",
    removal: None,
    outputs: &["arn", "name"],
    fields: &[
        Field::new("kms_key").names("kms.Key").changes(FieldChange::Never),
        Field::new("deletion_denied").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        Field::new("statements")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
        Field::new("lock.min_days").risk(RiskRule::Shrinks(Risk::LowersProtection)),
        // Backups that are to be kept longer fail.
        Field::new("lock.max_days").risk(RiskRule::Shrinks(Risk::LowersProtection)),
        Field::new("lock").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        Field::new("told.events")
            .equal(Equal::Set)
            .risk(RiskRule::Removed(Risk::LowersProtection)),
        Field::new("told").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
    ],
    calls: Calls {
        read: &[
            "backup:DescribeBackupVault",
            "backup:GetBackupVaultAccessPolicy",
            "backup:GetBackupVaultNotifications",
            "backup:ListBackupVaults",
            "backup:ListTags",
        ],
        create: &[
            "backup:CreateBackupVault",
            "backup:PutBackupVaultAccessPolicy",
            "backup:PutBackupVaultLockConfiguration",
            "backup:PutBackupVaultNotifications",
            "backup:TagResource",
            "backup:UntagResource",
            // What AWS checks of the caller behind the first.
            "backup-storage:MountCapsule",
            "kms:CreateGrant",
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:GenerateDataKey",
            "kms:RetireGrant",
        ],
        update: &[
            "backup:DeleteBackupVaultAccessPolicy",
            "backup:DeleteBackupVaultLockConfiguration",
            "backup:DeleteBackupVaultNotifications",
            "backup:PutBackupVaultAccessPolicy",
            "backup:PutBackupVaultLockConfiguration",
            "backup:PutBackupVaultNotifications",
            "backup:TagResource",
            "backup:UntagResource",
        ],
        delete: &["backup:DeleteBackupVault"],
    },
};
