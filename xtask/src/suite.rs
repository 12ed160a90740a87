//! `cargo xtask test`: every check of the project, stage by stage, each with its seconds.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, Write as _},
    iter,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::Value;
use xtask::{
    control_plane,
    peer::{self, Debian, Python},
};

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Format, lints, documentation
    Lint,
    /// Pure code, the simulated world and doc tests: needs no peer
    Unit,
    /// The real control plane, the AWS emulators, real servers
    Integration,
    /// Judges of what is rendered: schemas, policies
    Validate,
    /// Bans, licences and sources of the dependencies
    Security,
}

/// What a test binary needs to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    ControlPlane,
    Python(Python),
    Debian(Debian),
    ObjectStore,
    Exporters,
    IamSimulator,
    Velero,
}

/// A test binary, or the part of it that `filter` picks, that is more than unit tests.
struct Suite {
    name: &'static str,
    binary: &'static str,
    /// arguments to the binary
    filter: &'static [&'static str],
    part: Part,
    peers: &'static [Peer],
    /// it waits more than it works, so the others run beside it
    waits: bool,
}

impl Suite {
    fn command(&self) -> Command {
        // the same packages and so the same features as in the build: nothing is built again
        let mut command = cargo(&["test", "--workspace", "--test", self.binary, "--"]);
        command.args(self.filter);
        command
    }
}

/// Runs a command beside another and then shows what it printed; its name, its time, and the failure if there was one.
fn run_quietly(name: &'static str, mut command: Command) -> (&'static str, Duration, Option<String>) {
    let began = Instant::now();
    let failure = match command.output() {
        Ok(output) => {
            let mut all = io::stderr().lock();
            // who cannot be told is not helped by an error
            let _ = writeln!(all, "\n=== {name} ran beside it");
            let _ = all
                .write_all(&output.stdout)
                .and_then(|()| all.write_all(&output.stderr));
            (!output.status.success()).then(|| output.status.to_string())
        }
        Err(why) => Some(format!("start cargo: {why}")),
    };
    (name, began.elapsed(), failure)
}

