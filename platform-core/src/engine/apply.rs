//! Applying: verifies by planning again, takes the lease, verifies once more, then runs the schedule.

use super::approve::ApprovedPlan;
use super::lease::Leases;
use super::plan::{Action, Plan, Step};
use super::planner::{Survey, Wishes, all};
use super::render;
use super::report::{Outcome, Report};
use super::schedule::Run;
use super::{Approvals, Engine, Event};
use crate::facts::Creation;
use crate::provider::{Finding, PlannedWrite};
use crate::resource::{Observation, Owner};
use crate::value::{Digest, Place, PlaceIdentity, ResourceId, Timestamp};
use crate::{Error, ErrorKind, Result};
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// How long a create without any guard may stay invisible after it was sent.
pub(super) const WINDOW: Duration = Duration::from_mins(1);

/// How to apply.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ApplyOptions {
    /// Raised to finish calls in flight and start no other.
    pub stop: Stop,
}

/// A flag that a signal handler raises: calls in flight finish, no other starts.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Not raised.
    pub fn new() -> Self {
        Self::default()
    }
    /// Raises it.
    pub fn raise(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
    /// Whether it is raised.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl ApplyOptions {
    /// Sets the flag that stops the run.
    pub fn with_stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }
}

impl Engine {
    /// Verifies the plan by planning again, then does exactly that.
    ///
    /// # Errors
    /// Before the first write: `WrongPlace`, `Stale`, `Blocked`, `Unapproved`, `Forbidden` (pre-flight), `Locked`.
    /// After it nothing fails as a whole: failures of single steps are in the report.
    pub async fn apply(
        &self,
        plan: &Plan,
        approvals: &Approvals,
        events: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Report> {
        self.apply_with(plan, approvals, &ApplyOptions::default(), events).await
    }

    /// [`Engine::apply`] with options.
    ///
    /// # Errors
    /// As [`Engine::apply`].
    pub async fn apply_with(
        &self,
        plan: &Plan,
        approvals: &Approvals,
        options: &ApplyOptions,
        events: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Report> {
        let start = self.clock().elapsed();
        let identities = self.verify_places(plan).await?;
        let wishes = self.wishes(&plan.request)?;
        let (fresh, survey) = self.verify_world(plan, &wishes, identities).await?;
        // A destroy that died just before its end has left its record.
        let destroys = plan.request.resources.is_empty();
        let unfinished = |seen: &Observation| !seen.open.is_empty() || (destroys && seen.recorded);
        if fresh.is_empty() && !survey.observations.values().any(unfinished) {
            return Ok(settled(&fresh, &survey, self.clock().elapsed().saturating_sub(start)));
        }
        // Asked for only where something is demanded.
        let original = LazyLock::new(|| plan.digest());
        let verify = |fresh| self.verify_approvals(fresh, plan, &|| original.clone(), approvals);
        let approved = verify(fresh)?;
        // From here on the later places that are there are places like any other.
        let near = survey.engine.clone();
        near.preflight(&approved).await?;
        drop(survey);

        let places = near.places_to_lock(&approved);
        let mut leases = near.lease(&plan.request.set, places, events).await?;
        self.wait_out_open_creates(&mut leases).await;
        let ready = async {
            let identities = near.verify_places(plan).await?;
            let (fresh, survey) = near.verify_world(plan, &wishes, identities).await?;
            Ok((verify(fresh)?, survey))
        };
        let (approved, survey) = match ready.await {
            Ok(ready) => ready,
            Err(why) => {
                leases.release(false, events).await;
                return Err(why);
            }
        };
        settle_found(approved.plan(), &mut leases);
        let mut report = Run::new(&approved, &wishes, &survey, &mut leases, options.stop.clone())?
            .finish(events)
            .await;
        if plan.request.resources.is_empty() {
            survey.engine.sweep(&plan.request.set, &mut report).await;
        }
        let last = plan.request.resources.is_empty()
            && report.is_success()
            && report.unseen.is_empty()
            && report.left.iter().all(|live| live.owner != Owner::ThisSet);
        leases.release(last, events).await;
        report.took = self.clock().elapsed().saturating_sub(start);
        Ok(report)
    }

    /// Before anything else: every place is the one that the plan was made for.
    async fn verify_places(&self, plan: &Plan) -> Result<BTreeMap<Place, PlaceIdentity>> {
        let identities = self.identities().await?;
        self.refuse_other_places(plan, &identities)?;
        Ok(identities)
    }

    /// The same plan again; anything else refuses.
    async fn verify_world(
        &self,
        plan: &Plan,
        wishes: &Wishes,
        identities: BTreeMap<Place, PlaceIdentity>,
    ) -> Result<(Plan, Survey)> {
        let (fresh, survey) = self.survey(wishes, identities, plan.as_of, Some(plan)).await?;
        self.refuse_other_places(plan, &fresh.places)?;
        refuse_stale(plan, &fresh, self.clock().now())?;
        let blocked = fresh
            .steps
            .iter()
            .filter_map(|step| Some((step.id.label(), step.blocked.as_ref()?)));
        let told = blocked.map(|(label, why)| (format!("{label}: {}", why.why), why.help.as_str()));
        match together(ErrorKind::Blocked, told) {
            None => Ok((fresh, survey)),
            Some(refusal) => Err(refusal),
        }
    }

    fn refuse_other_places(&self, plan: &Plan, found: &BTreeMap<Place, PlaceIdentity>) -> Result<()> {
        for (place, planned) in &plan.places {
            let now = match found.get(place) {
                Some(now) => now,
                // Not connected yet, or gone with its cluster, which the steps tell.
                None if self.cluster_of(place).is_some() => continue,
                None => {
                    let message = format!("the plan is for {place}, which this engine does not have");
                    return Err(Error::new(ErrorKind::WrongPlace, message));
                }
            };
            if now != planned {
                return Err(Error::new(
                    ErrorKind::WrongPlace,
                    format!("{place} is another one than the plan was made for"),
                )
                .with_context("planned", planned)
                .with_context("found", now)
                .with_help("check --context or --profile; a plan belongs to one cluster or account"));
            }
        }
        Ok(())
    }

    fn verify_approvals(
        &self,
        fresh: Plan,
        planned: &Plan,
        original: &dyn Fn() -> Digest,
        approvals: &Approvals,
    ) -> Result<ApprovedPlan> {
        Ok(ApprovedPlan::new(
            fresh,
            original,
            approvals,
            &self.policy().and(&planned.policy),
            self.clock().now(),
        )?)
    }

    async fn preflight(&self, approved: &ApprovedPlan) -> Result<()> {
        let mut writes: HashMap<&Place, Vec<PlannedWrite>> = HashMap::new();
        for step in &approved.plan().steps {
            let here = writes.entry(step.id.place()).or_default();
            let verbs = approved.action(step).verbs().iter();
            here.extend(verbs.map(|verb| PlannedWrite::new(step.id.clone(), *verb)));
        }
        let mut asked = Vec::new();
        let now = |(place, writes): &(&&Place, &Vec<PlannedWrite>)| !writes.is_empty() && self.is_connected(place);
        for (place, writes) in writes.iter().filter(now) {
            asked.push(self.provider(place)?.preflight(&approved.plan().request.set, writes));
        }
        let findings: Vec<_> = all(asked).await?.into_iter().flatten().collect();
        refuse(&findings)
    }

    /// Places with something to write, and those whose open creates have to be settled.
    fn places_to_lock(&self, approved: &ApprovedPlan) -> BTreeSet<Place> {
        let all_gone = approved.plan().request.resources.is_empty();
        let busy: BTreeSet<Place> = approved
            .plan()
            .steps
            .iter()
            .filter(|step| step.writes() || !step.ready)
            .map(|step| step.id.place().clone())
            .filter(|place| self.is_connected(place))
            .collect();
        if busy.is_empty() || all_gone {
            self.places().map(|(place, _)| place.clone()).collect()
        } else {
            busy
        }
    }

    /// A create that nothing guards may have been sent by a killed run and not show yet.
    async fn wait_out_open_creates(&self, leases: &mut Leases) {
        let unguarded = leases.open().filter(|open| {
            self.facts(&open.id)
                .is_ok_and(|facts| matches!(facts.create, Creation::Unguarded | Creation::Upsert))
        });
        let Some(newest) = unguarded.map(|open| open.since).max() else {
            return;
        };
        let until = newest.plus(WINDOW);
        // Held meanwhile: whoever came in between would not see the object either.
        while self.clock().now() < until {
            let left = until.since(self.clock().now());
            let beat = leases.next_heartbeat().saturating_sub(self.clock().elapsed());
            self.clock().sleep(left.min(beat)).await;
            if beat <= left {
                leases.beat().await;
            }
        }
    }

    /// What a destroy left: released objects are in the report already, anything else of the set is a failure to see.
    async fn sweep(&self, set: &crate::value::SetId, report: &mut Report) {
        let outcomes = &report.outcomes;
        let gone = |place: &Place| {
            let end = self.cluster_of(place).and_then(|cluster| outcomes.get(cluster));
            matches!(end, Some(Outcome::Done(Action::Delete)))
        };
        // An empty namespace that was let go of went with its cluster.
        report.left.retain(|live| !gone(live.id.place()));
        let left: Vec<_> = self.places().filter(|(place, _)| !gone(place)).collect();
        for (place, provider) in left {
            match provider.observe(set, &[]).await {
                Ok(seen) => {
                    report.unseen.extend(
                        seen.unreadable
                            .iter()
                            .map(|(kind, why)| format!("{place} {kind}: {why}")),
                    );
                    let known: BTreeSet<ResourceId> = report.left.iter().map(|live| live.id.clone()).collect();
                    report
                        .left
                        .extend(seen.extra.into_values().filter(|live| !known.contains(&live.id)));
                }
                Err(why) => report.unseen.push(format!("{place}: {why}")),
            }
        }
    }
}

/// An error from what a pre-flight found.
pub(super) fn refuse(findings: &[Finding]) -> Result<()> {
    let told = findings
        .iter()
        .map(|finding| (finding.message.clone(), finding.help.as_str()));
    match together(ErrorKind::Forbidden, told) {
        None => Ok(()),
        Some(refusal) => Err(refusal.with_operation("pre-flight")),
    }
}

/// One error from many messages, each with what to do; the same help is told once.
fn together<'a>(kind: ErrorKind, told: impl Iterator<Item = (String, &'a str)>) -> Option<Error> {
    let (messages, helps): (Vec<String>, BTreeSet<&str>) = told.unzip();
    let helps: Vec<&str> = helps.into_iter().filter(|help| !help.is_empty()).collect();
    (!messages.is_empty()).then(|| Error::new(kind, messages.join("; ")).with_help(helps.join("; ")))
}

