//! The only writer. Every write reads the object afresh: whose it is, which incarnation, and whether it is still as seen.

use crate::kind::{AnyKind, Found, Wish};
use crate::observe::{callers, live, look};
use crate::provider::{Connection, Scope, wish};
use crate::tags::{self, Tags};
use platform_core::engine::Permit;
use platform_core::value::{Digest, ResourceId};
use platform_core::{Error, ErrorKind, Live, Owner, Resolved, Result, Verb, Write};
use serde_json::Value;
use std::time::Duration;

/// How often, and after what pause, an object is read that was just made: some lists lag behind.
const LOOKS: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) async fn write(connection: &Connection, write: Write<'_>, permit: Permit<'_>) -> Result<Option<Live>> {
    if &permit.step().id != write.id() {
        return Err(
            Error::new(ErrorKind::Internal, format!("the permit is for {}", permit.step().id))
                .with_context("resource", write.id()),
        );
    }
    let id = write.id().clone();
    let verb = write.verb();
    act(connection, write, permit).await.map_err(|error| {
        let error = error.with_context("resource", &id);
        if error.operation().is_empty() {
            error.with_operation(word(verb))
        } else {
            error
        }
    })
}

async fn act(connection: &Connection, write: Write<'_>, permit: Permit<'_>) -> Result<Option<Live>> {
    match write {
        Write::Create { set, resource, token } => {
            let scope = connection.scope(set).await?;
            create(&scope, resource, token).await?;
            confirm(&scope, resource).await.map(Some)
        }
        Write::Update { set, resource, live } => {
            let scope = connection.scope(set).await?;
            change(&scope, resource, live, &[Owner::ThisSet], false).await?;
            confirm(&scope, resource).await.map(Some)
        }
        Write::Adopt { set, resource, live } => {
            let scope = connection.scope(set).await?;
            change(
                &scope,
                resource,
                live,
                &[Owner::ThisSet, Owner::Retained, Owner::Nobody],
                true,
            )
            .await?;
            confirm(&scope, resource).await.map(Some)
        }
        Write::Release { set, live: seen } => {
            let scope = connection.scope(set).await?;
            let kind = scope.kinds.known(&seen.id)?;
            let Some(found) = fresh(&scope, kind, seen).await? else {
                return Ok(None);
            };
            if whose(&scope, &seen.id, &found, &[Owner::ThisSet, Owner::Retained])? == Owner::ThisSet {
                let (put, remove) = tags::release(set);
                kind.tag(&scope, &found, &put, &remove).await?;
            }
            look(&scope, &seen.id, &callers(&seen.view)).await
        }
        Write::Delete {
            set,
            live: seen,
            snapshot,
        } => {
            if !permit.allows_delete() {
                return Err(Error::new(
                    ErrorKind::Unapproved,
                    "the plan does not delete this object",
                ));
            }
            let scope = connection.scope(set).await?;
            let kind = scope.kinds.known(&seen.id)?;
            let Some(found) = fresh(&scope, kind, seen).await? else {
                return Ok(None);
            };
            whose(&scope, &seen.id, &found, &[Owner::ThisSet, Owner::Retained])?;
            kind.delete(&scope, &found, snapshot).await?;
            // Some take minutes to go: what they stand on waits for that.
            look(&scope, &seen.id, &callers(&seen.view)).await
        }
    }
}

fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::Adopt => "adopt",
        Verb::Release => "release",
        Verb::Delete => "delete",
    }
}

/// All tags that a resource shall have.
fn all_tags(scope: &Scope<'_>, resource: &Resolved, wish: &Wish) -> Tags {
    let mut tags = tags::wanted(scope.set, resource, &Digest::of_value(&resource.desired), &wish.tags);
    if scope.kinds.find(resource.id.kind()).is_some_and(AnyKind::global) {
        tags.insert(tags::key(tags::REGION), scope.region.to_owned());
    }
    tags
}

