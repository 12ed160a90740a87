//! A restore beside the platform whose data is checked: the only proof that a backup is one.
//!
//! Velero restores the pods alone, into a namespace of their own, each with an empty scratch directory in the place of its
//! volume. They find the copy that the backup holds and load it as they would after a loss; a Job for each asks whether
//! the data is there. Nothing in the drill's namespace can reach the platform.

use super::run::{object, output, restore_name};
use super::{PROOF, VELERO_RESTORE};
use crate::capability::login::internal;
use crate::capability::object_store;
use crate::capability::stateful::{Job, selector};
use crate::foundation;
use crate::kubernetes::Shared;
use crate::object::Scope;
use crate::pod::{Container, Resources, config_volume, scratch_volume, secret_volume};
use crate::policy;
use crate::set;
use platform_core::value::{Size, Timestamp};
use platform_core::{
    BackupRecord, BackupSpec, Blueprint, Call, Capability, Context, Error, ErrorKind, OnRemoval, Resource,
    RestoreProof, Result, Surface, Surfaces, Workload,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The namespace of drills.
pub(super) const NAMESPACE: &str = "backup-drill";
/// What a drill restores: enough for pods to run.
const RESTORED: [&str; 4] = ["configmaps", "pods", "secrets", "serviceaccounts"];

/// One server whose data a drill checks.
struct Subject<'a> {
    capability: Capability,
    /// The workload, whose pods and Secrets bear its name.
    name: &'a str,
    /// The namespace that the backup holds it in.
    namespace: &'a str,
    /// What its Service is to be: port, and the port of the pod.
    port: (u16, u16),
}

pub(super) fn blueprint(
    shared: &Shared,
    spec: &BackupSpec,
    backup: &BackupRecord,
    context: &Context,
) -> Result<Blueprint<RestoreProof>> {
    let taken = backup.started.ok_or_else(|| {
        Error::new(ErrorKind::Invalid, format!("backup {} never began", backup.name))
            .with_help("choose one that is complete")
    })?;
    let scope = Scope::new(shared.place(), context, Capability::Backup)?;
    let beside = Scope::of(shared.place(), context, NAMESPACE, Capability::Backup.as_str())?;
    let subjects = subjects(spec, context);
    let name = restore_name("drill", &backup.name)?;

    let mut namespace = foundation::namespace(&beside, "drill", context.security.pod_security.as_str())?;
    // Nothing in it is anybody's data.
    namespace.on_removal = OnRemoval::Delete;
    let mut resources = vec![namespace, policy::default_deny(&beside)?];
    resources.extend(policy::of_workloads(
        &beside,
        Capability::Backup,
        &Surfaces(BTreeMap::from([(Capability::Backup, surface(&beside, &subjects))])),
        &shared.options,
    )?);
    for subject in &subjects {
        resources.push(service(&beside, subject)?);
    }
    let modifiers = object(
        &scope,
        "ConfigMap",
        &name,
        "drill",
        json!({ "data": {
            "modifiers.yaml": modifiers(context, &backup.name)?.to_string(),
        }}),
    )?;
    let namespaces: BTreeSet<&str> = subjects.iter().map(|subject| subject.namespace).collect();
    let mapping: BTreeMap<&str, &str> = namespaces.iter().map(|from| (*from, beside.namespace())).collect();
    let mut restore = object(
        &scope,
        VELERO_RESTORE,
        &name,
        "drill",
        json!({ "spec": {
            "backupName": backup.name,
            "includedNamespaces": namespaces,
            "includedResources": RESTORED,
            "namespaceMapping": mapping,
            "resourceModifier": { "kind": "configmap", "name": modifiers.id.name().base() },
            "itemOperationTimeout": "4h0m0s",
        }}),
    )?;
    restore.after.extend(resources.iter().map(|one| one.id.clone()));
    restore.after.insert(modifiers.id.clone());
    let restored = restore.id.clone();
    resources.extend([modifiers, restore]);

    // One after the other, so that the end of the last is the end of all.
    let mut last = restored.clone();
    let mut checks = Vec::new();
    for subject in &subjects {
        let (job, what) = check(shared, &beside, subject)?;
        let mut more = job.into_resources(&beside, &shared.options.images.pull_secrets)?;
        if let Some(job) = more.last_mut() {
            job.after.insert(last);
            last = job.id.clone();
            // A data base that is loaded takes its time before it answers, and the check waits; it is not tried again.
            job.desired_mut()["spec"]["backoffLimit"] = json!(0);
        } else {
            break;
        }
        resources.extend(more);
        checks.push(what);
    }
    let outputs = json!({
        "backup": backup.name,
        "taken": taken,
        "began": output(&restored, "started"),
        "at": output(&last, "completed"),
        "checks": checks,
    });
    resources.push(proof(&scope, &backup.name, &outputs)?);
    Ok(Blueprint::with_references(resources, outputs))
}

