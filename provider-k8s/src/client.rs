//! One cluster's API: raw requests with status, warnings and body; counted, timed out, and repeated where that is harmless.

use crate::error::{self, Attempt};
use crate::redact::Sent;
use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use futures::stream::{BoxStream, StreamExt};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Method, Request};
use kube::api::WatchEvent;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use platform_core::value::Clock;
use platform_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use zeroize::Zeroizing;

/// No answer for so long is none.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that takes longer is refused.
const CONNECT: Duration = Duration::from_secs(10);
/// Tries of one request, the first included.
const TRIES: u32 = 4;
/// Longest pause that a server may ask for.
const PAUSE: Duration = Duration::from_secs(5);

pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const JSON_PATCH: &str = "application/json-patch+json";
pub(crate) const APPLY: &str = "application/apply-patch+yaml";
/// Lists without values: for Secrets.
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// The API of one cluster, as one user.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    clock: Arc<dyn Clock>,
    requests: Arc<AtomicU32>,
    /// `context "kind-dev" (https://127.0.0.1:6443)`, for messages.
    peer: Arc<str>,
    /// Where the credentials are none that the client has.
    tokens: Option<Arc<dyn TokenSource>>,
}

/// A cluster by its address, for a user who is known by tokens.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `https://...`.
    pub url: String,
    /// PEM of the authority that signed the API server's certificate.
    pub certificate_authority: String,
    /// Who the user is.
    pub tokens: Arc<dyn TokenSource>,
}

/// Where a user's tokens come from. Asked before each request, so a source keeps its token until shortly before it runs out.
#[async_trait]
pub trait TokenSource: std::fmt::Debug + Send + Sync {
    /// A token that is good for a minute at least.
    ///
    /// # Errors
    /// When there is none.
    async fn token(&self) -> Result<SecretString>;
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// One request.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) content: &'static str,
    /// Wiped when dropped: it may hold values of Secrets.
    pub(crate) body: Option<Zeroizing<Vec<u8>>>,
    pub(crate) metadata_only: bool,
    pub(crate) attempt: Attempt,
}

impl Call {
    pub(crate) fn get(path: impl Into<String>, attempt: Attempt) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            content: JSON,
            body: None,
            metadata_only: false,
            attempt,
        }
    }

    pub(crate) fn send(
        method: Method,
        path: impl Into<String>,
        content: &'static str,
        body: &Value,
        attempt: Attempt,
    ) -> Self {
        Self {
            method,
            content,
            body: Some(Zeroizing::new(body.to_string().into_bytes())),
            ..Self::get(path, attempt)
        }
    }

    /// The body, if it may hold values of a Secret.
    fn values(&self) -> Option<&[u8]> {
        let body = self.body.as_ref().filter(|_| self.path.contains("/secrets"))?;
        Some(body)
    }

    /// Asks for metadata alone, so that no value enters this process.
    pub(crate) fn metadata_only(mut self) -> Self {
        self.metadata_only = true;
        self
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) warnings: Vec<String>,
    pub(crate) body: Value,
    attempt: Attempt,
    peer: Arc<str>,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// `AlreadyExists`, `Conflict`, `NotFound`.
    pub(crate) fn reason(&self) -> &str {
        self.body["reason"].as_str().unwrap_or_default()
    }

    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// The body of a success.
    pub(crate) fn ok(self) -> Result<Value> {
        if self.is_success() {
            Ok(self.body)
        } else {
            Err(self.into_error())
        }
    }

    /// The body of a success; `None` for "not found" of the object itself.
    pub(crate) fn found(self) -> Result<Option<Value>> {
        if self.status == 404 && self.body.is_object() {
            return Ok(None);
        }
        self.ok().map(Some)
    }

    pub(crate) fn into_error(self) -> Error {
        error::refused(&self.attempt, &self.peer, self.status, &self.body)
    }
}

