//! What a run prints.

use crate::args::{Common, Output};
use crate::progress::stamped;
use crate::site::Target;
use anyhow::{Result, bail};
use platform_core::engine::{Comparison, Plan, RenderOptions, Report};
use platform_core::testing::World;
use serde_json::Value;
use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

/// Prints what belongs to one run.
pub(crate) struct Screen<'a> {
    pub(crate) options: &'a Common,
    pub(crate) target: &'a Target,
    /// What the run is about: `Platform ml-platform (local) on kubernetes`.
    pub(crate) title: String,
    /// Whose outputs: the platform's name, or its set.
    pub(crate) name: String,
}

impl Screen<'_> {
    pub(crate) fn is_text(&self) -> bool {
        self.options.output == Output::Text
    }

    pub(crate) fn heading(&self) -> String {
        format!("{}, {}", self.title, self.target.label())
    }

    /// A plan, with what it does beside one that another environment ran.
    pub(crate) fn plan(&self, plan: &Plan, beside: Option<&Comparison>, since: Instant) -> Result<()> {
        if !self.is_text() {
            let mut document = plan.document();
            if let Some(beside) = beside {
                document["promotion"] = beside.document();
            }
            return print(&stamped(document, self.target.is_simulated()).to_string());
        }
        let rendering = RenderOptions::default()
            .with_title(self.heading())
            .with_took(since.elapsed())
            .with_colour(colour());
        print(plan.display_with(rendering).to_string().trim_end())?;
        match beside {
            Some(beside) => {
                let rendering = RenderOptions::default().with_colour(colour());
                print(&format!("\n{}", beside.display_with(rendering).to_string().trim_end()))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn report(&self, report: &Report, sweep: bool) -> Result<()> {
        if !self.is_text() {
            return print(&stamped(report.document(), self.target.is_simulated()).to_string());
        }
        if self.target.is_simulated() {
            print(&format!("\n{} run:", World::LABEL))?;
        } else {
            print("")?;
        }
        let rendering = RenderOptions::default().with_colour(colour()).with_sweep(sweep);
        print(report.display_with(rendering).to_string().trim_end())
    }

    pub(crate) fn outputs(&self, outputs: &Value) -> Result<()> {
        let outputs = platform_core::engine::Outputs::new(outputs.clone());
        if !self.is_text() {
            return print(&stamped(outputs.document(), self.target.is_simulated()).to_string());
        }
        print(&format!("Outputs of {}, {}:", self.name, self.target.label()))?;
        print(outputs.display_with(colour()).to_string().trim_end())
    }

    /// Asks on a terminal; elsewhere consent must have been typed. The embedded world is free to try.
    pub(crate) fn consent(&self, question: &str) -> Result<()> {
        if self.options.yes || self.target.is_simulated() {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            bail!("nobody can be asked here: add --yes, or apply a plan file (plan --out FILE)");
        }
        let mut out = std::io::stdout();
        write!(out, "{question} [y/N] ")?;
        out.flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            Ok(())
        } else {
            bail!("not confirmed; nothing was changed")
        }
    }
}

fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes a line; a closed pipe is an error, not a panic.
pub(crate) fn print(text: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
