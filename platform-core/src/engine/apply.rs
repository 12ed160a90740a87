use super::{Approvals, Engine, Event, Plan, Report};
use crate::{Error, ErrorKind, Result};

/// How to apply.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApplyOptions {}

impl Engine {
    /// Verifies the plan by planning again, then does exactly that.
    ///
    /// # Errors
    /// `Stale`, `Unapproved`, `Locked`, `WrongPlace` before the first write; failures of single steps are in the report.
    pub async fn apply(
        &self,
        plan: &Plan,
        _approvals: &Approvals,
        _events: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Report> {
        Err(Error::new(ErrorKind::Unsupported, format!("set {}", plan.request.set)))
    }
}
