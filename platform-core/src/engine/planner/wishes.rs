//! What is wanted, read once for all surveys of a run. Pure.

use super::super::Engine;
use super::super::graph::Graph;
use super::super::plan::PlanRequest;
use crate::Result;
use crate::facts::KindFacts;
use crate::resource::{Resolved, Resource};
use crate::value::{Reference, ResourceId, references};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// The resources that a run is about, and what the surveys and the schedule have to know of each.
#[derive(Debug)]
pub(in crate::engine) struct Wishes {
    pub(in crate::engine) request: Arc<PlanRequest>,
    /// Its positions are those of the wishes.
    pub(in crate::engine) graph: Graph,
    all: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    /// In the request.
    position: usize,
    facts: &'static KindFacts,
    refers: bool,
}

/// One wanted resource.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Wish<'a> {
    pub(in crate::engine) resource: &'a Resource,
    pub(in crate::engine) facts: &'static KindFacts,
    /// Whether it refers to outputs of others.
    refers: bool,
}

impl Engine {
    /// Everything is checked, also what a targeted run leaves alone: a contradiction anywhere is one.
    pub(in crate::engine) fn wishes(&self, request: &Arc<PlanRequest>) -> Result<Wishes> {
        let resources = &request.resources;
        let mut all = Vec::with_capacity(resources.len());
        let mut referred: HashMap<usize, Vec<Reference>> = HashMap::new();
        let mut unfit = None;
        for (position, resource) in resources.iter().enumerate() {
            let found = references(&resource.desired);
            let facts = self.facts(&resource.id).and_then(|facts| {
                facts.name.check(&resource.id)?;
                Ok(facts)
            });
            match facts {
                Ok(facts) => all.push(Known {
                    position,
                    facts,
                    refers: !found.is_empty(),
                }),
                Err(why) => unfit = unfit.or(Some(why)),
            }
            if !found.is_empty() {
                referred.insert(position, found);
            }
        }
        let ids = resources.iter().map(|resource| resource.id.clone()).collect();
        let whole = Graph::of(ids, |position, need| {
            let resource = &resources[position];
            let referred = referred.get(&position).into_iter().flatten();
            let mut needed = resource.after.iter().chain(referred.map(|reference| &reference.id));
            needed.try_for_each(|id| if *id == resource.id { Ok(()) } else { need(id) })?;
            self.cluster_of(resource.id.place()).map_or(Ok(()), need)
        })?;
        unfit.map_or(Ok(()), Err)?;
        let graph = if request.only.is_some() {
            let wanted = request.selected(&|resource| self.needs(resource));
            let graph = Graph::new(
                wanted
                    .iter()
                    .map(|resource| (resource.id.clone(), self.needs(resource))),
            )?;
            all.retain(|wish| graph.position(&resources[wish.position].id).is_some());
            graph
        } else {
            whole
        };
        Ok(Wishes {
            request: Arc::clone(request),
            graph,
            all,
        })
    }
}

impl Wishes {
    pub(in crate::engine) fn len(&self) -> usize {
        self.all.len()
    }

    /// In the order of the request.
    pub(in crate::engine) fn iter(&self) -> impl Iterator<Item = Wish<'_>> {
        (0..self.len()).map(|position| self.at(position))
    }

    /// By its position in the graph.
    pub(in crate::engine) fn at(&self, position: usize) -> Wish<'_> {
        let known = &self.all[position];
        Wish {
            resource: &self.request.resources[known.position],
            facts: known.facts,
            refers: known.refers,
        }
    }

    /// The position of an object in the graph, if the run is about it.
    pub(in crate::engine) fn position(&self, id: &ResourceId) -> Option<usize> {
        self.graph.position(id)
    }
}

impl<'a> Wish<'a> {
    /// The resource with every reference replaced that `lookup` knows.
    pub(in crate::engine) fn known(&self, lookup: &dyn Fn(&Reference) -> Option<Value>) -> Cow<'a, Resource> {
        if self.refers {
            Cow::Owned(self.resource.resolved(lookup))
        } else {
            Cow::Borrowed(self.resource)
        }
    }

    /// The resource as a write takes it.
    ///
    /// # Errors
    /// With the reference that is not known.
    pub(in crate::engine) fn resolved(
        &self,
        lookup: &dyn Fn(&Reference) -> Option<Value>,
    ) -> Result<Resolved, Reference> {
        if self.refers {
            Resolved::new(self.resource, lookup)
        } else {
            Ok(Resolved::without_references(self.resource))
        }
    }
}
