#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::{Lag, World};
use crate::engine::Action;
use crate::provider::{Acquired, Interest, LeaseRequest, Lock, Preview, Provider, Write};
use crate::resource::{Live, Owner, Resolved, Resource, State};
use crate::testing::fixtures::step;
use crate::testing::{ManualClock, kinds, permit};
use crate::value::{Clock, FieldPath, Kind, Place, ResourceId, SetId};
use crate::{ErrorKind, Result};
use futures::StreamExt;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn new_world() -> (World, ManualClock) {
    let clock = ManualClock::new();
    let place = Place::kubernetes("test").unwrap();
    (World::new(place, kinds::facts, Arc::new(clock.clone())), clock)
}

fn id(text: &str) -> ResourceId {
    format!("k8s/test:{text}").parse().unwrap()
}

fn set() -> SetId {
    SetId::of("demo", "local", "")
}

/// Drives one call at a time.
struct Hand(World, ManualClock);

impl Hand {
    fn new() -> Self {
        let (world, clock) = new_world();
        let hand = Self(world, clock);
        hand.create("Namespace/db", &json!({}), "n").unwrap();
        hand
    }
    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.1.drive(future).done().unwrap()
    }
    fn create(&self, name: &str, desired: &Value, token: &str) -> Result<Live> {
        let resource = Resource::new(id(name), "test", desired.clone());
        let resolved = Resolved::new(&resource, &|_| None).unwrap();
        let set = set();
        let write = Write::Create {
            set: &set,
            resource: &resolved,
            token,
        };
        let step = step(&resource.id, Action::Create);
        self.run(self.0.write(write, permit(&step))).map(Option::unwrap)
    }
    fn update(&self, live: &Live, desired: &Value) -> Result<Live> {
        let resource = Resource::new(live.id.clone(), "test", desired.clone());
        let resolved = Resolved::new(&resource, &|_| None).unwrap();
        let set = set();
        let write = match live.owner {
            Owner::ThisSet => Write::Update {
                set: &set,
                resource: &resolved,
                live,
            },
            _ => Write::Adopt {
                set: &set,
                resource: &resolved,
                live,
            },
        };
        let step = step(&resource.id, Action::Update);
        self.run(self.0.write(write, permit(&step))).map(Option::unwrap)
    }
    fn delete(&self, live: &Live, snapshot: bool) -> Result<Option<Live>> {
        let set = set();
        let write = Write::Delete {
            set: &set,
            live,
            snapshot,
        };
        let step = step(&live.id, Action::Delete);
        self.run(self.0.write(write, permit(&step)))
    }
    fn release(&self, live: &Live) -> Result<Option<Live>> {
        let set = set();
        let step = step(&live.id, Action::Release);
        self.run(self.0.write(Write::Release { set: &set, live }, permit(&step)))
    }
    fn seen(&self, name: &str) -> Option<Live> {
        let wanted = [Resource::new(id(name), "test", json!({}))];
        self.run(self.0.observe(&set(), &wanted))
            .unwrap()
            .live
            .remove(&id(name))
    }
}

