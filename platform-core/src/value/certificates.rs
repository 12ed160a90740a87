//! When certificates that recipes make have to be made again, and by which steps. Pure.
//!
//! A provider keeps a [`Certificates`] beside the values of an object, as an annotation or a tag. Numbers stand for
//! certificates there, so that plans can tell one from another without reading any.

use super::{FieldPath, Recipe, Timestamp};
use crate::resource::Renewal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The output of an object by which others notice that its certificates are others now.
pub const REVISION: &str = "revision";
/// Days of validity of an authority.
pub const AUTHORITY_DAYS: u32 = 3650;

const DAY: Duration = Duration::from_hours(24);
/// A leaf that ends sooner is made again; of a short-lived one it is a third of its days.
const LEAF_DAYS: u32 = 30;
/// An authority that ends sooner is replaced: no leaf that it signs may outlive it.
const AUTHORITY_MARGIN: u32 = 730;
/// Between two steps of a roll-over: time for clients to read what is trusted now.
const PACE: Duration = DAY;

/// Which certificates an object holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificates {
    /// One leaf; or what an authority trusts, the one that signs first.
    held: Vec<Numbered>,
    /// Since when it is so.
    since: Timestamp,
    /// When the first of all was made: what tells these from those of another object of the name. It stays through a
    /// restore from a backup, which brings the same certificates back.
    origin: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Numbered {
    number: u32,
    ends: Timestamp,
}

/// What the next certificates of an object are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextCertificates {
    /// A leaf is signed again.
    Leaf,
    /// A second authority is made and trusted beside the first, which goes on signing.
    Trust,
    /// The second authority signs; both are trusted.
    Sign,
    /// The first authority is trusted no longer.
    Drop,
}

impl Certificates {
    /// The first ones that a recipe makes; `None` for a recipe of no certificates.
    pub fn first(recipe: &Recipe, now: Timestamp) -> Option<Self> {
        let (number, days) = match recipe {
            Recipe::CertificateAuthority { revision, .. } => (*revision, AUTHORITY_DAYS),
            Recipe::Tls { days, .. } => (1, *days),
            _ => return None,
        };
        let ends = after(now, days);
        Some(Self {
            held: vec![Numbered { number, ends }],
            since: now,
            origin: now,
        })
    }

    /// When the one that serves or signs ends.
    pub fn ends(&self) -> Timestamp {
        self.held.first().map_or(Timestamp::EPOCH, |one| one.ends)
    }

    /// The number of the certificate that came last, which may be only trusted yet.
    pub fn newest(&self) -> u32 {
        self.held.iter().map(|one| one.number).max().unwrap_or_default()
    }

    /// The revision of an object with these: different for every step of a renewal, and where they were made from nothing
    /// again.
    pub fn revision(&self) -> String {
        format!("{}.{:x}", self.numbers(), self.origin.seconds())
    }

    /// These with the leaf signed again.
    #[must_use]
    pub fn signed_again(&self, recipe: &Recipe, now: Timestamp) -> Self {
        let mut again = Self::first(recipe, now).unwrap_or_else(|| self.clone());
        again.origin = self.origin;
        if let (Some(again), Some(before)) = (again.held.first_mut(), self.held.first()) {
            again.number = before.number;
        }
        again
    }

    /// What comes next, made `now`.
    pub fn next(&self, recipe: &Recipe, now: Timestamp) -> Option<(NextCertificates, Self)> {
        let of = |held| Self {
            held,
            since: now,
            origin: self.origin,
        };
        Some(match (recipe, &self.held[..]) {
            (Recipe::Tls { days, .. }, [leaf]) => {
                let next = Numbered {
                    number: leaf.number + 1,
                    ends: after(now, *days),
                };
                (NextCertificates::Leaf, of(vec![next]))
            }
            (Recipe::CertificateAuthority { revision, .. }, [one]) => {
                let next = Numbered {
                    number: (*revision).max(one.number + 1),
                    ends: after(now, AUTHORITY_DAYS),
                };
                (NextCertificates::Trust, of(vec![*one, next]))
            }
            (Recipe::CertificateAuthority { .. }, [signs, next]) if next.number > signs.number => {
                (NextCertificates::Sign, of(vec![*next, *signs]))
            }
            (Recipe::CertificateAuthority { .. }, [signs, _]) => (NextCertificates::Drop, of(vec![*signs])),
            _ => return None,
        })
    }

