//! What the whole local platform costs on an API server: the example config, all six capabilities.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::client::client;
use crate::cost::{Costs, Count, measured};
use crate::manifests::manifest;
use crate::velero::StandIn;
use composition::Platform;
use composition::config::PlatformConfig;
use composition::kubernetes::{KubeProvider, Kubernetes};
use platform_core::testing::World;
use platform_core::value::{Place, SystemClock};
use platform_core::{Provider, Resource};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use xtask::control_plane::CONTEXT;

const EXAMPLE: &str = include_str!("../../examples/config/local.yaml");
const DEFINITION: &str = "CustomResourceDefinition.apiextensions.k8s.io";

/// The example in namespaces of its own, on a cluster that has Velero's definitions if `existing`.
fn config(prefix: &str, existing: bool) -> PlatformConfig {
    let backup = "backup: { ";
    assert!(EXAMPLE.contains(backup), "the example no longer says {backup}");
    let whose = if existing { "existing" } else { "own" };
    let text = EXAMPLE.replace(backup, &format!("{backup}definitions: {whose}, "));
    let text = format!("{text}\nnamespace_prefix: {prefix}\n");
    PlatformConfig::parse(&text, "whole.yaml").unwrap_or_else(|errors| panic!("{errors}"))
}

fn platform(config: PlatformConfig, provider: Arc<dyn Provider>) -> Platform {
    Platform::builder(config)
        .provider(Kubernetes::on(provider, Arc::new(SystemClock::new())))
        .holder("cost")
        .build()
        .unwrap()
}

/// What the example asks for, without a cluster.
fn resources(prefix: &str, existing: bool) -> Vec<Resource> {
    let place = Place::kubernetes("main").unwrap();
    let world = World::new(place, |_| None, Arc::new(SystemClock::new()));
    platform(config(prefix, existing), Arc::new(world))
        .request()
        .unwrap()
        .resources
}

fn list(resources: &[Resource]) -> String {
    json!({ "apiVersion": "v1", "kind": "List", "items": resources.iter().map(manifest).collect::<Vec<Value>>() })
        .to_string()
}

/// Velero's definitions as one manifest: they are the cluster's, and both sides find them there.
pub fn definitions() -> String {
    let mut all = resources("any-", false);
    all.retain(|one| one.id.kind().as_str() == DEFINITION);
    list(&all)
}

/// The platform as one manifest, namespaces first, and how many objects it has.
pub fn documents(prefix: &str) -> (String, usize) {
    let mut all = resources(prefix, true);
    all.sort_by_key(|one| one.id.kind().as_str() != "Namespace");
    (list(&all), all.len())
}

/// The platform through the engine. `admin` leads to the API server without a detour.
pub fn whole(kubeconfig: &Path, admin: &Path, prefix: &str, count: Count<'_>) -> Costs {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let connect = async || {
        let provider = KubeProvider::builder(kubeconfig, CONTEXT)
            .home_namespace(format!("{prefix}ml-platform"))
            .connect()
            .await
            .unwrap();
        platform(config(prefix, true), Arc::new(provider))
    };
    runtime.block_on(async {
        let request = connect().await.request().unwrap();
        let velero = StandIn::start(client(admin).await, format!("{prefix}backup"));
        let costs = measured(async || connect().await.engine().clone(), &request, count).await;
        velero.stop().await;
        costs
    })
}
