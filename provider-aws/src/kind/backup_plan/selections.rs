//! What a plan backs up. A selection carries no tag and cannot be changed: a new one is made before the old one goes, so
//! that nothing is without a backup in between. Its name ends in a hash of what it holds.

use crate::error::Outcome;
use crate::provider::Scope;
use aws_sdk_backup::primitives::DateTime;
use aws_sdk_backup::types::BackupSelection;
use platform_core::value::Digest;
use platform_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Characters of the hash, and the dot before it.
const HASH: usize = 6;
/// Longest name that a hash still fits behind.
pub(super) const MAX_NAME: usize = crate::kind::backup::MAX_NAME - HASH - 1;

/// What is backed up, and by which role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selection {
    /// ARN of the role that AWS Backup acts by.
    pub(super) role: String,
    /// ARNs of what is backed up.
    pub(super) resources: BTreeSet<String>,
    /// What else chooses: conditions and exceptions that somebody else wrote; shown, and replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) others: Option<String>,
}

/// One that is there.
#[derive(Clone, Debug)]
struct There {
    id: String,
    name: String,
    made: i64,
    selection: Selection,
}

impl Selection {
    fn called(&self, name: &str) -> String {
        format!("{name}.{}", Digest::of(&(&self.role, &self.resources)).short(HASH))
    }

    fn of(found: &BackupSelection) -> Self {
        let mut others = Vec::new();
        if !found.list_of_tags().is_empty() {
            others.push(format!("tags: {:?}", found.list_of_tags()));
        }
        if !found.not_resources().is_empty() {
            others.push(format!("but not: {}", found.not_resources().join(", ")));
        }
        let conditions = found.conditions().filter(|all| {
            let none = all.string_equals().is_empty() && all.string_like().is_empty();
            !(none && all.string_not_equals().is_empty() && all.string_not_like().is_empty())
        });
        others.extend(conditions.map(|all| format!("conditions: {all:?}")));
        Self {
            role: found.iam_role_arn().to_owned(),
            resources: found.resources().iter().cloned().collect(),
            others: (!others.is_empty()).then(|| others.join("; ")),
        }
    }
}

impl There {
    /// The name without the hash; the whole of it where the hash is another's.
    fn short(&self) -> &str {
        match self.name.rsplit_once('.') {
            Some((name, _)) if self.selection.called(name) == self.name => name,
            _ => &self.name,
        }
    }
}

/// Every selection of a plan, by what a view calls it: of two that stand for one, the newer one has its name.
async fn all(scope: &Scope<'_>, plan: &str) -> Result<BTreeMap<String, There>> {
    let backup = &scope.clients.backup;
    let mut found = Vec::new();
    let mut pages = backup
        .list_backup_selections()
        .backup_plan_id(plan)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.during("backup:ListBackupSelections")?;
        for listed in page.backup_selections_list() {
            let id = listed.selection_id().unwrap_or_default();
            let answer = backup
                .get_backup_selection()
                .backup_plan_id(plan)
                .selection_id(id)
                .send()
                .await
                .absent("backup:GetBackupSelection", &["ResourceNotFoundException"])?;
            if let Some(selection) = answer.as_ref().and_then(|answer| answer.backup_selection()) {
                found.push(There {
                    id: id.to_owned(),
                    name: selection.selection_name().to_owned(),
                    made: listed.creation_date().map_or(0, DateTime::secs),
                    selection: Selection::of(selection),
                });
            }
        }
    }
    found.sort_by_key(|there| std::cmp::Reverse(there.made));
    let mut all = BTreeMap::new();
    for there in found {
        let key = match there.short() {
            short if !all.contains_key(short) => short.to_owned(),
            _ => there.name.clone(),
        };
        all.insert(key, there);
    }
    Ok(all)
}

/// What a view shows.
pub(super) async fn read(scope: &Scope<'_>, plan: &str) -> Result<BTreeMap<String, Selection>> {
    let all = all(scope, plan).await?;
    Ok(all.into_iter().map(|(name, there)| (name, there.selection)).collect())
}

/// Makes what is missing, then removes what is not wanted.
pub(super) async fn write(scope: &Scope<'_>, plan: &str, wanted: &BTreeMap<String, Selection>) -> Result<()> {
    let there = all(scope, plan).await?;
    for (name, selection) in wanted {
        if there.get(name).is_none_or(|there| &there.selection != selection) {
            create(scope, plan, name, selection).await?;
        }
    }
    for (name, there) in there {
        if wanted.get(&name) != Some(&there.selection) {
            delete(scope, plan, &there.id).await?;
        }
    }
    Ok(())
}

/// Removes all.
pub(super) async fn clear(scope: &Scope<'_>, plan: &str) -> Result<()> {
    for there in all(scope, plan).await?.into_values() {
        delete(scope, plan, &there.id).await?;
    }
    Ok(())
}

pub(super) async fn create(scope: &Scope<'_>, plan: &str, name: &str, selection: &Selection) -> Result<()> {
    let called = selection.called(name);
    let selection = BackupSelection::builder()
        .selection_name(&called)
        .iam_role_arn(&selection.role)
        .set_resources(Some(selection.resources.iter().cloned().collect()))
        .build()
        .map_err(|cause| Error::new(ErrorKind::Internal, format!("selection {name}: {cause}")))?;
    scope
        .clients
        .backup
        .create_backup_selection()
        .backup_plan_id(plan)
        .backup_selection(selection)
        .send()
        .await
        // Made by a call whose answer was lost: the name says what it holds.
        .absent("backup:CreateBackupSelection", &["AlreadyExistsException"])
        .map(drop)
}

#[allow(clippy::disallowed_methods)] // the home of this call
async fn delete(scope: &Scope<'_>, plan: &str, id: &str) -> Result<()> {
    scope
        .clients
        .backup
        .delete_backup_selection()
        .backup_plan_id(plan)
        .selection_id(id)
        .send()
        .await
        .absent("backup:DeleteBackupSelection", &["ResourceNotFoundException"])
        .map(drop)
}
