//! The engine's rules, each held by a test of its own.

mod standing;

use crate::stage::{LAG, Stage, everything, kind_of, nothing};
use libtest_mimic::Trial;
use platform_core::engine::{Action, Approvals, Cause, Event, Outcome, Plan, PlanRequest};
use platform_core::testing::fixtures::{self, Wishes, id};
use platform_core::testing::{Faults, World};
use platform_core::value::{Clock as _, FieldPath, Kind, PlaceIdentity};
use platform_core::{ErrorKind, Holds, OnRemoval, Owner, Resource, Risk, Verb};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) fn trials() -> Vec<Trial> {
    [
        (
            "yesterdays_plan_applies_after_status_updates",
            yesterdays_plan_applies_after_status_updates as fn(),
        ),
        (
            "a_changed_world_is_refused_before_the_first_write",
            a_changed_world_is_refused_before_the_first_write,
        ),
        ("a_plan_is_a_value_with_a_digest", a_plan_is_a_value_with_a_digest),
        (
            "approvals_fit_one_plan_one_uid_one_risk",
            approvals_fit_one_plan_one_uid_one_risk,
        ),
        ("one_holder_writes_the_other_waits", one_holder_writes_the_other_waits),
        (
            "a_lease_is_kept_while_open_creates_are_waited_out",
            a_lease_is_kept_while_open_creates_are_waited_out,
        ),
        (
            "a_dead_lease_is_taken_over_on_a_slow_way_too",
            a_dead_lease_is_taken_over_on_a_slow_way_too,
        ),
        (
            "a_weak_create_is_not_made_again_by_the_next_run",
            a_weak_create_is_not_made_again_by_the_next_run,
        ),
        (
            "unknown_values_may_only_change_what_was_planned",
            unknown_values_may_only_change_what_was_planned,
        ),
        (
            "a_failure_skips_only_its_dependants",
            a_failure_skips_only_its_dependants,
        ),
        ("a_targeted_run_never_prunes", a_targeted_run_never_prunes),
        ("removal_goes_by_rank", removal_goes_by_rank),
        ("retained_objects_are_adopted_again", retained_objects_are_adopted_again),
        ("a_home_of_kept_data_is_kept", a_home_of_kept_data_is_kept),
        ("what_belongs_to_others_is_blocked", what_belongs_to_others_is_blocked),
        ("drift_is_restored_and_named", drift_is_restored_and_named),
        ("what_others_did_is_told_apart", what_others_did_is_told_apart),
        (
            "what_cannot_be_read_is_never_absent",
            what_cannot_be_read_is_never_absent,
        ),
        ("the_wrong_place_is_refused", the_wrong_place_is_refused),
        (
            "missing_rights_and_quotas_show_before_the_first_write",
            missing_rights_and_quotas_show_before_the_first_write,
        ),
        (
            "a_lost_password_beside_surviving_data_blocks",
            a_lost_password_beside_surviving_data_blocks,
        ),
        (
            "weaker_protection_and_its_use_never_fit_in_one_plan",
            weaker_protection_and_its_use_never_fit_in_one_plan,
        ),
        ("immutable_fields_of_data_block", immutable_fields_of_data_block),
        (
            "an_update_waits_where_the_api_takes_none_meanwhile",
            standing::an_update_waits_where_the_api_takes_none_meanwhile,
        ),
        (
            "waiting_to_update_ends_with_the_kinds_patience",
            standing::waiting_to_update_ends_with_the_kinds_patience,
        ),
        (
            "an_update_goes_out_at_once_where_the_api_takes_it",
            standing::an_update_goes_out_at_once_where_the_api_takes_it,
        ),
        (
            "a_removal_with_a_snapshot_is_asked_for",
            standing::a_removal_with_a_snapshot_is_asked_for,
        ),
        (
            "a_missing_stamp_is_added_and_the_stricter_counts_until_then",
            standing::a_missing_stamp_is_added_and_the_stricter_counts_until_then,
        ),
        (
            "what_was_renamed_is_made_anew_before_the_old_one_goes",
            standing::what_was_renamed_is_made_anew_before_the_old_one_goes,
        ),
        (
            "renamed_data_is_never_left_behind",
            standing::renamed_data_is_never_left_behind,
        ),
    ]
    .into_iter()
    .map(|(name, run)| crate::trial(&format!("rules::{name}"), run))
    .collect()
}

