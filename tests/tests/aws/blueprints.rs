//! Blueprints on an in-memory world: what they ask for can be, settles in one run, and is refused before any call where it cannot.

use crate::emulators::Account;
use futures::FutureExt;
use platform_core::engine::{Action, Approvals, PlanRequest};
use platform_core::testing::{ManualClock, World};
use platform_core::value::{Clock, Place, Size};
use platform_core::{
    Capability, Context, DatabaseSpec, Environment, Observation, OnRemoval, Preview, Provider, Resource, Stack,
};
use provider_aws::{Aws, AwsOptions, ExistingNetwork, Network};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

fn network() -> Network {
    let subnets = ["subnet-a", "subnet-b"].map(str::to_owned);
    Network::Existing(ExistingNetwork::new("vpc-1", subnets).with_security_group(Capability::Database, "sg-database"))
}

fn stack(clock: &ManualClock, network: Network) -> Aws {
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let place = Place::aws("eu-west-1").unwrap();
    let world = World::new(place, provider_aws::facts, Arc::clone(&clock));
    let options = AwsOptions::new("123456789012").with_network(network);
    Aws::on(Arc::new(world), clock).with_options(options).unwrap()
}

/// All that a database needs in a platform.
fn resources(stack: &Aws, spec: &DatabaseSpec, context: &Context) -> Vec<Resource> {
    let wanted = BTreeSet::from([Capability::Database]);
    let mut all = stack.foundation(&wanted, context).unwrap();
    all.extend(stack.database().unwrap().blueprint(spec, context).unwrap().resources);
    all
}

fn run<F: Future>(clock: &ManualClock, future: F) -> F::Output {
    clock.drive(future).done().expect("it ends")
}

#[test]
fn a_database_settles_in_one_run_and_is_kept() {
    let clock = ManualClock::new();
    let stack = stack(&clock, network());
    let database = stack.database().unwrap();
    let spec = DatabaseSpec::new("rows");
    let outputs = run(&clock, database.provision(&spec, &Approvals::none())).unwrap();
    assert_eq!((outputs.port, outputs.database.as_str()), (5432, "app"));
    assert_eq!(outputs.credentials.username, "platform");
    assert_eq!(run(&clock, database.describe(&spec)).unwrap(), Some(outputs));
    assert!(run(&clock, database.plan(&spec)).unwrap().is_empty());

    // Removed, the server and the key of its data stay, with what a server cannot be without.
    let context = Context::alone("rows", Capability::Database).unwrap();
    let gone = PlanRequest::destroy(context.set.clone());
    let plan = run(&clock, stack.engine().plan(&gone)).unwrap();
    let kept: Vec<&str> = plan
        .steps
        .iter()
        .filter(|step| step.action == Action::Release)
        .map(|step| step.id.kind().as_str())
        .collect();
    assert_eq!(
        kept,
        [
            "iam.Role",
            "kms.Key",
            "rds.DbInstance",
            "rds.DbParameterGroup",
            "rds.DbSubnetGroup"
        ]
    );
}

#[test]
fn what_a_database_asks_for_can_be_with_every_name_and_environment() {
    let clock = ManualClock::new();
    let stack = stack(&clock, network());
    let provider = Account::new().provider();
    let nothing = |resource: &Resource| {
        let place = resource.id.place().clone();
        Observation::new("x".parse().unwrap(), place, clock.now())
    };
    for environment in [Environment::Dev, Environment::Staging, Environment::Prod] {
        for version in &stack.database().unwrap().features().versions {
            let context = Context::new(&format!("a{}z", "b".repeat(38)), environment, "team-with-a-long-name-");
            let spec = DatabaseSpec::new("x").with_version(*version);
            for resource in resources(&stack, &spec, &context) {
                // Pure: it never waits.
                let preview = provider.preview(&resource, &nothing(&resource)).now_or_never().unwrap();
                assert!(matches!(preview.unwrap(), Preview::Change { .. }), "{}", resource.id);
            }
        }
    }
}

