//! What watches and backs up, and the cluster.

use super::super::of::{Of, Part, document, is_plain, list, some};
use super::{pairs, tags};
use serde_json::{Value, json};

/// The parts of one of these kinds.
pub(super) fn parts(of: &Of<'_>) -> Option<Vec<Part>> {
    Some(match of.id.kind().as_str() {
        "logs.LogGroup" => log_group(of),
        "cloudwatch.Alarm" => vec![alarm(of)],
        "cloudwatch.CompositeAlarm" => vec![Part::new(
            "AWS::CloudWatch::CompositeAlarm",
            json!({
                "AlarmName": of.name(),
                "AlarmDescription": of.get("description"),
                "AlarmRule": of.get("rule"),
                "ActionsEnabled": of.get("actions_enabled"),
                "AlarmActions": of.get("alarm_actions"),
                "OKActions": of.get("ok_actions"),
                "Tags": tags(of),
            }),
        )],
        "cloudwatch.Dashboard" => vec![Part::new(
            "AWS::CloudWatch::Dashboard",
            json!({ "DashboardName": of.name(), "DashboardBody": of.dashboard(), "Tags": tags(of) }),
        )],
        "events.Rule" => vec![rule(of)],
        "sns.Topic" => topic(of),
        "backup.Vault" => vec![vault(of)],
        "backup.Plan" => plan(of),
        "eks.Cluster" => vec![cluster(of)],
        "eks.Nodegroup" => vec![servers(of)],
        "eks.Addon" => vec![addon(of)],
        "eks.AccessEntry" => vec![access(of)],
        "eks.PodIdentityAssociation" => vec![pod_identity(of)],
        _ => return None,
    })
}

fn log_group(of: &Of<'_>) -> Vec<Part> {
    let group = json!({
        "LogGroupName": format!("/{}", of.name()),
        "RetentionInDays": of.retention_days(),
        "KmsKeyId": of.get("kms_key"),
        "Tags": tags(of),
    });
    let mut parts = vec![Part::new("AWS::Logs::LogGroup", group)];
    for (name, filter) in of.entries("metric_filters") {
        let filter = json!({
            "FilterName": name,
            "LogGroupName": of.own("name"),
            "FilterPattern": filter["pattern"],
            "MetricTransformations": [{
                "MetricName": filter["metric"],
                "MetricNamespace": filter["namespace"],
                "MetricValue": filter["value"],
                "DefaultValue": filter["default"],
            }],
        });
        parts.push(Part::called("AWS::Logs::MetricFilter", name, filter));
    }
    parts
}

fn dimensions(metric: &Value) -> Value {
    some(list(&pairs(&metric["dimensions"], "Name")))
}

fn alarm(of: &Of<'_>) -> Part {
    let metric = of.get("metric");
    let statistic = metric["stat"].clone();
    let (plain, extended) = if is_plain(&statistic) {
        (statistic, Value::Null)
    } else {
        (Value::Null, statistic)
    };
    let queries = of.entries("queries").map(|(id, query)| asked(id, query));
    Part::new(
        "AWS::CloudWatch::Alarm",
        json!({
            "AlarmName": of.name(),
            "AlarmDescription": of.get("description"),
            "ComparisonOperator": of.comparison(),
            "Threshold": of.get("threshold"),
            "EvaluationPeriods": of.get("periods"),
            "DatapointsToAlarm": of.get("datapoints"),
            "TreatMissingData": of.get("missing_data"),
            "Namespace": metric["namespace"],
            "MetricName": metric["name"],
            "Dimensions": dimensions(&metric),
            "Period": metric["period"],
            "Statistic": plain,
            "ExtendedStatistic": extended,
            "Metrics": some(queries.collect()),
            "ActionsEnabled": of.get("actions_enabled"),
            "AlarmActions": of.get("alarm_actions"),
            "OKActions": of.get("ok_actions"),
            "Tags": tags(of),
        }),
    )
}

fn asked(id: &str, query: &Value) -> Value {
    let metric = match &query["metric"] {
        Value::Null => Value::Null,
        metric => json!({
            "Metric": {
                "Namespace": metric["namespace"], "MetricName": metric["name"], "Dimensions": dimensions(metric),
            },
            "Period": metric["period"],
            "Stat": metric["stat"],
        }),
    };
    json!({
        "Id": id,
        "Expression": query["expression"],
        "Label": query["label"],
        "ReturnData": query["compared"],
        "MetricStat": metric,
    })
}

