//! When an alarm is raised.

use super::Watched;
use platform_core::Severity;
use serde_json::{Value, json};

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

/// Every rule whose subject exists.
pub fn groups(watched: &Watched<'_>) -> Vec<Group> {
    let groups = vec![monitoring(watched)];
    groups.into_iter().filter(|group| !group.rules.is_empty()).collect()
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
                    "runbook": format!("docs/runbooks/{}.md#{}", group.name, rule.alert.to_lowercase()),
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

fn monitoring(_watched: &Watched<'_>) -> Group {
    Group {
        name: "monitoring",
        rules: vec![Rule {
            alert: "Watchdog",
            expr: "vector(1)".to_owned(),
            lasting: "",
            severity: Severity::Info,
            summary: "Alarms reach their receivers",
            description: "Always raised: its absence at the receiver is the alarm.".to_owned(),
        }],
    }
}
