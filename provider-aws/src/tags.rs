//! What is stamped on every object, and what the stamps say about whose it is.
//!
//! | tag | value |
//! |---|---|
//! | `mlplat:set` | the set that owns it |
//! | `mlplat:id` | `<kind>/<name>` |
//! | `mlplat:retained-from` | the set that let go of it and keeps its data here |
//! | `mlplat:making` | there while its create is not finished: the object counts as absent, the next create finishes it |
//! | `mlplat:restored-from` | what it was made from, if from a copy |
//! | `mlplat:holds`, `mlplat:on-removal`, `mlplat:component` | as the resource says |
//! | `mlplat:desired-hash` | digest of the desired value it was last written from: a label, nothing is decided by it alone |
//! | `mlplat:uid` | the incarnation of an object to which AWS gives no id |
//! | `mlplat:chosen-for` | the minor version of Kubernetes for which EKS chose an add-on's version |
//! | `mlplat:subscription.<id>` | what a topic's subscription was made of, which cannot carry a tag |
//! | `mlplat:tag-keys` | short hashes of the caller's tag keys, so that a tag that is no longer wanted can be told from a stranger's |

use platform_core::value::{Digest, ResourceId, SetId, TAG_PREFIX, Uid};
use platform_core::{Error, ErrorKind, Holds, OnRemoval, Owner, Resource, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// The tag that EKS puts on the security group that it makes for a cluster.
/// <https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html>
pub const EKS_CLUSTER: &str = "aws:eks:cluster-name";

pub(crate) const SET: &str = "set";
pub(crate) const ID: &str = "id";
pub(crate) const RETAINED: &str = "retained-from";
const MAKING: &str = "making";
const HOLDS: &str = "holds";
const ON_REMOVAL: &str = "on-removal";
const COMPONENT: &str = "component";
const HASH: &str = "desired-hash";
const KEYS: &str = "tag-keys";
/// The incarnation of an object that has no id of its own.
pub(crate) const UID: &str = "uid";
/// For which region an object of the whole account was made.
pub(crate) const REGION: &str = "region";
/// What the object was made from.
pub(crate) const RESTORED: &str = "restored-from";
/// The minor version of Kubernetes for which EKS chose an add-on's version.
pub(crate) const CHOSEN_FOR: &str = "chosen-for";
/// Start of the tags in which a topic remembers its subscriptions.
pub(crate) const SUBSCRIPTION: &str = "subscription.";

/// The whole key of one of our tags.
pub(crate) fn key(name: &str) -> String {
    format!("{TAG_PREFIX}{name}")
}

/// The value of one of our tags.
pub(crate) fn ours<'a>(tags: &'a Tags, name: &str) -> Option<&'a str> {
    tags.get(&key(name)).map(String::as_str)
}

/// Whose an object with these tags is.
pub(crate) fn owner(tags: &Tags, set: &SetId) -> Owner {
    if let Some(owner) = ours(tags, SET) {
        return if owner == set.as_str() {
            Owner::ThisSet
        } else {
            Owner::Other(format!("set {owner}"))
        };
    }
    if let Some(owner) = ours(tags, RETAINED) {
        return if owner == set.as_str() {
            Owner::Retained
        } else {
            Owner::Other(format!("set {owner}, which retains it"))
        };
    }
    match tags.get("aws:cloudformation:stack-name") {
        Some(stack) => Owner::Other(format!("CloudFormation stack {stack}")),
        None => Owner::Nobody,
    }
}

/// Whether the set owns an object with these tags, or let go of it.
pub(crate) fn concerns(tags: &Tags, set: &SetId) -> bool {
    matches!(owner(tags, set), Owner::ThisSet | Owner::Retained)
}

/// The `mlplat:id` of an object.
pub(crate) fn id_of(kind: &str, name: &str) -> String {
    format!("{kind}/{name}")
}

