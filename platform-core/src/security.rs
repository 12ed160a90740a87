//! Policies, quotas, keys, generated and supplied secrets.

use crate::Result;
use crate::blueprint::{Blueprint, Context};
use crate::engine::{Approvals, Engine, Plan, PlanRequest, Report};
use crate::surface::{Capability, Surface};
use crate::value::{Size, Supplied};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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

    /// One-off resources that give a credential a new value: persist the next value, switch, promote.
    ///
    /// # Errors
    /// `Unsupported` unless `features().rotation`.
    fn rotation(&self, spec: &SecuritySpec, secret: &str, context: &Context) -> Result<Blueprint<SecurityOutputs>>;
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SecuritySpec {
    /// Name of the platform.
    pub name: String,
    /// Pod Security Standard of the platform's namespaces. Default baseline. Lowering it exposes.
    pub pod_security: PodSecurity,
    /// Who else may connect. Everything not listed is denied.
    pub allow: Vec<AllowRule>,
    /// Quotas by capability (`database`) or namespace.
    pub quotas: BTreeMap<String, QuotaSpec>,
    /// Secrets that the caller supplies, by the name they get.
    pub secrets: BTreeMap<String, Supplied>,
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
    /// Adds a supplied secret.
    pub fn with_secret(mut self, name: impl Into<String>, supplied: Supplied) -> Self {
        self.secrets.insert(name.into(), supplied);
        self
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// What a Security provider can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityFeatures {
    /// Policies between workloads.
    pub network_policies: bool,
    /// Rotation of generated credentials.
    pub rotation: bool,
}

/// What was put in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityOutputs {
    /// Where clients find the CA certificate; absent where public CAs are used.
    pub ca: Option<String>,
    /// Where the supplied secrets were put, by name.
    pub secrets: BTreeMap<String, String>,
}
