//! The way on: to an API server through a kubeconfig, or to a plain HTTP server.

use anyhow::{Context, Result};
use http::{HeaderMap, HeaderName, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use super::{Body, Upstream};
use crate::control_plane::client;

/// Fields that belong to one connection, not to the message.
const OF_THE_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

pub(super) enum Forward {
    Kubernetes(kube::Client),
    Http {
        client: Box<Client<HttpConnector, Full<Bytes>>>,
        base: String,
    },
}

impl std::fmt::Debug for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kubernetes(_) => f.write_str("Kubernetes"),
            Self::Http { base, .. } => f.debug_tuple("Http").field(base).finish(),
        }
    }
}

impl Forward {
    pub(super) async fn to(upstream: &Upstream) -> Result<Self> {
        match upstream {
            Upstream::Kubeconfig(file) => Ok(Self::Kubernetes(client::connect(file).await?)),
            Upstream::Http(base) => {
                let uri: Uri = base.parse().with_context(|| format!("address {base}"))?;
                let plain = uri.scheme_str() == Some("http") && uri.authority().is_some();
                anyhow::ensure!(plain, "address {base}: http://host:port was expected");
                let mut connector = HttpConnector::new();
                connector.set_nodelay(true);
                let client = Box::new(Client::builder(TokioExecutor::new()).build(connector));
                Ok(Self::Http {
                    client,
                    base: base.trim_end_matches('/').to_owned(),
                })
            }
        }
    }

    /// Sends the request once; the answer's body is still to come.
    pub(super) async fn send(&self, request: &Request<Bytes>) -> Result<Response<Body>> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let mut answer = match self {
            Self::Kubernetes(client) => {
                let mut copy = Request::builder()
                    .method(request.method())
                    .uri(path)
                    .body(request.body().clone())?;
                *copy.headers_mut() = passed_on(request.headers());
                // the API server is known by another name
                copy.headers_mut().remove(header::HOST);
                let answer = client.send(copy.map(kube::client::Body::from)).await?;
                answer.map(|body| body.map_err(Into::into).boxed_unsync())
            }
            Self::Http { client, base } => {
                let uri = format!("{base}{path}");
                let mut copy = Request::builder()
                    .method(request.method())
                    .uri(uri)
                    .body(request.body().clone())?;
                // Host stays: it is part of signatures and names buckets
                *copy.headers_mut() = passed_on(request.headers());
                let answer = client.request(copy.map(Full::new)).await?;
                answer.map(|body| body.map_err(Into::into).boxed_unsync())
            }
        };
        *answer.headers_mut() = passed_on(answer.headers());
        Ok(answer)
    }
}

fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in OF_THE_CONNECTION {
        headers.remove(name);
    }
    headers
}