fn standing(wishes: &Wishes) -> Stage {
    let stage = Stage::new();
    stage.settle(&wishes.request(), &nothing).unwrap();
    stage.clock.advance(LAG.window);
    stage
}

fn bigger() -> Wishes {
    Wishes {
        database: Some(20),
        ..Wishes::default()
    }
}

fn yesterdays_plan_applies_after_status_updates() {
    let stage = standing(&Wishes::default());
    let plan = stage.plan(&bigger().request()).unwrap();
    stage.clock.advance(Duration::from_hours(24));
    for _ in 0..1000 {
        for object in stage.world.ids() {
            stage.world.touch_status(&object);
        }
    }
    let report = stage.apply(&plan, &Approvals::none()).unwrap();
    assert!(report.is_success(), "{:?}", report.outcomes);
    let size = stage.world.field(
        &id("PersistentVolumeClaim/database/data"),
        &FieldPath::from("spec.size"),
    );
    assert_eq!(size, Some(json!("20Gi")));
}

fn a_changed_world_is_refused_before_the_first_write() {
    let limits = id("ConfigMap/limits");
    for (what, act) in [
        (
            "drift",
            (|world: &World| {
                world.mutate(
                    &id("ConfigMap/limits"),
                    "kubectl-edit",
                    &FieldPath::from("data.value"),
                    Some(json!("9")),
                );
            }) as fn(&World),
        ),
        ("gone", |world| {
            world.remove(&id("StatefulSet.apps/cache/valkey"));
        }),
        ("another incarnation", |world| {
            let volume = id("PersistentVolumeClaim/database/data");
            let fields = world.view(&volume).unwrap();
            world.remove(&volume);
            world.plant(&fixtures::set(), &Owner::ThisSet, &volume, &fields);
        }),
    ] {
        let stage = standing(&Wishes::default());
        let plan = stage.plan(&bigger().request()).unwrap();
        act(&stage.world);
        let before = stage.world.writes();
        let refused = stage.apply(&plan, &everything(&plan)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Stale, "{what}: {}", refused.report());
        assert_eq!(stage.world.writes(), before, "{what}");
        if what == "drift" {
            let text = refused.to_string();
            assert!(
                text.contains("kubectl-edit") && text.contains(&limits.label()),
                "{text}"
            );
        }
        stage.settle(&bigger().request(), &everything).unwrap();
    }
}

fn a_plan_is_a_value_with_a_digest() {
    let stage = standing(&Wishes::default());
    let plan = stage.plan(&bigger().request()).unwrap();
    let text = plan.to_json().unwrap();
    let read = Plan::from_json(&text).unwrap();
    assert_eq!((read.digest(), &read), (plan.digest(), &plan));
    // Read at another instant it is another plan, but its steps are the same.
    stage.clock.advance(Duration::from_secs(1));
    let later = stage.plan(&bigger().request()).unwrap();
    assert_ne!(later.digest(), plan.digest());
    let steps = |plan: &Plan| {
        plan.changes()
            .map(platform_core::engine::Step::fingerprint)
            .collect::<Vec<_>>()
    };
    assert_eq!(steps(&later), steps(&plan));
    // A file that was tampered with has another digest: its approvals fit no more.
    let tampered = Plan::from_json(&text.replace("20Gi", "30Gi")).unwrap();
    assert_ne!(tampered.digest(), plan.digest());
    for broken in ["{}", "no json", &text.replacen("\"schema\": 1", "\"schema\": 2", 1)] {
        assert_eq!(kind_of(Plan::from_json(broken)), ErrorKind::Invalid);
    }
    // A settled platform: nothing to do, not one write, no lease.
    let settled = stage.plan(&Wishes::default().request()).unwrap();
    assert!(settled.is_empty());
    let before = stage.world.calls();
    let report = stage.apply(&settled, &Approvals::none()).unwrap();
    assert_eq!(report.writes, 0);
    let after = stage.world.calls();
    for call in ["acquire", "prepare", "preflight", "create", "update", "delete"] {
        assert_eq!(before.get(call), after.get(call), "{call}");
    }
}

