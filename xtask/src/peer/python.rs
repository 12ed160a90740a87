//! Python environments with every version pinned.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail};
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
