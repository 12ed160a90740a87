//! `elasticache.UserGroup`: the users of a cache.

use super::elasticache as common;
use super::{AwsKind, Found, Limit, Reach};
use crate::error::Outcome;
use crate::provider::Scope;
use crate::tags::Tags;
use async_trait::async_trait;
use aws_sdk_elasticache::types::UserGroup as SdkUserGroup;
use platform_core::value::SetId;
use platform_core::{
    Calls, Charset, Creation, Equal, Field, FieldChange, Holds, KindFacts, NameRule, Result, Risk, RiskRule, Updating,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const NO_SUCH: &[&str] = &["UserGroupNotFound", "UserGroupNotFoundFault"];
const MAX_NAME: usize = 40;

#[derive(Debug)]
pub(crate) struct UserGroup;

static FACTS: KindFacts = KindFacts {
    kind: "elasticache.UserGroup",
    holds: Holds::Nothing,
    // After the caches that use it.
    rank: 24,
    name: NameRule {
        max: MAX_NAME,
        charset: Charset::AwsIdentifier,
    },
    create: Creation::Exclusive,
    update: Updating::WhenSettled,
    patience: Duration::from_mins(15),
    usually: Duration::from_secs(20),
    taken: "",
    removal: None,
    outputs: &["arn", "name"],
    fields: &[
        Field::new("engine").changes(FieldChange::Never),
        Field::new("users")
            .names("elasticache.User")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
    ],
    calls: Calls {
        read: &[
            "elasticache:DescribeUserGroups",
            "elasticache:ListTagsForResource",
            "tag:GetResources",
        ],
        create: &[
            "elasticache:CreateUserGroup",
            "elasticache:AddTagsToResource",
            "elasticache:RemoveTagsFromResource",
        ],
        update: &[
            "elasticache:ModifyUserGroup",
            "elasticache:AddTagsToResource",
            "elasticache:RemoveTagsFromResource",
        ],
        delete: &["elasticache:DeleteUserGroup"],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// `redis` serves caches of Valkey, too, and may hold a `default` user without password that is off.
    #[serde(default = "redis")]
    engine: String,
    /// Ids; one of them has the name `default`.
    users: Vec<String>,
}

fn redis() -> String {
    "redis".to_owned()
}

/// All of the account and region, whoever's they are.
async fn all(scope: &Scope<'_>) -> Result<Vec<SdkUserGroup>> {
    let pages = scope.clients.cache.describe_user_groups().into_paginator();
    pages
        .items()
        .send()
        .try_collect()
        .await
        .during("elasticache:DescribeUserGroups")
}

#[async_trait]
impl AwsKind for UserGroup {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["elasticache:{region}:{account}:usergroup:{name}"]).beside(&[
        (
            "elasticache:CreateUserGroup",
            &["elasticache:{region}:{account}:user:*"],
        ),
        (
            "elasticache:ModifyUserGroup",
            &["elasticache:{region}:{account}:user:*"],
        ),
    ]);
    const LIMITS: &'static [Limit] = &[
        Limit::new("users", "elasticache:UserIdListInput").length(1, usize::MAX),
        Limit::new("users.*", "elasticache:UserId")
            .length(1, usize::MAX)
            .pattern(r"[a-zA-Z][a-zA-Z0-9\-]*"),
        Limit::new("engine", "elasticache:EngineType").pattern("[a-zA-Z]*"),
    ];
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        wanted.users.sort();
        wanted.users.dedup();
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let is_it = |group: &SdkUserGroup| group.user_group_id() == Some(name);
        let by_name = async {
            let call = scope.clients.cache.describe_user_groups().user_group_id(name);
            let answer = call.send().await.absent("elasticache:DescribeUserGroups", NO_SUCH)?;
            Ok(answer.and_then(|answer| answer.user_groups?.into_iter().next()))
        };
        let group = scope.find(FACTS.kind, all(scope), is_it, by_name).await?;
        let Some((group, arn)) = group.as_ref().and_then(|group| Some((group, group.arn()?))) else {
            return Ok(None);
        };
        let mut users = group.user_ids().to_vec();
        users.sort();
        let settings = Desired {
            engine: group.engine().unwrap_or_default().to_lowercase(),
            users,
        };
        let tags = common::tags_of(scope, arn).await?;
        let state = common::state(group.status().unwrap_or_default(), "active");
        Ok(Some(Found::of_arn(name, arn, settings, tags, state)))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let all = scope.once(FACTS.kind, all(scope)).await?;
        let names = all.iter().filter_map(|group| group.user_group_id()).map(str::to_owned);
        common::candidates(scope, "usergroup", MAX_NAME, names.collect()).await
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        scope
            .clients
            .cache
            .create_user_group()
            .user_group_id(name)
            .engine(&wanted.engine)
            .set_user_ids(Some(wanted.users.clone()))
            .set_tags(Some(common::create_tags(tags)))
            .send()
            .await
            .during("elasticache:CreateUserGroup")
            .map(drop)
    }

    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        let (have, want) = (&found.settings.users, &wanted.users);
        let only_in = |these: &[String], those: &[String]| -> Option<Vec<String>> {
            let only: Vec<String> = these.iter().filter(|user| !those.contains(user)).cloned().collect();
            (!only.is_empty()).then_some(only)
        };
        scope
            .clients
            .cache
            .modify_user_group()
            .user_group_id(name)
            .set_user_ids_to_add(only_in(want, have))
            .set_user_ids_to_remove(only_in(have, want))
            .send()
            .await
            .during("elasticache:ModifyUserGroup")
            .map(drop)
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        common::retag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let call = scope
            .clients
            .cache
            .delete_user_group()
            .user_group_id(common::last(&found.handle));
        call.send()
            .await
            .absent("elasticache:DeleteUserGroup", NO_SUCH)
            .map(drop)
    }
}
