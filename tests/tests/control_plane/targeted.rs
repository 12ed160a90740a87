//! Runs for some capabilities alone (`--only`): they write these and what they need, and prune nothing.

use composition::PlanOptions;
use platform_core::engine::{Action, Plan};
use platform_core::{Capability, ErrorKind};
use std::collections::BTreeSet;

use crate::configured::{apply, config, platform, uids};
use crate::shared::{control_plane, object, prefix};

/// The namespaces, without the prefix, in which a plan writes, and the objects of none.
fn places(plan: &Plan, prefix: &str) -> BTreeSet<String> {
    plan.changes()
        .map(|step| {
            let name = step.id.name();
            let namespace = name.namespace().unwrap_or_else(|| name.base());
            namespace.strip_prefix(prefix).unwrap_or(namespace).to_owned()
        })
        .collect()
}

/// Paths of what was written of a platform since, but for its lease.
fn written(mark: xtask::control_plane::AuditMark, prefix: &str, set: &str) -> BTreeSet<String> {
    let (events, _) = control_plane().audit_since(mark).unwrap();
    events
        .into_iter()
        .filter(|event| event.writes() && event.user_agent.starts_with("mlplat/"))
        .map(|event| event.uri.split('?').next().unwrap_or_default().to_owned())
        .filter(|path| (path.contains(&format!("/{prefix}")) || path.contains(set)) && !path.contains("/leases"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_targeted_run_writes_its_part_and_prunes_nothing() {
    let prefix = prefix();
    let text = |database: &str, cache: &str, storage: &str| config(&prefix, database, cache, storage, "");
    let first = text("{}", "{ memory: 128Mi }", "{ buckets: [{ name: models }] }");

    // On nothing: the cache, with the namespace and the authority that it needs.
    let standing = platform(&first, None).await;
    let plan = standing.plan_only([Capability::Cache]).await.unwrap();
    assert_eq!(places(&plan, &prefix), ["cache", "security"].map(str::to_owned).into());
    apply(&standing, &plan).await;
    let redis = format!("statefulset redis -n {prefix}cache");
    assert!(object(&redis).is_some());
    for absent in ["database", "storage"] {
        assert_eq!(object(&format!("namespace {prefix}{absent}")), None);
    }
    assert!(standing.plan_only([Capability::Cache]).await.unwrap().is_empty());

    // The rest joins without touching it.
    let before = uids(&prefix, "statefulsets,secrets,services,persistentvolumeclaims");
    let rest = standing.plan().await.unwrap();
    assert!(
        rest.changes().all(|step| step.action == Action::Create),
        "{}",
        rest.display()
    );
    apply(&standing, &rest).await;
    let whole = uids(&prefix, "statefulsets,secrets,services,persistentvolumeclaims");
    assert!(before.iter().all(|(name, uid)| whole.get(name) == Some(uid)) && whole.len() > before.len());

    // Everything changes and a block goes; one part is asked for.
    let later = text("{ max_connections: 120 }", "{ memory: 256Mi }", "null");
    let changed = platform(&later, None).await;
    let all = changed.plan().await.unwrap();
    assert_eq!(
        places(&all, &prefix),
        ["cache", "database", "storage"].map(str::to_owned).into()
    );
    let part = changed.plan_only([Capability::Cache]).await.unwrap();
    assert_eq!(places(&part, &prefix), ["cache".to_owned()].into());
    assert!(
        part.changes().all(|step| step.action == Action::Update),
        "{}",
        part.display()
    );
    let mark = control_plane().audit_mark().unwrap();
    apply(&changed, &part).await;
    let paths = written(mark, &prefix, changed.set().as_str());
    let own = format!("/namespaces/{prefix}cache/");
    let strange: Vec<&String> = paths.iter().filter(|path| !path.contains(&own)).collect();
    assert!(strange.is_empty() && !paths.is_empty(), "{strange:?} of {paths:?}");
    let memory =
        object(&redis).unwrap()["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"].clone();
    assert_eq!(memory, "256Mi");
    let now = uids(&prefix, "statefulsets,secrets,services,persistentvolumeclaims");
    assert_eq!(now, whole, "nothing went, nothing was made anew");

    // Two of them, and what is left is still known: the whole plan prunes it.
    let two = PlanOptions::default().with_only([Capability::Cache, Capability::Database]);
    let part = changed.plan_with(&two).await.unwrap();
    assert_eq!(places(&part, &prefix), ["database".to_owned()].into());
    apply(&changed, &part).await;
    let left = changed.plan().await.unwrap();
    assert_eq!(places(&left, &prefix), ["storage".to_owned()].into());
    assert!(
        left.changes()
            .all(|step| matches!(step.action, Action::Delete | Action::Release))
    );
    apply(&changed, &left).await;
    assert_eq!(object(&format!("statefulset minio -n {prefix}storage")), None);
    let again = changed.plan().await.unwrap();
    assert!(again.is_empty(), "{}", again.display());

    // What the config does not ask for cannot be asked for alone.
    let why = changed.plan_only([Capability::Storage]).await.unwrap_err();
    assert_eq!(why.kind(), ErrorKind::Invalid);
    assert!(why.help().unwrap().contains("`storage:`"), "{why:?}");
}
