//! Kinds beyond the small platform: each lives from create to delete, by one table.

use crate::emulators::Account;
use crate::platform::{actions, apply, apply_with, done, everything, fields, plan};
use platform_core::engine::{Action, PlanRequest};
use platform_core::value::{ResourceId, SetId};
use platform_core::{Resource, Risk};
use serde_json::{Value, json};

/// A kind, and two wishes that differ in everything that may change.
pub(crate) struct Case {
    pub(crate) id: ResourceId,
    pub(crate) first: Value,
    pub(crate) second: Value,
    /// What a plan from the first to the second wish changes.
    pub(crate) changes: &'static [&'static str],
    /// What it puts at risk.
    pub(crate) risks: &'static [Risk],
}

impl Case {
    pub(crate) fn resource(&self, desired: &Value) -> Resource {
        Resource::new(self.id.clone(), "kinds", desired.clone())
    }
}

pub(crate) fn set(account: &Account) -> SetId {
    SetId::of(&format!("k{}", account.id), "dev", "")
}

/// The table, in an order in which all can stand at once.
pub(crate) fn cases(account: &Account, set: &SetId) -> Vec<Case> {
    let id = |kind: &str, part: &str| -> ResourceId {
        format!("aws/eu-west-1:{kind}/k{}-{part}", account.id).parse().unwrap()
    };
    let trust =
        |service: &str| json!([{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]);
    let get = |resources: Value| json!([{"Effect": "Allow", "Action": "s3:GetObject", "Resource": resources}]);
    let managed = |name: &str| format!("arn:aws:iam::aws:policy/{name}");
    vec![Case {
        id: id("iam.Role", "role"),
        first: json!({
            "path": format!("/mlplat/{set}/"),
            "description": "one",
            "trust": trust("eks.amazonaws.com"),
            "inline": {"kept": get(json!("arn:aws:s3:::a/*")), "goes": get(json!("*"))},
            "managed": [managed("AmazonEKSClusterPolicy"), managed("AmazonEKSServicePolicy")],
            "permissions_boundary": managed("PowerUserAccess"),
            "tags": {"team": "ml"},
        }),
        second: json!({
            "path": format!("/mlplat/{set}/"),
            "description": "other",
            "trust": trust("backup.amazonaws.com"),
            "inline": {"kept": get(json!(["arn:aws:s3:::b/*", "arn:aws:s3:::a/*"])), "new": get(json!("*"))},
            "managed": [managed("ReadOnlyAccess")],
            "max_session": 7200,
            "tags": {"team": "ai"},
        }),
        changes: &[
            "description",
            "inline.goes",
            "inline.kept",
            "inline.new",
            "managed",
            "max_session",
            "permissions_boundary",
            "tags.team",
            "trust",
        ],
        risks: &[Risk::LowersProtection, Risk::Exposes],
    }]
}

/// What the whole table asks for.
pub(crate) fn request(account: &Account) -> PlanRequest {
    PlanRequest {
        resources: cases(account, &set(account))
            .iter()
            .map(|case| case.resource(&case.first))
            .collect(),
        ..PlanRequest::destroy(set(account))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_lives_from_create_to_delete() {
    let account = Account::new().with_speed(20);
    let engine = account.engine("a");
    let mut request = request(&account);
    let cases = cases(&account, &set(&account));

    let first = plan(&engine, &request).await;
    assert!(actions(&first).iter().all(|(action, _)| *action == Action::Create));
    assert_eq!(done(&apply(&engine, &first).await), cases.len());
    let second = plan(&engine, &request).await;
    assert!(second.is_empty(), "{:#?}", second.changes().collect::<Vec<_>>());

    for (at, case) in cases.iter().enumerate() {
        request.resources[at] = case.resource(&case.second);
    }
    let change = plan(&engine, &request).await;
    for case in &cases {
        assert_eq!(fields(&change, &case.id), case.changes, "{}", case.id);
        let risks = &change.step(&case.id).unwrap().risks;
        assert!(risks.iter().eq(case.risks), "{}: {risks:?}", case.id);
    }
    apply_with(&engine, &change, &everything(&change)).await;
    let after = plan(&engine, &request).await;
    assert!(after.is_empty(), "{:#?}", after.changes().collect::<Vec<_>>());

    // Another platform that wants the same names is refused.
    let other = PlanRequest {
        set: SetId::of("other", "dev", ""),
        ..request.clone()
    };
    for step in engine.plan(&other).await.unwrap().steps {
        let blocked = step.blocked.unwrap();
        assert!(
            blocked.why.contains(set(&account).as_str()),
            "{}: {}",
            step.id,
            blocked.why
        );
    }

    // What is no longer wanted is found by what the service lists.
    let gone = PlanRequest::destroy(set(&account));
    let destroy = plan(&engine, &gone).await;
    assert_eq!(destroy.changes().count(), cases.len());
    let report = apply_with(&engine, &destroy, &everything(&destroy)).await;
    assert_eq!(report.left.len(), 0, "{:?}", report.left);
    assert!(plan(&engine, &gone).await.steps.is_empty());
}
