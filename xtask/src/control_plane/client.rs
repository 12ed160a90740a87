//! The few calls that the control plane makes of itself.

use std::path::Path;

use anyhow::{Context, Result, bail};
use http::Request;
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};

/// A client, of the runtime this is called in, of exactly this kubeconfig file; nothing of the machine's is read.
pub(crate) async fn connect(kubeconfig: &Path) -> Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig).with_context(|| format!("read {}", kubeconfig.display()))?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .context("use the kubeconfig")?;
    config.proxy_url = None;
    // a repetition of its own would hide what the server answered
    config.default_retry = false;
    Client::try_from(config).context("make a client")
}

/// The body of a GET that is answered with a 2xx.
pub(super) async fn get(client: &Client, path: &str) -> Result<Vec<u8>> {
    let request = Request::get(path).body(Body::empty())?;
    let answer = client.send(request).await.with_context(|| format!("GET {path}"))?;
    let status = answer.status();
    let body = answer
        .into_body()
        .collect_bytes()
        .await
        .with_context(|| format!("GET {path}"))?;
    if !status.is_success() {
        bail!("GET {path}: {status}");
    }
    Ok(body.to_vec())
}
