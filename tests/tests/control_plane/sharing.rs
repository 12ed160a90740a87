//! Several people, tools and rights on one cluster.

use std::time::Duration;

use platform_core::engine::{Approvals, PlanRequest};
use platform_core::{ErrorKind, PlannedWrite, Verb};
use serde_json::{Value, json};

use crate::shared::{apply, control_plane, kubectl, object, prefix};
use crate::stage::{Stage, engine, provider};

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
async fn exactly_the_emitted_rights_do_and_one_less_is_told_before_the_first_write() {
    let prefix = prefix();
    let name = format!("{prefix}deployer");
    let user = control_plane().user(&name, &[]).unwrap();
    let stage = Stage::at(user.kubeconfig(), prefix.clone()).await;
    let why = stage.engine.plan(&stage.request(stage.platform())).await.unwrap_err();
    assert_eq!(why.kind(), ErrorKind::Forbidden, "{why}");

    let writes: Vec<PlannedWrite> = stage
        .platform()
        .iter()
        .map(|wish| PlannedWrite {
            id: wish.id.clone(),
            verb: Verb::Create,
        })
        .collect();
    let mut role = stage.provider.rbac(&stage.set, &writes);
    role["metadata"]["name"] = json!(name);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name }],
    });
    apply(&[role.clone(), binding]);
    let rules = role["rules"].as_array().unwrap().clone();
    // One verb less at a time, of what a create needs.
    for position in 0..rules.len() {
        let mut less = rules.clone();
        let gone = less.remove(position);
        set_rules(&name, &less);
        let outcome = async {
            let plan = stage.engine.plan(&stage.request(stage.platform())).await?;
            stage.engine.apply(&plan, &Approvals::none(), &mut |_| {}).await
        };
        let why = outcome.await.expect_err(&format!("without {gone}"));
        assert!(
            matches!(
                why.kind(),
                ErrorKind::Forbidden
                    | ErrorKind::Blocked
                    | ErrorKind::Stale
                    | ErrorKind::Invalid
                    | ErrorKind::NotFound
                    | ErrorKind::Denied
            ),
            "without {gone}: {why:?}"
        );
        assert!(
            object(&format!("namespace {}", stage.space())).is_none(),
            "without {gone} something was written"
        );
    }
    set_rules(&name, &rules);
    stage.apply(stage.platform()).await;
}

fn set_rules(name: &str, rules: &[Value]) {
    let patch = json!([{ "op": "replace", "path": "/rules", "value": rules }]).to_string();
    kubectl(&["patch", "clusterrole", name, "--type=json", "--patch", &patch]);
    // Authorizers see it a moment later.
    std::thread::sleep(Duration::from_millis(300));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_lease_has_one_holder() {
    let stage = Stage::new().await;
    let wanted = stage.platform();
    let second = engine(
        &provider(control_plane().admin().kubeconfig(), &stage.prefix)
            .await
            .unwrap(),
        "tests@here:2:two",
    );
    let plan = stage.plan(wanted).await;
    let approvals = crate::stage::accepted(&plan);
    let (mut quiet, mut silent) = (|_| {}, |_| {});
    let both = tokio::join!(
        stage.engine.apply(&plan, &approvals, &mut quiet),
        second.apply(&plan, &approvals, &mut silent),
    );
    let outcomes = [both.0, both.1];
    let done = outcomes
        .iter()
        .filter(|outcome| outcome.as_ref().is_ok_and(platform_core::engine::Report::is_success))
        .count();
    assert!(done >= 1, "{outcomes:?}");
    for why in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(why.kind(), ErrorKind::Locked | ErrorKind::Stale), "{why:?}");
        if why.kind() == ErrorKind::Locked {
            assert!(why.to_string().contains("tests@here"), "{why}");
        }
    }
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