impl Api {
    /// A client from one file and one context of it. Reads nothing else of the machine's: no `KUBECONFIG`, no proxy variables.
    pub(crate) async fn from_kubeconfig(path: &Path, context: &str, clock: Arc<dyn Clock>) -> Result<Self> {
        let file = Kubeconfig::read_from(path).map_err(|cause| {
            Error::new(ErrorKind::Invalid, "the kubeconfig cannot be read")
                .with_context("file", path.display())
                .with_source(cause)
                .with_help("name a kubeconfig file that exists, such as the one that `kind get kubeconfig` prints")
        })?;
        let Some(found) = file.contexts.iter().find(|found| found.name == context) else {
            let names: Vec<&str> = file.contexts.iter().map(|found| found.name.as_str()).collect();
            return Err(
                Error::new(ErrorKind::NotFound, format!("no context {context:?} in the kubeconfig"))
                    .with_context("file", path.display())
                    .with_help(format!("choose one of: {}", names.join(", "))),
            );
        };
        let cluster = found
            .context
            .as_ref()
            .map(|context| context.cluster.clone())
            .unwrap_or_default();
        let proxy = file
            .clusters
            .iter()
            .find(|found| found.name == cluster)
            .and_then(|found| found.cluster.as_ref()?.proxy_url.clone());
        let invalid = |cause: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::Invalid, format!("context {context:?} cannot be used"))
                .with_context("file", path.display())
                .with_source(cause)
                .with_help("check the cluster and the user that the context names")
        };
        let options = KubeConfigOptions {
            context: Some(context.to_owned()),
            ..KubeConfigOptions::default()
        };
        let mut config = Config::from_custom_kubeconfig(file, &options)
            .await
            .map_err(|cause| invalid(Box::new(cause)))?;
        // It was taken from the environment; only the cluster's own counts.
        config.proxy_url = proxy
            .map(|url| url.parse())
            .transpose()
            .map_err(|cause: http::uri::InvalidUri| invalid(Box::new(cause)))?;
        let config = settled(config);
        let peer = format!(
            "context {context:?} ({})",
            config.cluster_url.to_string().trim_end_matches('/')
        );
        let client = Client::try_from(config).map_err(|cause| invalid(Box::new(cause)))?;
        Ok(Self {
            client,
            clock,
            requests: Arc::default(),
            peer: peer.into(),
            tokens: None,
        })
    }

    /// A client of one address, whose certificate one authority signed.
    pub(crate) fn from_endpoint(endpoint: Endpoint, clock: Arc<dyn Clock>) -> Result<Self> {
        let peer: Arc<str> = endpoint.url.as_str().into();
        let invalid = |why: &str, cause: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::Invalid, why)
                .with_context("cluster", &endpoint.url)
                .with_source(cause)
        };
        let url = endpoint.url.parse();
        let url = url.map_err(|cause: http::uri::InvalidUri| invalid("its address cannot be read", Box::new(cause)))?;
        let mut config = Config::new(url);
        let authority = certificates(&endpoint.certificate_authority);
        config.root_cert = Some(authority.map_err(|cause| invalid("its authority is no certificate", cause))?);
        let config = settled(config);
        let client =
            Client::try_from(config).map_err(|cause| invalid("no connection can be made to it", Box::new(cause)))?;
        Ok(Self {
            client,
            clock,
            requests: Arc::default(),
            peer,
            tokens: Some(endpoint.tokens),
        })
    }

    /// Requests sent so far, repetitions included.
    pub(crate) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    /// Sends a request and reads the whole answer; any status is an answer.
    ///
    /// Repeats what the server asks to repeat, what never reached it, and reads. A write whose answer was lost is an
    /// error that says "try again": whoever wrote has to look whether it went through.
    pub(crate) async fn call(&self, call: Call) -> Result<Answer> {
        let mut tries = 0;
        loop {
            tries += 1;
            let outcome = self.once(&call).await;
            let pause = match &outcome {
                Ok((answer, asked)) if matches!(answer.status, 429 | 503 | 504) => *asked,
                Err(why) => error::may_repeat(why, call.method == Method::GET).then_some(Duration::from_millis(50)),
                Ok(_) => None,
            };
            match (pause, outcome) {
                (Some(pause), _) if tries < TRIES => {
                    self.clock.sleep(pause.min(PAUSE) * tries).await;
                }
                (_, Ok((answer, _))) => return Ok(answer),
                (_, Err(why)) => return Err(error::unreachable(&call.attempt, &self.peer, why)),
            }
        }
    }

    async fn once(&self, call: &Call) -> Result<(Answer, Option<Duration>), error::Transport> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut request = Self::request(call)?;
        let exchange = async {
            self.authorize(&mut request).await?;
            let response = self.client.send(request).await.map_err(error::Transport::Client)?;
            let status = response.status().as_u16();
            let mut warnings: Vec<String> = response
                .headers()
                .get_all("warning")
                .iter()
                .filter_map(warning)
                .collect();
            let asked = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|seconds| seconds.to_str().ok()?.parse().ok())
                .map(Duration::from_secs);
            let bytes = response
                .into_body()
                .collect_bytes()
                .await
                .map_err(error::Transport::Client)?;
            // What is no JSON, such as "404 page not found", is kept as a text.
            let mut body = serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
            let refused = !(200..300).contains(&status);
            if let Some(sent) = call.values().filter(|_| refused || !warnings.is_empty()) {
                let sent = Sent::of(sent);
                for text in &mut warnings {
                    sent.hide(text);
                }
                if refused {
                    sent.hide_in(&mut body);
                }
            }
            Ok((
                Answer {
                    status,
                    warnings,
                    body,
                    attempt: call.attempt.clone(),
                    peer: Arc::clone(&self.peer),
                },
                asked.or((status == 429 || status == 503).then_some(Duration::from_millis(200))),
            ))
        };
        tokio::select! {
            outcome = exchange => outcome,
            () = self.clock.sleep(TIMEOUT) => Err(error::Transport::TimedOut(TIMEOUT)),
        }
    }

    /// Adds who the user is, where the client does not know it.
    async fn authorize<B>(&self, request: &mut Request<B>) -> Result<(), error::Transport> {
        let Some(tokens) = &self.tokens else { return Ok(()) };
        let token = tokens.token().await.map_err(error::Transport::NoToken)?;
        let text = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
        let mut value = HeaderValue::from_str(&text).map_err(|cause| error::Transport::Request(cause.into()))?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
        Ok(())
    }

    fn request(call: &Call) -> Result<Request<Body>, error::Transport> {
        let accept = match (call.metadata_only, call.path.contains("Selector=")) {
            (false, _) => JSON,
            (true, true) => METADATA_LIST,
            (true, false) => METADATA,
        };
        Request::builder()
            .method(call.method.clone())
            .uri(&call.path)
            .header(CONTENT_TYPE, call.content)
            .header(ACCEPT, accept)
            .body(
                call.body
                    .as_ref()
                    .map_or_else(Body::empty, |body| Body::from(body.to_vec())),
            )
            .map_err(error::Transport::Request)
    }

    /// Opens a watch; items are the lines of the answer.
    pub(crate) async fn watch(
        &self,
        path: &str,
        metadata_only: bool,
        attempt: &Attempt,
    ) -> Result<BoxStream<'static, Result<WatchEvent<Value>, kube::Error>>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut request = Request::get(path)
            .header(ACCEPT, if metadata_only { METADATA } else { JSON })
            .body(Vec::new())
            .map_err(|cause| error::unreachable(attempt, &self.peer, error::Transport::Request(cause)))?;
        let authorized = self.authorize(&mut request).await;
        authorized.map_err(|why| error::unreachable(attempt, &self.peer, why))?;
        let opened = tokio::select! {
            opened = self.client.request_events::<Value>(request) => opened,
            () = self.clock.sleep(TIMEOUT) => {
                return Err(error::unreachable(attempt, &self.peer, error::Transport::TimedOut(TIMEOUT)));
            }
        };
        opened.map(StreamExt::boxed).map_err(|cause| match cause {
            kube::Error::Api(status) => {
                let body = serde_json::to_value(&*status).unwrap_or(Value::Null);
                error::refused(attempt, &self.peer, status.code, &body)
            }
            other => error::unreachable(attempt, &self.peer, error::Transport::Client(other)),
        })
    }
}

