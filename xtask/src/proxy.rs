//! A loopback proxy that stands in front of an API server or an emulator and does to single calls what networks do.
//!
//! It listens on 127.0.0.1 in plain HTTP/1.1 and forwards to one upstream, with the credentials of a kubeconfig or none;
//! whatever the client itself sends (a bearer token, a signature) is passed on as it is. Answers are streamed, so
//! watches pass; requests are read whole first. It adds and changes nothing but what its [`Rule`]s say, and repeats
//! nothing by itself. Upgrades (exec, port-forward) do not pass.

mod rule;
mod upstream;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use http::{Method, Request, Response, response::Parts};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::sleep,
};

pub use self::rule::{Fault, Rule};
use self::upstream::Forward;
use crate::background::Background;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Where calls go.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// The cluster and the user of this kubeconfig's current context.
    Kubeconfig(PathBuf),
    /// A plain HTTP server, `http://127.0.0.1:5000`.
    Http(String),
}

/// One call that reached the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The operation that a call to AWS names in its header or form: `CreateKey`.
    pub operation: Option<String>,
    /// Status that was answered to the client; `None`: not yet, or never.
    pub status: Option<u16>,
    /// How often it was sent to the upstream: 0, 1, or 2 if duplicated.
    pub forwarded: u32,
    /// Why the upstream did not answer, if so.
    pub error: Option<String>,
}

impl Call {
    fn of(request: &Request<Bytes>) -> Self {
        let target = request
            .headers()
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok());
        let form = std::str::from_utf8(request.body()).ok();
        let operation = target
            .and_then(|target| Some(target.rsplit_once('.')?.1))
            .or_else(|| form?.strip_prefix("Action=")?.split('&').next());
        Self {
            method: request.method().clone(),
            path: request
                .uri()
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
            operation: operation.map(str::to_owned),
            status: None,
            forwarded: 0,
            error: None,
        }
    }

    /// Whether it asked for a change: an operation that does not read, else any method but GET, HEAD and OPTIONS; no dry run.
    pub fn writes(&self) -> bool {
        let reads = |operation: &String| READS.iter().any(|verb| operation.starts_with(verb));
        !matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
            && !self.path.contains("dryRun=")
            && !self.operation.as_ref().is_some_and(reads)
    }
}

/// How operations that only read are called.
const READS: [&str; 4] = ["Describe", "Get", "List", "Simulate"];

#[derive(Debug, Default)]
struct State {
    calls: Vec<Call>,
    /// rules with how many calls each has matched
    rules: Vec<(Rule, u64)>,
    delay: Duration,
    /// whole answers by path and query, kept while a rule may ask for them
    remembered: BTreeMap<String, (Parts, Bytes)>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    stops: watch::Sender<u64>,
    forward: Forward,
}

/// A running proxy; dropping it closes its port and its connections.
#[derive(Debug)]
pub struct Proxy {
    _background: Background,
    shared: Arc<Shared>,
    url: String,
}

