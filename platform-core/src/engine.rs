//! Plan and apply: graph, diff, approvals, scheduler. Knows resources and providers, no cloud.
//!
//! One verb per file: [`Engine::plan`] reads, [`Engine::apply`] verifies by planning again and writes.
mod apply;
mod approve;
mod diff;
mod event;
mod graph;
mod later;
mod lease;
mod plan;
mod planner;
mod promotion;
mod render;
mod report;
mod schedule;

pub use apply::{ApplyOptions, Stop};
#[cfg(feature = "testing")]
pub(crate) use approve::permit_for_tests;
pub use approve::{Approval, Approvals, ApprovedPlan, Demand, Demands, Permit, Policy, Unapproved};

pub use diff::{Difference, diff};
pub use event::Event;
pub use graph::Graph;

pub use plan::{Action, Blocked, Cause, Change, Counts, Origin, Plan, PlanRequest, Step};
pub use promotion::{Comparison, Deviation, Effect, FieldEffect, Promotion, Sort};
pub use render::{ComparisonText, Outputs, OutputsText, PlanText, RenderOptions, ReportText};
pub use report::{Outcome, Report};

use self::later::Later;
use crate::facts::KindFacts;
use crate::provider::{Connect, Provider};
use crate::value::{Clock, Kind, Place, ResourceId};
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Drives providers: plans, verifies, applies. Cheap to clone; any number may live in one process.
#[derive(Clone, Debug)]
pub struct Engine {
    places: BTreeMap<Place, Arc<dyn Provider>>,
    later: BTreeMap<Place, Later>,
    clock: Arc<dyn Clock>,
    policy: Policy,
    holder: String,
    lease_ttl: Duration,
    lease_wait: Option<Duration>,
}

impl Engine {
    /// Starts with a clock; add at least one provider.
    pub fn builder(clock: Arc<dyn Clock>) -> EngineBuilder {
        EngineBuilder {
            engine: Self {
                places: BTreeMap::new(),
                later: BTreeMap::new(),
                clock,
                policy: Policy::default(),
                holder: "unnamed".to_owned(),
                lease_ttl: Duration::from_mins(1),
                lease_wait: None,
            },
        }
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Which risks need an approval.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The provider of a place.
    ///
    /// # Errors
    /// `Invalid` when the engine was built without it.
    pub fn provider(&self, place: &Place) -> Result<&Arc<dyn Provider>> {
        self.places.get(place).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("no provider for place {place}"))
                .with_help("give the engine a provider for every place that the resources name")
        })
    }

    /// The same engine with another provider for a place.
    pub fn with_provider(&self, provider: Arc<dyn Provider>) -> Self {
        let mut engine = self.clone();
        engine.places.insert(provider.place().clone(), provider);
        engine
    }

    /// All places that are reached now, sorted; later ones are not among them.
    pub fn places(&self) -> impl Iterator<Item = (&Place, &Arc<dyn Provider>)> {
        self.places.iter()
    }

    pub(crate) fn facts(&self, id: &ResourceId) -> Result<&'static KindFacts> {
        let (place, kind) = (id.place(), id.kind());
        let facts = match self.later.get(place) {
            Some(later) => (later.facts)(kind),
            None => self.provider(place)?.facts(kind),
        };
        facts.ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!("the provider of {place} knows no kind {kind}"),
            )
        })
    }
}

/// Builds an [`Engine`].
#[derive(Debug)]
pub struct EngineBuilder {
    engine: Engine,
}

impl EngineBuilder {
    /// Adds a place.
    pub fn provider(mut self, provider: Arc<dyn Provider>) -> Self {
        self.engine.places.insert(provider.place().clone(), provider);
        self
    }
    /// Adds a place that comes to be within a plan: `cluster`, a resource at another place, makes it.
    ///
    /// While the cluster is not there, all steps at the place are unverified creates, planned by `facts`; they start once
    /// the cluster is ready and `connect` has reached it. When it is there, the place is one like any other.
    pub fn later(
        mut self,
        place: Place,
        cluster: ResourceId,
        facts: fn(&Kind) -> Option<&'static KindFacts>,
        connect: Arc<dyn Connect>,
    ) -> Self {
        let later = Later {
            cluster,
            facts,
            connect,
        };
        self.engine.later.insert(place, later);
        self
    }
    /// Sets which risks need an approval. Default: all but downtime.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.engine.policy = policy;
        self
    }
    /// How others read who holds the lease: `user@host:pid:random`.
    pub fn holder(mut self, holder: impl Into<String>) -> Self {
        self.engine.holder = holder.into();
        self
    }
    /// How long the lease outlives its last heartbeat. Default 60 s.
    pub fn lease_ttl(mut self, ttl: Duration) -> Self {
        self.engine.lease_ttl = ttl;
        self
    }
    /// How long to wait for somebody's lease whose heartbeat moves. Default: not at all;
    /// a lease that does not move is always waited out (its time to live and 5 s).
    pub fn lease_wait(mut self, wait: Duration) -> Self {
        self.engine.lease_wait = Some(wait);
        self
    }
    /// The engine.
    pub fn build(self) -> Engine {
        self.engine
    }
}
