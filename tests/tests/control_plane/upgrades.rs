//! Other images and other servers on data that exists.

use platform_core::engine::{Action, Approvals, Policy};
use platform_core::{Environment, ErrorKind, Risk};

use crate::configured::{apply, config, platform, try_apply, uids};
use crate::shared::{object, prefix};
use crate::stage::told;

fn with(prefix: &str, version: &str, engine: &str, more: &str) -> String {
    config(
        prefix,
        &format!("{{ version: \"{version}\", storage: 10Gi }}"),
        &format!("{{ engine: {engine}, memory: 256Mi }}"),
        "{ capacity: 20Gi }",
        more,
    )
}

/// The names of the pods that are others now.
fn restarted(prefix: &str, before: &std::collections::BTreeMap<String, String>) -> Vec<String> {
    uids(prefix, "pods")
        .into_iter()
        .filter(|(name, uid)| before.get(name) != Some(uid))
        .map(|(name, _)| name.rsplit('/').next().unwrap().to_owned())
        .collect()
}

fn image(prefix: &str, space: &str, pod: &str) -> String {
    let pod = object(&format!("pod {pod} --namespace={prefix}{space}")).unwrap();
    pod["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn images_change_pod_by_pod_and_data_formats_never() {
    let prefix = prefix();
    let first = platform(&with(&prefix, "17", "valkey", ""), None).await;
    apply(&first, &first.plan().await.unwrap()).await;
    let claims = uids(&prefix, "persistentvolumeclaims");

    // A minor version: one pod restarts, which staging has to be asked for and local does not.
    let pods = uids(&prefix, "pods");
    let minor = "images: { overrides: { postgres: \"docker.io/library/postgres:17.99\" } }";
    let text = with(&prefix, "17", "valkey", minor);
    let staging = platform(&text, Some(Policy::of(Environment::Staging))).await;
    let plan = staging.plan().await.unwrap();
    let why = try_apply(&staging, &plan, &Approvals::none()).await.unwrap_err();
    assert_eq!(why.kind(), ErrorKind::Unapproved, "{why}");
    let downtime: Vec<String> = plan
        .demands()
        .iter()
        .filter(|demand| demand.risk == Risk::Downtime)
        .map(|demand| demand.resource.label())
        .collect();
    assert_eq!(downtime, [format!("StatefulSet {prefix}database/postgres")]);
    let local = platform(&text, None).await;
    let plan = local.plan().await.unwrap();
    let report = try_apply(&local, &plan, &Approvals::none()).await.unwrap();
    assert!(report.is_success(), "{report:?}");
    assert_eq!(restarted(&prefix, &pods), ["postgres-0"]);
    assert_eq!(
        image(&prefix, "database", "postgres-0"),
        "docker.io/library/postgres:17.99"
    );

    // A mirror: every image but the override comes from it.
    let pods = uids(&prefix, "pods");
    let mirror =
        "images: { registry: mirror.invalid/hub, overrides: { postgres: \"docker.io/library/postgres:17.99\" } }";
    let mirrored = platform(&with(&prefix, "17", "valkey", mirror), None).await;
    apply(&mirrored, &mirrored.plan().await.unwrap()).await;
    // PostgreSQL too: its exporter comes from the mirror.
    assert_eq!(restarted(&prefix, &pods), ["redis-0", "postgres-0", "minio-0"]);
    assert!(image(&prefix, "cache", "redis-0").starts_with("mirror.invalid/hub/"));
    assert_eq!(
        image(&prefix, "database", "postgres-0"),
        "docker.io/library/postgres:17.99"
    );

    // Valkey to Redis and back: each in a folder of its own on the same volume.
    for engine in ["redis", "valkey"] {
        let pods = uids(&prefix, "pods");
        let other = platform(&with(&prefix, "17", engine, mirror), None).await;
        apply(&other, &other.plan().await.unwrap()).await;
        assert_eq!(restarted(&prefix, &pods), ["redis-0"], "{engine}");
        assert!(
            image(&prefix, "cache", "redis-0").contains(&format!("/{engine}:")),
            "{engine}"
        );
    }

    // A major version never starts on the data.
    let major = platform(
        &with(&prefix, "18", "valkey", mirror.split(", overrides").next().unwrap()).replace("hub", "hub }"),
        None,
    )
    .await;
    let plan = major.plan().await.unwrap();
    let blocked: Vec<_> = plan
        .steps
        .iter()
        .filter(|step| step.action == Action::Blocked)
        .collect();
    assert_eq!(blocked.len(), 1, "{:?}", told(&plan));
    let help = &blocked[0].blocked.as_ref().unwrap().help;
    assert!(
        help.contains("pg_dump") && help.contains("names: { postgres: postgres18 }"),
        "{help}"
    );
    let why = try_apply(&major, &plan, &crate::stage::accepted(&plan))
        .await
        .unwrap_err();
    assert_eq!(why.kind(), ErrorKind::Blocked, "{why}");
    assert_eq!(uids(&prefix, "persistentvolumeclaims"), claims);
}
