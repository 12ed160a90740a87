//! Pairs of config files: what stands by the old one and holds data survives the new one, unless somebody agreed
//! to lose exactly that.
//!
//! The files are read by the real loader and wired to the blueprints of provider-k8s. A failure prints its seed;
//! `WORLD_SEED=<seed>` tells that one history again.

mod accounts;
mod draft;
mod guard;
mod history;

use crate::seeds;
use history::History;
use libtest_mimic::Trial;
use platform_core::Creation;
use platform_core::testing::Sabotage;

/// Histories, and the pairs of configs in each.
const HISTORIES: u64 = 2_500;
const PAIRS: u64 = 8;

pub(crate) fn trials() -> Vec<Trial> {
    let mut all = vec![
        crate::trial("configs::twenty_thousand_pairs", twenty_thousand_pairs),
        crate::trial("configs::sabotage_is_noticed", sabotage_is_noticed),
    ];
    all.extend(accounts::trials());
    all
}

fn twenty_thousand_pairs() {
    seeds::tell_all("histories of configs", HISTORIES, EXERCISED, |seed| {
        let mut history = History::new(seed, None);
        let end = history.tell(PAIRS);
        (history.tally, end)
    });
}

/// What has to have happened often: a revision and how it ended, a step that was done or refused.
const EXERCISED: &[&str] = &[
    "of a whole platform",
    "Create",
    "Update",
    "Delete",
    "Release",
    "Adopt",
    "Blocked",
    "Unapproved",
    "a volume grew",
    "a volume was kept",
    "a volume was adopted again",
    "a volume was deleted",
    "a volume was replaced by hand",
    "a shrunken volume was refused",
    "another version on existing data was refused",
    "another program on existing data was refused",
    "somebody else's object was refused",
    "consent to lose one object's data",
    "a block comes",
    "a block goes",
    "a bucket comes",
    "a bucket goes",
    "a bucket is renamed",
    "a longer expiry",
    "a shorter expiry",
    "versioning on",
    "versioning off",
    "another S3 server",
    "another cache server",
    "another environment",
    "another name",
    "another prefix: applied",
    "another name of the server",
    "other settings of the database",
    "other limits",
    "other tags",
    "the platform goes: applied",
    "watched and backed up",
    "monitoring comes",
    "monitoring goes",
    "other monitoring",
    "backups begin",
    "backups end",
    "other backups",
    "a volume of metrics or backups was kept",
];

/// Each defect that can matter here shows in at most half of the histories. The others concern creates that nothing
/// guards, of which a cluster has none.
fn sabotage_is_noticed() {
    let kinds = provider_k8s::facts;
    let request = crate::platform::request(crate::platform::EXAMPLE);
    let create = |resource: &platform_core::Resource| kinds(resource.id.kind()).unwrap().create;
    assert!(
        request
            .resources
            .iter()
            .all(|resource| create(resource) == Creation::Exclusive),
        "a create that nothing guards: then the tokens and their records matter here, too"
    );
    for sabotage in [Sabotage::IgnoreHolds, Sabotage::SkipUidPrecondition] {
        let noticed = (0..HISTORIES / 2).find_map(|seed| {
            let why = History::new(seed, Some(sabotage)).tell(PAIRS).err()?;
            Some((seed, why))
        });
        let Some((seed, why)) = noticed else {
            panic!("{sabotage:?} went unnoticed");
        };
        println!("configs: {sabotage:?} noticed by seed {seed}: {why}");
    }
}
