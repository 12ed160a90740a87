//! From SDK errors to ours: what failed, why, and what to do. The SDK's error is never kept as a source: its raw
//! response may hold a secret value.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;
use platform_core::{Error, ErrorKind, Result, Retry};
use std::time::Duration;

/// Turns the outcome of an SDK call into ours.
pub trait Outcome<T> {
    /// Names the operation (`kms:CreateKey`) in the error, which says what to do.
    ///
    /// # Errors
    /// When the call failed.
    fn during(self, operation: &'static str) -> Result<T>;
    /// The same, where these error codes mean that there is nothing.
    ///
    /// # Errors
    /// When the call failed with any other code.
    fn absent(self, operation: &'static str, codes: &[&str]) -> Result<Option<T>>;
}

impl<T, E> Outcome<T> for Result<T, SdkError<E, HttpResponse>>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    fn during(self, operation: &'static str) -> Result<T> {
        self.map_err(|error| translate(operation, &error))
    }

    fn absent(self, operation: &'static str, codes: &[&str]) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if codes.contains(&code(&error)) => Ok(None),
            Err(error) => Err(translate(operation, &error)),
        }
    }
}

/// The error code that the service sent; `404` and the like where it sent a bare status (HEAD has no body).
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> &str {
    match error.code() {
        Some(code) => code,
        None => match error.raw_response().map(|raw| raw.status().as_u16()) {
            Some(301) => "301",
            Some(403) => "403",
            Some(404) => "404",
            _ => "",
        },
    }
}

fn translate<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let translated = match error {
        SdkError::ServiceError(_) | SdkError::ResponseError(_) => {
            let status = error.raw_response().map_or(0, |raw| raw.status().as_u16());
            explain(operation, code(error), status, error.message().unwrap_or_default())
        }
        SdkError::TimeoutError(_) => Error::new(ErrorKind::Timeout, "no answer in time")
            .with_retry(Retry::After(Duration::from_secs(2)))
            .with_help("check the network, a proxy, or the VPC endpoint of the service"),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            Error::new(ErrorKind::Timeout, "no connection in time")
                .with_retry(Retry::After(Duration::from_secs(2)))
                .with_help("check the network, a proxy, or the VPC endpoint of the service")
        }
        _ => undelivered(error),
    };
    let translated = match error.request_id() {
        Some(id) => translated.with_context("request", id),
        None => translated,
    };
    translated.with_operation(operation)
}

/// A request that never got an answer: no credentials, no network, or a defect.
fn undelivered(error: &(dyn std::error::Error + 'static)) -> Error {
    let mut chain = Vec::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(credentials) = inner.downcast_ref::<aws_credential_types::provider::error::CredentialsError>() {
            return Error::new(ErrorKind::Unauthenticated, format!("no usable credentials: {credentials}")).with_help(
                "sign in (`aws sso login`), set AWS_PROFILE, or run where a role is attached; `aws sts get-caller-identity` must work",
            );
        }
        chain.push(inner.to_string());
        cause = inner.source();
    }
    Error::new(
        ErrorKind::Unavailable,
        format!("the service cannot be reached: {}", chain.join(": ")),
    )
    .with_help("check the region's name, the network, DNS and any proxy or endpoint_url")
}

/// Codes of credentials that once worked.
const EXPIRED: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "TokenRefreshRequired",
];
/// Codes of credentials that never worked.
const UNKNOWN: &[&str] = &[
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
];
const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    // SNS
    "AuthorizationError",
    "UnauthorizedOperation",
    "AllAccessDisabled",
    "403",
];
const QUOTA: &[&str] = &[
    "LimitExceededException",
    "LimitExceeded",
    "TooManyBuckets",
    "ServiceQuotaExceededException",
    "InstanceQuotaExceeded",
    "StorageQuotaExceeded",
    "SnapshotQuotaExceeded",
    "DBInstanceAutomatedBackupQuotaExceeded",
    "DBParameterGroupQuotaExceeded",
    "DBSubnetGroupQuotaExceeded",
    "DBSubnetQuotaExceededFault",
    "ResourceLimitExceededException",
];
const ABSENT: &[&str] = &[
    "NotFoundException",
    "NoSuchEntity",
    "NoSuchBucket",
    "NoSuchKey",
    "NotFound",
    "ResourceNotFound",
    "ResourceNotFoundException",
    "DBInstanceNotFound",
    "DBInstanceAutomatedBackupNotFound",
    "DBSnapshotNotFound",
    "DBSubnetGroupNotFoundFault",
    "DBParameterGroupNotFound",
    "404",
];
const RACE: &[&str] = &[
    "PreconditionFailed",
    "ConditionalRequestConflict",
    "OperationAborted",
    "OperationAbortedException",
    "AlreadyExistsException",
    "ResourceExistsException",
    "ResourceAlreadyExistsException",
    "BucketAlreadyOwnedByYou",
    "DBInstanceAlreadyExists",
    "DBSnapshotAlreadyExists",
    "DBSubnetGroupAlreadyExists",
    "DBParameterGroupAlreadyExists",
    "ConcurrentModificationException",
    "ConcurrentModification",
    "EntityAlreadyExists",
];

