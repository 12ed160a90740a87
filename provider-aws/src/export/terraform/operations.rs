//! What watches and backs up, and the cluster.

use super::super::of::{Of, Part, is_plain, json_text, some};
use super::policy_text;
use serde_json::{Value, json};

/// The parts of one of these kinds.
pub(super) fn parts(of: &Of<'_>) -> Option<Vec<Part>> {
    Some(match of.id.kind().as_str() {
        "logs.LogGroup" => log_group(of),
        "cloudwatch.Alarm" => vec![alarm(of)],
        "cloudwatch.CompositeAlarm" => vec![composite(of)],
        "cloudwatch.Dashboard" => vec![dashboard(of)],
        "events.Rule" => rule(of),
        "sns.Topic" => topic(of),
        "backup.Vault" => vault(of),
        "backup.Plan" => plan(of),
        "eks.Cluster" => vec![cluster(of)],
        "eks.Nodegroup" => vec![servers(of)],
        "eks.Addon" => vec![addon(of)],
        "eks.AccessEntry" => access(of),
        "eks.PodIdentityAssociation" => vec![pod_identity(of)],
        _ => return None,
    })
}

fn log_group(of: &Of<'_>) -> Vec<Part> {
    let group = json!({
        "name": format!("/{}", of.name()),
        "retention_in_days": of.retention_days().unwrap_or_default(),
        "kms_key_id": of.get("kms_key"),
        "tags": of.tags,
    });
    let mut parts = vec![Part::new("aws_cloudwatch_log_group", group)];
    for (name, filter) in of.entries("metric_filters") {
        let filter = json!({
            "name": name,
            "log_group_name": of.own("name"),
            "pattern": filter["pattern"],
            "metric_transformation": [{
                "name": filter["metric"],
                "namespace": filter["namespace"],
                "value": filter["value"],
                "default_value": filter["default"],
            }],
        });
        parts.push(Part::called("aws_cloudwatch_log_metric_filter", name, filter));
    }
    parts
}

/// `statistic`, or `extended_statistic` for a percentile.
fn statistic(metric: &Value) -> (Value, Value) {
    let statistic = metric["stat"].clone();
    if is_plain(&statistic) {
        (statistic, Value::Null)
    } else {
        (Value::Null, statistic)
    }
}

fn alarm(of: &Of<'_>) -> Part {
    let metric = of.get("metric");
    let (plain, extended) = statistic(&metric);
    let queries: Vec<Value> = of
        .entries("queries")
        .map(|(id, query)| query_block(id, query))
        .collect();
    Part::new(
        "aws_cloudwatch_metric_alarm",
        json!({
            "alarm_name": of.name(),
            "alarm_description": of.get("description"),
            "comparison_operator": of.comparison(),
            "threshold": of.get("threshold"),
            "evaluation_periods": of.get("periods"),
            "datapoints_to_alarm": of.get("datapoints"),
            "treat_missing_data": of.get("missing_data"),
            "namespace": metric["namespace"],
            "metric_name": metric["name"],
            "dimensions": metric["dimensions"],
            "period": metric["period"],
            "statistic": plain,
            "extended_statistic": extended,
            "metric_query": some(queries),
            "actions_enabled": of.get("actions_enabled"),
            "alarm_actions": of.get("alarm_actions"),
            "ok_actions": of.get("ok_actions"),
            "tags": of.tags,
        }),
    )
}

fn query_block(id: &str, query: &Value) -> Value {
    let metric = match &query["metric"] {
        Value::Null => Value::Null,
        metric => json!([{
            "namespace": metric["namespace"],
            "metric_name": metric["name"],
            "dimensions": metric["dimensions"],
            "period": metric["period"],
            "stat": metric["stat"],
        }]),
    };
    json!({
        "id": id,
        "expression": query["expression"],
        "label": query["label"],
        "return_data": query["compared"],
        "metric": metric,
    })
}

fn composite(of: &Of<'_>) -> Part {
    Part::new(
        "aws_cloudwatch_composite_alarm",
        json!({
            "alarm_name": of.name(),
            "alarm_description": of.get("description"),
            "alarm_rule": of.get("rule"),
            "actions_enabled": of.get("actions_enabled"),
            "alarm_actions": of.get("alarm_actions"),
            "ok_actions": of.get("ok_actions"),
            "tags": of.tags,
        }),
    )
}

