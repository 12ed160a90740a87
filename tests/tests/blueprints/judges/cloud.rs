//! Checkov looks at the environments on AWS, as plans of Terraform.

use super::checkov;
use async_trait::async_trait;
use composition::aws::{Aws, export};
use composition::config::PlatformConfig;
use composition::{Eks, Platform};
use platform_core::testing::{ManualClock, World};
use platform_core::value::Place;
use platform_core::{Connect, Provider, Resource};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

pub(super) const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "prod"];

#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl Connect for Nowhere {
    async fn connect(&self, _outputs: &BTreeMap<String, Value>) -> platform_core::Result<Arc<dyn Provider>> {
        unreachable!("nothing is planned here")
    }
}

/// The resources of an environment of the examples, and its account.
pub(super) fn environment(name: &str) -> (String, Vec<Resource>) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/config/cloud/{name}.yaml"));
    let config = PlatformConfig::load(file).unwrap();
    let clock = ManualClock::new();
    let world = |region: &str| {
        Arc::new(World::new(
            Place::aws(region).unwrap(),
            provider_aws_network::facts,
            Arc::new(clock.clone()),
        ))
    };
    let stack = Aws::on(world("eu-west-1"), Arc::new(clock.clone())).with_second_region(world("eu-central-1"));
    let inside = Eks::by(&stack, Arc::new(Nowhere)).unwrap();
    let account = config.to_json()["aws"]["account"].as_str().unwrap().to_owned();
    let builder = Platform::builder(config).provider(stack).provider(inside);
    (account, builder.build().unwrap().request().unwrap().resources)
}

fn exported(name: &str) -> Value {
    let (account, resources) = environment(name);
    export::terraform(&account, &resources).unwrap()
}

/// Checkov's findings as `check resource`, of a plan of which every resource was looked at.
fn judged(plan: &Value) -> BTreeSet<(String, String)> {
    let folder = tempfile::Builder::new().prefix("plan").tempdir().unwrap();
    let file = folder.path().join("plan.json");
    std::fs::write(&file, plan.to_string()).unwrap();
    let (failures, scanned, passed) = checkov("terraform_plan", "--file", &file);
    let emitted = resources(plan).len();
    println!(
        "{emitted} emitted, {scanned} scanned, {passed} passed, {} failed",
        failures.len()
    );
    assert_eq!(scanned, emitted as u64, "what is not scanned is not judged");
    failures
}

fn resources(plan: &Value) -> &Vec<Value> {
    plan["planned_values"]["root_module"]["resources"].as_array().unwrap()
}

/// What Checkov may find in an environment: checks with their resources, in Terraform's words.
fn excepted(environment: &str, account: &str) -> BTreeSet<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/checkov-exceptions-cloud.json");
    let exceptions: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut excepted = BTreeSet::new();
    for exception in exceptions.as_array().unwrap() {
        assert!(exception["reason"].as_str().unwrap().len() > 20, "{exception}");
        if exception["environments"]
            .as_array()
            .unwrap()
            .contains(&json!(environment))
        {
            for resource in exception["resources"].as_array().unwrap() {
                let resource = resource
                    .as_str()
                    .unwrap()
                    .replace("{environment}", environment)
                    .replace("{account}", account);
                let check = exception["check"].as_str().unwrap().to_owned();
                assert!(excepted.insert((check, resource)), "excepted twice: {exception}");
            }
        }
    }
    excepted
}

/// No failure without a written reason, no reason without a failure.
#[test]
fn checkov_finds_nothing_on_aws_without_a_reason() {
    let mut wrong = Vec::new();
    for name in ENVIRONMENTS {
        let (account, wanted) = environment(name);
        let (excepted, found) = (
            excepted(name, &account),
            judged(&export::terraform(&account, &wanted).unwrap()),
        );
        let unexplained = found.difference(&excepted);
        wrong.extend(unexplained.map(|(check, resource)| format!("{name}: {check} of {resource} has no reason")));
        let idle = excepted.difference(&found);
        wrong.extend(idle.map(|(check, resource)| format!("{name}: {check} of {resource} does not fail")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Changes what the first resource of a kind wishes for.
pub(super) fn spoil(resources: &mut [Resource], kind: &str, change: &Value) {
    let of_kind = |resource: &&mut Resource| resource.id.kind().as_str() == kind;
    let resource = resources.iter_mut().find(of_kind).unwrap();
    for (key, value) in change.as_object().unwrap() {
        resource.desired_mut()[key] = value.clone();
    }
}

/// The judge is awake: an open bucket and a careless database fail.
#[test]
fn checkov_fails_a_careless_account() {
    let (account, mut resources) = environment("dev");
    let open = json!({ "block_acls": false, "ignore_acls": false, "block_policies": false, "restrict_buckets": false });
    spoil(&mut resources, "s3.Bucket", &json!({ "public_access_block": open }));
    spoil(
        &mut resources,
        "rds.DbInstance",
        &json!({ "kms_key": null, "private": false, "iam_authentication": false }),
    );
    let plan = export::terraform(&account, &resources).unwrap();
    let found: BTreeSet<String> = judged(&plan).into_iter().map(|(check, _)| check).collect();
    for check in [
        "CKV_AWS_16",
        "CKV_AWS_17",
        "CKV_AWS_53",
        "CKV_AWS_54",
        "CKV_AWS_55",
        "CKV_AWS_56",
        "CKV_AWS_161",
    ] {
        assert!(found.contains(check), "{check}: {found:?}");
    }
}

/// Addresses are unique, references lead to resources of the plan, and no wish for a secret is in it.
#[test]
fn exported_plans_hold_together() {
    for name in ENVIRONMENTS {
        let plan = exported(name);
        let all: BTreeSet<&str> = resources(&plan)
            .iter()
            .map(|resource| resource["address"].as_str().unwrap())
            .collect();
        assert_eq!(
            all.len(),
            resources(&plan).len(),
            "{name}: two resources have one address"
        );
        assert!(all.len() > 100, "{name}: {}", all.len());
        let text = plan.to_string();
        assert!(!text.contains("$ref") && !text.contains("$secret") && !text.contains("$json"));
        let mut links = 0;
        for resource in plan["configuration"]["root_module"]["resources"].as_array().unwrap() {
            for expression in resource["expressions"].as_object().unwrap().values() {
                for pair in expression["references"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .chunks(2)
                {
                    assert!(all.contains(pair[1].as_str().unwrap()), "{name}: {pair:?}");
                    links += 1;
                }
            }
        }
        assert!(links > 100, "{name}: {links}");
    }
}

/// What Terraform does not have is an error, as is a reference that leads out of what is exported.
#[test]
fn what_cannot_be_exported_is_refused() {
    let (account, resources) = environment("dev");
    let without_key: Vec<Resource> = resources
        .iter()
        .filter(|resource| resource.id.kind().as_str() != "kms.Key")
        .cloned()
        .collect();
    let refused = export::terraform(&account, &without_key).unwrap_err();
    assert!(refused.to_string().contains("not among"), "{refused}");
    let copy = Resource::new(
        "aws/eu-west-1:backup.RecoveryPoint/a/rds:b".parse().unwrap(),
        "backup",
        json!({}),
    );
    assert!(export::terraform(&account, &[copy]).is_err());
}
