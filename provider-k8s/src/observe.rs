//! What is: the parent and one list a kind, in parallel, by one label.

use crate::client::Call;
use crate::error::Attempt;
use crate::kind::{KINDS, KubeKind, find};
use crate::lock;
use crate::matcher;
use crate::provider::{Inner, Known, PARALLEL};
use crate::set::{Names, SET, Scope};
use crate::stamp::{self, Reader};
use futures::FutureExt;
use futures::stream::{StreamExt, iter};
use platform_core::value::{Kind, Name, ResourceId, SetId};
use platform_core::{Error, ErrorKind, Live, Observation, Owner, Resource, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Objects a page.
const PAGE: usize = 500;

/// What `preview` needs beside the engine's view.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) names: Names,
    /// Objects as the server has them; Secrets without their values.
    pub(crate) objects: HashMap<ResourceId, Value>,
    /// Namespaces that the wish itself makes.
    pub(crate) wished_namespaces: BTreeSet<String>,
    /// Those of them that stand already and are not the set's: what lies in them may be to adopt.
    pub(crate) strange_namespaces: BTreeSet<String>,
    /// Everything that is wished.
    pub(crate) wished: BTreeSet<ResourceId>,
    /// Quotas that the plan changes or makes.
    pub(crate) changed_quotas: BTreeSet<ResourceId>,
}

struct Listed {
    kind: &'static KubeKind,
    objects: Vec<Value>,
    warnings: Vec<String>,
    unreadable: Option<Error>,
}

impl Listed {
    fn of(kind: &'static KubeKind) -> Self {
        Self {
            kind,
            objects: Vec::new(),
            warnings: Vec::new(),
            unreadable: None,
        }
    }
}

