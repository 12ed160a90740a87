//! What the backup's blueprint asks of a real API server, and backups that nobody of the set made.

use crate::shared::{apply, kinds, kubectl, within};
use crate::stage::Stage;
use platform_core::engine::{Action, PlanRequest};
use platform_core::value::{Kind, Name};
use platform_core::{BackupRecord, Context, Resource, Stack, State};
use platform_tests::manifests::{Wanted, context, resources, stack};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

fn wanted(prefix: &str) -> Wanted {
    let mut wanted = Wanted::local();
    wanted.context = Context {
        security: wanted.context.security.clone(),
        ..Context::new("ml-platform", wanted.context.environment, prefix)
    };
    wanted
}

/// Without edges: what they lead to is not part of these tests.
fn alone(mut resource: Resource) -> Resource {
    resource.after = BTreeSet::new();
    resource
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_settle_and_backups_of_the_schedule_are_never_pruned() {
    let _more_kinds = kinds().await;
    let stage = Stage::new().await;
    let wanted = wanted(&stage.prefix);
    let all = resources(&wanted).unwrap();
    let of = |kind: &str| -> Vec<Resource> {
        let found = all.iter().filter(|one| one.id.kind().as_str() == kind);
        found.cloned().map(alone).collect()
    };
    let namespace = format!("{}backup", stage.prefix);
    let mut first = of("CustomResourceDefinition.apiextensions.k8s.io");
    assert_eq!(first.len(), 13);
    first.extend(
        of("Namespace")
            .into_iter()
            .filter(|one| one.id.name().as_str() == namespace),
    );

    // Before the definitions are there, nothing that they bring is; a plan says so and asks nobody.
    let mut whole = first.clone();
    whole.extend(of("Schedule.velero.io"));
    let plan = stage.plan(whole.clone()).await;
    assert!(
        plan.steps
            .iter()
            .all(|step| step.action == Action::Create && step.blocked.is_none()),
        "{plan:?}"
    );
    assert!(stage.apply(first.clone()).await.is_success());
    let again = stage.plan(first.clone()).await;
    assert!(again.is_empty(), "{}", again.display());

    // Everything of Velero's kinds passes the strict check of the real definitions.
    let context = context(&wanted).unwrap();
    let provider = stack(&wanted.options).backup().unwrap();
    let mut record = BackupRecord::new("by-hand", State::Ready);
    record.started = Some(platform_core::value::Timestamp::EPOCH);
    let one_off = [
        provider.run(&wanted.backup, "by-hand", &context).unwrap().resources,
        provider
            .restore(&wanted.backup, &record, &context)
            .await
            .unwrap()
            .resources,
        provider
            .drill(&wanted.backup, &record, &context)
            .await
            .unwrap()
            .resources,
    ];
    let mut strict = first.clone();
    strict.extend(of("Schedule.velero.io"));
    strict.extend(of("BackupStorageLocation.velero.io"));
    let ours = |one: &Resource| one.id.kind().as_str().ends_with("velero.io");
    strict.extend(one_off.into_iter().flatten().filter(ours).map(alone));
    let plan = stage.plan(strict).await;
    let asked: Vec<_> = plan
        .steps
        .iter()
        .filter(|step| step.id.kind().as_str().ends_with("velero.io"))
        .collect();
    assert_eq!(asked.len(), 5);
    for step in asked {
        assert_eq!((step.action, &step.unverified), (Action::Create, &None), "{step:?}");
    }

    // Somebody has to be Velero: the schedule is accepted, and makes a backup as Velero does.
    let name = "ml-platform";
    let accepted = {
        let namespace = namespace.clone();
        std::thread::spawn(move || {
            let patch = r#"{"status":{"phase":"Enabled"}}"#;
            within(Duration::from_mins(1), "the schedule", || {
                crate::shared::object(&format!("schedules.velero.io {name} --namespace={namespace}")).is_some()
            });
            kubectl(&[
                "patch",
                "schedules.velero.io",
                name,
                "-n",
                &namespace,
                "--type=merge",
                "-p",
                patch,
            ]);
        })
    };
    assert!(stage.apply(whole.clone()).await.is_success());
    accepted.join().unwrap();
    let schedule = crate::shared::object(&format!("schedules.velero.io {name} --namespace={namespace}")).unwrap();
    let made = |suffix: &str, labels: &Value| {
        let mut labels = labels.clone();
        labels["velero.io/schedule-name"] = json!(name);
        let mut spec = schedule["spec"]["template"].clone();
        spec.as_object_mut().unwrap().remove("metadata");
        json!({
            "apiVersion": "velero.io/v1", "kind": "Backup",
            "metadata": {
                "name": format!("{name}-{suffix}"), "namespace": namespace,
                "labels": labels, "annotations": schedule["metadata"]["annotations"],
            },
            "spec": spec,
            "status": { "phase": "Completed", "startTimestamp": "2026-11-24T02:00:00Z" },
        })
    };
    apply(&[made("1", &schedule["spec"]["template"]["metadata"]["labels"])]);
    let plan = stage.plan(whole.clone()).await;
    assert!(plan.is_empty(), "{}", plan.display());
    let end = stage
        .engine
        .plan(&PlanRequest::destroy(stage.set.clone()))
        .await
        .unwrap();
    assert!(
        end.steps
            .iter()
            .all(|step| step.id.kind().as_str() != "Backup.velero.io")
    );

    // It is found all the same.
    let kind = Kind::new("Backup.velero.io").unwrap();
    let within = Name::new(&namespace).unwrap();
    let listed = platform_core::Provider::list(&stage.provider, &stage.set, &kind, &within)
        .await
        .unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].state, State::Ready);
    assert_eq!(listed[0].outputs["started"], "2026-11-24T02:00:00Z");

    // The trap itself: with the schedule's own labels it is taken for a member, so the test above sees what it should.
    let mut marked = made("2", &schedule["metadata"]["labels"]);
    marked["metadata"]["labels"]
        .as_object_mut()
        .unwrap()
        .retain(|key, _| !key.starts_with("app."));
    apply(&[marked, made("other", &json!({}))]);
    let mut with_backups = whole.clone();
    with_backups.extend(
        provider
            .run(&wanted.backup, "wished", &context)
            .unwrap()
            .resources
            .into_iter()
            .map(alone),
    );
    let plan = stage.plan(with_backups).await;
    let pruned: Vec<_> = plan
        .steps
        .iter()
        .filter(|step| step.id.kind().as_str() == "Backup.velero.io" && step.action != Action::Create)
        .map(|step| step.id.name().base().to_owned())
        .collect();
    assert_eq!(pruned, [format!("{name}-2")]);
}