/// The record that outlives the drill, and the backup.
fn proof(scope: &Scope<'_>, backup: &str, outputs: &Value) -> Result<Resource> {
    let checks: Vec<&str> = outputs["checks"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let body = json!({ "data": {
        "backup": backup,
        "taken": outputs["taken"],
        "began": outputs["began"],
        "at": outputs["at"],
        "checks": checks.join("\n"),
    }});
    Ok(object(scope, "ConfigMap", &restore_name(PROOF, backup)?, PROOF, body)?.with_on_removal(OnRemoval::Retain))
}

/// Reads a record back.
pub(super) fn read_proof(object: &Value) -> Option<RestoreProof> {
    let data = &object["data"];
    let text = |key: &str| data[key].as_str();
    let moment = |key: &str| text(key)?.parse::<Timestamp>().ok();
    Some(RestoreProof {
        backup: text("backup")?.to_owned(),
        taken: moment("taken")?,
        began: moment("began")?,
        at: moment("at")?,
        checks: text("checks")?.lines().map(str::to_owned).collect(),
    })
}

fn subjects<'a>(spec: &BackupSpec, context: &'a Context) -> Vec<Subject<'a>> {
    let mut subjects = Vec::new();
    for capability in &spec.scope {
        let Some(surface) = context.surfaces.get(*capability) else {
            continue;
        };
        for asset in &surface.data {
            let workload = surface
                .workloads
                .iter()
                .find(|workload| asset.workload.as_deref() == Some(workload.name.as_str()));
            let endpoint = surface
                .endpoints
                .iter()
                .find(|endpoint| endpoint.workload == asset.workload);
            if let (Some(workload), Some(endpoint)) = (workload, endpoint)
                && let Some(port) = workload.ports.get(&endpoint.name)
            {
                subjects.push(Subject {
                    capability: *capability,
                    name: &workload.name,
                    namespace: &workload.namespace,
                    port: (endpoint.port, *port),
                });
            }
        }
    }
    subjects
}

/// The check of a subject: the name of its Job.
fn check_name(capability: Capability) -> &'static str {
    match capability {
        Capability::Database => "check-database",
        Capability::Cache => "check-cache",
        _ => "check-storage",
    }
}

fn surface(scope: &Scope<'_>, subjects: &[Subject<'_>]) -> Surface {
    let workload = |name: &str, ports: BTreeMap<String, u16>, calls| Workload {
        name: name.to_owned(),
        namespace: scope.namespace().to_owned(),
        labels: selector(name),
        ports,
        calls,
    };
    let mut surface = Surface::default();
    for subject in subjects {
        let ports = BTreeMap::from([("served".to_owned(), subject.port.1)]);
        let call = Call::Workload {
            name: subject.name.to_owned(),
            port: "served".to_owned(),
        };
        surface.workloads.push(workload(subject.name, ports, Vec::new()));
        surface.workloads.push(workload(
            check_name(subject.capability),
            BTreeMap::new(),
            vec![call, Call::Dns],
        ));
    }
    surface
}

/// Under its own name, which its certificate holds.
fn service(scope: &Scope<'_>, subject: &Subject<'_>) -> Result<Resource> {
    let (port, target) = subject.port;
    scope.object(
        "Service",
        subject.name,
        subject.name,
        json!({ "spec": {
            "type": "ClusterIP",
            "selector": selector(subject.name),
            "ports": [{ "name": "served", "port": port, "targetPort": target, "protocol": "TCP" }],
        }}),
    )
}

