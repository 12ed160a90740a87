//! The emitted IAM policies judged by others: all that the facts of every kind name is allowed and needed, and nothing of
//! another set. That calls need no more than the facts name is recorded in [`crate::rights`].

use platform_core::testing::{ManualClock, World};
use platform_core::value::{Clock, Place, ResourceId, SetId};
use platform_core::{KindFacts, PlannedWrite, Verb};
use provider_aws::{Aws, AwsOptions};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-west-1";

/// Kinds with what IAM's reference calls their objects and what is on them, the service that a role is passed to, and the
/// one that AWS makes a role for.
pub(crate) const KINDS: &[(&str, &[&str], &str, &str)] = &[
    ("backup.Plan", &["backupPlan"], "backup.amazonaws.com", ""),
    (
        "backup.RecoveryPoint",
        &["backupVault", "recoveryPoint"],
        "backup.amazonaws.com",
        "",
    ),
    ("backup.RestoreJob", &["backupVault"], "backup.amazonaws.com", ""),
    ("backup.RestoreProof", &[], "", ""),
    ("backup.Vault", &["backupVault"], "", ""),
    ("cloudwatch.Alarm", &["alarm"], "", ""),
    ("cloudwatch.CompositeAlarm", &["alarm"], "", ""),
    ("cloudwatch.Dashboard", &["dashboard"], "", ""),
    ("ec2.ElasticIp", &["elastic-ip"], "", ""),
    ("ec2.FlowLog", &["vpc-flow-log"], "vpc-flow-logs.amazonaws.com", ""),
    ("ec2.InternetGateway", &["internet-gateway"], "", ""),
    ("ec2.NatGateway", &["natgateway"], "", ""),
    ("ec2.RouteTable", &["route-table"], "", ""),
    ("ec2.SecurityGroup", &["security-group"], "", ""),
    ("ec2.Subnet", &["subnet"], "", ""),
    ("ec2.Vpc", &["vpc"], "", ""),
    ("ec2.VpcEndpoint", &["vpc-endpoint"], "", ""),
    ("eks.AccessEntry", &["access-entry"], "", ""),
    ("eks.Addon", &["addon"], "", ""),
    ("eks.Cluster", &["cluster"], "eks.amazonaws.com", "eks.amazonaws.com"),
    (
        "eks.Nodegroup",
        &["nodegroup"],
        "ec2.amazonaws.com",
        "eks-nodegroup.amazonaws.com",
    ),
    (
        "eks.PodIdentityAssociation",
        &["podidentityassociation"],
        "pods.eks.amazonaws.com",
        "",
    ),
    ("elasticache.ParameterGroup", &["parametergroup"], "", ""),
    (
        "elasticache.ReplicationGroup",
        &["cluster", "replicationgroup"],
        "",
        "elasticache.amazonaws.com",
    ),
    ("elasticache.SubnetGroup", &["subnetgroup"], "", ""),
    ("elasticache.User", &["user"], "", ""),
    ("elasticache.UserGroup", &["usergroup"], "", ""),
    (
        "events.Rule",
        &["rule-on-default-event-bus"],
        "events.amazonaws.com",
        "",
    ),
    ("iam.Role", &["role"], "", ""),
    ("kms.Key", &["alias", "key"], "", ""),
    ("logs.LogGroup", &["log-group"], "", ""),
    (
        "rds.DbInstance",
        &["db"],
        "monitoring.rds.amazonaws.com",
        "rds.amazonaws.com",
    ),
    ("rds.DbParameterGroup", &["pg"], "", ""),
    ("rds.DbSubnetGroup", &["subgrp"], "", ""),
    ("s3.Bucket", &["bucket"], "s3.amazonaws.com", ""),
    ("secretsmanager.Secret", &["Secret"], "", ""),
    ("sns.Topic", &["topic"], "", ""),
];

fn facts(kind: &str) -> &'static KindFacts {
    provider_aws_network::facts(&kind.parse().unwrap()).unwrap()
}

/// A name that the kind's rule takes.
pub(crate) fn name(kind: &str) -> &'static str {
    match kind {
        "eks.Cluster" => "k000",
        "backup.RecoveryPoint" | "backup.RestoreJob" | "backup.RestoreProof" => "k000/run",
        kind if kind.starts_with("eks.") => "k000/part",
        _ => "k000",
    }
}

/// What a verb calls beside reading.
pub(crate) fn writing(kind: &str, verb: Verb) -> impl Iterator<Item = &'static str> {
    let calls = facts(kind).calls;
    let calls = match verb {
        Verb::Create => calls.create,
        Verb::Delete => calls.delete,
        _ => calls.update,
    };
    let tags_only = verb == Verb::Release;
    let all = calls.iter().copied();
    all.filter(move |action| !tags_only || action.to_lowercase().contains("tag"))
}

