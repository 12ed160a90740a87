//! A small platform: a key, a bucket encrypted with it, a secret; and what tests ask of the engine.

use crate::emulators::Account;
use platform_core::engine::{Action, Approvals, Engine, Event, Outcome, Plan, PlanRequest, Report};
use platform_core::value::{Recipe, Reference, ResourceId, SetId};
use platform_core::{Holds, Resource, Risk};
use serde_json::{Value, json};

/// A small platform of an account.
#[derive(Clone, Debug)]
pub(crate) struct Platform {
    pub(crate) set: SetId,
    pub(crate) key: ResourceId,
    pub(crate) bucket: ResourceId,
    pub(crate) secret: ResourceId,
    /// Settings of each, to be changed by tests.
    pub(crate) key_settings: Value,
    pub(crate) bucket_settings: Value,
    pub(crate) secret_settings: Value,
}

impl Platform {
    pub(crate) fn of(account: &Account) -> Self {
        let name = format!("p{}", account.id);
        let id =
            |kind: &str, name: &str| -> ResourceId { format!("aws/{}:{kind}/{name}", account.region).parse().unwrap() };
        let key = id("kms.Key", &format!("{name}-dev/data"));
        let arn = Reference::new(key.clone(), "arn").to_value();
        Self {
            set: SetId::of(&name, "dev", ""),
            bucket: id("s3.Bucket", &format!("{name}-dev-data")),
            secret: id("secretsmanager.Secret", &format!("{name}-dev/grafana")),
            key,
            key_settings: json!({"description": "all data", "tags": {"team": "ml"}}),
            bucket_settings: json!({"encryption": {"kms_key": arn}, "tags": {"team": "ml"}}),
            secret_settings: json!({"kms_key": arn, "data": {
                "user": Recipe::Literal { value: "admin".into() }.to_value(),
                "password": Recipe::generate(40).to_value(),
                "url": Recipe::Derive { template: "https://{user}:{password}@grafana".into() }.to_value(),
            }}),
        }
    }

    pub(crate) fn request(&self) -> PlanRequest {
        PlanRequest {
            resources: vec![
                Resource::new(self.key.clone(), "foundation", self.key_settings.clone()).with_holds(Holds::Durable),
                Resource::new(self.bucket.clone(), "storage", self.bucket_settings.clone()),
                Resource::new(self.secret.clone(), "monitoring", self.secret_settings.clone()),
            ],
            outputs: json!({"key": Reference::new(self.key.clone(), "arn").to_value()}),
            ..PlanRequest::destroy(self.set.clone())
        }
    }

    pub(crate) fn gone(&self) -> PlanRequest {
        PlanRequest::destroy(self.set.clone())
    }

    /// The secret's value, read by somebody who may.
    pub(crate) async fn value(&self, account: &Account) -> Value {
        let answer = account
            .secrets()
            .get_secret_value()
            .secret_id(self.secret.name().as_str())
            .send()
            .await
            .unwrap();
        serde_json::from_str(answer.secret_string().unwrap()).unwrap()
    }
}

/// Plans; the plan must be possible.
pub(crate) async fn plan(engine: &Engine, request: &PlanRequest) -> Plan {
    let plan = engine.plan(request).await.unwrap();
    for step in &plan.steps {
        assert!(step.blocked.is_none(), "{}: {:?}", step.id, step.blocked);
    }
    plan
}

/// Applies with every risk but loss of data accepted; all must succeed.
pub(crate) async fn apply(engine: &Engine, plan: &Plan) -> Report {
    let accepted = plan.demands().accept(
        &[
            Risk::Downtime,
            Risk::Exposes,
            Risk::Irreversible,
            Risk::LowersProtection,
        ],
        "test",
        "test",
    );
    apply_with(engine, plan, &accepted).await
}

pub(crate) async fn apply_with(engine: &Engine, plan: &Plan, approvals: &Approvals) -> Report {
    let mut events: Vec<Event> = Vec::new();
    let report = engine
        .apply(plan, approvals, &mut |event| events.push(event))
        .await
        .unwrap_or_else(|why| panic!("{}", why.report()));
    let failures: Vec<String> = report
        .failures()
        .map(|(id, why)| format!("{id}: {}", why.report()))
        .collect();
    assert!(report.is_success(), "{failures:#?}");
    report
}

/// Every approval that a plan offers, loss of data included.
pub(crate) fn everything(plan: &Plan) -> Approvals {
    plan.demands()
        .iter()
        .fold(Approvals::none(), |all, demand| all.with(demand.accept("test", "test")))
}

/// `create kms.Key`, in the order of the plan; what changes nothing is left out.
pub(crate) fn actions(plan: &Plan) -> Vec<(Action, String)> {
    plan.changes()
        .map(|step| (step.action, step.id.kind().as_str().to_owned()))
        .collect()
}

/// Changed fields of one step.
pub(crate) fn fields(plan: &Plan, id: &ResourceId) -> Vec<String> {
    let step = plan.step(id).unwrap();
    step.changes.iter().map(|change| change.path.to_string()).collect()
}

/// What was really done.
pub(crate) fn done(report: &Report) -> usize {
    report
        .outcomes
        .values()
        .filter(|outcome| matches!(outcome, Outcome::Done(_)))
        .count()
}
