//! Recipes become values here, inside the write of a Secret and nowhere else.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platform_core::value::{AUTHORITY_DAYS, NextCertificates, Recipe, ResourceId, SecretSource, SecretText};
use platform_core::{Error, ErrorKind, Result};
use rand::Rng;
use rand::distr::Alphanumeric;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

/// The key under which a recipe stands that yields several keys.
pub(crate) const SEVERAL: &str = "*";
/// The key of an authority that is trusted and does not sign yet.
pub(crate) const NEXT_KEY: &str = "next.key";
/// Clocks of clients may be behind ours by this much.
const SKEW: Duration = Duration::hours(1);

/// Rendered values by key, wiped when dropped.
pub(crate) struct Rendered(Values);

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.keys().map(|key| (key, "***"))).finish()
    }
}

impl Rendered {
    /// The `data` of a Secret: base64 by key. The caller wipes the body that it puts it into.
    pub(crate) fn encoded(&self) -> BTreeMap<&str, Zeroizing<String>> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), Zeroizing::new(STANDARD.encode(value))))
            .collect()
    }

    /// Whether there is such a key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// One value, which only tests may look at.
    #[cfg(test)]
    fn text(&self, key: &str) -> &str {
        std::str::from_utf8(&self.0[key]).unwrap()
    }
}

/// Reads a key of another Secret of the same cluster, for [`Recipe::Copy`] and for signing.
#[async_trait]
pub(crate) trait Lookup: Send + Sync {
    /// The value.
    async fn key(&self, object: &ResourceId, key: &str) -> Result<SecretText>;
}

/// One value, wiped when dropped.
type Bytes = Zeroizing<Vec<u8>>;

/// Values by key, wiped when dropped.
pub(crate) type Values = BTreeMap<String, Bytes>;

/// Makes the values of one Secret beside those that are `kept`.
///
/// `now` is what certificates are valid from.
pub(crate) async fn render(
    recipes: &BTreeMap<String, Recipe>,
    kept: Values,
    lookup: &dyn Lookup,
    source: Option<&dyn SecretSource>,
    now: jiff::Timestamp,
) -> Result<Rendered> {
    let mut values = kept;
    // Derived values are made of the others, so they come last.
    let (derived, direct): (Vec<_>, Vec<_>) = recipes
        .iter()
        .partition(|(_, recipe)| matches!(recipe, Recipe::Derive { .. }));
    for (key, recipe) in direct {
        match recipe {
            Recipe::CertificateAuthority { common_name, revision } => {
                let (certificate, key) = authority(common_name, *revision, now)?;
                values.insert("ca.crt".to_owned(), certificate);
                values.insert("ca.key".to_owned(), key);
            }
            Recipe::Tls { authority, dns, days } => {
                let authority = object(authority)?;
                let certificate = lookup.key(&authority, "ca.crt").await?;
                let private_key = lookup.key(&authority, "ca.key").await?;
                leaf(&certificate, &private_key, dns, *days, now, &mut values)?;
            }
            Recipe::Before {
                from,
                key: other,
                length,
                ..
            } => match lookup.key(&object(from)?, other).await {
                Ok(before) => {
                    values.insert(key.clone(), copied(&before));
                }
                Err(why) if why.kind() == ErrorKind::NotFound => {
                    values
                        .entry(key.clone())
                        .or_insert_with(|| random_text(length.unwrap_or(32)));
                }
                Err(why) => return Err(why),
            },
            one => {
                values.insert(key.clone(), single(one, lookup, source).await?);
            }
        }
    }
    for (key, recipe) in derived {
        if let Recipe::Derive { template } = recipe {
            let value = derive(template, &values)?;
            values.insert(key.clone(), value);
        }
    }
    Ok(Rendered(values))
}

async fn single(recipe: &Recipe, lookup: &dyn Lookup, source: Option<&dyn SecretSource>) -> Result<Zeroizing<Vec<u8>>> {
    match recipe {
        Recipe::Generate {
            promoted: Some(made), ..
        } => Ok(copied(&lookup.key(&object(&made.from)?, &made.key).await?)),
        Recipe::Generate { length, .. } => Ok(random_text(*length)),
        Recipe::GenerateBytes { bytes, prefix } => {
            let mut random = rand::rng();
            let raw = Zeroizing::new((0..*bytes).map(|_| random.random::<u8>()).collect::<Vec<u8>>());
            let encoded = Zeroizing::new(STANDARD.encode(&raw));
            Ok(Zeroizing::new([prefix.as_bytes(), encoded.as_bytes()].concat()))
        }
        Recipe::Literal { value } => Ok(Zeroizing::new(value.clone().into_bytes())),
        Recipe::Copy { from, key, .. } => Ok(copied(&lookup.key(&object(from)?, key).await?)),
        Recipe::Supplied(supplied) => {
            let source = source.ok_or_else(|| {
                Error::new(
                    ErrorKind::Invalid,
                    format!("nobody supplies the secret {:?}", supplied.supplied),
                )
                .with_help("give the provider a SecretSource")
            })?;
            Ok(copied(&source.get(&supplied.supplied).await?))
        }
        Recipe::Before { .. } | Recipe::Derive { .. } | Recipe::CertificateAuthority { .. } | Recipe::Tls { .. } => {
            Err(Error::new(ErrorKind::Internal, "a recipe of another shape"))
        }
    }
}

