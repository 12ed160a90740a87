//! What is wrong with a config, where, and what to write instead.

use std::collections::BTreeMap;
use std::fmt;

use super::secrets;
use super::source::{At, Sources};

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)*) => {
        /// The rule that a config breaks. Its name is stable; the texts of problems may become better.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Rule { $($(#[doc = $doc])+ $name,)* }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The rule's name, such as `size-unit`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

rules! {
    /// The file cannot be read.
    Unreadable = "unreadable",
    /// The file is not UTF-8.
    Encoding = "encoding",
    /// The file is larger than 1 MiB.
    FileSize = "file-size",
    /// The text is not YAML.
    Syntax = "syntax",
    /// A tab indents a line.
    Tab = "tab",
    /// A key stands twice in one mapping.
    DuplicateKey = "duplicate-key",
    /// A file holds more than one document.
    MultipleDocuments = "multiple-documents",
    /// Aliases expand to more than a config can need.
    AliasLimit = "alias-limit",
    /// A merge key (`<<`) is used.
    MergeKey = "merge-key",
    /// Lists and mappings are nested deeper than any config.
    Nesting = "nesting",
    /// A key has no value.
    EmptyValue = "empty-value",
    /// A key is not known at its place.
    UnknownKey = "unknown-key",
    /// A key that must be there is not.
    MissingKey = "missing-key",
    /// A value has another type than its key takes.
    WrongType = "wrong-type",
    /// A value is not one of the few that its key takes.
    Choice = "choice",
    /// A number is outside its range.
    NumberRange = "number-range",
    /// A key is named like a secret.
    SecretKey = "secret-key",
    /// A value looks like a secret.
    SecretValue = "secret-value",
    /// What is to be left as it is cannot be.
    Leave = "leave",
    /// An override (`--set`) is not `key=value`.
    Override = "override",
    /// A text is not a size.
    SizeUnit = "size-unit",
    /// A text is not a length of time.
    SpanUnit = "span-unit",
    /// A text is not a share in per cent.
    PercentUnit = "percent-unit",
    /// A text is not a cron schedule.
    Schedule = "schedule",
    /// A text is not an amount of CPU.
    CpuUnit = "cpu-unit",
    /// A text is not an image reference.
    Image = "image",
    /// A text is not a registry.
    Registry = "registry",
    /// A text is not a name that Kubernetes or S3 allow.
    NameSyntax = "name-syntax",
    /// A name is too long for what is derived from it.
    NameLength = "name-length",
    /// A tag has a key or value that not every provider allows.
    Tag = "tag",
    /// A pod label has a key or value that Kubernetes does not allow.
    Label = "label",
    /// Two things have one name.
    DuplicateName = "duplicate-name",
    /// The capability or choice is not there yet in this version.
    NotAvailable = "not-available",
    /// The version is not supported.
    Version = "version",
    /// A size is smaller than what can work.
    SizeMinimum = "size-minimum",
    /// A share of CPU is smaller than what can work.
    CpuMinimum = "cpu-minimum",
    /// The connections need more memory than there is.
    ConnectionsMemory = "connections-memory",
    /// The cache is given more memory than its volume can hold on disk.
    CacheVolume = "cache-volume",
    /// A network on AWS that no server can lie in.
    Network = "network",
    /// A cluster that cannot be.
    Cluster = "cluster",
    /// A bucket's name breaks the naming rules of S3.
    BucketName = "bucket-name",
    /// An expiry contradicts itself.
    BucketExpiry = "bucket-expiry",
    /// The environment and the provider do not go together.
    EnvironmentProvider = "environment-provider",
    /// The key belongs to another provider.
    ProviderKey = "provider-key",
    /// A capability is placed where it cannot be.
    Placement = "placement",
    /// A rule lets in what it cannot.
    Allow = "allow",
    /// The namespace of an application is somebody else's, or uses what it cannot.
    Application = "application",
    /// Rights are for nobody, for somebody twice, or for the cluster's own.
    People = "people",
    /// A quota is for nothing, or too small for what it is to hold.
    Quota = "quota",
    /// A Pod Security Standard is too weak.
    PodSecurity = "pod-security",
    /// Backups would go before the next one is there, or metrics within a day.
    Retention = "retention",
    /// A backup is of nothing, or of what holds no data.
    BackupScope = "backup-scope",
    /// A backup store is described twice over, or not in full.
    BackupStore = "backup-store",
    /// A platform or database is to start from no backup, or from one that cannot be there.
    RestoreFrom = "restore-from",
    /// Somebody is to be told of alarms in no way, in several, or at no address.
    Receiver = "receiver",
    /// The description of an S3 server contradicts itself.
    Flavour = "flavour",
    /// Nothing is asked for.
    Nothing = "nothing",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One problem of a config: where it is, what it is, what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    rule: Rule,
    file: String,
    line: usize,
    column: usize,
    width: usize,
    key: String,
    message: String,
    help: Option<String>,
    note: Option<String>,
    source_line: String,
}

impl Problem {
    /// The rule that is broken.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// The file's name without its folders, or the name given to the text.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, counted from 1; 0 when the problem has no place in the text.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in characters, counted from 1; 0 when the problem has no place in the text.
    pub fn column(&self) -> usize {
        self.column
    }

    /// How many characters of the line are meant.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The key, such as `storage.buckets[0].name`; empty for a problem of the whole file.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to write instead.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The line of the file; what looks like a secret in it is replaced by `***`.
    pub fn source_line(&self) -> &str {
        &self.source_line
    }

    fn render(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LABEL: usize = 64;
        f.write_str("  x ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        writeln!(f, "{}", self.message)?;
        let mut help = self.help.as_deref();
        if self.line > 0 || self.note.is_some() || !self.file.is_empty() {
            write!(f, "     ,-[{}", self.file)?;
            if self.line > 0 {
                write!(f, ":{}:{}", self.line, self.column)?;
            }
            f.write_str("]")?;
            match &self.note {
                Some(note) => writeln!(f, "  {note}")?,
                None => writeln!(f)?,
            }
        }
        if self.line > 0 {
            let (line, column) = window(&self.source_line, self.column);
            writeln!(f, "{:4} | {line}", self.line)?;
            let room = line.chars().count().saturating_sub(column - 1).max(1);
            let caret = "^".repeat(self.width.clamp(1, room));
            write!(f, "     . {:blank$}{caret}", "", blank = column - 1)?;
            match help.take_if(|h| h.chars().count() <= LABEL) {
                Some(label) => writeln!(f, " {label}")?,
                None => writeln!(f)?,
            }
        }
        match help {
            Some(help) => writeln!(f, "      help: {help}"),
            None => Ok(()),
        }
    }
}

/// At most 120 characters of a line around a column, and the column within them.
fn window(line: &str, column: usize) -> (String, usize) {
    const WIDTH: usize = 120;
    if line.chars().count() <= WIDTH {
        return (line.to_owned(), column.max(1));
    }
    let from = column.saturating_sub(WIDTH / 2);
    let part: String = line.chars().skip(from).take(WIDTH).collect();
    (part, column.saturating_sub(from).max(1))
}

/// Everything that is wrong with a config, at once.
///
/// `Display` prints every problem with its place, its line and the fix:
///
/// ```text
/// 1 problem in examples/config/prod.yaml
///
///   x database.storage: "10G" is not a size in binary units
///      ,-[prod.yaml:6:12]
///    6 |   storage: 10G
///      .            ^^^ write 10Gi (10.7 GB)
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors {
    name: String,
    problems: Vec<Problem>,
    more: usize,
}

impl ConfigErrors {
    /// The first 200 problems, those of lower layers first, each file's from top to bottom.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The config's name: the path of its topmost file.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len() + self.more;
        let plural = if count == 1 { "" } else { "s" };
        writeln!(f, "{count} problem{plural} in {}\n", self.name)?;
        self.problems.iter().try_for_each(|problem| problem.render(f))?;
        if self.more > 0 {
            writeln!(f, "  and {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl From<ConfigErrors> for platform_core::Error {
    fn from(errors: ConfigErrors) -> Self {
        Self::new(platform_core::ErrorKind::Invalid, errors.to_string()).with_operation("load config")
    }
}

/// A problem before its line is looked up.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) rule: Rule,
    pub(super) at: At,
    pub(super) key: String,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// What makes it a problem, and where that stands.
    pub(super) because: Option<(String, At)>,
}

impl Found {
    pub(super) fn new(rule: Rule, at: At, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            rule,
            at,
            key: key.into(),
            message: message.into(),
            help: None,
            because: None,
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn because(mut self, what: impl Into<String>, at: At) -> Self {
        self.because = Some((what.into(), at));
        self
    }
}

/// How many problems are looked up and shown: more than anybody reads at once.
const SHOWN: usize = 200;

/// Looks up the lines of what was found; `Err` unless nothing was.
pub(super) fn report(sources: &Sources, mut found: Vec<Found>) -> Result<(), ConfigErrors> {
    if found.is_empty() {
        return Ok(());
    }
    found.sort_by_key(|f| (f.at.source, f.at.line, f.at.column));
    let more = found.len().saturating_sub(SHOWN);
    // Many problems may share one long line.
    let mut lines = BTreeMap::new();
    let problems = found
        .into_iter()
        .take(SHOWN)
        .map(|f| Problem {
            rule: f.rule,
            file: sources.short_name(f.at).to_owned(),
            line: f.at.line,
            column: f.at.column,
            width: f.at.width,
            key: f.key,
            message: f.message,
            help: f.help,
            note: f
                .because
                .map(|(what, at)| format!("{what} comes from {}", sources.describe(at))),
            source_line: lines
                .entry((f.at.source, f.at.line))
                .or_insert_with(|| secrets::masked(&sources.line(f.at)))
                .clone(),
        })
        .collect();
    Err(ConfigErrors {
        name: sources.name().to_owned(),
        problems,
        more,
    })
}
