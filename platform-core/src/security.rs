//! Policies, quotas, keys, generated and supplied secrets.

use crate::Result;
use crate::blueprint::{Blueprint, Context};
use crate::engine::{Approvals, Engine, Plan, PlanRequest, Report};
use crate::surface::{Capability, Surface};
use crate::value::{Size, Supplied};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// Policies, quotas, keys, generated and supplied secrets.
///
/// `surface` and `blueprint` are pure; the verbs are provided once, through the engine.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Security: Debug + Send + Sync {
    /// What it can do; wishes beyond are refused before any call.
    fn features(&self) -> SecurityFeatures;

    /// What it will show to the other capabilities. Pure.
    ///
    /// # Errors
    /// When the spec asks for what is not supported or contradicts itself.
    fn surface(&self, spec: &SecuritySpec, context: &Context) -> Result<Surface>;

    /// Which resources it needs. Pure.
    ///
    /// # Errors
    /// When the spec asks for what is not supported or contradicts itself.
    fn blueprint(&self, spec: &SecuritySpec, context: &Context) -> Result<Blueprint<SecurityOutputs>>;

    /// The engine that drives it when used alone.
    fn engine(&self) -> &Engine;

    /// What provisioning would do. Reads only.
    ///
    /// # Errors
    /// When the spec is refused or the place cannot be read.
    async fn plan(&self, spec: &SecuritySpec) -> Result<Plan> {
        let context = Context::alone(&spec.name, Capability::Security)?;
        self.engine()
            .plan(&PlanRequest::of(&context, self.blueprint(spec, &context)?))
            .await
    }

    /// Plans and applies.
    ///
    /// # Errors
    /// When an approval is missing, the place refuses a write, or a resource does not become ready.
    async fn provision(&self, spec: &SecuritySpec, approvals: &Approvals) -> Result<SecurityOutputs> {
        let plan = self.plan(spec).await?;
        self.engine().apply(&plan, approvals, &mut |_| {}).await?.into_outputs()
    }

    /// The outputs if everything stands as specified; `None` if not.
    ///
    /// # Errors
    /// When the spec is refused or the place cannot be read.
    async fn describe(&self, spec: &SecuritySpec) -> Result<Option<SecurityOutputs>> {
        self.plan(spec).await?.settled_outputs()
    }

    /// Removes it, keeping what holds data.
    ///
    /// # Errors
    /// When an approval is missing or the place refuses a delete.
    async fn destroy(&self, spec: &SecuritySpec, approvals: &Approvals) -> Result<Report> {
        let context = Context::alone(&spec.name, Capability::Security)?;
        let plan = self.engine().plan(&PlanRequest::destroy(context.set)).await?;
        self.engine().apply(&plan, approvals, &mut |_| {}).await
    }
}

/// A Pod Security Standard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PodSecurity {
    /// Prevents known privilege escalations.
    #[default]
    Baseline,
    /// Follows hardening best practice.
    Restricted,
}

impl PodSecurity {
    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// Wanted security.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SecuritySpec {
    /// Name of the platform.
    pub name: String,
    /// Pod Security Standard of the platform's namespaces. Default baseline. Lowering it needs an approval.
    pub pod_security: PodSecurity,
    /// Namespaces under another standard, by their name without the platform's prefix.
    pub pod_security_overrides: BTreeMap<String, PodSecurity>,
    /// Who else may connect. Everything not listed is denied.
    pub allow: Vec<AllowRule>,
    /// How often a namespace's own pods fit into its quota where `quotas` says nothing. Default 2: a replacement
    /// starts beside the old one, a Job beside both.
    pub quota_factor: u32,
    /// Quotas by namespace, without the platform's prefix (`database`).
    pub quotas: BTreeMap<String, QuotaSpec>,
    /// What containers get that state nothing, and may state at most, where `limits` says nothing. Default half a core
    /// and 256Mi, and no most.
    pub default_limits: LimitSpec,
    /// Limits of containers by namespace, without the platform's prefix.
    pub limits: BTreeMap<String, LimitSpec>,
    /// What the namespace of an application may use where its own quota says nothing. Default no limit.
    pub default_quota: QuotaSpec,
    /// Namespaces for applications that use the platform.
    pub applications: Vec<ApplicationSpec>,
    /// Who else, logged in as themselves, may look into the platform's namespaces.
    pub people: PeopleSpec,
    /// Secrets that the caller supplies, by the name they get.
    pub secrets: BTreeMap<String, Supplied>,
    /// What was generated and shall be replaced.
    pub revisions: Revisions,
}

