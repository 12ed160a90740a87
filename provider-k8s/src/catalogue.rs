//! Which images run, as data.

use platform_core::value::Image;
use platform_core::value::image::RegistryPrefix;
use platform_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One image that this version of the library was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogueImage {
    /// What it is: `postgres`. The key of overrides.
    pub name: &'static str,
    /// Major version as specs write it; empty where there is one version only.
    pub major: &'static str,
    /// Registry and repository.
    pub repository: &'static str,
    /// Tag.
    pub tag: &'static str,
    /// Index digest, without `sha256:`; absent where the tag's is not confirmed, so that the tag alone is pulled.
    pub digest: Option<&'static str>,
    /// Licence of what is in it.
    pub licence: &'static str,
}

/// Every image, the preferred version of a name first.
///
/// Tags of these repositories are rebuilt, so a digest is what names the bytes. Where none is confirmed (PostgreSQL 16,
/// Valkey 8, Redis 7, Velero's plugin) the tag alone is pulled, and what it names may change: give an image by digest as an override.
pub const CATALOGUE: &[CatalogueImage] = &[
    image(
        "postgres",
        "17",
        "docker.io/library/postgres",
        "17.11-bookworm",
        Some("051f7b7b3abdd564d5d1bd1e8c4b9c1b6e77087d1dd22020ede611c096a272e0"),
        "PostgreSQL",
    ),
    image(
        "postgres",
        "18",
        "docker.io/library/postgres",
        "18.6",
        Some("4ef4dbc939d61acea57712655ddb4b4ab27419c913f94cca0cd57cb3ea3c2280"),
        "PostgreSQL",
    ),
    image(
        "postgres",
        "16",
        "docker.io/library/postgres",
        "16.15",
        None,
        "PostgreSQL",
    ),
    image(
        "valkey",
        "9",
        "docker.io/valkey/valkey",
        "9.1.2",
        Some("418652cfb58ef879d4978c33553735d7147016032d5aefaa14c828e611eb9dfd"),
        "BSD-3-Clause",
    ),
    image("valkey", "8", "docker.io/valkey/valkey", "8.1.10", None, "BSD-3-Clause"),
    image(
        "redis",
        "8",
        "docker.io/library/redis",
        "8.10.2",
        Some("6f81e8915c60b065a524e6967e0ad1c639ba6efa84d669f823683ea04d9150ee"),
        "RSALv2, SSPLv1 or AGPL-3.0",
    ),
    image(
        "redis",
        "7",
        "docker.io/library/redis",
        "7.4.11",
        None,
        "RSALv2 or SSPLv1",
    ),
    image(
        "rustfs",
        "",
        "docker.io/rustfs/rustfs",
        "1.0.1",
        Some("1803faef57627e2d9c2e7d89d655d712ddded5389040054987163043fecb6a3c"),
        "Apache-2.0",
    ),
    // The last one that was published; without the fix for CVE-2025-62506.
    image(
        "minio",
        "",
        "quay.io/minio/minio",
        "RELEASE.2025-09-07T16-13-09Z",
        Some("14cea493d9a34af32f524e538b8346cf79f3321eff8e708c1e2960462bd8936e"),
        "AGPL-3.0",
    ),
    image(
        "mc",
        "",
        "quay.io/minio/mc",
        "RELEASE.2025-08-13T08-35-41Z",
        Some("a7fe349ef4bd8521fb8497f55c6042871b2ae640607cf99d9bede5e9bdf11727"),
        "AGPL-3.0",
    ),
    image(
        "postgres-exporter",
        "",
        "quay.io/prometheuscommunity/postgres-exporter",
        "v0.20.1",
        Some("ac5ec343104fae0e2d84a27bb8d69b38430a11910c5382cad85d478d2bab713e"),
        "Apache-2.0",
    ),
    image(
        "redis-exporter",
        "",
        "docker.io/oliver006/redis_exporter",
        "v1.91.1",
        Some("c67a432dba6b4ae30f471e3c77cf14a289133bbeeb89abb0bb03e6092efb2836"),
        "MIT",
    ),
    image(
        "velero",
        "",
        "docker.io/velero/velero",
        "v1.18.3",
        Some("b839e52bc2c69eb3b5a84b010b8b3c7f714f3c5ef50b77ec7770a382a8f2e0ab"),
        "Apache-2.0",
    ),
    image(
        "velero-plugin-for-aws",
        "",
        "docker.io/velero/velero-plugin-for-aws",
        "v1.14.3",
        None,
        "Apache-2.0",
    ),
    image(
        "prometheus",
        "",
        "docker.io/prom/prometheus",
        "v3.15.0",
        Some("efd719c99d83b060d9daefdcf00360461adf279f45ef5391f8d111892118753e"),
        "Apache-2.0",
    ),
    image(
        "alertmanager",
        "",
        "quay.io/prometheus/alertmanager",
        "v0.34.0",
        Some("690c7b525f4367aa91f73e2f91c632206d32e97c6384bdbf2fb7a861b420340d"),
        "Apache-2.0",
    ),
    image(
        "grafana",
        "",
        "docker.io/grafana/grafana",
        "13.2.3",
        Some("b28bae15e219c998fb0e0424ed724930cc61b1f61fb404d47c862f9a23f9e572"),
        "AGPL-3.0",
    ),
    image(
        "kube-state-metrics",
        "",
        "registry.k8s.io/kube-state-metrics/kube-state-metrics",
        "v2.20.0",
        Some("42cfe3723a5f058171c627537fb57a3ea0f26e4380fa18555a95cb1a1b4cfc5b"),
        "Apache-2.0",
    ),
    image(
        "node-exporter",
        "",
        "docker.io/prom/node-exporter",
        "v1.12.1",
        Some("1b4e4438faca4dd7e001dd445d161a4a2091b0fededa84093b3a8dfeae1f1be0"),
        "Apache-2.0",
    ),
];

