//! `kms.Key`: a symmetric key with its alias, policy and rotation. The resource's name is the alias without `alias/`.
//!
//! `CreateKey` takes neither name nor token, so a create is recorded in the lease first, the alias follows at once, and a
//! key that lost its alias to a killed run is found by its id tag. Deletion is scheduled as late as KMS allows and can be
//! called off till then: a create of the same name does.

mod facts;
mod read;

use super::{AwsKind, Found, Limit, Reach};
use crate::error::Outcome;
use crate::kind::yes;
use crate::policy;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use aws_sdk_kms::types::Tag;
use aws_smithy_types::retry::RetryConfig;
use facts::FACTS;
use platform_core::value::{SetId, Uid};
use platform_core::{Error, ErrorKind, KindFacts, Result, Retry, State};
use read::{describe, found, orphan, warn_of_twins};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Days until a deleted key is gone; the longest that KMS takes.
const RECOVERY: i32 = 30;
/// How long a key that was just made may stay out of the tagging API.
const WINDOW: Duration = Duration::from_mins(1);
const POLICY: &str = "default";

#[derive(Debug)]
pub(crate) struct KmsKey;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    #[serde(default)]
    description: String,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    multi_region: bool,
    /// Yearly unless `rotation_days` says otherwise.
    #[serde(default = "yes")]
    rotation: bool,
    /// 90 to 2560.
    #[serde(default = "year")]
    rotation_days: i32,
    /// The account's own IAM policies may grant use of the key.
    #[serde(default = "yes")]
    root_access: bool,
    /// Further statements of the key policy.
    #[serde(default)]
    statements: Vec<Value>,
    /// Shown as false by a key whose alias is missing.
    #[serde(default = "yes")]
    alias: bool,
}

fn year() -> i32 {
    365
}

fn alias(name: &str) -> String {
    format!("alias/{name}")
}

fn root_statement(scope: &Scope<'_>) -> Value {
    policy::normal(&json!({
        "Sid": "AccountIamPolicies",
        "Effect": "Allow",
        "Principal": { "AWS": scope.account.root_arn() },
        "Action": "kms:*",
        "Resource": "*",
    }))
}

fn policy_document(scope: &Scope<'_>, wanted: &Desired) -> String {
    let mut all = wanted.statements.clone();
    if wanted.root_access {
        all.insert(0, root_statement(scope));
    }
    policy::document(&all)
}

fn sdk_tags(tags: &Tags) -> Result<Vec<Tag>> {
    tags.iter()
        .map(|(key, value)| {
            Tag::builder()
                .tag_key(key)
                .tag_value(value)
                .build()
                .map_err(|cause| Error::new(ErrorKind::Internal, format!("tag {key}: {cause}")))
        })
        .collect()
}

