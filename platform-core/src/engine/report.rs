use super::plan::{Action, typed_outputs};
use crate::resource::Live;
use crate::value::{Place, PlaceIdentity, ResourceId, SetId};
use crate::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// What became of one step.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It stood already.
    Unchanged,
    /// Done and ready.
    Done(Action),
    /// Failed.
    Failed(Error),
    /// Not tried, because of this failed object.
    Skipped(ResourceId),
}

/// What an apply did.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whose objects.
    pub set: SetId,
    /// By object.
    pub outcomes: BTreeMap<ResourceId, Outcome>,
    /// Outputs as far as they are known.
    pub outputs: Value,
    /// What a sweep after a destroy still found, or what was released.
    pub left: Vec<Live>,
    /// What the sweep could not see.
    pub unseen: Vec<String>,
    /// Proved identities of the places that this run connected to once their clusters were ready.
    pub places: BTreeMap<Place, PlaceIdentity>,
    /// How long it took.
    pub took: Duration,
    /// Writes that went out.
    pub writes: u32,
}

impl Report {
    /// Whether every step is done.
    pub fn is_success(&self) -> bool {
        self.failures().next().is_none()
            && !self
                .outcomes
                .values()
                .any(|outcome| matches!(outcome, Outcome::Skipped(_)))
    }

    /// Failed objects.
    pub fn failures(&self) -> impl Iterator<Item = (&ResourceId, &Error)> {
        self.outcomes.iter().filter_map(|(id, outcome)| match outcome {
            Outcome::Failed(why) => Some((id, why)),
            _ => None,
        })
    }

    /// How many are done, failed and skipped.
    pub fn totals(&self) -> (usize, usize, usize) {
        self.outcomes
            .values()
            .fold((0, 0, 0), |(done, failed, skipped), outcome| match outcome {
                Outcome::Done(_) => (done + 1, failed, skipped),
                Outcome::Failed(_) => (done, failed + 1, skipped),
                Outcome::Skipped(_) => (done, failed, skipped + 1),
                Outcome::Unchanged => (done, failed, skipped),
            })
    }

    /// The outputs.
    ///
    /// # Errors
    /// The first failure of the run, or `Internal` when the outputs have another shape.
    pub fn into_outputs<O: DeserializeOwned>(self) -> Result<O> {
        match self.failures().next() {
            Some((id, why)) => Err(why.clone().with_context("resource", id)),
            None => typed_outputs(&self.outputs),
        }
    }
}
