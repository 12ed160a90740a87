//! `ec2.Vpc`: a VPC with its DNS attributes and its default security group, which lets nothing pass.
//!
//! `CreateVpc` takes neither name nor token: a create is recorded in the lease first, and what a killed run made is found by
//! its id tag.

use super::security_group;
use crate::ec2::{self, Described, NAMES, client, filter, perhaps_made, without_interfaces};
use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    AttributeBooleanValue, Filter, ResourceType, SecurityGroup, Tag, Vpc as Sdk, VpcAttributeName, VpcState,
};
use platform_core::value::SetId;
use platform_core::{
    Calls, Creation, Error, ErrorKind, Field, FieldChange, Holds, KindFacts, Result, Retry, Risk, RiskRule, State,
    Updating,
};
use provider_aws::kind::{AwsKind, Found, Outcome, Reach, Room, Scope, Tags};
use serde::{Deserialize, Serialize};
use std::time::Duration;

static FACTS: KindFacts = KindFacts {
    kind: "ec2.Vpc",
    holds: Holds::Nothing,
    // After everything that lies in it, before the key.
    rank: 12,
    name: NAMES,
    create: Creation::Unguarded,
    update: Updating::WhenSettled,
    patience: Duration::from_mins(5),
    usually: Duration::from_secs(4),
    taken: "",
    removal: None,
    outputs: &["id", "arn"],
    fields: &[
        Field::new("cidr")
            .changes(FieldChange::Never)
            .instead("a VPC keeps its addresses: make another network, under another `name` or `environment`"),
        Field::new("dns_support").risk(RiskRule::TurnsOff(Risk::Downtime)),
        Field::new("dns_hostnames").risk(RiskRule::TurnsOff(Risk::Downtime)),
    ],
    calls: Calls {
        read: &[
            "ec2:DescribeVpcs",
            "ec2:DescribeVpcAttribute",
            "ec2:DescribeSecurityGroups",
        ],
        create: &[
            "ec2:CreateVpc",
            "ec2:ModifyVpcAttribute",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:CreateTags",
            "ec2:DeleteTags",
        ],
        update: &[
            "ec2:ModifyVpcAttribute",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:CreateTags",
            "ec2:DeleteTags",
        ],
        delete: &[
            "ec2:DeleteVpc",
            "ec2:DeleteSecurityGroup",
            "ec2:DescribeNetworkInterfaces",
        ],
    },
};

#[derive(Debug)]
pub(super) struct Vpc;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Desired {
    /// A /16 to /28.
    cidr: String,
    #[serde(default = "yes")]
    dns_support: bool,
    #[serde(default = "yes")]
    dns_hostnames: bool,
    /// Shown as false by a VPC whose default security group lets something pass.
    #[serde(default = "yes")]
    closed_default_group: bool,
}

fn yes() -> bool {
    true
}

#[async_trait]
impl Described for Sdk {
    const KIND: &'static str = "ec2.Vpc";

    async fn describe(client: &Client, filters: Vec<Filter>) -> Result<Vec<Self>> {
        let pages = client.describe_vpcs().set_filters(Some(filters)).into_paginator();
        pages.items().send().try_collect().await.during("ec2:DescribeVpcs")
    }

    fn id(&self) -> &str {
        self.vpc_id().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags()
    }
}

async fn attribute(client: &Client, vpc: &str, name: VpcAttributeName) -> Result<bool> {
    let call = client.describe_vpc_attribute().vpc_id(vpc).attribute(name.clone());
    let answer = call.send().await.during("ec2:DescribeVpcAttribute")?;
    let value = match name {
        VpcAttributeName::EnableDnsSupport => answer.enable_dns_support,
        _ => answer.enable_dns_hostnames,
    };
    Ok(value.and_then(|value| value.value).unwrap_or_default())
}

/// Whether a VPC resolves names and gives host names.
pub(crate) async fn names_are_on(client: &Client, vpc: &str) -> Result<bool> {
    let (support, hosts) = futures::try_join!(
        attribute(client, vpc, VpcAttributeName::EnableDnsSupport),
        attribute(client, vpc, VpcAttributeName::EnableDnsHostnames),
    )?;
    Ok(support && hosts)
}

async fn default_group(client: &Client, vpc: &str) -> Result<Option<SecurityGroup>> {
    let call = client
        .describe_security_groups()
        .filters(filter("vpc-id", vpc))
        .filters(filter("group-name", "default"));
    let answer = call.send().await.during("ec2:DescribeSecurityGroups")?;
    Ok(answer.security_groups.unwrap_or_default().into_iter().next())
}

/// Takes every rule from the default security group.
async fn close(client: &Client, vpc: &str) -> Result<()> {
    let Some(group) = default_group(client, vpc).await? else {
        return Err(Error::new(
            ErrorKind::Unavailable,
            "the VPC's default security group does not show yet",
        )
        .with_retry(Retry::After(Duration::from_secs(2))));
    };
    let id = group.group_id().unwrap_or_default();
    if !group.ip_permissions().is_empty() {
        let call = client
            .revoke_security_group_ingress()
            .group_id(id)
            .set_ip_permissions(group.ip_permissions.clone());
        call.send().await.during("ec2:RevokeSecurityGroupIngress")?;
    }
    if !group.ip_permissions_egress().is_empty() {
        let call = client
            .revoke_security_group_egress()
            .group_id(id)
            .set_ip_permissions(group.ip_permissions_egress.clone());
        call.send().await.during("ec2:RevokeSecurityGroupEgress")?;
    }
    Ok(())
}

