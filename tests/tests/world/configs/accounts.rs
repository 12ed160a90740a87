//! The same on AWS: config files of an account, and what becomes of its data over the weeks.

use super::history::Consent;
use crate::seeds::{self, Dice, Tally};
use crate::stage::Stage;
use composition::Platform;
use composition::aws::Aws;
use composition::config::PlatformConfig;
use libtest_mimic::Trial;
use platform_core::engine::{Action, Outcome, Report};
use platform_core::testing::{Faults, Sabotage, World};
use platform_core::value::{Place, ResourceId, SetId, Uid};
use platform_core::{ErrorKind, Provider, Result as CoreResult, Risk};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Histories, and the pairs of configs in each. `MLPLAT_HISTORIES=2500` makes it twenty thousand pairs, in three minutes.
const HISTORIES: u64 = 720;
const PAIRS: u64 = 8;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        crate::trial("configs::pairs_of_accounts", || {
            let told = std::env::var("MLPLAT_HISTORIES").ok();
            let count = told.map_or(HISTORIES, |text| text.parse().unwrap());
            seeds::tell_all("histories of accounts", count, EXERCISED, |seed| {
                let mut history = History::new(seed, None);
                let end = history.tell();
                (history.tally, end)
            });
        }),
        crate::trial("configs::sabotage_of_accounts_is_noticed", || {
            let noticed =
                (0..HISTORIES / 2).find_map(|seed| History::new(seed, Some(Sabotage::IgnoreHolds)).tell().err());
            println!(
                "accounts: noticed: {}",
                noticed.expect("ignored `holds` went unnoticed")
            );
        }),
    ]
}

/// What has to have happened often.
const EXERCISED: &[&str] = &[
    "Create",
    "Update",
    "Delete",
    "Release",
    "Adopt",
    "Blocked",
    "Unapproved",
    "rds.DbInstance: Release",
    "rds.DbInstance: Adopt",
    "rds.DbInstance: Update",
    "s3.Bucket: Release",
    "s3.Bucket: Adopt",
    "backup.Vault: Release",
    "kms.Key: Release",
    "elasticache.ReplicationGroup: Delete",
    "consent to lose one object's data",
    "a second region",
    "another environment",
    "the platform goes",
];