fn rule(of: &Of<'_>) -> Part {
    let targets = of.entries("targets").map(|(id, target)| {
        let transformer = match &target["template"] {
            Value::Null => Value::Null,
            template => json!({ "InputPathsMap": target["parts"], "InputTemplate": template }),
        };
        json!({ "Id": id, "Arn": target["arn"], "RoleArn": target["role"], "InputTransformer": transformer })
    });
    Part::new(
        "AWS::Events::Rule",
        json!({
            "Name": of.name(),
            "Description": of.get("description"),
            "EventPattern": of.get("pattern"),
            "ScheduleExpression": of.get("schedule"),
            "State": if of.is("enabled") { "ENABLED" } else { "DISABLED" },
            "Targets": some(targets.collect()),
            "Tags": tags(of),
        }),
    )
}

fn topic(of: &Of<'_>) -> Vec<Part> {
    let topic = json!({ "TopicName": of.name(), "KmsMasterKeyId": of.get("kms_key"), "Tags": tags(of) });
    let mut parts = vec![Part::new("AWS::SNS::Topic", topic)];
    let statements = of.statements();
    if !statements.is_empty() {
        let policy = json!({ "Topics": [of.own("arn")], "PolicyDocument": document(&statements) });
        parts.push(Part::new("AWS::SNS::TopicPolicy", policy));
    }
    let mut subscribe = |name: &str, protocol: &str, endpoint: &Value| {
        let subscription = json!({ "TopicArn": of.own("arn"), "Protocol": protocol, "Endpoint": endpoint });
        parts.push(Part::called("AWS::SNS::Subscription", name, subscription));
    };
    for email in of.list("emails") {
        subscribe(email.as_str().unwrap_or_default(), "email", &email);
    }
    for (name, url) in of.entries("webhooks") {
        subscribe(name, "https", url);
    }
    parts
}

fn vault(of: &Of<'_>) -> Part {
    let lock = match of.get("lock") {
        Value::Null => Value::Null,
        lock => json!({ "MinRetentionDays": lock["min_days"], "MaxRetentionDays": lock["max_days"] }),
    };
    let told = match of.get("told") {
        Value::Null => Value::Null,
        told => json!({ "SNSTopicArn": told["topic"], "BackupVaultEvents": told["events"] }),
    };
    let statements = of.statements();
    let policy = if statements.is_empty() {
        Value::Null
    } else {
        document(&statements)
    };
    Part::new(
        "AWS::Backup::BackupVault",
        json!({
            "BackupVaultName": of.name(),
            "EncryptionKeyArn": of.get("kms_key"),
            "AccessPolicy": policy,
            "LockConfiguration": lock,
            "Notifications": told,
            "BackupVaultTags": of.tags,
        }),
    )
}

fn plan(of: &Of<'_>) -> Vec<Part> {
    let rules: Vec<Value> = of
        .entries("rules")
        .map(|(name, rule)| backup_rule(of, name, rule))
        .collect();
    let plan = json!({
        "BackupPlan": { "BackupPlanName": of.name(), "BackupPlanRule": rules },
        "BackupPlanTags": of.tags,
    });
    let mut parts = vec![Part::new("AWS::Backup::BackupPlan", plan)];
    for (name, selection) in of.entries("selections") {
        let chosen = json!({
            "SelectionName": name, "IamRoleArn": selection["role"], "Resources": selection["resources"],
        });
        let selection = json!({ "BackupPlanId": of.own("id"), "BackupSelection": chosen });
        parts.push(Part::called("AWS::Backup::BackupSelection", name, selection));
    }
    parts
}

fn backup_rule(of: &Of<'_>, name: &str, rule: &Value) -> Value {
    let lifecycle = |of: &Value| {
        let (delete, cold) = (&of["delete_after_days"], &of["cold_after_days"]);
        if delete.is_null() && cold.is_null() {
            return Value::Null;
        }
        json!({ "DeleteAfterDays": delete, "MoveToColdStorageAfterDays": cold })
    };
    let copies = rule["copies"].as_object().into_iter().flatten();
    let copies =
        copies.map(|(vault, copy)| json!({ "DestinationBackupVaultArn": vault, "Lifecycle": lifecycle(copy) }));
    json!({
        "RuleName": name,
        "TargetBackupVault": of.named("backup.Vault", &rule["vault"]),
        "ScheduleExpression": rule["schedule"],
        "ScheduleExpressionTimezone": rule["timezone"],
        "StartWindowMinutes": rule["start_window"],
        "CompletionWindowMinutes": rule["completion_window"],
        "EnableContinuousBackup": rule["continuous"],
        "RecoveryPointTags": rule["backup_tags"],
        "Lifecycle": lifecycle(rule),
        "CopyActions": some(copies.collect()),
    })
}

