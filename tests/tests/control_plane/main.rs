//! Everything that is proved on a real API server. One binary, one control plane, a namespace prefix a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adoption;
mod applications;
mod applying;
mod autoscaled;
mod backups;
mod canary;
mod certificates;
mod configured;
mod cost;
mod end_state;
mod growth;
mod keeping;
mod kills;
mod metrics;
mod monitoring;
mod neighbours;
mod people;
mod proxied;
mod quotas;
mod recorded;
mod refusals;
mod replicas;
mod restless;
mod rights;
mod rotation;
mod shared;
mod sharing;
mod simulated_nodes;
mod stage;
mod standing;
mod stored_plans;
mod targeted;
mod upgrades;
mod velero;
mod whole;
