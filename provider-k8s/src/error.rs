//! What API servers answer when they refuse, as errors that say what to do.

use platform_core::{Error, ErrorKind, Retry};
use serde_json::Value;
use std::time::Duration;

/// What was tried, for messages.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// `create`, `list`.
    pub(crate) verb: &'static str,
    /// `statefulsets.apps database/postgres`.
    pub(crate) what: String,
}

impl Attempt {
    pub(crate) fn new(verb: &'static str, what: impl Into<String>) -> Self {
        Self {
            verb,
            what: what.into(),
        }
    }
}

/// Why no answer came.
#[derive(Debug)]
pub(crate) enum Transport {
    Client(kube::Error),
    Request(http::Error),
    TimedOut(Duration),
    NoToken(Error),
}

/// Whether sending it again cannot do anything twice.
pub(crate) fn may_repeat(why: &Transport, reads: bool) -> bool {
    match why {
        Transport::Client(cause) => {
            let chain = chain(cause);
            let certificate = chain.contains("certificate");
            let never_sent = chain.contains("(Connect)") && !chain.contains("dns error");
            !certificate && (never_sent || reads)
        }
        Transport::Request(_) | Transport::TimedOut(_) | Transport::NoToken(_) => false,
    }
}

/// No answer.
pub(crate) fn unreachable(attempt: &Attempt, peer: &str, why: Transport) -> Error {
    let operation = format!("{} {}", attempt.verb, attempt.what);
    let error = |kind, message: String, help: &str| {
        Error::new(kind, message)
            .with_operation(operation.clone())
            .with_help(help.to_owned())
    };
    match why {
        Transport::NoToken(why) => why.with_context("cluster", peer),
        Transport::TimedOut(after) => error(
            ErrorKind::Timeout,
            format!("no answer from {peer} within {} s", after.as_secs()),
            "check that the cluster runs and that nothing on the way holds the connection back",
        )
        .with_retry(Retry::After(Duration::from_secs(1))),
        Transport::Request(cause) => error(
            ErrorKind::Internal,
            "the request cannot be built".to_owned(),
            "report this as a defect",
        )
        .with_source(cause),
        Transport::Client(cause) => {
            let chain = chain(&cause);
            if chain.contains("certificate expired") {
                error(
                    ErrorKind::Unavailable,
                    format!("the certificate of {peer} has expired"),
                    "renew the API server's certificate; check this machine's clock",
                )
                .with_retry(Retry::Never)
            } else if chain.contains("invalid peer certificate") {
                error(
                    ErrorKind::WrongPlace,
                    format!("{peer} is not the server that the kubeconfig knows: its certificate is not trusted"),
                    "fetch the kubeconfig again: the cluster may have been made anew under the same address",
                )
            } else if chain.contains("dns error") {
                error(
                    ErrorKind::Unavailable,
                    format!("the address of {peer} is not known here"),
                    "check the server address in the kubeconfig, the network and the VPN",
                )
            } else if chain.contains("Connect") {
                error(
                    ErrorKind::Unavailable,
                    format!("cannot reach {peer}"),
                    "start the cluster, or check the context, the network and the VPN",
                )
            } else {
                error(
                    ErrorKind::Unavailable,
                    format!("the connection to {peer} broke"),
                    "run again: what went through is seen and not done twice",
                )
            }
            .with_source(Plain(chain))
        }
    }
}

/// The API server's refusal.
pub(crate) fn refused(attempt: &Attempt, peer: &str, status: u16, body: &Value) -> Error {
    let text = body["message"]
        .as_str()
        .or_else(|| body.as_str())
        .unwrap_or_default()
        .trim();
    let case = classify(status, body, text);
    let message = case.message.unwrap_or_else(|| {
        if text.is_empty() {
            format!("the API server answered {status}")
        } else {
            shortened(text)
        }
    });
    let mut error = Error::new(case.kind, message)
        .with_operation(format!("{} {}", attempt.verb, attempt.what))
        .with_help(case.help.replace("{peer}", peer));
    if let Some(retry) = case.retry {
        error = error.with_retry(retry);
    }
    error
}

struct Case {
    kind: ErrorKind,
    message: Option<String>,
    help: String,
    retry: Option<Retry>,
}

impl Case {
    fn new(kind: ErrorKind, help: impl Into<String>) -> Self {
        Self {
            kind,
            message: None,
            help: help.into(),
            retry: None,
        }
    }
    fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }
    fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }
}

