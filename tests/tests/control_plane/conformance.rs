//! The contract's own suite, run against a real API server.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use platform_core::testing::conformance::{Check, Harness, Need, Sample, Subject, Verdict, checks};
use platform_core::value::{Clock, Kind, Recipe, ResourceId, SecretSource, SecretText, SetId, Supplied, SystemClock};
use platform_core::{Provider, Resource, Result};
use provider_k8s::KubeProvider;
use serde_json::{Value, json};
use xtask::control_plane::{CONTEXT, User};
use xtask::proxy::{Fault, Proxy, Rule};

use crate::shared::{apply, control_plane, kubectl, prefix, proxied};

/// What is supplied from outside.
const SUPPLIED: &str = "canary-of-the-suite";
/// Checks at a time: most of one is waiting.
const AT_ONCE: usize = 4;

#[derive(Debug)]
struct Vault;

#[async_trait]
impl SecretSource for Vault {
    async fn get(&self, _name: &str) -> Result<SecretText> {
        Ok(SecretText::new(SUPPLIED.to_owned()))
    }
}

#[derive(Debug)]
struct OnServer {
    prefix: String,
    runtime: tokio::runtime::Runtime,
    /// As long as their clients may ask.
    proxies: Mutex<Vec<Proxy>>,
    users: AtomicU32,
}

async fn connect(kubeconfig: &Path, prefix: &str) -> Result<KubeProvider> {
    KubeProvider::builder(kubeconfig, CONTEXT)
        .home_namespace(home(prefix))
        .secrets(Arc::new(Vault))
        .connect()
        .await
}

/// The namespace of all parents and leases: writes expect it.
fn home(prefix: &str) -> String {
    format!("{prefix}home")
}

/// The namespace of a check.
fn space(prefix: &str, check: &str) -> String {
    format!("{prefix}{}", check.replace('_', "-"))
}

/// Objects of one check.
struct Samples<'a> {
    space: &'a str,
    all: Vec<Sample>,
}

impl Samples<'_> {
    fn id(&self, kind: &str, name: &str) -> ResourceId {
        let is_of_cluster = kind == "Namespace" || kind.starts_with("Cluster") || kind.starts_with("StorageClass");
        let joint = if is_of_cluster { '-' } else { '/' };
        format!("k8s/main:{kind}/{}{joint}{name}", self.space).parse().unwrap()
    }

    /// An object, the same after a change, and under the longest name.
    fn add(&mut self, kind: &str, desired: Value, changed: Value) -> &mut Sample {
        let name = format!("s{}", self.all.len());
        let id = self.id(kind, &name);
        let resource = Resource::new(id.clone(), "suite", desired);
        let max = provider_k8s::facts(id.kind()).unwrap().name.max;
        let more = "x".repeat(max - id.name().base().len());
        let longest = Resource {
            id: self.id(kind, &format!("{name}{more}")),
            ..resource.clone()
        };
        let home = Resource::new(
            format!("k8s/main:Namespace/{}", self.space).parse().unwrap(),
            "suite",
            json!({}),
        );
        self.all
            .push(Sample::new(resource, changed).with_needs([home]).with_longest(longest));
        self.all.last_mut().unwrap()
    }
}

fn labels(app: &str) -> Value {
    json!({ "app": app })
}

fn pod(app: &str, image: &str) -> Value {
    json!({
        "metadata": { "labels": labels(app) },
        "spec": { "terminationGracePeriodSeconds": 1, "containers": [{
            "name": "main", "image": format!("registry.invalid/{image}"), "ports": [{ "containerPort": 80, "name": "http" }],
            "resources": { "requests": { "cpu": "1m", "memory": "1Mi" } },
        }]},
    })
}

fn workload(more: &Value, image: &str) -> Value {
    let mut spec = json!({ "selector": { "matchLabels": labels("a") }, "template": pod("a", image) });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "spec": spec })
}

fn rules(verbs: &[&str]) -> Value {
    json!({ "rules": [{ "apiGroups": [""], "resources": ["configmaps"], "verbs": verbs }] })
}

