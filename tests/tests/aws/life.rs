//! Create, nothing to do, change, drift, release, adopt, delete, take back.

use crate::emulators::Account;
use crate::platform::{Platform, actions, apply, apply_with, done, everything, fields, plan};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use platform_core::engine::{Action, Cause};
use platform_core::value::{Clock, Recipe, SystemClock};
use platform_core::{Owner, Risk};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_lives_from_create_to_destroy_and_back() {
    let account = Account::new().with_speed(20);
    let engine = account.engine("a");
    let mut platform = Platform::of(&account);

    // Nothing there: three creates, what only the server knows is unknown.
    let first = plan(&engine, &platform.request()).await;
    assert!(
        actions(&first).iter().all(|(action, _)| *action == Action::Create),
        "{first:?}"
    );
    assert!(first.outputs["key"].is_object(), "known after apply: {}", first.outputs);
    let report = apply(&engine, &first).await;
    assert_eq!(done(&report), 3);
    assert!(
        report.outputs["key"]
            .as_str()
            .unwrap()
            .starts_with("arn:aws:kms:eu-west-1:")
    );
    let value = platform.value(&account).await;
    assert_eq!(value["password"].as_str().unwrap().len(), 40);
    assert_eq!(
        value["url"],
        format!("https://admin:{}@grafana", value["password"].as_str().unwrap())
    );

    // A second plan is empty, its requests are those that the proxies saw, and an apply writes nothing.
    account.forget();
    let second = plan(&engine, &platform.request()).await;
    assert!(second.is_empty(), "{:?}", second.changes().collect::<Vec<_>>());
    // One more: the identity is asked before the observation.
    assert_eq!(second.requests as usize + 1, account.requests());
    // 4 key, 13 bucket, 2 secret; 24 lists, 9 by tag, 9 of EC2, 1 lease.
    println!("requests of a plan of 3 objects: {}", second.requests);
    assert!(second.requests <= 63, "{}", second.requests);
    account.forget();
    assert_eq!(done(&apply(&engine, &second).await), 0);
    let written: Vec<String> = account
        .s3
        .calls()
        .iter()
        .filter(|call| call.method == http::Method::PUT)
        .map(|call| call.path.clone())
        .collect();
    assert!(written.is_empty(), "no lease either: {written:?}");

    // Changed wishes: exactly those fields, nothing else.
    platform.key_settings["rotation_days"] = json!(180);
    platform.key_settings["tags"] = json!({"team": "ml", "cost": "7"});
    platform.bucket_settings["lifecycle"] = json!({"old": {"noncurrent_days": 90}});
    platform.bucket_settings["tags"] = json!({});
    platform.secret_settings["data"]["role"] = Recipe::Literal { value: "viewer".into() }.to_value();
    let change = plan(&engine, &platform.request()).await;
    assert_eq!(fields(&change, &platform.key), ["rotation_days", "tags.cost"]);
    assert_eq!(
        fields(&change, &platform.bucket),
        ["lifecycle.abort-incomplete-uploads", "lifecycle.old", "tags"]
    );
    assert_eq!(fields(&change, &platform.secret), ["data.role"]);
    assert!(
        change
            .step(&platform.bucket)
            .unwrap()
            .risks
            .contains(&Risk::DestroysData),
        "versions expire"
    );
    assert!(change.steps.iter().all(|step| step.cause == Cause::Wish));
    apply_with(&engine, &change, &everything(&change)).await;
    assert!(plan(&engine, &platform.request()).await.is_empty());
    let after = platform.value(&account).await;
    assert_eq!(after["password"], value["password"], "generated once");
    assert_eq!(after["role"], "viewer");

    // Somebody else's change is drift, and is undone.
    account
        .s3_client()
        .put_bucket_versioning()
        .bucket(platform.bucket.name().as_str())
        .versioning_configuration(
            VersioningConfiguration::builder()
                .status(BucketVersioningStatus::Suspended)
                .build(),
        )
        .send()
        .await
        .unwrap();
    let drift = plan(&engine, &platform.request()).await;
    assert_eq!(actions(&drift), [(Action::Update, "s3.Bucket".to_owned())]);
    assert_eq!(drift.step(&platform.bucket).unwrap().cause, Cause::Drift);
    assert_eq!(fields(&drift, &platform.bucket), ["versioning"]);
    apply(&engine, &drift).await;
    assert!(plan(&engine, &platform.request()).await.is_empty());

    // Without approvals a destroy lets go of what holds data; asked for again, it is adopted as it is.
    let released = plan(&engine, &platform.gone()).await;
    assert!(
        actions(&released).iter().all(|(action, _)| *action == Action::Release),
        "{:?}",
        actions(&released)
    );
    let report = apply(&engine, &released).await;
    assert_eq!(report.left.len(), 3);
    assert!(
        report.left.iter().all(|live| live.owner == Owner::Retained),
        "{:?}",
        report.left
    );
    let again = plan(&engine, &platform.gone()).await;
    assert!(
        again.steps.is_empty(),
        "what is retained is not destroyed again: {:?}",
        again.steps
    );
    let adopt = plan(&engine, &platform.request()).await;
    assert!(actions(&adopt).iter().all(|(action, _)| *action == Action::Adopt));
    assert!(
        adopt.steps.iter().all(|step| step.changes.is_empty()),
        "{:?}",
        adopt.steps
    );
    apply(&engine, &adopt).await;
    assert!(plan(&engine, &platform.request()).await.is_empty());

    // With approvals it deletes: the bucket at once, key and secret on a date that can be called off.
    let destroy = plan(&engine, &platform.gone()).await;
    let report = apply_with(&engine, &destroy, &everything(&destroy)).await;
    assert_eq!(report.left.len(), 0, "{:?}", report.left);
    assert!(plan(&engine, &platform.gone()).await.steps.is_empty());
    let key = account
        .kms()
        .describe_key()
        .key_id(format!("alias/{}", platform.key.name()))
        .send()
        .await
        .unwrap();
    let gone_at = key.key_metadata().unwrap().deletion_date().unwrap().secs();
    let days = (gone_at - SystemClock::new().now().seconds()) / 86_400;
    assert!((29..=30).contains(&days), "the longest notice, not {days} days");
    let back = plan(&engine, &platform.request()).await;
    assert_eq!(
        actions(&back),
        [
            (Action::Adopt, "kms.Key".to_owned()),
            (Action::Create, "s3.Bucket".to_owned()),
            (Action::Adopt, "secretsmanager.Secret".to_owned())
        ]
    );
    assert!(
        back.warnings.iter().any(|text| text.contains("scheduled for deletion")),
        "{:?}",
        back.warnings
    );
    apply(&engine, &back).await;
    assert!(plan(&engine, &platform.request()).await.is_empty());
    assert_eq!(platform.value(&account).await, after, "taken back with its values");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_with_objects_in_it_is_not_deleted() {
    let account = Account::new().with_speed(20);
    let engine = account.engine("a");
    let platform = Platform::of(&account);
    apply(&engine, &plan(&engine, &platform.request()).await).await;
    let body = aws_sdk_s3::primitives::ByteStream::from_static(b"rows");
    let bucket = platform.bucket.name().as_str();
    account
        .s3_client()
        .put_object()
        .bucket(bucket)
        .key("a")
        .body(body)
        .send()
        .await
        .unwrap();

    let destroy = plan(&engine, &platform.gone()).await;
    let report = engine
        .apply(&destroy, &everything(&destroy), &mut |_| {})
        .await
        .unwrap();
    let (id, why) = report.failures().next().unwrap();
    assert_eq!(id, &platform.bucket);
    assert!(
        why.report().contains("BucketNotEmpty") && why.report().contains("remove its objects"),
        "{}",
        why.report()
    );
    assert!(
        account
            .s3_client()
            .get_object()
            .bucket(bucket)
            .key("a")
            .send()
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_setting_of_a_bucket_reads_back_as_it_was_written() {
    let account = Account::new().with_speed(20);
    let engine = account.engine("a");
    let mut platform = Platform::of(&account);
    let logs: platform_core::value::ResourceId = format!("aws/eu-west-1:s3.Bucket/p{}-dev-logs", account.id)
        .parse()
        .unwrap();
    let mut request = platform.request();
    request.resources.push(platform_core::Resource::new(
        logs.clone(),
        "storage",
        // Log delivery cannot use a KMS key.
        json!({"statements": [{"Sid": "Logs", "Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": ["s3:PutObject"], "Resource": [format!("arn:aws:s3:::{}/*", logs.name())]}]}),
    ));
    platform.bucket_settings["logging"] = json!({"bucket": logs.name(), "prefix": "data/"});
    platform.bucket_settings["object_lock"] = json!({"mode": "GOVERNANCE", "days": 1});
    platform.bucket_settings["event_bridge"] = json!(true);
    platform.bucket_settings["request_metrics"] = json!(true);
    platform.bucket_settings["lifecycle"] = json!({
        "all": {"prefix": "tmp/", "expire_days": 30, "noncurrent_days": 7, "abort_multipart_days": 3,
            "transition_days": 10, "transition_class": "GLACIER"},
        "off": {"enabled": false, "expire_days": 1},
    });
    *request.resources[1].desired_mut() = platform.bucket_settings.clone();
    apply(&engine, &plan(&engine, &request).await).await;
    let second = plan(&engine, &request).await;
    assert!(second.is_empty(), "{:#?}", second.changes().collect::<Vec<_>>());
    assert_eq!(account.metered.buckets(), [platform.bucket.name().to_string()].into());

    request.resources[1].desired_mut()["request_metrics"] = json!(false);
    let less = plan(&engine, &request).await;
    assert_eq!(fields(&less, &platform.bucket), ["request_metrics"]);
    apply(&engine, &less).await;
    assert!(account.metered.buckets().is_empty());

    // A server that knows none of it takes the calls for others: the bucket's own create and delete.
    account.metered.switch_off();
    assert!(plan(&engine, &request).await.is_empty());
    request.resources[1].desired_mut()["request_metrics"] = json!(true);
    let more = plan(&engine, &request).await;
    let report = engine.apply(&more, &everything(&more), &mut |_| {}).await.unwrap();
    let (_, why) = report.failures().next().unwrap();
    assert!(why.report().contains("request_metrics: false"), "{}", why.report());
}
