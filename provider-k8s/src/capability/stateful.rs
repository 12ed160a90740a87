//! One server with at most one volume, and Jobs that set it up: the shape that database, cache and storage share. A cache
//! may have followers: further pods, each with a volume of its own, that copy the first.

use crate::foundation;
use crate::kubernetes::Shared;
use crate::limits::{self, Needs};
use crate::object::{Labels, NAME_LABEL, Scope, start_with_certificates, tidy};
use crate::pod::{Container, Pod, scratch_volume};
use crate::policy;
use platform_core::value::{DOMAIN, Digest, Recipe, ResourceId, Size};
use platform_core::{Capability, Context, Holds, OnRemoval, Resource, Result, Surface, Surfaces};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The name of the only volume.
pub(crate) const VOLUME: &str = "data";

/// Days of validity of a server's certificate; it is renewed by a plan well before.
const CERTIFICATE_DAYS: u32 = 365;

/// One server with at most one volume.
#[derive(Debug)]
pub(crate) struct Server<'a> {
    pub(crate) scope: &'a Scope<'a>,
    pub(crate) shared: &'a Shared,
    pub(crate) capability: Capability,
    /// Name of the StatefulSet, its Service and its pods' label.
    pub(crate) name: &'a str,
    /// Port of the Service -> name of the pod's port.
    pub(crate) serves: BTreeMap<u16, &'static str>,
    /// Pods that follow the first, for a server that knows how to; its Service leads to the first pod alone then.
    pub(crate) followers: Option<u32>,
    /// Size of its volume; absent: what it writes goes with its pod.
    pub(crate) volume: Option<Size>,
    pub(crate) storage_class: Option<&'a str>,
    /// What its volume holds.
    pub(crate) holds: Holds,
    /// What wrote the volume: another format never starts on it.
    pub(crate) format: String,
    /// Files in its ConfigMap `<name>-config`.
    pub(crate) config: BTreeMap<&'static str, String>,
    /// Seconds between the first and the last signal.
    pub(crate) grace: u32,
    pub(crate) containers: Vec<Container>,
    pub(crate) volumes: Vec<Value>,
    /// What backups have to know of its pods.
    pub(crate) pod_annotations: BTreeMap<String, String>,
    /// Secrets that must be there first.
    pub(crate) secrets: Vec<Resource>,
    /// Jobs that set it up once it runs.
    pub(crate) jobs: Vec<Job>,
}

/// A Job that runs to its end once for every content.
#[derive(Debug)]
pub(crate) struct Job {
    /// The workload's name in the surface, and the start of the object's.
    pub(crate) name: &'static str,
    pub(crate) containers: Vec<Container>,
    pub(crate) volumes: Vec<Value>,
    /// Objects whose content it works off; a change makes a new Job.
    pub(crate) inputs: Vec<Resource>,
}

