//! AWS Backup more as AWS has it: what ministack forgets of a vault is kept here, a token gives the same plan again, a vault
//! that is not there may not be described, and a plan with selections cannot be deleted. Restores of buckets, which neither
//! emulator has, are answered by what AWS documents of them.

use crate::between::{answer, between, signed_for};
use aws_smithy_runtime_api::client::http::{
    HttpConnector as _, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

const VAULTS: &str = "backup-vaults";

/// What one account's AWS Backup knows beside what ministack does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vaults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Policies, locks and notifications, by region and path.
    kept: BTreeMap<(String, String), Value>,
    /// Answers to creates of plans, by region and token.
    plans: BTreeMap<(String, String), Value>,
    /// Plans and selections that are there.
    selections: BTreeSet<(String, String)>,
    /// How many backups a vault holds.
    holds: BTreeMap<String, u32>,
    /// Recovery points as a list shows them, each with its vault and tags.
    points: Vec<Point>,
    /// Answers to jobs, by token.
    jobs: BTreeMap<String, Value>,
    /// Restores, the oldest first, each with its token and how it was asked for.
    restores: Vec<Restore>,
    /// When the next restore begins, in seconds; absent: by the machine's clock.
    restores_at: Option<i64>,
    /// How often a list shows no point of a job that has just begun.
    hidden: u32,
    /// Roles that cannot be assumed yet, and how often that is said.
    fresh: u32,
}

#[derive(Clone, Debug)]
struct Restore {
    token: String,
    shown: Value,
    asked: Value,
    /// Looks until it is over.
    left: u32,
}

#[derive(Debug)]
struct Point {
    vault: String,
    shown: Value,
    tags: Value,
}

impl Point {
    fn new(vault: &str, resource: &str, at: i64, more: &Value) -> Self {
        let mut shown = json!({
            "RecoveryPointArn": format!("arn:aws:backup:eu-west-1:1:recovery-point:{resource}-{at}"),
            "BackupVaultName": vault,
            "ResourceArn": resource,
            "Status": "COMPLETED",
            "CreationDate": at,
            "CompletionDate": at + 60,
            "IsEncrypted": true,
        });
        for (key, value) in more.as_object().unwrap() {
            shown[key] = value.clone();
        }
        Self {
            vault: vault.to_owned(),
            shown,
            tags: json!({}),
        }
    }
}

/// What a request to AWS Backup asks for.
#[derive(Clone, Debug)]
struct Ask {
    region: String,
    method: String,
    path: Vec<String>,
    /// The ARN that a list asks for.
    resource: Option<String>,
    /// The status that a list asks for.
    status: Option<String>,
    body: Value,
}

impl Ask {
    fn of(request: &HttpRequest) -> Option<Self> {
        let (region, service) = signed_for(request)?;
        if service != "backup" {
            return None;
        }
        let path = request.uri().split_once("//")?.1.split_once('/')?.1;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let decoded = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned()
        };
        let resource = query.split('&').find_map(|pair| pair.strip_prefix("resourceArn="));
        let path = path.trim_matches('/');
        let status = query.split('&').find_map(|pair| pair.strip_prefix("status="));
        Some(Self {
            status: status.map(decoded),
            resource: resource.map(decoded),
            region: region.to_owned(),
            method: request.method().to_owned(),
            path: path.split('/').map(decoded).collect(),
            body: serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default(),
        })
    }

    fn parts(&self) -> (&str, Vec<&str>) {
        (self.method.as_str(), self.path.iter().map(String::as_str).collect())
    }
}

fn refusal(status: u16, code: &str, why: &str) -> (u16, Value) {
    (status, json!({ "__type": code, "message": why }))
}

/// Looks until a restore is over.
const RESTORING: u32 = 20;

