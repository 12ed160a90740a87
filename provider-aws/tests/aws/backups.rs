//! What AWS Backup is said to do and ministack does not: roles that are too new, selections that are exchanged without a gap,
//! vaults that hold something.

use crate::emulators::Account;
use crate::kinds::{self, Case};
use crate::platform::{apply, apply_with, everything, fields, plan};
use platform_core::engine::{Action, PlanRequest};
use platform_core::{Provider, Resource, Risk};
use serde_json::json;
use std::collections::BTreeSet;

fn case(account: &Account, kind: &str) -> Case {
    let mut all = kinds::all(account).into_iter();
    all.find(|case| case.id.kind().as_str() == kind).unwrap()
}

fn request(account: &Account) -> PlanRequest {
    let wanted = ["backup.Vault", "backup.Plan"].map(|kind| case(account, kind));
    PlanRequest {
        resources: wanted.iter().map(|case| case.resource(&case.first)).collect(),
        ..PlanRequest::destroy(kinds::set(account))
    }
}

/// Names and ARNs of a plan's selections, as somebody else sees them.
async fn selections(account: &Account) -> Vec<(String, BTreeSet<String>)> {
    let backup = aws_sdk_backup::Client::new(&account.behind());
    let plans = backup.list_backup_plans().send().await.unwrap();
    let mut found = Vec::new();
    for plan in plans.backup_plans_list() {
        let id = plan.backup_plan_id().unwrap();
        let listed = backup.list_backup_selections().backup_plan_id(id).send().await.unwrap();
        for one in listed.backup_selections_list() {
            let call = backup.get_backup_selection().backup_plan_id(id);
            let answer = call.selection_id(one.selection_id().unwrap()).send().await.unwrap();
            let selection = answer.backup_selection().unwrap();
            found.push((
                selection.selection_name().to_owned(),
                selection.resources().iter().cloned().collect(),
            ));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_too_new_is_waited_for_and_the_plan_made_once() {
    let account = Account::new().with_speed(50);
    let engine = account.engine("a");
    let request = request(&account);
    account.vaults.roles_are_fresh(3);
    apply(&engine, &plan(&engine, &request).await).await;
    assert!(plan(&engine, &request).await.is_empty());
    assert_eq!(selections(&account).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_selections_that_stand_for_one_the_older_goes() {
    let account = Account::new().with_speed(50);
    let engine = account.engine("a");
    let mut request = request(&account);
    apply(&engine, &plan(&engine, &request).await).await;
    let before = selections(&account).await;
    // As a run leaves it that was killed after it had made the new one.
    let case = case(&account, "backup.Plan");
    let backup = aws_sdk_backup::Client::new(&account.behind());
    let plans = backup.list_backup_plans().send().await.unwrap();
    let id = plans.backup_plans_list()[0].backup_plan_id().unwrap().to_owned();
    request.resources[1] = Resource {
        desired: case.second.clone().into(),
        ..request.resources[1].clone()
    };
    let change = plan(&engine, &request).await;
    apply_with(&engine, &change, &everything(&change)).await;
    let after = selections(&account).await;
    assert_eq!(after.len(), 2, "{after:?}");
    let (old, resources) = before.iter().find(|(name, _)| name.starts_with("kept.")).unwrap();
    assert!(
        after.iter().all(|(name, _)| name != old),
        "its name says what it holds: {after:?}"
    );
    let stale = aws_sdk_backup::types::BackupSelection::builder()
        .selection_name(old)
        .iam_role_arn("arn:aws:iam::123456789012:role/backup")
        .set_resources(Some(resources.iter().cloned().collect()))
        .build()
        .unwrap();
    backup
        .create_backup_selection()
        .backup_plan_id(id)
        .backup_selection(stale)
        .send()
        .await
        .unwrap();
    let mend = plan(&engine, &request).await;
    assert_eq!(mend.step(&case.id).unwrap().action, Action::Update);
    apply_with(&engine, &mend, &everything(&mend)).await;
    assert!(plan(&engine, &request).await.is_empty());
    assert_eq!(selections(&account).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_can_lose_what_guards_it_when_somebody_approves() {
    let account = Account::new().with_speed(50);
    let engine = account.engine("a");
    let mut request = request(&account);
    apply(&engine, &plan(&engine, &request).await).await;
    let vault = request.resources[0].id.clone();
    request.resources[0] = Resource {
        desired: json!({"kms_key": "arn:aws:kms:eu-west-1:1:key/k", "deletion_denied": false}).into(),
        ..request.resources[0].clone()
    };
    let change = plan(&engine, &request).await;
    let fields = fields(&change, &vault);
    assert_eq!(fields, ["deletion_denied", "lock", "tags", "told"]);
    let step = change.step(&vault).unwrap();
    assert!(step.risks.contains(&Risk::LowersProtection), "{:?}", step.risks);
    apply_with(&engine, &change, &everything(&change)).await;
    assert!(plan(&engine, &request).await.is_empty());
    // Another key would be another vault.
    request.resources[0] = Resource {
        desired: json!({"kms_key": "arn:aws:kms:eu-west-1:1:key/other"}).into(),
        ..request.resources[0].clone()
    };
    let blocked = engine.plan(&request).await.unwrap();
    assert_eq!(blocked.step(&vault).unwrap().action, Action::Blocked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_holds_backups_is_never_deleted() {
    let account = Account::new().with_speed(50);
    let engine = account.engine("a");
    let request = request(&account);
    apply(&engine, &plan(&engine, &request).await).await;
    let vault = case(&account, "backup.Vault").id;
    account.vaults.fill(vault.name().as_str(), 3);
    let gone = PlanRequest::destroy(request.set.clone());
    let destroy = plan(&engine, &gone).await;
    let report = engine
        .apply(&destroy, &everything(&destroy), &mut |_| {})
        .await
        .unwrap();
    let (id, why) = report.failures().next().unwrap();
    assert_eq!(id, &vault);
    assert!(why.report().contains("3 backups"), "{}", why.report());
    let seen = account.provider().observe(&request.set, &[]).await.unwrap();
    assert_eq!(seen.extra.keys().collect::<Vec<_>>(), [&vault]);
}