impl Default for SecuritySpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            pod_security: PodSecurity::default(),
            pod_security_overrides: BTreeMap::new(),
            allow: Vec::new(),
            quota_factor: 2,
            quotas: BTreeMap::new(),
            default_limits: LimitSpec {
                cpu_milli: Some(500),
                memory: Some(Size::mib(256)),
                ..LimitSpec::default()
            },
            limits: BTreeMap::new(),
            default_quota: QuotaSpec::default(),
            applications: Vec::new(),
            people: PeopleSpec::default(),
            secrets: BTreeMap::new(),
            revisions: Revisions::default(),
        }
    }
}

impl SecuritySpec {
    /// The defaults: baseline, nobody else allowed, no quotas of its own.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }
    /// Sets the Pod Security Standard.
    pub fn with_pod_security(mut self, level: PodSecurity) -> Self {
        self.pod_security = level;
        self
    }
    /// Puts a namespace, named without the platform's prefix, under another Pod Security Standard.
    pub fn with_pod_security_of(mut self, namespace: impl Into<String>, level: PodSecurity) -> Self {
        self.pod_security_overrides.insert(namespace.into(), level);
        self
    }
    /// The Pod Security Standard of a namespace, named without the platform's prefix.
    pub fn pod_security_of(&self, namespace: &str) -> PodSecurity {
        self.pod_security_overrides
            .get(namespace)
            .copied()
            .unwrap_or(self.pod_security)
    }
    /// Lets somebody in.
    pub fn with_allow(mut self, rule: AllowRule) -> Self {
        self.allow.push(rule);
        self
    }
    /// Sets a quota.
    pub fn with_quota(mut self, namespace: impl Into<String>, quota: QuotaSpec) -> Self {
        self.quotas.insert(namespace.into(), quota);
        self
    }
    /// Sets the limits of a namespace's containers.
    pub fn with_limits(mut self, namespace: impl Into<String>, limits: LimitSpec) -> Self {
        self.limits.insert(namespace.into(), limits);
        self
    }
    /// Makes a namespace for an application.
    pub fn with_application(mut self, application: ApplicationSpec) -> Self {
        self.applications.push(application);
        self
    }
    /// Gives people rights.
    pub fn with_people(mut self, people: PeopleSpec) -> Self {
        self.people = people;
        self
    }
    /// Adds a supplied secret.
    pub fn with_secret(mut self, name: impl Into<String>, supplied: Supplied) -> Self {
        self.secrets.insert(name.into(), supplied);
        self
    }
}

/// Numbers of what was generated: a higher one than what is there replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Revisions {
    /// The authority that signs certificates, from 1. It is replaced by itself two years before it ends.
    pub authority: u32,
    /// What applications log in to the database with, from 1.
    pub database: u32,
    /// What applications log in to the cache with, from 1.
    pub cache: u32,
    /// What applications log in to the object store with, from 1; where the server knows users.
    pub storage: u32,
    /// The password of Grafana's administrator, from 1.
    pub monitoring: u32,
}

impl Default for Revisions {
    fn default() -> Self {
        Self {
            authority: 1,
            database: 1,
            cache: 1,
            storage: 1,
            monitoring: 1,
        }
    }
}

/// Lets pods of a namespace connect to capabilities.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AllowRule {
    /// The namespace.
    pub namespace: String,
    /// Labels of the pods in it; empty for all.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// To which capabilities' endpoints.
    pub to: Vec<Capability>,
}

/// Limits of what a namespace may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaSpec {
    /// CPU limits in thousandths of a core.
    pub cpu_milli: Option<u32>,
    /// Memory limits.
    pub memory: Option<Size>,
    /// Pods.
    pub pods: Option<u32>,
    /// Volume requests.
    pub storage: Option<Size>,
}

impl QuotaSpec {
    /// These, and where they say nothing, `others`.
    pub fn or(self, others: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.or(others.cpu_milli),
            memory: self.memory.or(others.memory),
            pods: self.pods.or(others.pods),
            storage: self.storage.or(others.storage),
        }
    }
}