fn approvals_fit_one_plan_one_uid_one_risk() {
    let wishes = |days| Wishes {
        buckets: [("models".to_owned(), days)].into(),
        ..Wishes::default()
    };
    let stage = standing(&wishes(30));
    let plan = stage.plan(&wishes(7).request()).unwrap();
    let [demand] = plan.demands().iter().cloned().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((demand.risk, demand.optional), (Risk::LowersProtection, false));
    let good = demand.accept("me", "change 4711");
    let now = plan.as_of;
    let mut wrong = BTreeMap::new();
    wrong.insert("none", Approvals::none());
    wrong.insert("another plan", {
        let mut approval = good.clone();
        stage.clock.advance(Duration::from_secs(1));
        approval.plan = stage.plan(&wishes(7).request()).unwrap().digest();
        Approvals::none().with(approval)
    });
    wrong.insert("another uid", {
        let mut approval = good.clone();
        approval.uid = Some(platform_core::value::Uid::new("other"));
        Approvals::none().with(approval)
    });
    wrong.insert("another risk", {
        let mut approval = good.clone();
        approval.risk = Risk::Downtime;
        Approvals::none().with(approval)
    });
    wrong.insert("another object", {
        let mut approval = good.clone();
        approval.resource = id("test.Bucket/other");
        Approvals::none().with(approval)
    });
    wrong.insert("expired", {
        let mut approval = good.clone();
        approval.expires = Some(now);
        Approvals::none().with(approval)
    });
    for (what, approvals) in wrong {
        let before = stage.world.writes();
        assert_eq!(kind_of(stage.apply(&plan, &approvals)), ErrorKind::Unapproved, "{what}");
        assert_eq!(stage.world.writes(), before, "{what}");
    }
    assert!(stage.apply(&plan, &Approvals::none().with(good)).unwrap().is_success());
    // Data is never accepted wholesale.
    let destroy = stage.plan(&PlanRequest::destroy(fixtures::set())).unwrap();
    let wholesale = destroy.demands().accept(&[Risk::DestroysData], "me", "all");
    assert_eq!(wholesale.iter().count(), 0);
}

fn one_holder_writes_the_other_waits() {
    let stage = standing(&Wishes::default());
    let (first, second) = (stage.process(&Faults::none()), stage.process(&Faults::none()));
    // The database restarts for 20 s; meanwhile somebody else wants to write.
    let newer = Wishes {
        image: 2,
        ..Wishes::default()
    };
    let grown = bigger();
    let request = newer.request();
    let long = async {
        let plan = first.plan(&request).await?;
        first.apply(&plan, &Approvals::none(), &mut |_| {}).await
    };
    let mut locked = 0;
    let request = grown.request();
    let late = async {
        let plan = second.plan(&request).await?;
        stage.clock.sleep(Duration::from_secs(2)).await;
        second
            .apply(&plan, &Approvals::none(), &mut |event| {
                locked += u32::from(matches!(event, Event::Locked { .. }));
            })
            .await
    };
    let (long, late) = stage.clock.drive(futures::future::join(long, late)).done().unwrap();
    assert!(long.unwrap().is_success());
    let refused = late.unwrap_err();
    assert!(
        matches!(refused.kind(), ErrorKind::Locked | ErrorKind::Stale),
        "{}",
        refused.report()
    );
    if refused.kind() == ErrorKind::Locked {
        assert!(refused.to_string().contains("process-"), "{refused}");
        assert!(locked > 0);
    }
}

