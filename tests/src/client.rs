//! A client that knows nothing of this project, for looking at an API server past the provider.
#![allow(clippy::unwrap_used)]

use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use std::path::Path;

/// For the current context of a kubeconfig, past every proxy of the environment.
pub async fn client(kubeconfig: &Path) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .unwrap();
    config.proxy_url = None;
    Client::try_from(config).unwrap()
}

/// What a list at this path shows now; nothing while its kind is not there or the server is busy with new ones.
pub async fn items(client: &Client, path: &str) -> Vec<Value> {
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    let mut list = client.request::<Value>(request).await.unwrap_or_default();
    match list["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

/// Merges this into the object, or the status, at a path.
///
/// # Errors
/// When the server refuses.
pub async fn merge_patch(client: &Client, path: &str, change: &Value) -> kube::Result<Value> {
    let request = http::Request::patch(path)
        .header("content-type", "application/merge-patch+json")
        .body(change.to_string().into_bytes())
        .unwrap();
    client.request(request).await
}
