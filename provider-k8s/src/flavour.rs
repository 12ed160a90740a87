//! Which S3 server runs: data, so that one can be described without a new version of the library.

use platform_core::value::Image;
use platform_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Directory in which a server finds `access-key`, `secret-key` and, if it wants one, `encryption-key`.
pub const CREDENTIALS: &str = "/etc/store/credentials";
/// Directory in which a server finds its certificate.
pub const CERTIFICATES: &str = "/etc/store/tls";
/// Directory on the volume.
pub const DATA: &str = "/data";

/// An S3 server that keeps its objects in one directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Flavour {
    /// One that the library knows.
    Known(KnownFlavour),
    /// One described in full.
    Described(Box<S3Server>),
}

/// The S3 servers that the library knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownFlavour {
    /// RustFS (Apache-2.0). Has no metrics endpoint; applications get the server's own key.
    #[default]
    Rustfs,
    /// MinIO (AGPL-3.0). No longer maintained; its last image lacks the fix for CVE-2025-62506.
    Minio,
}

impl Default for Flavour {
    fn default() -> Self {
        Self::Known(KnownFlavour::Rustfs)
    }
}

/// How to run an S3 server. Secrets reach it as files only: name their paths in `args` or `env`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Server {
    /// Its image; absent: the catalogue's of the known flavour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Environment; paths and switches, never a secret value.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Port of the S3 API in the pod. Clients use 9000 of the Service whatever it is.
    pub s3_port: u16,
    /// Port of the console in the pod, where there is one. Clients use 9001 of the Service.
    #[serde(default)]
    pub console_port: Option<u16>,
    /// Names under which it wants its certificate: file in [`CERTIFICATES`] -> `tls.crt`, `tls.key` or `ca.crt`.
    pub certificates: BTreeMap<String, String>,
    /// HTTPS path that answers 200 while it lives.
    pub live: String,
    /// HTTPS path that answers 200 when it can serve.
    pub ready: String,
    /// HTTPS path of Prometheus metrics, where there is one.
    #[serde(default)]
    pub metrics: Option<String>,
    /// Directories besides the volume and `/tmp` that it must be able to write.
    #[serde(default)]
    pub scratch: Vec<String>,
    /// Text before the base64 key in `encryption-key`, for servers that encrypt at rest; absent: no such file.
    #[serde(default)]
    pub encryption_key_prefix: Option<String>,
    /// Whether it knows users by MinIO's admin API, so that applications get a key that reaches the described buckets
    /// only. If not, they get the server's own key, which may do everything. Default not. Counts for stores yet to be
    /// made.
    #[serde(default)]
    pub users: bool,
}

impl Flavour {
    /// The catalogue's name, where the library knows it.
    pub(crate) fn catalogue_name(&self) -> Option<&'static str> {
        match self {
            Self::Known(KnownFlavour::Rustfs) => Some("rustfs"),
            Self::Known(KnownFlavour::Minio) => Some("minio"),
            Self::Described(_) => None,
        }
    }

    /// How to run it.
    pub fn server(&self) -> S3Server {
        match self {
            Self::Described(server) => (**server).clone(),
            Self::Known(KnownFlavour::Rustfs) => rustfs(),
            Self::Known(KnownFlavour::Minio) => minio(),
        }
    }

    /// # Errors
    /// `Invalid` when a description lacks what every server needs.
    pub(crate) fn check(&self) -> Result<()> {
        let Self::Described(server) = self else {
            return Ok(());
        };
        let relative = |path: &&String| !path.starts_with('/');
        let wrong = if server.image.is_none() {
            Some("it names no image".to_owned())
        } else if server.s3_port == 0 || server.console_port == Some(0) || server.console_port == Some(server.s3_port) {
            Some("its ports must differ and not be 0".to_owned())
        } else if let Some(path) = [&server.live, &server.ready]
            .into_iter()
            .chain(&server.metrics)
            .chain(&server.scratch)
            .find(relative)
        {
            Some(format!("{path:?} is not an absolute path"))
        } else if let Some(key) = server
            .certificates
            .values()
            .find(|key| !["tls.crt", "tls.key", "ca.crt"].contains(&key.as_str()))
        {
            Some(format!("there is no {key:?} to be given as a certificate file"))
        } else if !["tls.crt", "tls.key"]
            .iter()
            .all(|key| server.certificates.values().any(|have| have == key))
        {
            Some(
                "`certificates` must name a file for tls.crt and one for tls.key: the server speaks TLS only"
                    .to_owned(),
            )
        } else {
            None
        };
        match wrong {
            None => Ok(()),
            Some(why) => Err(Error::new(
                ErrorKind::Invalid,
                format!("the S3 server is not described in full: {why}"),
            )),
        }
    }
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn rustfs() -> S3Server {
    S3Server {
        image: None,
        args: Vec::new(),
        env: texts(&[
            ("RUSTFS_ACCESS_KEY_FILE", "/etc/store/credentials/access-key"),
            ("RUSTFS_ADDRESS", ":9000"),
            ("RUSTFS_CONSOLE_ADDRESS", ":9001"),
            ("RUSTFS_CONSOLE_ENABLE", "true"),
            ("RUSTFS_OBS_LOG_DIRECTORY", "/logs"),
            ("RUSTFS_SECRET_KEY_FILE", "/etc/store/credentials/secret-key"),
            ("RUSTFS_TLS_PATH", CERTIFICATES),
            ("RUSTFS_VOLUMES", DATA),
        ]),
        s3_port: 9000,
        console_port: Some(9001),
        certificates: texts(&[
            ("ca.crt", "ca.crt"),
            ("rustfs_cert.pem", "tls.crt"),
            ("rustfs_key.pem", "tls.key"),
        ]),
        live: "/minio/health/live".to_owned(),
        ready: "/minio/health/ready".to_owned(),
        metrics: None,
        scratch: vec!["/logs".to_owned()],
        encryption_key_prefix: None,
        // It has MinIO's admin API by its source; `mc` has not been seen to make a user on it.
        users: false,
    }
}

fn minio() -> S3Server {
    let args = [
        "server",
        "--address",
        ":9000",
        "--console-address",
        ":9001",
        "--certs-dir",
        CERTIFICATES,
        DATA,
    ];
    S3Server {
        image: None,
        args: args.map(str::to_owned).to_vec(),
        env: texts(&[
            ("MINIO_BROWSER_REDIRECT", "false"),
            ("MINIO_KMS_AUTO_ENCRYPTION", "on"),
            ("MINIO_KMS_SECRET_KEY_FILE", "/etc/store/credentials/encryption-key"),
            // Metrics hold no object names; the network policies say who reaches them.
            ("MINIO_PROMETHEUS_AUTH_TYPE", "public"),
            ("MINIO_ROOT_PASSWORD_FILE", "/etc/store/credentials/secret-key"),
            ("MINIO_ROOT_USER_FILE", "/etc/store/credentials/access-key"),
            ("MINIO_UPDATE", "off"),
        ]),
        s3_port: 9000,
        console_port: Some(9001),
        certificates: texts(&[
            ("CAs/ca.crt", "ca.crt"),
            ("private.key", "tls.key"),
            ("public.crt", "tls.crt"),
        ]),
        live: "/minio/health/live".to_owned(),
        ready: "/minio/health/ready".to_owned(),
        metrics: Some("/minio/v2/metrics/cluster".to_owned()),
        scratch: Vec::new(),
        encryption_key_prefix: Some("platform-key:".to_owned()),
        users: true,
    }
}
