//! Rights that a config gives to people, as the API server enforces them.

use platform_core::Risk;
use platform_core::engine::Action;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

use crate::configured::{apply, platform, try_apply};
use crate::shared::{self, api, apply as put, control_plane, kubectl, kubectl_as, object, prefix, within};
use crate::stage::accepted;

fn text(prefix: &str, people: &str) -> String {
    format!(
        "name: ml\nenvironment: local\nprovider: kubernetes\nnamespace_prefix: {prefix}\ncache: {{}}\n\
         security: {{ applications: [{{ name: apps, uses: [cache] }}]{people} }}\n"
    )
}

/// Whether the server would let them: a SubjectAccessReview, as `kubectl auth can-i --as` sends it.
async fn may(api: &kube::Client, (user, group): (&str, &str), verb: &str, resource: &str, namespace: &str) -> bool {
    let (resource, group_of) = resource.split_once('.').unwrap_or((resource, ""));
    let (group_of, sub) = group_of.split_once('/').unwrap_or((group_of, ""));
    let (resource, sub) = resource.split_once('/').unwrap_or((resource, sub));
    let review = json!({ "spec": { "user": user, "groups": [group, "system:authenticated"], "resourceAttributes": {
        "verb": verb, "group": group_of, "resource": resource, "subresource": sub, "namespace": namespace, "name": "some",
    }}});
    let request = http::Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews")
        .body(review.to_string().into_bytes())
        .unwrap();
    let answer: Value = api.request(request).await.unwrap();
    answer["status"]["allowed"] == json!(true)
}

/// Waits until the server lets them or not as expected: it decides by what its watches of Roles and RoleBindings have shown
/// it so far, which is some time after the writes.
async fn becomes(
    expected: bool,
    api: &kube::Client,
    person: (&str, &str),
    verb: &str,
    resource: &str,
    namespace: &str,
) {
    let what = format!("{person:?}: {verb} {resource} in {namespace:?} is {expected}");
    shared::becomes(Duration::from_secs(10), &what, async || {
        may(api, person, verb, resource, namespace).await == expected
    })
    .await;
}

const READ: [&str; 16] = [
    "configmaps",
    "controllerrevisions.apps",
    "deployments.apps",
    "endpointslices.discovery.k8s.io",
    "events",
    "jobs.batch",
    "limitranges",
    "networkpolicies.networking.k8s.io",
    "persistentvolumeclaims",
    "poddisruptionbudgets.policy",
    "pods",
    "resourcequotas",
    "rolebindings.rbac.authorization.k8s.io",
    "schedules.velero.io",
    "services",
    "statefulsets.apps",
];

/// Verb, resource: for operators alone.
const OPERATE: [(&str, &str); 5] = [
    ("get", "pods/log"),
    ("create", "pods/portforward"),
    ("get", "pods/portforward"),
    ("delete", "pods"),
    ("create", "pods/eviction"),
];

/// Verb, resource: for nobody.
const CLOSED: [(&str, &str); 26] = [
    ("get", "secrets"),
    ("list", "secrets"),
    ("watch", "secrets"),
    ("create", "secrets"),
    ("create", "pods/exec"),
    ("get", "pods/exec"),
    ("create", "pods/attach"),
    ("get", "pods/attach"),
    ("get", "pods/proxy"),
    ("get", "services/proxy"),
    ("patch", "pods/ephemeralcontainers"),
    ("create", "pods"),
    ("patch", "pods"),
    ("deletecollection", "pods"),
    ("create", "serviceaccounts/token"),
    ("impersonate", "serviceaccounts"),
    ("patch", "configmaps"),
    ("patch", "deployments.apps"),
    ("update", "statefulsets.apps"),
    ("patch", "statefulsets.apps/scale"),
    ("create", "jobs.batch"),
    ("delete", "networkpolicies.networking.k8s.io"),
    ("patch", "rolebindings.rbac.authorization.k8s.io"),
    ("escalate", "roles.rbac.authorization.k8s.io"),
    ("create", "downloadrequests.velero.io"),
    ("get", "downloadrequests.velero.io"),
];