fn copied(text: &SecretText) -> Bytes {
    Zeroizing::new(text.expose().as_bytes().to_vec())
}

fn random_text(length: u32) -> Zeroizing<Vec<u8>> {
    let mut random = rand::rng();
    Zeroizing::new((0..length).map(|_| random.sample(Alphanumeric)).collect())
}

fn object(text: &str) -> Result<ResourceId> {
    Ok(text.parse::<ResourceId>()?)
}

/// Replaces `{key}` by a value and `{sha256:key}` by its hexadecimal digest. A brace before what cannot be a key
/// is a brace: templates may be JSON.
fn derive(template: &str, values: &BTreeMap<String, Zeroizing<Vec<u8>>>) -> Result<Zeroizing<Vec<u8>>> {
    let mut made = Zeroizing::new(Vec::with_capacity(template.len() + 128));
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        made.extend_from_slice(before.as_bytes());
        let of_key = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
        if after.bytes().find(|b| !of_key(*b)).is_some_and(|end| end != b'}') {
            made.push(b'{');
            rest = after;
            continue;
        }
        let (name, after) = after
            .split_once('}')
            .ok_or_else(|| unknown(template, "a brace that is not closed"))?;
        let (hashed, key) = name.strip_prefix("sha256:").map_or((false, name), |key| (true, key));
        let value = values
            .get(key)
            .ok_or_else(|| unknown(template, "a key that the object does not have"))?;
        if hashed {
            let digest = Zeroizing::new(format!("{:x}", Sha256::digest(value.as_slice())));
            made.extend_from_slice(digest.as_bytes());
        } else {
            made.extend_from_slice(value);
        }
        rest = after;
    }
    made.extend_from_slice(rest.as_bytes());
    Ok(made)
}

fn unknown(template: &str, what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("template {template:?} has {what}"))
}

/// A certificate and its key, as PEM. Authorities that are trusted side by side have different names.
fn authority(common_name: &str, number: u32, now: jiff::Timestamp) -> Result<(Bytes, Bytes)> {
    let key = KeyPair::generate().map_err(signing)?;
    // X.509 allows 64 characters.
    let common_name: String = common_name.chars().take(53).collect();
    let mut parameters = parameters(&format!("{common_name} {number}"), &[], now, i64::from(AUTHORITY_DAYS))?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = parameters.self_signed(&key).map_err(signing)?;
    Ok((
        Zeroizing::new(certificate.pem().into_bytes()),
        Zeroizing::new(key.serialize_pem().into_bytes()),
    ))
}

/// Goes one step on in the replacement of an authority, among its values. `number` is the new one's.
pub(crate) fn roll_over(
    step: NextCertificates,
    common_name: &str,
    number: u32,
    now: jiff::Timestamp,
    values: &mut Values,
) -> Result<()> {
    let lacks = |key: &str| Error::new(ErrorKind::Invalid, format!("the authority has lost its {key}"));
    let trusted = values.get("ca.crt").ok_or_else(|| lacks("ca.crt"))?;
    let mut trusted = certificates(trusted).into_iter();
    let first = trusted.next().ok_or_else(|| lacks("certificate"))?;
    let bundle = match step {
        NextCertificates::Trust => {
            let (second, key) = authority(common_name, number, now)?;
            values.insert(NEXT_KEY.to_owned(), key);
            [first.as_slice(), second.as_slice()].concat()
        }
        NextCertificates::Sign => {
            let second = trusted.next().ok_or_else(|| lacks("second certificate"))?;
            let key = values.remove(NEXT_KEY).ok_or_else(|| lacks(NEXT_KEY))?;
            values.insert("ca.key".to_owned(), key);
            [second.as_slice(), first.as_slice()].concat()
        }
        NextCertificates::Drop => first,
        NextCertificates::Leaf => return Ok(()),
    };
    values.insert("ca.crt".to_owned(), Zeroizing::new(bundle));
    Ok(())
}

