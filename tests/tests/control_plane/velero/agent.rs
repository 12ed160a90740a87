//! The agents on nodes, played: they tell Velero that volumes were copied, or whatever else a test wants them to tell.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use platform_tests::client::{items, merge_patch};
use serde_json::json;

use crate::shared::api;

/// What becomes of the volumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Copies {
    #[default]
    Whole,
    Empty,
    Failing,
}

/// Tells until it is dropped.
#[derive(Debug)]
pub(crate) struct Agents {
    copies: Arc<Mutex<Copies>>,
    task: tokio::task::JoinHandle<()>,
}

impl Agents {
    pub(crate) fn start(namespace: &str) -> Self {
        let copies = Arc::new(Mutex::new(Copies::default()));
        let task = tokio::spawn(play(namespace.to_owned(), Arc::clone(&copies)));
        Self { copies, task }
    }

    pub(crate) fn set(&self, copies: Copies) {
        *self.copies.lock().unwrap() = copies;
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn play(namespace: String, copies: Arc<Mutex<Copies>>) {
    let api = api().await;
    let folder = format!("/apis/velero.io/v1/namespaces/{namespace}");
    loop {
        for kind in ["podvolumebackups", "podvolumerestores"] {
            for one in items(&api, &format!("{folder}/{kind}")).await {
                let phase = one["status"]["phase"].as_str().unwrap_or_default();
                if matches!(phase, "Completed" | "Failed" | "Canceled") {
                    continue;
                }
                let copies = *copies.lock().unwrap();
                let copies = if kind == "podvolumebackups" {
                    copies
                } else {
                    Copies::Whole
                };
                let path = format!("{folder}/{kind}/{}", one["metadata"]["name"].as_str().unwrap());
                tell(&api, &path, copies).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn tell(api: &kube::Client, path: &str, copies: Copies) {
    let now = platform_core::value::Clock::now(&platform_core::value::SystemClock::new()).to_string();
    let (phase, message, done, total) = match copies {
        Copies::Whole => ("Completed", "", 5, 5),
        Copies::Empty => ("Completed", "", 0, 0),
        Copies::Failing => ("Failed", "data path backup failed: no space left on device", 3, 5),
    };
    let status = json!({ "status": {
        "phase": phase, "message": message, "snapshotID": "played", "path": "/host_pods/played",
        "startTimestamp": now, "completionTimestamp": now,
        "progress": { "bytesDone": done, "totalBytes": total },
    }});
    // it may just have gone
    let _ = merge_patch(api, path, &status).await;
}
