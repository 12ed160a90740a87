//! What Velero would say, where pods are simulated.
#![allow(clippy::unwrap_used)]

use crate::client;
use kube::Client;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Says of each schedule and backup store of one namespace what Velero says of them when all is well.
#[derive(Debug)]
pub struct StandIn {
    ends: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl StandIn {
    /// Looks ten times a second, until [`StandIn::stop`].
    pub fn start(client: Client, namespace: String) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&ends);
        let task = tokio::spawn(async move {
            while !asked.load(Ordering::Relaxed) {
                for (plural, phase) in [("schedules", "Enabled"), ("backupstoragelocations", "Available")] {
                    say(&client, &namespace, plural, phase).await;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self { ends, task }
    }

    /// Ends when it has answered what it is at.
    pub async fn stop(self) {
        self.ends.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
    }
}

async fn say(client: &Client, namespace: &str, plural: &str, phase: &str) {
    let all = format!("/apis/velero.io/v1/namespaces/{namespace}/{plural}");
    for one in client::items(client, &all).await {
        if one["status"]["phase"] == phase {
            continue;
        }
        let path = format!("{all}/{}", one["metadata"]["name"].as_str().unwrap());
        // It may be gone meanwhile.
        let _ = client::merge_patch(client, &path, &json!({ "status": { "phase": phase } })).await;
    }
}
