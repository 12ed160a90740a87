//! Monitoring as a whole: what it draws from surfaces made by hand, and that its alarms are raised when they should be.

use crate::emulators::Account;
use crate::platform::{apply, plan};
use aws_sdk_cloudwatch::types::{AlarmType, Dimension, MetricDatum, StateValue};
use platform_core::engine::PlanRequest;
use platform_core::testing::{ManualClock, World};
use platform_core::value::{Percent, Place, Supplied};
use platform_core::{
    AlarmSubject, Capability, Channel, Context, Environment, ErrorKind, MonitoringSpec, Observation, Preview, Provider,
    Receiver, Resource, Severity, Stack, Surface,
};
use provider_aws::{Aws, AwsOptions};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ACCOUNT: &str = "123456789012";

/// Names of a platform's servers, as the other capabilities would state them.
fn stem(context: &Context) -> String {
    format!("{}-{}", context.name, context.environment.as_str())
}

fn watched(name: &str, account: &str) -> Context {
    let mut context = Context::new(name, Environment::Prod, "");
    let stem = stem(&context);
    let subject = |what: &str, capability, limit, subject: String| AlarmSubject {
        what: what.to_owned(),
        capability,
        limit,
        subject,
    };
    let (database, cache) = (stem.clone(), format!("{stem}-cache"));
    let buckets = ["data", "models"].map(|part| format!("{stem}-{part}-{account}-eu-west-1-an"));
    for (capability, subjects) in [
        (
            Capability::Database,
            vec![
                subject("connections", Capability::Database, Some(200), database.clone()),
                subject("utilisation", Capability::Database, Some(100 << 30), database),
            ],
        ),
        (
            Capability::Cache,
            vec![
                subject("connections", Capability::Cache, None, cache.clone()),
                subject("utilisation", Capability::Cache, Some(1 << 30), cache.clone()),
                subject("replicas", Capability::Cache, Some(1), cache),
            ],
        ),
        (
            Capability::Storage,
            buckets
                .map(|bucket| subject("errors", Capability::Storage, None, bucket))
                .to_vec(),
        ),
        (
            Capability::Backup,
            vec![subject(
                "age",
                Capability::Backup,
                Some(2 * 86_400),
                format!("{stem}-backup"),
            )],
        ),
    ] {
        let surface = Surface {
            subjects,
            ..Surface::default()
        };
        context.surfaces.0.insert(capability, surface);
    }
    context
}

fn spec(name: &str) -> MonitoringSpec {
    let percent = |n| Percent::new(n).unwrap();
    MonitoringSpec::new(name, percent(80), percent(5), percent(85))
}

fn secret(name: &str) -> Supplied {
    Supplied {
        supplied: name.to_owned(),
        revision: 1,
    }
}

fn email(to: &str) -> Channel {
    Channel::Email {
        to: to.to_owned(),
        from: "platform@example.com".to_owned(),
        server: "smtp.example.com:587".to_owned(),
        user: "platform".to_owned(),
        password: secret("smtp"),
    }
}

fn receiver(channel: Channel, from: Severity) -> Receiver {
    Receiver { channel, from }
}

fn on_world() -> (Aws, ManualClock) {
    let clock = ManualClock::new();
    let world = World::new(
        Place::aws("eu-west-1").unwrap(),
        provider_aws::facts,
        Arc::new(clock.clone()),
    );
    let aws = Aws::on(Arc::new(world), Arc::new(clock.clone()))
        .with_options(AwsOptions::new(ACCOUNT))
        .unwrap();
    (aws, clock)
}

/// What monitoring asks for beside what all share.
fn drawn(aws: &Aws, spec: &MonitoringSpec, context: &Context) -> Vec<Resource> {
    let mut all = aws
        .foundation(&BTreeSet::from([Capability::Monitoring]), context)
        .unwrap();
    all.extend(aws.monitoring().unwrap().blueprint(spec, context).unwrap().resources);
    all
}

fn alarms(resources: &[Resource]) -> BTreeMap<&str, &Value> {
    resources
        .iter()
        .filter(|one| one.id.kind().as_str() == "cloudwatch.Alarm")
        .map(|one| (one.id.name().as_str(), &*one.desired))
        .collect()
}

