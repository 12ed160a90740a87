//! What holds data, and what secures it.

use super::super::of::{Of, Part, document, list, some};
use super::tags;
use crate::kind::s3_bucket::WHOLE_BUCKET;
use serde_json::{Value, json};

/// The parts of one of these kinds.
pub(super) fn parts(of: &Of<'_>) -> Option<Vec<Part>> {
    Some(match of.id.kind().as_str() {
        "kms.Key" => key(of),
        "s3.Bucket" => bucket(of),
        "secretsmanager.Secret" => secret(of),
        "iam.Role" => vec![role(of)],
        "rds.DbInstance" => vec![database(of)],
        "rds.DbParameterGroup" => vec![Part::new(
            "AWS::RDS::DBParameterGroup",
            json!({
                "DBParameterGroupName": of.name(),
                "Family": of.get("family"),
                "Description": of.get("description"),
                "Parameters": of.database_parameters(),
                "Tags": tags(of),
            }),
        )],
        "rds.DbSubnetGroup" => vec![Part::new(
            "AWS::RDS::DBSubnetGroup",
            json!({
                "DBSubnetGroupName": of.name(),
                "DBSubnetGroupDescription": of.get("description"),
                "SubnetIds": of.get("subnets"),
                "Tags": tags(of),
            }),
        )],
        // CloudFormation names these itself
        "elasticache.ParameterGroup" => vec![Part::new(
            "AWS::ElastiCache::ParameterGroup",
            json!({
                "CacheParameterGroupFamily": of.get("family"),
                "Description": of.get("description"),
                "Properties": of.get("parameters"),
                "Tags": tags(of),
            }),
        )],
        "elasticache.ReplicationGroup" => vec![cache(of)],
        "elasticache.SubnetGroup" => vec![Part::new(
            "AWS::ElastiCache::SubnetGroup",
            json!({
                "CacheSubnetGroupName": of.name(),
                "Description": of.get("description"),
                "SubnetIds": of.get("subnets"),
                "Tags": tags(of),
            }),
        )],
        "elasticache.User" => vec![Part::new(
            "AWS::ElastiCache::User",
            json!({
                "UserId": of.name(),
                "UserName": of.get("user_name"),
                "Engine": of.get("engine"),
                "AccessString": of.get("access"),
                "AuthenticationMode": { "Type": of.cache_login() },
                "Tags": tags(of),
            }),
        )],
        "elasticache.UserGroup" => vec![user_group(of)],
        _ => return None,
    })
}

fn key(of: &Of<'_>) -> Vec<Part> {
    let key = json!({
        "Description": of.get("description"),
        "Enabled": of.get("enabled"),
        "MultiRegion": of.get("multi_region"),
        "EnableKeyRotation": of.get("rotation"),
        "RotationPeriodInDays": if of.is("rotation") { of.get("rotation_days") } else { Value::Null },
        "KeyPolicy": document(&of.statements()),
        "Tags": tags(of),
    });
    let alias = json!({ "AliasName": format!("alias/{}", of.name()), "TargetKeyId": of.own("key_id") });
    vec![Part::new("AWS::KMS::Key", key), Part::new("AWS::KMS::Alias", alias)]
}

fn bucket(of: &Of<'_>) -> Vec<Part> {
    let (algorithm, key) = of.bucket_encryption();
    let block = of.get("public_access_block");
    let rules: Vec<Value> = of.entries("lifecycle").map(|(id, rule)| lifecycle(id, rule)).collect();
    let lifecycle = match some(rules) {
        Value::Null => Value::Null,
        rules => json!({ "Rules": rules }),
    };
    let logging = match of.get("logging") {
        Value::Null => Value::Null,
        logging => json!({
            "DestinationBucketName": of.named("s3.Bucket", &logging["bucket"]),
            "LogFilePrefix": logging["prefix"],
        }),
    };
    let lock = of.get("object_lock");
    let locked = if lock.is_null() {
        Value::Null
    } else {
        let retention = json!({ "Mode": lock["mode"], "Days": lock["days"] });
        json!({ "ObjectLockEnabled": "Enabled", "Rule": { "DefaultRetention": retention } })
    };
    let bucket = json!({
        "BucketName": of.name(),
        "VersioningConfiguration": { "Status": if of.is("versioning") { "Enabled" } else { "Suspended" } },
        "BucketEncryption": { "ServerSideEncryptionConfiguration": [{
            "BucketKeyEnabled": !key.is_null(),
            "ServerSideEncryptionByDefault": { "SSEAlgorithm": algorithm, "KMSMasterKeyID": key },
        }] },
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": block["block_acls"],
            "IgnorePublicAcls": block["ignore_acls"],
            "BlockPublicPolicy": block["block_policies"],
            "RestrictPublicBuckets": block["restrict_buckets"],
        },
        "OwnershipControls": { "Rules": [{ "ObjectOwnership": of.bucket_owner() }] },
        "NotificationConfiguration": { "EventBridgeConfiguration": { "EventBridgeEnabled": of.get("event_bridge") } },
        "MetricsConfigurations": if of.is("request_metrics") { json!([{ "Id": WHOLE_BUCKET }]) } else { Value::Null },
        "LifecycleConfiguration": lifecycle,
        "LoggingConfiguration": logging,
        "ObjectLockEnabled": if lock.is_null() { Value::Null } else { json!(true) },
        "ObjectLockConfiguration": locked,
        "ReplicationConfiguration": replication(&of.get("replication")),
        "Tags": tags(of),
    });
    let mut parts = vec![Part::new("AWS::S3::Bucket", bucket)];
    let statements = of.statements();
    if !statements.is_empty() {
        let policy = json!({ "Bucket": of.own("name"), "PolicyDocument": document(&statements) });
        parts.push(Part::new("AWS::S3::BucketPolicy", policy));
    }
    parts
}

