//! Places that come to be during the run: their steps wait until their cluster is ready and they are connected.

use super::super::later::Opened;
use super::Run;
use crate::engine::Event;
use crate::provider::{Interest, Provider};
use crate::value::{Place, ResourceId};
use crate::{Error, Result};
use std::sync::Arc;

/// A later place, connected or not.
pub(super) struct Connected {
    pub(super) place: Place,
    pub(super) result: Result<Opened>,
}

impl Run<'_> {
    pub(super) fn provider(&self, place: &Place) -> Result<Arc<dyn Provider>> {
        match self.opened.get(place) {
            Some(provider) => Ok(Arc::clone(provider)),
            None => self.engine.provider(place).cloned(),
        }
    }

    /// Whether a node has to wait for its place; the first one to come has the place connected.
    pub(super) fn parks(&mut self, position: usize) -> bool {
        let place = self.nodes[position].step.id.place();
        if self.engine.is_connected(place) || self.opened.contains_key(place) || self.unreachable.contains_key(place) {
            return false;
        }
        let Some(cluster) = self.engine.cluster_of(place) else {
            return false;
        };
        let parked = self.parked.entry(place.clone()).or_default();
        parked.push(position);
        if parked.len() == 1 {
            let outputs = self.outputs.get(cluster).cloned().unwrap_or_default();
            let (engine, request) = (self.engine, &self.approved.plan().request);
            self.opening.push(Box::pin(async move {
                Connected {
                    place: place.clone(),
                    result: engine.open(request, place, &outputs).await,
                }
            }));
        }
        true
    }

    pub(super) fn connected(&mut self, connected: Connected, events: &mut (dyn FnMut(Event) + Send)) {
        let Connected { place, result } = connected;
        let parked = self.parked.remove(&place).unwrap_or_default();
        match result {
            Ok(opened) => {
                let interest = Interest::new();
                self.followed
                    .push(opened.provider.follow(interest.clone(), &opened.seen));
                self.interests.insert(place.clone(), interest);
                self.limit += opened.provider.features().parallel;
                self.leases
                    .hold(place.clone(), Arc::clone(&opened.provider), opened.lease);
                self.report.places.insert(place.clone(), opened.identity);
                self.opened.insert(place, opened.provider);
                for position in parked {
                    self.ready
                        .push((self.nodes[position].priority, std::cmp::Reverse(position)));
                }
            }
            Err(why) => {
                for position in parked {
                    self.fail(position, why.clone(), events);
                }
                self.unreachable.insert(place, why);
            }
        }
    }

    /// Why nothing can be written at the place of a node.
    pub(super) fn unreachable(&self, position: usize) -> Option<Error> {
        self.unreachable.get(self.nodes[position].step.id.place()).cloned()
    }

    /// A cluster that goes takes the lease of its contents along: it is given back first.
    pub(super) async fn leave(&mut self, cluster: &ResourceId, events: &mut (dyn FnMut(Event) + Send)) {
        let places: Vec<Place> = self.engine.made_by(cluster).cloned().collect();
        let last = self.approved.plan().request.resources.is_empty();
        for place in places {
            self.interests.remove(&place);
            self.leases.give_back(&place, last, events).await;
        }
    }
}
