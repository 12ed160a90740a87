//! `secretsmanager.Secret`: a JSON object of values that are rendered from recipes when the secret is made, and never leave
//! it through this library. Deletion is scheduled for 30 days; a create of the same name calls it off and keeps the values.
//!
//! The recipes stand in the description as JSON, which is where a view reads them back from.

use super::{AwsKind, Found, Limit, Reach};
use crate::error::Outcome;
use crate::policy;
use crate::provider::Scope;
use crate::secret::{self, Values};
use crate::tags::{self, Tags};
use async_trait::async_trait;
use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, Tag};
use platform_core::value::{Digest, Recipe, SetId, Uid, canonical};
use platform_core::{
    Calls, Charset, Creation, Equal, Error, ErrorKind, Field, FieldChange, Holds, KindFacts, NameRule, Result, Risk,
    RiskRule, State, Updating,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Days until a deleted secret is gone; the longest that the service takes.
const WINDOW: i64 = 30;
/// What a description holds at most.
const DESCRIPTION: usize = 2048;
/// Start of our descriptions.
const RECIPES: &str = "Made from recipes: ";

#[derive(Debug)]
pub(crate) struct Secret;

static FACTS: KindFacts = KindFacts {
    kind: "secretsmanager.Secret",
    holds: Holds::Durable,
    rank: 30,
    name: NameRule {
        max: 230,
        charset: Charset::AwsPath,
    },
    create: Creation::Token,
    update: Updating::WhenSettled,
    patience: Duration::from_mins(1),
    usually: Duration::from_secs(1),
    taken: "",
    removal: None,
    outputs: &["arn", "name"],
    fields: &[
        Field::new("data.*.$secret.supplied"),
        Field::new("data.*.$secret.revision"),
        Field::new("data.*.$secret.value"),
        Field::new("data.*.$secret.template"),
        Field::new("data.*.$secret.from"),
        Field::new("data.*.$secret.key"),
        // A generated value is never made a second time beside the data that it opens.
        Field::new("data.*.$secret").changes(FieldChange::Never),
        Field::new("data").risk(RiskRule::Removed(Risk::DestroysData)),
        Field::new("kms_key")
            .names("kms.Key")
            .risk(RiskRule::Removed(Risk::LowersProtection)),
        Field::new("statements")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
    ],
    calls: Calls {
        read: &[
            "secretsmanager:DescribeSecret",
            "secretsmanager:GetResourcePolicy",
            "secretsmanager:ListSecrets",
        ],
        create: &[
            "secretsmanager:CreateSecret",
            "secretsmanager:TagResource",
            "secretsmanager:UntagResource",
            "secretsmanager:RestoreSecret",
            "secretsmanager:PutResourcePolicy",
            "secretsmanager:GetSecretValue",
            "kms:GenerateDataKey",
            "kms:Decrypt",
        ],
        update: &[
            "secretsmanager:UpdateSecret",
            "secretsmanager:RestoreSecret",
            "secretsmanager:GetSecretValue",
            "secretsmanager:PutResourcePolicy",
            "secretsmanager:DeleteResourcePolicy",
            "secretsmanager:TagResource",
            "secretsmanager:UntagResource",
            "kms:GenerateDataKey",
            "kms:Decrypt",
        ],
        delete: &["secretsmanager:DeleteSecret"],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// A recipe a key: `{"password": {"$secret": {"recipe": "generate", "length": 32}}}`.
    #[serde(default)]
    data: BTreeMap<String, Value>,
    /// Key ARN. Without one the account's `aws/secretsmanager` key is used, which others cannot be kept from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kms_key: Option<String>,
    /// The resource policy.
    #[serde(default)]
    statements: Vec<Value>,
}

impl Desired {
    fn recipes(&self) -> Result<BTreeMap<String, Recipe>> {
        self.data
            .iter()
            .map(|(key, value)| match Recipe::of_value(value) {
                Some(recipe) => Ok((key.clone(), recipe)),
                None => Err(
                    Error::new(ErrorKind::Invalid, format!("{key:?} is no recipe")).with_help(
                        "secret values never stand in a config: name a recipe such as `generate`, or `supplied`",
                    ),
                ),
            })
            .collect()
    }

    fn description(&self) -> String {
        format!("{RECIPES}{}", canonical(&self.data))
    }
}

fn sdk_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

#[async_trait]
impl AwsKind for Secret {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&[
        "secretsmanager:{region}:{account}:secret:{name}",
        "secretsmanager:{region}:{account}:secret:{name}-??????",
    ]);
    const LIMITS: &'static [Limit] = &[Limit::new("kms_key", "secretsmanager:KmsKeyIdType").length(0, 2048)];
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        secret::check(&wanted.recipes()?)?;
        for (key, recipe) in wanted.recipes()? {
            // Its own full form, whatever defaults were left out.
            wanted.data.insert(key, recipe.to_value());
        }
        if wanted.data.is_empty() {
            return Err(
                Error::new(ErrorKind::Invalid, "a secret without a value").with_help("give it at least one recipe")
            );
        }
        if wanted.description().len() > DESCRIPTION {
            return Err(
                Error::new(ErrorKind::Invalid, "the recipes are longer than a description may be")
                    .with_help("split the secret in two"),
            );
        }
        wanted.statements = policy::normals(&wanted.statements);
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let secrets = &scope.clients.secrets;
        let Some(answer) = secrets
            .describe_secret()
            .secret_id(name)
            .send()
            .await
            .absent("secretsmanager:DescribeSecret", &["ResourceNotFoundException"])?
        else {
            return Ok(None);
        };
        let doomed = answer.deleted_date().map(|date| {
            // The date of the wish; the secret goes when the window is over.
            date.fmt(aws_smithy_types::date_time::Format::DateTime)
                .unwrap_or_else(|_| "a date that AWS does not tell".to_owned())
        });
        let statements = if doomed.is_some() {
            Vec::new()
        } else {
            let answer = secrets
                .get_resource_policy()
                .secret_id(name)
                .send()
                .await
                .during("secretsmanager:GetResourcePolicy")?;
            answer
                .resource_policy()
                .map(policy::statements)
                .transpose()?
                .unwrap_or_default()
        };
        Ok(Some(found(&answer, name, statements, doomed)))
    }

    async fn list(scope: &Scope<'_>, set: &SetId) -> Result<Vec<String>> {
        let filter = Filter::builder()
            .key(FilterNameStringType::TagValue)
            .values(set.as_str())
            .build();
        let mut pages = scope
            .clients
            .secrets
            .list_secrets()
            .filters(filter)
            .into_paginator()
            .send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.during("secretsmanager:ListSecrets")?;
            names.extend(
                page.secret_list()
                    .iter()
                    .filter_map(|secret| secret.name())
                    .map(str::to_owned),
            );
        }
        Ok(names)
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, token: &str) -> Result<()> {
        let values = secret::render(scope, &wanted.recipes()?, &BTreeMap::new(), Values::default()).await?;
        scope
            .clients
            .secrets
            .create_secret()
            .name(name)
            .description(wanted.description())
            .set_kms_key_id(wanted.kms_key.clone())
            .secret_string(values.to_json()?)
            .set_tags(Some(sdk_tags(tags)))
            // 32 to 64 characters; the same for every try of this create.
            .client_request_token(Digest::of_text(token).short(32))
            .send()
            .await
            .during("secretsmanager:CreateSecret")?;
        if !wanted.statements.is_empty() {
            put_policy(scope, name, &wanted.statements).await?;
        }
        Ok(())
    }

    async fn revive(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        scope
            .clients
            .secrets
            .restore_secret()
            .secret_id(&found.handle)
            .send()
            .await
            .during("secretsmanager:RestoreSecret")?;
        Ok(())
    }

    async fn update(scope: &Scope<'_>, _name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        let (have, id) = (&found.settings, found.handle.as_str());
        let values = if have.data == wanted.data {
            None
        } else {
            let kept = Values::read(scope, id).await?;
            let before = have.recipes().unwrap_or_default();
            Some(secret::render(scope, &wanted.recipes()?, &before, kept).await?)
        };
        if values.is_some() || have.kms_key != wanted.kms_key {
            // The version in the token: going back to an earlier wish is another update.
            let token = Digest::of(&(id, &found.version, &wanted.data));
            let call = scope
                .clients
                .secrets
                .update_secret()
                .secret_id(id)
                .description(wanted.description())
                .kms_key_id(wanted.kms_key.as_deref().unwrap_or("alias/aws/secretsmanager"));
            let call = match &values {
                Some(values) => call
                    .secret_string(values.to_json()?)
                    .client_request_token(token.short(32)),
                None => call,
            };
            call.send().await.during("secretsmanager:UpdateSecret")?;
        }
        if have.statements != wanted.statements {
            put_policy(scope, id, &wanted.statements).await?;
        }
        Ok(())
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        let secrets = &scope.clients.secrets;
        if !put.is_empty() {
            secrets
                .tag_resource()
                .secret_id(&found.handle)
                .set_tags(Some(sdk_tags(put)))
                .send()
                .await
                .during("secretsmanager:TagResource")?;
        }
        if !remove.is_empty() {
            secrets
                .untag_resource()
                .secret_id(&found.handle)
                .set_tag_keys(Some(remove.to_vec()))
                .send()
                .await
                .during("secretsmanager:UntagResource")?;
        }
        Ok(())
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        scope
            .clients
            .secrets
            .delete_secret()
            .secret_id(&found.handle)
            .recovery_window_in_days(WINDOW)
            .send()
            .await
            .absent("secretsmanager:DeleteSecret", &["ResourceNotFoundException"])?;
        Ok(())
    }
}