/// How restored objects differ from those that were backed up.
///
/// They carry the mark of the drill's set, so that they go with its namespace and the platform's plan does not meet them.
/// A volume of a pod becomes a scratch directory: the copy is loaded into it, and it goes with the pod.
fn modifiers(context: &Context, backup: &str) -> Result<Value> {
    let set = set::label(context.one_off("drill", backup)?.as_str());
    let marks = json!({ "metadata": { "labels": { set::SET: set, set::PART_OF: null } } });
    let scratch = json!({ "spec": {
        "volumes": [{ "name": "data", "persistentVolumeClaim": null, "emptyDir": {} }],
        // Nothing in it is anybody's data, and a namespace goes no sooner than its pods.
        "terminationGracePeriodSeconds": 1,
    }});
    Ok(json!({ "version": "v1", "resourceModifierRules": [
        {
            "conditions": { "groupResource": format!("{{{}}}", RESTORED.join(",")) },
            "mergePatches": [{ "patchData": marks.to_string() }],
        },
        {
            "conditions": { "groupResource": "pods" },
            "strategicPatches": [{ "patchData": scratch.to_string() }],
        },
    ]}))
}

/// The Job that checks a subject, and what it checks, in words.
fn check(shared: &Shared, scope: &Scope<'_>, subject: &Subject<'_>) -> Result<(Job, String)> {
    let images = &shared.options.images;
    let name = subject.name;
    let (port, _) = subject.port;
    let port_text = port.to_string();
    let endpoint = format!("https://{name}:{port}");
    let internal = internal(name);
    let job = check_name(subject.capability);
    let secret = |secret: &str, key: &str| secret_volume("secret", secret, &[(key, key)]);
    let (image, scripts, env, secrets, what): (_, BTreeMap<&str, &str>, Vec<(&str, &str)>, _, _) =
        match subject.capability {
            Capability::Database => (
                images.image("postgres", None)?,
                BTreeMap::from([
                    ("check.sh", include_str!("../database/check.sh")),
                    ("rows.sql", include_str!("../database/rows.sql")),
                ]),
                vec![
                    ("PGDATABASE", "app"),
                    ("PGHOST", name),
                    ("PGPORT", &port_text),
                    ("PGSSLMODE", "verify-full"),
                    ("PGSSLROOTCERT", "/etc/check/tls/ca.crt"),
                    ("PGUSER", "platform_admin"),
                ],
                secret(&internal, "admin-password"),
                "database: every table has the rows that the backup recorded",
            ),
            Capability::Cache => (
                images.image("valkey", None)?,
                BTreeMap::from([("check.sh", include_str!("../cache/check.sh"))]),
                vec![("CLIENT", "valkey-cli"), ("HOST", name), ("PORT", &port_text)],
                secret(&internal, "backup-password"),
                "cache: the server loaded its snapshot and answers",
            ),
            _ => (
                images.image("mc", None)?,
                BTreeMap::from([("check.sh", include_str!("../storage/check.sh"))]),
                // The server's own key, as the backup has it.
                vec![("ACCESS_KEY", object_store::ROOT), ("ENDPOINT", &endpoint)],
                secret(&internal, "secret-key"),
                "storage: every bucket and object can be listed",
            ),
        };
    let mut all: BTreeMap<String, String> = env
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    for (key, value) in [
        ("CA", "/etc/check/tls/ca.crt"),
        ("SCRATCH", "/tmp"),
        ("SCRIPTS", "/etc/check/scripts"),
        ("SECRETS", "/etc/check/secret"),
        // Every two seconds: a little less than a run waits for a Job.
        ("TRIES", "400"),
    ] {
        all.insert(key.to_owned(), value.to_owned());
    }
    let inputs = vec![scope.object("ConfigMap", job, job, json!({ "data": scripts }))?];
    let container = Container::new("check", image, Resources::client())
        .command(["/bin/sh", "/etc/check/scripts/check.sh"])
        .env(&all)
        .says_why()
        .mount("tmp", "/tmp")
        .mount_read_only("scripts", "/etc/check/scripts")
        .mount_read_only("secret", "/etc/check/secret")
        .mount_read_only("ca", "/etc/check/tls");
    let job = Job {
        name: job,
        containers: vec![container],
        volumes: vec![
            scratch_volume("tmp", Size::mib(16), true),
            config_volume("scripts", job, &[]),
            secrets,
            secret_volume("ca", &format!("{name}-tls"), &[("ca.crt", "ca.crt")]),
        ],
        inputs,
    };
    Ok((job, what.to_owned()))
}
