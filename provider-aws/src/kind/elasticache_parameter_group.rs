//! `elasticache.ParameterGroup`: what the servers of a cache are told beside AWS's defaults, for one family of versions.

use super::elasticache as common;
use super::{AwsKind, Found, Reach};
use crate::error::Outcome;
use crate::provider::Scope;
use crate::tags::Tags;
use async_trait::async_trait;
use aws_sdk_elasticache::types::{CacheParameterGroup, ParameterNameValue};
use platform_core::value::SetId;
use platform_core::{
    Calls, Charset, Creation, Field, FieldChange, Holds, KindFacts, NameRule, Result, State, Updating,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

const NO_SUCH: &[&str] = &["CacheParameterGroupNotFound", "CacheParameterGroupNotFoundFault"];
/// The id tag holds kind and name.
const MAX_NAME: usize = 229;
/// Parameters that one call takes.
const AT_ONCE: usize = 20;
/// Whose values the view shows: those that somebody set.
const SET: &str = "user";

#[derive(Debug)]
pub(crate) struct ParameterGroup;

static FACTS: KindFacts = KindFacts {
    kind: "elasticache.ParameterGroup",
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
    fields: &[
        Field::new("family")
            .changes(FieldChange::Never)
            .instead("make one of another name for the new family; names drawn by this library hold it"),
        Field::new("description").changes(FieldChange::Never),
    ],
    calls: Calls {
        read: &[
            "elasticache:DescribeCacheParameterGroups",
            "elasticache:DescribeCacheParameters",
            "elasticache:ListTagsForResource",
            "tag:GetResources",
        ],
        create: &[
            "elasticache:CreateCacheParameterGroup",
            "elasticache:ModifyCacheParameterGroup",
            "elasticache:AddTagsToResource",
            "elasticache:RemoveTagsFromResource",
        ],
        update: &[
            "elasticache:ModifyCacheParameterGroup",
            "elasticache:ResetCacheParameterGroup",
            "elasticache:AddTagsToResource",
            "elasticache:RemoveTagsFromResource",
        ],
        delete: &["elasticache:DeleteCacheParameterGroup"],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// `valkey8`, `redis7`.
    family: String,
    #[serde(default = "description")]
    description: String,
    /// Values by name; all others are AWS's.
    #[serde(default)]
    parameters: BTreeMap<String, String>,
}

fn description() -> String {
    "Parameters of caches".to_owned()
}

/// All of the account and region, whoever's they are.
async fn all(scope: &Scope<'_>) -> Result<Vec<CacheParameterGroup>> {
    let pages = scope.clients.cache.describe_cache_parameter_groups().into_paginator();
    pages
        .items()
        .send()
        .try_collect()
        .await
        .during("elasticache:DescribeCacheParameterGroups")
}

#[async_trait]
impl AwsKind for ParameterGroup {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["elasticache:{region}:{account}:parametergroup:{name}"]);
    const MADE_BY: &'static [&'static str] = &["description"];
    type Desired = Desired;

    fn normal(wanted: Desired) -> Result<Desired> {
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let cache = &scope.clients.cache;
        let is_it = |group: &CacheParameterGroup| group.cache_parameter_group_name() == Some(name);
        let by_name = async {
            let call = cache.describe_cache_parameter_groups().cache_parameter_group_name(name);
            let answer = call.send().await;
            let answer = answer.absent("elasticache:DescribeCacheParameterGroups", NO_SUCH)?;
            Ok(answer.and_then(|answer| answer.cache_parameter_groups?.into_iter().next()))
        };
        let group = scope.find(FACTS.kind, all(scope), is_it, by_name).await?;
        let Some((group, arn)) = group.as_ref().and_then(|group| Some((group, group.arn()?))) else {
            return Ok(None);
        };
        let call = cache
            .describe_cache_parameters()
            .cache_parameter_group_name(name)
            .source(SET);
        let mut pages = call.into_paginator().send();
        let mut parameters = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let Some(page) = page.absent("elasticache:DescribeCacheParameters", NO_SUCH)? else {
                return Ok(None);
            };
            let set = page
                .parameters()
                .iter()
                .filter(|parameter| parameter.source() == Some(SET));
            parameters.extend(set.filter_map(|parameter| {
                let value = parameter.parameter_value().unwrap_or_default();
                Some((parameter.parameter_name()?.to_owned(), value.to_owned()))
            }));
        }
        let settings = Desired {
            family: group.cache_parameter_group_family().unwrap_or_default().to_owned(),
            description: group.description().unwrap_or_default().to_owned(),
            parameters,
        };
        let tags = common::tags_of(scope, arn).await?;
        Ok(Some(Found::of_arn(name, arn, settings, tags, State::Ready)))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let all = scope.once(FACTS.kind, all(scope)).await?;
        let names = all.iter().filter_map(|group| group.cache_parameter_group_name());
        let names = names.map(str::to_owned).collect();
        common::candidates(scope, "parametergroup", MAX_NAME, names).await
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        scope
            .clients
            .cache
            .create_cache_parameter_group()
            .cache_parameter_group_name(name)
            .cache_parameter_group_family(&wanted.family)
            .description(&wanted.description)
            .set_tags(Some(common::create_tags(tags)))
            .send()
            .await
            .during("elasticache:CreateCacheParameterGroup")?;
        write(scope, name, &BTreeMap::new(), &wanted.parameters).await
    }

    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        write(scope, name, &found.settings.parameters, &wanted.parameters).await
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        common::retag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let name = common::last(&found.handle);
        let call = scope.clients.cache.delete_cache_parameter_group();
        call.cache_parameter_group_name(name)
            .send()
            .await
            .absent("elasticache:DeleteCacheParameterGroup", NO_SUCH)
            .map(drop)
    }
}

async fn write(
    scope: &Scope<'_>,
    name: &str,
    have: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, String>,
) -> Result<()> {
    let cache = &scope.clients.cache;
    let parameter = |(name, value): (&String, &String)| {
        ParameterNameValue::builder()
            .parameter_name(name)
            .parameter_value(value)
            .build()
    };
    let differs = |(name, value): &(&String, &String)| have.get(*name) != Some(value);
    let changed: Vec<ParameterNameValue> = wanted.iter().filter(differs).map(parameter).collect();
    let gone = have.iter().filter(|(name, _)| !wanted.contains_key(*name));
    let gone: Vec<ParameterNameValue> = gone.map(parameter).collect();
    for values in changed.chunks(AT_ONCE) {
        cache
            .modify_cache_parameter_group()
            .cache_parameter_group_name(name)
            .set_parameter_name_values(Some(values.to_vec()))
            .send()
            .await
            .during("elasticache:ModifyCacheParameterGroup")?;
    }
    for values in gone.chunks(AT_ONCE) {
        cache
            .reset_cache_parameter_group()
            .cache_parameter_group_name(name)
            .reset_all_parameters(false)
            .set_parameter_name_values(Some(values.to_vec()))
            .send()
            .await
            .during("elasticache:ResetCacheParameterGroup")?;
    }
    Ok(())
}
