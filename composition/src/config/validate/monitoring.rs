//! Checks of monitoring: what is kept, and who is told.

use platform_core::value::{Percent, Span, gib, mib};
use platform_core::{Channel, Receiver};

use super::refuse_entry;
use super::syntax::{minimum, storage_class};
use crate::config::block::Reader;
use crate::config::model::{AlertsConfig, EmailConfig, MonitoringConfig, ReceiverConfig, SlackConfig};
use crate::config::problem::Rule;
use crate::config::yaml::Node;

impl MonitoringConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        if self.retention < Span::days(1) {
            let message = format!("{} of metrics show no day", self.retention);
            reader.refuse_key(node, Rule::Retention, "retention", message, "write at least 1d");
        }
        minimum(self.storage, gib(1), "storage", "metrics", node, reader);
        minimum(self.memory, mib(256), "memory", "Prometheus", node, reader);
        storage_class(self.storage_class.as_deref(), node, reader);
        for name in self.receivers.keys() {
            if !Receiver::is_name(name) {
                let message = "this cannot be the name of a receiver";
                let help = "write lower-case letters, digits and inner hyphens, and neither nobody nor heartbeat";
                refuse_entry(node, "receivers", name, Rule::NameSyntax, message, help, reader);
            }
        }
    }
}

impl AlertsConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        let limits = [
            ("connections", self.connections),
            ("errors", self.errors),
            ("utilisation", self.utilisation),
        ];
        for (key, _) in limits.into_iter().filter(|(_, limit)| *limit == Percent::ALL) {
            let message = "nothing ever exceeds 100%, so this alarm would be silent";
            reader.refuse_key(node, Rule::NumberRange, key, message, "write at most 99%");
        }
    }
}

impl ReceiverConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        let ways = [
            ("webhook", self.webhook.is_some()),
            ("slack", self.slack.is_some()),
            ("email", self.email.is_some()),
            ("pagerduty", self.pagerduty.is_some()),
        ];
        let mut given = ways.iter().filter(|(_, there)| *there).map(|(way, _)| *way);
        let Some(first) = given.next() else {
            let message = "nothing says how to tell this receiver";
            let help = "add webhook, slack, email or pagerduty";
            reader.refuse(Rule::Receiver, node.at, "", message, help);
            return;
        };
        for way in given {
            let message = format!("this receiver is told by `{first}` already");
            reader.refuse_key(
                node,
                Rule::Receiver,
                way,
                message,
                "remove it, or give it a receiver of its own",
            );
        }
    }
}

impl SlackConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        if !Channel::is_slack_channel(&self.channel) {
            let message = format!("{:?} is not a Slack channel", self.channel);
            reader.refuse_key(node, Rule::Receiver, "channel", message, "write it as \"#alarms\"");
        }
    }
}

impl EmailConfig {
    pub(in crate::config) fn check(&self, node: &Node, reader: &mut Reader) {
        for (key, address) in [("to", &self.to), ("from", &self.from)] {
            if !Channel::is_address(address) {
                let message = format!("{address:?} is not a mail address");
                reader.refuse_key(node, Rule::Receiver, key, message, "write it as oncall@example.com");
            }
        }
        if !Channel::is_server(&self.server) {
            let message = format!("{:?} is not a mail server", self.server);
            let help = "write name and port, such as smtp.example.com:587";
            reader.refuse_key(node, Rule::Receiver, "server", message, help);
        }
        if self.user.trim().is_empty() {
            reader.refuse_key(
                node,
                Rule::EmptyValue,
                "user",
                "the name is empty",
                "write the user at the mail server",
            );
        }
    }
}
