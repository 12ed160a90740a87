//! `backup.RestoreProof`: that a backup was restored, and what was seen then. An object in the control bucket, named by the
//! vault, the backup and the drill's moment. It is never changed, and outlives the drill and the backup. What would be tags
//! stands in it.

use super::{AwsKind, Found, Reach, backup};
use crate::control::{self, Object, Put};
use crate::error::Outcome;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use platform_core::value::{Name, SetId, Timestamp};
use platform_core::{
    Calls, Charset, Creation, Error, ErrorKind, Field, FieldChange, Holds, KindFacts, Live, NameRule, Result, State,
    Updating,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Where proofs lie in the control bucket.
const FOLDER: &str = "proofs/";

#[derive(Debug)]
pub(crate) struct Proof;

impl Proof {
    /// What the engine calls it.
    pub(crate) const KIND: &'static str = "backup.RestoreProof";
}

static FACTS: KindFacts = KindFacts {
    kind: Proof::KIND,
    holds: Holds::Nothing,
    rank: 40,
    // Vault, backup and moment.
    name: NameRule {
        max: 200,
        charset: Charset::AwsPath,
    },
    create: Creation::Exclusive,
    update: Updating::AtOnce,
    patience: Duration::from_mins(1),
    usually: Duration::from_secs(1),
    taken: "",
    removal: None,
    outputs: &["completed"],
    fields: &[
        Field::new("began").changes(FieldChange::Never),
        Field::new("checks").changes(FieldChange::Never),
    ],
    calls: Calls {
        read: &["s3:GetObject", "s3:ListBucket"],
        create: &["s3:PutObject"],
        update: &["s3:PutObject"],
        delete: &[],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// Which backup.
    backup: String,
    /// When it began.
    taken: Timestamp,
    /// When its restore began.
    began: Timestamp,
    /// What was looked at.
    checks: Vec<String>,
    /// The server that it was seen on, by its resource id.
    seen_on: String,
}

/// The object.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    settings: Desired,
    /// When what it says was found.
    at: Timestamp,
    tags: Tags,
}

fn key(name: &str) -> String {
    format!("{FOLDER}{name}.json")
}

fn object<'a>(scope: &'a Scope<'_>, name: &str) -> Object<'a> {
    Object {
        s3: &scope.clients.s3,
        account: scope.account(),
        region: scope.region(),
        key: key(name),
    }
}

/// The record and the version of its object.
async fn get(scope: &Scope<'_>, name: &str) -> Result<Option<(Record, String)>> {
    let Some((body, version)) = object(scope, name).get("the proof").await? else {
        return Ok(None);
    };
    let record = serde_json::from_slice(&body).map_err(|cause| {
        Error::new(ErrorKind::Internal, format!("the proof is damaged: {cause}"))
            .with_context("object", key(name))
            .with_help("delete the object, and run a drill")
    })?;
    Ok(Some((record, version)))
}

/// Writes the record over this version of its object, or where there is none.
async fn put(scope: &Scope<'_>, name: &str, record: &Record, version: Option<&str>) -> Result<()> {
    let body = serde_json::to_vec(record)
        .map_err(|cause| Error::new(ErrorKind::Internal, format!("the proof is not JSON: {cause}")))?;
    match object(scope, name).put(body, version).await? {
        Put::Done(_) => Ok(()),
        Put::Lost => {
            Err(Error::new(ErrorKind::Conflict, "the proof was written by another run").with_help("plan again"))
        }
    }
}

/// Every proof of a vault's backups.
pub(crate) async fn all(scope: &Scope<'_>, vault: &Name) -> Result<Vec<Live>> {
    let mut found = Vec::new();
    for name in kept(scope, &format!("{vault}/")).await? {
        if let Some((record, _)) = get(scope, &name).await? {
            found.push(Live {
                uid: tags::incarnation(&record.tags, &name),
                view: Arc::new(json!(record.settings)),
                outputs: outputs(&record),
                ..backup::listed(scope, &FACTS, Name::new(&name)?, &record.tags)?
            });
        }
    }
    Ok(found)
}

/// Names that begin so.
async fn kept(scope: &Scope<'_>, start: &str) -> Result<Vec<String>> {
    let mut pages = scope
        .clients
        .s3
        .list_objects_v2()
        .bucket(control::bucket(scope.account(), scope.region()))
        .prefix(format!("{FOLDER}{start}"))
        .expected_bucket_owner(&scope.account.id)
        .into_paginator()
        .send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let Some(page) = page.absent("s3:ListObjectsV2", &["NoSuchBucket"])? else {
            break;
        };
        let keys = page.contents().iter().filter_map(|object| object.key());
        names.extend(keys.filter_map(|key| Some(key.strip_prefix(FOLDER)?.strip_suffix(".json")?.to_owned())));
    }
    Ok(names)
}

fn outputs(record: &Record) -> BTreeMap<String, Value> {
    BTreeMap::from([("completed".to_owned(), json!(record.at))])
}

#[async_trait]
impl AwsKind for Proof {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&[]).beside(&[
        (
            "s3:GetObject",
            &["s3:::mlplat-{account}-{region}-an/proofs/{name}.json"],
        ),
        (
            "s3:PutObject",
            &["s3:::mlplat-{account}-{region}-an/proofs/{name}.json"],
        ),
        ("s3:ListBucket", &["s3:::mlplat-{account}-{region}-an"]),
    ]);
    type Desired = Desired;

    fn normal(wanted: Desired) -> Result<Desired> {
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        Ok(get(scope, name).await?.map(|(record, version)| Found {
            uid: tags::incarnation(&record.tags, name),
            handle: name.to_owned(),
            outputs: outputs(&record),
            settings: record.settings,
            tags: record.tags,
            state: State::Ready,
            doomed: None,
            stranger: None,
            version: Some(version),
        }))
    }

    async fn list(scope: &Scope<'_>, set: &SetId) -> Result<Vec<String>> {
        // Only drills have any.
        let Some((_, backup)) = set.as_str().split_once("/run/drill-") else {
            return Ok(Vec::new());
        };
        let mut names = kept(scope, "").await?;
        let start = format!("{backup}-");
        names.retain(|name| name.rsplit('/').next().is_some_and(|last| last.starts_with(&start)));
        Ok(names)
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        let record = Record {
            settings: wanted.clone(),
            at: scope.clock.now(),
            tags: tags::born(tags),
        };
        put(scope, name, &record, None).await
    }

    async fn update(_scope: &Scope<'_>, _name: &str, _found: &Found<Desired>, _wanted: &Desired) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "a proof stays as it was written").with_help("run another drill"))
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put_tags: &Tags, remove: &[String]) -> Result<()> {
        // The whole object is written again.
        let Some((mut record, version)) = get(scope, &found.handle).await? else {
            return Err(Error::new(ErrorKind::Conflict, "the proof is gone").with_help("plan again"));
        };
        record.tags.extend(put_tags.clone());
        record.tags.retain(|key, _| !remove.contains(key));
        put(scope, &found.handle, &record, Some(&version)).await
    }

    async fn delete(_scope: &Scope<'_>, _found: &Found<Desired>) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "proofs are never deleted here").with_help("let it be"))
    }
}
