//! Held against AWS's own service models, as botocore ships them: calls that exist, limits that are AWS's.

use crate::between::{answer, signed_for};
use crate::emulators::Account;
use crate::platform::Platform;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::ErrorMetadata;
use percent_encoding::percent_decode_str;
use platform_core::{ErrorKind, Provider};
use provider_aws::kind::Outcome;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use xtask::peer::Python;

const ASK: &str = r#"
import json, botocore.loaders
load = botocore.loaders.Loader().load_service_model
names = {"kms": "kms", "s3": "s3", "secretsmanager": "secretsmanager", "sts": "sts", "rds": "rds",
    "tag": "resourcegroupstaggingapi", "iam": "iam", "elasticache": "elasticache", "sns": "sns", "cloudwatch": "cloudwatch",
    "events": "events", "logs": "logs", "eks": "eks", "backup": "backup", "ec2": "ec2", "servicequotas": "service-quotas"}
models = {short: load(name, "service-2") for short, name in names.items()}
shape = lambda service, name: models[service]["shapes"][name]
print(json.dumps({
    "operations": {short: sorted(model["operations"]) for short, model in models.items()},
    "rotation": shape("kms", "RotationPeriodInDaysType"),
    "alias": shape("kms", "AliasNameType"),
    "states": shape("kms", "KeyState")["enum"],
    "description": shape("secretsmanager", "DescriptionType"),
    "name": shape("secretsmanager", "NameType"),
    "token": shape("secretsmanager", "ClientRequestTokenType"),
    "tag": shape("secretsmanager", "TagValueType"),
    "alarm": shape("cloudwatch", "AlarmName"),
    "event_rule": shape("events", "RuleName"),
    "log_group": shape("logs", "LogGroupName"),
    "role": shape("iam", "roleNameType"),
    "vault": shape("backup", "BackupVaultName")["pattern"],
    "rule": shape("backup", "BackupRuleName")["pattern"],
    "selection": shape("backup", "BackupSelectionName")["pattern"],
    "errors": {short: {name: [[model["shapes"][error["shape"]].get("error", {}).get("code", error["shape"]),
            model["shapes"][error["shape"]].get("error", {}).get("httpStatusCode", 500 if model["shapes"][error["shape"]].get("fault") else 400)]
            for error in op.get("errors", [])] for name, op in model["operations"].items()} for short, model in models.items()},
    "routes": {short: [[op["http"]["method"], op["http"]["requestUri"], name] for name, op in model["operations"].items()]
        for short, model in models.items() if model["metadata"]["protocol"] == "rest-json"},
}))
"#;

fn models() -> Value {
    Python::Aws.ask(ASK, &Value::Null).unwrap()
}

/// The operations of services whose calls are told apart by method and path, as botocore routes them.
#[derive(Debug)]
pub(crate) struct Routes(Value);

impl Routes {
    pub(crate) fn load() -> Self {
        Self(models()["routes"].take())
    }

    /// The operation of a request that method and path tell apart, and what its path names: `CreateCluster`.
    pub(crate) fn of(&self, request: &HttpRequest) -> Option<(String, BTreeMap<String, String>)> {
        let (_, service) = signed_for(request)?;
        let path = request.uri().split_once("//")?.1.split_once('/')?.1;
        let path: Vec<&str> = path.split('?').next()?.trim_matches('/').split('/').collect();
        let fits = |template: &str| {
            let template: Vec<&str> = template.trim_matches('/').split('/').collect();
            let same = template.len() == path.len();
            let named = |(want, have): (&&str, &&str)| want.starts_with('{') || want == have;
            same && template.iter().zip(&path).all(named)
        };
        let routes = self.0[service].as_array()?.iter();
        let routes = routes.filter(|route| route[0] == request.method() && fits(route[1].as_str().unwrap_or_default()));
        // `supported-versions` is no add-on's name.
        let exact = routes.min_by_key(|route| route[1].as_str().unwrap_or_default().matches('{').count())?;
        let gaps = exact[1].as_str()?.trim_matches('/').split('/').zip(&path);
        let gaps = gaps.filter_map(|(gap, value)| {
            let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
            Some((gap.strip_prefix('{')?.strip_suffix('}')?.to_owned(), value))
        });
        Some((exact[2].as_str()?.to_owned(), gaps.collect()))
    }
}

