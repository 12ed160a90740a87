//! What the engine has to know of a topic.

use platform_core::{Calls, Charset, Creation, Equal, Field, Holds, KindFacts, NameRule, Risk, RiskRule, Updating};
use std::time::Duration;

pub(super) static FACTS: KindFacts = KindFacts {
    kind: "sns.Topic",
    holds: Holds::Nothing,
    // After the alarms and rules that tell it, before its key.
    rank: 50,
    name: NameRule {
        max: 230,
        charset: Charset::AwsPath,
    },
    create: Creation::Upsert,
    update: Updating::AtOnce,
    patience: Duration::from_mins(1),
    usually: Duration::from_secs(1),
    taken: "",
    removal: None,
    outputs: &["arn", "name"],
    fields: &[
        Field::new("kms_key").risk(RiskRule::Removed(Risk::LowersProtection)),
        Field::new("tls_only").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        Field::new("statements")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
        Field::new("emails")
            .equal(Equal::Set)
            .risk(RiskRule::Removed(Risk::LowersProtection)),
        Field::new("webhooks.*.$secret.supplied"),
        Field::new("webhooks.*.$secret.revision"),
        Field::new("webhooks.*").risk(RiskRule::Removed(Risk::LowersProtection)),
    ],
    calls: Calls {
        read: &[
            "sns:GetTopicAttributes",
            "sns:ListTagsForResource",
            "sns:ListSubscriptionsByTopic",
            "sns:GetSubscriptionAttributes",
            "sns:ListTopics",
        ],
        create: &[
            "sns:CreateTopic",
            "sns:Subscribe",
            "sns:TagResource",
            "sns:UntagResource",
        ],
        update: &[
            "sns:SetTopicAttributes",
            "sns:Subscribe",
            "sns:Unsubscribe",
            "sns:TagResource",
            "sns:UntagResource",
        ],
        delete: &["sns:DeleteTopic"],
    },
};
