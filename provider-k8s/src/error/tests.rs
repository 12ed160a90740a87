use super::{Attempt, refused};
use platform_core::{ErrorKind, Retry};
use serde_json::{Value, json};

#[test]
fn every_refusal_has_a_kind_and_a_text() {
    let status = |reason: &str, message: &str| json!({"kind": "Status", "reason": reason, "message": message});
    for (code, body, kind, retries, text) in [
        (
            401,
            status("Unauthorized", "Unauthorized"),
            ErrorKind::Unauthenticated,
            false,
            "does not know these credentials",
        ),
        (
            403,
            status(
                "Forbidden",
                "deployments.apps \"a\" is forbidden: User \"dev\" cannot create resource \"deployments\" in API group \"apps\" in the namespace \"x\"",
            ),
            ErrorKind::Forbidden,
            false,
            "user dev may not create deployments.apps in namespace x",
        ),
        (
            403,
            status(
                "Forbidden",
                "pods \"a\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0",
            ),
            ErrorKind::QuotaExceeded,
            false,
            "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0",
        ),
        (
            403,
            status(
                "Forbidden",
                "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": privileged (c)",
            ),
            ErrorKind::Denied,
            false,
            "violates PodSecurity \"restricted:latest\": privileged (c)",
        ),
        (
            404,
            Value::String("404 page not found".into()),
            ErrorKind::TooOld,
            false,
            "does not have this API",
        ),
        (
            404,
            status("NotFound", "namespaces \"x\" not found"),
            ErrorKind::NotFound,
            false,
            "namespaces \"x\" not found",
        ),
        (
            409,
            status("Conflict", "the object has been modified"),
            ErrorKind::Conflict,
            false,
            "modified",
        ),
        (
            409,
            status(
                "Conflict",
                "Operation cannot be fulfilled on resourcequotas \"q\": the object has been modified",
            ),
            ErrorKind::Unavailable,
            true,
            "resourcequotas",
        ),
        (
            422,
            status("Invalid", "spec.selector: field is immutable"),
            ErrorKind::Invalid,
            false,
            "immutable",
        ),
        (
            429,
            status("TooManyRequests", "too many"),
            ErrorKind::Throttled,
            true,
            "too many",
        ),
        (
            500,
            status(
                "",
                "failed to create typed patch object (a; apps/v1): .spec.replcas: field not declared in schema",
            ),
            ErrorKind::Invalid,
            false,
            ".spec.replcas",
        ),
        (
            500,
            status(
                "InternalError",
                "Internal error occurred: failed calling webhook \"v.example.com\": connection refused",
            ),
            ErrorKind::Unavailable,
            true,
            "admission webhook v.example.com does not answer",
        ),
        (
            400,
            status("", "admission webhook \"v.example.com\" denied the request: no"),
            ErrorKind::Denied,
            false,
            "refused by admission webhook v.example.com",
        ),
        (
            500,
            status("", "etcdserver: mvcc: database space exceeded"),
            ErrorKind::Unavailable,
            false,
            "store is full",
        ),
        (
            500,
            status("", "etcdserver: request timed out"),
            ErrorKind::Unavailable,
            true,
            "timed out",
        ),
        (503, Value::Null, ErrorKind::Unavailable, true, "answered 503"),
    ] {
        let error = refused(
            &Attempt::new("create", "deployments.apps x/a"),
            "context \"c\"",
            code,
            &body,
        );
        assert_eq!(error.kind(), kind, "{body}");
        assert_eq!(matches!(error.retry(), Retry::After(_)), retries, "{body}");
        assert!(error.to_string().contains(text), "{error} lacks {text}");
        assert!(error.help().is_some_and(|help| !help.is_empty()));
    }
}