/// How long to leave alone what is busy.
const BUSY: Duration = Duration::from_secs(15);

/// What RDS answers beside all that, and what to do.
const DATABASES: &[(&str, ErrorKind, &str)] = &[
    (
        "InvalidDBInstanceState",
        ErrorKind::Unavailable,
        "the instance is busy with another change, a backup or a restart: run again when it is available",
    ),
    (
        "InvalidDBParameterGroupState",
        ErrorKind::Unavailable,
        "an instance still uses the parameter group: give it another one, or wait until it is gone",
    ),
    (
        "InvalidDBSubnetGroupStateFault",
        ErrorKind::Unavailable,
        "an instance still lies in the subnet group: wait until it is gone",
    ),
    (
        "InvalidDBSnapshotState",
        ErrorKind::Failed,
        "the snapshot is not complete: run again when it is available",
    ),
    (
        "InsufficientDBInstanceCapacity",
        ErrorKind::Failed,
        "AWS has no such server left in these zones: choose another `instance_class`, or run again later",
    ),
    (
        "DBSubnetGroupDoesNotCoverEnoughAZs",
        ErrorKind::Invalid,
        "name private subnets in two zones at least under `aws.network`",
    ),
    (
        "InvalidSubnet",
        ErrorKind::Invalid,
        "name subnets of one VPC of this account and region under `aws.network`",
    ),
    (
        "InvalidVPCNetworkStateFault",
        ErrorKind::Invalid,
        "the subnets lack free addresses, or do not belong to the VPC of the security group",
    ),
    (
        "KMSKeyNotAccessibleFault",
        ErrorKind::Failed,
        "RDS cannot use the KMS key: enable it, and allow the caller kms:CreateGrant and kms:DescribeKey on it",
    ),
    (
        "CertificateNotFound",
        ErrorKind::Invalid,
        "aws rds describe-certificates lists the authorities of this region",
    ),
    (
        "StorageTypeNotSupported",
        ErrorKind::Invalid,
        "this class or region does not take that storage type: choose another",
    ),
    (
        "PointInTimeRestoreNotEnabled",
        ErrorKind::Invalid,
        "the source keeps no automated backups: restore a snapshot of it",
    ),
    (
        "InvalidRestoreFault",
        ErrorKind::Invalid,
        "that moment cannot be restored: choose one between the source's earliest and latest restorable time",
    ),
    (
        "DBUpgradeDependencyFailure",
        ErrorKind::Failed,
        "the upgrade waits for something else of the instance: its events say what",
    ),
];

/// What EC2 answers beside all that, and what to do.
const NETWORKS: &[(&str, ErrorKind, &str)] = &[
    (
        "DependencyViolation",
        ErrorKind::Unavailable,
        "something else still lies in it or refers to it, such as a load balancer's network interface: remove that, then run again",
    ),
    (
        "IncorrectState",
        ErrorKind::Unavailable,
        "it is busy with an earlier change: run again once that is through",
    ),
    (
        "InvalidIPAddress.InUse",
        ErrorKind::Unavailable,
        "a NAT gateway still has the address: it lets go of it a minute or so after its deletion",
    ),
    (
        "InvalidSubnet.Conflict",
        ErrorKind::Conflict,
        "another subnet of the VPC has these addresses: plan again, or remove it if it is nobody's",
    ),
    (
        "InvalidVpc.Range",
        ErrorKind::Invalid,
        "a VPC has a /16 to /28: change `aws.network.create.cidr`",
    ),
    (
        "InvalidSubnet.Range",
        ErrorKind::Invalid,
        "the subnet lies outside of its VPC's addresses",
    ),
    (
        "InsufficientFreeAddressesInSubnet",
        ErrorKind::QuotaExceeded,
        "the subnet has no address left: remove what is no longer needed there, or use a larger network",
    ),
    (
        "InsufficientAddressCapacity",
        ErrorKind::QuotaExceeded,
        "AWS has no public address left there now: run again later",
    ),
    (
        "IdempotentParameterMismatch",
        ErrorKind::Conflict,
        "an earlier try asked for something else: plan again",
    ),
];

