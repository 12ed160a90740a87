//! Rights: which ones a set of writes needs, and which of them are missing, before the first write.

use crate::client::{Call, JSON};
use crate::error::Attempt;
use crate::kind::find;
use crate::provider::{Inner, PARALLEL};
use crate::set::Names;
use crate::{parent, stamp};
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

/// Rights of every run: its identity, its parent and lease, and their home.
const ALWAYS: [(&str, &str, bool); 11] = [
    ("get", "namespaces", false),
    ("create", "namespaces", false),
    ("get", "configmaps", true),
    ("create", "configmaps", true),
    ("patch", "configmaps", true),
    ("delete", "configmaps", true),
    ("get", "leases.coordination.k8s.io", true),
    ("create", "leases.coordination.k8s.io", true),
    ("update", "leases.coordination.k8s.io", true),
    ("delete", "leases.coordination.k8s.io", true),
    ("list", "namespaces", false),
];

/// Rights with the first write that needs each.
fn needed(names: &Names, writes: &[PlannedWrite]) -> BTreeMap<Right, Option<ResourceId>> {
    let mut rights: BTreeMap<Right, Option<ResourceId>> = ALWAYS
        .iter()
        .map(|(verb, resource, at_home)| {
            let right = Right {
                verb,
                resource,
                namespace: at_home.then(|| names.home.clone()),
            };
            (right, None)
        })
        .collect();
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
    }
    rights
}

/// The rights as one ClusterRole. A role a namespace would be narrower, but namespaces that the plan makes have none yet.
pub(crate) fn cluster_role(names: &Names, writes: &[PlannedWrite]) -> Value {
    let mut verbs: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for right in needed(names, writes).into_keys() {
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
    let needed = needed(&names, writes);
    // One review tells all rights within a namespace; what it lists is certain, what it leaves out is not.
    let namespaces: BTreeSet<&String> = needed.keys().filter_map(|right| right.namespace.as_ref()).collect();
    let mut asked = Vec::new();
    for namespace in namespaces {
        asked.push(rules(inner, namespace).boxed());
    }
    let answers: Vec<Result<(String, Vec<Value>)>> = iter(asked).buffered(PARALLEL).collect().await;
    let reviews: BTreeMap<String, Vec<Value>> = answers.into_iter().filter_map(Result::ok).collect();
    let mut asked = Vec::new();
    for (right, id) in &needed {
        let known = right.namespace.as_ref().and_then(|namespace| reviews.get(namespace));
        if !known.is_some_and(|rules| rules.iter().any(|rule| grants(rule, right))) {
            asked.push(ask(inner, right, id.as_ref()).boxed());
        }
    }
    let answers: Vec<Result<Option<Finding>>> = iter(asked).buffered(PARALLEL).collect().await;
    answers.into_iter().filter_map(Result::transpose).collect()
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

async fn ask(inner: &Inner, right: &Right, id: Option<&ResourceId>) -> Result<Option<Finding>> {
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
