//! Lengths of time in one whole unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A length of time: a whole number of seconds, at least one.
///
/// Written and read with one unit, `30d`, `12h`, `15m` or `45s`; a day is 24 hours. Printed with the
/// largest unit that divides it, so that equal spans have equal texts (`24h` prints as `1d`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(u64);

impl Span {
    /// The longest span: 36,500 days.
    pub const MAX: Self = Self(36_500 * DAY);

    const fn of(n: u64, unit: u64) -> Self {
        match n.checked_mul(unit) {
            Some(0) => Self(1),
            Some(seconds) if seconds <= Self::MAX.0 => Self(seconds),
            _ => Self::MAX,
        }
    }

    /// A span of `n` seconds; zero counts as one, more than [`Span::MAX`] as that.
    pub const fn seconds(n: u64) -> Self {
        Self::of(n, 1)
    }

    /// A span of `n` minutes; zero counts as one second, more than [`Span::MAX`] as that.
    pub const fn minutes(n: u64) -> Self {
        Self::of(n, MINUTE)
    }

    /// A span of `n` hours; zero counts as one second, more than [`Span::MAX`] as that.
    pub const fn hours(n: u64) -> Self {
        Self::of(n, HOUR)
    }

    /// A span of `n` days of 24 hours; zero counts as one second, more than [`Span::MAX`] as that.
    pub const fn days(n: u64) -> Self {
        Self::of(n, DAY)
    }

    /// The span in seconds.
    pub const fn as_seconds(self) -> u64 {
        self.0
    }

    /// The smallest whole number of days that holds this span: the unit of S3 lifecycle rules.
    pub const fn as_days_rounded_up(self) -> u64 {
        self.0.div_ceil(DAY)
    }

    /// The span as the standard library's duration.
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0)
    }

    /// Both spans one after the other, at most [`Span::MAX`].
    pub const fn plus(self, other: Self) -> Self {
        Self::seconds(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            s if s % DAY == 0 => (DAY, "d"),
            s if s % HOUR == 0 => (HOUR, "h"),
            s if s % MINUTE == 0 => (MINUTE, "m"),
            _ => (1, "s"),
        };
        write!(f, "{}{name}", self.0 / unit)
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let factor = match unit {
            "s" => 1,
            "m" => MINUTE,
            "h" => HOUR,
            "d" => DAY,
            _ => return Err(InvalidSpan::new(text, Reason::Unit(suggestion(number, unit)))),
        };
        let number: u64 = match number.parse() {
            Ok(n) => n,
            Err(_) if number.is_empty() => return Err(InvalidSpan::new(text, Reason::Unit(None))),
            Err(_) => return Err(InvalidSpan::new(text, Reason::TooLong)),
        };
        match number.checked_mul(factor) {
            Some(0) => Err(InvalidSpan::new(text, Reason::Zero)),
            Some(seconds) if seconds <= Self::MAX.0 => Ok(Self(seconds)),
            _ => Err(InvalidSpan::new(text, Reason::TooLong)),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = InvalidSpan;
    fn try_from(text: String) -> Result<Self, InvalidSpan> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

fn suggestion(number: &str, unit: &str) -> Option<Span> {
    let number: u64 = number.parse().ok().filter(|n| *n > 0)?;
    let unit = unit.trim().to_ascii_lowercase();
    let seconds = match unit.as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => MINUTE,
        "h" | "hr" | "hrs" | "hour" | "hours" => HOUR,
        "d" | "day" | "days" => DAY,
        "w" | "wk" | "week" | "weeks" => 7 * DAY,
        "y" | "yr" | "year" | "years" => 365 * DAY,
        _ => return None,
    };
    let seconds = number.checked_mul(seconds).filter(|s| *s <= Span::MAX.0)?;
    Some(Span(seconds))
}

/// A text that is not a [`Span`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {reason}")]
pub struct InvalidSpan {
    text: String,
    reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Unit(Option<Span>),
    Zero,
    TooLong,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unit(_) => "is not a length of time",
            Self::Zero => "is no length of time: it must be at least 1s",
            Self::TooLong => "is longer than a century",
        })
    }
}

impl InvalidSpan {
    fn new(text: &str, reason: Reason) -> Self {
        Self {
            text: text.to_owned(),
            reason,
        }
    }

    /// What to write instead, such as `write 14d`.
    pub fn help(&self) -> String {
        match self.reason {
            Reason::Unit(Some(span)) => format!("write {span}"),
            Reason::Unit(None) => "write a whole number with d, h, m or s, such as 30d".to_owned(),
            Reason::Zero => "write at least 1s".to_owned(),
            Reason::TooLong => format!("write at most {}", Span::MAX),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_printed_canonically() {
        for (text, seconds, printed) in [
            ("1s", 1, "1s"),
            ("90s", 90, "90s"),
            ("120s", 120, "2m"),
            ("90m", 5_400, "90m"),
            ("24h", DAY, "1d"),
            ("36500d", 36_500 * DAY, "36500d"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(
                (span.as_seconds(), span.to_string().as_str()),
                (seconds, printed),
                "{text}"
            );
            assert_eq!(span.as_duration(), Duration::from_secs(seconds));
            assert_eq!(serde_json::to_string(&span).unwrap(), format!("{printed:?}"));
            assert_eq!(serde_json::from_str::<Span>(&format!("{text:?}")).unwrap(), span);
        }
        assert_eq!((Span::days(0), Span::days(u64::MAX)), (Span::seconds(1), Span::MAX));
        assert_eq!(Span::hours(12).plus(Span::minutes(720)), Span::days(1));
        assert_eq!(Span::hours(25).as_days_rounded_up(), 2);
    }

    #[test]
    fn a_wrong_span_says_what_to_write() {
        for (text, help) in [
            ("2w", "write 14d"),
            ("30 days", "write 30d"),
            ("24H", "write 1d"),
            ("1y", "write 365d"),
            ("30", "write a whole number with d, h, m or s, such as 30d"),
            ("1.5d", "write a whole number with d, h, m or s, such as 30d"),
            ("P30D", "write a whole number with d, h, m or s, such as 30d"),
            ("d", "write a whole number with d, h, m or s, such as 30d"),
            ("", "write a whole number with d, h, m or s, such as 30d"),
            ("0d", "write at least 1s"),
            ("36501d", "write at most 36500d"),
            ("99999999999999999999999d", "write at most 36500d"),
        ] {
            let error = text.parse::<Span>().unwrap_err();
            assert_eq!(error.help(), help, "{text}: {error}");
        }
    }
}
