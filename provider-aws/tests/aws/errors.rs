//! What refusals and failures of AWS become.

use crate::emulators::Account;
use crate::platform::{Platform, plan};
use platform_core::{ErrorKind, Provider};
use std::sync::Arc;
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
