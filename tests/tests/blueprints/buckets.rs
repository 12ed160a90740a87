//! The script of the bucket Job, run by a real `mc` against a real MinIO that is started as its flavour describes.

use crate::server::{Folder, Server, command, find, free_port, run, script, text};
use platform_core::{BucketSpec, Resource};
use platform_tests::manifests::{Wanted, resources};
use provider_k8s::{CERTIFICATES, CREDENTIALS, DATA, Flavour, KnownFlavour};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Output;
use xtask::peer::object_store;

/// The real client; it writes down its arguments first, and its caller dies at the n-th call if asked.
const MC: &str = r#"#!/bin/sh
echo "$*" >> "$CALLS"
[ "$(wc -l < "$CALLS")" != "${DIE_AT:-0}" ] || kill -KILL "$PPID"
exec "$MC" "$@"
"#;

pub(crate) struct Store {
    folder: Folder,
    server: Server,
    port: u16,
}

impl Store {
    /// A server as the blueprint runs it, but for where things lie in a pod.
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        // Copied to where everybody may run them: whoever is nobody does not get into the cache folder.
        let built = object_store().unwrap();
        for (name, program) in [("minio", &built.minio), ("mc", &built.mc)] {
            std::fs::create_dir_all(folder.path().join("programs")).unwrap();
            std::fs::copy(program, folder.path().join("programs").join(name)).unwrap();
        }
        let flavour = Flavour::Known(KnownFlavour::Minio).server();
        folder.certificates(&["minio", "localhost"]);
        for (path, key) in &flavour.certificates {
            let text = std::fs::read_to_string(folder.path().join("tls").join(key)).unwrap();
            folder.write(&format!("certificates/{path}"), &text, 0o444);
        }
        let encryption = format!(
            "{}MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            flavour.encryption_key_prefix.unwrap()
        );
        for (key, value) in [
            ("access-key", "platform"),
            ("secret-key", "r00t-s3cr3t"),
            ("application/access-key", "app"),
            ("application/secret-key", "app-s3cr3t"),
            ("encryption-key", &encryption),
        ] {
            folder.write(&format!("credentials/{key}"), value, 0o440);
        }
        for name in ["data", "home", "tmp"] {
            folder.folder(name);
        }
        folder.write("bin/mc", MC, 0o755);
        folder.write("setup.sh", &script("storage/bucket-setup", "setup.sh"), 0o444);

        let port = free_port();
        let placed = |text: &String| {
            text.replace(CREDENTIALS, &folder.text("credentials"))
                .replace(CERTIFICATES, &folder.text("certificates"))
                .replace(DATA, &folder.text("data"))
                .replace(":9000", &format!("127.0.0.1:{port}"))
                .replace(":9001", "127.0.0.1:0")
        };
        let arguments: Vec<String> = flavour.args.iter().map(placed).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut env: BTreeMap<&str, String> = flavour
            .env
            .iter()
            .map(|(key, value)| (key.as_str(), placed(value)))
            .collect();
        env.insert("HOME", folder.text("home"));
        // What it shows of its usage comes from a scan, which it puts off for a minute otherwise.
        env.insert("MINIO_SCANNER_SPEED", "fastest".to_owned());
        let server = Server::start(
            command(&folder.text("programs/minio"), &arguments, &env),
            folder.path().join("log"),
        );
        let mut store = Self { folder, server, port };
        store
            .server
            .wait("listen", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        store
    }

    fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Lays the records out as the Job's volume does.
    pub(crate) fn describe(&self, buckets: &[BucketSpec]) {
        let _ = std::fs::remove_dir_all(self.folder.path().join("buckets"));
        let mut wanted = Wanted::local();
        wanted.storage.buckets = buckets.to_vec();
        wanted.options = wanted.options.with_s3(Flavour::Known(KnownFlavour::Minio));
        let all = resources(&wanted).unwrap();
        let policy = &find(&all, "ConfigMap", "storage/bucket-setup").desired["data"]["policy.json"];
        self.folder.write("policy.json", policy.as_str().unwrap(), 0o444);
        let here = |one: &&Resource| is_record(one) && one.id.name().namespace() == Some("storage");
        for record in all.iter().filter(here) {
            let bucket = record.id.name().base().strip_prefix("bucket-").unwrap();
            for key in ["versioning", "lifecycle.json"] {
                let value = record.desired["data"][key].as_str().unwrap();
                self.folder.write(&format!("buckets/{bucket}/{key}"), value, 0o444);
            }
        }
        self.folder.folder("buckets");
    }

