//! `elasticache.User`: who may use a cache, and for what. Users log in by IAM, or cannot log in at all: there is no password that
//! could stand in a config or leak.

use super::elasticache as common;
use super::{AwsKind, Found, Limit, Reach};
use crate::error::Outcome;
use crate::provider::Scope;
use crate::tags::Tags;
use async_trait::async_trait;
use aws_sdk_elasticache::types::{AuthenticationMode, AuthenticationType, InputAuthenticationType, User as SdkUser};
use platform_core::value::SetId;
use platform_core::{
    Calls, Charset, Creation, Error, ErrorKind, Field, FieldChange, Holds, KindFacts, NameRule, Result, Risk, RiskRule,
    Updating,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const NO_SUCH: &[&str] = &["UserNotFound", "UserNotFoundFault"];
const MAX_NAME: usize = 40;

#[derive(Debug)]
pub(crate) struct User;

static FACTS: KindFacts = KindFacts {
    kind: "elasticache.User",
    holds: Holds::Nothing,
    // After the groups that it is in.
    rank: 23,
    name: NameRule {
        max: MAX_NAME,
        charset: Charset::AwsIdentifier,
    },
    create: Creation::Exclusive,
    update: Updating::WhenSettled,
    patience: Duration::from_mins(10),
    usually: Duration::from_secs(10),
    taken: "",
    removal: None,
    outputs: &["arn", "name"],
    fields: &[
        Field::new("user_name").changes(FieldChange::Never),
        Field::new("engine").changes(FieldChange::Never),
        Field::new("access").risk(RiskRule::Always(Risk::Exposes)),
        Field::new("authentication").risk(RiskRule::Always(Risk::Exposes)),
    ],
    calls: Calls {
        read: &[
            "elasticache:DescribeUsers",
            "elasticache:ListTagsForResource",
            "tag:GetResources",
        ],
        create: &[
            "elasticache:CreateUser",
            "elasticache:AddTagsToResource",
            "elasticache:RemoveTagsFromResource",
        ],
        update: &[
            "elasticache:ModifyUser",
            "elasticache:AddTagsToResource",
            "elasticache:RemoveTagsFromResource",
        ],
        delete: &["elasticache:DeleteUser"],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// What it logs in as. With IAM it is the id.
    user_name: String,
    /// `redis` serves caches of Valkey, too.
    #[serde(default = "redis")]
    engine: String,
    /// Rules as `ACL SETUSER` takes them.
    access: String,
    #[serde(default)]
    authentication: Authentication,
}

fn redis() -> String {
    "redis".to_owned()
}

/// How a user proves who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Authentication {
    /// By a token that IAM signs.
    #[default]
    Iam,
    /// Not at all: for a user that is off.
    None,
    /// Only shown, of users that others made.
    Password,
}

/// Rules in one form: ElastiCache adds that channels are closed where none is opened.
fn rules(text: &str) -> String {
    let words = text.split_whitespace().filter(|word| *word != "resetchannels");
    words.collect::<Vec<_>>().join(" ")
}

/// All of the account and region, whoever's they are.
async fn all(scope: &Scope<'_>) -> Result<Vec<SdkUser>> {
    let pages = scope.clients.cache.describe_users().into_paginator();
    pages
        .items()
        .send()
        .try_collect()
        .await
        .during("elasticache:DescribeUsers")
}

#[async_trait]
impl AwsKind for User {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["elasticache:{region}:{account}:user:{name}"]);
    const LIMITS: &'static [Limit] = &[
        Limit::new("user_name", "elasticache:UserName").length(1, usize::MAX),
        Limit::new("engine", "elasticache:EngineType").pattern("[a-zA-Z]*"),
        Limit::new("access", "elasticache:AccessString").pattern(r".*\S.*"),
    ];
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        let refuse = |why: &str, help: &str| Err(Error::new(ErrorKind::Invalid, why).with_help(help));
        wanted.access = rules(&wanted.access);
        match wanted.authentication {
            Authentication::Password => refuse(
                "a user of a cache cannot be given a password here",
                "use authentication iam: its tokens live 15 minutes and are kept nowhere",
            ),
            Authentication::None if !wanted.access.starts_with("off") => refuse(
                "access is on for a user without authentication",
                "let its rules begin with `off`",
            ),
            _ => Ok(wanted),
        }
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let is_it = |user: &SdkUser| user.user_id() == Some(name);
        let by_name = async {
            let answer = scope.clients.cache.describe_users().user_id(name).send().await;
            let answer = answer.absent("elasticache:DescribeUsers", NO_SUCH)?;
            Ok(answer.and_then(|answer| answer.users?.into_iter().next()))
        };
        let user = scope.find(FACTS.kind, all(scope), is_it, by_name).await?;
        let Some((user, arn)) = user.as_ref().and_then(|user| Some((user, user.arn()?))) else {
            return Ok(None);
        };
        let kind = user.authentication().and_then(|authentication| authentication.r#type());
        let settings = Desired {
            user_name: user.user_name().unwrap_or_default().to_owned(),
            engine: user.engine().unwrap_or_default().to_lowercase(),
            access: rules(user.access_string().unwrap_or_default()),
            authentication: match kind {
                Some(AuthenticationType::Iam) => Authentication::Iam,
                Some(AuthenticationType::NoPassword) => Authentication::None,
                _ => Authentication::Password,
            },
        };
        let tags = common::tags_of(scope, arn).await?;
        let state = common::state(user.status().unwrap_or_default(), "active");
        Ok(Some(Found::of_arn(name, arn, settings, tags, state)))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let all = scope.once(FACTS.kind, all(scope)).await?;
        let names = all.iter().filter_map(|user| user.user_id()).map(str::to_owned);
        common::candidates(scope, "user", MAX_NAME, names.collect()).await
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        if wanted.authentication == Authentication::Iam && wanted.user_name != name {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("user {name} cannot log in by IAM as {}", wanted.user_name),
            )
            .with_help("with IAM the name of a user is its id"));
        }
        scope
            .clients
            .cache
            .create_user()
            .user_id(name)
            .user_name(&wanted.user_name)
            .engine(&wanted.engine)
            .access_string(&wanted.access)
            .authentication_mode(mode(wanted.authentication))
            .set_tags(Some(common::create_tags(tags)))
            .send()
            .await
            .during("elasticache:CreateUser")
            .map(drop)
    }

    async fn update(scope: &Scope<'_>, name: &str, _found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        scope
            .clients
            .cache
            .modify_user()
            .user_id(name)
            .access_string(&wanted.access)
            .authentication_mode(mode(wanted.authentication))
            .send()
            .await
            .during("elasticache:ModifyUser")
            .map(drop)
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        common::retag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let call = scope.clients.cache.delete_user().user_id(common::last(&found.handle));
        call.send().await.absent("elasticache:DeleteUser", NO_SUCH).map(drop)
    }
}

fn mode(authentication: Authentication) -> AuthenticationMode {
    AuthenticationMode::builder()
        .r#type(match authentication {
            Authentication::Iam => InputAuthenticationType::Iam,
            Authentication::None => InputAuthenticationType::NoPassword,
            Authentication::Password => InputAuthenticationType::Password,
        })
        .build()
}

#[cfg(test)]
mod tests {
    use super::{Desired, User};
    use crate::kind::AwsKind;
    use serde_json::{Value, json};

    fn normal(value: Value) -> platform_core::Result<Value> {
        let wanted: Desired = serde_json::from_value(value).unwrap();
        User::normal(wanted).map(|normal| serde_json::to_value(normal).unwrap())
    }

    #[test]
    fn nobody_has_a_password() {
        let off =
            normal(json!({"user_name": "default", "access": "off  resetchannels ~* -@all", "authentication": "none"}));
        assert_eq!(off.unwrap()["access"], "off ~* -@all");
        for refused in [
            json!({"user_name": "a", "access": "on ~* +@all", "authentication": "none"}),
            json!({"user_name": "a", "access": "on ~* +@all", "authentication": "password"}),
        ] {
            assert!(normal(refused.clone()).is_err(), "{refused}");
        }
    }
}
