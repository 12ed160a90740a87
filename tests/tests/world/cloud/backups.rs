//! Backups of the environments on AWS: what they are of, and that what is gone comes back, wherever a run is killed.

use super::{example, place, platform, request, second, stage, without_cluster};
use crate::stage::{LAG, Stage, nothing};
use composition::aws::Aws;
use composition::config::PlatformConfig;
use composition::{Backups, Platform};
use libtest_mimic::Trial;
use platform_core::engine::Action;
use platform_core::testing::{Faults, Side};
use platform_core::value::{Clock, Place, ResourceId};
use platform_core::{OnRemoval, Resource};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        crate::trial(
            "cloud::backups_are_of_all_that_holds_data",
            backups_are_of_all_that_holds_data,
        ),
        crate::trial("cloud::a_database_starts_from_a_copy", a_database_starts_from_a_copy),
        crate::trial("cloud::a_backup_by_hand_is_listed", a_backup_by_hand_is_listed),
        crate::trial(
            "cloud::a_drill_killed_anywhere_is_made_up_for",
            a_drill_killed_anywhere_is_made_up_for,
        ),
        crate::trial(
            "cloud::a_restore_killed_anywhere_is_gone_on_with",
            a_restore_killed_anywhere_is_gone_on_with,
        ),
        crate::trial(
            "cloud::wishes_beyond_aws_backup_are_refused",
            wishes_beyond_aws_backup_are_refused,
        ),
    ]
}

