//! Random stories: a platform stands, its config changes, processes die, calls fail, others interfere.
//! In the end it is what was asked for, and no row is gone that nobody agreed to lose.
//!
//! A failure prints its seed; `WORLD_SEED=<seed>` tells that one story again.

use crate::seeds::{self, Dice, Tally};
use crate::stage::{LAG, Stage};
use libtest_mimic::Trial;
use platform_core::engine::{Action, Approvals, Outcome, Plan, PlanRequest, Report};
use platform_core::testing::fixtures::{self, Wishes};
use platform_core::testing::{Driven, Faults, Sabotage, Side, World};
use platform_core::value::{FieldPath, Reference, ResourceId, Uid};
use platform_core::{ErrorKind, Owner, Result as CoreResult, Risk};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial("stories::two_thousand_fault_schedules", || many(&FAULTS)),
        crate::trial("stories::sabotage_is_noticed", sabotage_is_noticed),
    ]
}

/// What a suite mixes, in percent of its runs.
struct Mix {
    name: &'static str,
    stories: u64,
    /// Configs after the first.
    chapters: u64,
    /// Chapters in which something goes wrong.
    trouble: u64,
    faults: u64,
    kills: u64,
    intruders: u64,
    consents: u64,
    /// What has to have happened at least 200 times.
    exercised: &'static [&'static str],
}

const FAULTS: Mix = Mix {
    name: "fault schedules",
    stories: 2_000,
    chapters: 2,
    trouble: 100,
    faults: 80,
    kills: 40,
    intruders: 60,
    consents: 40,
    exercised: &[
        "Create",
        "Update",
        "Replace",
        "Adopt",
        "Release",
        "Delete",
        "answer lost",
        "error before",
        "duplicate",
        "delay",
        "throttle",
        "stale read",
        "killed before",
        "killed after",
        "replaced",
        "removed",
        "drifted",
        "status",
        "Blocked",
        "Unapproved",
        "consent to lose data",
    ],
};

fn many(mix: &Mix) {
    seeds::tell_all(mix.name, mix.stories, mix.exercised, |seed| {
        let mut story = Story::new(seed, mix, None);
        let end = story.tell();
        (story.tally, end)
    });
}

/// Each defect shows in at most half of the stories.
fn sabotage_is_noticed() {
    for sabotage in Sabotage::ALL {
        let noticed = (0..FAULTS.stories / 2).find_map(|seed| {
            let why = Story::new(seed, &FAULTS, Some(sabotage)).tell().err()?;
            Some((seed, why))
        });
        let Some((seed, why)) = noticed else {
            panic!("{sabotage:?} went unnoticed");
        };
        println!("{sabotage:?} noticed by seed {seed}: {why}");
    }
}

const NAMES: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

fn invent(dice: &mut Dice) -> Wishes {
    let named = |dice: &mut Dice, chance| {
        NAMES
            .iter()
            .filter(|_| dice.percent(chance))
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    Wishes {
        database: dice.percent(75).then(|| 1 + dice.small(20)),
        image: 1 + dice.small(3),
        selector: dice.small(3),
        cache: dice.percent(60),
        buckets: named(dice, 40)
            .into_iter()
            .map(|name| (name, 1 + dice.small(60)))
            .collect(),
        queues: named(dice, 30).into_iter().collect(),
        settings: named(dice, 50).into_iter().map(|name| (name, dice.small(5))).collect(),
    }
}

/// The same platform some weeks later: removals, renames, growth, shrinks.
fn revise(old: &Wishes, dice: &mut Dice) -> Wishes {
    let fresh = invent(dice);
    let mut new = old.clone();
    match dice.below(4) {
        // A rewrite.
        0 => return fresh,
        // Blocks come and go.
        1 => {
            new.database = if old.database.is_some() { None } else { fresh.database };
            new.cache = !old.cache;
        }
        // Names change.
        2 => {
            new.buckets = old
                .buckets
                .iter()
                .map(|(name, days)| (format!("{name}-2"), *days))
                .collect();
            new.queues = old.queues.iter().map(|name| format!("{name}-2")).collect();
        }
        _ => {}
    }
    for field in 0..5 {
        if dice.percent(30) {
            match field {
                0 => {
                    new.database = new
                        .database
                        .map(|size| if dice.percent(70) { size + 1 } else { size.max(2) - 1 });
                }
                1 => new.image = fresh.image,
                2 => new.selector = fresh.selector,
                3 => new.settings.clone_from(&fresh.settings),
                _ => new.buckets.values_mut().for_each(|days| *days = 1 + dice.small(60)),
            }
        }
    }
    new
}

/// What somebody else did, for the reckoning at the end.
#[derive(Debug, Default)]
struct Meddling {
    removed: BTreeSet<Uid>,
    replaced: BTreeMap<ResourceId, Uid>,
    done: Vec<&'static str>,
}

struct Story<'a> {
    dice: Dice,
    mix: &'a Mix,
    stage: Stage,
    /// Incarnations whose loss was agreed to.
    agreed: RefCell<BTreeSet<Uid>>,
    /// Incarnations that somebody agreed to call rebuildable.
    excused: RefCell<BTreeSet<Uid>>,
    meddling: Arc<Mutex<Meddling>>,
    rows: BTreeMap<Uid, ResourceId>,
    tally: Tally,
}