#[tokio::test(flavor = "multi_thread")]
async fn people_may_what_the_config_says_and_no_more() {
    let prefix = prefix();
    // A name alone and a group alone, both of this test only.
    let [team, oncall, ann] = ["team", "oncall", "ann"].map(|name| format!("{prefix}{name}"));
    let people =
        format!(", people: {{ viewers: {{ groups: [{team}], users: [{ann}] }}, operators: {{ groups: [{oncall}] }} }}");
    let wanted = text(&prefix, &people);
    let standing = platform(&wanted, None).await;
    apply(&standing, &standing.plan().await.unwrap()).await;
    let again = platform(&wanted, None).await.plan().await.unwrap();
    assert!(again.is_empty(), "{}", again.display());

    let api = api().await;
    let nobody = (format!("{prefix}eve"), format!("{prefix}others"));
    let viewer = (format!("{prefix}vic"), team.clone());
    let by_name = (ann.clone(), nobody.1.clone());
    let operator = (format!("{prefix}oz"), oncall.clone());
    let who = [&nobody, &viewer, &by_name, &operator].map(|(user, group)| (user.as_str(), group.as_str()));
    let (mut allowed, mut denied) = (0, 0);
    for space in ["cache", "security", "apps"].map(|base| format!("{prefix}{base}")) {
        let mut table: Vec<(&str, &str, [bool; 4])> = Vec::new();
        for verb in ["get", "list", "watch"] {
            table.extend(READ.iter().map(|resource| (verb, *resource, [false, true, true, true])));
        }
        table.extend(
            OPERATE
                .iter()
                .map(|(verb, resource)| (*verb, *resource, [false, false, false, true])),
        );
        table.extend(CLOSED.iter().map(|(verb, resource)| (*verb, *resource, [false; 4])));
        for (verb, resource, expected) in table {
            for (person, expected) in who.into_iter().zip(expected) {
                becomes(expected, &api, person, verb, resource, &space).await;
                *if expected { &mut allowed } else { &mut denied } += 1;
            }
        }
    }
    // Nothing beyond the platform's namespaces, nor in the one with its lease.
    for space in [
        "default".to_owned(),
        "kube-system".to_owned(),
        format!("{prefix}ml"),
        String::new(),
    ] {
        for (verb, resource) in [
            ("list", "pods"),
            ("get", "configmaps"),
            ("list", "nodes"),
            ("delete", "pods"),
        ] {
            for person in who {
                assert!(
                    !may(&api, person, verb, resource, &space).await,
                    "{person:?}: {verb} {resource} in {space:?}"
                );
                denied += 1;
            }
        }
    }
    println!("{allowed} allowed, {denied} denied");
    assert!(allowed > 400 && denied > 400);
}