fn cluster(of: &Of<'_>) -> Part {
    let encryption = match of.get("secrets_key") {
        Value::Null => Value::Null,
        key => json!([{ "Resources": ["secrets"], "Provider": { "KeyArn": key } }]),
    };
    let logs: Vec<Value> = of.list("logs").iter().map(|log| json!({ "Type": log })).collect();
    Part::new(
        "AWS::EKS::Cluster",
        json!({
            "Name": of.name(),
            "Version": of.get("version"),
            "RoleArn": of.get("role"),
            "Logging": { "ClusterLogging": { "EnabledTypes": logs } },
            "ResourcesVpcConfig": {
                "SubnetIds": of.get("subnets"),
                "SecurityGroupIds": of.get("security_groups"),
                "EndpointPrivateAccess": of.get("private_access"),
                "EndpointPublicAccess": of.is_public(),
                "PublicAccessCidrs": if of.is_public() { of.get("public_access") } else { Value::Null },
            },
            "EncryptionConfig": encryption,
            "AccessConfig": { "AuthenticationMode": of.upper("authentication") },
            "DeletionProtection": of.get("deletion_protection"),
            "UpgradePolicy": { "SupportType": of.upper("support") },
            "Tags": tags(of),
        }),
    )
}

fn servers(of: &Of<'_>) -> Part {
    let (cluster, name) = of.in_cluster();
    let taints = of.taints();
    let taints = taints
        .iter()
        .map(|[key, value, effect]| json!({ "Key": key, "Value": value, "Effect": effect }));
    Part::new(
        "AWS::EKS::Nodegroup",
        json!({
            "ClusterName": cluster,
            "NodegroupName": name,
            "NodeRole": of.get("role"),
            "Subnets": of.get("subnets"),
            "Version": of.get("version"),
            "InstanceTypes": of.get("instance_types"),
            "AmiType": of.get("image"),
            "DiskSize": of.get("disk_gib"),
            "CapacityType": if of.is("spot") { "SPOT" } else { "ON_DEMAND" },
            "ScalingConfig": { "DesiredSize": of.get("min"), "MinSize": of.get("min"), "MaxSize": of.get("max") },
            "UpdateConfig": { "MaxUnavailablePercentage": of.get("max_unavailable_percent") },
            "Labels": of.get("labels"),
            "Taints": some(taints.collect()),
            "Tags": of.tags,
        }),
    )
}

fn addon(of: &Of<'_>) -> Part {
    let (cluster, name) = of.in_cluster();
    Part::new(
        "AWS::EKS::Addon",
        json!({
            "ClusterName": cluster,
            "AddonName": name,
            "ConfigurationValues": of.get("configuration"),
            "Tags": tags(of),
        }),
    )
}

fn access(of: &Of<'_>) -> Part {
    let (cluster, _) = of.in_cluster();
    let policies = of.entries("policies").map(|(policy, namespaces)| {
        let scope = match some(list(namespaces)) {
            Value::Null => json!({ "Type": "cluster" }),
            namespaces => json!({ "Type": "namespace", "Namespaces": namespaces }),
        };
        json!({ "PolicyArn": of.access_policy(policy), "AccessScope": scope })
    });
    Part::new(
        "AWS::EKS::AccessEntry",
        json!({
            "ClusterName": cluster,
            "PrincipalArn": of.principal(),
            "KubernetesGroups": some(of.list("groups")),
            "AccessPolicies": some(policies.collect()),
            "Tags": tags(of),
        }),
    )
}

fn pod_identity(of: &Of<'_>) -> Part {
    let (cluster, namespace, account) = of.service_account();
    Part::new(
        "AWS::EKS::PodIdentityAssociation",
        json!({
            "ClusterName": cluster,
            "Namespace": namespace,
            "ServiceAccount": account,
            "RoleArn": of.get("role"),
            "Tags": tags(of),
        }),
    )
}
