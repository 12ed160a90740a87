//! What every provider has to keep, as named checks that any harness can run.
//!
//! A harness says how to reach a provider, which objects to use and how to wait; [`checks`] returns the
//! checks. Each takes a set and objects of its own, so that many may run on one server.
//!
//! ```
//! # use platform_core::testing::conformance::checks;
//! let names: Vec<_> = checks().iter().map(|check| check.name).collect();
//! assert!(names.contains(&"create_is_idempotent"));
//! ```

mod lease;
mod objects;
mod rights;
mod subject;

pub use subject::Subject;

use crate::provider::Provider;
use crate::resource::Resource;
use crate::value::{Clock, Kind, SetId};
use crate::{Error, Result};
use async_trait::async_trait;
use futures::future::BoxFuture;
use serde_json::Value;
use std::fmt::Debug;
use std::sync::Arc;

/// How to reach a provider and what to use there.
#[async_trait]
pub trait Harness: Debug + Send + Sync {
    /// `world`, `control_plane`, `moto`: printed before the name of each check.
    fn name(&self) -> &str;

    /// A client with all rights, as a new process would make it.
    ///
    /// # Errors
    /// When the place cannot be reached.
    async fn provider(&self) -> Result<Arc<dyn Provider>>;

    /// The clock that the provider uses.
    fn clock(&self) -> Arc<dyn Clock>;

    /// A set that nobody else uses.
    fn set(&self, check: &str) -> SetId;

    /// Objects to use, of as many kinds as matter, with names that nobody else uses.
    fn samples(&self, check: &str) -> Vec<Sample>;

    /// Whether it can do what some checks need.
    fn can(&self, need: Need) -> bool;

    /// Makes an object that belongs to somebody else. For [`Need::Foreign`].
    ///
    /// # Errors
    /// When it cannot be made.
    async fn plant(&self, resource: &Resource) -> Result<()>;

    /// A client that may not read a kind. For [`Need::Rights`].
    ///
    /// # Errors
    /// When it cannot be made.
    async fn without_reading(&self, kind: &Kind) -> Result<Arc<dyn Provider>>;

    /// A client whose next call is answered with "too many requests". For [`Need::Throttling`].
    ///
    /// # Errors
    /// When it cannot be made.
    async fn throttled(&self) -> Result<Arc<dyn Provider>>;

    /// Secret texts that are in play; none may show anywhere.
    fn secrets(&self) -> Vec<String>;

    /// Runs a check to its end: with a runtime, or by driving a manual clock.
    ///
    /// # Errors
    /// What the check found, or that it stalled.
    fn run(&self, check: BoxFuture<'_, Verdict>) -> Verdict;

    /// Removes whatever a set left. Called after each check, also after a failed one.
    ///
    /// # Errors
    /// When something cannot be removed.
    async fn clean(&self, set: &SetId) -> Result<()>;
}

/// What a check needs beyond the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// Objects of somebody else.
    Foreign,
    /// Clients without some rights.
    Rights,
    /// Answers of "too many requests".
    Throttling,
}

/// An object to use.
#[derive(Clone, Debug)]
pub struct Sample {
    /// It.
    pub resource: Resource,
    /// What has to stand before it.
    pub needs: Vec<Resource>,
    /// Its wish after a change that the API takes where it stands.
    pub changed: Value,
    /// Its wish after a change that the API never takes, if there is one.
    pub refused: Option<Value>,
    /// The same under the longest legal name.
    pub longest: Option<Resource>,
}

