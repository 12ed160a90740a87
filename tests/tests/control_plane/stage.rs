//! A small platform of every sort of object, and an engine that drives it on the control plane of this binary.

use std::{path::Path, sync::Arc, time::Duration};

use platform_core::engine::{Approvals, Engine, Plan, PlanRequest, Report};
use platform_core::value::{Digest, Place, Recipe, ResourceId, SetId, SystemClock};
use platform_core::{Error, Holds, OnRemoval, Provider, Resource};
use provider_k8s::KubeProvider;
use serde_json::{Value, json};
use xtask::control_plane::CONTEXT;

use crate::shared::{control_plane, object, prefix};

/// One test's platform.
pub(crate) struct Stage {
    pub(crate) prefix: String,
    pub(crate) set: SetId,
    pub(crate) provider: KubeProvider,
    pub(crate) engine: Engine,
}

/// A provider of the cluster that this kubeconfig leads to.
pub(crate) async fn provider(kubeconfig: &Path, prefix: &str) -> Result<KubeProvider, Error> {
    KubeProvider::builder(kubeconfig, CONTEXT)
        .home_namespace(format!("{prefix}home"))
        .connect()
        .await
}

pub(crate) fn engine(provider: &KubeProvider, holder: &str) -> Engine {
    Engine::builder(Arc::new(SystemClock::new()))
        .provider(Arc::new(provider.clone()))
        .holder(holder)
        .lease_ttl(Duration::from_secs(1))
        .build()
}

impl Stage {
    /// As admin.
    pub(crate) async fn new() -> Self {
        Self::at(control_plane().admin().kubeconfig(), prefix()).await
    }

    pub(crate) async fn at(kubeconfig: &Path, prefix: String) -> Self {
        let provider = provider(kubeconfig, &prefix).await.expect("connect");
        let engine = engine(&provider, "tests@here:1:one");
        Self {
            set: SetId::of("tests", "local", &prefix),
            prefix,
            provider,
            engine,
        }
    }

    /// The same platform as another process sees it.
    pub(crate) fn with_holder(mut self, holder: &str) -> Self {
        self.engine = engine(&self.provider, holder);
        self
    }

    pub(crate) fn place(&self) -> Place {
        self.provider.place().clone()
    }

    /// The namespace of everything.
    pub(crate) fn space(&self) -> String {
        format!("{}app", self.prefix)
    }

    pub(crate) fn id(&self, kind: &str, name: &str) -> ResourceId {
        let name = if kind == "Namespace" {
            name.to_owned()
        } else {
            format!("{}/{name}", self.space())
        };
        ResourceId::new(self.place(), kind.parse().unwrap(), name.parse().unwrap())
    }

    pub(crate) fn resource(&self, kind: &str, name: &str, desired: Value) -> Resource {
        let resource = Resource::new(self.id(kind, name), "tests", desired);
        if kind == "Namespace" {
            return resource;
        }
        resource.with_after(self.id("Namespace", &self.space()))
    }

    /// The object as kubectl shows it.
    pub(crate) fn live(&self, kind: &str, name: &str) -> Option<Value> {
        object(&format!("{kind} {name} --namespace={}", self.space()))
    }

