//! What the kinds of AWS Backup share: tags, which hang on ARNs.

use crate::error::Outcome;
use crate::provider::Scope;
use crate::tags::Tags;
use platform_core::Result;
use std::collections::HashMap;

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
