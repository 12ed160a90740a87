//! What alarms of both kinds share: tags, actions, the list, the delete.

use crate::error::Outcome;
use crate::names;
use crate::provider::Scope;
use crate::tags::Tags;
use aws_sdk_cloudwatch::types::{AlarmType, CompositeAlarm, MetricAlarm, Tag};
use platform_core::{Error, ErrorKind, Result};
use std::sync::Arc;

/// Longest name: the id tag holds kind and name.
pub(super) const MAX_NAME: usize = 230;
/// Actions that one state of an alarm has at most.
const ACTIONS: usize = 5;

pub(super) fn sdk_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

/// Alarms of one kind, as CloudWatch describes them.
#[derive(Clone, Debug, Default)]
pub(super) struct Alarms {
    pub(super) metric: Vec<MetricAlarm>,
    pub(super) composite: Vec<CompositeAlarm>,
}

/// The alarms of a kind that this one is among, if it is there.
pub(super) async fn describe(scope: &Scope<'_>, name: &str, kind: AlarmType) -> Result<Arc<Alarms>> {
    if scope.observes() && name.starts_with(start(scope)) {
        return of_set(scope, kind).await;
    }
    let call = scope
        .clients
        .cloudwatch
        .describe_alarms()
        .alarm_names(name)
        .alarm_types(kind);
    let answer = call.send().await.during("cloudwatch:DescribeAlarms")?;
    Ok(Arc::new(Alarms {
        metric: answer.metric_alarms.unwrap_or_default(),
        composite: answer.composite_alarms.unwrap_or_default(),
    }))
}

/// What the names of the set's alarms start with.
fn start<'a>(scope: &'a Scope<'_>) -> &'a str {
    names::start(scope.name_prefix(), MAX_NAME)
}

/// All alarms of a kind that are called as the set's are.
async fn of_set(scope: &Scope<'_>, kind: AlarmType) -> Result<Arc<Alarms>> {
    let what = kind.as_str().to_owned();
    let ask = async {
        let call = scope.clients.cloudwatch.describe_alarms();
        let call = call.alarm_name_prefix(start(scope)).alarm_types(kind);
        let mut pages = call.into_paginator().send();
        let mut all = Alarms::default();
        while let Some(page) = pages.next().await {
            let page = page.during("cloudwatch:DescribeAlarms")?;
            all.metric.extend(page.metric_alarms.unwrap_or_default());
            all.composite.extend(page.composite_alarms.unwrap_or_default());
        }
        Ok(all)
    };
    scope.once(&what, ask).await
}

/// The tags of an alarm; `None` when it has gone since it was described.
pub(super) async fn read_tags(scope: &Scope<'_>, arn: &str) -> Result<Option<Tags>> {
    let answer = scope
        .clients
        .cloudwatch
        .list_tags_for_resource()
        .resource_arn(arn)
        .send()
        .await
        .absent(
            "cloudwatch:ListTagsForResource",
            &["ResourceNotFound", "ResourceNotFoundException"],
        )?;
    Ok(answer.map(|answer| {
        answer
            .tags()
            .iter()
            .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
            .collect()
    }))
}

pub(super) async fn tag(scope: &Scope<'_>, arn: &str, put: &Tags, remove: &[String]) -> Result<()> {
    let cloudwatch = &scope.clients.cloudwatch;
    if !put.is_empty() {
        cloudwatch
            .tag_resource()
            .resource_arn(arn)
            .set_tags(Some(sdk_tags(put)))
            .send()
            .await
            .during("cloudwatch:TagResource")?;
    }
    if !remove.is_empty() {
        cloudwatch
            .untag_resource()
            .resource_arn(arn)
            .set_tag_keys(Some(remove.to_vec()))
            .send()
            .await
            .during("cloudwatch:UntagResource")?;
    }
    Ok(())
}

/// Names of the alarms of a kind that may belong to the set.
pub(super) async fn list(scope: &Scope<'_>, kind: AlarmType) -> Result<Vec<String>> {
    let all = of_set(scope, kind).await?;
    let metric = all.metric.iter().filter_map(|alarm| alarm.alarm_name());
    let composite = all.composite.iter().filter_map(|alarm| alarm.alarm_name());
    Ok(metric.chain(composite).map(str::to_owned).collect())
}

#[allow(clippy::disallowed_methods)] // the home of this call
pub(super) async fn delete(scope: &Scope<'_>, name: &str) -> Result<()> {
    scope
        .clients
        .cloudwatch
        .delete_alarms()
        .alarm_names(name)
        .send()
        .await
        .absent("cloudwatch:DeleteAlarms", &["ResourceNotFound"])?;
    Ok(())
}

/// Actions in one order, without twins.
pub(super) fn actions(mut actions: Vec<String>) -> Result<Vec<String>> {
    actions.sort();
    actions.dedup();
    if actions.len() > ACTIONS {
        return Err(
            Error::new(ErrorKind::Invalid, format!("an alarm with {} actions", actions.len()))
                .with_help(format!("a state of an alarm has at most {ACTIONS}")),
        );
    }
    Ok(actions)
}

/// Actions as they are, in one order.
pub(super) fn sorted(actions: &[String]) -> Vec<String> {
    let mut actions = actions.to_vec();
    actions.sort();
    actions
}

/// The name that a handle stands for: ARNs of alarms end in it.
pub(super) fn name_of(arn: &str) -> &str {
    arn.split_once(":alarm:").map_or(arn, |(_, name)| name)
}