    fn env(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("PATH", format!("{}:/usr/bin:/bin", self.folder.text("bin"))),
            ("MC", self.folder.text("programs/mc")),
            ("CALLS", self.folder.text("tmp/calls")),
            ("HOME", self.folder.text("home")),
            ("SCRATCH", self.folder.text("tmp")),
            ("SECRETS", self.folder.text("credentials")),
            ("CA", self.folder.text("tls/ca.crt")),
            ("BUCKETS", self.folder.text("buckets")),
            ("ENDPOINT", self.endpoint()),
            ("POLICY", self.folder.text("policy.json")),
            ("TRIES", "10".to_owned()),
            (
                "APPLICATION",
                std::fs::read_to_string(self.folder.text("credentials/application/access-key")).unwrap_or_default(),
            ),
        ])
    }

    /// One run of the Job; what it called and whether it came to its end.
    pub(crate) fn run(&self, die_at: usize) -> (Vec<String>, bool) {
        let calls = self.folder.path().join("tmp/calls");
        let _ = std::fs::remove_file(&calls);
        let mut env = self.env();
        env.insert("DIE_AT", die_at.to_string());
        let output = run("/bin/sh", &[&self.folder.text("setup.sh")], &env);
        assert!(!text(&output).contains("s3cr3t"), "{}", text(&output));
        assert!(output.status.success() != (die_at > 0), "{}", text(&output));
        let calls = std::fs::read_to_string(calls).unwrap_or_default();
        assert!(!calls.contains("s3cr3t"), "{calls}");
        (calls.lines().map(str::to_owned).collect(), output.status.success())
    }

    /// The client with the server's own key.
    pub(crate) fn mc(&self, arguments: &[&str]) -> Output {
        let mut env = self.env();
        env.insert("MC_CONFIG_DIR", self.folder.text("tmp/mc"));
        run(&self.folder.text("programs/mc"), arguments, &env)
    }

    /// The client with the key that applications get, under the name `app`.
    fn application(&self, arguments: &[&str]) -> Output {
        self.client("app", "app-s3cr3t", arguments)
    }

    /// The client with this key, under the name `app`.
    fn client(&self, user: &str, secret: &str, arguments: &[&str]) -> Output {
        let mut env = self.env();
        env.insert("MC_CONFIG_DIR", self.folder.text("tmp/mc"));
        env.insert(
            "MC_HOST_app",
            format!("https://{user}:{secret}@localhost:{}", self.port),
        );
        run(&self.folder.text("programs/mc"), arguments, &env)
    }

    /// Puts the key that applications get next where the Job finds it.
    fn next_key(&self, user: &str, secret: &str) {
        for (key, value) in [("access-key", user), ("secret-key", secret)] {
            self.folder
                .write(&format!("credentials/application/{key}"), value, 0o440);
        }
    }

    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let arguments = [&["--json"], arguments].concat();
        let output = self.mc(&arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        let answer = String::from_utf8(output.stdout).unwrap();
        serde_json::Deserializer::from_str(&answer)
            .into_iter()
            .map(Result::unwrap)
            .collect()
    }

    /// What the server says of the applications' user.
    fn user(&self) -> Value {
        self.json(&["admin", "user", "info", "store", "app"]).remove(0)
    }

    /// What S3 says of a bucket: its versioning and its lifecycle rules.
    fn bucket(&self, name: &str) -> (String, Value) {
        let place = format!("store/{name}");
        let info = self.json(&["version", "info", &place]);
        let versioning = info[0]["versioning"]["status"].as_str().unwrap_or_default().to_owned();
        let rules = self.mc(&["ilm", "rule", "export", &place]);
        let rules = serde_json::from_slice::<Value>(&rules.stdout).unwrap_or_default();
        (versioning, rules["Rules"].clone())
    }

    /// Every bucket that S3 lists.
    fn state(&self) -> BTreeMap<String, (String, Value)> {
        let listed = self.json(&["ls", "store"]);
        let names = listed
            .iter()
            .map(|bucket| bucket["key"].as_str().unwrap().trim_end_matches('/'));
        names.map(|name| (name.to_owned(), self.bucket(name))).collect()
    }
}

fn is_record(resource: &Resource) -> bool {
    resource.id.kind().as_str() == "ConfigMap"
        && resource.id.name().base().starts_with("bucket-")
        && resource.id.name().base() != "bucket-setup"
}

/// The buckets of the `local` platform under other names.
fn local(suffix: &str) -> Vec<BucketSpec> {
    let mut buckets = Wanted::local().storage.buckets;
    for bucket in &mut buckets {
        bucket.name = format!("{}{suffix}", bucket.name);
    }
    buckets
}

