//! References to container images.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const DEFAULT_REGISTRY: &str = "docker.io";

/// A reference to a container image: `registry/repository:tag@digest`.
///
/// Always kept in full: `postgres:17` is read as `docker.io/library/postgres:17`, as every container
/// runtime does, so that two texts for one image compare equal. There is always a tag or a digest: an
/// image without either would change under a running platform.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Image {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Image {
    /// Reads a reference.
    ///
    /// # Errors
    /// Fails when the text is not a reference, or names neither a tag nor a digest, or the tag is `latest`
    /// without a digest.
    pub fn new(text: &str) -> Result<Self, InvalidImage> {
        let refuse = |reason| InvalidImage {
            text: text.to_owned(),
            reason,
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|d| !is_digest(d)) {
            return Err(refuse(Reason::Digest));
        }
        let last_slash = rest.rfind('/').map_or(0, |i| i + 1);
        let (path, tag) = match rest.get(last_slash..).and_then(|last| last.find(':')) {
            Some(colon) => {
                let (path, tag) = rest.split_at(last_slash + colon);
                (path, tag.get(1..))
            }
            None => (rest, None),
        };
        if tag.is_some_and(|t| !is_tag(t)) {
            return Err(refuse(Reason::Tag));
        }
        let (registry, repository) = match path.split_once('/') {
            Some((host, repository)) if host.contains(['.', ':']) || host == "localhost" => {
                (host, repository.to_owned())
            }
            Some(_) => (DEFAULT_REGISTRY, path.to_owned()),
            None => (DEFAULT_REGISTRY, format!("library/{path}")),
        };
        if !is_registry(registry) || repository.len() > 200 || !repository.split('/').all(is_path_part) {
            return Err(refuse(Reason::Name));
        }
        match (tag, digest) {
            (None, None) => Err(refuse(Reason::Unpinned)),
            (Some("latest"), None) => Err(refuse(Reason::Latest)),
            _ => Ok(Self {
                registry: registry.to_owned(),
                repository,
                tag: tag.map(str::to_owned),
                digest: digest.map(str::to_owned),
            }),
        }
    }

    /// The registry's host, with its port if there is one: `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path within the registry: `library/postgres`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, such as `17.11`.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The content digest with its algorithm: `sha256:` and 64 hexadecimal digits.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The same image in a mirror: `rewrite` is a registry, or a registry with a path, that takes the place
    /// of the original registry. Tag and digest stay: a mirror serves the same bytes.
    pub fn with_registry(mut self, rewrite: &RegistryPrefix) -> Self {
        self.registry.clone_from(&rewrite.host);
        if let Some(path) = &rewrite.path {
            self.repository = format!("{path}/{}", self.repository);
        }
        self
    }

    /// The same image found by its tag alone; one that has no tag keeps its digest.
    ///
    /// Images loaded into a Kind node by name carry no registry digest, and asking for one would pull them again.
    pub fn without_digest(mut self) -> Self {
        if self.tag.is_some() {
            self.digest = None;
        }
        self
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// A registry, or a place within one, that images are mirrored to: `registry.example.com:5000/mirror`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegistryPrefix {
    host: String,
    path: Option<String>,
}

impl RegistryPrefix {
    /// Reads a registry with an optional path.
    ///
    /// # Errors
    /// Fails for a URL (`https://...`), a host without a dot or port, a trailing slash, a tag.
    pub fn new(text: &str) -> Result<Self, InvalidImage> {
        let (host, path) = match text.split_once('/') {
            Some((host, path)) => (host, Some(path)),
            None => (text, None),
        };
        let host_found = host.contains(['.', ':']) || host == "localhost";
        if !host_found || !is_registry(host) || !path.is_none_or(|p| p.split('/').all(is_path_part)) {
            return Err(InvalidImage {
                text: text.to_owned(),
                reason: Reason::Registry,
            });
        }
        Ok(Self {
            host: host.to_owned(),
            path: path.map(str::to_owned),
        })
    }
}

impl fmt::Display for RegistryPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        match &self.path {
            Some(path) => write!(f, "/{path}"),
            None => Ok(()),
        }
    }
}

