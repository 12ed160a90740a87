//! Programs that belong to a control plane and go with it.

use std::{collections::BTreeMap, fs, path::Path, path::PathBuf};

use anyhow::Result;

use super::{ControlPlane, supervisor::runs, tail};

/// A running program beside a control plane: killed when it is dropped, and whenever the control plane ends.
#[derive(Debug)]
pub struct Beside<'a> {
    plane: &'a ControlPlane,
    pid: u32,
    log: PathBuf,
}

impl ControlPlane {
    /// Starts a program in the folder of this control plane, with no variable in its environment but these. Its output
    /// goes to the file `NAME.log` of that folder, after what is there.
    ///
    /// # Errors
    /// The process that holds all others is gone.
    pub fn run_beside(
        &self,
        name: &str,
        program: &Path,
        arguments: &[String],
        environment: &BTreeMap<&str, String>,
    ) -> Result<Beside<'_>> {
        let mut words = vec![String::from("-i")];
        words.extend(environment.iter().map(|(key, value)| format!("{key}={value}")));
        words.push(program.display().to_string());
        words.extend_from_slice(arguments);
        let log = self.folder().join(format!("{name}.log"));
        let pid = self.supervisor().spawn(Path::new("env"), &words, &log)?;
        Ok(Beside { plane: self, pid, log })
    }
}

impl Beside<'_> {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has not ended by itself.
    pub fn is_running(&self) -> bool {
        runs(self.pid)
    }

    /// All that it has printed so far.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines that it has printed.
    pub fn last_words(&self) -> String {
        tail(&self.log)
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.plane.supervisor().end(self.pid) {
            eprintln!("control plane: {error:#}");
        }
    }
}
