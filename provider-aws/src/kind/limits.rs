//! What AWS takes for a field, as data: what it would refuse is refused before any call. A test holds every number, pattern
//! and word against the shape that AWS's own model of the service has for it.

use platform_core::{Error, ErrorKind, Result};
use regex_lite::Regex;
use serde_json::Value;

/// What AWS takes for one field.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Where: `targets.*.arn`, for every entry of a map or list; `targets.{}` is about a map's keys.
    pub path: &'static str,
    /// The shape that says so in AWS's model: `events:TargetArn`.
    pub shape: &'static str,
    /// Least characters of a text, or entries of a list or map.
    pub least: usize,
    /// Most characters or entries.
    pub most: usize,
    /// What a whole text has to match.
    pub pattern: Option<&'static str>,
    /// What a number lies between.
    pub range: Option<(i64, i64)>,
    /// The words that there are; none: any.
    pub words: &'static [&'static str],
}

impl Limit {
    /// No limit yet.
    pub const fn new(path: &'static str, shape: &'static str) -> Self {
        Self {
            path,
            shape,
            least: 0,
            most: usize::MAX,
            pattern: None,
            range: None,
            words: &[],
        }
    }
    /// Sets how many characters a text has, or entries a list or map.
    pub const fn length(mut self, least: usize, most: usize) -> Self {
        (self.least, self.most) = (least, most);
        self
    }
    /// Sets what a whole text matches.
    pub const fn pattern(mut self, pattern: &'static str) -> Self {
        self.pattern = Some(pattern);
        self
    }
    /// Sets what a number lies between.
    pub const fn range(mut self, least: i64, most: i64) -> Self {
        self.range = Some((least, most));
        self
    }
    /// Sets the words that there are.
    pub const fn words(mut self, words: &'static [&'static str]) -> Self {
        self.words = words;
        self
    }

    /// Why a value is beyond it, if it is, and what AWS takes. What is not known yet is nothing to measure.
    fn refusal(&self, value: &Value) -> Option<(String, String)> {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => self.size(items.len(), "entries"),
            Value::Object(entries) if !entries.keys().any(|key| key.starts_with('$')) => {
                self.size(entries.len(), "entries")
            }
            Value::Number(number) => {
                let (least, most) = self.range?;
                let fits = number.as_i64().is_some_and(|number| (least..=most).contains(&number));
                (!fits).then(|| (format!("is {number}"), between(least, most, i64::MAX)))
            }
            _ => None,
        }
    }

    fn text(&self, text: &str) -> Option<(String, String)> {
        if !self.words.is_empty() && !self.words.contains(&text) {
            let known = self.words.join(", ");
            return Some((format!("is {text:?}"), format!("write one of {known}")));
        }
        let mismatch = || {
            let pattern = self.pattern?;
            let whole = Regex::new(&format!("^(?:{pattern})$")).ok()?;
            (!whole.is_match(text)).then(|| (format!("is {text:?}"), format!("write what matches {pattern}")))
        };
        self.size(text.chars().count(), "characters").or_else(mismatch)
    }

    fn size(&self, size: usize, of: &str) -> Option<(String, String)> {
        let fits = (self.least..=self.most).contains(&size);
        (!fits).then(|| {
            (
                format!("has {size} {of}"),
                format!("{} {of}", between(self.least, self.most, usize::MAX)),
            )
        })
    }
}

/// `write 1 to 64`; `write 1 or more` where there is no most.
fn between<N: Copy + PartialEq + std::fmt::Display>(least: N, most: N, endless: N) -> String {
    if most == endless {
        format!("write {least} or more")
    } else {
        format!("write {least} to {most}")
    }
}

/// Refuses settings that are beyond a limit of their kind.
///
/// # Errors
/// `Invalid`, naming the field and what AWS takes.
pub(crate) fn check(kind: &str, limits: &[Limit], settings: &Value) -> Result<()> {
    for limit in limits {
        let steps: Vec<&str> = limit.path.split('.').collect();
        if let Some((field, (why, help))) = beyond(limit, settings, &steps, "") {
            return Err(Error::new(ErrorKind::Invalid, format!("{kind}: {field} {why}")).with_help(help));
        }
    }
    Ok(())
}

/// The first field that is beyond a limit, and why.
fn beyond(limit: &Limit, value: &Value, steps: &[&str], at: &str) -> Option<(String, (String, String))> {
    let Some((step, rest)) = steps.split_first() else {
        return limit.refusal(value).map(|why| (at.to_owned(), why));
    };
    let below = |key: &str| {
        if at.is_empty() {
            key.to_owned()
        } else {
            format!("{at}.{key}")
        }
    };
    match (*step, value) {
        ("*", Value::Object(entries)) => entries
            .iter()
            .find_map(|(key, entry)| beyond(limit, entry, rest, &below(key))),
        ("*", Value::Array(items)) => items.iter().find_map(|item| beyond(limit, item, rest, at)),
        ("{}", Value::Object(entries)) => entries
            .keys()
            .find_map(|key| limit.text(key).map(|why| (format!("the key of {}", below(key)), why))),
        (key, Value::Object(entries)) => beyond(limit, entries.get(key)?, rest, &below(key)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Limit, check};
    use platform_core::Result;
    use serde_json::{Value, json};

    const LIMITS: &[Limit] = &[
        Limit::new("name", "x:Name").length(1, 3).pattern("[a-z]*"),
        Limit::new("items", "x:Items").length(1, 2),
        Limit::new("items.*", "x:Item").words(&["a", "b"]),
        Limit::new("parts.{}", "x:Key").length(1, 2),
        Limit::new("parts.*.size", "x:Size").range(0, 9),
    ];

    fn told(settings: &Value) -> Result<()> {
        check("x.Kind", LIMITS, settings)
    }

    #[test]
    fn what_is_beyond_a_limit_is_named() {
        for fits in [
            json!({}),
            json!({"name": "abc", "items": ["a"], "parts": {"ab": {"size": 9}}}),
            json!({"name": {"$ref": "aws/x:x.Kind/a#arn"}, "parts": {}}),
            json!({"name": "äöü".replace(['ä', 'ö', 'ü'], "a")}),
        ] {
            assert!(told(&fits).is_ok(), "{fits}");
        }
        for (wrong, text) in [
            (json!({"name": ""}), "x.Kind: name has 0 characters"),
            (json!({"name": "A"}), "x.Kind: name is \"A\""),
            (json!({"items": ["a", "b", "a"]}), "x.Kind: items has 3 entries"),
            (json!({"items": ["c"]}), "x.Kind: items is \"c\""),
            (
                json!({"parts": {"abc": {}}}),
                "x.Kind: the key of parts.abc has 3 characters",
            ),
            (json!({"parts": {"a": {"size": 10}}}), "x.Kind: parts.a.size is 10"),
        ] {
            let why = told(&wrong).expect_err("beyond a limit");
            assert_eq!(why.message(), text);
            assert!(why.help().is_some_and(|help| help.starts_with("write ")), "{why:?}");
        }
    }
}
