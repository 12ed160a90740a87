//! Approvals: a person names an object's incarnation and a risk. Nothing else opens a write that has one.

use super::plan::{Action, Plan, Step};
use crate::blueprint::Environment;
use crate::facts::Risk;
use crate::value::{Digest, ResourceId, Timestamp, Uid};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};
use std::fmt;

/// Which risks need an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// These risks.
    pub risks: BTreeSet<Risk>,
}

impl Policy {
    /// The policy of an environment.
    pub fn of(environment: Environment) -> Self {
        Self {
            risks: environment.approvals(),
        }
    }

    /// What either asks for.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            risks: self.risks.union(&other.risks).copied().collect(),
        }
    }
}

impl Default for Policy {
    /// Everything but downtime.
    fn default() -> Self {
        Self::of(Environment::Local)
    }
}

/// Consent to one risk for one incarnation of one object in one plan: a detached, serialisable value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The plan it belongs to.
    pub plan: Digest,
    /// Which object.
    pub resource: ResourceId,
    /// Which incarnation; absent when it is yet to be made.
    pub uid: Option<Uid>,
    /// Consent to what.
    pub risk: Risk,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Not valid from then on.
    pub expires: Option<Timestamp>,
}

/// A set of approvals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Approvals(Vec<Approval>);

impl Approvals {
    /// None.
    pub fn none() -> Self {
        Self::default()
    }
    /// Adds one.
    pub fn with(mut self, approval: Approval) -> Self {
        self.0.push(approval);
        self
    }
    /// Both.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
    /// All.
    pub fn iter(&self) -> impl Iterator<Item = &Approval> {
        self.0.iter()
    }

    /// What those that name this plan and still hold agree to.
    fn agreed(&self, plan: &Digest, now: Timestamp) -> Agreed {
        let valid = self
            .0
            .iter()
            .filter(|approval| &approval.plan == plan && approval.expires.is_none_or(|expires| now < expires));
        valid
            .map(|approval| (approval.resource.clone(), approval.uid.clone(), approval.risk))
            .collect()
    }
}

/// A risk that a plan would take, for which it needs or offers an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// The plan.
    pub plan: Digest,
    /// Which object.
    pub resource: ResourceId,
    /// Which incarnation.
    pub uid: Option<Uid>,
    /// Which risk.
    pub risk: Risk,
    /// What would happen.
    pub action: Action,
    /// Without it the object is kept and the rest of the plan runs.
    pub optional: bool,
}

impl Demand {
    /// Accepts it.
    pub fn accept(&self, by: &str, reason: &str) -> Approval {
        Approval {
            plan: self.plan.clone(),
            resource: self.resource.clone(),
            uid: self.uid.clone(),
            risk: self.risk,
            by: by.to_owned(),
            reason: reason.to_owned(),
            expires: None,
        }
    }

    /// `destroys-data:PersistentVolumeClaim/cache/data-redis-0@<uid>`: ready to paste after `--approve`.
    pub fn token(&self) -> String {
        let uid = self.uid.as_ref().map_or("new", Uid::as_str);
        format!(
            "{}:{}/{}@{uid}",
            self.risk,
            self.resource.kind().short(),
            self.resource.name()
        )
    }
}

/// All demands of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Demands(Vec<Demand>);

impl Demands {
    /// All.
    pub fn iter(&self) -> impl Iterator<Item = &Demand> {
        self.0.iter()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Accepts every demand of these risks; data is never accepted wholesale: see [`Demands::accept_one`].
    pub fn accept(&self, risks: &[Risk], by: &str, reason: &str) -> Approvals {
        Approvals(
            self.0
                .iter()
                .filter(|demand| demand.risk != Risk::DestroysData && risks.contains(&demand.risk))
                .map(|demand| demand.accept(by, reason))
                .collect(),
        )
    }
    /// Accepts the one demand whose [`Demand::token`] this is.
    pub fn accept_one(&self, token: &str, by: &str, reason: &str) -> Option<Approval> {
        self.0
            .iter()
            .find(|demand| demand.token() == token)
            .map(|demand| demand.accept(by, reason))
    }
}

/// Demands that no approval covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unapproved {
    /// They.
    pub demands: Vec<Demand>,
}

impl fmt::Display for Unapproved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens: Vec<String> = self.demands.iter().map(Demand::token).collect();
        write!(f, "approval missing for {}", tokens.join(", "))
    }
}

impl std::error::Error for Unapproved {}

impl From<Box<Unapproved>> for crate::Error {
    fn from(unapproved: Box<Unapproved>) -> Self {
        let help = unapproved
            .demands
            .iter()
            .map(|demand| format!("--approve {}", demand.token()));
        Self::new(crate::ErrorKind::Unapproved, unapproved.to_string()).with_help(help.collect::<Vec<_>>().join(" "))
    }
}

