//! The corpus of config files: every wrong one says what is wrong, where, and how to mend it; every right one keeps
//! its meaning. `UPDATE=1 cargo test --test config` rewrites the expected texts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use composition::config::{ConfigErrors, Layers, PlatformConfig, Rule, schema};
use serde_json::Value;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn corpus(kind: &str) -> Vec<PathBuf> {
    let folder = workspace().join("tests/corpus/config").join(kind);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    files
}

/// A file of the corpus: its bytes, and what its first comment lines say of it.
struct Case {
    name: String,
    path: PathBuf,
    bytes: Vec<u8>,
    header: Vec<(String, String)>,
}

impl Case {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let text = String::from_utf8_lossy(&bytes).replace(['\0', '\u{feff}', '\u{fffd}'], "");
        let header = text
            .lines()
            .map_while(|line| line.strip_prefix("# ")?.split_once(": "))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        Self {
            name,
            path: path.to_owned(),
            bytes,
            header,
        }
    }

    fn of(&self, key: &str) -> impl Iterator<Item = &str> {
        self.header
            .iter()
            .filter(move |(k, _)| k == key)
            .map(|(_, value)| value.as_str())
    }

    fn load(&self) -> Result<PlatformConfig, ConfigErrors> {
        let mut layers = PlatformConfig::layers();
        if let Ok(base) = fs::read(self.path.with_extension("base")) {
            layers = layers.base_text("base.yaml", base);
        }
        let mut bytes = self.bytes.clone();
        for size in self.of("pad") {
            bytes.resize(size.parse().unwrap(), b'\n');
        }
        layers = match self.of("file").next() {
            Some(file) => layers.file(self.path.with_file_name(file)),
            None => layers.text(self.name.as_str(), bytes),
        };
        self.of("set").fold(layers, Layers::set).load()
    }

    fn expect(&self, actual: &str, differences: &mut Vec<String>) {
        let path = self.path.with_extension("expected");
        // The corpus lies somewhere else on every machine.
        let folder = format!("{}/", self.path.parent().unwrap().display());
        let actual = actual.replace(&folder, "");
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if actual != expected {
            if std::env::var_os("UPDATE").is_some() {
                fs::write(&path, &actual).unwrap();
            } else {
                differences.push(format!("--- {} expected\n{expected}+++ actual\n{actual}", self.name));
            }
        }
    }
}

#[test]
fn every_wrong_config_says_what_to_write() {
    let (mut differences, mut by_rule, mut keys) = (Vec::new(), BTreeMap::<Rule, usize>::new(), BTreeSet::new());
    let mut lines = String::new();
    let cases: Vec<Case> = corpus("invalid").iter().map(|path| Case::read(path)).collect();
    for case in &cases {
        let errors = case.load().err().unwrap_or_else(|| panic!("{} is accepted", case.name));
        let named = case
            .of("rule")
            .next()
            .unwrap_or_else(|| panic!("{} names no rule", case.name));
        let first = errors.problems().iter().find(|p| p.rule().as_str() == named);
        let first = first.unwrap_or_else(|| panic!("{} does not break {named}:\n{errors}", case.name));
        *by_rule.entry(first.rule()).or_default() += 1;
        for problem in errors.problems() {
            assert!(
                problem.help().is_some_and(|h| !h.is_empty()),
                "{}: no fix in\n{errors}",
                case.name
            );
            keys.insert(general(problem.key()));
            lines.push_str(problem.source_line());
            lines.push('\n');
        }
        case.expect(&errors.to_string(), &mut differences);
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));

    let counted: usize = by_rule.values().map(|count| (*count).min(4)).sum();
    println!("{} files, {counted} counted, {} rules", cases.len(), by_rule.len());
    assert!(counted >= 80, "only {counted} files count, at most four of a rule");
    let unproved: Vec<_> = Rule::ALL.iter().filter(|rule| !by_rule.contains_key(rule)).collect();
    assert!(unproved.is_empty(), "no file breaks {unproved:?}");

    let mut all = BTreeSet::new();
    keys_of(&schema(), "", &mut all);
    let missing: Vec<_> = all
        .iter()
        .filter(|key| !keys.iter().any(|k| matches_key(key, k)))
        .collect();
    assert!(
        all.len() > 60 && missing.is_empty(),
        "of {} keys no file has {missing:?} wrong",
        all.len()
    );
    for unit in ["Mi", "Gi", "Ti", "Ki", "G", "GB", "d", "h", "w", "m", "%"] {
        let used = lines
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '%')
            .any(|word| {
                word.strip_suffix(unit)
                    .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
            });
        assert!(
            used || lines.contains(&format!(" {unit}")),
            "no file has a value in {unit}"
        );
    }
}