#[async_trait]
impl AwsKind for Vpc {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["ec2:{region}:{account}:vpc/*"])
        .unmarked(&[
            (
                "ec2:RevokeSecurityGroupIngress",
                &["ec2:{region}:{account}:security-group/*"],
            ),
            (
                "ec2:RevokeSecurityGroupEgress",
                &["ec2:{region}:{account}:security-group/*"],
            ),
        ])
        .of_eks(&[("ec2:DeleteSecurityGroup", &["ec2:{region}:{account}:security-group/*"])])
        .births(&["ec2:CreateVpc"]);
    type Desired = Desired;

    fn normal(wanted: Desired) -> Result<Desired> {
        if wanted.dns_hostnames && !wanted.dns_support {
            return Err(Error::new(ErrorKind::Invalid, "DNS host names need DNS support")
                .with_help("leave both on: endpoints of services are found by them"));
        }
        if !wanted.closed_default_group {
            return Err(
                Error::new(ErrorKind::Invalid, "the default security group would let traffic pass")
                    .with_help("leave `closed_default_group` out"),
            );
        }
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let Some(vpc) = ec2::find::<Sdk>(scope, name).await? else {
            return Ok(None);
        };
        let client = client(scope);
        let id = vpc.id();
        let (dns_support, dns_hostnames, group) = futures::try_join!(
            attribute(&client, id, VpcAttributeName::EnableDnsSupport),
            attribute(&client, id, VpcAttributeName::EnableDnsHostnames),
            default_group(&client, id),
        )?;
        let settings = Desired {
            cidr: vpc.cidr_block().unwrap_or_default().to_owned(),
            dns_support,
            dns_hostnames,
            closed_default_group: group
                .is_some_and(|group| group.ip_permissions().is_empty() && group.ip_permissions_egress().is_empty()),
        };
        let state = match vpc.state() {
            Some(VpcState::Pending) => State::Progressing {
                what: "EC2 makes the VPC".to_owned(),
            },
            _ => State::Ready,
        };
        let mut found = ec2::found(&vpc, settings, state);
        let arn = format!(
            "arn:{}:ec2:{}:{}:vpc/{id}",
            scope.partition(),
            scope.region(),
            scope.account()
        );
        found.outputs.insert("arn".to_owned(), arn.into());
        Ok(Some(found))
    }

    async fn room(scope: &Scope<'_>) -> Result<Option<Room>> {
        ec2::room::<Sdk>(scope, "vpc", "L-F678F1CE", "VPCs").await
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        ec2::list::<Sdk>(scope).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        // Its attributes follow as a difference, once it shows.
        client(scope)
            .create_vpc()
            .cidr_block(&wanted.cidr)
            .tag_specifications(ec2::born(ResourceType::Vpc, name, tags))
            .customize()
            .config_override(ec2::once())
            .send()
            .await
            .during("ec2:CreateVpc")
            .map_err(perhaps_made)?;
        Ok(())
    }

    async fn update(scope: &Scope<'_>, _name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        let (client, have, vpc) = (client(scope), &found.settings, found.handle.as_str());
        let on = |value: bool| AttributeBooleanValue::builder().value(value).build();
        // Host names need support: that comes first and goes last.
        let host_names = async || {
            if have.dns_hostnames == wanted.dns_hostnames {
                return Ok(());
            }
            let call = client
                .modify_vpc_attribute()
                .vpc_id(vpc)
                .enable_dns_hostnames(on(wanted.dns_hostnames));
            call.send().await.during("ec2:ModifyVpcAttribute").map(drop)
        };
        if !wanted.dns_hostnames {
            host_names().await?;
        }
        if have.dns_support != wanted.dns_support {
            let call = client
                .modify_vpc_attribute()
                .vpc_id(vpc)
                .enable_dns_support(on(wanted.dns_support));
            call.send().await.during("ec2:ModifyVpcAttribute")?;
        }
        if wanted.dns_hostnames {
            host_names().await?;
        }
        if !have.closed_default_group {
            close(&client, vpc).await?;
        }
        Ok(())
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        ec2::tag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let (client, vpc) = (client(scope), found.handle.as_str());
        let delete = async || {
            let call = client.delete_vpc().vpc_id(vpc).send();
            call.await.absent("ec2:DeleteVpc", &["InvalidVpcID.NotFound"]).map(drop)
        };
        let mut deleted = delete().await;
        if deleted.as_ref().is_err_and(ec2::is_in_use) && security_group::delete_left_by_eks(&client, vpc).await? {
            deleted = delete().await;
        }
        without_interfaces(scope, deleted, "vpc-id", vpc).await
    }
}
