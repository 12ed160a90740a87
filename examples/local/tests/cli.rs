//! The binary as people and pipelines use it, each run a process of its own on one world file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of its own with a world in it; removed at the end.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the binary on this desk's world; nothing of the machine reaches it.
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_local"))
            .args(arguments)
            .arg("--world")
            .arg(self.path("world.json"))
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
            .env_clear()
            .env("HOME", self.folder.path())
            .output()
            .unwrap()
    }

    /// Runs and checks the exit code; returns what it printed.
    fn expect(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}\n{err}");
        out + &err
    }

    fn world(&self) -> String {
        std::fs::read_to_string(self.path("world.json")).unwrap()
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_platform_from_nothing_to_nothing_left() {
    let desk = Desk::new();
    desk.expect(2, &["plan"]);
    desk.expect(1, &["outputs"]);

    let first = desk.expect(0, &[]);
    for part in [
        "+ create",
        "SIMULATED",
        "done in",
        "postgres.database.svc:5432",
        "grafana = http://prometheus-grafana.monitoring.svc",
        "Next:",
    ] {
        assert!(first.contains(part), "{part} is missing in\n{first}");
    }
    let settled = desk.world();
    let second = desk.expect(0, &[]);
    assert!(second.contains("Nothing to change"), "{second}");
    assert_eq!(desk.world(), settled, "a second apply writes nothing");
    desk.expect(0, &["plan"]);
    desk.expect(0, &["drift"]);

    let grow = desk.expect(2, &["plan", "--set", "database.storage=20Gi"]);
    assert!(grow.contains("! grow") && grow.contains("10Gi -> 20Gi"), "{grow}");

    let destroyed = desk.expect(0, &["destroy"]);
    for part in ["= keep", "HOLDS DATA", "sweep: nothing left but what is kept"] {
        assert!(destroyed.contains(part), "{part} is missing in\n{destroyed}");
    }
    desk.expect(1, &["outputs"]);
    let again = desk.expect(0, &["apply"]);
    assert!(
        again.contains("< adopt     PersistentVolumeClaim database/data-postgres-0"),
        "{again}"
    );
    assert!(
        again.contains("< adopt     Secret database/postgres-credentials"),
        "{again}"
    );
}

#[test]
fn a_plan_file_is_applied_as_it_is_or_refused() {
    let desk = Desk::new();
    desk.expect(0, &["apply"]);
    let file = desk.path("plan.json");
    let file = file.to_str().unwrap();
    desk.expect(2, &["plan", "--out", file, "--set", "cache.memory=512Mi"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // The world moves on: what the file says is no longer what would happen.
    desk.expect(0, &["apply", "--set", "cache.memory=1Gi"]);
    let refused = desk.expect(3, &["apply", file]);
    assert!(refused.contains("changed since the plan"), "{refused}");
    assert!(
        refused.contains("planned just now") || refused.contains(" s ago"),
        "{refused}"
    );
    // Back to where the plan was made, it applies, and applied twice it does nothing more.
    desk.expect(0, &["apply"]);
    let applied = desk.expect(0, &["apply", file]);
    assert!(
        applied.contains("redis.cache.svc:6379"),
        "outputs end the run: {applied}"
    );
    let settled = desk.world();
    desk.expect(0, &["apply", file]);
    assert_eq!(desk.world(), settled);
    desk.expect(0, &["plan", "--set", "cache.memory=512Mi"]);
    desk.expect(1, &["apply", file, "--set", "cache.memory=1Gi"]);
    std::fs::write(file, "{\"schema\": 99}").unwrap();
    desk.expect(1, &["apply", file]);
}

#[test]
fn a_plan_file_asks_for_the_approvals_of_its_environment() {
    let desk = Desk::new();
    let (config, file) = (desk.path("platform.yaml"), desk.path("plan.json"));
    let (config, file) = (config.to_str().unwrap(), file.to_str().unwrap());
    // Only the environment differs: a restart is free on a laptop, not in staging.
    for (environment, code, ended) in [("local", 2, 0), ("staging", 4, 4)] {
        let text =
            format!("name: demo\nenvironment: {environment}\nprovider: kubernetes\ncache: {{}}\nsecurity: {{}}\n");
        std::fs::write(config, text).unwrap();
        desk.expect(0, &["apply", "--config", config]);
        let change = ["plan", "--config", config, "--set", "cache.memory=2Gi", "--out", file];
        let planned = desk.expect(code, &change);
        assert!(planned.contains(&format!("apply {file} --world")), "{planned}");
        desk.expect(ended, &["apply", file]);
        desk.expect(0, &["apply", file, "--accept", "downtime"]);
        desk.expect(0, &["plan", "--config", config, "--set", "cache.memory=2Gi"]);
        let destroy = ["plan", "--config", config, "--destroy", "--out", file];
        desk.expect(2, &destroy);
        let destroyed = desk.expect(0, &["apply", file]);
        assert!(
            destroyed.contains("sweep: nothing left but what is kept"),
            "{destroyed}"
        );
        std::fs::remove_file(desk.path("world.json")).unwrap();
    }
}

#[test]
fn one_run_at_a_time_has_the_world() {
    let desk = Desk::new();
    let lock = std::fs::File::create(desk.path("world.json.lock")).unwrap();
    lock.lock().unwrap();
    let refused = desk.expect(3, &["apply"]);
    assert!(
        refused.contains("in use by another run") && refused.contains("--wait 60s"),
        "{refused}"
    );
    let waiting = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        drop(lock);
    });
    desk.expect(0, &["apply", "--wait", "60s"]);
    waiting.join().unwrap();
}

#[test]
fn data_goes_only_with_its_token() {
    let desk = Desk::new();
    desk.expect(0, &["apply"]);
    let plan = desk.run(&[
        "destroy",
        "--output",
        "json",
        "--approve",
        "destroys-data:PersistentVolumeClaim/database/data-postgres-0@wrong",
    ]);
    assert_eq!(plan.status.code(), Some(1));
    let plan = &lines(&String::from_utf8(plan.stdout).unwrap())[0];
    let token = plan["demands"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|demand| demand["token"].as_str())
        .find(|token| token.contains("PersistentVolumeClaim/database/data-postgres-0"))
        .unwrap()
        .to_owned();
    // The plan that printed the token is not the plan of the next run, but the object and its uid are.
    let destroyed = desk.expect(0, &["destroy", "--approve", &token]);
    let kept = destroyed.split("kept:").last().unwrap();
    assert!(
        !kept.contains("PersistentVolumeClaim database/data-postgres-0"),
        "{kept}"
    );
    assert!(kept.contains("PersistentVolumeClaim storage/data-minio-0"), "{kept}");
}

#[test]
fn programs_read_documents() {
    let desk = Desk::new();
    let plan = desk.expect(2, &["plan", "--output", "json"]);
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(
        (&plan["document"], &plan["schema"]),
        (&Value::from("plan"), &Value::from(1))
    );
    assert_eq!(plan["simulated"], true);
    assert_eq!(plan["policy"]["risks"].as_array().unwrap().len(), 4);
    let config: Value = serde_json::from_str(&desk.expect(0, &["config", "--output", "json"])).unwrap();
    assert_eq!(
        (&config["database"]["version"], &config["database"]["max_connections"]),
        (&"17".into(), &200.into())
    );
    let rights: Value = serde_json::from_str(&desk.expect(0, &["rights"])).unwrap();
    assert_eq!(rights[0]["kind"], "ClusterRole");
    let stream = lines(&desk.expect(0, &["apply", "--output", "json"]));
    assert!(stream.iter().all(|line| line["simulated"] == true));
    let steps = plan["steps"].as_array().unwrap().len();
    let done = stream.iter().filter(|line| line["event"] == "done").count();
    assert_eq!(done, steps, "every step ends with an event");
    let report = stream.iter().find(|line| line["document"] == "report").unwrap();
    assert_eq!(
        (&report["success"], report["counts"]["done"].as_u64()),
        (&Value::Bool(true), Some(steps as u64))
    );
    let outputs = stream.last().unwrap();
    assert_eq!(outputs["database"]["port"], 5432);
    assert!(
        outputs["database"]["credentials"]["location"]
            .as_str()
            .unwrap()
            .starts_with("Secret ")
    );
}

#[test]
fn wrong_usage_says_what_to_write() {
    let desk = Desk::new();
    let cases: &[(&[&str], &str)] = &[
        (&["apply", "--accept", "everything"], "known are destroys-data"),
        (&["apply", "--wait", "5"], "such as 30d"),
        (
            &["plan", "--adopt", "ConfigMap/database/absent"],
            "asks for no such object",
        ),
        (
            &["plan", "--destroy", "--only", "cache"],
            "take its block out of the config",
        ),
        (&["config", "--explain", "--output", "json"], "leave --output json out"),
        (&["plan", "--only", "databse"], "known are database"),
        (
            &["plan", "--only", "monitoring", "--set", "monitoring=null"],
            "add a `monitoring:` block",
        ),
        (&["plan", "--set", "database.storage=10G"], "write 10Gi (10.7 GB)"),
        (&["plan", "--config", "absent.yaml"], "absent.yaml"),
        (&["plan", "--adopt", "ConfigMap"], "KIND/NAMESPACE/NAME"),
        (&["destroy", "--only", "cache"], "take its block out of the config"),
        (&["apply", "--approve", "nonsense"], "copy one from the plan"),
        (&["apply", "absent.json"], "absent.json"),
        (&["plan", "--context", "kind-ml-platform"], "choose one"),
        (&["frobnicate"], "unrecognized"),
    ];
    for (arguments, text) in cases {
        let shown = desk.expect(1, arguments);
        assert!(shown.contains(text), "{arguments:?} says\n{shown}");
    }
    desk.expect(0, &["--help"]);
}

#[test]
fn a_real_cluster_is_named_never_guessed() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path(".kube")).unwrap();
    std::fs::write(
        desk.path(".kube/config"),
        "apiVersion: v1\nkind: Config\ncurrent-context: prod\n",
    )
    .unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_local"))
            .args(arguments)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
            .env_clear()
            .env("HOME", desk.folder.path())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // Without --context it is the embedded world in the user's state folder, whatever the kubeconfig says.
    assert_eq!(run(&["plan"]).0, Some(2));
    let (code, error) = run(&["plan", "--kubeconfig", "k"]);
    assert!(code == Some(1) && error.contains("needs --context"), "{error}");
    let (code, error) = run(&["plan", "--context", "absent"]);
    assert!(code == Some(1) && error.contains("absent"), "{error}");
}

