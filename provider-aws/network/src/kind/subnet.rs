//! `ec2.Subnet`: a part of a VPC's addresses in one zone. EC2 takes no second one with the same addresses.

use crate::ec2::{self, Described, NAMES, client, without_interfaces};
use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{AttributeBooleanValue, Filter, ResourceType, Subnet as Sdk, SubnetState, Tag};
use platform_core::value::SetId;
use platform_core::{Calls, Creation, Field, FieldChange, Holds, KindFacts, Result, Risk, RiskRule, State, Updating};
use provider_aws::kind::{AwsKind, Found, Outcome, Reach, Scope, Tags};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const OTHER: &str = "a subnet keeps its VPC, zone and addresses: make another one beside it";

static FACTS: KindFacts = KindFacts {
    kind: "ec2.Subnet",
    holds: Holds::Nothing,
    rank: 13,
    name: NAMES,
    create: Creation::Exclusive,
    update: Updating::WhenSettled,
    // Network interfaces of what was deleted stay for some minutes.
    patience: Duration::from_mins(20),
    usually: Duration::from_secs(4),
    taken: "",
    removal: None,
    outputs: &["id", "arn"],
    fields: &[
        Field::new("vpc")
            .names("ec2.Vpc")
            .changes(FieldChange::Never)
            .instead(OTHER),
        Field::new("cidr").changes(FieldChange::Never).instead(OTHER),
        Field::new("zone").changes(FieldChange::Never).instead(OTHER),
        Field::new("map_public_ip").risk(RiskRule::Always(Risk::Exposes)),
    ],
    calls: Calls {
        read: &["ec2:DescribeSubnets"],
        create: &[
            "ec2:CreateSubnet",
            "ec2:ModifySubnetAttribute",
            "ec2:CreateTags",
            "ec2:DeleteTags",
        ],
        update: &["ec2:ModifySubnetAttribute", "ec2:CreateTags", "ec2:DeleteTags"],
        delete: &["ec2:DeleteSubnet", "ec2:DescribeNetworkInterfaces"],
    },
};

#[derive(Debug)]
pub(super) struct Subnet;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Desired {
    vpc: String,
    cidr: String,
    /// `eu-west-1a`.
    zone: String,
    /// Whether servers get a public address unless they say otherwise.
    #[serde(default)]
    map_public_ip: bool,
}

#[async_trait]
impl Described for Sdk {
    const KIND: &'static str = "ec2.Subnet";

    async fn describe(client: &Client, filters: Vec<Filter>) -> Result<Vec<Self>> {
        let pages = client.describe_subnets().set_filters(Some(filters)).into_paginator();
        pages.items().send().try_collect().await.during("ec2:DescribeSubnets")
    }

    fn id(&self) -> &str {
        self.subnet_id().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags()
    }
}

#[async_trait]
impl AwsKind for Subnet {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["ec2:{region}:{account}:subnet/*"])
        .beside(&[("ec2:CreateSubnet", &["ec2:{region}:{account}:vpc/*"])])
        .births(&["ec2:CreateSubnet"]);
    type Desired = Desired;

    fn normal(wanted: Desired) -> Result<Desired> {
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let subnet = ec2::find::<Sdk>(scope, name).await?;
        Ok(subnet.map(|subnet| {
            let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
            let settings = Desired {
                vpc: text(subnet.vpc_id()),
                cidr: text(subnet.cidr_block()),
                zone: text(subnet.availability_zone()),
                map_public_ip: subnet.map_public_ip_on_launch().unwrap_or_default(),
            };
            let state = match subnet.state() {
                Some(SubnetState::Pending) => State::Progressing {
                    what: "EC2 makes the subnet".to_owned(),
                },
                Some(SubnetState::Failed | SubnetState::FailedInsufficientCapacity) => State::Failed {
                    why: "EC2 could not make the subnet".to_owned(),
                },
                _ => State::Ready,
            };
            let mut found = ec2::found(&subnet, settings, state);
            let arn = subnet.subnet_arn().unwrap_or_default();
            found.outputs.insert("arn".to_owned(), arn.into());
            found
        }))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        ec2::list::<Sdk>(scope).await
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        let call = client(scope)
            .create_subnet()
            .vpc_id(&wanted.vpc)
            .cidr_block(&wanted.cidr)
            .availability_zone(&wanted.zone)
            .tag_specifications(ec2::born(ResourceType::Subnet, name, tags));
        call.send().await.during("ec2:CreateSubnet").map(drop)
    }

    async fn update(scope: &Scope<'_>, _name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        if found.settings.map_public_ip != wanted.map_public_ip {
            let value = AttributeBooleanValue::builder().value(wanted.map_public_ip).build();
            let call = client(scope)
                .modify_subnet_attribute()
                .subnet_id(&found.handle)
                .map_public_ip_on_launch(value);
            call.send().await.during("ec2:ModifySubnetAttribute")?;
        }
        Ok(())
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        ec2::tag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let call = client(scope).delete_subnet().subnet_id(&found.handle).send();
        let deleted = call
            .await
            .absent("ec2:DeleteSubnet", &["InvalidSubnetID.NotFound"])
            .map(drop);
        without_interfaces(scope, deleted, "subnet-id", &found.handle).await
    }
}