impl Sample {
    /// An object that needs nothing, and a change that is taken where it stands.
    pub fn new(resource: Resource, changed: Value) -> Self {
        Self {
            resource,
            needs: Vec::new(),
            changed,
            refused: None,
            longest: None,
        }
    }
    /// Adds what has to stand first.
    #[must_use]
    pub fn with_needs(mut self, needs: impl IntoIterator<Item = Resource>) -> Self {
        self.needs.extend(needs);
        self
    }
    /// Sets a wish that the API never takes.
    #[must_use]
    pub fn with_refused(mut self, refused: Value) -> Self {
        self.refused = Some(refused);
        self
    }
    /// Sets the same under the longest legal name.
    #[must_use]
    pub fn with_longest(mut self, longest: Resource) -> Self {
        self.longest = Some(longest);
        self
    }
}

/// What a check found: nothing, or why not.
pub type Verdict = std::result::Result<(), String>;

type Run = for<'a> fn(&'a dyn Harness) -> BoxFuture<'a, Verdict>;

/// One rule of the contract.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// `create_is_idempotent`.
    pub name: &'static str,
    /// What it needs beyond the contract.
    pub needs: Option<Need>,
    run: Run,
}

impl Check {
    const fn new(name: &'static str, run: Run) -> Self {
        Self { name, needs: None, run }
    }

    const fn needing(name: &'static str, need: Need, run: Run) -> Self {
        Self {
            name,
            needs: Some(need),
            run,
        }
    }

    /// Whether a harness can run it.
    pub fn applies(&self, harness: &dyn Harness) -> bool {
        self.needs.is_none_or(|need| harness.can(need))
    }

    /// Runs it, then cleans up.
    ///
    /// # Errors
    /// What it found.
    pub fn run(&self, harness: &dyn Harness) -> Verdict {
        let found = harness.run((self.run)(harness));
        let set = harness.set(self.name);
        let cleaned = harness.run(Box::pin(async move {
            harness.clean(&set).await.map_err(|why| why.report())
        }));
        found.and(cleaned.map_err(|why| format!("clean up: {why}")))
    }
}

macro_rules! check {
    ($module:ident :: $name:ident) => {
        Check::new(stringify!($name), |harness| {
            Box::pin($module::$name(harness, stringify!($name)))
        })
    };
    ($module:ident :: $name:ident, $need:ident) => {
        Check::needing(stringify!($name), Need::$need, |harness| {
            Box::pin($module::$name(harness, stringify!($name)))
        })
    };
}

/// All checks.
pub fn checks() -> Vec<Check> {
    vec![
        check!(objects::absent_is_not_an_error),
        check!(objects::created_is_settled),
        check!(objects::create_is_idempotent),
        check!(objects::create_never_touches_what_is_there),
        check!(objects::becomes_ready_within_its_patience),
        check!(objects::update_changes_only_what_differs),
        check!(objects::repeated_update_is_harmless),
        check!(objects::stale_update_is_a_conflict),
        check!(objects::immutable_fields_are_refused),
        check!(objects::deleted_is_gone),
        check!(objects::deleting_the_absent_is_harmless),
        check!(objects::another_incarnation_is_not_deleted),
        check!(objects::released_stays_and_is_adopted_again),
        check!(objects::unwanted_shows_as_extra),
        check!(objects::reading_changes_nothing),
        check!(objects::longest_names_work),
        check!(objects::cancelled_create_is_resumable),
        check!(objects::identity_is_stable),
        check!(objects::no_secret_shows),
        check!(rights::foreign_objects_are_never_touched, Foreign),
        check!(rights::unreadable_is_not_absent, Rights),
        check!(rights::throttled_says_try_later, Throttling),
        check!(lease::one_holder_at_a_time),
        check!(lease::a_lease_that_moves_is_kept),
        check!(lease::a_dead_lease_is_taken_over),
        check!(lease::open_creates_survive_their_holder),
    ]
}

fn failed(what: &str) -> impl Fn(Error) -> String + '_ {
    move |why| format!("{what}: {}", why.report())
}

/// Fails unless the two are equal, printing both.
fn expect_equal<T: PartialEq + Debug>(what: &str, found: &T, expected: &T) -> Verdict {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: found {found:?}, expected {expected:?}"))
    }
}

fn expect(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}