fn dashboard(of: &Of<'_>) -> Part {
    Part::new(
        "aws_cloudwatch_dashboard",
        json!({ "dashboard_name": of.name(), "dashboard_body": of.dashboard() }),
    )
}

fn rule(of: &Of<'_>) -> Vec<Part> {
    let pattern = match of.get("pattern") {
        Value::Null => Value::Null,
        pattern => json_text(&pattern),
    };
    let rule = json!({
        "name": of.name(),
        "description": of.get("description"),
        "event_pattern": pattern,
        "schedule_expression": of.get("schedule"),
        "state": if of.is("enabled") { "ENABLED" } else { "DISABLED" },
        "tags": of.tags,
    });
    let mut parts = vec![Part::new("aws_cloudwatch_event_rule", rule)];
    for (id, target) in of.entries("targets") {
        let transformer = match &target["template"] {
            Value::Null => Value::Null,
            template => json!([{ "input_paths": target["parts"], "input_template": template }]),
        };
        let target = json!({
            "rule": of.own("name"),
            "target_id": id,
            "arn": target["arn"],
            "role_arn": target["role"],
            "input_transformer": transformer,
        });
        parts.push(Part::called("aws_cloudwatch_event_target", id, target));
    }
    parts
}

fn topic(of: &Of<'_>) -> Vec<Part> {
    let topic = json!({ "name": of.name(), "kms_master_key_id": of.get("kms_key"), "tags": of.tags });
    let mut parts = vec![Part::new("aws_sns_topic", topic)];
    let statements = of.statements();
    if !statements.is_empty() {
        let policy = json!({ "arn": of.own("arn"), "policy": policy_text(&statements) });
        parts.push(Part::new("aws_sns_topic_policy", policy));
    }
    for email in of.list("emails") {
        let subscription = json!({ "topic_arn": of.own("arn"), "protocol": "email", "endpoint": email });
        let suffix = email.as_str().unwrap_or_default();
        parts.push(Part::called("aws_sns_topic_subscription", suffix, subscription));
    }
    for (name, url) in of.entries("webhooks") {
        let subscription = json!({ "topic_arn": of.own("arn"), "protocol": "https", "endpoint": url });
        parts.push(Part::called("aws_sns_topic_subscription", name, subscription));
    }
    parts
}

fn vault(of: &Of<'_>) -> Vec<Part> {
    let name = of.own("name");
    let vault = json!({ "name": of.name(), "kms_key_arn": of.get("kms_key"), "tags": of.tags });
    let mut parts = vec![Part::new("aws_backup_vault", vault)];
    let statements = of.statements();
    if !statements.is_empty() {
        let policy = json!({ "backup_vault_name": name, "policy": policy_text(&statements) });
        parts.push(Part::new("aws_backup_vault_policy", policy));
    }
    let lock = of.get("lock");
    if !lock.is_null() {
        parts.push(Part::new(
            "aws_backup_vault_lock_configuration",
            json!({
                "backup_vault_name": name,
                "min_retention_days": lock["min_days"],
                "max_retention_days": lock["max_days"],
            }),
        ));
    }
    let told = of.get("told");
    if !told.is_null() {
        parts.push(Part::new(
            "aws_backup_vault_notifications",
            json!({
                "backup_vault_name": name,
                "sns_topic_arn": told["topic"],
                "backup_vault_events": told["events"],
            }),
        ));
    }
    parts
}

fn plan(of: &Of<'_>) -> Vec<Part> {
    let rules: Vec<Value> = of
        .entries("rules")
        .map(|(name, rule)| backup_rule(of, name, rule))
        .collect();
    let mut parts = vec![Part::new(
        "aws_backup_plan",
        json!({ "name": of.name(), "rule": rules, "tags": of.tags }),
    )];
    for (name, selection) in of.entries("selections") {
        let selection = json!({
            "plan_id": of.own("id"),
            "name": name,
            "iam_role_arn": selection["role"],
            "resources": selection["resources"],
        });
        parts.push(Part::called("aws_backup_selection", name, selection));
    }
    parts
}

