//! The platform on Kubernetes.

mod autoscaled;
mod backups;
mod capability;
mod catalogue;
mod client;
mod error;
mod flavour;
mod follow;
mod foundation;
mod kind;
mod kubernetes;
mod limits;
mod lock;
mod matcher;
mod object;
mod observe;
mod parent;
mod pod;
mod policy;
mod preflight;
mod preview;
mod provider;
mod redact;
mod secret;
mod secret_write;
mod set;
mod shape;
mod stamp;
mod strangers;
mod write;

pub use capability::monitoring;
pub use catalogue::{CATALOGUE, CatalogueImage, ImageOptions};
pub use flavour::{CERTIFICATES, CREDENTIALS, DATA, Flavour, KnownFlavour, S3Server};
pub use kind::facts;
pub use kubernetes::{Kubernetes, KubernetesOptions};
pub use provider::{KubeProvider, KubeProviderBuilder};