/// The queue's create was sent just before the process died; the next run waits the window out, holding the lease.
fn a_lease_is_kept_while_open_creates_are_waited_out() {
    let request = PlanRequest {
        resources: vec![Resource::new(id("test.Queue/jobs"), "queues", json!({"delay": 5}))],
        ..Wishes::default().request()
    };
    let calls = {
        let trial = Stage::new();
        let counting = Faults::none();
        trial.run(&counting, &request, &nothing).done().unwrap().unwrap();
        counting.calls()
    };
    let mut waited = 0;
    for n in 1..=calls {
        let stage = Stage::new();
        let faults = Faults::none().kill_at(n, platform_core::testing::Side::After);
        stage.run(&faults, &request, &nothing);
        let (first, second) = (stage.process(&Faults::none()), stage.process(&Faults::none()));
        let go = async |engine: &platform_core::engine::Engine, after: u64| {
            stage.clock.sleep(Duration::from_secs(after)).await;
            let plan = engine.plan(&request).await?;
            engine.apply(&plan, &Approvals::none(), &mut |_| {}).await
        };
        let both = futures::future::join(go(&first, 0), go(&second, 12));
        let (one, two) = stage.clock.drive(both).done().unwrap();
        assert!(
            one.as_ref().is_ok_and(platform_core::engine::Report::is_success),
            "{n}: {one:?}"
        );
        waited += u32::from(two.is_err_and(|why| why.kind() == ErrorKind::Locked));
        assert!(stage.world.duplicates().is_empty(), "{n}");
    }
    assert!(waited > 0, "nobody was ever kept out while a window was waited out");
}

/// Any one call of the next run takes longer than the lease of the dead one lives.
fn a_dead_lease_is_taken_over_on_a_slow_way_too() {
    let request = Wishes::default().request();
    let counting = Faults::none();
    Stage::new().run(&counting, &request, &nothing).done().unwrap().unwrap();
    for slow in 1..=counting.calls() {
        let stage = Stage::new();
        // it dies as it gives the lease back
        let dying = Faults::none().kill_at(counting.calls(), platform_core::testing::Side::Before);
        stage.run(&dying, &request, &nothing);
        assert!(dying.is_dead());
        let clock = stage.clock.clone();
        let slowly = Faults::none().intrude_at(slow, move || clock.advance(Duration::from_secs(30)));
        let other = PlanRequest {
            resources: Vec::new(),
            ..request.clone()
        };
        let ended = stage.run(&slowly, &other, &nothing).done().unwrap();
        let refused = ended.is_err_and(|why| why.kind() == ErrorKind::Locked);
        assert!(!refused, "slow at call {slow}");
    }
}

fn a_weak_create_is_not_made_again_by_the_next_run() {
    for kind in ["test.Key", "test.Queue"] {
        let stage = Stage::new();
        let request = PlanRequest {
            resources: vec![Resource::new(id(&format!("{kind}/one")), "weak", json!({"a": 1}))],
            ..Wishes::default().request()
        };
        for _ in 0..3 {
            stage.settle(&request, &nothing).unwrap();
        }
        assert!(stage.world.duplicates().is_empty(), "{kind}");
        assert_eq!(stage.world.calls()["create"], 1, "{kind}");
    }
}

fn unknown_values_may_only_change_what_was_planned() {
    // The key is gone: its id, which the bucket and the queue hold, is known only after it is made anew.
    let stage = standing(&Wishes::default());
    stage.world.remove(&id("test.Key/main"));
    let request = Wishes::default().request();
    let plan = stage.plan(&request).unwrap();
    let bucket = plan.step(&id("test.Bucket/models")).unwrap();
    assert_eq!(bucket.action, Action::Update);
    assert!(
        bucket.changes.iter().all(|change| change.unknown),
        "{:?}",
        bucket.changes
    );
    assert!(stage.apply(&plan, &Approvals::none()).unwrap().is_success());
    stage.clock.advance(LAG.window);
    assert!(stage.plan(&request).unwrap().is_empty());
}

fn a_failure_skips_only_its_dependants() {
    let stage = Stage::new();
    let request = Wishes::default().request();
    let plan = stage.plan(&request).unwrap();
    // The database's volume comes to be, and fails.
    let volume = id("PersistentVolumeClaim/database/data");
    let world = stage.world.clone();
    let report = stage
        .apply_telling(&plan, &Approvals::none(), &mut |event| {
            if let Event::Waiting { id, .. } = &event
                && *id == volume
            {
                world.fail(id, Some("no space left in the zone"));
            }
        })
        .unwrap();
    assert!(!report.is_success());
    let workload = id("StatefulSet.apps/database/postgres");
    match (&report.outcomes[&volume], &report.outcomes[&workload]) {
        (Outcome::Failed(why), Outcome::Skipped(because)) => {
            assert!(why.to_string().contains("no space left"), "{why}");
            assert_eq!(because, &volume);
        }
        other => panic!("{other:?}"),
    }
    let skipped = report
        .outcomes
        .values()
        .filter(|outcome| matches!(outcome, Outcome::Skipped(_)))
        .count();
    assert_eq!(skipped, 1, "{:?}", report.outcomes);
    assert!(matches!(
        report.outcomes[&id("StatefulSet.apps/cache/valkey")],
        Outcome::Done(Action::Create)
    ));
    stage.world.fail(&volume, None);
    stage.settle(&request, &nothing).unwrap();
}

