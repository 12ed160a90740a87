//! How files are cut, and where I/O, time and destruction live.

use super::root;
use std::path::{Path, PathBuf};

const LIBRARIES: &[&str] = &[
    "platform-core",
    "provider-k8s",
    "provider-aws",
    "provider-aws/network",
    "composition",
];

/// Longest file in lines, without its tests.
const LONGEST: usize = 800;

/// Something that only some files may do.
struct Rule {
    what: &'static str,
    marks: &'static [&'static str],
    homes: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        what: "the machine's clock",
        marks: &["SystemTime::now", "Instant::now", "Timestamp::now(", "tokio::time::"],
        homes: &["platform-core/src/value/time.rs"],
    },
    Rule {
        what: "files",
        marks: &["std::fs::", "tokio::fs::", "File::open", "OpenOptions"],
        homes: &["composition/src/config/load.rs", "provider-k8s/src/client.rs"],
    },
    Rule {
        what: "the environment",
        marks: &["std::env::", "env::var"],
        homes: &[],
    },
    Rule {
        what: "tasks of its own",
        marks: &["tokio::spawn", "thread::spawn", "spawn_blocking", "block_on("],
        homes: &[],
    },
    Rule {
        what: "other programs",
        marks: &["process::Command", "Command::new"],
        homes: &[],
    },
    Rule {
        what: "standard output",
        marks: &["println!(", "eprintln!(", "print!(", "dbg!("],
        homes: &[],
    },
    Rule {
        what: "guessing a cluster",
        marks: &[
            "Config::infer",
            "Client::try_default",
            "Config::incluster",
            "Kubeconfig::read()",
        ],
        homes: &[],
    },
    Rule {
        what: "HTTP DELETE",
        marks: &["Method::DELETE", "Request::delete", ".delete_collection("],
        homes: &[
            "provider-k8s/src/write.rs",
            "provider-k8s/src/write/removal.rs",
            "provider-k8s/src/lock.rs",
        ],
    },
    Rule {
        what: "permits",
        marks: &["Permit {"],
        homes: &["platform-core/src/engine/approve.rs"],
    },
];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source of the given members, by its path in the workspace, with the text before its tests.
fn sources(members: &[&str]) -> Vec<(String, String)> {
    let root = root();
    let mut paths = Vec::new();
    for member in members {
        rust_files(&root.join(member).join("src"), &mut paths);
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap().to_owned();
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
            (name, code)
        })
        .collect()
}

/// Code without comments, line by line.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or("")))
}

#[test]
fn io_time_and_destruction_live_in_their_homes() {
    let mut strays = Vec::new();
    let mut used = 0;
    for (name, text) in sources(LIBRARIES) {
        // Suites and worlds for tests may do more, and what they do never reaches a user.
        if name.ends_with("/tests.rs") {
            continue;
        }
        for rule in RULES {
            for (number, line) in code(&text) {
                if rule.marks.iter().any(|mark| line.contains(mark)) {
                    if rule.homes.contains(&name.as_str()) {
                        used += 1;
                    } else {
                        strays.push(format!("{name}:{number}: {}: {}", rule.what, line.trim()));
                    }
                }
            }
        }
    }
    assert!(strays.is_empty(), "outside their homes:\n{}", strays.join("\n"));
    assert!(used >= 6, "the homes are looked at: {used}");
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let members = [
        "platform-core",
        "provider-k8s",
        "provider-aws",
        "provider-aws/network",
        "composition",
        "examples/cloud",
        "examples/command",
        "examples/local",
        "xtask",
        "tests",
    ];
    let mut files = sources(&members);
    let mut suites = Vec::new();
    rust_files(&root().join("tests/tests"), &mut suites);
    files.extend(
        suites
            .into_iter()
            .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())),
    );
    assert!(files.len() > 60, "{} files", files.len());
    for (name, text) in &files {
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{name} has {lines} lines, {LONGEST} are the most");
        let stem = Path::new(name).file_stem().unwrap().to_str().unwrap();
        for vague in [
            "utils",
            "util",
            "common",
            "commons",
            "helpers",
            "helper",
            "misc",
            "shared_utils",
        ] {
            assert_ne!(stem, vague, "{name}: name what is inside");
        }
    }
}

#[test]
fn crate_roots_hold_documentation_and_exports_only() {
    for (name, text) in sources(LIBRARIES)
        .iter()
        .filter(|(name, _)| name.ends_with("src/lib.rs"))
    {
        for (number, line) in code(text) {
            for logic in ["fn ", "impl ", "struct ", "enum "] {
                assert!(
                    !line.trim_start().starts_with(logic) && !line.trim_start().starts_with(&format!("pub {logic}")),
                    "{name}:{number}: {line}"
                );
            }
        }
    }
}
