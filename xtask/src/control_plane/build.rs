//! Builds the binaries of the control plane from Go modules pinned in `xtask/go`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::cache::{self, FileLock};

/// Kubernetes version that is built and that every binary reports.
pub const KUBERNETES_VERSION: &str = "1.36.3";
/// etcd version that is built.
pub const ETCD_VERSION: &str = "3.6.6";

/// Where the binaries of the control plane lie.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Binaries {
    /// etcd.
    pub etcd: PathBuf,
    /// kube-apiserver.
    pub apiserver: PathBuf,
    /// kube-controller-manager.
    pub controller_manager: PathBuf,
    /// kube-scheduler.
    pub scheduler: PathBuf,
    /// kubectl, the judge of what a person would see.
    pub kubectl: PathBuf,
}

/// One Go module of ours whose only purpose is to pin a product.
struct Product {
    name: &'static str,
    version: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
    /// (package, name of the binary)
    packages: &'static [(&'static str, &'static str)],
    /// packages whose version variables are set at link time
    stamps: &'static [&'static str],
}

const ETCD: Product = Product {
    name: "etcd",
    version: ETCD_VERSION,
    go_mod: include_str!("../../go/etcd/go.mod"),
    go_sum: include_str!("../../go/etcd/go.sum"),
    packages: &[("go.etcd.io/etcd/server/v3", "etcd")],
    stamps: &[],
};

const KUBERNETES: Product = Product {
    name: "kubernetes",
    version: KUBERNETES_VERSION,
    go_mod: include_str!("../../go/kubernetes/go.mod"),
    go_sum: include_str!("../../go/kubernetes/go.sum"),
    packages: &[
        ("k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"),
        (
            "k8s.io/kubernetes/cmd/kube-controller-manager",
            "kube-controller-manager",
        ),
        ("k8s.io/kubernetes/cmd/kube-scheduler", "kube-scheduler"),
        ("k8s.io/kubernetes/cmd/kubectl", "kubectl"),
    ],
    stamps: &["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"],
};

/// Builds what is missing in the cache folder and says where it lies.
///
/// Needs the Go toolchain (1.26) and, for the first build, the Go module proxy; about five minutes on two cores, then
/// some milliseconds. Two calls at once, also from two processes, build once.
///
/// # Errors
/// Go is absent or a build failed; its output has gone to stderr.
pub fn build() -> Result<Binaries> {
    let go = go_version()?;
    let etcd = ETCD.folder(&go)?;
    let kubernetes = KUBERNETES.folder(&go)?;
    Ok(Binaries {
        etcd: etcd.join("etcd"),
        apiserver: kubernetes.join("kube-apiserver"),
        controller_manager: kubernetes.join("kube-controller-manager"),
        scheduler: kubernetes.join("kube-scheduler"),
        kubectl: kubernetes.join("kubectl"),
    })
}

fn go_version() -> Result<String> {
    let output = Command::new("go")
        .args(["env", "GOVERSION"])
        .env("GOTOOLCHAIN", "local")
        .output()
        .context(
            "the Go toolchain is needed to build the control plane: install Go 1.26 or newer and put `go` into PATH",
        )?;
    if !output.status.success() {
        bail!(
            "`go env GOVERSION` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Product {
    /// The folder of the finished binaries; its name holds everything that can change them.
    fn folder(&self, go: &str) -> Result<PathBuf> {
        let home = cache::root()?.join("go");
        fs::create_dir_all(&home).with_context(|| format!("make {}", home.display()))?;
        let folder = home.join(format!("{}-{}-{}", self.name, self.version, self.digest(go)));
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
