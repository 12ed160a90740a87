//! The example's whole platform, all six capabilities, on a real API server: up, unchanged, gone, and back with its data.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use composition::Platform;
use composition::kubernetes::KubeProvider;
use platform_core::Capability;
use platform_core::engine::{Action, Report};
use platform_core::value::Kind;
use platform_tests::velero::StandIn;
use xtask::control_plane::CONTEXT;

use crate::configured::{apply, platform_at, try_apply};
use crate::rights::{given, writes};
use crate::shared::{api, control_plane, definitions, kinds, object, prefix, proxied, within};
use crate::stage::{accepted, told};

const EXAMPLE: &str = include_str!("../../../examples/config/local.yaml");

/// The example under a prefix, with the strictest Pod Security that the server can be told to enforce.
fn example(prefix: &str) -> String {
    let lax = "pod_security: baseline";
    assert!(EXAMPLE.contains(lax), "the example no longer says {lax}");
    format!(
        "{}\nnamespace_prefix: {prefix}\n",
        EXAMPLE.replace(lax, "pod_security: restricted")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn all_six_capabilities_stand_settle_go_and_come_back() {
    let _more_kinds = kinds().await;
    let prefix = prefix();
    let (proxy, file) = proxied(control_plane().admin());
    let platform = platform_at(&file, &example(&prefix), None).await;
    let velero = StandIn::start(api().await, format!("{prefix}backup"));

    let (began, report) = made_by_nobody_special(&platform, &prefix).await;
    let applied = began.elapsed();
    let outputs = report.outputs().document();
    for capability in Capability::ALL {
        assert!(outputs[capability.as_str()].is_object(), "{capability}: {outputs}");
    }
    let dashboards = &outputs["monitoring"]["dashboards"];
    assert_eq!(
        dashboards["grafana"],
        format!("http://prometheus-grafana.{prefix}monitoring.svc")
    );

    // The steady plan: identity, parent, one list a kind, and no preview.
    proxy.forget_calls();
    let began = Instant::now();
    let plan = platform.plan().await.unwrap();
    let planned = began.elapsed();
    assert_eq!(told(&plan), Vec::<String>::new());
    let kinds: BTreeSet<&Kind> = plan.steps.iter().map(|step| step.id.kind()).collect();
    let calls: Vec<String> = proxy
        .calls()
        .iter()
        .map(|call| format!("{} {}", call.method, call.path))
        .collect();
    println!(
        "{} objects of {} kinds ready in {applied:.1?}; planned again in {planned:.2?} by {} requests",
        plan.steps.len(),
        kinds.len(),
        calls.len()
    );
    assert!(calls.len() <= 1 + kinds.len() + 1, "{} kinds: {calls:#?}", kinds.len());
    let mark = control_plane().audit_mark().unwrap();
    apply(&platform, &plan).await;
    let (events, _) = control_plane().audit_since(mark).unwrap();
    let writes: Vec<&String> = events
        .iter()
        .filter(|event| event.writes() && event.user_agent.starts_with("mlplat/") && event.uri.contains(&prefix))
        .map(|event| &event.uri)
        .collect();
    assert_eq!(writes, Vec::<&String>::new(), "a second apply writes");

    confined(&prefix);

    // What holds data stays, and is taken over again.
    let claims = || -> BTreeSet<(String, String)> {
        crate::configured::uids(&prefix, "persistentvolumeclaims")
            .into_iter()
            .collect()
    };
    let before = claims();
    let plan = platform.destroy_plan().await.unwrap();
    let report = apply(&platform, &plan).await;
    assert!(!report.left.is_empty());
    let kept = claims();
    assert!(kept.is_subset(&before) && kept.len() >= 3, "{kept:?} of {before:?}");
    let role = format!("clusterroles {prefix}monitoring-prometheus");
    assert!(object(&role).is_none(), "rights outlive what had them");
    assert_eq!(definitions().len(), 13, "definitions stay when the platform goes");
    within(Duration::from_mins(1), "namespaces without data go", || {
        let all = object("namespaces").unwrap();
        let all = all["items"].as_array().unwrap().iter();
        let mut ours = all.filter(|one| one["metadata"]["name"].as_str().unwrap().starts_with(&prefix));
        ours.all(|one| one["metadata"]["deletionTimestamp"].is_null())
    });
    let plan = platform.plan().await.unwrap();
    let adopted = plan.steps.iter().filter(|step| step.action == Action::Adopt).count();
    assert!(adopted >= kept.len(), "{adopted} of {} adopted", kept.len());
    apply(&platform, &plan).await;
    assert!(kept.is_subset(&claims()), "another volume took the place of a kept one");
    assert_eq!(told(&platform.plan().await.unwrap()), Vec::<String>::new());
    velero.stop().await;
}

/// The first apply, as a user who has exactly the rights that the plan says it needs; when it began.
async fn made_by_nobody_special(platform: &Platform, prefix: &str) -> (Instant, Report) {
    let provider = KubeProvider::builder(control_plane().admin().kubeconfig(), CONTEXT)
        .home_namespace(format!("{prefix}ml-platform"))
        .connect()
        .await
        .unwrap();
    let role = provider.rbac(platform.set(), &writes(&platform.plan().await.unwrap()));
    let name = format!("{prefix}maker");
    let user = control_plane().user(&name, &[]).unwrap();
    crate::shared::apply(&given(&name, &role));
    let made = platform_at(user.kubeconfig(), &example(prefix), None).await;
    let first = Instant::now();
    loop {
        let began = Instant::now();
        let run = async {
            let plan = made.plan().await?;
            try_apply(&made, &plan, &accepted(&plan)).await
        };
        match run.await {
            Ok(report) => {
                let failures: Vec<String> = report
                    .failures()
                    .map(|(id, why)| format!("{id}: {}", why.report()))
                    .collect();
                assert!(report.is_success(), "{failures:#?}");
                return (began, report);
            }
            // Authorizers see a role a moment later than its maker.
            Err(why) => assert!(first.elapsed() < Duration::from_secs(5), "{}", why.report()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The server itself enforces `restricted` where monitoring runs, and the agents on the nodes are elsewhere.
fn confined(prefix: &str) {
    let enforced = |namespace: &str| {
        let found = object(&format!("namespace {namespace}")).unwrap();
        found["metadata"]["labels"]["pod-security.kubernetes.io/enforce"].clone()
    };
    assert_eq!(enforced(&format!("{prefix}monitoring")), "restricted");
    assert_eq!(enforced(&format!("{prefix}monitoring-node")), "privileged");
    let running = |namespace: &str| -> BTreeSet<String> {
        let pods = object(&format!("pods --namespace={namespace}")).unwrap();
        pods["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|pod| pod["status"]["phase"] == "Running")
            .filter_map(|pod| {
                pod["metadata"]["labels"]["app.kubernetes.io/name"]
                    .as_str()
                    .map(str::to_owned)
            })
            .collect()
    };
    assert_eq!(
        running(&format!("{prefix}monitoring")),
        ["alertmanager", "kube-state-metrics", "prometheus", "prometheus-grafana"]
            .map(str::to_owned)
            .into()
    );
    assert_eq!(
        running(&format!("{prefix}monitoring-node")),
        ["node-exporter".to_owned()].into()
    );
}
