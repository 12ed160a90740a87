//! What the kinds of RDS share: tags, which hang on ARNs, and the names of groups.

use crate::error::Outcome;
use crate::names;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use aws_sdk_rds::types::Tag;
use platform_core::{Error, ErrorKind, Result};

pub(crate) fn sdk_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

pub(crate) fn tags_of(list: &[Tag]) -> Tags {
    list.iter()
        .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
        .collect()
}

/// The tags of an object whose describe does not show them.
pub(crate) async fn tags_at(scope: &Scope<'_>, arn: &str) -> Result<Tags> {
    let answer = scope
        .clients
        .rds
        .list_tags_for_resource()
        .resource_name(arn)
        .send()
        .await
        .during("rds:ListTagsForResource")?;
    Ok(tags_of(answer.tag_list()))
}

pub(crate) async fn tag(scope: &Scope<'_>, arn: &str, put: &Tags, remove: &[String]) -> Result<()> {
    let rds = &scope.clients.rds;
    if !put.is_empty() {
        rds.add_tags_to_resource()
            .resource_name(arn)
            .set_tags(Some(sdk_tags(put)))
            .send()
            .await
            .during("rds:AddTagsToResource")?;
    }
    if !remove.is_empty() {
        rds.remove_tags_from_resource()
            .resource_name(arn)
            .set_tag_keys(Some(remove.to_vec()))
            .send()
            .await
            .during("rds:RemoveTagsFromResource")?;
    }
    Ok(())
}

/// Which of these names may be the set's: those that start as its names do, and those that the tagging API knows.
pub(crate) async fn candidates(
    scope: &Scope<'_>,
    all: Vec<String>,
    max: usize,
    kind: &str,
    resource_type: &str,
) -> Result<Vec<String>> {
    let start = names::start(scope.name_prefix(), max);
    let mut names: Vec<String> = all.into_iter().filter(|name| name.starts_with(start)).collect();
    for (_, tags) in scope.tagged_of_set(resource_type).await? {
        let id = tags::ours(&tags, tags::ID).and_then(|id| id.strip_prefix(kind)?.strip_prefix('/'));
        names.extend(id.map(str::to_owned));
    }
    Ok(names)
}

/// An answer without what it always has.
pub(crate) fn incomplete(operation: &'static str) -> Error {
    Error::new(ErrorKind::Internal, format!("{operation} returned no object"))
}