#[test]
fn an_object_lives_through_create_drift_update_and_delete() {
    let hand = Hand::new();
    let wanted = json!({"spec": {"containers": [{"name": "pg", "image": "a"}]}});
    let live = hand.create("StatefulSet.apps/db/pg", &wanted, "t").unwrap();
    assert!(matches!(live.state, State::Progressing { .. }));
    assert_eq!(*live.view, wanted, "defaults of the server do not show");
    assert_ne!(hand.0.fields(&live.id).unwrap(), wanted, "though it added some");
    assert_eq!(
        hand.create("StatefulSet.apps/db/pg", &wanted, "u").unwrap().uid,
        live.uid
    );

    let resource = Resource::new(live.id.clone(), "test", wanted.clone());
    let seen = hand
        .run(hand.0.observe(&set(), std::slice::from_ref(&resource)))
        .unwrap();
    assert!(matches!(
        hand.run(hand.0.preview(&resource, &seen)).unwrap(),
        Preview::Unchanged
    ));

    let interest = Interest::new();
    interest.add(live.id.clone());
    let mut states = hand.0.follow(interest, &seen);
    let first = hand.run(states.next()).unwrap().unwrap().1.unwrap();
    assert!(matches!(first.state, State::Progressing { .. }));
    let second = hand.run(states.next()).unwrap().unwrap().1.unwrap();
    assert_eq!(
        (second.state, hand.1.elapsed()),
        (State::Ready, Duration::from_secs(20))
    );

    let image = FieldPath::from("spec.containers[pg].image");
    assert!(hand.0.mutate(&live.id, "kubectl-edit", &image, Some(json!("b"))));
    assert!(
        hand.0
            .mutate(&live.id, "helm", &FieldPath::from("spec.other"), Some(json!(1)))
    );
    let drifted = hand.run(states.next()).unwrap().unwrap().1.unwrap();
    assert_eq!(drifted.view["spec"]["containers"][0]["image"], "b");
    assert_eq!(drifted.touched[0].1.name, "kubectl-edit");

    assert_eq!(
        hand.update(&live, &wanted).unwrap_err().kind(),
        ErrorKind::Conflict,
        "stale version"
    );
    let drifted = hand.seen("StatefulSet.apps/db/pg").unwrap();
    hand.0.touch_status(&live.id);
    let restored = hand.update(&drifted, &wanted).unwrap();
    assert_eq!((&*restored.view, restored.touched.len()), (&wanted, 0));
    assert!(
        matches!(restored.state, State::Progressing { .. }),
        "a new image restarts"
    );
    assert_eq!(
        hand.0.field(&live.id, &FieldPath::from("spec.other")),
        Some(json!(1)),
        "others keep theirs"
    );
    hand.update(&drifted, &wanted)
        .expect("a repeated write whose effect holds is harmless");

    let deleting = hand.delete(&live, false).unwrap().unwrap();
    assert!(matches!(deleting.state, State::Deleting { .. }));
    loop {
        if hand.run(states.next()).unwrap().unwrap().1.is_none() {
            break;
        }
    }
    assert!(
        hand.delete(&live, false).unwrap().is_none(),
        "deleting the absent is harmless"
    );
    assert!(hand.update(&drifted, &wanted).is_err());
}

#[test]
fn the_server_refuses() {
    let hand = Hand::new();
    let size = |text: &str| json!({"spec": {"size": text, "class": "fast"}});
    let volume = hand.create("PersistentVolumeClaim/db/data", &size("2Gi"), "t").unwrap();
    let smaller = hand.update(&volume, &size("1Gi")).unwrap_err();
    assert_eq!(smaller.kind(), ErrorKind::Invalid, "{smaller}");
    assert_eq!(
        hand.update(&volume, &json!({"spec": {"size": "2Gi", "class": "slow"}}))
            .unwrap_err()
            .kind(),
        ErrorKind::Invalid
    );
    hand.update(&volume, &size("3Gi")).unwrap();

    let elsewhere = hand.create("ConfigMap/nowhere/a", &json!({}), "t").unwrap_err();
    assert_eq!(elsewhere.kind(), ErrorKind::NotFound);
    hand.0.limit(&Kind::new("ConfigMap").unwrap(), Some("db"), 1);
    hand.create("ConfigMap/db/a", &json!({}), "t").unwrap();
    assert_eq!(
        hand.create("ConfigMap/db/b", &json!({}), "t").unwrap_err().kind(),
        ErrorKind::QuotaExceeded
    );
    hand.0.forbid(&Kind::new("Secret").unwrap(), Some(crate::Verb::Create));
    assert_eq!(
        hand.create("Secret/db/s", &json!({}), "t").unwrap_err().kind(),
        ErrorKind::Forbidden
    );

    hand.0.plant(
        &set(),
        &Owner::Other("helm".to_owned()),
        &id("Secret/db/theirs"),
        &json!({"data": {}}),
    );
    hand.0.permit_all();
    assert_eq!(
        hand.create("Secret/db/theirs", &json!({}), "t").unwrap_err().kind(),
        ErrorKind::Foreign
    );
    assert!(
        hand.seen("Secret/db/theirs").is_none(),
        "a list by label does not show it"
    );
    let wanted = Resource::new(id("Secret/db/theirs"), "test", json!({}));
    let seen = hand.run(hand.0.observe(&set(), std::slice::from_ref(&wanted))).unwrap();
    match hand.run(hand.0.preview(&wanted, &seen)).unwrap() {
        Preview::Change { found: Some(found), .. } => assert_eq!(found.owner, Owner::Other("helm".to_owned())),
        other => panic!("{other:?}"),
    }

    let same_name_later = Live {
        uid: crate::value::Uid::new("older"),
        ..volume
    };
    assert_eq!(
        hand.delete(&same_name_later, false).unwrap_err().kind(),
        ErrorKind::Conflict,
        "uid precondition"
    );
}

