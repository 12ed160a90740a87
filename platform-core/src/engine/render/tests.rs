#![allow(clippy::unwrap_used)]

use super::super::approve::Policy;
use super::super::event::Event;
use super::super::plan::{Action, Blocked, Cause, Change, Origin, Plan, PlanRequest, Step};
use super::super::report::{Outcome, Report};
use super::RenderOptions;
use crate::blueprint::Environment;
use crate::facts::{FieldChange, Risk};
use crate::resource::{Actor, Holds, Live, OnRemoval, Owner, State};
use crate::value::{FieldPath, PlaceIdentity, Recipe, Reference, ResourceId, SetId, Timestamp, Uid};
use crate::{Error, ErrorKind};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

fn id(text: &str) -> ResourceId {
    format!("k8s/main:{text}").parse().unwrap()
}

fn step(text: &str, component: &str, action: Action, cause: Cause) -> Step {
    let exists = action != Action::Create;
    Step {
        id: id(text),
        component: component.to_owned(),
        action,
        cause,
        uid: exists.then(|| Uid::new("3f6c9d2e-0000-4000-8000-000000000001")),
        holds: Holds::Nothing,
        changes: Vec::new(),
        risks: BTreeSet::new(),
        deletable: false,
        kept_for: BTreeSet::new(),
        ready: true,
        unverified: None,
        blocked: None,
        warnings: Vec::new(),
    }
}

fn change(path: &str, before: Option<Value>, after: Option<Value>) -> Change {
    Change {
        path: FieldPath::from(path),
        before,
        after,
        effect: FieldChange::InPlace,
        risk: None,
        origin: Origin::Wish,
        actor: None,
        unknown: false,
    }
}

fn plan(steps: Vec<Step>) -> Plan {
    Plan {
        schema: 1,
        library: "0.1.0".to_owned(),
        as_of: Timestamp::from_seconds(1_800_000_000),
        request: PlanRequest::destroy(SetId::new("ml-platform-staging-1a2b3c4d").unwrap()).into(),
        policy: Policy::of(Environment::Staging),
        places: BTreeMap::from([(
            "k8s/main".parse().unwrap(),
            PlaceIdentity("b1946ac9-0000-4000-8000-000000000000".to_owned()),
        )]),
        steps,
        outputs: json!({}),
        warnings: Vec::new(),
        requests: 26,
    }
}