/// With our own time limits, repetitions and name.
fn settled(mut config: Config) -> Config {
    config.connect_timeout = Some(CONNECT);
    // One policy of our own: the default one obeys any Retry-After and repeats 15 times.
    config.default_retry = false;
    config.headers.push((
        USER_AGENT,
        HeaderValue::from_static(concat!("mlplat/", env!("CARGO_PKG_VERSION"))),
    ));
    config
}

/// The certificates in a PEM text, as DER.
fn certificates(pem: &str) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> {
    const END: &str = "-----END CERTIFICATE-----";
    let blocks = pem.split("-----BEGIN CERTIFICATE-----").skip(1);
    let bodies = blocks.filter_map(|block| block.split_once(END)).map(|(body, _)| body);
    let decode = |body: &str| BASE64.decode(body.split_whitespace().collect::<String>());
    let all: Vec<Vec<u8>> = bodies.map(decode).collect::<Result<_, _>>()?;
    if all.is_empty() {
        return Err("it holds no certificate".into());
    }
    Ok(all)
}

/// The text of `299 - "text"`.
fn warning(header: &HeaderValue) -> Option<String> {
    let text = header.to_str().ok()?;
    let quoted = text.split_once('"').map_or(text, |(_, rest)| rest);
    Some(quoted.strip_suffix('"').unwrap_or(quoted).replace("\\\"", "\""))
}