/// What an error answer means.
fn explain(operation: &str, code: &str, status: u16, message: &str) -> Error {
    if (200..300).contains(&status) && code.is_empty() {
        return Error::new(ErrorKind::Internal, "the answer cannot be read")
            .with_help("the call may have been done: plan again; what answers is not AWS, or newer than this version");
    }
    let text = if message.is_empty() {
        format!("{code} (HTTP {status})")
    } else {
        format!("{code}: {}", message.trim_end_matches('.'))
    };
    let error = |kind| Error::new(kind, text.clone());
    let throttled = code.contains("Throttl")
        || [
            "SlowDown",
            "TooManyRequestsException",
            "RequestLimitExceeded",
            "PriorRequestNotComplete",
        ]
        .contains(&code);
    if let Some((_, kind, help)) = DATABASES.iter().find(|(known, _, _)| *known == code) {
        let error = error(*kind).with_help(*help);
        return match code {
            // What is under way ends by itself.
            "InvalidDBInstanceState" | "InvalidDBParameterGroupState" | "InvalidDBSubnetGroupStateFault" => {
                error.with_retry(Retry::After(Duration::from_secs(15)))
            }
            _ => error,
        };
    }
    if code == "InvalidParameterValueException" && message.contains("cannot be assumed") {
        return error(ErrorKind::Unavailable)
            .with_retry(Retry::After(BUSY))
            .with_help("a new role takes a moment until services may act by it; if it stays so, its trust does not name the service");
    }
    if let Some((_, kind, help)) = NETWORKS.iter().find(|(known, _, _)| *known == code) {
        let error = error(*kind).with_help(*help);
        return match kind {
            ErrorKind::Unavailable => error.with_retry(Retry::After(BUSY)),
            _ => error,
        };
    }
    if EXPIRED.contains(&code) {
        return error(ErrorKind::Unauthenticated)
            .with_help("the session ran out: sign in again (`aws sso login`) and run the same command; finished steps are not repeated");
    }
    if ["RegionDisabledException", "OptInRequired", "InvalidRegion"].contains(&code) {
        return error(ErrorKind::Invalid).with_help(
            "the region is not enabled for this account: enable it (`aws account enable-region`), or choose another",
        );
    }
    if UNKNOWN.contains(&code) {
        return error(ErrorKind::Unauthenticated).with_help(
            "AWS does not know these credentials: check AWS_PROFILE and the clock of this machine; in a region that is not enabled the same answer comes for good credentials",
        );
    }
    if DENIED.contains(&code) {
        let principal = between(message, "User: ", " is not authorized").unwrap_or("the caller");
        let action = between(message, "to perform: ", " ").unwrap_or(operation);
        return if message.contains("service control policy") {
            error(ErrorKind::Denied).with_help(format!(
                "the organisation forbids {action}: ask who keeps its service control policies"
            ))
        } else {
            error(ErrorKind::Forbidden).with_help(format!(
                "allow {action} to {principal}, in its policies and its permissions boundary"
            ))
        }
        .with_context("action", action)
        .with_context("principal", principal);
    }
    if throttled {
        return error(ErrorKind::Throttled)
            .with_retry(Retry::After(Duration::from_secs(5)))
            .with_help(
                "the account makes too many requests: run again later, or raise the request quota of the service",
            );
    }
    if QUOTA.contains(&code) {
        return error(ErrorKind::QuotaExceeded)
            .with_help("raise the quota in Service Quotas, or remove what is no longer needed");
    }
    if ABSENT.contains(&code) {
        return error(ErrorKind::NotFound);
    }
    if RACE.contains(&code) {
        return error(ErrorKind::Conflict).with_help("somebody else works on the same object: plan again");
    }
    if code == "BucketNotEmpty" {
        return error(ErrorKind::Failed).with_help(
            "nothing here empties a bucket: remove its objects and all their versions yourself, then run again",
        );
    }
    if code == "BucketAlreadyExists" {
        return error(ErrorKind::Foreign)
            .with_help("bucket names are taken world-wide: set another one under `names:` in the config");
    }
    if code.ends_with(".Duplicate") || ["Resource.AlreadyAssociated", "RouteAlreadyExists"].contains(&code) {
        return error(ErrorKind::Conflict).with_help("somebody else works on the same object: plan again");
    }
    if code.ends_with("AlreadyExists") || code.ends_with("AlreadyExistsFault") {
        return error(ErrorKind::Conflict).with_help("somebody else works on the same object: plan again");
    }
    if code.ends_with("NotFound") || code.ends_with("NotFoundFault") {
        return error(ErrorKind::NotFound);
    }
    if code.contains("QuotaExceeded") || code.ends_with("LimitExceeded") || code.contains("QuotaForCustomerExceeded") {
        return error(ErrorKind::QuotaExceeded)
            .with_help("raise the quota in Service Quotas, or remove what is no longer needed");
    }
    if code.starts_with("Insufficient") && code.contains("Capacity") {
        return error(ErrorKind::QuotaExceeded)
            .with_help("AWS has no server of this size there now: choose another type, or run again later");
    }
    if code.starts_with("Invalid")
        && !code.contains("Bucket")
        && (code.ends_with("State") || code.ends_with("StateFault"))
    {
        return error(ErrorKind::Unavailable)
            .with_retry(Retry::After(BUSY))
            .with_help("it is busy with an earlier change or still in use: run again once that is through");
    }
    if code == "ResourceInUseException" {
        return if operation.contains(":Create") {
            error(ErrorKind::Conflict).with_help("somebody else works on the same object: plan again")
        } else {
            error(ErrorKind::Unavailable)
                .with_retry(Retry::After(BUSY))
                .with_help("it is busy with an earlier change or still in use: run again once that is through")
        };
    }
    if code == "UnsupportedAvailabilityZoneException" {
        return error(ErrorKind::QuotaExceeded)
            .with_help("a zone has no room for a control plane now: name subnets of other zones, or run again later");
    }
    if code == "DeleteConflict" {
        return error(ErrorKind::Failed)
            .with_help("somebody else's objects hang on it, such as an instance profile: remove them, then run again");
    }
    if code.starts_with("KMSInvalidState") || code == "DisabledException" {
        return error(ErrorKind::Failed).with_help("enable the KMS key, or cancel its deletion");
    }
    match status {
        500..=599 => {
            error(ErrorKind::Unavailable).with_help("AWS has a fault of its own: see its health page, run again later")
        }
        429 => error(ErrorKind::Throttled),
        _ => error(ErrorKind::Invalid),
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let rest = &text[text.find(start)? + start.len()..];
    let found = rest.split(end).next()?;
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::explain;
    use platform_core::{ErrorKind, Retry};

    #[test]
    fn what_rds_answers_says_what_to_do() {
        for (code, kind, _) in super::DATABASES {
            let error = explain("rds:ModifyDBInstance", code, 400, "why.");
            assert_eq!(error.kind(), *kind, "{code}");
            assert!(error.to_string().contains("why") && error.help().is_some(), "{code}");
            let passes = code.contains("DBInstanceState") || code.contains("GroupState");
            assert_eq!(matches!(error.retry(), Retry::After(_)), passes, "{code}");
        }
    }

    #[test]
    fn what_ec2_answers_says_what_to_do() {
        for (code, kind, _) in super::NETWORKS {
            let error = explain("ec2:CreateVpc", code, 400, "why.");
            assert_eq!(error.kind(), *kind, "{code}");
            let passes = *kind == ErrorKind::Unavailable;
            assert_eq!(matches!(error.retry(), Retry::After(_)), passes, "{code}");
        }
        for (code, kind) in [
            ("InvalidVpcID.NotFound", ErrorKind::NotFound),
            ("NatGatewayNotFound", ErrorKind::NotFound),
            ("InvalidGroup.Duplicate", ErrorKind::Conflict),
            ("FlowLogAlreadyExists", ErrorKind::Conflict),
            ("VpcLimitExceeded", ErrorKind::QuotaExceeded),
            ("AddressLimitExceeded", ErrorKind::QuotaExceeded),
            ("RequestLimitExceeded", ErrorKind::Throttled),
            ("UnauthorizedOperation", ErrorKind::Forbidden),
            ("InvalidParameterValue", ErrorKind::Invalid),
        ] {
            assert_eq!(explain("ec2:CreateVpc", code, 400, "why").kind(), kind, "{code}");
        }
    }

    #[test]
    fn each_answer_says_what_to_do() {
        let denied = "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: kms:CreateKey on resource: * because no identity-based policy allows the kms:CreateKey action";
        let forbidden_above = "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: s3:CreateBucket with an explicit deny in a service control policy";
        for (code, status, message, kind, help) in [
            ("", 200, "", ErrorKind::Internal, "is not AWS"),
            (
                "ExpiredTokenException",
                400,
                "",
                ErrorKind::Unauthenticated,
                "sign in again",
            ),
            (
                "InvalidClientTokenId",
                403,
                "",
                ErrorKind::Unauthenticated,
                "AWS_PROFILE",
            ),
            ("RegionDisabledException", 403, "", ErrorKind::Invalid, "enable it"),
            (
                "AccessDeniedException",
                400,
                denied,
                ErrorKind::Forbidden,
                "allow kms:CreateKey to arn:aws:iam::123456789012:user/ci",
            ),
            (
                "AccessDenied",
                403,
                forbidden_above,
                ErrorKind::Denied,
                "service control policies",
            ),
            ("403", 403, "", ErrorKind::Forbidden, "allow op:Call to the caller"),
            (
                "AuthorizationError",
                403,
                "",
                ErrorKind::Forbidden,
                "allow op:Call to the caller",
            ),
            (
                "ThrottlingException",
                400,
                "Rate exceeded",
                ErrorKind::Throttled,
                "too many requests",
            ),
            (
                "LimitExceededException",
                400,
                "",
                ErrorKind::QuotaExceeded,
                "Service Quotas",
            ),
            ("BucketAlreadyExists", 409, "", ErrorKind::Foreign, "names:"),
            ("PreconditionFailed", 412, "", ErrorKind::Conflict, "plan again"),
            ("EntityAlreadyExists", 409, "", ErrorKind::Conflict, "plan again"),
            (
                "CacheSubnetGroupAlreadyExists",
                400,
                "",
                ErrorKind::Conflict,
                "plan again",
            ),
            (
                "InvalidReplicationGroupState",
                400,
                "",
                ErrorKind::Unavailable,
                "earlier change",
            ),
            (
                "InsufficientCacheClusterCapacity",
                400,
                "",
                ErrorKind::QuotaExceeded,
                "another type",
            ),
            ("DeleteConflict", 409, "", ErrorKind::Failed, "hang on it"),
            (
                "ResourceInUseException",
                409,
                "",
                ErrorKind::Unavailable,
                "still in use",
            ),
            (
                "ResourceLimitExceededException",
                400,
                "",
                ErrorKind::QuotaExceeded,
                "Service Quotas",
            ),
            (
                "UnsupportedAvailabilityZoneException",
                400,
                "",
                ErrorKind::QuotaExceeded,
                "other zones",
            ),
            (
                "InvalidParameterValueException",
                400,
                "IAM Role arn:aws:iam::1:role/a cannot be assumed by AWS Backup",
                ErrorKind::Unavailable,
                "takes a moment",
            ),
            ("DBInstanceNotFound", 404, "", ErrorKind::NotFound, ""),
            ("DBInstanceAlreadyExists", 400, "", ErrorKind::Conflict, "plan again"),
            ("DBSnapshotAlreadyExists", 400, "", ErrorKind::Conflict, "plan again"),
            (
                "InstanceQuotaExceeded",
                400,
                "",
                ErrorKind::QuotaExceeded,
                "Service Quotas",
            ),
            ("InternalError", 500, "", ErrorKind::Unavailable, "run again later"),
        ] {
            let error = explain("op:Call", code, status, message);
            assert_eq!(error.kind(), kind, "{code}");
            assert!(
                error.help().unwrap_or_default().contains(help),
                "{code}: {:?}",
                error.help()
            );
        }
    }
}
