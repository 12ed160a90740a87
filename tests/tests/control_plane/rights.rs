//! Exactly the emitted rights do; one less of them is told before the first write.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::stream::{StreamExt, iter};
use platform_core::engine::{Action, Approvals, Plan, PlanRequest};
use platform_core::{Error, ErrorKind, PlannedWrite, Resource, Verb};
use serde_json::{Value, json};
use xtask::control_plane::User;
use xtask::proxy::Call;

use crate::shared::{apply, control_plane, kinds, object, prefix, proxied};
use crate::stage::{Stage, accepted};

/// Rights that no undisturbed run makes use of, beside those to get single objects: what a run needs that follows a
/// killed one, or meets another.
const SPARE: [&str; 8] = [
    // a claim whose volume is late, a namespace that is slow to come or go
    "watch persistentvolumeclaims",
    "watch namespaces",
    // the record of a destroy that died after it had taken the lease away
    "create leases.coordination.k8s.io",
    // the parent, when not all could be deleted
    "patch configmaps",
    // the home, when it is left to what others put into it
    "patch namespaces",
    // a StatefulSet whose claims grow is made anew
    "create statefulsets.apps",
    "delete statefulsets.apps",
    // asked about a workload that is late
    "list events",
];
/// Rights that the server asks for itself, about the roles that a role or binding gives.
const OF_ROLES: [&str; 2] = [
    "bind roles.rbac.authorization.k8s.io",
    "escalate roles.rbac.authorization.k8s.io",
];

#[tokio::test(flavor = "multi_thread")]
async fn each_emitted_right_is_asked_for_before_the_first_write_and_all_of_them_do() {
    let prefix = prefix();
    let admin = Stage::at(control_plane().admin().kubeconfig(), prefix.clone()).await;
    let wanted = admin.platform();
    let mut labelled = wanted.clone();
    for resource in &mut labelled {
        resource.desired_mut()["metadata"]["labels"]["round"] = json!("two");
    }
    let mut tried = 0;
    let began = Instant::now();
    for (run, wanted, verbs) in [
        ("make", wanted, &[Verb::Create][..]),
        ("change", labelled, &[Verb::Update]),
        ("end", Vec::new(), &[Verb::Delete, Verb::Release]),
    ] {
        let plan = admin.plan(wanted.clone()).await;
        let writes = writes(&plan);
        let found: BTreeSet<Verb> = writes.iter().map(|write| write.verb).collect();
        assert_eq!(found, verbs.iter().copied().collect(), "{run}");
        let role = admin.provider.rbac(&admin.set, &writes);
        // Whoever may not list a kind does not know what is in a namespace, and leaves the home where it is.
        let _no_more_kinds = if run == "end" { Some(kinds().await) } else { None };
        tried += one_less(&prefix, run, &role, &wanted).await;
        let used = exactly(&prefix, run, &role, &wanted).await;
        let emitted = rights(&role);
        let idle: Vec<&String> = emitted
            .iter()
            .filter(|right| !used.contains(*right) && !right.starts_with("get "))
            // What is ready at once need not be waited for: only the first run has to.
            .filter(|right| run == "make" || !right.starts_with("watch "))
            .filter(|right| !SPARE.contains(&right.as_str()) && !OF_ROLES.contains(&right.as_str()))
            .collect();
        assert_eq!(idle, Vec::<&String>::new(), "{run}: emitted and not used");
        let beyond: Vec<&String> = used.iter().filter(|right| !emitted.contains(*right)).collect();
        assert_eq!(beyond, Vec::<&String>::new(), "{run}: used and not emitted");
        println!("{run}: {} rights emitted, {} used", emitted.len(), used.len());
    }
    println!("{tried} rights taken away one at a time in {:.1?}", began.elapsed());
    assert!(tried > 100, "{tried}");
}

/// What an apply of this plan would write.
pub(crate) fn writes(plan: &Plan) -> Vec<PlannedWrite> {
    plan.changes()
        .map(|step| PlannedWrite {
            id: step.id.clone(),
            verb: match step.action {
                Action::Create => Verb::Create,
                Action::Update => Verb::Update,
                Action::Delete => Verb::Delete,
                Action::Release => Verb::Release,
                other => panic!("{other:?} {}", step.id),
            },
        })
        .collect()
}

/// `create statefulsets.apps`, and so on.
fn rights(role: &Value) -> BTreeSet<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        let (group, resource) = (text(&rule["apiGroups"][0]), text(&rule["resources"][0]));
        let resource = format!("{resource}.{group}");
        for verb in rule["verbs"].as_array().unwrap() {
            rights.insert(format!("{} {}", text(verb), resource.trim_end_matches('.')));
        }
    }
    rights
}

/// The role without one right.
fn without(role: &Value, right: &str) -> Value {
    let (verb, resource) = right.split_once(' ').unwrap();
    let mut less = role.clone();
    for rule in less["rules"].as_array_mut().unwrap() {
        let name = format!(
            "{}.{}",
            rule["resources"][0].as_str().unwrap(),
            rule["apiGroups"][0].as_str().unwrap()
        );
        if name.trim_end_matches('.') == resource {
            rule["verbs"].as_array_mut().unwrap().retain(|other| other != verb);
        }
    }
    let rules = less["rules"].as_array_mut().unwrap();
    rules.retain(|rule| rule["verbs"] != json!([]));
    less
}

