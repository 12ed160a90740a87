//! Whose an object is: strangers, nobody's, retained, renamed.

use crate::emulators::Account;
use crate::platform::{Platform, actions, apply, fields, plan};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration, Tag, Tagging};
use platform_core::Owner;
use platform_core::engine::{Action, PlanRequest};

async fn bucket_tags(account: &Account, bucket: &str) -> Vec<(String, String)> {
    match account.s3_client().get_bucket_tagging().bucket(bucket).send().await {
        Ok(answer) => answer
            .tag_set()
            .iter()
            .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
            .collect(),
        Err(_) => Vec::new(),
    }
}

async fn tag_bucket(account: &Account, bucket: &str, tags: &[(&str, &str)]) {
    let tags = tags
        .iter()
        .map(|(key, value)| Tag::builder().key(*key).value(*value).build().unwrap());
    let tagging = Tagging::builder().set_tag_set(Some(tags.collect())).build().unwrap();
    account
        .s3_client()
        .put_bucket_tagging()
        .bucket(bucket)
        .tagging(tagging)
        .send()
        .await
        .unwrap();
}

async fn make_bucket(account: &Account, bucket: &str) {
    let mut call = account.s3_client().create_bucket().bucket(bucket);
    if account.region != "us-east-1" {
        call = call.create_bucket_configuration(
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(account.region))
                .build(),
        );
    }
    call.send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_objects_are_refused_and_left_alone() {
    let account = Account::new().with_speed(20);
    let engine = account.engine("a");
    let platform = Platform::of(&account);
    let bucket = platform.bucket.name().as_str();
    make_bucket(&account, bucket).await;
    tag_bucket(&account, bucket, &[("mlplat:set", "other-dev-00000000")]).await;
    account
        .secrets()
        .create_secret()
        .name(platform.secret.name().as_str())
        .secret_string("{}")
        .send()
        .await
        .unwrap();

    let refused = engine.plan(&platform.request()).await.unwrap();
    let blocked = |id| {
        refused
            .step(id)
            .unwrap()
            .blocked
            .as_ref()
            .map(|why| format!("{}; {}", why.why, why.help))
    };
    assert!(
        blocked(&platform.bucket)
            .unwrap()
            .contains("taken by set other-dev-00000000")
    );
    assert!(
        blocked(&platform.secret).unwrap().contains("--adopt"),
        "it is nobody's: {:?}",
        blocked(&platform.secret)
    );
    assert_eq!(blocked(&platform.key), None);
    account.forget();
    assert!(
        engine
            .apply(&refused, &platform_core::engine::Approvals::none(), &mut |_| {})
            .await
            .is_err()
    );
    assert!(
        !account.s3.calls().iter().any(|call| call.method == http::Method::PUT),
        "nothing was written"
    );
    assert_eq!(bucket_tags(&account, bucket).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobodys_bucket_that_is_as_wanted_is_adopted_by_its_tags_alone() {
    let account = Account::new().with_speed(20);
    let engine = account.engine("a");
    let platform = Platform::of(&account);
    let bucket = platform.bucket.name().as_str();
    apply(&engine, &plan(&engine, &platform.request()).await).await;
    // As if somebody else had made it just so.
    tag_bucket(&account, bucket, &[("team", "ml"), ("owner", "ann")]).await;

    let blocked = engine.plan(&platform.request()).await.unwrap();
    assert!(blocked.step(&platform.bucket).unwrap().blocked.is_some());
    let adopt = plan(&engine, &platform.request().with_adopt([platform.bucket.clone()])).await;
    assert_eq!(actions(&adopt), [(Action::Adopt, "s3.Bucket".to_owned())]);
    assert!(fields(&adopt, &platform.bucket).is_empty());
    account.forget();
    apply(&engine, &adopt).await;
    let writes: Vec<String> = account
        .s3
        .calls()
        .into_iter()
        .filter(|call| call.method != http::Method::GET && call.method != http::Method::HEAD)
        .filter(|call| call.path.starts_with(&format!("/{bucket}")))
        .map(|call| call.path)
        .collect();
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert!(writes[0].contains("tagging"), "{writes:?}");
    let tags = bucket_tags(&account, bucket).await;
    assert!(
        tags.contains(&("owner".into(), "ann".into())),
        "a stranger's tag stays: {tags:?}"
    );
    assert!(plan(&engine, &platform.request()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_wanted_any_more_is_found_under_any_name() {
    let account = Account::new().with_speed(20);
    let engine = account.engine("a");
    let mut platform = Platform::of(&account);
    // A name that the config overrode: no prefix of the set leads to it.
    platform.bucket = format!("aws/eu-west-1:s3.Bucket/legacy-{}", account.id)
        .parse()
        .unwrap();
    apply(&engine, &plan(&engine, &platform.request()).await).await;
    make_bucket(&account, &format!("p{}-dev-strangers", account.id)).await;

    let request = PlanRequest {
        resources: platform.request().resources[..1].to_vec(),
        ..platform.request()
    };
    let request = PlanRequest {
        outputs: serde_json::Value::Null,
        ..request
    };
    let prune = plan(&engine, &request).await;
    assert_eq!(
        actions(&prune),
        [
            (Action::Release, "s3.Bucket".to_owned()),
            (Action::Release, "secretsmanager.Secret".to_owned())
        ],
        "a bucket that only shares the prefix is nobody's business"
    );
    let report = apply(&engine, &prune).await;
    assert!(report.left.iter().all(|live| live.owner == Owner::Retained));
    // Another platform of the account sees nothing of all this.
    let other = PlanRequest::destroy("q-dev-00000000".parse().unwrap());
    assert!(plan(&engine, &other).await.steps.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn in_us_east_1_a_create_that_answers_200_takes_nobodys_bucket() {
    let account = Account::in_region("us-east-1").with_speed(20);
    let engine = account.engine("a");
    let platform = Platform::of(&account);
    let bucket = platform.bucket.name().as_str();
    let first = plan(&engine, &platform.request()).await;
    // Somebody makes it between our look and our create: the looks do not see it.
    let unseen = xtask::proxy::Rule::new(xtask::proxy::Fault::answer(404, ""))
        .method(http::Method::HEAD)
        .path(&format!("/{bucket}"));
    account.s3.set_rules([unseen]);
    make_bucket(&account, bucket).await;
    let report = engine
        .apply(&first, &platform_core::engine::Approvals::none(), &mut |_| {})
        .await
        .unwrap();
    let (id, why) = report.failures().next().unwrap();
    assert_eq!(id, &platform.bucket, "{why:?}");
    account.s3.set_rules([]);
    let versioning = account
        .s3_client()
        .get_bucket_versioning()
        .bucket(bucket)
        .send()
        .await
        .unwrap();
    assert_eq!(versioning.status(), None, "not one setting was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_keys_with_one_id_are_told_of() {
    let account = Account::new().with_speed(20);
    let engine = account.engine("a");
    let platform = Platform::of(&account);
    apply(&engine, &plan(&engine, &platform.request()).await).await;
    let tag = |key: &str, value: &str| {
        aws_sdk_kms::types::Tag::builder()
            .tag_key(key)
            .tag_value(value)
            .build()
            .unwrap()
    };
    let twin = account
        .kms()
        .create_key()
        .tags(tag("mlplat:set", platform.set.as_str()))
        .tags(tag("mlplat:id", &format!("kms.Key/{}", platform.key.name())))
        .send()
        .await
        .unwrap();
    let twin = twin.key_metadata().unwrap().key_id();
    let told = plan(&engine, &platform.request()).await;
    assert!(told.is_empty(), "the one with the alias is used");
    assert!(
        told.warnings.iter().any(|text| text.contains(twin)),
        "{:?}",
        told.warnings
    );
}