impl Server<'_> {
    /// Every object, in an order that a person can read.
    pub(crate) fn into_resources(self, surface: Surface) -> Result<Vec<Resource>> {
        let context = self.scope.context();
        let surfaces = with_surface(context, self.capability, surface);
        let ports = port_numbers(&surfaces, self.name);
        let in_jobs = self.jobs.iter().flat_map(|job| &job.containers);
        let pods = self.pods();
        let in_pods = (0..pods).flat_map(|_| &self.containers);
        let needs = Needs::of(
            in_pods.chain(in_jobs),
            pods as usize + self.jobs.len(),
            self.volume.map(|size| Size::mib(size.as_mib() * u64::from(pods))),
        );
        let mut resources = self.shared.own_foundation(self.capability, context)?;
        let mut first = limits::of_platform(self.scope, needs)?;
        let security = self.scope.under(Capability::Security.as_str());
        first.extend(policy::of_workloads(
            &security,
            self.capability,
            &surfaces,
            &self.shared.options,
        )?);
        resources.extend(self.into_objects(&ports, first)?);
        Ok(resources)
    }

    fn pods(&self) -> u32 {
        1 + self.followers.unwrap_or(0)
    }

    /// What there is for this server alone, with its pod's `ports`, behind `first`: limits and policies of its namespace.
    pub(crate) fn into_objects(self, ports: &BTreeMap<String, u16>, mut first: Vec<Resource>) -> Result<Vec<Resource>> {
        let mut resources = Vec::new();
        let pods = self.pods();
        let limits: Vec<ResourceId> = first
            .iter()
            .filter(|one| matches!(one.id.kind().as_str(), "ResourceQuota" | "LimitRange"))
            .map(|one| one.id.clone())
            .collect();
        first.push(service_account(self.scope, self.name)?);
        let config = self.scope.object(
            "ConfigMap",
            &format!("{}-config", self.name),
            self.name,
            json!({ "data": self.config }),
        )?;
        let config_hash = Digest::of(&self.config).short(16).to_owned();
        first.push(config);
        // A volume comes after the secrets it is locked with: one of them lost beside it is never made anew.
        let keys: Vec<ResourceId> = self
            .secrets
            .iter()
            .filter(|secret| secret.holds == Some(Holds::Durable))
            .map(|secret| secret.id.clone())
            .collect();
        let secrets = self.secrets.clone();
        first.extend(self.secrets);
        let headless_name = headless_name(self.name);
        first.extend(services(self.scope, self.name, self.followers, &self.serves, ports)?);
        first.push(self.scope.object(
            "PodDisruptionBudget.policy",
            self.name,
            self.name,
            // One pod: a budget that wants it always there would block every drain of its node.
            json!({ "spec": { "maxUnavailable": 1, "selector": { "matchLabels": selector(self.name) } } }),
        )?);
        let mut volumes = self.volumes;
        let mut templates = Vec::new();
        if let Some(size) = self.volume {
            let spec = claim_spec(size, self.storage_class);
            for ordinal in 0..pods {
                let mut claim = self.scope.annotated(
                    "PersistentVolumeClaim",
                    &claim_of(self.name, ordinal),
                    self.name,
                    BTreeMap::from([(format!("{DOMAIN}/data-format"), self.format.clone())]),
                    json!({ "spec": spec }),
                )?;
                claim = if ordinal == 0 {
                    claim.with_on_removal(OnRemoval::Retain).with_holds(self.holds)
                } else {
                    // A copy of the first, which goes with its pod.
                    claim.with_holds(Holds::Nothing)
                };
                claim.after.extend(limits.iter().chain(&keys).cloned());
                first.push(claim);
            }
            templates.push(json!({
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": { "name": VOLUME },
                "spec": spec,
            }));
        } else {
            volumes.push(scratch_volume(VOLUME, Size::mib(64), false));
        }

        let mut annotations = self.pod_annotations;
        annotations.insert(format!("{DOMAIN}/config-hash"), config_hash);
        let pod = Pod {
            service_account: self.name.to_owned(),
            labels: selector(self.name),
            annotations,
            containers: self.containers,
            volumes,
            grace: self.grace,
            pull_secrets: self.shared.options.images.pull_secrets.clone(),
            ends: false,
        };
        let mut stateful_set = self.scope.object(
            "StatefulSet.apps",
            self.name,
            self.name,
            json!({ "spec": {
                "replicas": pods,
                "serviceName": headless_name,
                "revisionHistoryLimit": 5,
                "podManagementPolicy": "OrderedReady",
                "updateStrategy": { "type": "RollingUpdate" },
                "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Retain", "whenScaled": "Retain" },
                "selector": { "matchLabels": selector(self.name) },
                "template": pod.into_template(),
                "volumeClaimTemplates": templates,
            }}),
        )?;
        start_with_certificates(&mut stateful_set, &secrets);
        stateful_set.after.extend(first.iter().map(|one| one.id.clone()));
        stateful_set
            .after
            .insert(self.scope.id("NetworkPolicy.networking.k8s.io", policy::DEFAULT_DENY)?);
        let server = stateful_set.id.clone();
        resources.extend(first);
        resources.push(stateful_set);
        for job in self.jobs {
            let policy = self.scope.id("NetworkPolicy.networking.k8s.io", job.name)?;
            let pull_secrets = &self.shared.options.images.pull_secrets;
            let mut more = job.into_resources(self.scope, pull_secrets)?;
            if let Some(last) = more.last_mut() {
                last.after.extend([server.clone(), policy]);
            }
            resources.extend(more);
        }
        Ok(resources)
    }
}

impl Job {
    /// Its service account, its inputs and, last, the Job itself under a name that its content gives.
    pub(crate) fn into_resources(self, scope: &Scope<'_>, pull_secrets: &[String]) -> Result<Vec<Resource>> {
        let account = service_account(scope, self.name)?;
        let inputs: Vec<&Value> = self.inputs.iter().map(|input| &*input.desired).collect();
        let content = Digest::of(&inputs).short(16).to_owned();
        let pod = Pod {
            service_account: self.name.to_owned(),
            labels: selector(self.name),
            annotations: BTreeMap::from([(format!("{DOMAIN}/config-hash"), content)]),
            containers: self.containers,
            volumes: self.volumes,
            grace: 30,
            pull_secrets: pull_secrets.to_vec(),
            ends: true,
        };
        let spec = tidy(json!({
            "backoffLimit": 6,
            "completions": 1,
            "parallelism": 1,
            "template": pod.into_template(),
        }));
        // A Job's template can never change: another content is another Job.
        let name = format!("{}-{}", self.name, Digest::of(&spec).short(8));
        let mut job = scope.object("Job.batch", &name, self.name, json!({ "spec": spec }))?;
        let mut resources = vec![account];
        resources.extend(self.inputs);
        job.after.extend(resources.iter().map(|one| one.id.clone()));
        resources.push(job);
        Ok(resources)
    }
}

