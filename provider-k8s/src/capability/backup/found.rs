//! What is there: backups, proofs, what failed, what is in the way. Reads only.

use super::{NODE_AGENT, PROOF, VELERO_BACKUP, drill, location};
use crate::kubernetes::Shared;
use crate::object::{NAME_LABEL, Scope};
use platform_core::value::{Kind, Name, Timestamp};
use platform_core::{
    BackupRecord, BackupSpec, BackupStatus, Capability, Context, ErrorKind, Live, RestoreProof, Result, State,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The label by which everything of one backup is found.
const BACKUP_NAME: &str = "velero.io/backup-name";
/// The label of backups that a schedule made.
const SCHEDULE_NAME: &str = "velero.io/schedule-name";
const SCHEDULE: &str = "Schedule.velero.io";
const REPOSITORY: &str = "BackupRepository.velero.io";

pub(super) async fn status(shared: &Shared, spec: &BackupSpec, context: &Context) -> Result<BackupStatus> {
    let scope = Scope::new(shared.place(), context, Capability::Backup)?;
    let here = Here { shared, context };
    let namespace = scope.namespace();
    let backups = here.list(VELERO_BACKUP, namespace).await?;
    let stores = here.list("BackupStorageLocation.velero.io", namespace).await?;
    let proofs: Vec<RestoreProof> = here
        .list("ConfigMap", namespace)
        .await?
        .iter()
        .filter(|live| live.view["metadata"]["labels"][NAME_LABEL] == PROOF)
        .filter_map(|live| drill::read_proof(&live.view))
        .collect();
    // Where no node agent runs, no volume is ever copied, and none can be missed: on simulated nodes.
    let agents = here.list("DaemonSet.apps", namespace).await?;
    let copies_volumes = agents.iter().any(|live| {
        live.id.name().base() == NODE_AGENT
            && live.view["status"]["numberReady"]
                .as_u64()
                .is_some_and(|ready| ready > 0)
    });
    let copied = if copies_volumes {
        Some(here.list("PodVolumeBackup.velero.io", namespace).await?)
    } else {
        None
    };
    let mut problems = Vec::new();
    let store = match stores.iter().find(|live| live.id.name().base() == location::LOCATION) {
        Some(live) => {
            problems.extend(super::target(shared, spec, context)?.strays(&live.view));
            live.state.clone()
        }
        None => State::Failed {
            why: "there is none: apply the platform first".to_owned(),
        },
    };
    let schedules = here.list(SCHEDULE, namespace).await?;
    let schedule = schedules.iter().find(|live| live.id.name().base() == context.name);
    problems.extend(schedule_fault(schedule));
    problems.extend(here.list(REPOSITORY, namespace).await?.iter().filter_map(copies_fault));
    let expected = volumes(spec, context);
    let records = backups
        .iter()
        .map(|live| record(live, &proofs, copied.as_deref(), &expected))
        .collect();
    Ok(BackupStatus::new(spec, store, records, shared.engine.clock().now()).with_problems(problems))
}

/// Why the copies of a namespace's volumes cannot be read, or not be kept in order. Velero's server never tries their
/// password: the first to do so is the Job that keeps them in order, or the next copy.
fn copies_fault(repository: &Live) -> Option<String> {
    let volumes = repository.view["spec"]["volumeNamespace"].as_str().unwrap_or_default();
    if let State::Failed { why } = &repository.state {
        return Some(format!("the copies of the volumes of {volumes} cannot be read: {why}"));
    }
    let last = repository.view["status"]["recentMaintenance"].as_array()?.last()?;
    let why = last["message"].as_str().unwrap_or("Velero does not say why");
    (last["result"] == "Failed")
        .then(|| format!("the copies of the volumes of {volumes} could not be kept in order: {why}"))
}

/// Why no further backup will be taken.
fn schedule_fault(schedule: Option<&Live>) -> Option<String> {
    let Some(live) = schedule else {
        return Some("there is no schedule: no backup will be taken; apply the platform".to_owned());
    };
    if live.view["spec"]["paused"] == true {
        return Some("the schedule is paused: no backup will be taken".to_owned());
    }
    match &live.state {
        State::Failed { why } => Some(format!("the schedule is refused, so no backup will be taken: {why}")),
        _ => None,
    }
}

/// Workloads with data that are still there: Velero restores a volume only into pods that it makes.
pub(super) async fn in_the_way(shared: &Shared, spec: &BackupSpec, context: &Context) -> Result<Vec<String>> {
    let here = Here { shared, context };
    let mut found = Vec::new();
    for namespace in location::namespaces(context, spec) {
        let servers = here.list("StatefulSet.apps", &namespace).await?;
        found.extend(servers.into_iter().map(|live| live.id.label()));
    }
    Ok(found)
}

/// The last words of the checks of a drill that failed.
pub(super) async fn said(shared: &Shared, context: &Context) -> Result<Vec<String>> {
    let beside = Scope::of(shared.place(), context, drill::NAMESPACE, Capability::Backup.as_str())?;
    let here = Here { shared, context };
    let pods = here.list("Pod", beside.namespace()).await?;
    let mut words = Vec::new();
    for pod in pods {
        for container in pod.view["status"]["containerStatuses"].as_array().into_iter().flatten() {
            let ended = ["state", "lastState"]
                .map(|state| &container[state]["terminated"])
                .into_iter()
                .find(|ended| ended["exitCode"].as_i64().is_some_and(|code| code != 0));
            let last = ended.and_then(|ended| ended["message"].as_str()?.trim().lines().last().map(str::to_owned));
            if let Some(last) = last {
                words.push(format!("{}: {last}", pod.id.name().base()));
            }
        }
    }
    Ok(words)
}

pub(super) struct Here<'a> {
    pub(super) shared: &'a Shared,
    pub(super) context: &'a Context,
}

