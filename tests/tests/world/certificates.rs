//! Certificates are made again before they end, and an authority is replaced in three plans, on the platform of the
//! example: the clock moves by months.

use crate::crash::{Scenario, exhaust};
use crate::platform::{EXAMPLE, empty, request};
use crate::stage::{LAG, Stage, nothing};
use libtest_mimic::Trial;
use platform_core::engine::{Action, Cause, Plan, PlanRequest};
use platform_core::value::{Clock, ResourceId};
use std::collections::BTreeSet;
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);
const MONTH: Duration = Duration::from_hours(24 * 30);
/// From the first apply until leaves are due.
const LATE: Duration = Duration::from_hours(24 * 340);
const AUTHORITY: &str = "security/certificate-authority";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial(
            "certificates::leaves_are_signed_again_and_served",
            leaves_are_signed_again,
        ),
        crate::trial("certificates::an_authority_is_replaced_in_three_plans", three_plans),
        crate::trial("certificates::a_roll_over_waits_for_what_trusts", waits_for_what_trusts),
        crate::trial(
            "certificates::nothing_ends_in_twelve_years_of_monthly_runs",
            twelve_years,
        ),
        crate::trial("certificates::a_plan_renews_what_it_says_whenever_it_runs", as_planned),
        crate::trial("certificates::renewal_killed_anywhere", || {
            exhaust(&scenario("renewal of leaves", late, 0), None).unwrap();
        }),
        crate::trial("certificates::trust_killed_anywhere", || {
            exhaust(&scenario("a second authority", soon, 0), None).unwrap();
        }),
        crate::trial("certificates::signing_killed_anywhere", || {
            exhaust(&scenario("the second signs", a_day_later, 1), None).unwrap();
        }),
        crate::trial("certificates::dropping_killed_anywhere", || {
            exhaust(&scenario("the first goes", two_days_later, 2), None).unwrap();
        }),
    ]
}

fn id(text: &str) -> ResourceId {
    format!("k8s/main:{text}").parse().unwrap()
}

fn secret(name: &str) -> ResourceId {
    id(&format!("Secret/{name}"))
}

fn wished(revision: u32) -> PlanRequest {
    let line = "security:\n";
    assert!(EXAMPLE.contains(line));
    request(&EXAMPLE.replace(line, &format!("{line}  revisions: {{ authority: {revision} }}\n")))
}

/// A platform of the same name with two servers: what is killed at every call costs the square of its size.
fn smaller(revision: u32) -> PlanRequest {
    request(&format!(
        "name: ml-platform\nenvironment: local\nprovider: kubernetes\ndatabase: {{}}\ncache: {{}}\n\
         security: {{ revisions: {{ authority: {revision} }} }}\n"
    ))
}

fn standing() -> Stage {
    standing_as(&wished(1))
}

fn standing_as(request: &PlanRequest) -> Stage {
    let stage = empty();
    stage.settle(request, &nothing).unwrap();
    stage.clock.advance(LAG.window);
    stage
}

fn settle(stage: &Stage, request: &PlanRequest) {
    stage.settle(request, &nothing).unwrap();
    stage.clock.advance(LAG.window);
    assert!(stage.plan(request).unwrap().is_empty());
}

fn leaves(stage: &Stage) -> BTreeSet<ResourceId> {
    let tls = |id: &ResourceId| id.kind().as_str() == "Secret" && id.name().base().ends_with("-tls");
    stage.world.ids().into_iter().filter(tls).collect()
}

/// `update Secret database/postgres-tls: certificate` for every step that writes.
fn told(plan: &Plan) -> Vec<String> {
    let line = |step: &platform_core::engine::Step| {
        let paths: Vec<String> = step.changes.iter().map(|change| change.path.to_string()).collect();
        format!("{} {}: {}", step.word(), step.id.label(), paths.join(" "))
    };
    plan.changes().map(line).collect()
}

