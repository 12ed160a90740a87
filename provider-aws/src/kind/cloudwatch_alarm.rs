//! `cloudwatch.Alarm`: an alarm on one metric, or on a formula of several.
//!
//! `PutMetricAlarm` makes what is missing and overwrites what is there, whosever it is: the alarm is described right
//! before. Tags are taken by a create only.

mod facts;
mod metric;

use super::{AwsKind, Found, Limit, Reach, cloudwatch, yes};
use crate::error::Outcome;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use aws_sdk_cloudwatch::operation::put_metric_alarm::builders::PutMetricAlarmFluentBuilder;
use aws_sdk_cloudwatch::types::{AlarmType, ComparisonOperator, MetricAlarm};
use facts::FACTS;
use metric::{Metric, Query};
use platform_core::value::SetId;
use platform_core::{Error, ErrorKind, KindFacts, Result, State};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// How comparisons are called.
const COMPARISONS: &[(&str, ComparisonOperator)] = &[
    (">", ComparisonOperator::GreaterThanThreshold),
    (">=", ComparisonOperator::GreaterThanOrEqualToThreshold),
    ("<", ComparisonOperator::LessThanThreshold),
    ("<=", ComparisonOperator::LessThanOrEqualToThreshold),
];
/// What a period without data counts as.
const MISSING: &[&str] = &["missing", "notBreaching", "breaching", "ignore"];

#[derive(Debug)]
pub(crate) struct Alarm;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    #[serde(default)]
    description: String,
    /// What is compared; either this or `queries`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metric: Option<Metric>,
    /// Metrics and formulas of them by id; exactly one is compared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    queries: BTreeMap<String, Query>,
    /// `>`, `>=`, `<`, `<=`.
    comparison: String,
    threshold: f64,
    /// Periods that are looked at.
    #[serde(default = "once")]
    periods: i32,
    /// How many of them must be beyond the threshold. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    datapoints: Option<i32>,
    /// `missing` (no data is a state of its own), `notBreaching`, `breaching`, `ignore` (the state stays).
    #[serde(default = "missing")]
    missing_data: String,
    #[serde(default = "yes")]
    actions_enabled: bool,
    /// ARNs of what is told when it begins.
    #[serde(default)]
    alarm_actions: Vec<String>,
    /// ARNs of what is told when it is over.
    #[serde(default)]
    ok_actions: Vec<String>,
}

fn once() -> i32 {
    1
}

fn missing() -> String {
    MISSING[0].to_owned()
}

impl Desired {
    fn put(&self, scope: &Scope<'_>, name: &str) -> PutMetricAlarmFluentBuilder {
        let comparison = COMPARISONS
            .iter()
            .find(|(sign, _)| *sign == self.comparison)
            .map(|(_, operator)| operator.clone());
        let call = scope
            .clients
            .cloudwatch
            .put_metric_alarm()
            .alarm_name(name)
            .alarm_description(&self.description)
            .actions_enabled(self.actions_enabled)
            .set_alarm_actions(Some(self.alarm_actions.clone()))
            .set_ok_actions(Some(self.ok_actions.clone()))
            .set_comparison_operator(comparison)
            .threshold(self.threshold)
            .evaluation_periods(self.periods)
            .set_datapoints_to_alarm(self.datapoints)
            .treat_missing_data(&self.missing_data);
        match &self.metric {
            Some(metric) => metric.put(call),
            None => call.set_metrics(Some(self.queries.iter().map(|(id, query)| query.to_sdk(id)).collect())),
        }
    }

    fn of(alarm: &MetricAlarm) -> Self {
        let periods = alarm.evaluation_periods().unwrap_or(once());
        Self {
            description: alarm.alarm_description().unwrap_or_default().to_owned(),
            metric: Metric::of_alarm(alarm),
            queries: alarm
                .metrics()
                .iter()
                .map(|query| (query.id().unwrap_or_default().to_owned(), Query::from_sdk(query)))
                .collect(),
            comparison: alarm.comparison_operator().map_or(String::new(), |operator| {
                COMPARISONS
                    .iter()
                    .find(|(_, known)| known == operator)
                    .map_or(operator.as_str(), |(sign, _)| sign)
                    .to_owned()
            }),
            threshold: alarm.threshold().unwrap_or_default(),
            periods,
            datapoints: Some(alarm.datapoints_to_alarm().unwrap_or(periods)),
            missing_data: alarm.treat_missing_data().map_or_else(missing, str::to_owned),
            actions_enabled: alarm.actions_enabled().unwrap_or(true),
            alarm_actions: cloudwatch::sorted(alarm.alarm_actions()),
            ok_actions: cloudwatch::sorted(alarm.ok_actions()),
        }
    }
}

