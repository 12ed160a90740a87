//! Documents tell the truth about the tree, the commands and each other.

use super::{cargo, read, root};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn markdown_files() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut found = vec![
        root().join("README.md"),
        root().join("CONTRIBUTING.md"),
        root().join("CHANGELOG.md"),
    ];
    walk(&root().join("docs"), &mut found);
    found
}

/// The lines of every fenced block of a language.
fn fenced<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some(tag) if !inside && tag == language => inside = true,
            Some(_) => inside = false,
            None if inside => lines.push(line),
            None => {}
        }
    }
    lines
}

#[test]
fn the_layout_in_contributing_is_the_tree() {
    let text = read("CONTRIBUTING.md");
    let listed: BTreeSet<&str> = fenced(&text, "text")
        .into_iter()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|path| path.contains('/') || path.contains('.'))
        .collect();
    assert!(listed.len() >= 20, "{listed:?}");
    for path in &listed {
        assert!(
            root().join(path).exists(),
            "CONTRIBUTING.md lists {path}, which is not there"
        );
    }
    for entry in std::fs::read_dir(root()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if !entry.path().is_dir() || name == ".git" || name == "target" || name.starts_with("target-") {
            continue;
        }
        assert!(
            listed.iter().any(|path| path.split('/').next() == Some(name.as_str())),
            "{name}/ is not in the layout of CONTRIBUTING.md"
        );
    }
}

#[test]
fn links_lead_somewhere() {
    for file in markdown_files() {
        let text = std::fs::read_to_string(&file).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            if path.is_empty() || link.contains("://") {
                continue;
            }
            assert!(
                file.parent().unwrap().join(path).exists(),
                "{} links to {link}, which is not there",
                file.display()
            );
        }
    }
}

#[test]
fn commands_of_the_readme_exist() {
    let text = read("README.md");
    let metadata: serde_json::Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])).unwrap();
    let binaries: BTreeSet<String> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|package| package["targets"].as_array().unwrap())
        .filter(|target| target["kind"][0] == "bin")
        .map(|target| target["name"].as_str().unwrap().to_owned())
        .collect();
    let help = [
        "examples/command/src/args.rs",
        "examples/local/src/connect.rs",
        "examples/cloud/src/account.rs",
    ]
    .map(read)
    .concat();
    let mut seen = 0;
    for command in fenced(&text, "console")
        .iter()
        .filter_map(|line| line.strip_prefix("$ "))
    {
        let command = command.split('#').next().unwrap().trim();
        let words: Vec<&str> = command.split_whitespace().collect();
        seen += 1;
        match &words[..] {
            ["cargo", "run", "--bin", binary, rest @ ..]
            | ["cargo", "run", "-p", "cloud", "--bin", binary, rest @ ..] => {
                assert!(binaries.contains(*binary), "{command}: no binary {binary}");
                if let ["--", sub, ..] = rest
                    && !sub.starts_with('-')
                {
                    let variant = format!("{}{}", sub[..1].to_uppercase(), &sub[1..]);
                    assert!(
                        help.contains(&format!("    {variant}")),
                        "{command}: no sub-command {sub}"
                    );
                }
                for flag in rest.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
                    let field = flag.trim_start_matches("--").replace('-', "_");
                    assert!(help.contains(&format!("{field}:")), "{command}: no flag {flag}");
                }
            }
            ["cargo", "xtask", ..] => {
                assert!(read(".cargo/config.toml").contains("xtask ="), "{command}: no alias");
            }
            ["cargo", "add", "composition", ..] | ["kind" | "git" | "cd", ..] => {}
            _ => panic!("README.md: nothing checks that `{command}` works"),
        }
        for word in words.iter().filter(|word| word.starts_with("examples/")) {
            assert!(root().join(word).exists(), "{command}: no {word}");
        }
    }
    assert!(seen >= 4, "{seen} commands");
}