fn leaves_are_signed_again() {
    let stage = standing();
    let before = stage.secrets();
    stage.clock.advance(MONTH);
    assert!(stage.plan(&wished(1)).unwrap().is_empty());
    stage.clock.advance(LATE.saturating_sub(MONTH));
    let plan = stage.plan(&wished(1)).unwrap();
    let tls = leaves(&stage);
    assert!(tls.len() >= 4, "{tls:?}");
    for leaf in &tls {
        let step = plan.step(leaf).unwrap();
        assert_eq!(
            (step.action, step.cause, step.word()),
            (Action::Update, Cause::Time, "renew")
        );
    }
    let server = plan.step(&id("StatefulSet.apps/database/postgres")).unwrap();
    let paths: Vec<String> = server.changes.iter().map(|change| change.path.to_string()).collect();
    assert_eq!(paths, ["spec.template.metadata.annotations.\"mlplat.dev/certificate\""]);
    assert_eq!(plan.counts().change, tls.len() * 2, "{:#?}", told(&plan));
    let text = plan.display().to_string();
    assert!(
        text.contains("~ renew     Secret database/postgres-tls  certificate  1, ends "),
        "{text}"
    );
    assert!(text.contains("-> 2, for 365 days"), "{text}");
    assert!(text.contains("restarts the workload"), "{text}");
    settle(&stage, &wished(1));
    for leaf in &tls {
        let end = stage.world.certificates(leaf).unwrap().ends();
        assert!(end.since(stage.clock.now()) > 360 * DAY, "{leaf}");
    }
    let changed: BTreeSet<ResourceId> = stage
        .secrets()
        .into_iter()
        .filter(|(key, value)| before.get(key) != Some(value))
        .map(|((id, _), _)| id)
        .collect();
    assert_eq!(changed, tls, "nothing but leaves is made again");
}

/// What the Secrets of a platform are made from an authority of this revision, and what servers started with.
fn spread(stage: &Stage, authority: &str) {
    let revision = stage.world.certificates(&secret(AUTHORITY)).unwrap().revision();
    assert!(
        revision.starts_with(&format!("{authority}.")),
        "{revision}, not {authority}"
    );
    let key = "mlplat.dev/authority";
    let mut users = 0;
    for id in stage.world.ids() {
        let view = stage.world.view(&id).unwrap();
        for metadata in [&view["metadata"], &view["spec"]["template"]["metadata"]] {
            if let Some(found) = metadata["annotations"][key].as_str() {
                assert_eq!(found, revision, "{id}");
                users += 1;
            }
        }
    }
    assert!(users > 10, "{users}");
    let trusted = &stage.world.secrets(&secret(AUTHORITY))[".data.*"];
    for copy in ["security/ca-certificate", "monitoring/prometheus-ca"] {
        assert_eq!(&stage.world.secrets(&secret(copy))[".data.ca.crt"], trusted, "{copy}");
    }
}

fn three_plans() {
    let stage = standing();
    spread(&stage, "1");
    let request = wished(2);
    for (authority, text) in [
        ("1+2", "1+2, a second one is trusted"),
        ("2+1", "2+1, the second one signs"),
        ("2", "2, the first one is trusted no longer"),
    ] {
        let leaf = stage.secrets()[&(secret("database/postgres-tls"), ".data.*".to_owned())].clone();
        let plan = stage.plan(&request).unwrap();
        assert!(plan.display().to_string().contains(text), "{}", plan.display());
        settle(&stage, &request);
        spread(&stage, authority);
        assert_ne!(
            stage.secrets()[&(secret("database/postgres-tls"), ".data.*".to_owned())],
            leaf
        );
        // Not before a day has passed.
        stage.clock.advance(DAY.saturating_sub(LAG.window * 3));
        assert!(stage.plan(&request).unwrap().is_empty());
        stage.clock.advance(DAY);
    }
    assert!(stage.plan(&request).unwrap().is_empty());
    // What the config says is reached, and stays so when the line goes.
    let back = stage.plan(&wished(1)).unwrap();
    assert!(
        back.changes().all(|step| step.id == secret(AUTHORITY)),
        "{:#?}",
        told(&back)
    );
    settle(&stage, &wished(1));
    spread(&stage, "2");
}