/// The same by real calls of people who log in by certificate.
#[tokio::test(flavor = "multi_thread")]
async fn people_look_and_restart_by_kubectl() {
    let prefix = prefix();
    let [team, oncall] = ["team", "oncall"].map(|name| format!("{prefix}{name}"));
    let people = format!(", people: {{ viewers: {{ groups: [{team}] }}, operators: {{ groups: [{oncall}] }} }}");
    let wanted = text(&prefix, &people);
    let standing = platform(&wanted, None).await;
    apply(&standing, &standing.plan().await.unwrap()).await;

    let space = format!("{prefix}cache");
    let client = api().await;
    for group in [&team, &oncall] {
        becomes(true, &client, ("somebody", group), "list", "pods", &space).await;
    }
    let viewer = control_plane().user(&format!("{prefix}vic"), &[&team]).unwrap();
    let operator = control_plane().user(&format!("{prefix}oz"), &[&oncall]).unwrap();
    let pod = "redis-0";
    let uid = || object(&format!("pod {pod} -n {space}")).map(|pod| pod["metadata"]["uid"].clone());
    let there = format!("{pod} is back");
    within(Duration::from_secs(20), &there, || uid().is_some());
    let call = |user, arguments: &[&str]| {
        let mut all = vec!["--namespace", &space];
        all.extend(arguments);
        let output = kubectl_as(user, &all);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let forbidden = |user, arguments: &[&str]| {
        let (success, _, errors) = call(user, arguments);
        assert!(!success && errors.contains("orbidden"), "{arguments:?}: {errors}");
    };
    for user in [&viewer, &operator] {
        let (success, pods, errors) = call(
            user,
            &["get", "pods,statefulsets,events,networkpolicies", "--output=name"],
        );
        assert!(success && pods.contains("pod/redis-0"), "{pods} {errors}");
        let (success, described, errors) = call(user, &["describe", "namespace", &space]);
        assert!(success && described.contains("quota"), "{described} {errors}");
        forbidden(user, &["get", "secrets"]);
        forbidden(user, &["get", "secret", "redis-credentials"]);
        forbidden(user, &["exec", pod, "--", "true"]);
        forbidden(user, &["annotate", "statefulset", "redis", "who=me"]);
        forbidden(user, &["scale", "statefulset", "redis", "--replicas=0"]);
        forbidden(
            user,
            &["delete", "persistentvolumeclaims", "data-redis-0", "--wait=false"],
        );
    }
    forbidden(&viewer, &["logs", pod]);
    forbidden(&viewer, &["port-forward", pod, ":6379"]);
    forbidden(&viewer, &["delete", "pod", pod, "--wait=false"]);
    // The simulated node has neither logs nor ports: getting as far as it is what rights decide.
    for arguments in [&["logs", pod][..], &["port-forward", pod, ":6379"]] {
        let (success, _, errors) = call(&operator, arguments);
        assert!(!success && !errors.contains("orbidden"), "{arguments:?}: {errors}");
    }
    let before = uid();
    let (success, _, errors) = call(&operator, &["delete", "pod", pod, "--wait=false"]);
    assert!(success, "{errors}");
    within(Duration::from_secs(20), &there, || {
        let now = uid();
        now.is_some() && now != before
    });
}

/// Who comes or goes is a change like any other: one more is a risk that a person accepts, and rights that somebody gives
/// by hand are drift.
#[tokio::test(flavor = "multi_thread")]
async fn people_come_and_go_with_the_config() {
    let prefix = prefix();
    let [team, others, oncall] = ["team", "others", "oncall"].map(|name| format!("{prefix}{name}"));
    let with = |groups: &str| text(&prefix, &format!(", people: {{ viewers: {{ groups: [{groups}] }} }}"));
    let api = api().await;
    let space = format!("{prefix}apps");
    let see = async |groups: &[&str], expected: bool| {
        for group in groups {
            becomes(expected, &api, ("somebody", group), "list", "pods", &space).await;
        }
    };
    let standing = platform(&with(&team), None).await;
    apply(&standing, &standing.plan().await.unwrap()).await;
    see(&[&team], true).await;
    see(&[&others], false).await;

    let wider = platform(&with(&format!("{team}, {others}")), None).await;
    let plan = wider.plan().await.unwrap();
    let demands = plan.demands();
    let kinds: BTreeSet<(&str, Risk)> = demands
        .iter()
        .map(|one| (one.resource.kind().short(), one.risk))
        .collect();
    assert_eq!(kinds, [("RoleBinding", Risk::Exposes)].into());
    let refused = try_apply(&wider, &plan, &platform_core::engine::Approvals::none()).await;
    assert_eq!(refused.unwrap_err().kind(), platform_core::ErrorKind::Unapproved);
    try_apply(&wider, &plan, &accepted(&plan)).await.unwrap();
    see(&[&team, &others], true).await;

    // Somebody lets another group in by hand.
    let by_hand = json!([{ "op": "add", "path": "/subjects/-", "value":
        { "kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": oncall } }]);
    let by_hand = by_hand.to_string();
    let mut patch = vec!["patch", "rolebinding", "platform-viewer", "--namespace", &space];
    patch.extend(["--type=json", "--patch", &by_hand]);
    kubectl(&patch);
    see(&[&oncall], true).await;
    let drifted = wider.plan().await.unwrap();
    let steps: Vec<(Action, &str)> = drifted
        .changes()
        .map(|one| (one.action, one.id.kind().short()))
        .collect();
    assert_eq!(steps, [(Action::Update, "RoleBinding")], "{}", drifted.display());
    assert!(drifted.demands().is_empty(), "{}", drifted.display());
    apply(&wider, &drifted).await;
    see(&[&oncall], false).await;
    see(&[&others], true).await;

    // Out of the config, out of the namespaces: nothing needs an approval.
    let without = platform(&text(&prefix, ""), None).await;
    let plan = without.plan().await.unwrap();
    assert!(plan.demands().is_empty(), "{}", plan.display());
    apply(&without, &plan).await;
    see(&[&team, &others], false).await;
    assert_eq!(object(&format!("role platform-viewer -n {space}")), None);
}

/// A Role of somebody else under the platform's name is not written over.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_somebody_else_is_not_written_over() {
    let prefix = prefix();
    let standing = platform(&text(&prefix, ""), None).await;
    apply(&standing, &standing.plan().await.unwrap()).await;
    let space = format!("{prefix}apps");
    put(&[json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": "platform-viewer", "namespace": space },
        "rules": [{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"] }],
    })]);
    let people = format!(", people: {{ viewers: {{ groups: [{prefix}team] }} }}");
    let plan = platform(&text(&prefix, &people), None).await.plan().await.unwrap();
    let blocked: Vec<String> = plan
        .changes()
        .filter(|step| step.action == Action::Blocked)
        .map(|step| format!("{} {}", step.id.kind().short(), step.id.name()))
        .collect();
    assert_eq!(blocked, [format!("Role {space}/platform-viewer")]);
}