#[test]
fn rows_live_as_long_as_their_object() {
    let hand = Hand::new();
    let volume = |name: &str| {
        hand.create(&format!("PersistentVolumeClaim/db/{name}"), &json!({}), "t")
            .unwrap()
    };
    let (a, b, c) = (volume("a"), volume("b"), volume("c"));
    for live in [&a, &b, &c] {
        hand.0.seed_data(&live.id, &["row"]).unwrap();
    }
    hand.release(&a).unwrap();
    let kept = hand.seen("PersistentVolumeClaim/db/a").unwrap();
    assert_eq!(
        (kept.owner.clone(), hand.0.data(&a.id).unwrap().len()),
        (Owner::Retained, 1)
    );
    let adopted = hand.update(&kept, &json!({})).unwrap();
    assert_eq!((adopted.owner, adopted.uid), (Owner::ThisSet, a.uid.clone()));
    hand.delete(&b, true).unwrap();
    assert_eq!((hand.0.losses().len(), hand.0.snapshots().len()), (0, 1));
    let namespace = hand.seen("Namespace/db").unwrap();
    hand.delete(&namespace, false).unwrap();
    hand.1.advance(Duration::from_mins(1));
    assert!(hand.0.ids().is_empty(), "a namespace takes everything along");
    let lost: Vec<_> = hand.0.losses().into_iter().map(|loss| loss.uid).collect();
    assert_eq!(lost, [a.uid, c.uid]);
}

#[test]
fn creates_are_as_safe_as_their_kind() {
    for (kind, same_token, objects) in [
        ("ConfigMap", false, 1),
        ("test.Key", true, 1),
        ("test.Key", false, 2),
        ("test.Alarm", false, 1),
        ("test.Queue", true, 2),
    ] {
        let hand = Hand::new();
        let name = format!("{kind}/x");
        let first = hand.create(&name, &json!({"a": 1}), "one").unwrap();
        let second = hand
            .create(&name, &json!({"a": 1}), if same_token { "one" } else { "two" })
            .unwrap();
        assert_eq!(first.uid == second.uid, objects == 1, "{kind}");
        assert_eq!(!hand.0.duplicates().is_empty(), objects == 2, "{kind}");
    }
    let hand = Hand::new();
    let old = hand.create("test.Alarm/x", &json!({"a": 1}), "one").unwrap();
    let new = hand.create("test.Alarm/x", &json!({"a": 2}), "two").unwrap();
    assert_eq!(
        (old.uid, &*new.view),
        (new.uid, &json!({"a": 2})),
        "an upsert overwrites"
    );
}

#[test]
fn reads_may_lag() {
    let (world, clock) = new_world();
    let window = Duration::from_secs(10);
    let hand = Hand(world.with_lag(Lag { writes: 2, window }), clock);
    hand.create("test.Queue/q", &json!({}), "t").unwrap();
    hand.create("ConfigMap/c", &json!({}), "t").unwrap();
    assert!(hand.seen("test.Queue/q").is_none(), "two writes behind");
    assert!(hand.seen("ConfigMap/c").is_some(), "exclusive kinds read their writes");
    hand.create("ConfigMap/d", &json!({}), "t").unwrap();
    let live = hand.seen("test.Queue/q").expect("two writes later it shows");
    hand.delete(&live, false).unwrap();
    assert!(hand.seen("test.Queue/q").is_some());
    hand.1.advance(window);
    assert!(hand.seen("test.Queue/q").is_none(), "or after the window");
}

