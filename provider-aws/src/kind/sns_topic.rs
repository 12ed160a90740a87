//! `sns.Topic`: a topic with its key, its policy and everybody who is told.
//!
//! `CreateTopic` returns a topic that is there already; since its tags differ from those of a new one, AWS refuses that.
//! Subscriptions carry no tags: the topic's own tags remember each by its id, with the name and revision of a supplied
//! URL, whose value is never shown.

mod facts;
mod subscriptions;

use super::{AwsKind, Found, Reach, yes};
use crate::error::Outcome;
use crate::names;
use crate::policy;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use aws_sdk_sns::types::Tag;
use facts::FACTS;
use platform_core::value::{Recipe, SetId};
use platform_core::{Channel, Error, ErrorKind, KindFacts, Result, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const KEY: &str = "KmsMasterKeyId";
const POLICY: &str = "Policy";

#[derive(Debug)]
pub(crate) struct Topic;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// Key ARN. CloudWatch alarms cannot use AWS's own key of SNS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kms_key: Option<String>,
    /// Messages that come without TLS are denied.
    #[serde(default = "yes")]
    tls_only: bool,
    /// Further statements of the topic policy: who may publish.
    #[serde(default)]
    statements: Vec<Value>,
    /// Addresses that are told; each has to confirm once.
    #[serde(default)]
    emails: BTreeSet<String>,
    /// URLs that are told, by name: `{"$secret": {"recipe": "supplied", ...}}`.
    #[serde(default)]
    webhooks: BTreeMap<String, Value>,
    /// Subscriptions that somebody else made, by protocol and id; shown, and removed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    others: BTreeSet<String>,
}

impl Desired {
    fn policy(&self, arn: &str) -> String {
        let mut statements = self.statements.clone();
        if self.tls_only {
            statements.insert(0, tls_statement(arn));
        }
        policy::document(&statements)
    }

    fn told(&self) -> (&BTreeSet<String>, &BTreeMap<String, Value>, &BTreeSet<String>) {
        (&self.emails, &self.webhooks, &self.others)
    }
}

fn arn(scope: &Scope<'_>, name: &str) -> String {
    let account = scope.account;
    format!("arn:{}:sns:{}:{}:{name}", account.partition, scope.region, account.id)
}

fn tls_statement(arn: &str) -> Value {
    policy::normal(&json!({
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sns:Publish",
        "Resource": arn,
        "Condition": { "Bool": { "aws:SecureTransport": "false" } },
    }))
}

fn sdk_tags(tags: &Tags) -> Result<Vec<Tag>> {
    tags.iter()
        .map(|(key, value)| {
            Tag::builder()
                .key(key)
                .value(value)
                .build()
                .map_err(|cause| Error::new(ErrorKind::Internal, format!("tag {key}: {cause}")))
        })
        .collect()
}

async fn put_tags(scope: &Scope<'_>, arn: &str, tags: &Tags) -> Result<()> {
    if tags.is_empty() {
        return Ok(());
    }
    scope
        .clients
        .sns
        .tag_resource()
        .resource_arn(arn)
        .set_tags(Some(sdk_tags(tags)?))
        .send()
        .await
        .during("sns:TagResource")
        .map(drop)
}

async fn remove_tags(scope: &Scope<'_>, arn: &str, keys: &[String]) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    scope
        .clients
        .sns
        .untag_resource()
        .resource_arn(arn)
        .set_tag_keys(Some(keys.to_vec()))
        .send()
        .await
        .during("sns:UntagResource")
        .map(drop)
}

async fn set(scope: &Scope<'_>, arn: &str, attribute: &str, value: &str) -> Result<()> {
    scope
        .clients
        .sns
        .set_topic_attributes()
        .topic_arn(arn)
        .attribute_name(attribute)
        .attribute_value(value)
        .send()
        .await
        .during("sns:SetTopicAttributes")
        .map(drop)
}

