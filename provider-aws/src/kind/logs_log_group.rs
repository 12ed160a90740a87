//! `logs.LogGroup`: logs with retention and key, and the metric filters that read them. The resource's name is the group's
//! without its leading slash.
//!
//! What was logged cannot be made again and is what an inquiry asks for, so it counts as data: a group outlives its
//! platform, and empties by its retention.

use super::{AwsKind, Found, Limit, Reach};
use crate::error::Outcome;
use crate::names;
use crate::provider::Scope;
use crate::tags::Tags;
use async_trait::async_trait;
use aws_sdk_cloudwatchlogs::types::{LogGroup as SdkGroup, MetricFilter, MetricTransformation};
use platform_core::value::{SetId, Uid};
use platform_core::{
    Calls, Charset, Creation, Error, ErrorKind, Field, Holds, KindFacts, NameRule, Result, Risk, RiskRule, State,
    Updating,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Days of retention that the service takes, and how a group without any is shown.
const RETENTIONS: &[&str] = &[
    "1", "3", "5", "7", "14", "30", "60", "90", "120", "150", "180", "365", "400", "545", "731", "1096", "1827",
    "2192", "2557", "2922", "3288", "3653", FOREVER,
];
const FOREVER: &str = "forever";
/// Where groups of a set lie: its own, those of RDS's instances and of EKS's clusters, which these services name.
const FOLDERS: [&str; 3] = ["/", "/aws/rds/instance/", "/aws/eks/"];

#[derive(Debug)]
pub(crate) struct LogGroup;

static FACTS: KindFacts = KindFacts {
    kind: "logs.LogGroup",
    holds: Holds::Durable,
    // After what logs into it, before its key.
    rank: 20,
    name: NameRule {
        max: 230,
        charset: Charset::AwsPath,
    },
    create: Creation::Exclusive,
    update: Updating::AtOnce,
    patience: Duration::from_mins(1),
    usually: Duration::from_secs(1),
    taken: "",
    removal: None,
    outputs: &["arn", "name"],
    fields: &[
        Field::new("retention_days").risk(RiskRule::Lowers(RETENTIONS, Risk::DestroysData)),
        Field::new("kms_key")
            .names("kms.Key")
            .risk(RiskRule::Removed(Risk::LowersProtection)),
        Field::new("metric_filters.*").risk(RiskRule::Removed(Risk::LowersProtection)),
    ],
    calls: Calls {
        read: &[
            "logs:DescribeLogGroups",
            "logs:DescribeMetricFilters",
            "logs:ListTagsForResource",
        ],
        create: &[
            "logs:CreateLogGroup",
            "logs:PutRetentionPolicy",
            "logs:PutMetricFilter",
            "logs:TagResource",
            "logs:UntagResource",
        ],
        update: &[
            "logs:PutRetentionPolicy",
            "logs:DeleteRetentionPolicy",
            "logs:PutMetricFilter",
            "logs:DeleteMetricFilter",
            "logs:AssociateKmsKey",
            "logs:DisassociateKmsKey",
            "logs:TagResource",
            "logs:UntagResource",
        ],
        delete: &["logs:DeleteLogGroup"],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// Days, or `forever`.
    #[serde(default = "year")]
    retention_days: String,
    /// Key ARN. Without one CloudWatch Logs encrypts with its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kms_key: Option<String>,
    /// By name.
    #[serde(default)]
    metric_filters: BTreeMap<String, Filter>,
}

fn year() -> String {
    "365".to_owned()
}

/// What of the log becomes a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// `{ $.errorCode = "AccessDenied" }`.
    pattern: String,
    namespace: String,
    metric: String,
    /// What one match counts for.
    #[serde(default = "one")]
    value: String,
    /// What a period without matches counts for. Default: no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default: Option<f64>,
}

fn one() -> String {
    "1".to_owned()
}

impl Filter {
    fn of(filter: &MetricFilter) -> Option<(String, Self)> {
        let made = filter.metric_transformations().first()?;
        let it = Self {
            pattern: filter.filter_pattern().unwrap_or_default().to_owned(),
            namespace: made.metric_namespace().to_owned(),
            metric: made.metric_name().to_owned(),
            value: made.metric_value().to_owned(),
            default: made.default_value(),
        };
        Some((filter.filter_name()?.to_owned(), it))
    }
}

impl Desired {
    /// A new group before anything but its key was written.
    fn bare(kms_key: Option<String>) -> Self {
        Self {
            retention_days: FOREVER.to_owned(),
            kms_key,
            metric_filters: BTreeMap::new(),
        }
    }
}

/// The group's own name.
fn group(name: &str) -> String {
    format!("/{name}")
}

async fn describe(scope: &Scope<'_>, group: &str) -> Result<Option<SdkGroup>> {
    let of_set = starts(scope).into_iter().find(|start| group.starts_with(start));
    // A prefix is all that can be asked for.
    let groups = match of_set.filter(|_| scope.observes()) {
        Some(start) => scope.once(&start, starting(scope, &start)).await?,
        None => Arc::new(starting(scope, group).await?),
    };
    Ok(groups
        .iter()
        .find(|found| found.log_group_name() == Some(group))
        .cloned())
}

/// What the names of the set's groups start with.
fn starts(scope: &Scope<'_>) -> [String; FOLDERS.len()] {
    FOLDERS.map(|start| {
        let name = names::start(scope.name_prefix(), FACTS.name.max - start.len());
        format!("{start}{name}")
    })
}

/// The groups whose names start so.
async fn starting(scope: &Scope<'_>, start: &str) -> Result<Vec<SdkGroup>> {
    let call = scope.clients.logs.describe_log_groups().log_group_name_prefix(start);
    let mut pages = call.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.during("logs:DescribeLogGroups")?;
        found.extend(page.log_groups.unwrap_or_default());
    }
    Ok(found)
}

