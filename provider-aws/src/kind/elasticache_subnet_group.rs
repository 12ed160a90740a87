//! `elasticache.SubnetGroup`: the subnets that a cache's servers lie in.

use super::elasticache as common;
use super::{AwsKind, Found, Reach};
use crate::error::Outcome;
use crate::provider::Scope;
use crate::tags::Tags;
use async_trait::async_trait;
use aws_sdk_elasticache::types::CacheSubnetGroup;
use platform_core::value::SetId;
use platform_core::{
    Calls, Charset, Creation, Equal, Error, ErrorKind, Field, Holds, KindFacts, NameRule, Result, State, Updating,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const NO_SUCH: &[&str] = &["CacheSubnetGroupNotFoundFault", "CacheSubnetGroupNotFound"];
/// The id tag holds kind and name.
const MAX_NAME: usize = 229;

#[derive(Debug)]
pub(crate) struct SubnetGroup;

static FACTS: KindFacts = KindFacts {
    kind: "elasticache.SubnetGroup",
    holds: Holds::Nothing,
    rank: 22,
    name: NameRule {
        max: MAX_NAME,
        charset: Charset::AwsIdentifier,
    },
    create: Creation::Exclusive,
    update: Updating::AtOnce,
    patience: Duration::from_mins(1),
    usually: Duration::from_secs(2),
    taken: "",
    removal: None,
    outputs: &["arn", "name"],
    fields: &[Field::new("subnets").names("ec2.Subnet").equal(Equal::Set)],
    calls: Calls {
        read: &[
            "elasticache:DescribeCacheSubnetGroups",
            "elasticache:ListTagsForResource",
            "tag:GetResources",
        ],
        create: &[
            "elasticache:CreateCacheSubnetGroup",
            "elasticache:AddTagsToResource",
            "elasticache:RemoveTagsFromResource",
        ],
        update: &[
            "elasticache:ModifyCacheSubnetGroup",
            "elasticache:AddTagsToResource",
            "elasticache:RemoveTagsFromResource",
        ],
        delete: &["elasticache:DeleteCacheSubnetGroup"],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    #[serde(default = "description")]
    description: String,
    /// Ids of subnets of one VPC.
    subnets: Vec<String>,
}

fn description() -> String {
    "Subnets of caches".to_owned()
}

/// All of the account and region, whoever's they are.
async fn all(scope: &Scope<'_>) -> Result<Vec<CacheSubnetGroup>> {
    let pages = scope.clients.cache.describe_cache_subnet_groups().into_paginator();
    pages
        .items()
        .send()
        .try_collect()
        .await
        .during("elasticache:DescribeCacheSubnetGroups")
}

#[async_trait]
impl AwsKind for SubnetGroup {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["elasticache:{region}:{account}:subnetgroup:{name}"]);
    const MADE_BY: &'static [&'static str] = &["description"];
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        if wanted.subnets.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "a subnet group without subnets").with_help("name one or more"));
        }
        wanted.subnets.sort();
        wanted.subnets.dedup();
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let is_it = |group: &CacheSubnetGroup| group.cache_subnet_group_name() == Some(name);
        let by_name = async {
            let call = scope.clients.cache.describe_cache_subnet_groups();
            let answer = call.cache_subnet_group_name(name).send().await;
            let answer = answer.absent("elasticache:DescribeCacheSubnetGroups", NO_SUCH)?;
            Ok(answer.and_then(|answer| answer.cache_subnet_groups?.into_iter().next()))
        };
        let group = scope.find(FACTS.kind, all(scope), is_it, by_name).await?;
        let Some((group, arn)) = group.as_ref().and_then(|group| Some((group, group.arn()?))) else {
            return Ok(None);
        };
        let mut subnets: Vec<String> = group
            .subnets()
            .iter()
            .filter_map(|subnet| subnet.subnet_identifier())
            .map(str::to_owned)
            .collect();
        subnets.sort();
        let settings = Desired {
            description: group.cache_subnet_group_description().unwrap_or_default().to_owned(),
            subnets,
        };
        let tags = common::tags_of(scope, arn).await?;
        Ok(Some(Found::of_arn(name, arn, settings, tags, State::Ready)))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let all = scope.once(FACTS.kind, all(scope)).await?;
        let names = all.iter().filter_map(|group| group.cache_subnet_group_name());
        let names = names.map(str::to_owned).collect();
        common::candidates(scope, "subnetgroup", MAX_NAME, names).await
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        scope
            .clients
            .cache
            .create_cache_subnet_group()
            .cache_subnet_group_name(name)
            .cache_subnet_group_description(&wanted.description)
            .set_subnet_ids(Some(wanted.subnets.clone()))
            .set_tags(Some(common::create_tags(tags)))
            .send()
            .await
            .during("elasticache:CreateCacheSubnetGroup")
            .map(drop)
    }

    async fn update(scope: &Scope<'_>, name: &str, _found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        scope
            .clients
            .cache
            .modify_cache_subnet_group()
            .cache_subnet_group_name(name)
            .cache_subnet_group_description(&wanted.description)
            .set_subnet_ids(Some(wanted.subnets.clone()))
            .send()
            .await
            .during("elasticache:ModifyCacheSubnetGroup")
            .map(drop)
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        common::retag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let name = common::last(&found.handle);
        let call = scope.clients.cache.delete_cache_subnet_group();
        call.cache_subnet_group_name(name)
            .send()
            .await
            .absent("elasticache:DeleteCacheSubnetGroup", NO_SUCH)
            .map(drop)
    }
}
