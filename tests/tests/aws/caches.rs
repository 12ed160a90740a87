//! A cache that is busy: while it is made, changed, or makes a snapshot.

use crate::emulators::Account;
use crate::kinds::{self, Case};
use crate::platform::{apply, apply_with, everything, plan};
use platform_core::engine::{Action, PlanRequest};
use platform_core::{OnRemoval, Owner, State};

fn cache(account: &Account) -> Case {
    kinds::all(account).pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_at_night_disturbs_neither_plan_nor_change() {
    let account = Account::new().with_speed(50);
    let engine = account.engine("a");
    let mut request = kinds::request(&account);
    apply(&engine, &plan(&engine, &request).await).await;
    assert_eq!(account.cache.refused(), 0, "tags were not asked for while it was made");
    let case = cache(&account);
    let name = case.id.name().as_str();

    account.cache.snapshotting(name);
    let busy = account.provider();
    let seen = {
        use platform_core::Provider;
        busy.observe(&request.set, &request.resources).await.unwrap()
    };
    let live = &seen.live[&case.id];
    assert!(
        matches!(&live.state, State::Progressing { what } if what == "snapshotting"),
        "{live:?}"
    );
    assert_eq!(live.owner, Owner::ThisSet, "known by the tagging API");
    assert!(account.cache.refused() > 0);

    account.cache.snapshotting(name);
    *request.resources.last_mut().unwrap() = case.resource(&case.second);
    let change = plan(&engine, &request).await;
    assert_eq!(change.step(&case.id).unwrap().action, Action::Update);
    account.cache.snapshotting(name);
    apply_with(&engine, &change, &everything(&change)).await;
    assert!(plan(&engine, &request).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_snapshot_has_the_name_of_the_incarnation() {
    let account = Account::new().with_speed(50);
    let engine = account.engine("a");
    let mut request = kinds::request(&account);
    let case = cache(&account);
    let cache = request.resources.pop().unwrap().with_on_removal(OnRemoval::Snapshot);
    request.resources.push(cache);
    let mut names = Vec::new();
    for _ in 0..2 {
        apply(&engine, &plan(&engine, &request).await).await;
        let gone = PlanRequest::destroy(request.set.clone());
        let destroy = plan(&engine, &gone).await;
        let uid = destroy.step(&case.id).unwrap().uid.clone().unwrap();
        names.push(format!("{}-final-{}", case.id.name(), &uid.as_str()[..8]));
        apply_with(&engine, &destroy, &everything(&destroy)).await;
    }
    assert_ne!(names[0], names[1]);
    assert_eq!(account.cache.snapshots(), names);
}
