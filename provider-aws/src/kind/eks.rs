//! What the kinds of EKS have in common. Everything but the cluster is called `<cluster>/<name>`.

use crate::error::Outcome;
use crate::names;
use crate::provider::Scope;
use crate::tags::Tags;
use aws_sdk_eks::types::{ErrorCode, Update, UpdateStatus};
use platform_core::{Error, ErrorKind, Result, State};
use std::collections::HashMap;
use std::time::Duration;

pub(super) const NO_SUCH: &[&str] = &["ResourceNotFoundException", "NotFoundException"];
/// The longest name of a cluster.
pub(super) const MAX_CLUSTER: usize = 100;
/// How often something busy is looked at, and for how long.
const PAUSE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_mins(90);

/// Tags as a call takes them.
pub(super) fn sdk_tags(tags: &Tags) -> HashMap<String, String> {
    tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Tags by key.
pub(super) fn by_key(tags: Option<&HashMap<String, String>>) -> Tags {
    let pairs = tags.into_iter().flatten();
    pairs.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Writes and takes away tags.
pub(super) async fn retag(scope: &Scope<'_>, arn: &str, put: &Tags, remove: &[String]) -> Result<()> {
    let eks = &scope.clients.eks;
    if !put.is_empty() {
        let call = eks.tag_resource().resource_arn(arn).set_tags(Some(sdk_tags(put)));
        call.send().await.during("eks:TagResource")?;
    }
    if !remove.is_empty() {
        let call = eks.untag_resource().resource_arn(arn);
        let call = call.set_tag_keys(Some(remove.to_vec()));
        call.send().await.during("eks:UntagResource")?;
    }
    Ok(())
}

/// Names of the clusters that may be the set's. The tagging API does not know clusters.
pub(super) async fn clusters(scope: &Scope<'_>) -> Result<Vec<String>> {
    let ask = async {
        let start = names::start(scope.name_prefix(), MAX_CLUSTER);
        let mut pages = scope.clients.eks.list_clusters().into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.during("eks:ListClusters")?;
            names.extend(page.clusters().iter().filter(|name| name.starts_with(start)).cloned());
        }
        Ok(names)
    };
    Ok(scope.once("clusters", ask).await?.to_vec())
}

/// The cluster and what comes behind it in a name.
pub(super) fn split<'a>(kind: &str, name: &'a str) -> Result<(&'a str, &'a str)> {
    match name.split_once('/') {
        Some((cluster, rest)) if !cluster.is_empty() && !rest.is_empty() => Ok((cluster, rest)),
        _ => Err(
            Error::new(ErrorKind::Invalid, format!("{name:?} is no name for {kind}"))
                .with_help("write the cluster's name, a slash and its own"),
        ),
    }
}

/// The state that a status word means, where `why` says what is wrong.
pub(super) fn state(word: &str, why: impl FnOnce() -> String) -> State {
    match word {
        "ACTIVE" => State::Ready,
        "DELETING" => State::Deleting { blocked_by: Vec::new() },
        "CREATE_FAILED" | "UPDATE_FAILED" | "DELETE_FAILED" | "FAILED" | "DEGRADED" => State::Failed { why: why() },
        word => State::Progressing {
            what: word.to_lowercase(),
        },
    }
}

/// What EKS said of issues, as one text: `the cluster is failed: CODE: message`.
pub(super) fn issues<'a>(
    what: &str,
    word: &str,
    said: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>,
) -> String {
    let said: Vec<String> = said
        .map(|(code, message)| format!("{}: {}", code.unwrap_or_default(), message.unwrap_or_default()))
        .collect();
    if said.is_empty() {
        return format!("{what} is {word}");
    }
    format!("{what} is {word}: {}", said.join("; "))
}

/// Something of EKS that is waited for.
pub(super) struct Waited<'a> {
    pub(super) cluster: &'a str,
    pub(super) nodegroup: Option<&'a str>,
    pub(super) addon: Option<&'a str>,
}

impl Waited<'_> {
    /// Waits until an update has ended.
    pub(super) async fn until_updated(&self, scope: &Scope<'_>, update: Option<&Update>) -> Result<()> {
        // An answer without an id is an update that is done: nothing can be asked about it.
        let Some(id) = update.and_then(|update| update.id()) else {
            return Ok(());
        };
        let until = scope.clock.elapsed() + PATIENCE;
        loop {
            let call = scope.clients.eks.describe_update().name(self.cluster).update_id(id);
            let call = call
                .set_nodegroup_name(self.nodegroup.map(str::to_owned))
                .set_addon_name(self.addon.map(str::to_owned));
            let answer = call.send().await.during("eks:DescribeUpdate")?;
            let update = answer.update();
            match update.and_then(|update| update.status()) {
                Some(UpdateStatus::Successful) => return Ok(()),
                Some(status @ (UpdateStatus::Failed | UpdateStatus::Cancelled)) => {
                    let errors = update.into_iter().flat_map(Update::errors);
                    let said = errors.map(|error| (error.error_code().map(ErrorCode::as_str), error.error_message()));
                    let why = issues("the update", &status.as_str().to_lowercase(), said);
                    return Err(Error::new(ErrorKind::Failed, why).with_help("mend what it names, then run again"));
                }
                _ if scope.clock.elapsed() >= until => {
                    return Err(Error::new(ErrorKind::Timeout, "the update is still under way")
                        .with_help("run again to go on waiting"));
                }
                _ => scope.clock.sleep(PAUSE).await,
            }
        }
    }
}

/// The minor versions on the way from one to another: a cluster takes one at a time.
pub(super) fn steps(from: &str, to: &str) -> Vec<String> {
    match (minor(from), minor(to)) {
        (Some((major, from)), Some((same, to))) if major == same && from < to => {
            (from + 1..=to).map(|minor| format!("{major}.{minor}")).collect()
        }
        _ => vec![to.to_owned()],
    }
}

/// `(1, 35)` of `1.35`.
pub(super) fn minor(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Refuses a version that is none of Kubernetes.
pub(super) fn check_version(version: &str) -> Result<()> {
    if minor(version).is_some() {
        return Ok(());
    }
    Err(
        Error::new(ErrorKind::Invalid, format!("{version:?} is no version of Kubernetes"))
            .with_help("write a minor version, with quotes: \"1.35\""),
    )
}

#[cfg(test)]
mod tests {
    use super::{split, state, steps};
    use platform_core::State;

    #[test]
    fn one_minor_version_at_a_time() {
        assert_eq!(steps("1.33", "1.35"), ["1.34", "1.35"]);
        assert_eq!(steps("1.35", "1.36"), ["1.36"]);
        // Refused by EKS in words that are better than ours.
        assert_eq!(steps("1.35", "1.34"), ["1.34"]);
    }

    #[test]
    fn words_of_eks() {
        for (word, failed) in [
            ("CREATE_FAILED", true),
            ("DEGRADED", true),
            ("UPDATING", false),
            ("PENDING", false),
        ] {
            let state = state(word, || "why".to_owned());
            assert_eq!(matches!(state, State::Failed { .. }), failed, "{word}");
            assert_eq!(matches!(state, State::Progressing { .. }), !failed, "{word}");
        }
        assert_eq!(state("ACTIVE", String::new), State::Ready);
    }

    #[test]
    fn names_hold_their_cluster() {
        assert_eq!(split("eks.Addon", "a/b/c").unwrap(), ("a", "b/c"));
        assert!(split("eks.Addon", "a").is_err());
        assert!(split("eks.Addon", "a/").is_err());
    }
}
