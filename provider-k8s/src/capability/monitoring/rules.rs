//! When an alarm is raised: rules for what exists, with the thresholds of the spec.

mod cluster;
mod protection;
mod services;

pub(super) use cluster::NO_DATA;
pub(super) use services::minio;

use super::Watched;
use platform_core::Severity;
use platform_core::value::Percent;
use serde_json::{Value, json};

/// Fewer requests a second than this raise no alarm about the share that fails: one of two is no trend.
const LEAST_REQUESTS: &str = "0.1";

/// One alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub alert: &'static str,
    /// PromQL whose every result is an alarm.
    pub expr: String,
    /// How long it must hold, in Prometheus's notation; empty: at once.
    pub lasting: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One line, a template.
    pub summary: &'static str,
    /// What is measured and where the limit is, a template.
    pub description: String,
}

/// Rules that are about the same, with a runbook of their own: `docs/runbooks/<name>.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// `database`, `backup`; the label `capability` of its alarms.
    pub name: &'static str,
    /// Its rules.
    pub rules: Vec<Rule>,
}

impl Group {
    /// Where the runbook of a rule is, from the root of the repository.
    pub fn runbook(&self, rule: &Rule) -> String {
        format!("docs/runbooks/{}.md#{}", self.name, rule.alert.to_lowercase())
    }
}

/// Every rule whose subject exists, by what it is about.
///
/// An S3 server without a metrics endpoint, such as RustFS, is covered by what the cluster knows of it: its volume, its
/// containers, whether its pod is ready. Failed requests and drives are known of MinIO only.
pub fn groups(watched: &Watched<'_>) -> Vec<Group> {
    let groups = [
        ("database", services::database(watched)),
        ("cache", services::cache(watched)),
        ("storage", services::storage(watched)),
        ("applications", services::applications(watched)),
        ("infrastructure", cluster::infrastructure(watched)),
        ("backup", protection::backup(watched)),
        ("security", protection::security(watched)),
        ("monitoring", cluster::monitoring(watched)),
    ];
    groups
        .into_iter()
        .filter(|(_, rules)| !rules.is_empty())
        .map(|(name, rules)| Group { name, rules })
        .collect()
}

/// The rule file.
pub fn file(watched: &Watched<'_>) -> Value {
    let groups: Vec<Value> = groups(watched).iter().map(group).collect();
    json!({ "groups": groups })
}

fn group(group: &Group) -> Value {
    let rules: Vec<Value> = group
        .rules
        .iter()
        .map(|rule| {
            let mut value = json!({
                "alert": rule.alert,
                "expr": rule.expr,
                "labels": { "capability": group.name, "severity": rule.severity.as_str() },
                "annotations": {
                    "summary": rule.summary,
                    "description": rule.description,
                    "runbook": group.runbook(rule),
                },
            });
            if !rule.lasting.is_empty() {
                value["for"] = json!(rule.lasting);
            }
            value
        })
        .collect();
    json!({ "name": group.name, "rules": rules })
}

fn critical(alert: &'static str, lasting: &'static str, expr: String) -> Rule {
    rule(Severity::Critical, alert, lasting, expr)
}

fn warning(alert: &'static str, lasting: &'static str, expr: String) -> Rule {
    rule(Severity::Warning, alert, lasting, expr)
}

fn info(alert: &'static str, lasting: &'static str, expr: String) -> Rule {
    rule(Severity::Info, alert, lasting, expr)
}

fn rule(severity: Severity, alert: &'static str, lasting: &'static str, expr: String) -> Rule {
    Rule {
        alert,
        expr,
        lasting,
        severity,
        summary: "",
        description: String::new(),
    }
}

impl Rule {
    fn says(mut self, summary: &'static str, description: impl Into<String>) -> Self {
        self.summary = summary;
        self.description = description.into();
        self
    }
}

/// A threshold as PromQL compares with it: `0.80`.
fn ratio(percent: Percent) -> String {
    format!("{:.2}", f64::from(percent.get()) / 100.0)
}

/// Names as a regular expression that matches nothing else; they are DNS labels, so none needs escaping.
pub(super) fn any_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join("|")
}