fn a_targeted_run_never_prunes() {
    let stage = standing(&Wishes::default());
    let without = Wishes {
        cache: false,
        settings: BTreeMap::new(),
        image: 2,
        ..Wishes::default()
    };
    let request = without.request().with_only(["database".to_owned()]);
    let plan = stage.plan(&request).unwrap();
    let touched: Vec<_> = plan.changes().map(|step| step.id.clone()).collect();
    assert_eq!(touched, [id("StatefulSet.apps/database/postgres")]);
    let before = stage.world.ids();
    assert!(stage.apply(&plan, &Approvals::none()).unwrap().is_success());
    assert_eq!(stage.world.ids(), before);
}

fn removal_goes_by_rank() {
    let stage = standing(&Wishes::default());
    let plan = stage.plan(&PlanRequest::destroy(fixtures::set())).unwrap();
    let approvals = everything(&plan);
    let mut ended = Vec::new();
    let report = stage
        .apply_telling(&plan, &approvals, &mut |event| {
            if let Event::Done { id, .. } = event {
                ended.push(platform_core::testing::kinds::facts(id.kind()).unwrap().rank);
            }
        })
        .unwrap();
    assert!(report.is_success(), "{:?}", report.outcomes);
    assert!(
        ended.len() > 8 && ended.is_sorted_by(|earlier, later| earlier >= later),
        "{ended:?}"
    );
    // Retained without holding anything: the namespace stays.
    assert_eq!(stage.world.ids(), [id("Namespace/database")].into());
}

fn retained_objects_are_adopted_again() {
    let stage = standing(&Wishes::default());
    let seeded = stage.seed();
    let secrets = stage.secrets();
    let report = stage.settle(&PlanRequest::destroy(fixtures::set()), &nothing).unwrap();
    let kept: Vec<String> = report.left.iter().map(|live| live.id.kind().to_string()).collect();
    for kind in [
        "PersistentVolumeClaim",
        "Secret",
        "Namespace",
        "test.Key",
        "test.Bucket",
    ] {
        assert!(kept.iter().any(|other| other == kind), "{kind}: {kept:?}");
    }
    assert!(report.left.iter().all(|live| live.owner == Owner::Retained));
    stage.clock.advance(LAG.window);
    let again = stage.plan(&Wishes::default().request()).unwrap();
    assert_eq!(
        again.step(&id("PersistentVolumeClaim/database/data")).unwrap().action,
        Action::Adopt
    );
    assert!(again.demands().is_empty());
    assert!(stage.apply(&again, &Approvals::none()).unwrap().is_success());
    for (object, rows) in seeded {
        if stage.world.data(&object).is_none() {
            assert!(
                ["cache/data", "jobs"].contains(&object.name().as_str()),
                "{object} lost {rows:?}"
            );
        }
    }
    let now = stage.secrets();
    assert_eq!(now, secrets, "the same password");
}

/// A namespace that may go holds a volume that may not.
fn a_home_of_kept_data_is_kept() {
    let stage = Stage::new();
    let (home, volume) = (id("Namespace/lab"), id("PersistentVolumeClaim/lab/data"));
    let request = |resources| PlanRequest {
        resources,
        ..Wishes::default().request()
    };
    let with_volume = request(vec![
        Resource::new(home.clone(), "lab", json!({})),
        Resource::new(volume.clone(), "lab", json!({"spec": {"size": "1Gi"}})).with_after(home.clone()),
    ]);
    stage.settle(&with_volume, &nothing).unwrap();
    stage.world.seed_data(&volume, &["row"]).unwrap();
    stage.settle(&request(Vec::new()), &nothing).unwrap();
    assert_eq!(stage.world.data(&volume).map(|rows| rows.len()), Some(1));
    // Also later, when the volume is retained already.
    stage
        .settle(&request(vec![Resource::new(home.clone(), "lab", json!({}))]), &nothing)
        .unwrap();
    stage.settle(&request(Vec::new()), &nothing).unwrap();
    assert_eq!(stage.world.data(&volume).map(|rows| rows.len()), Some(1));
    assert_eq!(stage.world.losses(), []);
}