/// The certificates of a PEM text, one by one.
fn certificates(pem: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(pem);
    let end = "-----END CERTIFICATE-----";
    text.split_inclusive(end)
        .filter(|one| one.ends_with(end))
        .map(|one| format!("{}\n", one.trim_start()).into_bytes())
        .collect()
}

fn leaf(
    authority: &SecretText,
    authority_key: &SecretText,
    dns: &[String],
    days: u32,
    now: jiff::Timestamp,
    values: &mut BTreeMap<String, Zeroizing<Vec<u8>>>,
) -> Result<()> {
    let signer = KeyPair::from_pem(authority_key.expose()).map_err(signing)?;
    // The first of those that are trusted.
    let issuer = Issuer::from_ca_cert_pem(authority.expose(), signer).map_err(signing)?;
    let common_name = dns
        .first()
        .ok_or_else(|| Error::new(ErrorKind::Internal, "a certificate without a name"))?;
    let mut parameters = parameters(common_name, dns, now, i64::from(days))?;
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.use_authority_key_identifier_extension = true;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().map_err(signing)?;
    let certificate = parameters.signed_by(&key, &issuer).map_err(signing)?;
    values.insert("tls.crt".to_owned(), Zeroizing::new(certificate.pem().into_bytes()));
    values.insert("tls.key".to_owned(), Zeroizing::new(key.serialize_pem().into_bytes()));
    values.insert(
        "ca.crt".to_owned(),
        Zeroizing::new(authority.expose().as_bytes().to_vec()),
    );
    Ok(())
}

fn parameters(common_name: &str, dns: &[String], now: jiff::Timestamp, days: i64) -> Result<CertificateParams> {
    let mut parameters = CertificateParams::new(dns.to_vec()).map_err(signing)?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    parameters.distinguished_name = name;
    let now = OffsetDateTime::from_unix_timestamp(now.as_second())
        .map_err(|cause| Error::new(ErrorKind::Internal, "the clock is out of range").with_source(cause))?;
    parameters.not_before = now - SKEW;
    parameters.not_after = now + Duration::days(days);
    Ok(parameters)
}

