//! Who may write.

use super::{Harness, Sample, Subject, Verdict, expect, expect_equal, failed};
use crate::ErrorKind;
use crate::facts::Creation;
use crate::provider::{Acquired, Lease, LeaseRequest, LeaseSeen};
use crate::resource::OpenCreate;
use std::time::Duration;

const TTL: Duration = Duration::from_secs(1);

fn request(subject: &Subject, holder: &str, last_seen: Option<LeaseSeen>) -> LeaseRequest {
    LeaseRequest {
        set: subject.set.clone(),
        holder: holder.to_owned(),
        ttl: TTL,
        last_seen,
    }
}

async fn acquire(subject: &Subject, holder: &str, seen: Option<LeaseSeen>) -> Result<Acquired, String> {
    let request = request(subject, holder, seen);
    subject
        .provider
        .lock()
        .acquire(&request)
        .await
        .map_err(failed("acquire"))
}

async fn held(subject: &Subject, holder: &str) -> Result<Lease, String> {
    subject
        .provider
        .lock()
        .prepare(&subject.set)
        .await
        .map_err(failed("prepare"))?;
    match acquire(subject, holder, None).await? {
        Acquired::Held(lease) => Ok(lease),
        Acquired::Busy(seen) => Err(format!("a free lease is held by {}", seen.holder)),
    }
}

async fn busy(subject: &Subject, holder: &str, seen: Option<LeaseSeen>) -> Result<LeaseSeen, String> {
    match acquire(subject, holder, seen).await? {
        Acquired::Busy(seen) => Ok(seen),
        Acquired::Held(_) => Err(format!("{holder} got a lease that is held")),
    }
}

pub(super) async fn one_holder_at_a_time(harness: &dyn Harness, check: &str) -> Verdict {
    let (a, b) = (Subject::new(harness, check).await?, Subject::new(harness, check).await?);
    let lease = held(&a, "a").await?;
    b.provider
        .lock()
        .prepare(&b.set)
        .await
        .map_err(failed("prepare again"))?;
    let seen = busy(&b, "b", None).await?;
    expect_equal("holder", &seen.holder.as_str(), &"a")?;
    a.provider
        .lock()
        .release(lease, false)
        .await
        .map_err(failed("release"))?;
    let lease = held(&b, "b").await?;
    b.provider
        .lock()
        .release(lease, true)
        .await
        .map_err(failed("release for good"))
}

pub(super) async fn a_lease_that_moves_is_kept(harness: &dyn Harness, check: &str) -> Verdict {
    let (a, b) = (Subject::new(harness, check).await?, Subject::new(harness, check).await?);
    let mut lease = held(&a, "a").await?;
    let seen = busy(&b, "b", None).await?;
    harness.clock().sleep(TTL / 2).await;
    a.provider.lock().renew(&mut lease).await.map_err(failed("renew"))?;
    let long_ago = LeaseSeen {
        unmoved_for: TTL * 3,
        ..seen.clone()
    };
    let moved = busy(&b, "b", Some(long_ago)).await?;
    expect(moved.heartbeat != seen.heartbeat, || {
        "a renewal does not move the heartbeat".to_owned()
    })?;
    a.provider.lock().release(lease, true).await.map_err(failed("release"))
}

pub(super) async fn a_dead_lease_is_taken_over(harness: &dyn Harness, check: &str) -> Verdict {
    let (a, b) = (Subject::new(harness, check).await?, Subject::new(harness, check).await?);
    let mut lost = held(&a, "a").await?;
    let seen = busy(&b, "b", None).await?;
    harness.clock().sleep(TTL * 2).await;
    let expired = LeaseSeen {
        unmoved_for: TTL * 2,
        ..seen
    };
    let Acquired::Held(mut lease) = acquire(&b, "b", Some(expired)).await? else {
        return Err("a lease whose heartbeat did not move for twice its time is not given over".to_owned());
    };
    match a.provider.lock().renew(&mut lost).await {
        Ok(()) => return Err("the old holder could renew".to_owned()),
        Err(why) => expect_equal("kind of the refusal", &why.kind(), &ErrorKind::Locked)?,
    }
    b.provider.lock().renew(&mut lease).await.map_err(failed("renew"))?;
    b.provider.lock().release(lease, true).await.map_err(failed("release"))
}

pub(super) async fn open_creates_survive_their_holder(harness: &dyn Harness, check: &str) -> Verdict {
    let (a, b) = (Subject::new(harness, check).await?, Subject::new(harness, check).await?);
    let Some(sample) = harness.samples(check).into_iter().next() else {
        return Ok(());
    };
    let mut lease = held(&a, "a").await?;
    let open = OpenCreate {
        id: sample.resource.id,
        token: "token-1".to_owned(),
        since: harness.clock().now(),
    };
    lease.open = vec![open.clone()];
    a.provider.lock().renew(&mut lease).await.map_err(failed("renew"))?;
    let seen = busy(&b, "b", None).await?;
    harness.clock().sleep(TTL * 2).await;
    let expired = LeaseSeen {
        unmoved_for: TTL * 2,
        ..seen
    };
    let Acquired::Held(lease) = acquire(&b, "b", Some(expired)).await? else {
        return Err("a dead lease is not given over".to_owned());
    };
    let told = |opens: &[OpenCreate]| {
        opens
            .iter()
            .map(|open| (open.id.clone(), open.token.clone()))
            .collect::<Vec<_>>()
    };
    expect_equal("open creates", &told(&lease.open), &told(std::slice::from_ref(&open)))?;
    // Where every name is exclusive nothing is ever recorded, and no plan has to ask for it.
    let records = |sample: &Sample| {
        let facts = b.provider.facts(sample.resource.id.kind());
        facts.is_some_and(|facts| facts.create != Creation::Exclusive)
    };
    if harness.samples(check).iter().any(records) {
        let observed = b.observe(&[]).await.map_err(failed("observe"))?.open;
        expect_equal("open creates in an observation", &told(&observed), &told(&[open]))?;
    }
    let cleared = Lease {
        open: Vec::new(),
        ..lease
    };
    b.provider
        .lock()
        .release(cleared, true)
        .await
        .map_err(failed("release"))
}
