//! `backup.Plan`: when backups are taken, into which vault, how long they are kept, where they are copied, and of what.
//!
//! Names of plans need not be unique, so a plan is found by its name and the mark of its identity. A create is sent with a
//! token, for which AWS gives the same plan again.

mod facts;
mod selections;

use super::{AwsKind, Found, Limit, Reach, backup};
use crate::error::Outcome;
use crate::names;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use aws_sdk_backup::operation::get_backup_plan::GetBackupPlanOutput;
use aws_sdk_backup::primitives::DateTime;
use aws_sdk_backup::types::{BackupPlan, BackupPlanInput, BackupRule, BackupRuleInput, CopyAction, Lifecycle};
use facts::FACTS;
use platform_core::value::{Digest, SetId, Uid};
use platform_core::{Error, ErrorKind, KindFacts, Result, State};
use selections::Selection;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The time zone of schedules that name none.
const UTC: &str = "Etc/UTC";
/// AWS starts no backup within less.
const LEAST_WINDOW: i64 = 60;

#[derive(Debug)]
pub(crate) struct Plan;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// When, where to and for how long, by name.
    rules: BTreeMap<String, Rule>,
    /// Of what, by name.
    #[serde(default)]
    selections: BTreeMap<String, Selection>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// Name of the vault.
    vault: String,
    /// `cron(0 2 * * ? *)`.
    schedule: String,
    #[serde(default = "utc")]
    timezone: String,
    /// Minutes in which a backup has to start.
    #[serde(default = "start_window")]
    start_window: i64,
    /// Minutes in which it has to be whole.
    #[serde(default = "completion_window")]
    completion_window: i64,
    /// Days until a backup goes. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delete_after_days: Option<i64>,
    /// Days until it is moved to cold storage, for what AWS can move. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cold_after_days: Option<i64>,
    /// Every moment can be restored, not those of backups alone.
    #[serde(default)]
    continuous: bool,
    /// Tags of the backups.
    #[serde(default)]
    backup_tags: BTreeMap<String, String>,
    /// Copies, by the ARN of the vault that gets them.
    #[serde(default)]
    copies: BTreeMap<String, Copy>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Copy {
    /// Days until a copy goes, counted from when the backup was made. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delete_after_days: Option<i64>,
}

fn utc() -> String {
    UTC.to_owned()
}

fn start_window() -> i64 {
    480
}

fn completion_window() -> i64 {
    10_080
}

fn lifecycle(delete: Option<i64>, cold: Option<i64>) -> Option<Lifecycle> {
    (delete.is_some() || cold.is_some()).then(|| {
        Lifecycle::builder()
            .set_delete_after_days(delete)
            .set_move_to_cold_storage_after_days(cold)
            .build()
    })
}

fn built<T>(what: &str, built: std::result::Result<T, aws_smithy_types::error::operation::BuildError>) -> Result<T> {
    built.map_err(|cause| Error::new(ErrorKind::Internal, format!("{what}: {cause}")))
}

impl Rule {
    fn to_sdk(&self, name: &str) -> Result<BackupRuleInput> {
        let copies = self.copies.iter().map(|(vault, copy)| {
            let action = CopyAction::builder()
                .destination_backup_vault_arn(vault)
                .set_lifecycle(lifecycle(copy.delete_after_days, None));
            built(vault, action.build())
        });
        let rule = BackupRuleInput::builder()
            .rule_name(name)
            .target_backup_vault_name(&self.vault)
            .schedule_expression(&self.schedule)
            .schedule_expression_timezone(&self.timezone)
            .start_window_minutes(self.start_window)
            .completion_window_minutes(self.completion_window)
            .set_lifecycle(lifecycle(self.delete_after_days, self.cold_after_days))
            .enable_continuous_backup(self.continuous)
            .set_recovery_point_tags(Some(self.backup_tags.clone().into_iter().collect()))
            .set_copy_actions(Some(copies.collect::<Result<_>>()?));
        built(name, rule.build())
    }

