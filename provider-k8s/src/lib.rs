//! The platform on Kubernetes.

mod capability;
mod catalogue;
mod flavour;
mod foundation;
mod kubernetes;
mod object;
mod pod;
mod policy;

pub use catalogue::{CATALOGUE, CatalogueImage, ImageOptions};
pub use flavour::{CERTIFICATES, CREDENTIALS, DATA, Flavour, KnownFlavour, S3Server};
pub use kubernetes::{Kubernetes, KubernetesOptions};
