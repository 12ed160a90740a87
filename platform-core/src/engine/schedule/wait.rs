//! Waiting: for an object to become ready, to be gone, to take an update. Bounded by the patience of its kind.

use super::{Awaited, Phase, Run};
use crate::engine::Event;
use crate::resource::{Live, State};
use crate::value::ResourceId;
use crate::{Error, ErrorKind, Result};
use std::time::Duration;

impl Run<'_> {
    pub(super) fn wait(&mut self, position: usize, on: &str, awaited: Awaited, events: &mut (dyn FnMut(Event) + Send)) {
        let now = self.engine.clock().elapsed();
        let node = &mut self.nodes[position];
        let until = now + node.facts.patience;
        node.phase = Phase::Waiting { until, awaited };
        on.clone_into(&mut node.on);
        events(Event::Waiting {
            id: node.step.id.clone(),
            on: on.to_owned(),
            since: now.saturating_sub(node.started),
            usually: node.facts.usually,
        });
        self.deadlines.insert((until, position));
        self.index.insert(&node.step.id, position);
        if let Some(interest) = self.interests.get(node.step.id.place()) {
            interest.add(node.step.id.clone());
        }
    }

    /// A provider told the state of an object.
    pub(super) fn news(&mut self, news: Result<(ResourceId, Option<Live>)>, events: &mut (dyn FnMut(Event) + Send)) {
        let (id, live) = match news {
            Ok(news) => news,
            Err(why) => {
                return events(Event::Warning {
                    text: format!("states are late: {why}"),
                });
            }
        };
        let Some(&position) = self.index.get(&id) else { return };
        let Phase::Waiting { until, awaited } = self.nodes[position].phase else {
            return;
        };
        let state = live.as_ref().map(|live| live.state.clone());
        if self.nodes[position].unseen && awaited != Awaited::Gone {
            if live.is_none() {
                return; // not shown yet
            }
            self.nodes[position].unseen = false;
            self.leases.settle(&id);
        }
        match (awaited, state) {
            (Awaited::Gone, None) => {
                self.arrived(position, until);
                self.gone(position, events);
            }
            (Awaited::Gone, Some(State::Deleting { blocked_by })) if !blocked_by.is_empty() => {
                self.still(position, format!("deletion, held by {}", blocked_by.join(", ")), events);
            }
            (Awaited::Gone, Some(State::Deleting { .. })) => {}
            (Awaited::Gone, Some(_)) => {
                let same = live.is_some_and(|live| Some(&live.uid) == self.nodes[position].step.uid.as_ref());
                if !same {
                    // What was to go is gone, but what depends on that (its namespace) must not take the new one along.
                    self.arrived(position, until);
                    let why = Error::new(ErrorKind::Conflict, "somebody made it anew while it was being deleted")
                        .with_help("find out who, then plan again");
                    self.fail(position, why, events);
                }
            }
            (Awaited::Settled, Some(State::Ready | State::Failed { .. })) => {
                self.arrived(position, until);
                self.write(position, Duration::ZERO, events);
            }
            (Awaited::Ready, Some(State::Ready)) => {
                self.arrived(position, until);
                if let Some(live) = live {
                    self.note_outputs(&live.id, &live.outputs);
                }
                self.done(position, events);
            }
            (_, Some(State::Progressing { what })) => self.still(position, what, events),
            (Awaited::Ready, Some(State::Failed { why })) => {
                self.arrived(position, until);
                self.fail(position, Error::new(ErrorKind::Failed, why), events);
            }
            (_, Some(State::Deleting { .. }) | None) => {
                self.arrived(position, until);
                let why = Error::new(ErrorKind::Conflict, "it was deleted while it was waited for")
                    .with_help("find out who deletes it, then run again");
                self.fail(position, why, events);
            }
        }
    }

    pub(super) fn still(&mut self, position: usize, on: String, events: &mut (dyn FnMut(Event) + Send)) {
        let now = self.engine.clock().elapsed();
        let node = &mut self.nodes[position];
        if node.on != on {
            node.on.clone_from(&on);
            events(Event::Waiting {
                id: node.step.id.clone(),
                on,
                since: now.saturating_sub(node.started),
                usually: node.facts.usually,
            });
        }
    }

    pub(super) fn arrived(&mut self, position: usize, until: Duration) {
        self.deadlines.remove(&(until, position));
        let id = &self.nodes[position].step.id;
        if let Some(interest) = self.interests.get(id.place()) {
            interest.remove(id);
        }
    }

    pub(super) fn expire(&mut self, now: Duration, events: &mut (dyn FnMut(Event) + Send)) {
        while let Some(&(until, position)) = self.again.first()
            && until <= now
        {
            self.again.remove(&(until, position));
            let priority = self.nodes[position].priority;
            self.ready.push((priority, std::cmp::Reverse(position)));
        }
        while let Some(&(until, position)) = self.deadlines.first() {
            if until > now {
                break;
            }
            self.arrived(position, until);
            let node = &self.nodes[position];
            let patience = node.facts.patience.as_secs();
            let why = Error::new(ErrorKind::Timeout, format!("not there after {patience} s: {}", node.on))
                .with_help("look at the object; run again to go on waiting");
            self.fail(position, why, events);
        }
    }
}
