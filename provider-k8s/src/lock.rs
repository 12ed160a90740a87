//! The lease of a set: a `Lease` beside the parent, fenced by uid and resourceVersion.

use crate::client::{Answer, Call, JSON, MERGE};
use crate::error::Attempt;
use crate::parent;
use crate::provider::Inner;
use crate::set::{HOME_OF, MANAGER, Names, OPEN_CREATES, SET};
use crate::strangers::strangers;
use http::Method;
use platform_core::value::{SetId, Timestamp};
use platform_core::{Acquired, Error, ErrorKind, Lease, LeaseRequest, LeaseSeen, OpenCreate, Result};
use serde_json::{Value, json};
use std::time::Duration;

fn collection(names: &Names) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", names.home)
}

fn path(names: &Names) -> String {
    format!("{}/{}", collection(names), names.lease())
}

fn attempt(verb: &'static str, names: &Names) -> Attempt {
    Attempt::new(
        verb,
        format!("leases.coordination.k8s.io {}/{}", names.home, names.lease()),
    )
}

fn home(verb: &'static str, names: &Names) -> Attempt {
    Attempt::new(verb, format!("namespaces {}", names.home))
}

/// Makes the namespace of the parent and the lease, if it is not there.
pub(crate) async fn prepare(inner: &Inner, set: &SetId) -> Result<()> {
    let names = inner.names(set);
    let body = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": names.home, "labels": { HOME_OF: names.label } },
    });
    let path = format!("/api/v1/namespaces?fieldManager={MANAGER}");
    let call = Call::send(Method::POST, path, JSON, &body, home("create", &names));
    let answer = inner.api.call(call).await?;
    match answer.status {
        409 => Ok(()),
        // Whoever may not make namespaces may be given one.
        403 if has_home(inner, &names).await? => Ok(()),
        _ => answer.ok().map(|_| ()),
    }
}

/// Whether the namespace of the parent and the lease is there.
pub(crate) async fn has_home(inner: &Inner, names: &Names) -> Result<bool> {
    let there = Call::get(format!("/api/v1/namespaces/{}", names.home), home("get", names)).metadata_only();
    Ok(inner.api.call(there).await?.is_success())
}

/// Tries once.
pub(crate) async fn acquire(inner: &Inner, request: &LeaseRequest) -> Result<Acquired> {
    let names = inner.names(&request.set);
    // A second look when somebody was faster.
    for _ in 0..2 {
        let there = inner
            .api
            .call(Call::get(path(&names), attempt("get", &names)))
            .await?
            .found()?;
        let Some(there) = there else {
            let body = record(inner, &names, request, None);
            let path = format!("{}?fieldManager={MANAGER}", collection(&names));
            let answer = inner
                .api
                .call(Call::send(Method::POST, path, JSON, &body, attempt("create", &names)))
                .await?;
            if answer.status == 409 {
                continue;
            }
            return held(inner, request, answer).map(Acquired::Held);
        };
        let seen = seen(&there);
        let ours = seen.holder.is_empty() || seen.holder == request.holder;
        let unmoved_for = match &request.last_seen {
            Some(last) if last.holder == seen.holder && last.heartbeat == seen.heartbeat => last.unmoved_for,
            _ => Duration::ZERO,
        };
        // By how long we ourselves saw it not move, never by comparing clocks.
        if !ours && unmoved_for < seen.ttl {
            return Ok(Acquired::Busy(LeaseSeen { unmoved_for, ..seen }));
        }
        let body = record(inner, &names, request, Some(&there));
        let call = Call::send(
            Method::PUT,
            format!("{}?fieldManager={MANAGER}", path(&names)),
            JSON,
            &body,
            attempt("take", &names),
        );
        let answer = inner.api.call(call).await?;
        if answer.status == 409 {
            continue;
        }
        return held(inner, request, answer).map(Acquired::Held);
    }
    Err(Error::new(ErrorKind::Locked, "others take the lease all the time")
        .with_operation("acquire lease")
        .with_help("run again later"))
}

/// The record that makes us the holder. Its uid keeps a deleted one from coming back under us.
fn record(inner: &Inner, names: &Names, request: &LeaseRequest, there: Option<&Value>) -> Value {
    let now = micro(inner.api.clock().now());
    let mut body = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "name": names.lease(), "namespace": names.home, "labels": { SET: names.label } },
        "spec": {
            "holderIdentity": request.holder,
            "leaseDurationSeconds": request.ttl.as_secs().max(1),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": 0,
        },
    });
    if let Some(there) = there {
        body["metadata"]["uid"] = there["metadata"]["uid"].clone();
        body["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"].clone();
        if let Some(open) = there["metadata"]["annotations"][OPEN_CREATES].as_str() {
            body["metadata"]["annotations"][OPEN_CREATES] = json!(open);
        }
        body["spec"]["leaseTransitions"] = json!(there["spec"]["leaseTransitions"].as_i64().unwrap_or(0) + 1);
    }
    body
}

fn held(inner: &Inner, request: &LeaseRequest, answer: Answer) -> Result<Lease> {
    let there = answer.ok()?;
    Ok(Lease {
        set: request.set.clone(),
        holder: request.holder.clone(),
        ttl: request.ttl,
        open: open(&there),
        version: version(&there),
        renewed: inner.api.clock().now(),
    })
}