#[async_trait]
impl AwsKind for Topic {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["sns:{region}:{account}:{name}"]);
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        let invalid = |what: String, help: &str| Err(Error::new(ErrorKind::Invalid, what).with_help(help));
        if !wanted.tls_only && wanted.statements.is_empty() {
            return invalid(
                "a topic without a policy".to_owned(),
                "leave tls_only on, or say who may publish",
            );
        }
        if let Some(email) = wanted.emails.iter().find(|email| !Channel::is_address(email)) {
            return invalid(
                format!("{email:?} is no mail address"),
                "write it as oncall@example.com",
            );
        }
        for (name, value) in &mut wanted.webhooks {
            let recipe = Recipe::of_value(value);
            let Some(Recipe::Supplied(supplied)) = &recipe else {
                return invalid(
                    format!("the URL of webhook {name:?} is no supplied secret"),
                    "a URL opens the channel: name it as `supplied`, with a revision",
                );
            };
            if !subscriptions::can_be_remembered(name) || !subscriptions::can_be_remembered(&supplied.supplied) {
                return invalid(
                    format!(
                        "webhook {name:?} or its secret {:?} has a name that no tag takes",
                        supplied.supplied
                    ),
                    "use letters, digits and +-=._:/@",
                );
            }
            *value = Recipe::Supplied(supplied.clone()).to_value();
        }
        if !wanted.others.is_empty() {
            return invalid(
                "others' subscriptions cannot be wished for".to_owned(),
                "add receivers to the config",
            );
        }
        wanted.statements = policy::normals(&wanted.statements);
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let arn = arn(scope, name);
        let answer = scope
            .clients
            .sns
            .get_topic_attributes()
            .topic_arn(&arn)
            .send()
            .await
            .absent("sns:GetTopicAttributes", &["NotFound", "NotFoundException"])?;
        let Some(answer) = answer else { return Ok(None) };
        let attributes = answer.attributes.unwrap_or_default();
        let answer = scope
            .clients
            .sns
            .list_tags_for_resource()
            .resource_arn(&arn)
            .send()
            .await
            .absent(
                "sns:ListTagsForResource",
                &["ResourceNotFound", "ResourceNotFoundException"],
            )?;
        // It has gone in between.
        let Some(answer) = answer else { return Ok(None) };
        let tags: Tags = answer
            .tags()
            .iter()
            .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
            .collect();
        let told = subscriptions::read(scope, &arn, &tags).await?;
        let (emails, webhooks, others) = subscriptions::view(&told);
        let tls = tls_statement(&arn);
        let statements = match attributes.get(POLICY) {
            Some(document) => policy::statements(document)?,
            None => Vec::new(),
        };
        Ok(Some(Found {
            uid: tags::incarnation(&tags, name),
            settings: Desired {
                kms_key: attributes.get(KEY).filter(|key| !key.is_empty()).cloned(),
                tls_only: statements.contains(&tls),
                statements: statements.into_iter().filter(|statement| statement != &tls).collect(),
                emails,
                webhooks,
                others,
            },
            tags,
            outputs: BTreeMap::from([("arn".to_owned(), json!(arn)), ("name".to_owned(), json!(name))]),
            handle: arn,
            state: State::Ready,
            doomed: None,
            stranger: None,
            version: None,
        }))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let start = names::start(scope.name_prefix(), FACTS.name.max);
        let mut found = Vec::new();
        let mut pages = scope.clients.sns.list_topics().into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.during("sns:ListTopics")?;
            found.extend(
                page.topics()
                    .iter()
                    .filter_map(|topic| topic.topic_arn()?.rsplit(':').next())
                    .filter(|name| name.starts_with(start))
                    .map(str::to_owned),
            );
        }
        Ok(found)
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        let (arn, tags) = (arn(scope, name), tags::born(tags));
        let mut call = scope
            .clients
            .sns
            .create_topic()
            .name(name)
            .attributes(POLICY, wanted.policy(&arn))
            .set_tags(Some(sdk_tags(&tags)?));
        if let Some(key) = &wanted.kms_key {
            call = call.attributes(KEY, key);
        }
        call.send().await.during("sns:CreateTopic")?;
        subscriptions::write(scope, &arn, &tags, wanted).await
    }

    async fn update(scope: &Scope<'_>, _name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        let (have, arn) = (&found.settings, found.handle.as_str());
        if have.kms_key != wanted.kms_key {
            set(scope, arn, KEY, wanted.kms_key.as_deref().unwrap_or_default()).await?;
        }
        if (have.tls_only, &have.statements) != (wanted.tls_only, &wanted.statements) {
            set(scope, arn, POLICY, &wanted.policy(arn)).await?;
        }
        if have.told() != wanted.told() {
            subscriptions::write(scope, arn, &found.tags, wanted).await?;
        }
        Ok(())
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        put_tags(scope, &found.handle, put).await?;
        remove_tags(scope, &found.handle, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        scope
            .clients
            .sns
            .delete_topic()
            .topic_arn(&found.handle)
            .send()
            .await
            .absent("sns:DeleteTopic", &["NotFound", "NotFoundException"])?;
        Ok(())
    }
}