impl<'a> Story<'a> {
    fn new(seed: u64, mix: &'a Mix, sabotage: Option<Sabotage>) -> Self {
        Self {
            dice: Dice::new(seed),
            mix,
            stage: Stage::new().with_sabotage(sabotage),
            agreed: RefCell::default(),
            excused: RefCell::default(),
            meddling: Arc::default(),
            rows: BTreeMap::new(),
            tally: Tally::new(),
        }
    }

    fn count(&mut self, what: impl Into<String>) {
        *self.tally.entry(what.into()).or_insert(0) += 1;
    }

    fn tell(&mut self) -> Result<(), String> {
        let mut wishes = invent(&mut self.dice);
        self.chapter(&wishes.request())?;
        for _ in 0..self.mix.chapters {
            self.seed_rows();
            let request = if self.dice.percent(8) {
                PlanRequest::destroy(fixtures::set())
            } else {
                wishes = revise(&wishes, &mut self.dice);
                wishes.request()
            };
            self.chapter(&request)?;
        }
        Ok(())
    }

    /// One config: some troubled runs, then calm ones until it stands.
    fn chapter(&mut self, request: &PlanRequest) -> Result<(), String> {
        let passwords = self.passwords();
        if self.dice.percent(self.mix.trouble) {
            for _ in 0..=self.dice.below(3) {
                self.troubled_run(request)?;
            }
        }
        let brave = self.dice.percent(60);
        let mut end = Ok(());
        for _ in 0..4 {
            let ended = self.run(&Faults::none(), request, brave, false);
            end = match ended.done().ok_or("a calm run stalled")? {
                Ok(report) if report.is_success() => Ok(()),
                Ok(report) => Err((
                    ErrorKind::Failed,
                    format!("{:?}", report.failures().collect::<Vec<_>>()),
                )),
                Err(why) => Err((why.kind(), why.report())),
            };
            if !matches!(end, Err((ErrorKind::Stale | ErrorKind::Failed, _))) {
                break;
            }
            self.stage.clock.advance(LAG.window);
        }
        self.stage.clock.advance(LAG.window);
        self.nothing_lost(&passwords)?;
        match end {
            Ok(()) => self.as_wished(request),
            Err((kind @ (ErrorKind::Blocked | ErrorKind::Unapproved), _)) => {
                self.count(format!("{kind:?}"));
                Ok(())
            }
            Err((_, why)) => Err(format!("does not converge: {why}")),
        }
    }

    fn troubled_run(&mut self, request: &PlanRequest) -> Result<(), String> {
        let mut faults = if self.dice.percent(self.mix.faults) {
            Faults::seeded(self.dice.roll())
        } else {
            Faults::none()
        };
        if self.dice.percent(self.mix.kills) {
            let side = if self.dice.percent(50) {
                Side::Before
            } else {
                Side::After
            };
            faults = faults.kill_at(1 + self.dice.below(110), side);
        }
        if self.dice.percent(self.mix.intruders)
            && let Some(act) = self.intruder()
        {
            faults = faults.intrude_at(1 + self.dice.below(90), act);
        }
        let (brave, reckless) = (self.dice.percent(60), self.dice.percent(self.mix.consents));
        let ended = self.run(&faults, request, brave, reckless);
        for (what, count) in faults.happened() {
            *self.tally.entry(what.to_owned()).or_insert(0) += count;
        }
        let done = std::mem::take(&mut self.meddling.lock().unwrap().done);
        for what in done {
            self.count(what);
        }
        match ended {
            Driven::Done(Err(why)) if why.kind() == ErrorKind::Internal => Err(why.report()),
            Driven::Done(Err(why))
                if matches!(
                    why.kind(),
                    ErrorKind::Unapproved | ErrorKind::Blocked | ErrorKind::Stale
                ) =>
            {
                self.count(format!("{:?}", why.kind()));
                Ok(())
            }
            Driven::Done(_) | Driven::Stopped => Ok(()),
            Driven::Stalled => Err("a run stalled".to_owned()),
        }
    }