/// One config file of an account, before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Draft {
    environment: &'static str,
    team: u32,
    database: Option<Database>,
    cache: Option<(bool, u32)>,
    /// By name: how many days versions are kept.
    buckets: BTreeMap<String, Option<u32>>,
    monitored: bool,
    backup: Option<Backup>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Database {
    gib: u32,
    connections: u32,
    multi_az: bool,
    protected: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Backup {
    daily: bool,
    days: u32,
    copied: bool,
    locked: bool,
}

impl Draft {
    fn invent(dice: &mut Dice) -> Self {
        let mut new = Self {
            environment: "dev",
            team: 0,
            database: None,
            cache: None,
            buckets: BTreeMap::new(),
            monitored: false,
            backup: None,
        };
        for _ in 0..2 + dice.below(5) {
            new.revise(dice);
        }
        new
    }

    fn revise(&mut self, dice: &mut Dice) {
        match dice.below(16) {
            0 | 1 => self.database = self.database.take().xor(Some(Database::invent(dice))),
            2..5 => {
                if let Some(database) = &mut self.database {
                    *database = Database {
                        // Only upwards, most often.
                        gib: if dice.percent(80) {
                            database.gib + dice.small(40)
                        } else {
                            20
                        },
                        ..Database::invent(dice)
                    };
                } else {
                    self.database = Some(Database::invent(dice));
                }
            }
            5 | 6 => self.cache = self.cache.take().xor(Some((dice.percent(50), dice.small(3)))),
            7..10 => {
                let name = format!("bucket-{}", dice.below(4));
                let days = dice.percent(60).then(|| 1 + dice.small(90));
                match self.buckets.remove(&name) {
                    Some(_) if dice.percent(50) => {}
                    _ => drop(self.buckets.insert(name, days)),
                }
            }
            10 => self.monitored = !self.monitored,
            11..14 => self.backup = self.backup.take().xor(Some(Backup::invent(dice))),
            14 => self.environment = ["dev", "staging", "prod"][usize::try_from(dice.below(3)).unwrap()],
            _ => self.team = dice.small(3),
        }
    }

    fn set(&self) -> SetId {
        SetId::of("ml-platform", self.environment, "")
    }

    fn yaml(&self) -> String {
        let mut text = format!(
            "name: ml-platform\nenvironment: {}\nprovider: aws\ntags: {{ team: team-{} }}\nsecurity: {{}}\naws:\n  account: \
             \"111111111111\"\n  region: eu-west-1\n  network:\n    existing: {{ vpc: vpc-1, private_subnets: [subnet-1, subnet-2], \
             security_groups: {{ database: sg-1, cache: sg-2 }} }}\n",
            self.environment, self.team
        );
        if let Some(block) = &self.database {
            let Database {
                gib,
                connections,
                multi_az,
                protected,
            } = block;
            writeln!(text, "database: {{ storage: {gib}Gi, max_connections: {connections}, multi_az: {multi_az}, deletion_protection: {protected} }}").unwrap();
        }
        if let Some((redis, replicas)) = self.cache {
            let engine = if redis { "redis" } else { "valkey" };
            writeln!(text, "cache: {{ engine: {engine}, replicas: {replicas} }}").unwrap();
        }
        if !self.buckets.is_empty() {
            text.push_str("storage:\n  buckets:\n");
        }
        for (name, days) in &self.buckets {
            let kept = days.map_or(String::new(), |days| format!(", expire_noncurrent: {days}d"));
            writeln!(text, "    - {{ name: {name}, versioning: true{kept} }}").unwrap();
        }
        if self.monitored {
            text.push_str("monitoring: {}\n");
        }
        if let Some(block) = self
            .backup
            .as_ref()
            .filter(|_| self.database.is_some() || !self.buckets.is_empty())
        {
            let hour = if block.daily { "0 2 * * *" } else { "0 2 * * 0" };
            let copy = if block.copied { "eu-central-1" } else { "none" };
            writeln!(
                text,
                "backup: {{ schedule: \"{hour}\", retention: {}d, copy_to: {copy}, lock: {} }}",
                block.days, block.locked
            )
            .unwrap();
        }
        text
    }
}

impl Database {
    fn invent(dice: &mut Dice) -> Self {
        Self {
            gib: 20 + dice.small(60),
            connections: 100 + dice.small(100),
            multi_az: dice.percent(50),
            protected: dice.percent(30),
        }
    }
}

impl Backup {
    fn invent(dice: &mut Dice) -> Self {
        Self {
            daily: dice.percent(50),
            days: 8 + dice.small(30),
            copied: dice.percent(50),
            locked: dice.percent(30),
        }
    }
}

/// One account and the configs that it lives through.
struct History {
    dice: Dice,
    stage: Stage,
    /// What must not be lost: an incarnation and its rows.
    data: BTreeMap<Uid, (ResourceId, Vec<String>)>,
    /// Incarnations that an approval named.
    named: BTreeSet<Uid>,
    tally: Tally,
}

impl History {
    fn new(seed: u64, sabotage: Option<Sabotage>) -> Self {
        let stage = Stage::of(
            Place::aws("eu-west-1").unwrap(),
            provider_aws::facts,
            SetId::of("none", "dev", ""),
        );
        let stage = stage.beside(Place::aws("eu-central-1").unwrap(), provider_aws::facts);
        Self {
            dice: Dice::new(seed),
            stage: stage.with_sabotage(sabotage),
            data: BTreeMap::new(),
            named: BTreeSet::new(),
            tally: Tally::new(),
        }
    }

    fn count(&mut self, what: impl Into<String>) {
        *self.tally.entry(what.into()).or_insert(0) += 1;
    }

    fn worlds(&self) -> [&World; 2] {
        [&self.stage.world, self.stage.second.as_ref().unwrap()]
    }

    fn tell(&mut self) -> Result<(), String> {
        let mut standing = Draft::invent(&mut self.dice);
        self.chapter(&standing, false)?;
        for _ in 0..PAIRS {
            self.seed();
            self.count("pair of configs");
            if self.dice.percent(12) {
                self.count("the platform goes");
                self.chapter(&standing, true)?;
                continue;
            }
            let mut next = standing.clone();
            for _ in 0..=self.dice.below(2) {
                next.revise(&mut self.dice);
            }
            if next.environment != standing.environment {
                self.count("another environment");
            }
            if self.chapter(&next, false)? {
                standing = next;
            }
        }
        Ok(())
    }

    /// One config, or its end; whether it was applied.
    fn chapter(&mut self, draft: &Draft, destroy: bool) -> Result<bool, String> {
        let text = draft.yaml();
        let told = |why: String| format!("{why}\n{text}");
        let consent = match self.dice.below(20) + if destroy { 6 } else { 0 } {
            0..10 => Consent::Nothing,
            10..16 => Consent::Harmless,
            16..19 => Consent::One(self.dice.roll()),
            _ => Consent::Everything,
        };
        let platform = self.platform(&text);
        assert_eq!(platform.set(), &draft.set());
        if platform.config().to_json()["backup"]["copy_to"] == "eu-central-1" {
            self.count("a second region");
        }
        let ended = self.run(&platform, destroy, consent).map_err(&told)?;
        self.nothing_lost().map_err(&told)?;
        match ended {
            Ok(report) => {
                let failed = report.failures().find(|(_, why)| why.kind() != ErrorKind::Denied);
                if let Some((id, why)) = failed {
                    return Err(told(format!("{id}: {}", why.report())));
                }
                if self.dice.percent(30) && report.is_success() {
                    let again = async {
                        if destroy {
                            platform.destroy_plan().await
                        } else {
                            platform.plan().await
                        }
                    };
                    self.stage.clock.advance(crate::stage::LAG.window);
                    let plan = self.stage.clock.drive(again).done().ok_or("a plan stalled")?;
                    let plan = plan.map_err(|why| told(why.report()))?;
                    if !plan.is_empty() {
                        return Err(told(format!("not settled:\n{}", plan.display())));
                    }
                }
                Ok(report.is_success())
            }
            Err(why) if matches!(why.kind(), ErrorKind::Blocked | ErrorKind::Unapproved) => {
                self.count(format!("{:?}", why.kind()));
                Ok(false)
            }
            Err(why) => Err(told(why.report())),
        }
    }

    fn platform(&self, text: &str) -> Platform {
        let config = PlatformConfig::parse(text, "platform.yaml").unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        let second: Arc<dyn Provider> = Arc::new(self.stage.second.clone().unwrap());
        let second = match self.stage.sabotage {
            Some(sabotage) => sabotage.around(second),
            None => second,
        };
        let stack = Aws::on(self.stage.provider(&Faults::none()), Arc::new(self.stage.clock.clone()));
        let builder = Platform::builder(config)
            .provider(stack.with_second_region(second))
            .holder("test");
        builder.lease_ttl(Duration::from_secs(4)).build().unwrap()
    }

    /// Plans, consents, applies. A refusal wrote nothing.
    fn run(&mut self, platform: &Platform, destroy: bool, consent: Consent) -> Result<CoreResult<Report>, String> {
        // Reads that lag would only make plans stale.
        self.stage.clock.advance(crate::stage::LAG.window);
        let writes: Vec<_> = self.worlds().iter().map(|world| world.writes()).collect();
        let run = async {
            let plan = if destroy {
                platform.destroy_plan().await?
            } else {
                platform.plan().await?
            };
            let approvals = consent.to(&plan);
            let report = platform.apply(&plan, &approvals, |_| {}).await;
            CoreResult::Ok((approvals, report))
        };
        let ended = self.stage.clock.drive(run).done().ok_or("a run stalled")?;
        let (approvals, report) = match ended {
            Ok(ended) => ended,
            Err(why) => return Ok(Err(why)),
        };
        let lost = approvals.iter().filter(|approval| approval.risk == Risk::DestroysData);
        let lost: Vec<Uid> = lost.filter_map(|approval| approval.uid.clone()).collect();
        if matches!(consent, Consent::One(_)) && !lost.is_empty() {
            self.count("consent to lose one object's data");
        }
        if let Ok(report) = &report {
            self.named.extend(lost);
            self.note(report);
        } else {
            let after: Vec<_> = self.worlds().iter().map(|world| world.writes()).collect();
            if after != writes {
                return Err("a refused run wrote".to_owned());
            }
        }
        Ok(report)
    }

    fn note(&mut self, report: &Report) {
        for (id, outcome) in &report.outcomes {
            if let Outcome::Done(action) = outcome
                && *action != Action::Unchanged
            {
                self.count(format!("{action:?}"));
                self.count(format!("{}: {action:?}", id.kind()));
            }
        }
    }

    /// Puts a row into everything that holds data.
    fn seed(&mut self) {
        let mut found = Vec::new();
        for world in self.worlds() {
            for id in world.ids() {
                let Some(uid) = world.uid(&id).filter(|uid| !self.data.contains_key(uid)) else {
                    continue;
                };
                // A cache is filled again.
                if id.kind().as_str() != "elasticache.ReplicationGroup"
                    && world.seed_data(&id, &[&format!("row of {uid}")]).is_ok()
                {
                    let rows = world.data(&id).unwrap_or_default();
                    found.push((uid, (id, rows)));
                }
            }
        }
        self.data.extend(found);
    }

    /// Whatever held data is the same object with the same rows, unless an approval named it.
    fn nothing_lost(&self) -> Result<(), String> {
        for (uid, (id, rows)) in self.data.iter().filter(|(uid, _)| !self.named.contains(*uid)) {
            let world = self
                .worlds()
                .into_iter()
                .find(|world| world.place() == id.place())
                .unwrap();
            if world.uid(id).as_ref() != Some(uid) {
                return Err(format!("{id} {uid} is gone"));
            }
            let found = world.data(id).unwrap_or_default();
            if &found != rows {
                return Err(format!("{id}: {found:?} instead of {rows:?}"));
            }
        }
        Ok(())
    }
}
