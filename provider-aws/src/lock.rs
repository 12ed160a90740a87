//! The lease of a set: an object in the control bucket, written under conditions.
//!
//! Who holds the lease is in the object; its ETag is the heartbeat and the condition of the next write.

use crate::control::{self, Object, Put};
use crate::error::Outcome;
use crate::kind::AwsKind;
use crate::kind::s3_bucket::{self, Bucket};
use crate::provider::Connection;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use platform_core::value::{SetId, Timestamp};
use platform_core::{Acquired, Error, ErrorKind, Lease, LeaseRequest, LeaseSeen, Lock, OpenCreate, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Leases of sets in the control bucket of one account and region.
#[derive(Debug)]
pub(crate) struct ControlBucket {
    connection: Arc<Connection>,
}

/// The lease object.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    /// Empty when nobody holds it.
    holder: String,
    /// Milliseconds without a heartbeat after which others may take it.
    ttl_ms: u64,
    /// For people, and so that every write has another ETag.
    renewed: Timestamp,
    /// Counts the writes of one holder, for the same reason.
    beat: u64,
    #[serde(default)]
    open: Vec<OpenCreate>,
}

/// The lease object of a set.
pub(crate) fn key(set: &SetId) -> String {
    format!("leases/{set}.json")
}

impl ControlBucket {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self { connection }
    }

    async fn object(&self, set: &SetId) -> Result<Object<'_>> {
        Ok(Object {
            s3: &self.connection.clients.s3,
            account: &self.connection.account().await?.id,
            region: &self.connection.region,
            key: key(set),
        })
    }

    /// Creates that a killed run may have left; none when there is no lease object yet.
    pub(crate) async fn open(&self, set: &SetId) -> Result<Option<Vec<OpenCreate>>> {
        Ok(self.get(set).await?.map(|(record, _)| record.open))
    }

    async fn get(&self, set: &SetId) -> Result<Option<(Record, String)>> {
        let object = self.object(set).await?;
        let Some((body, etag)) = object.get("the lease").await? else {
            return Ok(None);
        };
        let record = serde_json::from_slice(&body).map_err(|cause| {
            Error::new(ErrorKind::Internal, format!("the lease object is damaged: {cause}"))
                .with_context("object", format!("s3://{}/{}", object.bucket(), object.key))
                .with_help("make sure that nobody applies, then delete the object")
        })?;
        Ok(Some((record, etag)))
    }

    /// Writes the record if the object still has this ETag, or is still missing.
    async fn put(&self, set: &SetId, record: &Record, etag: Option<&str>) -> Result<Put> {
        let body = serde_json::to_vec(record)
            .map_err(|cause| Error::new(ErrorKind::Internal, format!("the lease is not JSON: {cause}")))?;
        self.object(set).await?.put(body, etag).await
    }

    fn held(request: &LeaseRequest, record: Record, etag: &str) -> Acquired {
        Acquired::Held(Lease {
            set: request.set.clone(),
            holder: record.holder,
            ttl: request.ttl,
            open: record.open,
            version: format!("{} {etag}", record.beat),
            renewed: record.renewed,
        })
    }

    fn record(&self, lease: &Lease, holder: &str) -> (Record, String) {
        let (beat, etag) = lease.version.split_once(' ').unwrap_or(("0", &lease.version));
        let record = Record {
            holder: holder.to_owned(),
            ttl_ms: millis(lease.ttl),
            renewed: self.connection.clock.now(),
            beat: beat.parse::<u64>().unwrap_or_default().wrapping_add(1),
            open: lease.open.clone(),
        };
        (record, etag.to_owned())
    }
}

#[async_trait]
impl Lock for ControlBucket {
    async fn prepare(&self, set: &SetId) -> Result<()> {
        let scope = self.connection.scope(set).await?;
        let name = control::bucket(&scope.account.id, scope.region);
        let wanted = s3_bucket::Desired::control();
        let stamps = Tags::from([(tags::key("control"), scope.account.id.clone())]);
        match Bucket::read(&scope, &name).await? {
            Some(found) if found.stranger.is_some() => Err(Error::new(
                ErrorKind::Foreign,
                format!("the control bucket {name} belongs to somebody else"),
            )),
            // Made by a run that was killed half-way, or changed by hand since.
            Some(found) if found.settings != wanted => Bucket::update(&scope, &name, &found, &wanted).await,
            Some(_) => Ok(()),
            None => match Bucket::create(&scope, &name, &wanted, &stamps, set.as_str()).await {
                // Another run made it at the same time, and sets it up.
                Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
                other => other,
            },
        }
    }