/// Open creates whose objects showed up, or that nobody wants any more, are open no longer.
fn settle_found(plan: &Plan, leases: &mut Leases) {
    if leases.open().next().is_none() {
        return;
    }
    let wanted: HashSet<&ResourceId> = plan
        .steps
        .iter()
        .filter(|step| matches!(step.action, Action::Create | Action::Replace))
        .map(|step| &step.id)
        .collect();
    let found: Vec<ResourceId> = leases
        .open()
        .filter(|open| !wanted.contains(&open.id))
        .map(|open| open.id.clone())
        .collect();
    for id in found {
        leases.settle(&id);
    }
}

/// The report of a run that had nothing to do.
fn settled(plan: &Plan, survey: &Survey, took: Duration) -> Report {
    Report {
        set: plan.request.set.clone(),
        outcomes: plan
            .steps
            .iter()
            .map(|step| (step.id.clone(), Outcome::Unchanged))
            .collect(),
        outputs: plan.outputs.clone(),
        left: survey
            .observations
            .values()
            .flat_map(|seen| seen.extra.values().cloned())
            .collect(),
        places: BTreeMap::new(),
        unseen: Vec::new(),
        took,
        writes: 0,
    }
}

/// Refuses when the fresh plan would do anything that the planned one did not say.
///
/// A step whose planned outcome already holds is no difference, so a killed apply of a stored plan resumes.
fn refuse_stale(planned: &Plan, fresh: &Plan, at: Timestamp) -> Result<()> {
    let by_id = LazyCell::new(|| {
        planned
            .steps
            .iter()
            .map(|step| (&step.id, step))
            .collect::<HashMap<_, _>>()
    });
    for (position, now) in fresh.steps.iter().enumerate() {
        if now.action == Action::Unchanged {
            continue;
        }
        // Nearly always at the same position.
        let there = planned.steps.get(position).filter(|then| then.id == now.id);
        let then = there.or_else(|| by_id.get(&now.id).copied());
        let same = match then {
            Some(then) => {
                then.is_same(now)
                    || (then.action == Action::Replace && now.action == Action::Create)
                    || (matches!(then.action, Action::Delete | Action::Release)
                        && now.cause == super::Cause::Unfinished
                        && now.action == Action::Delete)
            }
            None => false,
        };
        if !same {
            return Err(stale(now, then, planned, at));
        }
    }
    Ok(())
}

fn stale(now: &Step, then: Option<&Step>, plan: &Plan, at: Timestamp) -> Error {
    let mut what = Vec::new();
    let planned: Vec<_> = then.map(|step| step.changes.iter().collect()).unwrap_or_default();
    for change in now.changes.iter().filter(|change| {
        !planned
            .iter()
            .any(|other| other.path == change.path && other.before == change.before && other.after == change.after)
    }) {
        what.push(render::as_found(now, change, at));
    }
    if what.is_empty() {
        what.push(match (then, &now.blocked) {
            (_, Some(blocked)) => blocked.why.clone(),
            (Some(then), _) if then.uid.is_some() && now.uid.is_none() => "it is gone".to_owned(),
            (Some(then), _) if then.uid != now.uid => "it is another object now".to_owned(),
            (Some(then), _) => format!("planned {:?}, now {:?}", then.action, now.action).to_lowercase(),
            (None, _) => format!("not in the plan, now {:?}", now.action).to_lowercase(),
        });
    }
    Error::new(
        ErrorKind::Stale,
        format!("{} changed since the plan: {}", now.id.label(), what.join(", ")),
    )
    .with_context("planned", render::ago(at.since(plan.as_of)))
    .with_help("plan again")
}
