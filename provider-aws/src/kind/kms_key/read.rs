//! Finding a key, by its alias or by the tag of one that lost it, and reading what it is.

use super::{Desired, FACTS, POLICY, alias, root_statement, year};
use crate::error::Outcome;
use crate::kind::Found;
use crate::policy;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use aws_sdk_kms::types::{KeyManagerType, KeyMetadata, KeyState};
use platform_core::value::Uid;
use platform_core::{Owner, Result, State};
use serde_json::Value;
use std::collections::BTreeMap;

/// A key by id, ARN or alias.
pub(super) async fn describe(scope: &Scope<'_>, key: &str) -> Result<Option<KeyMetadata>> {
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
pub(super) async fn orphan(scope: &Scope<'_>, name: &str) -> Result<Option<KeyMetadata>> {
    let id = tags::id_of(FACTS.kind, name);
    let mut candidates = Vec::new();
    for (arn, tags) in scope.tagged(Some("kms:key"), tags::ID, &id).await? {
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

pub(super) async fn warn_of_twins(scope: &Scope<'_>, name: &str, arns: &[String]) -> Result<()> {
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

pub(super) async fn found(scope: &Scope<'_>, name: &str, key: &KeyMetadata, has_alias: bool) -> Result<Found<Desired>> {
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
