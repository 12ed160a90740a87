//! Lifecycle rules.

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter,
    NoncurrentVersionExpiration, Transition, TransitionStorageClass,
};
use platform_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One rule; days count from an object's creation, or from when a version was replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    #[serde(default = "super::yes")]
    enabled: bool,
    /// Only keys that start so; empty: all.
    #[serde(default)]
    prefix: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    abort_multipart_days: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expire_days: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    noncurrent_days: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transition_days: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transition_class: Option<String>,
    /// Shown for a rule that somebody else made with parts that this kind does not know; never wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    foreign: Option<String>,
}

/// Drops uploads that were never completed, after 7 days.
pub(super) fn default() -> BTreeMap<String, Rule> {
    BTreeMap::from([(
        "abort-incomplete-uploads".to_owned(),
        Rule {
            enabled: true,
            abort_multipart_days: Some(7),
            ..Rule::default()
        },
    )])
}

impl Rule {
    /// Refuses what S3 refuses.
    pub(super) fn check(&self, id: &str) -> Result<()> {
        let invalid = |what: &str| {
            Err(Error::new(ErrorKind::Invalid, format!("lifecycle rule {id:?}: {what}"))
                .with_help("see the lifecycle rules of the bucket in the config"))
        };
        let days = [
            self.abort_multipart_days,
            self.expire_days,
            self.noncurrent_days,
            self.transition_days,
        ];
        if id.is_empty() || id.len() > 255 {
            return invalid("an id has 1 to 255 characters");
        }
        if self.foreign.is_some() {
            return invalid("`foreign` cannot be wanted");
        }
        if days.iter().all(Option::is_none) {
            return invalid("it does nothing");
        }
        if days.iter().flatten().any(|days| *days < 1) {
            return invalid("days start at 1");
        }
        if self.transition_days.is_some() != self.transition_class.is_some() {
            return invalid("transition_days and transition_class go together");
        }
        Ok(())
    }

    pub(super) fn to_sdk(&self, id: &str) -> Result<LifecycleRule> {
        LifecycleRule::builder()
            .id(id)
            .status(if self.enabled {
                ExpirationStatus::Enabled
            } else {
                ExpirationStatus::Disabled
            })
            .filter(LifecycleRuleFilter::builder().prefix(&self.prefix).build())
            .set_abort_incomplete_multipart_upload(self.abort_multipart_days.map(|days| {
                AbortIncompleteMultipartUpload::builder()
                    .days_after_initiation(days)
                    .build()
            }))
            .set_expiration(
                self.expire_days
                    .map(|days| LifecycleExpiration::builder().days(days).build()),
            )
            .set_noncurrent_version_expiration(
                self.noncurrent_days
                    .map(|days| NoncurrentVersionExpiration::builder().noncurrent_days(days).build()),
            )
            .set_transitions(
                self.transition_days
                    .zip(self.transition_class.as_deref())
                    .map(|(days, class)| {
                        vec![
                            Transition::builder()
                                .days(days)
                                .storage_class(TransitionStorageClass::from(class))
                                .build(),
                        ]
                    }),
            )
            .build()
            .map_err(|cause| Error::new(ErrorKind::Invalid, format!("lifecycle rule {id:?}: {cause}")))
    }

    /// A live rule by its id; parts that we never write are shown as foreign.
    pub(super) fn from_sdk(rule: &LifecycleRule) -> (String, Self) {
        let filter = rule.filter();
        // Rules of before 2016 have the prefix beside the filter.
        #[allow(deprecated)]
        let old_prefix = rule.prefix();
        let prefix = filter
            .and_then(LifecycleRuleFilter::prefix)
            .or(old_prefix)
            .unwrap_or_default();
        let expiration = rule.expiration();
        let noncurrent = rule.noncurrent_version_expiration();
        let transition = rule.transitions().first();
        let odd: Vec<&str> = [
            (
                "filter",
                filter.is_some_and(|filter| {
                    filter.tag().is_some()
                        || filter.and().is_some()
                        || filter.object_size_greater_than().is_some()
                        || filter.object_size_less_than().is_some()
                }),
            ),
            (
                "expiration",
                expiration.is_some_and(|expiration| {
                    expiration.date().is_some() || expiration.expired_object_delete_marker() == Some(true)
                }),
            ),
            (
                "noncurrent versions kept",
                noncurrent.is_some_and(|noncurrent| noncurrent.newer_noncurrent_versions().is_some()),
            ),
            (
                "transitions",
                rule.transitions().len() > 1 || transition.is_some_and(|transition| transition.date().is_some()),
            ),
            (
                "noncurrent transitions",
                !rule.noncurrent_version_transitions().is_empty(),
            ),
        ]
        .into_iter()
        .filter_map(|(what, odd)| odd.then_some(what))
        .collect();
        let shown = Self {
            enabled: rule.status() == &ExpirationStatus::Enabled,
            prefix: prefix.to_owned(),
            abort_multipart_days: rule
                .abort_incomplete_multipart_upload()
                .and_then(AbortIncompleteMultipartUpload::days_after_initiation),
            expire_days: expiration.and_then(LifecycleExpiration::days),
            noncurrent_days: noncurrent.and_then(NoncurrentVersionExpiration::noncurrent_days),
            transition_days: transition.and_then(Transition::days),
            transition_class: transition
                .and_then(Transition::storage_class)
                .map(|class| class.as_str().to_owned()),
            foreign: (!odd.is_empty()).then(|| odd.join(", ")),
        };
        (rule.id().unwrap_or("unnamed").to_owned(), shown)
    }
}