/// rcgen's errors name what is wrong with a key, never the key.
fn signing(cause: rcgen::Error) -> Error {
    Error::new(ErrorKind::Internal, "certificate")
        .with_operation("sign")
        .with_source(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers from a rendered authority.
    struct Shelf(Rendered);

    #[async_trait]
    impl Lookup for Shelf {
        async fn key(&self, _object: &ResourceId, key: &str) -> Result<SecretText> {
            Ok(SecretText::new(self.0.text(key).to_owned()))
        }
    }

    #[derive(Debug)]
    struct Vault;

    #[async_trait]
    impl SecretSource for Vault {
        async fn get(&self, name: &str) -> Result<SecretText> {
            Ok(SecretText::new(format!("value of {name}")))
        }
    }

    fn recipes<const N: usize>(list: [(&str, Recipe); N]) -> BTreeMap<String, Recipe> {
        list.into_iter().map(|(key, recipe)| (key.to_owned(), recipe)).collect()
    }

    fn rendered(recipes: &BTreeMap<String, Recipe>, shelf: &Shelf) -> Rendered {
        let now = "2026-11-24T00:00:00Z".parse().unwrap();
        futures::executor::block_on(render(recipes, Values::new(), shelf, Some(&Vault), now)).unwrap()
    }

    #[test]
    fn values_are_made_as_the_recipes_say() {
        let empty = || Shelf(Rendered(BTreeMap::new()));
        let secret = rendered(
            &recipes([
                ("password", Recipe::generate(24)),
                (
                    "user",
                    Recipe::Literal {
                        value: "app".to_owned(),
                    },
                ),
                (
                    "acl",
                    Recipe::Derive {
                        template: "user {user} #{sha256:password} >{password}".to_owned(),
                    },
                ),
                (
                    "key",
                    Recipe::GenerateBytes {
                        bytes: 32,
                        prefix: "k1:".to_owned(),
                    },
                ),
                (
                    "given",
                    Recipe::Supplied(platform_core::value::Supplied {
                        supplied: "smtp".to_owned(),
                        revision: 1,
                    }),
                ),
            ]),
            &empty(),
        );
        let password = secret.text("password");
        assert!(password.len() == 24 && password.chars().all(|c| c.is_ascii_alphanumeric()));
        let hash = format!("{:x}", Sha256::digest(password.as_bytes()));
        assert_eq!(secret.text("acl"), format!("user app #{hash} >{password}"));
        assert_eq!(
            STANDARD
                .decode(secret.text("key").strip_prefix("k1:").unwrap())
                .unwrap()
                .len(),
            32
        );
        assert_eq!(secret.text("given"), "value of smtp");
        assert!(!format!("{secret:?}").contains(password));
        let again = rendered(&recipes([("password", Recipe::generate(24))]), &empty());
        assert_ne!(again.text("password"), password);
    }

    #[test]
    fn leaves_are_signed_by_the_authority_that_they_carry() {
        let name = Recipe::CertificateAuthority {
            common_name: "test authority".to_owned(),
            revision: 1,
        };
        let empty = Shelf(Rendered(BTreeMap::new()));
        let authority = rendered(&recipes([(SEVERAL, name)]), &empty);
        let root = authority.text("ca.crt").to_owned();
        let leaf = Recipe::Tls {
            authority: "k8s/main:Secret/security/certificate-authority".to_owned(),
            dns: vec!["postgres".to_owned(), "postgres.database.svc".to_owned()],
            days: 365,
        };
        let server = rendered(&recipes([(SEVERAL, leaf)]), &Shelf(authority));
        assert_eq!(server.text("ca.crt"), root);
        assert!(KeyPair::from_pem(server.text("tls.key")).is_ok());
        assert!(server.text("tls.crt").starts_with("-----BEGIN CERTIFICATE-----"));
    }

    /// Through all three steps a leaf is signed by the first that is trusted, and what any step signs is trusted by the
    /// step before and the one after.
    #[test]
    fn an_authority_is_replaced_without_a_gap_in_trust() {
        use x509_parser::pem::Pem;
        let now: jiff::Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        let recipe = Recipe::CertificateAuthority {
            common_name: "test authority".to_owned(),
            revision: 1,
        };
        let empty = Shelf(Rendered(BTreeMap::new()));
        let mut values = rendered(&recipes([(SEVERAL, recipe)]), &empty).0;
        let trusts = |bundle: &[u8], leaf: &[u8]| {
            let leaf = Pem::iter_from_buffer(leaf).next().unwrap().unwrap();
            let leaf = leaf.parse_x509().unwrap();
            Pem::iter_from_buffer(bundle).any(|authority| {
                let authority = authority.unwrap();
                let authority = authority.parse_x509().unwrap();
                leaf.issuer() == authority.subject() && leaf.verify_signature(Some(authority.public_key())).is_ok()
            })
        };
        let sign = |values: &Values| {
            let secret = |key: &str| SecretText::new(String::from_utf8(values[key].to_vec()).unwrap());
            let mut made = Values::new();
            leaf(
                &secret("ca.crt"),
                &secret("ca.key"),
                &["db".to_owned()],
                365,
                now,
                &mut made,
            )
            .unwrap();
            made
        };
        let mut before = values["ca.crt"].to_vec();
        let mut served = sign(&values);
        assert!(trusts(&before, &served["tls.crt"]));
        let mut names = Vec::new();
        for step in [NextCertificates::Trust, NextCertificates::Sign, NextCertificates::Drop] {
            roll_over(step, "test authority", 2, now, &mut values).unwrap();
            let after = values["ca.crt"].to_vec();
            assert!(
                trusts(&after, &served["tls.crt"]),
                "{step:?}: what is served is not trusted"
            );
            let signed = sign(&values);
            assert!(
                trusts(&before, &signed["tls.crt"]),
                "{step:?}: what is signed is not trusted yet"
            );
            let subjects: Vec<String> = Pem::iter_from_buffer(&after)
                .map(|one| one.unwrap().parse_x509().unwrap().subject().to_string())
                .collect();
            names.push(subjects.join(", "));
            assert_eq!(values.contains_key(NEXT_KEY), step == NextCertificates::Trust);
            (before, served) = (after, signed);
        }
        assert_eq!(
            names,
            [
                "CN=test authority 1, CN=test authority 2",
                "CN=test authority 2, CN=test authority 1",
                "CN=test authority 2"
            ]
        );
        assert!(roll_over(NextCertificates::Sign, "test authority", 2, now, &mut values).is_err());
    }

    #[test]
    fn a_template_may_be_json() {
        let values = BTreeMap::from([("pass-word".to_owned(), Zeroizing::new(b"x".to_vec()))]);
        let text = |template| derive(template, &values).map(|text| String::from_utf8(text.to_vec()).unwrap());
        assert_eq!(
            text(r#"{"rediss://u@h:1":"{pass-word}"}"#).unwrap(),
            r#"{"rediss://u@h:1":"x"}"#
        );
        assert_eq!(text("{ {pass-word}").unwrap(), "{ x");
        assert!(text("{password}").is_err() && text("{pass-word").is_err());
    }
}
