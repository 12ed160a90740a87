//! An S3 server and its client from pinned Go modules.

use std::path::PathBuf;

use anyhow::Result;

use crate::product::Product;

/// MinIO's server and the client `mc` that the bucket Job runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ObjectStore {
    /// The server.
    pub minio: PathBuf,
    /// The client.
    pub mc: PathBuf,
}

/// The sources of what the image catalogue names: the module proxy has no release of either by its tag, so the server is
/// some months newer than its last image and the client some months older.
const OBJECT_STORE: Product = Product {
    name: "object-store",
    version: "20260212",
    go_mod: include_str!("../../go/object-store/go.mod"),
    go_sum: include_str!("../../go/object-store/go.sum"),
    packages: &[("github.com/minio/minio", "minio"), ("github.com/minio/mc", "mc")],
    stamps: &[],
    sets: &[],
};

/// Builds both if they are missing, once.
///
/// # Errors
/// Go is absent, its module proxy does not serve a source, or a build failed; its output has gone to stderr.
pub fn object_store() -> Result<ObjectStore> {
    let folder = OBJECT_STORE.folder()?;
    Ok(ObjectStore {
        minio: folder.join("minio"),
        mc: folder.join("mc"),
    })
}
