//! What all kinds of EC2 share: the client, tags, and finding an object by them.

use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification, UnsuccessfulItem};
use platform_core::value::Uid;
use platform_core::{Charset, Error, ErrorKind, NameRule, Owner, Result, Retry, State};
use provider_aws::kind::{Found, Outcome, Room, Scope, Tags, id_tag, set_tag, unfinished};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long an object that was just made may stay out of what EC2 shows.
const WINDOW: Duration = Duration::from_mins(1);
/// The tag that EC2's console shows as a name.
const NAME: &str = "Name";
/// The id tag holds kind and name in 256 characters.
pub(crate) const NAMES: NameRule = NameRule {
    max: 220,
    charset: Charset::AwsPath,
};

/// The client, one a provider.
pub(crate) fn client(scope: &Scope<'_>) -> Client {
    scope.client(Client::new)
}

/// An object as EC2 describes it.
#[async_trait]
pub(crate) trait Described: Clone + Send + Sync + 'static {
    /// The kind that it is an object of.
    const KIND: &'static str;

    /// All objects that these filters let pass and that are not gone.
    async fn describe(client: &Client, filters: Vec<Filter>) -> Result<Vec<Self>>;

    /// What EC2 calls it.
    fn id(&self) -> &str;

    /// Its tags.
    fn tags(&self) -> &[Tag];

    /// The same by key.
    fn all_tags(&self) -> Tags {
        let pairs = self.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value()?)));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }
}

/// What lets pass only values of one field.
pub(crate) fn filter(name: impl Into<String>, value: impl Into<String>) -> Filter {
    Filter::builder().name(name).values(value).build()
}

/// What a quota leaves of all that the region holds.
pub(crate) async fn room<T: Described>(
    scope: &Scope<'_>,
    service: &str,
    quota: &'static str,
    of: &'static str,
) -> Result<Option<Room>> {
    let all = T::describe(&client(scope), Vec::new()).await?;
    scope.room(service, quota, of, all.len()).await
}

fn tagged((key, value): (String, String)) -> Filter {
    filter(format!("tag:{key}"), value)
}

/// The object of this name: by its id tag, whosever it is; else by its `Name`, where nobody has put a mark on it.
pub(crate) async fn find<T: Described>(scope: &Scope<'_>, name: &str) -> Result<Option<T>> {
    let client = client(scope);
    let (id_key, id) = id_tag(T::KIND, name);
    let is_it = |hit: &T| hit.all_tags().get(&id_key) == Some(&id);
    let mut hits = Vec::new();
    if scope.observes() {
        hits.extend(of_set::<T>(scope).await?.iter().filter(|hit| is_it(hit)).cloned());
    }
    if hits.is_empty() {
        hits = T::describe(&client, vec![tagged((id_key.clone(), id.clone()))]).await?;
        // A filter only saves reading: the object itself is the proof.
        hits.retain(is_it);
    }
    let whose = |hit: &T| match scope.owner(&hit.all_tags()) {
        Owner::ThisSet => 0,
        Owner::Retained => 1,
        _ => 2,
    };
    // Of two the one that is finished: the other is what a create left whose answer was lost.
    hits.sort_by_key(|hit| (whose(hit), unfinished(&hit.all_tags()), hit.id().to_owned()));
    let mut hits = hits.into_iter();
    if let Some(first) = hits.next() {
        for twin in hits.filter(|hit| whose(hit) == 0) {
            scope.warn(format!(
                "{} carries the id of {} too: if nothing uses it, delete it by hand",
                twin.id(),
                first.id()
            ));
        }
        return Ok(Some(first));
    }
    let called = T::describe(&client, vec![filter(format!("tag:{NAME}"), name)]).await?;
    let mut called: Vec<T> = called
        .into_iter()
        .filter(|hit| {
            let tags = hit.all_tags();
            tags.get(NAME).map(String::as_str) == Some(name) && !tags.contains_key(&id_key)
        })
        .collect();
    called.sort_by_key(|hit| hit.id().to_owned());
    Ok(called.into_iter().next())
}

/// The objects that carry the tag of the set.
async fn of_set<T: Described>(scope: &Scope<'_>) -> Result<Arc<Vec<T>>> {
    let ask = async {
        let (key, set) = set_tag(scope.set());
        let mut hits = T::describe(&client(scope), vec![tagged((key.clone(), set.clone()))]).await?;
        hits.retain(|hit| hit.all_tags().get(&key) == Some(&set));
        Ok(hits)
    };
    scope.once(T::KIND, ask).await
}

