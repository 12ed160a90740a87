//! What objects cost on an API server, beside kubectl in the same run: time and requests.
#![allow(clippy::unwrap_used, clippy::panic)]

use platform_core::engine::{Approvals, Engine, Event, Plan, PlanRequest};
use platform_core::value::{Kind, Name, Place, ResourceId, SetId, SystemClock};
use platform_core::{Provider, Resource};
use provider_k8s::KubeProvider;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use xtask::control_plane::{CONTEXT, ControlPlane};

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

/// 150 ConfigMaps and 50 Deployments without pods, in a namespace of their own.
fn objects(space: &str) -> Vec<(&'static str, String, Value)> {
    let mut all = vec![("Namespace", space.to_owned(), json!({}))];
    all.extend((0..150).map(|n| ("ConfigMap", format!("{space}/config-{n}"), config_map(n))));
    all.extend((0..50).map(|n| {
        let name = format!("app-{n}");
        ("Deployment.apps", format!("{space}/{name}"), deployment(&name))
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
        words: std::collections::BTreeMap::new(),
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

/// One verb: from its beginning until something, and its requests.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Until the first write went out: planned twice, rights reviewed, lease taken.
    pub verified: Duration,
    /// Until the server had accepted every write.
    pub accepted: Duration,
    /// The same without the times in which nothing was under way but objects on their way to ready.
    pub unwaited: Duration,
    /// Until everything was ready, or gone, and the lease given back.
    pub settled: Duration,
    /// Requests up to then.
    pub requests: usize,
}

impl Cost {
    fn at_once(took: Duration, requests: usize) -> Self {
        Self {
            verified: took,
            accepted: took,
            unwaited: took,
            settled: took,
            requests,
        }
    }
}

/// What the verbs cost. kubectl waits for nothing, so its times are those until acceptance.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// Plan and apply of what does not exist.
    pub create: Cost,
    /// Plan, or `kubectl diff`, when all stands.
    pub plan: Cost,
    /// The same by whoever has not asked this server before: connecting included.
    pub first_plan: Cost,
    /// Apply when all stands.
    pub again: Cost,
    /// Plan and apply of the removal.
    pub destroy: Cost,
}

/// How many requests there were until now.
pub type Count<'a> = &'a dyn Fn() -> usize;

async fn apply(engine: &Engine, plan: &Plan, began: Instant, count: Count<'_>, before: usize) -> Cost {
    let (mut first, mut last) = (None, None);
    let mut sent = BTreeSet::new();
    let mut waited = Duration::ZERO;
    let report = engine
        .apply(plan, &Approvals::none(), &mut |event| match event {
            Event::Started { id, .. } => {
                let now = began.elapsed();
                first.get_or_insert(now);
                if let Some(last) = last.filter(|_| sent.is_empty()) {
                    waited += now.saturating_sub(last);
                }
                sent.insert(id);
            }
            // What comes back is ready, or waited for.
            Event::Waiting { id, .. } | Event::Done { id, .. } if sent.remove(&id) => last = Some(began.elapsed()),
            _ => {}
        })
        .await
        .unwrap();
    let failures: Vec<String> = report
        .failures()
        .map(|(id, why)| format!("{id}: {}", why.report()))
        .collect();
    assert!(report.is_success(), "{failures:#?}");
    let settled = began.elapsed();
    let accepted = last.unwrap_or(settled);
    Cost {
        verified: first.unwrap_or(settled),
        accepted,
        unwaited: accepted.saturating_sub(waited),
        settled,
        requests: count() - before,
    }
}

/// 201 objects through the engine.
pub fn ours(kubeconfig: &Path, space: &str, count: Count<'_>) -> Costs {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let connect = async || {
        let provider = KubeProvider::builder(kubeconfig, CONTEXT).connect().await.unwrap();
        Engine::builder(Arc::new(SystemClock::new()))
            .provider(Arc::new(provider) as Arc<dyn Provider>)
            .holder("cost")
            .build()
    };
    let set = SetId::of(space, "local", "");
    runtime.block_on(measured(connect, &request(&set, space), count))
}

/// All the verbs, one after another.
pub(crate) async fn measured(connect: impl AsyncFn() -> Engine, request: &PlanRequest, count: Count<'_>) -> Costs {
    let engine = connect().await;
    let (before, began) = (count(), Instant::now());
    let plan = engine.plan(request).await.unwrap();
    let create = apply(&engine, &plan, began, count, before).await;

    let (before, began) = (count(), Instant::now());
    let plan = engine.plan(request).await.unwrap();
    let planned = Cost::at_once(began.elapsed(), count() - before);
    assert!(plan.is_empty(), "{}", plan.display());

    let (before, began) = (count(), Instant::now());
    let again = apply(&engine, &plan, began, count, before).await;

    let (before, began) = (count(), Instant::now());
    let plan = connect().await.plan(request).await.unwrap();
    let first_plan = Cost::at_once(began.elapsed(), count() - before);
    assert!(plan.is_empty(), "{}", plan.display());

    let (before, began) = (count(), Instant::now());
    let plan = engine.plan(&PlanRequest::destroy(request.set.clone())).await.unwrap();
    let destroy = apply(&engine, &plan, began, count, before).await;
    Costs {
        create,
        plan: planned,
        first_plan,
        again,
        destroy,
    }
}

/// kubectl on the same objects, one verb at a time.
#[allow(missing_debug_implementations)] // a closure has none
pub struct Kubectl<'a> {
    plane: &'a ControlPlane,
    kubeconfig: &'a Path,
    file: std::path::PathBuf,
    count: Count<'a>,
}

