//! What the kinds of ElastiCache have in common. None of its objects has an id of its own, so each is made with one as a tag.

use crate::error::Outcome;
use crate::names;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use aws_sdk_elasticache::types::Tag;
use platform_core::{Result, State};

/// Tags of a create, with the incarnation.
pub(super) fn create_tags(tags: &Tags) -> Vec<Tag> {
    sdk_tags(&tags::born(tags))
}

fn sdk_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

/// Tags by key.
pub(super) fn by_key(tags: &[Tag]) -> Tags {
    tags.iter()
        .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
        .collect()
}

/// The tags of an object.
pub(super) async fn tags_of(scope: &Scope<'_>, arn: &str) -> Result<Tags> {
    let call = scope.clients.cache.list_tags_for_resource().resource_name(arn);
    let answer = call.send().await.during("elasticache:ListTagsForResource")?;
    Ok(by_key(answer.tag_list()))
}

/// Writes and takes away tags.
pub(super) async fn retag(scope: &Scope<'_>, arn: &str, put: &Tags, remove: &[String]) -> Result<()> {
    let cache = &scope.clients.cache;
    if !put.is_empty() {
        cache
            .add_tags_to_resource()
            .resource_name(arn)
            .set_tags(Some(sdk_tags(put)))
            .send()
            .await
            .during("elasticache:AddTagsToResource")?;
    }
    if !remove.is_empty() {
        cache
            .remove_tags_from_resource()
            .resource_name(arn)
            .set_tag_keys(Some(remove.to_vec()))
            .send()
            .await
            .during("elasticache:RemoveTagsFromResource")?;
    }
    Ok(())
}

/// Of all names of a kind those that start as the set's do, and what the tagging API says is the set's: candidates.
pub(super) async fn candidates(scope: &Scope<'_>, resource: &str, max: usize, all: Vec<String>) -> Result<Vec<String>> {
    let start = names::start(scope.name_prefix(), max);
    let mut names: Vec<String> = all.into_iter().filter(|name| name.starts_with(start)).collect();
    let resource = format!("elasticache:{resource}");
    for (arn, _) in scope.tagged_of_set(&resource).await? {
        names.push(last(&arn).to_owned());
    }
    Ok(names)
}

/// The name in an ARN.
pub(super) fn last(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

/// The state that a word means, where `ready` means that it works.
pub(super) fn state(word: &str, ready: &str) -> State {
    match word {
        word if word == ready => State::Ready,
        "deleting" => State::Deleting { blocked_by: Vec::new() },
        "create-failed" => State::Failed {
            why: "ElastiCache could not make it; its events say why (`aws elasticache describe-events`)".to_owned(),
        },
        word => State::Progressing { what: word.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::state;
    use platform_core::State;

    #[test]
    fn words_of_elasticache() {
        for word in ["creating", "modifying", "snapshotting", "a word to come"] {
            assert_eq!(state(word, "available"), State::Progressing { what: word.into() });
        }
        assert_eq!(state("available", "available"), State::Ready);
        assert_eq!(state("active", "active"), State::Ready);
        assert!(matches!(state("deleting", "active"), State::Deleting { .. }));
        assert!(matches!(state("create-failed", "available"), State::Failed { .. }));
    }
}
