use super::{Digest, InvalidValue, text_newtype};
use serde::{Deserialize, Serialize};

/// The set of objects that one platform owns: `<name>-<environment>-<8 hex>`.
///
/// A pure function of name, environment and namespace prefix, so every run finds the same set
/// without a state file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SetId(std::sync::Arc<str>);

impl SetId {
    /// A set id read back from a plan or a label; a child set is `<set>/run/<verb>-<id>`.
    ///
    /// # Errors
    /// When the text is empty or longer than 200 characters.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidValue> {
        let text = text.as_ref();
        if text.is_empty() || text.len() > 200 || text.contains(' ') {
            return Err(InvalidValue::new(text, "a set id such as ml-platform-local-1a2b3c4d"));
        }
        Ok(Self(text.into()))
    }

    /// The set of a platform.
    pub fn of(name: &str, environment: &str, prefix: &str) -> Self {
        let hash = Digest::of(&[name, environment, prefix]);
        Self(format!("{name}-{environment}-{}", hash.short(8)).into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_newtype!(SetId);
