//! What holds data, and what secures it.

use super::super::of::{Of, Part, list};
use super::policy_text;
use crate::kind::s3_bucket::WHOLE_BUCKET;
use serde_json::{Map, Value, json};

/// The parts of one of these kinds.
pub(super) fn parts(of: &Of<'_>) -> Option<Vec<Part>> {
    Some(match of.id.kind().as_str() {
        "kms.Key" => key(of),
        "s3.Bucket" => bucket(of),
        "secretsmanager.Secret" => secret(of),
        "iam.Role" => role(of),
        "rds.DbInstance" => vec![database(of)],
        "rds.DbParameterGroup" => vec![database_parameters(of)],
        "rds.DbSubnetGroup" => vec![subnets(of, "aws_db_subnet_group")],
        "elasticache.ParameterGroup" => vec![cache_parameters(of)],
        "elasticache.ReplicationGroup" => vec![cache(of)],
        "elasticache.SubnetGroup" => vec![subnets(of, "aws_elasticache_subnet_group")],
        "elasticache.User" => vec![user(of)],
        "elasticache.UserGroup" => vec![user_group(of)],
        _ => return None,
    })
}

fn key(of: &Of<'_>) -> Vec<Part> {
    let key = json!({
        "description": of.get("description"),
        "is_enabled": of.get("enabled"),
        "multi_region": of.get("multi_region"),
        "enable_key_rotation": of.get("rotation"),
        "rotation_period_in_days": if of.is("rotation") { of.get("rotation_days") } else { Value::Null },
        "policy": policy_text(&of.statements()),
        "tags": of.tags,
    });
    let alias = json!({ "name": format!("alias/{}", of.name()), "target_key_id": of.own("key_id") });
    vec![Part::new("aws_kms_key", key), Part::new("aws_kms_alias", alias)]
}

fn bucket(of: &Of<'_>) -> Vec<Part> {
    let name = of.own("name");
    let status = |on: bool| if on { "Enabled" } else { "Suspended" };
    let (algorithm, key) = of.bucket_encryption();
    let block = of.get("public_access_block");
    let lock = of.get("object_lock");
    let mut parts = vec![
        Part::new(
            "aws_s3_bucket",
            json!({ "bucket": of.name(), "object_lock_enabled": !lock.is_null(), "tags": of.tags }),
        ),
        Part::new(
            "aws_s3_bucket_versioning",
            json!({ "bucket": name, "versioning_configuration": [{ "status": status(of.is("versioning")) }] }),
        ),
        Part::new(
            "aws_s3_bucket_server_side_encryption_configuration",
            json!({ "bucket": name, "rule": [{
                "apply_server_side_encryption_by_default": [{ "sse_algorithm": algorithm, "kms_master_key_id": key }],
                "bucket_key_enabled": !key.is_null(),
            }] }),
        ),
        Part::new(
            "aws_s3_bucket_public_access_block",
            json!({
                "bucket": name,
                "block_public_acls": block["block_acls"],
                "ignore_public_acls": block["ignore_acls"],
                "block_public_policy": block["block_policies"],
                "restrict_public_buckets": block["restrict_buckets"],
            }),
        ),
        Part::new(
            "aws_s3_bucket_ownership_controls",
            json!({ "bucket": name, "rule": [{ "object_ownership": of.bucket_owner() }] }),
        ),
        Part::new(
            "aws_s3_bucket_notification",
            json!({ "bucket": name, "eventbridge": of.get("event_bridge") }),
        ),
    ];
    let statements = of.statements();
    if !statements.is_empty() {
        parts.push(Part::new(
            "aws_s3_bucket_policy",
            json!({ "bucket": name, "policy": policy_text(&statements) }),
        ));
    }
    let rules: Vec<Value> = of.entries("lifecycle").map(|(id, rule)| lifecycle(id, rule)).collect();
    if !rules.is_empty() {
        parts.push(Part::new(
            "aws_s3_bucket_lifecycle_configuration",
            json!({ "bucket": name, "rule": rules }),
        ));
    }
    let logging = of.get("logging");
    if !logging.is_null() {
        parts.push(Part::new(
            "aws_s3_bucket_logging",
            json!({
                "bucket": name,
                "target_bucket": of.named("s3.Bucket", &logging["bucket"]),
                "target_prefix": logging["prefix"],
            }),
        ));
    }
    if of.is("request_metrics") {
        parts.push(Part::new(
            "aws_s3_bucket_metric",
            json!({ "bucket": name, "name": WHOLE_BUCKET }),
        ));
    }
    if !lock.is_null() {
        parts.push(Part::new(
            "aws_s3_bucket_object_lock_configuration",
            json!({ "bucket": name, "rule": [{ "default_retention": [{ "mode": lock["mode"], "days": lock["days"] }] }] }),
        ));
    }
    let replication = of.get("replication");
    if !replication.is_null() {
        let key = &replication["kms_key"];
        let encryption = if key.is_null() {
            Value::Null
        } else {
            json!([{ "replica_kms_key_id": key }])
        };
        let replicated = json!([{ "bucket": replication["bucket"], "encryption_configuration": encryption }]);
        parts.push(Part::new(
            "aws_s3_bucket_replication_configuration",
            json!({
                "bucket": name,
                "role": replication["role"],
                "rule": [{ "status": "Enabled", "destination": replicated }],
            }),
        ));
    }
    parts
}