#[test]
fn secrets_are_made_once_and_never_held() {
    let hand = Hand::new();
    let recipe = |length: u32| json!({"data": {"password": {"$secret": {"recipe": "generate", "length": length}}}});
    let copy =
        json!({"data": {"p": {"$secret": {"recipe": "copy", "from": "k8s/test:Secret/db/s", "key": "password"}}}});
    let live = hand.create("Secret/db/s", &recipe(24), "t").unwrap();
    hand.create("Secret/db/copy", &copy, "t").unwrap();
    let first = hand.0.secrets(&live.id)[".data.password"].clone();
    assert_eq!(hand.0.secrets(&id("Secret/db/copy"))[".data.p"], first);
    hand.update(&live, &recipe(32)).unwrap();
    assert_eq!(hand.0.secrets(&live.id)[".data.password"], first, "never made again");
    assert_eq!(*live.view, recipe(24));
}

#[test]
fn a_saved_world_goes_on() {
    let hand = Hand::new();
    let saved = Arc::new(std::sync::Mutex::new(Vec::new()));
    let copy = Arc::clone(&saved);
    hand.0.on_change(move |bytes| {
        *copy.lock().unwrap() = bytes.to_vec();
        Ok(())
    });
    let live = hand
        .create("PersistentVolumeClaim/db/a", &json!({"spec": {"size": "1Gi"}}), "t")
        .unwrap();
    let bytes = saved.lock().unwrap().clone();
    assert!(String::from_utf8(bytes.clone()).unwrap().contains(World::LABEL));
    let (other, _) = new_world();
    other.restore(&bytes).unwrap();
    assert_eq!(other.uid(&live.id), Some(live.uid));
    assert_eq!(other.snapshot().unwrap(), bytes);
    assert_eq!(other.restore(b"{}").unwrap_err().kind(), ErrorKind::Invalid);
    hand.0
        .on_change(|_| Err(crate::Error::new(ErrorKind::Unavailable, "disk full")));
    assert!(hand.create("ConfigMap/db/x", &json!({}), "t").is_err());
}

#[test]
fn one_holder_at_a_time() {
    let hand = Hand::new();
    let request = |holder: &str, last_seen| LeaseRequest {
        set: set(),
        holder: holder.to_owned(),
        ttl: Duration::from_mins(1),
        last_seen,
    };
    assert_eq!(
        hand.run(hand.0.acquire(&request("a", None))).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    hand.run(hand.0.prepare(&set())).unwrap();
    let Acquired::Held(mut mine) = hand.run(hand.0.acquire(&request("a", None))).unwrap() else {
        panic!()
    };
    let Acquired::Busy(mut seen) = hand.run(hand.0.acquire(&request("b", None))).unwrap() else {
        panic!()
    };
    hand.run(hand.0.renew(&mut mine)).unwrap();
    seen.unmoved_for = Duration::from_secs(61);
    let Acquired::Busy(mut seen) = hand.run(hand.0.acquire(&request("b", Some(seen)))).unwrap() else {
        panic!("a heartbeat that moved keeps the lease")
    };
    seen.unmoved_for = Duration::from_secs(61);
    let Acquired::Held(theirs) = hand.run(hand.0.acquire(&request("b", Some(seen)))).unwrap() else {
        panic!()
    };
    assert_eq!(hand.run(hand.0.renew(&mut mine)).unwrap_err().kind(), ErrorKind::Locked);
    assert!(hand.run(hand.0.release(mine, false)).is_err());
    hand.run(hand.0.release(theirs, false)).unwrap();
    assert!(matches!(
        hand.run(hand.0.acquire(&request("c", None))).unwrap(),
        Acquired::Held(_)
    ));
}
