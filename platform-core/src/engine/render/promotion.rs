//! A comparison of two plans as text and as a document.

use super::super::promotion::{Comparison, Deviation, Sort};
use super::RenderOptions;
use super::plan::consequence;
use super::style::{Style, Tone, mark};
use super::value::{is_long, pair, short};
use crate::facts::Risk;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;

pub(super) fn text(comparison: &Comparison, options: &RenderOptions) -> String {
    let style = Style { colour: options.colour };
    let there = &comparison.there;
    let mut out = match (comparison.is_same(), comparison.deviations.len()) {
        (true, 0) => format!("Promotion: the same effects as the plan of {there}."),
        (true, _) => format!("Promotion: the same effects as the plan of {there}, sizes apart."),
        (false, _) => match comparison.extras().count() {
            0 => format!("Promotion: nothing that the plan of {there} did not do, but not all of it."),
            1 => format!("Promotion: 1 effect that the plan of {there} did not have."),
            count => format!("Promotion: {count} effects that the plan of {there} did not have."),
        },
    };
    for (sort, heading) in [
        (Sort::Extra, "only here"),
        (Sort::Differs, "otherwise here"),
        (Sort::Missing, "only there"),
        (Sort::Size, "differs by config"),
    ] {
        let mut told = comparison.deviations.iter().filter(|one| one.sort == sort).peekable();
        if told.peek().is_some() {
            let _ = write!(out, "\n  {}", style.paint(Tone::Strong, heading));
        }
        for one in told {
            let _ = write!(out, "\n{}", line(one, style).trim_end());
        }
    }
    out.push('\n');
    out
}

fn line(one: &Deviation, style: Style) -> String {
    let (sign, tone) = mark(&one.word);
    let label = match &one.id {
        Some(id) => id.label(),
        None => one
            .object
            .split_once(':')
            .map_or(&*one.object, |(_, rest)| rest)
            .to_owned(),
    };
    let verb = format!("{sign} {}", one.word);
    let mut line = format!(
        "  {}{} {label}",
        style.paint(tone, &verb),
        " ".repeat(11_usize.saturating_sub(verb.len()))
    );
    if let Some(what) = &one.what {
        let _ = write!(line, "  {what}  {}", values(one));
    }
    for risk in &one.risks {
        let _ = write!(line, "  {}", style.paint(Tone::Bad, consequence(*risk)));
    }
    if !one.asks.is_empty() {
        let _ = write!(line, "; needs approval: {}", words(&one.asks));
    }
    line
}

fn words(risks: &BTreeSet<Risk>) -> String {
    risks.iter().map(|risk| risk.as_str()).collect::<Vec<_>>().join(", ")
}

fn values(one: &Deviation) -> String {
    match (one.here.is_null(), one.there.is_null()) {
        (false, true) => side(&one.here),
        (true, false) => side(&one.there),
        _ if is_long(&one.here["after"]) || is_long(&one.there["after"]) => {
            let (here, there) = pair(Some(&one.here["after"]), Some(&one.there["after"]));
            format!("{here}, there {there}")
        }
        _ => format!("{}, there {}", side(&one.here), side(&one.there)),
    }
}

/// `17.10 -> 17.11` of a field, else the value; lists of words without their quotes.
fn side(value: &Value) -> String {
    let unset = |value: &Value| {
        if value.is_null() {
            "(unset)".to_owned()
        } else {
            short(value)
        }
    };
    match value {
        Value::Object(sides) if sides.contains_key("after") => match (&value["before"], &value["after"]) {
            (Value::Null, after) => unset(after),
            (before, after) => format!("{} -> {}", unset(before), unset(after)),
        },
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(short).collect::<Vec<_>>().join(", "),
        other => short(other),
    }
}

pub(super) fn document(comparison: &Comparison) -> Value {
    json!({
        "here": comparison.here,
        "there": comparison.there,
        "same": comparison.is_same(),
        "extras": comparison.extras().count(),
        "deviations": comparison.deviations,
    })
}