fn binding(role: &str, account: &str) -> Value {
    json!({
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
        "subjects": [{ "kind": "ServiceAccount", "name": account, "namespace": "default" }],
    })
}

fn claim(size: &str, class: &str) -> Value {
    json!({ "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": { "requests": { "storage": size } },
    }})
}

fn job(image: &str, owner: &str) -> Value {
    json!({
        "metadata": { "labels": { "owner": owner } },
        "spec": { "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "main", "image": image }] } } },
    })
}

fn in_namespace(samples: &mut Samples<'_>) {
    samples.add(
        "ConfigMap",
        json!({ "data": { "a": "1", "b.conf": "2" } }),
        json!({ "data": { "a": "1", "c": "3" } }),
    );
    let supplied = |revision| {
        Recipe::Supplied(Supplied {
            supplied: "smtp".into(),
            revision,
        })
        .to_value()
    };
    let secret = |revision, more: Value| {
        let mut data = json!({ "password": Recipe::generate(24).to_value(), "smtp": supplied(revision) });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "type": "Opaque", "data": data })
    };
    let derived = Recipe::Derive {
        template: "u:{password}".to_owned(),
    };
    let mut other_type = secret(1, json!({}));
    other_type["type"] = json!("example.org/other");
    samples
        .add(
            "Secret",
            secret(1, json!({})),
            secret(2, json!({ "url": derived.to_value() })),
        )
        .refused = Some(other_type);
    let authority = Recipe::CertificateAuthority {
        common_name: "suite".to_owned(),
        revision: 1,
    };
    let authority =
        |team: &str| json!({ "metadata": { "labels": { "team": team } }, "data": { "*": authority.to_value() } });
    samples.add("Secret", authority("a"), authority("b"));
    samples.add(
        "ServiceAccount",
        json!({ "automountServiceAccountToken": false }),
        json!({ "automountServiceAccountToken": true }),
    );
    let role = "Role.rbac.authorization.k8s.io";
    samples.add(role, rules(&["get"]), rules(&["get", "list"]));
    let binds = "RoleBinding.rbac.authorization.k8s.io";
    samples.add(binds, binding("view", "a"), binding("view", "b")).refused = Some(binding("edit", "a"));
    let fence = |ports: &[u32]| {
        // As the server completes it: a list that it takes as a whole.
        let ports: Vec<Value> = ports
            .iter()
            .map(|port| json!({ "port": port, "protocol": "TCP" }))
            .collect();
        let from = json!([{ "podSelector": { "matchLabels": labels("web") } }]);
        json!({ "spec": {
            "podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{ "from": from, "ports": ports }],
        }})
    };
    samples.add("NetworkPolicy.networking.k8s.io", fence(&[80]), fence(&[80, 81]));
    let quota = |pods: &str| json!({ "spec": { "hard": { "pods": pods, "requests.memory": "64Gi" } } });
    samples.add("ResourceQuota", quota("50"), quota("60"));
    let limits = |memory: &str| {
        let defaults = json!({ "memory": memory });
        json!({ "spec": { "limits": [{ "type": "Container", "default": defaults, "defaultRequest": { "memory": "1Mi" } }] } })
    };
    samples.add("LimitRange", limits("64Mi"), limits("1Gi"));
    let service = |port: u32| json!({ "spec": { "selector": labels("a"), "ports": [{ "name": "http", "port": port, "targetPort": "http" }] } });
    let mut headless = service(80);
    headless["spec"]["clusterIP"] = json!("None");
    samples.add("Service", service(80), service(81)).refused = Some(headless);
    let budget = |least: u32| json!({ "spec": { "minAvailable": least, "selector": { "matchLabels": labels("a") } } });
    samples.add("PodDisruptionBudget.policy", budget(0), budget(1));
    samples
        .add("PersistentVolumeClaim", claim("1Gi", "fake"), claim("2Gi", "fake"))
        .refused = Some(claim("1Gi", "fake-late"));
    let set = |service: &str| json!({ "replicas": 1, "serviceName": service });
    samples
        .add(
            "StatefulSet.apps",
            workload(&set("a"), "main:1"),
            workload(&set("a"), "main:2"),
        )
        .refused = Some(workload(&set("b"), "main:1"));
    let mut moved = workload(&json!({ "replicas": 1 }), "main:1");
    moved["spec"]["selector"]["matchLabels"] = labels("b");
    moved["spec"]["template"]["metadata"]["labels"] = labels("b");
    let replicas = |count: u32| workload(&json!({ "replicas": count }), "main:1");
    samples.add("Deployment.apps", replicas(1), replicas(2)).refused = Some(moved);
    let nothing = json!({});
    samples.add(
        "DaemonSet.apps",
        workload(&nothing, "main:1"),
        workload(&nothing, "main:2"),
    );
    samples
        .add(
            "Job.batch",
            job("registry.invalid/job:1", "a"),
            job("registry.invalid/job:1", "b"),
        )
        .refused = Some(job("registry.invalid/job:2", "a"));
}

