//! Names of metrics in PromQL: what is no function, keyword, label or text.

use std::collections::BTreeSet;

/// The metrics that an expression selects.
pub(crate) fn metrics(expr: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let characters: Vec<char> = expr.chars().collect();
    let (mut at, mut in_labels) = (0, false);
    while at < characters.len() {
        let c = characters[at];
        if c == '"' {
            at += 1;
            while characters[at] != '"' {
                at += if characters[at] == '\\' { 2 } else { 1 };
            }
        } else if c == '{' || c == '[' {
            in_labels = true;
        } else if c == '}' || c == ']' {
            in_labels = false;
        } else if c.is_ascii_alphabetic() || c == '_' || c == ':' {
            let begin = at;
            while at < characters.len()
                && (characters[at].is_ascii_alphanumeric() || matches!(characters[at], '_' | ':'))
            {
                at += 1;
            }
            let word: String = characters[begin..at].iter().collect();
            let next = characters[at..].iter().find(|c| !c.is_whitespace());
            match word.as_str() {
                "by" | "on" | "without" | "ignoring" | "group_left" | "group_right" => {
                    while characters[at] != ')' {
                        at += 1;
                    }
                }
                "and" | "or" | "unless" | "bool" | "offset" => at -= 1,
                _ if in_labels || next == Some(&'(') => at -= 1,
                // An aggregation may name its labels before its argument.
                "sum" | "max" | "min" | "avg" | "count" | "topk" => at -= 1,
                _ => {
                    found.insert(word);
                    at -= 1;
                }
            }
        } else if c.is_ascii_digit() {
            while at + 1 < characters.len() && (characters[at + 1].is_ascii_alphanumeric() || characters[at + 1] == '.')
            {
                at += 1;
            }
        }
        at += 1;
    }
    found
}

#[test]
fn names_of_metrics_are_found() {
    for (expr, expected) in [
        ("up == 0", &["up"][..]),
        ("vector(1)", &[]),
        ("absent(up{job=\"a{b\"}) or absent(up{job=\"x\\\"\"})", &["up"]),
        (
            "sum by (pod) (rate(a_total{job=\"j\", code=~\"5..\"}[5m])) / (max by (pod) (b) - max by(pod) (c:d)) > 0.80",
            &["a_total", "b", "c:d"],
        ),
        ("max by (n) (x{p=\"A\"}) == 1 unless on (n) y{l=~\"r|s\"}", &["x", "y"]),
        ("topk(10, sum by (cmd) (rate(r[5m])))", &["r"]),
        ("time() - max by (s) (t{}) > 1e6", &["t"]),
        (
            "histogram_quantile(0.99, sum by (verb, le) (rate(h_bucket[5m])))",
            &["h_bucket"],
        ),
    ] {
        let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(metrics(expr), expected, "{expr}");
    }
}
