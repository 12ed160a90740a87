//! Nodes without machines: what a kubelet and a volume driver would report, reported at once.
//!
//! Pods become Ready, pods of a Job succeed, deleted pods go at once, claims of the class `fake` get a volume that can
//! grow. Nothing runs: no container, no log, no exec, no port. Tests steer single objects by the annotations named in
//! [`hook`].

mod api;
mod node;
mod pod;
mod volume;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use kube::Client;
use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use self::api::{Change, follow};

/// Annotations that steer the simulation. All are read again at every change of the object.
pub mod hook {
    /// On a pod, `"false"`: its containers run but are not ready.
    pub const READY: &str = "test.mlplat.dev/ready";
    /// On a pod, a number: its containers end with this exit code. Without it only pods of a Job end, with 0.
    pub const EXIT_CODE: &str = "test.mlplat.dev/exit-code";
    /// On a pod, milliseconds from its scheduling until its containers run, and again until those that end have ended.
    pub const DELAY_MS: &str = "test.mlplat.dev/delay-ms";
    /// On a pod, a reason such as `ImagePullBackOff`: its containers wait with that reason and never run.
    pub const WAITING: &str = "test.mlplat.dev/waiting";
    /// On a claim, `"false"`: it gets no volume and stays Pending, or does not grow.
    pub const PROVISION: &str = "test.mlplat.dev/provision";
}

/// Storage class of the simulated volumes: the default one, binds at once, can grow.
pub const STORAGE_CLASS: &str = "fake";
/// The same, but it binds when the first pod that uses the claim is scheduled, as Kind's default class does.
pub const LATE_STORAGE_CLASS: &str = "fake-late";

const HEARTBEAT: Duration = Duration::from_secs(10);
/// Before the next try of what failed, or may have.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Makes `nodes` Ready nodes and the storage classes, and returns the task that plays them.
///
/// The task runs until it is dropped; where the API server does not answer it tries again every 0.2 s.
///
/// # Errors
/// The API server refused the nodes or the classes.
pub async fn start(client: Client, nodes: u32) -> Result<impl Future<Output = ()> + Send + 'static> {
    volume::create_classes(&client).await?;
    for number in 1..=nodes {
        node::create(&client, &node::name(number)).await?;
    }
    Ok(run(client, nodes))
}

async fn run(client: Client, nodes: u32) {
    let complaints = Complaints::default();
    let heart = async {
        loop {
            for number in 1..=nodes {
                if let Err(error) = node::beat(&client, &node::name(number)).await {
                    complaints.print(&error);
                }
            }
            sleep(HEARTBEAT).await;
        }
    };
    let pods = objects(&client, "/api/v1/pods", &complaints, pod::Pods::default());
    let claims = objects(&client, "/api/v1/persistentvolumeclaims", &complaints, volume::Claims);
    let volumes = objects(&client, "/api/v1/persistentvolumes", &complaints, volume::Volumes);
    tokio::join!(heart, pods, claims, volumes);
}

/// Prints a failure once: a broken simulation must not look like a slow one.
#[derive(Debug, Default)]
struct Complaints {
    printed: Mutex<BTreeSet<String>>,
}

impl Complaints {
    fn print(&self, error: &anyhow::Error) {
        let text = format!("{error:#}");
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        if printed.len() < 50 && printed.insert(text.clone()) {
            eprintln!("fake kubelet: {text}");
        }
    }
}

/// What was done about one object.
#[derive(Debug, Default)]
struct Handled {
    /// The object as the server returned it, if it was written.
    now: Option<Value>,
    /// Look again after this time even if nothing changes.
    again: Option<Duration>,
}

/// What to do about one object, by its newest state.
trait Handler {
    /// Brings the object's reported state forward.
    async fn handle(&mut self, client: &Client, object: &Value) -> Result<Handled>;
}

async fn objects(client: &Client, collection: &str, complaints: &Complaints, mut handler: impl Handler) {
    let (sender, changes) = mpsc::unbounded_channel();
    let watched = follow(client, collection, sender);
    tokio::join!(watched, handle_all(client, changes, complaints, &mut handler));
}

