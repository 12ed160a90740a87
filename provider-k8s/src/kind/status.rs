//! What all kinds say about themselves in the same way, after kstatus.

use platform_core::State;
use serde_json::Value;

/// Going away, behind its own generation, or stalled by its own word; `None`: the kind decides.
pub(super) fn general(object: &Value) -> Option<State> {
    let metadata = &object["metadata"];
    if metadata["deletionTimestamp"].is_string() {
        let mut blocked_by: Vec<String> = texts(&metadata["finalizers"]);
        blocked_by.extend(
            [
                "NamespaceDeletionDiscoveryFailure",
                "NamespaceDeletionContentFailure",
                "NamespaceContentRemaining",
                "NamespaceFinalizersRemaining",
            ]
            .into_iter()
            .filter_map(|kind| Some(condition(object, kind)?.message.to_owned())),
        );
        return Some(State::Deleting { blocked_by });
    }
    let seen = &object["status"]["observedGeneration"];
    if seen.is_i64() && seen.as_i64() < metadata["generation"].as_i64() {
        return Some(progressing("its controller has not seen the change yet"));
    }
    if let Some(stalled) = condition(object, "Stalled") {
        return Some(State::Failed { why: stalled.text() });
    }
    condition(object, "Reconciling").map(|reconciling| progressing(&reconciling.text()))
}

/// A condition that is `True`.
#[derive(Debug)]
pub(super) struct Condition<'a> {
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
}

impl Condition<'_> {
    pub(super) fn text(&self) -> String {
        if self.message.is_empty() {
            self.reason.to_owned()
        } else {
            self.message.to_owned()
        }
    }
}

/// The condition of this type, if it is `True`.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<Condition<'a>> {
    condition_that_is(object, kind, "True")
}

/// The condition of this type, if it has this status.
pub(super) fn condition_that_is<'a>(object: &'a Value, kind: &str, status: &str) -> Option<Condition<'a>> {
    let found = object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|found| found["type"] == kind && found["status"] == status)?;
    Some(Condition {
        reason: found["reason"].as_str().unwrap_or_default(),
        message: found["message"].as_str().unwrap_or_default(),
    })
}

pub(super) fn progressing(what: &str) -> State {
    State::Progressing { what: what.to_owned() }
}

/// A count in the status; absent is 0.
pub(super) fn count(object: &Value, field: &str) -> i64 {
    object["status"][field].as_i64().unwrap_or(0)
}

/// Wanted replicas; absent is 1.
pub(super) fn replicas(object: &Value) -> i64 {
    object["spec"]["replicas"].as_i64().unwrap_or(1)
}

/// `2 of 3 pods ready`.
pub(super) fn share(have: i64, want: i64, what: &str) -> State {
    State::Progressing {
        what: format!("{have} of {want} pods {what}"),
    }
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
