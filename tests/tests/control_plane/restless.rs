//! Objects that move while they are being deleted: a status may, what was planned may not.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use http::Method;
use platform_core::engine::{Approvals, Outcome, Plan, PlanRequest, Report};
use platform_core::{ErrorKind, Resource};
use platform_tests::client::merge_patch;
use serde_json::{Value, json};
use xtask::proxy::{Fault, Proxy, Rule};

use crate::shared::{api, control_plane, get, prefix, proxied};
use crate::stage::{Stage, accepted};

const CLAIM: &str = "persistentvolumeclaims/data-db-0";

/// One way between client and server: the status moves several times in it.
const DISTANCE: Duration = Duration::from_millis(25);
/// Refused deletes after which the status comes to rest; more than any number of tries that somebody might hope for.
const REFUSALS: usize = 9;

struct Far {
    stage: Stage,
    proxy: Proxy,
}

impl Far {
    /// A stage on which these stand, seen from a distance.
    async fn with(wanted: impl Fn(&Stage) -> Vec<Resource>) -> Self {
        let (proxy, file) = proxied(control_plane().admin());
        let stage = Stage::at(Path::new(&file), prefix()).await;
        stage.apply(wanted(&stage)).await;
        proxy.set_delay(DISTANCE);
        Self { stage, proxy }
    }

    fn path(&self, group: &str, object: &str) -> String {
        format!("/{group}/namespaces/{}/{object}", self.stage.space())
    }

    fn deletes(&self, path: &str) -> Vec<Option<u16>> {
        let calls = self.proxy.calls();
        let deletes = calls
            .iter()
            .filter(|call| call.method == Method::DELETE && call.path == path);
        deletes.map(|call| call.status).collect()
    }

    async fn destroy(&self, approvals: impl Fn(&Plan) -> Approvals) -> Report {
        let request = PlanRequest::destroy(self.stage.set.clone());
        let plan = self.stage.engine.plan(&request).await.unwrap();
        self.proxy.forget_calls();
        let approvals = approvals(&plan);
        let mut events = |event| println!("{event:?}");
        let run = self.stage.engine.apply(&plan, &approvals, &mut events);
        tokio::time::timeout(Duration::from_secs(90), run)
            .await
            .expect("an apply within 90 s")
            .unwrap()
    }
}

async fn patch(api: &kube::Client, path: &str, body: &Value) {
    let path = format!("{path}?fieldManager=somebody");
    merge_patch(api, &path, body).await.unwrap();
}

fn budget(stage: &Stage) -> Vec<Resource> {
    let space = stage.space();
    let spec = json!({ "maxUnavailable": 1, "selector": { "matchLabels": { "app": "none" } } });
    vec![
        stage.resource("Namespace", &space, json!({})),
        stage.resource("PodDisruptionBudget.policy", "budget", json!({ "spec": spec })),
    ]
}

fn everything(plan: &Plan) -> Approvals {
    let of_data = plan.demands();
    of_data
        .iter()
        .fold(accepted(plan), |all, demand| all.with(demand.accept("tests", "a test")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_moves_within_every_round_trip_holds_no_delete_up() {
    let far = Far::with(budget).await;
    let path = far.path("apis/policy/v1", "poddisruptionbudgets/budget");
    let api = api().await;
    let moving = async {
        let mut pods = 0;
        while far.deletes(&path).len() <= REFUSALS {
            pods += 1;
            let status = json!({ "status": { "expectedPods": pods } });
            patch(&api, &format!("{path}/status"), &status).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let (report, ()) = tokio::join!(far.destroy(accepted), moving);
    assert!(report.is_success(), "{:?}", report.failures().next());
    let deletes = far.deletes(&path);
    println!("{deletes:?}");
    assert!(deletes.len() > REFUSALS, "{deletes:?}");
    assert!(
        deletes[..REFUSALS].iter().all(|status| *status == Some(409)),
        "{deletes:?}"
    );
    assert!(get(&api, &path).await.is_none());
}

/// Holds the first delete of an object until `change` was made to it; what became of the run.
async fn changed_under_way(far: &Far, path: &str, change: &Value) -> Report {
    let api = api().await;
    far.proxy.set_rules([Rule::new(Fault::Delay(Duration::from_secs(2)))
        .method(Method::DELETE)
        .path(path)
        .nth(1)]);
    let changing = async {
        while far.deletes(path).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        patch(&api, path, change).await;
    };
    let (report, ()) = tokio::join!(far.destroy(everything), changing);
    assert!(get(&api, path).await.is_some(), "{path} is deleted");
    assert_eq!(far.deletes(path), [Some(409)]);
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_since_the_plan_is_not_deleted() {
    let far = Far::with(budget).await;
    let path = far.path("apis/policy/v1", "poddisruptionbudgets/budget");
    let report = changed_under_way(&far, &path, &json!({ "spec": { "maxUnavailable": 2 } })).await;
    let failures: Vec<_> = report.failures().collect();
    let [(id, why)] = failures.as_slice() else {
        panic!("{failures:?}");
    };
    assert_eq!(id.kind().short(), "PodDisruptionBudget");
    assert_eq!(why.kind(), ErrorKind::Conflict);
    assert!(
        why.message().contains("changed since the plan by somebody"),
        "{}",
        why.report()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn data_goes_only_as_it_was_approved() {
    let far = Far::with(Stage::platform).await;
    let path = far.path("api/v1", CLAIM);
    let larger = json!({ "spec": { "resources": { "requests": { "storage": "2Gi" } } } });
    let report = changed_under_way(&far, &path, &larger).await;
    let failed: BTreeSet<&str> = report.failures().map(|(id, _)| id.kind().short()).collect();
    assert!(failed.contains("PersistentVolumeClaim"), "{failed:?}");
    let gone = |kind: &str| {
        let of_kind = |(id, outcome): (&platform_core::value::ResourceId, &Outcome)| {
            id.kind().short() == kind && matches!(outcome, Outcome::Done(_))
        };
        report.outcomes.iter().any(of_kind)
    };
    assert!(!gone("Namespace"), "the namespace would take it along");
}
