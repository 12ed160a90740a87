//! A report as text.

use super::super::report::{Outcome, Report};
use super::RenderOptions;
use super::style::{Style, Tone, span};
use crate::resource::{Holds, Live, Owner};
use crate::value::ResourceId;
use std::fmt::Write as _;

pub(super) fn text(report: &Report, options: &RenderOptions) -> String {
    let style = Style { colour: options.colour };
    let mut out = String::new();
    failures(report, style, &mut out);
    if options.sweep {
        sweep(report, style, &mut out);
    }
    let (done, failed, skipped) = report.totals();
    let mut parts = vec![format!("{done} done")];
    for (count, word) in [(failed, "failed"), (skipped, "skipped")] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    let promise = if report.is_success() {
        ""
    } else {
        " Run again to continue: what is done stays done."
    };
    let _ = writeln!(out, "{} in {}.{promise}", parts.join(", "), span(report.took));
    out
}

fn failures(report: &Report, style: Style, out: &mut String) {
    for (id, why) in report.failures() {
        let chain = why.report();
        let (reason, help) = chain.split_once("\n  what to do: ").unwrap_or((&chain, ""));
        let _ = writeln!(
            out,
            "  {}  {}  {reason}",
            style.paint(Tone::Bad, &format!("x {}", id.label())),
            style.paint(Tone::Bad, "failed")
        );
        if !help.is_empty() {
            let _ = writeln!(out, "      what to do: {help}");
        }
        let skipped: Vec<String> = report
            .outcomes
            .iter()
            .filter_map(|(other, outcome)| match outcome {
                Outcome::Skipped(because) if because == id => Some(ResourceId::label(other)),
                _ => None,
            })
            .collect();
        match &skipped[..] {
            [] => {}
            [one] => {
                let _ = writeln!(out, "      skipped because of it: {one}");
            }
            [first, ..] => {
                let _ = writeln!(
                    out,
                    "      skipped because of it: {first} and {} more",
                    skipped.len() - 1
                );
            }
        }
    }
}

fn sweep(report: &Report, style: Style, out: &mut String) {
    let (kept, stray): (Vec<&Live>, Vec<&Live>) = report.left.iter().partition(|live| live.owner == Owner::Retained);
    if !kept.is_empty() {
        let _ = writeln!(out, "kept:");
        for live in &kept {
            let holds = if live.holds == Some(Holds::Durable) {
                "  HOLDS DATA"
            } else {
                ""
            };
            let _ = writeln!(out, "  = {}{holds}", live.id.label());
        }
    }
    for live in &stray {
        let _ = writeln!(
            out,
            "  {}  still there",
            style.paint(Tone::Bad, &format!("x {}", live.id.label()))
        );
    }
    for what in &report.unseen {
        let _ = writeln!(out, "  could not look at {what}");
    }
    if stray.is_empty() && report.unseen.is_empty() {
        let rest = if kept.is_empty() {
            "nothing left"
        } else {
            "nothing left but what is kept"
        };
        let _ = writeln!(out, "sweep: {rest}");
    }
}
