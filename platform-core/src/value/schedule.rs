//! Recurring moments in cron syntax.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::OnceLock;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};

use super::span::Span;

/// Where measuring starts: nine years that hold two leap days.
const EPOCH: i64 = 1_672_531_200; // 2023-01-01T00:00:00Z
const YEARS_MEASURED: i64 = 9;
const DAY: i64 = 86_400;

/// A recurring moment: the five fields of cron (minute, hour, day of month, month, day of week), always in UTC.
///
/// Only what every cron understands is allowed: numbers, names of months and days, `*`, lists, ranges
/// and steps. When both the day of month and the day of week are given, either one matches. Compared
/// and printed as text, with single blanks between the fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Schedule {
    text: String,
    cron: Box<Cron>,
    /// Measured once: that goes through years of moments.
    longest: OnceLock<Span>,
}

impl Schedule {
    /// Reads five cron fields.
    ///
    /// # Errors
    /// Fails when there are not five fields, a field is out of range or uses an extension that not every
    /// cron understands (`@daily`, `L`, `W`, `#`, `?`), or the schedule never comes (30 February).
    pub fn new(text: &str) -> Result<Self, InvalidSchedule> {
        let refuse = |reason| InvalidSchedule {
            text: text.to_owned(),
            reason,
        };
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        if let Some(meaning) = nickname(text.trim()) {
            return Err(refuse(Reason::Nickname(meaning)));
        }
        if fields.len() != 5 {
            return Err(refuse(Reason::Fields(fields.len())));
        }
        if let Some(bad) = fields.iter().find(|f| !portable(f)) {
            return Err(refuse(Reason::Extension((*bad).to_owned())));
        }
        let text = fields.join(" ");
        let cron = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build()
            .parse(&text)
            .map_err(|e| refuse(Reason::Field(in_our_words(&e.to_string()))))?;
        let schedule = Self {
            text,
            cron: Box::new(cron),
            longest: OnceLock::new(),
        };
        let start = Timestamp::from_second(EPOCH).unwrap_or(Timestamp::UNIX_EPOCH);
        if schedule.next_after(start).is_none() {
            return Err(refuse(Reason::Never));
        }
        Ok(schedule)
    }

    /// The five fields, with single blanks between them.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first moment strictly after `moment`, or nothing when there is none before the year 5000.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let from: Zoned = moment.to_zoned(TimeZone::UTC);
        self.cron
            .find_next_occurrence(&from, false)
            .ok()
            .map(|next| next.timestamp())
    }

    /// The longest time between two neighbouring moments, measured over nine years from 2023: exact, but for
    /// the leap day that is missing in 2100.
    pub fn longest_interval(&self) -> Span {
        *self.longest.get_or_init(|| self.measured())
    }

    fn measured(&self) -> Span {
        let Some(start) = Timestamp::from_second(EPOCH)
            .ok()
            .and_then(|epoch| self.next_after(epoch))
        else {
            return Span::MAX;
        };
        // Minutes and hours are the same on every day that matches, so one day shows all the gaps within a day;
        // what is left are the gaps from the last moment of one matching day to the first of the next.
        let midnight = start.as_second().div_euclid(DAY) * DAY;
        let (mut longest, mut last) = (0, start.as_second());
        for moment in self.from(start).take_while(|m| *m < midnight + DAY) {
            longest = longest.max(moment - last);
            last = moment;
        }
        let (first_of_day, last_of_day) = (start.as_second() - midnight, last - midnight);
        let end = EPOCH + YEARS_MEASURED * 366 * DAY;
        let mut day = midnight;
        while day < end {
            let next = Timestamp::from_second(day + DAY - 1)
                .ok()
                .and_then(|eve| self.next_after(eve));
            let Some(next) = next else { break };
            longest = longest.max(next.as_second() - (day + last_of_day));
            day = next.as_second() - first_of_day;
        }
        Span::seconds(u64::try_from(longest).unwrap_or(u64::MAX))
    }

    /// The moments strictly after `moment`, in seconds since 1970.
    fn from(&self, moment: Timestamp) -> impl Iterator<Item = i64> {
        std::iter::successors(self.next_after(moment), |m| self.next_after(*m)).map(Timestamp::as_second)
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Schedule {}

impl PartialOrd for Schedule {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Schedule {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for Schedule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Schedule {
    type Err = InvalidSchedule;
    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        Self::new(text)
    }
}

impl TryFrom<String> for Schedule {
    type Error = InvalidSchedule;
    fn try_from(text: String) -> Result<Self, InvalidSchedule> {
        Self::new(&text)
    }
}

impl From<Schedule> for String {
    fn from(schedule: Schedule) -> Self {
        schedule.text
    }
}

fn nickname(text: &str) -> Option<&'static str> {
    Some(match text.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" | "weekly" => "0 0 * * 0",
        "@daily" | "@midnight" | "daily" => "0 0 * * *",
        "@hourly" | "hourly" => "0 * * * *",
        _ => return None,
    })
}

