//! `ec2.FlowLog`: who talked to whom in a VPC, written to a log group. Nothing of it can be changed but its tags.

use crate::ec2::{self, Described, NAMES, client};
use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    Filter, FlowLog as Sdk, FlowLogsResourceType, LogDestinationType, ResourceType, Tag, TrafficType, UnsuccessfulItem,
};
use platform_core::value::SetId;
use platform_core::{
    Calls, Creation, Error, ErrorKind, Field, FieldChange, Holds, KindFacts, Result, Risk, State, Updating,
};
use provider_aws::kind::{AwsKind, Found, Outcome, Reach, Scope, Tags};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const OTHER: &str = "a flow log is never changed: make another one beside it, under another name";

static FACTS: KindFacts = KindFacts {
    kind: "ec2.FlowLog",
    holds: Holds::Nothing,
    rank: 30,
    name: NAMES,
    create: Creation::Token,
    update: Updating::AtOnce,
    patience: Duration::from_mins(5),
    usually: Duration::from_secs(4),
    taken: "",
    removal: Some(Risk::LowersProtection),
    outputs: &["id"],
    fields: &[
        Field::new("vpc").changes(FieldChange::Never).instead(OTHER),
        Field::new("traffic").changes(FieldChange::Never).instead(OTHER),
        Field::new("log_group").changes(FieldChange::Never).instead(OTHER),
        Field::new("role").changes(FieldChange::Never).instead(OTHER),
        Field::new("interval_seconds")
            .changes(FieldChange::Never)
            .instead(OTHER),
    ],
    calls: Calls {
        read: &["ec2:DescribeFlowLogs"],
        create: &["ec2:CreateFlowLogs", "ec2:CreateTags", "ec2:DeleteTags", "iam:PassRole"],
        update: &["ec2:CreateTags", "ec2:DeleteTags"],
        delete: &["ec2:DeleteFlowLogs"],
    },
};

#[derive(Debug)]
pub(super) struct FlowLog;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Desired {
    vpc: String,
    /// `ALL`, `ACCEPT` or `REJECT`.
    #[serde(default = "all")]
    traffic: String,
    /// The group's name.
    log_group: String,
    /// The ARN of the role that writes there.
    role: String,
    /// 60 or 600.
    #[serde(default = "ten_minutes")]
    interval_seconds: i32,
}

fn all() -> String {
    "ALL".to_owned()
}

fn ten_minutes() -> i32 {
    600
}

#[async_trait]
impl Described for Sdk {
    const KIND: &'static str = "ec2.FlowLog";

    async fn describe(client: &Client, filters: Vec<Filter>) -> Result<Vec<Self>> {
        let pages = client.describe_flow_logs().set_filter(Some(filters)).into_paginator();
        pages.items().send().try_collect().await.during("ec2:DescribeFlowLogs")
    }

    fn id(&self) -> &str {
        self.flow_log_id().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags()
    }
}

#[async_trait]
impl AwsKind for FlowLog {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["ec2:{region}:{account}:vpc-flow-log/*"])
        .beside(&[("ec2:CreateFlowLogs", &["ec2:{region}:{account}:vpc/*"])])
        .births(&["ec2:CreateFlowLogs"]);
    type Desired = Desired;

    fn normal(wanted: Desired) -> Result<Desired> {
        if !["ALL", "ACCEPT", "REJECT"].contains(&wanted.traffic.as_str()) {
            return Err(
                Error::new(ErrorKind::Invalid, format!("traffic is {:?}", wanted.traffic))
                    .with_help("write ALL, ACCEPT or REJECT"),
            );
        }
        if ![60, 600].contains(&wanted.interval_seconds) {
            let why = format!("interval_seconds is {}", wanted.interval_seconds);
            return Err(Error::new(ErrorKind::Invalid, why).with_help("write 60 or 600"));
        }
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let log = ec2::find::<Sdk>(scope, name).await?;
        Ok(log.map(|log| {
            let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
            let settings = Desired {
                vpc: text(log.resource_id()),
                traffic: text(log.traffic_type().map(TrafficType::as_str)),
                log_group: text(log.log_group_name()),
                role: text(log.deliver_logs_permission_arn()),
                interval_seconds: log.max_aggregation_interval().unwrap_or(ten_minutes()),
            };
            let state = match (log.deliver_logs_status(), log.deliver_logs_error_message()) {
                (Some("FAILED"), why) => State::Failed {
                    why: format!("nothing is delivered: {}", why.unwrap_or("EC2 does not say why")),
                },
                _ => State::Ready,
            };
            ec2::found(&log, settings, state)
        }))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        ec2::list::<Sdk>(scope).await
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, token: &str) -> Result<()> {
        let call = client(scope)
            .create_flow_logs()
            .client_token(token)
            .resource_type(FlowLogsResourceType::Vpc)
            .resource_ids(&wanted.vpc)
            .traffic_type(TrafficType::from(wanted.traffic.as_str()))
            .log_destination_type(LogDestinationType::CloudWatchLogs)
            .log_group_name(&wanted.log_group)
            .deliver_logs_permission_arn(&wanted.role)
            .max_aggregation_interval(wanted.interval_seconds)
            .tag_specifications(ec2::born(ResourceType::VpcFlowLog, name, tags));
        let answer = call.send().await.during("ec2:CreateFlowLogs")?;
        ec2::successful("ec2:CreateFlowLogs", answer.unsuccessful(), &[])
    }

    async fn update(_scope: &Scope<'_>, _name: &str, _found: &Found<Desired>, _wanted: &Desired) -> Result<()> {
        Ok(())
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        ec2::tag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let gone = ["InvalidFlowLogId.NotFound"];
        let call = client(scope).delete_flow_logs().flow_log_ids(&found.handle).send();
        let answer = call.await.absent("ec2:DeleteFlowLogs", &gone)?;
        let unsuccessful: &[UnsuccessfulItem] = answer.as_ref().map_or(&[], |answer| answer.unsuccessful());
        ec2::successful("ec2:DeleteFlowLogs", unsuccessful, &gone)
    }
}
