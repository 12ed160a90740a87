//! cfn-lint looks at the environments on AWS, as templates of CloudFormation: every property is held against AWS's own schemas.

use super::cloud::{ENVIRONMENTS, environment, spoil};
use composition::aws::export;
use platform_core::Resource;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use xtask::peer::Python;

/// Reads `{region: template}`, prints `{region: {"resources": how many were read, "findings": [[rule, path, message]]}}`.
const LINT: &str = r#"
import json, sys
from cfnlint.api import lint
from cfnlint.decode.decode import decode_str
from cfnlint.template import Template
answers = {}
for region, template in json.load(sys.stdin).items():
    text = json.dumps(template)
    read = Template(None, decode_str(text)[0], [region]).get_resources()
    found = [[match.rule.id, "/".join(str(part) for part in match.path or []), match.message] for match in lint(text, regions=[region])]
    answers[region] = {"resources": len(read), "findings": found}
json.dump(answers, sys.stdout)
"#;

/// What cfn-lint finds in templates, of which it read every resource: rule, where, and what.
fn judged(name: &str, templates: &BTreeMap<String, Value>) -> BTreeSet<[String; 3]> {
    let answers = Python::Aws.ask(LINT, &json!(templates)).unwrap();
    let mut found = BTreeSet::new();
    for (region, template) in templates {
        let emitted = template["Resources"].as_object().unwrap().len();
        let findings = answers[region]["findings"].as_array().unwrap();
        println!("{name} {region}: {emitted} emitted, {} findings", findings.len());
        assert_eq!(
            answers[region]["resources"],
            json!(emitted),
            "what is not read is not judged"
        );
        found.extend(
            findings
                .iter()
                .map(|finding| serde_json::from_value(finding.clone()).unwrap()),
        );
    }
    found
}

fn exported(name: &str) -> BTreeMap<String, Value> {
    let (account, resources) = environment(name);
    export::cloudformation(&account, &resources).unwrap()
}

/// What cfn-lint may find: a rule and the end of a path, with the reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "W3010",
        "/Properties/AvailabilityZone",
        "a template is of one region, and the config chooses its zones: a subnet never moves to another one",
    ),
    (
        "W3691",
        "/Properties",
        "RDS takes a major version for its newest minor one; cfn-lint's list has minor versions alone",
    ),
];