/// The labels by which everybody selects the pods of a workload.
pub(crate) fn selector(name: &str) -> Labels {
    Labels::from([(NAME_LABEL.to_owned(), name.to_owned())])
}

/// The volume that the claim template of a server yields.
pub(crate) fn claim(name: &str) -> String {
    claim_of(name, 0)
}

fn claim_of(name: &str, ordinal: u32) -> String {
    format!("{VOLUME}-{name}-{ordinal}")
}

fn headless_name(name: &str) -> String {
    format!("{name}-headless")
}

/// A pod of a server, as its namespace's others and clients elsewhere find it.
pub(crate) fn pod(scope: &Scope<'_>, name: &str, ordinal: u32) -> String {
    format!("{name}-{ordinal}.{}.{}.svc", headless_name(name), scope.namespace())
}

/// The Service through which any pod of a server with followers is reached, the first included: for reading.
pub(crate) fn read_name(name: &str) -> String {
    format!("{name}-ro")
}

/// DNS names under which clients and sidecars reach a server. The first becomes the common name, which X.509
/// limits to 64 characters.
pub(crate) fn dns_names(scope: &Scope<'_>, name: &str) -> Vec<String> {
    let namespace = scope.namespace();
    vec![
        name.to_owned(),
        format!("{name}.{namespace}"),
        format!("{name}.{namespace}.svc"),
        format!("{name}.{namespace}.svc.cluster.local"),
        pod(scope, name, 0),
        "localhost".to_owned(),
    ]
}

/// A server's certificate and key. It holds nothing that cannot be made again.
pub(crate) fn certificate(scope: &Scope<'_>, name: &str) -> Result<Resource> {
    certificate_for(scope, name, dns_names(scope, name))
}

/// [`certificate`] for these DNS names.
pub(crate) fn certificate_for(scope: &Scope<'_>, name: &str, dns: Vec<String>) -> Result<Resource> {
    let recipe = Recipe::Tls {
        authority: foundation::authority(scope.place(), scope.context())?.to_string(),
        dns,
        days: CERTIFICATE_DAYS,
    };
    scope.remade_secret(&format!("{name}-tls"), name, &BTreeMap::from([("*", recipe)]))
}

/// All surfaces, among them this capability's, which is absent when it is used alone.
pub(crate) fn with_surface(context: &Context, capability: Capability, surface: Surface) -> Surfaces {
    let mut surfaces = context.surfaces.clone();
    surfaces.0.insert(capability, surface);
    surfaces
}

pub(crate) fn port_numbers(surfaces: &Surfaces, workload: &str) -> BTreeMap<String, u16> {
    surfaces
        .workload(workload)
        .map(|workload| workload.ports.clone())
        .unwrap_or_default()
}

pub(crate) fn service_account(scope: &Scope<'_>, name: &str) -> Result<Resource> {
    scope.object(
        "ServiceAccount",
        name,
        name,
        json!({ "automountServiceAccountToken": false }),
    )
}

fn services(
    scope: &Scope<'_>,
    name: &str,
    followers: Option<u32>,
    serves: &BTreeMap<u16, &'static str>,
    ports: &BTreeMap<String, u16>,
) -> Result<Vec<Resource>> {
    let public: Vec<Value> = serves
        .iter()
        .map(|(port, target)| json!({ "name": target, "port": port, "targetPort": target, "protocol": "TCP" }))
        .collect();
    let every: Vec<Value> = ports
        .iter()
        .map(|(target, port)| json!({ "name": target, "port": port, "targetPort": target, "protocol": "TCP" }))
        .collect();
    let service = |selector: Labels| json!({ "spec": { "type": "ClusterIP", "selector": selector, "ports": public } });
    let headless = json!({ "spec": {
        "type": "ClusterIP",
        "clusterIP": "None",
        "selector": selector(name),
        "ports": every,
    }});
    let mut first = selector(name);
    if followers.is_some() {
        first.insert("statefulset.kubernetes.io/pod-name".to_owned(), format!("{name}-0"));
    }
    let mut all = vec![
        scope.object("Service", name, name, service(first))?,
        scope.object("Service", &headless_name(name), name, headless)?,
    ];
    if followers.is_some_and(|followers| followers > 0) {
        all.push(scope.object("Service", &read_name(name), name, service(selector(name)))?);
    }
    Ok(all)
}

fn claim_spec(size: Size, storage_class: Option<&str>) -> Value {
    tidy(json!({
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": "Filesystem",
        "storageClassName": storage_class,
        "resources": { "requests": { "storage": size } },
    }))
}
