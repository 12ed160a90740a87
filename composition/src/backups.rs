//! Backups by hand: taken, listed, judged, drilled, restored.
//!
//! What a verb needs is a blueprint of one-off resources in a set of its own, `<set>/run/<verb>-<name>`: it is planned,
//! applied and verified like all else, and its removal leaves what it was for (a backup, a proof) behind.

use crate::Platform;
use platform_core::engine::{Approvals, Engine, Event, Plan, PlanRequest};
use platform_core::value::SetId;
use platform_core::{
    Backup, BackupRecord, BackupRun, BackupSpec, BackupStatus, Blueprint, Context, Error, ErrorKind, RestoreProof,
    Result, State,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The backups of a platform. [`Platform::backups`](crate::Platform::backups) gives it.
#[derive(Clone, Debug)]
pub struct Backups {
    pub(crate) provider: Arc<dyn Backup>,
    pub(crate) spec: BackupSpec,
    /// With every surface.
    pub(crate) context: Context,
    pub(crate) engine: Engine,
    /// Whose they are.
    pub(crate) platform: Platform,
}

impl Backups {
    /// Takes a backup now and waits until it is whole. Returns its record.
    ///
    /// # Errors
    /// When it cannot be taken, or ends with errors; it is in the list in any case.
    pub async fn run(&self, mut on_event: impl FnMut(Event) + Send) -> Result<BackupRecord> {
        let moment: String = self
            .engine
            .clock()
            .now()
            .to_string()
            .chars()
            .filter(char::is_ascii_digit)
            .take(14)
            .collect();
        let name = format!("{}-by-hand-{moment}", self.context.name);
        let blueprint = self.provider.run(&self.spec, &name, &self.context)?;
        let run: BackupRun = self.once("backup", &name, blueprint, &mut on_event).await?;
        self.find(&self.status().await?, &run.name).cloned()
    }

    /// Every backup, the store, what is wrong and what was proved. Reads only.
    ///
    /// # Errors
    /// When the place cannot be read.
    pub async fn status(&self) -> Result<BackupStatus> {
        self.provider.status(&self.spec, &self.context).await
    }

    /// Restores a backup (default: the newest good one) beside the platform, checks its data, writes the proof down and
    /// cleans up. A drill that was cut short is started anew.
    ///
    /// # Errors
    /// `NotFound` without such a backup; the failure of the restore or of a check, with what the check said.
    pub async fn drill(&self, backup: Option<&str>, mut on_event: impl FnMut(Event) + Send) -> Result<RestoreProof> {
        let status = self.status().await?;
        let now = self.engine.clock().now();
        let backup = match backup {
            Some(name) => self.find(&status, name)?,
            None => status.newest_good(now).ok_or_else(|| {
                Error::new(ErrorKind::NotFound, "there is no good backup to restore")
                    .with_help(format!("take one first; {}", status.problems.join("; ")))
            })?,
        };
        let blueprint = self.provider.drill(&self.spec, backup, &self.context).await?;
        self.once("drill", &backup.name, blueprint, &mut on_event).await
    }

    /// What a restore of this backup would make again as the config says, before it puts back the rest; `None` when that is
    /// nothing. Reads only.
    ///
    /// # Errors
    /// `NotFound` without such a backup, or when it has no copy of what is gone.
    pub async fn remaking(&self, backup: &str) -> Result<Option<Plan>> {
        let status = self.status().await?;
        self.plan_remaking(self.find(&status, backup)?).await
    }

    async fn plan_remaking(&self, backup: &BackupRecord) -> Result<Option<Plan>> {
        let remade = self.provider.remade(&self.spec, backup, &self.context).await?;
        if remade.capabilities.is_empty() {
            return Ok(None);
        }
        self.platform.plan_remade(&remade).await.map(Some)
    }

    /// Puts back what a backup holds and the platform no longer has.
    ///
    /// Velero leaves alone what is there, and restores the data of a volume only into pods that it makes. So nothing is
    /// restored over a server that still stands. On AWS a server that is gone is made again from the backup by a plan of the
    /// platform, and objects that are gone come back into their buckets.
    ///
    /// # Errors
    /// `Blocked` while a server of the platform's stands and nothing else could be put back, `NotFound` without such a
    /// backup, and the failure of the restore.
    pub async fn restore(&self, backup: &str, mut on_event: impl FnMut(Event) + Send) -> Result<BackupRun> {
        let status = self.status().await?;
        let backup = self.find(&status, backup)?;
        let standing = self.provider.in_the_way(&self.spec, &self.context).await?;
        if !standing.is_empty() {
            return Err(Error::new(
                ErrorKind::Blocked,
                format!("nothing is restored over what still stands: {}", standing.join(", ")),
            )
            .with_help("a drill shows what a backup holds; to go back to it, remove the blocks of these servers and their kept volumes first"));
        }
        // What stands now is what it leaves alone.
        let blueprint = self.provider.restore(&self.spec, backup, &self.context).await?;
        if let Some(plan) = self.plan_remaking(backup).await? {
            let report = self.engine.apply(&plan, &Approvals::none(), &mut on_event).await?;
            if let Some((id, why)) = report.failures().next() {
                return Err(why.clone().with_context("resource", id));
            }
        }
        self.once("restore", &backup.name, blueprint, &mut on_event).await
    }

    fn find<'a>(&self, status: &'a BackupStatus, name: &str) -> Result<&'a BackupRecord> {
        status.backups.iter().find(|backup| backup.name == name).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("{} has no backup {name}", self.context.name),
            )
            .with_help("the list of backups shows their names")
        })
    }

    /// Makes one-off resources, waits for them, and removes them with what earlier tries left.
    async fn once<O: Serialize + DeserializeOwned>(
        &self,
        verb: &str,
        name: &str,
        blueprint: Blueprint<O>,
        on_event: &mut (dyn FnMut(Event) + Send),
    ) -> Result<O> {
        let set = self.context.one_off(verb, name)?;
        self.clear(&set).await?;
        let request = PlanRequest {
            set: set.clone(),
            resources: blueprint.resources,
            outputs: blueprint.outputs,
            only: None,
            adopt: BTreeSet::new(),
            words: BTreeMap::new(),
        };
        let plan = self.engine.plan(&request).await?;
        let done = match self.engine.apply(&plan, &Approvals::none(), on_event).await {
            Ok(report) => report.into_outputs(),
            Err(why) => Err(why),
        };
        // Before the namespace goes.
        let said = match &done {
            Err(_) if verb == "drill" => self.provider.said(&self.spec, &self.context).await.unwrap_or_default(),
            _ => Vec::new(),
        };
        let cleared = self.clear(&set).await;
        match done {
            Ok(outputs) => cleared.map(|()| outputs),
            Err(why) if said.is_empty() => Err(why),
            Err(why) => Err(why.with_context("said", said.join("; "))),
        }
    }

    /// Removes what a set has, but what it was for.
    async fn clear(&self, set: &SetId) -> Result<()> {
        let plan = self.engine.plan(&PlanRequest::destroy(set.clone())).await?;
        if plan.is_empty() {
            return Ok(());
        }
        let report = self.engine.apply(&plan, &Approvals::none(), &mut |_| {}).await?;
        match report.failures().next() {
            Some((id, why)) => Err(why.clone().with_context("resource", id)),
            None => Ok(()),
        }
    }
}

