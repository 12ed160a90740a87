//! Programs built from Go modules that are pinned in `xtask/go`, in the cache folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::cache::{self, FileLock};

/// One Go module of ours whose only purpose is to pin a product.
pub(crate) struct Product {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) go_mod: &'static str,
    pub(crate) go_sum: &'static str,
    /// (package, name of the binary)
    pub(crate) packages: &'static [(&'static str, &'static str)],
    /// packages whose version variables are set at link time
    pub(crate) stamps: &'static [&'static str],
    /// further variables that are set at link time
    pub(crate) sets: &'static [(&'static str, &'static str)],
}

impl Product {
    /// The folder of the finished binaries; its name holds everything that can change them.
    ///
    /// Builds them if they are missing. Two calls at once, also from two processes, build once.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        let go = go_version()?;
        let home = cache::root()?.join("go");
        fs::create_dir_all(&home).with_context(|| format!("make {}", home.display()))?;
        let folder = home.join(format!("{}-{}-{}", self.name, self.version, self.digest(&go)));
        if folder.is_dir() {
            return Ok(folder);
        }
        let _lock = FileLock::wait(&home.join(format!("{}.lock", self.name)))?;
        if !folder.is_dir() {
            self.compile(&home, &folder)?;
        }
        Ok(folder)
    }

    fn digest(&self, go: &str) -> String {
        let mut hash = Sha256::new();
        for part in [go, self.go_mod, self.go_sum, &self.link_flags()] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        for (package, binary) in self.packages {
            hash.update(package);
            hash.update(binary);
        }
        let digest = hash.finalize();
        digest
            .iter()
            .take(6)
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }

    fn link_flags(&self) -> String {
        let mut flags = vec![String::from("-s -w")];
        let mut numbers = self.version.split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        for package in self.stamps {
            for (name, value) in [
                ("gitVersion", format!("v{}", self.version).as_str()),
                ("gitMajor", major),
                ("gitMinor", minor),
                ("gitTreeState", "clean"),
                ("gitCommit", "unknown"),
                ("buildDate", "1970-01-01T00:00:00Z"),
            ] {
                flags.push(format!("-X {package}.{name}={value}"));
            }
        }
        flags.extend(
            self.sets
                .iter()
                .map(|(variable, value)| format!("-X {variable}={value}")),
        );
        flags.join(" ")
    }

    fn compile(&self, home: &Path, folder: &Path) -> Result<()> {
        eprintln!(
            "building {} {} from its Go modules (once; minutes)",
            self.name, self.version
        );
        let began = Instant::now();
        let stage = home.join(format!(".{}-{}", self.name, process::id()));
        let bin = stage.join("bin");
        fs::create_dir_all(&bin).with_context(|| format!("make {}", bin.display()))?;
        fs::write(stage.join("go.mod"), self.go_mod)?;
        fs::write(stage.join("go.sum"), self.go_sum)?;
        let outcome = self.go_build(&stage, &bin);
        let finished = outcome.and_then(|()| {
            fs::rename(&bin, folder).with_context(|| format!("move the binaries to {}", folder.display()))
        });
        // whatever happened, the stage is of no further use
        let removed = fs::remove_dir_all(&stage);
        finished?;
        removed.with_context(|| format!("remove {}", stage.display()))?;
        eprintln!("built {} {} in {:.0?}", self.name, self.version, began.elapsed());
        Ok(())
    }

    fn go_build(&self, stage: &Path, bin: &Path) -> Result<()> {
        let mut go = Command::new("go");
        go.current_dir(stage)
            .env("CGO_ENABLED", "0")
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-mod=readonly -buildvcs=false -trimpath")
            .env("GOWORK", "off")
            .args(["build", "-ldflags", &self.link_flags(), "-o"]);
        // `go build` names a binary after its package; a product of one package may be called otherwise
        match self.packages {
            [(package, binary)] => go.arg(bin.join(binary)).arg(package),
            packages => go
                .arg(format!("{}/", bin.display()))
                .args(packages.iter().map(|(package, _)| package)),
        };
        let status = go.status().context("start go")?;
        if !status.success() {
            bail!("building {} {} failed ({status})", self.name, self.version);
        }
        Ok(())
    }
}

fn go_version() -> Result<String> {
    let output = Command::new("go")
        .args(["env", "GOVERSION"])
        .env("GOTOOLCHAIN", "local")
        .output()
        .context(
            "the Go toolchain is needed to build the peers of the tests: install Go 1.26 or newer and put `go` into PATH",
        )?;
    if !output.status.success() {
        bail!(
            "`go env GOVERSION` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