impl Plan {
    /// Every risk that the plan takes, and every kept object that an approval would delete.
    pub fn demands(&self) -> Demands {
        let demanded: Vec<Demanded> = self.demanded().collect();
        if demanded.is_empty() {
            return Demands::default();
        }
        let digest = self.digest();
        Demands(demanded.iter().map(|demanded| demanded.under(&digest)).collect())
    }

    /// The plan as an apply with these approvals runs it: what they let go of is deleted instead of kept. For showing what
    /// it writes and which rights that needs; an apply takes the plan that was made.
    #[must_use]
    pub fn under(&self, approvals: &Approvals) -> Self {
        let agreed = approvals.agreed(&self.digest(), self.as_of);
        let mut plan = self.clone();
        for step in &mut plan.steps {
            step.action = action(self, &agreed, step);
        }
        plan
    }

    fn demanded(&self) -> impl Iterator<Item = Demanded<'_>> {
        self.steps.iter().filter(|step| step.writes()).flat_map(|step| {
            let risks = step.risks.iter().map(|risk| (*risk, false));
            let deletes = step.deletable.then_some((Risk::DestroysData, true));
            risks
                .chain(deletes)
                .map(move |(risk, optional)| Demanded { step, risk, optional })
        })
    }
}

/// A demand before the digest of its plan is known.
struct Demanded<'a> {
    step: &'a Step,
    risk: Risk,
    optional: bool,
}

impl Demanded<'_> {
    /// To be approved under the digest of the plan that people saw.
    fn under(&self, digest: &Digest) -> Demand {
        Demand {
            plan: digest.clone(),
            resource: self.step.id.clone(),
            uid: self.step.uid.clone(),
            risk: self.risk,
            action: self.step.action,
            optional: self.optional,
        }
    }
}

/// Which risk of which incarnation of which object.
type Agreed = HashSet<(ResourceId, Option<Uid>, Risk)>;

/// A plan whose every demanded risk is approved. Has no other constructor than the check of approvals, no Clone, no Serde.
#[derive(Debug)]
pub struct ApprovedPlan {
    plan: Plan,
    agreed: Agreed,
}

/// Proof that a write was planned and its risks approved. Only the engine makes one.
#[derive(Clone, Copy, Debug)]
pub struct Permit<'a> {
    step: &'a Step,
    delete: bool,
}

impl<'a> Permit<'a> {
    /// The step it is for.
    pub fn step(&self) -> &'a Step {
        self.step
    }
    /// Whether the step may delete the object.
    pub fn allows_delete(&self) -> bool {
        self.delete
    }
}

impl ApprovedPlan {
    /// Checks a fresh plan against approvals that name `original`, the plan that people saw: asked for only where
    /// something is demanded.
    pub(super) fn new(
        plan: Plan,
        original: &dyn Fn() -> Digest,
        approvals: &Approvals,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Self, Box<Unapproved>> {
        if plan.demanded().next().is_none() {
            let agreed = Agreed::new();
            return Ok(Self { plan, agreed });
        }
        let original = original();
        let agreed = approvals.agreed(&original, now);
        let missing: Vec<Demand> = plan
            .demanded()
            .filter(|demanded| !demanded.optional && policy.risks.contains(&demanded.risk))
            .filter(|demanded| !agrees(&agreed, demanded.step, demanded.risk))
            .map(|demanded| demanded.under(&original))
            .collect();
        if missing.is_empty() {
            Ok(Self { plan, agreed })
        } else {
            Err(Box::new(Unapproved { demands: missing }))
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The action of a step, after approvals turned releases into deletes.
    pub(super) fn action(&self, step: &Step) -> Action {
        action(&self.plan, &self.agreed, step)
    }

    pub(super) fn permit<'a>(&self, step: &'a Step) -> Permit<'a> {
        Permit {
            step,
            delete: matches!(self.action(step), Action::Delete | Action::Replace),
        }
    }
}

/// What is kept is deleted when an approval says so, and with it what is kept for nothing else.
fn action(plan: &Plan, agreed: &Agreed, step: &Step) -> Action {
    let approved = |step: &Step| step.deletable && agrees(agreed, step, Risk::DestroysData);
    let goes = |id: &ResourceId| plan.step(id).is_some_and(approved);
    let needless = !step.kept_for.is_empty() && step.kept_for.iter().all(goes);
    if step.action == Action::Release && (approved(step) || needless) {
        Action::Delete
    } else {
        step.action
    }
}

fn agrees(agreed: &Agreed, step: &Step, risk: Risk) -> bool {
    agreed.contains(&(step.id.clone(), step.uid.clone(), risk))
}

/// A permit without an approved plan, for the tests of providers.
#[cfg(feature = "testing")]
pub(crate) fn permit_for_tests(step: &Step) -> Permit<'_> {
    Permit {
        step,
        delete: matches!(step.action, Action::Delete | Action::Replace),
    }
}
