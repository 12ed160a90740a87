//! Recipes for secret values, and the values themselves while they are in memory.

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// A secret value in memory: never printed, never serialised, wiped when dropped.
#[derive(Clone)]
pub struct SecretText(SecretString);

impl SecretText {
    /// Takes the value over.
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The value, for the one call that has to send it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A secret that the caller supplies, by name and revision. A changed revision is the change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Supplied {
    /// The name under which the [`SecretSource`] knows it.
    pub supplied: String,
    /// Raised by the caller when the value changed; no hash of a value is stored anywhere.
    pub revision: u64,
}

/// Where supplied secrets come from: a vault, the environment, a prompt.
#[async_trait]
pub trait SecretSource: fmt::Debug + Send + Sync {
    /// The current value of a supplied secret.
    ///
    /// # Errors
    /// When the source does not know the name or cannot be reached.
    async fn get(&self, name: &str) -> crate::Result<SecretText>;
}

/// How a secret value comes into being, inside `write(Create)` and nowhere else.
///
/// Stands in `desired` as `{"$secret": {...}}` where the value would be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "recipe")]
pub enum Recipe {
    /// A random text of `length` characters from letters and digits. Made once, never again beside surviving data.
    Generate {
        /// Characters; 24 are 142 bits.
        length: u32,
        /// A higher number than the one that made the value replaces it.
        #[serde(default = "first", skip_serializing_if = "is_first")]
        revision: u32,
        /// Where this revision was made and tried before it comes here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        promoted: Option<Promoted>,
    },
    /// Random bytes in base64: encryption keys.
    GenerateBytes {
        /// Bytes before encoding.
        bytes: u32,
        /// Text before the encoded bytes, such as `name:`.
        #[serde(default)]
        prefix: String,
    },
    /// A constant that is no secret but has to stand in the same object, such as a user name.
    Literal {
        /// The value.
        value: String,
    },
    /// A text made of other keys of the same object: `{key}` is replaced, `{sha256:key}` by the hex digest.
    Derive {
        /// The text with its placeholders.
        template: String,
    },
    /// The value of a key of another object of the same place.
    Copy {
        /// The object, as a [`ResourceId`](super::ResourceId) text.
        from: String,
        /// Its key.
        key: String,
        /// Another number copies again, when another value has come there.
        #[serde(default = "first", skip_serializing_if = "is_first")]
        revision: u32,
    },
    /// The value that a key of another object has before a plan changes it there: the login that goes on to work beside
    /// the next one. Where there is none, what its own key has, else a random text.
    Before {
        /// The object, as a [`ResourceId`](super::ResourceId) text.
        from: String,
        /// Its key.
        key: String,
        /// Of the change.
        revision: u32,
        /// Characters of the random text; absent: 32.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        length: Option<u32>,
    },
    /// A certificate authority: keys `ca.crt`, `ca.key`. Valid ten years, replaced two years before.
    CertificateAuthority {
        /// Common name.
        common_name: String,
        /// One with a lower number is replaced by one with this number: trusted beside it, then used, then alone.
        revision: u32,
    },
    /// A leaf signed by the authority in `authority`: keys `tls.crt`, `tls.key`, `ca.crt`.
    Tls {
        /// The object that holds `ca.crt` and `ca.key`, as a [`ResourceId`](super::ResourceId) text.
        authority: String,
        /// DNS names of the leaf; the first is the common name.
        dns: Vec<String>,
        /// Days of validity.
        days: u32,
    },
    /// Supplied by the caller.
    Supplied(Supplied),
}

/// A key of another object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Promoted {
    /// The object, as a [`ResourceId`](super::ResourceId) text.
    pub from: String,
    /// Its key.
    pub key: String,
}

const SECRET: &str = "$secret";

fn first() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_first(revision: &u32) -> bool {
    *revision == 1
}

impl Recipe {
    /// A random text that is made once.
    pub fn generate(length: u32) -> Self {
        Self::Generate {
            length,
            revision: 1,
            promoted: None,
        }
    }

    /// Whether it stands for a value that is kept whatever its recipe says now, unless [`Recipe::replaces`] says so.
    pub fn is_made_once(&self) -> bool {
        matches!(self, Self::Generate { .. } | Self::GenerateBytes { .. })
    }

    /// Whether a value that `before` generated gives way to one of a later revision.
    pub fn replaces(&self, before: Option<&Self>) -> bool {
        match (self, before) {
            (Self::Generate { revision, .. }, Some(Self::Generate { revision: before, .. })) => revision > before,
            _ => false,
        }
    }

    /// How it stands in a desired value.
    pub fn to_value(&self) -> Value {
        serde_json::json!({ SECRET: self })
    }

    /// The first recipe in a value, however deep, that makes certificates.
    pub fn of_certificates(value: &Value) -> Option<Self> {
        match (Self::of_value(value), value) {
            (Some(recipe @ (Self::CertificateAuthority { .. } | Self::Tls { .. })), _) => Some(recipe),
            (None, Value::Object(map)) => map.values().find_map(Self::of_certificates),
            (None, Value::Array(items)) => items.iter().find_map(Self::of_certificates),
            _ => None,
        }
    }

    /// The recipe that a value is, if it is one.
    pub fn of_value(value: &Value) -> Option<Self> {
        let map = value.as_object().filter(|map| map.len() == 1)?;
        serde_json::from_value(map.get(SECRET)?.clone()).ok()
    }
}