async fn create(scope: &Scope<'_>, resource: &Resolved, token: &str) -> Result<()> {
    let kind = scope.kinds.known(&resource.id)?;
    let wish = wish(kind, resource)?;
    let tags = all_tags(scope, resource, &wish);
    let name = resource.id.name().as_str();
    let Some(mut found) = kind.read(scope, name).await? else {
        let making = tags::making(&tags);
        match kind.create(scope, name, &wish.settings, &making, token).await {
            // The name was taken since we looked: by our own call, whose answer was lost, or by somebody else.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                if kind.read(scope, name).await?.is_none() {
                    return Err(error);
                }
            }
            other => other?,
        }
        let found = again(scope, kind, name).await?;
        return finish(scope, kind, resource, &wish, &tags, &found).await;
    };
    if found.doomed.is_some() {
        whose(scope, &resource.id, &found, &[Owner::ThisSet, Owner::Retained])?;
        kind.revive(scope, &found).await?;
        found = again(scope, kind, name).await?;
        return converge(scope, kind, name, &found, &wish, &tags).await;
    }
    finish(scope, kind, resource, &wish, &tags, &found).await
}

/// Completes a create, whether just sent or cut short earlier; anything else of that name is refused.
async fn finish(
    scope: &Scope<'_>,
    kind: &dyn AnyKind,
    resource: &Resolved,
    wish: &Wish,
    tags: &Tags,
    found: &Found<Value>,
) -> Result<()> {
    whose(scope, &resource.id, found, &[Owner::ThisSet])?;
    if !tags::unfinished(&found.tags) && tags::hash(&found.tags) != tags::hash(tags) {
        return Err(
            Error::new(ErrorKind::Conflict, "the object was made by another run since the plan")
                .with_help("plan again"),
        );
    }
    converge(scope, kind, resource.id.name().as_str(), found, wish, tags).await
}

/// Updates or adopts what is still as seen.
async fn change(scope: &Scope<'_>, resource: &Resolved, seen: &Live, owners: &[Owner], revives: bool) -> Result<()> {
    let kind = scope.kinds.known(&resource.id)?;
    let wish = wish(kind, resource)?;
    let name = resource.id.name().as_str();
    let found = same(scope, kind, seen).await?;
    let Some(mut found) = found.filter(|found| revives || found.doomed.is_none()) else {
        return Err(Error::new(ErrorKind::Conflict, "the object is gone").with_help("plan again"));
    };
    let wish = wish.beside(resource, kind.made_by(), &found.settings);
    whose(scope, &resource.id, &found, owners)?;
    let now = live(&resource.id, scope.set, &found, &callers(&resource.desired));
    if let Some(field) = moved(&seen.view, &now.view, &wish.view()) {
        return Err(
            Error::new(ErrorKind::Conflict, format!("{field} was changed since the plan")).with_help("plan again"),
        );
    }
    if found.doomed.is_some() {
        kind.revive(scope, &found).await?;
        found = again(scope, kind, name).await?;
    }
    let tags = all_tags(scope, resource, &wish);
    converge(scope, kind, name, &found, &wish, &tags).await
}

/// Makes settings and then tags as wanted; the stamp of what it was written from comes last.
async fn converge(
    scope: &Scope<'_>,
    kind: &dyn AnyKind,
    name: &str,
    found: &Found<Value>,
    wish: &Wish,
    tags: &Tags,
) -> Result<()> {
    if found.settings != wish.settings {
        kind.update(scope, name, found, &wish.settings).await?;
    }
    let (put, remove) = tags::difference(&found.tags, tags);
    if put.is_empty() && remove.is_empty() {
        return Ok(());
    }
    kind.tag(scope, found, &put, &remove).await
}

