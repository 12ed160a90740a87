//! A hundred platforms in one process on one cluster, all under one name, each behind a prefix of its own: brought up,
//! changed and destroyed at the same time. Each ends as it does alone.

use crate::stage::cluster;
use composition::Platform;
use composition::config::PlatformConfig;
use composition::kubernetes::Kubernetes;
use futures::future::{join_all, try_join_all};
use libtest_mimic::Trial;
use platform_core::engine::{Action, Plan};
use platform_core::testing::{ManualClock, Shape, World};
use platform_core::value::{Clock as _, ResourceId, SetId};
use platform_core::{Result, Risk};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial("many::a_hundred_platforms_do_not_touch_each_other", a_hundred_platforms),
        crate::trial(
            "many::a_namespace_that_two_prefixes_lead_to_has_one_owner",
            two_prefixes_one_name,
        ),
    ]
}

const PLATFORMS: usize = 100;

/// What they ask for, in turns: at first, and later.
const WISHES: [(&str, &str); 4] = [
    ("cache: { memory: 128Mi }", "cache: { memory: 256Mi, replicas: 1 }"),
    (
        "database: {}\nsecurity: { applications: [{ name: apps, uses: [database] }] }",
        "database: { max_connections: 120 }\nsecurity: { applications: [{ name: apps, outside: [443] }] }",
    ),
    (
        "storage: { buckets: [{ name: models }] }",
        "storage: { buckets: [{ name: models }, { name: data, versioning: true }] }",
    ),
    (
        "cache: {}\nsecurity: { people: { viewers: { groups: [team] } } }",
        "database: {}\nsecurity: { people: { viewers: { groups: [team] } } }",
    ),
];

/// What becomes of them, in turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Comes, changes, goes.
    Goes,
    /// Comes, changes, stays.
    Stays,
    /// Stood before, and nobody asks for anything.
    Stands,
}

/// One of them: what it asks for, and what becomes of it.
struct Life {
    prefix: String,
    wishes: (&'static str, &'static str),
    fate: Fate,
}

impl Life {
    fn nth(n: usize) -> Self {
        // `p1-` is the beginning of `p1-p1-`, and all but that of `p10-`.
        let prefix = match n.checked_sub(PLATFORMS - 10) {
            Some(again) => format!("p{again}-p{again}-"),
            None => format!("p{n}-"),
        };
        Self {
            prefix,
            wishes: WISHES[n % WISHES.len()],
            fate: [Fate::Goes, Fate::Stays, Fate::Stands][n % 3],
        }
    }

    fn platform(&self, ground: &Ground, wish: &str) -> Platform {
        let prefix = &self.prefix;
        let text = format!("name: ml\nenvironment: local\nprovider: kubernetes\nnamespace_prefix: {prefix}\n{wish}\n");
        let config = PlatformConfig::parse(&text, "ml.yaml").unwrap_or_else(|errors| panic!("{errors}"));
        let stack = Kubernetes::on(Arc::new(ground.world.clone()), Arc::new(ground.clock.clone()));
        Platform::builder(config).provider(stack).build().unwrap()
    }

    /// Brings it up, or changes it.
    async fn apply(&self, ground: &Ground, wish: &str) -> Result<()> {
        let platform = self.platform(ground, wish);
        let plan = platform.plan().await?;
        assert!(!plan.is_empty());
        ground.run(&platform, &plan).await?;
        let again = platform.plan().await?;
        assert!(again.is_empty(), "{}: {}", self.prefix, again.display());
        Ok(())
    }

    async fn live(&self, ground: &Ground) -> Result<()> {
        if self.fate == Fate::Stands {
            return Ok(());
        }
        self.apply(ground, self.wishes.0).await?;
        self.apply(ground, self.wishes.1).await?;
        if self.fate == Fate::Goes {
            let platform = self.platform(ground, self.wishes.1);
            let plan = platform.destroy_plan().await?;
            ground.run(&platform, &plan).await?;
            assert!(platform.destroy_plan().await?.is_empty());
        }
        Ok(())
    }

    /// How it ends when nobody else is there, and how long its life takes then.
    fn alone(&self) -> (BTreeMap<ResourceId, Vec<Shape>>, Duration) {
        let ground = Ground::new();
        if self.fate == Fate::Stands {
            ground.drive(self.apply(&ground, self.wishes.0)).unwrap();
        }
        let start = ground.clock.elapsed();
        ground.drive(self.live(&ground)).unwrap();
        let took = ground.clock.elapsed().saturating_sub(start);
        (self.seen(&ground), took)
    }

    /// Every object as this platform sees it.
    fn seen(&self, ground: &Ground) -> BTreeMap<ResourceId, Vec<Shape>> {
        ground.world.shape(&SetId::of("ml", "local", &self.prefix))
    }
}

/// A cluster, and how many runs it has had at once.
struct Ground {
    world: World,
    clock: ManualClock,
    running: Cell<usize>,
    most: Cell<usize>,
}

