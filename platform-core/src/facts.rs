//! What the engine has to know of a kind, as data.

use crate::resource::Holds;
use crate::value::ResourceId;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Everything the engine knows of a kind. Exhaustive on purpose: a new fact must be answered for every kind.
#[derive(Clone, Copy, Debug)]
pub struct KindFacts {
    /// `StatefulSet.apps`, `s3.Bucket`.
    pub kind: &'static str,
    /// What its objects hold, unless the resource says otherwise.
    pub holds: Holds,
    /// Delete order when the graph is gone: higher ranks go first.
    pub rank: u16,
    /// What names are legal.
    pub name: NameRule,
    /// What keeps a create from happening twice.
    pub create: Creation,
    /// When its API takes a change.
    pub update: Updating,
    /// How long it may take to become ready before a run gives up on it.
    pub patience: Duration,
    /// How long it usually takes, for progress displays.
    pub usually: Duration,
    /// What to do where another set has made the object already; empty: what helps with any kind.
    pub taken: &'static str,
    /// What goes with its objects beside themselves when a config no longer asks for one: a schedule of backups protects
    /// data that stays. Not asked about when the whole set goes.
    pub removal: Option<Risk>,
    /// Outputs that its live objects have.
    pub outputs: &'static [&'static str],
    /// Facts of fields; a field without an entry changes in place, compares exactly and risks nothing.
    pub fields: &'static [Field],
    /// Which rights its writes need: `verb resource.group` on Kubernetes, `service:Action` on AWS; by create, update, delete.
    pub calls: Calls,
}

/// Rights by verb, for exact RBAC and IAM.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calls {
    /// To see it.
    pub read: &'static [&'static str],
    /// To make it.
    pub create: &'static [&'static str],
    /// To change it.
    pub update: &'static [&'static str],
    /// To remove it.
    pub delete: &'static [&'static str],
}

/// What names a kind accepts.
#[derive(Clone, Copy, Debug)]
pub struct NameRule {
    /// Longest name in characters, without the namespace.
    pub max: usize,
    /// Which characters.
    pub charset: Charset,
}

impl NameRule {
    /// Whether the name of an id is legal.
    ///
    /// # Errors
    /// `Invalid`, naming the rule.
    pub fn check(&self, id: &ResourceId) -> Result<()> {
        let name = id.name().base();
        let refuse = |rule: String| {
            Err(Error::new(ErrorKind::Invalid, format!("name {name:?} {rule}"))
                .with_context("resource", id)
                .with_help("shorten or change the platform's name, or override this one (names:)"))
        };
        if name.len() > self.max {
            return refuse(format!("has {} characters, {} are allowed", name.len(), self.max));
        }
        match self.charset.misfit(name) {
            Some(rule) => refuse(rule.to_owned()),
            None => Ok(()),
        }
    }
}

/// Character sets of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// RFC 1123 label: lower case, digits, `-`; starts and ends alphanumeric.
    Dns1123Label,
    /// RFC 1035 label: starts with a letter.
    Dns1035Label,
    /// RFC 1123 subdomain: labels joined by dots.
    Dns1123Subdomain,
    /// Path segment: Kubernetes RBAC names (`:` allowed).
    PathSegment,
    /// S3 bucket.
    Bucket,
    /// Letters, digits and `/_+=.@-`: Secrets Manager, KMS aliases.
    AwsPath,
    /// Lower case letters, digits and single `-`, starting with a letter: RDS, ElastiCache.
    AwsIdentifier,
}

impl Charset {
    /// Why a name does not fit, if it does not.
    fn misfit(self, name: &str) -> Option<&'static str> {
        let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let label =
            |text: &str| text.starts_with(lower) && text.ends_with(lower) && text.chars().all(|c| lower(c) || c == '-');
        let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
        let (fits, rule) = match self {
            Self::Dns1123Label => (label(name), "is not lower case letters, digits and `-`"),
            Self::Dns1035Label => (
                label(name) && starts,
                "is not a letter, then lower case letters, digits and `-`",
            ),
            Self::Dns1123Subdomain => (
                name.split('.').all(label),
                "is not labels of lower case letters, digits and `-`",
            ),
            Self::PathSegment => (!name.contains(['/', '%']), "holds a slash or percent sign"),
            Self::Bucket => (
                name.len() >= 3 && name.split('.').all(label) && !name.contains(".."),
                "is not 3 to 63 lower case letters, digits, `-` and `.`",
            ),
            Self::AwsPath => (
                !name.is_empty()
                    && name
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "/_+=.@-:".contains(c)),
                "holds other characters than letters, digits and /_+=.@-",
            ),
            Self::AwsIdentifier => (
                label(name) && starts && !name.contains("--"),
                "is not a letter, then lower case letters, digits and single `-`",
            ),
        };
        (!fits).then_some(rule)
    }
}

