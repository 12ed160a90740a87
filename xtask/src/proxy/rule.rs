//! Which call, and what happens to it.

use std::time::Duration;

use http::Method;
use hyper::body::Bytes;

use super::Call;

/// What happens to a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The connection is closed; the upstream never hears of the call.
    DropBefore,
    /// The upstream answers, then the connection is closed without that answer.
    DropAfter,
    /// The call waits this long before it is forwarded.
    Delay(Duration),
    /// The call is sent twice, one after the other; the second answer counts.
    Duplicate,
    /// The upstream never hears of the call; the client gets this answer.
    Answer {
        /// HTTP status.
        status: u16,
        /// Header fields.
        headers: Vec<(String, String)>,
        /// The body.
        body: Bytes,
    },
    /// A GET is answered as the last GET of the same path and query was that reached the upstream since the rules were
    /// set; the upstream hears of it only if there was none. Watches and other methods are left alone.
    Stale,
    /// The call hangs before the upstream hears of it, and [`Proxy::stopped`](super::Proxy::stopped) returns.
    StopBefore,
    /// The upstream answers, then the call hangs, and [`Proxy::stopped`](super::Proxy::stopped) returns.
    StopAfter,
}

impl Fault {
    /// An answer of this status and text.
    pub fn answer(status: u16, body: impl Into<String>) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: Bytes::from(body.into()),
        }
    }

    /// An answer as a Kubernetes API server words its refusals, `reason` being `TooManyRequests` and the like.
    pub fn refusal(status: u16, reason: &str, message: &str) -> Self {
        let body = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": status,
        });
        let json = ("content-type".to_owned(), "application/json".to_owned());
        Self::Answer {
            status,
            headers: vec![json],
            body: Bytes::from(body.to_string()),
        }
    }

    /// The same answer with one more header field; other faults stay as they are.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

/// Which of the calls that fit a rule it hits, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    All,
    Nth(u64),
    First(u64),
    Every { period: u64, offset: u64 },
}

/// A fault and the calls that meet it: by default all.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(super) fault: Fault,
    methods: Vec<Method>,
    path: Option<String>,
    but: Option<String>,
    writes: bool,
    which: Which,
}

impl Rule {
    /// `fault` for every call.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            methods: Vec::new(),
            path: None,
            but: None,
            writes: false,
            which: Which::All,
        }
    }

    /// Only calls with this method; given twice, either.
    pub fn method(mut self, method: Method) -> Self {
        self.methods.push(method);
        self
    }

    /// Only calls whose path or query contains `part`.
    pub fn path(mut self, part: &str) -> Self {
        self.path = Some(part.to_owned());
        self
    }

    /// Only calls whose path and query do not contain `part`.
    pub fn but(mut self, part: &str) -> Self {
        self.but = Some(part.to_owned());
        self
    }

    /// Only calls that ask for a change, as [`Call::writes`] says.
    pub fn writes(mut self) -> Self {
        self.writes = true;
        self
    }

    /// Only the `n`-th call that fits, counted from 1.
    pub fn nth(mut self, n: u64) -> Self {
        self.which = Which::Nth(n);
        self
    }

    /// Only the first `n` calls that fit.
    pub fn first(mut self, n: u64) -> Self {
        self.which = Which::First(n);
        self
    }

    /// Only every `period`-th call that fits, beginning with the `offset`-th, counted from 1.
    pub fn every(mut self, period: u64, offset: u64) -> Self {
        self.which = Which::Every { period, offset };
        self
    }

    pub(super) fn fits(&self, call: &Call) -> bool {
        (self.methods.is_empty() || self.methods.contains(&call.method))
            && self.path.as_ref().is_none_or(|part| call.path.contains(part))
            && !self.but.as_ref().is_some_and(|part| call.path.contains(part))
            && (call.writes() || !self.writes)
    }

    pub(super) fn hits(&self, number: u64) -> bool {
        match self.which {
            Which::All => true,
            Which::Nth(n) => number == n,
            Which::First(n) => number <= n,
            Which::Every { period, offset } => {
                number >= offset && (number - offset).checked_rem(period).is_none_or(|rest| rest == 0)
            }
        }
    }
}