fn what_belongs_to_others_is_blocked() {
    let limits = id("ConfigMap/limits");
    for (owner, adoptable) in [(Owner::Nobody, true), (Owner::Other("helm".to_owned()), false)] {
        let stage = Stage::new();
        stage.world.plant(
            &fixtures::set(),
            &owner,
            &limits,
            &json!({"data": {"value": "theirs", "more": "1"}}),
        );
        let request = Wishes::default().request();
        let plan = stage.plan(&request).unwrap();
        assert_eq!(plan.step(&limits).unwrap().action, Action::Blocked);
        assert_eq!(kind_of(stage.apply(&plan, &Approvals::none())), ErrorKind::Blocked);
        assert_eq!(stage.world.writes(), 0);
        let named = request.with_adopt([limits.clone()]);
        let plan = stage.plan(&named).unwrap();
        let expected = if adoptable { Action::Adopt } else { Action::Blocked };
        assert_eq!(plan.step(&limits).unwrap().action, expected);
        if adoptable {
            assert!(stage.apply(&plan, &everything(&plan)).unwrap().is_success());
            let fields = stage.world.fields(&limits).unwrap();
            assert_eq!(
                (&fields["data"]["value"], &fields["data"]["more"]),
                (&json!("1"), &json!("1"))
            );
        }
    }
}

fn drift_is_restored_and_named() {
    let stage = standing(&Wishes::default());
    let limits = id("ConfigMap/limits");
    let path = FieldPath::from("data.value");
    stage.world.mutate(&limits, "kubectl-edit", &path, Some(json!("9")));
    stage
        .world
        .mutate(&limits, "helm", &FieldPath::from("data.others"), Some(json!("1")));
    let request = Wishes::default().request();
    let plan = stage.plan(&request).unwrap();
    let step = plan.step(&limits).unwrap();
    assert_eq!(
        (step.action, step.cause, step.changes.len()),
        (Action::Update, Cause::Drift, 1)
    );
    assert_eq!(step.changes[0].actor.as_ref().unwrap().name, "kubectl-edit");
    assert!(stage.apply(&plan, &Approvals::none()).unwrap().is_success());
    assert_eq!(stage.world.field(&limits, &path), Some(json!("1")));
    assert_eq!(
        stage.world.field(&limits, &FieldPath::from("data.others")),
        Some(json!("1"))
    );
}

/// What others did is told apart from what we want, also where it is both, and where the object is gone.
fn what_others_did_is_told_apart() {
    let mut wishes = Wishes {
        settings: ["gone", "limits", "ours"].map(|name| (name.to_owned(), 1)).into(),
        ..Wishes::default()
    };
    let stage = standing(&wishes);
    let mends = |wishes: &Wishes| -> Vec<String> {
        let plan = stage.plan(&wishes.request()).unwrap();
        plan.mends().map(|step| step.id.name().to_string()).collect()
    };
    wishes
        .settings
        .extend([("limits".to_owned(), 2), ("ours".to_owned(), 2)]);
    assert_eq!(mends(&wishes), [""; 0]);
    let path = FieldPath::from("data.value");
    stage
        .world
        .mutate(&id("ConfigMap/limits"), "kubectl-edit", &path, Some(json!("9")));
    assert!(stage.world.remove(&id("ConfigMap/gone")));
    assert_eq!(mends(&wishes), ["gone", "limits"]);
    let empty = Stage::new();
    assert_eq!(empty.plan(&wishes.request()).unwrap().mends().count(), 0);
}

