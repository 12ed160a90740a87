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

/// Lets a capability hold data in this.
fn hold(context: &mut Context, capability: Capability, id: &platform_core::value::ResourceId) {
    let held = DataAsset {
        id: id.clone(),
        holds: Holds::Durable,
        workload: None,
    };
    context.surfaces.0.entry(capability).or_default().data.push(held);
}

/// A recovery point that the plan took an hour ago.
fn taken(account: &Account, vault: &str, resource: &str, arn: Option<&str>) {
    let mut more = json!({"CreatedBy": {"BackupPlanName": vault, "BackupRuleName": "scheduled"}});
    if let Some(arn) = arn {
        more["RecoveryPointArn"] = json!(arn);
    }
    account
        .vaults
        .took(vault, resource, account.clock.now().seconds() - 3600, &more);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bucket_lost_comes_back_by_one_job_however_often_its_run_is_killed() {
    let account = Account::new().with_speed(20);
    let (stack, spec, context) = platform(&account);
    let backup = stack.backup().unwrap();
    up(&account, &stack, &spec, &context).await;
    let vault = format!("{}-dev", context.name);
    let bucket = context.surfaces.0[&Capability::Storage].data[0].id.name().to_string();
    taken(&account, &vault, &format!("arn:aws:s3:::{bucket}"), None);
    let record = backup.status(&spec, &context).await.unwrap().backups[0].clone();
    assert_eq!(record.parts.len(), 1, "{record:?}");
    // The bucket is not there: a plan of the platform makes it before objects come back.
    let remade = backup.remade(&spec, &record, &context).await.unwrap();
    assert_eq!(remade.capabilities, BTreeSet::from([Capability::Storage]));
    assert!(backup.in_the_way(&spec, &context).await.unwrap().is_empty());

    let set = context.one_off("restore", &record.name).unwrap();
    let wanted = || async {
        let blueprint = backup.restore(&spec, &record, &context).await.unwrap();
        PlanRequest {
            resources: blueprint.resources,
            ..PlanRequest::destroy(set.clone())
        }
    };
    for run in 0..2 {
        let engine = account.engine("killed");
        let next = plan(&engine, &wanted().await).await;
        assert_eq!(next.changes().count(), 1, "run {run} goes on with it");
        let applying = tokio::spawn(async move { engine.apply(&next, &everything(&next), &mut |_| {}).await });
        while account.vaults.restores().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        applying.abort();
        drop(applying.await);
    }
    let engine = account.engine("next");
    let request = wanted().await;
    assert_eq!(done(&apply(&engine, &plan(&engine, &request).await).await), 1);
    assert!(plan(&engine, &request).await.is_empty());
    let asked = account.vaults.restores();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0]["DestinationBucketName"], bucket.as_str());
    assert_eq!(
        (&asked[0]["NewBucket"], &asked[0]["Encrypted"]),
        (&json!("false"), &json!("true"))
    );

    // What was lost since comes back by another job, whose end is told in AWS's words.
    account.clock.sleep(std::time::Duration::from_secs(700)).await;
    account.vaults.restores_begin(account.clock.now().seconds());
    let request = wanted().await;
    let next = plan(&engine, &request).await;
    let vaults = account.vaults.clone();
    let mut on_event = |event| {
        if format!("{event:?}").starts_with("Waiting") {
            vaults.restore_ends("FAILED", "ACLs are off");
        }
    };
    let report = engine.apply(&next, &everything(&next), &mut on_event).await.unwrap();
    let (_, why) = report.failures().next().unwrap();
    assert!(why.report().contains("ACLs are off"), "{}", why.report());
    assert_eq!(account.vaults.restores().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_brings_a_server_up_beside_the_platforms_and_keeps_the_proof() {
    let account = Account::new().with_speed(50).with_rds_on_moto();
    let (stack, spec, mut context) = platform(&account);
    let spec = spec.with_scope([Capability::Database]);
    let name = format!("{}-dev", context.name);
    // A server with a snapshot, as the platform would have made it.
    let rds = account.rds_client();
    let made = rds
        .create_db_instance()
        .db_instance_identifier(&name)
        .engine("postgres")
        .engine_version("17")
        .db_instance_class("db.t4g.medium")
        .allocated_storage(20)
        .db_name("app")
        .master_username("platform")
        .manage_master_user_password(false)
        .master_user_password("not the one that is kept")
        .storage_encrypted(true)
        .kms_key_id("arn:aws:kms:eu-west-1:123456789012:key/data")
        .deletion_protection(true)
        .multi_az(true)
        .vpc_security_group_ids("sg-0123456789abcdef0");
    made.send().await.unwrap();
    let snapshot = format!("{name}-taken");
    let call = rds.create_db_snapshot().db_instance_identifier(&name);
    call.db_snapshot_identifier(&snapshot).send().await.unwrap();
    let id: platform_core::value::ResourceId = format!("aws/eu-west-1:rds.DbInstance/{name}").parse().unwrap();
    hold(&mut context, Capability::Database, &id);
    let arn = |kind: &str, name: &str| format!("arn:aws:rds:eu-west-1:{}:{kind}:{name}", account.id);
    let point = arn("snapshot", &snapshot);
    taken(&account, &name, &arn("db", &name), Some(&point));

    let backup = stack.backup().unwrap();
    let record = backup.status(&spec, &context).await.unwrap().backups[0].clone();
    assert_eq!(backup.in_the_way(&spec, &context).await.unwrap(), [id.label()]);
    let set = context.one_off("drill", &record.name).unwrap();
    let drilled = || async {
        let blueprint = backup.drill(&spec, &record, &context).await.unwrap();
        PlanRequest {
            resources: blueprint.resources,
            outputs: blueprint.outputs,
            ..PlanRequest::destroy(set.clone())
        }
    };
    let engine = account.engine("a");
    let report = apply(&engine, &plan(&engine, &drilled().await).await).await;
    let proof: platform_core::RestoreProof = report.into_outputs().unwrap();
    assert_eq!((&proof.backup, proof.taken), (&record.name, record.started.unwrap()));
    assert!(proof.checks[0].contains("PostgreSQL 17 with 20 GiB"), "{proof:?}");
    assert!(proof.checks[0].contains(&point), "{proof:?}");
    let copy = rds
        .describe_db_instances()
        .db_instance_identifier(format!("{name}-drill"));
    let copy = copy.send().await.unwrap().db_instances()[0].clone();
    assert_eq!(
        (copy.deletion_protection(), copy.multi_az()),
        (Some(false), Some(false))
    );
    assert_eq!(copy.backup_retention_period(), Some(0));
    assert_ne!(copy.publicly_accessible(), Some(true));
    assert!(copy.master_user_secret().is_none());

    // It goes without a snapshot and without an approval; the proof stays, and the platform's server is not touched.
    let gone = PlanRequest::destroy(set.clone());
    let next = plan(&engine, &gone).await;
    assert!(next.demands().iter().next().is_none(), "{}", next.display());
    engine
        .apply(&next, &platform_core::engine::Approvals::none(), &mut |_| {})
        .await
        .unwrap();
    let left = rds.describe_db_instances().send().await.unwrap();
    let left: Vec<&str> = left
        .db_instances()
        .iter()
        .filter_map(|one| one.db_instance_identifier())
        .filter(|one| one.starts_with(&name))
        .collect();
    assert_eq!(left, [name.as_str()]);
    let snapshots = rds
        .describe_db_snapshots()
        .db_instance_identifier(format!("{name}-drill"))
        .snapshot_type("manual");
    assert!(snapshots.send().await.unwrap().db_snapshots().is_empty());
    let status = backup.status(&spec, &context).await.unwrap();
    assert_eq!(status.last_proof(), Some(&proof));

    // Proved again: the last proof counts.
    let again = plan(&engine, &drilled().await).await;
    let report = apply(&engine, &again).await;
    let later: platform_core::RestoreProof = report.into_outputs().unwrap();
    assert!(later.at > proof.at && later.began > proof.began);
    assert_eq!(backup.status(&spec, &context).await.unwrap().last_proof(), Some(&later));
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
    hold(&mut context, Capability::Database, &id);
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
