//! One write, made once whatever happens to its answer.

use super::super::approve::Permit;
use super::super::diff::diff;
use super::super::plan::{Action, Step};
use crate::facts::{Creation, KindFacts};
use crate::provider::{Preview, Provider, Write};
use crate::resource::{Live, Observation, OnRemoval, Resolved, Resource};
use crate::value::SetId;
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;

/// One write with all it needs.
pub(super) struct Job<'a> {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) set: &'a SetId,
    pub(super) step: &'a Step,
    pub(super) action: Action,
    pub(super) resolved: Option<Resolved>,
    pub(super) live: Option<&'a Live>,
    pub(super) seen: Option<&'a Observation>,
    pub(super) token: String,
    pub(super) permit: Permit<'a>,
    pub(super) facts: &'static KindFacts,
    pub(super) repeated: bool,
}

impl Job<'_> {
    pub(super) async fn run(self) -> Result<Option<Live>> {
        if let Some(unchanged) = self.keeps_to_plan().await? {
            return Ok(Some(unchanged));
        }
        if let Some(made) = self.made_before().await? {
            return Ok(Some(made));
        }
        match self.provider.write(self.as_write()?, self.permit).await {
            // The answer of an earlier try was lost: the conflict may be with ourselves.
            Err(why) if self.repeated && why.kind() == ErrorKind::Conflict => self.settle(why).await,
            other => other,
        }
    }

    fn as_write(&self) -> Result<Write<'_>> {
        let set = self.set;
        match (self.action, &self.resolved, self.live) {
            (Action::Create, Some(resource), _) => Ok(Write::Create {
                set,
                resource,
                token: &self.token,
            }),
            (Action::Update, Some(resource), Some(live)) => Ok(Write::Update { set, resource, live }),
            (Action::Adopt, Some(resource), Some(live)) => Ok(Write::Adopt { set, resource, live }),
            (Action::Release, _, Some(live)) => Ok(Write::Release { set, live }),
            (Action::Delete | Action::Replace, _, Some(live)) => Ok(Write::Delete {
                set,
                live,
                snapshot: live.on_removal == OnRemoval::Snapshot,
            }),
            _ => {
                Err(Error::new(ErrorKind::Internal, "a step without its object")
                    .with_context("resource", &self.step.id))
            }
        }
    }

    /// What was unknown while planning is known now: the change must be no more than what was planned.
    /// Returns the object when nothing is left to change.
    async fn keeps_to_plan(&self) -> Result<Option<Live>> {
        let unknown = self.action == Action::Update && self.step.changes.iter().any(|change| change.unknown);
        let (true, Some(resource), Some(live), Some(seen)) = (unknown, &self.resolved, self.live, self.seen) else {
            return Ok(None);
        };
        match self.provider.preview(resource, seen).await? {
            Preview::Unchanged => Ok(Some(live.clone())),
            Preview::Refused { why } => Err(why),
            Preview::Change { after, .. } => {
                for found in diff(&live.view, &after, self.facts.fields) {
                    let planned =
                        self.step.changes.iter().find(|change| {
                            change.path == found.path && (change.unknown || change.after == found.after)
                        });
                    if planned.is_none() {
                        return Err(
                            Error::new(ErrorKind::Stale, format!("it would also change {}", found.path))
                                .with_help("plan again"),
                        );
                    }
                }
                Ok(None)
            }
        }
    }

    /// What an earlier try of an unguarded create made, after the time in which it has to show.
    async fn made_before(&self) -> Result<Option<Live>> {
        let creates = matches!(self.action, Action::Create) && self.facts.create == Creation::Unguarded;
        let (true, true, Some(resource)) = (creates, self.repeated, &self.resolved) else {
            return Ok(None);
        };
        let wanted = [Resource::clone(resource)];
        let mut seen = self.provider.observe(self.set, &wanted).await?;
        Ok(seen.live.remove(&self.step.id))
    }

    /// Reads the object again: if it is as planned, an earlier try of ours did it.
    async fn settle(&self, why: Error) -> Result<Option<Live>> {
        let Some(resource) = &self.resolved else {
            return Err(why);
        };
        let wanted = [Resource::clone(resource)];
        let seen = self.provider.observe(self.set, &wanted).await?;
        let settled = matches!(self.provider.preview(resource, &seen).await?, Preview::Unchanged);
        match seen.live.get(&self.step.id) {
            Some(live) if settled && live.owner == crate::resource::Owner::ThisSet => Ok(Some(live.clone())),
            _ => Err(why),
        }
    }
}
