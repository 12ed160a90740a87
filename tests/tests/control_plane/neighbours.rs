//! Two platforms in one cluster, and which clusters are taken at all.

use platform_core::ErrorKind;
use provider_k8s::KubeProvider;
use serde_json::json;
use xtask::control_plane::CONTEXT;
use xtask::proxy::{Fault, Rule};

use crate::configured::{apply, config, platform};
use crate::shared::{control_plane, object, prefix, proxied};
use crate::stage::told;

fn of(prefix: &str) -> String {
    config(
        prefix,
        "{ version: \"17\" }",
        "{ memory: 256Mi }",
        "{ capacity: 20Gi }",
        "",
    )
}

/// Incarnation and version of whatever a platform's namespaces hold that does not come and go by itself, and of themselves.
fn everything_of(prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for kinds in [
        "configmaps,secrets,services,serviceaccounts,networkpolicies,roles,rolebindings,pods,jobs",
        "statefulsets,persistentvolumeclaims,limitranges,poddisruptionbudgets",
        "namespaces,persistentvolumes",
    ] {
        let list = object(&format!("{kinds} --all-namespaces")).unwrap();
        for item in list["items"].as_array().unwrap() {
            let metadata = &item["metadata"];
            let claim = &item["spec"]["claimRef"]["namespace"];
            let named = [&metadata["namespace"], &metadata["name"], claim];
            if named
                .iter()
                .any(|name| name.as_str().is_some_and(|name| name.starts_with(prefix)))
            {
                found.push(format!(
                    "{} {} {} {} {}",
                    item["kind"], metadata["namespace"], metadata["name"], metadata["uid"], metadata["resourceVersion"]
                ));
            }
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn destroying_a_platform_leaves_its_neighbour_untouched() {
    let (here, there) = (prefix(), prefix());
    let (one, other) = (platform(&of(&here), None).await, platform(&of(&there), None).await);
    let plans = tokio::try_join!(one.plan(), other.plan()).unwrap();
    tokio::join!(apply(&one, &plans.0), apply(&other, &plans.1));
    assert_ne!(one.set(), other.set());
    let before = everything_of(&there);
    assert!(before.len() > 50, "{before:#?}");
    apply(&one, &one.destroy_plan().await.unwrap()).await;
    assert!(object(&format!("statefulset postgres --namespace={here}database")).is_none());
    assert_eq!(everything_of(&there), before);
    assert_eq!(told(&other.plan().await.unwrap()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_four_minors_are_taken_and_older_ones_refused() {
    let (proxy, through) = proxied(control_plane().admin());
    for (minor, taken) in [
        ("36", true),
        ("35+", true),
        ("34", true),
        ("33", true),
        ("32", false),
        ("9", false),
    ] {
        let version = json!({ "major": "1", "minor": minor }).to_string();
        proxy.set_rules([Rule::new(Fault::answer(200, version)).path("/version")]);
        let outcome = KubeProvider::builder(&through, CONTEXT).connect().await;
        match outcome {
            Ok(_) => assert!(taken, "1.{minor} was taken"),
            Err(why) => {
                assert!(!taken && why.kind() == ErrorKind::TooOld, "1.{minor}: {}", why.report());
                let text = why.report();
                assert!(text.contains(&format!("1.{minor}")) && text.contains("1.33"), "{text}");
            }
        }
    }
}
