//! Fresh states by paced describes: AWS has no watch.

use crate::observe::look;
use crate::provider::Connection;
use futures::stream::{BoxStream, StreamExt, unfold};
use platform_core::value::{ResourceId, SetId};
use platform_core::{Interest, Live, Observation, Result};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A kind that takes long is asked more seldom.
const FASTEST: Duration = Duration::from_secs(2);
const SLOWEST: Duration = Duration::from_secs(15);

/// What was last said of an id.
#[derive(PartialEq)]
enum Sent {
    Nothing,
    State(Box<Option<Live>>),
}

struct Follower {
    connection: Arc<Connection>,
    set: SetId,
    interest: Interest,
    /// What was last sent of an id, and when it was asked.
    sent: BTreeMap<ResourceId, (Sent, Duration)>,
    queue: VecDeque<Result<(ResourceId, Option<Live>)>>,
}

pub(crate) fn follow(
    connection: Arc<Connection>,
    interest: Interest,
    seen: &Observation,
) -> BoxStream<'static, Result<(ResourceId, Option<Live>)>> {
    let follower = Follower {
        connection,
        set: seen.set.clone(),
        interest,
        sent: BTreeMap::new(),
        queue: VecDeque::new(),
    };
    unfold(follower, |mut follower| async {
        loop {
            if let Some(next) = follower.queue.pop_front() {
                return Some((next, follower));
            }
            follower.round().await;
        }
    })
    .boxed()
}

impl Follower {
    /// Asks for what is due; pauses when nothing is.
    async fn round(&mut self) {
        let now = self.connection.clock.elapsed();
        let ids = self.interest.ids();
        self.sent.retain(|id, _| ids.contains(id));
        let due: Vec<ResourceId> = ids
            .into_iter()
            .filter(|id| id.place() == &self.connection.place)
            .filter(|id| {
                self.sent
                    .get(id)
                    .is_none_or(|(_, asked)| now.saturating_sub(*asked) >= self.pace(id))
            })
            .collect();
        if due.is_empty() {
            let pause = self.connection.clock.sleep(FASTEST / 4);
            tokio::select! {
                () = pause => {}
                () = self.interest.changed() => {}
            }
            return;
        }
        for id in due {
            let state = match self.connection.scope(&self.set).await {
                Ok(scope) => look(&scope, &id, &std::collections::BTreeSet::new()).await,
                Err(error) => Err(error),
            };
            match state {
                Ok(state) => {
                    let known = self
                        .sent
                        .insert(id.clone(), (Sent::State(Box::new(state.clone())), now));
                    if known.is_none_or(|(before, _)| before != Sent::State(Box::new(state.clone()))) {
                        self.queue.push_back(Ok((id, state)));
                    }
                }
                Err(error) => {
                    // Asked again at its pace.
                    let before = self.sent.remove(&id).map_or(Sent::Nothing, |(before, _)| before);
                    self.sent.insert(id, (before, now));
                    self.queue.push_back(Err(error));
                }
            }
        }
    }

    fn pace(&self, id: &ResourceId) -> Duration {
        let kind = self.connection.kinds.find(id.kind());
        kind.map_or(SLOWEST, |kind| (kind.facts().usually / 4).clamp(FASTEST, SLOWEST))
    }
}
