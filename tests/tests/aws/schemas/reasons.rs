//! Where a kind is not as AWS's descriptions say, and why.

/// Fields whose other way is not in the tables of lives: a patch of the first wish, where `null` takes a field away.
pub(super) const OTHERS: &[(&str, &str, &str)] = &[
    (
        "sns.Topic",
        "webhooks",
        r#"{"webhooks": {"ops": {"$secret": {"recipe": "supplied", "supplied": "hook", "revision": 1}}}}"#,
    ),
    ("cloudwatch.Alarm", "ok_actions", r#"{"ok_actions": []}"#),
    (
        "cloudwatch.Alarm",
        "queries",
        r#"{"metric": null, "queries": {"a": {"expression": "1", "compared": true}}}"#,
    ),
    ("cloudwatch.CompositeAlarm", "alarm_actions", r#"{"alarm_actions": []}"#),
    ("cloudwatch.CompositeAlarm", "ok_actions", r#"{"ok_actions": []}"#),
    ("events.Rule", "pattern", r#"{"pattern": {"source": ["aws.rds"]}}"#),
    (
        "events.Rule",
        "schedule",
        r#"{"pattern": null, "schedule": "rate(1 hour)"}"#,
    ),
    ("iam.Role", "path", r#"{"path": "/other/"}"#),
    (
        "eks.Cluster",
        "private_access",
        r#"{"private_access": false, "public_access": ["192.0.2.0/24"]}"#,
    ),
    ("eks.Cluster", "support", r#"{"support": "standard"}"#),
    ("eks.Nodegroup", "image", r#"{"image": "AL2023_ARM_64_STANDARD"}"#),
    (
        "eks.Nodegroup",
        "instance_types",
        r#"{"instance_types": ["m7i.xlarge"]}"#,
    ),
    ("eks.Nodegroup", "subnets", r#"{"subnets": ["subnet-9"]}"#),
    ("eks.Addon", "configuration", r#"{"configuration": null}"#),
    (
        "elasticache.User",
        "authentication",
        r#"{"authentication": "none", "access": "off -@all"}"#,
    ),
    ("elasticache.ReplicationGroup", "engine", r#"{"engine": "redis"}"#),
    (
        "ec2.Vpc",
        "dns_support",
        r#"{"dns_support": false, "dns_hostnames": false}"#,
    ),
    ("ec2.InternetGateway", "vpc", r#"{"vpc": "vpc-9"}"#),
    ("ec2.Subnet", "vpc", r#"{"vpc": "vpc-9"}"#),
    ("ec2.NatGateway", "allocation", r#"{"allocation": "eipalloc-9"}"#),
    ("ec2.NatGateway", "subnet", r#"{"subnet": "subnet-9"}"#),
    ("ec2.RouteTable", "vpc", r#"{"vpc": "vpc-9"}"#),
    ("ec2.SecurityGroup", "egress", r#"{"egress": []}"#),
    ("ec2.SecurityGroup", "vpc", r#"{"vpc": "vpc-9"}"#),
    ("ec2.VpcEndpoint", "route_tables", GATEWAY),
    ("ec2.VpcEndpoint", "security_groups", r#"{"security_groups": ["sg-9"]}"#),
    ("ec2.VpcEndpoint", "type", GATEWAY),
    ("ec2.VpcEndpoint", "vpc", r#"{"vpc": "vpc-9"}"#),
    ("ec2.FlowLog", "interval_seconds", r#"{"interval_seconds": 60}"#),
    ("ec2.FlowLog", "traffic", r#"{"traffic": "REJECT"}"#),
    ("ec2.FlowLog", "vpc", r#"{"vpc": "vpc-9"}"#),
    ("kms.Key", "statements", STATEMENTS),
    (
        "s3.Bucket",
        "encryption",
        r#"{"encryption": {"kms_key": "arn:aws:kms:eu-west-1:1:key/k"}}"#,
    ),
    ("s3.Bucket", "lifecycle", r#"{"lifecycle": {"a": {"expire_days": 1}}}"#),
    (
        "s3.Bucket",
        "logging",
        r#"{"logging": {"bucket": "other", "prefix": "a/"}}"#,
    ),
    (
        "s3.Bucket",
        "object_lock",
        r#"{"object_lock": {"mode": "GOVERNANCE", "days": 1}}"#,
    ),
    (
        "s3.Bucket",
        "public_access_block",
        r#"{"public_access_block": {"block_acls": false}}"#,
    ),
    (
        "s3.Bucket",
        "replication",
        r#"{"replication": {"role": "arn:aws:iam::123456789012:role/r", "bucket": "arn:aws:s3:::b"}}"#,
    ),
    ("s3.Bucket", "statements", STATEMENTS),
    ("secretsmanager.Secret", "kms_key", r#"{"kms_key": null}"#),
    ("secretsmanager.Secret", "statements", STATEMENTS),
    ("rds.DbInstance", "backup_window", r#"{"backup_window": "04:00-05:00"}"#),
    ("rds.DbInstance", "engine_version", r#"{"engine_version": "18"}"#),
    (
        "rds.DbInstance",
        "insights_key",
        r#"{"insights_key": "arn:aws:kms:eu-west-1:1:key/k"}"#,
    ),
    ("rds.DbInstance", "log_exports", r#"{"log_exports": ["postgresql"]}"#),
    (
        "rds.DbInstance",
        "maintenance_window",
        r#"{"maintenance_window": "mon:05:00-mon:06:00"}"#,
    ),
    (
        "rds.DbInstance",
        "monitoring",
        r#"{"monitoring": {"role": "arn:aws:iam::123456789012:role/m", "seconds": 60}}"#,
    ),
    (
        "rds.DbInstance",
        "restore",
        r#"{"restore": {"snapshot": "of-yesterday"}}"#,
    ),
    (
        "rds.DbInstance",
        "secret_key",
        r#"{"secret_key": "arn:aws:kms:eu-west-1:1:key/k"}"#,
    ),
    ("rds.DbInstance", "security_groups", r#"{"security_groups": ["sg-2"]}"#),
    (
        "rds.DbSubnetGroup",
        "subnets",
        r#"{"subnets": ["subnet-8", "subnet-9"]}"#,
    ),
];

const GATEWAY: &str =
    r#"{"type": "Gateway", "subnets": [], "security_groups": [], "private_dns": false, "route_tables": ["rtb-1"]}"#;
const STATEMENTS: &str = r#"{"statements": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "*", "Resource": "*"}]}"#;

/// Fields that are not as the schema of their property says: which, how, and why.
pub(super) const DEVIATIONS: &[(&str, &str, &str)] = &[
    (
        "sns.Topic others",
        "never wished",
        "what others subscribed to is shown, and taken away only by them",
    ),
    (
        "kms.Key alias",
        "never wished",
        "shown where an alias is gone; a key without one could not be found again",
    ),
    (
        "eks.Cluster authentication",
        "never wished",
        "shown where somebody switched to a ConfigMap; access entries say who may use a cluster",
    ),
    (
        "backup.Vault compliance",
        "never wished",
        "a lock in compliance mode can never be taken back and is not made",
    ),
    (
        "elasticache.ReplicationGroup encrypted",
        "never wished",
        "no cache is made that is not encrypted; shown where somebody did",
    ),
    (
        "elasticache.ReplicationGroup tls",
        "never wished",
        "no cache is made without TLS; shown where somebody did",
    ),
    (
        "ec2.Vpc closed_default_group",
        "never wished",
        "the default security group is emptied; shown where somebody filled it",
    ),
    (
        "rds.DbInstance parameters_applied",
        "never wished",
        "shown where parameters wait for a restart, which no wish asks for",
    ),
    (
        "backup.Plan selections",
        "createOnly, ours changes",
        "a selection is made anew under another name and the old one goes, in one update",
    ),
    (
        "ec2.InternetGateway vpc",
        "createOnly, ours changes",
        "the attachment is a resource of its own there, made anew; a gateway is let go and attached",
    ),
    (
        "ec2.RouteTable routes",
        "createOnly, ours changes",
        "a route is a resource of its own there, made anew; here it is one entry of its table",
    ),
    (
        "ec2.RouteTable subnets",
        "createOnly, ours changes",
        "an association is a resource of its own there, made anew; here it is one entry of its table",
    ),
    (
        "ec2.VpcEndpoint route_tables",
        "createOnly, ours changes",
        "only an endpoint of another type has any: the type is what is fixed",
    ),
    (
        "eks.Addon kubernetes",
        "no property",
        "chooses the version of the add-on when it is written; a template leaves that to EKS",
    ),
    (
        "secretsmanager.Secret data",
        "no property",
        "no value of a secret is in a template, and no recipe either",
    ),
    (
        "elasticache.ParameterGroup description",
        "changes, ours is fixed",
        "ElastiCache has no call that changes it",
    ),
    (
        "elasticache.ReplicationGroup engine",
        "changes, ours is fixed",
        "AWS goes from Redis to Valkey alone and never back, which is no change that a plan may make",
    ),
    (
        "elasticache.User engine",
        "changes, ours is fixed",
        "AWS goes from Redis to Valkey alone and never back, together with the cache",
    ),
    (
        "elasticache.UserGroup engine",
        "changes, ours is fixed",
        "AWS goes from Redis to Valkey alone and never back, together with the cache",
    ),
    (
        "kms.Key multi_region",
        "changes, ours is fixed",
        "KMS never changes it; the registry lists it as one that may",
    ),
    (
        "rds.DbInstance engine_version",
        "changes, ours is fixed",
        "another major version cannot be taken back: a step by hand, on a copy first",
    ),
    (
        "rds.DbInstance secret_key",
        "changes, ours is fixed",
        "RDS takes another key only while it makes another master password",
    ),
    (
        "s3.Bucket object_lock",
        "changes, ours is fixed",
        "S3 never takes a lock away again, so it is decided when the bucket is made",
    ),
    (
        "kms.Key rotation",
        "writeOnly",
        "CloudFormation does not read the period; KMS tells it (GetKeyRotationStatus)",
    ),
    (
        "kms.Key rotation_days",
        "writeOnly",
        "CloudFormation does not read it; KMS tells it (GetKeyRotationStatus)",
    ),
    (
        "elasticache.ReplicationGroup kms_key",
        "writeOnly",
        "CloudFormation does not read it; ElastiCache shows it with the group",
    ),
    (
        "elasticache.ReplicationGroup maintenance_window",
        "writeOnly",
        "CloudFormation does not read it; ElastiCache shows it with the servers of the group",
    ),
    (
        "elasticache.ReplicationGroup parameter_group",
        "writeOnly",
        "CloudFormation does not read it; ElastiCache shows it with the servers of the group",
    ),
    (
        "elasticache.ReplicationGroup security_groups",
        "writeOnly",
        "CloudFormation does not read it; ElastiCache shows it with the servers of the group",
    ),
    (
        "elasticache.ReplicationGroup subnet_group",
        "writeOnly",
        "CloudFormation does not read it; ElastiCache shows it with the servers of the group",
    ),
    (
        "elasticache.ReplicationGroup version",
        "writeOnly",
        "CloudFormation does not read it; ElastiCache shows it with the servers of the group",
    ),
    (
        "elasticache.User access",
        "writeOnly",
        "CloudFormation does not read it; ElastiCache shows it with the user",
    ),
    (
        "elasticache.User authentication",
        "writeOnly",
        "CloudFormation does not read it; ElastiCache shows its type with the user",
    ),
    (
        "rds.DbInstance restore",
        "writeOnly",
        "RDS does not tell what a server was made from; a tag of the library does",
    ),
];

/// Words of AWS's that no wish may hold: the shape, the word, and why.
pub(super) const LEFT_OUT: &[(&str, &str, &str)] = &[(
    "eks:AMITypes",
    "CUSTOM",
    "an image of one's own needs a launch template, which is not made",
)];

/// Shapes with limits that no wish can be beyond, or that are seen to elsewhere: which, and why.
pub(super) const BESIDE_LIMITS: &[(&[&str], &str)] = &[
    (
        &[
            "cloudwatch:TagKey",
            "cloudwatch:TagValue",
            "eks:TagKey",
            "eks:TagKeyList",
            "eks:TagMap",
            "eks:TagValue",
            "events:TagKey",
            "events:TagValue",
            "iam:tagKeyListType",
            "iam:tagKeyType",
            "iam:tagListType",
            "iam:tagValueType",
            "kms:TagKeyType",
            "kms:TagValueType",
            "logs:TagKey",
            "logs:TagKeyList",
            "logs:TagValue",
            "logs:Tags",
            "s3:ObjectKey",
            "secretsmanager:TagKeyType",
            "secretsmanager:TagValueType",
            "sns:TagKey",
            "sns:TagValue",
        ],
        "the tags of all kinds are checked at once, and those of the library leave room for 36",
    ),
    (
        &[
            "cloudwatch:AlarmName",
            "eks:ClusterName",
            "events:RuleName",
            "iam:roleNameType",
            "kms:AliasNameType",
            "logs:LogGroupName",
            "secretsmanager:NameType",
        ],
        "an object's own name, which goes by the rule of its kind",
    ),
    (
        &[
            "cloudwatch:AmazonResourceName",
            "events:Arn",
            "kms:KeyIdType",
            "logs:AmazonResourceName",
            "secretsmanager:SecretIdType",
            "sns:AmazonResourceName",
        ],
        "AWS made it: the address of an object that is there",
    ),
    (
        &[
            "ec2:DomainType",
            "ec2:FlowLogsResourceType",
            "ec2:LogDestinationType",
            "ec2:ResourceType",
            "eks:AccessScopeType",
            "eks:EncryptionConfigList",
            "eks:ResolveConflicts",
            "elasticache:DestinationType",
            "elasticache:LogFormat",
            "elasticache:LogType",
            "elasticache:UserGroupIdListInput",
            "logs:MetricTransformations",
            "s3:BucketLocationConstraint",
            "secretsmanager:ClientRequestTokenType",
        ],
        "not of the wish: constants, the region, the token of a create",
    ),
    (
        &[
            "cloudwatch:ComparisonOperator",
            "cloudwatch:Statistic",
            "cloudwatch:TreatMissingData",
            "ec2:TrafficType",
            "ec2:VpcEndpointType",
            "eks:AuthenticationMode",
            "eks:CapacityTypes",
            "eks:SupportType",
            "eks:TaintEffect",
            "elasticache:InputAuthenticationType",
            "events:RuleState",
            "rds:ApplyMethod",
            "s3:BucketVersioningStatus",
            "s3:ExpirationStatus",
            "s3:ObjectOwnership",
        ],
        "made of a word of the kind's own, which knows no others",
    ),
    (
        &[
            "backup:BackupSelectionName",
            "backup:BackupVaultEvent",
            "cloudwatch:DatapointsToAlarm",
            "cloudwatch:EvaluationPeriods",
            "cloudwatch:Period",
            "cloudwatch:ResourceList",
            "eks:taintKey",
            "eks:taintValue",
            "events:EventPattern",
            "events:TargetIdList",
            "events:TargetList",
            "secretsmanager:DescriptionType",
        ],
        "checked with what depends on it, by the kind itself",
    ),
    (
        &["iam:policyDocumentType", "kms:PolicyType"],
        "a document of all statements: the service's own quota comes long before 131,072 characters",
    ),
    (
        &["secretsmanager:SecretStringType"],
        "values are made inside of the write and seen by nobody before; recipes make tens of characters",
    ),
];
