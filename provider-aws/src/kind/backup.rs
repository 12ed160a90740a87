//! What the kinds of AWS Backup share: tags, which hang on ARNs, lists of what nobody planned, and
//! jobs.

use crate::error::Outcome;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use platform_core::value::{Name, ResourceId, Uid};
use platform_core::{KindFacts, Live, OnRemoval, Result, State};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Longest name of a vault, a plan, a rule and a selection.
pub(crate) const MAX_NAME: usize = 50;

pub(crate) fn sdk_tags(tags: &Tags) -> HashMap<String, String> {
    tags.clone().into_iter().collect()
}

/// The tags of an object; `None` when it has gone.
pub(crate) async fn tags_at(scope: &Scope<'_>, arn: &str) -> Result<Option<Tags>> {
    let mut tags = Tags::new();
    let mut pages = scope
        .clients
        .backup
        .list_tags()
        .resource_arn(arn)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let Some(page) = page.absent("backup:ListTags", &["ResourceNotFoundException"])? else {
            return Ok(None);
        };
        tags.extend(page.tags.unwrap_or_default());
    }
    Ok(Some(tags))
}

pub(crate) async fn tag(scope: &Scope<'_>, arn: &str, put: &Tags, remove: &[String]) -> Result<()> {
    let backup = &scope.clients.backup;
    if !put.is_empty() {
        backup
            .tag_resource()
            .resource_arn(arn)
            .set_tags(Some(sdk_tags(put)))
            .send()
            .await
            .during("backup:TagResource")?;
    }
    if !remove.is_empty() {
        backup
            .untag_resource()
            .resource_arn(arn)
            .set_tag_key_list(Some(remove.to_vec()))
            .send()
            .await
            .during("backup:UntagResource")?;
    }
    Ok(())
}

/// An object that a list shows, as the engine sees it, before anything is said of its incarnation, its view and its state.
pub(crate) fn listed(scope: &Scope<'_>, facts: &KindFacts, name: Name, tags: &Tags) -> Result<Live> {
    Ok(Live {
        id: ResourceId::new(scope.place.clone(), facts.kind.parse()?, name),
        uid: Uid::new(""),
        view: Arc::new(Value::Null),
        outputs: BTreeMap::new(),
        state: State::Ready,
        owner: tags::owner(tags, scope.set),
        holds: Some(facts.holds),
        on_removal: OnRemoval::Retain,
        component: tags::component(tags),
        version: None,
        written_from: None,
        touched: Vec::new(),
        renewal: None,
    })
}

/// The state of a job that is not over, by its word and how much of it is done, in percent.
pub(crate) fn under_way(word: Option<&str>, done: Option<&str>) -> State {
    State::Progressing {
        what: match (word, done) {
            (Some(word), Some(done)) => format!("{}, {done} %", word.to_lowercase()),
            (Some(word), None) => word.to_lowercase(),
            (None, _) => "asked for".to_owned(),
        },
    }
}