/// A role and what gives it to the user of the same name.
pub(crate) fn given(name: &str, role: &Value) -> [Value; 2] {
    let mut role = role.clone();
    role["metadata"]["name"] = json!(name);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name }],
    });
    [role, binding]
}

async fn run(stage: &Stage, wanted: &[Resource]) -> Result<(), Error> {
    let request = if wanted.is_empty() {
        PlanRequest::destroy(stage.set.clone())
    } else {
        stage.request(wanted.to_vec())
    };
    let plan = stage.engine.plan(&request).await?;
    let approvals: Approvals = accepted(&plan);
    let report = stage.engine.apply(&plan, &approvals, &mut |_| {}).await?;
    let failures: Vec<String> = report.failures().map(|(_, why)| why.report()).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    Ok(())
}

/// Every right taken away by itself, each from a user of its own: refused by name, and nothing written.
async fn one_less(prefix: &str, run_name: &str, role: &Value, wanted: &[Resource]) -> usize {
    let rights: Vec<String> = rights(role).into_iter().collect();
    let users: Vec<(User, &String)> = rights
        .iter()
        .enumerate()
        .map(|(number, right)| {
            let name = format!("{prefix}{run_name}-{number}");
            (control_plane().user(&name, &[]).unwrap(), right)
        })
        .collect();
    let objects: Vec<Value> = users
        .iter()
        .flat_map(|(user, right)| given(user.name(), &without(role, right)))
        .collect();
    apply(&objects);
    let mark = control_plane().audit_mark().unwrap();
    iter(&users)
        .map(|(user, right)| async move {
            let (verb, resource) = right.split_once(' ').unwrap();
            let began = Instant::now();
            loop {
                let stage = Stage::at(user.kubeconfig(), prefix.to_owned()).await;
                let why = run(&stage, wanted)
                    .await
                    .expect_err(&format!("{run_name} without {right}"));
                let kind = matches!(why.kind(), ErrorKind::Forbidden | ErrorKind::Blocked);
                if kind && why.report().contains(&format!("{verb} {resource}")) {
                    return;
                }
                // Authorizers see a role a moment later than its maker.
                assert!(
                    began.elapsed() < Duration::from_secs(5),
                    "without {right}: {}",
                    why.report()
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .buffer_unordered(6)
        .collect::<Vec<()>>()
        .await;
    let (events, _) = control_plane().audit_since(mark).unwrap();
    let written: Vec<String> = events
        .iter()
        .filter(|event| event.user.starts_with(&format!("{prefix}{run_name}-")))
        .filter(|event| event.writes() && !event.uri.starts_with("/apis/authorization.k8s.io/"))
        .map(|event| format!("{} {} {}: {}", event.user, event.verb, event.uri, event.code))
        .collect();
    assert_eq!(written, Vec::<String>::new(), "{run_name}");
    users.len()
}

/// The run as a user with this role and nothing else; the rights that it made use of.
async fn exactly(prefix: &str, run_name: &str, role: &Value, wanted: &[Resource]) -> BTreeSet<String> {
    let name = format!("{prefix}{run_name}-exactly");
    let user = control_plane().user(&name, &[]).unwrap();
    apply(&given(&name, role));
    let (proxy, file) = proxied(&user);
    let stage = Stage::at(&file, prefix.to_owned()).await;
    let began = Instant::now();
    while let Err(why) = run(&stage, wanted).await {
        let early = why.kind() == ErrorKind::Forbidden && began.elapsed() < Duration::from_secs(5);
        assert!(early, "{run_name} with exactly the emitted rights: {}", why.report());
        tokio::time::sleep(Duration::from_millis(100)).await;
        proxy.forget_calls();
    }
    if wanted.is_empty() {
        let home = object(&format!("namespace {prefix}home"));
        assert!(home.is_none_or(|home| home["metadata"]["deletionTimestamp"].is_string()));
    }
    let (refused, granted): (Vec<Call>, Vec<Call>) =
        proxy.calls().into_iter().partition(|call| call.status == Some(403));
    // The home is made without asking whether it is there.
    let refused: BTreeSet<String> = refused.iter().filter_map(used).collect();
    assert!(refused.iter().all(|right| right == "create namespaces"), "{refused:?}");
    granted.iter().filter_map(used).collect()
}

/// The right that a call makes use of; `None` for what everybody may.
fn used(call: &Call) -> Option<String> {
    let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
    let mut parts = path.trim_start_matches('/').split('/');
    let group = match parts.next()? {
        "api" => "",
        "apis" => parts.next()?,
        _ => return None,
    };
    parts.next()?;
    let mut rest: Vec<&str> = parts.collect();
    if rest.len() > 2 && rest[0] == "namespaces" {
        rest.drain(..2);
    }
    let (plural, single) = (*rest.first()?, rest.len() > 1);
    if group == "authorization.k8s.io" {
        return None;
    }
    let verb = match call.method.as_str() {
        "GET" if query.contains("watch=") => "watch",
        "GET" if single => "get",
        "GET" => "list",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        other => panic!("{other} {path}"),
    };
    Some(format!("{verb} {plural}.{group}").trim_end_matches('.').to_owned())
}
