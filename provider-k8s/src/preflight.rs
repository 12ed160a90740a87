//! Rights: which ones a set of writes needs, and which of them are missing, before the first write.

use crate::client::{Call, JSON};
use crate::error::Attempt;
use crate::follow::SILENT;
use crate::kind::{KubeKind, find};
use crate::provider::{Inner, Known, PARALLEL};
use crate::set::Names;
use crate::strangers::{BUILT_IN, strangers_in};
use crate::{lock, parent, stamp};
use futures::FutureExt;
use futures::stream::{StreamExt, iter};
use http::Method;
use platform_core::value::{ResourceId, SetId};
use platform_core::{Finding, PlannedWrite, Result, Verb};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    verb: &'static str,
    /// `statefulsets.apps`
    resource: &'static str,
    /// `None`: for the whole cluster, or for objects without a namespace.
    namespace: Option<String>,
}

impl Right {
    fn parts(&self) -> (&'static str, &'static str) {
        self.resource.split_once('.').unwrap_or((self.resource, ""))
    }
}

/// Rights of every run, and whether only at home: its identity, its parent and lease, and their home.
const ALWAYS: [(&str, &str, bool); 6] = [
    ("get", "namespaces", false),
    ("get", "configmaps", true),
    ("patch", "configmaps", true),
    ("get", "leases.coordination.k8s.io", true),
    ("create", "leases.coordination.k8s.io", true),
    ("update", "leases.coordination.k8s.io", true),
];
/// Not needed where the home is there.
const CREATES_HOME: (&str, &str, bool) = ("create", "namespaces", false);
/// Rights of a run that adds to the set: it may be the first.
const TO_ADD: [(&str, &str, bool); 2] = [CREATES_HOME, ("create", "configmaps", true)];
/// Rights of the run that ends the set: parent, lease and home go too, or the home is left to what else is in it.
const AT_THE_END: [(&str, &str, bool); 4] = [
    ("delete", "configmaps", true),
    ("delete", "leases.coordination.k8s.io", true),
    ("delete", "namespaces", false),
    ("patch", "namespaces", false),
];

/// Rights with the first write that needs each. `ends`: nothing of the set is left after these writes.
fn needed(names: &Names, writes: &[PlannedWrite], ends: bool) -> BTreeMap<Right, Option<ResourceId>> {
    let at_the_end = AT_THE_END.iter().filter(|_| ends);
    let adds = writes
        .iter()
        .any(|write| matches!(write.verb, Verb::Create | Verb::Adopt));
    let mut rights: BTreeMap<Right, Option<ResourceId>> = ALWAYS
        .iter()
        .chain(at_the_end)
        .chain(TO_ADD.iter().filter(|_| adds))
        .map(|(verb, resource, at_home)| {
            let right = Right {
                verb,
                resource,
                namespace: at_home.then(|| names.home.clone()),
            };
            (right, None)
        })
        .collect();
    // Whoever deletes a namespace has to see what is in it.
    let home = ends.then_some((names.home.as_str(), None));
    let doomed = doomed(writes).map(|id| (id.name().base(), Some(id)));
    for (namespace, id) in home.into_iter().chain(doomed) {
        for (resource, _) in BUILT_IN {
            let right = Right {
                verb: "list",
                resource,
                namespace: Some(namespace.to_owned()),
            };
            rights.entry(right).or_insert_with(|| id.cloned());
        }
    }
    for write in writes {
        let Some(kind) = find(write.id.kind().as_str()) else {
            continue;
        };
        let calls = &kind.facts.calls;
        let of_verb: &[&[&str]] = match write.verb {
            Verb::Create => &[calls.create],
            Verb::Update | Verb::Adopt | Verb::Release => &[calls.update],
            Verb::Delete => &[calls.delete],
        };
        for (call, everywhere) in calls
            .read
            .iter()
            .map(|call| (call, true))
            .chain(of_verb.iter().flat_map(|calls| calls.iter()).map(|call| (call, false)))
        {
            let Some((verb, resource)) = call.split_once(' ') else {
                continue;
            };
            // Objects are listed and watched across namespaces.
            let everywhere = everywhere && verb != "get";
            let namespace = write.id.name().namespace().filter(|_| kind.namespaced && !everywhere);
            let right = Right {
                verb,
                resource,
                namespace: namespace.map(str::to_owned),
            };
            rights.entry(right).or_insert_with(|| Some(write.id.clone()));
        }
        if SILENT.contains(&kind.facts.kind) && !matches!(write.verb, Verb::Delete | Verb::Release) {
            let right = Right {
                verb: "list",
                resource: "events",
                namespace: write.id.name().namespace().map(str::to_owned),
            };
            rights.entry(right).or_insert_with(|| Some(write.id.clone()));
        }
    }
    rights
}

