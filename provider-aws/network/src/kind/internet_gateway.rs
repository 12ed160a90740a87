//! `ec2.InternetGateway`: the way from a VPC to the internet, with its attachment.
//!
//! `CreateInternetGateway` takes neither name nor token: a create is recorded in the lease first, and what a killed run made
//! is found by its id tag.

use crate::ec2::{self, Described, NAMES, client, perhaps_made, without_interfaces};
use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, InternetGateway as Sdk, ResourceType, Tag};
use platform_core::value::SetId;
use platform_core::{
    Calls, Creation, Error, ErrorKind, Field, Holds, KindFacts, Result, Risk, RiskRule, State, Updating,
};
use provider_aws::kind::{AwsKind, Found, Outcome, Reach, Room, Scope, Tags};
use serde::{Deserialize, Serialize};
use std::time::Duration;

static FACTS: KindFacts = KindFacts {
    kind: "ec2.InternetGateway",
    holds: Holds::Nothing,
    rank: 13,
    name: NAMES,
    create: Creation::Unguarded,
    update: Updating::AtOnce,
    patience: Duration::from_mins(10),
    usually: Duration::from_secs(4),
    taken: "",
    removal: None,
    outputs: &["id"],
    fields: &[Field::new("vpc").risk(RiskRule::Always(Risk::Downtime))],
    calls: Calls {
        read: &["ec2:DescribeInternetGateways"],
        create: &[
            "ec2:CreateInternetGateway",
            "ec2:AttachInternetGateway",
            "ec2:CreateTags",
            "ec2:DeleteTags",
        ],
        update: &[
            "ec2:AttachInternetGateway",
            "ec2:DetachInternetGateway",
            "ec2:CreateTags",
            "ec2:DeleteTags",
        ],
        delete: &[
            "ec2:DetachInternetGateway",
            "ec2:DeleteInternetGateway",
            "ec2:DescribeNetworkInterfaces",
        ],
    },
};

#[derive(Debug)]
pub(super) struct InternetGateway;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Desired {
    /// Empty while it is attached to none.
    vpc: String,
}

#[async_trait]
impl Described for Sdk {
    const KIND: &'static str = "ec2.InternetGateway";

    async fn describe(client: &Client, filters: Vec<Filter>) -> Result<Vec<Self>> {
        let pages = client.describe_internet_gateways().set_filters(Some(filters));
        let pages = pages.into_paginator().items().send();
        pages.try_collect().await.during("ec2:DescribeInternetGateways")
    }

    fn id(&self) -> &str {
        self.internet_gateway_id().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags()
    }
}

async fn detach(scope: &Scope<'_>, gateway: &str, vpc: &str) -> Result<()> {
    if vpc.is_empty() {
        return Ok(());
    }
    let call = client(scope)
        .detach_internet_gateway()
        .internet_gateway_id(gateway)
        .vpc_id(vpc);
    let gone = ["Gateway.NotAttached", "InvalidInternetGatewayID.NotFound"];
    let detached = call.send().await.absent("ec2:DetachInternetGateway", &gone).map(drop);
    // Whatever has a public address there keeps it.
    without_interfaces(scope, detached, "vpc-id", vpc).await
}

#[async_trait]
impl AwsKind for InternetGateway {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["ec2:{region}:{account}:internet-gateway/*"])
        .beside(&[
            ("ec2:AttachInternetGateway", &["ec2:{region}:{account}:vpc/*"]),
            ("ec2:DetachInternetGateway", &["ec2:{region}:{account}:vpc/*"]),
        ])
        .births(&["ec2:CreateInternetGateway"]);
    type Desired = Desired;

    fn normal(wanted: Desired) -> Result<Desired> {
        if wanted.vpc.is_empty() {
            return Err(
                Error::new(ErrorKind::Invalid, "an internet gateway without a VPC leads nowhere")
                    .with_help("say which `vpc`"),
            );
        }
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let gateway = ec2::find::<Sdk>(scope, name).await?;
        Ok(gateway.map(|gateway| {
            let vpc = gateway.attachments().iter().find_map(|attachment| attachment.vpc_id());
            let settings = Desired {
                vpc: vpc.unwrap_or_default().to_owned(),
            };
            ec2::found(&gateway, settings, State::Ready)
        }))
    }

    async fn room(scope: &Scope<'_>) -> Result<Option<Room>> {
        ec2::room::<Sdk>(scope, "vpc", "L-A4707A72", "internet gateways").await
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        ec2::list::<Sdk>(scope).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn create(scope: &Scope<'_>, name: &str, _wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        // It is attached as a difference, once it shows.
        client(scope)
            .create_internet_gateway()
            .tag_specifications(ec2::born(ResourceType::InternetGateway, name, tags))
            .customize()
            .config_override(ec2::once())
            .send()
            .await
            .during("ec2:CreateInternetGateway")
            .map_err(perhaps_made)?;
        Ok(())
    }

    async fn update(scope: &Scope<'_>, _name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        if found.settings.vpc == wanted.vpc {
            return Ok(());
        }
        detach(scope, &found.handle, &found.settings.vpc).await?;
        let call = client(scope)
            .attach_internet_gateway()
            .internet_gateway_id(&found.handle)
            .vpc_id(&wanted.vpc);
        call.send().await.during("ec2:AttachInternetGateway").map(drop)
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        ec2::tag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        detach(scope, &found.handle, &found.settings.vpc).await?;
        let call = client(scope)
            .delete_internet_gateway()
            .internet_gateway_id(&found.handle);
        let gone = ["InvalidInternetGatewayID.NotFound"];
        call.send().await.absent("ec2:DeleteInternetGateway", &gone).map(drop)
    }
}
