//! What the engine has to know of a database server.

use super::MAX_NAME;
use platform_core::{
    Calls, Charset, Creation, Equal, Field, FieldChange, Holds, KindFacts, NameRule, Risk, RiskRule, Updating,
};
use std::time::Duration;

const OTHER_MAJOR: &str = "another major version is a step of its own, which stops the server and cannot be taken back. Try it \
    first on a copy: aws rds restore-db-instance-from-db-snapshot. Then take a snapshot, and upgrade by hand: aws rds \
    modify-db-instance --engine-version VERSION --allow-major-version-upgrade --db-parameter-group-name default.postgresVERSION \
    --apply-immediately; write that version here and plan again: the parameter group follows";
const OTHER_KEY: &str = "a volume keeps its key: take a snapshot, copy it with the other key (aws rds copy-db-snapshot \
    --kms-key-id), and restore that copy under a new name (names: in the config)";
const OTHER_SECRET: &str = "RDS never changes the key of the master user's secret. Of an instance whose password somebody else \
    keeps: aws rds modify-db-instance --manage-master-user-password --master-user-secret-kms-key-id KEY, then plan again";
const MADE_WITH_IT: &str = "it is chosen when the instance is made: set it back, or make a new one under another name";
const RESTORE: &str = "it exists, and a restore never writes over what is there: leave `restore_from` out, or restore under \
    another name (names: in the config)";

pub(super) static FACTS: KindFacts = KindFacts {
    kind: "rds.DbInstance",
    holds: Holds::Durable,
    rank: 60,
    name: NameRule {
        max: MAX_NAME,
        charset: Charset::AwsIdentifier,
    },
    create: Creation::Exclusive,
    update: Updating::WhenSettled,
    patience: Duration::from_mins(90),
    usually: Duration::from_mins(12),
    taken: "",
    removal: None,
    outputs: &[
        "arn",
        "name",
        "resource_id",
        "host",
        "secret_arn",
        "password",
        "username",
        "database",
        "engine_version",
    ],
    fields: &[
        Field::new("engine_version")
            .changes(FieldChange::Never)
            .instead(OTHER_MAJOR),
        Field::new("class")
            .changes(FieldChange::Restart)
            .risk(RiskRule::Always(Risk::Downtime)),
        Field::new("storage_gib").changes(FieldChange::GrowOnly),
        Field::new("kms_key")
            .names("kms.Key")
            .changes(FieldChange::Never)
            .instead(OTHER_KEY),
        Field::new("database").changes(FieldChange::Never).instead(MADE_WITH_IT),
        Field::new("username").changes(FieldChange::Never).instead(MADE_WITH_IT),
        Field::new("secret_key")
            .names("kms.Key")
            .changes(FieldChange::Never)
            .instead(OTHER_SECRET),
        Field::new("insights_key").names("kms.Key"),
        Field::new("monitoring.role").names("iam.Role"),
        Field::new("parameter_group").names("rds.DbParameterGroup"),
        Field::new("subnet_group")
            .names("rds.DbSubnetGroup")
            .changes(FieldChange::Never)
            .instead(MADE_WITH_IT),
        Field::new("security_groups")
            .names("ec2.SecurityGroup")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
        Field::new("parameters_applied")
            .changes(FieldChange::Restart)
            .risk(RiskRule::Always(Risk::Downtime)),
        Field::new("port")
            .changes(FieldChange::Restart)
            .risk(RiskRule::Always(Risk::Downtime)),
        Field::new("private").risk(RiskRule::TurnsOff(Risk::Exposes)),
        Field::new("multi_az").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        Field::new("deletion_protection")
            .protects()
            .risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        Field::new("iam_authentication").risk(RiskRule::TurnsOff(Risk::Downtime)),
        Field::new("ca")
            .changes(FieldChange::Restart)
            .risk(RiskRule::Always(Risk::Downtime)),
        Field::new("log_exports")
            .equal(Equal::Set)
            .risk(RiskRule::Removed(Risk::LowersProtection)),
        Field::new("minor_upgrades").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        Field::new("backup_days").risk(RiskRule::Shrinks(Risk::LowersProtection)),
        Field::new("restore").changes(FieldChange::Never).instead(RESTORE),
    ],
    calls: Calls {
        read: &["rds:DescribeDBInstances", "rds:DescribeDBSnapshots"],
        create: &[
            "rds:CreateDBInstance",
            "rds:RestoreDBInstanceFromDBSnapshot",
            "rds:RestoreDBInstanceToPointInTime",
            "rds:DescribeDBInstanceAutomatedBackups",
            "rds:ModifyDBInstance",
            "rds:RebootDBInstance",
            "rds:AddTagsToResource",
            "rds:RemoveTagsFromResource",
            // RDS makes the master user's secret on behalf of the caller.
            "secretsmanager:CreateSecret",
            "secretsmanager:TagResource",
            "kms:CreateGrant",
            "kms:DescribeKey",
            "kms:GenerateDataKey",
            "kms:Decrypt",
            "iam:PassRole",
            "iam:CreateServiceLinkedRole",
        ],
        update: &[
            "rds:ModifyDBInstance",
            "rds:RebootDBInstance",
            "rds:AddTagsToResource",
            "rds:RemoveTagsFromResource",
            "kms:CreateGrant",
            "kms:DescribeKey",
            "iam:PassRole",
        ],
        delete: &["rds:DeleteDBInstance", "rds:CreateDBSnapshot", "rds:AddTagsToResource"],
    },
};
