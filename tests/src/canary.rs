//! Looks for secret values, in every form they are written in, in what people, files and logs get to see.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeSet, HashMap};
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};

/// A shorter text is found by chance.
const SHORTEST: usize = 8;

/// Values that must not show.
#[derive(Debug, Default)]
pub struct Canary {
    values: BTreeSet<(String, Vec<u8>)>,
    /// by their first bytes, so that a text is gone through once
    needles: HashMap<[u8; SHORTEST], Vec<Needle>>,
}

#[derive(Debug)]
struct Needle {
    text: Vec<u8>,
    of: String,
}

impl Canary {
    /// Looks for this value from now on: as it is, escaped, as a list of bytes, in base64 alone or inside something
    /// longer, as its SHA-256, and for each line of a PEM.
    ///
    /// # Panics
    /// For a value of less than 8 bytes, which would be found by chance.
    pub fn watch(&mut self, name: &str, value: &[u8]) {
        assert!(value.len() >= SHORTEST, "{name} is too short to be looked for");
        if !self.values.insert((name.to_owned(), value.to_vec())) {
            return;
        }
        let text = String::from_utf8_lossy(value);
        self.add(format!("{name} as it is"), text.trim());
        let quoted = serde_json::Value::from(text.trim()).to_string();
        let escaped = quoted.trim_matches('"');
        if escaped != text.trim() {
            self.add(format!("{name} escaped"), escaped);
        }
        let bytes: Vec<String> = value.iter().map(u8::to_string).collect();
        self.add(format!("{name} as bytes"), &bytes.join(", "));
        self.add(format!("{name} as SHA-256"), &format!("{:x}", Sha256::digest(value)));
        for before in 0..3 {
            self.add(format!("{name} in base64"), &inside_base64(value, before));
        }
        for line in text.lines().filter(|_| text.starts_with("-----BEGIN")) {
            if !line.starts_with("-----") {
                self.add(format!("{name} as a line of its PEM"), line);
            }
        }
    }

    fn add(&mut self, of: String, text: &str) {
        // the last line of a PEM may be short
        let Some(first) = text.as_bytes().first_chunk() else {
            return;
        };
        let text = text.as_bytes().to_vec();
        self.needles.entry(*first).or_default().push(Needle { text, of });
    }

    /// How many values are looked for.
    pub fn values(&self) -> usize {
        self.values.len()
    }

    /// What shows in this text, and in which form.
    fn seen_in(&self, text: &[u8]) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        for at in 0..text.len() {
            let Some(needles) = text[at..].first_chunk().and_then(|first| self.needles.get(first)) else {
                continue;
            };
            let there = needles.iter().filter(|needle| text[at..].starts_with(&needle.text));
            seen.extend(there.map(|needle| needle.of.clone()));
        }
        seen
    }

    /// What shows where, in any of these texts.
    pub fn sightings(&self, shown: &Shown) -> Vec<String> {
        let texts = shown.0.iter();
        texts
            .flat_map(|(place, text)| {
                let seen = self.seen_in(text).into_iter();
                seen.map(move |what| format!("{what} shows in {place}"))
            })
            .collect()
    }

    /// Fails when a value shows in any of these texts.
    ///
    /// # Panics
    /// Then, naming the value, its form and the place, but not the value; and when there is no value to look for.
    pub fn assert_hidden(&self, shown: &Shown) {
        assert!(!self.values.is_empty(), "nothing secret was ever made");
        let seen = self.sightings(shown);
        assert!(seen.is_empty(), "{seen:#?}");
    }
}

/// The part of the base64 of something longer that this value alone decides, when it starts after `before` bytes.
fn inside_base64(value: &[u8], before: usize) -> String {
    let mut longer = vec![0; before];
    longer.extend(value);
    let encoded = STANDARD.encode(&longer);
    let first = (before * 8).div_ceil(6);
    let end = longer.len() * 8 / 6;
    encoded[first..end].to_owned()
}

/// What somebody gets to see, by where.
#[derive(Clone, Debug, Default)]
pub struct Shown(Vec<(String, Vec<u8>)>);

impl Shown {
    /// Adds a text.
    pub fn text(&mut self, place: &str, text: impl Into<Vec<u8>>) {
        self.0.push((place.to_owned(), text.into()));
    }

    /// Adds a value as it prints itself for developers, on one line and on many.
    pub fn debug(&mut self, place: &str, value: &dyn Debug) {
        self.text(place, format!("{value:?} {value:#?}"));
    }

    /// All of one place's texts.
    pub fn of(&self, place: &str) -> String {
        let texts = self.0.iter().filter(|(name, _)| name == place);
        texts.map(|(_, text)| String::from_utf8_lossy(text)).collect()
    }
}

/// Keeps every span and event of every level with its target and all its fields, as text.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<String>>);

impl Log {
    /// Everything so far.
    pub fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        writeln!(self.0, "{field}={value:?}").unwrap();
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut log = self.0.lock().unwrap();
        writeln!(log, "{} {}", span.metadata().target(), span.metadata().name()).unwrap();
        span.record(&mut Fields(&mut log));
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut self.0.lock().unwrap()));
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut log = self.0.lock().unwrap();
        writeln!(log, "{} {}", event.metadata().target(), event.metadata().level()).unwrap();
        event.record(&mut Fields(&mut log));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_in_every_form() {
        let password = "Zq8\"kR2vT5";
        let line = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg";
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{line}\n-----END PRIVATE KEY-----\n");
        let mut canary = Canary::default();
        canary.watch("password", password.as_bytes());
        canary.watch("key", pem.as_bytes());
        assert_eq!(canary.values(), 2);
        for (text, found) in [
            (format!("user:{password}@db"), "password as it is"),
            (format!("{{\"a\":{password:?}}}"), "password escaped"),
            (format!("{:?}", format!("x{password}").as_bytes()), "password as bytes"),
            (format!("{:x}", Sha256::digest(password)), "password as SHA-256"),
            (STANDARD.encode(password), "password in base64"),
            (STANDARD.encode(format!("a{password}b")), "password in base64"),
            (STANDARD.encode(format!("ab{password}")), "password in base64"),
            (STANDARD.encode(format!("abc{password}\n")), "password in base64"),
            (format!("... {line} ..."), "key as a line of its PEM"),
            (format!("{pem:?}"), "key escaped"),
            (STANDARD.encode(&pem), "key in base64"),
        ] {
            assert!(canary.seen_in(text.as_bytes()).contains(found), "{found}: {text}");
        }
        let other = format!("{} Zq8kR2vT5 -----BEGIN PRIVATE KEY-----", STANDARD.encode("Zq8kR2vT5"));
        assert_eq!(canary.seen_in(other.as_bytes()), BTreeSet::new());
    }

    #[test]
    #[should_panic(expected = "password as it is shows in the log")]
    fn what_shows_is_named() {
        let mut canary = Canary::default();
        canary.watch("password", b"Zq8kR2vT5");
        let mut shown = Shown::default();
        shown.text("the log", "with Zq8kR2vT5 in it");
        canary.assert_hidden(&shown);
    }
}