#[test]
fn buckets_become_as_described_whenever_it_is_killed() {
    let store = Store::new();
    store.describe(&local(""));
    let (calls, _) = store.run(0);
    let state = store.state();
    let (versioning, rules) = &state["datasets"];
    assert_eq!(versioning, "Enabled");
    assert_eq!(rules[0]["NoncurrentVersionExpiration"]["NoncurrentDays"], 30);
    assert_eq!(rules[0]["Status"], "Enabled");
    assert_eq!(rules.as_array().unwrap().len(), 1);
    assert_eq!(state["models"], (String::new(), Value::Null));
    assert_eq!(state.len(), 2);
    let user = store.user();
    assert_eq!(user["policyName"], "app");
    assert_eq!(store.run(0).0, calls, "a second run makes the same calls");
    assert_eq!(store.state(), state, "and changes nothing");
    assert_eq!(store.user(), user);

    let object = store.folder.write("object", "text", 0o444);

    for die_at in 1..=calls.len() {
        let suffix = format!("-{die_at}");
        store.describe(&local(&suffix));
        for what in ["user", "policy"] {
            store.mc(&["admin", what, "rm", "store", "app"]);
        }
        assert!(!store.run(die_at).1, "killed at call {die_at}");
        store.run(0);
        for bucket in ["datasets", "models"] {
            let now = store.bucket(&format!("{bucket}{suffix}"));
            assert_eq!(now, state[bucket], "killed at call {die_at}");
        }
        assert_eq!(store.user(), user, "killed at call {die_at}");
        let place = format!("app/datasets{suffix}/object");
        assert!(store.application(&["cp", &object, &place]).status.success());
    }
}

/// A rotation gives applications another key while the one before works on; the next one ends it. Killed at any call,
/// the next run ends there too, and nothing that works ends too early.
#[test]
fn a_key_is_rotated_while_the_one_before_works() {
    let store = Store::new();
    store.describe(&local(""));
    store.run(0);
    let object = store.folder.write("object", "text", 0o444);
    let works = |user: &str, secret: &str| {
        let written = store.client(user, secret, &["cp", &object, "app/datasets/object"]);
        written.status.success()
    };
    let first = ("app", "app-s3cr3t");
    let second = ("app-r2", "app-s3cr3t-2");
    let third = ("app-r3", "app-s3cr3t-3");
    let seventh = ("app-r7", "app-s3cr3t-7");
    assert!(works(first.0, first.1));
    for (before, next, ended) in [
        (first, second, None),
        (second, third, Some(first)),
        (third, seventh, Some(second)),
    ] {
        store.next_key(next.0, next.1);
        // From the policy on: what comes before is about buckets.
        for die_at in 8..=11 {
            assert!(!store.run(die_at).1, "killed at call {die_at}");
            assert!(
                works(before.0, before.1),
                "{before:?} after {next:?} was killed at call {die_at}"
            );
        }
        let (calls, _) = store.run(0);
        assert!(calls[7].starts_with("admin policy create"), "{calls:?}");
        store.run(0);
        assert!(works(before.0, before.1) && works(next.0, next.1), "{next:?}");
        if let Some((user, secret)) = ended {
            assert!(!works(user, secret), "{user} goes on");
        }
        // It is no more than the one before.
        assert!(!store.client(next.0, next.1, &["mb", "app/mine"]).status.success());
    }
}

/// Switched off settings go, a bucket that is no longer described keeps everything, and nothing is ever removed.
#[test]
fn what_is_no_longer_wanted_is_switched_off_and_nothing_is_removed() {
    let store = Store::new();
    store.describe(&local(""));
    store.run(0);
    let object = store.folder.write("object", "first", 0o444);
    assert!(store.mc(&["cp", &object, "store/datasets/object"]).status.success());
    let object = store.folder.write("object", "second", 0o444);
    assert!(store.mc(&["cp", &object, "store/datasets/object"]).status.success());
    let versions = || store.json(&["ls", "--versions", "store/datasets"]).len();
    assert_eq!(versions(), 2, "an overwritten object is kept");

    store.describe(&[BucketSpec::new("datasets")]);
    store.run(0);
    let state = store.state();
    assert_eq!(state["datasets"], ("Suspended".to_owned(), Value::Null));
    store.describe(&[]);
    store.run(0);
    assert_eq!(store.state(), state);
    assert_eq!(versions(), 2);
    // A server that knows no users is asked for none.
    std::fs::remove_dir_all(store.folder.path().join("credentials/application")).unwrap();
    assert_eq!(store.run(0).0, ["ls store"]);
}