/// Handles every change until nobody tells of any more.
async fn handle_all(
    client: &Client,
    mut changes: mpsc::UnboundedReceiver<Change>,
    complaints: &Complaints,
    handler: &mut impl Handler,
) {
    let mut newest: BTreeMap<String, Value> = BTreeMap::new();
    let mut again: BTreeMap<String, Instant> = BTreeMap::new();
    loop {
        let due = again.values().min().copied();
        let uids: Vec<String> = tokio::select! {
            change = changes.recv() => match change {
                Some(Change::Is(object)) => {
                    let uid = api::text(&object, "/metadata/uid").to_owned();
                    // the echo of our own write, or what came before it
                    if newest.get(&uid).is_some_and(|known| api::version(known) >= api::version(&object)) {
                        continue;
                    }
                    newest.insert(uid.clone(), object);
                    vec![uid]
                }
                Some(Change::Gone(uid)) => {
                    newest.remove(&uid);
                    again.remove(&uid);
                    continue;
                }
                Some(Change::Relisted(present)) => {
                    newest.retain(|uid, _| present.contains(uid));
                    again.retain(|uid, _| present.contains(uid));
                    continue;
                }
                None => return,
            },
            () = wait_until(due) => {
                let now = Instant::now();
                again.iter().filter(|(_, at)| **at <= now).map(|(uid, _)| uid.clone()).collect()
            }
        };
        for uid in uids {
            again.remove(&uid);
            let Some(object) = newest.get(&uid) else { continue };
            let done = handler.handle(client, object).await.unwrap_or_else(|error| {
                complaints.print(&error);
                Handled {
                    now: None,
                    again: Some(AFTER_FAILURE),
                }
            });
            if let Some(next) = done.again {
                again.insert(uid.clone(), Instant::now() + next);
            }
            if let Some(now) = done.now {
                // what others changed meanwhile, whose event is passed over like the echo
                if wished(&now) != wished(object) {
                    again.insert(uid.clone(), Instant::now());
                }
                newest.insert(uid, now);
            }
        }
    }
}

/// What a simulated node goes by and does not write itself.
fn wished(object: &Value) -> [&Value; 3] {
    let metadata = &object["metadata"];
    [
        &metadata["deletionTimestamp"],
        &metadata["annotations"],
        &object["spec"],
    ]
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(version: u32, deleted: bool) -> Value {
        let mut pod = json!({ "metadata": { "uid": "one", "resourceVersion": version.to_string() } });
        if deleted {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        pod
    }

    /// Answers the first look with an object that somebody deleted meanwhile, and tells how often it sees that.
    struct Meanwhile {
        looks: u32,
        deletions: u32,
    }

    impl Handler for Meanwhile {
        async fn handle(&mut self, _client: &Client, object: &Value) -> Result<Handled> {
            self.looks += 1;
            self.deletions += u32::from(object["metadata"]["deletionTimestamp"].is_string());
            Ok(Handled {
                now: (self.looks == 1).then(|| pod(3, true)),
                again: None,
            })
        }
    }

    #[tokio::test]
    async fn what_others_change_before_our_write_is_not_taken_for_its_echo() {
        let nowhere = kube::Config::new("http://127.0.0.1:1".parse().expect("an address"));
        let client = Client::try_from(nowhere).expect("a client");
        let (sender, changes) = mpsc::unbounded_channel();
        for object in [pod(1, false), pod(2, true), pod(3, true)] {
            assert!(sender.send(Change::Is(object)).is_ok());
        }
        let mut handler = Meanwhile { looks: 0, deletions: 0 };
        let complaints = Complaints::default();
        let handling = handle_all(&client, changes, &complaints, &mut handler);
        // the sender lives on, as a watch does
        tokio::time::timeout(Duration::from_millis(300), handling)
            .await
            .expect_err("nobody ended it");
        drop(sender);
        assert_eq!((handler.looks, handler.deletions), (2, 1));
    }
}