#[async_trait]
impl AwsKind for Alarm {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["cloudwatch:{region}:{account}:alarm:{name}"]);
    const LIMITS: &'static [Limit] = &[
        Limit::new("description", "cloudwatch:AlarmDescription").length(0, 1024),
        Limit::new("alarm_actions.*", "cloudwatch:ResourceName").length(1, 1024),
        Limit::new("ok_actions.*", "cloudwatch:ResourceName").length(1, 1024),
        Limit::new("metric.namespace", "cloudwatch:Namespace")
            .length(1, 255)
            .pattern("[^:].*"),
        Limit::new("metric.name", "cloudwatch:MetricName").length(1, 255),
        Limit::new("metric.dimensions", "cloudwatch:Dimensions").length(0, 30),
        Limit::new("metric.dimensions.{}", "cloudwatch:DimensionName").length(1, 255),
        Limit::new("metric.dimensions.*", "cloudwatch:DimensionValue").length(1, 1024),
        Limit::new("queries.{}", "cloudwatch:MetricId").length(1, 255),
        Limit::new("queries.*.expression", "cloudwatch:MetricExpression").length(1, 2048),
        Limit::new("queries.*.metric.namespace", "cloudwatch:Namespace")
            .length(1, 255)
            .pattern("[^:].*"),
        Limit::new("queries.*.metric.name", "cloudwatch:MetricName").length(1, 255),
        Limit::new("queries.*.metric.dimensions", "cloudwatch:Dimensions").length(0, 30),
        Limit::new("queries.*.metric.dimensions.{}", "cloudwatch:DimensionName").length(1, 255),
        Limit::new("queries.*.metric.dimensions.*", "cloudwatch:DimensionValue").length(1, 1024),
    ];
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        let invalid = |what: String, help: &str| Err(Error::new(ErrorKind::Invalid, what).with_help(help));
        match (&wanted.metric, wanted.queries.is_empty()) {
            (Some(_), true) | (None, false) => {}
            _ => {
                return invalid(
                    "an alarm is about `metric` or about `queries`".to_owned(),
                    "give one of them",
                );
            }
        }
        if let Some(metric) = &wanted.metric {
            metric.check()?;
        }
        metric::check(&wanted.queries)?;
        if !COMPARISONS.iter().any(|(sign, _)| *sign == wanted.comparison) {
            return invalid(
                format!("comparison is {:?}", wanted.comparison),
                "choose >, >=, < or <=",
            );
        }
        if !MISSING.contains(&wanted.missing_data.as_str()) {
            return invalid(
                format!("missing_data is {:?}", wanted.missing_data),
                "choose missing, notBreaching, breaching or ignore",
            );
        }
        let datapoints = wanted.datapoints.unwrap_or(wanted.periods);
        if wanted.periods < 1 || !(1..=wanted.periods).contains(&datapoints) {
            return invalid(
                format!("{datapoints} of {} periods", wanted.periods),
                "look at one period or more, of which one up to all must be beyond the threshold",
            );
        }
        if !wanted.threshold.is_finite() {
            return invalid("a threshold that is no number".to_owned(), "give a number");
        }
        wanted.datapoints = Some(datapoints);
        wanted.alarm_actions = cloudwatch::actions(wanted.alarm_actions)?;
        wanted.ok_actions = cloudwatch::actions(wanted.ok_actions)?;
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let alarms = cloudwatch::describe(scope, name, AlarmType::MetricAlarm).await?;
        let mut alarms = alarms.metric.iter();
        let Some(alarm) = alarms.find(|alarm| alarm.alarm_name() == Some(name)) else {
            return Ok(None);
        };
        let arn = alarm.alarm_arn().unwrap_or_default().to_owned();
        let Some(tags) = cloudwatch::read_tags(scope, &arn).await? else {
            return Ok(None);
        };
        Ok(Some(Found {
            uid: tags::incarnation(&tags, name),
            settings: Desired::of(alarm),
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
        cloudwatch::list(scope, AlarmType::MetricAlarm).await
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        wanted
            .put(scope, name)
            .set_tags(Some(cloudwatch::sdk_tags(&tags::born(tags))))
            .send()
            .await
            .during("cloudwatch:PutMetricAlarm")
            .map(drop)
    }

    async fn update(scope: &Scope<'_>, name: &str, _found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        wanted
            .put(scope, name)
            .send()
            .await
            .during("cloudwatch:PutMetricAlarm")
            .map(drop)
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        cloudwatch::tag(scope, &found.handle, put, remove).await
    }

    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        cloudwatch::delete(scope, cloudwatch::name_of(&found.handle)).await
    }
}