fn of_the_cluster(samples: &mut Samples<'_>) {
    let level = |level: &str| json!({ "metadata": { "labels": { "pod-security.kubernetes.io/warn": level } } });
    samples.add("Namespace", level("baseline"), level("restricted"));
    samples.add(
        "ClusterRole.rbac.authorization.k8s.io",
        rules(&["get"]),
        rules(&["list"]),
    );
    let binds = "ClusterRoleBinding.rbac.authorization.k8s.io";
    samples.add(binds, binding("view", "a"), binding("view", "b")).refused = Some(binding("edit", "a"));
    let class = |provisioner: &str, grows: bool| json!({ "provisioner": provisioner, "allowVolumeExpansion": grows });
    samples
        .add(
            "StorageClass.storage.k8s.io",
            class("example.org/a", false),
            class("example.org/a", true),
        )
        .refused = Some(class("example.org/b", false));
}

#[async_trait]
impl Harness for OnServer {
    fn name(&self) -> &'static str {
        "control_plane"
    }

    async fn provider(&self) -> Result<Arc<dyn Provider>> {
        Ok(Arc::new(
            connect(control_plane().admin().kubeconfig(), &self.prefix).await?,
        ))
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock::new())
    }

    fn set(&self, check: &str) -> SetId {
        SetId::new(space(&self.prefix, check)).unwrap()
    }

    fn samples(&self, check: &str) -> Vec<Sample> {
        let space = space(&self.prefix, check);
        let mut samples = Samples {
            space: &space,
            all: Vec::new(),
        };
        in_namespace(&mut samples);
        of_the_cluster(&mut samples);
        samples.all
    }

    fn can(&self, need: Need) -> bool {
        matches!(need, Need::Foreign | Need::Rights | Need::Throttling)
    }

    /// By turns another set's, and nobody's.
    async fn plant(&self, resource: &Resource) -> Result<()> {
        let other = SetId::new(format!("{}others", self.prefix))?;
        let subject = Subject::over(self.provider().await?, other, self.clock());
        subject.create(resource, "theirs").await?;
        let kind = resource.id.kind().as_str();
        if kind.len().is_multiple_of(2) {
            let (space, name) = (resource.id.name().namespace(), resource.id.name().base());
            let mut words = vec![
                "label",
                kind,
                name,
                "mlplat.dev/set-",
                "applyset.kubernetes.io/part-of-",
            ];
            words.extend(space.iter().flat_map(|space| ["--namespace", space]));
            kubectl(&words);
        }
        Ok(())
    }

    /// Somebody who may read every other kind of the suite.
    async fn without_reading(&self, kind: &Kind) -> Result<Arc<dyn Provider>> {
        let kinds: BTreeSet<Kind> = self
            .samples("x")
            .into_iter()
            .map(|sample| sample.resource.id.kind().clone())
            .collect();
        let mut rules = Vec::new();
        for other in kinds.iter().filter(|other| *other != kind) {
            for right in provider_k8s::facts(other).unwrap().calls.read {
                let (verb, resource) = right.split_once(' ').unwrap();
                let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
                rules.push(json!({ "apiGroups": [group], "resources": [resource], "verbs": [verb] }));
            }
        }
        let name = format!("{}blind-{}", self.prefix, self.users.fetch_add(1, Ordering::Relaxed));
        let rbac = "rbac.authorization.k8s.io";
        let metadata = json!({ "name": name });
        apply(&[
            json!({ "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": metadata, "rules": rules }),
            json!({ "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": metadata,
                "roleRef": { "apiGroup": rbac, "kind": "ClusterRole", "name": name },
                "subjects": [{ "apiGroup": rbac, "kind": "User", "name": name }] }),
        ]);
        let user: User = control_plane().user(&name, &[]).unwrap();
        Ok(Arc::new(connect(user.kubeconfig(), &self.prefix).await?))
    }

    async fn throttled(&self) -> Result<Arc<dyn Provider>> {
        let (proxy, kubeconfig) = proxied(control_plane().admin());
        let provider = connect(&kubeconfig, &self.prefix).await?;
        proxy.set_rules([Rule::new(Fault::refusal(429, "TooManyRequests", "slow down"))]);
        self.proxies.lock().unwrap().push(proxy);
        Ok(Arc::new(provider))
    }

    /// Every value of a Secret of this suite that no file shows, as it is and as the API writes it.
    fn secrets(&self) -> Vec<String> {
        let list = kubectl(&[
            "get",
            "secrets",
            "--all-namespaces",
            "--selector=mlplat.dev/set",
            "--output=json",
        ]);
        let list: Value = serde_json::from_str(&list).unwrap();
        let ours = list["items"].as_array().unwrap().iter().filter(|secret| {
            let set = secret["metadata"]["labels"]["mlplat.dev/set"].as_str().unwrap();
            set.starts_with(&self.prefix)
        });
        let encoded: Vec<&str> = ours
            .flat_map(|secret| secret["data"].as_object().into_iter().flatten())
            .map(|(_, value)| value.as_str().unwrap())
            .collect();
        let decoded = encoded
            .iter()
            .map(|text| String::from_utf8(STANDARD.decode(text).unwrap()).unwrap());
        let secrets: Vec<String> = decoded.chain(encoded.iter().map(|text| (*text).to_owned())).collect();
        assert!(
            secrets.contains(&SUPPLIED.to_owned()),
            "no Secret of the suite is there"
        );
        secrets
    }

    fn run(&self, check: BoxFuture<'_, Verdict>) -> Verdict {
        self.runtime.block_on(check)
    }

    async fn clean(&self, set: &SetId) -> Result<()> {
        let names = kubectl(&["get", "namespaces", "--output=name"]);
        let spaces: Vec<&str> = names
            .lines()
            .filter_map(|line| line.strip_prefix("namespace/"))
            .filter(|name| name.starts_with(set.as_str()))
            .collect();
        let mut words = vec!["delete", "namespaces", "--wait=false", "--ignore-not-found"];
        words.extend(spaces.iter().copied());
        if !spaces.is_empty() {
            kubectl(&words);
        }
        Ok(())
    }
}

#[test]
fn the_contract_holds() {
    let harness = OnServer {
        prefix: prefix(),
        runtime: tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap(),
        proxies: Mutex::default(),
        users: AtomicU32::new(0),
    };
    apply(&[json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": home(&harness.prefix) } })]);
    let left: Mutex<Vec<Check>> = Mutex::new(checks());
    let failed = Mutex::new(Vec::new());
    let work = || {
        loop {
            let Some(check) = left.lock().unwrap().pop() else {
                return;
            };
            assert!(check.applies(&harness), "{}", check.name);
            let began = std::time::Instant::now();
            let verdict = check.run(&harness);
            let told = verdict.as_ref().err().map_or("ok", String::as_str);
            println!("control_plane::{} {told} ({:.1?})", check.name, began.elapsed());
            failed
                .lock()
                .unwrap()
                .extend(verdict.err().map(|why| format!("{}: {why}", check.name)));
        }
    };
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:#?}");
}