/// Every word once.
fn everything() -> Plan {
    let as_of = Timestamp::from_seconds(1_800_000_000);
    let mut image = step(
        "StatefulSet.apps/database/postgres",
        "database",
        Action::Update,
        Cause::Wish,
    );
    image.changes = vec![
        Change {
            effect: FieldChange::Restart,
            risk: Some(Risk::Downtime),
            ..change(
                "spec.template.spec.containers[postgres].image",
                Some(json!("docker.io/library/postgres:17.10@sha256:aaaaaaaaaaaaaaaa")),
                Some(json!("docker.io/library/postgres:17.11@sha256:bbbbbbbbbbbbbbbb")),
            )
        },
        change(
            "metadata.labels.\"app.kubernetes.io/version\"",
            None,
            Some(json!("17.11")),
        ),
        Change {
            unknown: true,
            ..change(
                "spec.template.metadata.annotations.\"mlplat.dev/key\"",
                Some(json!("k-1")),
                Some(Reference::new(id("ConfigMap/database/a"), "uid").to_value()),
            )
        },
        change(
            "spec.template.spec.containers[postgres].args",
            Some(json!(["-c", "max_connections=100", "-c", "shared_buffers=256MB"])),
            Some(json!(["-c", "max_connections=200", "-c", "shared_buffers=256MB"])),
        ),
    ];
    image.risks.insert(Risk::Downtime);
    let mut grow = step(
        "PersistentVolumeClaim/database/data-postgres-0",
        "database",
        Action::Update,
        Cause::Wish,
    );
    grow.holds = Holds::Durable;
    grow.changes = vec![Change {
        effect: FieldChange::GrowOnly,
        ..change(
            "spec.resources.requests.storage",
            Some(json!("10Gi")),
            Some(json!("20Gi")),
        )
    }];
    let mut secret = step("Secret/database/credentials", "database", Action::Update, Cause::Wish);
    secret.changes = vec![
        change(
            "data.password.$secret.length",
            Some(json!("canary-24")),
            Some(json!("canary-32")),
        ),
        change(
            "data.password.$secret.recipe",
            Some(json!("canary-a")),
            Some(json!("canary-b")),
        ),
        change("data.rotated.$secret.revision", None, Some(json!("canary-d"))),
        change("data.token", None, Some(Recipe::generate(24).to_value())),
        change("data.leaked", Some(json!("canary-c")), None),
    ];
    let mut restore = step(
        "Deployment.apps/storage/console",
        "storage",
        Action::Update,
        Cause::Drift,
    );
    restore.changes = vec![Change {
        origin: Origin::Drift,
        actor: Some(Actor {
            name: "kubectl-edit".to_owned(),
            at: Some(Timestamp::from_seconds(as_of.seconds() - 7300)),
        }),
        ..change("spec.replicas", Some(json!(3)), Some(json!(1)))
    }];
    let mut replace = step("Service/storage/minio", "storage", Action::Replace, Cause::Wish);
    replace.changes = vec![Change {
        effect: FieldChange::Replace,
        ..change("spec.clusterIP", Some(json!("None")), None)
    }];
    replace.risks.insert(Risk::Downtime);
    let mut keep = step(
        "PersistentVolumeClaim/cache/data-redis-0",
        "cache",
        Action::Release,
        Cause::Removed,
    );
    keep.holds = Holds::Durable;
    keep.deletable = true;
    let mut home = step("Namespace/storage", "foundation", Action::Release, Cause::Removed);
    home.kept_for = BTreeSet::from([keep.id.clone()]);
    let mut blocked = step(
        "StatefulSet.apps/storage/minio",
        "storage",
        Action::Blocked,
        Cause::Wish,
    );
    blocked.blocked = Some(Blocked {
        why: "20Gi -> 10Gi: volumes never shrink".to_owned(),
        help: "set storage.capacity back to 20Gi".to_owned(),
    });
    let mut create = step("ConfigMap/monitoring/boards", "monitoring", Action::Create, Cause::Wish);
    create.unverified = Some("namespace monitoring is part of this plan".to_owned());
    create.warnings = vec!["would violate PodSecurity \"restricted\"".to_owned()];
    let mut wait = step(
        "Deployment.apps/storage/gateway",
        "storage",
        Action::Unchanged,
        Cause::Unfinished,
    );
    wait.ready = false;
    let mut plan = plan(vec![
        step("Namespace/cache", "foundation", Action::Unchanged, Cause::Settled),
        step("ConfigMap/cache/config", "cache", Action::Delete, Cause::Removed),
        keep,
        home,
        step("ServiceAccount/cache/app", "cache", Action::Adopt, Cause::Wish),
        image,
        grow,
        secret,
        create,
        restore,
        replace,
        blocked,
        wait,
    ]);
    plan.warnings = vec!["v1 Endpoints is deprecated".to_owned()];
    plan
}

#[test]
fn a_plan_reads_by_component_with_drift_and_approvals_apart() {
    let options = RenderOptions::default()
        .with_title("Platform ml-platform (staging) on kubernetes")
        .with_took(Duration::from_millis(50));
    insta::assert_snapshot!(everything().display_with(options).to_string());
}

#[test]
fn colour_adds_escapes_and_nothing_else() {
    let plan = everything();
    let coloured = plan
        .display_with(RenderOptions::default().with_colour(true))
        .to_string();
    let mut bare = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        bare.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    bare.push_str(rest);
    assert!(coloured.len() > bare.len());
    assert_eq!(bare, plan.display().to_string());
}

#[test]
fn a_policy_hides_demands_that_need_no_approval_here() {
    let mut plan = everything();
    let mut with = |environment| {
        plan.policy = Policy::of(environment);
        plan.display().to_string()
    };
    let token = "--approve downtime:StatefulSet/database/postgres@3f6c9d2e-0000-4000-8000-000000000001";
    assert!(with(Environment::Prod).contains(token));
    assert!(!with(Environment::Local).contains(token));
    assert!(with(Environment::Local).contains("--approve destroys-data:PersistentVolumeClaim/cache/data-redis-0@"));
}

#[test]
fn nothing_to_change_is_one_sentence() {
    let plan = plan(vec![step(
        "Namespace/cache",
        "foundation",
        Action::Unchanged,
        Cause::Settled,
    )]);
    assert_eq!(
        plan.display().to_string(),
        format!(
            "Set ml-platform-staging-1a2b3c4d{}read in 26 requests\n\nNothing to change: the one object stands as wanted.\n",
            " ".repeat(27)
        )
    );
}

