//! What Terraform made is taken over under its names: nothing but tags is written, and what differs is shown before.

use crate::emulators::Account;
use crate::platform::{apply, fields};
use crate::rights::Seen;
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration,
    ExpirationStatus, LifecycleRule, LifecycleRuleFilter, NoncurrentVersionExpiration, ObjectOwnership,
    OwnershipControls, OwnershipControlsRule, PublicAccessBlockConfiguration, ServerSideEncryption,
    ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule, Tagging,
    VersioningConfiguration,
};
use platform_core::engine::{Action, Engine, Plan, PlanRequest};
use platform_core::value::{FieldPath, ResourceId, Size};
use platform_core::{BucketSpec, CacheSpec, Capability, Context, DatabaseSpec, Environment, Risk, Stack, StorageSpec};
use provider_aws::{Aws, AwsOptions, AwsProvider, ExistingNetwork, Network};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An account in which Terraform made a database, a cache and a bucket, and the platform that takes them over.
struct Scene {
    account: Account,
    bucket: String,
    subnets: Vec<String>,
}

const GROUP: &str = "sg-0123456789abcdef0";
const KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555";
const DESCRIPTION: &str = "Managed by Terraform";

/// How each is as Terraform's provider makes it where its arguments are left out, and as its tutorials write them.
const LEFT: &[(&str, &[&str])] = &[
    (
        "rds.DbInstance/orders",
        &[
            "kms_key",
            "secret_key",
            "username",
            "database",
            "insights_key",
            "monitoring",
            "iam_authentication",
            "backup_days",
            "backup_window",
            "maintenance_window",
            "copy_tags_to_snapshots",
            "log_exports",
        ],
    ),
    ("rds.DbParameterGroup/orders-postgres17", &["force_ssl", "parameters"]),
    (
        "elasticache.ReplicationGroup/orders-cache",
        &[
            "description",
            "kms_key",
            "user_group",
            "snapshot_window",
            "maintenance_window",
        ],
    ),
    ("elasticache.ParameterGroup/orders-valkey8", &["parameters"]),
    (
        "s3.Bucket/",
        &[
            "encryption",
            "lifecycle",
            "tls_only",
            "event_bridge",
            "logging",
            "request_metrics",
        ],
    ),
];

impl Scene {
    async fn new() -> Self {
        let account = Account::new().with_speed(50);
        let scene = Self {
            bucket: format!("acme-orders-{}", account.id),
            subnets: account.subnets(),
            account,
        };
        scene.database().await;
        scene.cache().await;
        scene.objects().await;
        scene
    }

    async fn database(&self) {
        let rds = self.account.rds_client();
        let tag = aws_sdk_rds::types::Tag::builder()
            .key("ManagedBy")
            .value("terraform")
            .build();
        let made = rds
            .create_db_subnet_group()
            .db_subnet_group_name("orders-subnets")
            .db_subnet_group_description(DESCRIPTION)
            .set_subnet_ids(Some(self.subnets.clone()))
            .tags(tag.clone());
        made.send().await.unwrap();
        let made = rds
            .create_db_parameter_group()
            .db_parameter_group_name("orders-postgres17")
            .db_parameter_group_family("postgres17")
            .description(DESCRIPTION)
            .tags(tag.clone());
        made.send().await.unwrap();
        let slow = aws_sdk_rds::types::Parameter::builder()
            .parameter_name("log_min_duration_statement")
            .parameter_value("500")
            .apply_method(aws_sdk_rds::types::ApplyMethod::Immediate)
            .build();
        let set = rds
            .modify_db_parameter_group()
            .db_parameter_group_name("orders-postgres17");
        set.parameters(slow).send().await.unwrap();
        let made = rds
            .create_db_instance()
            .db_instance_identifier("orders")
            .engine("postgres")
            .engine_version("17.5")
            .db_instance_class("db.m7g.large")
            .allocated_storage(100)
            .storage_type("gp3")
            .storage_encrypted(true)
            .kms_key_id(KEY)
            .db_name("orders")
            .master_username("postgres")
            .master_user_password("in-the-state-of-terraform")
            .db_subnet_group_name("orders-subnets")
            .vpc_security_group_ids(GROUP)
            .db_parameter_group_name("orders-postgres17")
            .port(5432)
            .publicly_accessible(false)
            .multi_az(true)
            .deletion_protection(true)
            .auto_minor_version_upgrade(true)
            .backup_retention_period(14)
            .preferred_backup_window("03:10-03:40")
            .preferred_maintenance_window("mon:04:00-mon:04:30")
            .ca_certificate_identifier("rds-ca-rsa2048-g1")
            .enable_cloudwatch_logs_exports("postgresql")
            .enable_cloudwatch_logs_exports("upgrade")
            .tags(tag);
        made.send().await.unwrap();
    }

