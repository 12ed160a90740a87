//! What Velero's kinds have in common: a phase that moves to one of a few ends.

use super::status::progressing;
use platform_core::State;
use serde_json::Value;

/// Group of all of Velero's kinds.
pub(super) const GROUP: &str = "velero.io";
/// Version of those that people write.
pub(super) const VERSION: &str = "v1";

/// State of an object that runs to an end. "Completed" with errors is no success: something was left out.
pub(super) fn run(object: &Value, done: &str, total: &str) -> State {
    let status = &object["status"];
    let phase = status["phase"].as_str().unwrap_or("New");
    let errors = status["errors"].as_u64().unwrap_or(0);
    match phase {
        "Completed" if errors == 0 => State::Ready,
        "Completed" | "PartiallyFailed" | "Failed" | "FailedValidation" => State::Failed {
            why: reasons(status, phase, errors),
        },
        "Deleting" => State::Deleting { blocked_by: Vec::new() },
        // It will end as partly failed whatever happens.
        phase if phase.ends_with("PartiallyFailed") => progressing(&format!("{phase}, {errors} errors so far")),
        phase => {
            let count = |field: &str| status["progress"][field].as_u64();
            match (count(done), count(total)) {
                (Some(done), Some(total)) => progressing(&format!("{phase}: {done} of {total} items")),
                _ => progressing(phase),
            }
        }
    }
}

/// `PartiallyFailed with 2 errors: <reason>`.
fn reasons(status: &Value, phase: &str, errors: u64) -> String {
    let errors = match errors {
        0 => String::new(),
        1 => " with 1 error".to_owned(),
        many => format!(" with {many} errors"),
    };
    let mut reasons: Vec<String> = status["failureReason"]
        .as_str()
        .map(str::to_owned)
        .into_iter()
        .collect();
    reasons.extend(texts(&status["validationErrors"]).map(str::to_owned));
    let hooks = &status["hookStatus"];
    if let (Some(failed @ 1..), Some(all)) = (hooks["hooksFailed"].as_u64(), hooks["hooksAttempted"].as_u64()) {
        reasons.push(format!(
            "{failed} of {all} hooks failed, so what they should have written is not in it"
        ));
    }
    if reasons.is_empty() {
        format!("{phase}{errors}")
    } else {
        format!("{phase}{errors}: {}", reasons.join("; "))
    }
}

/// The texts of a list.
pub(super) fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
