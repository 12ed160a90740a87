//! What applications log in with, and how it is rotated together with the passwords that never leave a server's namespace.
//!
//! The password of the first revision is made in the Secret that applications read. That of a later one is made in the
//! server's own Secret; then a Job makes the server accept it beside the one before; and only then does the Secret that
//! applications read get it. Killed anywhere, what applications read is accepted.
//!
//! So it is with the passwords inside: what the Job made the server accept is promoted to a Secret of its own, which
//! whoever logs in there, or the next rotation, goes by.

use crate::capability::stateful::selector;
use crate::object::Scope;
use platform_core::value::{DOMAIN, Promoted, Recipe, ResourceId};
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
    /// Characters of each password.
    pub(crate) length: u32,
    /// Passwords that never leave the namespace: keys in the server's own Secret of the first one and of later ones.
    pub(crate) inside: &'static [(&'static str, &'static str)],
    /// Who later ones belong to, where that is somebody new for each: users by key.
    pub(crate) users: BTreeMap<&'static str, String>,
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

    /// Adds later passwords to the recipes of the server's own Secret.
    pub(crate) fn persist(&self, own: &mut BTreeMap<&'static str, Recipe>) {
        if !self.is_first() {
            let keys = self.inside.iter().map(|(_, next)| *next).chain([NEXT]);
            own.extend(keys.map(|key| (key, self.password(None))));
        }
    }

    /// The Secret that applications read, made before the server; a later one comes by [`Login::promote`].
    pub(crate) fn first(&self) -> Result<Option<Resource>> {
        self.is_first().then(|| self.handed_out(None)).transpose()
    }

    /// Adds the Secret that applications read, of a later revision, and the one with what is accepted inside: behind the
    /// Jobs of this name among the resources.
    pub(crate) fn promote(&self, job: &str, resources: &mut Vec<Resource>) -> Result<()> {
        if self.is_first() {
            return Ok(());
        }
        let labels = json!(selector(job));
        let jobs: Vec<ResourceId> = resources
            .iter()
            .filter(|one| {
                one.id.kind().as_str() == "Job.batch" && one.desired["spec"]["template"]["metadata"]["labels"] == labels
            })
            .map(|job| job.id.clone())
            .collect();
        let mut promoted = vec![self.handed_out(Some(self.promoted(NEXT)?))?];
        if !self.inside.is_empty() {
            promoted.push(self.accepted()?);
        }
        for mut secret in promoted {
            secret.after.extend(jobs.iter().cloned());
            resources.push(secret);
        }
        Ok(())
    }

    fn promoted(&self, key: &str) -> Result<Promoted> {
        Ok(Promoted {
            from: self.scope.id("Secret", &internal(self.name))?.to_string(),
            key: key.to_owned(),
        })
    }

    fn handed_out(&self, promoted: Option<Promoted>) -> Result<Resource> {
        let recipes = literals(&self.constants)
            .chain([(self.key, self.password(promoted))])
            .collect();
        self.scope.kept_secret(&self.credentials(), self.name, &recipes)
    }

    /// What the server accepts inside, under the keys of the first passwords.
    fn accepted(&self) -> Result<Resource> {
        let mut recipes: BTreeMap<&str, Recipe> = literals(&self.users).collect();
        for (first, next) in self.inside {
            recipes.insert(first, self.password(Some(self.promoted(next)?)));
        }
        self.scope.kept_secret(&accepted(self.name), self.name, &recipes)
    }

    fn password(&self, promoted: Option<Promoted>) -> Recipe {
        Recipe::Generate {
            length: self.length,
            revision: self.revision,
            promoted,
        }
    }
}

fn literals<'a>(constants: &'a BTreeMap<&'static str, String>) -> impl Iterator<Item = (&'static str, Recipe)> + 'a {
    constants.iter().map(|(key, value)| {
        let value = value.clone();
        (*key, Recipe::Literal { value })
    })
}

/// The annotation of pods that have to start anew for a rotation.
pub(crate) fn login_revision() -> String {
    format!("{DOMAIN}/login-revision")
}

/// The Secret with the passwords inside that a rotation has made a server accept.
pub(crate) fn accepted(server: &str) -> String {
    format!("{server}-accepted")
}

/// The Secret of a server that applications read.
pub(crate) fn credentials(server: &str) -> String {
    format!("{server}-credentials")
}

/// The Secret of a server that nobody else reads.
pub(crate) fn internal(server: &str) -> String {
    format!("{server}-internal")
}
