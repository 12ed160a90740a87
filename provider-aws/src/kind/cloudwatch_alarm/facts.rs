//! What the engine has to know of an alarm.

use crate::kind::cloudwatch::MAX_NAME;
use platform_core::{Calls, Charset, Creation, Equal, Field, Holds, KindFacts, NameRule, Risk, RiskRule, Updating};
use std::time::Duration;

pub(super) static FACTS: KindFacts = KindFacts {
    kind: "cloudwatch.Alarm",
    holds: Holds::Nothing,
    // After the composite alarms that name it, which CloudWatch insists on; before the topic that it tells.
    rank: 60,
    name: NameRule {
        max: MAX_NAME,
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
        Field::new("actions_enabled").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        Field::new("alarm_actions")
            .equal(Equal::Set)
            .risk(RiskRule::Removed(Risk::LowersProtection)),
        Field::new("ok_actions").equal(Equal::Set),
    ],
    calls: Calls {
        read: &["cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"],
        create: &[
            "cloudwatch:PutMetricAlarm",
            "cloudwatch:TagResource",
            "cloudwatch:UntagResource",
        ],
        update: &[
            "cloudwatch:PutMetricAlarm",
            "cloudwatch:TagResource",
            "cloudwatch:UntagResource",
        ],
        delete: &["cloudwatch:DeleteAlarms"],
    },
};
