//! What the engine has to know of a key.

use platform_core::{
    Calls, Charset, Creation, Equal, Field, FieldChange, Holds, KindFacts, NameRule, Risk, RiskRule, Updating,
};
use std::time::Duration;

pub(super) static FACTS: KindFacts = KindFacts {
    kind: "kms.Key",
    holds: Holds::Durable,
    // Everything encrypted goes before its key.
    rank: 10,
    name: NameRule {
        max: 230,
        charset: Charset::AwsPath,
    },
    create: Creation::Unguarded,
    update: Updating::WhenSettled,
    patience: Duration::from_mins(2),
    usually: Duration::from_secs(2),
    taken: "",
    removal: None,
    outputs: &["arn", "key_id", "alias"],
    fields: &[
        Field::new("multi_region").changes(FieldChange::Never),
        Field::new("enabled").risk(RiskRule::TurnsOff(Risk::Downtime)),
        Field::new("rotation").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        // Without it nobody may be left who can change the policy again.
        Field::new("root_access").risk(RiskRule::TurnsOff(Risk::Irreversible)),
        Field::new("statements")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
    ],
    calls: Calls {
        read: &[
            "kms:DescribeKey",
            "kms:ListResourceTags",
            "kms:GetKeyPolicy",
            "kms:GetKeyRotationStatus",
            "kms:ListAliases",
            "tag:GetResources",
        ],
        create: &[
            "kms:CreateKey",
            "kms:CreateAlias",
            "kms:EnableKeyRotation",
            "kms:TagResource",
            "kms:UntagResource",
            "kms:CancelKeyDeletion",
            "kms:EnableKey",
        ],
        update: &[
            "kms:CreateAlias",
            "kms:PutKeyPolicy",
            "kms:EnableKeyRotation",
            "kms:DisableKeyRotation",
            "kms:EnableKey",
            "kms:DisableKey",
            "kms:UpdateKeyDescription",
            "kms:TagResource",
            "kms:UntagResource",
            // Called off when a key on its way out is taken back.
            "kms:CancelKeyDeletion",
        ],
        delete: &["kms:ScheduleKeyDeletion"],
    },
};