#[test]
fn every_alarm_has_its_metric_and_its_limit() {
    let (aws, _) = on_world();
    let resources = drawn(&aws, &spec("ml"), &watched("ml", ACCOUNT));
    let alarms = alarms(&resources);
    let shown: Vec<String> = alarms
        .iter()
        .map(|(name, alarm)| {
            let metric = match alarm["metric"]["name"].as_str() {
                Some(metric) => format!("{metric} {}", alarm["metric"]["stat"].as_str().unwrap()),
                None => alarm["queries"]["total"]["expression"].as_str().unwrap().to_owned(),
            };
            let topic = alarm["alarm_actions"][0].as_str().unwrap();
            format!(
                "{name}: {metric} {} {} x{}, {}, {}",
                alarm["comparison"].as_str().unwrap(),
                alarm["threshold"],
                alarm["periods"],
                alarm["missing_data"].as_str().unwrap(),
                topic.rsplit('-').next().unwrap()
            )
        })
        .collect();
    let expected = "\
ml-prod-backup-failed: FILL(m0, 0) + FILL(m1, 0) + FILL(m2, 0) + FILL(m3, 0) > 0.0 x1, notBreaching, critical
ml-prod-backup-stale: NumberOfBackupJobsCompleted Sum < 1.0 x2, breaching, critical
ml-prod-cache-access-refused-cache-001: FILL(m0, 0) + FILL(m1, 0) + FILL(m2, 0) > 10.0 x1, notBreaching, warning
ml-prod-cache-access-refused-cache-002: FILL(m0, 0) + FILL(m1, 0) + FILL(m2, 0) > 10.0 x1, notBreaching, warning
ml-prod-cache-connections-high-cache-001: CurrConnections Maximum > 52000.0 x5, missing, warning
ml-prod-cache-connections-high-cache-002: CurrConnections Maximum > 52000.0 x5, missing, warning
ml-prod-cache-cpu-high-cache-001: EngineCPUUtilization Average > 85.0 x3, missing, warning
ml-prod-cache-cpu-high-cache-002: EngineCPUUtilization Average > 85.0 x3, missing, warning
ml-prod-cache-evicts-cache-001: Evictions Sum > 0.0 x3, notBreaching, warning
ml-prod-cache-evicts-cache-002: Evictions Sum > 0.0 x3, notBreaching, warning
ml-prod-cache-memory-high-cache-001: DatabaseMemoryUsagePercentage Maximum > 85.0 x3, missing, warning
ml-prod-cache-memory-high-cache-002: DatabaseMemoryUsagePercentage Maximum > 85.0 x3, missing, warning
ml-prod-cache-replica-lags-cache-001: ReplicationLag Maximum > 30.0 x5, notBreaching, warning
ml-prod-cache-replica-lags-cache-002: ReplicationLag Maximum > 30.0 x5, notBreaching, warning
ml-prod-database-connections-high: DatabaseConnections Maximum > 160.0 x5, missing, warning
ml-prod-database-cpu-high: CPUUtilization Average > 85.0 x3, missing, warning
ml-prod-database-storage-high: FreeStorageSpace Minimum < 16106127360.0 x3, missing, critical
ml-prod-database-transaction-ids-low: MaximumUsedTransactionIDs Maximum > 1000000000.0 x1, missing, critical
ml-prod-storage-errors-high-data: 5xxErrors Average > 0.05 x5, notBreaching, critical
ml-prod-storage-errors-high-models: 5xxErrors Average > 0.05 x5, notBreaching, critical";
    assert_eq!(shown.join("\n"), expected);

    // Each says where its runbook is, and docs list each.
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let read = |path: &str| std::fs::read_to_string(format!("{root}/{path}")).unwrap();
    let (runbook, table) = (read("docs/runbooks/aws.md"), read("docs/aws.md"));
    for alarm in alarms.values() {
        let text = alarm["description"].as_str().unwrap();
        let (alert, _) = text.split_once(':').unwrap();
        assert!(text.ends_with(&format!("docs/runbooks/aws.md#{}", alert.to_lowercase())));
        assert!(runbook.contains(&format!("\n## {alert}\n")), "{alert} has no runbook");
        assert!(table.contains(&format!("| {alert} |")), "{alert} is not in docs/aws.md");
    }
    for rule in resources.iter().filter(|one| one.id.kind().as_str() == "events.Rule") {
        let name = rule.id.name().as_str().strip_prefix("ml-prod-").unwrap();
        assert!(runbook.contains(&format!("\n## {name}\n")), "{name} has no runbook");
    }
}

