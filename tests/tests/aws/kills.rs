//! A run that is killed at any of its calls leaves nothing that the next run does not mend.

use crate::emulators::Account;
use crate::kinds;
use crate::networks;
use crate::platform::{Platform, apply, apply_with, everything, plan};
use platform_core::Provider;
use platform_core::engine::{Action, Engine, Plan, PlanRequest};
use platform_core::value::SetId;
use xtask::proxy::{Fault, Proxy, Rule};

/// Keys of the account that are not on their way out, with their aliases.
async fn keys(account: &Account) -> Vec<(String, Vec<String>)> {
    let kms = account.kms();
    let mut keys = Vec::new();
    for key in kms.list_keys().send().await.unwrap().keys() {
        let id = key.key_id().unwrap().to_owned();
        let metadata = kms
            .describe_key()
            .key_id(&id)
            .send()
            .await
            .unwrap()
            .key_metadata
            .unwrap();
        if metadata.enabled() {
            let aliases = kms.list_aliases().key_id(&id).send().await.unwrap();
            let names = aliases
                .aliases()
                .iter()
                .filter_map(|alias| alias.alias_name().map(str::to_owned));
            keys.push((id, names.collect()));
        }
    }
    keys
}

/// Which run is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Run {
    Apply,
    Destroy,
}

/// What is wanted of an account.
pub(crate) type Wanted = fn(&Account) -> PlanRequest;

fn small(account: &Account) -> PlanRequest {
    Platform::of(account).request()
}

impl Run {
    /// An account on which the run is next, and the plan to run.
    async fn ready(self, wanted: Wanted, speed: u32) -> (Account, Engine, Plan) {
        let account = Account::new().with_speed(speed);
        let request = wanted(&account);
        let engine = account.engine("killed");
        let mut next = plan(&engine, &request).await;
        if self == Self::Destroy {
            apply(&engine, &next).await;
            next = plan(&engine, &PlanRequest::destroy(request.set)).await;
        }
        account.forget();
        (account, engine, next)
    }
}

/// The server whose calls are counted.
pub(crate) type Pick = fn(&Account) -> &Proxy;

/// Kills a run at the n-th call that one of the emulators gets; `None` when it has fewer.
async fn killed_at(kind: Run, wanted: Wanted, pick: Pick, rule: Rule) -> Option<Account> {
    // Leases of 30 s run out in 1.5 s, the minute in which a key may stay unseen takes 3 s. Faster, and a busy machine takes
    // longer for a call than a lease lasts.
    let (account, engine, next) = kind.ready(wanted, 20).await;
    pick(&account).set_rules([rule]);
    let run = tokio::spawn(async move { engine.apply(&next, &everything(&next), &mut |_| {}).await });
    let handle = run.abort_handle();
    tokio::select! {
        () = pick(&account).stopped() => {
            handle.abort();
            pick(&account).set_rules([]);
            Some(account)
        }
        outcome = run => {
            assert!(outcome.unwrap().unwrap().is_success());
            None
        }
    }
}

/// Calls of an undisturbed run.
async fn calls(kind: Run, wanted: Wanted, pick: Pick) -> u64 {
    let (account, engine, next) = kind.ready(wanted, 12).await;
    apply_with(&engine, &next, &everything(&next)).await;
    pick(&account).calls().len() as u64
}

async fn converges(account: &Account, platform: &Platform) {
    // What the killed run had posted already is there for good.
    let before = account
        .secrets()
        .get_secret_value()
        .secret_id(platform.secret.name().as_str())
        .send()
        .await
        .ok()
        .and_then(|answer| answer.secret_string().map(str::to_owned));
    let engine = account.engine("next");
    apply(&engine, &plan(&engine, &platform.request()).await).await;
    let second = plan(&engine, &platform.request()).await;
    assert!(second.is_empty(), "{:#?}", second.changes().collect::<Vec<_>>());
    let keys = keys(account).await;
    assert_eq!(keys.len(), 1, "one key: {keys:?}");
    assert_eq!(keys[0].1, [format!("alias/{}", platform.key.name())]);
    if let Some(before) = before {
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&before).unwrap(),
            platform.value(account).await
        );
    }
}

/// After a killed apply another one makes what is wanted, and no more.
async fn settles(account: &Account, request: &PlanRequest) {
    let platform = Platform::of(account);
    if request.set == platform.set {
        return converges(account, &platform).await;
    }
    let engine = account.engine("next");
    apply(&engine, &plan(&engine, request).await).await;
    let second = plan(&engine, request).await;
    assert!(second.is_empty(), "{:#?}", second.changes().collect::<Vec<_>>());
    networks::are_single(account, request).await;
}

/// After a killed destroy another one leaves nothing, whatever the first had deleted already.
async fn is_gone(account: &Account, set: &SetId) {
    let engine = account.engine("next");
    let gone = PlanRequest::destroy(set.clone());
    let next = plan(&engine, &gone).await;
    apply_with(&engine, &next, &everything(&next)).await;
    assert!(plan(&engine, &gone).await.steps.is_empty());
    assert!(keys(account).await.is_empty(), "scheduled for deletion");
}

