//! One world and the configs that it lives through.

use super::draft::{Draft, Revision};
use crate::seeds::{Dice, Tally};
use crate::stage::Stage;
use composition::Platform;
use composition::config::PlatformConfig;
use composition::kubernetes::Kubernetes;
use platform_core::engine::{Action, Approvals, Outcome, Plan, Report};
use platform_core::testing::{Faults, Sabotage};
use platform_core::value::{Place, Recipe, ResourceId, SetId, Uid};
use platform_core::{Error, ErrorKind, Owner, Result as CoreResult, Risk};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What somebody agrees to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consent {
    Nothing,
    /// Whatever loses no data.
    Harmless,
    /// That, and the data of one object.
    One(u64),
    Everything,
}

/// Something that must not be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Datum {
    id: ResourceId,
    rows: Vec<String>,
    /// What stands for generated values, by key.
    values: BTreeMap<String, String>,
}

/// One world and the configs that it lives through.
pub(crate) struct History {
    dice: Dice,
    stage: Stage,
    data: BTreeMap<Uid, Datum>,
    /// Incarnations that an approval named.
    named: BTreeSet<Uid>,
    /// What somebody put in the place of another object, by hand: old and new incarnation.
    replaced: Arc<Mutex<Vec<(Uid, Uid, ResourceId)>>>,
    pub(crate) tally: Tally,
}

/// How a run ended.
#[derive(Debug)]
enum End {
    Applied,
    Refused(ErrorKind),
}

impl History {
    pub(crate) fn new(seed: u64, sabotage: Option<Sabotage>) -> Self {
        let place = Place::kubernetes("main").unwrap();
        let stage = Stage::of(place, provider_k8s::facts, SetId::of("none", "local", ""));
        Self {
            dice: Dice::new(seed),
            stage: stage.with_sabotage(sabotage),
            data: BTreeMap::new(),
            named: BTreeSet::new(),
            replaced: Arc::default(),
            tally: Tally::new(),
        }
    }

