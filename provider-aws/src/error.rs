//! From SDK errors to ours: what failed, why, and what to do. The SDK's error is never kept as a source: its raw
//! response may hold a secret value.

mod answer;
mod classes;

use answer::explain;
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
