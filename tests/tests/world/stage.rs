//! A world with a small platform on it, and processes that come and go.

use platform_core::engine::{Approvals, Engine, Event, Plan, PlanRequest, Report};
use platform_core::testing::{Driven, Faults, Lag, ManualClock, Sabotage, Shape, World, fixtures, kinds};
use platform_core::value::{Clock, Kind, Place, ResourceId, SetId};
use platform_core::{Connect, KindFacts, Provider, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Reads of kinds with weak creates lag this far, well within the engine's window.
pub(crate) const LAG: Lag = Lag {
    writes: 3,
    window: Duration::from_secs(20),
};

#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) clock: ManualClock,
    pub(crate) sabotage: Option<Sabotage>,
    /// Another place, where one is wanted.
    pub(crate) second: Option<World>,
    /// A place that an object of the first makes, where one is wanted.
    pub(crate) inside: Option<Inside>,
    set: SetId,
    processes: AtomicU32,
}

/// A world that comes to be with a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Inside {
    pub(crate) world: World,
    cluster: ResourceId,
    facts: fn(&Kind) -> Option<&'static KindFacts>,
}

/// A process's way into it.
#[derive(Debug)]
struct Way(Arc<dyn Provider>);

#[async_trait::async_trait]
impl Connect for Way {
    async fn connect(&self, _outputs: &BTreeMap<String, Value>) -> Result<Arc<dyn Provider>> {
        Ok(Arc::clone(&self.0))
    }
}

/// Between saved worlds; JSON holds none.
const BETWEEN: u8 = 0;

/// A process that plans, consents and applies, up to its end or its death.
pub(crate) fn plan_and_apply(
    clock: &ManualClock,
    engine: &Engine,
    faults: &Faults,
    request: &PlanRequest,
    consent: &dyn Fn(&Plan) -> Approvals,
) -> Driven<Result<Report>> {
    let both = async {
        let plan = engine.plan(request).await?;
        let told = std::env::var_os("WORLD_TRACE").is_some();
        engine
            .apply(&plan, &consent(&plan), &mut |event| {
                if told {
                    eprintln!("{:?} {event:?}", clock.elapsed());
                }
            })
            .await
    };
    clock.drive_until(both, || faults.is_dead())
}