#[test]
fn every_right_config_keeps_its_meaning() {
    let mut differences = Vec::new();
    let cases: Vec<Case> = corpus("valid").iter().map(|path| Case::read(path)).collect();
    assert!(cases.len() >= 10);
    for case in &cases {
        let config = case.load().unwrap_or_else(|errors| panic!("{errors}"));
        case.expect(&config.explain(), &mut differences);
        // What is explained is a config again, and the same one.
        let again = PlatformConfig::layers()
            .base_text("again.yaml", config.explain())
            .load();
        assert_eq!(again.as_ref(), Ok(&config), "{}", case.name);
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn no_secret_of_the_corpus_is_repeated() {
    for path in corpus("invalid") {
        let case = Case::read(&path);
        let errors = case.load().unwrap_err();
        for shown in [errors.to_string(), format!("{errors:?}")] {
            for secret in [
                "hunter2",
                "AKIAIOSFODNN7EXAMPLE",
                "wJalrXUtn",
                "MHcCAQEE",
                "ghp_0123",
                "abc def",
            ] {
                assert!(!shown.contains(secret), "{} repeats a secret:\n{shown}", case.name);
            }
        }
    }
}

#[test]
fn every_image_of_the_catalogue_can_be_configured() {
    for image in provider_k8s::CATALOGUE {
        let block = match image.name {
            "postgres" => format!("database: {{ version: {:?} }}", image.major),
            "valkey" | "redis" => format!("cache: {{ engine: {}, version: {:?} }}", image.name, image.major),
            _ => "cache: {}".to_owned(),
        };
        let text = format!(
            "name: demo\nenvironment: local\nimages: {{ overrides: {{ {}: {}:{} }} }}\n{block}\n",
            image.name, image.repository, image.tag
        );
        PlatformConfig::parse(&text, "catalogue.yaml").unwrap_or_else(|errors| panic!("{errors}"));
    }
}

/// The only ones that are pulled by a tag alone, as no digest of theirs is confirmed: what the catalogue says.
#[test]
fn images_are_named_by_digest_where_one_is_confirmed() {
    let tagged: Vec<String> = provider_k8s::CATALOGUE
        .iter()
        .filter(|image| image.digest.is_none())
        .map(|image| format!("{} {}", image.name, image.major))
        .collect();
    assert_eq!(tagged, ["postgres 16", "valkey 8", "redis 7", "velero-plugin-for-aws "]);
    let digests = provider_k8s::CATALOGUE.iter().filter_map(|image| image.digest);
    let mut seen = BTreeSet::new();
    for digest in digests {
        let hexadecimal = digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        assert!(hexadecimal && seen.insert(digest), "{digest}");
    }
}

/// Cut off, overwritten, repeated: whatever arrives is answered with problems, never a panic or a long wait.
#[test]
fn damaged_files_are_refused_not_fatal() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(random >> 33).unwrap() % below.max(1)
    };
    let pieces: [&[u8]; 12] = [
        b"{", b"]", b": ", b"\n", b"- ", b"&a ", b"*a", b"\t", b"\"", b"null", b"|\n", b"\xff",
    ];
    let (mut refused, mut accepted) = (0, 0);
    for path in corpus("valid") {
        let bytes = Case::read(&path).bytes;
        for _ in 0..150 {
            let mut damaged = bytes.clone();
            for _ in 0..=next(3) {
                let (at, piece) = (next(damaged.len()), pieces[next(pieces.len())]);
                match next(3) {
                    0 => damaged.truncate(at.max(1)),
                    1 => drop(damaged.splice(at..at, piece.iter().copied())),
                    _ => damaged[at] = piece[0],
                }
            }
            match PlatformConfig::layers().text("damaged.yaml", damaged).load() {
                Ok(config) => drop((accepted += 1, config.explain())),
                Err(errors) => {
                    refused += 1;
                    assert!(!errors.problems().is_empty() && !errors.to_string().is_empty());
                }
            }
        }
    }
    println!("{refused} refused, {accepted} still right");
    assert!(refused >= 500 && accepted >= 50);

    let started = std::time::Instant::now();
    for hostile in [
        "[".repeat(1 << 20),
        "- ".repeat(1 << 19),
        "{a: ".repeat(1 << 18),
        "? ".repeat(1 << 19),
        "a: &a\n".repeat(1 << 17),
        (0..100_000).fold(String::new(), |text, n| text + "k" + &n.to_string() + ": 1\n"),
        format!(
            "name: demo\nenvironment: local\ncache: {{ {} }}\n",
            "x: 1, ".repeat(9_000)
        ),
        format!("a: {}", "x".repeat((1 << 20) - 10)),
    ] {
        let errors = PlatformConfig::parse(&hostile, "hostile.yaml").unwrap_err();
        assert!(!errors.problems().is_empty() && errors.problems().len() <= 200);
        assert!(errors.to_string().len() < 200_000);
    }
    let elapsed = started.elapsed();
    println!("hostile texts in {elapsed:?}");
    assert!(elapsed.as_secs() < 60, "hostile texts took {elapsed:?}");
}