    fn run(
        &mut self,
        faults: &Faults,
        request: &PlanRequest,
        brave: bool,
        reckless: bool,
    ) -> Driven<CoreResult<Report>> {
        let dice = RefCell::new(self.dice.clone());
        let consent = |plan: &Plan| {
            let mut approvals = Approvals::none();
            if brave {
                let risks = [
                    Risk::LowersProtection,
                    Risk::Exposes,
                    Risk::Irreversible,
                    Risk::Downtime,
                ];
                let demands = plan.demands();
                // Who agrees that an object holds what fills itself again agrees to its loss later on.
                for demand in demands.iter().filter(|demand| demand.risk == Risk::LowersProtection) {
                    let changes = plan.step(&demand.resource).map_or(&[][..], |step| &step.changes);
                    if changes.iter().any(|change| change.path == holds_stamp())
                        && let Some(uid) = &demand.uid
                    {
                        self.excused.borrow_mut().insert(uid.clone());
                    }
                }
                approvals = approvals.and(demands.accept(&risks, "test", "brave"));
            }
            for demand in plan.demands().iter().filter(|demand| demand.risk == Risk::DestroysData) {
                if reckless
                    && dice.borrow_mut().percent(60)
                    && let Some(uid) = &demand.uid
                {
                    self.agreed.borrow_mut().insert(uid.clone());
                    approvals = approvals.with(demand.accept("test", "reckless"));
                }
            }
            approvals
        };
        let before = self.agreed.borrow().len();
        let ended = self.stage.run(faults, request, &consent);
        let agreed = self.agreed.borrow().len() - before;
        self.dice.roll();
        for _ in 0..agreed {
            self.count("consent to lose data");
        }
        if let Driven::Done(Ok(report)) = &ended {
            for outcome in report.outcomes.values() {
                if let Outcome::Done(action) = outcome
                    && *action != Action::Unchanged
                {
                    self.count(format!("{action:?}"));
                }
            }
        }
        ended
    }

    /// Somebody who acts in the middle of a run.
    fn intruder(&mut self) -> Option<impl FnOnce() + Send + use<>> {
        let durable = ["PersistentVolumeClaim", "test.Bucket", "test.Key"];
        let all: Vec<ResourceId> = self
            .stage
            .world
            .ids()
            .into_iter()
            .filter(|id| id.kind().as_str() != "Namespace")
            .collect();
        let holding: Vec<ResourceId> = all
            .iter()
            .filter(|id| durable.contains(&id.kind().as_str()))
            .cloned()
            .collect();
        let act = self.dice.below(5);
        let drifting: Vec<ResourceId> = all
            .iter()
            .filter(|id| drifting_field(id, &self.stage.world).is_some())
            .cloned()
            .collect();
        let among = match act {
            0 | 1 => &holding,
            3 => &drifting,
            _ => &all,
        };
        let id = self.dice.pick(among)?.clone();
        let world = self.stage.world.clone();
        let meddling = Arc::clone(&self.meddling);
        Some(move || meddle(act, &id, &world, &meddling))
    }

    fn seed_rows(&mut self) {
        for id in self.stage.seed().into_keys() {
            let durable = self.stage.shape()[&id]
                .iter()
                .all(|shape| shape.holds != Some(platform_core::Holds::Rebuildable));
            if durable
                && id.kind().as_str() != "test.Queue"
                && let Some(uid) = self.stage.world.uid(&id)
            {
                self.rows.insert(uid, id);
            }
        }
    }

    fn passwords(&self) -> BTreeMap<ResourceId, Uid> {
        let secrets = self
            .stage
            .world
            .ids()
            .into_iter()
            .filter(|id| id.kind().as_str() == "Secret");
        secrets
            .filter_map(|id| Some((id.clone(), self.stage.world.uid(&id)?)))
            .collect()
    }