fn lifecycle(id: &str, rule: &Value) -> Value {
    let days = |key: &str, property: &str| match &rule[key] {
        Value::Null => Value::Null,
        days => json!({ property: days }),
    };
    let transitions = match &rule["transition_days"] {
        Value::Null => Value::Null,
        days => json!([{ "TransitionInDays": days, "StorageClass": rule["transition_class"] }]),
    };
    json!({
        "Id": id,
        "Status": if rule["enabled"] == false { "Disabled" } else { "Enabled" },
        "Prefix": rule["prefix"],
        "AbortIncompleteMultipartUpload": days("abort_multipart_days", "DaysAfterInitiation"),
        "ExpirationInDays": rule["expire_days"],
        "NoncurrentVersionExpiration": days("noncurrent_days", "NoncurrentDays"),
        "Transitions": transitions,
    })
}

fn replication(replication: &Value) -> Value {
    if replication.is_null() {
        return Value::Null;
    }
    let (encryption, source) = match &replication["kms_key"] {
        Value::Null => (Value::Null, Value::Null),
        key => (
            json!({ "ReplicaKmsKeyID": key }),
            json!({ "SseKmsEncryptedObjects": { "Status": "Enabled" } }),
        ),
    };
    json!({
        "Role": replication["role"],
        "Rules": [{
            "Id": "all",
            "Priority": 1,
            "Status": "Enabled",
            "Filter": { "Prefix": "" },
            "DeleteMarkerReplication": { "Status": "Enabled" },
            "Destination": { "Bucket": replication["bucket"], "EncryptionConfiguration": encryption },
            "SourceSelectionCriteria": source,
        }],
    })
}

fn secret(of: &Of<'_>) -> Vec<Part> {
    let secret = json!({ "Name": of.name(), "KmsKeyId": of.get("kms_key"), "Tags": tags(of) });
    let mut parts = vec![Part::new("AWS::SecretsManager::Secret", secret)];
    let statements = of.statements();
    if !statements.is_empty() {
        let policy = json!({ "SecretId": of.own("arn"), "ResourcePolicy": document(&statements) });
        parts.push(Part::new("AWS::SecretsManager::ResourcePolicy", policy));
    }
    parts
}

fn role(of: &Of<'_>) -> Part {
    let inline = of
        .entries("inline")
        .map(|(name, statements)| json!({ "PolicyName": name, "PolicyDocument": document(&list(statements)) }));
    Part::new(
        "AWS::IAM::Role",
        json!({
            "RoleName": of.name(),
            "Path": of.get("path"),
            "Description": of.get("description"),
            "AssumeRolePolicyDocument": document(&of.list("trust")),
            "PermissionsBoundary": of.get("permissions_boundary"),
            "MaxSessionDuration": of.get("max_session"),
            "ManagedPolicyArns": some(of.list("managed")),
            "Policies": some(inline.collect()),
            "Tags": tags(of),
        }),
    )
}

