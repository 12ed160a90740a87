//! `cloudwatch.CompositeAlarm`: an alarm about other alarms. Made and found as metric alarms are; CloudWatch refuses the
//! delete of an alarm that one still names.

use super::{AwsKind, Found, Limit, Reach, cloudwatch, yes};
use crate::error::Outcome;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use aws_sdk_cloudwatch::operation::put_composite_alarm::builders::PutCompositeAlarmFluentBuilder;
use aws_sdk_cloudwatch::types::AlarmType;
use platform_core::value::SetId;
use platform_core::{
    Calls, Charset, Creation, Equal, Field, Holds, KindFacts, NameRule, Result, Risk, RiskRule, State, Updating,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Characters of a rule at most.
pub(crate) const MAX_RULE: usize = 10_240;

#[derive(Debug)]
pub(crate) struct CompositeAlarm;

static FACTS: KindFacts = KindFacts {
    kind: "cloudwatch.CompositeAlarm",
    holds: Holds::Nothing,
    // Before the alarms that it names.
    rank: 65,
    name: NameRule {
        max: cloudwatch::MAX_NAME,
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
            "cloudwatch:PutCompositeAlarm",
            "cloudwatch:TagResource",
            "cloudwatch:UntagResource",
        ],
        update: &[
            "cloudwatch:PutCompositeAlarm",
            "cloudwatch:TagResource",
            "cloudwatch:UntagResource",
        ],
        delete: &["cloudwatch:DeleteAlarms"],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    #[serde(default)]
    description: String,
    /// `ALARM("a") OR ALARM("b")`.
    rule: String,
    #[serde(default = "yes")]
    actions_enabled: bool,
    /// ARNs of what is told when it begins.
    #[serde(default)]
    alarm_actions: Vec<String>,
    /// ARNs of what is told when it is over.
    #[serde(default)]
    ok_actions: Vec<String>,
}

impl Desired {
    fn put(&self, scope: &Scope<'_>, name: &str) -> PutCompositeAlarmFluentBuilder {
        let call = scope.clients.cloudwatch.put_composite_alarm();
        call.alarm_name(name)
            .alarm_description(&self.description)
            .alarm_rule(&self.rule)
            .actions_enabled(self.actions_enabled)
            .set_alarm_actions(Some(self.alarm_actions.clone()))
            .set_ok_actions(Some(self.ok_actions.clone()))
    }
}

#[async_trait]
impl AwsKind for CompositeAlarm {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["cloudwatch:{region}:{account}:alarm:{name}"]);
    const LIMITS: &'static [Limit] = &[
        Limit::new("rule", "cloudwatch:AlarmRule").length(1, MAX_RULE),
        Limit::new("description", "cloudwatch:AlarmDescription").length(0, 1024),
        Limit::new("alarm_actions.*", "cloudwatch:ResourceName").length(1, 1024),
        Limit::new("ok_actions.*", "cloudwatch:ResourceName").length(1, 1024),
    ];
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        wanted.alarm_actions = cloudwatch::actions(wanted.alarm_actions)?;
        wanted.ok_actions = cloudwatch::actions(wanted.ok_actions)?;
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let alarms = cloudwatch::describe(scope, name, AlarmType::CompositeAlarm).await?;
        let mut alarms = alarms.composite.iter();
        let Some(alarm) = alarms.find(|alarm| alarm.alarm_name() == Some(name)) else {
            return Ok(None);
        };
        let arn = alarm.alarm_arn().unwrap_or_default().to_owned();
        let Some(tags) = cloudwatch::read_tags(scope, &arn).await? else {
            return Ok(None);
        };
        Ok(Some(Found {
            uid: tags::incarnation(&tags, name),
            settings: Desired {
                description: alarm.alarm_description().unwrap_or_default().to_owned(),
                rule: alarm.alarm_rule().unwrap_or_default().to_owned(),
                actions_enabled: alarm.actions_enabled().unwrap_or(true),
                alarm_actions: cloudwatch::sorted(alarm.alarm_actions()),
                ok_actions: cloudwatch::sorted(alarm.ok_actions()),
            },
            tags,
            outputs: BTreeMap::from([("arn".to_owned(), json!(arn)), ("name".to_owned(), json!(name))]),
            handle: arn,
            state: State::Ready,
            doomed: None,
            stranger: None,
            version: None,
        }))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        cloudwatch::list(scope, AlarmType::CompositeAlarm).await
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        wanted
            .put(scope, name)
            .set_tags(Some(cloudwatch::sdk_tags(&tags::born(tags))))
            .send()
            .await
            .during("cloudwatch:PutCompositeAlarm")
            .map(drop)
    }

    async fn update(scope: &Scope<'_>, name: &str, _found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        wanted
            .put(scope, name)
            .send()
            .await
            .during("cloudwatch:PutCompositeAlarm")
            .map(drop)
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        cloudwatch::tag(scope, &found.handle, put, remove).await
    }

    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        cloudwatch::delete(scope, cloudwatch::name_of(&found.handle)).await
    }
}
