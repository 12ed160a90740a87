//! What to type next.

use crate::args::Common;
use crate::site::{Target, flag, quoted};
use platform_core::Owner;
use platform_core::engine::Report;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

pub(crate) fn after_apply(command: &str, options: &Common, target: &Target, outputs: &Value) -> String {
    let same = flags(options, target);
    let mut lines = vec![
        (format!("{command} plan{same}"), "nothing left to change"),
        (
            format!("{command} plan{same} --set database.storage=20Gi"),
            "a change, field by field",
        ),
        (format!("{command} destroy{same}"), "removes it, keeps the data"),
    ];
    if !outputs["backup"].is_null() {
        lines.extend([
            (format!("{command} backup run{same}"), "takes a backup now"),
            (format!("{command} backup drill{same}"), "proves it by restoring it"),
        ]);
    }
    if target.is_simulated() {
        lines.push((format!("{command} apply {}", target.real), "the same on something real"));
    } else {
        lines.extend(reached(target, outputs));
    }
    page(&lines)
}

/// How to reach what really runs.
pub(crate) fn reach(target: &Target, outputs: &Value) -> Option<String> {
    let lines: Vec<_> = reached(target, outputs).collect();
    (!lines.is_empty()).then(|| page(&lines))
}

fn reached(target: &Target, outputs: &Value) -> impl Iterator<Item = (String, &'static str)> {
    let lines = if target.is_simulated() {
        Vec::new()
    } else {
        target.reach.lines(outputs)
    };
    lines.into_iter().map(|line| (line, ""))
}

pub(crate) fn after_plan(command: &str, options: &Common, target: &Target, file: &Path) -> String {
    let shown = file.display().to_string();
    let mut line = format!("{command} apply {}", quoted(&shown));
    place(&mut line, options, target);
    page(&[(line, "exactly this, or a refusal")])
}

pub(crate) fn after_destroy(command: &str, options: &Common, target: &Target, report: &Report) -> String {
    let same = flags(options, target);
    let kept = report.left.iter().any(|live| live.owner == Owner::Retained);
    let again = if kept {
        "takes the kept data over again"
    } else {
        "makes it anew"
    };
    page(&[(format!("{command} apply{same}"), again)])
}

fn page(lines: &[(String, &str)]) -> String {
    let width = lines
        .iter()
        .filter(|(_, what)| !what.is_empty())
        .map(|(line, _)| line.chars().count())
        .max()
        .unwrap_or(0);
    let mut page = "Next:".to_owned();
    for (line, what) in lines {
        let _ = write!(page, "\n  {}", format!("{line:width$}  {what}").trim_end());
    }
    page
}

/// The flags that lead to the same config and place again.
fn flags(options: &Common, target: &Target) -> String {
    let mut flags = String::new();
    if let Some(config) = &options.config {
        flag(&mut flags, "--config", &config.display().to_string());
    }
    for assignment in &options.set {
        flag(&mut flags, "--set", assignment);
    }
    place(&mut flags, options, target);
    flags
}

/// The flags that lead to the same place again.
fn place(command: &mut String, options: &Common, target: &Target) {
    if let Some(world) = &options.world {
        flag(command, "--world", &world.display().to_string());
    }
    for (name, value) in &target.flags {
        flag(command, name, value);
    }
}