/// Names of the objects that carry the tag of the set.
pub(crate) async fn list<T: Described>(scope: &Scope<'_>) -> Result<Vec<String>> {
    let (id_key, start) = id_tag(T::KIND, "");
    let hits = of_set::<T>(scope).await?;
    let ids = hits.iter().filter_map(|hit| hit.all_tags().remove(&id_key));
    Ok(ids
        .filter_map(|id| id.strip_prefix(&start).map(str::to_owned))
        .collect())
}

/// An object as read; EC2's id is its incarnation, its handle and an output.
pub(crate) fn found<T: Described, D>(of: &T, settings: D, state: State) -> Found<D> {
    Found {
        uid: Uid::new(of.id()),
        handle: of.id().to_owned(),
        settings,
        tags: of.all_tags(),
        outputs: BTreeMap::from([("id".to_owned(), Value::String(of.id().to_owned()))]),
        state,
        doomed: None,
        stranger: None,
        version: None,
    }
}

fn sdk_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

/// The tags of a create call.
pub(crate) fn born(resource: ResourceType, name: &str, tags: &Tags) -> TagSpecification {
    let mut tags = tags.clone();
    tags.entry(NAME.to_owned()).or_insert_with(|| name.to_owned());
    TagSpecification::builder()
        .resource_type(resource)
        .set_tags(Some(sdk_tags(&tags)))
        .build()
}

/// Writes and takes away tags.
pub(crate) async fn tag(scope: &Scope<'_>, id: &str, put: &Tags, remove: &[String]) -> Result<()> {
    let client = client(scope);
    if !put.is_empty() {
        let call = client.create_tags().resources(id).set_tags(Some(sdk_tags(put)));
        call.send().await.during("ec2:CreateTags")?;
    }
    if !remove.is_empty() {
        let keys = remove.iter().map(|key| Tag::builder().key(key).build()).collect();
        let call = client.delete_tags().resources(id).set_tags(Some(keys));
        call.send().await.during("ec2:DeleteTags")?;
    }
    Ok(())
}

/// What is sent no second time: the call takes no token, and a retry after a lost answer would make a second object.
pub(crate) fn once() -> aws_sdk_ec2::config::Builder {
    aws_sdk_ec2::Config::builder().retry_config(aws_sdk_ec2::config::retry::RetryConfig::disabled())
}

/// The error of such a create: it may have taken effect, and is looked for once that can be relied upon.
pub(crate) fn perhaps_made(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::Timeout => error
            .with_retry(Retry::After(WINDOW))
            .with_help("it may have been made: it is looked for by its tag once that can be relied upon"),
        _ => error,
    }
}

/// Whether a delete was refused because something stands on the object.
pub(crate) fn is_in_use(error: &Error) -> bool {
    error.message().starts_with("DependencyViolation")
}

/// A delete, where something may still lie in the object: names the network interfaces that do.
pub(crate) async fn without_interfaces(scope: &Scope<'_>, deleted: Result<()>, by: &str, id: &str) -> Result<()> {
    let Err(error) = deleted else { return Ok(()) };
    if !is_in_use(&error) {
        return Err(error);
    }
    let client = client(scope);
    let call = client.describe_network_interfaces().filters(filter(by, id)).send();
    let Ok(answer) = call.await.during("ec2:DescribeNetworkInterfaces") else {
        return Err(error);
    };
    let named: Vec<String> = answer
        .network_interfaces()
        .iter()
        .map(|one| {
            let id = one.network_interface_id().unwrap_or_default();
            format!("{id} ({})", one.description().unwrap_or_default())
        })
        .collect();
    Err(if named.is_empty() {
        error
    } else {
        error.with_context("network interfaces", named.join(", "))
    })
}

/// The outcome of a call that reports failures inside of a good answer, where these codes mean that there is nothing.
pub(crate) fn successful(operation: &'static str, failed: &[UnsuccessfulItem], gone: &[&str]) -> Result<()> {
    let errors = failed.iter().filter_map(UnsuccessfulItem::error);
    let Some(error) = errors
        .into_iter()
        .find(|error| !gone.contains(&error.code().unwrap_or_default()))
    else {
        return Ok(());
    };
    let code = error.code().unwrap_or_default();
    let kind = match code {
        _ if code.ends_with("AlreadyExists") => ErrorKind::Conflict,
        _ if code.ends_with("LimitExceeded") => ErrorKind::QuotaExceeded,
        "UnauthorizedOperation" => ErrorKind::Forbidden,
        _ => ErrorKind::Failed,
    };
    let text = format!("{code}: {}", error.message().unwrap_or_default().trim_end_matches('.'));
    Err(Error::new(kind, text).with_operation(operation))
}

/// What is in the first list and not in the second; `None` where there is nothing.
pub(crate) fn without(all: &[String], but: &[String]) -> Option<Vec<String>> {
    let rest: Vec<String> = all.iter().filter(|one| !but.contains(one)).cloned().collect();
    (!rest.is_empty()).then_some(rest)
}
