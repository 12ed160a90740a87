//! Topics, alarms and dashboards beyond the table of kinds: URLs that nobody sees, strangers, formulas.

use crate::emulators::Account;
use crate::platform::{apply, apply_with, everything, fields, plan};
use async_trait::async_trait;
use platform_core::engine::PlanRequest;
use platform_core::value::{Recipe, ResourceId, SecretSource, SecretText, SetId, Supplied};
use platform_core::{Provider, Resource};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Part of every URL that is supplied.
const CANARY: &str = "canary-7f3a";

/// Supplies another URL whenever it is asked; nobody listens there.
#[derive(Debug, Default)]
struct Urls(AtomicU64);

#[async_trait]
impl SecretSource for Urls {
    async fn get(&self, _name: &str) -> platform_core::Result<SecretText> {
        let version = self.0.fetch_add(1, Ordering::Relaxed);
        Ok(SecretText::new(format!("https://127.0.0.1:9/{CANARY}/{version}")))
    }
}

fn set(account: &Account) -> SetId {
    SetId::of(&format!("w{}", account.id), "dev", "")
}

fn id(account: &Account, kind: &str, part: &str) -> ResourceId {
    format!("aws/eu-west-1:{kind}/w{}-dev-{part}", account.id)
        .parse()
        .unwrap()
}

fn request(account: &Account, id: &ResourceId, desired: &Value) -> PlanRequest {
    PlanRequest {
        resources: vec![Resource::new(id.clone(), "monitoring", desired.clone())],
        ..PlanRequest::destroy(set(account))
    }
}

fn hook(revision: u64) -> Value {
    Recipe::Supplied(Supplied {
        supplied: "oncall/url".into(),
        revision,
    })
    .to_value()
}

/// Endpoints of a topic's subscriptions.
async fn endpoints(account: &Account, topic: &ResourceId) -> Vec<String> {
    let answer = account
        .sns()
        .list_subscriptions_by_topic()
        .topic_arn(arn(account, topic))
        .send()
        .await
        .unwrap();
    answer
        .subscriptions()
        .iter()
        .map(|one| one.endpoint().unwrap().to_owned())
        .collect()
}

