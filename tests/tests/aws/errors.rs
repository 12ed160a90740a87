//! What refusals and failures of AWS become.

use crate::between::{answer, over, reworded};
use crate::emulators::Account;
use crate::platform::{Platform, apply, plan};
use crate::rights::Seen;
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use platform_core::engine::{Action, Approvals, Event, Outcome, PlanRequest};
use platform_core::value::ResourceId;
use platform_core::{ErrorKind, Provider, Resource};
use provider_aws::AwsProvider;
use serde_json::json;
use std::sync::{Arc, Mutex};
use xtask::proxy::{Fault, Rule};

fn refusal(code: &str, message: &str) -> Fault {
    Fault::answer(400, serde_json::json!({"__type": code, "message": message}).to_string())
        .with_header("content-type", "application/x-amz-json-1.1")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_cannot_be_read_is_not_absent() {
    let account = Account::new();
    let engine = account.engine("a");
    let platform = Platform::of(&account);
    account.moto.set_rules([Rule::new(refusal(
        "AccessDeniedException",
        "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: secretsmanager:DescribeSecret on resource: x",
    ))]);
    let seen = engine.plan(&platform.request()).await.unwrap();
    let blocked = seen.step(&platform.secret).unwrap().blocked.clone().unwrap();
    assert!(
        blocked.why.contains("not known whether it exists") && blocked.why.contains("user/ci"),
        "{blocked:?}"
    );
    assert!(seen.step(&platform.key).unwrap().blocked.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_credentials_end_everything_with_what_to_do() {
    let account = Account::new();
    let platform = Platform::of(&account);
    let provider = account.provider();
    provider.identity().await.unwrap();
    account.moto.set_rules([Rule::new(refusal(
        "ExpiredTokenException",
        "The security token included in the request is expired",
    ))]);
    let error = provider
        .observe(&platform.set, &platform.request().resources)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.report().contains("sign in again"), "{}", error.report());
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_and_lost_answers_are_tried_again_and_counted() {
    let account = Account::new();
    let engine = account.engine("a");
    let platform = Platform::of(&account);
    plan(&engine, &platform.request()).await;
    let calm = plan(&engine, &platform.request()).await.requests;
    for fault in [refusal("ThrottlingException", "Rate exceeded"), Fault::DropAfter] {
        account.moto.set_rules([Rule::new(fault).nth(1)]);
        account.forget();
        let stormy = plan(&engine, &platform.request()).await;
        assert_eq!(stormy.requests as usize + 1, account.requests(), "retries are requests");
        assert_eq!(stormy.requests, calm + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens() {
    let account = Account::new();
    let dead = aws_types::SdkConfig::builder()
        .endpoint_url("http://127.0.0.1:9")
        .region(aws_types::region::Region::new("eu-west-1"))
        .credentials_provider(account.config().credentials_provider().unwrap())
        .retry_config(aws_smithy_types::retry::RetryConfig::disabled())
        .build();
    let provider = provider_aws::AwsProvider::from_config(&dead, Arc::clone(&account.clock)).unwrap();
    let error = provider.identity().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.report().contains("sts:GetCallerIdentity"), "{}", error.report());
    let nowhere = aws_types::SdkConfig::builder().build();
    let error = provider_aws::AwsProvider::from_config(&nowhere, Arc::clone(&account.clock)).unwrap_err();
    assert!(error.report().contains("AWS_REGION"), "{}", error.report());
}

/// What goes wrong with the calls of one action, under the SDK.
#[derive(Clone, Debug, Default)]
struct Trouble(Arc<Mutex<Option<Case>>>);

/// One thing that goes wrong in the middle of an apply.
#[derive(Clone, Debug)]
struct Case {
    name: &'static str,
    /// From the first call of this action on.
    action: &'static str,
    /// All calls from then on, not only those.
    all: bool,
    /// So many calls; then it is over.
    times: u32,
    what: What,
    kind: Option<ErrorKind>,
    /// What the error says about it.
    says: &'static str,
    /// The kind of the object that fails.
    of: &'static str,
}

#[derive(Clone, Debug)]
enum What {
    /// Calls are refused with this status, code and message.
    Refused(u16, &'static str, &'static str),
    /// The answers show the server so.
    Shown(&'static str),
}

impl Trouble {
    fn set(&self, case: Option<Case>) {
        *self.0.lock().unwrap() = case;
    }

    fn provider(&self, account: &Account) -> AwsProvider {
        let (trouble, names) = (self.clone(), Seen::new());
        let config = over(&account.config(), move |wire, request| {
            let action = names.action(&request).unwrap_or_default();
            match trouble.meets(&action) {
                None => wire.call(request),
                Some(What::Refused(status, code, message)) => {
                    HttpConnectorFuture::ready(Ok(refused(&request, status, code, message)))
                }
                Some(What::Shown(word)) => {
                    let (start, end) = ("<DBInstanceStatus>", "</DBInstanceStatus>");
                    let shown = format!("{start}{word}{end}");
                    reworded(wire.call(request), move |xml| {
                        xml.replace(&format!("{start}available{end}"), &shown)
                    })
                }
            }
        });
        AwsProvider::from_config(&config, Arc::clone(&account.clock)).unwrap()
    }

    fn meets(&self, action: &str) -> Option<What> {
        let mut case = self.0.lock().unwrap();
        let case = case.as_mut().filter(|case| case.times > 0)?;
        if case.action != action && case.action != "*" {
            return None;
        }
        case.times -= 1;
        if case.all {
            case.action = "*";
        }
        Some(case.what.clone())
    }
}

/// A refusal in the words of the service that was asked.
fn refused(request: &HttpRequest, status: u16, code: &str, message: &str) -> HttpResponse {
    let body = if request.headers().get("x-amz-target").is_some() {
        json!({"__type": code, "message": message}).to_string()
    } else {
        let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        match request.method() {
            "POST" => format!("<ErrorResponse>{error}</ErrorResponse>"),
            _ => error,
        }
    };
    answer(status, body)
}

/// A key, a bucket and a secret under it, and a server with its subnets.
fn small(account: &Account) -> PlanRequest {
    let platform = Platform::of(account);
    let mut request = platform.request();
    let id = |kind: &str| -> ResourceId { format!("aws/eu-west-1:{kind}/p{}-dev", account.id).parse().unwrap() };
    let (subnets, server) = (id("rds.DbSubnetGroup"), id("rds.DbInstance"));
    let settings = json!({
        "engine_version": "17", "class": "db.t4g.medium", "storage_gib": 20, "database": "app", "username": "platform",
        "kms_key": "arn:aws:kms:eu-west-1:123456789012:key/data", "subnet_group": subnets.name(), "log_exports": [],
        "security_groups": ["sg-0123456789abcdef0"], "parameter_group": "default.postgres17",
        "backup_window": "03:00-04:00", "maintenance_window": "sun:05:00-sun:06:00",
    });
    request.resources.extend([
        Resource::new(subnets.clone(), "database", json!({"subnets": account.subnets()})),
        Resource::new(server, "database", settings).with_after(subnets),
    ]);
    request
}

const CASES: [Case; 8] = [
    Case {
        name: "throttling",
        action: "secretsmanager:CreateSecret",
        all: false,
        // More than the SDK tries by itself.
        times: 4,
        what: What::Refused(400, "ThrottlingException", "Rate exceeded"),
        kind: None,
        says: "again in 5.0 s: secretsmanager:CreateSecret: ThrottlingException: Rate exceeded",
        of: "secretsmanager.Secret",
    },
    Case {
        name: "an expired token",
        action: "rds:CreateDBSubnetGroup",
        all: true,
        times: u32::MAX,
        what: What::Refused(
            403,
            "ExpiredToken",
            "The security token included in the request is expired",
        ),
        kind: Some(ErrorKind::Unauthenticated),
        says: "sign in again (`aws sso login`) and run the same command; finished steps are not repeated",
        of: "rds.DbSubnetGroup",
    },
    Case {
        name: "a right that is missing",
        action: "s3:PutEncryptionConfiguration",
        all: false,
        times: u32::MAX,
        what: What::Refused(403, "AccessDenied", "Access Denied"),
        kind: Some(ErrorKind::Forbidden),
        says: "allow s3:PutEncryptionConfiguration to the caller, in its policies and its permissions boundary",
        of: "s3.Bucket",
    },
    Case {
        name: "what the organisation forbids",
        action: "rds:CreateDBInstance",
        all: false,
        times: u32::MAX,
        what: What::Refused(
            403,
            "AccessDenied",
            "User: arn:aws:iam::1:user/ci is not authorized to perform: rds:CreateDBInstance with an explicit deny in a service control policy",
        ),
        kind: Some(ErrorKind::Denied),
        says: "ask who keeps its service control policies",
        of: "rds.DbInstance",
    },
    Case {
        name: "a quota that is used up",
        action: "kms:CreateKey",
        all: false,
        times: u32::MAX,
        what: What::Refused(400, "LimitExceededException", "too many keys"),
        kind: Some(ErrorKind::QuotaExceeded),
        says: "raise the quota in Service Quotas, or remove what is no longer needed",
        of: "kms.Key",
    },
    Case {
        name: "a region that is not enabled",
        action: "kms:CreateKey",
        all: false,
        times: u32::MAX,
        what: What::Refused(403, "OptInRequired", "You are not subscribed to this service"),
        kind: Some(ErrorKind::Invalid),
        says: "enable it (`aws account enable-region`), or choose another",
        of: "kms.Key",
    },
    Case {
        name: "a zone without room",
        action: "rds:CreateDBInstance",
        all: false,
        times: u32::MAX,
        what: What::Refused(400, "InsufficientDBInstanceCapacity", "no capacity in eu-west-1a"),
        kind: Some(ErrorKind::QuotaExceeded),
        says: "choose another `instance_class`, or run again later",
        of: "rds.DbInstance",
    },
    Case {
        name: "a server that fails",
        action: "rds:DescribeDBInstances",
        all: false,
        times: u32::MAX,
        what: What::Shown("incompatible-network"),
        kind: Some(ErrorKind::Failed),
        says: "look for free addresses in its subnets, then change anything of it to try again",
        of: "rds.DbInstance",
    },
];

/// In the middle of an apply: the run ends with a typed error that says what to do, or waits where waiting helps. What is made
/// stays, what depends on what failed is left out, and the next run completes it and makes nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_in_an_apply_is_told_and_the_next_run_completes_it() {
    for case in CASES {
        let account = Account::new().with_speed(50);
        let trouble = Trouble::default();
        let engine = account.engine_of(trouble.provider(&account), "a");
        let request = small(&account);
        let first = plan(&engine, &request).await;
        trouble.set(Some(case.clone()));
        let mut retried = Vec::new();
        let mut listen = |event: Event| {
            if matches!(event, Event::Retrying { .. }) {
                retried.push(event.to_string());
            }
        };
        let ended = engine.apply(&first, &Approvals::none(), &mut listen).await;
        let name = case.name;
        let report = ended.unwrap_or_else(|why| panic!("{name}: {}", why.report()));
        let failures: Vec<_> = report.failures().collect();
        let Some(kind) = case.kind else {
            assert!(failures.is_empty(), "{name}: {failures:?}");
            assert!(
                retried.iter().any(|told| told.contains(case.says)),
                "{name}: {retried:?}"
            );
            assert!(plan(&engine, &request).await.is_empty(), "{name}");
            continue;
        };
        let failed = failures.iter().find(|(id, _)| id.kind().as_str() == case.of);
        let (id, why) = failed.unwrap_or_else(|| panic!("{name}: {failures:?}"));
        assert_eq!(why.kind(), kind, "{name}: {}", why.report());
        assert!(why.report().contains(case.says), "{name}: {}", why.report());
        // Whatever has nothing to do with it is made, but where nothing can be done at all.
        let needs = |resource: &Resource| resource.dependencies().contains(*id);
        for resource in &request.resources {
            let outcome = &report.outcomes[&resource.id];
            let expected = match outcome {
                Outcome::Failed(_) => resource.id == **id || case.all,
                Outcome::Skipped(_) => needs(resource) || case.all,
                _ => resource.id != **id && !needs(resource),
            };
            assert!(expected, "{name}: {} {outcome:?}", resource.id);
        }
        let done: Vec<ResourceId> = report
            .outcomes
            .iter()
            .filter(|(_, outcome)| matches!(outcome, Outcome::Done(_)))
            .map(|(id, _)| id.clone())
            .collect();

        trouble.set(None);
        let second = plan(&engine, &request).await;
        for id in &done {
            assert_eq!(second.step(id).unwrap().action, Action::Unchanged, "{name}: {id}");
        }
        apply(&engine, &second).await;
        assert!(plan(&engine, &request).await.is_empty(), "{name}");
        let keys = account.kms().list_keys().send().await.unwrap();
        assert_eq!(keys.keys().len(), 1, "{name}: nothing is made twice");
    }
}