#[test]
fn a_platform_on_the_world_settles_and_names_are_legal_at_their_longest() {
    let account = Account::new();
    let provider = account.provider();
    let longest = "n".repeat(40);
    for name in ["ml", longest.as_str()] {
        let (aws, clock) = on_world();
        let spec = spec(name).with_receiver("oncall", receiver(email("a@example.com"), Severity::Critical));
        let context = watched(name, ACCOUNT);
        let request = || PlanRequest {
            resources: drawn(&aws, &spec, &context),
            ..PlanRequest::destroy(context.set.clone())
        };
        // What the kinds would refuse is refused here, before any account.
        let nothing = Observation::new(
            context.set.clone(),
            Place::aws("eu-west-1").unwrap(),
            account.clock.now(),
        );
        for resource in request().resources {
            let settled = platform_core::value::resolve(&resource.desired, &|_| Some("arn:aws:kms:::key/k".into()));
            let resource = Resource {
                desired: settled.into(),
                ..resource
            };
            let preview = clock.drive(provider.preview(&resource, &nothing)).done().unwrap();
            assert!(
                matches!(preview, Ok(Preview::Change { .. })),
                "{}: {preview:?}",
                resource.id
            );
        }
        clock
            .drive(async {
                apply(aws.engine(), &plan(aws.engine(), &request()).await).await;
                let second = plan(aws.engine(), &request()).await;
                assert!(second.is_empty(), "{:#?}", second.changes().collect::<Vec<_>>());
            })
            .done()
            .unwrap();
    }
}

#[test]
fn receivers_listen_to_the_topics_of_their_severity() {
    let (aws, _) = on_world();
    let hook = Channel::Webhook {
        url: secret("oncall/url"),
    };
    let spec = spec("ml")
        .with_receiver("everybody", receiver(email("a@example.com"), Severity::Info))
        .with_receiver("oncall", receiver(hook, Severity::Critical));
    let resources = drawn(&aws, &spec, &watched("ml", ACCOUNT));
    let topic = |name: &str| {
        let found = resources.iter().find(|one| one.id.name().as_str() == name);
        Value::clone(&found.unwrap().desired)
    };
    let (critical, warning) = (topic("ml-prod-critical"), topic("ml-prod-warning"));
    assert_eq!(critical["emails"], serde_json::json!(["a@example.com"]));
    assert_eq!(critical["webhooks"]["oncall"]["$secret"]["supplied"], "oncall/url");
    assert_eq!(warning["emails"], critical["emails"]);
    assert_eq!(warning["webhooks"], serde_json::json!({}));

    // What publishes may use the key.
    let key = resources
        .iter()
        .find(|one| one.id.kind().as_str() == "kms.Key")
        .unwrap();
    let services = |statements: &Value| -> BTreeSet<String> {
        let statements = statements.as_array().unwrap();
        let service = |one: &Value| one["Principal"]["Service"].as_str().unwrap().to_owned();
        statements.iter().map(service).collect()
    };
    let of_key = services(&key.desired["statements"]);
    assert!(services(&critical["statements"]).is_subset(&of_key));
    assert!(of_key.contains("logs.eu-west-1.amazonaws.com"));
}

#[test]
fn what_sns_cannot_do_is_refused_by_its_key() {
    let (aws, _) = on_world();
    let slack = Channel::Slack {
        url: secret("slack"),
        channel: "#alarms".to_owned(),
    };
    let pager = Channel::PagerDuty {
        routing_key: secret("pager"),
    };
    for (spec, key) in [
        (
            spec("ml").with_receiver("team", receiver(slack, Severity::Warning)),
            "monitoring.receivers.team.slack",
        ),
        (
            spec("ml").with_receiver("team", receiver(pager, Severity::Warning)),
            "monitoring.receivers.team.pagerduty",
        ),
        (spec("ml").with_heartbeat(secret("switch")), "monitoring.heartbeat"),
    ] {
        let why = aws
            .monitoring()
            .unwrap()
            .blueprint(&spec, &watched("ml", ACCOUNT))
            .unwrap_err();
        assert_eq!(why.kind(), ErrorKind::Unsupported);
        assert!(why.report().contains(key), "{}", why.report());
    }
}