    /// A first config, then `pairs` times the next one, or the end of the platform.
    pub(crate) fn tell(&mut self, pairs: u64) -> Result<(), String> {
        let mut standing = Draft::invent(&mut self.dice);
        self.chapter(&standing, false, &[])?;
        for _ in 0..pairs {
            self.seed();
            self.count("pair of configs");
            if standing.is_whole() {
                self.count("of a whole platform");
            }
            if standing.is_guarded() {
                self.count("watched and backed up");
            }
            if self.dice.percent(12) {
                self.chapter(&standing, true, &["the platform goes"])?;
            } else {
                let (next, revisions) = standing.revised(&mut self.dice);
                if revisions.is_empty() {
                    self.count("the same config again");
                }
                if matches!(self.chapter(&next, false, &revisions)?, End::Applied) {
                    standing = next;
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, what: impl Into<String>) {
        *self.tally.entry(what.into()).or_insert(0) += 1;
    }

    /// One config, or its end: applied once, or until it stands if somebody interferes.
    fn chapter(&mut self, draft: &Draft, destroy: bool, revisions: &[Revision]) -> Result<End, String> {
        let text = draft.yaml();
        // Data is rarely agreed to be lost, but at the end of a platform.
        let consent = match self.dice.below(20) + if destroy { 6 } else { 0 } {
            0..12 => Consent::Nothing,
            12..16 => Consent::Harmless,
            16..19 => Consent::One(self.dice.roll()),
            _ => Consent::Everything,
        };
        let platform = self.platform(&text, &Faults::none());
        let mut ended = match self.intruder(draft.set(), consent) {
            Some(faults) => {
                let disturbed = self.platform(&text, &faults);
                self.run(&disturbed, destroy, consent)
            }
            None => self.run(&platform, destroy, consent),
        }
        .map_err(|why| format!("{why}\n{text}"))?;
        for _ in 0..3 {
            self.nothing_lost().map_err(|why| format!("{why}\n{text}"))?;
            if self.replaced.lock().unwrap().is_empty() {
                break;
            }
            self.replaced.lock().unwrap().clear();
            // The agreement was to what stood before.
            ended = self.run(&platform, destroy, Consent::Harmless)?;
        }
        let end = match ended {
            Ok(report) => {
                if let Some((id, why)) = report.failures().next() {
                    return Err(format!("{id}: {}\n{text}", why.report()));
                }
                if self.dice.percent(30) {
                    self.settled(&platform, destroy)
                        .map_err(|why| format!("{why}\n{text}"))?;
                }
                End::Applied
            }
            Err(why) if matches!(why.kind(), ErrorKind::Blocked | ErrorKind::Unapproved) => End::Refused(why.kind()),
            Err(why) => return Err(format!("{}\n{text}", why.report())),
        };
        for revision in revisions {
            self.count(*revision);
            let how = match end {
                End::Applied => "applied".to_owned(),
                End::Refused(why) => format!("{why:?}"),
            };
            self.count(format!("{revision}: {how}"));
        }
        Ok(end)
    }

    fn platform(&self, text: &str, faults: &Faults) -> Platform {
        let config = PlatformConfig::parse(text, "platform.yaml").unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        let stack = Kubernetes::on(self.stage.provider(faults), Arc::new(self.stage.clock.clone()));
        let builder = Platform::builder(config).provider(stack).holder("test");
        builder.lease_ttl(Duration::from_secs(4)).build().unwrap()
    }

    /// Plans, consents, applies. A refusal wrote nothing.
    fn run(&mut self, platform: &Platform, destroy: bool, consent: Consent) -> Result<CoreResult<Report>, String> {
        let writes = self.stage.world.writes();
        let run = async {
            let plan = if destroy {
                platform.destroy_plan().await?
            } else {
                platform.plan().await?
            };
            let approvals = consent.to(&plan);
            let ended = platform.apply(&plan, &approvals, |_| {}).await;
            Ok::<_, Error>((plan, approvals, ended))
        };
        let (plan, approvals, ended) = match self.stage.clock.drive(run).done().ok_or("a run stalled")? {
            Ok(done) => done,
            Err(why) => return Ok(Err(why)),
        };
        let data = approvals.iter().filter(|approval| approval.risk == Risk::DestroysData);
        let named: Vec<Uid> = data.filter_map(|approval| approval.uid.clone()).collect();
        for uid in named {
            self.count("consent to lose one object's data");
            self.named.insert(uid);
        }
        match &ended {
            Ok(report) => self.note_steps(&plan, report),
            Err(why) => {
                if self.stage.world.writes() != writes {
                    return Err(format!("a refused run wrote: {}", why.report()));
                }
                self.note_refusal(&plan, why.kind());
            }
        }
        Ok(ended)
    }

    fn note_steps(&mut self, plan: &Plan, report: &Report) {
        for (id, outcome) in &report.outcomes {
            let Outcome::Done(action) = outcome else { continue };
            if *action == Action::Unchanged {
                continue;
            }
            self.count(format!("{action:?}"));
            let claim = id.kind().as_str() == "PersistentVolumeClaim";
            let grows = plan.step(id).is_some_and(|step| {
                step.changes
                    .iter()
                    .any(|change| change.path.to_string().ends_with("storage"))
            });
            match action {
                Action::Update | Action::Adopt if claim && grows => self.count("a volume grew"),
                Action::Adopt if claim => self.count("a volume was adopted again"),
                Action::Release if claim => {
                    self.count("a volume was kept");
                    let space = id.name().namespace().unwrap_or_default();
                    if space.ends_with("monitoring") || space.ends_with("backup-store") {
                        self.count("a volume of metrics or backups was kept");
                    }
                }
                Action::Delete if claim => self.count("a volume was deleted"),
                _ => {}
            }
        }
    }

    fn note_refusal(&mut self, plan: &Plan, why: ErrorKind) {
        self.count(format!("{why:?}"));
        if why == ErrorKind::Unapproved {
            return;
        }
        let blocked = plan.steps.iter().filter(|step| step.action == Action::Blocked);
        let reasons: BTreeSet<&str> = blocked
            .map(|step| {
                let touches = |word: &str| step.changes.iter().any(|change| change.path.to_string().contains(word));
                match step.id.name().namespace() {
                    _ if touches("requests.storage") => "a shrunken volume was refused",
                    Some(namespace) if touches("data-format") && namespace.ends_with("database") => {
                        "another version on existing data was refused"
                    }
                    _ if touches("data-format") => "another program on existing data was refused",
                    _ => "somebody else's object was refused",
                }
            })
            .collect();
        for reason in reasons {
            self.count(reason);
        }
    }

    /// The next plan of the same has nothing to do.
    fn settled(&self, platform: &Platform, destroy: bool) -> Result<(), String> {
        let again = async {
            if destroy {
                platform.destroy_plan().await
            } else {
                platform.plan().await
            }
        };
        let plan = self.stage.clock.drive(again).done().ok_or("a plan stalled")?;
        let plan = plan.map_err(|why| why.report())?;
        if plan.is_empty() {
            Ok(())
        } else {
            Err(format!("not settled:\n{}", plan.display()))
        }
    }

    /// Puts a row into every volume of the database and the store, and remembers it with all that was generated.
    fn seed(&mut self) {
        let world = &self.stage.world;
        for id in world.ids() {
            let Some(uid) = world.uid(&id).filter(|uid| !self.data.contains_key(uid)) else {
                continue;
            };
            let row = format!("row of {id} {uid}");
            let holds = match id.kind().as_str() {
                "PersistentVolumeClaim" => is_durable(&id) && world.seed_data(&id, &[&row]).is_ok(),
                "Secret" => world.seed_data(&id, &[&row]).is_ok() || !values(&self.stage, &id).is_empty(),
                _ => false,
            };
            if holds {
                let datum = Datum {
                    rows: world.data(&id).unwrap_or_default(),
                    values: values(&self.stage, &id),
                    id,
                };
                self.data.insert(uid, datum);
            }
        }
    }

    /// Whatever held data is the same object with the same content, unless an approval named it.
    fn nothing_lost(&mut self) -> Result<(), String> {
        let replaced = self.replaced.lock().unwrap().clone();
        for (old, new, id) in replaced {
            self.data.remove(&old);
            let rows = vec!["restored row".to_owned()];
            let datum = Datum {
                id,
                rows,
                values: BTreeMap::new(),
            };
            self.data.insert(new, datum);
            self.count("a volume was replaced by hand");
        }
        let (stage, named) = (&self.stage, &self.named);
        for (uid, datum) in self.data.iter().filter(|(uid, _)| !named.contains(*uid)) {
            if stage.world.uid(&datum.id).as_ref() != Some(uid) {
                if goes_with_its_server(&datum.id) {
                    continue;
                }
                return Err(format!("{} {uid} is gone", datum.id));
            }
            let rows = stage.world.data(&datum.id).unwrap_or_default();
            let found = values(stage, &datum.id);
            let kept = datum.values.iter().all(|(key, value)| found.get(key) == Some(value));
            if rows != datum.rows || !kept {
                return Err(format!("{rows:?} and {found:?} instead of {datum:?}"));
            }
        }
        Ok(())
    }

    /// Somebody who restores a volume from a backup in the middle of a run: the same name, another object. Most often
    /// between the agreement to lose the old one and its removal.
    fn intruder(&mut self, set: SetId, consent: Consent) -> Option<Faults> {
        let loses_data = matches!(consent, Consent::One(_) | Consent::Everything);
        if !self.dice.percent(if loses_data { 50 } else { 8 }) {
            return None;
        }
        let world = self.stage.world.clone();
        let volumes: Vec<(Uid, ResourceId)> = self
            .data
            .iter()
            .filter(|(_, datum)| datum.id.kind().as_str() == "PersistentVolumeClaim")
            .map(|(uid, datum)| (uid.clone(), datum.id.clone()))
            .filter(|(uid, id)| world.uid(id).as_ref() == Some(uid))
            .collect();
        let (old, id) = self.dice.pick(&volumes)?.clone();
        let replaced = Arc::clone(&self.replaced);
        let awaited = id.clone();
        let act = move || {
            let (Some(now), Some(view)) = (world.uid(&id), world.view(&id)) else {
                return;
            };
            if now != old {
                return;
            }
            world.remove(&id);
            let new = world.plant(&set, &Owner::ThisSet, &id, &view);
            if world.seed_data(&id, &["restored row"]).is_ok() {
                replaced.lock().unwrap().push((old, new, id));
            }
        };
        Some(if self.dice.percent(60) {
            Faults::none().intrude_before_write(awaited, act)
        } else {
            Faults::none().intrude_at(1 + self.dice.below(60), act)
        })
    }
}

impl Consent {
    pub(super) fn to(self, plan: &Plan) -> Approvals {
        let risks = [
            Risk::LowersProtection,
            Risk::Exposes,
            Risk::Irreversible,
            Risk::Downtime,
        ];
        let demands = plan.demands();
        let harmless = demands.accept(&risks, "test", "harmless");
        let data: Vec<_> = demands
            .iter()
            .filter(|demand| demand.risk == Risk::DestroysData)
            .map(|demand| demand.accept("test", "to be lost"))
            .collect();
        match self {
            Self::Nothing => Approvals::none(),
            Self::Harmless => harmless,
            Self::One(number) => {
                let count = u64::try_from(data.len()).unwrap().max(1);
                let chosen = usize::try_from(number % count).unwrap();
                data.into_iter().skip(chosen).take(1).fold(harmless, Approvals::with)
            }
            Self::Everything => data.into_iter().fold(harmless, Approvals::with),
        }
    }
}

/// Grafana keeps nothing that its password opens.
fn goes_with_its_server(id: &ResourceId) -> bool {
    id.kind().as_str() == "Secret" && id.name().base().ends_with("grafana-credentials")
}

/// A cache's volume can be filled again. So can that of the metrics, but nothing that happens here takes it away.
fn is_durable(id: &ResourceId) -> bool {
    let namespace = id.name().namespace().unwrap_or_default();
    ["database", "storage", "monitoring", "backup-store"]
        .iter()
        .any(|end| namespace.ends_with(end))
}

/// What stands for the values of an object that were generated once, by key.
fn values(stage: &Stage, id: &ResourceId) -> BTreeMap<String, String> {
    let view = stage.world.view(id).unwrap_or_default();
    let mut values = stage.world.secrets(id);
    values.retain(|path, _| {
        let recipe = path
            .split('.')
            .skip(1)
            .try_fold(&view, |value: &Value, key| value.get(key))
            .and_then(Recipe::of_value);
        recipe.is_some_and(|recipe| recipe.is_made_once() || matches!(recipe, Recipe::CertificateAuthority { .. }))
    });
    values
}
