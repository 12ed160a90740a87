//! `ec2.NatGateway`: how private subnets reach the internet, in one public subnet with one public address.
//!
//! Deleted ones stay visible for an hour, tags and all: they count as gone. The token of a create makes no second one.

use crate::ec2::{self, Described, NAMES, client};
use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, NatGateway as Sdk, NatGatewayState, ResourceType, Tag};
use platform_core::value::SetId;
use platform_core::{Calls, Creation, Field, FieldChange, Holds, KindFacts, Result, State, Updating};
use provider_aws::kind::{AwsKind, Found, Outcome, Reach, Scope, Tags};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const OTHER: &str = "a NAT gateway keeps its subnet and address: make another one beside it";

static FACTS: KindFacts = KindFacts {
    kind: "ec2.NatGateway",
    holds: Holds::Nothing,
    rank: 15,
    name: NAMES,
    create: Creation::Token,
    update: Updating::AtOnce,
    patience: Duration::from_mins(15),
    usually: Duration::from_mins(2),
    taken: "",
    removal: None,
    outputs: &["id", "public_ip"],
    fields: &[
        Field::new("subnet").changes(FieldChange::Never).instead(OTHER),
        Field::new("allocation").changes(FieldChange::Never).instead(OTHER),
    ],
    calls: Calls {
        read: &["ec2:DescribeNatGateways"],
        create: &["ec2:CreateNatGateway", "ec2:CreateTags", "ec2:DeleteTags"],
        update: &["ec2:CreateTags", "ec2:DeleteTags"],
        delete: &["ec2:DeleteNatGateway"],
    },
};

#[derive(Debug)]
pub(super) struct NatGateway;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Desired {
    /// A public one.
    subnet: String,
    /// The id of its public address.
    allocation: String,
}

#[async_trait]
impl Described for Sdk {
    const KIND: &'static str = "ec2.NatGateway";

    async fn describe(client: &Client, mut filters: Vec<Filter>) -> Result<Vec<Self>> {
        let there = ["pending", "failed", "available", "deleting"].map(str::to_owned);
        filters.push(Filter::builder().name("state").set_values(Some(there.to_vec())).build());
        let pages = client
            .describe_nat_gateways()
            .set_filter(Some(filters))
            .into_paginator();
        pages
            .items()
            .send()
            .try_collect()
            .await
            .during("ec2:DescribeNatGateways")
    }

    fn id(&self) -> &str {
        self.nat_gateway_id().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags()
    }
}

fn state(gateway: &Sdk) -> State {
    match gateway.state() {
        Some(NatGatewayState::Pending) => State::Progressing {
            what: "EC2 makes the NAT gateway".to_owned(),
        },
        Some(NatGatewayState::Deleting) => State::Deleting { blocked_by: Vec::new() },
        Some(NatGatewayState::Failed) => State::Failed {
            why: gateway.failure_message().unwrap_or("EC2 does not say why").to_owned(),
        },
        _ => State::Ready,
    }
}

#[async_trait]
impl AwsKind for NatGateway {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["ec2:{region}:{account}:natgateway/*"])
        .beside(&[(
            "ec2:CreateNatGateway",
            &[
                "ec2:{region}:{account}:elastic-ip/*",
                "ec2:{region}:{account}:subnet/*",
                "ec2:{region}:{account}:vpc/*",
            ],
        )])
        .births(&["ec2:CreateNatGateway"]);
    type Desired = Desired;

    fn normal(wanted: Desired) -> Result<Desired> {
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let gateway = ec2::find::<Sdk>(scope, name).await?;
        Ok(gateway.map(|gateway| {
            let addresses = gateway.nat_gateway_addresses();
            let address = addresses
                .iter()
                .find(|address| address.is_primary() == Some(true))
                .or(addresses.first());
            let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
            let settings = Desired {
                subnet: text(gateway.subnet_id()),
                allocation: text(address.and_then(|address| address.allocation_id())),
            };
            let public = text(address.and_then(|address| address.public_ip()));
            let mut found = ec2::found(&gateway, settings, state(&gateway));
            found.outputs.insert("public_ip".to_owned(), public.into());
            found
        }))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        ec2::list::<Sdk>(scope).await
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, token: &str) -> Result<()> {
        let call = client(scope)
            .create_nat_gateway()
            .client_token(token)
            .subnet_id(&wanted.subnet)
            .allocation_id(&wanted.allocation)
            .tag_specifications(ec2::born(ResourceType::Natgateway, name, tags));
        call.send().await.during("ec2:CreateNatGateway").map(drop)
    }

    async fn update(_scope: &Scope<'_>, _name: &str, _found: &Found<Desired>, _wanted: &Desired) -> Result<()> {
        Ok(())
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        ec2::tag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let call = client(scope).delete_nat_gateway().nat_gateway_id(&found.handle);
        let gone = ["NatGatewayNotFound", "InvalidNatGatewayID.NotFound"];
        call.send().await.absent("ec2:DeleteNatGateway", &gone).map(drop)
    }
}