/// Kills at evenly spread calls, six runs at a time; says how many of how many.
pub(crate) async fn kill_everywhere(kind: Run, wanted: Wanted, pick: Pick, points: u64) {
    let total = calls(kind, wanted, pick).await;
    let step = total.div_ceil(points).max(1);
    let at: Vec<u64> = (1..=total).step_by(usize::try_from(step).unwrap()).collect();
    let mut killed = 0;
    for batch in at.chunks(6) {
        let runs = batch.iter().map(|&n| async move {
            let fault = if (n / step).is_multiple_of(2) {
                Fault::StopAfter
            } else {
                Fault::StopBefore
            };
            let killed = killed_at(kind, wanted, pick, Rule::new(fault).nth(n)).await;
            if let Some(account) = &killed {
                match kind {
                    Run::Apply => settles(account, &wanted(account)).await,
                    Run::Destroy => is_gone(account, &wanted(account).set).await,
                }
            }
            killed.is_some()
        });
        killed += futures::future::join_all(runs)
            .await
            .into_iter()
            .filter(|killed| *killed)
            .count();
    }
    println!("{kind:?} killed at {killed} of {total} calls");
    // Heartbeats make the number of calls vary a little.
    assert!(killed * 4 >= at.len() * 3, "{killed} of {}", at.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_apply_killed_at_any_call_is_finished_by_the_next() {
    kill_everywhere(Run::Apply, small, |account| &account.s3, 8).await;
    kill_everywhere(Run::Apply, small, |account| &account.ministack, 5).await;
    kill_everywhere(Run::Apply, small, |account| &account.moto, 3).await;
    kill_everywhere(Run::Apply, kinds::request, |account| &account.query, 5).await;
    kill_everywhere(Run::Apply, kinds::request, |account| &account.ministack, 6).await;
    kill_everywhere(Run::Apply, kinds::request, |account| &account.cloudwatch, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_destroy_killed_at_any_call_is_finished_by_the_next() {
    kill_everywhere(Run::Destroy, small, |account| &account.s3, 5).await;
    kill_everywhere(Run::Destroy, small, |account| &account.ministack, 4).await;
    kill_everywhere(Run::Destroy, small, |account| &account.moto, 3).await;
    kill_everywhere(Run::Destroy, kinds::request, |account| &account.query, 5).await;
    kill_everywhere(Run::Destroy, kinds::request, |account| &account.ministack, 5).await;
    kill_everywhere(Run::Destroy, kinds::request, |account| &account.cloudwatch, 4).await;
}

/// A half-made bucket that nobody wants any more is let go like a whole one, and taken back.
#[tokio::test(flavor = "multi_thread")]
async fn a_half_made_bucket_can_be_let_go_and_taken_back() {
    let policy = Rule::new(Fault::StopBefore).method(http::Method::PUT).path("policy");
    // The first is the control bucket's.
    let killed = killed_at(Run::Apply, small, |account| &account.s3, policy.nth(2)).await;
    let account = killed.expect("a bucket gets a policy");
    let platform = Platform::of(&account);
    let engine = account.engine("next");
    let next = plan(&engine, &platform.gone()).await;
    let report = apply(&engine, &next).await;
    assert!(
        report.left.iter().any(|live| live.id == platform.bucket),
        "{:?}",
        report.left
    );
    let back = plan(&engine, &platform.request()).await;
    assert_eq!(back.step(&platform.bucket).unwrap().action, Action::Adopt);
    apply_with(&engine, &back, &everything(&back)).await;
    assert!(plan(&engine, &platform.request()).await.is_empty());
}

/// Kills a run between CreateKey and CreateAlias.
async fn with_a_lost_alias() -> (Account, Platform, String) {
    // Which POST is CreateKey depends on the order of parallel reads: all that can be are tried.
    for n in 1..=60 {
        let rule = Rule::new(Fault::StopAfter).nth(n);
        let Some(account) = killed_at(Run::Apply, small, |account| &account.ministack, rule).await else {
            break;
        };
        let left = keys(&account).await;
        if let [(id, aliases)] = left.as_slice()
            && aliases.is_empty()
        {
            let (platform, id) = (Platform::of(&account), id.clone());
            return (account, platform, id);
        }
    }
    panic!("no kill fell between CreateKey and CreateAlias");
}

/// The one gap that needs the open-create record: the key is made, its alias is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_lost_its_alias_is_found_and_no_second_is_made() {
    let (account, platform, key) = with_a_lost_alias().await;
    let seen = account.provider().observe(&platform.set, &[]).await.unwrap();
    assert!(
        seen.open.iter().any(|open| open.id == platform.key),
        "the lease says what is open"
    );
    converges(&account, &platform).await;
    assert_eq!(keys(&account).await[0].0, key, "the same key");
}

/// The tagging API shows new objects late: the run waits as long as that may take.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_show_yet_is_waited_for() {
    let (account, platform, key) = with_a_lost_alias().await;
    // A plan asks three times, the first look of an apply as often; after the wait it shows.
    let late = Fault::answer(200, r#"{"ResourceTagMappingList":[],"PaginationToken":""}"#)
        .with_header("content-type", "application/x-amz-json-1.1");
    account.tagging.set_rules([Rule::new(late).first(6)]);
    let before = account.clock.elapsed();
    converges(&account, &platform).await;
    assert!(
        account.clock.elapsed() > before + std::time::Duration::from_secs(30),
        "it waited"
    );
    assert_eq!(keys(&account).await[0].0, key, "the same key");
}