async fn put_policy(scope: &Scope<'_>, id: &str, statements: &[Value]) -> Result<()> {
    let secrets = &scope.clients.secrets;
    if statements.is_empty() {
        return secrets
            .delete_resource_policy()
            .secret_id(id)
            .send()
            .await
            .during("secretsmanager:DeleteResourcePolicy")
            .map(drop);
    }
    secrets
        .put_resource_policy()
        .secret_id(id)
        .resource_policy(policy::document(statements))
        .block_public_policy(true)
        .send()
        .await
        .during("secretsmanager:PutResourcePolicy")
        .map(drop)
}

fn found(answer: &DescribeSecretOutput, name: &str, statements: Vec<Value>, doomed: Option<String>) -> Found<Desired> {
    let arn = answer.arn().unwrap_or(name).to_owned();
    let tags: Tags = answer
        .tags()
        .iter()
        .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
        .collect();
    // A description that somebody rewrote shows as recipes that are gone: a change in the plan, which keeps the values.
    let data = answer
        .description()
        .and_then(|text| text.strip_prefix(RECIPES))
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default();
    let version = answer.version_ids_to_stages().and_then(|versions| {
        versions
            .iter()
            .find(|(_, stages)| stages.iter().any(|stage| stage == "AWSCURRENT"))
            .map(|(version, _)| version.clone())
    });
    Found {
        // Its last six characters are another incarnation's others.
        uid: Uid::new(&arn),
        settings: Desired {
            data,
            kms_key: answer
                .kms_key_id()
                .filter(|key| !key.ends_with("alias/aws/secretsmanager"))
                .map(str::to_owned),
            statements,
        },
        state: match &doomed {
            Some(_) => State::Deleting { blocked_by: Vec::new() },
            None => State::Ready,
        },
        stranger: answer
            .owning_service()
            .map(|service| format!("the AWS service {service}"))
            .filter(|_| tags::ours(&tags, tags::SET).is_none()),
        outputs: BTreeMap::from([
            ("arn".to_owned(), Value::String(arn.clone())),
            ("name".to_owned(), Value::String(name.to_owned())),
        ]),
        handle: arn,
        tags,
        doomed,
        version,
    }
}