    /// Rows and passwords are where they were, but for what was agreed to or somebody else did.
    fn nothing_lost(&self, passwords: &BTreeMap<ResourceId, Uid>) -> Result<(), String> {
        let meddling = self.meddling.lock().unwrap();
        let excused = |uid: &Uid| {
            let agreed = self.agreed.borrow().contains(uid) || self.excused.borrow().contains(uid);
            agreed || meddling.removed.contains(uid)
        };
        for loss in self.stage.world.losses() {
            let durable = self.rows.contains_key(&loss.uid) || meddling.replaced.values().any(|uid| *uid == loss.uid);
            if durable && !excused(&loss.uid) {
                return Err(format!("lost {:?} with {} {}", loss.rows, loss.id, loss.uid));
            }
        }
        for (uid, id) in &self.rows {
            let same = self.stage.world.uid(id).as_ref() == Some(uid);
            if !same && !excused(uid) {
                return Err(format!("{id} is another object now"));
            }
        }
        for (id, uid) in passwords {
            if self.stage.world.uid(id).as_ref() != Some(uid) && !excused(uid) {
                return Err(format!("{id} was made a second time"));
            }
        }
        let twice = self.stage.world.duplicates();
        if twice.is_empty() {
            Ok(())
        } else {
            Err(format!("made twice: {twice:?}"))
        }
    }

    /// Exactly what was asked for, and what is kept.
    fn as_wished(&self, request: &PlanRequest) -> Result<(), String> {
        let shape = self.stage.shape();
        for resource in &request.resources {
            let Some([found]) = shape.get(&resource.id).map(Vec::as_slice) else {
                return Err(format!("{} is missing", resource.id));
            };
            if found.owner != Owner::ThisSet || !is_as_asked(&found.view, &resource.desired) {
                return Err(format!("{}: {found:?} instead of {}", resource.id, resource.desired));
            }
            if !self.stage.world.is_ready(&resource.id) {
                return Err(format!("{} is not ready", resource.id));
            }
        }
        let wanted: BTreeSet<&ResourceId> = request.resources.iter().map(|resource| &resource.id).collect();
        for (id, found) in shape.iter().filter(|(id, _)| !wanted.contains(id)) {
            if found.iter().any(|found| found.owner == Owner::ThisSet) {
                return Err(format!("{id} is still there"));
            }
        }
        let plan = self.stage.plan(request).map_err(|why| why.report())?;
        if plan.is_empty() {
            Ok(())
        } else {
            Err(format!("not settled: {:?}", plan.changes().collect::<Vec<_>>()))
        }
    }
}

/// The stamp that says what an object holds, as plans show it.
fn holds_stamp() -> FieldPath {
    FieldPath::root().key(platform_core::value::DOMAIN).key("holds")
}

/// A field that people change by hand.
fn drifting_field(id: &ResourceId, world: &World) -> Option<FieldPath> {
    ["data.value", "delay", "limit", "spec.containers[postgres].memory"]
        .iter()
        .map(|path| FieldPath::from(*path))
        .find(|path| world.field(id, path).is_some())
}

fn meddle(act: u64, id: &ResourceId, world: &World, meddling: &Mutex<Meddling>) {
    let mut meddling = meddling.lock().unwrap();
    match act {
        0 => {
            // Restored from a backup: the same name, another object, newer rows.
            let (Some(uid), Some(fields)) = (world.uid(id), world.view(id)) else {
                return;
            };
            world.remove(id);
            meddling.removed.insert(uid);
            let uid = world.plant(&fixtures::set(), &Owner::ThisSet, id, &fields);
            if world.seed_data(id, &["restored row"]).is_ok() {
                meddling.replaced.insert(id.clone(), uid);
            }
            meddling.done.push("replaced");
        }
        1 | 2 => {
            let Some(uid) = world.uid(id) else { return };
            world.remove(id);
            meddling.removed.insert(uid);
            meddling.done.push("removed");
        }
        3 => {
            if let Some(path) = drifting_field(id, world) {
                world.mutate(id, "kubectl-edit", &path, Some(json!("77")));
                meddling.done.push("drifted");
            }
        }
        _ => {
            if world.touch_status(id) {
                meddling.done.push("status");
            }
        }
    }
}

/// Whether a view is what was asked for; a reference stands for any text.
fn is_as_asked(view: &Value, desired: &Value) -> bool {
    if Reference::of_value(desired).is_some() {
        return view.is_string();
    }
    match (view, desired) {
        (Value::Object(view), Value::Object(desired)) => {
            view.len() == desired.len()
                && desired
                    .iter()
                    .all(|(key, wanted)| view.get(key).is_some_and(|have| is_as_asked(have, wanted)))
        }
        _ => view == desired,
    }
}
