//! Calls and watches on plain JSON.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, bail};
use futures::TryStreamExt;
use http::{Method, Request, StatusCode};
use kube::{Client, client::Body, core::WatchEvent};
use serde_json::{Value, json};
use tokio::{sync::mpsc::UnboundedSender, time::sleep};

/// What a watch tells.
pub(super) enum Change {
    /// The object, as it is now.
    Is(Value),
    /// The uid of an object that is gone.
    Gone(String),
    /// The uids of all objects there are.
    Relisted(BTreeSet<String>),
}

/// The text at a JSON pointer, empty if there is none.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The resource version as the number it is since Kubernetes 1.35.
pub(super) fn version(object: &Value) -> u64 {
    text(object, "/metadata/resourceVersion").parse().unwrap_or(0)
}

/// An annotation's value.
pub(super) fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][name].as_str()
}

/// A call whose answer must be a 2xx or one of `also`; the answer is its body.
pub(super) async fn call(
    client: &Client,
    method: Method,
    path: &str,
    body: Option<&Value>,
    also: &[StatusCode],
) -> Result<Value> {
    let kind = if method == Method::PATCH {
        "application/strategic-merge-patch+json"
    } else {
        "application/json"
    };
    let what = format!("{method} {path}");
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .header("user-agent", "fake-kubelet");
    let bytes = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
    let answer = client
        .send(request.body(Body::from(bytes))?)
        .await
        .with_context(|| what.clone())?;
    let status = answer.status();
    let body = answer.into_body().collect_bytes().await.with_context(|| what.clone())?;
    if !status.is_success() && !also.contains(&status) {
        let answer = serde_json::from_slice(&body).unwrap_or(Value::Null);
        bail!("{what}: {status} {}", text(&answer, "/message"));
    }
    serde_json::from_slice(&body).with_context(|| format!("{what}: the answer is no JSON"))
}

/// Patches an object if it is still there and of the same `uid`, and returns it as it then is.
pub(super) async fn patch(client: &Client, path: &str, uid: &str, mut change: Value) -> Result<Option<Value>> {
    change["metadata"] = json!({ "uid": uid });
    let answer = call(
        client,
        Method::PATCH,
        path,
        Some(&change),
        &[StatusCode::NOT_FOUND, StatusCode::CONFLICT],
    )
    .await?;
    Ok((answer["kind"] != "Status").then_some(answer))
}

/// Deletes an object at once if it is still there and of the same `uid`.
pub(super) async fn delete(client: &Client, path: &str, uid: &str) -> Result<()> {
    let options = json!({ "gracePeriodSeconds": 0, "preconditions": { "uid": uid } });
    call(
        client,
        Method::DELETE,
        path,
        Some(&options),
        &[StatusCode::NOT_FOUND, StatusCode::CONFLICT],
    )
    .await?;
    Ok(())
}

/// Lists and watches a collection for ever, from anew whenever the watch is lost.
pub(super) async fn follow(client: &Client, collection: &str, changes: UnboundedSender<Change>) {
    loop {
        // an API server that restarts is waited for; what it has to say about it the other calls report
        let _ = list_and_watch(client, collection, &changes).await;
        sleep(Duration::from_millis(200)).await;
    }
}

async fn list_and_watch(client: &Client, collection: &str, changes: &UnboundedSender<Change>) -> Result<()> {
    let list = call(client, Method::GET, collection, None, &[]).await?;
    let mut version = text(&list, "/metadata/resourceVersion").to_owned();
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let uids = items
        .iter()
        .map(|item| text(item, "/metadata/uid").to_owned())
        .collect();
    changes.send(Change::Relisted(uids)).ok().context("nobody listens")?;
    for item in items {
        changes.send(Change::Is(item)).ok().context("nobody listens")?;
    }
    loop {
        let uri = format!("{collection}?watch=1&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion={version}");
        let request = Request::get(uri)
            .header("user-agent", "fake-kubelet")
            .body(Vec::new())?;
        let mut events = Box::pin(client.request_events::<Value>(request).await?);
        while let Some(event) = events.try_next().await? {
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    text(&object, "/metadata/resourceVersion").clone_into(&mut version);
                    changes.send(Change::Is(object)).ok().context("nobody listens")?;
                }
                WatchEvent::Deleted(object) => {
                    text(&object, "/metadata/resourceVersion").clone_into(&mut version);
                    let uid = text(&object, "/metadata/uid").to_owned();
                    changes.send(Change::Gone(uid)).ok().context("nobody listens")?;
                }
                WatchEvent::Bookmark(mark) => version = mark.metadata.resource_version,
                WatchEvent::Error(status) => bail!("watch of {collection}: {}", status.message),
            }
        }
    }
}
