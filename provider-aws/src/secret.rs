//! Secret values, from recipe to request: made inside a write, wiped after it.

use crate::error::Outcome;
use crate::provider::Scope;
use base64::Engine as _;
use platform_core::value::{Digest, Recipe, ResourceId, SecretText};
use platform_core::{Error, ErrorKind, Result};
use rand::distr::{Alphanumeric, SampleString};
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// Values by key. Never printed.
#[derive(Default)]
pub(crate) struct Values(BTreeMap<String, Zeroizing<String>>);

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Values {
    /// The current values of a secret.
    #[allow(clippy::disallowed_methods)] // the home of this call
    pub(crate) async fn read(scope: &Scope<'_>, id: &str) -> Result<Self> {
        let answer = scope
            .clients
            .secrets
            .get_secret_value()
            .secret_id(id)
            .send()
            .await
            .during("secretsmanager:GetSecretValue")?;
        let text = Zeroizing::new(answer.secret_string.unwrap_or_default());
        // serde's message would quote the value.
        let values: BTreeMap<String, String> = serde_json::from_str(&text).map_err(|_| {
            Error::new(
                ErrorKind::Unsupported,
                "the secret's value is not a JSON object of texts",
            )
            .with_context("secret", id)
            .with_help("only such secrets can be taken over or copied from")
        })?;
        Ok(Self(
            values
                .into_iter()
                .map(|(key, value)| (key, Zeroizing::new(value)))
                .collect(),
        ))
    }

    /// What `SecretString` holds.
    pub(crate) fn to_json(&self) -> Result<String> {
        let plain: BTreeMap<&str, &str> = self
            .0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        serde_json::to_string(&plain).map_err(|_| Error::new(ErrorKind::Internal, "the values are not JSON"))
    }
}

/// Refuses recipes that cannot be rendered here, before any call.
pub(crate) fn check(recipes: &BTreeMap<String, Recipe>) -> Result<()> {
    for (key, recipe) in recipes {
        let problem = match recipe {
            Recipe::CertificateAuthority { .. } | Recipe::Tls { .. } => {
                Some("certificates do not lie in Secrets Manager")
            }
            Recipe::Before { .. } => Some("what was there before is not kept in Secrets Manager"),
            Recipe::Generate { length, .. } if !(8..=4096).contains(length) => Some("length is 8 to 4096"),
            Recipe::GenerateBytes { bytes, .. } if !(8..=4096).contains(bytes) => Some("bytes are 8 to 4096"),
            _ => None,
        };
        if let Some(problem) = problem {
            return Err(Error::new(ErrorKind::Invalid, format!("recipe of {key:?}: {problem}"))
                .with_help("choose another recipe"));
        }
    }
    derive(
        recipes,
        Values(recipes.keys().map(|key| (key.clone(), Zeroizing::default())).collect()),
    )
    .map(drop)
}

/// Values of all recipes. What was generated before stays, unless its recipe says a later revision; what did not change
/// stays too.
pub(crate) async fn render(
    scope: &Scope<'_>,
    recipes: &BTreeMap<String, Recipe>,
    before: &BTreeMap<String, Recipe>,
    mut kept: Values,
) -> Result<Values> {
    let mut values = Values::default();
    for (key, recipe) in recipes {
        let was = before.get(key);
        let stays = was == Some(recipe) || (recipe.is_made_once() && !recipe.replaces(was));
        let value = match kept.0.remove(key) {
            Some(value) if stays => value,
            _ => match recipe {
                Recipe::Generate {
                    promoted: Some(made), ..
                } => copy(scope, &made.from, &made.key).await?,
                Recipe::Generate { length, .. } => {
                    Zeroizing::new(Alphanumeric.sample_string(&mut rand::rng(), *length as usize))
                }
                Recipe::GenerateBytes { bytes, prefix } => {
                    let mut raw = Zeroizing::new(vec![0; *bytes as usize]);
                    rand::RngCore::fill_bytes(&mut rand::rng(), &mut raw);
                    let text = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(&*raw));
                    Zeroizing::new(format!("{prefix}{}", *text))
                }
                Recipe::Literal { value } => Zeroizing::new(value.clone()),
                Recipe::Copy { from, key, .. } => copy(scope, from, key).await?,
                Recipe::Supplied(of) => Zeroizing::new(supplied(scope, &of.supplied).await?.expose().to_owned()),
                // Below, when all others are there.
                _ => continue,
            },
        };
        values.0.insert(key.clone(), value);
    }
    derive(recipes, values)
}

