//! Pods: from scheduled to running, ready, ended, gone.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};

use super::{
    AFTER_FAILURE, Handled, Handler,
    api::{annotation, delete, patch, text},
    hook, node,
};

/// A crashing container crashes again after this time, less up to a second: times in a status are whole seconds. A real
/// kubelet waits longer each time.
const CRASH_PERIOD: Duration = Duration::from_secs(2);

/// The pods of all nodes.
#[derive(Debug, Default)]
pub(super) struct Pods {
    addresses: u32,
}

impl Handler for Pods {
    async fn handle(&mut self, client: &Client, pod: &Value) -> Result<Handled> {
        if text(pod, "/spec/nodeName").is_empty() {
            return Ok(Handled::default());
        }
        let uid = text(pod, "/metadata/uid");
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}",
            text(pod, "/metadata/namespace"),
            text(pod, "/metadata/name")
        );
        if !text(pod, "/metadata/deletionTimestamp").is_empty() {
            delete(client, &path, uid).await?;
            // A conflict with somebody else's delete does not tell whether it is gone: its end does.
            return Ok(Handled {
                now: None,
                again: Some(AFTER_FAILURE),
            });
        }
        let address = if text(pod, "/status/podIP").is_empty() {
            self.addresses += 1;
            format!("10.244.{}.{}", self.addresses / 250 % 250, self.addresses % 250 + 1)
        } else {
            text(pod, "/status/podIP").to_owned()
        };
        let (status, again) = report(pod, Timestamp::now(), &address);
        let now = match status {
            Some(status) => patch(client, &format!("{path}/status"), uid, json!({ "status": status })).await?,
            None => None,
        };
        Ok(Handled { now, again })
    }
}

/// What its containers do, by its annotations and its owner.
#[derive(Debug, PartialEq)]
enum Play {
    Run { ready: bool },
    Wait { reason: String },
    End { code: i64 },
}

fn play(pod: &Value) -> Play {
    if let Some(reason) = annotation(pod, hook::WAITING) {
        return Play::Wait {
            reason: reason.to_owned(),
        };
    }
    if let Some(code) = annotation(pod, hook::EXIT_CODE).and_then(|code| code.parse().ok()) {
        return Play::End { code };
    }
    let owners = pod["metadata"]["ownerReferences"].as_array();
    if owners.is_some_and(|owners| owners.iter().any(|owner| owner["kind"] == "Job")) {
        return Play::End { code: 0 };
    }
    Play::Run {
        ready: annotation(pod, hook::READY) != Some("false"),
    }
}

/// The next status of a scheduled pod, if it is another than the present one, and when to look again.
fn report(pod: &Value, now: Timestamp, address: &str) -> (Option<Value>, Option<Duration>) {
    let phase = text(pod, "/status/phase");
    if phase == "Succeeded" || phase == "Failed" {
        return (None, None);
    }
    let delay = annotation(pod, hook::DELAY_MS)
        .and_then(|ms| ms.parse().ok())
        .map_or(Duration::ZERO, Duration::from_millis);
    let play = play(pod);
    let started = text(pod, "/status/startTime").parse::<Timestamp>().ok();
    let Some(started) = started else {
        // as a kubelet does first: the pod is taken note of, its containers are being created
        let waiting = match &play {
            Play::Wait { reason } => reason.as_str(),
            _ if delay.is_zero() => return running(pod, &play, now, now, address),
            _ => "ContainerCreating",
        };
        let state = json!({ "waiting": { "reason": waiting } });
        return (
            Some(status(pod, "Pending", now, address, &|_| {
                (false, 0, state.clone(), json!({}))
            })),
            Some(delay),
        );
    };
    match &play {
        Play::Wait { reason } => {
            let seen = text(pod, "/status/containerStatuses/0/state/waiting/reason");
            let state = json!({ "waiting": { "reason": reason } });
            let next = status(pod, "Pending", started, address, &|_| {
                (false, 0, state.clone(), json!({}))
            });
            ((seen != reason).then_some(next), None)
        }
        _ if phase == "Pending" => match left(started, delay, now) {
            Some(left) => (None, Some(left)),
            None => running(pod, &play, started, now, address),
        },
        Play::Run { ready } => {
            let seen = pod
                .pointer("/status/containerStatuses/0/ready")
                .and_then(Value::as_bool);
            if seen == Some(*ready) {
                (None, None)
            } else {
                running(pod, &play, started, now, address)
            }
        }
        Play::End { code } => ended(pod, *code, started, delay, now, address),
    }
}

