//! What the engine has to know of a replication group.

use platform_core::{
    Calls, Charset, Creation, Equal, Field, FieldChange, Holds, KindFacts, NameRule, Risk, RiskRule, Updating,
};
use std::time::Duration;

pub(super) static FACTS: KindFacts = KindFacts {
    kind: "elasticache.ReplicationGroup",
    holds: Holds::Rebuildable,
    rank: 50,
    name: NameRule {
        max: 40,
        charset: Charset::AwsIdentifier,
    },
    create: Creation::Exclusive,
    update: Updating::WhenSettled,
    patience: Duration::from_hours(1),
    usually: Duration::from_mins(8),
    taken: "",
    removal: None,
    outputs: &["arn", "name", "endpoint", "port", "reader"],
    fields: &[
        Field::new("engine").changes(FieldChange::Never),
        // Upwards only; there is no way back but a snapshot.
        Field::new("version")
            .changes(FieldChange::GrowOnly)
            .risk(RiskRule::Always(Risk::Irreversible)),
        Field::new("node_type").risk(RiskRule::Always(Risk::Downtime)),
        Field::new("replicas").risk(RiskRule::Shrinks(Risk::LowersProtection)),
        Field::new("automatic_failover").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        Field::new("multi_az").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        Field::new("parameter_group").names("elasticache.ParameterGroup"),
        Field::new("subnet_group")
            .names("elasticache.SubnetGroup")
            .changes(FieldChange::Never),
        Field::new("port").changes(FieldChange::Never),
        Field::new("kms_key").names("kms.Key").changes(FieldChange::Never),
        Field::new("encrypted").changes(FieldChange::Never),
        // Clients have to take part, in two steps.
        Field::new("tls")
            .changes(FieldChange::Never)
            .instead("move it to TLS first, as ElastiCache's guide to in-transit encryption says"),
        Field::new("security_groups")
            .names("ec2.SecurityGroup")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
        Field::new("user_group")
            .names("elasticache.UserGroup")
            .risk(RiskRule::Always(Risk::Exposes)),
        Field::new("snapshot_retention").risk(RiskRule::Shrinks(Risk::LowersProtection)),
        Field::new("auto_minor_version_upgrade").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        Field::new("log_group")
            .names("logs.LogGroup")
            .risk(RiskRule::Removed(Risk::LowersProtection)),
    ],
    calls: Calls {
        read: &[
            "elasticache:DescribeReplicationGroups",
            "elasticache:DescribeCacheClusters",
            "elasticache:ListTagsForResource",
            "tag:GetResources",
        ],
        create: &[
            "elasticache:DescribeCacheEngineVersions",
            "elasticache:CreateReplicationGroup",
            "elasticache:AddTagsToResource",
            "elasticache:RemoveTagsFromResource",
            // ElastiCache checks these by itself.
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
            "iam:CreateServiceLinkedRole",
            "kms:CreateGrant",
            "kms:DescribeKey",
        ],
        update: &[
            "elasticache:DescribeCacheEngineVersions",
            "elasticache:ModifyReplicationGroup",
            "elasticache:IncreaseReplicaCount",
            "elasticache:DecreaseReplicaCount",
            "elasticache:AddTagsToResource",
            "elasticache:RemoveTagsFromResource",
        ],
        delete: &["elasticache:CreateSnapshot", "elasticache:DeleteReplicationGroup"],
    },
};