/// The state of an alarm, once it is this one.
async fn becomes(account: &Account, name: &str, wanted: &StateValue) {
    let until = Instant::now() + Duration::from_mins(1);
    loop {
        let answer = account
            .cloudwatch()
            .describe_alarms()
            .alarm_names(name)
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm)
            .send()
            .await
            .unwrap();
        let metric = answer.metric_alarms().first().and_then(|alarm| alarm.state_value());
        let composite = answer.composite_alarms().first().and_then(|alarm| alarm.state_value());
        let state = metric.or(composite);
        if state == Some(wanted) {
            return;
        }
        assert!(Instant::now() < until, "{name} is {state:?}, not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn measure(account: &Account, resource: &Resource, values: &[f64]) {
    let metric = &resource.desired["metric"];
    let dimensions = metric["dimensions"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| Dimension::builder().name(name).value(value.as_str().unwrap()).build());
    let mut call = account
        .cloudwatch()
        .put_metric_data()
        .namespace(metric["namespace"].as_str().unwrap());
    let dimensions: Vec<Dimension> = dimensions.collect();
    for value in values {
        let datum = MetricDatum::builder()
            .metric_name(metric["name"].as_str().unwrap())
            .set_dimensions(Some(dimensions.clone()))
            .value(*value)
            .build();
        call = call.metric_data(datum);
    }
    call.send().await.unwrap();
}

/// Against the emulator that keeps all of an alarm, but knows no composite ones.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_drawn_reads_back_as_it_was_drawn() {
    let account = Account::new().with_speed(8);
    let aws = Aws::on(Arc::new(account.provider()), Arc::clone(&account.clock))
        .with_options(AwsOptions::new(&account.id))
        .unwrap();
    let name = format!("m{}", account.id);
    let context = watched(&name, &account.id);
    let spec = spec(&name).with_receiver("oncall", receiver(email("a@example.com"), Severity::Critical));
    let mut resources = drawn(&aws, &spec, &context);
    resources.retain(|one| one.id.kind().as_str() != "cloudwatch.CompositeAlarm");
    let request = PlanRequest {
        resources,
        ..PlanRequest::destroy(context.set.clone())
    };
    let engine = account.engine("a");
    apply(&engine, &plan(&engine, &request).await).await;
    let second = plan(&engine, &request).await;
    assert!(second.is_empty(), "{:#?}", second.changes().collect::<Vec<_>>());
}

/// Against the emulator that judges alarms.
#[tokio::test(flavor = "multi_thread")]
async fn the_pool_and_the_errors_raise_an_alarm_and_else_keep_quiet() {
    let account = Account::new().with_speed(8).with_judged_alarms();
    let aws = Aws::on(Arc::new(account.provider()), Arc::clone(&account.clock))
        .with_options(AwsOptions::new(&account.id))
        .unwrap();
    let context = watched("ml", &account.id);
    let spec = spec("ml").with_receiver("oncall", receiver(email("a@example.com"), Severity::Critical));
    let request = || PlanRequest {
        resources: drawn(&aws, &spec, &context),
        ..PlanRequest::destroy(context.set.clone())
    };
    let engine = account.engine("a");
    apply(&engine, &plan(&engine, &request()).await).await;
    let find = |name: &str| {
        request()
            .resources
            .into_iter()
            .find(|one| one.id.name().as_str() == name)
    };
    let pool = find("ml-prod-database-connections-high").unwrap();
    let errors = find("ml-prod-storage-errors-high-data").unwrap();
    let quiet = [(&pool, 160.0, 161.0), (&errors, 0.02, 1.0)];
    for (alarm, allowed, _) in quiet {
        measure(&account, alarm, &[allowed; 10]).await;
        becomes(&account, alarm.id.name().as_str(), &StateValue::Ok).await;
    }
    becomes(&account, "ml-prod-platform", &StateValue::Ok).await;
    for (alarm, _, beyond) in quiet {
        measure(&account, alarm, &[beyond; 10]).await;
        becomes(&account, alarm.id.name().as_str(), &StateValue::Alarm).await;
        becomes(&account, "ml-prod-platform", &StateValue::Alarm).await;
    }
}