fn left(since: Timestamp, delay: Duration, now: Timestamp) -> Option<Duration> {
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or(Duration::ZERO);
    delay.checked_sub(passed).filter(|left| !left.is_zero())
}

fn running(
    pod: &Value,
    play: &Play,
    started: Timestamp,
    now: Timestamp,
    address: &str,
) -> (Option<Value>, Option<Duration>) {
    let ready = !matches!(play, Play::Run { ready: false });
    let state = json!({ "running": { "startedAt": seconds(now) } });
    let next = status(pod, "Running", started, address, &|_| {
        (ready, 0, state.clone(), json!({}))
    });
    let again = matches!(play, Play::End { .. }).then_some(Duration::ZERO);
    (Some(next), again)
}

fn ended(
    pod: &Value,
    code: i64,
    started: Timestamp,
    delay: Duration,
    now: Timestamp,
    address: &str,
) -> (Option<Value>, Option<Duration>) {
    let ran_since = text(pod, "/status/containerStatuses/0/state/running/startedAt")
        .parse()
        .unwrap_or(started);
    let crashed = pod.pointer("/status/containerStatuses/0/state/waiting").is_some();
    if !crashed && let Some(left) = left(ran_since, delay, now) {
        return (None, Some(left));
    }
    let reason = if code == 0 { "Completed" } else { "Error" };
    let over = json!({ "terminated": {
        "exitCode": code, "reason": reason, "startedAt": seconds(ran_since), "finishedAt": seconds(now),
    } });
    let restarts = match text(pod, "/spec/restartPolicy") {
        "Never" => false,
        "OnFailure" => code != 0,
        _ => true,
    };
    if !restarts {
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        return (
            Some(status(pod, phase, started, address, &|_| {
                (false, 0, over.clone(), json!({}))
            })),
            None,
        );
    }
    let count = pod
        .pointer("/status/containerStatuses/0/restartCount")
        .and_then(Value::as_u64)
        .unwrap_or(0)
        + 1;
    let waiting =
        json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off restarting failed container" } });
    let next = status(pod, "Running", started, address, &|_| {
        (false, count, waiting.clone(), over.clone())
    });
    (Some(next), Some(CRASH_PERIOD))
}

/// (ready, restarts, state, last state) of a container by its name.
type Container<'a> = &'a dyn Fn(&str) -> (bool, u64, Value, Value);