fn lifecycle(id: &str, rule: &Value) -> Value {
    let days = |key: &str, attribute: &str| match &rule[key] {
        Value::Null => Value::Null,
        days => json!([{ attribute: days }]),
    };
    let transition = match &rule["transition_days"] {
        Value::Null => Value::Null,
        days => json!([{ "days": days, "storage_class": rule["transition_class"] }]),
    };
    json!({
        "id": id,
        "status": if rule["enabled"] == false { "Disabled" } else { "Enabled" },
        "filter": [{ "prefix": rule["prefix"] }],
        "abort_incomplete_multipart_upload": days("abort_multipart_days", "days_after_initiation"),
        "expiration": days("expire_days", "days"),
        "noncurrent_version_expiration": days("noncurrent_days", "noncurrent_days"),
        "transition": transition,
    })
}

fn secret(of: &Of<'_>) -> Vec<Part> {
    let secret = json!({ "name": of.name(), "kms_key_id": of.get("kms_key"), "tags": of.tags });
    let mut parts = vec![Part::new("aws_secretsmanager_secret", secret)];
    let statements = of.statements();
    if !statements.is_empty() {
        let policy = json!({ "secret_arn": of.own("arn"), "policy": policy_text(&statements) });
        parts.push(Part::new("aws_secretsmanager_secret_policy", policy));
    }
    parts
}

fn role(of: &Of<'_>) -> Vec<Part> {
    let role = json!({
        "name": of.name(),
        "path": of.get("path"),
        "description": of.get("description"),
        "assume_role_policy": policy_text(&of.list("trust")),
        "permissions_boundary": of.get("permissions_boundary"),
        "max_session_duration": of.get("max_session"),
        "tags": of.tags,
    });
    let mut parts = vec![Part::new("aws_iam_role", role)];
    for (name, statements) in of.entries("inline") {
        let policy = json!({ "role": of.own("name"), "name": name, "policy": policy_text(&list(statements)) });
        parts.push(Part::called("aws_iam_role_policy", name, policy));
    }
    for arn in of.list("managed") {
        let name = arn.as_str().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default();
        let attachment = json!({ "role": of.own("name"), "policy_arn": arn });
        parts.push(Part::called("aws_iam_role_policy_attachment", name, attachment));
    }
    parts
}

fn subnets(of: &Of<'_>, r#type: &'static str) -> Part {
    Part::new(
        r#type,
        json!({
            "name": of.name(),
            "description": of.get("description"),
            "subnet_ids": of.get("subnets"),
            "tags": of.tags,
        }),
    )
}

/// Parameters as blocks.
fn parameters(settings: &Map<String, Value>) -> Vec<Value> {
    settings
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect()
}

fn database_parameters(of: &Of<'_>) -> Part {
    Part::new(
        "aws_db_parameter_group",
        json!({
            "name": of.name(),
            "family": of.get("family"),
            "description": of.get("description"),
            "parameter": parameters(&of.database_parameters()),
            "tags": of.tags,
        }),
    )
}

