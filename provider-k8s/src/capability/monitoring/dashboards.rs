//! What Grafana shows.

use super::{Watched, job};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Folder of the dashboards in Grafana's pod.
pub const FOLDER: &str = "/etc/grafana/dashboards";
/// Uid of the data source that every panel reads.
pub const DATA_SOURCE: &str = "prometheus";

/// The dashboards as files in [`FOLDER`]: name -> JSON.
pub fn files(_watched: &Watched<'_>) -> BTreeMap<String, String> {
    BTreeMap::new()
}

/// `provisioning/datasources/*.yaml`: the platform's Prometheus; none while monitoring's surface has no endpoint
/// `prometheus`.
pub fn data_sources(watched: &Watched<'_>) -> Value {
    let sources: Vec<Value> = watched
        .endpoint(job::PROMETHEUS)
        .map(|endpoint| {
            let scheme = if endpoint.tls { "https" } else { "http" };
            json!({
                "name": "Prometheus",
                "uid": DATA_SOURCE,
                "type": "prometheus",
                "access": "proxy",
                "url": format!("{scheme}://{}:{}", endpoint.host, endpoint.port),
                "isDefault": true,
                "editable": false,
                "jsonData": { "httpMethod": "POST", "timeInterval": "30s" },
            })
        })
        .into_iter()
        .collect();
    json!({ "apiVersion": 1, "datasources": sources })
}

/// `provisioning/dashboards/*.yaml`: reads [`FOLDER`].
pub fn provider(watched: &Watched<'_>) -> Value {
    json!({ "apiVersion": 1, "providers": [{
        "name": "platform",
        "folder": watched.context.name,
        "type": "file",
        "allowUiUpdates": false,
        "disableDeletion": true,
        "options": { "path": FOLDER },
    }]})
}
