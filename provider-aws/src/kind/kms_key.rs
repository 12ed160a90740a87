//! `kms.Key`: a symmetric key with its alias, policy and rotation. The resource's name is the alias without `alias/`.
//!
//! `CreateKey` takes neither name nor token, so a create is recorded in the lease first, the alias follows at once, and a
//! key that lost its alias to a killed run is found by its id tag. Deletion is scheduled as late as KMS allows and can be
//! called off till then: a create of the same name does.

use super::{AwsKind, Found};
use crate::error::Outcome;
use crate::kind::yes;
use crate::policy;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use aws_sdk_kms::types::{KeyManagerType, KeyMetadata, KeyState, Tag};
use aws_smithy_types::retry::RetryConfig;
use platform_core::value::{SetId, Uid};
use platform_core::{
    Calls, Charset, Creation, Equal, Error, ErrorKind, Field, FieldChange, Holds, KindFacts, NameRule, Owner, Result,
    Retry, Risk, RiskRule, State,
};
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

static FACTS: KindFacts = KindFacts {
    kind: "kms.Key",
    holds: Holds::Durable,
    // Everything encrypted goes before its key.
    rank: 10,
    name: NameRule {
        max: 230,
        charset: Charset::AwsPath,
    },
    create: Creation::Unguarded,
    patience: Duration::from_mins(2),
    usually: Duration::from_secs(2),
    outputs: &["arn", "key_id", "alias"],
    fields: &[
        Field::new("multi_region").changes(FieldChange::Never),
        Field::new("enabled").risk(RiskRule::TurnsOff(Risk::Downtime)),
        Field::new("rotation").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        // Without it nobody may be left who can change the policy again.
        Field::new("root_access").risk(RiskRule::TurnsOff(Risk::Irreversible)),
        Field::new("statements")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
    ],
    calls: Calls {
        read: &[
            "kms:DescribeKey",
            "kms:ListResourceTags",
            "kms:GetKeyPolicy",
            "kms:GetKeyRotationStatus",
            "kms:ListAliases",
            "tag:GetResources",
        ],
        create: &[
            "kms:CreateKey",
            "kms:CreateAlias",
            "kms:EnableKeyRotation",
            "kms:TagResource",
            "kms:CancelKeyDeletion",
            "kms:EnableKey",
        ],
        update: &[
            "kms:CreateAlias",
            "kms:PutKeyPolicy",
            "kms:EnableKeyRotation",
            "kms:DisableKeyRotation",
            "kms:EnableKey",
            "kms:DisableKey",
            "kms:UpdateKeyDescription",
            "kms:TagResource",
            "kms:UntagResource",
        ],
        delete: &["kms:ScheduleKeyDeletion"],
    },
};

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
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        if !(90..=2560).contains(&wanted.rotation_days) {
            return Err(
                Error::new(ErrorKind::Invalid, format!("rotation_days is {}", wanted.rotation_days))
                    .with_help("choose 90 to 2560 days"),
            );
        }
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

    async fn list(scope: &Scope<'_>, set: &SetId) -> Result<Vec<String>> {
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
        for (arn, tags) in scope.tagged("kms:key", tags::SET, set.as_str()).await? {
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

/// A key by id, ARN or alias.
async fn describe(scope: &Scope<'_>, key: &str) -> Result<Option<KeyMetadata>> {
    Ok(scope
        .clients
        .kms
        .describe_key()
        .key_id(key)
        .send()
        .await
        .absent("kms:DescribeKey", &["NotFoundException"])?
        .and_then(|answer| answer.key_metadata))
}

/// A key of this set that carries the id tag but no alias: a run was killed between the two calls.
async fn orphan(scope: &Scope<'_>, name: &str) -> Result<Option<KeyMetadata>> {
    let id = tags::id_of(FACTS.kind, name);
    let mut candidates = Vec::new();
    for (arn, tags) in scope.tagged("kms:key", tags::ID, &id).await? {
        if !matches!(tags::owner(&tags, scope.set), Owner::ThisSet | Owner::Retained) {
            continue;
        }
        // The tagging API shows deleted keys for hours: only the key itself is proof.
        if let Some(metadata) = describe(scope, &arn).await?
            && metadata.key_state() != Some(&KeyState::PendingDeletion)
        {
            candidates.push(metadata);
        }
    }
    candidates.sort_by_key(|key| {
        (
            key.creation_date().map(aws_smithy_types::DateTime::secs),
            key.key_id().to_owned(),
        )
    });
    Ok(candidates.into_iter().next())
}

async fn warn_of_twins(scope: &Scope<'_>, name: &str, arns: &[String]) -> Result<()> {
    let used = describe(scope, &alias(name)).await?;
    for arn in arns {
        let Some(twin) = describe(scope, arn).await? else {
            continue;
        };
        let is_used = used.as_ref().is_some_and(|used| used.key_id() == twin.key_id());
        if !is_used && twin.key_state() != Some(&KeyState::PendingDeletion) {
            scope.warn(format!(
                "key {} carries the id of {} but not its alias: if nothing is encrypted with it, schedule its deletion by hand",
                twin.key_id(),
                alias(name)
            ));
        }
    }
    Ok(())
}

async fn found(scope: &Scope<'_>, name: &str, key: &KeyMetadata, has_alias: bool) -> Result<Found<Desired>> {
    let id = key.key_id();
    let kms = &scope.clients.kms;
    let mut tags = Tags::new();
    let mut found = Found {
        uid: Uid::new(id),
        handle: id.to_owned(),
        settings: Desired {
            description: key.description().unwrap_or_default().to_owned(),
            enabled: key.enabled(),
            multi_region: key.multi_region().unwrap_or_default(),
            rotation: false,
            rotation_days: year(),
            root_access: false,
            statements: Vec::new(),
            alias: has_alias,
        },
        tags: Tags::new(),
        outputs: BTreeMap::from([
            ("key_id".to_owned(), Value::String(id.to_owned())),
            (
                "arn".to_owned(),
                Value::String(key.arn().unwrap_or_default().to_owned()),
            ),
            ("alias".to_owned(), Value::String(alias(name))),
        ]),
        state: state(key),
        doomed: (key.key_state() == Some(&KeyState::PendingDeletion)).then(|| {
            key.deletion_date()
                .and_then(|date| date.fmt(aws_smithy_types::date_time::Format::DateTime).ok())
                .unwrap_or_else(|| "a date that KMS does not tell".to_owned())
        }),
        stranger: None,
        version: None,
    };
    if key.key_manager() == Some(&KeyManagerType::Aws) {
        found.stranger = Some("AWS itself".to_owned());
        return Ok(found);
    }
    let read_tags = async {
        let mut pages = kms.list_resource_tags().key_id(id).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.during("kms:ListResourceTags")?;
            tags.extend(
                page.tags()
                    .iter()
                    .map(|tag| (tag.tag_key().to_owned(), tag.tag_value().to_owned())),
            );
        }
        Ok(())
    };
    let read_policy = async {
        let answer = kms.get_key_policy().key_id(id).policy_name(POLICY).send().await;
        answer.during("kms:GetKeyPolicy")
    };
    let read_rotation = async {
        let answer = kms.get_key_rotation_status().key_id(id).send().await;
        answer.during("kms:GetKeyRotationStatus")
    };
    let ((), document, rotation) = futures::try_join!(read_tags, read_policy, read_rotation)?;
    let root = root_statement(scope);
    let statements = policy::statements(document.policy().unwrap_or("{}"))?;
    found.settings.root_access = statements.contains(&root);
    found.settings.statements = statements.into_iter().filter(|statement| statement != &root).collect();
    found.settings.rotation = rotation.key_rotation_enabled();
    if found.settings.rotation {
        found.settings.rotation_days = rotation.rotation_period_in_days().unwrap_or(year());
    }
    found.tags = tags;
    Ok(found)
}

fn state(key: &KeyMetadata) -> State {
    match key.key_state() {
        Some(KeyState::Creating | KeyState::Updating) => State::Progressing {
            what: "KMS makes the key".to_owned(),
        },
        Some(KeyState::PendingDeletion | KeyState::PendingReplicaDeletion) => {
            State::Deleting { blocked_by: Vec::new() }
        }
        Some(KeyState::PendingImport | KeyState::Unavailable) => State::Failed {
            why: "its key material is missing or its key store is not connected".to_owned(),
        },
        _ => State::Ready,
    }
}