/// Namespaces that these writes delete.
fn doomed(writes: &[PlannedWrite]) -> impl Iterator<Item = &ResourceId> {
    writes
        .iter()
        .filter(|write| write.verb == Verb::Delete && write.id.kind().as_str() == "Namespace")
        .map(|write| &write.id)
}

/// What these writes take out of the set.
fn leaving(writes: &[PlannedWrite]) -> BTreeSet<&ResourceId> {
    writes
        .iter()
        .filter(|write| matches!(write.verb, Verb::Delete | Verb::Release))
        .map(|write| &write.id)
        .collect()
}

/// The rights as one ClusterRole: with those to end the set if the writes let go of everything that they name. A role a namespace would be narrower, but namespaces that the plan makes have none yet.
pub(crate) fn cluster_role(names: &Names, writes: &[PlannedWrite]) -> Value {
    let mut verbs: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    let leaving = leaving(writes);
    let ends = writes.iter().all(|write| leaving.contains(&write.id));
    for right in needed(names, writes, ends).into_keys() {
        let (resource, group) = right.parts();
        verbs.entry((group, resource)).or_default().insert(right.verb);
    }
    let rules: Vec<Value> = verbs
        .into_iter()
        .map(|((group, resource), verbs)| json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs }))
        .collect();
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": { "name": format!("mlplat-{}", names.label) },
        "rules": rules,
    })
}

pub(crate) async fn preflight(inner: &Inner, set: &SetId, writes: &[PlannedWrite]) -> Result<Vec<Finding>> {
    let names = inner.names(set);
    parent::plan(inner, set, &names, writes).await;
    let (ends, unread) = {
        let leaving = leaving(writes);
        let sets = inner.sets.lock().await;
        let known = sets.get(set);
        let all = |known: &Known| known.members.iter().all(|member| leaving.contains(member));
        let unread: Vec<Finding> = known
            .iter()
            .flat_map(|known| &known.unread)
            .map(|kind| unseen(kind))
            .collect();
        (leaving.len() == writes.len() && known.is_none_or(all), unread)
    };
    let needed = needed(&names, writes, ends);
    // One review tells all rights within a namespace; what it lists is certain, what it leaves out is not.
    let reviewed: BTreeSet<&String> = needed.keys().filter_map(|right| right.namespace.as_ref()).collect();
    let namespaces = reviewed.len();
    let mut asked = Vec::new();
    for namespace in reviewed {
        asked.push(rules(inner, namespace).boxed());
    }
    let answers: Vec<Result<(String, Vec<Value>)>> = iter(asked).buffered(PARALLEL).collect().await;
    let reviews: BTreeMap<String, Vec<Value>> = answers.into_iter().filter_map(Result::ok).collect();
    let mut asked = Vec::new();
    for (right, id) in &needed {
        let granted = |rules: &Vec<Value>| rules.iter().any(|rule| grants(rule, right));
        let known = match &right.namespace {
            Some(namespace) => reviews.get(namespace).is_some_and(granted),
            // Where the whole cluster may not be seen, each namespace of the set will do.
            None if right.resource != "namespaces" => reviews.len() == namespaces && reviews.values().all(granted),
            None => false,
        };
        if !known {
            asked.push(ask(inner, &names, right, id.as_ref()).boxed());
        }
    }
    let answers: Vec<Result<Option<Finding>>> = iter(asked).buffered(PARALLEL).collect().await;
    let mut findings: Vec<Finding> = answers
        .into_iter()
        .filter_map(Result::transpose)
        .collect::<Result<_>>()?;
    findings.extend(unread);
    // Without the right to look this would say the same once more.
    if findings.is_empty() {
        let doomed: Vec<&ResourceId> = doomed(writes).collect();
        let namespaces: Vec<&str> = doomed.iter().map(|id| id.name().base()).collect();
        let found = strangers_in(inner, &names, &namespaces).await?;
        findings.extend(
            doomed
                .into_iter()
                .zip(found)
                .filter(|(_, (_, strangers))| !strangers.is_empty())
                .map(|(id, (namespace, strangers))| Finding {
                    id: Some(id.clone()),
                    message: format!("namespace {namespace} cannot be deleted: {strangers}"),
                    help: strangers.help(),
                }),
        );
    }
    Ok(findings)
}