/// All tags that a resource of a set shall have: the caller's and the stamps.
pub(crate) fn wanted(set: &SetId, resource: &Resource, hash: &Digest, callers: &Tags) -> Tags {
    let mut tags = callers.clone();
    let mut stamp = |name: &str, value: String| tags.insert(key(name), value);
    stamp(SET, set.to_string());
    stamp(ID, id_of(resource.id.kind().as_str(), resource.id.name().as_str()));
    stamp(COMPONENT, resource.component.clone());
    stamp(ON_REMOVAL, word(&resource.on_removal));
    stamp(HASH, hash.to_string());
    if let Some(holds) = resource.holds {
        stamp(HOLDS, word(&holds));
    }
    if !callers.is_empty() {
        let hashes: Vec<String> = callers.keys().map(|key| short(key)).collect();
        stamp(KEYS, hashes.join(" "));
    }
    tags
}

/// Whether an object of the whole account is another region's matter.
pub(crate) fn is_elsewhere(tags: &Tags, region: &str) -> bool {
    ours(tags, REGION).is_some_and(|of| of != region)
}

/// The tags that a job would have, which takes none: those of an object of the set that was made from these settings, and
/// that nothing is to become of.
pub(crate) fn job(set: &SetId, kind: &str, name: &str, settings: &Value) -> Tags {
    Tags::from([
        (key(SET), set.to_string()),
        (key(ID), id_of(kind, name)),
        (key(HASH), Digest::of_value(settings).to_string()),
        (key(ON_REMOVAL), word(&OnRemoval::Retain)),
    ])
}

/// The tags of an object while it is made.
pub(crate) fn making(tags: &Tags) -> Tags {
    let mut tags = tags.clone();
    tags.insert(key(MAKING), "yes".to_owned());
    tags
}

/// The same for an object that is whole once it shows.
pub(crate) fn finished(tags: &Tags) -> Tags {
    let mut tags = tags.clone();
    tags.remove(&key(MAKING));
    tags
}

/// The same with a new incarnation's mark, for an object to which AWS gives no id.
pub(crate) fn born(tags: &Tags) -> Tags {
    let mut tags = tags.clone();
    tags.insert(key(UID), format!("{:032x}", rand::random::<u128>()));
    tags
}

/// The incarnation that is marked; of an object that somebody else made, what it is called.
pub(crate) fn incarnation(tags: &Tags, called: &str) -> Uid {
    Uid::new(ours(tags, UID).unwrap_or(called))
}

/// The tag that says which resource an object is.
pub fn id_tag(kind: &str, name: &str) -> (String, String) {
    (key(ID), id_of(kind, name))
}

/// The tag of everything that a set owns.
pub fn set_tag(set: &SetId) -> (String, String) {
    (key(SET), set.to_string())
}

/// Whether the create of an object with these tags was cut short.
pub fn unfinished(tags: &Tags) -> bool {
    tags.contains_key(&key(MAKING))
}