pub(crate) async fn observe(inner: &Arc<Inner>, set: &SetId, wanted: &[Resource]) -> Result<Observation> {
    let names = inner.names(set);
    let requests = AtomicU32::new(1);
    let mut observation = Observation::new(set.clone(), inner.place.clone(), inner.api.clock().now());
    let wishes: HashMap<&ResourceId, &Resource> = wanted.iter().map(|wish| (&wish.id, wish)).collect();
    let mut kinds: BTreeMap<&str, &'static KubeKind> = BTreeMap::new();
    for wish in wanted {
        let kind = stamp::kind_of(&wish.id)?;
        kinds.insert(kind.facts.kind, kind);
    }
    // What is wanted is listed while the parent is read, which can only name more.
    let listing = lists(inner, &names, kinds.values().copied().collect(), &requests).map(Ok);
    let (parent, mut listed) = futures::try_join!(parent_of(inner, &names), listing)?;
    let mut more: BTreeMap<&str, &'static KubeKind> = BTreeMap::new();
    match &parent {
        Some(parent) => {
            for name in &parent.kinds {
                match find(name) {
                    Some(kind) => {
                        more.insert(kind.facts.kind, kind);
                    }
                    None => observation.warnings.push(format!(
                        "the set holds objects of kind {name}, which this version does not know"
                    )),
                }
            }
        }
        // A set that is to go and whose parent somebody removed: its objects may be of any kind.
        None if wanted.is_empty() => more.extend(KINDS.iter().map(|kind| (kind.facts.kind, *kind))),
        None => {}
    }
    more.retain(|name, _| !kinds.contains_key(name));
    listed.extend(lists(inner, &names, more.into_values().collect(), &requests).await);
    let mut scope: BTreeSet<String> = parent
        .iter()
        .flat_map(|parent| parent.namespaces.iter().cloned())
        .collect();
    scope.extend(
        wanted
            .iter()
            .filter_map(|wish| wish.id.name().namespace().map(str::to_owned)),
    );
    scope.insert(names.home.clone());
    let mut asked = Vec::new();
    for listed in listed {
        asked.push(narrowed(inner, &names, listed, &scope, &requests).boxed());
    }
    let lists: Vec<Listed> = iter(asked).buffered(PARALLEL).collect().await;
    if wanted.is_empty() {
        requests.fetch_add(2, Ordering::Relaxed);
        observation.recorded = parent.is_some() || lock::is_recorded(inner, &names).await?;
    }
    let reader = Reader {
        place: &inner.place,
        names: &names,
    };
    let mut seen = Seen {
        names: names.clone(),
        objects: HashMap::new(),
        wished_namespaces: wanted
            .iter()
            .filter(|wish| wish.id.kind().as_str() == "Namespace")
            .map(|wish| wish.id.name().to_string())
            .collect(),
        strange_namespaces: BTreeSet::new(),
        wished: wanted.iter().map(|wish| wish.id.clone()).collect(),
        changed_quotas: wanted
            .iter()
            .map(|wish| wish.id.clone())
            .filter(|id| id.kind().as_str() == "ResourceQuota")
            .collect(),
    };
    let mut known = Known {
        parent,
        ..Known::default()
    };
    for listed in lists {
        observation.warnings.extend(listed.warnings);
        if let Some(why) = listed.unreadable {
            known.unread.insert(listed.kind.facts.kind.to_owned());
            observation.unreadable.push((listed.kind.facts.kind.parse()?, why));
            continue;
        }
        for object in listed.objects {
            let Some(id) = reader.id(listed.kind, &object) else {
                continue;
            };
            let wish = wishes.get(&id);
            let live = reader.live(listed.kind, &id, &object, wish.map(|wish| &*wish.desired));
            if !matches!(live.owner, Owner::ThisSet | Owner::Retained) {
                continue;
            }
            let stray = wish.is_none() && live.owner == Owner::ThisSet;
            if let Some(why) = leaked(&id, &object, known.parent.is_some(), &scope).filter(|_| stray) {
                observation.warnings.push(why);
                continue;
            }
            if seen.changed_quotas.contains(&id) && wish.is_some_and(|wish| matcher::is_unchanged(&live, wish)) {
                seen.changed_quotas.remove(&id);
            }
            if live.owner == Owner::ThisSet {
                known.members.insert(id.clone());
            }
            seen.objects.insert(id.clone(), object);
            if wish.is_some() {
                observation.live.insert(id, live);
            } else {
                observation.extra.insert(id, live);
            }
        }
    }
    let listed: BTreeSet<&str> = seen
        .objects
        .keys()
        .filter(|id| id.kind().as_str() == "Namespace")
        .map(|id| id.name().as_str())
        .collect();
    let mut asked = Vec::new();
    for namespace in seen
        .wished_namespaces
        .iter()
        .filter(|name| !listed.contains(name.as_str()))
    {
        asked.push(stands(inner, namespace, &requests).boxed());
    }
    seen.strange_namespaces = iter(asked)
        .buffered(PARALLEL)
        .filter_map(std::future::ready)
        .collect()
        .await;
    let mut sets = inner.sets.lock().await;
    if let Some(before) = sets.get(set) {
        known.planned = before.planned.clone();
    }
    sets.insert(set.clone(), known);
    drop(sets);
    observation.requests = requests.load(Ordering::Relaxed);
    observation.notes = platform_core::Notes::new(seen);
    Ok(observation)
}

/// The namespace, if it is there. One that may not be read says so at its own step.
async fn stands(inner: &Inner, namespace: &str, requests: &AtomicU32) -> Option<String> {
    requests.fetch_add(1, Ordering::Relaxed);
    let path = format!("/api/v1/namespaces/{namespace}");
    let call = Call::get(path, Attempt::new("get", format!("namespaces {namespace}")));
    let there = inner.api.call(call.metadata_only()).await.ok()?.found().ok()?;
    there.map(|_| namespace.to_owned())
}

/// Controllers and restores copy labels: what they made is shown, never deleted.
fn leaked(id: &ResourceId, object: &Value, has_parent: bool, scope: &BTreeSet<String>) -> Option<String> {
    if let Some(owner) = object["metadata"]["ownerReferences"]
        .as_array()
        .and_then(|owners| owners.first())
    {
        return Some(format!(
            "{} carries the set's label but belongs to {} {}: left alone",
            id.label(),
            owner["kind"].as_str().unwrap_or("object"),
            owner["name"].as_str().unwrap_or_default()
        ));
    }
    let namespace = id.name().namespace()?;
    (has_parent && !scope.contains(namespace)).then(|| {
        format!(
            "{} carries the set's label in a namespace that is not the set's: left alone",
            id.label()
        )
    })
}

