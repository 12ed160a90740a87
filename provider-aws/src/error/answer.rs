//! What an error answer means: by its code, else by how the code is spelt, else by its status.

use super::classes::{BUSY, CLASSES, Class, FAULT, FULL, GONE, QUOTA, RACE, THROTTLED, UNKNOWN};
use platform_core::{Error, ErrorKind, Retry};
use std::time::Duration;

/// How long to leave alone what is busy, and who is told to slow down.
const PAUSE: Duration = Duration::from_secs(15);
const SLOWER: Duration = Duration::from_secs(5);

const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    // SNS
    "AuthorizationError",
    "UnauthorizedOperation",
    "AllAccessDisabled",
    "403",
];
const SLOW: &[&str] = &[
    "SlowDown",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "PriorRequestNotComplete",
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
];

/// Operations of S3 that IAM calls otherwise.
const CALLED: &[(&str, &str)] = &[
    ("s3:DeleteBucketLifecycle", "s3:PutLifecycleConfiguration"),
    ("s3:DeleteBucketMetricsConfiguration", "s3:PutMetricsConfiguration"),
    ("s3:DeleteBucketReplication", "s3:PutReplicationConfiguration"),
    ("s3:GetBucketEncryption", "s3:GetEncryptionConfiguration"),
    ("s3:GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration"),
    ("s3:GetBucketMetricsConfiguration", "s3:GetMetricsConfiguration"),
    ("s3:GetBucketNotificationConfiguration", "s3:GetBucketNotification"),
    ("s3:GetBucketReplication", "s3:GetReplicationConfiguration"),
    ("s3:GetObjectLockConfiguration", "s3:GetBucketObjectLockConfiguration"),
    ("s3:GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock"),
    ("s3:HeadBucket", "s3:ListBucket"),
    ("s3:ListBuckets", "s3:ListAllMyBuckets"),
    ("s3:ListObjectsV2", "s3:ListBucket"),
    ("s3:PutBucketEncryption", "s3:PutEncryptionConfiguration"),
    ("s3:PutBucketLifecycleConfiguration", "s3:PutLifecycleConfiguration"),
    ("s3:PutBucketMetricsConfiguration", "s3:PutMetricsConfiguration"),
    ("s3:PutBucketNotificationConfiguration", "s3:PutBucketNotification"),
    ("s3:PutBucketReplication", "s3:PutReplicationConfiguration"),
    ("s3:PutObjectLockConfiguration", "s3:PutBucketObjectLockConfiguration"),
    ("s3:PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
];

/// How a service says that it may not act by a role yet: a code, and a part of the message. RDS's is not in its reference:
/// <https://github.com/hashicorp/terraform-provider-aws/issues/315>.
const FRESH_ROLE: [(&str, &str); 2] = [
    ("InvalidParameterValueException", "cannot be assumed"),
    ("InvalidParameterValue", "required permissions for: ENHANCED_MONITORING"),
];

/// What an error answer means.
pub(super) fn explain(operation: &str, code: &str, status: u16, message: &str) -> Error {
    if (200..300).contains(&status) && code.is_empty() {
        return Error::new(ErrorKind::Internal, "the answer cannot be read")
            .with_help("the call may have been done: plan again; what answers is not AWS, or newer than this version");
    }
    let text = if message.is_empty() {
        format!("{code} (HTTP {status})")
    } else {
        format!("{code}: {}", message.trim_end_matches('.'))
    };
    if DENIED.contains(&code) {
        return denied(operation, text, message);
    }
    if FRESH_ROLE
        .iter()
        .any(|(known, part)| code == *known && message.contains(part))
    {
        return passing(
            text,
            "a new role takes a moment until services may act by it; if it stays so, its trust does not name the service",
        );
    }
    match CLASSES.iter().find(|class| class.codes.contains(&code)) {
        Some(Class { passes: true, help, .. }) => passing(text, help),
        Some(class) => Error::new(class.kind, text).with_help(class.help),
        None => by_spelling(operation, code, status, text),
    }
}

fn passing(text: String, help: &str) -> Error {
    Error::new(ErrorKind::Unavailable, text)
        .with_retry(Retry::After(PAUSE))
        .with_help(help)
}

fn denied(operation: &str, text: String, message: &str) -> Error {
    let principal = between(message, "User: ", " is not authorized").unwrap_or("the caller");
    let called = CALLED.iter().find(|(called, _)| *called == operation);
    let action = called.map_or(operation, |(_, action)| *action);
    let action = between(message, "to perform: ", " ").unwrap_or(action);
    let error = if message.contains("service control policy") {
        Error::new(ErrorKind::Denied, text).with_help(format!(
            "the organisation forbids {action}: ask who keeps its service control policies"
        ))
    } else {
        Error::new(ErrorKind::Forbidden, text).with_help(format!(
            "allow {action} to {principal}, in its policies and its permissions boundary"
        ))
    };
    error
        .with_context("action", action)
        .with_context("principal", principal)
}

/// Services name their refusals alike; what they add later is spelt so, too.
fn by_spelling(operation: &str, code: &str, status: u16, text: String) -> Error {
    let ends = |words: &[&str]| {
        words
            .iter()
            .any(|word| code.strip_suffix("Exception").unwrap_or(code).ends_with(word))
    };
    let holds = |words: &[&str]| words.iter().any(|word| code.contains(word));
    if code.contains("Throttl") || SLOW.contains(&code) || (status == 429 && code.is_empty()) {
        return Error::new(ErrorKind::Throttled, text)
            .with_retry(Retry::After(SLOWER))
            .with_help(THROTTLED);
    }
    if code.starts_with("Insufficient") && code.contains("Capacity") {
        return Error::new(ErrorKind::QuotaExceeded, text).with_help(FULL);
    }
    if holds(&["QuotaExceeded", "QuotaForCustomerExceeded", "QuotaForClusterExceeded"]) || ends(&["LimitExceeded"]) {
        return Error::new(ErrorKind::QuotaExceeded, text).with_help(QUOTA);
    }
    if ends(&["NotFound", "NotFoundFault"]) {
        return Error::new(ErrorKind::NotFound, text).with_help(GONE);
    }
    let taken = ends(&["AlreadyExists", "AlreadyExistsFault", ".Duplicate"]);
    if taken || (code == "ResourceInUseException" && operation.contains(":Create")) {
        return Error::new(ErrorKind::Conflict, text).with_help(RACE);
    }
    let is_busy = code.starts_with("Invalid") && !code.contains("Bucket") && ends(&["State", "StateFault"]);
    if is_busy || code == "ResourceInUseException" {
        return passing(text, BUSY);
    }
    match status {
        500..=599 => Error::new(ErrorKind::Unavailable, text).with_help(FAULT),
        429 => Error::new(ErrorKind::Throttled, text)
            .with_retry(Retry::After(SLOWER))
            .with_help(THROTTLED),
        _ => Error::new(ErrorKind::Invalid, text).with_help(UNKNOWN),
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let rest = &text[text.find(start)? + start.len()..];
    let found = rest.split(end).next()?;
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::super::classes::CLASSES;
    use super::explain;
    use platform_core::{ErrorKind, Retry};
    use std::collections::BTreeSet;

    #[test]
    fn each_class_says_what_to_do_and_each_code_stands_once() {
        let mut seen = BTreeSet::new();
        for class in CLASSES {
            for code in class.codes {
                let error = explain("rds:ModifyDBInstance", code, 400, "why.");
                assert_eq!(error.kind(), class.kind, "{code}");
                assert!(error.to_string().contains("why") && error.help().is_some(), "{code}");
                assert_eq!(matches!(error.retry(), Retry::After(_)), class.passes, "{code}");
                assert!(seen.insert(code), "{code} stands twice");
            }
        }
    }

    #[test]
    fn what_ec2_answers_says_what_to_do() {
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
            (
                "InvalidParameterValue",
                400,
                "IAM role ARN value is invalid or does not include the required permissions for: ENHANCED_MONITORING",
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
