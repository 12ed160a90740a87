//! What the YAML parser refuses, in words for those who write configs.

use serde_saphyr::Error;

use super::super::problem::{Found, Rule};
use super::super::source::At;
use super::{MAX_DEPTH, MAX_NODES, place};

/// The parser's error as a problem at its place.
pub(super) fn explain(text: &str, source: usize, error: &Error) -> Found {
    let used = error
        .locations()
        .map(|l| l.reference_location)
        .filter(|l| l.line() > 0)
        .or(error.location());
    let at = used.map_or(At::whole(source), |l| place(l, source));
    let problem = |rule, message: &str| Found::new(rule, at, "", message);
    match error {
        Error::AliasError { error, .. } => Found {
            at,
            ..explain(text, source, error)
        },
        Error::MultipleDocuments { .. } => {
            problem(Rule::MultipleDocuments, "a config file holds one document").help("one file for each platform")
        }
        Error::MergeKeyNotAllowed { .. } => problem(Rule::MergeKey, "merge keys are not supported")
            .help("put what files share into base.yaml; within a file, write it out"),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::RecursiveReferencesRequireWeakTypes { .. } => {
            problem(Rule::AliasLimit, "aliases expand to more than a config can need").help("write the values out")
        }
        Error::Budget { breach, .. } => {
            let breach = format!("{breach:?}");
            if breach.starts_with("Nodes") {
                problem(
                    Rule::FileSize,
                    &format!("more than {MAX_NODES} keys and values; a config has a few dozen"),
                )
                .help("is it the right file?")
            } else if breach.contains("Depth") {
                nesting(at)
            } else {
                problem(Rule::AliasLimit, "the text expands to more than a config can need")
                    .help("write the values out")
            }
        }
        Error::UnknownAnchor { .. } => problem(Rule::Syntax, "an alias without an anchor of that name")
            .help("a text that starts with * needs quotes"),
        other if other.to_string().contains("recursion limit") => nesting(at),
        other => syntax(text, problem(Rule::Syntax, ""), &other.to_string()),
    }
}

fn nesting(at: At) -> Found {
    let message = format!("nested deeper than {MAX_DEPTH} levels");
    Found::new(Rule::Nesting, at, "", message).help("no key lies so deep")
}

/// A syntax error; a tab in the indentation, the usual cause, is looked for on its line and the one before.
fn syntax(text: &str, mut found: Found, words: &str) -> Found {
    let indented_by_tab = |number: usize| {
        let line = text.lines().nth(number.checked_sub(1)?)?;
        let indent = line.len() - line.trim_start().len();
        line.get(..indent)?.find('\t').map(|tab| (number, tab + 1))
    };
    if let Some((line, column)) =
        indented_by_tab(found.at.line).or_else(|| indented_by_tab(found.at.line.saturating_sub(1)))
    {
        found.at = At {
            line,
            column,
            width: 1,
            ..found.at
        };
        found.rule = Rule::Tab;
        "a tab in the indentation, which YAML does not allow".clone_into(&mut found.message);
        return found.help("indent with spaces");
    }
    let lines = text.lines().count().max(1);
    if found.at.line > lines {
        found.at.line = lines;
        found.at.column = text.lines().last().map_or(1, |l| l.chars().count().max(1));
    }
    let words = words.split(" at line ").next().unwrap_or(words);
    let words = words
        .rsplit("error: ")
        .next()
        .unwrap_or(words)
        .trim()
        .trim_end_matches('.');
    found.message = format!("not YAML: {words}");
    found.help("look for a missing quote, bracket or blank, or an uneven indentation, here or just above")
}