fn backup_rule(of: &Of<'_>, name: &str, rule: &Value) -> Value {
    let lifecycle = |of: &Value| {
        let (delete, cold) = (&of["delete_after_days"], &of["cold_after_days"]);
        if delete.is_null() && cold.is_null() {
            return Value::Null;
        }
        json!([{ "delete_after": delete, "cold_storage_after": cold }])
    };
    let copies: Vec<Value> = rule["copies"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(vault, copy)| json!({ "destination_vault_arn": vault, "lifecycle": lifecycle(copy) }))
        .collect();
    json!({
        "rule_name": name,
        "target_vault_name": of.named("backup.Vault", &rule["vault"]),
        "schedule": rule["schedule"],
        "schedule_expression_timezone": rule["timezone"],
        "start_window": rule["start_window"],
        "completion_window": rule["completion_window"],
        "enable_continuous_backup": rule["continuous"],
        "recovery_point_tags": rule["backup_tags"],
        "lifecycle": lifecycle(rule),
        "copy_action": some(copies),
    })
}

fn cluster(of: &Of<'_>) -> Part {
    let public = of.is_public();
    let encryption = match of.get("secrets_key") {
        Value::Null => Value::Null,
        key => json!([{ "resources": ["secrets"], "provider": [{ "key_arn": key }] }]),
    };
    Part::new(
        "aws_eks_cluster",
        json!({
            "name": of.name(),
            "version": of.get("version"),
            "role_arn": of.get("role"),
            "enabled_cluster_log_types": of.get("logs"),
            "vpc_config": [{
                "subnet_ids": of.get("subnets"),
                "security_group_ids": of.get("security_groups"),
                "endpoint_private_access": of.get("private_access"),
                "endpoint_public_access": public,
                "public_access_cidrs": if public { of.get("public_access") } else { Value::Null },
            }],
            "encryption_config": encryption,
            "access_config": [{ "authentication_mode": of.upper("authentication") }],
            "deletion_protection": of.get("deletion_protection"),
            "upgrade_policy": [{ "support_type": of.upper("support") }],
            "tags": of.tags,
        }),
    )
}

fn servers(of: &Of<'_>) -> Part {
    let (cluster, name) = of.in_cluster();
    let taint = |[key, value, effect]: &[String; 3]| json!({ "key": key, "value": value, "effect": effect });
    let taints: Vec<Value> = of.taints().iter().map(taint).collect();
    Part::new(
        "aws_eks_node_group",
        json!({
            "cluster_name": cluster,
            "node_group_name": name,
            "node_role_arn": of.get("role"),
            "subnet_ids": of.get("subnets"),
            "version": of.get("version"),
            "instance_types": of.get("instance_types"),
            "ami_type": of.get("image"),
            "disk_size": of.get("disk_gib"),
            "capacity_type": if of.is("spot") { "SPOT" } else { "ON_DEMAND" },
            "scaling_config": [{ "desired_size": of.get("min"), "min_size": of.get("min"), "max_size": of.get("max") }],
            "update_config": [{ "max_unavailable_percentage": of.get("max_unavailable_percent") }],
            "labels": of.get("labels"),
            "taint": some(taints),
            "tags": of.tags,
        }),
    )
}

fn addon(of: &Of<'_>) -> Part {
    let (cluster, name) = of.in_cluster();
    Part::new(
        "aws_eks_addon",
        json!({
            "cluster_name": cluster,
            "addon_name": name,
            "configuration_values": of.get("configuration"),
            "tags": of.tags,
        }),
    )
}

fn access(of: &Of<'_>) -> Vec<Part> {
    let (cluster, _) = of.in_cluster();
    let principal = of.principal();
    let entry = json!({
        "cluster_name": cluster,
        "principal_arn": principal,
        "kubernetes_groups": of.get("groups"),
        "tags": of.tags,
    });
    let mut parts = vec![Part::new("aws_eks_access_entry", entry)];
    for (policy, namespaces) in of.entries("policies") {
        let everywhere = namespaces.as_array().is_none_or(Vec::is_empty);
        let scope = if everywhere {
            json!([{ "type": "cluster" }])
        } else {
            json!([{ "type": "namespace", "namespaces": namespaces }])
        };
        let association = json!({
            "cluster_name": cluster,
            "principal_arn": principal,
            "policy_arn": of.access_policy(policy),
            "access_scope": scope,
        });
        parts.push(Part::called("aws_eks_access_policy_association", policy, association));
    }
    parts
}

fn pod_identity(of: &Of<'_>) -> Part {
    let (cluster, namespace, account) = of.service_account();
    Part::new(
        "aws_eks_pod_identity_association",
        json!({
            "cluster_name": cluster,
            "namespace": namespace,
            "service_account": account,
            "role_arn": of.get("role"),
            "tags": of.tags,
        }),
    )
}