fn arn(account: &Account, topic: &ResourceId) -> String {
    format!("arn:aws:sns:eu-west-1:{}:{}", account.id, topic.name())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supplied_url_is_subscribed_by_revision_and_shown_nowhere() {
    let account = Account::new().with_speed(20);
    let topic = id(&account, "sns.Topic", "critical");
    let wish = |revision| json!({"emails": ["a@example.com"], "webhooks": {"oncall": hook(revision)}});
    let engine = account.engine_of(account.supplied(Arc::new(Urls::default())), "a");

    let first = plan(&engine, &request(&account, &topic, &wish(1))).await;
    apply(&engine, &first).await;
    let second = plan(&engine, &request(&account, &topic, &wish(1))).await;
    assert!(second.is_empty(), "{:#?}", second.changes().collect::<Vec<_>>());
    let told = endpoints(&account, &topic).await;
    assert!(told.contains(&format!("https://127.0.0.1:9/{CANARY}/0")), "{told:?}");

    // A new revision is a new URL, and the old one is told nothing any more.
    let change = plan(&engine, &request(&account, &topic, &wish(2))).await;
    assert_eq!(fields(&change, &topic), ["webhooks.oncall.$secret.revision"]);
    apply(&engine, &change).await;
    let mut told = endpoints(&account, &topic).await;
    told.sort();
    assert_eq!(
        told,
        ["a@example.com".to_owned(), format!("https://127.0.0.1:9/{CANARY}/1")]
    );

    // Somebody else who listens shows by protocol and id, never by what is told, and goes.
    account
        .sns()
        .subscribe()
        .topic_arn(arn(&account, &topic))
        .protocol("https")
        .endpoint(format!("https://127.0.0.1:9/{CANARY}/stranger"))
        .send()
        .await
        .unwrap();
    let drift = plan(&engine, &request(&account, &topic, &wish(2))).await;
    assert_eq!(fields(&drift, &topic), ["others"]);
    apply(&engine, &drift).await;
    assert_eq!(endpoints(&account, &topic).await.len(), 2);

    // Without the secret nothing is subscribed, and what stands stays.
    let nobody = account.engine("b");
    let refused = plan(&nobody, &request(&account, &topic, &wish(3))).await;
    let report = nobody
        .apply(&refused, &everything(&refused), &mut |_| {})
        .await
        .unwrap();
    let (_, why) = report.failures().next().unwrap();
    assert!(why.report().contains("SecretSource"), "{}", why.report());
    assert_eq!(endpoints(&account, &topic).await.len(), 2);

    let seen = account
        .provider()
        .observe(&set(&account), &request(&account, &topic, &wish(2)).resources)
        .await
        .unwrap();
    for text in [
        format!("{first:?}{second:?}{change:?}{drift:?}{refused:?}"),
        serde_json::to_string(&[&first, &second, &change, &drift, &refused]).unwrap(),
        format!("{seen:?}{}", why.report()),
    ] {
        assert!(!text.contains(CANARY), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_made_is_not_overwritten() {
    let account = Account::new().with_speed(20);
    let engine = account.engine("a");
    let (cloudwatch, sns) = (account.cloudwatch(), account.sns());
    let (alarm, board, topic) = (
        id(&account, "cloudwatch.Alarm", "x"),
        id(&account, "cloudwatch.Dashboard", "x"),
        id(&account, "sns.Topic", "x"),
    );
    cloudwatch
        .put_metric_alarm()
        .alarm_name(alarm.name().as_str())
        .namespace("n")
        .metric_name("m")
        .statistic("Sum".into())
        .period(60)
        .evaluation_periods(1)
        .threshold(1.0)
        .comparison_operator("GreaterThanThreshold".into())
        .send()
        .await
        .unwrap();
    let body = r#"{"widgets":[{"type":"text","properties":{"markdown":"mine"}}]}"#;
    cloudwatch
        .put_dashboard()
        .dashboard_name(board.name().as_str())
        .dashboard_body(body)
        .send()
        .await
        .unwrap();
    sns.create_topic().name(topic.name().as_str()).send().await.unwrap();

    for (id, desired) in [
        (
            &alarm,
            json!({"metric": {"namespace": "n", "name": "m", "stat": "Sum"}, "comparison": ">", "threshold": 2}),
        ),
        (&board, json!({"widgets": []})),
        (&topic, json!({})),
    ] {
        let plan = engine.plan(&request(&account, id, &desired)).await.unwrap();
        let blocked = plan.step(id).unwrap().blocked.as_ref();
        assert!(
            blocked.is_some_and(|blocked| blocked.help.contains("--adopt")),
            "{id}: {blocked:?}"
        );
    }
    // Nor is it taken for something of ours that is no longer wanted.
    assert!(
        plan(&engine, &PlanRequest::destroy(set(&account)))
            .await
            .steps
            .is_empty()
    );
    let now = cloudwatch.get_dashboard().dashboard_name(board.name().as_str());
    assert_eq!(now.send().await.unwrap().dashboard_body(), Some(body));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_about_a_formula_reads_back_as_it_was_written() {
    let account = Account::new().with_speed(20);
    let engine = account.engine("a");
    let alarm = id(&account, "cloudwatch.Alarm", "formula");
    let failed = |name: &str| {
        json!({"metric": {"namespace": "AWS/Backup", "name": name, "stat": "Sum", "period": 3600,
        "dimensions": {"BackupVaultName": "v"}}})
    };
    let wish = |formula: &str| {
        json!({"queries": {"failed": failed("NumberOfBackupJobsFailed"), "aborted": failed("NumberOfBackupJobsAborted"),
            "all": {"expression": formula, "label": "ended badly", "compared": true}},
            "comparison": ">", "threshold": 0, "missing_data": "notBreaching", "tags": {"team": "ml"}})
    };
    let first = request(&account, &alarm, &wish("FILL(failed, 0) + FILL(aborted, 0)"));
    apply(&engine, &plan(&engine, &first).await).await;
    let second = plan(&engine, &first).await;
    assert!(second.is_empty(), "{:#?}", second.changes().collect::<Vec<_>>());
    let other = request(&account, &alarm, &wish("FILL(failed, 0)"));
    let change = plan(&engine, &other).await;
    assert_eq!(fields(&change, &alarm), ["queries.all.expression"]);
    apply(&engine, &change).await;
    assert!(plan(&engine, &other).await.is_empty());
    let gone = plan(&engine, &PlanRequest::destroy(set(&account))).await;
    apply_with(&engine, &gone, &everything(&gone)).await;
    assert!(plan(&engine, &first).await.changes().count() == 1, "it is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_composite_alarm_lives_and_goes_before_the_alarms_that_it_names() {
    let account = Account::new().with_speed(20).with_judged_alarms();
    let engine = account.engine("a");
    let (child, all) = (
        id(&account, "cloudwatch.Alarm", "child"),
        id(&account, "cloudwatch.CompositeAlarm", "all"),
    );
    let alarm = json!({"metric": {"namespace": "n", "name": "m", "stat": "Sum"}, "comparison": ">", "threshold": 1});
    let wish = |rule: String, team: &str| PlanRequest {
        resources: vec![
            Resource::new(child.clone(), "monitoring", alarm.clone()),
            Resource::new(all.clone(), "monitoring", json!({"rule": rule, "tags": {"team": team}}))
                .with_after(child.clone()),
        ],
        ..PlanRequest::destroy(set(&account))
    };
    let named = format!("ALARM(\"{}\")", child.name());
    let first = wish(named.clone(), "ml");
    apply(&engine, &plan(&engine, &first).await).await;
    let second = plan(&engine, &first).await;
    assert!(
        second.step(&all).is_none_or(|step| step.changes.is_empty()),
        "{second:#?}"
    );
    let other = wish(format!("{named} OR FALSE"), "ai");
    let change = plan(&engine, &other).await;
    assert_eq!(fields(&change, &all), ["rule", "tags.team"]);
    apply(&engine, &change).await;
    // CloudWatch refuses the delete of an alarm that a composite one names.
    let gone = plan(&engine, &PlanRequest::destroy(set(&account))).await;
    assert_eq!(gone.changes().count(), 2, "both are found by their list");
    apply_with(&engine, &gone, &everything(&gone)).await;
    assert!(
        plan(&engine, &PlanRequest::destroy(set(&account)))
            .await
            .steps
            .is_empty()
    );
}
