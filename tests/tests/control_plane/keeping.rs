//! Data survives: destroy keeps it and the next apply adopts it.

use std::time::Duration;

use platform_core::engine::PlanRequest;

use crate::shared::{kubectl, object, within};
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
    within(Duration::from_mins(1), "the home goes", || object(&home).is_none());

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

/// Without its stamp the password would be what its kind is: nothing that is missed.
#[tokio::test(flavor = "multi_thread")]
async fn a_stamp_that_was_taken_away_comes_back() {
    let stage = Stage::new().await;
    let wanted = stage.platform();
    stage.apply(wanted.clone()).await;
    let stamp = |stage: &Stage| {
        stage.live("secret", "password").unwrap()["metadata"]["annotations"]["mlplat.dev/holds"].clone()
    };
    assert_eq!(stamp(&stage), "durable");
    let space = format!("--namespace={}", stage.space());
    kubectl(&["annotate", "secret", "password", &space, "mlplat.dev/holds-"]);

    let plan = stage.plan(wanted.clone()).await;
    assert_eq!(told(&plan), ["Update Secret \"mlplat.dev\".holds"]);
    stage.apply_plan(&plan).await;
    assert_eq!(stamp(&stage), "durable");
    assert_eq!(told(&stage.plan(wanted).await), Vec::<String>::new());
}
