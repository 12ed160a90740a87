//! A world that this version of the library, or an earlier one, has made: the next version plans nothing on it.
//!
//! `tests/corpus/golden/<version>.json` holds the config and the world after it was applied. A change of what is made
//! of the same config is a change on everybody's platform. If it is meant, list its lines under `intended` in the files
//! of released versions, and make the present version's file anew:
//! `MLPLAT_GOLDEN=renew cargo test -p platform-tests --test world golden`.

use crate::platform::{EXAMPLE, empty, request};
use crate::stage::{LAG, nothing};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::path::PathBuf;

pub(crate) fn trials() -> Vec<Trial> {
    vec![crate::trial(
        "golden::worlds_of_this_and_earlier_versions_stay_as_they_are",
        stay,
    )]
}

fn stay() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus/golden");
    let present = folder.join(format!("{}.json", env!("CARGO_PKG_VERSION")));
    if std::env::var("MLPLAT_GOLDEN").is_ok_and(|word| word == "renew") {
        let stage = empty();
        stage.settle(&request(EXAMPLE), &nothing).unwrap();
        stage.clock.advance(LAG.window);
        let world: Value = serde_json::from_slice(&stage.world.snapshot().unwrap()).unwrap();
        let golden = json!({ "config": EXAMPLE, "intended": [], "world": world });
        let text = serde_json::to_string_pretty(&golden).unwrap();
        std::fs::write(&present, format!("{text}\n")).unwrap();
    }
    assert!(present.is_file(), "this version has no golden world yet: {HOW}");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        let golden: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let config = golden["config"].as_str().unwrap();
        let stage = empty();
        stage
            .world
            .restore(&serde_json::to_vec(&golden["world"]).unwrap())
            .unwrap();
        stage.clock.advance(LAG.window);
        let plan = stage.plan(&request(config)).unwrap();
        assert!(plan.steps.len() > 50, "{}", file.display());
        let mut found: Vec<String> = plan
            .changes()
            .map(|step| {
                let paths: Vec<String> = step.changes.iter().map(|change| change.path.to_string()).collect();
                format!("{:?} {} {}", step.action, step.id.label(), paths.join(" "))
                    .trim_end()
                    .to_owned()
            })
            .collect();
        found.sort();
        let intended: Vec<&str> = golden["intended"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(found, intended, "{}: {HOW}", file.display());
    }
}

const HOW: &str = "see tests/tests/world/golden.rs for how to list an intended change and how to renew";