impl State {
    /// Begins a restore into the bucket that it was taken of, once a token.
    fn restore(&mut self, asked: &Value) -> (u16, Value) {
        let token = asked["IdempotencyToken"].as_str().unwrap_or_default();
        if let Some(known) = self.restores.iter().find(|one| one.token == token) {
            return (200, json!({ "RestoreJobId": known.shown["RestoreJobId"] }));
        }
        let Some(point) = self
            .points
            .iter()
            .find(|point| point.shown["RecoveryPointArn"] == asked["RecoveryPointArn"])
        else {
            return refusal(400, "ResourceNotFoundException", "no such recovery point");
        };
        let of = point.shown["ResourceArn"].as_str().unwrap();
        let into = asked["Metadata"]["DestinationBucketName"].as_str().unwrap_or_default();
        if asked["Metadata"]["NewBucket"] != "false" || !of.ends_with(&format!(":{into}")) {
            return refusal(400, "InvalidParameterValueException", "another bucket");
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = self
            .restores_at
            .unwrap_or(i64::try_from(now.unwrap().as_secs()).unwrap());
        let id = format!("restore-{}", self.restores.len());
        self.restores.push(Restore {
            token: token.to_owned(),
            shown: json!({
                "RestoreJobId": id,
                "RecoveryPointArn": asked["RecoveryPointArn"],
                "BackupVaultArn": format!("arn:aws:backup:eu-west-1:1:backup-vault:{}", point.vault),
                "SourceResourceArn": of,
                "IamRoleArn": asked["IamRoleArn"],
                "ResourceType": asked["ResourceType"],
                "CreationDate": now,
                "Status": "RUNNING",
                "PercentDone": "10.00",
            }),
            asked: asked.clone(),
            left: RESTORING,
        });
        (200, json!({ "RestoreJobId": id }))
    }
}

impl Vaults {
    /// An HTTP client that talks to such an AWS Backup.
    pub(crate) fn around(&self, inner: SharedHttpClient) -> SharedHttpClient {
        let vaults = self.clone();
        between(inner, move |wire, request| vaults.pass(wire, request))
    }