macro_rules! through_text {
    ($($type:ident)*) => {$(
        impl FromStr for $type {
            type Err = InvalidImage;
            fn from_str(text: &str) -> Result<Self, InvalidImage> {
                Self::new(text)
            }
        }
        impl TryFrom<String> for $type {
            type Error = InvalidImage;
            fn try_from(text: String) -> Result<Self, InvalidImage> {
                Self::new(&text)
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    )*};
}
through_text!(Image RegistryPrefix);

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

fn is_tag(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn is_registry(text: &str) -> bool {
    let (host, port) = text
        .split_once(':')
        .map_or((text, None), |(host, port)| (host, Some(port)));
    port.is_none_or(|p| p.parse::<u16>().is_ok_and(|p| p > 0) && p.bytes().all(|b| b.is_ascii_digit()))
        && host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

/// Lower-case letters and digits in runs that are joined by one dot, one or two underscores, or hyphens.
fn is_path_part(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.bytes().all(|b| alphanumeric(b) || matches!(b, b'.' | b'_' | b'-'))
        && text.bytes().next().is_some_and(alphanumeric)
        && text.bytes().last().is_some_and(alphanumeric)
        && text
            .split(|c: char| c.is_ascii_alphanumeric())
            .all(|joint| matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|b| b == b'-'))
}

/// A text that is not an [`Image`] or a [`RegistryPrefix`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {}", reason.words())]
pub struct InvalidImage {
    text: String,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Name,
    Tag,
    Digest,
    Unpinned,
    Latest,
    Registry,
}

impl Reason {
    fn words(self) -> &'static str {
        match self {
            Self::Name => "is not an image reference",
            Self::Tag => "has a tag that no registry allows",
            Self::Digest => "has a digest that is not sha256 with 64 lower-case hexadecimal digits",
            Self::Unpinned => "names an image without a tag or digest",
            Self::Latest => "names the moving tag `latest` without a digest",
            Self::Registry => "is not a registry",
        }
    }
}

impl InvalidImage {
    /// What to write instead.
    pub fn help(&self) -> String {
        match self.reason {
            Reason::Registry if self.text.contains("://") => {
                format!(
                    "write it without the scheme: {}",
                    self.text.rsplit("://").next().unwrap_or_default()
                )
            }
            Reason::Registry => {
                "write a host, with a path if there is one, such as registry.example.com/mirror".to_owned()
            }
            Reason::Unpinned | Reason::Latest => "add the version's tag, a digest, or both".to_owned(),
            Reason::Name | Reason::Tag | Reason::Digest => {
                "write registry/repository:tag@sha256:..., such as docker.io/library/postgres:17.11".to_owned()
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SHA: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn references_are_read_in_full() {
        for (text, full) in [
            ("postgres:17", "docker.io/library/postgres:17".to_owned()),
            ("valkey/valkey:9.1.2", "docker.io/valkey/valkey:9.1.2".to_owned()),
            ("localhost/x:1", "localhost/x:1".to_owned()),
            ("localhost:5000/a/b_c:v1-x", "localhost:5000/a/b_c:v1-x".to_owned()),
            (
                &format!("quay.io/minio/minio@{SHA}"),
                format!("quay.io/minio/minio@{SHA}"),
            ),
            (&format!("a.io/b:latest@{SHA}"), format!("a.io/b:latest@{SHA}")),
        ] {
            let image: Image = text.parse().unwrap();
            assert_eq!(image.to_string(), full);
            assert_eq!(full.parse::<Image>().unwrap(), image);
            assert_eq!(
                serde_json::from_str::<Image>(&serde_json::to_string(&image).unwrap()).unwrap(),
                image
            );
        }
    }

    #[test]
    fn a_mirror_takes_the_place_of_the_registry() {
        let image: Image = format!("postgres:17@{SHA}").parse().unwrap();
        for (mirror, expected) in [
            (
                "mirror.example.com",
                format!("mirror.example.com/library/postgres:17@{SHA}"),
            ),
            (
                "localhost:5000/hub",
                format!("localhost:5000/hub/library/postgres:17@{SHA}"),
            ),
        ] {
            assert_eq!(
                image.clone().with_registry(&mirror.parse().unwrap()).to_string(),
                expected
            );
        }
        assert_eq!(image.without_digest().to_string(), "docker.io/library/postgres:17");
        let untagged: Image = format!("a.io/b@{SHA}").parse().unwrap();
        assert_eq!(untagged.clone().without_digest(), untagged);
        assert_eq!(
            "https://mirror.example.com"
                .parse::<RegistryPrefix>()
                .unwrap_err()
                .help(),
            "write it without the scheme: mirror.example.com"
        );
        for wrong in ["mirror", "mirror.example.com/", "m.io/a:1", "m..io", "", "m.io:0/x"] {
            assert!(wrong.parse::<RegistryPrefix>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_reference_says_why() {
        for (text, reason) in [
            ("", Reason::Name),
            ("Postgres:17", Reason::Name),
            ("a//b:1", Reason::Name),
            ("a.io/b..c:1", Reason::Name),
            ("https://a.io/b:1", Reason::Name),
            ("a b:1", Reason::Name),
            ("postgres:", Reason::Tag),
            ("postgres:-1", Reason::Tag),
            ("postgres@sha256:12", Reason::Digest),
            ("postgres", Reason::Unpinned),
            ("localhost:5000/postgres", Reason::Unpinned),
            ("postgres:latest", Reason::Latest),
        ] {
            let error = text.parse::<Image>().unwrap_err();
            assert_eq!(error.reason, reason, "{text}");
            assert!(!error.help().is_empty());
        }
    }
}
