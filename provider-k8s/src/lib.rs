//! The platform on Kubernetes.

mod capability;
mod catalogue;
mod flavour;
mod foundation;
#[allow(dead_code)] // the provider that reads them follows
mod kind;
mod kubernetes;
mod object;
mod pod;
mod policy;
mod quantity;
#[allow(dead_code)] // the provider that renders them follows
mod secret;

pub use catalogue::{CATALOGUE, CatalogueImage, ImageOptions};
pub use flavour::{CERTIFICATES, CREDENTIALS, DATA, Flavour, KnownFlavour, S3Server};
pub use kind::facts;
pub use kubernetes::{Kubernetes, KubernetesOptions};
