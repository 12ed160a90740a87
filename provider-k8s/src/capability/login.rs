//! What applications log in with, and how it is rotated.
//!
//! The password of the first revision is made in the Secret that applications read. That of a later one is made in the
//! server's own Secret; then a Job makes the server accept it beside the one before; and only then does the Secret that
//! applications read get it. Killed anywhere, what applications read is accepted.

use crate::capability::stateful::selector;
use crate::object::Scope;
use platform_core::value::{Promoted, Recipe};
use platform_core::{Resource, Result};
use serde_json::json;
use std::collections::BTreeMap;

/// The key of the server's own Secret in which later passwords are made.
pub(crate) const NEXT: &str = "next";

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

    /// The Secret that the password is made in, and its key.
    pub(crate) fn source(&self) -> (String, &'static str) {
        if self.is_first() {
            (self.credentials(), self.key)
        } else {
            (internal(self.name), NEXT)
        }
    }

    /// Adds a later password to the recipes of the server's own Secret.
    pub(crate) fn persist(&self, own: &mut BTreeMap<&'static str, Recipe>) {
        if !self.is_first() {
            own.insert(NEXT, self.password(None));
        }
    }

    /// The Secret that applications read, made before the server; a later one comes by [`Login::promote`].
    pub(crate) fn first(&self) -> Result<Option<Resource>> {
        self.is_first().then(|| self.handed_out(None)).transpose()
    }

    /// Adds the Secret that applications read, of a later revision: behind the Jobs of this name among the resources.
    pub(crate) fn promote(&self, job: &str, resources: &mut Vec<Resource>) -> Result<()> {
        if self.is_first() {
            return Ok(());
        }
        let (secret, key) = self.source();
        let mut promoted = self.handed_out(Some(Promoted {
            from: self.scope.id("Secret", &secret)?.to_string(),
            key: key.to_owned(),
        }))?;
        let labels = json!(selector(job));
        let jobs = resources.iter().filter(|one| {
            one.id.kind().as_str() == "Job.batch" && one.desired["spec"]["template"]["metadata"]["labels"] == labels
        });
        promoted.after.extend(jobs.map(|job| job.id.clone()));
        resources.push(promoted);
        Ok(())
    }

    fn handed_out(&self, promoted: Option<Promoted>) -> Result<Resource> {
        let constants = self.constants.iter().map(|(key, value)| {
            let value = value.clone();
            (*key, Recipe::Literal { value })
        });
        let recipes = constants.chain([(self.key, self.password(promoted))]).collect();
        self.scope.kept_secret(&self.credentials(), self.name, &recipes)
    }

    fn password(&self, promoted: Option<Promoted>) -> Recipe {
        Recipe::Generate {
            length: self.length,
            revision: self.revision,
            promoted,
        }
    }
}

/// The Secret of a server that applications read.
pub(crate) fn credentials(server: &str) -> String {
    format!("{server}-credentials")
}

/// The Secret of a server that nobody else reads.
pub(crate) fn internal(server: &str) -> String {
    format!("{server}-internal")
}
