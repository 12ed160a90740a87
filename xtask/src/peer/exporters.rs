//! Exporters of the very versions that the image catalogue names, from pinned Go modules.

use std::path::PathBuf;

use anyhow::Result;

use crate::product::Product;

/// What shows figures of a cluster and of a node.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exporters {
    /// kube-state-metrics 2.20.
    pub kube_state_metrics: PathBuf,
    /// node_exporter 1.12.
    pub node_exporter: PathBuf,
}

const EXPORTERS: Product = Product {
    name: "exporters",
    version: "2.20.0",
    go_mod: include_str!("../../go/exporters/go.mod"),
    go_sum: include_str!("../../go/exporters/go.sum"),
    packages: &[
        ("k8s.io/kube-state-metrics/v2", "kube-state-metrics"),
        ("github.com/prometheus/node_exporter", "node_exporter"),
    ],
    stamps: &[],
    sets: &[],
};

/// Builds them if they are missing, once.
///
/// # Errors
/// Go is absent, its module proxy does not serve a source, or a build failed; its output has gone to stderr.
pub fn exporters() -> Result<Exporters> {
    let folder = EXPORTERS.folder()?;
    Ok(Exporters {
        kube_state_metrics: folder.join("kube-state-metrics"),
        node_exporter: folder.join("node_exporter"),
    })
}
