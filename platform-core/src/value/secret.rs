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
    },
    /// A certificate authority: keys `ca.crt`, `ca.key`. Valid ten years.
    CertificateAuthority {
        /// Common name.
        common_name: String,
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

const SECRET: &str = "$secret";

impl Recipe {
    /// How it stands in a desired value.
    pub fn to_value(&self) -> Value {
        serde_json::json!({ SECRET: self })
    }

    /// The recipe that a value is, if it is one.
    pub fn of_value(value: &Value) -> Option<Self> {
        let map = value.as_object().filter(|map| map.len() == 1)?;
        serde_json::from_value(map.get(SECRET)?.clone()).ok()
    }
}
