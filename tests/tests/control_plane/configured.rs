//! Platforms of config files on the control plane of this binary.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use composition::Platform;
use composition::config::PlatformConfig;
use composition::kubernetes::{KubeProvider, Kubernetes};
use platform_core::Result;
use platform_core::engine::{Approvals, Plan, Policy, Report};
use platform_core::value::{Clock, SystemClock};
use xtask::control_plane::CONTEXT;

use crate::shared::{control_plane, object};
use crate::stage::accepted;

/// Database, cache and storage under a prefix of their own; `more` are further lines.
pub(crate) fn config(prefix: &str, database: &str, cache: &str, storage: &str, more: &str) -> String {
    format!(
        "name: ml\nenvironment: local\nprovider: kubernetes\nnamespace_prefix: {prefix}\ndatabase: {database}\n\
         cache: {cache}\nstorage: {storage}\n{more}\n"
    )
}

/// The platform of this config, as another process each time.
pub(crate) async fn platform(text: &str, policy: Option<Policy>) -> Platform {
    platform_at(control_plane().admin().kubeconfig(), text, policy).await
}

pub(crate) async fn platform_at(kubeconfig: &Path, text: &str, policy: Option<Policy>) -> Platform {
    platform_by(kubeconfig, text, policy, Arc::new(SystemClock::new())).await
}

/// [`platform_at`] at another time.
pub(crate) async fn platform_by(
    kubeconfig: &Path,
    text: &str,
    policy: Option<Policy>,
    clock: Arc<dyn Clock>,
) -> Platform {
    let config = PlatformConfig::parse(text, "test.yaml").unwrap_or_else(|errors| panic!("{errors}"));
    let provider = KubeProvider::builder(kubeconfig, CONTEXT)
        .home_namespace(format!("{}{}", config.namespace_prefix, config.name))
        .clock(Arc::clone(&clock))
        .connect()
        .await
        .expect("connect");
    let mut builder = Platform::builder(config)
        .provider(Kubernetes::on(Arc::new(provider), clock))
        .holder("tests@here:1:one")
        .lease_ttl(Duration::from_secs(1));
    if let Some(policy) = policy {
        builder = builder.policy(policy);
    }
    builder.build().expect("build")
}

const LIMIT: Duration = Duration::from_mins(2);

pub(crate) async fn try_apply(platform: &Platform, plan: &Plan, approvals: &Approvals) -> Result<Report> {
    try_apply_in(LIMIT, platform, plan, approvals).await
}

async fn try_apply_in(limit: Duration, platform: &Platform, plan: &Plan, approvals: &Approvals) -> Result<Report> {
    let run = platform.apply(plan, approvals, |event| println!("{event:?}"));
    tokio::time::timeout(limit, run)
        .await
        .unwrap_or_else(|_| panic!("no apply within {limit:?}"))
}

/// Applies with every risk accepted but that to data; all of it must succeed.
pub(crate) async fn apply(platform: &Platform, plan: &Plan) -> Report {
    apply_in(LIMIT, platform, plan).await
}

/// [`apply`] for what takes its time.
pub(crate) async fn apply_in(limit: Duration, platform: &Platform, plan: &Plan) -> Report {
    let report = try_apply_in(limit, platform, plan, &accepted(plan))
        .await
        .expect("apply");
    let failures: Vec<String> = report
        .failures()
        .map(|(id, why)| format!("{id}: {}", why.report()))
        .collect();
    assert!(report.is_success(), "{failures:#?}");
    report
}

/// Uids by name of what `words` lists in the namespaces of this prefix; pods of Jobs are left out.
pub(crate) fn uids(prefix: &str, words: &str) -> BTreeMap<String, String> {
    let list = object(&format!("{words} --all-namespaces")).unwrap();
    let items = list["items"].as_array().unwrap();
    let text = |item: &serde_json::Value, key: &str| item["metadata"][key].as_str().unwrap_or_default().to_owned();
    items
        .iter()
        .filter(|item| text(item, "namespace").starts_with(prefix))
        .filter(|item| item["metadata"]["ownerReferences"][0]["kind"] != "Job")
        .map(|item| {
            let kind = item["kind"].as_str().unwrap_or_default();
            let name = format!("{kind} {}/{}", text(item, "namespace"), text(item, "name"));
            (name, text(item, "uid"))
        })
        .collect()
}
