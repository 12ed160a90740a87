//! Backups by hand: taken, listed, judged, drilled, restored.
//!
//! What a verb needs is a blueprint of one-off resources in a set of its own, `<set>/run/<verb>-<name>`: it is planned,
//! applied and verified like all else, and its removal leaves what it was for (a backup, a proof) behind.

use platform_core::engine::{Approvals, Engine, Event, PlanRequest};
use platform_core::value::SetId;
use platform_core::{
    Backup, BackupRecord, BackupRun, BackupSpec, BackupStatus, Blueprint, Context, Error, ErrorKind, RestoreProof,
    Result, State,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The backups of a platform. [`Platform::backups`](crate::Platform::backups) gives it.
#[derive(Clone, Debug)]
pub struct Backups {
    pub(crate) provider: Arc<dyn Backup>,
    pub(crate) spec: BackupSpec,
    /// With every surface.
    pub(crate) context: Context,
    pub(crate) engine: Engine,
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
        let blueprint = self.provider.drill(&self.spec, backup, &self.context)?;
        self.once("drill", &backup.name, blueprint, &mut on_event).await
    }

    /// Puts back what a backup holds and the platform no longer has.
    ///
    /// Velero leaves alone what is there, and restores the data of a volume only into pods that it makes. So nothing is
    /// restored over a server that still stands.
    ///
    /// # Errors
    /// `Blocked` while a server of the platform's stands, `NotFound` without such a backup, and the failure of the restore.
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
        let blueprint = self.provider.restore(&self.spec, &backup.name, &self.context)?;
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
