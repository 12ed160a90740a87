//! `ec2.VpcEndpoint`: the way from a VPC to a service of AWS that does not lead through the internet.
//!
//! One of type `Gateway` puts a route into route tables, one of type `Interface` an address into subnets.

use crate::ec2::{self, Described, NAMES, client, without};
use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    Filter, ResourceType, State as SdkState, Tag, UnsuccessfulItem, VpcEndpoint as Sdk, VpcEndpointType,
};
use platform_core::value::SetId;
use platform_core::{
    Calls, Creation, Equal, Error, ErrorKind, Field, FieldChange, Holds, KindFacts, Result, Risk, RiskRule, State,
    Updating,
};
use provider_aws::kind::{AwsKind, Found, Outcome, Reach, Scope, Tags};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const OTHER: &str = "an endpoint keeps its VPC, service and type: make another one beside it, under another name";

static FACTS: KindFacts = KindFacts {
    kind: "ec2.VpcEndpoint",
    holds: Holds::Nothing,
    rank: 18,
    name: NAMES,
    create: Creation::Token,
    update: Updating::WhenSettled,
    patience: Duration::from_mins(15),
    usually: Duration::from_mins(1),
    taken: "",
    removal: None,
    outputs: &["id"],
    fields: &[
        Field::new("vpc").changes(FieldChange::Never).instead(OTHER),
        Field::new("service").changes(FieldChange::Never).instead(OTHER),
        Field::new("type").changes(FieldChange::Never).instead(OTHER),
        Field::new("route_tables")
            .equal(Equal::Set)
            .risk(RiskRule::Removed(Risk::Downtime)),
        Field::new("subnets")
            .equal(Equal::Set)
            .risk(RiskRule::Removed(Risk::Downtime)),
        Field::new("security_groups")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
        Field::new("private_dns").risk(RiskRule::TurnsOff(Risk::Downtime)),
    ],
    calls: Calls {
        read: &["ec2:DescribeVpcEndpoints"],
        create: &["ec2:CreateVpcEndpoint", "ec2:CreateTags", "ec2:DeleteTags"],
        update: &["ec2:ModifyVpcEndpoint", "ec2:CreateTags", "ec2:DeleteTags"],
        delete: &["ec2:DeleteVpcEndpoints"],
    },
};

#[derive(Debug)]
pub(super) struct VpcEndpoint;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Desired {
    vpc: String,
    /// `com.amazonaws.eu-west-1.s3`.
    service: String,
    /// `Gateway` or `Interface`.
    r#type: String,
    /// Of a gateway.
    #[serde(default)]
    route_tables: Vec<String>,
    /// Of an interface; one a zone.
    #[serde(default)]
    subnets: Vec<String>,
    /// Of an interface.
    #[serde(default)]
    security_groups: Vec<String>,
    /// Whether the service's own name leads to an interface.
    #[serde(default)]
    private_dns: bool,
}

#[async_trait]
impl Described for Sdk {
    const KIND: &'static str = "ec2.VpcEndpoint";

    async fn describe(client: &Client, filters: Vec<Filter>) -> Result<Vec<Self>> {
        let pages = client
            .describe_vpc_endpoints()
            .set_filters(Some(filters))
            .into_paginator();
        let all: Vec<Self> = pages
            .items()
            .send()
            .try_collect()
            .await
            .during("ec2:DescribeVpcEndpoints")?;
        Ok(all.into_iter().filter(|endpoint| word(endpoint) != "deleted").collect())
    }

    fn id(&self) -> &str {
        self.vpc_endpoint_id().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags()
    }
}

/// The state's word, which the API writes otherwise than its own model.
fn word(endpoint: &Sdk) -> String {
    endpoint.state().map_or("", SdkState::as_str).to_ascii_lowercase()
}

fn state(endpoint: &Sdk) -> State {
    match word(endpoint).as_str() {
        "pending" | "pendingacceptance" | "partial" => State::Progressing {
            what: "EC2 makes the endpoint".to_owned(),
        },
        "deleting" => State::Deleting { blocked_by: Vec::new() },
        "failed" | "rejected" | "expired" => State::Failed {
            why: endpoint
                .last_error()
                .and_then(|error| error.message())
                .or(endpoint.failure_reason())
                .unwrap_or("EC2 does not say why")
                .to_owned(),
        },
        _ => State::Ready,
    }
}

fn sorted(ids: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut ids: Vec<String> = ids.into_iter().collect();
    ids.sort();
    ids.dedup();
    ids
}

fn some(ids: &[String]) -> Option<Vec<String>> {
    (!ids.is_empty()).then(|| ids.to_vec())
}

