//! `cloudwatch.Dashboard`: widgets by name. A dashboard cannot carry tags, so a line of text at its foot says whose it is
//! and holds what tags would: one without that line is a stranger's.

use super::{AwsKind, Found, Reach};
use crate::error::Outcome;
use crate::names;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use platform_core::value::{SetId, TAG_PREFIX};
use platform_core::{
    Calls, Charset, Creation, Error, ErrorKind, Field, Holds, KindFacts, NameRule, Result, State, Updating,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Widgets that a dashboard has at most, with ours.
const WIDGETS: usize = 500;
/// Columns of a dashboard.
const COLUMNS: u64 = 24;
/// What the line at the foot says.
const LINE: &str = "Drawn by the platform: changes by hand are taken back";

#[derive(Debug)]
pub(crate) struct Dashboard;

static FACTS: KindFacts = KindFacts {
    kind: "cloudwatch.Dashboard",
    holds: Holds::Nothing,
    rank: 60,
    name: NameRule {
        max: 255,
        charset: Charset::AwsPath,
    },
    create: Creation::Upsert,
    update: Updating::AtOnce,
    patience: Duration::from_mins(1),
    usually: Duration::from_secs(1),
    taken: "",
    removal: None,
    outputs: &["arn", "name"],
    fields: &[Field::new("widgets")],
    calls: Calls {
        read: &["cloudwatch:GetDashboard", "cloudwatch:ListDashboards"],
        create: &["cloudwatch:PutDashboard"],
        update: &["cloudwatch:PutDashboard"],
        delete: &["cloudwatch:DeleteDashboards"],
    },
};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// As CloudWatch's own source view shows them.
    #[serde(default)]
    widgets: Vec<Value>,
    /// What is shown at first: `-PT6H`. Default: CloudWatch's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<String>,
}

impl Desired {
    fn body(&self, tags: &Tags) -> Result<String> {
        let mut widgets = self.widgets.clone();
        widgets.push(line(&self.widgets, tags)?);
        let mut body = Map::from_iter([("widgets".to_owned(), Value::Array(widgets))]);
        body.extend(self.start.as_ref().map(|start| ("start".to_owned(), json!(start))));
        Ok(Value::Object(body).to_string())
    }

    /// The settings and the tags of a body; of one that is not ours there are no tags.
    fn of(body: &str) -> (Self, Tags) {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let all = body["widgets"].as_array().cloned().unwrap_or_default();
        let tags = all.iter().find_map(mark).unwrap_or_default();
        let settings = Self {
            widgets: all.into_iter().filter(|widget| mark(widget).is_none()).collect(),
            start: body["start"].as_str().map(str::to_owned),
        };
        (settings, tags)
    }
}

/// The line that says whose the dashboard is: a link whose target holds the tags.
fn line(widgets: &[Value], tags: &Tags) -> Result<Value> {
    let tags = serde_json::to_string(tags).map_err(|cause| Error::new(ErrorKind::Internal, cause.to_string()))?;
    let number = |widget: &Value, key: &str| widget[key].as_u64().unwrap_or_default();
    let foot = widgets
        .iter()
        .map(|widget| number(widget, "y") + number(widget, "height"))
        .max()
        .unwrap_or_default();
    let markdown = format!("[{LINE}](#{TAG_PREFIX}{})", URL_SAFE_NO_PAD.encode(tags));
    Ok(json!({
        "type": "text", "x": 0, "y": foot, "width": COLUMNS, "height": 1,
        "properties": { "markdown": markdown },
    }))
}

