//! Quotas that moved a moment ago: the API server may still refuse by what they were.

use platform_core::value::ResourceId;
use platform_core::{Error, ErrorKind, Live, Retry, State};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// For so long after a write of the quota a refusal may be by the old limits.
const SETTLES: Duration = Duration::from_secs(15);
/// Before the next try of what was refused.
const PAUSE: Duration = Duration::from_secs(1);

/// When this process last wrote the quota of a namespace, by the clock's `elapsed`.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    written: Mutex<HashMap<String, Duration>>,
}

impl Quotas {
    /// Remembers a write, if it was one of a quota.
    pub(crate) fn wrote(&self, id: &ResourceId, now: Duration) {
        if let ("ResourceQuota", Some(namespace)) = (id.kind().as_str(), id.name().namespace()) {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            written.insert(namespace.to_owned(), now);
        }
    }

    /// Whether the quota of an object's namespace moved so lately that a refusal by it need not be the last word.
    pub(crate) fn is_moving(&self, id: &ResourceId, now: Duration) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        id.name()
            .namespace()
            .and_then(|namespace| written.get(namespace))
            .is_some_and(|at| now.saturating_sub(*at) < SETTLES)
    }

    /// The refusal of a write, to be tried again while the quota moves.
    pub(crate) fn advised(&self, id: &ResourceId, why: Error, now: Duration) -> Error {
        if why.kind() == ErrorKind::QuotaExceeded && self.is_moving(id, now) {
            why.with_retry(Retry::After(PAUSE))
        } else {
            why
        }
    }

    /// Whether what a workload reports is a refusal of its pods while the quota moves: its controller tries again.
    pub(crate) fn excuses(&self, live: &Live, now: Duration) -> bool {
        matches!(&live.state, State::Failed { why } if why.contains("exceeded quota")) && self.is_moving(&live.id, now)
    }
}

#[cfg(test)]
mod tests {
    use super::Quotas;
    use platform_core::value::ResourceId;
    use platform_core::{Error, ErrorKind, Retry};
    use std::time::Duration;

    fn id(text: &str) -> ResourceId {
        format!("k8s/main:{text}").parse().unwrap()
    }

    #[test]
    fn a_refusal_is_final_but_for_a_moment_after_the_quota_was_written() {
        let quotas = Quotas::default();
        let seconds = Duration::from_secs;
        quotas.wrote(&id("ResourceQuota/cache/quota"), seconds(100));
        quotas.wrote(&id("ConfigMap/database/quota"), seconds(100));
        let again = Retry::After(seconds(1));
        let exceeded = ErrorKind::QuotaExceeded;
        for (kind, object, at, retry) in [
            (exceeded, "PersistentVolumeClaim/cache/data", 100, again),
            (exceeded, "PersistentVolumeClaim/cache/data", 114, again),
            (exceeded, "PersistentVolumeClaim/cache/data", 115, Retry::Never),
            (exceeded, "PersistentVolumeClaim/database/data", 101, Retry::Never),
            (ErrorKind::Denied, "PersistentVolumeClaim/cache/data", 101, Retry::Never),
            (exceeded, "Namespace/cache", 101, Retry::Never),
        ] {
            let why = quotas.advised(&id(object), Error::new(kind, "exceeded quota: quota"), seconds(at));
            assert_eq!(why.retry(), retry, "{kind:?} of {object} after {at} s");
        }
        quotas.wrote(&id("ResourceQuota/cache/quota"), seconds(200));
        assert!(quotas.is_moving(&id("Deployment.apps/cache/web"), seconds(201)));
    }
}
