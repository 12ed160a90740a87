//! Builds the binaries of the control plane from Go modules pinned in `xtask/go`.

use std::path::PathBuf;

use anyhow::Result;

use crate::product::Product;

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

const ETCD: Product = Product {
    name: "etcd",
    version: ETCD_VERSION,
    go_mod: include_str!("../../go/etcd/go.mod"),
    go_sum: include_str!("../../go/etcd/go.sum"),
    packages: &[("go.etcd.io/etcd/server/v3", "etcd")],
    stamps: &[],
    sets: &[],
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
    sets: &[],
};

/// Builds what is missing in the cache folder and says where it lies.
///
/// Needs the Go toolchain (1.26) and, for the first build, the Go module proxy; about five minutes on two cores, then
/// some milliseconds. Two calls at once, also from two processes, build once.
///
/// # Errors
/// Go is absent or a build failed; its output has gone to stderr.
pub fn build() -> Result<Binaries> {
    let etcd = ETCD.folder()?;
    let kubernetes = KUBERNETES.folder()?;
    Ok(Binaries {
        etcd: etcd.join("etcd"),
        apiserver: kubernetes.join("kube-apiserver"),
        controller_manager: kubernetes.join("kube-controller-manager"),
        scheduler: kubernetes.join("kube-scheduler"),
        kubectl: kubernetes.join("kubectl"),
    })
}
