use super::{InvalidValue, text_newtype};
use serde::{Deserialize, Serialize};

/// One cluster, or one account and region, by its logical name: `k8s/ml-platform`, `aws/eu-west-1`.
///
/// Never a kubeconfig context or a profile: those differ from laptop to laptop, plans must not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Place(std::sync::Arc<str>);

impl Place {
    /// A place from `<provider>/<name>`.
    ///
    /// # Errors
    /// When the slash or a part is missing.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidValue> {
        let text = text.as_ref();
        match text.split_once('/') {
            Some((provider, name)) if !provider.is_empty() && !name.is_empty() && !text.contains(':') => {
                Ok(Self(text.into()))
            }
            _ => Err(InvalidValue::new(text, "a place such as k8s/ml-platform")),
        }
    }

    /// A Kubernetes cluster.
    ///
    /// # Errors
    /// When the name is empty or holds a colon.
    pub fn kubernetes(name: &str) -> Result<Self, InvalidValue> {
        Self::new(format!("k8s/{name}"))
    }

    /// An AWS region of the account that the credentials name.
    ///
    /// # Errors
    /// When the region is empty or holds a colon.
    pub fn aws(region: &str) -> Result<Self, InvalidValue> {
        Self::new(format!("aws/{region}"))
    }
}

text_newtype!(Place);

/// What proves that two runs talk to the same place: the uid of namespace `kube-system`;
/// partition, account and region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlaceIdentity(pub String);

impl std::fmt::Display for PlaceIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
