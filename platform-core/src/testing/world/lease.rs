//! The lease of a set, with the creates that may be half-made.

use super::World;
use super::state::LeaseRecord;
use crate::provider::{Acquired, Lease, LeaseRequest, LeaseSeen, Lock};
use crate::value::SetId;
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use std::time::Duration;

#[async_trait]
impl Lock for World {
    async fn prepare(&self, set: &SetId) -> Result<()> {
        self.count("prepare");
        if self.state().homes.insert(set.clone()) {
            self.keep()?;
        }
        Ok(())
    }

    async fn acquire(&self, request: &LeaseRequest) -> Result<Acquired> {
        self.count("acquire");
        let now = self.shared.clock.now();
        let lease = {
            let mut state = self.state();
            if !state.homes.contains(&request.set) {
                return Err(Error::new(ErrorKind::NotFound, "the lease has no home").with_operation("acquire lease"));
            }
            let record = state.leases.entry(request.set.clone()).or_default();
            if let Some(holder) = record.holder.as_ref().filter(|holder| **holder != request.holder) {
                let heartbeat = record.heartbeat.to_string();
                let unmoved_for = match &request.last_seen {
                    Some(seen) if &seen.holder == holder && seen.heartbeat == heartbeat => seen.unmoved_for,
                    _ => Duration::ZERO,
                };
                if unmoved_for < record.ttl || record.ttl.is_zero() {
                    return Ok(Acquired::Busy(LeaseSeen {
                        holder: holder.clone(),
                        heartbeat,
                        ttl: record.ttl,
                        unmoved_for,
                    }));
                }
            }
            record.holder = Some(request.holder.clone());
            record.ttl = request.ttl;
            record.heartbeat += 1;
            Lease {
                set: request.set.clone(),
                holder: request.holder.clone(),
                ttl: request.ttl,
                open: record.open.clone(),
                version: record.heartbeat.to_string(),
                renewed: now,
            }
        };
        self.keep()?;
        Ok(Acquired::Held(lease))
    }

    async fn renew(&self, lease: &mut Lease) -> Result<()> {
        self.count("renew");
        {
            let mut state = self.state();
            let record = held(state.leases.get_mut(&lease.set), lease)?;
            record.heartbeat += 1;
            record.open.clone_from(&lease.open);
            lease.version = record.heartbeat.to_string();
        }
        lease.renewed = self.shared.clock.now();
        self.keep()
    }

    async fn release(&self, lease: Lease, last: bool) -> Result<()> {
        self.count("release lease");
        {
            let mut state = self.state();
            let record = held(state.leases.get_mut(&lease.set), &lease)?;
            record.holder = None;
            record.heartbeat += 1;
            record.open.clone_from(&lease.open);
            if last {
                state.leases.remove(&lease.set);
                state.homes.remove(&lease.set);
            }
        }
        self.keep()
    }
}

/// The record, if this lease still holds it.
fn held<'a>(record: Option<&'a mut LeaseRecord>, lease: &Lease) -> Result<&'a mut LeaseRecord> {
    let now_held_by = record.as_ref().and_then(|record| record.holder.clone());
    match record {
        Some(record) if now_held_by.as_ref() == Some(&lease.holder) => Ok(record),
        _ => Err(Error::new(
            ErrorKind::Locked,
            format!(
                "the lease was taken over by {}",
                now_held_by.as_deref().unwrap_or("nobody")
            ),
        )
        .with_operation("renew lease")),
    }
}
