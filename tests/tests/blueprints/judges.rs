//! Tools that others wrote look at the rendered objects.

mod cloud;
mod monitoring;
mod templates;

use platform_tests::manifests::{Wanted, manifest, pod_template, resources};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use xtask::peer::Python;

/// Writes one file for each document and returns how many.
fn render(documents: &[Value], folder: &Path) -> usize {
    for (index, document) in documents.iter().enumerate() {
        let text = serde_json::to_string_pretty(document).unwrap();
        std::fs::write(folder.join(format!("{index:03}.json")), text).unwrap();
    }
    documents.len()
}

/// Checkov passes over folders whose names begin with a dot.
fn new_folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("manifests").tempdir().unwrap()
}

fn documents(wanted: &Wanted) -> Vec<Value> {
    resources(wanted).unwrap().iter().map(manifest).collect()
}

/// Checkov's findings as `check resource`, and how many resources it looked at: of a `--directory` or a `--file`.
fn checkov(framework: &str, of: &str, path: &Path) -> (BTreeSet<(String, String)>, u64, u64) {
    let program = Python::Judges.programs().unwrap().join("checkov");
    let output = Command::new(program)
        .args([
            "--framework",
            framework,
            "--output",
            "json",
            "--quiet",
            "--compact",
            "--skip-download",
        ])
        .arg(of)
        .arg(path)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let failures = report["results"]["failed_checks"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|check| {
            (
                check["check_id"].as_str().unwrap().to_owned(),
                check["resource"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let count = |key: &str| report["summary"][key].as_u64().unwrap_or_default();
    assert_eq!(count("parsing_errors"), 0);
    (failures, count("resource_count"), count("passed"))
}

/// No failure without a written reason, no reason without a failure, and every rendered object was looked at.
#[test]
fn checkov_finds_nothing_without_a_reason() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/checkov-exceptions.json");
    let exceptions: Vec<BTreeMap<String, String>> =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let excepted: BTreeSet<(String, String)> = exceptions
        .iter()
        .map(|exception| {
            assert!(exception["reason"].len() > 20, "{exception:?}");
            (exception["check"].clone(), exception["resource"].clone())
        })
        .collect();
    let mut found = BTreeSet::new();
    for (name, wanted) in [("local", Wanted::local()), ("strict", Wanted::strict())] {
        let folder = new_folder();
        let documents = documents(&wanted);
        // Checkov counts the pods that templates make beside what makes them.
        let pods = documents
            .iter()
            .filter(|document| pod_template(document).is_some())
            .count();
        let rendered = render(&documents, folder.path()) + pods;
        let (failures, scanned, passed) = checkov("kubernetes", "--directory", folder.path());
        println!(
            "{name}: {rendered} rendered, {scanned} scanned, {passed} passed, {} failed",
            failures.len()
        );
        assert_eq!(
            scanned, rendered as u64,
            "{name}: an object that is not scanned is not judged"
        );
        assert!(passed > 300, "{name}: only {passed} checks passed");
        found.extend(failures);
    }
    let unexplained: Vec<_> = found.difference(&excepted).collect();
    assert!(unexplained.is_empty(), "{unexplained:?}");
    let idle: Vec<_> = excepted.difference(&found).collect();
    assert!(idle.is_empty(), "reasons without a failure: {idle:?}");
}

/// The judge is awake: a careless pod fails.
#[test]
fn checkov_fails_a_careless_pod() {
    let folder = new_folder();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "careless", "namespace": "database" },
        "spec": { "hostNetwork": true, "containers": [{ "name": "c", "image": "postgres:latest", "securityContext": { "privileged": true } }] },
    });
    render(&[pod], folder.path());
    let (failures, scanned, _) = checkov("kubernetes", "--directory", folder.path());
    assert_eq!(scanned, 1);
    assert!(failures.len() >= 15, "{failures:?}");
}

/// Every document fits the published schema of the oldest and the newest Kubernetes that is supported.
#[test]
fn documents_fit_the_published_schemas() {
    let program = Python::Judges.programs().unwrap().join("kubernetes-validate");
    let validate = |folder: &Path, version: &str| {
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        Command::new(&program)
            .args(["--strict", "--kubernetes-version", version])
            .args(files)
            .output()
            .unwrap()
    };
    let documents = |wanted: &Wanted| -> Vec<Value> {
        let of_others = |document: &Value| {
            document["apiVersion"]
                .as_str()
                .is_some_and(|api| api.contains("velero.io"))
        };
        documents(wanted)
            .into_iter()
            .filter(|document| !of_others(document))
            .collect()
    };
    for wanted in [Wanted::local(), Wanted::strict()] {
        let folder = new_folder();
        let rendered = render(&documents(&wanted), folder.path());
        for version in ["1.33", "1.36"] {
            let output = validate(folder.path(), version);
            let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{version}: {text}");
            assert_eq!(text.matches("INFO").count(), rendered, "{version}: {text}");
        }
        let mut misspelt = documents(&wanted);
        let server = misspelt
            .iter_mut()
            .find(|document| document["kind"] == "StatefulSet")
            .unwrap();
        server["spec"]["replcas"] = json!(1);
        let folder = new_folder();
        render(&misspelt, folder.path());
        assert!(
            !validate(folder.path(), "1.36").status.success(),
            "a misspelt field passed"
        );
    }
}