/// The key of the applications reads and writes in the described buckets; everything else is the server's own key's.
#[test]
fn applications_reach_their_buckets_and_no_more() {
    let store = Store::new();
    store.describe(&local(""));
    store.run(0);
    let object = store.folder.write("object", "text", 0o444);
    let large = store.folder.write("large", &"x".repeat(20 << 20), 0o444);
    assert!(store.mc(&["mb", "store/private"]).status.success());
    assert!(store.mc(&["cp", &object, "store/private/object"]).status.success());
    for (allowed, words) in [
        (true, &["cp", &object, "app/datasets/object"][..]),
        (true, &["cp", &object, "app/datasets/object"]),
        (true, &["cp", &large, "app/models/large"]),
        (true, &["cat", "app/datasets/object"]),
        (true, &["ls", "app/models"]),
        (true, &["tag", "set", "app/datasets/object", "stage=raw"]),
        (true, &["rm", "app/datasets/object"]),
        (true, &["ls", "--versions", "app/datasets"]),
        // What is kept as a version stays, whatever an application does.
        (false, &["rm", "--recursive", "--force", "--versions", "app/datasets"]),
        (false, &["rb", "--force", "app/datasets"]),
        (false, &["mb", "app/mine"]),
        (false, &["ls", "app/private"]),
        (false, &["cat", "app/private/object"]),
        (false, &["cp", &object, "app/private/object"]),
        (false, &["version", "suspend", "app/datasets"]),
        (false, &["ilm", "rule", "rm", "--all", "--force", "app/datasets"]),
        (false, &["anonymous", "set", "public", "app/datasets"]),
        (false, &["admin", "info", "app"]),
        (false, &["admin", "user", "list", "app"]),
        (false, &["admin", "accesskey", "create", "app"]),
        (
            false,
            &["admin", "policy", "attach", "app", "readwrite", "--user", "app"],
        ),
    ] {
        let output = store.application(words);
        assert_eq!(output.status.success(), allowed, "{words:?}: {}", text(&output));
        let refused = text(&output).contains("Denied") || text(&output).contains("Insufficient permissions");
        assert_eq!(refused, !allowed, "{words:?}: {}", text(&output));
    }
    let kept = store.json(&["ls", "--versions", "store/datasets"]);
    let writes = kept.iter().filter(|version| version["isDeleteMarker"] != true);
    assert_eq!(writes.count(), 2);

    // A bucket that is no longer described is out of reach; another password ends the old one.
    store.describe(&local("")[1..]);
    store
        .folder
        .write("credentials/application/secret-key", "app-s3cr3t-2", 0o440);
    store.run(0);
    let old = store.application(&["ls", "app/models"]);
    assert!(!old.status.success(), "{}", text(&old));
    store
        .folder
        .write("credentials/application/secret-key", "app-s3cr3t", 0o440);
    store.run(0);
    assert!(store.application(&["ls", "app/models"]).status.success());
    assert!(!store.application(&["ls", "app/datasets"]).status.success());
}

/// The check of a drill: a store with its buckets, one that came up without its volume, and one that does not come up.
#[test]
fn a_restored_store_is_checked() {
    let check = include_str!("../../../provider-k8s/src/capability/storage/check.sh");
    let mut store = Store::new();
    let check = store.folder.write("check.sh", check, 0o444);
    let mut env = store.env();
    env.insert("ACCESS_KEY", "platform".to_owned());
    env.insert("TRIES", "1".to_owned());
    let checked = |whole: bool, words: &str| {
        let output = run("/bin/sh", &[&check], &env);
        assert_eq!(output.status.success(), whole, "{}", text(&output));
        assert!(text(&output).contains(words), "{words}: {}", text(&output));
        assert!(!text(&output).contains("s3cr3t"), "{}", text(&output));
    };
    checked(false, "has no bucket: its volume was not restored");
    store.describe(&local(""));
    store.run(0);
    let object = store.folder.write("object", "text", 0o444);
    assert!(store.mc(&["cp", &object, "store/datasets/object"]).status.success());
    checked(true, "2 buckets hold 1 objects");
    checked(true, "2 buckets hold 1 objects");
    store.server.kill();
    checked(false, "does not answer: its volume was not restored");
}

#[test]
fn a_store_that_does_not_answer_is_named() {
    let mut store = Store::new();
    store.describe(&local(""));
    store.server.kill();
    let mut env = store.env();
    env.insert("TRIES", "1".to_owned());
    let output = run("/bin/sh", &[&store.folder.text("setup.sh")], &env);
    assert!(!output.status.success());
    let answer = text(&output);
    assert!(
        answer.contains(&format!("the store does not answer at {}", store.endpoint())),
        "{answer}"
    );
    assert!(!answer.contains("s3cr3t"), "{answer}");
}