impl<'a> Kubectl<'a> {
    /// Writes the manifest of 201 objects into the control plane's folder.
    pub fn new(plane: &'a ControlPlane, kubeconfig: &'a Path, space: &str, count: Count<'a>) -> Self {
        Self::of(plane, kubeconfig, (space, &manifest(space)), count)
    }

    /// Writes a manifest into the control plane's folder, under a name.
    pub fn of(plane: &'a ControlPlane, kubeconfig: &'a Path, (name, manifest): (&str, &str), count: Count<'a>) -> Self {
        let file = plane.folder().join(format!("{name}.json"));
        std::fs::write(&file, manifest).unwrap();
        Self {
            plane,
            kubeconfig,
            file,
            count,
        }
    }

    /// What kubectl prints to an admin.
    pub fn asks(plane: &ControlPlane, arguments: &[&str]) -> String {
        output(plane, plane.admin().kubeconfig(), arguments)
    }

    fn run(&self, arguments: &[&str]) -> Cost {
        let (before, began) = ((self.count)(), Instant::now());
        let file = self.file.to_str().unwrap();
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--filename", file]).collect();
        output(self.plane, self.kubeconfig, &arguments);
        Cost::at_once(began.elapsed(), (self.count)() - before)
    }

    /// `kubectl apply --server-side`.
    pub fn apply(&self) -> Cost {
        self.run(&["apply", "--server-side"])
    }

    /// `kubectl diff --server-side` when there is no difference.
    pub fn diff(&self) -> Cost {
        self.run(&["diff", "--server-side"])
    }

    /// `kubectl delete --wait=false`.
    pub fn delete(&self) -> Cost {
        self.run(&["delete", "--wait=false", "--ignore-not-found"])
    }

    /// All of them.
    pub fn all(&self) -> Costs {
        let create = self.apply();
        let diff = self.diff();
        Costs {
            create,
            plan: diff,
            // Each run of kubectl is one.
            first_plan: diff,
            again: self.apply(),
            destroy: self.delete(),
        }
    }
}

fn output(plane: &ControlPlane, kubeconfig: &Path, arguments: &[&str]) -> String {
    let output = Command::new(plane.kubectl())
        .env_clear()
        .env("HOME", plane.folder())
        .env("PATH", "/usr/bin:/bin")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    // A diff that finds something, which a controller may have written meanwhile, ends with 1.
    let found = arguments.first() == Some(&"diff") && output.status.code() == Some(1);
    assert!(output.status.success() || found, "kubectl {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}
