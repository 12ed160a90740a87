//! A few kinds, one for each way in which kinds differ, with facts of their own.

use crate::facts::{
    Calls, Charset, Creation, Equal, Field, FieldChange, KindFacts, NameRule, Risk, RiskRule, Updating,
};
use crate::resource::Holds;
use crate::value::Kind;
use std::time::Duration;

const PLAIN: KindFacts = KindFacts {
    kind: "ConfigMap",
    holds: Holds::Nothing,
    rank: 50,
    name: NameRule {
        max: 253,
        charset: Charset::Dns1123Subdomain,
    },
    create: Creation::Exclusive,
    update: Updating::AtOnce,
    patience: Duration::from_mins(1),
    usually: Duration::ZERO,
    taken: "",
    removal: None,
    outputs: &[],
    fields: &[],
    calls: Calls {
        read: &[],
        create: &[],
        update: &[],
        delete: &[],
    },
};

/// Holds other objects: they need it first, and its deletion takes them away.
pub const NAMESPACE: &KindFacts = &KindFacts {
    kind: "Namespace",
    rank: 0,
    ..PLAIN
};

/// Ready at once, holds nothing.
pub const CONFIG: &KindFacts = &PLAIN;

/// Generated values. What it holds is said by each resource.
pub const SECRET: &KindFacts = &KindFacts {
    kind: "Secret",
    rank: 20,
    fields: &[Field::new("data.*").risk(RiskRule::Removed(Risk::DestroysData))],
    ..PLAIN
};

/// Holds rows; grows only; its class is for ever.
pub const VOLUME: &KindFacts = &KindFacts {
    kind: "PersistentVolumeClaim",
    holds: Holds::Durable,
    rank: 10,
    usually: Duration::from_secs(2),
    fields: &[
        Field::new("spec.size")
            .changes(FieldChange::GrowOnly)
            .equal(Equal::Quantity),
        Field::new("spec.class").changes(FieldChange::Never),
    ],
    ..PLAIN
};

/// Takes time to become ready; its image restarts it; its selector needs a new object.
pub const WORKLOAD: &KindFacts = &KindFacts {
    kind: "StatefulSet.apps",
    rank: 90,
    usually: Duration::from_secs(20),
    patience: Duration::from_mins(10),
    fields: &[
        Field::new("spec.containers[*].image")
            .changes(FieldChange::Restart)
            .risk(RiskRule::Always(Risk::Downtime)),
        Field::new("spec.containers[*].memory").equal(Equal::Quantity),
        Field::new("spec.selector").changes(FieldChange::Replace),
    ],
    ..PLAIN
};

/// Durable, its id made by the server, its create guarded by a token.
pub const KEY: &KindFacts = &KindFacts {
    kind: "test.Key",
    holds: Holds::Durable,
    rank: 5,
    create: Creation::Token,
    outputs: &["id"],
    fields: &[Field::new("rotation").risk(RiskRule::TurnsOff(Risk::LowersProtection))],
    ..PLAIN
};

/// A create overwrites what is there.
pub const ALARM: &KindFacts = &KindFacts {
    kind: "test.Alarm",
    rank: 80,
    create: Creation::Upsert,
    ..PLAIN
};

/// Nothing keeps a second create from making a second one, and it refuses changes until it is ready.
pub const QUEUE: &KindFacts = &KindFacts {
    kind: "test.Queue",
    holds: Holds::Rebuildable,
    rank: 60,
    create: Creation::Unguarded,
    update: Updating::WhenSettled,
    usually: Duration::from_secs(3),
    outputs: &["url"],
    ..PLAIN
};

/// Durable, with settings that protect what it holds.
pub const BUCKET: &KindFacts = &KindFacts {
    kind: "test.Bucket",
    holds: Holds::Durable,
    rank: 10,
    name: NameRule {
        max: 63,
        charset: Charset::Bucket,
    },
    fields: &[
        Field::new("versioning").risk(RiskRule::TurnsOff(Risk::LowersProtection)),
        Field::new("retention").risk(RiskRule::Shrinks(Risk::LowersProtection)),
        Field::new("readers")
            .equal(Equal::Set)
            .risk(RiskRule::Widens(Risk::Exposes)),
        Field::new("policy").equal(Equal::JsonText),
        Field::new("region").changes(FieldChange::Never),
    ],
    ..PLAIN
};

/// All of them.
pub const ALL: [&KindFacts; 9] = [NAMESPACE, CONFIG, SECRET, VOLUME, WORKLOAD, KEY, ALARM, QUEUE, BUCKET];

/// The facts of a test kind.
pub fn facts(kind: &Kind) -> Option<&'static KindFacts> {
    ALL.into_iter().find(|facts| facts.kind == kind.as_str())
}
