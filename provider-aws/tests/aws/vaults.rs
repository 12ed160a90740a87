//! AWS Backup more as AWS has it: what ministack forgets of a vault is kept here, a token gives the same plan again, a vault
//! that is not there may not be described, and a plan with selections cannot be deleted.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
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
    /// Roles that cannot be assumed yet, and how often that is said.
    fresh: u32,
}

/// What a request to AWS Backup asks for.
#[derive(Clone, Debug)]
struct Ask {
    region: String,
    method: String,
    path: Vec<String>,
    body: Value,
}

impl Ask {
    fn of(request: &HttpRequest) -> Option<Self> {
        let mut signed = request.headers().get("authorization")?.split('/');
        let region = signed.nth(2)?.to_owned();
        if signed.next()? != "backup" {
            return None;
        }
        let path = request.uri().split_once("//")?.1.split_once('/')?.1;
        let path = path.split('?').next()?.trim_matches('/');
        Some(Self {
            region,
            method: request.method().to_owned(),
            path: path.split('/').map(str::to_owned).collect(),
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

impl Vaults {
    /// An HTTP client that talks to such an AWS Backup.
    pub(crate) fn around(&self, inner: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Remembering(inner, self.clone()))
    }

    /// Lets a vault hold backups.
    pub(crate) fn fill(&self, vault: &str, backups: u32) {
        self.0.lock().unwrap().holds.insert(vault.to_owned(), backups);
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
            ("PUT", ["backup", "plans", _, "selections"]) if state.fresh > 0 => {
                state.fresh -= 1;
                Some(refusal(
                    400,
                    "InvalidParameterValueException",
                    "IAM Role cannot be assumed by AWS Backup",
                ))
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
            ("PUT", [VAULTS, _, "access-policy" | "notification-configuration" | "vault-lock"]) => {
                state.kept.insert(key(&path), ask.body.clone());
                (200, json!({}))
            }
            ("DELETE", [VAULTS, _, "access-policy" | "notification-configuration" | "vault-lock"]) => {
                state.kept.remove(&key(&path));
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
            ("DELETE", ["backup", "plans", plan, "selections", id]) => {
                state.selections.remove(&((*plan).to_owned(), (*id).to_owned()));
                (status, answer)
            }
            _ => (status, answer),
        }
    }
}

#[derive(Debug)]
struct Remembering<T>(T, Vaults);

impl HttpClient for Remembering<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Remembering(self.0.http_connector(settings, components), self.1.clone()))
    }
}

impl HttpConnector for Remembering<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Some(ask) = Ask::of(&request) else {
            return self.0.call(request);
        };
        let answered = |(status, body): (u16, Value)| {
            HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body.to_string()))
        };
        if let Some(instead) = self.1.instead(&ask) {
            return HttpConnectorFuture::ready(Ok(answered(instead)));
        }
        let (answer, vaults) = (self.0.call(request), self.1.clone());
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await?;
            let status = answer.status().as_u16();
            let body = std::mem::replace(answer.body_mut(), SdkBody::empty());
            let bytes = ByteStream::new(body).collect().await.unwrap().into_bytes();
            let value = serde_json::from_slice(&bytes).unwrap_or_default();
            Ok(answered(vaults.mend(&ask, status, value)))
        })
    }
}