impl Here<'_> {
    /// Every object of a kind in a namespace; none where the namespace's objects may not even be asked for.
    pub(super) async fn list(&self, kind: &str, namespace: &str) -> Result<Vec<Live>> {
        let listed = self
            .shared
            .provider()?
            .list(&self.context.set, &Kind::new(kind)?, &Name::new(namespace)?)
            .await;
        match listed {
            Err(why) if why.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed,
        }
    }
}

fn record(
    live: &Live,
    proofs: &[RestoreProof],
    copied: Option<&[Live]>,
    expected: &BTreeMap<(String, String), String>,
) -> BackupRecord {
    let moment = |output: &str| live.outputs.get(output)?.as_str()?.parse::<Timestamp>().ok();
    let name = live.id.name().base();
    let mut record = BackupRecord::new(name, live.state.clone());
    record.scheduled = live.view["metadata"]["labels"][SCHEDULE_NAME].is_string();
    record.started = moment("started");
    record.completed = moment("completed");
    record.expires = moment("expires");
    record.proof = proofs
        .iter()
        .filter(|proof| proof.backup == name)
        .max_by_key(|proof| proof.at)
        .cloned();
    let ended = matches!(live.state, State::Ready | State::Failed { .. });
    if let Some(copied) = copied.filter(|_| ended && record.started.is_some()) {
        record.problems = left_out(name, copied, expected);
    }
    let warnings = live.view["status"]["warnings"].as_u64().unwrap_or(0);
    if warnings > 0 && live.state == State::Ready {
        record.problems.push(format!(
            "it ended with {warnings} warning{}: something was passed over; see the log of Velero",
            if warnings == 1 { "" } else { "s" }
        ));
    }
    record
}