fn documentation() -> Command {
    let mut command = cargo(&["doc", "--workspace", "--no-deps", "--quiet"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}

/// What is not named here needs no peer and is a unit test.
const SUITES: &[Suite] = &[
    Suite {
        name: "real control plane",
        binary: "control_plane",
        filter: &["--test-threads", "5"],
        part: Part::Integration,
        peers: &[Peer::ControlPlane, Peer::Exporters, Peer::Velero],
        waits: true,
    },
    Suite {
        name: "AWS provider on emulators",
        binary: "aws",
        filter: &[],
        part: Part::Integration,
        peers: &[Peer::Python(Python::Aws), Peer::IamSimulator],
        waits: false,
    },
    Suite {
        name: "blueprints",
        binary: "blueprints",
        filter: &[
            "--skip",
            "judges::",
            "--skip",
            "postgres::",
            "--skip",
            "redis::",
            "--skip",
            "buckets::",
            "--skip",
            "exporters::",
        ],
        part: Part::Unit,
        peers: &[],
        waits: false,
    },
    Suite {
        name: "scripts on real servers",
        binary: "blueprints",
        filter: &["postgres::", "redis::", "buckets::", "exporters::"],
        part: Part::Integration,
        peers: &[
            Peer::Debian(Debian::Postgres),
            Peer::Debian(Debian::Redis),
            Peer::ObjectStore,
            Peer::Debian(Debian::Prometheus),
            Peer::Debian(Debian::Alertmanager),
            Peer::Exporters,
            Peer::Debian(Debian::PostgresExporter),
            Peer::Debian(Debian::RedisExporter),
        ],
        waits: false,
    },
    Suite {
        name: "judges of the blueprints",
        binary: "blueprints",
        filter: &["judges::"],
        part: Part::Validate,
        peers: &[
            Peer::Python(Python::Judges),
            Peer::Debian(Debian::Prometheus),
            Peer::Debian(Debian::Alertmanager),
        ],
        waits: false,
    },
];

/// Variables that could lead a test to somebody's cluster or account.
const AMBIENT: [&str; 8] = [
    "KUBECONFIG",
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ENDPOINT_URL",
];

/// Runs the given parts, or all. Every stage runs even if an earlier one failed; a missing peer is a failure.
pub(crate) fn run(parts: &[Part]) -> Result<()> {
    let asked = |part: Part| parts.is_empty() || parts.contains(&part);
    let binaries = test_binaries()?;
    let mut stages = Stages::begin();
    if asked(Part::Lint) {
        stages.cargo("format", &["fmt", "--all", "--check"]);
        stages.cargo(
            "lints",
            &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        );
    }
    let suites: Vec<&Suite> = SUITES.iter().filter(|suite| asked(suite.part)).collect();
    let any = asked(Part::Unit) || !suites.is_empty();
    let built = any && stages.cargo("build of the tests", &["test", "--workspace", "--no-run"]);
    if built && asked(Part::Unit) {
        let has_suite = |name: &String| SUITES.iter().any(|suite| suite.binary == *name);
        let names = binaries
            .iter()
            .filter(|name| !has_suite(name))
            .flat_map(|name| ["--test", name]);
        let command: Vec<&str> = ["test", "--workspace", "--lib", "--bins"]
            .into_iter()
            .chain(names)
            .collect();
        stages.cargo("unit and world", &command);
        stages.cargo("doc tests", &["test", "--workspace", "--doc"]);
        stages.cargo(
            "growth with size",
            &["test", "--workspace", "--bench", "engine", "--", "--short"],
        );
    }
    let suites = suites.into_iter().filter(|_| built);
    let ready = suites.filter(|suite| {
        let mut peers = suite.peers.iter();
        peers.all(|peer| stages.run(&format!("peer {peer}"), || peer.ready()))
    });
    let (shown, beside): (Vec<&Suite>, Vec<&Suite>) = ready.partition(|suite| suite.waits);
    let documented = asked(Part::Lint).then(|| ("documentation", documentation()));
    let commands = beside.iter().map(|suite| (suite.name, suite.command()));
    let left: Mutex<VecDeque<_>> = Mutex::new(commands.chain(documented).collect());
    // Whoever is through takes the next.
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || -> Vec<_> {
        let commands = iter::from_fn(next);
        commands.map(|(name, command)| run_quietly(name, command)).collect()
    };
    thread::scope(|scope| {
        let beside = scope.spawn(work);
        for suite in shown {
            stages.run(suite.name, || succeed(&mut suite.command()));
        }
        let mut ended = work();
        let panicked = ("suites beside it", Duration::ZERO, Some("panicked".to_owned()));
        ended.extend(beside.join().unwrap_or_else(|_| vec![panicked]));
        for (name, time, failure) in ended {
            stages.end(name, time, failure);
        }
    });
    if asked(Part::Security) && stages.run("peer cargo-deny", deny_ready) {
        stages.dependencies();
    }
    stages.close()
}

/// Rewrites the committed JSON Schema of config files.
pub(crate) fn rewrite_schema() -> Result<()> {
    rewrite("config", "the_committed_schema_is_the_current_one", "UPDATE_SCHEMA")?;
    println!("composition/schema/platform.schema.json is current");
    Ok(())
}

/// Rewrites the documents that are made from the code.
pub(crate) fn rewrite_docs() -> Result<()> {
    rewrite(
        "architecture",
        "the_committed_differences_are_the_current_ones",
        "UPDATE_DOCS",
    )?;
    println!("docs/differences.md is current");
    Ok(())
}

/// The test that holds a file writes it: one place knows its text.
fn rewrite(suite: &str, test: &str, variable: &str) -> Result<()> {
    succeed(cargo(&["test", "--workspace", "--test", suite, test]).env(variable, "1"))
}

/// Prints the figures: an optimised build of the engine by size, then beside kubectl on the real control plane.
pub(crate) fn bench() -> Result<()> {
    let mut stages = Stages::begin();
    for (name, bench) in [("engine", "engine"), ("beside kubectl", "control_plane")] {
        stages.cargo(name, &["bench", "--package", "platform-tests", "--bench", bench]);
    }
    stages.close()
}

/// Makes every peer ready, for work without a network later.
pub(crate) fn make_peers_ready() -> Result<()> {
    let mut stages = Stages::begin();
    for peer in SUITES.iter().flat_map(|suite| suite.peers) {
        stages.run(&format!("peer {peer}"), || peer.ready());
    }
    stages.run("peer cargo-deny", deny_ready);
    stages.close()
}

/// The names of all test binaries in the workspace.
fn test_binaries() -> Result<Vec<String>> {
    let output = cargo(&["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let targets = packages
        .iter()
        .filter_map(|package| package["targets"].as_array())
        .flatten();
    Ok(targets
        .filter(|target| target["kind"] == serde_json::json!(["test"]))
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect())
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = xtask::cargo::command();
    command
        .current_dir(workspace())
        .args(arguments)
        .env("AWS_EC2_METADATA_DISABLED", "true");
    for name in AMBIENT {
        command.env_remove(name);
    }
    command
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_owned)
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ControlPlane => f.write_str("control plane"),
            Self::Python(Python::Aws) => f.write_str("AWS emulators"),
            Self::Python(_) => f.write_str("judges"),
            Self::Debian(package) => f.write_str(package.package()),
            Self::ObjectStore => f.write_str("S3 server"),
            Self::Exporters => f.write_str("exporters"),
            Self::IamSimulator => f.write_str("IAM simulator"),
            Self::Velero => f.write_str("Velero"),
        }
    }
}

impl Peer {
    fn ready(self) -> Result<()> {
        match self {
            Self::ControlPlane => control_plane::build().map(|_| ()),
            Self::Python(environment) => environment.programs().map(|_| ()),
            Self::Debian(package) => package.ready().map(|_| ()),
            Self::ObjectStore => peer::object_store().map(|_| ()),
            Self::Exporters => peer::exporters().map(|_| ()),
            Self::IamSimulator => peer::iam_simulator().map(|_| ()),
            Self::Velero => peer::velero().map(|_| ()),
        }
    }
}

/// The tool, and the sources that it looks at: those of other platforms too, which no build here needs.
fn deny_ready() -> Result<()> {
    succeed(&mut cargo(&["fetch", "--locked", "--quiet"]))?;
    peer::cargo_deny().map(|_| ())
}

/// The stages so far: what, how long, and the failure if there was one.
#[derive(Debug)]
struct Stages {
    began: Instant,
    done: Vec<(String, Duration, Option<String>)>,
}

impl Stages {
    fn begin() -> Self {
        Self {
            began: Instant::now(),
            done: Vec::new(),
        }
    }

    fn run(&mut self, name: &str, stage: impl FnOnce() -> Result<()>) -> bool {
        if self
            .done
            .iter()
            .any(|(done, _, failure)| done == name && failure.is_none())
        {
            return true;
        }
        eprintln!("\n=== {name}");
        let began = Instant::now();
        let failure = stage().err().map(|error| format!("{error:#}"));
        self.end(name, began.elapsed(), failure)
    }

    fn end(&mut self, name: &str, time: Duration, failure: Option<String>) -> bool {
        match &failure {
            None => eprintln!("=== {name}: ok, {:.1} s", time.as_secs_f64()),
            Some(failure) => eprintln!("=== {name}: FAILED after {:.1} s: {failure}", time.as_secs_f64()),
        }
        let passed = failure.is_none();
        self.done.push((name.to_owned(), time, failure));
        passed
    }

    fn cargo(&mut self, name: &str, arguments: &[&str]) -> bool {
        self.run(name, || succeed(&mut cargo(arguments)))
    }

    fn dependencies(&mut self) {
        self.run("dependencies", || {
            let mut deny = Command::new(peer::cargo_deny()?);
            succeed(
                deny.current_dir(workspace())
                    .args(["--offline", "check", "bans", "licenses", "sources"]),
            )
        });
    }

    fn close(self) -> Result<()> {
        eprintln!("\n{:>8}  stage", "seconds");
        for (name, time, failure) in &self.done {
            let mark = if failure.is_some() { "   FAILED" } else { "" };
            eprintln!("{:>8.1}  {name}{mark}", time.as_secs_f64());
        }
        eprintln!("{:>8.1}  in all", self.began.elapsed().as_secs_f64());
        let failed: Vec<&str> = self
            .done
            .iter()
            .filter(|stage| stage.2.is_some())
            .map(|stage| stage.0.as_str())
            .collect();
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().context("start cargo")?;
    if !status.success() {
        bail!("{status}");
    }
    Ok(())
}
