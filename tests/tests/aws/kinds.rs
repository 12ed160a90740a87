//! Kinds beyond the small platform: each lives from create to delete, by one table.

use crate::emulators::Account;
use crate::platform::{actions, apply, apply_with, done, everything, fields, plan};
use platform_core::engine::{Action, PlanRequest};
use platform_core::value::{ResourceId, SetId};
use platform_core::{Resource, Risk};
use serde_json::{Value, json};

/// A kind, and two wishes that differ in everything that may change.
pub(crate) struct Case {
    pub(crate) id: ResourceId,
    pub(crate) first: Value,
    pub(crate) second: Value,
    /// What stands before it.
    pub(crate) after: Vec<ResourceId>,
    /// What a plan from the first to the second wish changes.
    pub(crate) changes: &'static [&'static str],
    /// What it puts at risk.
    pub(crate) risks: &'static [Risk],
}

impl Case {
    pub(crate) fn resource(&self, desired: &Value) -> Resource {
        let resource = Resource::new(self.id.clone(), "kinds", desired.clone());
        self.after.iter().cloned().fold(resource, Resource::with_after)
    }
}

pub(crate) fn set(account: &Account) -> SetId {
    SetId::of(&format!("k{}", account.id), "dev", "")
}

/// The table, in an order in which all can stand at once.
pub(crate) fn cases(prefix: &str, set: &SetId) -> Vec<Case> {
    let id =
        |kind: &str, part: &str| -> ResourceId { format!("aws/eu-west-1:{kind}/{prefix}-{part}").parse().unwrap() };
    let trust =
        |service: &str| json!([{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]);
    let get = |resources: Value| json!([{"Effect": "Allow", "Action": "s3:GetObject", "Resource": resources}]);
    let managed = |name: &str| format!("arn:aws:iam::aws:policy/{name}");
    let role = Case {
        id: id("iam.Role", "role"),
        after: Vec::new(),
        first: json!({
            "path": format!("/mlplat/{set}/"),
            "description": "one",
            "trust": trust("eks.amazonaws.com"),
            "inline": {"kept": get(json!("arn:aws:s3:::a/*")), "goes": get(json!("*"))},
            "managed": [managed("AmazonEKSClusterPolicy"), managed("AmazonEKSServicePolicy")],
            "permissions_boundary": managed("PowerUserAccess"),
            "tags": {"team": "ml"},
        }),
        second: json!({
            "path": format!("/mlplat/{set}/"),
            "description": "other",
            "trust": trust("backup.amazonaws.com"),
            "inline": {"kept": get(json!(["arn:aws:s3:::b/*", "arn:aws:s3:::a/*"])), "new": get(json!("*"))},
            "managed": [managed("ReadOnlyAccess")],
            "max_session": 7200,
            "tags": {"team": "ai"},
        }),
        changes: &[
            "description",
            "inline.goes",
            "inline.kept",
            "inline.new",
            "managed",
            "max_session",
            "permissions_boundary",
            "tags.team",
            "trust",
        ],
        risks: &[Risk::LowersProtection, Risk::Exposes],
    };
    let mut cases = watching(prefix, set);
    cases.push(role);
    cases.extend(clusters(prefix, set));
    cases.extend(backups(prefix, set));
    cases.extend(caches(&id, prefix));
    cases
}

/// Vaults and plans, whose names are short.
fn backups(prefix: &str, set: &SetId) -> Vec<Case> {
    let (stem, _) = set.as_str().rsplit_once('-').unwrap();
    let start: String = stem.chars().take(43).collect();
    let name = |part: &str| {
        let tail = &prefix[prefix.len().saturating_sub(4)..];
        format!("{}-{tail}{part}", start.trim_end_matches('-'))
    };
    let id = |kind: &str, part: &str| -> ResourceId { format!("aws/eu-west-1:{kind}/{}", name(part)).parse().unwrap() };
    let arn = |region: &str, part: &str| format!("arn:aws:backup:{region}:123456789012:backup-vault:{part}");
    let topic = |part: &str| format!("arn:aws:sns:eu-west-1:123456789012:{part}");
    let allow = |action: &str| {
        json!([{"Sid": "Copies", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::999999999999:root"},
            "Action": action, "Resource": "*"}])
    };
    let vault = id("backup.Vault", "v");
    let rule = |schedule: &str, days: u32, copies: Value| json!({"vault": name("v"), "schedule": schedule, "delete_after_days": days, "copies": copies});
    let selection = |resources: Value| json!({"role": "arn:aws:iam::123456789012:role/backup", "resources": resources});
    vec![
        Case {
            id: vault.clone(),
            after: Vec::new(),
            first: json!({"kms_key": "arn:aws:kms:eu-west-1:1:key/k", "lock": {"min_days": 7, "max_days": 100},
                "told": {"topic": topic("a"), "events": ["BACKUP_JOB_FAILED", "COPY_JOB_FAILED"]}, "tags": {"team": "ml"}}),
            second: json!({"kms_key": "arn:aws:kms:eu-west-1:1:key/k", "lock": {"min_days": 2}, "deletion_denied": false,
                "statements": allow("backup:CopyIntoBackupVault"),
                "told": {"topic": topic("b"), "events": ["BACKUP_JOB_COMPLETED", "BACKUP_JOB_FAILED"]}, "tags": {"team": "ai"}}),
            changes: &[
                "deletion_denied",
                "lock.max_days",
                "lock.min_days",
                "statements",
                "tags.team",
                "told.events",
                "told.topic",
            ],
            risks: &[Risk::LowersProtection, Risk::Exposes],
        },
        Case {
            id: id("backup.Plan", "p"),
            after: vec![vault],
            first: json!({
                "rules": {
                    "kept": rule("cron(0 2 * * ? *)", 30, json!({arn("eu-central-1", "a"): {"delete_after_days": 30}})),
                    "goes": rule("cron(0 3 ? * 1 *)", 35, json!({})),
                },
                "selections": {
                    "kept": selection(json!(["arn:aws:rds:eu-west-1:1:db:a", "arn:aws:s3:::a"])),
                    "goes": selection(json!(["arn:aws:s3:::c"])),
                },
                "tags": {"team": "ml"},
            }),
            second: json!({
                "rules": {"kept": {"vault": name("v"), "schedule": "cron(30 4 ? * 2-6 *)", "delete_after_days": 14,
                    "timezone": "Europe/Berlin", "start_window": 60, "completion_window": 600, "continuous": true,
                    "backup_tags": {"a": "b"}, "copies": {arn("eu-central-1", "b"): {}}}},
                "selections": {"kept": selection(json!(["arn:aws:s3:::b", "arn:aws:s3:::a"])), "new": selection(json!(["arn:aws:s3:::d"]))},
                "tags": {"team": "ai"},
            }),
            changes: &[
                "rules.goes",
                "rules.kept.backup_tags.a",
                "rules.kept.completion_window",
                "rules.kept.continuous",
                "rules.kept.copies.arn:aws:backup:eu-central-1:123456789012:backup-vault:a",
                "rules.kept.copies.arn:aws:backup:eu-central-1:123456789012:backup-vault:b",
                "rules.kept.delete_after_days",
                "rules.kept.schedule",
                "rules.kept.start_window",
                "rules.kept.timezone",
                "selections.goes",
                "selections.kept.resources",
                "selections.new",
                "tags.team",
            ],
            risks: &[Risk::LowersProtection],
        },
    ]
}

/// Topics, alarms, rules, dashboards and logs.
fn watching(prefix: &str, set: &SetId) -> Vec<Case> {
    // As names of the set start, by which their lists are cut.
    let (stem, _) = set.as_str().rsplit_once('-').unwrap();
    let name = |part: &str| format!("{stem}-{}-{part}", &prefix[prefix.len().saturating_sub(4)..]);
    let id = |kind: &str, part: &str| -> ResourceId { format!("aws/eu-west-1:{kind}/{}", name(part)).parse().unwrap() };
    let topic = |part: &str| format!("arn:aws:sns:eu-west-1:123456789012:{}", name(part));
    let key = |part: &str| format!("arn:aws:kms:eu-west-1:123456789012:key/{part}");
    let publisher = |service: &str| {
        json!([{"Sid": "Publish", "Effect": "Allow", "Principal": {"Service": service}, "Action": "sns:Publish",
            "Resource": topic("topic"), "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}}])
    };
    let metric = |stat: &str| json!({"namespace": "AWS/RDS", "name": "CPUUtilization", "stat": stat, "dimensions": {"DBInstanceIdentifier": "d"}});
    let filter = |pattern: &str| json!({"pattern": pattern, "namespace": "mlplat", "metric": "denied"});
    vec![
        Case {
            id: id("sns.Topic", "topic"),
            after: Vec::new(),
            first: json!({"kms_key": key("a"), "statements": publisher("cloudwatch.amazonaws.com"),
                "emails": ["a@example.com", "b@example.com"], "tags": {"team": "ml"}}),
            second: json!({"kms_key": key("b"), "statements": publisher("events.amazonaws.com"), "tls_only": false,
                "emails": ["b@example.com", "c@example.com"], "tags": {"team": "ai"}}),
            changes: &["emails", "kms_key", "statements", "tags.team", "tls_only"],
            risks: &[Risk::LowersProtection, Risk::Exposes],
        },
        Case {
            id: id("logs.LogGroup", "group"),
            after: Vec::new(),
            first: json!({"kms_key": key("a"), "retention_days": "90", "metric_filters": {"kept": filter("a"), "goes": filter("b")},
                "tags": {"team": "ml"}}),
            second: json!({"kms_key": key("a"), "retention_days": "30", "metric_filters": {"kept": filter("c"), "new": filter("d")},
                "tags": {"team": "ai"}}),
            changes: &[
                "metric_filters.goes",
                "metric_filters.kept.pattern",
                "metric_filters.new",
                "retention_days",
                "tags.team",
            ],
            risks: &[Risk::DestroysData, Risk::LowersProtection],
        },
        Case {
            id: id("cloudwatch.Alarm", "alarm"),
            after: Vec::new(),
            first: json!({"description": "a", "metric": metric("Average"), "comparison": ">", "threshold": 85, "periods": 5,
                "alarm_actions": [topic("a")], "ok_actions": [topic("a")], "tags": {"team": "ml"}}),
            second: json!({"description": "b", "metric": metric("p99"), "comparison": "<=", "threshold": 0.5, "periods": 3,
                "datapoints": 2, "missing_data": "breaching", "actions_enabled": false, "alarm_actions": [topic("b")],
                "tags": {"team": "ai"}}),
            changes: &[
                "actions_enabled",
                "alarm_actions",
                "comparison",
                "datapoints",
                "description",
                "metric.stat",
                "missing_data",
                "ok_actions",
                "periods",
                "tags.team",
                "threshold",
            ],
            risks: &[Risk::LowersProtection],
        },
        Case {
            id: id("cloudwatch.Dashboard", "board"),
            after: Vec::new(),
            first: json!({"widgets": [{"type": "text", "x": 0, "y": 0, "width": 6, "height": 2, "properties": {"markdown": "a"}}],
                "tags": {"team": "ml"}}),
            second: json!({"widgets": [{"type": "text", "x": 0, "y": 0, "width": 6, "height": 4, "properties": {"markdown": "b"}}],
                "start": "-PT6H", "tags": {"team": "ai"}}),
            changes: &["start", "tags.team", "widgets"],
            risks: &[],
        },
        Case {
            id: id("events.Rule", "rule"),
            after: Vec::new(),
            first: json!({"description": "a", "pattern": {"source": ["aws.backup"], "detail": {"state": ["FAILED"]}},
                "targets": {"kept": {"arn": topic("a")}, "goes": {"arn": topic("b")}}, "tags": {"team": "ml"}}),
            second: json!({"description": "b", "schedule": "rate(1 hour)", "enabled": false, "targets": {
                "kept": {"arn": topic("a"), "parts": {"when": "$.time"}, "template": "\"at <when>\""}, "new": {"arn": topic("b")}},
                "tags": {"team": "ai"}}),
            changes: &[
                "description",
                "enabled",
                "pattern",
                "schedule",
                "tags.team",
                "targets.goes",
                "targets.kept.parts",
                "targets.kept.template",
                "targets.new",
            ],
            risks: &[Risk::LowersProtection],
        },
    ]
}

/// The kinds of a cache.
fn caches(id: &dyn Fn(&str, &str) -> ResourceId, prefix: &str) -> Vec<Case> {
    let name = |part: &str| format!("{prefix}-{part}");
    let after = |desired: &[(&str, Value)], changes: &[(&str, Value)]| -> (Value, Value) {
        let first: serde_json::Map<_, _> = desired
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect();
        let mut second = first.clone();
        second.extend(changes.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        (first.into(), second.into())
    };
    let case = |kind: &str, part: &str, (first, second): (Value, Value), changes, risks| Case {
        id: id(kind, part),
        first,
        second,
        after: match kind {
            "elasticache.UserGroup" => ["app", "default"].map(|user| id("elasticache.User", user)).to_vec(),
            "elasticache.ReplicationGroup" => vec![
                id("elasticache.UserGroup", "users"),
                id("elasticache.SubnetGroup", "subnets"),
            ],
            _ => Vec::new(),
        },
        changes,
        risks,
    };
    vec![
        case(
            "elasticache.ParameterGroup",
            "parameters",
            after(
                &[
                    ("family", json!("valkey8")),
                    (
                        "parameters",
                        json!({"timeout": "30", "maxmemory-policy": "allkeys-lru"}),
                    ),
                ],
                &[(
                    "parameters",
                    json!({"maxmemory-policy": "noeviction", "tcp-keepalive": "60"}),
                )],
            ),
            &[
                "parameters.maxmemory-policy",
                "parameters.tcp-keepalive",
                "parameters.timeout",
            ],
            &[],
        ),
        case(
            "elasticache.SubnetGroup",
            "subnets",
            after(
                &[("subnets", json!(["subnet-00000002", "subnet-00000001"]))],
                &[
                    ("subnets", json!(["subnet-00000001", "subnet-00000003"])),
                    ("description", json!("b")),
                ],
            ),
            &["description", "subnets"],
            &[],
        ),
        case(
            "elasticache.User",
            "app",
            after(
                &[
                    ("user_name", json!(name("app"))),
                    ("access", json!("on ~* &* +@all -@admin")),
                ],
                &[("access", json!("on ~a:* resetchannels +@read"))],
            ),
            &["access"],
            &[Risk::Exposes],
        ),
        case(
            "elasticache.User",
            "default",
            after(
                &[
                    ("user_name", json!("default")),
                    ("access", json!("off ~* -@all")),
                    ("authentication", json!("none")),
                ],
                &[("access", json!("off -@all")), ("tags", json!({"team": "ml"}))],
            ),
            &["access", "tags"],
            &[Risk::Exposes],
        ),
        case(
            "elasticache.UserGroup",
            "users",
            after(
                &[("users", json!([name("app"), name("default")]))],
                &[("users", json!([name("default"), name("other")]))],
            ),
            &["users"],
            &[Risk::Exposes],
        ),
        case(
            "elasticache.ReplicationGroup",
            "cache",
            after(
                &[
                    ("engine", json!("valkey")),
                    ("version", json!("7")),
                    ("node_type", json!("cache.t4g.small")),
                    ("replicas", json!(1)),
                    ("subnet_group", json!(name("subnets"))),
                    ("security_groups", json!(["sg-b", "sg-a"])),
                    ("parameter_group", json!("default.valkey7")),
                    ("user_group", json!(name("users"))),
                    ("kms_key", json!("arn:aws:kms:eu-west-1:1:key/k")),
                    ("log_group", json!("/mlplat/cache")),
                ],
                &[
                    ("version", json!("8")),
                    ("node_type", json!("cache.m7g.large")),
                    ("replicas", json!(0)),
                    ("security_groups", json!(["sg-a", "sg-c"])),
                    ("parameter_group", json!("default.valkey8")),
                    ("log_group", Value::Null),
                    ("snapshot_retention", json!(1)),
                    ("snapshot_window", json!("01:00-02:00")),
                    ("maintenance_window", json!("mon:03:00-mon:04:00")),
                    ("auto_minor_version_upgrade", json!(false)),
                    ("description", json!("other")),
                    ("tags", json!({"team": "ml"})),
                ],
            ),
            &[
                "auto_minor_version_upgrade",
                "automatic_failover",
                "description",
                "log_group",
                "maintenance_window",
                "multi_az",
                "node_type",
                "parameter_group",
                "replicas",
                "security_groups",
                "snapshot_retention",
                "snapshot_window",
                "tags",
                "version",
            ],
            &[
                Risk::Irreversible,
                Risk::LowersProtection,
                Risk::Downtime,
                Risk::Exposes,
            ],
        ),
    ]
}

/// A cluster and what belongs to it.
fn clusters(prefix: &str, set: &SetId) -> Vec<Case> {
    let (stem, _) = set.as_str().rsplit_once('-').unwrap();
    let cluster = format!("{stem}-{}", &prefix[prefix.len().saturating_sub(4)..]);
    let id =
        |kind: &str, own: &str| -> ResourceId { format!("aws/eu-west-1:eks.{kind}/{cluster}{own}").parse().unwrap() };
    let role = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
    let part = |kind: &str, own: &str, first: Value, second: Value, changes, risks| Case {
        id: id(kind, own),
        first,
        second,
        after: vec![id("Cluster", "")],
        changes,
        risks,
    };
    vec![
        Case {
            id: id("Cluster", ""),
            first: json!({"version": "1.34", "role": role("cluster"), "subnets": ["subnet-2", "subnet-1"], "tags": {"team": "ml"},
                "secrets_key": "arn:aws:kms:eu-west-1:123456789012:key/k", "support": "extended"}),
            second: json!({"version": "1.36", "role": role("cluster"), "subnets": ["subnet-1", "subnet-3"], "tags": {"team": "ai"},
                "secrets_key": "arn:aws:kms:eu-west-1:123456789012:key/k", "security_groups": ["sg-1"], "logs": ["audit"],
                "public_access": ["192.0.2.0/24"]}),
            after: Vec::new(),
            changes: &[
                "logs",
                "public_access",
                "security_groups",
                "subnets",
                "support",
                "tags.team",
                "version",
            ],
            risks: &[Risk::Irreversible, Risk::LowersProtection, Risk::Exposes],
        },
        part(
            "Nodegroup",
            "/default",
            json!({"version": "1.34", "role": role("nodes"), "subnets": ["subnet-1"], "instance_types": ["m7i.large"],
                "min": 2, "max": 3, "labels": {"pool": "a", "old": "b"}, "taints": ["gpu=yes:NoSchedule"]}),
            json!({"version": "1.35", "role": role("nodes"), "subnets": ["subnet-1"], "instance_types": ["m7i.large"],
                "min": 1, "max": 4, "labels": {"pool": "b", "new": "c"}, "taints": ["gpu=no:NoExecute"],
                "max_unavailable_percent": 50, "tags": {"team": "ml"}}),
            &[
                "labels.new",
                "labels.old",
                "labels.pool",
                "max",
                "max_unavailable_percent",
                "min",
                "tags",
                "taints",
                "version",
            ],
            &[Risk::Irreversible, Risk::Downtime],
        ),
        part(
            "Addon",
            "/vpc-cni",
            json!({"kubernetes": "1.34", "configuration": "{\"enableNetworkPolicy\": \"true\"}", "tags": {"team": "ml"}}),
            json!({"kubernetes": "1.35"}),
            &["configuration", "kubernetes", "tags"],
            &[],
        ),
        part(
            "AccessEntry",
            "/123456789012/role/people/Admin",
            json!({"groups": ["b", "a"], "policies": {"AmazonEKSClusterAdminPolicy": [], "AmazonEKSViewPolicy": ["b", "a"]},
                "tags": {"team": "ml"}}),
            json!({"groups": ["c"], "policies": {"AmazonEKSEditPolicy": [], "AmazonEKSViewPolicy": ["a"]}}),
            &[
                "groups",
                "policies.AmazonEKSClusterAdminPolicy",
                "policies.AmazonEKSEditPolicy",
                "policies.AmazonEKSViewPolicy",
                "tags",
            ],
            &[Risk::Exposes],
        ),
        part(
            "PodIdentityAssociation",
            "/monitoring/grafana",
            json!({"role": role("grafana"), "tags": {"team": "ml"}}),
            json!({"role": role("other")}),
            &["role", "tags"],
            &[Risk::Exposes],
        ),
    ]
}

/// The table of an account.
pub(crate) fn all(account: &Account) -> Vec<Case> {
    cases(&format!("k{}", account.id), &set(account))
}

/// What the whole table asks for.
pub(crate) fn request(account: &Account) -> PlanRequest {
    request_of(account, &all(account))
}

/// What a table asks for.
pub(crate) fn request_of(account: &Account, cases: &[Case]) -> PlanRequest {
    PlanRequest {
        resources: cases.iter().map(|case| case.resource(&case.first)).collect(),
        ..PlanRequest::destroy(set(account))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_lives_from_create_to_delete() {
    let account = Account::new().with_speed(20);
    live(&account, &all(&account)).await;
}

/// Brings up a table, changes all of it, and takes it down.
pub(crate) async fn live(account: &Account, cases: &[Case]) {
    let engine = account.engine("a");
    let mut request = request_of(account, cases);

    let first = plan(&engine, &request).await;
    assert!(actions(&first).iter().all(|(action, _)| *action == Action::Create));
    assert_eq!(done(&apply(&engine, &first).await), cases.len());
    let second = plan(&engine, &request).await;
    assert!(second.is_empty(), "{:#?}", second.changes().collect::<Vec<_>>());

    for (at, case) in cases.iter().enumerate() {
        request.resources[at] = case.resource(&case.second);
    }
    let change = plan(&engine, &request).await;
    for case in cases {
        assert_eq!(fields(&change, &case.id), case.changes, "{}", case.id);
        let risks = &change.step(&case.id).unwrap().risks;
        assert!(risks.iter().eq(case.risks), "{}: {risks:?}", case.id);
    }
    apply_with(&engine, &change, &everything(&change)).await;
    let after = plan(&engine, &request).await;
    assert!(after.is_empty(), "{:#?}", after.changes().collect::<Vec<_>>());

    // Another platform that wants the same names is refused.
    let other = PlanRequest {
        set: SetId::of("other", "dev", ""),
        ..request.clone()
    };
    for step in engine.plan(&other).await.unwrap().steps {
        let blocked = step.blocked.unwrap();
        assert!(
            blocked.why.contains(set(account).as_str()),
            "{}: {}",
            step.id,
            blocked.why
        );
    }

    // What is no longer wanted is found by what the service lists.
    let gone = PlanRequest::destroy(set(account));
    let destroy = plan(&engine, &gone).await;
    assert_eq!(destroy.changes().count(), cases.len());
    let report = apply_with(&engine, &destroy, &everything(&destroy)).await;
    assert_eq!(report.left.len(), 0, "{:?}", report.left);
    assert!(plan(&engine, &gone).await.steps.is_empty());
}