    async fn cache(&self) {
        let cache = aws_sdk_elasticache::Client::new(&self.account.behind());
        let tag = aws_sdk_elasticache::types::Tag::builder()
            .key("ManagedBy")
            .value("terraform")
            .build();
        let made = cache
            .create_cache_subnet_group()
            .cache_subnet_group_name("orders-cache")
            .cache_subnet_group_description(DESCRIPTION)
            .set_subnet_ids(Some(self.subnets.clone()))
            .tags(tag.clone());
        made.send().await.unwrap();
        let made = cache
            .create_cache_parameter_group()
            .cache_parameter_group_name("orders-valkey8")
            .cache_parameter_group_family("valkey8")
            .description(DESCRIPTION)
            .tags(tag.clone());
        made.send().await.unwrap();
        let made = cache
            .create_replication_group()
            .replication_group_id("orders-cache")
            .replication_group_description("sessions")
            .engine("valkey")
            .engine_version("8.0")
            .cache_node_type("cache.m7g.large")
            .num_cache_clusters(2)
            .automatic_failover_enabled(true)
            .multi_az_enabled(true)
            .cache_subnet_group_name("orders-cache")
            .security_group_ids(GROUP)
            .cache_parameter_group_name("orders-valkey8")
            .port(6379)
            .transit_encryption_enabled(true)
            .auth_token("in-the-state-of-terraform")
            .at_rest_encryption_enabled(true)
            .snapshot_retention_limit(7)
            .snapshot_window("01:00-02:00")
            .preferred_maintenance_window("mon:04:00-mon:05:00")
            .auto_minor_version_upgrade(true)
            .tags(tag);
        made.send().await.unwrap();
    }

    async fn objects(&self) {
        let s3 = self.account.s3_client();
        let place = CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::EuWest1);
        let made = s3.create_bucket().bucket(&self.bucket);
        made.create_bucket_configuration(place.build()).send().await.unwrap();
        let versions = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
        let set = s3.put_bucket_versioning().bucket(&self.bucket);
        set.versioning_configuration(versions.build()).send().await.unwrap();
        let sse = ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::Aes256);
        let rule = ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(sse.build().unwrap());
        let encryption = ServerSideEncryptionConfiguration::builder().rules(rule.build());
        let set = s3.put_bucket_encryption().bucket(&self.bucket);
        let set = set.server_side_encryption_configuration(encryption.build().unwrap());
        set.send().await.unwrap();
        let block = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .ignore_public_acls(true)
            .block_public_policy(true)
            .restrict_public_buckets(true);
        let set = s3.put_public_access_block().bucket(&self.bucket);
        set.public_access_block_configuration(block.build())
            .send()
            .await
            .unwrap();
        let owner = OwnershipControlsRule::builder().object_ownership(ObjectOwnership::BucketOwnerEnforced);
        let owner = OwnershipControls::builder().rules(owner.build().unwrap());
        let set = s3.put_bucket_ownership_controls().bucket(&self.bucket);
        set.ownership_controls(owner.build().unwrap()).send().await.unwrap();
        let old = LifecycleRule::builder()
            .id("old-versions")
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix("").build())
            .noncurrent_version_expiration(NoncurrentVersionExpiration::builder().noncurrent_days(30).build());
        let old = BucketLifecycleConfiguration::builder().rules(old.build().unwrap());
        let set = s3.put_bucket_lifecycle_configuration().bucket(&self.bucket);
        set.lifecycle_configuration(old.build().unwrap()).send().await.unwrap();
        let tag = aws_sdk_s3::types::Tag::builder().key("ManagedBy").value("terraform");
        let tags = Tagging::builder().tag_set(tag.build().unwrap());
        let set = s3.put_bucket_tagging().bucket(&self.bucket);
        set.tagging(tags.build().unwrap()).send().await.unwrap();
    }

    /// The platform's config: what Terraform's objects are called, and what of them stays as it is.
    fn context(&self, left: &[(&str, &[&str])]) -> Context {
        let mut context = Context::new("shop", Environment::Prod, "");
        let bucket = format!("s3.Bucket/shop-prod-data-{}-eu-west-1-an", self.account.id);
        context.names = [
            ("rds.DbInstance/shop-prod", "orders"),
            ("rds.DbSubnetGroup/shop-prod", "orders-subnets"),
            ("rds.DbParameterGroup/shop-prod-postgres17", "orders-postgres17"),
            ("elasticache.ReplicationGroup/shop-prod", "orders-cache"),
            ("elasticache.SubnetGroup/shop-prod-cache", "orders-cache"),
            ("elasticache.ParameterGroup/shop-prod-cache-valkey8", "orders-valkey8"),
            (&bucket, &self.bucket),
        ]
        .map(|(computed, given)| (computed.to_owned(), given.to_owned()))
        .into();
        let object = |object: &str| match object {
            "s3.Bucket/" => format!("s3.Bucket/{}", self.bucket),
            object => object.to_owned(),
        };
        context.leave = left
            .iter()
            .map(|(of, fields)| (object(of), fields.iter().map(|field| FieldPath::from(*field)).collect()))
            .collect();
        context
    }

    fn request(&self, provider: &AwsProvider, left: &[(&str, &[&str])]) -> PlanRequest {
        let context = self.context(left);
        let network = ExistingNetwork::new("vpc-1", self.subnets.clone())
            .with_security_group(Capability::Database, GROUP)
            .with_security_group(Capability::Cache, GROUP);
        let options = AwsOptions::new(self.account.id.clone()).with_network(Network::Existing(network));
        let aws = Aws::on(Arc::new(provider.clone()), Arc::clone(&self.account.clock));
        let aws = aws.with_options(options).unwrap();
        let mut database = DatabaseSpec::new("shop").with_storage(Size::gib(100));
        (database.multi_az, database.deletion_protection) = (true, true);
        let storage = StorageSpec::new("shop").with_bucket(BucketSpec::new("data").with_versioning(true));
        let wanted = BTreeSet::from([Capability::Database, Capability::Cache, Capability::Storage]);
        let mut resources = aws.foundation(&wanted, &context).unwrap();
        let rows = aws.database().unwrap().blueprint(&database, &context).unwrap();
        let keys = aws.cache().unwrap();
        let keys = keys
            .blueprint(&CacheSpec::new("shop").with_replicas(1), &context)
            .unwrap();
        let objects = aws.storage().unwrap().blueprint(&storage, &context).unwrap();
        let outputs = serde_json::json!({"database": rows.outputs, "cache": keys.outputs});
        for more in [rows.resources, keys.resources, objects.resources] {
            resources.extend(more);
        }
        PlanRequest {
            resources,
            outputs,
            ..PlanRequest::destroy(context.set.clone())
        }
    }
}

