//! Data survives: destroy keeps it, the next apply adopts it, and a run that dies anywhere is taken up again.

use std::time::Duration;

use platform_core::engine::PlanRequest;
use serde_json::Value;
use xtask::proxy::{Fault, Rule};

use crate::shared::{control_plane, object, prefix, proxied, within};
use crate::stage::{Stage, told};

#[tokio::test(flavor = "multi_thread")]
async fn destroy_keeps_data_and_the_next_apply_adopts_it() {
    let stage = Stage::new().await;
    let wanted = stage.platform();
    stage.apply(wanted.clone()).await;
    let data = |stage: &Stage| stage.live("secret", "password").unwrap()["data"].clone();
    let volume = |stage: &Stage| stage.live("persistentvolumeclaim", "data-db-0").unwrap()["metadata"]["uid"].clone();
    let (password, claim) = (data(&stage), volume(&stage));

    let plan = stage
        .engine
        .plan(&PlanRequest::destroy(stage.set.clone()))
        .await
        .unwrap();
    let report = stage.apply_plan(&plan).await;
    let mut left: Vec<_> = report
        .left
        .iter()
        .map(|live| live.id.kind().short().to_owned())
        .collect();
    left.sort();
    assert_eq!(left, ["Namespace", "PersistentVolumeClaim", "Secret"]);
    assert_eq!(report.unseen, Vec::<String>::new());
    assert!(stage.live("statefulset", "db").is_none());
    let home = format!("namespace {}home", stage.prefix);
    within(Duration::from_secs(20), "the home goes", || object(&home).is_none());

    let plan = stage.plan(wanted.clone()).await;
    let adopted: Vec<_> = told(&plan)
        .into_iter()
        .filter(|line| line.starts_with("Adopt"))
        .collect();
    assert_eq!(
        adopted,
        ["Adopt Namespace", "Adopt Secret", "Adopt PersistentVolumeClaim"]
    );
    stage.apply_plan(&plan).await;
    assert_eq!(data(&stage), password, "the password that opens the volume");
    assert_eq!(volume(&stage), claim);
    assert_eq!(told(&stage.plan(wanted).await), Vec::<String>::new());
}

/// Kills the run at every third call of an apply and at every third of a destroy, before and after the call went
/// through, and runs again.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_dies_at_any_call_is_taken_up_again() {
    let (proxy, file) = proxied(control_plane().admin());
    let mut deaths = 0;
    for (step, fault) in [(3, Fault::StopBefore), (5, Fault::StopAfter)] {
        let stage = Stage::at(&file, prefix()).await;
        let mut password: Option<Value> = None;
        for destroys in [false, true] {
            let mut call = 1;
            loop {
                proxy.set_rules([Rule::new(fault.clone()).writes().path(&stage.prefix).nth(call)]);
                let run = async {
                    let wanted = if destroys { Vec::new() } else { stage.platform() };
                    let plan = stage.plan(wanted).await;
                    stage.try_apply(&plan).await
                };
                // Dropping the run at a call that hangs is what a kill does.
                let finished = tokio::select! {
                    () = proxy.stopped() => None,
                    report = run => Some(report),
                };
                let made = stage
                    .live("secret", "password")
                    .map(|secret| secret["data"]["password"].clone());
                if let (Some(before), Some(now)) = (&password, &made) {
                    assert_eq!(before, now, "never a second password");
                }
                password = password.or(made);
                match finished {
                    None => deaths += 1,
                    Some(report) => {
                        let report = report.expect("a run after a killed one");
                        let failures: Vec<_> = report.failures().map(|(id, why)| format!("{id}: {why}")).collect();
                        assert!(report.is_success(), "{failures:?}");
                        break;
                    }
                }
                call += step;
            }
            proxy.set_rules([]);
            let wanted = if destroys { Vec::new() } else { stage.platform() };
            assert_eq!(told(&stage.plan(wanted).await), Vec::<String>::new());
        }
    }
    println!("{deaths} runs killed");
    assert!(deaths >= 8, "{deaths}");
}