/// What keeps two creates of one object apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// The name is exclusive: the second create fails.
    Exclusive,
    /// The same token gives the same object.
    Token,
    /// A create overwrites what is there.
    Upsert,
    /// Nothing: recorded as an open create first.
    Unguarded,
}

/// When the API of a kind takes a change of an object that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updating {
    /// Always. The change may be what an object needs that never becomes ready: another image.
    AtOnce,
    /// Not while an earlier change is under way: an update waits until the object is ready or has failed.
    WhenSettled,
}

/// Facts of one field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Pattern of a [`FieldPath`](crate::value::FieldPath): `spec.containers[*].image`.
    pub path: &'static str,
    /// What a change means for the running object.
    pub change: FieldChange,
    /// When two values are the same.
    pub equal: Equal,
    /// What a change puts at risk.
    pub risk: RiskRule,
    /// What to do where a change is refused; absent: set the field back, or make a new object beside it.
    pub instead: Option<&'static str>,
    /// The kind whose objects it names, it or what is below it, by their names or outputs: what is kept keeps those. Only of a
    /// path without `*`.
    pub names: Option<&'static str>,
    /// While it is `true` its API refuses to delete the object.
    pub protects: bool,
}

impl Field {
    /// A field that changes in place, compares exactly and risks nothing.
    pub const fn new(path: &'static str) -> Self {
        Self {
            path,
            change: FieldChange::InPlace,
            equal: Equal::Exact,
            risk: RiskRule::Never,
            instead: None,
            names: None,
            protects: false,
        }
    }
    /// Sets what a change means.
    pub const fn changes(mut self, change: FieldChange) -> Self {
        self.change = change;
        self
    }
    /// Sets when two values are the same.
    pub const fn equal(mut self, equal: Equal) -> Self {
        self.equal = equal;
        self
    }
    /// Sets what a change puts at risk.
    pub const fn risk(mut self, risk: RiskRule) -> Self {
        self.risk = risk;
        self
    }
    /// Sets what to do where a change is refused.
    pub const fn instead(mut self, instead: &'static str) -> Self {
        self.instead = Some(instead);
        self
    }
    /// Sets the kind whose objects it names.
    pub const fn names(mut self, kind: &'static str) -> Self {
        self.names = Some(kind);
        self
    }
    /// Marks a field that, while it is `true`, keeps its object from being deleted.
    pub const fn protects(mut self) -> Self {
        self.protects = true;
        self
    }
}

/// What a change of a field means for the running object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldChange {
    /// Nothing stops.
    InPlace,
    /// The workload restarts.
    Restart,
    /// The name carries a hash of this field: a change is another object. Blocked if it happens under one name.
    NewName,
    /// Only by deleting and making the object again.
    Replace,
    /// Only upwards.
    GrowOnly,
    /// Not at all.
    Never,
}

/// When two values of a field are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Equal {
    /// Equal JSON.
    Exact,
    /// Equal as sets: the order of a list means nothing.
    Set,
    /// Equal as Kubernetes quantities: `1000m` and `1`.
    Quantity,
    /// Equal as JSON documents in texts: policies.
    JsonText,
}

/// What can go wrong for people when a step runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Risk {
    /// Data is gone afterwards.
    DestroysData,
    /// Cannot be taken back.
    Irreversible,
    /// Data is less protected afterwards: shorter retention, no encryption, no deletion protection.
    LowersProtection,
    /// Clients lose connections.
    Downtime,
    /// More can reach or read it.
    Exposes,
}

impl Risk {
    /// All.
    pub const ALL: [Self; 5] = [
        Self::DestroysData,
        Self::Irreversible,
        Self::LowersProtection,
        Self::Downtime,
        Self::Exposes,
    ];

    /// `destroys-data`, as approvals spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DestroysData => "destroys-data",
            Self::Irreversible => "irreversible",
            Self::LowersProtection => "lowers-protection",
            Self::Downtime => "downtime",
            Self::Exposes => "exposes",
        }
    }
}

impl std::fmt::Display for Risk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Risk {
    type Err = crate::value::InvalidValue;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|risk| risk.as_str() == text)
            .ok_or_else(|| crate::value::InvalidValue::new(text, "a risk such as destroys-data"))
    }
}

/// Which changes of a field put something at risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RiskRule {
    /// None.
    Never,
    /// Each.
    Always(Risk),
    /// A smaller value (number, quantity or size text).
    Shrinks(Risk),
    /// From `true`, `Enabled` or present to `false`, `Disabled`, `Suspended` or absent.
    TurnsOff(Risk),
    /// Removal of the field or of an element.
    Removed(Risk),
    /// More elements than before.
    Widens(Risk),
    /// To a word further left in this list, to one that is not in it, or away.
    Lowers(&'static [&'static str], Risk),
}