/// Every `"service:Operation"` that an error may name.
fn operations(folder: &Path, found: &mut BTreeSet<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            operations(&path, found);
            continue;
        }
        let text: String = std::fs::read_to_string(&path).unwrap().split_whitespace().collect();
        for call in text.split(".during(\"").skip(1).chain(text.split(".absent(\"").skip(1)) {
            let (service, operation) = call.split('"').next().unwrap().split_once(':').unwrap();
            found.insert((service.to_owned(), operation.to_owned()));
        }
    }
}

/// What the library calls, and what the facts of its kinds name besides.
fn called() -> BTreeSet<(String, String)> {
    let mut named = BTreeSet::new();
    for folder in ["../provider-aws/src", "../provider-aws/network/src"] {
        operations(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut named);
    }
    assert!(named.len() > 250, "{}", named.len());
    named
}

#[test]
fn every_call_is_one_of_awss() {
    let models = models();
    for (service, operation) in called() {
        let known = models["operations"][&service].as_array().unwrap();
        assert!(known.contains(&json!(operation)), "{service}:{operation}");
    }
}

/// Every error that the models list for a call is known: it has a kind, and help that says what to do about it.
#[test]
fn every_error_of_every_call_says_what_to_do() {
    let models = models();
    let mut calls = called();
    let mut granted = BTreeSet::from(["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]);
    for (kind, ..) in crate::policies::KINDS {
        let facts = provider_aws_network::facts(&kind.parse().unwrap()).unwrap();
        let named = [
            facts.calls.read,
            facts.calls.create,
            facts.calls.update,
            facts.calls.delete,
        ];
        granted.extend(named.into_iter().flatten());
        let actions = named.into_iter().flatten().filter_map(|action| action.split_once(':'));
        calls.extend(actions.map(|(service, operation)| (service.to_owned(), operation.to_owned())));
    }
    let (mut seen, mut kinds) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
    for (service, operation) in calls {
        for error in models["errors"][&service][&operation].as_array().into_iter().flatten() {
            let (code, status) = (error[0].as_str().unwrap(), error[1].as_u64().unwrap());
            let status = u16::try_from(status).unwrap();
            let metadata = ErrorMetadata::builder().code(code).message("why").build();
            let answer = answer(status, "");
            let failed: Result<(), _> = Err(SdkError::service_error(metadata, answer));
            let what = failed.during("service:Operation").unwrap_err();
            let help = what.help().unwrap_or_default();
            assert!(
                !help.is_empty() && !help.contains("this version does not know"),
                "{service}:{operation} {code} ({status}) is not told apart: {:?} {help}",
                what.kind()
            );
            assert!(
                what.report().contains(code) && what.report().contains("why"),
                "{}",
                what.report()
            );
            if seen.insert((code.to_owned(), status)) {
                *kinds.entry(format!("{:?}", what.kind())).or_default() += 1;
            }
        }
    }
    eprintln!("{} errors: {kinds:?}", seen.len());
    assert!(seen.len() > 180 && kinds.len() > 8, "{kinds:?}");
    // A missing right is told as IAM calls it, which S3 does not.
    for (service, operation) in called().into_iter().filter(|(service, _)| service == "s3") {
        let operation: &'static str = format!("{service}:{operation}").leak();
        let metadata = ErrorMetadata::builder().code("AccessDenied").build();
        let answer = answer(403, "");
        let failed: Result<(), _> = Err(SdkError::service_error(metadata, answer));
        let what = failed.during(operation).unwrap_err();
        let action = what
            .context()
            .iter()
            .find(|(name, _)| *name == "action")
            .map(|(_, value)| value.as_str());
        assert!(
            action.is_some_and(|action| granted.contains(action)),
            "{operation}: {action:?}"
        );
    }
    // What the models do not list, since each call may answer so.
    for (code, status, kind) in [
        ("ThrottlingException", 400, ErrorKind::Throttled),
        ("RequestLimitExceeded", 503, ErrorKind::Throttled),
        ("ExpiredToken", 400, ErrorKind::Unauthenticated),
        ("UnrecognizedClientException", 403, ErrorKind::Unauthenticated),
        ("OptInRequired", 403, ErrorKind::Invalid),
        ("AccessDeniedException", 400, ErrorKind::Forbidden),
        ("VpcLimitExceeded", 400, ErrorKind::QuotaExceeded),
        ("InsufficientInstanceCapacity", 400, ErrorKind::QuotaExceeded),
    ] {
        let metadata = ErrorMetadata::builder().code(code).build();
        let answer = answer(status, "");
        let failed: Result<(), _> = Err(SdkError::service_error(metadata, answer));
        assert_eq!(failed.during("service:Operation").unwrap_err().kind(), kind, "{code}");
    }
}

/// Names, tags, and what is checked by more than a number; all else is held by [`crate::schemas`].
#[tokio::test]
async fn limits_are_awss() {
    let models = models();
    let account = Account::new();
    let provider = account.provider();
    let seen = provider.observe(&"x".parse().unwrap(), &[]).await.unwrap();
    let days = &models["rotation"];
    let (min, max) = (days["min"].as_i64().unwrap(), days["max"].as_i64().unwrap());
    for (days, legal) in [(min - 1, false), (min, true), (max, true), (max + 1, false)] {
        let mut platform = Platform::of(&account);
        platform.key_settings = json!({"rotation_days": days});
        let preview = provider.preview(&platform.request().resources[0], &seen).await.unwrap();
        assert_eq!(!format!("{preview:?}").starts_with("Refused"), legal, "{days} days");
    }
    let facts = |kind: &str| provider.facts(&kind.parse().unwrap()).unwrap();
    let length = |shape: &str| usize::try_from(models[shape]["max"].as_u64().unwrap()).unwrap();
    assert!(facts("kms.Key").name.max + "alias/".len() <= length("alias"));
    assert!(facts("secretsmanager.Secret").name.max <= length("name"));
    assert!(facts("iam.Role").name.max <= length("role"));
    assert!(facts("cloudwatch.Alarm").name.max <= length("alarm"));
    assert!(facts("events.Rule").name.max <= length("event_rule"));
    assert!(facts("logs.LogGroup").name.max < length("log_group"));
    for kind in [
        "backup.Plan",
        "backup.RecoveryPoint",
        "backup.RestoreJob",
        "backup.RestoreProof",
        "backup.Vault",
        "cloudwatch.Alarm",
        "cloudwatch.CompositeAlarm",
        "eks.AccessEntry",
        "eks.Addon",
        "eks.Cluster",
        "eks.Nodegroup",
        "eks.PodIdentityAssociation",
        "elasticache.ParameterGroup",
        "elasticache.ReplicationGroup",
        "elasticache.SubnetGroup",
        "elasticache.User",
        "elasticache.UserGroup",
        "events.Rule",
        "iam.Role",
        "kms.Key",
        "logs.LogGroup",
        "s3.Bucket",
        "secretsmanager.Secret",
        "rds.DbInstance",
        "rds.DbParameterGroup",
        "rds.DbSubnetGroup",
        "sns.Topic",
    ] {
        // The id tag holds kind and name.
        assert!(kind.len() + 1 + facts(kind).name.max <= length("tag"), "{kind}");
    }
    let (vault, plan) = (facts("backup.Vault").name.max, facts("backup.Plan").name.max);
    assert_eq!(models["vault"], format!(r"^[a-zA-Z0-9\-\_]{{2,{vault}}}$"));
    for part in ["rule", "selection"] {
        assert_eq!(models[part], format!(r"^[a-zA-Z0-9\-\_\.]{{1,{plan}}}$"), "{part}");
    }
    assert_eq!(length("description"), 2048);
    assert!((models["token"]["min"].as_u64().unwrap()..=models["token"]["max"].as_u64().unwrap()).contains(&32));
    let states: BTreeSet<&str> = models["states"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let known = [
        "Creating",
        "Disabled",
        "Enabled",
        "PendingDeletion",
        "PendingImport",
        "PendingReplicaDeletion",
        "Unavailable",
        "Updating",
    ];
    assert_eq!(states, BTreeSet::from(known), "a new state needs a verdict");
}
