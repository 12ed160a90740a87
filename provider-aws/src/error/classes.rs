//! What the error codes of the services mean, as their models and guides list them.

use platform_core::ErrorKind;

/// Codes that mean the same, and what to do.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) kind: ErrorKind,
    /// It passes by itself: tried again after a while.
    pub(super) passes: bool,
    pub(super) help: &'static str,
    pub(super) codes: &'static [&'static str],
}

const fn class(kind: ErrorKind, help: &'static str, codes: &'static [&'static str]) -> Class {
    Class {
        kind,
        passes: false,
        help,
        codes,
    }
}

const fn passing(help: &'static str, codes: &'static [&'static str]) -> Class {
    Class {
        kind: ErrorKind::Unavailable,
        passes: true,
        help,
        codes,
    }
}

pub(super) const GONE: &str = "what is asked for or referred to is gone, or not there yet: plan again";
pub(super) const RACE: &str = "somebody else works on the same object: plan again";
pub(super) const BUSY: &str = "it is busy with an earlier change or still in use: run again once that is through";
pub(super) const QUOTA: &str = "raise the quota in Service Quotas, or remove what is no longer needed";
pub(super) const FULL: &str =
    "AWS has no server of this size there now: choose another type or other zones, or run again later";
const VALUE: &str = "the service refuses a value, the message says which: correct it in the config; where it names an object that is just \
     made, run again";
pub(super) const UNKNOWN: &str = "this version does not know that answer, its message says why: correct the config where it is about a value, else run \
     again later";
pub(super) const FAULT: &str = "AWS has a fault of its own: see its health page, run again later";
pub(super) const THROTTLED: &str =
    "the account makes too many requests: run again later, or raise the request quota of the service";
const SPECIAL: &str = "the platform asks for nothing of that sort: somebody else set the object up so; plan again, and look at it in \
     the console if it stays";
const DEFECT: &str =
    "a defect of this library or of what answers: plan again, and report it with the request's id if it stays";
const KEY: &str = "enable the KMS key, or cancel its deletion, and allow the caller to use it";

/// In the order in which they are looked through; a code stands once.
pub(super) static CLASSES: &[Class] = &[
    class(
        ErrorKind::Unauthenticated,
        "the session ran out: sign in again (`aws sso login`) and run the same command; finished steps are not repeated",
        &[
            "ExpiredToken",
            "ExpiredTokenException",
            "RequestExpired",
            "TokenRefreshRequired",
        ],
    ),
    class(
        ErrorKind::Unauthenticated,
        "AWS does not know these credentials: check AWS_PROFILE and the clock of this machine; in a region that is not enabled the same answer comes for good credentials",
        &[
            "InvalidClientTokenId",
            "UnrecognizedClientException",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            "InvalidAccessKeyId",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "IncompleteSignature",
            "AuthFailure",
            "InvalidToken",
            "RequestTimeTooSkewed",
            "NotSignedUp",
            // SNS
            "InvalidSecurity",
        ],
    ),
    class(
        ErrorKind::Invalid,
        "the region is not enabled for this account: enable it (`aws account enable-region`), or choose another",
        &[
            "RegionDisabledException",
            "OptInRequired",
            "InvalidRegion",
            "IllegalLocationConstraintException",
        ],
    ),
    class(
        ErrorKind::QuotaExceeded,
        QUOTA,
        &[
            "LimitExceededException",
            "LimitExceeded",
            "TooManyBuckets",
            "ServiceQuotaExceededException",
            "ResourceLimitExceededException",
            "FilterPolicyLimitExceeded",
            "ReplayLimitExceeded",
            "SubscriptionLimitExceeded",
            "TopicLimitExceeded",
        ],
    ),
    class(
        ErrorKind::QuotaExceeded,
        "an object takes 50 tags: take some of `tags:` out of the config, or of those that others gave it",
        &[
            "TooManyTagsException",
            "TagLimitExceeded",
            "TagQuotaPerResourceExceeded",
        ],
    ),
    class(
        ErrorKind::QuotaExceeded,
        "the subnet has no address left: remove what is no longer needed there, or use a larger network",
        &["InsufficientFreeAddressesInSubnet"],
    ),
    class(
        ErrorKind::QuotaExceeded,
        "AWS has no public address left there now: run again later",
        &["InsufficientAddressCapacity"],
    ),
    class(
        ErrorKind::QuotaExceeded,
        "AWS has no such server left in these zones: choose another `instance_class`, or run again later",
        &["InsufficientDBInstanceCapacity"],
    ),
    class(
        ErrorKind::QuotaExceeded,
        "a zone has no room for that now: name subnets of other zones, or run again later",
        &[
            "UnsupportedAvailabilityZoneException",
            "ProvisionedIopsNotAvailableInAZFault",
        ],
    ),
    class(
        ErrorKind::NotFound,
        GONE,
        &[
            "NoSuchBucket",
            "NoSuchEntity",
            "NoSuchKey",
            "NoSuchResourceException",
            "404",
        ],
    ),
    class(
        ErrorKind::Conflict,
        RACE,
        &[
            "PreconditionFailed",
            "ConditionalRequestConflict",
            "OperationAborted",
            "OperationAbortedException",
            "AlreadyExistsException",
            "ResourceExistsException",
            "ResourceAlreadyExistsException",
            "BucketAlreadyOwnedByYou",
            "ConcurrentModificationException",
            "ConcurrentModification",
            "EntityAlreadyExists",
            "Resource.AlreadyAssociated",
            "RouteAlreadyExists",
            "ConflictException",
            "ResourceConflict",
            // SNS
            "ConcurrentAccess",
            "StaleTag",
            // ElastiCache: the replicas are there already.
            "NoOperationFault",
        ],
    ),
    class(
        ErrorKind::Conflict,
        "another subnet of the VPC has these addresses: plan again, or remove it if it is nobody's",
        &["InvalidSubnet.Conflict"],
    ),
    class(
        ErrorKind::Conflict,
        "an earlier try asked for something else: plan again",
        &["IdempotentParameterMismatch"],
    ),
    class(
        ErrorKind::Conflict,
        "another user of ElastiCache has this name: choose another under `names:`, or remove that one",
        &["DuplicateUserName"],
    ),
    class(
        ErrorKind::Foreign,
        "bucket names are taken world-wide: set another one under `names:` in the config",
        &["BucketAlreadyExists"],
    ),
    class(
        ErrorKind::Foreign,
        "a service of AWS made it and keeps it: choose another name under `names:`",
        &["ManagedRuleException", "UnmodifiableEntity"],
    ),
    class(
        ErrorKind::Denied,
        "the organisation's tag policy forbids it: set what it asks for under `tags:`, or ask who keeps the policy",
        &["TagPolicy", "TagPolicyException"],
    ),
    class(
        ErrorKind::Denied,
        "the VPC's encryption control forbids it: choose an instance class that encrypts its traffic, or ask who keeps the VPC",
        &["VpcEncryptionControlViolationException"],
    ),
    class(
        ErrorKind::Denied,
        "the policy would let everybody in, which this account forbids: take that out",
        &["PublicPolicyException"],
    ),
    passing(
        "the instance is busy with another change, a backup or a restart: run again when it is available",
        &["InvalidDBInstanceState"],
    ),
    passing(
        "an instance still uses the parameter group: give it another one, or wait until it is gone",
        &["InvalidDBParameterGroupState"],
    ),
    passing(
        "an instance still lies in the subnet group: wait until it is gone",
        &["InvalidDBSubnetGroupStateFault"],
    ),
    passing(
        "something else still lies in it or refers to it, such as a load balancer's network interface: remove that, then run again",
        &["DependencyViolation"],
    ),
    passing(
        "it is busy with an earlier change: run again once that is through",
        &["IncorrectState"],
    ),
    passing(
        "a NAT gateway still has the address: it lets go of it a minute or so after its deletion",
        &["InvalidIPAddress.InUse"],
    ),
    passing(
        BUSY,
        &[
            "CacheSubnetGroupInUse",
            "SubnetInUse",
            "SubnetAlreadyInUse",
            "DefaultUserAssociatedToUserGroup",
        ],
    ),
    class(
        ErrorKind::Failed,
        "the snapshot is not complete: run again when it is available",
        &["InvalidDBSnapshotState"],
    ),
    class(
        ErrorKind::Failed,
        "RDS cannot use the KMS key: enable it, and allow the caller kms:CreateGrant and kms:DescribeKey on it",
        &["KMSKeyNotAccessibleFault"],
    ),
    class(
        ErrorKind::Failed,
        KEY,
        &[
            "KMSInvalidStateException",
            "DisabledException",
            "InvalidKMSKeyFault",
            "DecryptionFailure",
            "EncryptionFailure",
            "KMSDisabled",
            "KMSInvalidState",
        ],
    ),
    class(
        ErrorKind::Failed,
        "the upgrade waits for something else of the instance: its events say what",
        &["DBUpgradeDependencyFailure"],
    ),
    class(
        ErrorKind::Failed,
        "nothing here empties a bucket: remove its objects and all their versions yourself, then run again",
        &["BucketNotEmpty"],
    ),
    class(
        ErrorKind::Failed,
        "somebody else's objects hang on it, such as an instance profile: remove them, then run again",
        &["DeleteConflict"],
    ),
    class(
        ErrorKind::Failed,
        "the service has no role to act by: allow the caller iam:CreateServiceLinkedRole, or make it (aws iam \
         create-service-linked-role)",
        &["ServiceLinkedRoleNotFoundFault"],
    ),
    class(
        ErrorKind::Failed,
        "its storage class keeps it in an archive: restore the object first",
        &["InvalidObjectState"],
    ),
    class(
        ErrorKind::Invalid,
        "name private subnets in two zones at least under `aws.network`",
        &["DBSubnetGroupDoesNotCoverEnoughAZs"],
    ),
    class(
        ErrorKind::Invalid,
        "name subnets of one VPC of this account and region under `aws.network`",
        &["InvalidSubnet", "SubnetNotAllowedFault"],
    ),
    class(
        ErrorKind::Invalid,
        "the subnets lack free addresses, or do not belong to the VPC of the security group",
        &["InvalidVPCNetworkStateFault"],
    ),
    class(
        ErrorKind::Invalid,
        "a VPC has a /16 to /28: change `aws.network.create.cidr`",
        &["InvalidVpc.Range"],
    ),
    class(
        ErrorKind::Invalid,
        "the subnet lies outside of its VPC's addresses",
        &["InvalidSubnet.Range"],
    ),
    class(
        ErrorKind::Invalid,
        "aws rds describe-certificates lists the authorities of this region",
        &["CertificateNotFound"],
    ),
    class(
        ErrorKind::Invalid,
        "this class or region does not take that: choose another",
        &[
            "StorageTypeNotSupported",
            "NetworkTypeNotSupported",
            "SnapshotFeatureNotSupportedFault",
        ],
    ),
    class(
        ErrorKind::Invalid,
        "the source keeps no automated backups: restore a snapshot of it",
        &["PointInTimeRestoreNotEnabled"],
    ),
    class(
        ErrorKind::Invalid,
        "that moment cannot be restored: choose one between the source's earliest and latest restorable time",
        &["InvalidRestoreFault"],
    ),
    class(
        ErrorKind::Invalid,
        "IAM does not take the policy: an ARN in it leads nowhere, such as an administrator's or the permissions boundary's",
        &[
            "MalformedPolicyDocument",
            "MalformedPolicyDocumentException",
            "PolicyNotAttachable",
            "MalformedPolicy",
        ],
    ),
    class(
        ErrorKind::Invalid,
        VALUE,
        &[
            "BadRequestException",
            "ClientException",
            "IllegalArgumentException",
            "InvalidARN",
            "InvalidAliasNameException",
            "InvalidArnException",
            "InvalidEventPatternException",
            "InvalidInput",
            "InvalidOperationException",
            "InvalidParameter",
            "InvalidParameterCombination",
            "InvalidParameterException",
            "InvalidParameterInput",
            "InvalidParameterValue",
            "InvalidParameterValueException",
            "InvalidRequest",
            "InvalidRequestException",
            "MissingParameter",
            "MissingParameterValueException",
            "PreconditionNotMetException",
            "TagException",
            "UnsupportedOperation",
            "UnsupportedOperationException",
            "ValidationError",
            "ValidationException",
        ],
    ),
    class(
        ErrorKind::Internal,
        DEFECT,
        &[
            "DefaultUserRequired",
            "DryRunOperationException",
            "EncryptionTypeMismatch",
            "IncorrectKeyException",
            "InvalidCiphertextException",
            "InvalidGrantIdException",
            "InvalidGrantTokenException",
            "InvalidKeyUsageException",
            "InvalidMarkerException",
            "InvalidNextToken",
            "InvalidNextTokenException",
            "InvalidWriteOffset",
            "PaginationTokenExpiredException",
            "TooManyParts",
        ],
    ),
    class(
        ErrorKind::Invalid,
        SPECIAL,
        &[
            "CloudHsmClusterInvalidConfigurationException",
            "CustomKeyStoreInvalidStateException",
            "XksKeyAlreadyInUseException",
            "XksKeyInvalidConfigurationException",
        ],
    ),
];
