//! The script of the bucket Job: which calls it makes, in which order, and what it never does. `mc` is a stand-in that
//! writes its arguments down; what a real server makes of them is for a real node to show.

use crate::server::{Folder, run, script, text};
use platform_core::{BucketSpec, Resource};
use platform_tests::manifests::{Wanted, resources};
use std::collections::BTreeMap;

/// Writes down its arguments, fails at the n-th call if asked, and knows which buckets keep versions.
const MC: &str = r#"#!/bin/sh
echo "$*" >> "$CALLS"
[ "$(wc -l < "$CALLS")" != "${DIE_AT:-0}" ] || kill -KILL "$PPID"
case "$1 $2" in
  "version enable") touch "$STATE/${3##*/}.versions" ;;
  "version suspend") rm "$STATE/${3##*/}.versions" ;;
  "version info") if [ -e "$STATE/${3##*/}.versions" ]; then echo "$3 versioning is enabled"; else echo "$3 is un-versioned"; fi ;;
  "ilm import") cat > "$STATE/${3##*/}.rules" ;;
  "ilm rule") if [ "$3" = ls ]; then [ -e "$STATE/${4##*/}.rules" ]; else rm "$STATE/${6##*/}.rules"; fi ;;
esac
"#;

struct Store(Folder);

impl Store {
    fn new(buckets: &[BucketSpec]) -> Self {
        let folder = Folder::new();
        folder.write("bin/mc", MC, 0o755);
        folder.write("setup.sh", &script("storage/bucket-setup", "setup.sh"), 0o444);
        folder.write("secret/access-key", "platform", 0o440);
        folder.write("secret/secret-key", "s3cr3t", 0o440);
        folder.write("ca.crt", "certificate", 0o444);
        for name in ["tmp", "state"] {
            folder.folder(name);
        }
        let store = Self(folder);
        store.describe(buckets);
        store
    }

    /// Lays the records out as the Job's volume does.
    fn describe(&self, buckets: &[BucketSpec]) {
        let _ = std::fs::remove_dir_all(self.0.path().join("buckets"));
        let mut wanted = Wanted::local();
        wanted.storage.buckets = buckets.to_vec();
        for record in resources(&wanted).unwrap().iter().filter(|one| is_record(one)) {
            let bucket = record.id.name().base().strip_prefix("bucket-").unwrap();
            for key in ["versioning", "lifecycle.json"] {
                let value = record.desired["data"][key].as_str().unwrap();
                self.0.write(&format!("buckets/{bucket}/{key}"), value, 0o444);
            }
        }
        self.0.folder("buckets");
    }

    /// One run; what it called and whether it came to its end.
    fn run(&self, die_at: usize) -> (Vec<String>, bool) {
        let calls = self.0.text("state/calls");
        let _ = std::fs::remove_file(&calls);
        let env = BTreeMap::from([
            ("PATH", format!("{}:/usr/bin:/bin", self.0.text("bin"))),
            ("CALLS", calls.clone()),
            ("STATE", self.0.text("state")),
            ("DIE_AT", die_at.to_string()),
            ("SCRATCH", self.0.text("tmp")),
            ("SECRETS", self.0.text("secret")),
            ("CA", self.0.text("ca.crt")),
            ("BUCKETS", self.0.text("buckets")),
            ("ENDPOINT", "https://minio.storage.svc:9000".to_owned()),
            ("TRIES", "2".to_owned()),
        ]);
        let output = run("/bin/sh", &[&self.0.text("setup.sh")], &env);
        assert!(!text(&output).contains("s3cr3t"));
        let calls = std::fs::read_to_string(calls).unwrap_or_default();
        (calls.lines().map(str::to_owned).collect(), output.status.success())
    }

    /// What the store looks like.
    fn state(&self) -> BTreeMap<String, String> {
        std::fs::read_dir(self.0.path().join("state"))
            .unwrap()
            .flatten()
            .filter(|entry| entry.file_name() != "calls")
            .map(|entry| {
                let text = std::fs::read_to_string(entry.path()).unwrap();
                (entry.file_name().into_string().unwrap(), text)
            })
            .collect()
    }
}

fn is_record(resource: &Resource) -> bool {
    resource.id.kind().as_str() == "ConfigMap"
        && resource.id.name().base().starts_with("bucket-")
        && resource.id.name().base() != "bucket-setup"
}

#[test]
fn buckets_become_as_described_whenever_it_is_killed() {
    let wanted = Wanted::local().storage.buckets;
    let store = Store::new(&wanted);
    let (calls, done) = store.run(0);
    assert!(done);
    assert_eq!(
        calls,
        [
            "ls store",
            "mb --ignore-existing store/datasets",
            "version enable store/datasets",
            "ilm import store/datasets",
            "mb --ignore-existing store/models",
            "version info store/models",
            "ilm rule ls store/models",
        ]
    );
    let wished = store.state();
    let rules: serde_json::Value = serde_json::from_str(&wished["datasets.rules"]).unwrap();
    assert_eq!(rules["Rules"][0]["NoncurrentVersionExpiration"]["NoncurrentDays"], 30);
    assert_eq!(store.run(0).0, calls, "a second run makes the same calls");
    assert_eq!(store.state(), wished);
    for die_at in 1..=calls.len() {
        let other = Store::new(&wanted);
        assert!(!other.run(die_at).1, "killed at call {die_at}");
        assert!(other.run(0).1);
        assert_eq!(other.state(), wished, "killed at call {die_at}");
    }
}

/// Switched off settings go, a bucket that is no longer described keeps everything, and nothing is ever removed.
#[test]
fn what_is_no_longer_wanted_is_switched_off_and_nothing_is_removed() {
    let store = Store::new(&Wanted::local().storage.buckets);
    assert!(store.run(0).1);
    store.describe(&[BucketSpec::new("datasets")]);
    let (calls, done) = store.run(0);
    assert!(done);
    assert!(
        calls.contains(&"version suspend store/datasets".to_owned()),
        "{calls:?}"
    );
    assert!(
        calls.contains(&"ilm rule rm --all --force store/datasets".to_owned()),
        "{calls:?}"
    );
    assert_eq!(store.state(), BTreeMap::new());
    store.describe(&[]);
    assert_eq!(store.run(0).0, ["ls store"]);
    for words in [" rb ", " rm ", "--recursive", "--purge"] {
        let text = script("storage/bucket-setup", "setup.sh").replace("ilm rule rm --all --force", "");
        assert!(!text.contains(words), "{words}");
    }
}
