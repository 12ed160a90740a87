//! The control plane's certificate authority, its leaves and the kubeconfigs made from them.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use serde_json::json;

/// Context, cluster and user name in every kubeconfig made here.
pub const CONTEXT: &str = "mlplat-test";

/// A certificate and its key, PEM.
#[derive(Clone)]
pub(super) struct Leaf {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaf").finish_non_exhaustive()
    }
}

/// Signs servers and users of one control plane.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    pub(super) fn new() -> Result<Self> {
        let mut params = params("mlplat-test-ca", &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { issuer })
    }

    pub(super) fn certificate(&self) -> String {
        self.issuer.pem()
    }

    pub(super) fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A leaf for the API server, good for `host` and the names it has inside a cluster.
    pub(super) fn server(&self, host: Ipv4Addr, first_service: Ipv4Addr) -> Result<Leaf> {
        let mut params = params("kube-apiserver", &[])?;
        for name in [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
        ] {
            params.subject_alt_names.push(SanType::DnsName(name.try_into()?));
        }
        params
            .subject_alt_names
            .push(SanType::DnsName("kubernetes.default.svc.cluster.local".try_into()?));
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(host)));
        params
            .subject_alt_names
            .push(SanType::IpAddress(IpAddr::V4(first_service)));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params)
    }

    /// A leaf that makes its holder the user `name` of `groups`, at most two.
    pub(super) fn user(&self, name: &str, groups: &[&str]) -> Result<Leaf> {
        let mut params = params(name, groups)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Result<Leaf> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn params(name: &str, groups: &[&str]) -> Result<CertificateParams> {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    match groups {
        [] => {}
        [one] => subject.push(DnType::OrganizationName, *one),
        [one, two] => {
            subject.push(DnType::OrganizationName, *one);
            // rcgen holds one value a type; the same type by its number is another one to it
            subject.push(DnType::CustomDnType(vec![2, 5, 4, 10]), *two);
        }
        more => bail!("user {name}: at most two groups, not {}", more.len()),
    }
    let mut params = CertificateParams::new(Vec::<String>::new()).context("certificate parameters")?;
    params.distinguished_name = subject;
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params.key_usages.push(KeyUsagePurpose::DigitalSignature);
    Ok(params)
}

/// A kubeconfig with one context, [`CONTEXT`]. JSON, which every reader of YAML understands.
pub(super) fn kubeconfig(server: &str, authority: Option<&str>, leaf: Option<&Leaf>) -> String {
    let mut cluster = json!({ "server": server });
    if let Some(authority) = authority {
        cluster["certificate-authority-data"] = json!(BASE64.encode(authority));
    }
    let user = leaf.map_or_else(
        || json!({}),
        |leaf| {
            json!({
                "client-certificate-data": BASE64.encode(&leaf.certificate),
                "client-key-data": BASE64.encode(&leaf.key),
            })
        },
    );
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": CONTEXT, "cluster": cluster }],
        "users": [{ "name": CONTEXT, "user": user }],
        "contexts": [{ "name": CONTEXT, "context": { "cluster": CONTEXT, "user": CONTEXT } }],
        "current-context": CONTEXT,
    });
    format!("{config:#}\n")
}