/// An empty cluster without lag, and its clock.
pub(crate) fn cluster() -> (World, ManualClock) {
    let clock = ManualClock::new();
    let place = Place::kubernetes("main").unwrap();
    let world = World::new(place, provider_k8s::facts, Arc::new(clock.clone()));
    (world, clock)
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::of(fixtures::place(), kinds::facts, fixtures::set())
    }

    /// A world of these kinds, whose objects belong to this set.
    pub(crate) fn of(place: Place, facts: fn(&Kind) -> Option<&'static KindFacts>, set: SetId) -> Self {
        let clock = ManualClock::new();
        let world = World::new(place, facts, Arc::new(clock.clone())).with_lag(LAG);
        Self {
            world,
            clock,
            sabotage: None,
            second: None,
            inside: None,
            set,
            processes: AtomicU32::new(0),
        }
    }

    /// With a second place of the same kinds.
    pub(crate) fn beside(mut self, place: Place, facts: fn(&Kind) -> Option<&'static KindFacts>) -> Self {
        self.second = Some(World::new(place, facts, Arc::new(self.clock.clone())).with_lag(LAG));
        self
    }

    /// With what runs in a cluster.
    pub(crate) fn around(
        mut self,
        place: Place,
        cluster: ResourceId,
        facts: fn(&Kind) -> Option<&'static KindFacts>,
    ) -> Self {
        let world = World::new(place, facts, Arc::new(self.clock.clone())).with_lag(LAG);
        self.inside = Some(Inside { world, cluster, facts });
        self
    }

    /// The world and what is in its cluster, saved.
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        let worlds = std::iter::once(&self.world).chain(self.inside.as_ref().map(|inside| &inside.world));
        let saved: Vec<Vec<u8>> = worlds.map(|world| world.snapshot().unwrap()).collect();
        saved.join(&BETWEEN)
    }

    /// Goes on where a saved world stood, some time later.
    pub(crate) fn restored(self, bytes: &[u8]) -> Self {
        let mut saved = bytes.split(|byte| *byte == BETWEEN);
        self.world.restore(saved.next().unwrap()).unwrap();
        if let (Some(inside), Some(bytes)) = (&self.inside, saved.next()) {
            inside.world.restore(bytes).unwrap();
        }
        self.clock.advance(Duration::from_hours(1));
        self
    }

    pub(crate) fn with_sabotage(mut self, sabotage: Option<Sabotage>) -> Self {
        self.sabotage = sabotage;
        self
    }

    /// The world as a process sees it through these faults, and through the stage's sabotage.
    pub(crate) fn provider(&self, faults: &Faults) -> Arc<dyn Provider> {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let world: Arc<dyn Provider> = Arc::new(self.world.clone());
        let world = match self.sabotage {
            Some(sabotage) => sabotage.around(world),
            None => world,
        };
        faults.around(world, clock)
    }

    /// A new process on this world.
    pub(crate) fn process(&self, faults: &Faults) -> Engine {
        let number = self.processes.fetch_add(1, Ordering::SeqCst);
        let mut engine = Engine::builder(Arc::new(self.clock.clone())).provider(self.provider(faults));
        if let Some(second) = &self.second {
            engine = engine.provider(faults.around(Arc::new(second.clone()), Arc::new(self.clock.clone())));
        }
        if let Some(inside) = &self.inside {
            let world = faults.around(Arc::new(inside.world.clone()), Arc::new(self.clock.clone()));
            let (place, cluster) = (inside.world.place().clone(), inside.cluster.clone());
            engine = engine.later(place, cluster, inside.facts, Arc::new(Way(world)));
        }
        engine
            .holder(format!("process-{number}"))
            // Shorter than the lag of reads: waiting a dead lease out must not be what saves weak creates.
            .lease_ttl(Duration::from_secs(4))
            .build()
    }

    /// What a person does: plans, consents, applies. Ends early when the process is killed.
    pub(crate) fn run(
        &self,
        faults: &Faults,
        request: &PlanRequest,
        consent: &dyn Fn(&Plan) -> Approvals,
    ) -> Driven<Result<Report>> {
        plan_and_apply(&self.clock, &self.process(faults), faults, request, consent)
    }

    /// A run without faults; its failures are errors. Reads that lag may make a plan stale: then it is made again.
    pub(crate) fn settle(&self, request: &PlanRequest, consent: &dyn Fn(&Plan) -> Approvals) -> Result<Report> {
        let mut result = self.run(&Faults::none(), request, consent).done().expect("stalled");
        for _ in 0..2 {
            if result
                .as_ref()
                .is_err_and(|why| why.kind() == platform_core::ErrorKind::Stale)
            {
                result = self.run(&Faults::none(), request, consent).done().expect("stalled");
            }
        }
        let report = result?;
        let failure = report
            .failures()
            .next()
            .map(|(id, why)| why.clone().with_context("resource", id));
        failure.map_or(Ok(report), Err)
    }

    pub(crate) fn plan(&self, request: &PlanRequest) -> Result<Plan> {
        let engine = self.process(&Faults::none());
        self.clock.drive(engine.plan(request)).done().expect("stalled")
    }

    pub(crate) fn apply(&self, plan: &Plan, approvals: &Approvals) -> Result<Report> {
        self.apply_telling(plan, approvals, &mut |_| {})
    }

    pub(crate) fn apply_telling(
        &self,
        plan: &Plan,
        approvals: &Approvals,
        events: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Report> {
        let engine = self.process(&Faults::none());
        let applied = engine.apply(plan, approvals, events);
        self.clock.drive(applied).done().expect("stalled")
    }

    pub(crate) fn shape(&self) -> BTreeMap<ResourceId, Vec<Shape>> {
        let mut all = self.world.shape(&self.set);
        if let Some(inside) = &self.inside {
            all.extend(inside.world.shape(&self.set));
        }
        all
    }

    /// Every secret value there, by object and key.
    pub(crate) fn secrets(&self) -> BTreeMap<(ResourceId, String), String> {
        let mut all = BTreeMap::new();
        for world in std::iter::once(&self.world).chain(self.inside.as_ref().map(|inside| &inside.world)) {
            for id in world.ids() {
                for (key, value) in world.secrets(&id) {
                    all.insert((id.clone(), key), value);
                }
            }
        }
        all
    }

    /// Puts a row into every object that holds data, and returns the rows.
    pub(crate) fn seed(&self) -> BTreeMap<ResourceId, Vec<String>> {
        let mut seeded = BTreeMap::new();
        for id in self.world.ids() {
            let row = format!("row of {id}");
            if self.world.seed_data(&id, &[&row]).is_ok() {
                seeded.insert(id, vec![row]);
            }
        }
        seeded
    }
}

/// No consent to anything.
pub(crate) fn nothing(_: &Plan) -> Approvals {
    Approvals::none()
}

/// Consent to whatever the plan demands, data included, one by one.
pub(crate) fn everything(plan: &Plan) -> Approvals {
    plan.demands().iter().fold(Approvals::none(), |all, demand| {
        all.with(demand.accept("test", "all of it"))
    })
}

/// The kind of an expected failure.
pub(crate) fn kind_of<T>(result: Result<T>) -> platform_core::ErrorKind {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(why) => why.kind(),
    }
}