    /// One object of each of thirteen kinds.
    pub(crate) fn platform(&self) -> Vec<Resource> {
        let labels = |app: &str| json!({ "app": app });
        let pod = |app: &str| {
            json!({
                "metadata": { "labels": labels(app) },
                "spec": { "containers": [{
                    "name": "main", "image": "registry.invalid/main:1",
                    "env": [{ "name": "EMPTY", "value": "" }],
                    "ports": [{ "containerPort": 8080, "name": "http" }],
                    "resources": { "requests": { "cpu": "100m", "memory": "64Mi" }, "limits": { "cpu": "1000m", "memory": "1024Mi" } },
                }] },
            })
        };
        let claim = json!({
            "accessModes": ["ReadWriteOnce"], "storageClassName": "fake",
            "resources": { "requests": { "storage": "1Gi" } },
        });
        let secret = |recipe: Recipe| recipe.to_value();
        let password = self
            .resource(
                "Secret",
                "password",
                json!({ "type": "Opaque", "data": {
                    "username": secret(Recipe::Literal { value: "app".to_owned() }),
                    "password": secret(Recipe::generate(24)),
                    "url": secret(Recipe::Derive { template: "db://{username}:{password}@db".to_owned() }),
                }}),
            )
            .with_holds(Holds::Durable)
            .with_on_removal(OnRemoval::Retain);
        let job = json!({ "template": {
            "spec": { "restartPolicy": "Never", "containers": [{
                "name": "main", "image": "registry.invalid/job:1", "resources": { "requests": { "memory": "16Mi" } } }] },
        }});
        let job_name = format!("job-{}", Digest::of(&job).short(8));
        vec![
            self.resource("Namespace", &self.space(), json!({ "metadata": { "labels": { "pod-security.kubernetes.io/warn": "baseline" } } }))
                .with_on_removal(OnRemoval::Retain),
            self.resource("ConfigMap", "settings", json!({ "data": { "mode": "a", "more": "x" } })),
            password,
            self.resource("ServiceAccount", "app", json!({ "automountServiceAccountToken": false })),
            self.resource("Role.rbac.authorization.k8s.io", "app", json!({ "rules": [
                { "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"] },
            ]})),
            self.resource("RoleBinding.rbac.authorization.k8s.io", "app", json!({
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "app" },
                "subjects": [{ "kind": "ServiceAccount", "name": "app", "namespace": self.space() }],
            }))
            .with_after(self.id("Role.rbac.authorization.k8s.io", "app")),
            self.resource("NetworkPolicy.networking.k8s.io", "app", json!({ "spec": {
                "podSelector": {}, "policyTypes": ["Ingress", "Egress"],
                "ingress": [{ "from": [{ "podSelector": { "matchLabels": labels("web") } }], "ports": [{ "port": 8080 }] }],
                "egress": [],
            }})),
            self.resource("ResourceQuota", "quota", json!({ "spec": { "hard": { "pods": "20", "requests.memory": "4096Mi" } } })),
            self.resource("Service", "db", json!({ "spec": {
                "selector": labels("db"), "ports": [{ "name": "db", "port": 5432, "targetPort": "http" }],
            }})),
            self.resource("PersistentVolumeClaim", "data-db-0", json!({ "spec": claim }))
                .with_on_removal(OnRemoval::Retain)
                .with_after(self.id("Secret", "password")),
            self.resource("StatefulSet.apps", "db", json!({ "spec": {
                "replicas": 1, "serviceName": "db", "selector": { "matchLabels": labels("db") }, "template": pod("db"),
                "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": claim }],
            }}))
            .with_after(self.id("PersistentVolumeClaim", "data-db-0"))
            .with_after(self.id("ResourceQuota", "quota")),
            self.resource("Deployment.apps", "web", json!({ "spec": {
                "replicas": 2, "selector": { "matchLabels": labels("web") }, "template": pod("web"),
            }}))
            .with_after(self.id("StatefulSet.apps", "db")),
            self.resource("Job.batch", &job_name, json!({ "spec": job })),
        ]
    }

    pub(crate) fn request(&self, resources: Vec<Resource>) -> PlanRequest {
        PlanRequest {
            resources,
            ..PlanRequest::destroy(self.set.clone())
        }
    }

    pub(crate) async fn plan(&self, resources: Vec<Resource>) -> Plan {
        self.engine.plan(&self.request(resources)).await.expect("plan")
    }

    /// Plans and applies with every risk accepted but that to data; all of it must succeed.
    pub(crate) async fn apply(&self, resources: Vec<Resource>) -> Report {
        let plan = self.plan(resources).await;
        self.apply_plan(&plan).await
    }

    pub(crate) async fn apply_plan(&self, plan: &Plan) -> Report {
        let report = self.try_apply(plan).await.expect("apply");
        let failures: Vec<String> = report
            .failures()
            .map(|(id, why)| format!("{id}: {}", why.report()))
            .collect();
        assert!(report.is_success(), "{failures:#?}");
        report
    }

    pub(crate) async fn try_apply(&self, plan: &Plan) -> Result<Report, Error> {
        let approvals = accepted(plan);
        // Shown when the test fails.
        let mut events = |event| println!("{event:?}");
        let run = self.engine.apply(plan, &approvals, &mut events);
        tokio::time::timeout(Duration::from_secs(90), run)
            .await
            .expect("an apply within 90 s")
    }
}

/// Everything but the loss of data.
pub(crate) fn accepted(plan: &Plan) -> Approvals {
    use platform_core::Risk::{Downtime, Exposes, Irreversible, LowersProtection};
    plan.demands()
        .accept(&[Downtime, Exposes, Irreversible, LowersProtection], "tests", "a test")
}

/// `update StatefulSet t1-app/db: spec.template...: "a" -> "b"`, one line a step that does something.
pub(crate) fn told(plan: &Plan) -> Vec<String> {
    plan.changes()
        .map(|step| {
            let changes: Vec<String> = step.changes.iter().map(|change| change.path.to_string()).collect();
            let why = step
                .blocked
                .as_ref()
                .map(|blocked| format!(" ({})", blocked.why))
                .unwrap_or_default();
            let line = format!("{:?} {} {}", step.action, step.id.kind().short(), changes.join(" "));
            format!("{}{why}", line.trim_end())
        })
        .collect()
}

/// The resource of this kind, to be changed.
pub(crate) fn of_kind<'a>(resources: &'a mut [Resource], kind: &str) -> &'a mut Resource {
    resources
        .iter_mut()
        .find(|resource| resource.id.kind().as_str() == kind)
        .expect("a resource of this kind")
}
