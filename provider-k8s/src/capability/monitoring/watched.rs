//! What there is to watch.

use crate::object::namespace_of;
use platform_core::{
    AlarmSubject, Capability, Context, Endpoint, MonitoringSpec, PodSecurity, Result, Scrape, Workload,
};
use std::collections::{BTreeMap, BTreeSet};

/// Jobs of what monitoring runs itself. Its surface states its scrapes under these names, so that rules know what
/// answers; the jobs of the other capabilities bear the names of their workloads.
pub mod job {
    /// Prometheus.
    pub const PROMETHEUS: &str = "prometheus";
    /// Alertmanager.
    pub const ALERTMANAGER: &str = "alertmanager";
    /// Grafana.
    pub const GRAFANA: &str = "grafana";
    /// node-exporter.
    pub const NODE: &str = "node-exporter";
    /// kube-state-metrics.
    pub const KUBE_STATE: &str = "kube-state-metrics";
    /// The API servers; always read.
    pub const API_SERVER: &str = "apiserver";
    /// The kubelets, with the volumes of their pods; always read.
    pub const KUBELET: &str = "kubelet";
    /// cAdvisor in the kubelets, with their containers; always read.
    pub const CADVISOR: &str = "cadvisor";
    /// Pods of the namespaces that may use the platform, as far as they ask to be read; read when there are any.
    pub const APPLICATIONS: &str = "applications";
}

/// What there is to watch: thresholds and receivers from the spec, all else from the surfaces.
///
/// The surfaces in the context hold monitoring's own, whose scrapes have the names in [`job`] and whose endpoints
/// `prometheus` and `alertmanager` say where those are.
#[derive(Clone, Debug)]
pub struct Watched<'a> {
    /// Thresholds and receivers.
    pub spec: &'a MonitoringSpec,
    /// Surfaces and names.
    pub context: &'a Context,
    namespaces: BTreeMap<Capability, String>,
}

impl<'a> Watched<'a> {
    /// Looks at a platform. Pure.
    ///
    /// # Errors
    /// `Invalid` when a name of the context cannot be the name of a namespace.
    pub fn new(spec: &'a MonitoringSpec, context: &'a Context) -> Result<Self> {
        let mut namespaces = BTreeMap::new();
        // What all share lies in a namespace of its own, also where nobody asked for more security.
        let shared = (!context.alone).then_some(&Capability::Security);
        for capability in context.surfaces.0.keys().chain(shared) {
            namespaces.insert(*capability, namespace_of(context, capability.as_str())?);
        }
        Ok(Self {
            spec,
            context,
            namespaces,
        })
    }

    /// The namespace of a capability, if it is wanted.
    pub fn namespace(&self, capability: Capability) -> Option<&str> {
        self.namespaces.get(&capability).map(String::as_str)
    }

    /// Every namespace of the platform.
    pub fn namespaces(&self) -> BTreeSet<&str> {
        let of_workloads = self.context.surfaces.workloads().map(|(_, one)| one.namespace.as_str());
        self.namespaces
            .values()
            .map(String::as_str)
            .chain(of_workloads)
            .collect()
    }

    /// Namespaces by the Pod Security Standard that they have to enforce: all but those of agents that reach into the
    /// node, which are Velero's and any namespace that belongs to no capability.
    pub fn confined_namespaces(&self) -> BTreeMap<PodSecurity, BTreeSet<&str>> {
        let mut levels: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
        for (capability, namespace) in &self.namespaces {
            if *capability != Capability::Backup {
                let level = self.context.security.pod_security_of(capability.as_str());
                levels.entry(level).or_default().insert(namespace);
            }
        }
        let security = &self.context.security;
        for (application, wanted) in self.context.surfaces.applications().iter().zip(&security.applications) {
            let level = wanted.pod_security.unwrap_or(security.pod_security);
            levels.entry(level).or_default().insert(&application.namespace);
        }
        levels
    }

    /// Namespaces of applications that may use the platform.
    pub fn application_namespaces(&self) -> BTreeSet<&str> {
        self.context
            .security
            .allow
            .iter()
            .map(|rule| rule.namespace.as_str())
            .chain(
                self.context
                    .surfaces
                    .applications()
                    .iter()
                    .map(|one| one.namespace.as_str()),
            )
            .collect()
    }

    /// Every scrape with the workload that serves it.
    pub fn scrapes(&self) -> impl Iterator<Item = (&'a Scrape, &'a Workload)> {
        let surfaces = &self.context.surfaces;
        surfaces
            .0
            .values()
            .flat_map(|surface| &surface.scrapes)
            .filter_map(|scrape| Some((scrape, surfaces.workload(&scrape.workload)?)))
    }

    /// The first scrape of a capability.
    pub fn scrape(&self, capability: Capability) -> Option<&'a Scrape> {
        self.context.surfaces.get(capability)?.scrapes.first()
    }

    /// Whether a job of monitoring's own is read.
    pub fn has(&self, job: &str) -> bool {
        self.context
            .surfaces
            .get(Capability::Monitoring)
            .is_some_and(|surface| surface.scrapes.iter().any(|scrape| scrape.job == job))
    }

    /// Monitoring's endpoint of a name.
    pub fn endpoint(&self, name: &str) -> Option<&'a Endpoint> {
        let surface = self.context.surfaces.get(Capability::Monitoring)?;
        surface.endpoints.iter().find(|endpoint| endpoint.name == name)
    }

    /// A capability's subject.
    pub fn subject(&self, capability: Capability, what: &str) -> Option<&'a AlarmSubject> {
        let surface = self.context.surfaces.get(capability)?;
        surface.subjects.iter().find(|subject| subject.what == what)
    }
}
