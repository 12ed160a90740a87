//! What AWS Backup is said to do and ministack does not: roles that are too new, selections that are exchanged without a gap,
//! vaults that hold something.

use crate::emulators::Account;
use crate::kinds::{self, Case};
use crate::platform::{apply, apply_with, done, everything, fields, plan};
use platform_core::engine::{Action, PlanRequest};
use platform_core::value::Span;
use platform_core::{
    BackupSpec, BucketSpec, Capability, Context, DataAsset, Environment, Holds, Provider, Resource, Risk, Stack, State,
    StorageSpec,
};
use provider_aws::{Aws, AwsOptions};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

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

/// A platform whose only data is a bucket, and what its backup has to know.
fn platform(account: &Account) -> (Aws, BackupSpec, Context) {
    let stack = Aws::on(Arc::new(account.provider()), Arc::clone(&account.clock));
    let stack = stack.with_options(AwsOptions::new(&account.id)).unwrap();
    let mut context = Context::new(&format!("b{}", account.id), Environment::Dev, "");
    let storage = StorageSpec::new(context.name.clone()).with_bucket(BucketSpec::new("data").with_versioning(true));
    let surface = stack.storage().unwrap().surface(&storage, &context).unwrap();
    context.surfaces.0.insert(Capability::Storage, surface);
    let spec = BackupSpec::new(context.name.clone(), "0 2 * * *".parse().unwrap(), Span::days(7));
    (stack, spec.with_scope([Capability::Storage]), context)
}

/// Brings up what backs it up; the bucket itself need not be there.
async fn up(account: &Account, stack: &Aws, spec: &BackupSpec, context: &Context) {
    let blueprint = stack.backup().unwrap().blueprint(spec, context).unwrap();
    let without = |mut resource: Resource| {
        resource.after.retain(|id| id.kind().as_str() != "s3.Bucket");
        resource
    };
    let request = PlanRequest {
        resources: blueprint.resources.into_iter().map(without).collect(),
        ..PlanRequest::destroy(context.set.clone())
    };
    let engine = account.engine("up");
    apply(&engine, &plan(&engine, &request).await).await;
    assert!(plan(&engine, &request).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_by_hand_is_taken_once_tagged_and_listed() {
    let account = Account::new().with_speed(20);
    let (stack, spec, context) = platform(&account);
    let backup = stack.backup().unwrap();
    let none = backup.status(&spec, &context).await.unwrap();
    assert!(none.problems.iter().any(|what| what.contains("no vault")), "{none:?}");
    up(&account, &stack, &spec, &context).await;

    let digits: String = account
        .clock
        .now()
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .take(14)
        .collect();
    let name = format!("{}-by-hand-{digits}", context.name);
    let set = context.one_off("backup", &name).unwrap();
    let blueprint = backup.run(&spec, &name, &context).unwrap();
    let request = PlanRequest {
        resources: blueprint.resources,
        ..PlanRequest::destroy(set.clone())
    };
    // The job stands for it until it shows.
    account.vaults.points_show_late(4);
    let engine = account.engine("by hand");
    let next = plan(&engine, &request).await;
    assert_eq!(done(&apply(&engine, &next).await), 1);
    assert!(plan(&engine, &request).await.is_empty());
    let (count, tags) = account.vaults.points();
    assert_eq!((count, tags["mlplat:set"].as_str()), (1, Some(set.as_str())));
    assert!(tags.get("mlplat:making").is_none(), "{tags}");

    let status = backup.status(&spec, &context).await.unwrap();
    assert_eq!((status.backups.len(), &status.problems), (1, &Vec::new()), "{status:?}");
    let record = &status.backups[0];
    assert_eq!((record.name.as_str(), record.scheduled), (name.as_str(), false));
    assert!(record.started.is_some() && record.completed.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plan_took_together_is_one_backup() {
    let account = Account::new().with_speed(20);
    let (stack, mut spec, mut context) = platform(&account);
    up(&account, &stack, &spec, &context).await;
    let backup = stack.backup().unwrap();
    let vault = format!("{}-dev", context.name);
    let bucket = context.surfaces.0[&Capability::Storage].data[0].id.name().to_string();
    let (bucket, server) = (
        format!("arn:aws:s3:::{bucket}"),
        format!("arn:aws:rds:eu-west-1:{}:db:{vault}", account.id),
    );
    // A server beside the bucket.
    let id: platform_core::value::ResourceId = format!("aws/eu-west-1:rds.DbInstance/{vault}").parse().unwrap();
    let held = DataAsset {
        id,
        holds: Holds::Durable,
        workload: None,
    };
    context
        .surfaces
        .0
        .entry(Capability::Database)
        .or_default()
        .data
        .push(held);
    spec = spec.with_scope([Capability::Storage, Capability::Database]);

    let now = account.clock.now().seconds();
    let plan = |more: serde_json::Value| {
        let mut all = json!({"CreatedBy": {"BackupPlanName": vault, "BackupRuleName": "scheduled"}});
        for (key, value) in more.as_object().unwrap() {
            all[key] = value.clone();
        }
        all
    };
    let day = 86_400;
    for (at, resource, more) in [
        (now - 2 * day, &bucket, json!({})),
        (
            now - 2 * day + 1800,
            &server,
            json!({"Status": "PARTIAL", "StatusMessage": "the key is disabled"}),
        ),
        (now - day, &bucket, json!({})),
        (
            now - 600,
            &bucket,
            json!({"CalculatedLifecycle": {"DeleteAt": now + 7 * day}}),
        ),
        (
            now - 500,
            &server,
            json!({"CalculatedLifecycle": {"DeleteAt": now + 8 * day}}),
        ),
    ] {
        account.vaults.took(&vault, resource, at, &plan(more));
    }
    let status = backup.status(&spec, &context).await.unwrap();
    let told: Vec<(bool, usize)> = status
        .backups
        .iter()
        .map(|one| (one.state == State::Ready, one.problems.len()))
        .collect();
    // The newest is whole; yesterday's lacks the server; the one before has failed.
    assert_eq!(told, [(true, 0), (true, 1), (false, 0)], "{status:?}");
    assert!(status.backups[1].problems[0].contains(&server), "{status:?}");
    assert!(matches!(&status.backups[2].state, State::Failed { why } if why.contains("disabled")));
    let newest = &status.backups[0];
    assert_eq!(
        newest.expires.unwrap().seconds(),
        now + 7 * day,
        "as soon as part of it goes"
    );
    assert!(newest.scheduled && status.problems.is_empty(), "{status:?}");
}