    /// The change that an object with these needs, sooner or later.
    ///
    /// `wished` is the recipe that is wanted now, `made_by` the one that made these.
    pub fn renewal(&self, wished: &Recipe, made_by: Option<&Recipe>) -> Option<Renewal> {
        // Only numbers are shown, so any time does.
        let (step, next) = self.next(wished, Timestamp::EPOCH)?;
        let first = self.held.first()?;
        let (path, from, after, settled) = match (step, wished) {
            (NextCertificates::Leaf, Recipe::Tls { days, .. }) => {
                let from = earlier(first.ends, LEAF_DAYS.min(days / 3));
                let unchanged = made_by == Some(wished);
                let text = format!("{}, for {days} days", next.numbers());
                ("certificate", unchanged.then_some(from), text, false)
            }
            (NextCertificates::Trust, Recipe::CertificateAuthority { revision, .. }) => {
                let from = earlier(first.ends, AUTHORITY_MARGIN);
                let text = format!("{}, a second one is trusted", next.numbers());
                ("authority", (*revision <= first.number).then_some(from), text, false)
            }
            (NextCertificates::Sign, _) => {
                let text = format!("{}, the second one signs", next.numbers());
                ("authority", Some(self.since.plus(PACE)), text, true)
            }
            (NextCertificates::Drop, _) => {
                let text = format!("{}, the first one is trusted no longer", next.numbers());
                ("authority", Some(self.since.plus(PACE)), text, true)
            }
            _ => return None,
        };
        let ends = first.ends.to_string();
        let day = ends.split('T').next().unwrap_or_default();
        Some(Renewal {
            path: FieldPath::root().key(path),
            before: format!("{}, ends {day}", self.numbers()),
            after,
            from,
            settled,
            outputs: BTreeMap::from([(REVISION.to_owned(), Value::String(next.revision()))]),
        })
    }

    /// `1`, `1+2`: the one that signs first.
    fn numbers(&self) -> String {
        let numbers: Vec<String> = self.held.iter().map(|one| one.number.to_string()).collect();
        numbers.join("+")
    }
}

fn after(now: Timestamp, days: u32) -> Timestamp {
    now.plus(DAY * days)
}

fn earlier(end: Timestamp, days: u32) -> Timestamp {
    Timestamp::from_seconds(end.seconds() - i64::from(days) * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(revision: u32) -> Recipe {
        Recipe::CertificateAuthority {
            common_name: "test".to_owned(),
            revision,
        }
    }

    fn leaf(days: u32, name: &str) -> Recipe {
        Recipe::Tls {
            authority: "k8s/main:Secret/security/certificate-authority".to_owned(),
            dns: vec![name.to_owned()],
            days,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_leaf_is_due_a_month_before_its_end() {
        let recipe = leaf(365, "db");
        let made = Certificates::first(&recipe, at("2026-01-01T00:00:00Z")).unwrap();
        let renewal = made.renewal(&recipe, Some(&recipe)).unwrap();
        assert_eq!(renewal.from, Some(at("2026-12-02T00:00:00Z")));
        assert_eq!(
            (renewal.before.as_str(), renewal.after.as_str()),
            ("1, ends 2027-01-01", "2, for 365 days")
        );
        assert_eq!(renewal.outputs[REVISION], "2.6955b900");
        assert_eq!(made.revision(), "1.6955b900");
        // Another name is a matter of the wish, at once.
        let renamed = made.renewal(&leaf(365, "other"), Some(&recipe)).unwrap();
        assert_eq!(renamed.from, None);
        let short = leaf(9, "db");
        let made = Certificates::first(&short, at("2026-01-01T00:00:00Z")).unwrap();
        let renewal = made.renewal(&short, Some(&short)).unwrap();
        assert_eq!(renewal.from, Some(at("2026-01-07T00:00:00Z")));
    }

    #[test]
    fn an_authority_is_replaced_in_three_steps() {
        let mut now = at("2026-01-01T00:00:00Z");
        let mut one = Certificates::first(&authority(1), now).unwrap();
        let by_itself = one.renewal(&authority(1), None).unwrap();
        assert_eq!(by_itself.from, Some(at("2033-12-30T00:00:00Z")));
        let wished = authority(2);
        let mut seen = Vec::new();
        for _ in 0..3 {
            let renewal = one.renewal(&wished, None).unwrap();
            let from = renewal.from.unwrap_or(now);
            assert_eq!(renewal.settled, !seen.is_empty());
            assert!(seen.is_empty() || from == now.plus(DAY));
            now = from;
            seen.push(format!("{} -> {}", renewal.before, renewal.after));
            let (_, next) = one.next(&wished, now).unwrap();
            assert_eq!(renewal.outputs[REVISION], next.revision());
            one = next;
        }
        assert_eq!(
            seen,
            [
                "1, ends 2035-12-30 -> 1+2, a second one is trusted",
                "1+2, ends 2035-12-30 -> 2+1, the second one signs",
                "2+1, ends 2035-12-30 -> 2, the first one is trusted no longer",
            ]
        );
        assert_eq!((one.newest(), one.revision().as_str()), (2, "2.6955b900"));
        // Now it stays for years, whatever number below is wished.
        for wished in [authority(1), wished] {
            let next = one.renewal(&wished, None).unwrap();
            assert!(next.from.is_some_and(|from| from > at("2033-01-01T00:00:00Z")));
        }
        // A number that is skipped is skipped for good.
        let (_, far) = one.next(&authority(7), now).unwrap();
        assert_eq!(far.revision(), "2+7.6955b900");
    }
}
