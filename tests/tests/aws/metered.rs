//! S3 with request metrics, which neither emulator has: what is kept of a bucket is whether the whole of it is counted.

use crate::between::{answer, between, signed_for};
use aws_smithy_runtime_api::client::http::{
    HttpConnector as _, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// What one account's S3 knows beside what ministack does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metered(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Buckets that are counted.
    buckets: BTreeSet<String>,
    /// Whether ministack answers as it does.
    off: bool,
    /// Requests that were answered here, and so by no proxy.
    requests: usize,
}

impl Metered {
    /// An HTTP client that talks to such an S3.
    pub(crate) fn around(&self, inner: SharedHttpClient) -> SharedHttpClient {
        let metered = self.clone();
        between(inner, move |wire, request| metered.pass(wire, request))
    }

    /// Buckets that are counted.
    pub(crate) fn buckets(&self) -> BTreeSet<String> {
        self.0.lock().unwrap().buckets.clone()
    }

    /// Leaves it to ministack from now on.
    pub(crate) fn switch_off(&self) {
        self.0.lock().unwrap().off = true;
    }

    /// Requests that no proxy saw since they were last forgotten.
    pub(crate) fn requests(&self) -> usize {
        self.0.lock().unwrap().requests
    }

    pub(crate) fn forget(&self) {
        self.0.lock().unwrap().requests = 0;
    }

    fn pass(&self, wire: &SharedHttpConnector, request: HttpRequest) -> HttpConnectorFuture {
        match self.answer(&request) {
            Some(answer) => HttpConnectorFuture::ready(Ok(answer)),
            None => wire.call(request),
        }
    }

    fn answer(&self, request: &HttpRequest) -> Option<HttpResponse> {
        signed_for(request).filter(|(_, service)| *service == "s3")?;
        let (_, path) = request.uri().split_once("//")?.1.split_once('/')?;
        let (bucket, query) = path.split_once('?')?;
        let bucket = bucket.trim_end_matches('/').to_owned();
        let mut state = self.0.lock().unwrap();
        if state.off {
            return None;
        }
        if query.is_empty() && request.method() == "DELETE" {
            state.buckets.remove(&bucket);
        }
        if !query.split('&').any(|part| part == "metrics" || part == "metrics=") {
            return None;
        }
        state.requests += 1;
        let known = state.buckets.contains(&bucket);
        Some(match request.method() {
            "PUT" => {
                state.buckets.insert(bucket);
                answer(200, "")
            }
            "DELETE" if state.buckets.remove(&bucket) => answer(204, ""),
            "GET" if known => answer(
                200,
                format!("<MetricsConfiguration xmlns=\"{NAMESPACE}\"><Id>EntireBucket</Id></MetricsConfiguration>"),
            ),
            _ => answer(404, "<Error><Code>NoSuchConfiguration</Code></Error>"),
        })
    }
}