/// A kind of the set that could not be listed: what is no longer wanted of it would be left behind unseen.
fn unseen(kind: &str) -> Finding {
    let resource = find(kind).map_or_else(|| kind.to_owned(), KubeKind::resource);
    Finding {
        id: None,
        message: format!("cannot list {resource}, so what the set has of them is not known"),
        help: format!("grant list on {resource} in the whole cluster"),
    }
}

async fn rules(inner: &Inner, namespace: &str) -> Result<(String, Vec<Value>)> {
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let body = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": { "namespace": namespace },
    });
    let call = Call::send(
        Method::POST,
        path,
        JSON,
        &body,
        Attempt::new("review", format!("rights in {namespace}")),
    );
    let mut review = inner.api.call(call).await?.ok()?;
    let rules = match review["status"]["resourceRules"].take() {
        Value::Array(rules) => rules,
        _ => Vec::new(),
    };
    Ok((namespace.to_owned(), rules))
}

/// Whether a listed rule gives the right for objects of every name.
fn grants(rule: &Value, right: &Right) -> bool {
    let has = |key: &str, wanted: &str| {
        rule[key]
            .as_array()
            .is_some_and(|list| list.iter().any(|item| item == wanted || item == "*"))
    };
    let (resource, group) = right.parts();
    let named = rule["resourceNames"].as_array().is_some_and(|names| !names.is_empty());
    !named && has("verbs", right.verb) && has("apiGroups", group) && has("resources", resource)
}

async fn ask(inner: &Inner, names: &Names, right: &Right, id: Option<&ResourceId>) -> Result<Option<Finding>> {
    let (resource, group) = right.parts();
    let body = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": { "resourceAttributes": {
            "verb": right.verb,
            "group": group,
            "resource": resource,
            "namespace": right.namespace.as_deref().unwrap_or_default(),
        }},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let attempt = Attempt::new("review", format!("the right to {} {}", right.verb, right.resource));
    let review = inner
        .api
        .call(Call::send(Method::POST, path, JSON, &body, attempt))
        .await?
        .ok()?;
    if review["status"]["allowed"] == true {
        return Ok(None);
    }
    if id.is_none()
        && (right.verb, right.resource) == (CREATES_HOME.0, CREATES_HOME.1)
        && lock::has_home(inner, names).await?
    {
        return Ok(None);
    }
    let place = right.namespace.as_ref().map_or_else(
        || "the whole cluster".to_owned(),
        |namespace| format!("namespace {namespace}"),
    );
    let for_what = id.map_or_else(String::new, |id| {
        let kind = stamp::kind_of(id).map_or_else(|_| String::new(), |kind| stamp::what(kind, id));
        format!(", needed for {kind}")
    });
    Ok(Some(Finding {
        id: id.cloned(),
        message: format!("not allowed to {} {} in {place}{for_what}", right.verb, right.resource),
        help: format!("grant {} on {} in {place}", right.verb, right.resource),
    }))
}

#[cfg(test)]
mod tests {
    use super::{Right, grants};
    use serde_json::json;

    #[test]
    fn rules_grant_what_they_name() {
        let right = Right {
            verb: "create",
            resource: "statefulsets.apps",
            namespace: Some("a".to_owned()),
        };
        for (rule, expected) in [
            (
                json!({"verbs": ["create"], "apiGroups": ["apps"], "resources": ["statefulsets"]}),
                true,
            ),
            (json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}), true),
            (
                json!({"verbs": ["get"], "apiGroups": ["apps"], "resources": ["statefulsets"]}),
                false,
            ),
            (
                json!({"verbs": ["create"], "apiGroups": [""], "resources": ["statefulsets"]}),
                false,
            ),
            (
                json!({"verbs": ["create"], "apiGroups": ["apps"], "resources": ["statefulsets"], "resourceNames": ["x"]}),
                false,
            ),
        ] {
            assert_eq!(grants(&rule, &right), expected, "{rule}");
        }
    }
}