    fn pass(&self, wire: &SharedHttpConnector, request: HttpRequest) -> HttpConnectorFuture {
        let Some(ask) = Ask::of(&request) else {
            return wire.call(request);
        };
        let answered = |(status, body): (u16, Value)| answer(status, body.to_string());
        if let Some(instead) = self.instead(&ask) {
            return HttpConnectorFuture::ready(Ok(answered(instead)));
        }
        let (answer, vaults) = (wire.call(request), self.clone());
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await?;
            let status = answer.status().as_u16();
            let body = std::mem::replace(answer.body_mut(), SdkBody::empty());
            let bytes = ByteStream::new(body).collect().await.unwrap().into_bytes();
            let value = serde_json::from_slice(&bytes).unwrap_or_default();
            Ok(answered(vaults.mend(&ask, status, value)))
        })
    }

    /// Lets a vault hold backups.
    pub(crate) fn fill(&self, vault: &str, backups: u32) {
        self.0.lock().unwrap().holds.insert(vault.to_owned(), backups);
    }

    /// Lets a plan have backed something up; `more` is shown beside.
    pub(crate) fn took(&self, vault: &str, resource: &str, at: i64, more: &Value) {
        self.0
            .lock()
            .unwrap()
            .points
            .push(Point::new(vault, resource, at, more));
    }

    /// Lets the points of jobs that begin show only after so many looks.
    pub(crate) fn points_show_late(&self, looks: u32) {
        self.0.lock().unwrap().hidden = looks;
    }

    /// How many backups there are, and the tags of the newest.
    pub(crate) fn points(&self) -> (usize, Value) {
        let state = self.0.lock().unwrap();
        (
            state.points.len(),
            state.points.last().map(|point| point.tags.clone()).unwrap_or_default(),
        )
    }

    /// How restores were asked for, by their metadata.
    pub(crate) fn restores(&self) -> Vec<Value> {
        let state = self.0.lock().unwrap();
        state.restores.iter().map(|one| one.asked["Metadata"].clone()).collect()
    }

    /// Lets restores begin at this moment.
    pub(crate) fn restores_begin(&self, at: i64) {
        self.0.lock().unwrap().restores_at = Some(at);
    }

    /// Lets the last restore end with this status, and say this.
    pub(crate) fn restore_ends(&self, status: &str, said: &str) {
        let mut state = self.0.lock().unwrap();
        let shown = &mut state.restores.last_mut().unwrap().shown;
        (shown["Status"], shown["StatusMessage"]) = (json!(status), json!(said));
    }

    /// Lets the next selections find that their role cannot be assumed yet.
    pub(crate) fn roles_are_fresh(&self, times: u32) {
        self.0.lock().unwrap().fresh = times;
    }

    /// What is answered instead of what ministack would.
    fn instead(&self, ask: &Ask) -> Option<(u16, Value)> {
        let mut state = self.0.lock().unwrap();
        let (method, parts) = ask.parts();
        match (method, parts.as_slice()) {
            ("PUT", ["backup", "plans"]) => {
                let token = ask.body["CreatorRequestId"].as_str()?.to_owned();
                let made = state.plans.get(&(ask.region.clone(), token));
                made.map(|made| (200, made.clone()))
            }
            ("PUT", ["backup-jobs"]) => {
                let made = state.jobs.get(ask.body["IdempotencyToken"].as_str()?);
                made.map(|made| (200, made.clone()))
            }
            ("GET", [VAULTS, vault, "recovery-points"]) if !state.points.is_empty() => {
                if state.hidden > 0 {
                    state.hidden -= 1;
                    return Some((200, json!({ "RecoveryPoints": [] })));
                }
                let points = state.points.iter().filter(|point| {
                    let asked = ask.resource.as_ref();
                    point.vault == *vault && asked.is_none_or(|resource| point.shown["ResourceArn"] == **resource)
                });
                let shown: Vec<&Value> = points.map(|point| &point.shown).collect();
                Some((200, json!({ "RecoveryPoints": shown })))
            }
            ("GET", [VAULTS, vault, "recovery-points", arn, "restore-metadata"]) => {
                let known = |point: &&Point| point.vault == *vault && point.shown["RecoveryPointArn"] == **arn;
                Some(match state.points.iter().find(known) {
                    Some(_) => (200, json!({ "RestoreMetadata": { "Encrypted": "true" } })),
                    None => refusal(404, "ResourceNotFoundException", "no such recovery point"),
                })
            }
            ("PUT", ["restore-jobs"]) => Some(state.restore(&ask.body)),
            ("GET", ["restore-jobs"]) => {
                let mut shown = Vec::new();
                for one in &mut state.restores {
                    if ask.status.as_ref().is_none_or(|status| one.shown["Status"] == **status) {
                        shown.push(one.shown.clone());
                    }
                    one.left = one.left.saturating_sub(1);
                    let under_way = one.shown["Status"] == "RUNNING";
                    if under_way && one.left == 0 {
                        one.shown["Status"] = json!("COMPLETED");
                        one.shown["CompletionDate"] = json!(one.shown["CreationDate"].as_i64().unwrap() + 60);
                    }
                }
                Some((200, json!({ "RestoreJobs": shown })))
            }
            (verb, ["tags" | "untag", arn]) => {
                let untag = ask.path[0] == "untag";
                let point = state
                    .points
                    .iter_mut()
                    .find(|point| point.shown["RecoveryPointArn"] == **arn)?;
                let tags = point.tags.as_object_mut().unwrap();
                match verb {
                    "GET" => return Some((200, json!({ "Tags": tags }))),
                    _ if untag => tags.retain(|key, _| {
                        let gone = ask.body["TagKeyList"].as_array().unwrap();
                        !gone.contains(&json!(key))
                    }),
                    _ => tags.extend(ask.body["Tags"].as_object().unwrap().clone()),
                }
                Some((200, json!({})))
            }
            ("PUT", ["backup", "plans", _, "selections"]) if state.fresh > 0 => {
                state.fresh -= 1;
                Some(refusal(
                    400,
                    "InvalidParameterValueException",
                    "IAM Role cannot be assumed by AWS Backup",
                ))
            }
            // It counts as soon as it is heard: who is killed then never hears of the answer.
            ("PUT", [VAULTS, _, "access-policy" | "notification-configuration" | "vault-lock"]) => {
                let key = (ask.region.clone(), ask.path.join("/"));
                state.kept.insert(key, ask.body.clone());
                None
            }
            ("DELETE", [VAULTS, _, "access-policy" | "notification-configuration" | "vault-lock"]) => {
                state.kept.remove(&(ask.region.clone(), ask.path.join("/")));
                None
            }
            ("DELETE", ["backup", "plans", id]) => {
                let holds = state.selections.iter().any(|(plan, _)| plan == id);
                holds.then(|| refusal(400, "InvalidRequestException", "The plan has selections."))
            }
            ("DELETE", [VAULTS, name]) => {
                let holds = state.holds.get(*name).is_some_and(|count| *count > 0);
                holds.then(|| refusal(400, "InvalidRequestException", "The vault holds recovery points."))
            }
            _ => None,
        }
    }

    /// What is answered in place of ministack's answer.
    fn mend(&self, ask: &Ask, status: u16, answer: Value) -> (u16, Value) {
        let mut state = self.0.lock().unwrap();
        let key = |path: &str| (ask.region.clone(), path.to_owned());
        let path = ask.path.join("/");
        let (method, parts) = ask.parts();
        match (method, parts.as_slice()) {
            ("PUT" | "DELETE", [VAULTS, _, "access-policy" | "notification-configuration" | "vault-lock"]) => {
                (200, json!({}))
            }
            ("GET", [VAULTS, _, "access-policy" | "notification-configuration" | "vault-lock"]) => {
                match state.kept.get(&key(&path)) {
                    Some(kept) => (200, kept.clone()),
                    None => (status, answer),
                }
            }
            ("GET", [VAULTS, _]) if status == 404 => refusal(
                403,
                "AccessDeniedException",
                "Insufficient privileges to perform this action.",
            ),
            ("GET", [VAULTS, name]) if status == 200 => {
                let mut vault = answer;
                vault["NumberOfRecoveryPoints"] = json!(state.holds.get(*name).unwrap_or(&0));
                if let Some(lock) = state.kept.get(&key(&format!("{path}/vault-lock"))) {
                    vault["Locked"] = json!(true);
                    for field in ["MinRetentionDays", "MaxRetentionDays"] {
                        vault[field] = lock[field].clone();
                    }
                }
                (status, vault)
            }
            ("DELETE", [VAULTS, _]) => {
                state
                    .kept
                    .retain(|(region, kept), _| region != &ask.region || !kept.starts_with(&format!("{path}/")));
                (status, answer)
            }
            ("PUT", ["backup-jobs"]) if status == 200 => {
                let text = |key: &str| ask.body[key].as_str().unwrap().to_owned();
                let lifecycle = json!({ "Lifecycle": ask.body["Lifecycle"], "IamRoleArn": ask.body["IamRoleArn"] });
                let at = answer["CreationDate"].as_i64().unwrap();
                let mut point = Point::new(&text("BackupVaultName"), &text("ResourceArn"), at, &lifecycle);
                point.tags = ask.body["RecoveryPointTags"].clone();
                state.points.push(point);
                state.jobs.insert(text("IdempotencyToken"), answer.clone());
                (status, answer)
            }
            ("PUT", ["backup", "plans"]) if status == 200 => {
                if let Some(token) = ask.body["CreatorRequestId"].as_str() {
                    state.plans.insert(key(token), answer.clone());
                }
                (status, answer)
            }
            ("PUT", ["backup", "plans", plan, "selections"]) if status == 200 => {
                let id = answer["SelectionId"].as_str().unwrap().to_owned();
                state.selections.insert(((*plan).to_owned(), id));
                (status, answer)
            }
            // Some of the answers to creates and deletes may have been lost.
            ("GET", ["backup", "plans", plan, "selections"]) if status == 200 => {
                state.selections.retain(|(of, _)| of != plan);
                for one in answer["BackupSelectionsList"].as_array().into_iter().flatten() {
                    let id = one["SelectionId"].as_str().unwrap().to_owned();
                    state.selections.insert(((*plan).to_owned(), id));
                }
                (status, answer)
            }
            ("DELETE", ["backup", "plans", id]) if status == 200 => {
                state.plans.retain(|_, made| made["BackupPlanId"] != **id);
                (status, answer)
            }
            ("DELETE", ["backup", "plans", plan, "selections", id]) => {
                state.selections.remove(&((*plan).to_owned(), (*id).to_owned()));
                (status, answer)
            }
            _ => (status, answer),
        }
    }
}
