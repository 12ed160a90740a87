//! Events as a person or a program follows them.

use crate::args::Output;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use platform_core::engine::Event;
use platform_core::value::ResourceId;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// Where events go.
pub(crate) enum Progress {
    /// One line for each running resource, redrawn.
    Terminal(Box<Board>),
    /// One line an event, as it happens.
    Lines {
        /// What each resource was last seen waiting for, so that it is printed once.
        waiting: BTreeMap<ResourceId, String>,
        /// Whose lease was last seen in the way, so that it is printed once.
        locked: Option<String>,
    },
    /// One JSON object an event.
    Json {
        /// Whether it all happens in the embedded world.
        simulated: bool,
    },
}

/// The display on a terminal.
pub(crate) struct Board {
    bars: MultiProgress,
    total: ProgressBar,
    running: BTreeMap<ResourceId, ProgressBar>,
}

impl Progress {
    pub(crate) fn new(output: Output, simulated: bool) -> Self {
        match output {
            Output::Json => Self::Json { simulated },
            Output::Text if std::io::stderr().is_terminal() && std::io::stdout().is_terminal() => {
                Self::Terminal(Box::new(Board::new()))
            }
            Output::Text => Self::Lines {
                waiting: BTreeMap::new(),
                locked: None,
            },
        }
    }

    pub(crate) fn on(&mut self, event: &Event) {
        match self {
            Self::Terminal(board) => board.on(event),
            Self::Lines { waiting, locked } => {
                let known = match event {
                    Event::Waiting { id, on, .. } => waiting.insert(id.clone(), on.clone()).as_ref() == Some(on),
                    Event::Locked { holder, .. } => locked.replace(holder.clone()).as_ref() == Some(holder),
                    _ => false,
                };
                if !known {
                    line(&event.to_string());
                }
            }
            Self::Json { simulated } => line(&stamped(event.document(), *simulated).to_string()),
        }
    }

    pub(crate) fn finish(self) {
        if let Self::Terminal(board) = self {
            for bar in board.running.values() {
                bar.finish_and_clear();
            }
            board.total.finish_and_clear();
        }
    }
}

/// A broken pipe ends nobody's apply.
fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A document that says so when it shows the embedded world.
pub(crate) fn stamped(mut document: Value, simulated: bool) -> Value {
    if simulated && let Value::Object(map) = &mut document {
        map.insert("simulated".to_owned(), Value::Bool(true));
    }
    document
}

impl Board {
    fn new() -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let total =
            bars.add(ProgressBar::no_length().with_style(style("  {bar:30} {pos}/{len} done, {elapsed}  {wide_msg}")));
        Self {
            bars,
            total,
            running: BTreeMap::new(),
        }
    }

    fn on(&mut self, event: &Event) {
        match event {
            Event::Planned { steps, .. } => self.total.set_length(u64::try_from(*steps).unwrap_or(u64::MAX)),
            Event::Locked { .. } => {
                self.total.set_message(event.to_string());
                self.total.tick();
            }
            Event::Started { id, action } => {
                self.total.set_message("");
                let bar = ProgressBar::new_spinner()
                    .with_style(style("  {prefix:44.cyan} {wide_msg}"))
                    .with_prefix(format!("{} {}", action.mark(), id.label()));
                let bar = self.bars.insert_before(&self.total, bar);
                bar.enable_steady_tick(Duration::from_millis(200));
                self.running.insert(id.clone(), bar);
            }
            Event::Waiting { id, on, since, usually } => {
                if let Some(bar) = self.running.get(id) {
                    bar.set_message(format!(
                        "waiting {} s  {on} (usually {} s)",
                        since.as_secs(),
                        usually.as_secs()
                    ));
                }
            }
            Event::Done { id, .. } => {
                self.forget(id);
                self.total.inc(1);
            }
            Event::Failed { id, .. } | Event::Skipped { id, .. } => {
                self.forget(id);
                self.above(&event.to_string());
            }
            _ => self.above(&event.to_string()),
        }
    }

    fn forget(&mut self, id: &ResourceId) {
        if let Some(bar) = self.running.remove(id) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }

    fn above(&self, text: &str) {
        let _ = self.bars.println(text);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("##-")
}