async fn read_filters(scope: &Scope<'_>, group: &str) -> Result<BTreeMap<String, Filter>> {
    let mut filters = BTreeMap::new();
    let mut pages = scope
        .clients
        .logs
        .describe_metric_filters()
        .log_group_name(group)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.during("logs:DescribeMetricFilters")?;
        filters.extend(page.metric_filters().iter().filter_map(Filter::of));
    }
    Ok(filters)
}

/// Writes what differs.
async fn write(scope: &Scope<'_>, group: &str, have: &Desired, want: &Desired) -> Result<()> {
    let logs = &scope.clients.logs;
    if have.kms_key != want.kms_key {
        match &want.kms_key {
            Some(key) => {
                logs.associate_kms_key()
                    .log_group_name(group)
                    .kms_key_id(key)
                    .send()
                    .await
                    .during("logs:AssociateKmsKey")?;
            }
            None => {
                logs.disassociate_kms_key()
                    .log_group_name(group)
                    .send()
                    .await
                    .during("logs:DisassociateKmsKey")?;
            }
        }
    }
    if have.retention_days != want.retention_days {
        match want.retention_days.parse() {
            Ok(days) => {
                logs.put_retention_policy()
                    .log_group_name(group)
                    .retention_in_days(days)
                    .send()
                    .await
                    .during("logs:PutRetentionPolicy")?;
            }
            Err(_) => {
                logs.delete_retention_policy()
                    .log_group_name(group)
                    .send()
                    .await
                    .during("logs:DeleteRetentionPolicy")?;
            }
        }
    }
    for (name, filter) in &want.metric_filters {
        if have.metric_filters.get(name) == Some(filter) {
            continue;
        }
        let made = MetricTransformation::builder()
            .metric_namespace(&filter.namespace)
            .metric_name(&filter.metric)
            .metric_value(&filter.value)
            .set_default_value(filter.default)
            .build()
            .map_err(|cause| Error::new(ErrorKind::Internal, cause.to_string()))?;
        logs.put_metric_filter()
            .log_group_name(group)
            .filter_name(name)
            .filter_pattern(&filter.pattern)
            .metric_transformations(made)
            .send()
            .await
            .during("logs:PutMetricFilter")?;
    }
    for name in have.metric_filters.keys() {
        if !want.metric_filters.contains_key(name) {
            logs.delete_metric_filter()
                .log_group_name(group)
                .filter_name(name)
                .send()
                .await
                .absent("logs:DeleteMetricFilter", &["ResourceNotFoundException"])?;
        }
    }
    Ok(())
}