/// No finding without a written reason, no reason without a finding.
#[test]
fn cfn_lint_finds_nothing_on_aws_without_a_reason() {
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for name in ENVIRONMENTS {
        for [rule, path, message] in judged(name, &exported(name)) {
            let excepted = EXCEPTIONS
                .iter()
                .position(|(excepted, end, _)| *excepted == rule && path.ends_with(end));
            match excepted {
                Some(index) => drop(used.insert(index)),
                None => wrong.push(format!("{name}: {rule} at {path}: {message}")),
            }
        }
    }
    for (index, (rule, end, reason)) in EXCEPTIONS.iter().enumerate() {
        assert!(reason.len() > 20, "{rule} {end}");
        if !used.contains(&index) {
            wrong.push(format!("{rule} is nowhere found at {end}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The judge is awake: values that AWS would refuse are found, each by a rule of its own.
#[test]
fn cfn_lint_finds_what_aws_would_refuse() {
    let (account, mut resources) = environment("prod");
    spoil(&mut resources, "rds.DbInstance", &json!({ "class": "db.enormous" }));
    let mut templates = export::cloudformation(&account, &resources).unwrap();
    let template = templates.get_mut("eu-west-1").unwrap();
    let mut change = |r#type: &str, change: &dyn Fn(&mut Value)| {
        let all = template["Resources"].as_object_mut().unwrap();
        change(all.values_mut().find(|resource| resource["Type"] == r#type).unwrap());
    };
    change("AWS::KMS::Alias", &|alias| alias["DependsOn"] = json!("Nobody"));
    change("AWS::EKS::Nodegroup", &|group| {
        group["Properties"]["AmiType"] = json!("AL1_X86_64");
    });
    change("AWS::SNS::Topic", &|topic| topic["Properties"]["Nmae"] = json!("x"));
    change("AWS::S3::BucketPolicy", &|policy| {
        policy["Properties"]["Bucket"] = Value::Null;
    });
    let found = judged("spoilt", &templates);
    for (rule, word) in [
        ("E3025", "db.enormous"),
        ("E3030", "AL1_X86_64"),
        ("E3005", "Nobody"),
        ("E3002", "Nmae"),
        ("E3003", "Bucket"),
    ] {
        assert!(
            found
                .iter()
                .any(|[id, _, message]| id == rule && message.contains(word)),
            "{rule} {word}: {:?}",
            found.iter().map(|[rule, path, _]| (rule, path)).collect::<Vec<_>>()
        );
    }
}

/// All references of a value.
fn links<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| links(item, found)),
        Value::Object(map) => {
            found.extend(map.get("Ref").and_then(Value::as_str));
            found.extend(map.get("Fn::GetAtt").and_then(|path| path[0].as_str()));
            map.values().for_each(|value| links(value, found));
        }
        _ => {}
    }
}

/// References lead to what is in the same template, parameters are used and told by the other region, and no secret and no mark
/// of ours is in them.
#[test]
fn templates_hold_together() {
    let none = serde_json::Map::new();
    for name in ENVIRONMENTS {
        let templates = exported(name);
        let told: BTreeSet<&String> = templates
            .values()
            .flat_map(|template| {
                template["Outputs"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name)
            })
            .collect();
        let mut asked = BTreeSet::new();
        let mut linked = 0;
        for (region, template) in &templates {
            let text = template.to_string();
            for mark in ["$ref", "$secret", "$json", "\u{27e6}"] {
                assert!(!text.contains(mark), "{name} {region}: {mark}");
            }
            let parameters = template["Parameters"].as_object().unwrap_or(&none);
            let mut found = Vec::new();
            links(&template["Resources"], &mut found);
            links(template.get("Outputs").unwrap_or(&Value::Null), &mut found);
            for link in &found {
                let known = template["Resources"].get(*link).is_some() || parameters.contains_key(*link);
                assert!(known, "{name} {region}: {link}");
            }
            for (parameter, said) in parameters {
                assert!(
                    found.contains(&parameter.as_str()),
                    "{name} {region}: {parameter} is not used"
                );
                if said["NoEcho"] != true {
                    asked.insert(parameter);
                }
            }
            linked += found.len();
        }
        assert_eq!(asked, told, "{name}");
        println!("{name}: {linked} references, {} between regions", asked.len());
        assert!(linked > 50, "{name}: {linked}");
    }
}

/// What CloudFormation does not have is an error, as is a reference that leads out of what is exported.
#[test]
fn what_no_template_can_say_is_refused() {
    let (account, resources) = environment("dev");
    let of = |resource: &&Resource| resource.id.kind().as_str() != "kms.Key";
    let without_key: Vec<Resource> = resources.iter().filter(of).cloned().collect();
    let refused = export::cloudformation(&account, &without_key).unwrap_err();
    assert!(refused.to_string().contains("not among"), "{refused}");
    let id = "aws/eu-west-1:backup.RecoveryPoint/a/rds:b".parse().unwrap();
    let copy = Resource::new(id, "backup", json!({}));
    assert!(export::cloudformation(&account, &[copy]).is_err());
}

/// What only another region can name is a parameter here and an output there; a secret is a parameter that is not shown.
#[test]
fn what_a_template_cannot_know_is_a_parameter() {
    let resource = |id: &str, desired: Value| Resource::new(id.parse().unwrap(), "storage", desired);
    let key = "aws/eu-central-1:kms.Key/p/copies";
    let topic = "aws/eu-west-1:sns.Topic/p";
    let resources = [
        resource(key, json!({ "description": "copies" })),
        resource(
            "aws/eu-central-1:s3.Bucket/p-copies",
            json!({ "encryption": { "kms_key": { "$ref": format!("{key}#arn") } } }),
        ),
        resource(
            "aws/eu-west-1:s3.Bucket/p-data",
            json!({ "replication": {
                "role": "arn:aws:iam::111111111111:role/r",
                "bucket": { "$ref": "aws/eu-central-1:s3.Bucket/p-copies#arn" },
                "kms_key": { "$ref": format!("{key}#arn") },
            } }),
        ),
        resource(
            topic,
            json!({ "webhooks": { "chat": { "$secret": { "recipe": "supplied", "supplied": "chat", "revision": 1 } } } }),
        ),
        resource(
            "aws/eu-west-1:cloudwatch.Dashboard/p",
            json!({ "widgets": [{ "type": "text", "x": 0, "y": 0, "width": 6, "height": 6,
                "properties": { "markdown": { "$ref": format!("{topic}#arn") } } }] }),
        ),
    ];
    let templates = export::cloudformation("111111111111", &resources).unwrap();
    assert_eq!(judged("two regions", &templates), BTreeSet::new());
    let (here, there) = (&templates["eu-west-1"], &templates["eu-central-1"]);
    let destination =
        &here["Resources"]["S3BucketPData"]["Properties"]["ReplicationConfiguration"]["Rules"][0]["Destination"];
    let parameter = "EuCentral1KmsKeyPCopiesArn";
    assert_eq!(destination["Bucket"], "arn:aws:s3:::p-copies");
    assert_eq!(
        destination["EncryptionConfiguration"]["ReplicaKmsKeyID"],
        json!({ "Ref": parameter })
    );
    assert_eq!(here["Parameters"][parameter]["Type"], "String");
    assert_eq!(
        there["Outputs"][parameter]["Value"],
        json!({ "Fn::GetAtt": ["KmsKeyPCopies", "Arn"] })
    );
    let endpoint = &here["Resources"]["SnsTopicPSubscriptionChat"]["Properties"]["Endpoint"];
    assert_eq!(here["Parameters"][endpoint["Ref"].as_str().unwrap()]["NoEcho"], true);
    let body = &here["Resources"]["CloudwatchDashboardP"]["Properties"]["DashboardBody"]["Fn::Join"][1];
    assert_eq!(body[1], json!({ "Ref": "SnsTopicP" }));
    // what holds data stays, though nobody said so
    assert_eq!(here["Resources"]["S3BucketPData"]["DeletionPolicy"], "Retain");
    assert_eq!(here["Resources"]["SnsTopicP"]["DeletionPolicy"], "Delete");
}
