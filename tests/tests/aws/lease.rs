//! The lease object: one holder, takeover of what does not move, open creates that outlive a run.

use crate::emulators::Account;
use crate::platform::{Platform, apply, plan};
use platform_core::value::SetId;
use platform_core::{Acquired, ErrorKind, Lease, LeaseRequest, LeaseSeen, OpenCreate, Provider};
use std::time::Duration;

fn wish(set: &SetId, holder: &str, last_seen: Option<LeaseSeen>) -> LeaseRequest {
    LeaseRequest {
        set: set.clone(),
        holder: holder.to_owned(),
        ttl: Duration::from_secs(1),
        last_seen,
    }
}

fn held(acquired: Acquired) -> Lease {
    match acquired {
        Acquired::Held(lease) => lease,
        Acquired::Busy(seen) => panic!("held by {}", seen.holder),
    }
}

fn busy(acquired: Acquired) -> LeaseSeen {
    match acquired {
        Acquired::Busy(seen) => seen,
        Acquired::Held(_) => panic!("it is held by somebody"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_holders() {
    let account = Account::new();
    let provider = account.provider();
    let lock = provider.lock();
    let set = SetId::of("lease", "dev", "");
    lock.prepare(&set).await.unwrap();
    lock.prepare(&set).await.unwrap();

    let mut a = held(lock.acquire(&wish(&set, "a", None)).await.unwrap());
    let seen = busy(lock.acquire(&wish(&set, "b", None)).await.unwrap());
    assert_eq!((seen.holder.as_str(), seen.ttl), ("a", Duration::from_secs(1)));
    a.open.push(OpenCreate {
        id: "aws/eu-west-1:kms.Key/x".parse().unwrap(),
        token: "t".into(),
        since: account.clock.now(),
    });
    lock.renew(&mut a).await.unwrap();
    let waited = |seen: LeaseSeen| LeaseSeen {
        unmoved_for: Duration::from_secs(2),
        ..seen
    };
    let seen = busy(lock.acquire(&wish(&set, "b", Some(waited(seen)))).await.unwrap());
    assert_eq!(seen.unmoved_for, Duration::ZERO, "the heartbeat moved");
    let b = held(lock.acquire(&wish(&set, "b", Some(waited(seen)))).await.unwrap());
    assert_eq!(b.open, a.open, "what a run left open goes on to the next");
    assert_eq!(lock.renew(&mut a).await.unwrap_err().kind(), ErrorKind::Locked);

    // Given back with an open create it stays on record, and is seen by everybody.
    lock.release(b, true).await.unwrap();
    assert_eq!(provider.observe(&set, &[]).await.unwrap().open.len(), 1);
    let mut c = held(lock.acquire(&wish(&set, "c", None)).await.unwrap());
    c.open.clear();
    lock.release(c, true).await.unwrap();
    assert!(provider.observe(&set, &[]).await.unwrap().open.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_gets_it() {
    let account = Account::new();
    let set = SetId::of("race", "dev", "");
    let providers: Vec<_> = (0..12).map(|_| account.provider()).collect();
    futures::future::try_join_all(providers.iter().map(|provider| provider.lock().prepare(&set)))
        .await
        .unwrap();
    for round in 0..5 {
        let tries = providers.iter().enumerate().map(|(number, provider)| {
            let set = &set;
            async move {
                provider
                    .lock()
                    .acquire(&wish(set, &format!("{round}-{number}"), None))
                    .await
                    .unwrap()
            }
        });
        let leases: Vec<Lease> = futures::future::join_all(tries)
            .await
            .into_iter()
            .filter_map(|acquired| match acquired {
                Acquired::Held(lease) => Some(lease),
                Acquired::Busy(_) => None,
            })
            .collect();
        assert_eq!(leases.len(), 1, "round {round}");
        for lease in leases {
            providers[0].lock().release(lease, round % 2 == 0).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_is_told_who_holds_it() {
    let account = Account::new().with_speed(20);
    let platform = Platform::of(&account);
    let set = platform.set.clone();
    let provider = account.provider();
    provider.lock().prepare(&set).await.unwrap();
    let mut lease = held(
        provider
            .lock()
            .acquire(&LeaseRequest {
                ttl: Duration::from_secs(30),
                ..wish(&set, "ann@laptop:7:x", None)
            })
            .await
            .unwrap(),
    );
    let engine = account.engine("bob");
    let first = plan(&engine, &platform.request()).await;
    let beats = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            provider.lock().renew(&mut lease).await.unwrap();
        }
    };
    let none = platform_core::engine::Approvals::none();
    let mut ignore = |_| {};
    let refused = tokio::select! {
        () = beats => unreachable!(),
        outcome = engine.apply(&first, &none, &mut ignore) => outcome.unwrap_err(),
    };
    assert_eq!(refused.kind(), ErrorKind::Locked);
    assert!(refused.to_string().contains("ann@laptop:7:x"), "{refused}");
    // A holder that stopped is waited out.
    apply(&engine, &first).await;
}
