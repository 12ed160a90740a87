//! Crate order, forbidden crates and features, by what cargo resolves.

use super::{cargo, read, root};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The one-way street: a crate and the members that it may depend on.
const ORDER: &[(&str, &[&str])] = &[
    ("platform-core", &[]),
    ("provider-k8s", &["platform-core"]),
    ("provider-aws", &["platform-core"]),
    ("provider-aws-network", &["platform-core", "provider-aws"]),
    (
        "composition",
        &["platform-core", "provider-k8s", "provider-aws", "provider-aws-network"],
    ),
    ("platform-command", &["platform-core", "composition"]),
    (
        "local",
        &["platform-core", "provider-k8s", "composition", "platform-command"],
    ),
    (
        "cloud",
        &[
            "platform-core",
            "provider-k8s",
            "provider-aws",
            "provider-aws-network",
            "composition",
            "platform-command",
        ],
    ),
    ("xtask", &[]),
];

/// The suites may see everything; nobody may see them.
const SUITES: &str = "platform-tests";

fn metadata() -> Value {
    serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])).unwrap()
}

fn packages(metadata: &Value) -> BTreeMap<String, &Value> {
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["name"].as_str().unwrap().to_owned(), package))
        .collect()
}

/// Dependencies of a package that are not for its tests.
fn dependencies(package: &Value) -> impl Iterator<Item = &Value> {
    package["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|dependency| dependency["kind"] != "dev")
}

/// Names in a crate's dependency tree, without its tests'.
fn tree(package: &str) -> BTreeSet<String> {
    cargo(&["tree", "-p", package, "-e", "normal,build", "--prefix", "none"])
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn crates_depend_one_way() {
    let metadata = metadata();
    let packages = packages(&metadata);
    for (name, package) in packages.iter().filter(|(name, _)| *name != SUITES) {
        let Some((_, allowed)) = ORDER.iter().find(|(known, _)| known == name) else {
            panic!("{name} has no place in the order: add it to ORDER");
        };
        for dependency in dependencies(package) {
            let other = dependency["name"].as_str().unwrap();
            assert!(
                !packages.contains_key(other) || allowed.contains(&other),
                "{name} may not depend on {other}"
            );
        }
    }
}

#[test]
fn what_users_add_pulls_nothing_of_another_provider() {
    let forbidden: &[(&str, &[&str])] = &[
        (
            "platform-core",
            &["kube", "k8s-openapi", "aws-", "hyper", "reqwest", "rustls"],
        ),
        ("provider-k8s", &["aws-"]),
        ("composition", &["aws-"]),
        ("platform-command", &["aws-", "kube"]),
        ("local", &["aws-"]),
    ];
    for (package, prefixes) in forbidden {
        for name in tree(package) {
            let hit = prefixes
                .iter()
                .find(|prefix| name == **prefix || (name.starts_with(**prefix) && !name.starts_with("kube-state")));
            assert!(hit.is_none(), "{package} pulls {name}");
        }
    }
}

#[test]
fn one_implementation_of_cryptography() {
    for package in cargo(&["tree", "--workspace", "-e", "normal,build", "--prefix", "none"]).lines() {
        let name = package.split_whitespace().next().unwrap_or_default();
        assert!(
            !name.starts_with("aws-lc") && !matches!(name, "openssl" | "openssl-sys" | "native-tls"),
            "{package} is in the tree; ring is the one"
        );
    }
}

#[test]
fn libraries_leave_the_kubernetes_version_to_binaries() {
    let metadata = metadata();
    for name in ["platform-core", "provider-k8s", "composition"] {
        let packages = packages(&metadata);
        for dependency in dependencies(packages[name]) {
            if dependency["name"] == "k8s-openapi" {
                let features = dependency["features"].as_array().unwrap();
                let picked = features
                    .iter()
                    .filter_map(Value::as_str)
                    .find(|feature| feature.starts_with('v') || *feature == "latest" || *feature == "earliest");
                assert_eq!(picked, None, "{name} picks a version");
            }
        }
    }
    assert!(read(".cargo/config.toml").contains("K8S_OPENAPI_ENABLED_VERSION"));
}

#[test]
fn no_binary_holds_what_only_tests_may() {
    let metadata = metadata();
    for (name, package) in packages(&metadata) {
        let binary = package["targets"]
            .as_array()
            .unwrap()
            .iter()
            .any(|target| target["kind"][0] == "bin");
        if !binary || name == "xtask" {
            continue;
        }
        let features = cargo(&["tree", "-p", &name, "-e", "features,no-dev", "--prefix", "none"]);
        for line in features
            .lines()
            .filter(|line| line.starts_with("platform-core feature"))
        {
            for forbidden in ["\"testing\"", "\"mock\""] {
                assert!(!line.contains(forbidden), "{name} enables {line}");
            }
        }
        assert!(features.contains("platform-core"), "{name} was looked at");
    }
}

#[test]
fn clippy_files_share_one_block() {
    let block = |text: &str| -> String {
        let start = text.find("# --- shared").expect("a shared block");
        let end = text.find("# --- end of the shared block").expect("an end of it");
        text[start..end].to_owned()
    };
    let first = block(&read("platform-core/clippy.toml"));
    assert!(first.contains("std::time::SystemTime::now") && first.contains("std::fs::write"));
    for (name, _) in ORDER.iter().filter(|(name, _)| !matches!(*name, "local" | "xtask")) {
        if root().join(name).is_dir() {
            assert_eq!(
                block(&read(&format!("{name}/clippy.toml"))),
                first,
                "{name}/clippy.toml"
            );
        }
    }
    assert!(
        !root().join("clippy.toml").exists(),
        "a root clippy.toml would hide those of the crates"
    );
}

#[test]
fn members_move_in_lock_step_and_state_why() {
    let manifest = read("Cargo.toml");
    for name in ["platform-core", "provider-k8s", "composition"] {
        assert!(
            manifest.contains(&format!("{name} = {{ path = \"{name}\", version = \"=")),
            "{name} is required by its exact version"
        );
    }
    assert!(manifest.contains("default-members = [\"examples/local\"]"));
}
