//! Whom Alertmanager tells. Secrets are named by the paths of their files, never by value.

use platform_core::value::Supplied;
use platform_core::{Channel, Error, ErrorKind, MonitoringSpec, Receiver, Result, Severity};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Folder in Alertmanager's pod with one file for each of [`secrets`].
pub const SECRETS: &str = "/etc/alertmanager/secret";

/// Gets nothing: an alarm for which nobody is named is only shown.
const NOBODY: &str = "nobody";
const HEARTBEAT: &str = "heartbeat";

/// `alertmanager.yml`.
///
/// Every receiver gets the alarms of its severity and worse. While a server or a target is gone, what follows from that
/// is held back.
///
/// # Errors
/// `Invalid` for a receiver whose name or address cannot be one.
pub fn config(spec: &MonitoringSpec) -> Result<Value> {
    let mut receivers = vec![json!({ "name": NOBODY })];
    let mut routes = Vec::new();
    if spec.heartbeat.is_some() {
        receivers.push(json!({
            "name": HEARTBEAT,
            "webhook_configs": [{ "url_file": file(HEARTBEAT), "send_resolved": false }],
        }));
        routes.push(json!({
            "receiver": HEARTBEAT,
            "matchers": ["alertname=\"Watchdog\""],
            "group_wait": "0s",
            "group_interval": "1m",
            "repeat_interval": "5m",
        }));
    } else {
        routes.push(json!({ "receiver": NOBODY, "matchers": ["alertname=\"Watchdog\""] }));
    }
    for (name, receiver) in &spec.receivers {
        check(name, receiver)?;
        let severities: Vec<&str> = Severity::ALL
            .into_iter()
            .filter(|severity| *severity >= receiver.from)
            .map(Severity::as_str)
            .collect();
        receivers.push(channel(name, &receiver.channel));
        routes.push(json!({
            "receiver": name,
            "matchers": [format!("severity=~\"{}\"", severities.join("|"))],
            "continue": true,
        }));
    }
    Ok(json!({
        "global": { "resolve_timeout": "5m" },
        "route": {
            "receiver": NOBODY,
            "group_by": ["alertname", "capability", "namespace"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "4h",
            "routes": routes,
        },
        "inhibit_rules": [
            {
                "source_matchers": ["alertname=~\"DatabaseDown|CacheDown\""],
                "target_matchers": ["severity=~\"warning|info\""],
                "equal": ["capability"],
            },
            {
                "source_matchers": ["alertname=\"TargetMissing\""],
                "target_matchers": ["alertname=\"TargetDown\""],
                "equal": ["job"],
            },
        ],
        "receivers": receivers,
    }))
}

/// The files in [`SECRETS`] and what they hold.
pub fn secrets(spec: &MonitoringSpec) -> BTreeMap<String, Supplied> {
    let of_receivers = spec.receivers.iter().map(|(name, receiver)| {
        let secret = match &receiver.channel {
            Channel::Webhook { url } | Channel::Slack { url, .. } => url,
            Channel::Email { password, .. } => password,
            Channel::PagerDuty { routing_key } => routing_key,
        };
        (name.clone(), secret.clone())
    });
    let heartbeat = spec.heartbeat.iter().map(|url| (HEARTBEAT.to_owned(), url.clone()));
    of_receivers.chain(heartbeat).collect()
}

fn channel(name: &str, channel: &Channel) -> Value {
    let secret = file(name);
    match channel {
        Channel::Webhook { .. } => json!({
            "name": name,
            "webhook_configs": [{ "url_file": secret, "send_resolved": true }],
        }),
        Channel::Slack { channel, .. } => json!({
            "name": name,
            "slack_configs": [{
                "api_url_file": secret,
                "channel": channel,
                "send_resolved": true,
                "title": "{{ .Status | toUpper }} {{ .CommonLabels.alertname }}",
                "text": "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ .Annotations.description }}\n{{ .Annotations.runbook }}\n{{ end }}",
            }],
        }),
        Channel::Email {
            to, from, server, user, ..
        } => json!({
            "name": name,
            "email_configs": [{
                "to": to,
                "from": from,
                "smarthost": server,
                "auth_username": user,
                "auth_password_file": secret,
                "require_tls": true,
                "send_resolved": true,
            }],
        }),
        Channel::PagerDuty { .. } => json!({
            "name": name,
            "pagerduty_configs": [{ "routing_key_file": secret, "send_resolved": true }],
        }),
    }
}

fn file(name: &str) -> String {
    format!("{SECRETS}/{name}")
}

fn check(name: &str, receiver: &Receiver) -> Result<()> {
    let invalid = |what: String, help: &str| Err(Error::new(ErrorKind::Invalid, what).with_help(help.to_owned()));
    if !Receiver::is_name(name) {
        return invalid(
            format!("{name:?} cannot be the name of a receiver"),
            "write lower-case letters, digits and inner hyphens, and neither nobody nor heartbeat",
        );
    }
    match &receiver.channel {
        Channel::Webhook { .. } | Channel::PagerDuty { .. } => Ok(()),
        Channel::Slack { channel, .. } if Channel::is_slack_channel(channel) => Ok(()),
        Channel::Slack { channel, .. } => invalid(
            format!("receiver {name}: {channel:?} is no Slack channel"),
            "write it as #alarms",
        ),
        Channel::Email { to, from, server, .. } => {
            if let Some(address) = [to, from].into_iter().find(|one| !Channel::is_address(one)) {
                return invalid(
                    format!("receiver {name}: {address:?} is no mail address"),
                    "write it as oncall@example.com",
                );
            }
            if !Channel::is_server(server) {
                return invalid(
                    format!("receiver {name}: {server:?} is no mail server"),
                    "write name and port, such as smtp.example.com:587",
                );
            }
            Ok(())
        }
    }
}
