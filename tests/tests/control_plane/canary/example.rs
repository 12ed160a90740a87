//! What the example's binary prints and writes.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use xtask::control_plane::CONTEXT;

use super::Audience;
use crate::shared::control_plane;

#[test]
fn values_show_in_nothing_that_the_example_prints_or_writes() {
    control_plane();
    let mut audience = Audience::new();
    let home = tempfile::tempdir().unwrap();
    let example = example();
    let kubeconfig = control_plane().admin().kubeconfig().to_str().unwrap().to_owned();
    let plan = home.path().join("plan.json");
    let plan = plan.to_str().unwrap();
    let prefix = format!("namespace_prefix={}", audience.prefix);
    // No backup: nobody here tells that Velero has reached its store.
    let config = home.path().join("canary.yaml");
    let text = "name: ml-platform\nenvironment: local\nprovider: kubernetes\n\
                database: {}\ncache: {}\nstorage: { buckets: [{ name: datasets }] }\nsecurity: {}\n";
    std::fs::write(&config, text).unwrap();
    let config = ["--config", config.to_str().unwrap()].map(str::to_owned);
    let cluster = ["--kubeconfig", &kubeconfig, "--context", CONTEXT];
    let here = |words: &[&str]| -> Vec<String> { words.iter().chain(&cluster).map(|&word| word.to_owned()).collect() };
    let this = |words: &[&str]| [here(words), config.to_vec(), vec!["--set".to_owned(), prefix.clone()]].concat();
    for (code, arguments) in [
        (2, this(&["plan", "--out", plan])),
        (0, here(&["apply", plan, "--yes"])),
        (0, this(&["apply", "--yes", "--output", "json"])),
        (0, this(&["outputs"])),
        (0, this(&["config", "--explain"])),
        (0, this(&["plan", "--out", plan, "--output", "json"])),
        (
            0,
            [vec!["apply".to_owned(), "--yes".to_owned()], config.to_vec()].concat(),
        ),
        (
            1,
            [this(&["apply"]), vec!["--adopt".to_owned(), "Secret/a/b".to_owned()]].concat(),
        ),
        (0, this(&["destroy", "--yes"])),
    ] {
        if arguments[0] == "destroy" {
            audience.learn();
        }
        let output = Command::new(&example)
            .args(&arguments)
            .current_dir(workspace())
            .env_clear()
            .env("HOME", home.path())
            .env("RUST_LOG", "trace")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{text}");
        audience
            .shown
            .text(&format!("what {arguments:?} prints"), text.as_bytes());
    }
    audience.learn();
    let mut files = Vec::new();
    files_in(home.path(), &mut files);
    let names: Vec<_> = files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
    assert!(
        names.contains(&"plan.json") && names.contains(&"world.json"),
        "{names:?}"
    );
    for file in &files {
        audience
            .shown
            .text(&file.display().to_string(), std::fs::read(file).unwrap());
    }
    println!("{} values looked for in {names:?}", audience.canary.values());
    assert!(audience.canary.values() > 10);
    audience.check();
}

fn files_in(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_in(&path, files);
        } else {
            files.push(path);
        }
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The example's binary as it is now: its own tests build it with the features that this build has.
fn example() -> PathBuf {
    let built = xtask::cargo::command()
        .args([
            "test",
            "--quiet",
            "--offline",
            "--workspace",
            "--test",
            "cli",
            "--no-run",
        ])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let this = std::env::current_exe().unwrap();
    this.ancestors().nth(2).unwrap().join("local")
}
