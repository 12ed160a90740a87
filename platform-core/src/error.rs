//! One error type: what the caller should do, what was attempted on what, and why it failed.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as a caller has to act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is wrong: mend the config or the call.
    Invalid,
    /// This provider cannot do what was asked; found out before any call.
    Unsupported,
    /// Credentials are missing, wrong or expired.
    Unauthenticated,
    /// The credentials lack a permission.
    Forbidden,
    /// The object, namespace, context or API does not exist.
    NotFound,
    /// The object changed since it was read.
    Conflict,
    /// The name is taken by somebody else's object.
    Foreign,
    /// An admission rule (Pod Security, a webhook, an SCP) refused the object.
    Denied,
    /// A quota is used up, or there is no room for it.
    QuotaExceeded,
    /// Too many requests.
    Throttled,
    /// The peer cannot be reached or is broken at the moment.
    Unavailable,
    /// No answer, or not ready, within the time allowed.
    Timeout,
    /// The peer is not the place that the plan was made for.
    WrongPlace,
    /// The peer's version is older than supported.
    TooOld,
    /// Somebody else holds the lease.
    Locked,
    /// The world differs from the plan: plan again.
    Stale,
    /// The plan holds steps that cannot be done.
    Blocked,
    /// An approval is missing.
    Unapproved,
    /// A resource ended in a failed state.
    Failed,
    /// Stopped by the caller.
    Cancelled,
    /// A defect of this library or its peer.
    Internal,
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not without a change.
    Never,
    /// Yes, after about this long.
    After(Duration),
}

/// A failed operation.
///
/// `Display` says what was attempted and the reason, without the source; print
/// [`Error::report`] for the whole chain and what to do.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: Retry,
    operation: Cow<'static, str>,
    message: String,
    help: Option<String>,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `message` is lower case, without a final dot, and holds no secret.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::Throttled | ErrorKind::Unavailable => Retry::After(Duration::from_secs(1)),
            _ => Retry::Never,
        };
        Self(Box::new(Inner {
            kind,
            retry,
            operation: Cow::Borrowed(""),
            message: message.into(),
            help: None,
            context: Vec::new(),
            source: None,
        }))
    }

    /// What was being done: `create`, `list pods`.
    pub fn with_operation(mut self, operation: impl Into<Cow<'static, str>>) -> Self {
        self.0.operation = operation.into();
        self
    }

    /// Adds a fact: `("resource", id)`.
    pub fn with_context(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// What the reader should do about it.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// The cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Overrides the retry advice that follows from the kind.
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether trying again can help.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// What was being done; empty when unknown.
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// The reason alone.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What the reader should do about it.
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// The facts.
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }

    /// The whole chain on one line, then the help on its own.
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        if let Some(help) = &self.0.help {
            text.push_str("\n  what to do: ");
            text.push_str(help);
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.operation.is_empty() {
            write!(f, "{}: ", self.0.operation)?;
        }
        f.write_str(&self.0.message)?;
        if !self.0.context.is_empty() {
            f.write_str(" (")?;
            for (position, (key, value)) in self.0.context.iter().enumerate() {
                write!(f, "{}{key} {value}", if position > 0 { ", " } else { "" })?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.report())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

impl From<crate::value::InvalidValue> for Error {
    fn from(invalid: crate::value::InvalidValue) -> Self {
        Self::new(ErrorKind::Invalid, invalid.to_string())
    }
}