/// The value of a supplied secret.
pub(crate) async fn supplied(scope: &Scope<'_>, name: &str) -> Result<SecretText> {
    let source = scope.secrets.ok_or_else(|| {
        Error::new(ErrorKind::Invalid, format!("nothing supplies the secret {name:?}"))
            .with_help("give the provider a SecretSource")
    })?;
    source.get(name).await
}

async fn copy(scope: &Scope<'_>, from: &str, key: &str) -> Result<Zeroizing<String>> {
    let id: ResourceId = from.parse()?;
    if id.kind().as_str() != "secretsmanager.Secret" || id.place() != scope.place {
        return Err(
            Error::new(ErrorKind::Invalid, format!("{from} is no secret of {}", scope.place))
                .with_help("copy from a secretsmanager.Secret of the same account and region"),
        );
    }
    let mut values = Values::read(scope, id.name().as_str()).await?;
    values
        .0
        .remove(key)
        .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{from} has no key {key:?}")))
}

/// Fills in what is derived, until nothing is missing.
fn derive(recipes: &BTreeMap<String, Recipe>, mut values: Values) -> Result<Values> {
    let mut open: BTreeMap<&String, &String> = BTreeMap::new();
    for (key, recipe) in recipes {
        if let Recipe::Derive { template } = recipe {
            values.0.remove(key);
            open.insert(key, template);
        }
    }
    while !open.is_empty() {
        let ready: Vec<(String, Zeroizing<String>)> = open
            .iter()
            .filter_map(|(key, template)| Some(((*key).clone(), fill(template, &values)?)))
            .collect();
        if ready.is_empty() {
            let keys: Vec<&str> = open.keys().map(|key| key.as_str()).collect();
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("{} name keys that do not exist, or each other", keys.join(", ")),
            )
            .with_help("`{key}` and `{sha256:key}` name other keys of the same secret"));
        }
        for (key, value) in ready {
            open.remove(&key);
            values.0.insert(key, value);
        }
    }
    Ok(values)
}

/// The template with its placeholders replaced; `None` while one is not known.
fn fill(template: &str, values: &Values) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let end = start + rest[start..].find('}')?;
        text.push_str(&rest[..start]);
        let name = &rest[start + 1..end];
        match name.strip_prefix("sha256:") {
            Some(name) => text.push_str(Digest::of_text(values.0.get(name)?).as_str()),
            None => text.push_str(values.0.get(name)?),
        }
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::{Values, check, derive};
    use platform_core::value::Recipe;
    use std::collections::BTreeMap;
    use zeroize::Zeroizing;

    fn recipes(templates: &[(&str, &str)]) -> BTreeMap<String, Recipe> {
        let mut all: BTreeMap<String, Recipe> = templates
            .iter()
            .map(|(key, template)| {
                (
                    (*key).to_owned(),
                    Recipe::Derive {
                        template: (*template).to_owned(),
                    },
                )
            })
            .collect();
        all.insert("password".to_owned(), Recipe::generate(24));
        all
    }

    #[test]
    fn derived_values_follow_each_other_and_never_loop() {
        let values = Values(BTreeMap::from([(
            "password".to_owned(),
            Zeroizing::new("pw".to_owned()),
        )]));
        let made = derive(
            &recipes(&[
                ("dsn", "pg://u:{password}@h"),
                ("copy", "<{dsn}>"),
                ("hash", "{sha256:password}"),
            ]),
            values,
        )
        .unwrap();
        assert_eq!(made.0["copy"].as_str(), "<pg://u:pw@h>");
        assert_eq!(made.0["hash"].len(), 64);
        assert!(!format!("{made:?}").contains("pw@"));
        for bad in [("a", "{b}"), ("a", "{a}"), ("a", "{password")] {
            assert!(check(&recipes(&[bad])).is_err(), "{bad:?}");
        }
    }
}
