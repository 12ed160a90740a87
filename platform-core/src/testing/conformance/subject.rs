//! One provider in the hand of a check.

use super::{Harness, failed};
use crate::engine::Action;
use crate::provider::{Interest, Preview, Provider, Write};
use crate::resource::{Live, Observation, Owner, Resolved, Resource, State};
use crate::testing::{fixtures, permit};
use crate::value::{Clock, ResourceId, SetId};
use crate::{Error, ErrorKind, Result, Retry};
use futures::StreamExt;
use futures::future::{Either, select};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// One provider in the hand of a check: writes with permits of its own and waits by the harness's clock.
#[derive(Debug)]
pub struct Subject {
    /// The provider.
    pub provider: Arc<dyn Provider>,
    /// The set that owns what is made.
    pub set: SetId,
    clock: Arc<dyn Clock>,
}

impl Subject {
    /// A provider in the hand of any test.
    pub fn over(provider: Arc<dyn Provider>, set: SetId, clock: Arc<dyn Clock>) -> Self {
        Self { provider, set, clock }
    }

    /// A provider for one check.
    ///
    /// # Errors
    /// When the harness has none.
    pub async fn new(harness: &dyn Harness, check: &str) -> std::result::Result<Self, String> {
        Ok(Self {
            provider: harness.provider().await.map_err(failed("connect"))?,
            set: harness.set(check),
            clock: harness.clock(),
        })
    }

    /// Reads the place.
    ///
    /// # Errors
    /// As [`Provider::observe`].
    pub async fn observe(&self, wanted: &[Resource]) -> Result<Observation> {
        self.provider.observe(&self.set, wanted).await
    }

    /// The live object, if it is there.
    ///
    /// # Errors
    /// As [`Provider::observe`].
    pub async fn live(&self, resource: &Resource) -> Result<Option<Live>> {
        Ok(self
            .observe(std::slice::from_ref(resource))
            .await?
            .live
            .remove(&resource.id))
    }

    /// What making it true would change.
    ///
    /// # Errors
    /// As [`Provider::preview`].
    pub async fn preview(&self, resource: &Resource) -> Result<Preview> {
        let seen = self.observe(std::slice::from_ref(resource)).await?;
        self.provider.preview(resource, &seen).await
    }

    /// Makes an object, with whatever it needs; waits until all are ready. Throttling is waited out.
    ///
    /// # Errors
    /// As [`Provider::write`], or `Timeout`.
    pub async fn stand(&self, resources: &[Resource]) -> Result<Vec<Live>> {
        let mut all = Vec::new();
        for resource in resources {
            self.create(resource, &format!("token-{}", resource.id.name())).await?;
            all.push(self.ready(&resource.id).await?);
        }
        Ok(all)
    }

    /// One create.
    ///
    /// # Errors
    /// As [`Provider::write`].
    pub async fn create(&self, resource: &Resource, token: &str) -> Result<Live> {
        let resolved = resolved(resource)?;
        let write = Write::Create {
            set: &self.set,
            resource: &resolved,
            token,
        };
        shown(self.write(write, Action::Create).await?)
    }

    /// One update of an object as it was seen.
    ///
    /// # Errors
    /// As [`Provider::write`].
    pub async fn update(&self, resource: &Resource, live: &Live, desired: &Value) -> Result<Live> {
        let wish = Resource {
            desired: desired.clone().into(),
            ..resource.clone()
        };
        let resolved = resolved(&wish)?;
        let (set, resource) = (&self.set, &resolved);
        let write = if live.owner == Owner::ThisSet {
            Write::Update { set, resource, live }
        } else {
            Write::Adopt { set, resource, live }
        };
        shown(self.write(write, Action::Update).await?)
    }

    /// One delete of an object as it was seen.
    ///
    /// # Errors
    /// As [`Provider::write`].
    pub async fn delete(&self, live: &Live) -> Result<Option<Live>> {
        let write = Write::Delete {
            set: &self.set,
            live,
            snapshot: false,
        };
        self.write(write, Action::Delete).await
    }

    /// Lets go of an object.
    ///
    /// # Errors
    /// As [`Provider::write`].
    pub async fn release(&self, live: &Live) -> Result<Option<Live>> {
        self.write(Write::Release { set: &self.set, live }, Action::Release)
            .await
    }

    /// Waits until an object is ready, as long as its kind may take.
    ///
    /// # Errors
    /// `Timeout`, or `Failed` when the object failed or went away.
    pub async fn ready(&self, id: &ResourceId) -> Result<Live> {
        self.until(id, |live| match live {
            Some(live) if live.state == State::Ready => Some(Ok(live)),
            Some(live) => match live.state {
                State::Failed { why } => Some(Err(Error::new(ErrorKind::Failed, why))),
                _ => None,
            },
            None => Some(Err(Error::new(ErrorKind::Failed, "it went away"))),
        })
        .await?
    }

    /// Waits until an object is gone.
    ///
    /// # Errors
    /// `Timeout`.
    pub async fn gone(&self, id: &ResourceId) -> Result<()> {
        self.until(id, |live| live.is_none().then_some(())).await
    }

    /// Waits until what the provider tells of an object is enough, as long as its kind may take.
    async fn until<T>(&self, id: &ResourceId, enough: impl Fn(Option<Live>) -> Option<T>) -> Result<T> {
        let patience = self
            .provider
            .facts(id.kind())
            .map_or(Duration::from_mins(1), |facts| facts.patience);
        let seen = self.observe(&[]).await?;
        let interest = Interest::new();
        interest.add(id.clone());
        let mut states = self.provider.follow(interest, &seen);
        let mut patience = self.clock.sleep(patience);
        loop {
            match select(states.next(), &mut patience).await {
                Either::Left((Some(Ok((told, live))), _)) if &told == id => {
                    if let Some(value) = enough(live) {
                        return Ok(value);
                    }
                }
                Either::Left((None, _)) => return Err(Error::new(ErrorKind::Internal, "the stream ended")),
                Either::Left(_) => {}
                Either::Right(_) => {
                    return Err(Error::new(ErrorKind::Timeout, "its patience ran out").with_context("resource", id));
                }
            }
        }
    }

    /// One write, again while the provider says "later", at most ten times.
    async fn write(&self, write: Write<'_>, action: Action) -> Result<Option<Live>> {
        let step = fixtures::step(write.id(), action);
        let mut tries = 0;
        loop {
            tries += 1;
            match self.provider.write(write, permit(&step)).await {
                Err(why) if tries < 10 => match why.retry() {
                    Retry::After(pause) => self.clock.sleep(pause).await,
                    Retry::Never => return Err(why),
                },
                answer => return answer,
            }
        }
    }
}

fn resolved(resource: &Resource) -> Result<Resolved> {
    Resolved::new(resource, &|_| None)
        .map_err(|unknown| Error::new(ErrorKind::Invalid, format!("a sample may not refer to {unknown}")))
}

fn shown(live: Option<Live>) -> Result<Live> {
    live.ok_or_else(|| Error::new(ErrorKind::Internal, "the write returned no object"))
}