#[test]
fn backups_are_taken_and_proved() {
    let desk = Desk::new();
    desk.expect(0, &["apply"]);
    let settled = desk.expect(2, &["backup", "status"]);
    for part in ["there is no good backup", "never: no backup was restored yet"] {
        assert!(settled.contains(part), "{part} is missing in\n{settled}");
    }
    assert!(desk.expect(0, &["backup", "list"]).contains("none yet"));
    desk.expect(1, &["backup", "drill"]);
    let taken = desk.expect(0, &["backup", "run"]);
    assert!(taken.contains("is complete"), "{taken}");
    let list = lines(&desk.expect(0, &["backup", "list", "--output", "json"]));
    let name = list[0]["backups"][0]["name"].as_str().unwrap();
    assert_eq!(list[0]["simulated"], true);
    assert_eq!(list[0]["backups"][0]["state"], "complete");
    let status = desk.expect(0, &["backup", "status"]);
    assert!(status.contains(name) && status.contains("unproved"), "{status}");

    let drill = desk.expect(0, &["backup", "drill"]);
    for part in ["is proved: RPO", "database: every table", "cache:", "storage:"] {
        assert!(drill.contains(part), "{part} is missing in\n{drill}");
    }
    let status = lines(&desk.expect(0, &["backup", "status", "--output", "json"]));
    assert_eq!(status[0]["last_proof"]["backup"], name);
    assert_eq!(status[0]["problems"], serde_json::json!([]));
    desk.expect(0, &["backup", "drill", name]);
    // Neither the backup nor the proof is the platform's to remove, and a drill leaves nothing else.
    desk.expect(0, &["plan"]);
    assert!(
        !desk.world().contains("Namespace/backup-drill"),
        "the drill's namespace is gone"
    );
    let refused = desk.expect(3, &["backup", "restore", name]);
    assert!(refused.contains("still stands"), "{refused}");
    desk.expect(1, &["backup", "restore", "nothing"]);
}