fn what_cannot_be_read_is_never_absent() {
    let stage = standing(&Wishes::default());
    stage.world.forbid(&Kind::new("PersistentVolumeClaim").unwrap(), None);
    let plan = stage.plan(&Wishes::default().request()).unwrap();
    assert_eq!(
        plan.step(&id("PersistentVolumeClaim/database/data")).unwrap().action,
        Action::Blocked
    );
    assert_eq!(kind_of(stage.apply(&plan, &Approvals::none())), ErrorKind::Blocked);
}

fn the_wrong_place_is_refused() {
    let stage = standing(&Wishes::default());
    let plan = stage.plan(&bigger().request()).unwrap();
    let other = Stage::new();
    let elsewhere = other
        .world
        .clone()
        .with_identity(PlaceIdentity("another cluster".to_owned()));
    assert_eq!(kind_of(other.apply(&plan, &Approvals::none())), ErrorKind::WrongPlace);
    assert_eq!(elsewhere.writes(), 0);
}

fn missing_rights_and_quotas_show_before_the_first_write() {
    let request = Wishes::default().request();
    let stage = Stage::new();
    stage.world.forbid(&Kind::new("Secret").unwrap(), Some(Verb::Create));
    let plan = stage.plan(&request).unwrap();
    let refused = stage.apply(&plan, &Approvals::none()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
    assert!(refused.to_string().contains("Secret"), "{refused}");
    assert_eq!(stage.world.writes(), 0);
    stage.world.permit_all();
    stage.world.limit(&Kind::new("PersistentVolumeClaim").unwrap(), None, 1);
    assert!(stage.apply(&plan, &Approvals::none()).is_err());
    assert_eq!(stage.world.writes(), 0);
    stage.world.lift_limits();
    assert!(stage.apply(&plan, &Approvals::none()).unwrap().is_success());
}

fn a_lost_password_beside_surviving_data_blocks() {
    let stage = standing(&Wishes::default());
    stage.world.remove(&id("Secret/database/password"));
    let plan = stage.plan(&Wishes::default().request()).unwrap();
    let step = plan.step(&id("Secret/database/password")).unwrap();
    assert_eq!(step.action, Action::Blocked);
    assert!(
        step.blocked.as_ref().unwrap().why.contains("data"),
        "{:?}",
        step.blocked
    );
}

/// A wish that an object shall hold nothing cannot be used to delete it in the same plan.
fn weaker_protection_and_its_use_never_fit_in_one_plan() {
    let stage = Stage::new();
    let bucket = id("test.Bucket/precious");
    let request = |resource: Option<Resource>| PlanRequest {
        resources: resource.into_iter().collect(),
        ..Wishes::default().request()
    };
    let kept = Resource::new(bucket.clone(), "storage", json!({"versioning": true})).with_holds(Holds::Durable);
    stage
        .settle(
            &request(Some(kept.clone().with_on_removal(OnRemoval::Retain))),
            &nothing,
        )
        .unwrap();
    stage.world.seed_data(&bucket, &["row"]).unwrap();
    let weaker = kept.with_holds(Holds::Nothing).with_on_removal(OnRemoval::Delete);
    let plan = stage.plan(&request(Some(weaker.clone()))).unwrap();
    assert!(
        plan.demands()
            .iter()
            .any(|demand| demand.risk == Risk::LowersProtection && !demand.optional)
    );
    assert_eq!(kind_of(stage.apply(&plan, &Approvals::none())), ErrorKind::Unapproved);
    let gone = stage.plan(&request(None)).unwrap();
    assert_eq!(gone.step(&bucket).unwrap().action, Action::Release);
    assert!(stage.apply(&gone, &Approvals::none()).unwrap().is_success());
    assert_eq!(stage.world.data(&bucket).map(|rows| rows.len()), Some(1));
}

fn immutable_fields_of_data_block() {
    let stage = standing(&Wishes {
        database: Some(20),
        ..Wishes::default()
    });
    let smaller = Wishes::default().request();
    let plan = stage.plan(&smaller).unwrap();
    let step = plan.step(&id("PersistentVolumeClaim/database/data")).unwrap();
    assert_eq!(step.action, Action::Blocked);
    assert!(
        step.blocked.as_ref().unwrap().why.contains("only grows"),
        "{:?}",
        step.blocked
    );
    assert_eq!(kind_of(stage.apply(&plan, &Approvals::none())), ErrorKind::Blocked);
}
