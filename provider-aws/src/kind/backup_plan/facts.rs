//! What the engine has to know of a plan.

use crate::kind::backup::MAX_NAME;
use platform_core::{Calls, Charset, Creation, Equal, Field, Holds, KindFacts, NameRule, Risk, RiskRule, Updating};
use std::time::Duration;

pub(super) static FACTS: KindFacts = KindFacts {
    kind: "backup.Plan",
    holds: Holds::Nothing,
    // Before the vaults that it fills and the role that it acts by.
    rank: 70,
    name: NameRule {
        max: MAX_NAME,
        charset: Charset::AwsPath,
    },
    create: Creation::Token,
    update: Updating::AtOnce,
    patience: Duration::from_mins(2),
    usually: Duration::from_secs(2),
    taken: "",
    removal: Some(Risk::LowersProtection),
    outputs: &["arn", "id", "name"],
    fields: &[
        // What is there already keeps the time that it was made with.
        Field::new("rules.*.delete_after_days").risk(RiskRule::Shrinks(Risk::LowersProtection)),
        Field::new("rules.*.copies.*.delete_after_days").risk(RiskRule::Shrinks(Risk::LowersProtection)),
        Field::new("rules.*.copies.*").risk(RiskRule::Removed(Risk::LowersProtection)),
        Field::new("rules.*.continuous").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        // Into another vault, which may have no copies and no lock.
        Field::new("rules.*.vault").risk(RiskRule::Always(Risk::LowersProtection)),
        Field::new("rules.*").risk(RiskRule::Removed(Risk::LowersProtection)),
        Field::new("selections.*.resources")
            .equal(Equal::Set)
            .risk(RiskRule::Removed(Risk::LowersProtection)),
        Field::new("selections.*").risk(RiskRule::Removed(Risk::LowersProtection)),
    ],
    calls: Calls {
        read: &[
            "backup:GetBackupPlan",
            "backup:GetBackupSelection",
            "backup:ListBackupPlans",
            "backup:ListBackupSelections",
            "backup:ListTags",
        ],
        create: &[
            "backup:CreateBackupPlan",
            "backup:CreateBackupSelection",
            "backup:TagResource",
            "backup:UntagResource",
            "iam:PassRole",
        ],
        update: &[
            "backup:CreateBackupSelection",
            "backup:DeleteBackupSelection",
            "backup:TagResource",
            "backup:UntagResource",
            "backup:UpdateBackupPlan",
            "iam:PassRole",
        ],
        delete: &["backup:DeleteBackupPlan", "backup:DeleteBackupSelection"],
    },
};