#[async_trait]
impl AwsKind for KmsKey {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach =
        Reach::of(&["kms:{region}:{account}:alias/{name}", "kms:{region}:{account}:key/*"]).births(&["kms:CreateKey"]);
    const LIMITS: &'static [Limit] = &[
        Limit::new("description", "kms:DescriptionType").length(0, 8192),
        Limit::new("rotation_days", "kms:RotationPeriodInDaysType").range(90, 2560),
    ];
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        if !wanted.rotation {
            wanted.rotation_days = year();
        }
        if !wanted.alias {
            return Err(
                Error::new(ErrorKind::Invalid, "a key without its alias could not be found again")
                    .with_help("leave `alias` out"),
            );
        }
        wanted.statements = policy::normals(&wanted.statements);
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let by_alias = describe(scope, &alias(name)).await?;
        let (metadata, has_alias) = match by_alias {
            Some(metadata) => (metadata, true),
            None => match orphan(scope, name).await? {
                Some(metadata) => (metadata, false),
                None => return Ok(None),
            },
        };
        found(scope, name, &metadata, has_alias).await.map(Some)
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let prefix = alias(scope.name_prefix());
        let mut names = Vec::new();
        let mut pages = scope.clients.kms.list_aliases().into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.during("kms:ListAliases")?;
            names.extend(
                page.aliases()
                    .iter()
                    .filter(|entry| entry.target_key_id().is_some())
                    .filter_map(|entry| entry.alias_name())
                    .filter(|alias| alias.starts_with(&prefix))
                    .filter_map(|alias| alias.strip_prefix("alias/"))
                    .map(str::to_owned),
            );
        }
        let mut by_id: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (arn, tags) in scope.tagged_of_set("kms:key").await? {
            if let Some(name) = tags::ours(&tags, tags::ID).and_then(|id| id.strip_prefix("kms.Key/")) {
                by_id.entry(name.to_owned()).or_default().push(arn);
            }
        }
        for (name, arns) in by_id {
            if arns.len() > 1 {
                warn_of_twins(scope, &name, &arns).await?;
            }
            names.push(name);
        }
        Ok(names)
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        let made = scope
            .clients
            .kms
            .create_key()
            .description(&wanted.description)
            .multi_region(wanted.multi_region)
            .policy(policy_document(scope, wanted))
            .set_tags(Some(sdk_tags(tags)?))
            .customize()
            // A retry after a lost answer would make a second key.
            .config_override(aws_sdk_kms::Config::builder().retry_config(RetryConfig::disabled()))
            .send()
            .await
            .during("kms:CreateKey")
            .map_err(|error| match error.kind() {
                ErrorKind::Unavailable | ErrorKind::Timeout => error.with_retry(Retry::After(WINDOW)).with_help(
                    "the key may have been made: the next run looks for it by its tag once that can be relied upon",
                ),
                _ => error,
            })?;
        let key = made
            .key_metadata()
            .ok_or_else(|| Error::new(ErrorKind::Internal, "kms:CreateKey returned no key"))?;
        // First of all: until it has its alias only the tag leads to it.
        let bare = Found {
            uid: Uid::new(key.key_id()),
            handle: key.key_id().to_owned(),
            settings: Desired {
                alias: false,
                enabled: true,
                rotation: false,
                ..wanted.clone()
            },
            tags: tags.clone(),
            outputs: BTreeMap::new(),
            state: State::Ready,
            doomed: None,
            stranger: None,
            version: None,
        };
        Self::update(scope, name, &bare, wanted).await
    }

    async fn revive(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let kms = &scope.clients.kms;
        kms.cancel_key_deletion()
            .key_id(&found.handle)
            .send()
            .await
            .during("kms:CancelKeyDeletion")?;
        // A key comes back disabled.
        kms.enable_key()
            .key_id(&found.handle)
            .send()
            .await
            .during("kms:EnableKey")?;
        Ok(())
    }

    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        let (kms, have, key) = (&scope.clients.kms, &found.settings, found.handle.as_str());
        if !have.alias {
            kms.create_alias()
                .alias_name(alias(name))
                .target_key_id(key)
                .send()
                .await
                .during("kms:CreateAlias")?;
        }
        if have.multi_region != wanted.multi_region {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a key cannot become or stop being multi-region",
            ));
        }
        if wanted.enabled && !have.enabled {
            kms.enable_key().key_id(key).send().await.during("kms:EnableKey")?;
        }
        if (have.root_access, &have.statements) != (wanted.root_access, &wanted.statements) {
            kms.put_key_policy()
                .key_id(key)
                .policy_name(POLICY)
                .policy(policy_document(scope, wanted))
                .send()
                .await
                .during("kms:PutKeyPolicy")?;
        }
        if have.description != wanted.description {
            kms.update_key_description()
                .key_id(key)
                .description(&wanted.description)
                .send()
                .await
                .during("kms:UpdateKeyDescription")?;
        }
        if (have.rotation, have.rotation_days) != (wanted.rotation, wanted.rotation_days) {
            if wanted.rotation {
                kms.enable_key_rotation()
                    .key_id(key)
                    .rotation_period_in_days(wanted.rotation_days)
                    .send()
                    .await
                    .during("kms:EnableKeyRotation")?;
            } else {
                kms.disable_key_rotation()
                    .key_id(key)
                    .send()
                    .await
                    .during("kms:DisableKeyRotation")?;
            }
        }
        // Last: a disabled key takes no other change.
        if have.enabled && !wanted.enabled {
            kms.disable_key().key_id(key).send().await.during("kms:DisableKey")?;
        }
        Ok(())
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        let kms = &scope.clients.kms;
        if !put.is_empty() {
            kms.tag_resource()
                .key_id(&found.handle)
                .set_tags(Some(sdk_tags(put)?))
                .send()
                .await
                .during("kms:TagResource")?;
        }
        if !remove.is_empty() {
            kms.untag_resource()
                .key_id(&found.handle)
                .set_tag_keys(Some(remove.to_vec()))
                .send()
                .await
                .during("kms:UntagResource")?;
        }
        Ok(())
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        scope
            .clients
            .kms
            .schedule_key_deletion()
            .key_id(&found.handle)
            .pending_window_in_days(RECOVERY)
            .send()
            .await
            .during("kms:ScheduleKeyDeletion")?;
        Ok(())
    }
}