/// A word for a backup's state, as lists show it.
pub fn word(state: &State) -> &'static str {
    match state {
        State::Ready => "complete",
        State::Progressing { .. } => "running",
        State::Failed { .. } => "failed",
        State::Deleting { .. } => "going",
    }
}

#[cfg(all(test, feature = "k8s"))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use crate::Platform;
    use crate::config::PlatformConfig;
    use platform_core::State;
    use platform_core::engine::{Approvals, Event};
    use platform_core::testing::{Faults, ManualClock, Side, World};
    use platform_core::value::Place;
    use provider_k8s::Kubernetes;
    use std::sync::Arc;
    use std::time::Duration;

    const CONFIG: &str = "name: demo\nenvironment: local\ndatabase: {}\ncache: {}\nbackup: {}\n";

    /// A platform that stands on a world.
    fn standing() -> (ManualClock, World, Platform) {
        let clock = ManualClock::new();
        let world = World::new(
            Place::kubernetes("main").unwrap(),
            provider_k8s::facts,
            Arc::new(clock.clone()),
        );
        let stack = Kubernetes::on(Arc::new(world.clone()), Arc::new(clock.clone()));
        let config = PlatformConfig::parse(CONFIG, "demo.yaml").unwrap();
        let platform = Platform::builder(config).provider(stack).build().unwrap();
        let up = async {
            let plan = platform.plan().await?;
            platform.apply(&plan, &Approvals::none(), |_| {}).await
        };
        assert!(clock.drive(up).done().unwrap().unwrap().is_success());
        (clock, world, platform)
    }

    /// Lets an object of this kind fail as soon as it is waited for.
    fn failing(world: &World, kind: &'static str, why: &'static str) -> impl FnMut(Event) + Send {
        let world = world.clone();
        move |event| {
            if let Event::Waiting { id, .. } = event
                && id.kind().as_str() == kind
            {
                world.fail(&id, Some(why));
            }
        }
    }

    #[test]
    fn a_backup_that_fails_is_no_good_one_and_a_later_one_makes_up_for_it() {
        let (clock, world, platform) = standing();
        let backups = platform.backups().unwrap().unwrap();
        let on_event = failing(&world, "Backup.velero.io", "PartiallyFailed with 2 errors");
        let why = clock.drive(backups.run(on_event)).done().unwrap().unwrap_err();
        assert!(
            why.report().contains("PartiallyFailed with 2 errors"),
            "{}",
            why.report()
        );
        let status = clock.drive(backups.status()).done().unwrap().unwrap();
        assert!(matches!(status.backups[0].state, State::Failed { .. }));
        assert!(
            status
                .problems
                .iter()
                .any(|problem| problem.contains("PartiallyFailed with 2 errors"))
        );
        assert!(clock.drive(backups.drill(None, |_| {})).done().unwrap().is_err());

        clock.advance(Duration::from_mins(1));
        assert!(clock.drive(backups.run(|_| {})).done().unwrap().is_ok());
        let status = clock.drive(backups.status()).done().unwrap().unwrap();
        assert_eq!(
            (status.backups.len(), status.problems.len()),
            (2, 0),
            "{:?}",
            status.problems
        );
        clock.advance(Duration::from_hours(9 * 24));
        let status = clock.drive(backups.status()).done().unwrap().unwrap();
        assert!(
            status.problems[0].contains("old; the schedule"),
            "{:?}",
            status.problems
        );
    }

    /// The backups of the platform as a process of this name sees them through these faults.
    fn process(clock: &ManualClock, world: &World, faults: &Faults, name: &str) -> super::Backups {
        let provider = faults.around(Arc::new(world.clone()), Arc::new(clock.clone()));
        let config = PlatformConfig::parse(CONFIG, "demo.yaml").unwrap();
        let platform = Platform::builder(config)
            .provider(Kubernetes::on(provider, Arc::new(clock.clone())))
            .holder(name);
        platform.build().unwrap().backups().unwrap().unwrap()
    }

    #[test]
    fn a_drill_killed_at_any_call_is_made_up_for_by_the_next() {
        let (clock, world, platform) = standing();
        let backups = platform.backups().unwrap().unwrap();
        let taken = clock.drive(backups.run(|_| {})).done().unwrap().unwrap();
        let (start, before) = (world.snapshot().unwrap(), world.ids());
        let whole = Faults::none();
        let undisturbed = process(&clock, &world, &whole, "undisturbed");
        clock.drive(undisturbed.drill(None, |_| {})).done().unwrap().unwrap();
        let (calls, after) = (whole.calls(), world.ids());
        assert_eq!(after.difference(&before).count(), 1, "the proof");
        assert!(calls > 30, "{calls}");
        for n in 1..=calls {
            for side in [Side::Before, Side::After] {
                world.restore(&start).unwrap();
                let faults = Faults::none().kill_at(n, side);
                let victim = process(&clock, &world, &faults, "victim");
                let killed = clock.drive_until(victim.drill(Some(&taken.name), |_| {}), || faults.is_dead());
                assert!(killed.done().is_none(), "call {n} of {calls} did not kill");
                let next = process(&clock, &world, &Faults::none(), "next");
                let proof = clock.drive(next.drill(Some(&taken.name), |_| {})).done().unwrap();
                let proof = proof.unwrap_or_else(|why| panic!("{side:?} call {n} of {calls}: {}", why.report()));
                assert_eq!(proof.backup, taken.name);
                assert_eq!(world.ids(), after, "{side:?} call {n} of {calls}");
            }
        }
    }

    #[test]
    fn a_drill_that_fails_says_why_proves_nothing_and_leaves_nothing() {
        let (clock, world, platform) = standing();
        let backups = platform.backups().unwrap().unwrap();
        let taken = clock.drive(backups.run(|_| {})).done().unwrap().unwrap();
        clock.advance(Duration::from_hours(2));
        let before = world.ids();
        for (kind, reason) in [
            ("Restore.velero.io", "PartiallyFailed with 1 error"),
            ("Job.batch", "BackoffLimitExceeded"),
        ] {
            let why = clock
                .drive(backups.drill(None, failing(&world, kind, reason)))
                .done()
                .unwrap()
                .unwrap_err();
            assert!(why.report().contains(reason), "{}", why.report());
            assert_eq!(world.ids(), before, "{kind}");
            let status = clock.drive(backups.status()).done().unwrap().unwrap();
            assert!(status.last_proof().is_none(), "{kind}");
        }
        let proof = clock
            .drive(backups.drill(Some(&taken.name), |_| {}))
            .done()
            .unwrap()
            .unwrap();
        assert_eq!((proof.backup.as_str(), proof.checks.len()), (taken.name.as_str(), 2));
        assert!(proof.recovery_point() >= Duration::from_hours(2), "{proof:?}");
        assert!(proof.recovery_time() > Duration::ZERO, "{proof:?}");
        let left: Vec<_> = world.ids().difference(&before).map(ToString::to_string).collect();
        assert_eq!(
            left,
            [format!("k8s/main:ConfigMap/backup/restore-proof-{}", taken.name)]
        );
        let status = clock.drive(backups.status()).done().unwrap().unwrap();
        assert_eq!(status.last_proof(), Some(&proof), "read back as it was measured");
        // Proved again: the record is renewed, not doubled.
        clock.advance(Duration::from_hours(1));
        let later = clock.drive(backups.drill(None, |_| {})).done().unwrap().unwrap();
        assert!(later.at > proof.at);
        assert_eq!(world.ids().difference(&before).count(), 1);
        // None of it is the platform's to remove.
        assert!(clock.drive(platform.plan()).done().unwrap().unwrap().is_empty());
    }
}
