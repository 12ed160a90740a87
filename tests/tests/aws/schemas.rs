//! Held against AWS's own descriptions: the registry of CloudFormation says which properties are fixed, told by AWS or never
//! shown again, botocore's models say what calls take. Every deviation has a reason, and a reason that is no more fails.

use crate::emulators::Account;
use crate::kinds::{self, Case};
use crate::networks;
use futures::FutureExt;
use platform_core::value::Recipe;
use platform_core::{Observation, Preview, Provider, Resource};
use provider_aws::AwsProvider;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use xtask::peer::Python;

mod limits;
mod reasons;
mod registry;

/// What AWS says of types, of calls and of shapes.
fn described(types: &BTreeSet<String>, calls: &[Value], shapes: &BTreeSet<&str>) -> Value {
    let asked = json!({ "types": types, "calls": calls, "shapes": shapes });
    Python::Aws.ask(include_str!("schemas.py"), &asked).unwrap()
}

/// Two wishes of every kind: those of the table of lives, and of what stands in tables of its own.
fn cases(account: &Account) -> Vec<Case> {
    let mut all = kinds::all(account);
    all.extend(networks::all(account));
    let case = |kind: &str, part: &str, first: Value, second: Value| Case {
        id: format!("aws/eu-west-1:{kind}/k{}-{part}", account.id).parse().unwrap(),
        first,
        second,
        after: Vec::new(),
        changes: &[],
        risks: &[],
    };
    let generated = Recipe::generate(30).to_value();
    let metric = |name: &str| json!({"namespace": "AWS/RDS", "name": name, "stat": "Sum", "dimensions": {"DBInstanceIdentifier": "d"}});
    let query = |expression: &str| {
        json!({"comparison": ">", "threshold": 1, "queries": {
            "a": {"metric": metric("ReadIOPS")}, "b": {"expression": expression, "compared": true, "label": "rate"}}})
    };
    let key = "arn:aws:kms:eu-west-1:123456789012:key/data";
    let scheduled = |schedule: &str| {
        json!({"schedule": schedule, "targets": {
            "a": {"arn": "arn:aws:sqs:eu-west-1:123456789012:a", "role": "arn:aws:iam::123456789012:role/events"}}})
    };
    let server = |storage: u32, class: &str| {
        json!({"engine_version": "17", "class": class, "storage_gib": storage, "username": "platform", "database": "app",
            "kms_key": key, "subnet_group": "g", "security_groups": ["sg-1"],
            "parameter_group": "default.postgres17", "deletion_protection": false, "log_exports": [],
            "backup_window": "03:00-04:00", "maintenance_window": "sun:05:00-sun:06:00"})
    };
    all.extend([
        case(
            "kms.Key",
            "key",
            json!({"description": "a"}),
            json!({"description": "b", "rotation_days": 90}),
        ),
        case(
            "s3.Bucket",
            "bucket",
            json!({}),
            json!({"event_bridge": false, "tags": {"team": "ml"}}),
        ),
        case(
            "secretsmanager.Secret",
            "login",
            json!({"data": {"password": generated}, "kms_key": key}),
            json!({"kms_key": key, "data": {"password": generated, "user": Recipe::Literal { value: "a".to_owned() }.to_value()}}),
        ),
        case(
            "events.Rule",
            "scheduled",
            scheduled("rate(1 hour)"),
            scheduled("rate(2 hours)"),
        ),
        case("cloudwatch.Alarm", "queried", query("a / 60"), query("a / 30")),
        case(
            "rds.DbInstance",
            "server",
            server(20, "db.t4g.medium"),
            server(40, "db.t4g.large"),
        ),
        case(
            "rds.DbParameterGroup",
            "parameters",
            json!({"family": "postgres17", "parameters": {"log_statement": "ddl"}}),
            json!({"family": "postgres17", "parameters": {"work_mem": "8192"}}),
        ),
        case(
            "rds.DbSubnetGroup",
            "subnets",
            json!({"subnets": account.subnets()}),
            json!({"subnets": account.subnets(), "tags": {"team": "ai"}}),
        ),
    ]);
    all
}

/// What no emulator in use makes.
fn composite(account: &Account) -> Case {
    let rule = |alarm: &str| json!({"rule": format!("ALARM({alarm})"), "description": "a", "alarm_actions": ["arn:aws:sns:eu-west-1:1:a"], "ok_actions": ["arn:aws:sns:eu-west-1:1:a"]});
    Case {
        id: format!("aws/eu-west-1:cloudwatch.CompositeAlarm/k{}-composite", account.id)
            .parse()
            .unwrap(),
        first: rule("a"),
        second: rule("b"),
        after: Vec::new(),
        changes: &[],
        risks: &[],
    }
}

/// What a provider makes of a wish, without a call: its full form, or why not.
fn preview(provider: &AwsProvider, case: &Case, wish: &Value) -> Result<Value, String> {
    let nothing = Observation::new(
        "x".parse().unwrap(),
        case.id.place().clone(),
        "2026-01-01T00:00:00Z".parse().unwrap(),
    );
    let resource = Resource::new(case.id.clone(), "schemas", wish.clone());
    match provider.preview(&resource, &nothing).now_or_never().unwrap().unwrap() {
        Preview::Change { after, .. } => Ok(Value::clone(&after)),
        Preview::Refused { why } => Err(why.message().to_owned()),
        Preview::Unchanged => panic!("{} is not there", case.id),
    }
}