/// A namespace for an application that uses the platform: closed but for what is said here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApplicationSpec {
    /// Name of the namespace, without the platform's prefix.
    pub name: String,
    /// Its Pod Security Standard. Default: the platform's.
    pub pod_security: Option<PodSecurity>,
    /// The capabilities whose endpoints its pods may call; credentials for them are put into the namespace.
    pub uses: BTreeSet<Capability>,
    /// TCP ports on which its pods may call any host outside of the cluster.
    pub outside: BTreeSet<u16>,
    /// The TCP port on which Prometheus may read its pods' metrics.
    pub metrics: Option<u16>,
    /// What the namespace may use.
    pub quota: QuotaSpec,
    /// What each of its containers may use.
    pub limits: LimitSpec,
}

impl ApplicationSpec {
    /// A namespace that uses nothing yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }
    /// Whether a namespace of this name is the platform's own, or Kubernetes'.
    pub fn is_taken(name: &str) -> bool {
        Capability::ALL.iter().any(|one| one.as_str() == name)
            || ["backup-store", "monitoring-node", "default"].contains(&name)
            || name.starts_with("kube-")
    }
    /// Lets its pods use a capability.
    pub fn with_use(mut self, capability: Capability) -> Self {
        self.uses.insert(capability);
        self
    }
}

/// Which rights people have in the platform's namespaces, those of applications among them. None of them reads a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PeopleSpec {
    /// They see what there is and what state it is in, but no logs.
    pub viewers: Subjects,
    /// They see what viewers see and logs, reach ports of pods, and have pods made anew. They change nothing else, and run
    /// nothing in a container.
    pub operators: Subjects,
}

impl PeopleSpec {
    /// Sets the viewers.
    pub fn with_viewers(mut self, viewers: Subjects) -> Self {
        self.viewers = viewers;
        self
    }
    /// Sets the operators.
    pub fn with_operators(mut self, operators: Subjects) -> Self {
        self.operators = operators;
        self
    }
    /// Why rights cannot be given to a group or user of this name, if they cannot.
    pub fn misfit(name: &str) -> Option<&'static str> {
        if name.trim().is_empty() || name.trim() != name || name.contains(char::is_control) {
            Some("is nobody's name")
        } else if name.starts_with("system:") {
            Some("is one of the cluster's own, not of people")
        } else if name.contains('*') {
            Some("is no pattern: it would mean somebody of just that name")
        } else {
            None
        }
    }
}

/// Groups and users, by the names that the place's login gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Subjects {
    /// Groups.
    pub groups: BTreeSet<String>,
    /// Users.
    pub users: BTreeSet<String>,
}

impl Subjects {
    /// Adds a group.
    pub fn with_group(mut self, name: impl Into<String>) -> Self {
        self.groups.insert(name.into());
        self
    }
    /// Adds a user.
    pub fn with_user(mut self, name: impl Into<String>) -> Self {
        self.users.insert(name.into());
        self
    }
    /// Whether it is nobody.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.users.is_empty()
    }
}

/// Limits of the containers of a namespace, each on its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitSpec {
    /// CPU limit of a container that states none, in thousandths of a core. A tenth of it is requested.
    pub cpu_milli: Option<u32>,
    /// Memory limit of a container that states none. A quarter of it is requested.
    pub memory: Option<Size>,
    /// The most CPU that a container may state, in thousandths of a core.
    pub max_cpu_milli: Option<u32>,
    /// The most memory that a container may state.
    pub max_memory: Option<Size>,
}

impl LimitSpec {
    /// These, and where they say nothing, `others`.
    pub fn or(self, others: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.or(others.cpu_milli),
            memory: self.memory.or(others.memory),
            max_cpu_milli: self.max_cpu_milli.or(others.max_cpu_milli),
            max_memory: self.max_memory.or(others.max_memory),
        }
    }
}

/// What a Security provider can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityFeatures {
    /// Policies between workloads.
    pub network_policies: bool,
    /// [`Revisions`] above the first.
    pub rotation: bool,
    /// Rights of people.
    pub people: bool,
}

/// What was put in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityOutputs {
    /// Where clients find the CA certificate; absent where public CAs are used.
    pub ca: Option<String>,
    /// Where the supplied secrets were put, by name.
    pub secrets: BTreeMap<String, String>,
}