/// Every object of a kind in a namespace, whoever made it.
pub(crate) async fn everything(inner: &Inner, set: &SetId, kind: &Kind, within: &Name) -> Result<Vec<Live>> {
    let Some(kind) = find(kind.as_str()).filter(|kind| kind.namespaced && kind.facts.kind != "Secret") else {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("every {kind} of a namespace cannot be listed"),
        )
        .with_operation("list"));
    };
    let names = inner.names(set);
    let reader = Reader {
        place: &inner.place,
        names: &names,
    };
    let query = format!("{}?", stamp::collection(kind, Some(within.as_str())));
    let object = format!("{} in {within}", kind.resource());
    let mut listed = Listed::of(kind);
    pages(inner, kind, &query, &object, &AtomicU32::new(0), &mut listed).await?;
    let live = |object| {
        let id = reader.id(kind, &object)?;
        let mut live = reader.live(kind, &id, &object, None);
        live.view = Arc::new(object);
        Some(live)
    };
    Ok(listed.objects.into_iter().filter_map(live).collect())
}

/// What the set's parent says, if there is one.
async fn parent_of(inner: &Inner, names: &Names) -> Result<Option<Scope>> {
    let attempt = Attempt::new("get", format!("configmaps {}/{}", names.home, names.label));
    let parent = inner.api.call(Call::get(names.parent_path(), attempt)).await?.found()?;
    parent.map(|parent| Scope::of_parent(names, &parent)).transpose()
}

/// Everything of some kinds with the set's label, in the whole cluster.
async fn lists(inner: &Inner, names: &Names, kinds: Vec<&'static KubeKind>, requests: &AtomicU32) -> Vec<Listed> {
    let mut asked = Vec::new();
    for kind in kinds {
        asked.push(list(inner, names, kind, requests).boxed());
    }
    iter(asked).buffered(PARALLEL).collect().await
}

async fn list(inner: &Inner, names: &Names, kind: &'static KubeKind, requests: &AtomicU32) -> Listed {
    let mut listed = Listed::of(kind);
    let query = query(names, kind, None);
    listed.unreadable = pages(inner, kind, &query, &kind.resource(), requests, &mut listed)
        .await
        .err();
    listed
}

/// The same namespace by namespace, where only that is allowed.
async fn narrowed(
    inner: &Inner,
    names: &Names,
    mut listed: Listed,
    scope: &BTreeSet<String>,
    requests: &AtomicU32,
) -> Listed {
    let kind = listed.kind;
    let forbidden = |why: &Error| why.kind() == ErrorKind::Forbidden;
    if !kind.namespaced || !listed.unreadable.as_ref().is_some_and(forbidden) {
        return listed;
    }
    listed.unreadable = None;
    for namespace in scope {
        let query = query(names, kind, Some(namespace));
        if let Err(why) = pages(inner, kind, &query, &kind.resource(), requests, &mut listed).await {
            listed.unreadable = Some(why);
            break;
        }
    }
    listed
}

fn query(names: &Names, kind: &KubeKind, namespace: Option<&str>) -> String {
    let path = stamp::collection(kind, namespace);
    format!("{path}?labelSelector={SET}%3D{}&", names.label)
}

/// Reads a list page by page; `query` says which part of it.
async fn pages(
    inner: &Inner,
    kind: &KubeKind,
    query: &str,
    object: &str,
    requests: &AtomicU32,
    listed: &mut Listed,
) -> Result<()> {
    let mut next = String::new();
    loop {
        let mut call = Call::get(format!("{query}limit={PAGE}{next}"), Attempt::new("list", object));
        if kind.facts.kind == "Secret" {
            call = call.metadata_only();
        }
        requests.fetch_add(1, Ordering::Relaxed);
        let answer = inner.api.call(call).await?;
        if kind.is_custom() && answer.status == 404 {
            // Nothing of a kind that the cluster does not know can be there.
            return Ok(());
        }
        listed.warnings.extend(answer.warnings.iter().cloned());
        let mut page = answer.ok()?;
        if let Value::Array(items) = page["items"].take() {
            listed.objects.extend(items);
        }
        match page["metadata"]["continue"].as_str() {
            Some(token) if !token.is_empty() => next = format!("&continue={token}"),
            _ => return Ok(()),
        }
    }
}