fn classify(status: u16, body: &Value, text: &str) -> Case {
    let soon = Retry::After(Duration::from_secs(1));
    if let Some(webhook) = between(text, "failed calling webhook \"", "\"") {
        return Case::new(
            ErrorKind::Unavailable,
            format!("bring the service behind webhook {webhook} back, or remove its configuration if it is a leftover"),
        )
        .message(format!(
            "admission webhook {webhook} does not answer: {}",
            shortened(text)
        ))
        .retry(soon);
    }
    if let Some(webhook) = between(text, "admission webhook \"", "\" denied") {
        return Case::new(
            ErrorKind::Denied,
            format!("change the config so that it keeps to the rule, or ask those who run {webhook}"),
        )
        .message(format!("refused by admission webhook {webhook}: {}", shortened(text)));
    }
    if let Some(policy) = between(text, "ValidatingAdmissionPolicy '", "'") {
        return Case::new(
            ErrorKind::Denied,
            format!("change the config so that it keeps to policy {policy}"),
        );
    }
    if text.contains("database space exceeded") || text.contains("no space left on device") {
        return Case::new(
            ErrorKind::Unavailable,
            "free space: compact and defragment etcd or enlarge its disk, then clear the alarm",
        )
        .message(format!("the cluster's store is full: {}", shortened(text)))
        .retry(Retry::Never);
    }
    if text.contains("etcdserver:") {
        return Case::new(
            ErrorKind::Unavailable,
            "run again; if it lasts, look at the cluster's etcd",
        )
        .retry(soon);
    }
    match status {
        401 => Case::new(
            ErrorKind::Unauthenticated,
            "log in again or fetch a new kubeconfig: the credentials of {peer} have expired or belong to another cluster",
        )
        .message("the cluster does not know these credentials"),
        403 => forbidden(body, text),
        404 if body.is_string() => Case::new(
            ErrorKind::TooOld,
            "the cluster needs Kubernetes 1.33 or newer with this API enabled",
        )
        .message("the API server does not have this API"),
        404 => Case::new(
            ErrorKind::NotFound,
            "make it first, or name another one in the config: it does not exist",
        ),
        409 if body["reason"] == "AlreadyExists" => {
            Case::new(ErrorKind::Conflict, "plan again: somebody made it meanwhile")
        }
        409 if text.contains("resourcequotas") => Case::new(ErrorKind::Unavailable, "run again").retry(soon),
        409 => Case::new(ErrorKind::Conflict, "plan again: it changed since it was read"),
        400 | 422 if text.contains("port is already allocated") => {
            Case::new(ErrorKind::Foreign, "choose another node port: this one is taken by another Service")
        }
        400 | 422 => Case::new(ErrorKind::Invalid, "change the field that is named so that the API accepts it"),
        410 => Case::new(ErrorKind::Conflict, "read again").retry(soon),
        413 => Case::new(ErrorKind::Invalid, "make the object smaller: 1 MiB is the limit of most clusters"),
        429 => Case::new(
            ErrorKind::Throttled,
            "run again later; if it lasts, raise the priority level of this user in API Priority and Fairness",
        ),
        // Not retryable although it is a 500.
        500 if text.contains("failed to create typed patch object") => Case::new(
            ErrorKind::Invalid,
            "mend the field that is named: this cluster's version does not know it or wants another type",
        ),
        500..=599 => Case::new(ErrorKind::Unavailable, "run again; if it lasts, look at the API server's log").retry(soon),
        _ => Case::new(ErrorKind::Internal, "report this as a defect"),
    }
}

fn forbidden(body: &Value, text: &str) -> Case {
    if body["details"]["causes"]
        .as_array()
        .is_some_and(|causes| causes.iter().any(|cause| cause["reason"] == "NamespaceTerminating"))
    {
        return Case::new(ErrorKind::Conflict, "wait until the namespace is gone, then run again")
            .retry(Retry::After(Duration::from_secs(1)));
    }
    if let Some(at) = text.find("exceeded quota: ") {
        return Case::new(
            ErrorKind::QuotaExceeded,
            "raise the quota (security.quotas in the config, or whoever set it), or ask for less",
        )
        .message(&text[at..]);
    }
    if let Some(at) = text.find("failed quota: ") {
        return Case::new(
            ErrorKind::Denied,
            "state what the quota counts (requests and limits), or add a LimitRange with defaults",
        )
        .message(&text[at..]);
    }
    if let Some(at) = text.find("violates PodSecurity") {
        return Case::new(
            ErrorKind::Denied,
            "make the pod keep to the level, or change security.pod_security for its namespace",
        )
        .message(&text[at..]);
    }
    // deployments.apps is forbidden: User "dev" cannot create resource "deployments" in API group "apps" in the namespace "x"
    if let (Some(user), Some(verb)) = (between(text, "User \"", "\""), between(text, "\" cannot ", " ")) {
        let resource = between(text, "resource \"", "\"").unwrap_or_default();
        let group = between(text, "API group \"", "\"").unwrap_or_default();
        let dot = if group.is_empty() { "" } else { "." };
        let place = between(text, "in the namespace \"", "\"").map_or_else(
            || "the whole cluster".to_owned(),
            |namespace| format!("namespace {namespace}"),
        );
        return Case::new(
            ErrorKind::Forbidden,
            format!("grant {verb} on {resource}{dot}{group} in {place} to user {user}"),
        )
        .message(format!("user {user} may not {verb} {resource}{dot}{group} in {place}"));
    }
    Case::new(
        ErrorKind::Denied,
        "change the config so that it keeps to the cluster's rule",
    )
}

/// The message without the preamble that repeats kind and name, at most 400 characters.
fn shortened(text: &str) -> String {
    let text = text.strip_prefix("Internal error occurred: ").unwrap_or(text);
    if text.chars().count() <= 400 {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(397).collect();
    cut.push_str("...");
    cut
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    Some(&rest[..rest.find(after)?])
}

/// Display of an error and all its sources; kube's own text says only "client error (Connect)".
fn chain(cause: &dyn std::error::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(cause);
    while let Some(cause) = next {
        // kube's own word for it says nothing.
        let text = cause.to_string().replace("ServiceError: ", "");
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
        next = cause.source();
    }
    texts.join(" <- ")
}

/// A cause as text.
#[derive(Debug)]
struct Plain(String);

impl std::fmt::Display for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Plain {}

#[cfg(test)]
mod tests;