fn database(of: &Of<'_>) -> Part {
    let monitoring = of.get("monitoring");
    let (secret_key, insights_key, restore) = (of.get("secret_key"), of.get("insights_key"), of.get("restore"));
    let point = match (&restore["source"], restore["time"].as_str()) {
        (Value::Null, _) => Value::Null,
        (source, Some("latest")) => {
            json!([{ "source_db_instance_identifier": source, "use_latest_restorable_time": true }])
        }
        (source, time) => json!([{ "source_db_instance_identifier": source, "restore_time": time }]),
    };
    Part::new(
        "aws_db_instance",
        json!({
            "identifier": of.name(),
            "engine": "postgres",
            "engine_version": of.get("engine_version"),
            "instance_class": of.get("class"),
            "allocated_storage": of.get("storage_gib"),
            "storage_type": of.get("storage_type"),
            "storage_encrypted": !of.get("kms_key").is_null(),
            "kms_key_id": of.get("kms_key"),
            "db_name": of.get("database"),
            "username": of.get("username"),
            "manage_master_user_password": if secret_key.is_null() { Value::Null } else { json!(true) },
            "master_user_secret_kms_key_id": secret_key,
            "db_subnet_group_name": of.named("rds.DbSubnetGroup", &of.get("subnet_group")),
            "vpc_security_group_ids": of.get("security_groups"),
            "parameter_group_name": of.named("rds.DbParameterGroup", &of.get("parameter_group")),
            "port": of.get("port"),
            "publicly_accessible": !of.is("private"),
            "multi_az": of.get("multi_az"),
            "deletion_protection": of.get("deletion_protection"),
            "iam_database_authentication_enabled": of.get("iam_authentication"),
            "ca_cert_identifier": of.get("ca"),
            "performance_insights_enabled": !insights_key.is_null(),
            "performance_insights_kms_key_id": insights_key,
            "monitoring_role_arn": monitoring["role"],
            "monitoring_interval": if monitoring.is_null() { json!(0) } else { monitoring["seconds"].clone() },
            "enabled_cloudwatch_logs_exports": of.get("log_exports"),
            "copy_tags_to_snapshot": of.get("copy_tags_to_snapshots"),
            "auto_minor_version_upgrade": of.get("minor_upgrades"),
            "backup_retention_period": of.get("backup_days"),
            "backup_window": of.get("backup_window"),
            "maintenance_window": of.get("maintenance_window"),
            "snapshot_identifier": restore["snapshot"],
            "restore_to_point_in_time": point,
            "tags": of.tags,
        }),
    )
}

fn cache_parameters(of: &Of<'_>) -> Part {
    let all = of.get("parameters").as_object().map(parameters).unwrap_or_default();
    Part::new(
        "aws_elasticache_parameter_group",
        json!({
            "name": of.name(),
            "family": of.get("family"),
            "description": of.get("description"),
            "parameter": all,
            "tags": of.tags,
        }),
    )
}

fn cache(of: &Of<'_>) -> Part {
    let replicas = of.get("replicas").as_u64().unwrap_or_default();
    let log_group = of.log_group(&of.get("log_group"), "name");
    let logs = if log_group.is_null() {
        Value::Null
    } else {
        ["slow-log", "engine-log"]
            .map(|log| {
                json!({
                    "destination": log_group, "destination_type": "cloudwatch-logs", "log_format": "json", "log_type": log,
                })
            })
            .into_iter()
            .collect()
    };
    Part::new(
        "aws_elasticache_replication_group",
        json!({
            "replication_group_id": of.name(),
            "description": of.get("description"),
            "engine": of.get("engine"),
            "engine_version": of.get("version"),
            "node_type": of.get("node_type"),
            "num_cache_clusters": replicas + 1,
            "automatic_failover_enabled": of.many("automatic_failover"),
            "multi_az_enabled": of.many("multi_az"),
            "subnet_group_name": of.named("elasticache.SubnetGroup", &of.get("subnet_group")),
            "security_group_ids": of.get("security_groups"),
            "parameter_group_name": of.named("elasticache.ParameterGroup", &of.get("parameter_group")),
            "user_group_ids": [of.named("elasticache.UserGroup", &of.get("user_group"))],
            "port": of.get("port"),
            "at_rest_encryption_enabled": of.get("encrypted"),
            "kms_key_id": of.get("kms_key"),
            "transit_encryption_enabled": of.get("tls"),
            "snapshot_retention_limit": of.get("snapshot_retention"),
            "snapshot_window": of.get("snapshot_window"),
            "maintenance_window": of.get("maintenance_window"),
            "auto_minor_version_upgrade": of.get("auto_minor_version_upgrade"),
            "log_delivery_configuration": logs,
            "tags": of.tags,
        }),
    )
}

fn user(of: &Of<'_>) -> Part {
    Part::new(
        "aws_elasticache_user",
        json!({
            "user_id": of.name(),
            "user_name": of.get("user_name"),
            "engine": of.get("engine"),
            "access_string": of.get("access"),
            "authentication_mode": [{ "type": of.cache_login() }],
            "tags": of.tags,
        }),
    )
}

fn user_group(of: &Of<'_>) -> Part {
    let users: Vec<Value> = of
        .list("users")
        .iter()
        .map(|user| of.named("elasticache.User", user))
        .collect();
    Part::new(
        "aws_elasticache_user_group",
        json!({ "user_group_id": of.name(), "engine": of.get("engine"), "user_ids": users, "tags": of.tags }),
    )
}