#[test]
fn no_rendering_holds_what_stands_in_a_secret() {
    let plan = everything();
    let texts = [
        plan.display().to_string(),
        plan.document().to_string(),
        plan.display_with(RenderOptions::default().with_unchanged(true).with_colour(true))
            .to_string(),
    ];
    for text in texts {
        assert!(text.contains("***"));
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn the_plan_document_is_stable() {
    let document = everything().document();
    assert_eq!(document["schema"], 1);
    insta::assert_json_snapshot!(document, { ".library" => "[version]", ".digest" => "[digest]", ".demands[].plan" => "[digest]" });
}

#[test]
fn events_are_one_line_and_one_object_each() {
    let postgres = || id("StatefulSet.apps/database/postgres");
    let why = || {
        Error::new(
            ErrorKind::Denied,
            "violates PodSecurity \"restricted\": runAsNonRoot != true",
        )
        .with_help("set security.pod_security to baseline")
    };
    let events = [
        Event::Planned {
            steps: 43,
            unchanged: 2,
        },
        Event::Locked {
            holder: "ci-runner-42".to_owned(),
            again_in: Duration::from_secs(12),
        },
        Event::Started {
            id: postgres(),
            action: Action::Create,
        },
        Event::Waiting {
            id: postgres(),
            on: "pod postgres-0: pulling image (1 of 1)".to_owned(),
            since: Duration::from_secs(14),
            usually: Duration::from_secs(40),
        },
        Event::Retrying {
            id: postgres(),
            why: Error::new(ErrorKind::Throttled, "too many requests"),
            after: Duration::from_millis(1500),
        },
        Event::Done {
            id: postgres(),
            action: Action::Create,
            took: Duration::from_secs(95),
        },
        Event::Failed {
            id: postgres(),
            why: why(),
        },
        Event::Skipped {
            id: id("Job.batch/database/app"),
            because: postgres(),
        },
        Event::Warning {
            text: "v1 Endpoints is deprecated".to_owned(),
        },
    ];
    let page: Vec<String> = events
        .iter()
        .map(|event| {
            format!(
                "{event}
{}",
                event.document()
            )
        })
        .collect();
    insta::assert_snapshot!(page.join(
        "
"
    ));
}

#[test]
fn a_report_ends_with_what_to_do_and_what_is_kept() {
    let why = Error::new(ErrorKind::Denied, "violates PodSecurity \"restricted\"").with_help("set baseline");
    let report = Report {
        set: SetId::new("ml-platform-local-1a2b3c4d").unwrap(),
        outcomes: BTreeMap::from([
            (id("Namespace/cache"), Outcome::Done(Action::Create)),
            (id("StatefulSet.apps/cache/redis"), Outcome::Failed(why)),
            (
                id("Service/cache/redis"),
                Outcome::Skipped(id("StatefulSet.apps/cache/redis")),
            ),
        ]),
        outputs: json!({
            "database": {
                "host": "postgres.database.svc", "port": 5432, "database": "app",
                "credentials": {
                    "location": "Secret database/postgres", "username": "app",
                    "password_key": "password", "ca": "ca.crt",
                },
            },
            "storage": {"endpoint": "https://minio.storage.svc:9000", "console": null, "buckets": ["datasets", "models"]},
        }),
        left: vec![Live {
            id: id("PersistentVolumeClaim/cache/data-redis-0"),
            uid: Uid::new("u"),
            view: json!({}).into(),
            outputs: BTreeMap::new(),
            state: State::Ready,
            owner: Owner::Retained,
            holds: Some(Holds::Durable),
            on_removal: OnRemoval::Retain,
            component: "cache".to_owned(),
            version: None,
            written_from: None,
            touched: Vec::new(),
            renewal: None,
        }],
        places: BTreeMap::new(),
        unseen: Vec::new(),
        took: Duration::from_secs(38),
        writes: 3,
    };
    insta::assert_snapshot!(format!(
        "{}{}",
        report.display_with(RenderOptions::default().with_sweep(true)),
        report.outputs().display()
    ));
    assert_eq!(
        report.document()["counts"],
        json!({"done": 1, "failed": 1, "skipped": 1})
    );
}
