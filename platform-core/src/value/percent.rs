//! Shares of a whole.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A share in whole per cent, 1 to 100. Written and read as `80%`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(u8);

impl Percent {
    /// The whole: 100%.
    pub const ALL: Self = Self(100);

    /// A share of `n` per cent, or nothing when `n` is not 1 to 100.
    pub const fn new(n: u8) -> Option<Self> {
        if n >= 1 && n <= 100 { Some(Self(n)) } else { None }
    }

    /// The share in per cent, 1 to 100.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// This share of `whole`, rounded down.
    pub fn of(self, whole: u64) -> u64 {
        let share = u128::from(whole) * u128::from(self.0) / 100;
        u64::try_from(share).unwrap_or(whole)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl FromStr for Percent {
    type Err = InvalidPercent;

    fn from_str(text: &str) -> Result<Self, InvalidPercent> {
        text.strip_suffix('%')
            .filter(|n| n.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|n| n.parse().ok())
            .and_then(Self::new)
            .ok_or_else(|| InvalidPercent { text: text.to_owned() })
    }
}

impl TryFrom<String> for Percent {
    type Error = InvalidPercent;
    fn try_from(text: String) -> Result<Self, InvalidPercent> {
        text.parse()
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        percent.to_string()
    }
}

/// A text that is not a [`Percent`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a whole percentage from 1% to 100%")]
pub struct InvalidPercent {
    text: String,
}

impl InvalidPercent {
    /// What to write instead, such as `write 80%`.
    pub fn help(&self) -> String {
        let number = self.text.trim().trim_end_matches('%').trim_end();
        let whole = match number.parse::<f64>() {
            // 0.8 means 80%, as a fraction; a number from 1 up means per cent.
            Ok(n) if n > 0.0 && n < 1.0 && !self.text.contains('%') => Some(n * 100.0),
            Ok(n) if (1.0..=100.0).contains(&n) => Some(n),
            _ => None,
        };
        match whole {
            Some(n) => format!("write {:.0}%", n.max(1.0)),
            None => "write 1% to 100%, such as 80%".to_owned(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_read_and_printed() {
        for (text, n) in [("1%", 1), ("80%", 80), ("100%", 100)] {
            let percent: Percent = text.parse().unwrap();
            assert_eq!((percent.get(), percent.to_string().as_str()), (n, text));
            assert_eq!(
                serde_json::from_str::<Percent>(&serde_json::to_string(&percent).unwrap()).unwrap(),
                percent
            );
        }
        assert_eq!(Percent::new(75).unwrap().of(201), 150);
        assert_eq!(Percent::ALL.of(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_wrong_percentage_says_what_to_write() {
        for (text, help) in [
            ("80", "write 80%"),
            ("0.8", "write 80%"),
            ("80.4%", "write 80%"),
            ("80 %", "write 80%"),
            ("+5%", "write 5%"),
            ("0%", "write 1% to 100%, such as 80%"),
            ("101%", "write 1% to 100%, such as 80%"),
            ("most", "write 1% to 100%, such as 80%"),
        ] {
            let error = text.parse::<Percent>().unwrap_err();
            assert_eq!(error.help(), help, "{text}: {error}");
        }
    }
}