fn database(of: &Of<'_>) -> Part {
    let (monitoring, restore) = (of.get("monitoring"), of.get("restore"));
    let (secret_key, insights_key) = (of.get("secret_key"), of.get("insights_key"));
    let (managed, secret) = match secret_key {
        Value::Null => (Value::Null, Value::Null),
        key => (json!(true), json!({ "KmsKeyId": key })),
    };
    let is_new = restore.is_null();
    // a copy brings these along
    let new = |key: &str| if is_new { of.get(key) } else { Value::Null };
    let (latest, time) = match restore["time"].as_str() {
        Some("latest") => (json!(true), Value::Null),
        _ => (Value::Null, restore["time"].clone()),
    };
    let text = |key: &str| match of.get(key) {
        Value::Null => Value::Null,
        number => json!(number.to_string()),
    };
    Part::new(
        "AWS::RDS::DBInstance",
        json!({
            "DBInstanceIdentifier": of.name(),
            "Engine": "postgres",
            "EngineVersion": of.get("engine_version"),
            "DBInstanceClass": of.get("class"),
            "AllocatedStorage": text("storage_gib"),
            "StorageType": of.get("storage_type"),
            "StorageEncrypted": if is_new { json!(!of.get("kms_key").is_null()) } else { Value::Null },
            "KmsKeyId": new("kms_key"),
            "DBName": new("database"),
            "MasterUsername": new("username"),
            "ManageMasterUserPassword": managed,
            "MasterUserSecret": secret,
            "DBSubnetGroupName": of.named("rds.DbSubnetGroup", &of.get("subnet_group")),
            "VPCSecurityGroups": of.get("security_groups"),
            "DBParameterGroupName": of.named("rds.DbParameterGroup", &of.get("parameter_group")),
            "Port": text("port"),
            "PubliclyAccessible": !of.is("private"),
            "MultiAZ": of.get("multi_az"),
            "DeletionProtection": of.get("deletion_protection"),
            "EnableIAMDatabaseAuthentication": of.get("iam_authentication"),
            "CACertificateIdentifier": of.get("ca"),
            "EnablePerformanceInsights": !insights_key.is_null(),
            "PerformanceInsightsKMSKeyId": insights_key,
            "MonitoringRoleArn": monitoring["role"],
            "MonitoringInterval": if monitoring.is_null() { json!(0) } else { monitoring["seconds"].clone() },
            "EnableCloudwatchLogsExports": of.get("log_exports"),
            "CopyTagsToSnapshot": of.get("copy_tags_to_snapshots"),
            "AutoMinorVersionUpgrade": of.get("minor_upgrades"),
            "BackupRetentionPeriod": of.get("backup_days"),
            "PreferredBackupWindow": of.get("backup_window"),
            "PreferredMaintenanceWindow": of.get("maintenance_window"),
            "DBSnapshotIdentifier": restore["snapshot"],
            "SourceDBInstanceIdentifier": restore["source"],
            "UseLatestRestorableTime": latest,
            "RestoreTime": time,
            "Tags": tags(of),
        }),
    )
}

fn cache(of: &Of<'_>) -> Part {
    let log_group = of.log_group(&of.get("log_group"), "name");
    let log = |r#type: &str| {
        json!({
            "DestinationType": "cloudwatch-logs",
            "DestinationDetails": { "CloudWatchLogsDetails": { "LogGroup": log_group } },
            "LogFormat": "json",
            "LogType": r#type,
        })
    };
    let logs = if log_group.is_null() {
        Value::Null
    } else {
        json!([log("slow-log"), log("engine-log")])
    };
    Part::new(
        "AWS::ElastiCache::ReplicationGroup",
        json!({
            "ReplicationGroupId": of.name(),
            "ReplicationGroupDescription": of.get("description"),
            "Engine": of.get("engine"),
            "EngineVersion": of.get("version"),
            "CacheNodeType": of.get("node_type"),
            "NumCacheClusters": of.get("replicas").as_u64().unwrap_or_default() + 1,
            "AutomaticFailoverEnabled": of.many("automatic_failover"),
            "MultiAZEnabled": of.many("multi_az"),
            "CacheSubnetGroupName": of.named("elasticache.SubnetGroup", &of.get("subnet_group")),
            "SecurityGroupIds": of.get("security_groups"),
            "CacheParameterGroupName": of.named("elasticache.ParameterGroup", &of.get("parameter_group")),
            "UserGroupIds": [of.named("elasticache.UserGroup", &of.get("user_group"))],
            "Port": of.get("port"),
            "AtRestEncryptionEnabled": of.get("encrypted"),
            "KmsKeyId": of.get("kms_key"),
            "TransitEncryptionEnabled": of.get("tls"),
            "SnapshotRetentionLimit": of.get("snapshot_retention"),
            "SnapshotWindow": of.get("snapshot_window"),
            "PreferredMaintenanceWindow": of.get("maintenance_window"),
            "AutoMinorVersionUpgrade": of.get("auto_minor_version_upgrade"),
            "LogDeliveryConfigurations": logs,
            "Tags": tags(of),
        }),
    )
}

fn user_group(of: &Of<'_>) -> Part {
    let users: Value = of
        .list("users")
        .iter()
        .map(|user| of.named("elasticache.User", user))
        .collect();
    Part::new(
        "AWS::ElastiCache::UserGroup",
        json!({ "UserGroupId": of.name(), "Engine": of.get("engine"), "UserIds": users, "Tags": tags(of) }),
    )
}