/// Everything that holds data is in a plan, by the rules of the environment; a copy of production is in another region.
fn backups_are_of_all_that_holds_data() {
    for (environment, cron, days) in [
        ("dev", "cron(0 2 ? * 1 *)", 8),
        ("staging", "cron(0 2 * * ? *)", 7),
        ("prod", "cron(0 2 * * ? *)", 30),
    ] {
        let wanted = request(&example(environment));
        let of = |kind: &str, place: &Place| -> Vec<&Resource> {
            let all = wanted.resources.iter();
            all.filter(|one| one.id.kind().as_str() == kind && one.id.place() == place)
                .collect()
        };
        let plans = of("backup.Plan", &place());
        assert_eq!(plans.len(), 1);
        let (plan, vault) = (&plans[0].desired, of("backup.Vault", &place())[0]);
        let rule = &plan["rules"]["scheduled"];
        assert_eq!(
            (&rule["schedule"], &rule["delete_after_days"]),
            (&cron.into(), &days.into())
        );
        assert_eq!(rule["vault"], vault.id.name().as_str());
        let mut chosen: BTreeSet<&str> = plan["selections"]["platform"]["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|arn| arn.as_str().unwrap().rsplit(':').next().unwrap())
            .collect();
        for held in ["rds.DbInstance", "s3.Bucket"] {
            for one in of(held, &place()) {
                let name = one.id.name().as_str();
                assert_eq!(chosen.remove(name), !name.contains("access-logs"), "{name}");
                assert_eq!(plans[0].after.contains(&one.id), !name.contains("access-logs"));
            }
        }
        assert!(chosen.is_empty(), "{chosen:?}");
        let copies = of("backup.Vault", &second());
        let prod = environment == "prod";
        assert_eq!(copies.len(), usize::from(prod));
        assert_eq!(rule["copies"].as_object().unwrap().len(), copies.len());
        for vault in copies.iter().chain([&vault]) {
            assert_eq!(vault.desired.get("lock").is_some(), prod, "{}", vault.id);
            assert_eq!(vault.on_removal, OnRemoval::Retain);
        }
        if prod {
            let arn = "arn:aws:backup:eu-central-1:333333333333:backup-vault:ml-platform-prod";
            assert_eq!(rule["copies"][arn]["delete_after_days"], days);
        }
    }
}

/// What the config says of a copy reaches the server, once: a second plan is empty. A copy from elsewhere is refused at its line.
fn a_database_starts_from_a_copy() {
    let with = |source: &Value| {
        let mut text = without_cluster("dev").to_json();
        text["database"]["restore_from"] = source.clone();
        PlatformConfig::parse(&text.to_string(), "dev.yaml").unwrap_or_else(|why| panic!("{why}"))
    };
    let arn = |account: &str| format!("arn:aws:rds:eu-west-1:{account}:snapshot:awsbackup:job-1");
    let moment = "2026-11-29T02:00:00Z";
    for (source, restore) in [
        (json!({"snapshot": "kept"}), json!({"snapshot": "kept"})),
        (
            json!({"snapshot": arn("111111111111")}),
            json!({"snapshot": "awsbackup:job-1"}),
        ),
        (
            json!({"point_in_time": {"of": "db-ABC"}}),
            json!({"source": "db-ABC", "time": "latest"}),
        ),
        (
            json!({"point_in_time": {"of": "other", "at": moment}}),
            json!({"source": "other", "time": moment}),
        ),
    ] {
        let stage = stage();
        let wanted = request(&with(&source));
        let server = wanted
            .resources
            .iter()
            .find(|one| one.id.kind().as_str() == "rds.DbInstance");
        assert_eq!(server.unwrap().desired["restore"], restore);
        stage.settle(&wanted, &nothing).unwrap();
        stage.clock.advance(LAG.window);
        let again = stage.plan(&wanted).unwrap();
        assert!(again.is_empty(), "{}", again.display());
    }
    let foreign = platform(&with(&json!({"snapshot": arn("222222222222")})));
    let why = foreign.request().unwrap_err().report();
    assert!(
        why.contains("dev.yaml:1:") && why.contains("copy-db-snapshot"),
        "located, with what to do: {why}"
    );
}

/// A backup by hand is listed with what the environment expects of it, and stays when its run has gone.
fn a_backup_by_hand_is_listed() {
    let stage = stage();
    // Without what lies in a cluster: backups are of what AWS holds.
    let mut text = example("dev").to_json();
    for key in ["monitoring", "placement"] {
        text.as_object_mut().unwrap().remove(key);
    }
    text["aws"].as_object_mut().unwrap().remove("cluster");
    let config = PlatformConfig::parse(&text.to_string(), "dev.yaml").unwrap_or_else(|why| panic!("{why}"));
    let stack = Aws::on(Arc::new(stage.world.clone()), Arc::new(stage.clock.clone()));
    let platform = Platform::builder(config).provider(stack).build().unwrap();
    let backups = platform.backups().unwrap().unwrap();
    let drive = |future| stage.clock.drive(future).done().expect("stalled");
    let before = drive(backups.status()).unwrap();
    assert!(
        before.problems.iter().any(|what| what.contains("no vault")),
        "{before:?}"
    );
    stage.settle(&platform.request().unwrap(), &nothing).unwrap();
    stage.clock.advance(LAG.window);
    let taken = stage.clock.drive(backups.run(|_| {})).done().expect("stalled").unwrap();
    stage.clock.advance(LAG.window);
    let status = drive(backups.status()).unwrap();
    assert_eq!(status.backups, [taken]);
    assert_eq!(status.problems, Vec::<String>::new());
    let points = stage
        .world
        .ids()
        .into_iter()
        .filter(|id| id.kind().as_str() == "backup.RecoveryPoint");
    assert_eq!(points.count(), 3, "the server and both buckets");
    let again = stage.plan(&platform.request().unwrap()).unwrap();
    assert!(again.is_empty(), "none of it is the platform's: {}", again.display());
}

/// Dev with nothing in a cluster, as a process of this name sees it through these faults.
fn process(stage: &Stage, faults: &Faults, name: &str) -> Platform {
    let clock: Arc<dyn Clock> = Arc::new(stage.clock.clone());
    let provider = faults.around(Arc::new(stage.world.clone()), Arc::clone(&clock));
    let builder = Platform::builder(without_cluster("dev")).provider(Aws::on(provider, clock));
    builder.holder(name).build().unwrap()
}

/// A world on which dev stands and was backed up by hand; the backup's name.
fn backed_up() -> (Stage, String) {
    let stage = stage();
    let platform = process(&stage, &Faults::none(), "first");
    stage.settle(&platform.request().unwrap(), &nothing).unwrap();
    stage.clock.advance(LAG.window);
    let backups = platform.backups().unwrap().unwrap();
    let taken = stage.clock.drive(backups.run(|_| {})).done().expect("stalled").unwrap();
    stage.clock.advance(Duration::from_hours(3));
    (stage, taken.name)
}

/// Runs a verb, killed before and after each of its calls; after each kill another process runs it again.
fn killed_anywhere<T>(stage: &Stage, verb: impl AsyncFn(Backups) -> platform_core::Result<T>, holds: impl Fn(T, &str)) {
    let start = stage.world.snapshot().unwrap();
    let whole = Faults::none();
    let backups = |faults: &Faults, name: &str| process(stage, faults, name).backups().unwrap().unwrap();
    let done = stage.clock.drive(verb(backups(&whole, "undisturbed"))).done();
    holds(done.expect("stalled").unwrap(), "undisturbed");
    let calls = whole.calls();
    assert!(calls > 20, "{calls}");
    for n in 1..=calls {
        for side in [Side::Before, Side::After] {
            let told = format!("{side:?} call {n} of {calls}");
            stage.world.restore(&start).unwrap();
            let faults = Faults::none().kill_at(n, side);
            let killed = stage
                .clock
                .drive_until(verb(backups(&faults, "victim")), || faults.is_dead());
            assert!(killed.done().is_none(), "{told} did not kill");
            stage.clock.advance(LAG.window);
            let next = stage.clock.drive(verb(backups(&Faults::none(), "next"))).done();
            let next = next.expect("stalled");
            holds(next.unwrap_or_else(|why| panic!("{told}: {}", why.report())), &told);
        }
    }
    println!("killed before and after each of {calls} calls");
}

/// A drill restores the server beside the platform's, leaves its proof and nothing else.
fn a_drill_killed_anywhere_is_made_up_for() {
    let (stage, taken) = backed_up();
    let before = stage.world.ids();
    let unproved = process(&stage, &Faults::none(), "before").backups().unwrap().unwrap();
    let status = stage.clock.drive(unproved.status()).done().expect("stalled").unwrap();
    assert!(status.last_proof().is_none());
    killed_anywhere(
        &stage,
        async |backups| backups.drill(None, |_| {}).await,
        |proof, told| {
            assert_eq!(
                (proof.backup.as_str(), proof.checks.len()),
                (taken.as_str(), 1),
                "{told}"
            );
            assert!(proof.checks[0].contains("rows were not looked at"), "{proof:?}");
            assert!(proof.recovery_point() >= Duration::from_hours(3), "{proof:?}");
            assert!(proof.recovery_time() > Duration::ZERO, "{proof:?}");
            stage.clock.advance(LAG.window);
            let left: Vec<_> = stage.world.ids().difference(&before).map(ToString::to_string).collect();
            let of_it = format!("aws/eu-west-1:backup.RestoreProof/ml-platform-dev/{taken}-");
            // The killed one may have got as far.
            assert!((1..=2).contains(&left.len()), "{told}: {left:?}");
            assert!(left.iter().all(|id| id.starts_with(&of_it)), "{told}: {left:?}");
            let platform = process(&stage, &Faults::none(), "after");
            let backups = platform.backups().unwrap().unwrap();
            let status = stage.clock.drive(backups.status()).done().expect("stalled").unwrap();
            assert_eq!(status.last_proof(), Some(&proof), "{told}");
            let again = stage.plan(&platform.request().unwrap()).unwrap();
            assert!(again.is_empty(), "{told}: {}", again.display());
        },
    );
}

/// A server and a bucket that are gone are made again by a plan of the platform, the server from the backup; objects are put
/// back into both buckets. What stands is left alone.
fn a_restore_killed_anywhere_is_gone_on_with() {
    let (stage, taken) = backed_up();
    let all = process(&stage, &Faults::none(), "before");
    let backups = all.backups().unwrap().unwrap();
    let remaking = |backups: &Backups| {
        stage
            .clock
            .drive(backups.remaking(&taken))
            .done()
            .expect("stalled")
            .unwrap()
    };
    assert!(remaking(&backups).is_none(), "everything stands");
    let run = stage
        .clock
        .drive(backups.restore(&taken, |_| {}))
        .done()
        .expect("stalled")
        .unwrap();
    assert_eq!(run.left, ["rds.DbInstance ml-platform-dev"]);
    stage.clock.advance(LAG.window);

    let server: ResourceId = "aws/eu-west-1:rds.DbInstance/ml-platform-dev".parse().unwrap();
    let bucket = stage.world.ids().into_iter().find(|id| {
        let name = id.name().as_str();
        id.kind().as_str() == "s3.Bucket" && !name.contains("access-logs") && !name.starts_with("mlplat")
    });
    let bucket = bucket.unwrap();
    let point = stage
        .world
        .ids()
        .into_iter()
        .find(|id| id.name().as_str().contains("/rds/"));
    let point = format!("arn-{}", stage.world.uid(&point.unwrap()).unwrap());
    for id in [&server, &bucket] {
        assert!(stage.world.remove(id));
    }
    stage.clock.advance(LAG.window);
    let plan = remaking(&backups).unwrap();
    let made: Vec<_> = plan.changes().map(|step| (step.action, &step.id)).collect();
    assert_eq!(
        made,
        [(Action::Create, &server), (Action::Create, &bucket)],
        "{}",
        plan.display()
    );
    let mut text = without_cluster("dev").to_json();
    text["database"]["restore_from"] = json!({ "snapshot": point });
    let wanted = PlatformConfig::parse(&text.to_string(), "dev.yaml").unwrap();
    let jobs = |stage: &Stage| {
        let ids = stage.world.ids().into_iter();
        let jobs = ids.filter(|id| id.kind().as_str() == "backup.RestoreJob" && stage.world.is_ready(id));
        let into: BTreeSet<String> = jobs
            .map(|id| id.name().as_str().rsplit('/').next().unwrap().to_owned())
            .collect();
        into.len()
    };
    killed_anywhere(
        &stage,
        async |backups| backups.restore(&taken, |_| {}).await,
        |run, told| {
            assert_eq!(run.name, taken);
            assert!(stage.world.is_ready(&server) && stage.world.is_ready(&bucket), "{told}");
            assert_eq!(jobs(&stage), 2, "{told}: one into each bucket");
            stage.clock.advance(LAG.window);
            let again = stage.plan(&request(&wanted)).unwrap();
            assert!(again.is_empty(), "{told}: {}", again.display());
        },
    );
}

/// What AWS Backup cannot do is refused before any call.
fn wishes_beyond_aws_backup_are_refused() {
    for (change, words) in [
        (json!({"backup": {"schedule": "*/30 * * * *"}}), "a backup an hour"),
        (json!({"backup": {"schedule": "0 2 1 * 1"}}), "takes only one"),
        (json!({"backup": {"copy_to": "us-east-1"}}), "second connection goes"),
        (
            json!({"storage": {"buckets": [{"name": "plain", "versioning": false}]}}),
            "keeps no versions",
        ),
        (json!({"backup": {"scope": ["cache"]}}), "takes nothing"),
    ] {
        let mut text = example("prod").to_json();
        for (block, keys) in change.as_object().unwrap() {
            for (key, value) in keys.as_object().unwrap() {
                text[block][key] = value.clone();
            }
        }
        let config = PlatformConfig::parse(&text.to_string(), "prod.yaml").unwrap_or_else(|why| panic!("{why}"));
        let why = platform(&config).request().unwrap_err().report();
        assert!(why.contains(words), "{why}");
    }
}
