//! The blocks that watch over the others: monitoring and backups.

use super::draft::{Draft, Revision};
use crate::seeds::Dice;
use std::fmt::Write as _;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Monitoring {
    pub(crate) gib: u32,
    days: u32,
    limit: u32,
    nodes: bool,
    /// Of [`RECEIVERS`].
    receivers: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backup {
    daily: bool,
    days: u32,
    /// Only of the first block that holds data.
    narrow: bool,
    store: Store,
    /// Whether it brings Velero's kinds.
    brings_kinds: bool,
}

/// Where backups are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Store {
    Own { gib: u32 },
    Outside { bucket: u32 },
}

const RECEIVERS: [&str; 4] = [
    "on-call: { severity: critical, pagerduty: { supplied: PAGER, revision: 1 } }",
    "team: { slack: { channel: \"#alarms\", access: { supplied: SLACK, revision: 1 } } }",
    "hook: { severity: info, webhook: { supplied: HOOK, revision: 1 } }",
    "mail: { email: { to: a@example.com, from: b@example.com, server: \"smtp.example.com:587\", user: b, access: { supplied: MAIL, revision: 1 } } }",
];

impl Monitoring {
    pub(super) fn invent(dice: &mut Dice) -> Self {
        Self {
            gib: 4 + dice.small(40),
            days: 1 + dice.small(30),
            limit: 50 + dice.small(49),
            nodes: dice.percent(60),
            receivers: receivers(dice),
        }
    }

    fn write(&self, text: &mut String) {
        let (gib, days, limit, nodes) = (self.gib, self.days, self.limit, self.nodes);
        writeln!(
            text,
            "monitoring:\n  storage: {gib}Gi\n  retention: {days}d\n  node_exporter: {nodes}\n  alerts: {{ utilisation: {limit}% }}"
        )
        .unwrap();
        if !self.receivers.is_empty() {
            text.push_str("  receivers:\n");
        }
        for &receiver in &self.receivers {
            writeln!(text, "    {}", RECEIVERS[receiver]).unwrap();
        }
    }
}

fn receivers(dice: &mut Dice) -> Vec<usize> {
    (0..RECEIVERS.len()).filter(|_| dice.percent(30)).collect()
}

impl Backup {
    pub(super) fn invent(dice: &mut Dice) -> Self {
        let outside = dice.percent(30);
        Self {
            daily: dice.percent(40),
            brings_kinds: dice.percent(15),
            days: 8 + dice.small(30),
            narrow: dice.percent(30),
            store: if outside {
                Store::Outside { bucket: dice.small(2) }
            } else {
                Store::Own {
                    gib: 4 + dice.small(40),
                }
            },
        }
    }

    /// The size of the store's volume, if it has one.
    pub(super) fn volume(&mut self) -> Option<&mut u32> {
        match &mut self.store {
            Store::Own { gib } => Some(gib),
            Store::Outside { .. } => None,
        }
    }

    fn write(&self, text: &mut String, of: &[&str]) {
        let hour = if self.daily { "0 2 * * *" } else { "0 3 * * 0" };
        let of = if self.narrow { &of[..1] } else { of };
        let kinds = if self.brings_kinds { "own" } else { "existing" };
        let store = match self.store {
            Store::Own { gib } => format!("{{ capacity: {gib}Gi }}"),
            Store::Outside { bucket } => format!(
                "{{ endpoint: \"https://s3.example.com\", bucket: backups-{bucket}, access: {{ supplied: STORE, revision: 1 }} }}"
            ),
        };
        writeln!(
            text,
            "backup:\n  schedule: \"{hour}\"\n  retention: {}d\n  scope: [{}]\n  store: {store}\n  definitions: {kinds}",
            self.days,
            of.join(", ")
        )
        .unwrap();
    }
}

impl Draft {
    /// Whether something watches over it, and it is backed up.
    pub(super) fn is_guarded(&self) -> bool {
        self.monitoring.is_some() && self.backup.is_some()
    }

    pub(super) fn revise_guard(&mut self, dice: &mut Dice) -> Option<Revision> {
        match dice.below(10) {
            0 | 1 => Some(if self.monitoring.take().is_some() {
                "monitoring goes"
            } else {
                self.monitoring = Some(Monitoring::invent(dice));
                "monitoring comes"
            }),
            2 => {
                self.monitoring.as_mut()?.limit = 50 + dice.small(49);
                Some("other monitoring")
            }
            3 => {
                self.monitoring.as_mut()?.receivers = receivers(dice);
                Some("other monitoring")
            }
            4 => {
                let monitoring = self.monitoring.as_mut()?;
                monitoring.days = 1 + dice.small(30);
                monitoring.nodes = !monitoring.nodes;
                Some("other monitoring")
            }
            5 | 6 => Some(if self.backup.take().is_some() {
                "backups end"
            } else {
                self.backup = Some(Backup::invent(dice));
                "backups begin"
            }),
            7 => {
                let backup = self.backup.as_mut()?;
                backup.daily = dice.percent(50);
                backup.days = 8 + dice.small(30);
                Some("other backups")
            }
            8 => {
                let backup = self.backup.as_mut()?;
                backup.narrow = !backup.narrow;
                Some("other backups")
            }
            _ => {
                self.backup.as_mut()?.store = Backup::invent(dice).store;
                Some("other backups")
            }
        }
    }

    /// Whether what was told of the two blocks is still so at the end of all revisions.
    pub(super) fn became(&self, new: &Self, what: Revision) -> bool {
        let monitoring = (self.monitoring.is_some(), new.monitoring.is_some());
        let backup = (self.backup.is_some(), new.backup.is_some());
        match what {
            "monitoring comes" => monitoring == (false, true),
            "monitoring goes" => monitoring == (true, false),
            "other monitoring" => monitoring == (true, true),
            "backups begin" => backup == (false, true),
            "backups end" => backup == (true, false),
            "other backups" => backup == (true, true),
            _ => true,
        }
    }

    /// The blocks, as far as there is something to watch over.
    pub(super) fn write_guard(&self, text: &mut String, served: &[&str]) {
        if let Some(block) = &self.monitoring {
            block.write(text);
        }
        if let Some(block) = self.backup.as_ref().filter(|_| !served.is_empty()) {
            block.write(text, served);
        }
    }
}