/// The tags that a widget holds, if it is the line.
fn mark(widget: &Value) -> Option<Tags> {
    let markdown = widget["properties"]["markdown"].as_str()?;
    let (_, link) = markdown.split_once(&format!("(#{TAG_PREFIX}"))?;
    let bytes = URL_SAFE_NO_PAD.decode(link.strip_suffix(')')?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

async fn put(scope: &Scope<'_>, name: &str, settings: &Desired, tags: &Tags) -> Result<()> {
    scope
        .clients
        .cloudwatch
        .put_dashboard()
        .dashboard_name(name)
        .dashboard_body(settings.body(tags)?)
        .send()
        .await
        .during("cloudwatch:PutDashboard")
        .map(drop)
}

#[async_trait]
impl AwsKind for Dashboard {
    const FACTS: &'static KindFacts = &FACTS;
    const GLOBAL: bool = true;
    const REACH: Reach = Reach::of(&["cloudwatch::{account}:dashboard/{name}"]);
    type Desired = Desired;

    fn normal(wanted: Desired) -> Result<Desired> {
        let invalid = |what: &str, help: &str| Err(Error::new(ErrorKind::Invalid, what).with_help(help));
        if wanted.widgets.len() >= WIDGETS {
            return invalid("too many widgets", "a dashboard has less than 500");
        }
        if wanted
            .widgets
            .iter()
            .any(|widget| widget["type"].as_str().is_none() || mark(widget).is_some())
        {
            return invalid(
                "a widget without type, or one that claims an owner",
                "see CloudWatch's source view",
            );
        }
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let answer = scope
            .clients
            .cloudwatch
            .get_dashboard()
            .dashboard_name(name)
            .send()
            .await
            .absent(
                "cloudwatch:GetDashboard",
                &["ResourceNotFound", "DashboardNotFoundError"],
            )?;
        let Some(answer) = answer else { return Ok(None) };
        let (settings, tags) = Desired::of(answer.dashboard_body().unwrap_or_default());
        Ok(Some(Found {
            uid: tags::incarnation(&tags, name),
            handle: name.to_owned(),
            settings,
            tags,
            outputs: BTreeMap::from([
                ("arn".to_owned(), json!(answer.dashboard_arn().unwrap_or_default())),
                ("name".to_owned(), json!(name)),
            ]),
            state: State::Ready,
            doomed: None,
            stranger: None,
            version: None,
        }))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let mut pages = scope
            .clients
            .cloudwatch
            .list_dashboards()
            .dashboard_name_prefix(names::start(scope.name_prefix(), FACTS.name.max))
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.during("cloudwatch:ListDashboards")?;
            found.extend(
                page.dashboard_entries()
                    .iter()
                    .filter_map(|entry| entry.dashboard_name())
                    .map(str::to_owned),
            );
        }
        Ok(found)
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        put(scope, name, wanted, &tags::born(tags)).await
    }

    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        put(scope, name, wanted, &found.tags).await
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put_tags: &Tags, remove: &[String]) -> Result<()> {
        // The whole body is written again, which an update may have changed since it was found.
        let Some(now) = Self::read(scope, &found.handle).await? else {
            return Err(Error::new(ErrorKind::Conflict, "the dashboard is gone").with_help("plan again"));
        };
        let mut tags = now.tags;
        tags.extend(put_tags.clone());
        tags.retain(|key, _| !remove.contains(key));
        put(scope, &found.handle, &now.settings, &tags).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        scope
            .clients
            .cloudwatch
            .delete_dashboards()
            .dashboard_names(&found.handle)
            .send()
            .await
            .absent(
                "cloudwatch:DeleteDashboards",
                &["ResourceNotFound", "DashboardNotFoundError"],
            )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Desired;
    use crate::tags::Tags;
    use serde_json::json;

    #[test]
    fn the_line_at_the_foot_holds_the_tags_and_is_no_setting() {
        let wanted = Desired {
            widgets: vec![json!({"type": "metric", "x": 0, "y": 2, "width": 12, "height": 6, "properties": {}})],
            start: Some("-PT6H".to_owned()),
        };
        let tags = Tags::from([("mlplat:set".to_owned(), "a-dev-1".to_owned())]);
        let body = wanted.body(&tags).unwrap();
        assert!(body.contains("\"y\":8"), "below all: {body}");
        assert_eq!(Desired::of(&body), (wanted, tags));

        // Somebody else's, with or without a text of the same kind.
        for body in [
            json!({"widgets": [{"type": "text", "properties": {"markdown": "[x](#mlplat:nonsense)"}}]}),
            json!({"widgets": []}),
            json!(null),
        ] {
            assert!(Desired::of(&body.to_string()).1.is_empty(), "{body}");
        }
    }
}
