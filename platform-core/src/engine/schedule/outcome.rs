//! What a write that came back means for its node and for those behind it.

use super::super::apply::WINDOW;
use super::super::report::Outcome;
use super::{Awaited, PAUSE, Phase, Run, TRIES, Written};
use crate::engine::{Action, Event};
use crate::facts::Creation;
use crate::resource::{Live, State};
use crate::{Error, ErrorKind, Retry};
use std::time::Duration;

impl Run<'_> {
    pub(super) fn written(&mut self, written: Written, events: &mut (dyn FnMut(Event) + Send)) {
        let position = written.node;
        let node = &self.nodes[position];
        match written.result {
            Err(why) => {
                let retry = match why.retry() {
                    Retry::After(pause) if node.tries < TRIES && self.leases.lost().is_none() => Some(pause),
                    _ => None,
                };
                match retry {
                    Some(pause) => {
                        let half_made = node.may_be_half_made(&why);
                        let after = if half_made {
                            WINDOW
                        } else {
                            (pause * 2_u32.pow(node.tries - 1)).min(PAUSE)
                        };
                        events(Event::Retrying {
                            id: node.step.id.clone(),
                            why,
                            after,
                        });
                        if half_made {
                            let until = self.engine.clock().elapsed() + after;
                            self.nodes[position].phase = Phase::Pending(0);
                            self.again.insert((until, position));
                        } else {
                            self.write(position, after, events);
                        }
                    }
                    None => self.fail(position, why, events),
                }
            }
            Ok(live) => {
                let removing = node.action == Action::Delete || (node.action == Action::Replace && !node.cleared);
                match (removing, live) {
                    (true, None) => self.gone(position, events),
                    (true, Some(_)) => self.wait(position, "deletion", Awaited::Gone, events),
                    (false, live) => self.made(position, live, events),
                }
            }
        }
    }

    /// A create, update, adoption or release came back.
    pub(super) fn made(&mut self, position: usize, live: Option<Live>, events: &mut (dyn FnMut(Event) + Send)) {
        let node = &mut self.nodes[position];
        let Some(live) = live else {
            return self.done(position, events);
        };
        if node.action == Action::Release {
            self.report.left.push(live);
            return self.done(position, events);
        }
        // Its open create stays on record until reads show it: a next run that does not see it must know of it.
        node.unseen = node.creates() && node.facts.create != Creation::Exclusive;
        let unseen = node.unseen;
        self.note_outputs(&live.id, &live.outputs);
        match live.state {
            State::Ready if unseen => self.wait(position, "reads to show it", Awaited::Ready, events),
            State::Ready => self.done(position, events),
            State::Progressing { what } => self.wait(position, &what, Awaited::Ready, events),
            // What the object said before this write need not be its last word.
            State::Failed { why } => self.wait(position, &why, Awaited::Ready, events),
            State::Deleting { .. } => {
                let why =
                    Error::new(ErrorKind::Conflict, "it is being deleted").with_help("plan again when it is gone");
                self.fail(position, why, events);
            }
        }
    }

    pub(super) fn gone(&mut self, position: usize, events: &mut (dyn FnMut(Event) + Send)) {
        match self.nodes[position].action {
            Action::Replace => {
                self.nodes[position].cleared = true;
                self.nodes[position].tries = 0;
                self.write(position, Duration::ZERO, events);
            }
            Action::Create => self.write(position, Duration::ZERO, events),
            _ => self.done(position, events),
        }
    }

    pub(super) fn done(&mut self, position: usize, events: &mut (dyn FnMut(Event) + Send)) {
        let now = self.engine.clock().elapsed();
        let node = &mut self.nodes[position];
        node.phase = Phase::Done;
        node.outcome = Some(Outcome::Done(node.action));
        events(Event::Done {
            id: node.step.id.clone(),
            action: node.action,
            took: now.saturating_sub(node.started),
        });
        for dependant in std::mem::take(&mut self.nodes[position].dependants) {
            if let Phase::Pending(count) = &mut self.nodes[dependant].phase {
                *count -= 1;
                if *count == 0 {
                    self.ready
                        .push((self.nodes[dependant].priority, std::cmp::Reverse(dependant)));
                }
            }
        }
    }

    pub(super) fn fail(&mut self, position: usize, why: Error, events: &mut (dyn FnMut(Event) + Send)) {
        let because = self.nodes[position].step.id.clone();
        self.nodes[position].phase = Phase::Failed;
        events(Event::Failed {
            id: because.clone(),
            why: why.clone(),
        });
        self.nodes[position].outcome = Some(Outcome::Failed(why));
        let mut queue = std::mem::take(&mut self.nodes[position].dependants);
        while let Some(dependant) = queue.pop() {
            let node = &mut self.nodes[dependant];
            if matches!(node.phase, Phase::Pending(_)) {
                node.phase = Phase::Skipped;
                queue.append(&mut node.dependants);
                node.outcome = Some(Outcome::Skipped(because.clone()));
                events(Event::Skipped {
                    id: node.step.id.clone(),
                    because: because.clone(),
                });
            }
        }
    }

    /// What a stop left untouched is not done.
    pub(super) fn close(&mut self, events: &mut (dyn FnMut(Event) + Send)) {
        for position in 0..self.nodes.len() {
            if !matches!(self.nodes[position].phase, Phase::Done | Phase::Failed | Phase::Skipped) {
                let why =
                    Error::new(ErrorKind::Cancelled, "stopped before it was done").with_help("run again to continue");
                self.nodes[position].dependants.clear();
                self.fail(position, why, events);
            }
        }
    }
}
