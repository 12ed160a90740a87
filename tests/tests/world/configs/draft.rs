//! Config files drawn at random, and what becomes of them over the weeks.

use super::guard::{Backup, Monitoring};
use crate::seeds::Dice;
use platform_core::value::SetId;
use std::fmt::Write as _;

/// One config file, before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    name: &'static str,
    environment: &'static str,
    prefix: &'static str,
    team: u32,
    /// Another name for the database server.
    renamed: bool,
    database: Option<Database>,
    cache: Option<Cache>,
    storage: Option<Storage>,
    security: Option<Security>,
    /// Whether it ever has the two blocks below: they cost as much as all others.
    may_be_guarded: bool,
    pub(super) monitoring: Option<Monitoring>,
    pub(super) backup: Option<Backup>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Database {
    version: u32,
    gib: u32,
    connections: u32,
    password_length: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Cache {
    redis: bool,
    memory: u32,
    gib: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Storage {
    gib: u32,
    minio: bool,
    buckets: Vec<Bucket>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Bucket {
    name: String,
    versioning: bool,
    expire: Option<u32>,
    expire_noncurrent: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Security {
    restricted: bool,
    guests: u32,
    quota: Option<u32>,
}

/// How many of a hundred drafts may hold monitoring and backups.
const GUARDED: u64 = 8;

/// What happens to a config: its name in the tally.
pub(crate) type Revision = &'static str;

impl Draft {
    /// One or two blocks mostly, everything in every sixteenth; in some of them monitoring and backups come and go, too.
    pub(crate) fn invent(dice: &mut Dice) -> Self {
        let may_be_guarded = dice.percent(GUARDED);
        let whole = dice.percent(6);
        let chosen = dice.below(3);
        let mut has = |block: u64| whole || block == chosen || dice.percent(20);
        let has = [has(0), has(1), has(2), has(3)];
        Self {
            name: "ml-platform",
            environment: "local",
            prefix: "",
            team: 0,
            renamed: false,
            database: has[0].then(|| Database::invent(dice)),
            cache: has[1].then(|| Cache::invent(dice)),
            storage: has[2].then(|| Storage::invent(dice)),
            security: has[3].then(|| Security::invent(dice)),
            may_be_guarded,
            monitoring: (may_be_guarded && dice.percent(50)).then(|| Monitoring::invent(dice)),
            backup: (may_be_guarded && dice.percent(50)).then(|| Backup::invent(dice)),
        }
    }

    /// The set that owns what it asks for.
    pub(crate) fn set(&self) -> SetId {
        SetId::of(self.name, self.environment, self.prefix)
    }

    /// Whether every capability is there.
    pub(crate) fn is_whole(&self) -> bool {
        self.database.is_some() && self.cache.is_some() && self.storage.is_some() && self.security.is_some()
    }

    /// The same platform some weeks later. What happened is told only if it could.
    pub(crate) fn revised(&self, dice: &mut Dice) -> (Self, Vec<Revision>) {
        let mut new = self.clone();
        let mut told = Vec::new();
        // There is more to happen to them.
        let (few, tries) = if self.may_be_guarded { (5, 24) } else { (1, 8) };
        let at_least = few + dice.below(2);
        for _ in 0..tries {
            if u64::try_from(told.len()).unwrap() >= at_least {
                break;
            }
            let before = new.clone();
            if let Some(revision) = new.revise(dice)
                && new != before
            {
                told.push(revision);
            }
        }
        // A platform of nothing is no config.
        if new.database.is_none() && new.cache.is_none() && new.storage.is_none() && new.security.is_none() {
            return (self.clone(), Vec::new());
        }
        told.retain(|what| self.became(&new, what));
        told.sort_unstable();
        told.dedup();
        (new, told)
    }

    fn revise(&mut self, dice: &mut Dice) -> Option<Revision> {
        if self.may_be_guarded && dice.percent(80) {
            return self.revise_guard(dice);
        }
        match dice.below(18) {
            0 | 1 => {
                *self.volume(dice)? += 1 + dice.small(20);
                Some("a volume grows")
            }
            2 => {
                let volume = self.volume(dice)?;
                *volume = (*volume / 2).max(1);
                Some("a volume shrinks")
            }
            3 => {
                self.database.as_mut()?.version = 16 + dice.small(3);
                Some("another version of the database")
            }
            4 => {
                let database = self.database.as_mut()?;
                database.connections = 10 + dice.small(180);
                database.password_length = 16 + dice.small(20);
                Some("other settings of the database")
            }
            5 => {
                let cache = self.cache.as_mut()?;
                let old = cache.clone();
                *cache = Cache {
                    gib: old.gib,
                    ..Cache::invent(dice)
                };
                Some(if cache.redis == old.redis {
                    "another size of the cache"
                } else {
                    "another cache server"
                })
            }
            6 | 7 | 16 | 17 => self.storage.as_mut()?.revise(dice),
            8 | 9 => {
                self.block_goes(dice);
                Some("a block goes")
            }
            10 => {
                self.block_comes(dice);
                Some("a block comes")
            }
            11 => {
                let security = self.security.as_mut()?;
                let was = security.clone();
                *security = Security::invent(dice);
                Some(match (was.restricted, security.restricted) {
                    (true, false) => "less pod security",
                    _ if security.guests > was.guests => "more guests",
                    _ => "other limits",
                })
            }
            12 => {
                self.environment = ["local", "dev", "staging"][usize::try_from(dice.below(3)).ok()?];
                Some("another environment")
            }
            13 => {
                if dice.percent(50) {
                    self.name = if self.name == "ml-platform" {
                        "other"
                    } else {
                        "ml-platform"
                    };
                    Some("another name")
                } else {
                    self.prefix = if self.prefix.is_empty() { "b-" } else { "" };
                    Some("another prefix")
                }
            }
            14 => {
                self.renamed = !self.renamed;
                self.database.as_ref().map(|_| "another name of the server")
            }
            _ => {
                self.team = dice.small(3);
                Some("other tags")
            }
        }
    }

    /// The size of one of the volumes, if there is any.
    fn volume(&mut self, dice: &mut Dice) -> Option<&mut u32> {
        let mut volumes: Vec<&mut u32> = Vec::new();
        volumes.extend(self.database.as_mut().map(|block| &mut block.gib));
        volumes.extend(self.cache.as_mut().and_then(|block| block.gib.as_mut()));
        volumes.extend(self.storage.as_mut().map(|block| &mut block.gib));
        volumes.extend(self.monitoring.as_mut().map(|block| &mut block.gib));
        volumes.extend(self.backup.as_mut().and_then(Backup::volume));
        let count = u64::try_from(volumes.len()).ok()?;
        let chosen = usize::try_from(dice.below(count)).ok()?;
        volumes.into_iter().nth(chosen)
    }

    fn block_goes(&mut self, dice: &mut Dice) {
        match dice.below(4) {
            0 => self.database = None,
            1 => self.cache = None,
            2 => self.storage = None,
            _ => self.security = None,
        }
    }

    fn block_comes(&mut self, dice: &mut Dice) {
        let block = dice.below(4);
        if block == 0 && self.database.is_none() {
            self.database = Some(Database::invent(dice));
        } else if block == 1 && self.cache.is_none() {
            self.cache = Some(Cache::invent(dice));
        } else if block == 2 && self.storage.is_none() {
            self.storage = Some(Storage::invent(dice));
        } else if block == 3 && self.security.is_none() {
            self.security = Some(Security::invent(dice));
        }
    }

    /// The file.
    pub(crate) fn yaml(&self) -> String {
        let mut text = format!(
            "name: {}\nenvironment: {}\nprovider: kubernetes\nnamespace_prefix: \"{}\"\ntags: {{ team: team-{} }}\n",
            self.name, self.environment, self.prefix, self.team
        );
        if self.renamed {
            text.push_str("names: { postgres: pg }\n");
        }
        let mut served = Vec::new();
        if let Some(block) = &self.database {
            served.push("database");
            writeln!(
                text,
                "database: {{ version: \"{}\", storage: {}Gi, max_connections: {}, password_length: {} }}",
                block.version, block.gib, block.connections, block.password_length
            )
            .unwrap();
        }
        if let Some(block) = &self.cache {
            served.push("cache");
            let engine = if block.redis { "redis" } else { "valkey" };
            let storage = block.gib.map_or("null".to_owned(), |gib| format!("{gib}Gi"));
            writeln!(
                text,
                "cache: {{ engine: {engine}, memory: {}Mi, storage: {storage} }}",
                block.memory
            )
            .unwrap();
        }
        if let Some(block) = &self.storage {
            served.push("storage");
            let flavour = if block.minio { "minio" } else { "rustfs" };
            writeln!(text, "storage:\n  capacity: {}Gi\n  flavour: {flavour}", block.gib).unwrap();
            if !block.buckets.is_empty() {
                text.push_str("  buckets:\n");
            }
            for bucket in &block.buckets {
                write!(
                    text,
                    "    - {{ name: {}, versioning: {}",
                    bucket.name, bucket.versioning
                )
                .unwrap();
                if let Some(days) = bucket.expire {
                    write!(text, ", expire: {days}d").unwrap();
                }
                if let Some(days) = bucket.expire_noncurrent.filter(|_| bucket.versioning) {
                    write!(text, ", expire_noncurrent: {days}d").unwrap();
                }
                text.push_str(" }\n");
            }
        }
        self.write_guard(&mut text, &served);
        if let Some(block) = &self.security {
            let level = if block.restricted { "restricted" } else { "baseline" };
            writeln!(text, "security:\n  pod_security: {level}").unwrap();
            if block.guests > 0 && !served.is_empty() {
                text.push_str("  allow:\n");
                for guest in 0..block.guests {
                    let to = served.join(", ");
                    writeln!(text, "    - {{ from: {{ namespace: guest-{guest} }}, to: [{to}] }}").unwrap();
                }
            }
            if let (Some(gib), Some(database)) = (block.quota, &self.database) {
                let gib = gib.max(database.gib);
                writeln!(text, "  quotas: {{ database: {{ storage: {gib}Gi, pods: 20 }} }}").unwrap();
            }
        }
        text
    }
}

impl Database {
    fn invent(dice: &mut Dice) -> Self {
        Self {
            version: if dice.percent(70) { 17 } else { 16 + dice.small(3) },
            gib: 4 + dice.small(60),
            connections: 10 + dice.small(180),
            password_length: 16 + dice.small(20),
        }
    }
}

impl Cache {
    fn invent(dice: &mut Dice) -> Self {
        Self {
            redis: dice.percent(40),
            memory: 64 * (1 + dice.small(10)),
            gib: dice.percent(85).then(|| 2 + dice.small(20)),
        }
    }
}

impl Storage {
    fn invent(dice: &mut Dice) -> Self {
        let names = ["datasets", "models", "logs"];
        let names = names.into_iter().filter(|_| dice.percent(50)).collect::<Vec<_>>();
        Self {
            gib: 4 + dice.small(80),
            minio: dice.percent(20),
            buckets: names.into_iter().map(|name| Bucket::invent(name, dice)).collect(),
        }
    }

    fn revise(&mut self, dice: &mut Dice) -> Option<Revision> {
        let count = u64::try_from(self.buckets.len()).ok()?;
        let chosen = usize::try_from(dice.below(count)).ok()?;
        match dice.below(6) {
            0 => {
                let name = format!("more-{}", dice.below(3));
                if self.buckets.iter().all(|bucket| bucket.name != name) {
                    self.buckets.push(Bucket::invent(&name, dice));
                }
                Some("a bucket comes")
            }
            1 if count > 0 => {
                self.buckets.remove(chosen);
                Some("a bucket goes")
            }
            2 => {
                let old = &self.buckets.get(chosen)?.name;
                let name = match old.strip_suffix("-again") {
                    Some(first) => first.to_owned(),
                    None => format!("{old}-again"),
                };
                if self.buckets.iter().any(|bucket| bucket.name == name) {
                    return None;
                }
                self.buckets[chosen].name = name;
                Some("a bucket is renamed")
            }
            3 => {
                let bucket = self.buckets.get_mut(chosen)?;
                bucket.versioning = !bucket.versioning;
                Some(if bucket.versioning {
                    "versioning on"
                } else {
                    "versioning off"
                })
            }
            4 => {
                let bucket = self.buckets.get_mut(chosen)?;
                let was = bucket.expire.unwrap_or(u32::MAX);
                *bucket = Bucket {
                    versioning: bucket.versioning,
                    ..Bucket::invent(&bucket.name.clone(), dice)
                };
                Some(if bucket.expire.unwrap_or(u32::MAX) < was {
                    "a shorter expiry"
                } else {
                    "a longer expiry"
                })
            }
            _ => {
                self.minio = !self.minio;
                Some("another S3 server")
            }
        }
    }
}

impl Bucket {
    fn invent(name: &str, dice: &mut Dice) -> Self {
        Self {
            name: name.to_owned(),
            versioning: dice.percent(50),
            expire: dice.percent(50).then(|| 1 + dice.small(90)),
            expire_noncurrent: dice.percent(50).then(|| 1 + dice.small(90)),
        }
    }
}

impl Security {
    fn invent(dice: &mut Dice) -> Self {
        Self {
            restricted: dice.percent(50),
            guests: dice.small(4),
            quota: dice.percent(30).then(|| 20 + dice.small(100)),
        }
    }
}
