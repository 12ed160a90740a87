//! Python environments with every version pinned.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::cache::{self, FileLock};

/// One environment; its requirements are the file of the same name in `xtask/python`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Python {
    /// The AWS emulators: `moto_server` and `ministack`; also `cfn-lint`, whose schemas are AWS's own.
    Aws,
    /// Judges of rendered objects: `checkov` and `kubernetes-validate`.
    Judges,
}

impl Python {
    fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Judges => "judges",
        }
    }

    fn requirements(self) -> &'static str {
        match self {
            Self::Aws => include_str!("../../python/aws.txt"),
            Self::Judges => include_str!("../../python/judges.txt"),
        }
    }

    /// The folder of the environment's programs (`moto_server`, `checkov`), after installing them if need be: one to
    /// two minutes the first time, nothing after.
    ///
    /// # Errors
    /// No Python 3.11 or newer with `venv`, or PyPI does not serve a package.
    pub fn programs(self) -> Result<PathBuf> {
        let python = interpreter()?;
        let mut hash = Sha256::new();
        hash.update(&python.version);
        hash.update(self.requirements());
        let digest = hash.finalize();
        let digest = digest
            .iter()
            .take(6)
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let home = cache::root()?.join("python");
        fs::create_dir_all(&home).with_context(|| format!("make {}", home.display()))?;
        let folder = home.join(format!("{}-{digest}", self.name()));
        // an environment cannot be moved, so it is built in place and a stamp says that it is whole
        let stamp = folder.join("complete");
        if !stamp.exists() {
            let _lock = FileLock::wait(&home.join(format!("{}.lock", self.name())))?;
            if !stamp.exists() {
                self.install(&python.program, &folder)?;
                fs::write(&stamp, "").with_context(|| format!("write {}", stamp.display()))?;
            }
        }
        Ok(folder.join("bin"))
    }

    /// What a script prints as JSON, asked with JSON on its standard input; it sees no environment variable.
    ///
    /// # Errors
    /// As [`Python::programs`]; the script fails, with what it said, or prints no JSON.
    pub fn ask(self, script: &str, question: &Value) -> Result<Value> {
        let mut child = Command::new(self.programs()?.join("python"))
            .args(["-c", script])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start Python")?;
        let mut input = child.stdin.take().context("no standard input")?;
        let question = question.to_string();
        // a script that reads nothing ends before it is asked
        let writer = thread::spawn(move || drop(input.write_all(question.as_bytes())));
        let output = child.wait_with_output().context("wait for Python")?;
        if !output.status.success() || writer.join().is_err() {
            bail!("the script failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        serde_json::from_slice(&output.stdout).context("read what the script printed")
    }

    fn install(self, python: &str, folder: &Path) -> Result<()> {
        eprintln!("installing the Python environment `{}` (once)", self.name());
        let began = Instant::now();
        run(Command::new(python).args(["-m", "venv", "--clear"]).arg(folder))?;
        let requirements = folder.join("requirements.txt");
        fs::write(&requirements, self.requirements())?;
        run(Command::new(folder.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--disable-pip-version-check",
                "--requirement",
            ])
            .arg(&requirements))?;
        // with --no-deps a forgotten requirement shows here, not in the middle of a test
        run(Command::new(folder.join("bin/python"))
            .args(["-m", "pip", "check"])
            .stdout(std::io::stderr()))?;
        eprintln!("installed `{}` in {:.0?}", self.name(), began.elapsed());
        Ok(())
    }
}

struct Interpreter {
    program: String,
    version: String,
}

fn interpreter() -> Result<Interpreter> {
    let program = String::from("python3");
    let script = "import sys; print(sys.version_info >= (3, 11), sys.version, sys.prefix)";
    let output = Command::new(&program)
        .args(["-c", script])
        .output()
        .context("Python 3.11 or newer is needed for the AWS emulators and the judges: put `python3` into PATH")?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !version.starts_with("True ") {
        bail!("Python 3.11 or newer is needed, `python3` is {version}");
    }
    Ok(Interpreter { program, version })
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{command:?} failed ({status})");
    }
    Ok(())
}