impl Ground {
    fn new() -> Self {
        let (world, clock) = cluster();
        Self {
            world,
            clock,
            running: Cell::new(0),
            most: Cell::new(0),
        }
    }

    fn drive<T>(&self, what: impl Future<Output = T>) -> T {
        self.clock.drive(what).done().expect("stalled")
    }

    /// Applies with every risk accepted but that to data.
    async fn run(&self, platform: &Platform, plan: &Plan) -> Result<()> {
        let risks: Vec<Risk> = Risk::ALL
            .into_iter()
            .filter(|risk| *risk != Risk::DestroysData)
            .collect();
        let approvals = plan.demands().accept(&risks, "test", "a test");
        self.running.set(self.running.get() + 1);
        self.most.set(self.most.get().max(self.running.get()));
        let report = platform.apply(plan, &approvals, |_| {}).await;
        self.running.set(self.running.get() - 1);
        let report = report?;
        match report.failures().next() {
            Some((id, why)) => Err(why.clone().with_context("resource", id)),
            None => Ok(()),
        }
    }
}

fn a_hundred_platforms() {
    let began = std::time::Instant::now();
    let ground = Ground::new();
    let lives: Vec<Life> = (0..PLATFORMS).map(Life::nth).collect();
    let (standing, moving): (Vec<&Life>, Vec<&Life>) = lives.iter().partition(|life| life.fate == Fate::Stands);
    ground
        .drive(try_join_all(
            standing.iter().map(|life| life.apply(&ground, life.wishes.0)),
        ))
        .unwrap();
    // Every object of those that stand, down to its version, and a row in whatever holds data.
    let before: BTreeMap<ResourceId, _> = ground
        .world
        .ids()
        .into_iter()
        .map(|id| {
            drop(ground.world.seed_data(&id, &[&id.to_string()]));
            let whole = (
                ground.world.uid(&id),
                ground.world.fields(&id),
                ground.world.secrets(&id),
            );
            (id, whole)
        })
        .collect();
    let rows: Vec<&ResourceId> = before.keys().filter(|id| ground.world.data(id).is_some()).collect();
    assert!(
        before.len() > 500 && rows.len() >= standing.len(),
        "{} {}",
        before.len(),
        rows.len()
    );

    let start = ground.clock.elapsed();
    let ended = ground.drive(join_all(moving.iter().map(|life| life.live(&ground))));
    for (life, end) in moving.iter().zip(ended) {
        end.unwrap_or_else(|why| panic!("{}: {}", life.prefix, why.report()));
    }
    let together = ground.clock.elapsed().saturating_sub(start);
    assert!(ground.most.get() > moving.len() / 2, "{} at once", ground.most.get());

    for (id, (uid, fields, secrets)) in &before {
        let now = (ground.world.uid(id), ground.world.fields(id), ground.world.secrets(id));
        assert_eq!(now, (uid.clone(), fields.clone(), secrets.clone()), "{id}");
    }
    for id in rows {
        assert_eq!(ground.world.data(id), Some(vec![id.to_string()]));
    }
    let mut accounted = BTreeSet::new();
    let mut longest = Duration::ZERO;
    for life in &lives {
        let (end, took) = life.alone();
        longest = longest.max(took);
        let now = life.seen(&ground);
        for (id, alone) in end {
            assert_eq!(now.get(&id), Some(&alone), "{}: {id}", life.prefix);
            assert!(accounted.insert(id.clone()), "{id} belongs to two");
        }
    }
    assert_eq!(ground.world.ids(), accounted, "something that no platform has alone");
    assert!(
        together <= longest * 2,
        "together {together:?}, the longest alone {longest:?}"
    );
    println!(
        "{} objects of {PLATFORMS} platforms, {} runs at once, {:.1?}",
        accounted.len(),
        ground.most.get(),
        began.elapsed()
    );
}

/// Prefix and name may add up to one namespace in two ways: the second platform is refused it, and writes nothing.
fn two_prefixes_one_name() {
    let ground = Ground::new();
    let life = |prefix: &str, wish| Life {
        prefix: prefix.to_owned(),
        wishes: (wish, wish),
        fate: Fate::Stands,
    };
    let wish = "database: {}\nsecurity: { applications: [{ name: b-cache, uses: [database] }] }";
    let first = life("a-", wish);
    ground.drive(first.apply(&ground, wish)).unwrap();
    let (ids, writes) = (ground.world.ids(), ground.world.writes());
    let second = life("a-b-", "cache: {}").platform(&ground, "cache: {}");
    let plan = ground.drive(second.plan()).unwrap();
    let namespace: ResourceId = "k8s/main:Namespace/a-b-cache".parse().unwrap();
    let step = plan.step(&namespace).unwrap();
    assert_eq!(step.action, Action::Blocked);
    assert!(step.blocked.as_ref().unwrap().why.contains("taken by"), "{step:?}");
    assert!(ground.drive(ground.run(&second, &plan)).is_err());
    assert_eq!((ground.world.ids(), ground.world.writes()), (ids, writes));
}