fn status(pod: &Value, phase: &str, started: Timestamp, address: &str, container: Container<'_>) -> Value {
    let containers = pod["spec"]["containers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let inits = pod["spec"]["initContainers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let one = |spec: &Value, (ready, restarts, state, last): (bool, u64, Value, Value)| {
        let image = &spec["image"];
        // a strategic merge would keep the old state beside the new one
        let replace = |mut state: Value| {
            for other in ["running", "waiting", "terminated"] {
                if state.get(other).is_none() {
                    state[other] = Value::Null;
                }
            }
            state
        };
        json!({
            "name": spec["name"], "image": image, "imageID": image, "ready": ready, "restartCount": restarts,
            "started": state.get("running").is_some(),
            "state": replace(state), "lastState": replace(last),
        })
    };
    let statuses: Vec<Value> = containers
        .iter()
        .map(|spec| one(spec, container(spec["name"].as_str().unwrap_or_default())))
        .collect();
    let all_ready = phase == "Running" && statuses.iter().all(|status| status["ready"] == true);
    let pending = phase == "Pending";
    let init_statuses: Vec<Value> = inits
        .iter()
        .map(|spec| {
            let sidecar = spec["restartPolicy"] == "Always";
            let state = match (pending, sidecar) {
                (true, _) => json!({ "waiting": { "reason": "PodInitializing" } }),
                (false, true) => json!({ "running": { "startedAt": seconds(started) } }),
                (false, false) => json!({ "terminated": {
                    "exitCode": 0, "reason": "Completed", "startedAt": seconds(started), "finishedAt": seconds(started),
                } }),
            };
            one(spec, (!pending, 0, state, json!({})))
        })
        .collect();
    let condition = |kind: &str, holds: bool, why: &str| {
        let known = pod["status"]["conditions"]
            .as_array()
            .and_then(|all| all.iter().find(|one| one["type"] == kind));
        let status = if holds { "True" } else { "False" };
        let since = known
            .filter(|one| one["status"] == status)
            .map(|one| one["lastTransitionTime"].clone());
        let mut condition = json!({
            "type": kind, "status": status, "lastTransitionTime": since.unwrap_or_else(|| json!(seconds(Timestamp::now()))),
        });
        // null takes away what an earlier report said
        condition["reason"] = if holds { Value::Null } else { json!(why) };
        condition
    };
    let over = phase == "Succeeded" || phase == "Failed";
    let unready = if phase == "Succeeded" {
        "PodCompleted"
    } else if phase == "Failed" {
        "PodFailed"
    } else {
        "ContainersNotReady"
    };
    let mut status = json!({
        "phase": phase, "startTime": seconds(started), "hostIP": node::ADDRESS, "hostIPs": [{ "ip": node::ADDRESS }],
        "conditions": [
            condition("PodReadyToStartContainers", !over && !pending, unready),
            condition("Initialized", !pending || inits.is_empty(), "ContainersNotInitialized"),
            condition("ContainersReady", all_ready, unready),
            condition("Ready", all_ready, unready),
        ],
        "containerStatuses": statuses,
        "initContainerStatuses": init_statuses,
    });
    if !pending {
        status["podIP"] = json!(address);
        status["podIPs"] = json!([{ "ip": address }]);
    }
    status
}

fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pod(annotations: &Value, owner: Option<&str>, restart: &str) -> Value {
        json!({
            "metadata": { "annotations": annotations, "ownerReferences": [{ "kind": owner.unwrap_or("ReplicaSet") }] },
            "spec": { "nodeName": "node-1", "restartPolicy": restart, "containers": [{ "name": "c", "image": "i" }] },
            "status": { "phase": "Pending" },
        })
    }

    /// Phases and container states until nothing changes any more (three crashes at most).
    fn course(mut pod: Value) -> Vec<String> {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut seen = Vec::new();
        for _ in 0..5 {
            let (status, again) = report(&pod, now, "10.244.0.1");
            if let Some(status) = status {
                let container = &status["containerStatuses"][0];
                let possible = container["state"].as_object().unwrap();
                let state = possible.iter().find(|(_, state)| !state.is_null()).unwrap().0;
                let ready = if container["ready"] == true { " ready" } else { "" };
                seen.push(format!(
                    "{}: {state}{ready} {}",
                    status["phase"].as_str().unwrap(),
                    container["restartCount"]
                ));
                pod["status"] = status;
            }
            let Some(again) = again else { break };
            now = now.checked_add(again).unwrap();
        }
        seen
    }

    #[test]
    fn pods_take_the_course_their_annotations_ask_for() {
        let cases = [
            (json!({}), None, "Always", vec!["Running: running ready 0"]),
            (
                json!({ hook::READY: "false" }),
                None,
                "Always",
                vec!["Running: running 0"],
            ),
            (
                json!({}),
                Some("Job"),
                "Never",
                vec!["Running: running ready 0", "Succeeded: terminated 0"],
            ),
            (
                json!({ hook::EXIT_CODE: "3" }),
                Some("Job"),
                "Never",
                vec!["Running: running ready 0", "Failed: terminated 0"],
            ),
            (
                json!({ hook::WAITING: "ImagePullBackOff" }),
                None,
                "Always",
                vec!["Pending: waiting 0"],
            ),
            (
                json!({ hook::DELAY_MS: "1500" }),
                Some("Job"),
                "Never",
                vec![
                    "Pending: waiting 0",
                    "Running: running ready 0",
                    "Succeeded: terminated 0",
                ],
            ),
            (
                json!({ hook::EXIT_CODE: "1" }),
                None,
                "Always",
                vec![
                    "Running: running ready 0",
                    "Running: waiting 1",
                    "Running: waiting 2",
                    "Running: waiting 3",
                    "Running: waiting 4",
                ],
            ),
        ];
        for (annotations, owner, restart, expected) in cases {
            assert_eq!(
                course(pod(&annotations, owner, restart)),
                expected,
                "{annotations} {owner:?} {restart}"
            );
        }
    }
}