#[test]
fn defaults_pass_a_review() {
    let clock = ManualClock::new();
    let stack = stack(&clock, network());
    let provider = Account::new().provider();
    let mut spec = DatabaseSpec::new("x").with_max_connections(250);
    (spec.multi_az, spec.deletion_protection) = (true, true);
    let context = Context::new("ml", Environment::Prod, "");
    let all = resources(&stack, &spec, &context);
    let full = |kind: &str| -> Value {
        let resource = all.iter().find(|resource| resource.id.kind().as_str() == kind).unwrap();
        let nothing = Observation::new("x".parse().unwrap(), resource.id.place().clone(), clock.now());
        match provider.preview(resource, &nothing).now_or_never().unwrap().unwrap() {
            Preview::Change { after, .. } => Value::clone(&after),
            other => panic!("{other:?}"),
        }
    };
    let server = full("rds.DbInstance");
    let key = json!({"$ref": "aws/eu-west-1:kms.Key/ml-prod/data#arn"});
    for (field, value) in [
        ("class", json!("db.m7g.large")),
        ("storage_gib", json!(20)),
        ("kms_key", key.clone()),
        ("secret_key", key.clone()),
        ("insights_key", key),
        ("private", json!(true)),
        ("iam_authentication", json!(true)),
        ("multi_az", json!(true)),
        ("deletion_protection", json!(true)),
        ("copy_tags_to_snapshots", json!(true)),
        ("minor_upgrades", json!(true)),
        ("log_exports", json!(["postgresql", "upgrade"])),
        ("backup_days", json!(7)),
        ("ca", json!("rds-ca-rsa2048-g1")),
        ("security_groups", json!(["sg-database"])),
        ("username", json!("platform")),
    ] {
        assert_eq!(server[field], value, "{field}");
    }
    let parameters = full("rds.DbParameterGroup");
    assert_eq!(parameters["force_ssl"], true);
    assert_eq!(parameters["parameters"]["max_connections"], "250");
    assert_eq!(parameters["parameters"]["log_statement"], "ddl");
    let instance = all
        .iter()
        .find(|resource| resource.id.kind().as_str() == "rds.DbInstance");
    assert_eq!(instance.unwrap().on_removal, OnRemoval::Retain);
    let surface = stack.database().unwrap().surface(&spec, &context).unwrap();
    let limits: Vec<(&str, Option<u64>)> = surface
        .subjects
        .iter()
        .map(|subject| (subject.what.as_str(), subject.limit))
        .collect();
    assert_eq!(limits, [("connections", Some(250)), ("utilisation", Some(20 << 30))]);
    assert_eq!(surface.data[0].id, instance.unwrap().id);
}

#[test]
fn what_rds_cannot_do_is_refused() {
    let clock = ManualClock::new();
    let context = Context::new("ml", Environment::Dev, "");
    let bare = Network::Existing(ExistingNetwork::new(
        "vpc-1",
        ["subnet-a", "subnet-b"].map(str::to_owned),
    ));
    let ready = stack(&clock, network());
    let mut classed = DatabaseSpec::new("x");
    classed.storage_class = Some("fast".to_owned());
    for (stack, spec, why) in [
        (
            &ready,
            DatabaseSpec::new("x").with_version("15"),
            "choose one of 16, 17, 18",
        ),
        (&ready, classed, "gp3"),
        (&ready, DatabaseSpec::new("x").with_max_connections(5), "write 9 to"),
        (&ready, DatabaseSpec::new("x").with_storage(Size::tib(65)), "64Ti"),
        (&stack(&clock, bare), DatabaseSpec::new("x"), "sg-..."),
    ] {
        let refused = stack.database().unwrap().blueprint(&spec, &context).unwrap_err();
        assert!(refused.report().contains(why), "{}", refused.report());
    }
}

/// A server that takes another major version is blocked with what to do.
#[test]
fn another_major_version_is_a_step_of_its_own() {
    let clock = ManualClock::new();
    let stack = stack(&clock, network());
    let database = stack.database().unwrap();
    let spec = DatabaseSpec::new("rows").with_version("16");
    run(&clock, database.provision(&spec, &Approvals::none())).unwrap();
    let plan = run(&clock, database.plan(&spec.with_version("17"))).unwrap();
    let blocked: Vec<String> = plan
        .steps
        .iter()
        .filter_map(|step| Some(step.blocked.as_ref()?.help.clone()))
        .collect();
    assert!(
        blocked.len() == 1 && blocked[0].contains("--allow-major-version-upgrade"),
        "{blocked:?}"
    );
}