/// The incarnation that was seen, read again; `None` when it is gone.
async fn same(scope: &Scope<'_>, kind: &dyn AnyKind, seen: &Live) -> Result<Option<Found<Value>>> {
    match kind.read(scope, seen.id.name().as_str()).await? {
        Some(found) if found.uid != seen.uid => Err(Error::new(
            ErrorKind::Conflict,
            format!("the object was replaced: it was {}, now it is {}", seen.uid, found.uid),
        )
        .with_help("plan again")),
        other => Ok(other),
    }
}

/// The same, where one that is on its way out is gone.
async fn fresh(scope: &Scope<'_>, kind: &dyn AnyKind, seen: &Live) -> Result<Option<Found<Value>>> {
    Ok(same(scope, kind, seen).await?.filter(|found| found.doomed.is_none()))
}

/// Whose the object is, if it is one of these.
fn whose(scope: &Scope<'_>, id: &ResourceId, found: &Found<Value>, allowed: &[Owner]) -> Result<Owner> {
    let owner = match &found.stranger {
        Some(stranger) => Owner::Other(stranger.clone()),
        None => tags::owner(&found.tags, scope.set),
    };
    if allowed.contains(&owner) {
        return Ok(owner);
    }
    let (who, help) = match &owner {
        Owner::Other(who) => (
            who.as_str(),
            "choose another name under `names:` in the config".to_owned(),
        ),
        Owner::Nobody => (
            "nobody that left a mark",
            format!("name it to take it over: --adopt {id}"),
        ),
        _ => ("this set already", "plan again".to_owned()),
    };
    Err(Error::new(ErrorKind::Foreign, format!("it belongs to {who}")).with_help(help))
}

/// The first field that is neither as seen nor as wanted: somebody else wrote it.
fn moved(seen: &Value, now: &Value, wanted: &Value) -> Option<String> {
    let (Some(seen), Some(now), Some(wanted)) = (seen.as_object(), now.as_object(), wanted.as_object()) else {
        return (seen != now && now != wanted).then(|| "the object".to_owned());
    };
    let keys: std::collections::BTreeSet<&String> = seen.keys().chain(now.keys()).chain(wanted.keys()).collect();
    keys.into_iter()
        .find(|key| now.get(*key) != seen.get(*key) && now.get(*key) != wanted.get(*key))
        .cloned()
}

async fn again(scope: &Scope<'_>, kind: &dyn AnyKind, name: &str) -> Result<Found<Value>> {
    for _ in 0..LOOKS {
        match kind.read(scope, name).await? {
            Some(found) if found.doomed.is_none() => return Ok(found),
            _ => scope.clock.sleep(PAUSE).await,
        }
    }
    Err(Error::new(ErrorKind::Timeout, "the object was written but does not show").with_help("plan again in a minute"))
}

/// The object as the API shows it after the write; refuses to call somebody else's object made.
async fn confirm(scope: &Scope<'_>, resource: &Resolved) -> Result<Live> {
    let found = again(scope, scope.kinds.known(&resource.id)?, resource.id.name().as_str()).await?;
    // In us-east-1 a create of a bucket that the account has already answers 200: the tags tell.
    whose(scope, &resource.id, &found, &[Owner::ThisSet])?;
    Ok(live(&resource.id, scope.set, &found, &callers(&resource.desired)))
}

#[cfg(test)]
mod tests {
    use super::moved;
    use serde_json::json;

    #[test]
    fn a_half_made_update_is_no_conflict() {
        let seen = json!({"a": 1, "b": 1});
        let wanted = json!({"a": 2, "b": 2});
        for (now, conflict) in [
            (json!({"a": 1, "b": 1}), None),
            (json!({"a": 2, "b": 1}), None),
            (json!({"a": 2, "b": 2}), None),
            (json!({"a": 3, "b": 1}), Some("a".to_owned())),
            (json!({"a": 1, "b": 1, "c": 1}), Some("c".to_owned())),
        ] {
            assert_eq!(moved(&seen, &now, &wanted), conflict, "{now}");
        }
    }
}
