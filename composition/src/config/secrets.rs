//! Finds secrets that do not belong in a config file, and keeps them out of every message.

use super::problem::{Found, Rule};
use super::yaml::{Entry, Node, Value};

pub(super) const WHERE_SECRETS_BELONG: &str = "generated secrets need no key; give your own through a SecretSource and name it: \
     security.secrets: [{ name: NAME, supplied: NAME, revision: 1 }]";

/// Reports and removes every entry that is named like a secret or looks like one.
pub(super) fn remove(node: &mut Node, path: &str, found: &mut Vec<Found>) {
    match &mut node.value {
        Value::Map(entries) => entries.retain_mut(|entry| keep(entry, path, found)),
        Value::List(items) => {
            let mut index = 0;
            items.retain_mut(|item| {
                let path = format!("{path}[{index}]");
                index += 1;
                if report_value(item, &path, found) {
                    return false;
                }
                remove(item, &path, found);
                true
            });
        }
        Value::Null { .. } | Value::Scalar { .. } => {}
    }
}

fn keep(entry: &mut Entry, path: &str, found: &mut Vec<Found>) -> bool {
    let path = super::block::join(path, &entry.key);
    if named_like_a_secret(&entry.key) {
        let message = "secrets never belong in a config file";
        found.push(Found::new(Rule::SecretKey, entry.at, path, message).help(WHERE_SECRETS_BELONG));
        return false;
    }
    if looks_like_a_secret(&entry.key) {
        let message = "a key that looks like a secret";
        found.push(Found::new(Rule::SecretValue, entry.at, "", message).help(WHERE_SECRETS_BELONG));
        return false;
    }
    if report_value(&entry.value, &path, found) {
        return false;
    }
    remove(&mut entry.value, &path, found);
    true
}

fn report_value(node: &Node, path: &str, found: &mut Vec<Found>) -> bool {
    let secret = matches!(&node.value, Value::Scalar { text, .. } if looks_like_a_secret(text));
    if secret {
        let message = "the value looks like a secret, which never belongs in a config file";
        found.push(Found::new(Rule::SecretValue, node.at, path, message).help(WHERE_SECRETS_BELONG));
    }
    secret
}

/// Whether a key is named like a secret value: `password`, `api_key`, `db_token`.
pub(super) fn named_like_a_secret(key: &str) -> bool {
    const NAMES: [&str; 25] = [
        "password",
        "passwd",
        "passphrase",
        "pass",
        "pwd",
        "secret",
        "token",
        "api_key",
        "apikey",
        "access_key",
        "access_key_id",
        "accesskey",
        "secret_key",
        "secretkey",
        "secret_access_key",
        "private_key",
        "privatekey",
        "credential",
        "credentials",
        "client_secret",
        "connection_string",
        "dsn",
        "database_url",
        "bearer",
        "auth",
    ];
    let key: String = key.to_ascii_lowercase().replace(['-', ' '], "_");
    NAMES
        .iter()
        .any(|name| key == *name || (name.len() > 4 && key.ends_with(&format!("_{name}"))))
}

/// Whether a key is a misspelt `password`.
pub(super) fn almost_password(key: &str) -> bool {
    super::suggest::distance(&key.to_ascii_lowercase(), "password") <= 2
}

/// Whether a text is a private key, an access key or token of a well-known form, or a URL with a password.
pub(super) fn looks_like_a_secret(text: &str) -> bool {
    text.contains("PRIVATE KEY-----")
        || text.contains("-----BEGIN ")
        || url_with_password(text)
        || text
            .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')))
            .any(token)
}

fn token(word: &str) -> bool {
    const PREFIXES: [&str; 10] = [
        "ghp_",
        "gho_",
        "ghs_",
        "github_pat_",
        "glpat-",
        "xoxb-",
        "xoxp-",
        "sk-",
        "hvs.",
        "AIza",
    ];
    let upper = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit();
    let aws = word.len() == 20 && (word.starts_with("AKIA") || word.starts_with("ASIA")) && word.bytes().all(upper);
    let jwt = word.starts_with("eyJ") && word.matches('.').count() == 2 && word.len() > 40;
    let prefixed = word.len() >= 20
        && word.bytes().any(|b| b.is_ascii_digit())
        && PREFIXES.iter().any(|prefix| word.starts_with(prefix));
    aws || jwt || prefixed
}

fn url_with_password(text: &str) -> bool {
    text.split_once("://")
        .and_then(|(_, rest)| rest.split('/').next()?.split_once('@'))
        .is_some_and(|(user, _)| user.split_once(':').is_some_and(|(_, password)| !password.is_empty()))
}

/// The line with what looks like a secret, or stands behind a key named like one, replaced by `***`.
pub(super) fn masked(line: &str) -> String {
    // The inside of a key, of which no other line is at hand.
    let word = line.trim();
    if word.len() >= 40
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'"'))
    {
        return " ***".to_owned();
    }
    let mut out = String::new();
    let mut rest = line;
    // A value reaches from a colon or equals sign to the next comma, closing brace or the end.
    while let Some(mark) = rest.find([':', '=']) {
        let (before, after) = rest.split_at(mark);
        let key = before
            .rsplit([' ', '{', ',', '[', '"', '\'', '.'])
            .find(|word| !word.is_empty())
            .unwrap_or_default();
        let (mark, after) = after.split_at(1);
        out.push_str(before);
        out.push_str(mark);
        rest = after;
        if named_like_a_secret(key) || almost_password(key) {
            let end = rest.find([',', '}']).unwrap_or(rest.len());
            if !rest.get(..end).unwrap_or_default().trim().is_empty() {
                out.push_str(" ***");
            }
            rest = rest.get(end..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    if !looks_like_a_secret(&out) {
        return out;
    }
    // Whole words, so that the columns before the secret still fit.
    let keep = out
        .find([':', '='])
        .filter(|_| !out.trim_start().starts_with("-----"))
        .map_or(0, |i| i + 1);
    let keep = if looks_like_a_secret(out.get(..keep).unwrap_or_default()) {
        0
    } else {
        keep
    };
    format!("{} ***", out.get(..keep).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_never_reach_a_source_line() {
        for (line, shown) in [
            ("  password: hunter2", "  password: ***"),
            (
                "  { user: a, password: hunter2, x: 1 }",
                "  { user: a, password: ***, x: 1 }",
            ),
            ("  db_password: \"hunter2\"", "  db_password: ***"),
            ("  pasword: hunter2", "  pasword: ***"),
            ("database.password=hunter2", "database.password= ***"),
            ("  owner: AKIAIOSFODNN7EXAMPLE", "  owner: ***"),
            ("  url: postgres://me:hunter2@db/x", "  url: ***"),
            ("  - ghp_0123456789abcdefghij0123", " ***"),
            ("-----BEGIN RSA PRIVATE KEY-----", " ***"),
            ("  MHcCAQEEIJf0TestOnlyNotAKeyAtAll00000000000000+/=", " ***"),
            ("  password_length: 24", "  password_length: 24"),
            ("  url: https://example.com/a@b", "  url: https://example.com/a@b"),
        ] {
            assert_eq!(masked(line), shown);
        }
    }
}