const fn image(
    name: &'static str,
    major: &'static str,
    repository: &'static str,
    tag: &'static str,
    digest: Option<&'static str>,
    licence: &'static str,
) -> CatalogueImage {
    CatalogueImage {
        name,
        major,
        repository,
        tag,
        digest,
        licence,
    }
}

/// The major versions of a name, preferred first.
pub(crate) fn majors(name: &str) -> Vec<&'static str> {
    CATALOGUE
        .iter()
        .filter(|entry| entry.name == name)
        .map(|entry| entry.major)
        .collect()
}

/// Where images come from. A change restarts what runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageOptions {
    /// A mirror in the place of every registry. Default none.
    pub registry: Option<RegistryPrefix>,
    /// Names of the image pull Secrets that lie in the platform's namespaces. Default none.
    pub pull_secrets: Vec<String>,
    /// Names images by digest. Default on; off for images that were loaded into a Kind node by name.
    pub digests: bool,
    /// Other images, by the catalogue's names (`postgres`, `rustfs`, `redis-exporter`); neither mirror nor
    /// `digests` touches them.
    pub overrides: BTreeMap<String, Image>,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self {
            registry: None,
            pull_secrets: Vec::new(),
            digests: true,
            overrides: BTreeMap::new(),
        }
    }
}

impl ImageOptions {
    /// Sets the mirror.
    pub fn with_registry(mut self, registry: RegistryPrefix) -> Self {
        self.registry = Some(registry);
        self
    }
    /// Adds a pull Secret.
    pub fn with_pull_secret(mut self, name: impl Into<String>) -> Self {
        self.pull_secrets.push(name.into());
        self
    }
    /// Sets whether images are named by digest.
    pub fn with_digests(mut self, digests: bool) -> Self {
        self.digests = digests;
        self
    }
    /// Sets another image.
    pub fn with_override(mut self, name: impl Into<String>, image: Image) -> Self {
        self.overrides.insert(name.into(), image);
        self
    }

    /// The image of a name; `major` chooses among its versions, `None` takes the preferred one.
    ///
    /// # Errors
    /// `Unsupported` when the catalogue has no such version.
    pub fn image(&self, name: &str, major: Option<&str>) -> Result<Image> {
        let entry = CATALOGUE
            .iter()
            .find(|entry| entry.name == name && major.is_none_or(|major| entry.major == major))
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Unsupported,
                    format!("no {name} {} in the image catalogue", major.unwrap_or_default()),
                )
                .with_help(format!("it has {}", majors(name).join(", ")))
            })?;
        if let Some(image) = self.overrides.get(name) {
            return Ok(image.clone());
        }
        let digest = entry
            .digest
            .map(|digest| format!("@sha256:{digest}"))
            .unwrap_or_default();
        Image::new(&format!("{}:{}{digest}", entry.repository, entry.tag))
            .map(|image| self.placed(image))
            .map_err(|cause| Error::new(ErrorKind::Internal, "the catalogue names no image").with_source(cause))
    }

    /// An image under the mirror and digest rules.
    pub(crate) fn placed(&self, image: Image) -> Image {
        let image = match &self.registry {
            Some(registry) => image.with_registry(registry),
            None => image,
        };
        if self.digests { image } else { image.without_digest() }
    }

    /// # Errors
    /// `Invalid` for an override of what the catalogue does not have.
    pub(crate) fn check(&self) -> Result<()> {
        match self
            .overrides
            .keys()
            .find(|name| CATALOGUE.iter().all(|entry| entry.name != name.as_str()))
        {
            None => Ok(()),
            Some(name) => {
                let mut names: Vec<_> = CATALOGUE.iter().map(|entry| entry.name).collect();
                names.dedup();
                Err(Error::new(
                    ErrorKind::Invalid,
                    format!("the image catalogue has no {name:?} to override"),
                )
                .with_help(format!("it has {}", names.join(", "))))
            }
        }
    }
}