/// Whether a field holds only numbers, `*`, `,`, `-`, `/` and three-letter names.
fn portable(field: &str) -> bool {
    const NAMES: [&str; 19] = [
        "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP",
        "OCT", "NOV", "DEC",
    ];
    field.split([',', '-', '/']).all(|part| {
        part == "*"
            || (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
            || NAMES.contains(&part.to_ascii_uppercase().as_str())
    })
}

/// The parser's words without its shouting and its internal prefix.
fn in_our_words(text: &str) -> String {
    let text = text.rsplit(": ").next().unwrap_or(text).trim_end_matches('.');
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |c| c.to_lowercase().chain(chars).collect())
}

/// A text that is not a [`Schedule`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a cron schedule: {reason}")]
pub struct InvalidSchedule {
    text: String,
    reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Nickname(&'static str),
    Fields(usize),
    Extension(String),
    Field(String),
    Never,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nickname(_) => f.write_str("a nickname"),
            Self::Fields(n) => write!(f, "it has {n} fields, not 5"),
            Self::Extension(field) => write!(f, "{field:?} is not understood by every cron"),
            Self::Field(text) => f.write_str(text),
            Self::Never => f.write_str("that day never comes"),
        }
    }
}

impl InvalidSchedule {
    /// What to write instead.
    pub fn help(&self) -> String {
        match &self.reason {
            Reason::Nickname(meaning) => format!("write \"{meaning}\""),
            Reason::Fields(6) => {
                "write minute, hour, day of month, month and day of week; there is no field for seconds or years"
                    .to_owned()
            }
            Reason::Never => "choose a day that the month has".to_owned(),
            _ => "write minute, hour, day of month, month and day of week in UTC, such as \"0 2 * * *\" for daily at 02:00"
                .to_owned(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_next_moment_is_strictly_later_and_in_utc() {
        for (cron, after, next) in [
            ("0 3 * * 0", "2026-11-24T12:00:00Z", "2026-11-29T03:00:00Z"),
            ("0 3 * * 0", "2026-11-29T03:00:00Z", "2026-12-06T03:00:00Z"),
            ("0  2 * *  *", "2026-11-24T01:59:59.5Z", "2026-11-24T02:00:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("30 4 1 * mon", "2026-11-24T00:00:00Z", "2026-11-30T04:30:00Z"),
        ] {
            let schedule: Schedule = cron.parse().unwrap();
            let found = schedule.next_after(after.parse().unwrap()).unwrap();
            assert_eq!(found, next.parse::<Timestamp>().unwrap(), "{cron} after {after}");
        }
        let schedule: Schedule = "0  2 * *  *".parse().unwrap();
        assert_eq!(serde_json::to_string(&schedule).unwrap(), "\"0 2 * * *\"");
        assert_eq!(serde_json::from_str::<Schedule>("\"0 2 * * *\"").unwrap(), schedule);
    }

    #[test]
    fn the_longest_interval_sees_rare_gaps() {
        for (cron, span) in [
            ("* * * * *", Span::minutes(1)),
            ("*/7 * * * *", Span::minutes(7)),
            ("0 */6 * * *", Span::hours(6)),
            ("0 2 * * *", Span::days(1)),
            ("0 3 * * 0", Span::days(7)),
            ("0 1,13 * * mon-fri", Span::hours(60)),
            ("0 0 1 * *", Span::days(31)),
            ("0 0 31 * *", Span::days(61)),
            ("0 0 1 1 *", Span::days(366)),
            ("0 0 29 2 *", Span::days(1461)),
            // 43,200 moments in January before the one gap that counts
            ("* * 2-31 1 *", Span::minutes(336 * 24 * 60 + 1)),
        ] {
            assert_eq!(cron.parse::<Schedule>().unwrap().longest_interval(), span, "{cron}");
        }
    }

    #[test]
    fn a_wrong_schedule_says_why() {
        for (cron, words) in [
            ("", "it has 0 fields"),
            ("0 3 * *", "it has 4 fields"),
            ("0 0 3 * * 0", "it has 6 fields"),
            ("@weekly", "a nickname"),
            ("61 3 * * *", "out of bounds"),
            ("0 24 * * *", "out of bounds"),
            ("0 3 L * *", "\"L\" is not understood"),
            ("0 3 ? * 0", "\"?\" is not understood"),
            ("0 3 * * 5#2", "\"5#2\" is not understood"),
            ("0 3 * * 1-", "\"1-\" is not understood"),
            ("0 0 30 2 *", "that day never comes"),
        ] {
            let error = cron.parse::<Schedule>().unwrap_err();
            assert!(error.to_string().contains(words), "{cron:?}: {error}");
            assert!(!error.help().is_empty());
        }
        assert_eq!("@weekly".parse::<Schedule>().unwrap_err().help(), "write \"0 0 * * 0\"");
    }
}
