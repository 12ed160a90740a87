//! Value types: validated once, then passed around without further checks.

pub mod image;
pub mod percent;
pub mod schedule;
pub mod size;
pub mod span;

mod certificates;
mod digest;
mod field_path;
mod id;
mod place;
mod product;
mod quantity;
mod reference;
mod secret;
mod set;
mod time;

pub use certificates::{AUTHORITY_DAYS, Certificates, NextCertificates, REVISION};
pub use digest::{Digest, canonical};
pub use field_path::{FieldPath, Segment};
pub use id::{Kind, Name, ResourceId};
pub use image::Image;
pub use percent::Percent;
pub use place::{Place, PlaceIdentity};
pub use product::{DOMAIN, PRODUCT, TAG_PREFIX};
pub use quantity::quantity;
pub use reference::{Reference, references, resolve};
pub use schedule::Schedule;
pub use secret::{Promoted, Recipe, SecretSource, SecretText, Supplied};
pub use set::SetId;
pub use size::{Size, gib, mib};
pub use span::Span;
pub use time::{Clock, SystemClock, Timestamp};

use std::fmt;

/// A text that is not a value of the type it was parsed as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct InvalidValue {
    text: String,
    expected: &'static str,
}

impl InvalidValue {
    pub(crate) fn new(text: impl Into<String>, expected: &'static str) -> Self {
        Self {
            text: text.into(),
            expected,
        }
    }
}

/// Implements `Display`, `FromStr` and string serde over `TryFrom<String>` for a one-field newtype.
macro_rules! text_newtype {
    ($type:ident) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::str::FromStr for $type {
            type Err = $crate::value::InvalidValue;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }
        impl TryFrom<String> for $type {
            type Error = $crate::value::InvalidValue;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.0.to_string()
            }
        }
        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}
pub(crate) use text_newtype;

/// The incarnation of a live object: a Kubernetes `metadata.uid`, an RDS `DbiResourceId`, a KMS key id.
///
/// An object deleted and made again under the same name has another uid, so approvals and
/// preconditions name uids, never names alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Uid(String);

impl Uid {
    /// A uid as the API printed it; opaque.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
