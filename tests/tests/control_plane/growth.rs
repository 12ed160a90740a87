//! Volumes that grow under running servers, from the config to the claim.

use std::time::Duration;

use platform_core::engine::Action;
use xtask::proxy::{Fault, Rule};

use crate::configured::{apply, config, platform, platform_at, try_apply, uids};
use crate::shared::{control_plane, object, prefix, proxied, within};
use crate::stage::{accepted, told};

fn sized(prefix: &str, database: u32, cache: u32, storage: u32) -> String {
    config(
        prefix,
        &format!("{{ version: \"17\", storage: {database}Gi }}"),
        &format!("{{ memory: 256Mi, storage: {cache}Gi }}"),
        &format!("{{ capacity: {storage}Gi }}"),
        "",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_grow_under_their_pods_and_never_shrink() {
    let prefix = prefix();
    let small = platform(&sized(&prefix, 10, 5, 20), None).await;
    apply(&small, &small.plan().await.unwrap()).await;
    let pods = uids(&prefix, "pods");
    assert_eq!(pods.len(), 3, "{pods:?}");
    let sets = uids(&prefix, "statefulsets");

    let large = platform(&sized(&prefix, 20, 6, 40), None).await;
    let plan = large.plan().await.unwrap();
    let mut lines = told(&plan);
    lines.sort();
    lines.dedup();
    assert_eq!(
        lines,
        [
            "Update PersistentVolumeClaim spec.resources.requests.storage",
            "Update ResourceQuota spec.hard.\"requests.storage\"",
            "Update StatefulSet spec.volumeClaimTemplates[data].spec.resources.requests.storage",
        ]
    );
    assert_eq!(plan.changes().count(), 9);
    assert!(plan.demands().is_empty(), "{:?}", plan.demands());
    apply(&large, &plan).await;
    assert_eq!(uids(&prefix, "pods"), pods, "no pod restarted");
    let anew = uids(&prefix, "statefulsets");
    assert!(sets.iter().all(|(name, uid)| anew[name] != *uid), "{sets:?} {anew:?}");
    for (claim, size) in [
        ("database data-postgres-0", "20Gi"),
        ("cache data-redis-0", "6Gi"),
        ("storage data-minio-0", "40Gi"),
    ] {
        let (space, name) = claim.split_once(' ').unwrap();
        let live = object(&format!("pvc {name} --namespace={prefix}{space}")).unwrap();
        assert_eq!(live["status"]["capacity"]["storage"], size, "{claim}");
    }
    // The controller owns its pods again.
    for (name, uid) in uids(&prefix, "pods") {
        assert_eq!(pods[&name], uid);
    }
    assert_eq!(told(&large.plan().await.unwrap()), Vec::<String>::new());

    // Smaller is refused before anything is written.
    let plan = small.plan().await.unwrap();
    let refused: Vec<String> = plan
        .steps
        .iter()
        .filter(|step| step.action == Action::Blocked)
        .map(|step| {
            let blocked = step.blocked.as_ref().unwrap();
            format!("{}: {}\n  {}", step.id.label(), blocked.why, blocked.help)
        })
        .collect();
    let text = refused.join("\n");
    println!("{text}");
    for (claim, from, to) in [
        ("data-postgres-0", "20Gi", "10Gi"),
        ("data-redis-0", "6Gi", "5Gi"),
        ("data-minio-0", "40Gi", "20Gi"),
    ] {
        let line = text
            .lines()
            .find(|line| line.contains(claim))
            .unwrap_or_else(|| panic!("{claim}: {text}"));
        assert!(
            line.ends_with(&format!("only grows: {from} cannot become {to}")),
            "{line}"
        );
    }
    assert!(try_apply(&small, &plan, &accepted(&plan)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_server_is_made_anew_its_pod_stays() {
    let prefix = prefix();
    let small = platform(&sized(&prefix, 10, 5, 20), None).await;
    apply(&small, &small.plan().await.unwrap()).await;
    let pods = uids(&prefix, "pods");

    let (proxy, through) = proxied(control_plane().admin());
    let text = sized(&prefix, 20, 5, 20);
    let victim = platform_at(&through, &text, None).await;
    let plan = victim.plan().await.unwrap();
    // A create only: updates name the object in their path.
    proxy.set_rules([Rule::new(Fault::StopBefore).writes().path("/statefulsets?")]);
    let run = tokio::spawn(async move { try_apply(&victim, &plan, &accepted(&plan)).await });
    let set = format!("statefulset postgres --namespace={prefix}database");
    within(Duration::from_mins(1), "the old one is gone", || object(&set).is_none());
    run.abort();
    assert!(run.await.is_err_and(|why| why.is_cancelled()));
    assert_eq!(uids(&prefix, "pods"), pods, "orphaned, not deleted");

    let next = platform(&text, None).await;
    let plan = next.plan().await.unwrap();
    assert!(
        told(&plan).contains(&"Create StatefulSet".to_owned()),
        "{:?}",
        told(&plan)
    );
    apply(&next, &plan).await;
    assert_eq!(uids(&prefix, "pods"), pods, "the same pods");
    let pod = object(&format!("pod postgres-0 --namespace={prefix}database")).unwrap();
    let owner = &pod["metadata"]["ownerReferences"][0];
    assert_eq!(owner["uid"], object(&set).unwrap()["metadata"]["uid"]);
    assert_eq!(told(&next.plan().await.unwrap()), Vec::<String>::new());
}
