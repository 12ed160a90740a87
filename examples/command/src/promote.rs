//! A change that goes from one environment to the next.

use crate::args::Promoted;
use anyhow::{Context as _, Result};
use platform_core::engine::{Comparison, Plan, Promotion};
use platform_core::{Error, ErrorKind};
use std::path::Path;

impl Promoted {
    /// What the plan did that another environment applied, where one is named.
    pub(crate) fn read(&self) -> Result<Option<Promotion>> {
        let plan = self.promoted_from.as_deref().map(stored).transpose()?;
        Ok(plan.map(|plan| plan.promotion()))
    }
}

/// A stored plan.
pub(crate) fn stored(file: &Path) -> Result<Plan> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Plan::from_json(&text)?)
}

/// Nothing runs that the environment before did not run.
pub(crate) fn refuse_extras(beside: Option<&Comparison>) -> Result<()> {
    let Some(beside) = beside.filter(|beside| beside.extras().next().is_some()) else {
        return Ok(());
    };
    let why = format!(
        "the plan has {} effects that the plan of {} did not have",
        beside.extras().count(),
        beside.there
    );
    Err(Error::new(ErrorKind::Blocked, why)
        .with_help("run them in the other environment first; or apply without --promoted-from, if they are meant")
        .into())
}
