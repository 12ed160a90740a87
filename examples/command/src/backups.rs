//! Backups: taken now, listed, judged, proved, restored.

use crate::Exit;
use crate::args::{BackupVerb, Output};
use crate::progress::{Progress, stamped};
use crate::screen::{Screen, print};
use anyhow::{Context as _, Result};
use composition::{Platform, word};
use platform_core::value::Timestamp;
use platform_core::{BackupRecord, BackupStatus, RestoreProof, State};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) async fn run(verb: &BackupVerb, platform: &Platform, screen: &Screen<'_>) -> Result<Exit> {
    let backups = platform
        .backups()?
        .context("the config asks for no backups: add `backup: {}`")?;
    let now = platform.engine().clock().now();
    let mut progress = Progress::new(screen.options.output, screen.target.is_simulated());
    let mut on_event = |event| progress.on(&event);
    match verb {
        BackupVerb::Run => {
            let record = backups.run(&mut on_event).await;
            progress.finish();
            let record = record?;
            show(screen, &document(&record), || {
                print(&format!("Backup {} is complete.", record.name))?;
                record
                    .problems
                    .iter()
                    .try_for_each(|what| print(&format!("  but {what}")))
            })?;
            Ok(if record.problems.is_empty() {
                Exit::Done
            } else {
                Exit::Changes
            })
        }
        BackupVerb::List => {
            let status = backups.status().await?;
            let list: Vec<Value> = status.backups.iter().map(document).collect();
            show(screen, &json!({ "backups": list }), || list_text(screen, &status))?;
            Ok(Exit::Done)
        }
        BackupVerb::Status => {
            let status = backups.status().await?;
            show(screen, &status_document(&status, now), || {
                status_text(screen, &status, now)
            })?;
            Ok(if status.problems.is_empty() {
                Exit::Done
            } else {
                Exit::Changes
            })
        }
        BackupVerb::Drill { backup } => {
            let proof = backups.drill(backup.as_deref(), &mut on_event).await;
            progress.finish();
            let proof = proof?;
            show(screen, &proof_document(&proof), || {
                print(&format!("Backup {} is proved: {}", proof.backup, measured(&proof)))?;
                proof.checks.iter().try_for_each(|check| print(&format!("  {check}")))
            })?;
            Ok(Exit::Done)
        }
        BackupVerb::Restore { backup } => {
            if screen.is_text() {
                if let Some(plan) = backups.remaking(backup).await? {
                    print(&plan.display().to_string())?;
                }
                screen.consent(&format!("Restore what is missing from {backup}?"))?;
            }
            let done = backups.restore(backup, &mut on_event).await;
            progress.finish();
            let done = done?;
            let document = json!({ "restore": done.name, "backup": backup, "left": done.left });
            show(screen, &document, || {
                print(&format!("Restored from {backup}. Apply takes what came back over."))?;
                let left = |what: &String| print(&format!("  left alone, since it stands: {what}"));
                done.left.iter().try_for_each(left)
            })?;
            Ok(Exit::Done)
        }
    }
}

fn show(screen: &Screen<'_>, document: &Value, text: impl FnOnce() -> Result<()>) -> Result<()> {
    match screen.options.output {
        Output::Json => print(&stamped(document.clone(), screen.target.is_simulated()).to_string()),
        Output::Text => text(),
    }
}

fn document(record: &BackupRecord) -> Value {
    json!({
        "name": record.name,
        "state": word(&record.state),
        "why": match &record.state {
            State::Failed { why } => Some(why),
            State::Progressing { what } => Some(what),
            State::Ready | State::Deleting { .. } => None,
        },
        "scheduled": record.scheduled,
        "started": record.started,
        "completed": record.completed,
        "expires": record.expires,
        "problems": record.problems,
        "proof": record.proof.as_ref().map(proof_document),
    })
}

fn proof_document(proof: &RestoreProof) -> Value {
    json!({
        "backup": proof.backup,
        "at": proof.at,
        "checks": proof.checks,
        "rpo_seconds": proof.recovery_point().as_secs(),
        "rto_seconds": proof.recovery_time().as_secs(),
    })
}

fn status_document(status: &BackupStatus, now: Timestamp) -> Value {
    json!({
        "store": word(&status.store),
        "backups": status.backups.len(),
        "last": status.newest_good(now).map(document),
        "last_proof": status.last_proof().map(proof_document),
        "problems": status.problems,
    })
}

fn list_text(screen: &Screen<'_>, status: &BackupStatus) -> Result<()> {
    print(&format!("Backups of {}, {}:", screen.name, screen.target.label()))?;
    if status.backups.is_empty() {
        return print("  none yet");
    }
    let width = status.backups.iter().map(|one| one.name.len()).max().unwrap_or(0);
    for one in &status.backups {
        let moment = |when: Option<Timestamp>| when.map_or_else(|| "-".to_owned(), second);
        let proved = one.proof.as_ref().map_or("unproved".to_owned(), measured);
        print(&format!(
            "  {:width$}  {:8}  taken {}  goes {}  {proved}",
            one.name,
            word(&one.state),
            moment(one.started),
            moment(one.expires),
        ))?;
    }
    Ok(())
}

fn status_text(screen: &Screen<'_>, status: &BackupStatus, now: Timestamp) -> Result<()> {
    print(&format!("Backups of {}, {}:", screen.name, screen.target.label()))?;
    let last = status.newest_good(now).map_or_else(
        || "none that can be counted on".to_owned(),
        |one| {
            let age = one
                .started
                .map_or_else(String::new, |started| format!(", {} ago", roughly(now.since(started))));
            let proved = if one.proof.is_some() { "proved" } else { "unproved" };
            format!("{}{age}, {proved}", one.name)
        },
    );
    let proof = status.last_proof().map_or_else(
        || "never: no backup was restored yet, so none is proved".to_owned(),
        |proof| {
            let age = roughly(now.since(proof.at));
            format!("{age} ago, {}: {}", proof.backup, measured(proof))
        },
    );
    print(&format!("  last good backup     {last}"))?;
    print(&format!("  last proved restore  {proof}"))?;
    if status.problems.is_empty() {
        return print("  problems             none");
    }
    status
        .problems
        .iter()
        .try_for_each(|problem| print(&format!("  problem              {problem}")))
}

/// `RPO 3 h, RTO 40 s`.
fn measured(proof: &RestoreProof) -> String {
    format!(
        "RPO {}, RTO {}",
        roughly(proof.recovery_point()),
        roughly(proof.recovery_time())
    )
}

fn second(moment: Timestamp) -> String {
    Timestamp::from_seconds(moment.seconds()).to_string()
}

/// A length of time in the unit that people would use.
fn roughly(length: Duration) -> String {
    match length.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}
