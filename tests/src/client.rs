//! A client that knows nothing of this project, for looking at an API server past the provider.
#![allow(clippy::unwrap_used)]

use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use std::path::Path;

/// For the current context of a kubeconfig, past every proxy of the environment.
pub async fn client(kubeconfig: &Path) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .unwrap();
    config.proxy_url = None;
    Client::try_from(config).unwrap()
}
