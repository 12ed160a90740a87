//! What is there: every backup of the platform, and what is wrong with them. Reads only.

use super::{PLAN, POINT, VAULT, arn, assets, name};
use crate::draft::Draft;
use crate::kind::backup_recovery_point::run_of;
use crate::kind::backup_restore_proof::Proof;
use platform_core::value::{Kind, Name, ResourceId, Timestamp};
use platform_core::{BackupRecord, BackupSpec, BackupStatus, Capability, Live, Resource, RestoreProof, Result, State};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// In which AWS Backup begins with all that a rule asks for.
const WINDOW: Duration = Duration::from_hours(8);

pub(super) async fn status(draft: &Draft<'_>, spec: &BackupSpec) -> Result<BackupStatus> {
    let provider = draft.shared.provider();
    let set = &draft.context.set;
    let called = name(draft);
    let asked = |kind: &str| -> Result<Resource> {
        let id = draft.id(kind, &called)?;
        Ok(Resource::new(id, Capability::Backup.as_str(), json!({})))
    };
    let (vault, plan) = (asked(VAULT)?, asked(PLAN)?);
    let seen = provider.observe(set, &[vault.clone(), plan.clone()]).await?;
    if let Some((_, why)) = seen
        .unreadable
        .iter()
        .find(|(kind, _)| [VAULT, PLAN].contains(&kind.as_str()))
    {
        return Err(why.clone());
    }
    let mut problems = Vec::new();
    let store = match seen.get(&vault.id) {
        Some(live) => live.state.clone(),
        None => State::Failed {
            why: "there is no vault: apply the platform first".to_owned(),
        },
    };
    if seen.get(&plan.id).is_none() {
        problems.push("there is no plan: no backup will be taken; apply the platform".to_owned());
    }
    let within = Name::new(&called)?;
    let points = provider.list(set, &Kind::new(POINT)?, &within).await?;
    let proofs = provider.list(set, &Kind::new(Proof::KIND)?, &within).await?;
    let mut proofs: Vec<RestoreProof> = proofs.iter().filter_map(proof).collect();
    proofs.sort_by_key(|proof| proof.at);
    // The last of each counts.
    let proofs: BTreeMap<String, RestoreProof> =
        proofs.into_iter().map(|proof| (proof.backup.clone(), proof)).collect();
    let wanted: BTreeSet<String> = assets(draft, spec)?.iter().map(|asset| arn(draft, asset)).collect();
    let mut records = records(&draft.context.name, spec, &points, &wanted);
    for record in &mut records {
        record.proof = proofs.get(&record.name).cloned();
    }
    let now = draft.shared.engine.clock().now();
    Ok(BackupStatus::new(spec, store, records, now).with_problems(problems))
}

/// What was taken together: by hand in one run, or by one plan within its window, of each thing once.
#[derive(Debug)]
struct Run<'a> {
    by_hand: Option<&'a str>,
    plan: Option<&'a str>,
    started: Timestamp,
    points: BTreeMap<&'a str, &'a Live>,
}

/// Those of these objects that stand.
pub(super) async fn standing(draft: &Draft<'_>, assets: &[ResourceId]) -> Result<BTreeMap<ResourceId, Live>> {
    let asked = |id: &ResourceId| Resource::new(id.clone(), Capability::Backup.as_str(), json!({}));
    let wanted: Vec<Resource> = assets.iter().map(asked).collect();
    let provider = draft.shared.provider();
    let seen = provider.observe(&draft.context.set, &wanted).await?;
    if let Some((_, why)) = seen
        .unreadable
        .iter()
        .find(|(kind, _)| assets.iter().any(|id| id.kind() == kind))
    {
        return Err(why.clone());
    }
    let there = |id: &ResourceId| Some((id.clone(), seen.get(id)?.clone()));
    Ok(assets.iter().filter_map(there).collect())
}

/// Reads a proof back.
fn proof(live: &Live) -> Option<RestoreProof> {
    let text = |key: &str| live.view[key].as_str();
    let checks = live.view["checks"].as_array()?.iter();
    Some(RestoreProof {
        backup: text("backup")?.to_owned(),
        taken: text("taken")?.parse().ok()?,
        began: text("began")?.parse().ok()?,
        at: moment(live, "completed")?,
        checks: checks.filter_map(|check| check.as_str().map(str::to_owned)).collect(),
    })
}

pub(super) fn moment(live: &Live, output: &str) -> Option<Timestamp> {
    live.outputs.get(output)?.as_str()?.parse().ok()
}

/// A recovery point is of one thing: those that were taken together are one backup.
fn records(platform: &str, spec: &BackupSpec, points: &[Live], wanted: &BTreeSet<String>) -> Vec<BackupRecord> {
    let window = WINDOW.min(spec.schedule.longest_interval().as_duration() / 2);
    let mut points: Vec<(Timestamp, &Live)> = points
        .iter()
        .filter_map(|live| Some((moment(live, "started")?, live)))
        .collect();
    points.sort_by_key(|(started, live)| (*started, live.id.clone()));
    let mut runs: Vec<Run<'_>> = Vec::new();
    for (started, live) in points {
        let plan = live.view["plan"].as_str();
        let of = live.view["resource"].as_str().unwrap_or_default();
        let by_hand = run_of(live.id.name().as_str());
        let together = |run: &&mut Run<'_>| {
            let same = run.plan == plan && run.by_hand == by_hand && !run.points.contains_key(of);
            same && (by_hand.is_some() || started < run.started.plus(window))
        };
        match runs.iter_mut().rev().find(together) {
            Some(run) => {
                run.points.insert(of, live);
            }
            None => runs.push(Run {
                by_hand,
                plan,
                started,
                points: BTreeMap::from([(of, live)]),
            }),
        }
    }
    runs.iter().map(|run| run.record(platform, wanted)).collect()
}

impl Run<'_> {
    fn record(&self, platform: &str, wanted: &BTreeSet<String>) -> BackupRecord {
        let digits = self.started.to_string();
        let digits: String = digits.chars().filter(char::is_ascii_digit).take(14).collect();
        let states = || self.points.values().map(|live| &live.state);
        let worst = states()
            .find(|state| matches!(state, State::Failed { .. }))
            .or_else(|| states().find(|state| **state != State::Ready));
        let mut record = BackupRecord::new(
            self.by_hand
                .map_or_else(|| format!("{platform}-{digits}"), str::to_owned),
            worst.cloned().unwrap_or(State::Ready),
        );
        record.scheduled = self.plan.is_some();
        record.started = Some(self.started);
        let completed: Vec<_> = self.points.values().map(|live| moment(live, "completed")).collect();
        record.completed = completed
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .and_then(|all| all.into_iter().max());
        let arns = self
            .points
            .iter()
            .filter_map(|(of, live)| Some(((*of).to_owned(), live.outputs.get("arn")?.as_str()?.to_owned())));
        record.parts = arns.collect();
        record.expires = self.points.values().filter_map(|live| moment(live, "expires")).min();
        let missing = wanted.iter().filter(|arn| !self.points.contains_key(arn.as_str()));
        record.problems = missing.map(|arn| format!("{arn} is not in it")).collect();
        record.problems.extend(
            self.points
                .iter()
                .filter(|(_, live)| live.view["encrypted"] == false)
                .map(|(arn, _)| format!("{arn} is not encrypted in it")),
        );
        record
    }
}
