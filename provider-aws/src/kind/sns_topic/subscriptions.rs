//! Who is told: subscriptions, each remembered by a tag of the topic under its id.

use super::{Desired, put_tags, remove_tags};
use crate::error::Outcome;
use crate::provider::Scope;
use crate::secret;
use crate::tags::{self, Tags};
use platform_core::value::{Recipe, SecretText, Supplied};
use platform_core::{Error, ErrorKind, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const EMAIL: &str = "email";
const WEBHOOK: &str = "webhook";
const HTTPS: &str = "https";

/// One subscription.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Subscription {
    /// What its ARN ends in.
    id: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    Email(String),
    Webhook(String, Supplied),
    /// Of somebody else, by protocol.
    Other(String),
}

/// What a tag remembers of a subscription.
#[derive(Clone, Debug, PartialEq)]
enum Record {
    Email,
    Webhook(String, Supplied),
}

impl Record {
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        match words.as_slice() {
            [EMAIL] => Some(Self::Email),
            [WEBHOOK, name, revision, supplied] => Some(Self::Webhook(
                (*name).to_owned(),
                Supplied {
                    supplied: (*supplied).to_owned(),
                    revision: revision.parse().ok()?,
                },
            )),
            _ => None,
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Email => EMAIL.to_owned(),
            Self::Webhook(name, supplied) => {
                format!("{WEBHOOK} {name} {} {}", supplied.revision, supplied.supplied)
            }
        }
    }
}

/// Whether a name can stand in a tag, as one word.
pub(super) fn can_be_remembered(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-=._:/@".contains(c))
}

fn key(id: &str) -> String {
    tags::key(&format!("{}{id}", tags::SUBSCRIPTION))
}

fn records(tags: &Tags) -> BTreeMap<String, Record> {
    let start = key("");
    tags.iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(&start)?.to_owned(), Record::parse(value)?)))
        .collect()
}

/// Everybody who is told, or will be once they confirm.
pub(super) async fn read(scope: &Scope<'_>, topic: &str, tags: &Tags) -> Result<Vec<Subscription>> {
    let mut records = records(tags);
    let mut told = Vec::new();
    let mut pages = scope
        .clients
        .sns
        .list_subscriptions_by_topic()
        .topic_arn(topic)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.during("sns:ListSubscriptionsByTopic")?;
        for listed in page.subscriptions() {
            // Of one that waits for its confirmation the list does not tell the ARN.
            let Some(id) = listed.subscription_arn().and_then(|arn| id_of(topic, arn)) else {
                continue;
            };
            let endpoint = listed.endpoint().unwrap_or_default().to_owned();
            let what = match records.remove(id) {
                Some(Record::Email) => What::Email(endpoint),
                Some(Record::Webhook(name, supplied)) => What::Webhook(name, supplied),
                None => What::Other(listed.protocol().unwrap_or_default().to_owned()),
            };
            told.push(Subscription {
                id: id.to_owned(),
                what,
            });
        }
    }
    let mut waiting = 0;
    for (id, record) in records {
        let answer = scope
            .clients
            .sns
            .get_subscription_attributes()
            .subscription_arn(format!("{topic}:{id}"))
            .send()
            .await
            .absent("sns:GetSubscriptionAttributes", &["NotFound", "NotFoundException"])?;
        // One that nobody confirmed within two days is gone.
        let Some(attributes) = answer.and_then(|answer| answer.attributes) else {
            continue;
        };
        waiting += 1;
        let what = match record {
            Record::Email => What::Email(attributes.get("Endpoint").cloned().unwrap_or_default()),
            Record::Webhook(name, supplied) => What::Webhook(name, supplied),
        };
        told.push(Subscription { id, what });
    }
    if waiting > 0 {
        scope.warn(format!(
            "{waiting} receivers of {topic} have not confirmed yet and are told nothing till then"
        ));
    }
    Ok(told)
}

fn id_of<'a>(topic: &str, arn: &'a str) -> Option<&'a str> {
    arn.strip_prefix(topic)?.strip_prefix(':')
}

/// The same as settings: addresses, webhooks by name, and others.
pub(super) fn view(told: &[Subscription]) -> (BTreeSet<String>, BTreeMap<String, Value>, BTreeSet<String>) {
    let (mut emails, mut webhooks, mut others) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
    for one in told {
        match &one.what {
            What::Email(address) => {
                emails.insert(address.clone());
            }
            What::Webhook(name, supplied) => {
                // Two of one name are a change that was cut short: the older shows, so that it is gone on with.
                let known: &mut Supplied = webhooks.entry(name.clone()).or_insert_with(|| supplied.clone());
                if supplied.revision < known.revision {
                    *known = supplied.clone();
                }
            }
            What::Other(protocol) => {
                others.insert(format!("{protocol} {}", one.id));
            }
        }
    }
    let webhooks = webhooks
        .into_iter()
        .map(|(name, supplied)| (name, Recipe::Supplied(supplied).to_value()))
        .collect();
    (emails, webhooks, others)
}