#[async_trait]
impl AwsKind for VpcEndpoint {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["ec2:{region}:{account}:vpc-endpoint/*"])
        .beside(&[
            (
                "ec2:CreateVpcEndpoint",
                &[
                    "ec2:{region}:{account}:route-table/*",
                    "ec2:{region}:{account}:security-group/*",
                    "ec2:{region}:{account}:subnet/*",
                    "ec2:{region}:{account}:vpc/*",
                ],
            ),
            (
                "ec2:ModifyVpcEndpoint",
                &[
                    "ec2:{region}:{account}:route-table/*",
                    "ec2:{region}:{account}:security-group/*",
                    "ec2:{region}:{account}:subnet/*",
                ],
            ),
        ])
        .births(&["ec2:CreateVpcEndpoint"]);
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        let of_an_interface = !wanted.subnets.is_empty() || !wanted.security_groups.is_empty() || wanted.private_dns;
        let wrong = match wanted.r#type.as_str() {
            "Gateway" if of_an_interface => "a gateway lies in no subnet and has no group",
            "Interface" if !wanted.route_tables.is_empty() => "an interface has no route",
            "Gateway" | "Interface" => "",
            _ => "type is neither Gateway nor Interface",
        };
        if !wrong.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, wrong)
                .with_help("give a Gateway route_tables, an Interface subnets and security_groups"));
        }
        wanted.route_tables = sorted(wanted.route_tables);
        wanted.subnets = sorted(wanted.subnets);
        wanted.security_groups = sorted(wanted.security_groups);
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let endpoint = ec2::find::<Sdk>(scope, name).await?;
        Ok(endpoint.map(|endpoint| {
            let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
            let groups = endpoint.groups().iter().filter_map(|group| group.group_id());
            // Of a gateway it says nothing.
            let is_interface = endpoint.vpc_endpoint_type() == Some(&VpcEndpointType::Interface);
            let settings = Desired {
                vpc: text(endpoint.vpc_id()),
                service: text(endpoint.service_name()),
                r#type: text(endpoint.vpc_endpoint_type().map(VpcEndpointType::as_str)),
                route_tables: sorted(endpoint.route_table_ids().to_vec()),
                subnets: sorted(endpoint.subnet_ids().to_vec()),
                security_groups: sorted(groups.map(str::to_owned)),
                private_dns: is_interface && endpoint.private_dns_enabled().unwrap_or_default(),
            };
            ec2::found(&endpoint, settings, state(&endpoint))
        }))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        ec2::list::<Sdk>(scope).await
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, token: &str) -> Result<()> {
        let is_interface = wanted.r#type == "Interface";
        let call = client(scope)
            .create_vpc_endpoint()
            .client_token(token)
            .vpc_id(&wanted.vpc)
            .service_name(&wanted.service)
            .vpc_endpoint_type(VpcEndpointType::from(wanted.r#type.as_str()))
            .set_route_table_ids(some(&wanted.route_tables))
            .set_subnet_ids(some(&wanted.subnets))
            .set_security_group_ids(some(&wanted.security_groups))
            .set_private_dns_enabled(is_interface.then_some(wanted.private_dns))
            .tag_specifications(ec2::born(ResourceType::VpcEndpoint, name, tags));
        call.send().await.during("ec2:CreateVpcEndpoint").map(drop)
    }

    async fn update(scope: &Scope<'_>, _name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        let have = &found.settings;
        let dns = (have.private_dns != wanted.private_dns).then_some(wanted.private_dns);
        let call = client(scope)
            .modify_vpc_endpoint()
            .vpc_endpoint_id(&found.handle)
            .set_add_route_table_ids(without(&wanted.route_tables, &have.route_tables))
            .set_remove_route_table_ids(without(&have.route_tables, &wanted.route_tables))
            .set_add_subnet_ids(without(&wanted.subnets, &have.subnets))
            .set_remove_subnet_ids(without(&have.subnets, &wanted.subnets))
            .set_add_security_group_ids(without(&wanted.security_groups, &have.security_groups))
            .set_remove_security_group_ids(without(&have.security_groups, &wanted.security_groups))
            .set_private_dns_enabled(dns);
        call.send().await.during("ec2:ModifyVpcEndpoint").map(drop)
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        ec2::tag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let gone = ["InvalidVpcEndpointId.NotFound", "InvalidVpcEndpoint.NotFound"];
        let call = client(scope)
            .delete_vpc_endpoints()
            .vpc_endpoint_ids(&found.handle)
            .send();
        let answer = call.await.absent("ec2:DeleteVpcEndpoints", &gone)?;
        let unsuccessful: &[UnsuccessfulItem] = answer.as_ref().map_or(&[], |answer| answer.unsuccessful());
        ec2::successful("ec2:DeleteVpcEndpoints", unsuccessful, &gone)
    }
}
