use super::plan::Action;
use crate::Error;
use crate::value::ResourceId;
use std::time::Duration;

/// What progress code sees, and nothing else.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The run begins: this many steps will write or wait.
    Planned {
        /// Steps to do.
        steps: usize,
        /// Steps that stand already.
        unchanged: usize,
    },
    /// The lease is somebody's.
    Locked {
        /// Whose.
        holder: String,
        /// When it is tried again.
        again_in: Duration,
    },
    /// A write goes out.
    Started {
        /// Which object.
        id: ResourceId,
        /// What happens to it.
        action: Action,
    },
    /// Written; not ready yet.
    Waiting {
        /// Which object.
        id: ResourceId,
        /// For what.
        on: String,
        /// For how long so far.
        since: Duration,
        /// How long this kind usually takes.
        usually: Duration,
    },
    /// A write is tried again.
    Retrying {
        /// Which object.
        id: ResourceId,
        /// Why.
        why: Error,
        /// When.
        after: Duration,
    },
    /// Done and ready.
    Done {
        /// Which object.
        id: ResourceId,
        /// What happened to it.
        action: Action,
        /// How long it took.
        took: Duration,
    },
    /// Failed.
    Failed {
        /// Which object.
        id: ResourceId,
        /// Why.
        why: Error,
    },
    /// Not tried.
    Skipped {
        /// Which object.
        id: ResourceId,
        /// The failed object that it depends on.
        because: ResourceId,
    },
    /// Something worth reading that stops nothing.
    Warning {
        /// What.
        text: String,
    },
}