fn actions(kind: &str, verb: Option<Verb>) -> BTreeSet<&'static str> {
    let more = verb.into_iter().flat_map(|verb| writing(kind, verb));
    facts(kind).calls.read.iter().copied().chain(more).collect()
}

/// The capabilities over an account that is not there.
pub(crate) fn stack(account: &str) -> Aws {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
    let place = Place::aws(REGION).unwrap();
    let world = World::new(place, provider_aws_network::facts, Arc::clone(&clock));
    Aws::on(Arc::new(world), clock)
        .with_kinds(provider_aws_network::kinds())
        .with_options(AwsOptions::new(account))
        .unwrap()
}

fn judge(set: &SetId, runs: &[Value]) -> Value {
    let kinds: BTreeMap<&str, &[&str]> = KINDS.iter().map(|(kind, types, ..)| (*kind, *types)).collect();
    let input = json!({"account": ACCOUNT, "region": REGION, "set": set, "kinds": kinds, "runs": runs});
    simulate(include_str!("policies.mjs"), &input)
}

/// The simulator in a process of its own, behind a script, which lasts as long as its file.
pub(crate) fn scripted(text: &str) -> (tempfile::NamedTempFile, Child) {
    let folder = xtask::peer::iam_simulator().unwrap();
    let script = tempfile::Builder::new().suffix(".mjs").tempfile_in(&folder).unwrap();
    std::fs::write(script.path(), text).unwrap();
    let mut node = Command::new("node");
    node.arg(script.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let node = node.spawn().unwrap();
    (script, node)
}

/// What a script around the simulator answers.
pub(crate) fn simulate(text: &str, input: &Value) -> Value {
    let (_script, mut node) = scripted(text);
    let mut questions = node.stdin.take().unwrap();
    questions.write_all(input.to_string().as_bytes()).unwrap();
    drop(questions);
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn policies_allow_what_is_needed_and_nothing_else() {
    for added in provider_aws_network::kinds() {
        let kind = added.facts().kind;
        assert!(KINDS.iter().any(|(known, ..)| *known == kind), "{kind} is not judged");
    }
    let stack = stack(ACCOUNT);
    let set = SetId::new("k000-dev-1").unwrap();
    let runs: Vec<Value> = [
        ("plan", None),
        ("create", Some(Verb::Create)),
        ("update", Some(Verb::Update)),
        ("adopt", Some(Verb::Adopt)),
        ("release", Some(Verb::Release)),
        ("delete", Some(Verb::Delete)),
    ]
    .into_iter()
    .map(|(word, verb)| {
        let ids = KINDS.iter().map(|(kind, ..)| -> ResourceId {
            format!("aws/{REGION}:{kind}/{}", name(kind)).parse().unwrap()
        });
        let writes: Vec<PlannedWrite> = verb
            .map(|verb| ids.map(|id| PlannedWrite::new(id, verb)).collect())
            .unwrap_or_default();
        let policies = stack.policies(&set, &writes);
        for policy in &policies {
            assert!(policy.to_string().len() <= 6144, "{word}");
        }
        let asked = KINDS.iter().map(|(kind, _, passes, linked)| {
            json!({"id": {"kind": kind, "name": name(kind)}, "actions": actions(kind, verb), "passes": passes, "linked": linked})
        });
        // The control bucket, which the first run of all makes.
        let bucket = json!({"id": {"kind": "s3.Bucket", "name": format!("mlplat-{ACCOUNT}-{REGION}-an")},
            "actions": actions("s3.Bucket", Some(Verb::Create)).into_iter().chain(actions("s3.Bucket", Some(Verb::Update)))
                .filter(|action| action.starts_with("s3:")).collect::<BTreeSet<_>>()});
        let asked: Vec<Value> = asked.chain(verb.map(|_| bucket)).collect();
        json!({"verb": word, "policies": policies, "writes": asked})
    })
    .collect();
    let verdict = judge(&set, &runs);
    assert_eq!(verdict["wrong"], json!([]), "{verdict:#}");
    println!("{}", verdict["counts"]);
    // The simulator cannot tell from the ARN of a plan or a vault what it is.
    assert_eq!(
        verdict["ambiguous"],
        json!(["backup:ListTags", "backup:TagResource", "backup:UntagResource"])
    );
    assert!(verdict["counts"]["asked"].as_u64().unwrap() > 1000, "{verdict}");
}