/// Subscribes who is missing, then lets go of who is not wanted. Subscribing twice is one subscription.
pub(super) async fn write(scope: &Scope<'_>, topic: &str, tags: &Tags, wanted: &Desired) -> Result<()> {
    let told = read(scope, topic, tags).await?;
    let mut kept = BTreeSet::new();
    let of = |what: &What| told.iter().find(|one| &one.what == what).map(|one| one.id.clone());
    for email in &wanted.emails {
        let id = match of(&What::Email(email.clone())) {
            Some(id) => id,
            None => subscribe(scope, topic, EMAIL, email, &Record::Email).await?,
        };
        kept.insert(id);
    }
    for (name, value) in &wanted.webhooks {
        let Some(Recipe::Supplied(supplied)) = Recipe::of_value(value) else {
            return Err(Error::new(ErrorKind::Internal, format!("webhook {name} is no recipe")));
        };
        let id = match of(&What::Webhook(name.clone(), supplied.clone())) {
            Some(id) => id,
            None => webhook(scope, topic, name, supplied).await?,
        };
        kept.insert(id);
    }
    for one in told.iter().filter(|one| !kept.contains(&one.id)) {
        scope
            .clients
            .sns
            .unsubscribe()
            .subscription_arn(format!("{topic}:{}", one.id))
            .send()
            .await
            .absent("sns:Unsubscribe", &["NotFound", "NotFoundException"])?;
    }
    let forgotten: Vec<String> = records(tags)
        .into_keys()
        .filter(|id| !kept.contains(id))
        .map(|id| key(&id))
        .collect();
    remove_tags(scope, topic, &forgotten).await
}

async fn webhook(scope: &Scope<'_>, topic: &str, name: &str, supplied: Supplied) -> Result<String> {
    let url = secret::supplied(scope, &supplied.supplied).await?;
    let refused = |why: &str| {
        Error::new(ErrorKind::Invalid, format!("the URL of webhook {name}: {why}"))
            .with_context("secret", &supplied.supplied)
            .with_help("supply a URL that begins with https:// and answers SNS's confirmation")
    };
    if !url.expose().starts_with("https://") {
        return Err(refused("it does not begin with https://"));
    }
    let record = Record::Webhook(name.to_owned(), supplied.clone());
    let outcome = subscribe(scope, topic, HTTPS, url.expose(), &record).await;
    // AWS may quote what it refuses.
    outcome.map_err(|error| masked(error, &url, || refused("SNS refuses it")))
}

fn masked(error: Error, url: &SecretText, instead: impl FnOnce() -> Error) -> Error {
    if error.kind() == ErrorKind::Invalid || error.report().contains(url.expose()) {
        instead()
    } else {
        error
    }
}

/// Subscribes, and remembers it.
async fn subscribe(scope: &Scope<'_>, topic: &str, protocol: &str, endpoint: &str, record: &Record) -> Result<String> {
    let answer = scope
        .clients
        .sns
        .subscribe()
        .topic_arn(topic)
        .protocol(protocol)
        .endpoint(endpoint)
        .return_subscription_arn(true)
        .send()
        .await
        .during("sns:Subscribe")?;
    let id = match answer.subscription_arn().and_then(|arn| id_of(topic, arn)) {
        Some(id) => id.to_owned(),
        None => listed(scope, topic, protocol, endpoint).await?,
    };
    put_tags(scope, topic, &Tags::from([(key(&id), record.to_text())])).await?;
    Ok(id)
}

/// The id of a subscription by what it tells, where the answer did not say it.
async fn listed(scope: &Scope<'_>, topic: &str, protocol: &str, endpoint: &str) -> Result<String> {
    let mut pages = scope
        .clients
        .sns
        .list_subscriptions_by_topic()
        .topic_arn(topic)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.during("sns:ListSubscriptionsByTopic")?;
        let found = page
            .subscriptions()
            .iter()
            .filter(|one| one.protocol() == Some(protocol) && one.endpoint() == Some(endpoint))
            .find_map(|one| id_of(topic, one.subscription_arn()?));
        if let Some(id) = found {
            return Ok(id.to_owned());
        }
    }
    Err(Error::new(
        ErrorKind::Internal,
        "sns:Subscribe told no ARN, and the list does not either",
    ))
}

#[cfg(test)]
mod tests {
    use super::{Record, Subscription, What, can_be_remembered, view};
    use platform_core::value::Supplied;

    fn supplied(revision: u64) -> Supplied {
        Supplied {
            supplied: "pager/url".to_owned(),
            revision,
        }
    }

    #[test]
    fn a_tag_remembers_what_a_subscription_was_made_of() {
        for record in [Record::Email, Record::Webhook("oncall".to_owned(), supplied(3))] {
            assert_eq!(Record::parse(&record.to_text()), Some(record));
        }
        for text in ["", "sms", "webhook a b c", "email x"] {
            assert_eq!(Record::parse(text), None, "{text}");
        }
        assert!(can_be_remembered("a/b_c.d") && !can_be_remembered("a b") && !can_be_remembered("ä"));
    }

    #[test]
    fn of_two_revisions_the_older_shows() {
        let told = |revision: u64| Subscription {
            id: revision.to_string(),
            what: What::Webhook("oncall".to_owned(), supplied(revision)),
        };
        for order in [[told(1), told(2)], [told(2), told(1)]] {
            let (_, webhooks, _) = view(&order);
            assert_eq!(webhooks["oncall"]["$secret"]["revision"], 1);
        }
    }
}