    fn of(rule: &BackupRule) -> Self {
        let delete = |lifecycle: Option<&Lifecycle>| lifecycle.and_then(Lifecycle::delete_after_days);
        Self {
            vault: rule.target_backup_vault_name().to_owned(),
            schedule: rule.schedule_expression().unwrap_or_default().to_owned(),
            timezone: rule.schedule_expression_timezone().unwrap_or(UTC).to_owned(),
            start_window: rule.start_window_minutes().unwrap_or_else(start_window),
            completion_window: rule.completion_window_minutes().unwrap_or_else(completion_window),
            delete_after_days: delete(rule.lifecycle()),
            cold_after_days: rule.lifecycle().and_then(Lifecycle::move_to_cold_storage_after_days),
            continuous: rule.enable_continuous_backup().unwrap_or_default(),
            backup_tags: rule
                .recovery_point_tags()
                .map(|tags| tags.clone().into_iter().collect())
                .unwrap_or_default(),
            copies: rule
                .copy_actions()
                .iter()
                .map(|action| {
                    let copy = Copy {
                        delete_after_days: delete(action.lifecycle()),
                    };
                    (action.destination_backup_vault_arn().to_owned(), copy)
                })
                .collect(),
        }
    }
}

impl Desired {
    fn plan(&self, name: &str) -> Result<BackupPlanInput> {
        let rules = self.rules.iter().map(|(name, rule)| rule.to_sdk(name));
        let plan = BackupPlanInput::builder()
            .backup_plan_name(name)
            .set_rules(Some(rules.collect::<Result<_>>()?));
        built(name, plan.build())
    }
}

/// Ids and names of the region's plans.
async fn all(scope: &Scope<'_>) -> Result<Arc<Vec<(String, String)>>> {
    let ask = async {
        let mut pages = scope.clients.backup.list_backup_plans().into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.during("backup:ListBackupPlans")?;
            found.extend(
                page.backup_plans_list
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|plan| Some((plan.backup_plan_id?, plan.backup_plan_name?))),
            );
        }
        Ok(found)
    };
    scope.once("backup plans", ask).await
}

/// A plan with its tags; `None` when it has gone.
async fn get(scope: &Scope<'_>, id: &str) -> Result<Option<(GetBackupPlanOutput, Tags)>> {
    let answer = scope
        .clients
        .backup
        .get_backup_plan()
        .backup_plan_id(id)
        .send()
        .await
        .absent("backup:GetBackupPlan", &["ResourceNotFoundException"])?
        // AWS shows a deleted plan for some more time.
        .filter(|plan| plan.deletion_date().is_none());
    let Some(plan) = answer else { return Ok(None) };
    let tags = backup::tags_at(scope, plan.backup_plan_arn().unwrap_or_default()).await?;
    Ok(tags.map(|tags| (plan, tags)))
}

