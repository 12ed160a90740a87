//! A plan as text.

use super::super::approve::Demand;
use super::super::plan::{Action, Cause, Change, Origin, Plan, Step};
use super::RenderOptions;
use super::style::{Style, Tone, ago, span, verb};
use super::value::{Shown, shown};
use crate::facts::{FieldChange, Risk};
use crate::resource::{Actor, Holds};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Width of the longest mark and word before a label.
const VERB: usize = 11;

pub(super) fn text(plan: &Plan, options: &RenderOptions) -> String {
    let mut page = Page {
        plan,
        options,
        style: Style { colour: options.colour },
        out: String::new(),
    };
    page.header();
    page.components();
    page.drift();
    page.approvals();
    page.notes();
    page.totals();
    page.out
}

struct Page<'a> {
    plan: &'a Plan,
    options: &'a RenderOptions,
    style: Style,
    out: String,
}

impl Page<'_> {
    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    fn header(&mut self) {
        let title = self
            .options
            .title
            .clone()
            .unwrap_or_else(|| format!("Set {}", self.plan.request.set));
        let mut read = format!("read in {} requests", self.plan.requests);
        if let Some(took) = self.options.took {
            let _ = write!(read, ", {}", seconds(took));
        }
        let gap = " ".repeat(78_usize.saturating_sub(title.chars().count() + read.len()).max(2));
        let line = format!(
            "{}{gap}{}",
            self.style.paint(Tone::Strong, &title),
            self.style.paint(Tone::Faint, &read)
        );
        self.line(&line);
        self.line("");
    }

    fn heading(&mut self, text: &str) {
        let line = format!("  {}", self.style.paint(Tone::Strong, text));
        self.line(&line);
    }

    fn components(&mut self) {
        let mut groups: BTreeMap<&str, Vec<&Step>> = BTreeMap::new();
        for step in self.plan.steps.iter().filter(|step| self.is_listed(step)) {
            groups.entry(&step.component).or_default().push(step);
        }
        for (component, steps) in groups {
            self.heading(if component.is_empty() { "other" } else { component });
            for step in steps {
                self.step(step);
            }
        }
    }

    fn is_listed(&self, step: &Step) -> bool {
        match step.action {
            Action::Unchanged => !step.ready || self.options.unchanged,
            Action::Update => step.cause != Cause::Drift,
            _ => true,
        }
    }

    fn drift(&mut self) {
        let drifted: Vec<&Step> = self
            .plan
            .steps
            .iter()
            .filter(|step| step.action == Action::Update && step.cause == Cause::Drift)
            .collect();
        if drifted.is_empty() {
            return;
        }
        self.heading("drift");
        for step in drifted {
            self.step(step);
        }
    }

    fn step(&mut self, step: &Step) {
        let shown = distinct(step);
        let mut head = self.head(step, &step.id.label());
        let single = match &shown[..] {
            [(change, one)] if matches!(step.word(), "restore" | "grow" | "renew") => Some((change, one)),
            _ => None,
        };
        if let Some((change, one)) = single {
            if step.word() == "grow" {
                let _ = write!(head, "  {} -> {}", one.before, one.after);
            } else {
                let _ = write!(head, "  {}  {} -> {}", one.path, one.before, one.after);
            }
            head.push_str(&self.by(change));
        }
        head.push_str(&self.remark(step));
        self.line(&head);
        if single.is_none() {
            self.fields(&shown);
        }
        self.why(step);
        if let Some(blocked) = &step.blocked {
            let line = format!("      {}", self.style.paint(Tone::Bad, &blocked.why));
            self.line(&line);
            if !blocked.help.is_empty() {
                self.line(&format!("      what to do: {}", blocked.help));
            }
        }
        for warning in &step.warnings {
            self.line(&format!("      warning: {warning}"));
        }
    }

    fn head(&self, step: &Step, label: &str) -> String {
        let (mark, word, tone) = verb(step);
        let plain = format!("{mark} {word}");
        let pad = " ".repeat(VERB.saturating_sub(plain.len()) + 1);
        format!("  {}{pad}{label}", self.style.paint(tone, &plain))
    }

    fn remark(&self, step: &Step) -> String {
        match (step.action, step.holds) {
            (Action::Release, Holds::Durable) => {
                format!("  (detached)  {}", self.style.paint(Tone::Strong, "HOLDS DATA"))
            }
            (Action::Release, _) => match &step.kept_for.iter().collect::<Vec<_>>()[..] {
                [] => "  (detached)".to_owned(),
                [only] => format!("  (detached)  for {}", only.label()),
                [first, more @ ..] => format!("  (detached)  for {} and {} more", first.label(), more.len()),
            },
            (Action::Delete | Action::Replace, Holds::Durable) => {
                format!("  {}", self.style.paint(Tone::Bad, "HOLDS DATA"))
            }
            (Action::Unchanged, _) if !step.ready => "  not ready yet".to_owned(),
            _ => String::new(),
        }
    }

    fn fields(&mut self, shown: &[(&Change, Shown)]) {
        let width = shown
            .iter()
            .map(|(_, one)| one.path.chars().count())
            .filter(|width| *width <= 52)
            .max()
            .unwrap_or(0);
        for (change, one) in shown {
            let mut line = format!("      {:width$}  {} -> {}", one.path, one.before, one.after);
            if change.effect == FieldChange::Replace {
                line.push_str(&self.style.paint(Tone::Bad, "  forces replacement"));
            }
            line.push_str(&self.by(change));
            self.line(&line);
        }
    }

    /// Who changed a field in the world, and how long before the plan.
    fn by(&self, change: &Change) -> String {
        let what = match change.origin {
            Origin::Wish | Origin::Time => return String::new(),
            Origin::Drift => "changed",
            Origin::Conflict => "also written",
        };
        let text = match &change.actor {
            None => format!("  {what} outside"),
            Some(Actor { name, at: None }) => format!("  {what} by {name}"),
            Some(Actor { name, at: Some(at) }) => format!("  {what} by {name} {}", ago(self.plan.as_of.since(*at))),
        };
        self.style.paint(Tone::Faint, &text)
    }

    fn why(&mut self, step: &Step) {
        let mut reasons = Vec::new();
        if step
            .changes
            .iter()
            .any(|change| change.effect == FieldChange::Restart && !change.unknown)
        {
            reasons.push("restarts the workload".to_owned());
        }
        reasons.extend(
            step.risks
                .iter()
                .filter(|risk| step.holds != Holds::Durable || **risk != Risk::DestroysData)
                .map(|risk| consequence(*risk).to_owned()),
        );
        if !reasons.is_empty() {
            let line = self
                .style
                .paint(Tone::Faint, &format!("      why: {}", reasons.join("; ")));
            self.line(&line);
        }
    }

    fn approvals(&mut self) {
        let all = self.plan.demands();
        let (optional, needed): (Vec<&Demand>, Vec<&Demand>) = all
            .iter()
            .filter(|demand| demand.optional || self.needs(demand))
            .partition(|demand| demand.optional);
        if needed.is_empty() && optional.is_empty() {
            return;
        }
        self.heading("needs approval");
        for demand in needed {
            let line = format!(
                "  {:VERB$} {}  {}",
                "!",
                demand.resource.label(),
                self.style.paint(Tone::Bad, consequence(demand.risk))
            );
            self.line(&line);
            self.line(&format!("      --approve {}", demand.token()));
        }
        for demand in optional {
            let holds = match self.plan.step(&demand.resource).map(|step| step.holds) {
                Some(Holds::Durable) => self.style.paint(Tone::Bad, "HOLDS DATA"),
                Some(Holds::Rebuildable) => "holds what can be rebuilt".to_owned(),
                _ => String::new(),
            };
            let line = format!("  {:VERB$} {}  {holds}", "- delete", demand.resource.label());
            self.line(&line);
            self.line(&format!("      kept. To delete: --approve {}", demand.token()));
        }
    }

    fn needs(&self, demand: &Demand) -> bool {
        self.plan.policy.risks.contains(&demand.risk)
    }

    fn notes(&mut self) {
        let mut unverified: BTreeMap<&str, usize> = BTreeMap::new();
        for why in self.plan.steps.iter().filter_map(|step| step.unverified.as_deref()) {
            *unverified.entry(why).or_default() += 1;
        }
        for (why, count) in unverified {
            let objects = if count == 1 { "object is" } else { "objects are" };
            let line = self.style.paint(
                Tone::Faint,
                &format!("  {count} {objects} not yet checked by the server: {why}"),
            );
            self.line(&line);
        }
        let warnings: Vec<String> = self.plan.warnings.iter().map(|w| format!("  warning: {w}")).collect();
        for warning in warnings {
            let warning = self.style.paint(Tone::Change, &warning);
            self.line(&warning);
        }
    }

    fn totals(&mut self) {
        let counts = self.plan.counts();
        if !self.out.ends_with("\n\n") {
            self.line("");
        }
        if self.plan.is_empty() {
            let text = match counts.unchanged {
                0 => "Nothing to change.".to_owned(),
                1 => "Nothing to change: the one object stands as wanted.".to_owned(),
                all => format!("Nothing to change: all {all} objects stand as wanted."),
            };
            self.line(&text);
            return;
        }
        let waiting = self
            .plan
            .steps
            .iter()
            .filter(|step| step.action == Action::Unchanged && !step.ready)
            .count();
        let mut parts = vec![format!("{} to change", counts.change)];
        for (count, word) in [
            (counts.kept, "kept"),
            (waiting, "not ready yet"),
            (counts.unchanged - waiting, "unchanged"),
            (counts.blocked, "blocked"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {word}"));
            }
        }
        let demands = self.plan.demands();
        let needed = demands.iter().any(|demand| !demand.optional && self.needs(demand));
        let optional = demands.iter().any(|demand| demand.optional);
        let promise = if counts.blocked > 0 {
            " Nothing runs before the blocked ones are settled."
        } else if needed {
            " Apply refuses without the approvals above."
        } else if optional {
            " No data is deleted without an approval above."
        } else {
            ""
        };
        self.line(&format!("{}.{promise}", parts.join(", ")));
    }
}

/// Changes as printed; those that differ only inside one recipe are one line.
fn distinct(step: &Step) -> Vec<(&Change, Shown)> {
    let mut all: Vec<(&Change, Shown)> = Vec::new();
    for change in &step.changes {
        let one = shown(step, change);
        if !(one.secret && all.iter().any(|(_, seen)| seen.path == one.path)) {
            all.push((change, one));
        }
    }
    all
}

pub(super) fn consequence(risk: Risk) -> &'static str {
    match risk {
        Risk::DestroysData => "data is gone afterwards",
        Risk::Irreversible => "cannot be taken back",
        Risk::LowersProtection => "data is less protected afterwards",
        Risk::Downtime => "clients lose connections meanwhile",
        Risk::Exposes => "more can reach it afterwards",
    }
}

fn seconds(took: std::time::Duration) -> String {
    if took.as_secs() < 10 {
        format!("{:.2} s", took.as_secs_f64())
    } else {
        span(took)
    }
}