#[test]
fn backups_end_with_an_approval_unless_everything_does() {
    let desk = Desk::new();
    desk.expect(0, &["apply"]);
    let without = ["--set", "backup=null"];
    let with = |arguments: &[&'static str]| [arguments, &without[..]].concat();
    let planned = desk.expect(4, &with(&["plan"]));
    let token = planned
        .split_whitespace()
        .find(|word| word.starts_with("lowers-protection:Schedule/backup/ml-platform@"))
        .unwrap_or_else(|| panic!("{planned}"))
        .to_owned();
    assert!(planned.contains("data is less protected afterwards"), "{planned}");
    let settled = desk.world();
    desk.expect(4, &with(&["apply"]));
    desk.expect(4, &with(&["apply", "--accept", "exposes"]));
    assert_eq!(desk.world(), settled, "a refused apply writes nothing");
    let mut approved = with(&["apply", "--approve"])
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    approved.insert(2, token);
    desk.expect(0, &approved.iter().map(String::as_str).collect::<Vec<_>>());
    desk.expect(0, &with(&["plan"]));
    // Wanted again, they come back: only that Prometheus may read Velero is asked about. A destroy asks nothing.
    desk.expect(0, &["apply", "--accept", "exposes"]);
    desk.expect(0, &["destroy"]);
}

/// A change goes to prod as staging ran it, or is told apart from it; an apply refuses what staging did not run.
#[test]
fn a_plan_is_promoted_from_another_environment() {
    let (staging, prod) = (Desk::new(), Desk::new());
    let write = |desk: &Desk, environment: &str, blocks: &str| {
        let config = desk.path("platform.yaml");
        let text = format!("name: demo\nenvironment: {environment}\nprovider: kubernetes\nsecurity: {{}}\n{blocks}");
        std::fs::write(&config, text).unwrap();
        config.to_str().unwrap().to_owned()
    };
    let file = staging.path("plan.json");
    let file = file.to_str().unwrap();
    let there = write(&staging, "staging", "cache: { version: \"8\", storage: 5Gi }\n");
    let here = write(
        &prod,
        "prod",
        "namespace_prefix: shop-\ncache: { version: \"8\", storage: 50Gi }\n",
    );
    staging.expect(0, &["apply", "--config", &there]);
    prod.expect(0, &["apply", "--config", &here]);

    let newer = ["--set", "cache.version=\"9\"", "--accept", "downtime"];
    let with = |command: &str, rest: &[&str]| -> Vec<String> {
        let all = std::iter::once(&command).chain(rest).chain(&newer);
        all.map(|text| (*text).to_owned()).collect()
    };
    let run = |desk: &Desk, code: i32, arguments: Vec<String>| {
        desk.expect(code, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    run(
        &staging,
        2,
        with(
            "plan",
            &["--config", &there, "--out", file, "--set", "cache.storage=8Gi"],
        ),
    );
    staging.expect(0, &["apply", file, "--accept", "downtime"]);
    let same = [
        "--config",
        &here,
        "--promoted-from",
        file,
        "--set",
        "cache.storage=80Gi",
    ];
    let told = run(&prod, 2, with("plan", &same));
    assert!(told.contains("the same effects as the plan of demo-staging-"), "{told}");
    assert!(told.contains("50Gi -> 80Gi, there 5Gi -> 8Gi"), "{told}");

    let more = [
        &same[..],
        &["--set", "cache.replicas=1", "--set", "database.storage=9Gi"],
    ]
    .concat();
    let told = run(&prod, 6, with("plan", &more));
    assert!(
        told.contains("only here") && told.contains("+ create    StatefulSet shop-database/postgres"),
        "{told}"
    );
    let document = run(&prod, 6, with("plan", &[&more[..], &["--output", "json"]].concat()));
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["promotion"]["same"], false);
    assert!(document["promotion"]["extras"].as_u64().unwrap() > 5);
    let settled = prod.world();
    let refused = run(&prod, 3, with("apply", &more));
    assert!(refused.contains("first") && prod.world() == settled, "{refused}");
    run(&prod, 0, with("apply", &same));
    let nothing = run(&prod, 0, with("plan", &same));
    assert!(nothing.contains("only there"), "{nothing}");
}