#[async_trait]
impl AwsKind for Plan {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["backup:{region}:{account}:backup-plan:*"]).births(&["backup:CreateBackupPlan"]);
    const LIMITS: &'static [Limit] = &[
        Limit::new("rules.{}", "backup:BackupRuleName").pattern(r"[a-zA-Z0-9\-\_\.]{1,50}"),
        Limit::new("rules.*.vault", "backup:BackupVaultName").pattern(r"[a-zA-Z0-9\-\_]{2,50}"),
    ];
    type Desired = Desired;

    fn normal(wanted: Desired) -> Result<Desired> {
        let invalid = |what: String, help: &str| Err(Error::new(ErrorKind::Invalid, what).with_help(help));
        if wanted.rules.is_empty() {
            return invalid("a plan without a rule".to_owned(), "say when and where to");
        }
        for (name, rule) in &wanted.rules {
            let cron = rule
                .schedule
                .strip_prefix("cron(")
                .and_then(|rest| rest.strip_suffix(')'));
            if cron.is_none_or(|fields| fields.split(' ').count() != 6) {
                return invalid(
                    format!("{:?} is no schedule of AWS", rule.schedule),
                    "write cron(minute hour day-of-month month day-of-week year)",
                );
            }
            if rule.start_window < LEAST_WINDOW || rule.completion_window < rule.start_window + LEAST_WINDOW {
                return invalid(
                    format!("rule {name} leaves no time"),
                    "a backup may start within 60 minutes or more, and be whole an hour later at the earliest",
                );
            }
            let cold = rule.cold_after_days.map_or(1, |cold| cold + 90);
            if rule.delete_after_days.is_some_and(|delete| delete < cold) {
                return invalid(
                    format!("rule {name} keeps backups too short"),
                    "keep them a day or more, and 90 days or more in cold storage",
                );
            }
        }
        for (name, selection) in &wanted.selections {
            if name.is_empty() || name.len() > selections::MAX_NAME || selection.others.is_some() {
                return invalid(
                    format!("selection {name:?} cannot be made"),
                    "write 1 to 43 characters, and ARNs only",
                );
            }
            if selection.resources.is_empty() {
                return invalid(format!("selection {name} holds nothing"), "name ARNs, or leave it out");
            }
        }
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let all = all(scope).await?;
        let ids = all.iter().filter(|(_, found)| found == name);
        let mut same = Vec::new();
        for (id, _) in ids {
            same.extend(get(scope, id).await?.map(|(plan, tags)| (id, plan, tags)));
        }
        let ours = tags::id_of(FACTS.kind, name);
        same.sort_by_key(|(_, plan, tags)| {
            let marked = tags::ours(tags, tags::ID) == Some(ours.as_str());
            (!marked, plan.creation_date().map_or(0, DateTime::secs))
        });
        if same.len() > 1 {
            scope.warn(format!("{} backup plans are called {name}", same.len()));
        }
        let Some((id, answer, tags)) = same.into_iter().next() else {
            return Ok(None);
        };
        let selections = selections::read(scope, id).await?;
        let rules = answer.backup_plan().map(BackupPlan::rules).unwrap_or_default();
        let arn = answer.backup_plan_arn().unwrap_or_default();
        Ok(Some(Found {
            uid: Uid::new(id.as_str()),
            settings: Desired {
                rules: rules
                    .iter()
                    .map(|rule| (rule.rule_name().to_owned(), Rule::of(rule)))
                    .collect(),
                selections,
            },
            outputs: BTreeMap::from([
                ("arn".to_owned(), json!(arn)),
                ("id".to_owned(), json!(id)),
                ("name".to_owned(), json!(name)),
            ]),
            handle: arn.to_owned(),
            tags,
            state: State::Ready,
            doomed: None,
            stranger: None,
            version: answer.version_id,
        }))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let start = names::start(scope.name_prefix(), FACTS.name.max);
        let all = all(scope).await?;
        let names = all.iter().map(|(_, name)| name);
        Ok(names.filter(|name| name.starts_with(start)).cloned().collect())
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, token: &str) -> Result<()> {
        let made = scope
            .clients
            .backup
            .create_backup_plan()
            .backup_plan(wanted.plan(name)?)
            .set_backup_plan_tags(Some(backup::sdk_tags(tags)))
            // At most 50 characters; the same for every try of this create.
            .creator_request_id(Digest::of_text(token).short(32))
            .send()
            .await
            .during("backup:CreateBackupPlan")?;
        let id = made.backup_plan_id().unwrap_or_default();
        for (name, selection) in &wanted.selections {
            selections::create(scope, id, name, selection).await?;
        }
        Ok(())
    }

    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        let id = found.uid.as_str();
        // What is backed up first: a rule that is new finds it.
        if found.settings.selections != wanted.selections {
            selections::write(scope, id, &wanted.selections).await?;
        }
        if found.settings.rules != wanted.rules {
            scope
                .clients
                .backup
                .update_backup_plan()
                .backup_plan_id(id)
                .backup_plan(wanted.plan(name)?)
                .send()
                .await
                .during("backup:UpdateBackupPlan")?;
        }
        Ok(())
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        backup::tag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let id = found.uid.as_str();
        // AWS refuses the delete of a plan with selections.
        selections::clear(scope, id).await?;
        scope
            .clients
            .backup
            .delete_backup_plan()
            .backup_plan_id(id)
            .send()
            .await
            .absent("backup:DeleteBackupPlan", &["ResourceNotFoundException"])?;
        Ok(())
    }
}
