//! Sizes of memory and storage in binary units.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const MI: u64 = 1 << 20;
const GI: u64 = 1 << 30;
const TI: u64 = 1 << 40;

/// An amount of memory or storage: a whole number of mebibytes, at least one.
///
/// Written and read as `256Mi`, `10Gi` or `2Ti`; printed with the largest unit that divides it, so
/// that equal sizes have equal texts (`1024Mi` prints as `1Gi`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(u64);

/// A [`Size`] of `n` mebibytes (1,048,576 bytes each); zero counts as one, and a number that does not fit saturates.
pub const fn mib(n: u64) -> Size {
    Size::of(n, MI)
}

/// A [`Size`] of `n` gibibytes (1,073,741,824 bytes each); zero counts as one mebibyte, and a number that does not fit saturates.
pub const fn gib(n: u64) -> Size {
    Size::of(n, GI)
}

/// A [`Size`] of `n` tebibytes; zero counts as one mebibyte, and a number that does not fit saturates.
pub const fn tib(n: u64) -> Size {
    Size::of(n, TI)
}

impl Size {
    /// The largest size: a little less than 16 million tebibytes.
    pub const MAX: Self = Self(u64::MAX - (MI - 1));

    const fn of(n: u64, unit: u64) -> Self {
        match n.checked_mul(unit) {
            Some(0) => Self(MI),
            Some(bytes) => Self(bytes),
            None => Self::MAX,
        }
    }

    /// See [`mib`].
    pub const fn mib(n: u64) -> Self {
        mib(n)
    }

    /// See [`gib`].
    pub const fn gib(n: u64) -> Self {
        gib(n)
    }

    /// See [`tib`].
    pub const fn tib(n: u64) -> Self {
        tib(n)
    }

    /// The size in bytes; always a multiple of 1,048,576.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The size in whole mebibytes.
    pub const fn as_mib(self) -> u64 {
        self.0 / MI
    }

    /// The smallest whole number of gibibytes that holds this size: the unit in which AWS counts volumes.
    pub const fn as_gib_rounded_up(self) -> u64 {
        self.0.div_ceil(GI)
    }

    /// The size in decimal units with one digit, as disks are sold: `10Gi` is `10.7 GB`.
    pub fn decimal(self) -> String {
        let (unit, name) = match self.0 {
            0..1_000_000_000 => (1_000_000_u128, "MB"),
            1_000_000_000..1_000_000_000_000 => (1_000_000_000, "GB"),
            _ => (1_000_000_000_000, "TB"),
        };
        let tenths = (u128::from(self.0) * 10 + unit / 2) / unit;
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            b if b % TI == 0 => (TI, "Ti"),
            b if b % GI == 0 => (GI, "Gi"),
            _ => (MI, "Mi"),
        };
        write!(f, "{}{name}", self.0 / unit)
    }
}

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let factor = match unit {
            "Mi" => MI,
            "Gi" => GI,
            "Ti" => TI,
            _ => return Err(InvalidSize::new(text, Reason::Unit(suggestion(text)))),
        };
        let number: u64 = match number.parse() {
            Ok(n) => n,
            Err(_) if number.is_empty() => return Err(InvalidSize::new(text, Reason::Unit(None))),
            Err(_) => return Err(InvalidSize::new(text, Reason::TooLarge)),
        };
        match number.checked_mul(factor) {
            Some(0) => Err(InvalidSize::new(text, Reason::Zero)),
            Some(bytes) => Ok(Self(bytes)),
            None => Err(InvalidSize::new(text, Reason::TooLarge)),
        }
    }
}

