//! What applications log in with, and how it is rotated.
//!
//! The values of the first revision are made in the Secret that applications read. Those of a later one are made in a
//! Secret of their own; then a Job makes the server accept them beside those before; and only then does the Secret that
//! applications read get a copy. Killed anywhere, what applications read is accepted.

use crate::capability::stateful::selector;
use crate::object::Scope;
use platform_core::value::Recipe;
use platform_core::{Resource, Result};
use serde_json::json;
use std::collections::BTreeMap;

/// The login of one revision.
#[derive(Debug)]
pub(crate) struct Login<'a> {
    pub(crate) scope: &'a Scope<'a>,
    /// The server.
    pub(crate) name: &'a str,
    pub(crate) revision: u32,
    /// What is no secret, by key: user, database.
    pub(crate) constants: BTreeMap<&'static str, String>,
    /// The key of the password.
    pub(crate) key: &'static str,
    /// Characters of the password.
    pub(crate) length: u32,
}

impl Login<'_> {
    /// The first one was never rotated.
    pub(crate) fn is_first(&self) -> bool {
        self.revision < 2
    }

    /// The Secret that applications read.
    pub(crate) fn credentials(&self) -> String {
        credentials(self.name)
    }

    /// The Secret that the password is made in.
    pub(crate) fn source(&self) -> String {
        if self.is_first() {
            self.credentials()
        } else {
            format!("{}-password-{}", self.name, self.revision)
        }
    }

    /// The Secret that the password is made in, as a resource.
    pub(crate) fn made(&self) -> Result<Resource> {
        let made = Recipe::Generate { length: self.length };
        let recipes = self.recipes(made);
        if self.is_first() {
            self.scope.kept_secret(&self.source(), self.name, &recipes)
        } else {
            // Its copy is kept, and is what applications go by.
            self.scope.remade_secret(&self.source(), self.name, &recipes)
        }
    }

    /// Adds the Secret that applications read where it is a copy: behind the Jobs of this name among the resources.
    pub(crate) fn promote(&self, job: &str, resources: &mut Vec<Resource>) -> Result<()> {
        if self.is_first() {
            return Ok(());
        }
        let copy = Recipe::Copy {
            from: self.scope.id("Secret", &self.source())?.to_string(),
            key: self.key.to_owned(),
            revision: 1,
        };
        let mut promoted = self
            .scope
            .kept_secret(&self.credentials(), self.name, &self.recipes(copy))?;
        let labels = json!(selector(job));
        let jobs = resources.iter().filter(|one| {
            one.id.kind().as_str() == "Job.batch" && one.desired["spec"]["template"]["metadata"]["labels"] == labels
        });
        promoted.after.extend(jobs.map(|job| job.id.clone()));
        resources.push(promoted);
        Ok(())
    }

    fn recipes(&self, password: Recipe) -> BTreeMap<&'static str, Recipe> {
        let constants = self.constants.iter().map(|(key, value)| {
            let value = value.clone();
            (*key, Recipe::Literal { value })
        });
        constants.chain([(self.key, password)]).collect()
    }
}

/// The Secret of a server that applications read.
pub(crate) fn credentials(name: &str) -> String {
    format!("{name}-credentials")
}