impl Proxy {
    /// Starts to listen on a free port. May be called from blocking and from async code.
    ///
    /// # Errors
    /// The kubeconfig cannot be read, the address is no `http://host:port`, or no port is free. Whether the upstream
    /// answers is not asked.
    pub fn start(upstream: Upstream) -> Result<Self> {
        let background = Background::start("proxy")?;
        let (listener, forward) = background.wait(async move {
            let listener = TcpListener::bind(("127.0.0.1", 0))
                .await
                .context("bind a loopback port")?;
            anyhow::Ok((listener, Forward::to(&upstream).await?))
        })??;
        let url = format!("http://{}", listener.local_addr().context("look up the port")?);
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            stops: watch::Sender::new(0),
            forward,
        });
        background.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            _background: background,
            shared,
            url,
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The text of a kubeconfig that leads here, with the one context [`CONTEXT`](crate::control_plane::CONTEXT) and no credentials.
    pub fn kubeconfig(&self) -> String {
        crate::control_plane::plain_kubeconfig(&self.url)
    }

    /// Replaces all rules; their counts begin at 0. The first rule that fits a call decides about it.
    pub fn set_rules(&self, rules: impl IntoIterator<Item = Rule>) {
        let mut state = self.state();
        state.rules = rules.into_iter().map(|rule| (rule, 0)).collect();
        state.remembered.clear();
    }

    /// Adds half of a round trip to each way of every call. Default 0.
    pub fn set_delay(&self, one_way: Duration) {
        self.state().delay = one_way;
    }

    /// The calls so far, in the order of their arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Forgets the calls so far; the rules' counts stay.
    pub fn forget_calls(&self) {
        self.state().calls.clear();
    }

    /// Waits until a call has met [`Fault::StopBefore`] or [`Fault::StopAfter`] that no earlier waiting has told of.
    /// The call then hangs: whoever made it can be killed at exactly that point.
    pub async fn stopped(&self) {
        self.shared.stopped().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(serve(stream, shared));
            }
            // out of file descriptors: they come back
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // small messages both ways: waiting to fill a packet would cost 40 ms
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { shared.answer(request).await }
    });
    // an error here is a client that went away or a connection dropped on purpose
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn stopped(&self) {
        let mut stops = self.stops.subscribe();
        // the sender lives in `self`
        let _ = stops.wait_for(|count| *count > 0).await;
        self.stops.send_modify(|count| *count = count.saturating_sub(1));
    }

    /// An error closes the client's connection without an answer.
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let request = Request::from_parts(head, body);
        let call = Call::of(&request);
        let path = call.path.clone();
        let (number, fault, delay) = self.arrived(call.clone());
        sleep(delay).await;
        match &fault {
            Some(Fault::DropBefore) => return Err(io::Error::other("dropped before the upstream")),
            Some(Fault::StopBefore) => return self.stop().await,
            Some(Fault::Answer { status, headers, body }) => {
                let mut answer = Response::builder().status(*status);
                for (name, value) in headers {
                    answer = answer.header(name, value);
                }
                let answer = answer.body(whole(body.clone())).map_err(io::Error::other)?;
                sleep(delay).await;
                self.note(number, |call| call.status = Some(*status));
                return Ok(answer);
            }
            Some(Fault::Delay(time)) => sleep(*time).await,
            Some(Fault::Duplicate) => {
                // the first of the two is answered to nobody
                let first = self.forward(number, &request).await?;
                first.into_body().collect().await.map_err(io::Error::other)?;
            }
            Some(Fault::Stale) => {
                let remembered = self.state().remembered.get(&path).cloned();
                if let Some((head, body)) = remembered.filter(|_| request.method() == Method::GET) {
                    sleep(delay).await;
                    self.note(number, |call| call.status = Some(head.status.as_u16()));
                    return Ok(Response::from_parts(head, whole(body)));
                }
            }
            Some(Fault::DropAfter | Fault::StopAfter) | None => {}
        }
        let mut answer = self.forward(number, &request).await?;
        if self.remembers(&call) {
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            self.state().remembered.insert(path, (head.clone(), body.clone()));
            answer = Response::from_parts(head, whole(body));
        }
        match &fault {
            Some(Fault::DropAfter) => {
                // the upstream is done with the call only when its answer is whole
                if !watches(&request) {
                    answer.into_body().collect().await.map_err(io::Error::other)?;
                }
                return Err(io::Error::other("dropped after the upstream"));
            }
            Some(Fault::StopAfter) => {
                // a watch has no end that could be waited for
                if !watches(&request) {
                    answer.into_body().collect().await.map_err(io::Error::other)?;
                }
                return self.stop().await;
            }
            _ => {}
        }
        sleep(delay).await;
        self.note(number, |call| call.status = Some(answer.status().as_u16()));
        Ok(answer)
    }

    fn arrived(&self, call: Call) -> (usize, Option<Fault>, Duration) {
        let mut state = self.state();
        let mut fault = None;
        for (rule, matched) in &mut state.rules {
            if rule.fits(&call) {
                *matched += 1;
                if fault.is_none() && rule.hits(*matched) {
                    fault = Some(rule.fault.clone());
                }
            }
        }
        state.calls.push(call);
        (state.calls.len() - 1, fault, state.delay)
    }

    fn remembers(&self, call: &Call) -> bool {
        let stale = |(rule, _): &(Rule, u64)| matches!(rule.fault, Fault::Stale) && rule.fits(call);
        call.method == Method::GET && !call.path.contains("watch=") && self.state().rules.iter().any(stale)
    }

    fn note(&self, number: usize, change: impl FnOnce(&mut Call)) {
        // absent when the calls have been forgotten meanwhile
        if let Some(call) = self.state().calls.get_mut(number) {
            change(call);
        }
    }

    async fn forward(&self, number: usize, request: &Request<Bytes>) -> Result<Response<Body>, io::Error> {
        self.note(number, |call| call.forwarded += 1);
        self.forward.send(request).await.map_err(|error| {
            self.note(number, |call| call.error = Some(format!("{error:#}")));
            io::Error::other("no answer from the upstream")
        })
    }

    /// Tells the test and never answers.
    async fn stop(&self) -> Result<Response<Body>, io::Error> {
        self.stops.send_modify(|count| *count += 1);
        std::future::pending().await
    }
}

/// Whether the answer has no end that could be waited for.
fn watches(request: &Request<Bytes>) -> bool {
    request.uri().query().is_some_and(|query| query.contains("watch="))
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

#[cfg(test)]
mod tests;
