//! `ec2.SecurityGroup`: who may talk to a server and to whom it may, rule by rule, each with a description.
//!
//! A name is exclusive in a VPC. EC2 lets a new group send anything anywhere: that rule goes like any other that is not
//! wanted.

mod rules;

use crate::ec2::{self, Described, NAMES, client, filter, without_interfaces};
use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, ResourceType, SecurityGroup as Sdk, Tag};
use platform_core::value::SetId;
use platform_core::{
    Calls, Creation, Equal, Error, ErrorKind, Field, FieldChange, Holds, KindFacts, Result, Risk, RiskRule, State,
    Updating,
};
use provider_aws::kind::{AwsKind, EKS_CLUSTER, Found, Outcome, Reach, Scope, Tags};
use rules::{Direction, Rule};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const OTHER: &str = "a security group keeps its VPC and description: make another one beside it, under another name";

static FACTS: KindFacts = KindFacts {
    kind: "ec2.SecurityGroup",
    holds: Holds::Nothing,
    rank: 14,
    name: NAMES,
    create: Creation::Exclusive,
    update: Updating::AtOnce,
    // Network interfaces of what was deleted stay for some minutes.
    patience: Duration::from_mins(20),
    usually: Duration::from_secs(4),
    taken: "",
    removal: None,
    outputs: &["id"],
    fields: &[
        Field::new("vpc")
            .names("ec2.Vpc")
            .changes(FieldChange::Never)
            .instead(OTHER),
        Field::new("description").changes(FieldChange::Never).instead(OTHER),
        Field::new("ingress")
            .names("ec2.SecurityGroup")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
        Field::new("egress")
            .names("ec2.SecurityGroup")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
    ],
    calls: Calls {
        read: &["ec2:DescribeSecurityGroups"],
        create: &[
            "ec2:CreateSecurityGroup",
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:CreateTags",
            "ec2:DeleteTags",
        ],
        update: &[
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:CreateTags",
            "ec2:DeleteTags",
        ],
        delete: &[
            "ec2:DeleteSecurityGroup",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:DescribeNetworkInterfaces",
        ],
    },
};

#[derive(Debug)]
pub(super) struct SecurityGroup;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Desired {
    vpc: String,
    description: String,
    /// Who may talk to it.
    #[serde(default)]
    ingress: Vec<Rule>,
    /// To whom it may talk.
    #[serde(default)]
    egress: Vec<Rule>,
}

#[async_trait]
impl Described for Sdk {
    const KIND: &'static str = "ec2.SecurityGroup";

    async fn describe(client: &Client, filters: Vec<Filter>) -> Result<Vec<Self>> {
        let pages = client
            .describe_security_groups()
            .set_filters(Some(filters))
            .into_paginator();
        let pages = pages.items().send();
        pages.try_collect().await.during("ec2:DescribeSecurityGroups")
    }

    fn id(&self) -> &str {
        self.group_id().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags()
    }
}

#[allow(clippy::disallowed_methods)] // the home of this call
async fn delete(client: &Client, group: &str) -> Result<()> {
    let gone = ["InvalidGroup.NotFound"];
    let call = client.delete_security_group().group_id(group).send();
    call.await.absent("ec2:DeleteSecurityGroup", &gone).map(drop)
}

/// Deletes the groups that EKS left in a VPC: one that a rule of a kept group names outlives its cluster. What is still in
/// use stays. Whether any is gone.
pub(super) async fn delete_left_by_eks(client: &Client, vpc: &str) -> Result<bool> {
    let filters = vec![filter("vpc-id", vpc), filter("tag-key", EKS_CLUSTER)];
    let mut gone = false;
    for group in Sdk::describe(client, filters).await? {
        // A filter only saves reading: the object itself is the proof.
        if group.all_tags().contains_key(EKS_CLUSTER) {
            match delete(client, group.id()).await {
                Err(error) if ec2::is_in_use(&error) => {}
                other => {
                    other?;
                    gone = true;
                }
            }
        }
    }
    Ok(gone)
}

#[async_trait]
impl AwsKind for SecurityGroup {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["ec2:{region}:{account}:security-group/*"])
        .beside(&[
            ("ec2:CreateSecurityGroup", &["ec2:{region}:{account}:vpc/*"]),
            (
                "ec2:AuthorizeSecurityGroupIngress",
                &["ec2:{region}:{account}:security-group-rule/*"],
            ),
            (
                "ec2:AuthorizeSecurityGroupEgress",
                &["ec2:{region}:{account}:security-group-rule/*"],
            ),
        ])
        .births(&["ec2:CreateSecurityGroup"]);
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        for rules in [&mut wanted.ingress, &mut wanted.egress] {
            for rule in rules.iter() {
                rule.check()?;
            }
            rules.sort();
            rules.dedup();
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
        if wanted.description.is_empty() || wanted.description.len() > 255 || !wanted.description.chars().all(legal) {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("{:?} does not describe a group", wanted.description),
            )
            .with_help("write 1 to 255 letters, digits, spaces and ._-:/()#,@[]+=&;{}!$*"));
        }
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let group = ec2::find::<Sdk>(scope, name).await?;
        Ok(group.map(|group| {
            let settings = Desired {
                vpc: group.vpc_id().unwrap_or_default().to_owned(),
                description: group.description().unwrap_or_default().to_owned(),
                ingress: rules::of(group.ip_permissions(), group.id()),
                egress: rules::of(group.ip_permissions_egress(), group.id()),
            };
            ec2::found(&group, settings, State::Ready)
        }))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        ec2::list::<Sdk>(scope).await
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        // Its rules follow as a difference, once it shows.
        let call = client(scope)
            .create_security_group()
            .group_name(name)
            .description(&wanted.description)
            .vpc_id(&wanted.vpc)
            .tag_specifications(ec2::born(ResourceType::SecurityGroup, name, tags));
        call.send().await.during("ec2:CreateSecurityGroup").map(drop)
    }

    async fn update(scope: &Scope<'_>, _name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        let (client, have, group) = (client(scope), &found.settings, found.handle.as_str());
        for (direction, have, want) in [
            (Direction::In, &have.ingress, &wanted.ingress),
            (Direction::Out, &have.egress, &wanted.egress),
        ] {
            rules::change(&client, group, direction, have, want).await?;
        }
        Ok(())
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        ec2::tag(scope, &found.handle, put, remove).await
    }

    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let (client, group) = (client(scope), found.handle.as_str());
        let mut deleted = delete(&client, group).await;
        if deleted.as_ref().is_err_and(ec2::is_in_use) {
            // Groups that let each other in hold each other: its own rules go first.
            rules::change(&client, group, Direction::In, &found.settings.ingress, &[]).await?;
            rules::change(&client, group, Direction::Out, &found.settings.egress, &[]).await?;
            deleted = delete(&client, group).await;
        }
        without_interfaces(scope, deleted, "group-id", group).await
    }
}
