//! Several people, tools and rights on one cluster.

use std::{sync::Arc, time::Duration};

use platform_core::engine::{Engine, Event, PlanRequest};
use platform_core::value::SystemClock;
use platform_core::{Acquired, ErrorKind, LeaseRequest, OnRemoval, Owner, Provider};
use serde_json::json;

use crate::shared::{apply, control_plane, kinds, kubectl, object};
use crate::stage::{Stage, accepted};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_lists_the_set_and_leaves_it_alone() {
    let stage = Stage::new().await;
    stage.apply(stage.platform()).await;
    let parent = stage.live_parent();
    let id = parent["metadata"]["labels"]["applyset.kubernetes.io/id"]
        .as_str()
        .unwrap();
    let selector = format!("--selector=applyset.kubernetes.io/part-of={id}");
    let list = object(&format!(
        "configmaps,deployments,secrets,persistentvolumeclaims -A {selector}"
    ))
    .unwrap();
    let mut names: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["password", "settings", "web"], "claims are never part of it");

    let file = control_plane().folder().join(format!("{}empty.json", stage.prefix));
    std::fs::write(
        &file,
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "x" } }).to_string(),
    )
    .unwrap();
    let name = parent["metadata"]["name"].as_str().unwrap();
    let home = parent["metadata"]["namespace"].as_str().unwrap();
    let mut command = std::process::Command::new(control_plane().kubectl());
    let output = command
        .env_clear()
        .env("HOME", control_plane().folder())
        .env("KUBECTL_APPLYSET", "true")
        .arg("--kubeconfig")
        .arg(control_plane().admin().kubeconfig())
        .args(["apply", "--server-side", "--prune", "--namespace", home])
        .arg(format!("--applyset=configmaps/{name}"))
        .arg("--filename")
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && text.contains("managed by tooling \"mlplat\""),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_holder_writes_and_the_other_is_told_who_or_waits() {
    let stage = Stage::new().await;
    let plan = stage.plan(stage.platform()).await;
    let approvals = accepted(&plan);
    let lock = stage.provider.lock();
    lock.prepare(&stage.set).await.unwrap();
    let request = LeaseRequest {
        set: stage.set.clone(),
        holder: "tests@here:2:two".to_owned(),
        ttl: Duration::from_secs(1),
        last_seen: None,
    };
    let Acquired::Held(mut lease) = lock.acquire(&request).await.unwrap() else {
        panic!("nobody else holds it");
    };
    // Held for as long as the other tries.
    let refused = {
        let mut quiet = |_| {};
        let mut other = std::pin::pin!(stage.engine.apply(&plan, &approvals, &mut quiet));
        loop {
            tokio::select! {
                outcome = &mut other => break outcome.unwrap_err(),
                () = tokio::time::sleep(Duration::from_millis(200)) => lock.renew(&mut lease).await.unwrap(),
            }
        }
    };
    assert_eq!(refused.kind(), ErrorKind::Locked, "{refused}");
    assert!(refused.to_string().contains("locked by tests@here:2:two"), "{refused}");
    assert!(
        object(&format!("namespace {}", stage.space())).is_none(),
        "nothing was written"
    );

    // Given back: the other goes on.
    let patient = Engine::builder(Arc::new(SystemClock::new()))
        .provider(Arc::new(stage.provider.clone()))
        .holder("tests@here:3:three")
        .lease_ttl(Duration::from_secs(1))
        .lease_wait(Duration::from_secs(20))
        .build();
    let mut locked = 0;
    let mut events = |event| locked += u32::from(matches!(event, Event::Locked { .. }));
    let report = {
        let mut other = std::pin::pin!(patient.apply(&plan, &approvals, &mut events));
        for _ in 0..10 {
            tokio::select! {
                outcome = &mut other => panic!("did not wait: {outcome:?}"),
                () = tokio::time::sleep(Duration::from_millis(200)) => lock.renew(&mut lease).await.unwrap(),
            }
        }
        assert!(
            object(&format!("namespace {}", stage.space())).is_none(),
            "nothing was written"
        );
        lock.release(lease, false).await.unwrap();
        other.await.unwrap()
    };
    assert!(report.is_success() && locked > 0, "{locked} {report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_goes_only_when_nothing_of_others_is_in_it() {
    let stage = Stage::new().await;
    let space = stage.space();
    let mut wanted: Vec<_> = stage
        .platform()
        .into_iter()
        .filter(|wish| {
            !matches!(
                wish.id.kind().short(),
                "Secret" | "PersistentVolumeClaim" | "StatefulSet"
            )
        })
        .collect();
    for wish in &mut wanted {
        wish.on_removal = OnRemoval::Delete;
        wish.after
            .retain(|id| !matches!(id.kind().short(), "Secret" | "PersistentVolumeClaim" | "StatefulSet"));
    }
    // With what controllers add: pods, replica sets, endpoints, events, accounts, certificates.
    stage.apply(wanted).await;
    let theirs = |api: &str, kind: &str, rest: serde_json::Value| {
        let mut object =
            json!({ "apiVersion": api, "kind": kind, "metadata": { "name": "theirs", "namespace": space } });
        object
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        object
    };
    let more_kinds = kinds().await;
    let widgets = format!("{}widgets.example.com", stage.prefix);
    let (plural, group) = widgets.split_once('.').unwrap();
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": widgets },
        "spec": { "group": group, "scope": "Namespaced",
            "names": { "plural": plural, "singular": plural, "kind": "Widget", "listKind": "WidgetList" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": { "type": "object" } } }] },
    });
    apply(&[
        theirs("v1", "Service", json!({ "spec": { "ports": [{ "port": 80 }] } })),
        theirs("v1", "ConfigMap", json!({ "data": { "a": "b" } })),
        definition,
    ]);
    kubectl(&["wait", "--for=condition=Established", "crd", &widgets]);
    apply(&[theirs(&format!("{group}/v1"), "Widget", json!({}))]);

    let plan = stage
        .engine
        .plan(&PlanRequest::destroy(stage.set.clone()))
        .await
        .unwrap();
    let mark = control_plane().audit_mark().unwrap();
    let why = stage.try_apply(&plan).await.unwrap_err();
    let expected = format!(
        "namespace {space} cannot be deleted: it holds objects that are not of this set: \
         configmaps {space}/theirs, services {space}/theirs, {widgets} {space}/theirs"
    );
    assert!(why.report().contains(&expected), "{}", why.report());
    let written: Vec<String> = stage
        .writes_since(mark)
        .into_iter()
        .filter(|write| !write.contains("authorization"))
        .collect();
    assert_eq!(written, Vec::<String>::new());

    for kind in ["service", "configmap", widgets.as_str()] {
        kubectl(&["delete", kind, "theirs", "--namespace", &space]);
    }
    kubectl(&["delete", "crd", &widgets]);
    drop(more_kinds);
    let report = stage.apply_plan(&plan).await;
    assert!(
        report.left.iter().all(|live| live.owner != Owner::ThisSet) && report.unseen.is_empty(),
        "{report:?}"
    );
    assert!(
        object(&format!("namespace {space}")).is_none_or(|there| there["metadata"]["deletionTimestamp"].is_string()),
        "it goes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_is_refused() {
    let stage = Stage::new().await;
    let mut plan = stage.plan(stage.platform()).await;
    let other = platform_core::value::PlaceIdentity("00000000-0000-0000-0000-000000000000".to_owned());
    plan.places.insert(stage.place(), other);
    let why = stage.try_apply(&plan).await.unwrap_err();
    assert_eq!(why.kind(), ErrorKind::WrongPlace, "{why}");
    assert!(object(&format!("namespace {}", stage.space())).is_none());
    let nothing = stage
        .engine
        .plan(&PlanRequest::destroy(stage.set.clone()))
        .await
        .unwrap();
    assert!(nothing.is_empty());
}
