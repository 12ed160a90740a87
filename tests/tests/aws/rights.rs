//! The rights that the facts name are those that the calls need: every call is seen under the SDK and looked up.

use crate::between::{over, signed_for};
use crate::emulators::Account;
use crate::models::Routes;
use crate::platform::Platform;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use platform_core::engine::Action;
use platform_core::testing::{fixtures, permit};
use platform_core::value::{Recipe, Reference};
use platform_core::{Live, Provider, Resolved, Resource, State, Write};
use provider_aws::AwsProvider;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// IAM actions of the calls so far, and S3 calls that did not say whose bucket they expect.
#[derive(Clone, Debug)]
pub(crate) struct Seen(Arc<Mutex<(BTreeSet<String>, Vec<String>)>>, Arc<Routes>);

impl Seen {
    pub(crate) fn new() -> Self {
        Self(Arc::default(), Arc::new(Routes::load()))
    }

    /// What the library is given, with every call noted.
    pub(crate) fn around(&self, account: &Account) -> AwsProvider {
        let noted = self.clone();
        let config = over(&account.config(), move |wire, request| {
            noted.note(&request);
            wire.call(request)
        });
        account.provider_by(&config)
    }

    /// What IAM calls a request.
    pub(crate) fn action(&self, request: &HttpRequest) -> Option<String> {
        action(request, &self.1)
    }

    fn note(&self, request: &HttpRequest) {
        let Some(action) = self.action(request) else { return };
        let mut seen = self.0.lock().unwrap();
        let needs_owner = !["s3:CreateBucket", "s3:ListAllMyBuckets"].contains(&action.as_str());
        if action.starts_with("s3:") && needs_owner && request.headers().get("x-amz-expected-bucket-owner").is_none() {
            seen.1.push(format!("{} {}", request.method(), request.uri()));
        }
        seen.0.insert(action);
    }

    pub(crate) fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.0.lock().unwrap().0)
    }
}

/// What IAM calls that which a request asks for; `None` for STS and the control bucket.
pub(crate) fn action(request: &HttpRequest, routes: &Routes) -> Option<String> {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    let (service, operation) = target.split_once('.').unwrap_or_default();
    Some(match service {
        "TrentService" => format!("kms:{operation}"),
        "secretsmanager" => format!("secretsmanager:{operation}"),
        "AWSEvents" => format!("events:{operation}"),
        "Logs_20140328" => format!("logs:{operation}"),
        "ResourceGroupsTaggingAPI_20170126" => format!("tag:{operation}"),
        "ServiceQuotasV20190624" => format!("servicequotas:{operation}"),
        _ => {
            let by_path = || Some(format!("{}:{}", signed_for(request)?.1, routes.of(request)?.0));
            return query_action(request)
                .or_else(by_path)
                .or_else(|| s3_action(request).map(str::to_owned));
        }
    })
}

/// The action of a call that is a form, whose signature names the service; `None` for STS and what is no form.
fn query_action(request: &HttpRequest) -> Option<String> {
    let body = std::str::from_utf8(request.body().bytes()?).ok()?;
    let operation = body.strip_prefix("Action=")?.split('&').next()?;
    let service = match signed_for(request)?.1 {
        "sts" => return None,
        "monitoring" => "cloudwatch",
        service => service,
    };
    Some(format!("{service}:{operation}"))
}

/// The action of a call on a bucket; `None` for STS and the lease object.
fn s3_action(request: &HttpRequest) -> Option<&'static str> {
    let uri = request.uri();
    let path = uri.split_once("//")?.1.split_once('/')?.1;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if path.starts_with("mlplat-") || request.method() == "POST" {
        return None;
    }
    let part = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    let part: Vec<&str> = part.filter(|part| !part.is_empty() && *part != "x-id").collect();
    if path.is_empty() {
        return Some("s3:ListAllMyBuckets");
    }
    Some(match (request.method(), part.first().copied().unwrap_or_default()) {
        ("HEAD", _) => "s3:ListBucket",
        ("PUT", "") => "s3:CreateBucket",
        ("DELETE", "") => "s3:DeleteBucket",
        ("GET", "tagging") => "s3:GetBucketTagging",
        ("PUT", "tagging") => "s3:PutBucketTagging",
        ("GET", "encryption") => "s3:GetEncryptionConfiguration",
        ("PUT", "encryption") => "s3:PutEncryptionConfiguration",
        ("GET", "versioning") => "s3:GetBucketVersioning",
        ("PUT", "versioning") => "s3:PutBucketVersioning",
        ("GET", "publicAccessBlock") => "s3:GetBucketPublicAccessBlock",
        ("PUT", "publicAccessBlock") => "s3:PutBucketPublicAccessBlock",
        ("GET", "ownershipControls") => "s3:GetBucketOwnershipControls",
        ("PUT", "ownershipControls") => "s3:PutBucketOwnershipControls",
        ("GET", "policy") => "s3:GetBucketPolicy",
        ("PUT", "policy") => "s3:PutBucketPolicy",
        ("DELETE", "policy") => "s3:DeleteBucketPolicy",
        ("GET", "lifecycle") => "s3:GetLifecycleConfiguration",
        // There is no action of its own to delete one.
        ("PUT" | "DELETE", "lifecycle") => "s3:PutLifecycleConfiguration",
        ("GET", "logging") => "s3:GetBucketLogging",
        ("PUT", "logging") => "s3:PutBucketLogging",
        ("GET", "notification") => "s3:GetBucketNotification",
        ("PUT", "notification") => "s3:PutBucketNotification",
        ("GET", "object-lock") => "s3:GetBucketObjectLockConfiguration",
        ("PUT", "object-lock") => "s3:PutBucketObjectLockConfiguration",
        ("GET", "replication") => "s3:GetReplicationConfiguration",
        ("PUT" | "DELETE", "replication") => "s3:PutReplicationConfiguration",
        ("GET", "metrics") => "s3:GetMetricsConfiguration",
        ("PUT" | "DELETE", "metrics") => "s3:PutMetricsConfiguration",
        (method, part) => panic!("no action is known for {method} ?{part}"),
    })
}

