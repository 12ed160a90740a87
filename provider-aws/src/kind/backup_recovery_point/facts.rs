//! What the engine has to know of a recovery point.

use platform_core::{Calls, Charset, Creation, Field, FieldChange, Holds, KindFacts, NameRule, Updating};
use std::time::Duration;

pub(super) static FACTS: KindFacts = KindFacts {
    kind: super::RecoveryPoint::KIND,
    holds: Holds::Durable,
    rank: 80,
    // Vault, run, service and what is backed up.
    name: NameRule {
        max: 230,
        charset: Charset::AwsPath,
    },
    create: Creation::Token,
    update: Updating::WhenSettled,
    patience: Duration::from_hours(12),
    usually: Duration::from_mins(10),
    taken: "",
    removal: None,
    outputs: &["arn", "started", "completed", "expires"],
    fields: &[
        Field::new("resource").changes(FieldChange::Never),
        Field::new("role").changes(FieldChange::Never),
        Field::new("delete_after_days").changes(FieldChange::Never),
    ],
    calls: Calls {
        read: &[
            "backup:ListBackupJobs",
            "backup:ListRecoveryPointsByBackupVault",
            "backup:ListTags",
            "rds:ListTagsForResource",
        ],
        create: &["backup:StartBackupJob", "iam:PassRole"],
        update: &[
            "backup:TagResource",
            "backup:UntagResource",
            "rds:AddTagsToResource",
            "rds:RemoveTagsFromResource",
        ],
        delete: &[],
    },
};