/// Volumes that the backup should hold and does not: Velero passes over those of pods that do not run, and says nothing.
fn left_out(backup: &str, copied: &[Live], expected: &BTreeMap<(String, String), String>) -> Vec<String> {
    let mut problems = Vec::new();
    let of_backup: Vec<&Live> = copied
        .iter()
        .filter(|live| live.view["metadata"]["labels"][BACKUP_NAME] == backup)
        .collect();
    let mut seen = BTreeSet::new();
    for live in &of_backup {
        let spec = &live.view["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (namespace, pod) = (text(&spec["pod"]["namespace"]), text(&spec["pod"]["name"]));
        let volume = format!("{namespace}/{pod}/{}", text(&spec["volume"]));
        let progress = &live.view["status"]["progress"];
        let bytes = |key: &str| progress[key].as_u64().unwrap_or(0);
        match &live.state {
            State::Ready if bytes("totalBytes") == 0 => problems.push(format!("volume {volume} was empty")),
            State::Ready if bytes("bytesDone") < bytes("totalBytes") => problems.push(format!(
                "volume {volume}: {} of {} bytes were copied",
                bytes("bytesDone"),
                bytes("totalBytes")
            )),
            State::Failed { why } => problems.push(format!("volume {volume}: {why}")),
            _ => {}
        }
        seen.insert((namespace, pod));
    }
    for ((namespace, pod), volume) in expected {
        if !seen.contains(&(namespace.clone(), pod.clone())) {
            problems.push(format!("volume {namespace}/{pod}/{volume} was left out"));
        }
    }
    problems
}

/// Which volume of which pod a backup should hold.
fn volumes(spec: &BackupSpec, context: &Context) -> BTreeMap<(String, String), String> {
    let mut volumes = BTreeMap::new();
    for capability in &spec.scope {
        let surface = context.surfaces.get(*capability);
        for asset in surface.into_iter().flat_map(|surface| &surface.data) {
            if let (Some(workload), Some(namespace)) = (&asset.workload, asset.id.name().namespace()) {
                let volume = match capability {
                    Capability::Storage => "data",
                    _ => crate::backups::COPY,
                };
                volumes.insert((namespace.to_owned(), format!("{workload}-0")), volume.to_owned());
            }
        }
    }
    volumes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{copies_fault, left_out};
    use platform_core::value::{Place, ResourceId, Uid};
    use platform_core::{Live, OnRemoval, Owner, State};
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn copy(backup: &str, pod: &str, state: State, progress: &Value) -> Live {
        let place = Place::kubernetes("main").unwrap();
        let name = format!("backup/{backup}-{pod}");
        Live {
            id: ResourceId::new(
                place,
                "PodVolumeBackup.velero.io".parse().unwrap(),
                name.parse().unwrap(),
            ),
            uid: Uid::new("u"),
            view: json!({
                "metadata": { "labels": { "velero.io/backup-name": backup } },
                "spec": { "pod": { "namespace": "database", "name": pod }, "volume": "backup" },
                "status": { "progress": progress },
            })
            .into(),
            outputs: BTreeMap::new(),
            state,
            owner: Owner::Nobody,
            holds: None,
            on_removal: OnRemoval::Delete,
            component: String::new(),
            version: None,
            written_from: None,
            touched: Vec::new(),
            renewal: None,
        }
    }

    #[test]
    fn copies_that_cannot_be_opened_are_named() {
        let done = |result: &str, message: &str| json!({ "result": result, "message": message });
        let refused = "error to open repository: invalid repository password";
        let failed = State::Failed {
            why: "connection refused".to_owned(),
        };
        for (state, maintained, words) in [
            (State::Ready, json!(null), None),
            (
                State::Ready,
                json!([done("Failed", refused), done("Succeeded", "")]),
                None,
            ),
            (
                State::Ready,
                json!([done("Succeeded", ""), done("Failed", refused)]),
                Some(
                    "the copies of the volumes of storage could not be kept in order: error to open repository: invalid repository password",
                ),
            ),
            (
                failed,
                json!([done("Succeeded", "")]),
                Some("the copies of the volumes of storage cannot be read: connection refused"),
            ),
        ] {
            let mut repository = copy("b", "p", state, &Value::Null);
            let spec = json!({ "volumeNamespace": "storage" });
            repository.view = json!({ "spec": spec, "status": { "recentMaintenance": maintained } }).into();
            assert_eq!(copies_fault(&repository).as_deref(), words);
        }
    }

    #[test]
    fn volumes_that_were_left_out_or_cut_short_are_named() {
        let expected = BTreeMap::from([(("database".to_owned(), "postgres-0".to_owned()), "backup".to_owned())]);
        let whole = json!({ "bytesDone": 5, "totalBytes": 5 });
        let failed = State::Failed {
            why: "Failed: no repository".to_owned(),
        };
        for (copies, words) in [
            (vec![copy("b", "postgres-0", State::Ready, &whole)], None),
            (vec![], Some("volume database/postgres-0/backup was left out")),
            (
                vec![copy("other", "postgres-0", State::Ready, &whole)],
                Some("volume database/postgres-0/backup was left out"),
            ),
            (
                vec![copy("b", "postgres-0", State::Ready, &json!({ "totalBytes": 0 }))],
                Some("volume database/postgres-0/backup was empty"),
            ),
            (
                vec![copy(
                    "b",
                    "postgres-0",
                    State::Ready,
                    &json!({ "bytesDone": 3, "totalBytes": 5 }),
                )],
                Some("volume database/postgres-0/backup: 3 of 5 bytes were copied"),
            ),
            (
                vec![copy("b", "postgres-0", failed, &whole)],
                Some("volume database/postgres-0/backup: Failed: no repository"),
            ),
        ] {
            let problems = left_out("b", &copies, &expected);
            assert_eq!(
                problems.iter().map(String::as_str).collect::<Vec<_>>(),
                words.into_iter().collect::<Vec<_>>()
            );
        }
    }
}
