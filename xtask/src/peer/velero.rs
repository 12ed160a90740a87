//! Velero, its plugin for S3, and an S3 server that keeps every object as a plain file, from pinned Go modules.

use std::path::PathBuf;

use anyhow::Result;

use crate::product::Product;

/// The programs of a backup and its restore.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VeleroPrograms {
    /// Velero, of the version that the image catalogue names.
    pub velero: PathBuf,
    /// The folder that holds the plugin and nothing else: Velero runs whatever lies there.
    pub plugins: PathBuf,
    /// versitygw.
    pub store: PathBuf,
}

const GO_MOD: &str = include_str!("../../go/velero/go.mod");
const GO_SUM: &str = include_str!("../../go/velero/go.sum");

const VELERO: Product = Product {
    name: "velero",
    version: "1.18.3",
    go_mod: GO_MOD,
    go_sum: GO_SUM,
    packages: &[("github.com/vmware-tanzu/velero/cmd/velero", "velero")],
    stamps: &[],
    sets: &[
        ("github.com/vmware-tanzu/velero/pkg/buildinfo.Version", "v1.18.3"),
        // a second set of metrics, on port 8080 of every address, that no flag switches off
        (
            "sigs.k8s.io/controller-runtime/pkg/metrics/server.DefaultBindAddress",
            "0",
        ),
    ],
};

/// From the same module as Velero, so that what both need is compiled once.
const PLUGIN: Product = Product {
    name: "velero-plugin-for-aws",
    version: "1.14.3",
    packages: &[(
        "github.com/vmware-tanzu/velero-plugin-for-aws/velero-plugin-for-aws",
        "velero-plugin-for-aws",
    )],
    sets: &[],
    ..VELERO
};

const STORE: Product = Product {
    name: "versitygw",
    version: "1.8.0",
    go_mod: include_str!("../../go/versitygw/go.mod"),
    go_sum: include_str!("../../go/versitygw/go.sum"),
    packages: &[("github.com/versity/versitygw/cmd/versitygw", "versitygw")],
    stamps: &[],
    sets: &[],
};

/// Builds what is missing, once.
///
/// # Errors
/// Go is absent, its module proxy does not serve a source, or a build failed; its output has gone to stderr.
pub fn velero() -> Result<VeleroPrograms> {
    Ok(VeleroPrograms {
        velero: VELERO.folder()?.join("velero"),
        plugins: PLUGIN.folder()?,
        store: STORE.folder()?.join("versitygw"),
    })
}