/// What to write and what to take away so that `have` becomes `want`; strangers' tags stay.
pub(crate) fn difference(have: &Tags, want: &Tags) -> (Tags, Vec<String>) {
    let put = want
        .iter()
        .filter(|(key, value)| have.get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let recorded = recorded(have);
    let (exact, subscription) = ([key(UID), key(RESTORED), key(CHOSEN_FOR)], key(SUBSCRIPTION));
    let kept = |key: &String| exact.contains(key) || key.starts_with(&subscription);
    let remove = have
        .keys()
        .filter(|key| !want.contains_key(*key) && !kept(key))
        .filter(|key| key.starts_with(TAG_PREFIX) || recorded.contains(&short(key)))
        .cloned()
        .collect();
    (put, remove)
}

/// What to write and take away so that the set lets go of the object.
pub(crate) fn release(set: &SetId) -> (Tags, Vec<String>) {
    (Tags::from([(key(RETAINED), set.to_string())]), vec![key(SET)])
}

/// The caller's tags as a view shows them: those that are wanted, and those that we once wrote.
pub(crate) fn view(have: &Tags, wanted: &BTreeSet<&str>) -> Tags {
    let recorded = recorded(have);
    have.iter()
        .filter(|(key, _)| !key.starts_with(TAG_PREFIX))
        .filter(|(key, _)| wanted.contains(key.as_str()) || recorded.contains(&short(key)))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Refuses tags of the caller that AWS or we would not keep.
pub(crate) fn check(id: &ResourceId, callers: &Tags) -> Result<()> {
    let legal = |text: &str| text.chars().all(|c| c.is_alphanumeric() || " +-=._:/@".contains(c));
    let problem = if callers.len() > 36 {
        Some("more than 36 tags".to_owned())
    } else {
        callers.iter().find_map(|(key, value)| {
            if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
                Some(format!(
                    "tag {key:?}: keys have 1 to 128 characters, values at most 256"
                ))
            } else if key.to_lowercase().starts_with("aws:") || key.starts_with(TAG_PREFIX) {
                Some(format!(
                    "tag {key:?}: the prefixes `aws:` and `{TAG_PREFIX}` are reserved"
                ))
            } else if !legal(key) || !legal(value) {
                Some(format!("tag {key:?}: letters, digits, spaces and +-=._:/@ only"))
            } else {
                None
            }
        })
    };
    match problem {
        None => Ok(()),
        Some(why) => Err(Error::new(ErrorKind::Invalid, why)
            .with_context("resource", id)
            .with_help("change `tags:` in the config")),
    }
}

/// What an object holds by its own stamp.
pub(crate) fn holds(tags: &Tags) -> Option<Holds> {
    ours(tags, HOLDS).and_then(parse)
}

/// What is to happen to an object by its own stamp.
pub(crate) fn on_removal(tags: &Tags) -> OnRemoval {
    ours(tags, ON_REMOVAL).and_then(parse).unwrap_or_default()
}

/// The component stamped on an object.
pub(crate) fn component(tags: &Tags) -> String {
    ours(tags, COMPONENT).unwrap_or_default().to_owned()
}

/// The digest stamped on an object.
pub(crate) fn hash(tags: &Tags) -> Option<String> {
    ours(tags, HASH).map(str::to_owned)
}

fn recorded(have: &Tags) -> BTreeSet<String> {
    ours(have, KEYS)
        .map(|keys| keys.split(' ').map(str::to_owned).collect())
        .unwrap_or_default()
}

fn short(key: &str) -> String {
    Digest::of_text(key).short(6).to_owned()
}

fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

fn parse<T: DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(Value::String(word.to_owned())).ok()
}

#[cfg(test)]
mod tests {
    use super::{Tags, difference, key, owner, view};
    use platform_core::Owner;
    use platform_core::value::SetId;
    use std::collections::BTreeSet;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_set_tag_wins() {
        let set = SetId::new("a-dev-1").unwrap();
        for (have, whose) in [
            (tags(&[("mlplat:set", "a-dev-1")]), Owner::ThisSet),
            (
                tags(&[("mlplat:set", "a-dev-1"), ("mlplat:retained-from", "a-dev-1")]),
                Owner::ThisSet,
            ),
            (tags(&[("mlplat:retained-from", "a-dev-1")]), Owner::Retained),
            (tags(&[("mlplat:set", "b-dev-1")]), Owner::Other("set b-dev-1".into())),
            (tags(&[("Name", "x")]), Owner::Nobody),
            (
                tags(&[("aws:cloudformation:stack-name", "s")]),
                Owner::Other("CloudFormation stack s".into()),
            ),
        ] {
            assert_eq!(owner(&have, &set), whose, "{have:?}");
        }
    }

    #[test]
    fn strangers_tags_stay_and_ours_go() {
        let callers = tags(&[("team", "ml"), ("cost", "7")]);
        let resource = platform_core::Resource::new(
            "aws/eu-west-1:s3.Bucket/b".parse().unwrap(),
            "storage",
            serde_json::Value::Null,
        );
        let set = SetId::new("a-dev-1").unwrap();
        let mut have = super::wanted(&set, &resource, &platform_core::value::Digest::of_text(""), &callers);
        have.insert("scanner".into(), "seen".into());
        have.insert(key("uid"), "u".into());
        let want = super::wanted(
            &set,
            &resource,
            &platform_core::value::Digest::of_text(""),
            &tags(&[("team", "ai")]),
        );
        let (put, remove) = difference(&have, &want);
        assert_eq!(put.get("team").map(String::as_str), Some("ai"));
        assert_eq!(remove, ["cost"]);
        assert_eq!(view(&have, &BTreeSet::new()), callers);
        assert_eq!(view(&have, &BTreeSet::from(["scanner"])).len(), 3);
    }
}
