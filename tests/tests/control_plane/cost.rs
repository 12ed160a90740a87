//! What 201 objects cost on this server, beside kubectl in the same run: requests, and time with and without distance.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use platform_core::engine::{Approvals, Engine, PlanRequest};
use platform_core::value::{Kind, Name, Place, ResourceId, SetId, SystemClock};
use platform_core::{Provider, Resource};
use provider_k8s::KubeProvider;
use serde_json::{Value, json};

use crate::shared::{control_plane, prefix, proxied};

/// One way between client and server: 30 ms round trip.
const DISTANCE: Duration = Duration::from_millis(15);

fn config_map(number: usize) -> Value {
    json!({ "data": { "text": "x".repeat(500), "number": number.to_string() } })
}

fn deployment(name: &str) -> Value {
    json!({ "spec": {
        "replicas": 0,
        "selector": { "matchLabels": { "app": name } },
        "template": {
            "metadata": { "labels": { "app": name } },
            "spec": { "containers": [{
                "name": "main",
                "image": "registry.example/app:1",
                "ports": [{ "name": "http", "containerPort": 8080, "protocol": "TCP" }],
                "resources": { "requests": { "cpu": "100m", "memory": "64Mi" }, "limits": { "memory": "64Mi" } },
            }]},
        },
    }})
}

/// 150 ConfigMaps and 50 Deployments in a namespace of their own.
fn objects(space: &str) -> Vec<(&'static str, String, Value)> {
    let mut all = vec![("Namespace", space.to_owned(), json!({}))];
    all.extend((0..150).map(|n| ("ConfigMap", format!("{space}/config-{n}"), config_map(n))));
    all.extend((0..50).map(|n| {
        (
            "Deployment.apps",
            format!("{space}/app-{n}"),
            deployment(&format!("app-{n}")),
        )
    }));
    all
}

fn request(set: &SetId, space: &str) -> PlanRequest {
    let id = |kind: &str, name: &str| {
        ResourceId::new(
            Place::kubernetes("main").unwrap(),
            Kind::new(kind).unwrap(),
            Name::new(name).unwrap(),
        )
    };
    let resources = objects(space)
        .into_iter()
        .map(|(kind, name, desired)| {
            let resource = Resource::new(id(kind, &name), "cost", desired);
            if kind == "Namespace" {
                resource
            } else {
                resource.with_after(id("Namespace", space))
            }
        })
        .collect();
    PlanRequest {
        set: set.clone(),
        resources,
        outputs: Value::Null,
        only: None,
        adopt: BTreeSet::new(),
    }
}

/// The same objects as one manifest.
fn manifest(space: &str) -> String {
    let items: Vec<Value> = objects(space)
        .into_iter()
        .map(|(kind, name, mut object)| {
            let (api, kind) = if kind == "Deployment.apps" {
                ("apps/v1", "Deployment")
            } else {
                ("v1", kind)
            };
            object["apiVersion"] = json!(api);
            object["kind"] = json!(kind);
            object["metadata"] = match name.split_once('/') {
                Some((namespace, name)) => json!({ "name": name, "namespace": namespace }),
                None => json!({ "name": name }),
            };
            object
        })
        .collect();
    json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
}

#[derive(Debug)]
struct Cost {
    create: Duration,
    plan: Duration,
    plan_requests: usize,
    again: Duration,
    destroy: Duration,
}

fn ours(kubeconfig: &Path, count: &dyn Fn() -> usize, space: &str) -> Cost {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let clock = Arc::new(SystemClock::new());
        let provider = KubeProvider::builder(kubeconfig, xtask::control_plane::CONTEXT)
            .connect()
            .await
            .unwrap();
        let engine = Engine::builder(clock)
            .provider(Arc::new(provider) as Arc<dyn Provider>)
            .holder("cost")
            .build();
        let set = SetId::of(space, "local", "");
        let request = request(&set, space);

        let began = Instant::now();
        let plan = engine.plan(&request).await.unwrap();
        let report = engine.apply(&plan, &Approvals::none(), &mut |_| {}).await.unwrap();
        assert!(report.is_success(), "{:?}", report.failures().next());
        let create = began.elapsed();

        let before = count();
        let began = Instant::now();
        let plan = engine.plan(&request).await.unwrap();
        let time = began.elapsed();
        assert!(plan.is_empty(), "{}", plan.display());
        let plan_requests = count() - before;

        let began = Instant::now();
        let report = engine.apply(&plan, &Approvals::none(), &mut |_| {}).await.unwrap();
        assert_eq!(report.writes, 0);
        let again = began.elapsed();

        let began = Instant::now();
        let plan = engine.plan(&PlanRequest::destroy(set)).await.unwrap();
        let report = engine.apply(&plan, &Approvals::none(), &mut |_| {}).await.unwrap();
        assert!(report.is_success(), "{:?}", report.failures().next());
        Cost {
            create,
            plan: time,
            plan_requests,
            again,
            destroy: began.elapsed(),
        }
    })
}

fn kubectl(kubeconfig: &Path, count: &dyn Fn() -> usize, space: &str) -> Cost {
    let file = control_plane().folder().join(format!("{space}.json"));
    std::fs::write(&file, manifest(space)).unwrap();
    let timed = |arguments: &[&str]| {
        let began = Instant::now();
        let output = std::process::Command::new(control_plane().kubectl())
            .env_clear()
            .env("HOME", control_plane().folder())
            .env("PATH", "/usr/bin:/bin")
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(arguments)
            .arg("--filename")
            .arg(&file)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {errors}");
        began.elapsed()
    };
    let create = timed(&["apply", "--server-side"]);
    let before = count();
    let plan = timed(&["diff", "--server-side"]);
    let plan_requests = count() - before;
    let again = timed(&["apply", "--server-side"]);
    // The namespace's removal is not waited for: it is the same server's work in both cases.
    let destroy = timed(&["delete", "--wait=false", "--ignore-not-found"]);
    Cost {
        create,
        plan,
        plan_requests,
        again,
        destroy,
    }
}

#[test]
fn two_hundred_objects_beside_kubectl() {
    let (proxy, through) = proxied(control_plane().admin());
    let count = || proxy.calls().len();
    let mut rows = Vec::new();
    for (distance, delay) in [("local", Duration::ZERO), ("30 ms away", DISTANCE)] {
        proxy.set_delay(delay);
        let spaces = [format!("{}ours", prefix()), format!("{}kubectls", prefix())];
        rows.push((
            distance,
            ours(&through, &count, &spaces[0]),
            kubectl(&through, &count, &spaces[1]),
        ));
    }
    println!("201 objects          create     plan (requests)   apply again   destroy");
    for (distance, ours, theirs) in &rows {
        for (who, cost) in [("mlplat", ours), ("kubectl", theirs)] {
            println!(
                "{distance:10} {who:8} {:>7.0?} {:>9.0?} ({:>3}) {:>13.0?} {:>9.0?}",
                cost.create, cost.plan, cost.plan_requests, cost.again, cost.destroy
            );
        }
        // The identity, the parent, and one list a kind.
        assert!(ours.plan_requests <= 1 + 16 + 1, "{} requests", ours.plan_requests);
        assert!(
            theirs.plan > ours.plan * 3,
            "{distance}: plan {:?}, kubectl diff {:?}",
            ours.plan,
            theirs.plan
        );
    }
    let (_, ours, theirs) = &rows[1];
    assert!(
        theirs.create > ours.create * 2,
        "create {:?}, kubectl {:?}",
        ours.create,
        theirs.create
    );
}
