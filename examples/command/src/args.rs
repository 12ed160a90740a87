//! What can be typed.

use clap::{Args, Parser, Subcommand, ValueEnum};
use platform_core::value::Span;
use platform_core::{Capability, Risk};
use std::path::PathBuf;

/// Everything that can be typed.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Cli<S: Args> {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) options: Options<S>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows what an apply would do. Exit code: 0 nothing, 2 changes, 3 blocked, 4 an approval is missing, 6 effects that the
    /// promoted plan did not have, 1 error
    Plan {
        /// Also writes the plan to this file (mode 0600), for `apply FILE`
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Plans what `destroy` would do
        #[arg(long)]
        destroy: bool,
        #[command(flatten)]
        promoted: Promoted,
    },
    /// Makes the config true. Exit code: 0 done, 1 error, 3 refused, 4 an approval is missing, 5 partly failed
    Apply {
        /// Applies exactly this stored plan, or refuses; reads no config
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        promoted: Promoted,
    },
    /// Shows what others changed. Exit code: 0 nothing, 2 drift, 1 error
    Drift,
    /// Shows where to connect and where the credentials are
    Outputs,
    /// Removes the platform and keeps what holds data. Exit codes as of apply
    Destroy,
    /// Backups: taken now, listed, judged, proved by a restore, restored
    Backup {
        #[command(subcommand)]
        verb: BackupVerb,
    },
    /// Prints what the config asks for (JSON) in the words of others, for Checkov, Trivy, cfn-lint and policies. Reads nothing
    /// that lives
    Export {
        /// In whose words
        #[arg(long, value_enum, default_value_t = Format::Terraform)]
        format: Format,
        /// Of which region, where there is a template for each
        #[arg(long, value_name = "REGION")]
        of: Option<String>,
    },
    /// Prints the rights that the plan needs with what is approved, for whoever applies it: IAM policies, a ClusterRole (JSON)
    Rights {
        /// Those that `destroy` needs
        #[arg(long)]
        destroy: bool,
    },
    /// Shows where another config means something else. Exit code: 0 nowhere, 2 somewhere, 1 error
    Diff {
        /// The other config file, or its name beside this one: `prod`
        #[arg(value_name = "FILE")]
        other: PathBuf,
    },
    /// Shows the effective config
    Config {
        /// With the layer, line and column that each value came from
        #[arg(long)]
        explain: bool,
    },
}

/// A change that comes from another environment.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Promoted {
    /// The plan file that another environment applied: tells what this plan does besides; an apply then refuses
    #[arg(long, value_name = "FILE")]
    pub(crate) promoted_from: Option<PathBuf>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum BackupVerb {
    /// Takes one now. Exit code: 0 whole, 2 something was left out, 1 error
    Run,
    /// Lists what is there
    List,
    /// Judges whether the platform could be restored. Exit code: 0 yes, 2 problems, 1 error
    Status,
    /// Restores one beside the platform, checks its data, and keeps the proof
    Drill {
        /// Default: the newest that can be counted on
        #[arg(value_name = "BACKUP")]
        backup: Option<String>,
    },
    /// Puts back what one holds and the platform no longer has; refuses over servers that still stand
    Restore {
        #[arg(value_name = "BACKUP")]
        backup: String,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Options<S: Args> {
    #[command(flatten)]
    pub(crate) site: S,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl<S: Args> std::ops::Deref for Options<S> {
    type Target = Common;
    fn deref(&self) -> &Common {
        &self.common
    }
}

/// Flags of every binary.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Config file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Overrides one value, such as database.storage=20Gi; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// The embedded world's file; default: in the user's state folder
    #[arg(long, global = true, value_name = "FILE")]
    pub world: Option<PathBuf>,
    /// Only this capability and what it depends on; never removes anything. May be repeated
    #[arg(long, global = true, value_name = "CAPABILITY", value_parser = capability)]
    pub(crate) only: Vec<Capability>,
    /// Takes over an object of nobody, such as ConfigMap/database/settings; may be repeated
    #[arg(long, global = true, value_name = "KIND/NAMESPACE/NAME")]
    pub(crate) adopt: Vec<String>,
    /// Approves one risk of one object, as the plan prints it; may be repeated
    #[arg(long, global = true, value_name = "TOKEN")]
    pub(crate) approve: Vec<String>,
    /// Approves every demand of a risk, such as downtime; loss of data is approved one by one. May be repeated
    #[arg(long, global = true, value_name = "RISK", value_parser = risk)]
    pub(crate) accept: Vec<Risk>,
    /// Why, for the record of approvals
    #[arg(long, global = true, value_name = "TEXT", default_value = "command line")]
    pub(crate) reason: String,
    /// Does not ask
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    /// Waits this long for somebody else's run to end, such as 60s
    #[arg(long, global = true, value_name = "TIME", value_parser = span)]
    pub wait: Option<Span>,
    /// What to print
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Text,
    /// For programs: one document, or one line an event
    Json,
}

/// In whose words something is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A plan, as `terraform show -json` prints it
    Terraform,
    /// A template of one region
    Cloudformation,
}

fn capability(text: &str) -> Result<Capability, String> {
    Capability::ALL
        .into_iter()
        .find(|capability| capability.as_str() == text)
        .ok_or_else(|| {
            let known: Vec<&str> = Capability::ALL.iter().map(|capability| capability.as_str()).collect();
            format!("known are {}", known.join(", "))
        })
}

fn risk(text: &str) -> Result<Risk, String> {
    text.parse().map_err(|_| {
        let known: Vec<&str> = Risk::ALL.iter().map(|risk| risk.as_str()).collect();
        format!("known are {}", known.join(", "))
    })
}

fn span(text: &str) -> Result<Span, String> {
    text.parse::<Span>().map_err(|why| format!("{why}; {}", why.help()))
}