async fn write(provider: &AwsProvider, write: Write<'_>, action: Action) -> Option<Live> {
    let step = fixtures::step(write.id(), action);
    provider
        .write(write, permit(&step))
        .await
        .unwrap_or_else(|why| panic!("{}", why.report()))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_verb_needs_no_more_than_its_facts_say() {
    let account = Account::new().with_speed(20);
    let seen = Seen::new();
    let provider = seen.around(&account);
    let platform = Platform::of(&account);
    let set = &platform.set;
    let statement = json!([{"Sid": "Read", "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{}:root", account.id)},
        "Action": "*", "Resource": "*"}]);
    let recipe = |length| Recipe::generate(length).to_value();
    let cases = [
        (
            platform.key.clone(),
            json!({"statements": statement, "tags": {"team": "ml"}}),
            json!({"description": "b", "enabled": false, "rotation": false}),
        ),
        (
            platform.bucket.clone(),
            json!({"tags": {"team": "ml"}, "logging": {"bucket": "logs"}, "request_metrics": true}),
            json!({"encryption": {"kms_key": "arn:aws:kms:eu-west-1:1:key/k"}, "versioning": false, "acls_disabled": false,
                "public_access_block": {"block_acls": false}, "tls_only": false, "lifecycle": {}, "event_bridge": false}),
        ),
        (
            platform.secret.clone(),
            json!({"data": {"a": recipe(20)}, "tags": {"team": "ml"}, "statements": statement}),
            json!({"data": {"a": recipe(20), "b": recipe(20)}}),
        ),
    ];
    let database = |kind: &str| -> platform_core::value::ResourceId {
        format!("aws/eu-west-1:{kind}/p{}-dev", account.id).parse().unwrap()
    };
    let server = json!({"engine_version": "17", "class": "db.t4g.medium", "storage_gib": 20, "username": "platform", "database": "app",
        "kms_key": "arn:aws:kms:eu-west-1:1:key/k",
        "subnet_group": "g", "security_groups": ["sg-1"], "parameter_group": "default.postgres17", "deletion_protection": false, "log_exports": [],
        "backup_window": "03:00-04:00", "maintenance_window": "sun:05:00-sun:06:00", "tags": {"team": "ml"}});
    let mut larger = server.clone();
    larger["storage_gib"] = json!(40);
    let mut smaller = larger.clone();
    smaller["tags"] = json!({});
    let cases = cases
        .map(|(id, first, second)| (id, first.clone(), second, first))
        .into_iter()
        .chain([
            (
                database("rds.DbSubnetGroup"),
                json!({"subnets": account.subnets(), "tags": {"team": "ml"}}),
                json!({"subnets": account.subnets(), "description": "other"}),
                json!({"subnets": account.subnets()}),
            ),
            (
                database("rds.DbParameterGroup"),
                json!({"family": "postgres17", "parameters": {"log_statement": "ddl"}, "tags": {"team": "ml"}}),
                json!({"family": "postgres17", "parameters": {"work_mem": "8192"}}),
                json!({"family": "postgres17"}),
            ),
            (database("rds.DbInstance"), server, larger, smaller),
        ])
        .chain(
            crate::networks::all(&account)
                .into_iter()
                .chain(crate::kinds::cases(&format!("k{}", account.id), set))
                .map(|case| {
                    let mut back = case.first.clone();
                    // A cluster never goes back to an older version.
                    if case.id.kind().as_str().starts_with("eks.") && back.get("version").is_some() {
                        back["version"] = case.second["version"].clone();
                    }
                    (case.id, case.first, case.second, back)
                }),
        );
    let (mut named, mut used) = (BTreeSet::new(), BTreeSet::new());
    let mut check = |id: &platform_core::value::ResourceId, verb: &str, allowed: &[&[&str]]| {
        let allowed: BTreeSet<String> = allowed
            .iter()
            .flat_map(|list| list.iter())
            .map(ToString::to_string)
            .collect();
        let called = seen.take();
        let more: Vec<&String> = called.difference(&allowed).collect();
        assert!(more.is_empty(), "{verb} of {id} also needs {more:?}");
        named.extend(allowed);
        used.extend(called);
    };
    let mut standing: Vec<Live> = Vec::new();
    for (id, first, second, third) in cases {
        let calls = provider.facts(id.kind()).unwrap().calls;
        let resource = |desired: &serde_json::Value| Resource::new(id.clone(), "rights", desired.clone());
        let resolved = |resource: &Resource| {
            let lookup = |reference: &Reference| {
                let of = standing.iter().find(|live| live.id == reference.id)?;
                of.outputs.get(&reference.output).cloned()
            };
            Resolved::new(resource, &lookup).unwrap()
        };
        // Reading asks for all kinds at once.
        provider.observe(set, &[resource(&first)]).await.unwrap();
        seen.take();
        let made = resolved(&resource(&first));
        let create = Write::Create {
            set,
            resource: &made,
            token: "t",
        };
        let live = write(&provider, create, Action::Create).await.unwrap();
        check(&id, "create", &[calls.read, calls.create]);
        let wish = resolved(&resource(&second));
        let update = Write::Update {
            set,
            resource: &wish,
            live: &live,
        };
        let live = write(&provider, update, Action::Update).await.unwrap();
        check(&id, "update", &[calls.read, calls.update]);
        let back = resolved(&resource(&third));
        let update = Write::Update {
            set,
            resource: &back,
            live: &live,
        };
        let live = write(&provider, update, Action::Update).await.unwrap();
        check(&id, "update back", &[calls.read, calls.update]);
        standing.push(live);
    }
    // What stands on others goes before them.
    for live in standing.iter().rev() {
        let delete = Write::Delete {
            set,
            live,
            snapshot: false,
        };
        let going = write(&provider, delete, Action::Delete).await;
        let calls = provider.facts(live.id.kind()).unwrap().calls;
        check(&live.id, "delete", &[calls.read, calls.delete]);
        if going.is_some() {
            // What it stands on takes its delete once it is gone.
            let resource = Resource::new(live.id.clone(), "rights", json!({}));
            let still = async || provider.observe(set, std::slice::from_ref(&resource)).await.unwrap();
            while still()
                .await
                .get(&live.id)
                .is_some_and(|live| matches!(live.state, State::Deleting { .. }))
            {}
            seen.take();
        }
    }
    let owners = seen.0.lock().unwrap().1.clone();
    assert!(
        owners.is_empty(),
        "these do not say whose bucket they expect: {owners:?}"
    );
    // Named but not called here: what AWS checks by itself behind a call, and what needs another state to happen.
    let rest: Vec<&str> = named.difference(&used).map(String::as_str).collect();
    assert_eq!(
        rest,
        [
            "backup-storage:MountCapsule",
            "backup:DeleteBackupVaultAccessPolicy",
            "backup:DeleteBackupVaultLockConfiguration",
            "backup:DeleteBackupVaultNotifications",
            "cloudwatch:ListDashboards",
            "ec2:DescribeNetworkInterfaces",
            "ec2:ReplaceRoute",
            "ec2:ReplaceRouteTableAssociation",
            "eks:ListAccessEntries",
            "eks:ListAddons",
            "eks:ListClusters",
            "eks:ListNodegroups",
            "elasticache:CreateSnapshot",
            "iam:CreateServiceLinkedRole",
            "iam:ListRoles",
            "iam:PassRole",
            "kms:CancelKeyDeletion",
            "kms:CreateGrant",
            "kms:Decrypt",
            "kms:GenerateDataKey",
            "kms:ListAliases",
            "kms:RetireGrant",
            "logs:AssociateKmsKey",
            "logs:DeleteRetentionPolicy",
            "logs:DisassociateKmsKey",
            "rds:CreateDBSnapshot",
            "rds:DescribeDBInstanceAutomatedBackups",
            "rds:DescribeDBSnapshots",
            "rds:RebootDBInstance",
            "rds:RestoreDBInstanceFromDBSnapshot",
            "rds:RestoreDBInstanceToPointInTime",
            "s3:ListAllMyBuckets",
            "s3:PutBucketObjectLockConfiguration",
            "s3:PutReplicationConfiguration",
            "s3:TagResource",
            "secretsmanager:ListSecrets",
            "secretsmanager:RestoreSecret",
            "sns:GetSubscriptionAttributes",
            "sns:ListTopics",
        ]
    );
}
