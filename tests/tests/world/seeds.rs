//! Random suites: each story replays from its seed, and each suite tells what it exercised.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// What happened, and how often.
pub(crate) type Tally = BTreeMap<String, u64>;

/// Whatever a suite claims to exercise happens at least so often.
const OFTEN: u64 = 200;

/// Tells the stories of the seeds below `count` on two threads; or only that of `WORLD_SEED`, if it is set.
pub(crate) fn tell_all(
    suite: &str,
    count: u64,
    exercised: &[&str],
    tell: impl Fn(u64) -> (Tally, Result<(), String>) + Sync,
) {
    if let Some(seed) = std::env::var("WORLD_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let (tally, end) = tell(seed);
        println!("{suite}: seed {seed}: {tally:?}");
        return end.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    let started = std::time::Instant::now();
    let threads = 2;
    let total = Mutex::new(Tally::new());
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for teller in 0..threads {
            let (failed, total, tell) = (&failed, &total, &tell);
            scope.spawn(move || {
                for seed in (0..count).filter(|seed| seed % threads == teller) {
                    if failed.lock().unwrap().is_some() {
                        return;
                    }
                    let (tally, end) = tell(seed);
                    let mut total = total.lock().unwrap();
                    for (what, times) in tally {
                        *total.entry(what).or_insert(0) += times;
                    }
                    if let Err(why) = end {
                        *failed.lock().unwrap() = Some((seed, why));
                    }
                }
            });
        }
    });
    if let Some((seed, why)) = failed.into_inner().unwrap() {
        panic!("{suite}: seed {seed}: {why}\n  again: WORLD_SEED={seed}");
    }
    let total = total.into_inner().unwrap();
    println!("{count} {suite} in {:.1?}: {total:?}", started.elapsed());
    for what in exercised {
        let times = total.get(*what).copied().unwrap_or(0);
        assert!(times >= OFTEN, "{suite}: {what:?} happened {times} times only");
    }
}

/// A series of numbers that only its seed decides.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.roll() % n.max(1)
    }
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
    pub(crate) fn small(&mut self, n: u64) -> u32 {
        u32::try_from(self.below(n)).unwrap()
    }
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(all.len()).unwrap();
        all.get(usize::try_from(self.below(count)).unwrap())
    }
}
