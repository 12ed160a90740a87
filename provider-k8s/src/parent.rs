//! Keeping the parent's hints: a superset before a kind or namespace is first written to, the latest at the end.

use crate::client::{APPLY, Call};
use crate::error::Attempt;
use crate::provider::Inner;
use crate::set::{Names, PARENT_MANAGER, Scope};
use http::Method;
use platform_core::value::{ResourceId, SetId};
use platform_core::{PlannedWrite, Result, Verb};

/// Remembers what is going to be written, so that one write of the parent does for all of it.
pub(crate) async fn plan(inner: &Inner, set: &SetId, names: &Names, writes: &[PlannedWrite]) {
    let mut sets = inner.sets.lock().await;
    let known = sets.entry(set.clone()).or_default();
    known.planned = Scope::default();
    for write in writes
        .iter()
        .filter(|write| matches!(write.verb, Verb::Create | Verb::Adopt))
    {
        known
            .planned
            .add(names, write.id.kind().as_str(), write.id.name().namespace());
    }
}

/// Lists the object's kind and namespace in the parent, if they are not yet.
pub(crate) async fn list(inner: &Inner, set: &SetId, names: &Names, id: &ResourceId) -> Result<()> {
    let mut sets = inner.sets.lock().await;
    let known = sets.entry(set.clone()).or_default();
    let mut wanted = Scope::default();
    wanted.add(names, id.kind().as_str(), id.name().namespace());
    if known.parent.as_ref().is_some_and(|parent| parent.covers(&wanted)) {
        return Ok(());
    }
    let mut superset = known.parent.clone().unwrap_or_default();
    for more in [&wanted, &known.planned] {
        superset.kinds.extend(more.kinds.iter().cloned());
        superset.namespaces.extend(more.namespaces.iter().cloned());
    }
    // The lock is held meanwhile, so that the writes that wait for it find the kind listed.
    store(inner, names, &superset).await?;
    known.parent = Some(superset);
    Ok(())
}

/// The object is of the set now.
pub(crate) async fn joined(inner: &Inner, set: &SetId, id: &ResourceId) {
    inner
        .sets
        .lock()
        .await
        .entry(set.clone())
        .or_default()
        .members
        .insert(id.clone());
}

/// The object is no longer of the set.
pub(crate) async fn left(inner: &Inner, set: &SetId, id: &ResourceId) {
    inner
        .sets
        .lock()
        .await
        .entry(set.clone())
        .or_default()
        .members
        .remove(id);
}

/// Shrinks the hints to what the set has, at the end of a run. Objects that could not be read or are on their way out stay listed.
pub(crate) async fn settle(inner: &Inner, set: &SetId, names: &Names) -> Result<()> {
    let mut sets = inner.sets.lock().await;
    let Some(known) = sets.get_mut(set) else { return Ok(()) };
    let Some(parent) = &known.parent else { return Ok(()) };
    let mut latest = Scope::default();
    for id in &known.members {
        latest.add(names, id.kind().as_str(), id.name().namespace());
    }
    if !known.unread.is_empty() {
        latest.kinds.extend(known.unread.iter().cloned());
        latest.namespaces.extend(parent.namespaces.iter().cloned());
    }
    if &latest == parent {
        return Ok(());
    }
    store(inner, names, &latest).await?;
    known.parent = Some(latest);
    known.planned = Scope::default();
    Ok(())
}

async fn store(inner: &Inner, names: &Names, scope: &Scope) -> Result<()> {
    let path = format!("{}?fieldManager={PARENT_MANAGER}&force=true", names.parent_path());
    let attempt = Attempt::new("write the set", format!("configmaps {}/{}", names.home, names.label));
    let call = Call::send(Method::PATCH, path, APPLY, &scope.parent(names), attempt);
    inner.api.call(call).await?.ok().map(|_| ())
}
