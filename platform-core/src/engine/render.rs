//! What people and programs read: plans, events, reports and outputs, as text and as JSON.
//!
//! Pure functions of their values: nothing here reads a terminal, a clock or an environment.

mod document;
mod event;
mod outputs;
mod plan;
mod promotion;
mod report;
mod style;
mod value;

pub use outputs::{Outputs, OutputsText};
pub(super) use style::ago;
pub(super) use value::{masked, masked_sides};

use super::plan::{Action, Cause, Change, Plan, Step};
use super::promotion::Comparison;
use super::report::Report;
use crate::facts::FieldChange;
use crate::resource::Actor;
use crate::value::Timestamp;
use std::fmt;
use std::time::Duration;

/// How to print.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RenderOptions {
    /// ANSI colours. Default off.
    pub colour: bool,
    /// The heading. Default: `Set <set>`.
    pub title: Option<String>,
    /// How long planning took; printed behind the number of requests. Default: not printed.
    pub took: Option<Duration>,
    /// Whether unchanged objects are listed too. Default off.
    pub unchanged: bool,
    /// A report ends with what a sweep found, as after a destroy. Default off.
    pub sweep: bool,
}

impl RenderOptions {
    /// Sets whether to print ANSI colours.
    pub fn with_colour(mut self, colour: bool) -> Self {
        self.colour = colour;
        self
    }
    /// Sets the heading.
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }
    /// Sets how long planning took.
    pub fn with_took(mut self, took: Duration) -> Self {
        self.took = Some(took);
        self
    }
    /// Sets whether unchanged objects are listed.
    pub fn with_unchanged(mut self, unchanged: bool) -> Self {
        self.unchanged = unchanged;
        self
    }
    /// Sets whether a report ends with what a sweep found.
    pub fn with_sweep(mut self, sweep: bool) -> Self {
        self.sweep = sweep;
        self
    }
}

/// A field as it was found, and who left it so: `spec.replicas is 2 (kubectl-edit, 3 min ago)`. Secret-free.
pub(super) fn as_found(step: &Step, change: &Change, now: Timestamp) -> String {
    let shown = value::shown(step, change);
    let who = match &change.actor {
        None => "somebody".to_owned(),
        Some(Actor { name, at: None }) => name.clone(),
        Some(Actor { name, at: Some(at) }) => format!("{name}, {}", ago(now.since(*at))),
    };
    format!("{} is {} ({who})", shown.path, shown.before)
}

/// A plan as text; made by [`Plan::display`].
#[derive(Clone, Debug)]
pub struct PlanText<'a> {
    plan: &'a Plan,
    options: RenderOptions,
}

impl fmt::Display for PlanText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&plan::text(self.plan, &self.options))
    }
}

/// A report as text; made by [`Report::display`].
#[derive(Clone, Debug)]
pub struct ReportText<'a> {
    report: &'a Report,
    options: RenderOptions,
}

impl fmt::Display for ReportText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&report::text(self.report, &self.options))
    }
}

/// A comparison of two plans as text; made by [`Comparison::display`].
#[derive(Clone, Debug)]
pub struct ComparisonText<'a> {
    comparison: &'a Comparison,
    options: RenderOptions,
}

impl fmt::Display for ComparisonText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&promotion::text(self.comparison, &self.options))
    }
}

impl Comparison {
    /// What this plan does that the other one did not, and what differs by config. Secret-free.
    pub fn display(&self) -> ComparisonText<'_> {
        self.display_with(RenderOptions::default())
    }

    /// [`Comparison::display`] with options.
    pub fn display_with(&self, options: RenderOptions) -> ComparisonText<'_> {
        ComparisonText {
            comparison: self,
            options,
        }
    }

    /// The comparison as programs read it. Secret-free.
    pub fn document(&self) -> serde_json::Value {
        promotion::document(self)
    }
}

impl Plan {
    /// The plan as people read it: by component, field by field, with what needs an approval. Secret-free.
    pub fn display(&self) -> PlanText<'_> {
        self.display_with(RenderOptions::default())
    }

    /// [`Plan::display`] with options.
    pub fn display_with(&self, options: RenderOptions) -> PlanText<'_> {
        PlanText { plan: self, options }
    }

    /// The plan as programs read it: one JSON document with `document`, `schema` and `library`. Secret-free.
    ///
    /// Not the plan file: that is [`Plan::to_json`].
    pub fn document(&self) -> serde_json::Value {
        document::plan(self)
    }
}

impl Report {
    /// What became of the run: failures with what to do, what is kept, totals.
    pub fn display(&self) -> ReportText<'_> {
        self.display_with(RenderOptions::default())
    }

    /// [`Report::display`] with options.
    pub fn display_with(&self, options: RenderOptions) -> ReportText<'_> {
        ReportText { report: self, options }
    }

    /// The report as programs read it: one JSON document with `document`, `schema` and `library`.
    pub fn document(&self) -> serde_json::Value {
        document::report(self)
    }

    /// The outputs, by capability.
    pub fn outputs(&self) -> Outputs {
        Outputs::new(self.outputs.clone())
    }
}

impl Plan {
    /// The outputs as far as they are known, by capability.
    pub fn known_outputs(&self) -> Outputs {
        Outputs::new(self.outputs.clone())
    }
}

impl Step {
    /// The printed word: a function of the action, its cause and the kind of its changes.
    ///
    /// `create`, `update`, `grow`, `restore` (drift), `renew` (its time has come), `replace`, `adopt`, `keep` (detached with its data), `delete`,
    /// `blocked`, `wait` (unchanged, not ready yet), `unchanged`.
    pub fn word(&self) -> &'static str {
        match self.action {
            Action::Unchanged if self.ready => "unchanged",
            Action::Unchanged => "wait",
            Action::Create => "create",
            Action::Update if self.cause == Cause::Drift => "restore",
            Action::Update if self.cause == Cause::Time => "renew",
            Action::Update if self.grows() => "grow",
            Action::Update => "update",
            Action::Replace => "replace",
            Action::Adopt => "adopt",
            Action::Release => "keep",
            Action::Delete => "delete",
            Action::Blocked => "blocked",
        }
    }

    fn grows(&self) -> bool {
        self.changes.iter().any(|change| change.effect == FieldChange::GrowOnly)
    }
}

impl Action {
    /// The past tense for progress lines: `created`, `kept`.
    pub const fn done(self) -> &'static str {
        match self {
            Self::Unchanged => "ready",
            Self::Create => "created",
            Self::Update => "updated",
            Self::Replace => "replaced",
            Self::Adopt => "adopted",
            Self::Release => "kept",
            Self::Delete => "deleted",
            Self::Blocked => "blocked",
        }
    }

    /// The mark before a line: `+`, `~`, `-`.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Unchanged => ".",
            Self::Create => "+",
            Self::Update => "~",
            Self::Replace => "-/+",
            Self::Adopt => "<",
            Self::Release => "=",
            Self::Delete => "-",
            Self::Blocked => "x",
        }
    }
}

#[cfg(test)]
mod tests;