#[async_trait]
impl AwsKind for LogGroup {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&[
        "logs:{region}:{account}:log-group:/{name}",
        "logs:{region}:{account}:log-group:/{name}:*",
    ]);
    const LIMITS: &'static [Limit] = &[
        Limit::new("kms_key", "logs:KmsKeyId").length(0, 256),
        Limit::new("metric_filters.{}", "logs:FilterName")
            .length(1, 512)
            .pattern("[^:*]*"),
        Limit::new("metric_filters.*.pattern", "logs:FilterPattern").length(0, 1024),
        Limit::new("metric_filters.*.namespace", "logs:MetricNamespace")
            .length(0, 255)
            .pattern("[^:*$]*"),
        Limit::new("metric_filters.*.metric", "logs:MetricName")
            .length(0, 255)
            .pattern("[^:*$]*"),
        Limit::new("metric_filters.*.value", "logs:MetricValue").length(0, 100),
    ];
    type Desired = Desired;

    fn normal(wanted: Desired) -> Result<Desired> {
        if !RETENTIONS.contains(&wanted.retention_days.as_str()) {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("retention_days is {:?}", wanted.retention_days),
            )
            .with_help(format!("choose one of {}", RETENTIONS.join(", "))));
        }
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let group = group(name);
        let Some(found) = describe(scope, &group).await? else {
            return Ok(None);
        };
        // The one that tags go by; the other ends in `:*`.
        let arn = match found.log_group_arn() {
            Some(arn) => arn.to_owned(),
            None => found.arn().unwrap_or_default().trim_end_matches(":*").to_owned(),
        };
        let read_tags = async {
            scope
                .clients
                .logs
                .list_tags_for_resource()
                .resource_arn(&arn)
                .send()
                .await
                .during("logs:ListTagsForResource")
        };
        let (tags, metric_filters) = futures::try_join!(read_tags, read_filters(scope, &group))?;
        Ok(Some(Found {
            // A group of the same name that was made again has another birthday.
            uid: Uid::new(format!("{group}@{}", found.creation_time().unwrap_or_default())),
            settings: Desired {
                retention_days: found
                    .retention_in_days()
                    .map_or_else(|| FOREVER.to_owned(), |days| days.to_string()),
                kms_key: found.kms_key_id().filter(|key| !key.is_empty()).map(str::to_owned),
                metric_filters,
            },
            tags: tags.tags.unwrap_or_default().into_iter().collect(),
            outputs: BTreeMap::from([("arn".to_owned(), json!(arn)), ("name".to_owned(), json!(group))]),
            handle: arn,
            state: State::Ready,
            doomed: None,
            stranger: None,
            version: None,
        }))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for start in starts(scope) {
            let groups = scope.once(&start, starting(scope, &start)).await?;
            let found = groups
                .iter()
                .filter_map(|group| group.log_group_name()?.strip_prefix('/'));
            names.extend(found.map(str::to_owned));
        }
        Ok(names)
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        let group = group(name);
        scope
            .clients
            .logs
            .create_log_group()
            .log_group_name(&group)
            .set_kms_key_id(wanted.kms_key.clone())
            .set_tags(Some(tags.clone().into_iter().collect()))
            .send()
            .await
            .during("logs:CreateLogGroup")?;
        write(scope, &group, &Desired::bare(wanted.kms_key.clone()), wanted).await
    }

    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        write(scope, &group(name), &found.settings, wanted).await
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        let logs = &scope.clients.logs;
        if !put.is_empty() {
            logs.tag_resource()
                .resource_arn(&found.handle)
                .set_tags(Some(put.clone().into_iter().collect()))
                .send()
                .await
                .during("logs:TagResource")?;
        }
        if !remove.is_empty() {
            logs.untag_resource()
                .resource_arn(&found.handle)
                .set_tag_keys(Some(remove.to_vec()))
                .send()
                .await
                .during("logs:UntagResource")?;
        }
        Ok(())
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let group = found.handle.split_once(":log-group:").map(|(_, group)| group);
        scope
            .clients
            .logs
            .delete_log_group()
            .log_group_name(group.unwrap_or_default())
            .send()
            .await
            .absent("logs:DeleteLogGroup", &["ResourceNotFoundException"])?;
        Ok(())
    }
}
