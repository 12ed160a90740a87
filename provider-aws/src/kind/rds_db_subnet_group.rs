//! `rds.DbSubnetGroup`: the subnets that a database's servers lie in.

use super::rds::{candidates, sdk_tags, tag, tags_at};
use super::{AwsKind, Found, Reach};
use crate::error::Outcome;
use crate::existing::Needs;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use aws_sdk_rds::types::DbSubnetGroup as SdkGroup;
use platform_core::value::SetId;
use platform_core::{
    Calls, Charset, Creation, Equal, Error, ErrorKind, Field, Holds, KindFacts, NameRule, Result, State, Updating,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const ABSENT: &[&str] = &["DBSubnetGroupNotFoundFault"];
/// RDS takes 255; the id tag holds the kind too.
const MAX_NAME: usize = 200;

#[derive(Debug)]
pub(crate) struct DbSubnetGroup;

static FACTS: KindFacts = KindFacts {
    kind: "rds.DbSubnetGroup",
    holds: Holds::Nothing,
    // After the instances in it, before the subnets.
    rank: 25,
    name: NameRule {
        max: MAX_NAME,
        charset: Charset::AwsIdentifier,
    },
    create: Creation::Exclusive,
    update: Updating::WhenSettled,
    patience: Duration::from_mins(5),
    usually: Duration::from_secs(2),
    taken: "",
    removal: None,
    outputs: &["arn", "name"],
    fields: &[Field::new("subnets").names("ec2.Subnet").equal(Equal::Set)],
    calls: Calls {
        read: &[
            "rds:DescribeDBSubnetGroups",
            "rds:ListTagsForResource",
            "tag:GetResources",
        ],
        create: &[
            "rds:CreateDBSubnetGroup",
            "rds:ModifyDBSubnetGroup",
            "rds:AddTagsToResource",
            "rds:RemoveTagsFromResource",
        ],
        update: &[
            "rds:ModifyDBSubnetGroup",
            "rds:AddTagsToResource",
            "rds:RemoveTagsFromResource",
        ],
        delete: &["rds:DeleteDBSubnetGroup"],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    #[serde(default = "description")]
    description: String,
    /// Two or more, in two zones at least.
    subnets: Vec<String>,
}

fn description() -> String {
    "subnets of databases".to_owned()
}

/// All of the account and region, whoever's they are.
async fn all(scope: &Scope<'_>) -> Result<Vec<SdkGroup>> {
    let pages = scope.clients.rds.describe_db_subnet_groups().into_paginator();
    pages
        .items()
        .send()
        .try_collect()
        .await
        .during("rds:DescribeDBSubnetGroups")
}

#[async_trait]
impl AwsKind for DbSubnetGroup {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["rds:{region}:{account}:subgrp:{name}"]);
    const MADE_BY: &'static [&'static str] = &["description"];
    const NEEDS: Needs = Needs::NOTHING.zones(2);
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        wanted.subnets.sort();
        wanted.subnets.dedup();
        if wanted.subnets.len() < 2 {
            return Err(
                Error::new(ErrorKind::Invalid, "a subnet group of fewer than two subnets")
                    .with_help("RDS takes subnets in two zones at least"),
            );
        }
        if wanted.description.is_empty() {
            return Err(
                Error::new(ErrorKind::Invalid, "a subnet group without a description").with_help("RDS wants one")
            );
        }
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let is_it = |group: &SdkGroup| group.db_subnet_group_name() == Some(name);
        let by_name = async {
            let call = scope.clients.rds.describe_db_subnet_groups().db_subnet_group_name(name);
            let answer = call.send().await.absent("rds:DescribeDBSubnetGroups", ABSENT)?;
            Ok(answer.and_then(|answer| answer.db_subnet_groups?.into_iter().next()))
        };
        let group = scope.find(FACTS.kind, all(scope), is_it, by_name).await?;
        let Some(group) = group else {
            return Ok(None);
        };
        let arn = group.db_subnet_group_arn().unwrap_or(name).to_owned();
        let tags = tags_at(scope, &arn).await?;
        let mut subnets: Vec<String> = group
            .subnets()
            .iter()
            .filter_map(|subnet| subnet.subnet_identifier().map(str::to_owned))
            .collect();
        subnets.sort();
        let settings = Desired {
            description: group.db_subnet_group_description().unwrap_or_default().to_owned(),
            subnets,
        };
        Ok(Some(Found::of_arn(name, &arn, settings, tags, State::Ready)))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let all = scope.once(FACTS.kind, all(scope)).await?;
        let names = all.iter().filter_map(|group| group.db_subnet_group_name());
        let names = names.map(str::to_owned).collect();
        candidates(scope, names, MAX_NAME, FACTS.kind, "rds:subgrp").await
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        scope
            .clients
            .rds
            .create_db_subnet_group()
            .db_subnet_group_name(name)
            .db_subnet_group_description(&wanted.description)
            .set_subnet_ids(Some(wanted.subnets.clone()))
            .set_tags(Some(sdk_tags(&tags::born(tags))))
            .send()
            .await
            .during("rds:CreateDBSubnetGroup")?;
        Ok(())
    }

    async fn update(scope: &Scope<'_>, name: &str, _found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        scope
            .clients
            .rds
            .modify_db_subnet_group()
            .db_subnet_group_name(name)
            .db_subnet_group_description(&wanted.description)
            .set_subnet_ids(Some(wanted.subnets.clone()))
            .send()
            .await
            .during("rds:ModifyDBSubnetGroup")?;
        Ok(())
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        tag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let name = found.handle.rsplit(':').next().unwrap_or(&found.handle);
        scope
            .clients
            .rds
            .delete_db_subnet_group()
            .db_subnet_group_name(name)
            .send()
            .await
            .absent("rds:DeleteDBSubnetGroup", ABSENT)?;
        Ok(())
    }
}