/// Everything that Terraform made.
fn made(request: &PlanRequest) -> Vec<ResourceId> {
    let ids = request.resources.iter().map(|resource| &resource.id);
    ids.filter(|id| id.name().as_str().contains("orders"))
        .cloned()
        .collect()
}

async fn look(engine: &Engine, request: &PlanRequest) -> Plan {
    engine.plan(request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_terraform_made_is_taken_over_by_tags_alone() {
    let scene = Scene::new().await;
    let seen = Seen::new();
    let provider = seen.around(&scene.account);
    let engine = scene.account.engine_of(provider.clone(), "a");
    let request = scene.request(&provider, LEFT);
    let made = made(&request);
    assert_eq!(made.len(), 7, "{made:?}");

    // Nothing is taken that nobody named.
    let blocked = look(&engine, &request).await;
    assert!(
        made.iter()
            .all(|id| blocked.step(id).unwrap().action == Action::Blocked)
    );
    let adopting = request.clone().with_adopt(made.clone());
    let plan = look(&engine, &adopting).await;
    for id in &made {
        let step = plan.step(id).unwrap();
        assert_eq!(
            (step.action, fields(&plan, id)),
            (Action::Adopt, Vec::new()),
            "{id}: {:?}",
            step.blocked
        );
    }
    let others: BTreeMap<&ResourceId, Action> = plan.changes().map(|step| (&step.id, step.action)).collect();
    let creates: Vec<&str> = others
        .iter()
        .filter(|(_, action)| **action == Action::Create)
        .map(|(id, _)| id.kind().as_str())
        .collect();
    assert_eq!(
        creates,
        ["kms.Key", "s3.Bucket"],
        "a key and access logs are the platform's own"
    );

    seen.take();
    scene.account.forget();
    let report = apply(&engine, &plan).await;
    let writes: Vec<String> = seen
        .take()
        .into_iter()
        .filter(|action| {
            ["rds:", "elasticache:"]
                .iter()
                .any(|service| action.starts_with(service))
        })
        .filter(|action| ![":Describe", ":List"].iter().any(|read| action.contains(read)))
        .collect();
    assert_eq!(writes, ["elasticache:AddTagsToResource", "rds:AddTagsToResource"]);
    let on_bucket = scene.account.s3.calls().into_iter().filter(xtask::proxy::Call::writes);
    let on_bucket: Vec<String> = on_bucket
        .map(|call| call.path)
        .filter(|path| path.starts_with(&format!("/{}", scene.bucket)))
        .collect();
    assert!(
        on_bucket.len() == 1 && on_bucket[0].contains("tagging"),
        "{on_bucket:?}"
    );
    let outputs = report.outputs;
    assert_eq!(outputs["database"]["database"], "orders");
    assert_eq!(outputs["database"]["credentials"]["username"], "postgres");
    assert!(
        outputs["database"]["credentials"]["location"]
            .as_str()
            .unwrap()
            .contains("before")
    );
    assert_eq!(outputs["cache"]["credentials"]["username"], "default");

    let second = look(&engine, &request).await;
    assert!(second.is_empty(), "{}", second.display());
    let tags = scene.account.rds_client().describe_db_instances().send().await.unwrap();
    let tags = tags
        .db_instances()
        .iter()
        .find(|one| one.db_instance_identifier() == Some("orders"));
    let tags: Vec<&str> = tags.unwrap().tag_list().iter().filter_map(|tag| tag.key()).collect();
    assert!(tags.contains(&"ManagedBy") && tags.contains(&"mlplat:set"), "{tags:?}");

    // Somebody else changes what is left: no business of the platform. It changes what is not left: drift.
    let modify = || {
        scene
            .account
            .rds_client()
            .modify_db_instance()
            .db_instance_identifier("orders")
            .apply_immediately(true)
    };
    modify().backup_retention_period(21).send().await.unwrap();
    assert!(look(&engine, &request).await.is_empty());
    modify().deletion_protection(false).send().await.unwrap();
    let drift = look(&engine, &request).await;
    let server = made.iter().find(|id| id.kind().as_str() == "rds.DbInstance").unwrap();
    assert_eq!(fields(&drift, server), ["deletion_protection"]);
    apply(&engine, &drift).await;
    assert!(look(&engine, &request).await.is_empty());
}

/// Field by field: what is not left as it is, is a change with its risk; what cannot change blocks; what is no field is told.
#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_shown_before_it_is_written() {
    let scene = Scene::new().await;
    let provider = scene.account.provider();
    let engine = scene.account.engine_of(provider.clone(), "a");
    let without = |object: &str, field: &str| -> Vec<(&str, Vec<&str>)> {
        let mut left: Vec<(&str, Vec<&str>)> = LEFT.iter().map(|(of, fields)| (*of, fields.to_vec())).collect();
        let of = left.iter_mut().find(|(of, _)| *of == object).unwrap();
        of.1.retain(|name| *name != field);
        left
    };
    for (object, field, expected, risk, blocked) in [
        (
            "rds.DbInstance/orders",
            "backup_days",
            "backup_days",
            Some(Risk::LowersProtection),
            "",
        ),
        ("rds.DbInstance/orders", "backup_window", "backup_window", None, ""),
        (
            "rds.DbInstance/orders",
            "kms_key",
            "kms_key",
            None,
            "kms_key cannot change",
        ),
        (
            "rds.DbInstance/orders",
            "username",
            "username",
            None,
            "username cannot change",
        ),
        (
            "rds.DbParameterGroup/orders-postgres17",
            "force_ssl",
            "force_ssl",
            None,
            "",
        ),
        (
            "elasticache.ReplicationGroup/orders-cache",
            "user_group",
            "user_group",
            Some(Risk::Exposes),
            "",
        ),
        ("s3.Bucket/", "encryption", "encryption.kms_key", None, ""),
    ] {
        let left = without(object, field);
        let left: Vec<(&str, &[&str])> = left.iter().map(|(of, fields)| (*of, &fields[..])).collect();
        let request = scene.request(&provider, &left);
        let request = request.clone().with_adopt(made(&request));
        let plan = look(&engine, &request).await;
        let kind = object.split('/').next().unwrap();
        let step = plan
            .steps
            .iter()
            .find(|step| step.id.kind().as_str() == kind && step.id.name().as_str().contains("orders"));
        let step = step.unwrap();
        let changed: Vec<String> = step.changes.iter().map(|change| change.path.to_string()).collect();
        assert_eq!(changed, [expected], "{object} {field}");
        assert_eq!(step.risks.iter().copied().next(), risk, "{object} {field}");
        match &step.blocked {
            Some(why) => assert!(!blocked.is_empty() && why.why.contains(blocked), "{why:?}"),
            None => assert!(blocked.is_empty() && step.action == Action::Adopt, "{object} {field}"),
        }
    }
    let request = scene.request(&provider, &[("rds.DbInstance/orders", &["usrname"])]);
    let plan = look(&engine, &request.clone().with_adopt(made(&request))).await;
    let told = plan.steps.iter().filter_map(|step| step.blocked.as_ref());
    let told: Vec<&str> = told
        .map(|why| why.why.as_str())
        .filter(|why| why.contains("usrname"))
        .collect();
    assert!(told.len() == 1 && told[0].contains("expected one of"), "{told:?}");
    assert_ne!(plan.outputs, Value::Null);
}