fn open(there: &Value) -> Vec<OpenCreate> {
    there["metadata"]["annotations"][OPEN_CREATES]
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// uid and resourceVersion.
fn version(there: &Value) -> String {
    let part = |key: &str| there["metadata"][key].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", part("uid"), part("resourceVersion"))
}

fn seen(there: &Value) -> LeaseSeen {
    let spec = &there["spec"];
    LeaseSeen {
        holder: spec["holderIdentity"].as_str().unwrap_or_default().to_owned(),
        heartbeat: spec["renewTime"].as_str().unwrap_or_default().to_owned(),
        ttl: Duration::from_secs(spec["leaseDurationSeconds"].as_u64().unwrap_or(60)),
        unmoved_for: Duration::ZERO,
    }
}

/// With the six decimals that the API wants.
fn micro(now: Timestamp) -> String {
    format!("{:.6}", jiff::Timestamp::from(now))
}

/// A new heartbeat and the creates under way. A PUT that changes nothing would keep the version, so the time always moves.
pub(crate) async fn renew(inner: &Inner, lease: &mut Lease) -> Result<()> {
    let there = put(inner, lease, &lease.holder).await?;
    lease.version = version(&there);
    lease.renewed = inner.api.clock().now();
    Ok(())
}

async fn put(inner: &Inner, lease: &Lease, holder: &str) -> Result<Value> {
    let names = inner.names(&lease.set);
    let mut known = lease.version.clone();
    for _ in 0..2 {
        let (uid, version_now) = known.split_once('/').unwrap_or_default();
        let mut body = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": names.lease(), "namespace": names.home, "labels": { SET: names.label },
                "uid": uid, "resourceVersion": version_now,
            },
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": lease.ttl.as_secs().max(1),
                "renewTime": micro(inner.api.clock().now()),
            },
        });
        if !lease.open.is_empty() {
            body["metadata"]["annotations"][OPEN_CREATES] =
                json!(serde_json::to_string(&lease.open).unwrap_or_default());
        }
        let call = Call::send(
            Method::PUT,
            format!("{}?fieldManager={MANAGER}", path(&names)),
            JSON,
            &body,
            attempt("renew", &names),
        );
        let answer = inner.api.call(call).await?;
        if !matches!(answer.status, 404 | 409) {
            return answer.ok();
        }
        // Ours still, when the answer to an earlier renewal was lost.
        let now = inner
            .api
            .call(Call::get(path(&names), attempt("get", &names)))
            .await?
            .found()?;
        let holder_now = now.as_ref().map(|there| seen(there).holder);
        match (now, holder_now) {
            (Some(there), Some(who)) if who == lease.holder => known = version(&there),
            (_, who) => {
                let who = who.filter(|who| !who.is_empty()).unwrap_or_else(|| "nobody".to_owned());
                return Err(
                    Error::new(ErrorKind::Locked, format!("the lease was taken over by {who}"))
                        .with_operation("renew lease")
                        .with_help("run again when they are through"),
                );
            }
        }
    }
    Err(Error::new(ErrorKind::Locked, "the lease keeps changing").with_operation("renew lease"))
}

/// Settles the parent and gives the lease back; `last`: the parent, the lease and an empty home go too.
pub(crate) async fn release(inner: &Inner, lease: Lease, last: bool) -> Result<()> {
    let names = inner.names(&lease.set);
    if !last {
        let settled = parent::settle(inner, &lease.set, &names).await;
        put(inner, &lease, "").await?;
        return settled;
    }
    let attempt_parent = Attempt::new("delete", format!("configmaps {}/{}", names.home, names.label));
    gone(inner, names.parent_path(), attempt_parent, &json!({})).await?;
    inner.sets.lock().await.remove(&lease.set);
    let uid = lease.version.split_once('/').map_or("", |(uid, _)| uid);
    gone(inner, path(&names), attempt("delete", &names), &json!({ "uid": uid })).await?;
    leave_home(inner, &names).await
}

/// Whether the lease, or a home that was made for it, is there and stays.
pub(crate) async fn is_recorded(inner: &Inner, names: &Names) -> Result<bool> {
    let lease = Call::get(path(names), attempt("get", names)).metadata_only();
    let namespace = Call::get(format!("/api/v1/namespaces/{}", names.home), home("get", names)).metadata_only();
    let (lease, namespace) = futures::try_join!(inner.api.call(lease), inner.api.call(namespace))?;
    let Some(namespace) = namespace.found()? else {
        return Ok(false);
    };
    // What goes takes the lease along.
    let stays = namespace["metadata"]["deletionTimestamp"].is_null();
    Ok(stays && (lease.found()?.is_some() || names.is_home(&namespace)))
}

async fn gone(inner: &Inner, path: String, attempt: Attempt, preconditions: &Value) -> Result<()> {
    let options = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": preconditions,
    });
    let answer = inner
        .api
        .call(Call::send(Method::DELETE, path, JSON, &options, attempt))
        .await?;
    if answer.status == 404 {
        return Ok(());
    }
    answer.ok().map(|_| ())
}

/// Removes the home if it was made for this set alone and nothing is left in it; else it is nobody's home any more.
async fn leave_home(inner: &Inner, names: &Names) -> Result<()> {
    let path = format!("/api/v1/namespaces/{}", names.home);
    let Some(there) = inner.api.call(Call::get(&*path, home("get", names))).await?.found()? else {
        return Ok(());
    };
    if !names.is_home(&there) || there["metadata"]["deletionTimestamp"].is_string() {
        return Ok(());
    }
    if !strangers(inner, names, &names.home).await?.is_empty() {
        let body = json!({ "metadata": {
            "uid": there["metadata"]["uid"],
            "labels": { HOME_OF: null },
        }});
        let path = format!("{path}?fieldManager={MANAGER}");
        let call = Call::send(Method::PATCH, path, MERGE, &body, home("leave", names));
        return inner.api.call(call).await?.ok().map(|_| ());
    }
    gone(
        inner,
        path,
        home("delete", names),
        &json!({ "uid": there["metadata"]["uid"] }),
    )
    .await
}
