//! The four processes and their flags.

use std::{fs, net::Ipv4Addr, path::Path};

use anyhow::{Context, Result};
use rcgen::{KeyPair, PublicKeyData};

use super::{audit, build::Binaries, keys::Authority};

/// The first address of the services' range, which is the API server's own.
const FIRST_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// A "host:port" to etcd, a file name in the working directory to the kernel: no TCP port, no stranger.
pub(super) const ETCD_SOCKET: &str = "etcd:0";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Component {
    Etcd,
    Apiserver,
    ControllerManager,
    Scheduler,
}

pub(super) fn kubeconfig_name(user: &str) -> String {
    format!("{user}.kubeconfig")
}

/// Writes keys, certificates and the audit policy into `folder`.
pub(super) fn write_files(folder: &Path, authority: &Authority) -> Result<()> {
    let server = authority.server(Ipv4Addr::LOCALHOST, FIRST_SERVICE)?;
    let accounts = KeyPair::generate()?;
    let public = pem("PUBLIC KEY", &accounts.subject_public_key_info());
    for (name, text) in [
        ("ca.crt", authority.certificate()),
        ("ca.key", authority.key()),
        ("apiserver.crt", server.certificate),
        ("apiserver.key", server.key),
        ("sa.key", accounts.serialize_pem()),
        // the API server does not read a PKCS#8 private key here
        ("sa.pub", public),
        ("audit.json", audit::POLICY.to_owned()),
    ] {
        fs::write(folder.join(name), text).with_context(|| format!("write {name}"))?;
    }
    Ok(())
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = STANDARD.encode(der);
    let mut lines = String::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        lines.push_str(line);
        lines.push('\n');
        rest = tail;
    }
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}

impl Component {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Apiserver => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
        }
    }

    /// Whom the API server takes it for.
    pub(super) fn user(self) -> &'static str {
        match self {
            Self::ControllerManager => "system:kube-controller-manager",
            Self::Scheduler => "system:kube-scheduler",
            Self::Etcd | Self::Apiserver => "",
        }
    }

    pub(super) fn program(self, binaries: &Binaries) -> &Path {
        match self {
            Self::Etcd => &binaries.etcd,
            Self::Apiserver => &binaries.apiserver,
            Self::ControllerManager => &binaries.controller_manager,
            Self::Scheduler => &binaries.scheduler,
        }
    }

    pub(super) fn arguments(self, folder: &Path, server: &str) -> Vec<String> {
        let port = server.rsplit(':').next().unwrap_or_default();
        let file = |name: &str| folder.join(name).display().to_string();
        let own = file(&kubeconfig_name(&self.user().replace(':', "_")));
        let socket = format!("unix://{ETCD_SOCKET}");
        let flags: Vec<(&str, String)> = match self {
            Self::Etcd => vec![
                ("data-dir", file("etcd")),
                ("listen-client-urls", socket.clone()),
                ("advertise-client-urls", socket),
                ("listen-peer-urls", "unix://peer:0".into()),
                ("initial-advertise-peer-urls", "unix://peer:0".into()),
                ("initial-cluster", "default=unix://peer:0".into()),
                ("log-level", "warn".into()),
                ("unsafe-no-fsync", "true".into()),
            ],
            Self::Apiserver => vec![
                ("etcd-servers", socket),
                ("bind-address", "127.0.0.1".into()),
                ("advertise-address", "127.0.0.1".into()),
                ("secure-port", port.into()),
                ("tls-cert-file", file("apiserver.crt")),
                ("tls-private-key-file", file("apiserver.key")),
                ("client-ca-file", file("ca.crt")),
                ("service-account-issuer", "https://kubernetes.default.svc".into()),
                ("service-account-signing-key-file", file("sa.key")),
                ("service-account-key-file", file("sa.pub")),
                ("service-cluster-ip-range", "10.96.0.0/16".into()),
                ("authorization-mode", "Node,RBAC".into()),
                ("enable-admission-plugins", "NodeRestriction".into()),
                // a loopback address cannot be an endpoint of the Service `kubernetes`
                ("endpoint-reconciler-type", "none".into()),
                ("allow-privileged", "true".into()),
                ("profiling", "false".into()),
                ("audit-policy-file", file("audit.json")),
                ("audit-log-path", file("audit.log")),
            ],
            Self::ControllerManager => vec![
                ("kubeconfig", own),
                ("leader-elect", "false".into()),
                ("secure-port", "0".into()),
                ("root-ca-file", file("ca.crt")),
                ("service-account-private-key-file", file("sa.key")),
                ("use-service-account-credentials", "true".into()),
                // with the defaults its start takes four seconds longer
                ("kube-api-qps", "500".into()),
                ("kube-api-burst", "1000".into()),
                ("cluster-signing-cert-file", file("ca.crt")),
                ("cluster-signing-key-file", file("ca.key")),
            ],
            Self::Scheduler => vec![
                ("kubeconfig", own),
                ("leader-elect", "false".into()),
                ("secure-port", "0".into()),
            ],
        };
        flags
            .into_iter()
            .map(|(name, value)| format!("--{name}={value}"))
            .collect()
    }
}
