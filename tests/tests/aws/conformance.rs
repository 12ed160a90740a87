//! The contract's own suite, run against moto and ministack.

use crate::emulators::Account;
use crate::kinds::{Case, cases};
use crate::values::Vault;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use platform_core::testing::conformance::{Harness, Need, Sample, Verdict, checks};
use platform_core::value::{Clock, Digest, Kind, Recipe, ResourceId, SetId, Supplied, references};
use platform_core::{Observation, Preview, Provider, Resource, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use xtask::proxy::{Fault, Rule};

#[derive(Debug)]
struct Emulators {
    account: Account,
    runtime: tokio::runtime::Runtime,
}

impl Emulators {
    fn sample(&self, check: &str, kind: &str, desired: &Value, changed: &Value) -> Sample {
        let id = |name: String| -> ResourceId { format!("aws/eu-west-1:{kind}/{name}").parse().unwrap() };
        let check = check.replace('_', "-");
        let short = Digest::of_text(&check);
        let max = self.account.provider().facts(&kind.parse().unwrap()).unwrap().name.max;
        // As names of a set start: what lists are cut by.
        let stem: String = format!("c{}-{check}", self.account.id).chars().take(max - 7).collect();
        let start = format!("{}-{}", stem.trim_end_matches('-'), short.short(4));
        let longest = id(format!("{start}-{}z", "x".repeat(max - start.len() - 2)));
        let resource = Resource::new(id(start), "storage", Value::Null);
        let full = |wish: &Value| {
            self.full(&Resource {
                desired: wish.clone().into(),
                ..resource.clone()
            })
        };
        let sample = Resource {
            desired: full(desired).into(),
            ..resource.clone()
        };
        Sample::new(sample.clone(), full(changed)).with_longest(Resource { id: longest, ..sample })
    }

    /// Some of the further kinds, each with what stands before it: by turns, since the emulator takes its time.
    fn table(&self, check: &str) -> Vec<Sample> {
        let hash = Digest::of_text(&format!("{}{check}", self.account.id));
        let full = |case: &Case, wish: &Value| self.full(&case.resource(wish));
        let cases = |prefix: &str| {
            let id = |kind: &str, part: &str| format!("aws/eu-west-1:{kind}/{prefix}-{part}").parse().unwrap();
            let mut all = cases(prefix, &self.set(check));
            // What refers to ids that EC2 makes is no sample: its life is proved in the table's own test.
            let more = crate::networks::cases(&id).into_iter();
            all.extend(more.filter(|case| references(&case.first).is_empty()));
            all
        };
        let count = cases("k").len();
        let mut samples = Vec::new();
        for at in (check.len() % 3..count).step_by(3) {
            // Names of its own each: a change to one must not change what another stands on.
            let prefix = format!("k{}{at}", hash.short(8));
            let all = cases(&prefix);
            let case = &all[at];
            let resource = case.resource(&full(case, &case.first));
            let stands_on = |case: &Case| {
                all.iter()
                    .filter(|other| case.after.contains(&other.id))
                    .collect::<Vec<_>>()
            };
            let mut needs: Vec<Resource> = Vec::new();
            for other in stands_on(case) {
                let deeper = stands_on(other).into_iter().chain([other]);
                needs.extend(deeper.map(|case| case.resource(&full(case, &case.first))));
            }
            let mut sample = Sample::new(resource.clone(), full(case, &case.second)).with_needs(needs);
            // A user that logs in by IAM has its id in its settings, too.
            // What belongs to a cluster has its name.
            let bound = case.id.name().as_str().contains('/') || case.id.kind().as_str() == "elasticache.User";
            if !bound {
                let max = self.account.provider().facts(case.id.kind()).unwrap().name.max;
                let name = format!("{prefix}-{}z", "x".repeat(max - prefix.len() - 2));
                let id = ResourceId::new(case.id.place().clone(), case.id.kind().clone(), name.parse().unwrap());
                sample = sample.with_longest(Resource { id, ..resource });
            }
            samples.push(sample);
        }
        samples
    }

    /// The wish with all its defaults, as a view shows it.
    fn full(&self, resource: &Resource) -> Value {
        let nothing = Observation::new(
            "x".parse().unwrap(),
            resource.id.place().clone(),
            self.account.clock.now(),
        );
        // Pure: it never waits.
        let provider = self.account.provider();
        let preview = provider.preview(resource, &nothing).now_or_never().unwrap();
        match preview.unwrap() {
            Preview::Change { after, .. } => Value::clone(&after),
            other => panic!("{other:?}"),
        }
    }
}

#[async_trait]
impl Harness for Emulators {
    fn name(&self) -> &'static str {
        "aws"
    }

    async fn provider(&self) -> Result<Arc<dyn Provider>> {
        for proxy in self.account.proxies() {
            proxy.set_rules([]);
        }
        Ok(Arc::new(self.account.supplied(Arc::new(Vault::default()))))
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.account.clock)
    }

    fn set(&self, check: &str) -> SetId {
        SetId::of(&format!("c{}", self.account.id), &check.replace('_', "-"), "")
    }

    fn samples(&self, check: &str) -> Vec<Sample> {
        let supplied = |revision| {
            Recipe::Supplied(Supplied {
                supplied: "smtp".into(),
                revision,
            })
            .to_value()
        };
        let password = Recipe::generate(30).to_value();
        let key = self.sample(
            check,
            "kms.Key",
            &json!({"description": "a"}),
            &json!({"description": "b", "rotation_days": 90}),
        );
        let mut refused = Value::clone(&key.resource.desired);
        refused["multi_region"] = json!(true);
        let bucket = self.sample(
            check,
            "s3.Bucket",
            &json!({"tags": {"team": "ml"}}),
            &json!({"tags": {"team": "ai"}, "event_bridge": false}),
        );
        let secret = self.sample(
            check,
            "secretsmanager.Secret",
            &json!({"data": {"smtp": supplied(1), "password": password}}),
            &json!({"data": {"smtp": supplied(2), "password": password}}),
        );
        let subnets = self.sample(
            check,
            "rds.DbSubnetGroup",
            &json!({"subnets": self.account.subnets()}),
            &json!({"subnets": self.account.subnets(), "description": "other", "tags": {"team": "ai"}}),
        );
        let parameters = self.sample(
            check,
            "rds.DbParameterGroup",
            &json!({"family": "postgres17", "parameters": {"log_statement": "ddl"}, "tags": {"team": "ml"}}),
            &json!({"family": "postgres17", "parameters": {"work_mem": "8192"}, "tags": {"team": "ai"}}),
        );
        // Without what ministack drops.
        let server = |storage: u32, team: &str| {
            json!({"engine_version": "17", "class": "db.t4g.medium", "storage_gib": storage, "username": "platform",
                "database": "app", "kms_key": "arn:aws:kms:eu-west-1:123456789012:key/data",
                "subnet_group": "g", "security_groups": ["sg-1"], "parameter_group": "default.postgres17", "deletion_protection": false,
                "log_exports": [], "backup_window": "03:00-04:00", "maintenance_window": "sun:05:00-sun:06:00",
                "tags": {"team": team}})
        };
        let server = self.sample(check, "rds.DbInstance", &server(20, "ml"), &server(40, "ai"));
        let mut upgraded = Value::clone(&server.resource.desired);
        upgraded["engine_version"] = json!("18");
        let mut other = Value::clone(&parameters.resource.desired);
        other["family"] = json!("postgres18");
        let server = server.with_refused(upgraded);
        let parameters = parameters.with_refused(other);
        let mut more = self.table(check);
        more.extend([server, parameters, subnets]);
        match check {
            // A key and a secret stay, scheduled for deletion, and are offered as the same incarnation.
            "deleted_is_gone" => more.push(bucket),
            _ => more.extend([key.with_refused(refused), bucket, secret]),
        }
        more
    }

    fn can(&self, need: Need) -> bool {
        matches!(need, Need::Foreign | Need::Rights | Need::Throttling)
    }

    async fn plant(&self, resource: &Resource) -> Result<()> {
        let other = self
            .account
            .engine_of(self.account.supplied(Arc::new(Vault::default())), "other");
        let request = platform_core::engine::PlanRequest {
            // What it stands on is there, and ours.
            resources: vec![Resource {
                after: BTreeSet::new(),
                ..resource.clone()
            }],
            ..platform_core::engine::PlanRequest::destroy("somebody-else".parse()?)
        };
        crate::platform::apply(&other, &crate::platform::plan(&other, &request).await).await;
        Ok(())
    }

    async fn without_reading(&self, kind: &Kind) -> Result<Arc<dyn Provider>> {
        let provider = self.provider().await?;
        // STS goes through the same proxy as KMS.
        provider.observe(&"x".parse()?, &[]).await?;
        match kind.as_str() {
            "kms.Key" | "events.Rule" | "logs.LogGroup" => self.account.ministack.set_rules([Rule::new(denied_json())]),
            "secretsmanager.Secret" => self.account.moto.set_rules([Rule::new(denied_json())]),
            kind if kind.starts_with("eks.") => {
                let fault = denied_json().with_header("x-amzn-errortype", "AccessDeniedException");
                self.account.eks.set_rules([Rule::new(fault)]);
            }
            kind if kind.starts_with("ec2.") => self.account.ec2.set_rules([Rule::new(denied_ec2())]),
            kind if kind.starts_with("rds.") => self.account.rds.set_rules([Rule::new(denied_query())]),
            // Not the lease's own objects.
            "s3.Bucket" => self
                .account
                .s3
                .set_rules([http::Method::HEAD, http::Method::GET].map(|method| {
                    let path = if method == http::Method::GET { "prefix=c" } else { "/c" };
                    Rule::new(denied_xml()).method(method).path(path)
                })),
            kind if kind.starts_with("backup.") => self.account.ministack.set_rules([Rule::new(denied_json())]),
            kind if kind.starts_with("cloudwatch.") => self.account.cloudwatch.set_rules([Rule::new(denied_query())]),
            _ => self.account.query.set_rules([Rule::new(denied_query())]),
        }
        Ok(provider)
    }

    async fn throttled(&self) -> Result<Arc<dyn Provider>> {
        let provider = self.provider().await?;
        let fault = Fault::answer(400, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#)
            .with_header("content-type", "application/x-amz-json-1.1");
        self.account.moto.set_rules([Rule::new(fault)]);
        Ok(provider)
    }

    fn secrets(&self) -> Vec<String> {
        vec!["canary-smtp".to_owned()]
    }

    fn run(&self, check: BoxFuture<'_, Verdict>) -> Verdict {
        self.runtime.block_on(check)
    }

    async fn clean(&self, _set: &SetId) -> Result<()> {
        // Each check has names of its own, and the emulators forget everything when they end.
        Ok(())
    }
}

fn denied_json() -> Fault {
    Fault::answer(400, r#"{"__type":"AccessDeniedException","message":"User: arn:aws:iam::1:user/ci is not authorized to perform: x:Y on resource: z"}"#)
        .with_header("content-type", "application/x-amz-json-1.1")
}

fn denied_xml() -> Fault {
    Fault::answer(
        403,
        "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
    )
    .with_header("content-type", "application/xml")
}

fn denied_query() -> Fault {
    Fault::answer(
        403,
        "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>",
    )
    .with_header("content-type", "text/xml")
}

fn denied_ec2() -> Fault {
    Fault::answer(
        403,
        "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors><RequestID>1</RequestID></Response>",
    )
    .with_header("content-type", "text/xml")
}

#[test]
fn the_contract_holds() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let harness = Emulators {
        account: Account::new().with_speed(20),
        runtime,
    };
    let mut failed = Vec::new();
    for check in checks() {
        if check.applies(&harness) {
            let verdict = check.run(&harness);
            println!(
                "aws::{} {}",
                check.name,
                verdict.as_ref().err().map_or("ok", String::as_str)
            );
            failed.extend(verdict.err().map(|why| format!("{}: {why}", check.name)));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