/// A server that does not run with the second authority yet keeps it from signing.
fn waits_for_what_trusts() {
    let stage = standing();
    settle(&stage, &wished(2));
    stage.clock.advance(2 * DAY);
    let server = id("StatefulSet.apps/cache/redis");
    stage.world.fail(&server, Some("its pod does not start"));
    let plan = stage.plan(&wished(2)).unwrap();
    assert_eq!(told(&plan), Vec::<String>::new());
    let warning = "Secret security/certificate-authority goes on from 1+2";
    let waits = plan.warnings.iter().find(|text| text.starts_with(warning)).unwrap();
    assert!(
        waits.ends_with("once StatefulSet cache/redis is as wished and ready"),
        "{waits}"
    );
    stage.world.fail(&server, None);
    settle(&stage, &wished(2));
    spread(&stage, "2+1");
}

/// Somebody who plans and applies once a month never meets a certificate that has ended.
fn twelve_years() {
    let stage = standing();
    let request = wished(1);
    let mut seen = BTreeSet::new();
    for month in 0..146 {
        stage.clock.advance(MONTH);
        for leaf in leaves(&stage).iter().chain([&secret(AUTHORITY)]) {
            let end = stage.world.certificates(leaf).unwrap().ends();
            assert!(end > stage.clock.now(), "{leaf} has ended in month {month}");
            let signer = stage.world.certificates(&secret(AUTHORITY)).unwrap().ends();
            assert!(end <= signer, "{leaf} outlives its authority in month {month}");
        }
        settle(&stage, &request);
        let authority = stage.world.certificates(&secret(AUTHORITY)).unwrap().revision();
        let (numbers, _) = authority.split_once('.').unwrap();
        seen.insert(numbers.to_owned());
    }
    assert_eq!(seen, ["1", "1+2", "2+1", "2"].map(str::to_owned).into());
}

/// What a plan renews was decided when it was made: neither a late apply nor a repeated one does more or less.
fn as_planned() {
    let stage = standing();
    stage.clock.advance(LATE);
    let request = wished(1);
    assert!(stage.plan(&request).unwrap().counts().change > 0);
    let early = standing();
    early.clock.advance(LATE.saturating_sub(2 * MONTH));
    let plan = early.plan(&request).unwrap();
    assert!(plan.is_empty());
    early.clock.advance(2 * MONTH);
    assert_eq!(early.apply(&plan, &nothing(&plan)).unwrap().writes, 0);

    let plan = stage.plan(&request).unwrap();
    let stored = Plan::from_json(&plan.to_json().unwrap()).unwrap();
    stage.clock.advance(DAY);
    let report = stage.apply(&stored, &nothing(&stored)).unwrap();
    assert!(report.is_success());
    let again = stage.apply(&stored, &nothing(&stored)).unwrap();
    assert_eq!(again.writes, 0, "certificates were made twice");
}

/// An empty world, at the time at which the next plan of a roll-over or a renewal is due.
fn soon() -> Stage {
    let stage = empty();
    stage.clock.advance(DAY);
    stage
}

fn a_day_later() -> Stage {
    let stage = empty();
    stage.clock.advance(3 * DAY);
    stage
}

fn two_days_later() -> Stage {
    let stage = empty();
    stage.clock.advance(6 * DAY);
    stage
}

fn late() -> Stage {
    let stage = empty();
    stage.clock.advance(LATE);
    stage
}

/// A run after so many steps of a roll-over.
fn scenario(name: &'static str, stage: fn() -> Stage, steps: u32) -> Scenario {
    let before = standing_as(&smaller(1));
    for _ in 0..steps {
        settle(&before, &smaller(2));
        before.clock.advance(DAY);
    }
    let revision = if name.contains("leaves") { 1 } else { 2 };
    Scenario {
        name,
        stage,
        start: before.world.snapshot().unwrap(),
        request: smaller(revision),
        consent: nothing,
        changes: |(_, key)| key.ends_with(".*") || key.ends_with(".ca.crt"),
    }
}