#[test]
fn the_examples_load() {
    let folders = ["examples/config", "examples/config/cloud"].map(|folder| workspace().join(folder));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with("base.yaml"))
        .collect();
    assert!(files.len() >= 4);
    for file in files {
        PlatformConfig::load(&file).unwrap_or_else(|errors| panic!("{errors}"));
    }
}

#[test]
fn the_committed_schema_is_the_current_one() {
    let path = workspace().join("composition/schema/platform.schema.json");
    let current = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &current).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "run `cargo xtask schema` and commit {}",
        path.display()
    );
    let mut undocumented = Vec::new();
    check_documented(&schema(), "", &mut undocumented);
    assert!(undocumented.is_empty(), "without a description: {undocumented:?}");
}

/// `storage.buckets[3].name` as `storage.buckets[].name`.
fn general(key: &str) -> String {
    let mut general = String::new();
    for part in key.split_inclusive('[') {
        general.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    general
}

/// Whether a key of a problem is the one of the schema; `*` stands for a key of the user's own.
fn matches_key(schema: &str, key: &str) -> bool {
    let (schema, key): (Vec<_>, Vec<_>) = (schema.split('.').collect(), key.split('.').collect());
    schema.len() == key.len()
        && schema
            .iter()
            .zip(&key)
            .all(|(s, k)| s == k || *s == "*" || (*s == "*[]" && k.ends_with("[]")))
}

fn keys_of(schema: &Value, path: &str, keys: &mut BTreeSet<String>) {
    for one in schema["oneOf"].as_array().into_iter().flatten() {
        keys_of(one, path, keys);
    }
    for (key, below) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        keys_of(below, &path, keys);
        keys.insert(path);
    }
    if schema["items"].is_object() {
        keys_of(&schema["items"], &format!("{path}[]"), keys);
    }
    if schema["additionalProperties"].is_object() {
        let path = format!("{path}.*");
        keys_of(&schema["additionalProperties"], &path, keys);
        keys.insert(path);
    }
}

fn check_documented(schema: &Value, path: &str, undocumented: &mut Vec<String>) {
    for (key, below) in schema["properties"].as_object().into_iter().flatten() {
        if below["description"].as_str().is_none_or(|text| text.len() < 10) {
            undocumented.push(format!("{path}.{key}"));
        }
        check_documented(below, &format!("{path}.{key}"), undocumented);
    }
    for below in ["items", "additionalProperties"] {
        if schema[below].is_object() {
            check_documented(&schema[below], path, undocumented);
        }
    }
}
