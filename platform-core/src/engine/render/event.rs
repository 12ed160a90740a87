//! Events as plain lines and as JSON, one a line.

use super::super::event::Event;
use super::document::{error, number};
use super::style::span;
use serde_json::{Value, json};
use std::fmt;

impl fmt::Display for Event {
    /// One plain line, as a CI log shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Planned { steps, unchanged } => write!(f, "{steps} to do, {unchanged} unchanged"),
            Self::Locked { holder, again_in } => {
                write!(f, "locked by {holder}; trying again in {}", span(*again_in))
            }
            Self::Started { id, action } => write!(f, "{} {}", action.mark(), id.label()),
            Self::Waiting { id, on, since, usually } => write!(
                f,
                "  {}  waiting {}  {on} (usually {})",
                id.label(),
                span(*since),
                span(*usually)
            ),
            Self::Retrying { id, why, after } => {
                write!(f, "  {}  again in {}: {why}", id.label(), span(*after))
            }
            Self::Done { id, action, took } => {
                write!(f, "  {}  {} in {}", id.label(), action.done(), span(*took))
            }
            Self::Failed { id, why } => write!(f, "x {}  failed  {}", id.label(), indented(&why.report())),
            Self::Skipped { id, because } => {
                write!(f, "  {}  skipped because of {}", id.label(), because.label())
            }
            Self::Warning { text } => write!(f, "warning: {text}"),
        }
    }
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n    ")
}

impl Event {
    /// The event as one JSON object with `event` and, where it has one, `id`; durations in seconds.
    pub fn document(&self) -> Value {
        match self {
            Self::Planned { steps, unchanged } => {
                json!({"event": "planned", "steps": steps, "unchanged": unchanged})
            }
            Self::Locked { holder, again_in } => {
                json!({"event": "locked", "holder": holder, "again_in": number(*again_in)})
            }
            Self::Started { id, action } => json!({"event": "started", "id": id, "action": action}),
            Self::Waiting { id, on, since, usually } => json!({
                "event": "waiting", "id": id, "on": on, "since": number(*since), "usually": number(*usually),
            }),
            Self::Retrying { id, why, after } => {
                json!({"event": "retrying", "id": id, "why": error(why), "after": number(*after)})
            }
            Self::Done { id, action, took } => {
                json!({"event": "done", "id": id, "action": action, "took": number(*took)})
            }
            Self::Failed { id, why } => json!({"event": "failed", "id": id, "why": error(why)}),
            Self::Skipped { id, because } => json!({"event": "skipped", "id": id, "because": because}),
            Self::Warning { text } => json!({"event": "warning", "text": text}),
        }
    }
}
