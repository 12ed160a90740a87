//! The stream of fresh states.

use super::{Follower, World, lock};
use crate::Result;
use crate::provider::Interest;
use crate::resource::Live;
use crate::value::{ResourceId, SetId};
use futures::stream::{self, BoxStream, StreamExt};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

struct Watch {
    world: World,
    interest: Interest,
    set: SetId,
    follower: Arc<Follower>,
    /// Ids asked for when last looked.
    asked: BTreeSet<ResourceId>,
    /// What was sent last, without fields: uid, version and state tell all.
    sent: BTreeMap<ResourceId, Option<(String, String, String)>>,
    ready: VecDeque<(ResourceId, Option<Live>)>,
}

enum Seen {
    /// Written, but reads do not show it yet.
    NotYet,
    Gone,
    Here(Box<Live>),
}

impl World {
    pub(super) fn watch(
        &self,
        interest: Interest,
        set: SetId,
    ) -> BoxStream<'static, Result<(ResourceId, Option<Live>)>> {
        let follower = Arc::new(Follower {
            changed: Mutex::new(VecDeque::new()),
            notify: tokio::sync::Notify::new(),
        });
        lock(&self.shared.followers).push(Arc::downgrade(&follower));
        let watch = Watch {
            world: self.clone(),
            interest,
            set,
            follower,
            asked: BTreeSet::new(),
            sent: BTreeMap::new(),
            ready: VecDeque::new(),
        };
        stream::unfold(watch, |mut watch| async move {
            let next = watch.next().await;
            Some((Ok(next), watch))
        })
        .boxed()
    }

    fn see(&self, set: &SetId, id: &ResourceId) -> Seen {
        let now = self.shared.clock.now();
        let state = self.state();
        let (Some(facts), Some(slot)) = ((self.shared.facts)(id.kind()), state.slots.get(id)) else {
            return Seen::Gone;
        };
        match state.visible(slot, &self.lag(facts.create), now).first() {
            Some(object) => Seen::Here(Box::new(object.live(id, set, facts, now))),
            None if slot.objects.is_empty() => Seen::Gone,
            None => Seen::NotYet,
        }
    }
}

impl Watch {
    async fn next(&mut self) -> (ResourceId, Option<Live>) {
        let mut look_at_interest = true;
        loop {
            self.world.advance();
            if look_at_interest {
                let ids = self.interest.ids();
                let joined: Vec<ResourceId> = ids.difference(&self.asked).cloned().collect();
                for id in joined {
                    self.sent.remove(&id);
                    self.look(&id);
                }
                self.asked = ids;
            }
            let changed = std::mem::take(&mut *lock(&self.follower.changed));
            for id in changed {
                if self.interest.contains(&id) {
                    self.look(&id);
                }
            }
            if let Some(next) = self.ready.pop_front() {
                return next;
            }
            look_at_interest = self.wait().await;
        }
    }

    /// Waits for something to look at; true when the interest changed.
    async fn wait(&self) -> bool {
        let due = self.world.state().due.first().map(|(at, _)| *at);
        let clock = &self.world.shared.clock;
        let timer = async {
            match due {
                Some(at) => clock.sleep(at.since(clock.now())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.follower.notify.notified() => false,
            () = self.interest.changed() => true,
            () = timer => false,
        }
    }

    fn look(&mut self, id: &ResourceId) {
        let (mark, state) = match self.world.see(&self.set, id) {
            Seen::NotYet => return,
            Seen::Gone => (None, None),
            Seen::Here(live) => {
                let version = live.version.clone().unwrap_or_default();
                let mark = (live.uid.to_string(), version, format!("{:?}", live.state));
                (Some(mark), Some(*live))
            }
        };
        if self.sent.get(id) != Some(&mark) {
            self.sent.insert(id.clone(), mark);
            self.ready.push_back((id.clone(), state));
        }
    }
}