impl TryFrom<String> for Size {
    type Error = InvalidSize;
    fn try_from(text: String) -> Result<Self, InvalidSize> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

/// What the writer most likely meant: the same number in the nearest binary unit, a fraction in the next smaller one.
fn suggestion(text: &str) -> Option<Size> {
    let trimmed = text.trim();
    let end = trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let factor = match unit.as_str() {
        "m" | "mb" | "mi" | "mib" => MI,
        "g" | "gb" | "gi" | "gib" => GI,
        "t" | "tb" | "ti" | "tib" => TI,
        "k" | "kb" | "ki" | "kib" => 1 << 10,
        "" | "b" => 1,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.get(..fraction.len().min(6))?;
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let scaled: u128 = format!("{whole}{fraction}").parse().ok()?;
    let bytes = scaled.checked_mul(u128::from(factor))? / scale;
    // A bare number below 1 MiB is no byte count but a forgotten unit; which one cannot be told.
    if factor == 1 && bytes < u128::from(MI) {
        return None;
    }
    let mebibytes = u64::try_from(bytes.div_ceil(u128::from(MI))).ok()?;
    (mebibytes > 0 && mebibytes.checked_mul(MI).is_some()).then(|| mib(mebibytes))
}

/// A text that is not a [`Size`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {reason}")]
pub struct InvalidSize {
    text: String,
    reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Unit(Option<Size>),
    Zero,
    TooLarge,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unit(_) => "is not a size in binary units",
            Self::Zero => "is no size: it must be at least 1Mi",
            Self::TooLarge => "is larger than any disk",
        })
    }
}

impl InvalidSize {
    fn new(text: &str, reason: Reason) -> Self {
        Self {
            text: text.to_owned(),
            reason,
        }
    }

    /// What to write instead, such as `write 10Gi (10.7 GB)`.
    pub fn help(&self) -> String {
        match self.reason {
            Reason::Unit(Some(size)) => format!("write {size} ({})", size.decimal()),
            Reason::Unit(None) => "write a whole number with Mi, Gi or Ti, such as 10Gi".to_owned(),
            Reason::Zero => "write at least 1Mi".to_owned(),
            Reason::TooLarge => format!("write at most {}", Size::MAX),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_printed_canonically() {
        for (text, bytes, printed) in [
            ("1Mi", MI, "1Mi"),
            ("1024Mi", GI, "1Gi"),
            ("1536Mi", 1536 * MI, "1536Mi"),
            ("010Gi", 10 * GI, "10Gi"),
            ("2048Gi", 2 * TI, "2Ti"),
            ("16777215Ti", 16_777_215 * TI, "16777215Ti"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, printed), "{text}");
            assert_eq!(size, printed.parse().unwrap());
            assert_eq!(serde_json::to_string(&size).unwrap(), format!("{printed:?}"));
            assert_eq!(serde_json::from_str::<Size>(&format!("{text:?}")).unwrap(), size);
        }
        assert!(Size::MAX.to_string().parse::<Size>().is_ok());
        assert_eq!((mib(0), gib(u64::MAX)), (mib(1), Size::MAX));
        assert_eq!((gib(10).as_mib(), mib(1025).as_gib_rounded_up()), (10_240, 2));
    }

    #[test]
    fn a_wrong_size_says_what_to_write() {
        for (text, help) in [
            ("10G", "write 10Gi (10.7 GB)"),
            ("10GB", "write 10Gi (10.7 GB)"),
            ("10gi", "write 10Gi (10.7 GB)"),
            ("10 Gi", "write 10Gi (10.7 GB)"),
            ("500m", "write 500Mi (524.3 MB)"),
            ("1.5Gi", "write 1536Mi (1.6 GB)"),
            ("0.1Mi", "write 1Mi (1.0 MB)"),
            ("2048Ki", "write 2Mi (2.1 MB)"),
            ("10737418240", "write 10Gi (10.7 GB)"),
            ("10", "write a whole number with Mi, Gi or Ti, such as 10Gi"),
            ("", "write a whole number with Mi, Gi or Ti, such as 10Gi"),
            ("Gi", "write a whole number with Mi, Gi or Ti, such as 10Gi"),
            ("-1Gi", "write a whole number with Mi, Gi or Ti, such as 10Gi"),
            ("1..2Gi", "write a whole number with Mi, Gi or Ti, such as 10Gi"),
            ("٣Gi", "write a whole number with Mi, Gi or Ti, such as 10Gi"),
            ("0Gi", "write at least 1Mi"),
            ("99999999Ti", "write at most 17592186044415Mi"),
            ("99999999999999999999999Gi", "write at most 17592186044415Mi"),
        ] {
            let error = text.parse::<Size>().unwrap_err();
            assert_eq!(error.help(), help, "{text}: {error}");
        }
    }
}