    async fn acquire(&self, request: &LeaseRequest) -> Result<Acquired> {
        let fresh = |open, beat| Record {
            holder: request.holder.clone(),
            ttl_ms: millis(request.ttl),
            renewed: self.connection.clock.now(),
            beat,
            open,
        };
        let Some((record, etag)) = self.get(&request.set).await? else {
            let record = fresh(Vec::new(), 0);
            return match self.put(&request.set, &record, None).await? {
                Put::Done(etag) => Ok(Self::held(request, record, &etag)),
                Put::Lost => self.busy(request).await,
            };
        };
        // Also ours by name: an acquire whose answer was lost.
        let free = record.holder.is_empty() || record.holder == request.holder;
        let ran_out = request.last_seen.as_ref().is_some_and(|seen| {
            seen.holder == record.holder
                && seen.heartbeat == etag
                && seen.unmoved_for >= Duration::from_millis(record.ttl_ms)
        });
        if !free && !ran_out {
            return Ok(Acquired::Busy(seen(request, &record, etag)));
        }
        let taken = fresh(record.open, record.beat.wrapping_add(1));
        match self.put(&request.set, &taken, Some(&etag)).await? {
            Put::Done(etag) => Ok(Self::held(request, taken, &etag)),
            Put::Lost => self.busy(request).await,
        }
    }

    async fn renew(&self, lease: &mut Lease) -> Result<()> {
        let (record, etag) = self.record(lease, &lease.holder);
        match self.put(&lease.set, &record, Some(&etag)).await? {
            Put::Done(etag) => {
                lease.version = format!("{} {etag}", record.beat);
                lease.renewed = record.renewed;
                Ok(())
            }
            Put::Lost => match self.get(&lease.set).await? {
                // Our own write, whose answer was lost.
                Some((there, etag)) if there.holder == lease.holder && there.beat == record.beat => {
                    lease.version = format!("{} {etag}", record.beat);
                    lease.renewed = there.renewed;
                    Ok(())
                }
                Some((there, _)) => Err(lost(&there.holder)),
                None => Err(lost("nobody")),
            },
        }
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn release(&self, lease: Lease, last: bool) -> Result<()> {
        let (record, etag) = self.record(&lease, "");
        if last && lease.open.is_empty() {
            let object = self.object(&lease.set).await?;
            let gone = object
                .s3
                .delete_object()
                .bucket(object.bucket())
                .key(&object.key)
                .expected_bucket_owner(object.account)
                .if_match(etag)
                .send()
                .await
                .absent(
                    "s3:DeleteObject",
                    &["PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"],
                )?;
            // Somebody who took it over since keeps it.
            drop(gone);
            return Ok(());
        }
        self.put(&lease.set, &record, Some(&etag)).await.map(|_| ())
    }
}

impl ControlBucket {
    /// Somebody was faster: who.
    async fn busy(&self, request: &LeaseRequest) -> Result<Acquired> {
        match self.get(&request.set).await? {
            Some((record, etag)) => Ok(Acquired::Busy(seen(request, &record, etag))),
            None => Ok(Acquired::Busy(LeaseSeen {
                holder: String::new(),
                heartbeat: String::new(),
                ttl: request.ttl,
                unmoved_for: Duration::ZERO,
            })),
        }
    }
}

fn seen(request: &LeaseRequest, record: &Record, etag: String) -> LeaseSeen {
    let unmoved_for = request
        .last_seen
        .as_ref()
        .filter(|seen| seen.heartbeat == etag)
        .map_or(Duration::ZERO, |seen| seen.unmoved_for);
    LeaseSeen {
        holder: record.holder.clone(),
        heartbeat: etag,
        ttl: Duration::from_millis(record.ttl_ms),
        unmoved_for,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn lost(holder: &str) -> Error {
    Error::new(ErrorKind::Locked, format!("the lease was taken over by {holder}"))
        .with_help("wait until that run is done, then plan again")
}
