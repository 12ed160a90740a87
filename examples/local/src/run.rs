//! The sub-commands.

use crate::Exit;
use crate::args::{Cli, Command, Options, Output};
use crate::connect::{Connection, Target, connect};
use crate::next;
use crate::progress::{Progress, stamped};
use crate::world_file::write_private;
use anyhow::{Context as _, Result, bail};
use composition::config::PlatformConfig;
use composition::{PlanOptions, Platform};
use platform_core::engine::{
    Action, ApplyOptions, Approvals, Cause, Engine, Plan, Policy, RenderOptions, Report, Stop,
};
use platform_core::testing::World;
use platform_core::value::{Kind, Name, Place, ResourceId};
use platform_core::{Environment, Error, ErrorKind, Stack as _};
use serde_json::Value;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The config of a run without `--config`.
const DEFAULT_CONFIG: &str = "examples/config/local.yaml";

pub(crate) async fn run(cli: &Cli, stop: &Stop) -> Result<Exit> {
    let options = &cli.options;
    match &cli.command {
        Some(Command::Config { explain }) => config(options, *explain),
        Some(Command::Apply { file: Some(file) }) => apply_file(file, options, stop).await,
        Some(Command::Plan { out }) => Session::open(options).await?.plan(out.as_deref()).await,
        Some(Command::Drift) => Session::open(options).await?.drift().await,
        Some(Command::Outputs) => Session::open(options).await?.outputs().await,
        Some(Command::Destroy) => Session::open(options).await?.destroy(stop).await,
        Some(Command::Apply { file: None }) | None => Session::open(options).await?.apply(stop).await,
    }
}

/// The exit code of an error: refusals and missing approvals have their own.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    match error.downcast_ref::<Error>().map(Error::kind) {
        Some(ErrorKind::Stale | ErrorKind::Blocked | ErrorKind::Locked | ErrorKind::WrongPlace) => Exit::Refused,
        Some(ErrorKind::Unapproved) => Exit::Unapproved,
        _ => Exit::Error,
    }
}

/// Whether whoever read the output went away: nobody is there to be told.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn load(options: &Options) -> Result<PlatformConfig> {
    let path = match &options.config {
        Some(path) => path.clone(),
        None if Path::new(DEFAULT_CONFIG).exists() => PathBuf::from(DEFAULT_CONFIG),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/local.yaml"),
    };
    let layers = PlatformConfig::layers().file(path);
    Ok(options
        .set
        .iter()
        .fold(layers, |layers, assignment| layers.set(assignment.as_str()))
        .load()?)
}

fn config(options: &Options, explain: bool) -> Result<Exit> {
    let text = load(options)?.explain();
    for line in text.lines() {
        let shown = match line.split_once("  # ") {
            Some((value, _)) if !explain => value.trim_end(),
            _ => line,
        };
        print(shown)?;
    }
    Ok(Exit::Done)
}

/// A config, connected.
struct Session<'a> {
    options: &'a Options,
    platform: Platform,
    target: Target,
}

impl<'a> Session<'a> {
    async fn open(options: &'a Options) -> Result<Self> {
        let config = load(options)?;
        let Connection { stack, clock, target } = connect(options).await?;
        let mut builder = Platform::builder(config).provider(stack).clock(clock).holder(holder());
        if let Some(ttl) = target.lease_ttl() {
            builder = builder.lease_ttl(ttl);
        }
        if let Some(wait) = options.wait {
            builder = builder.lease_wait(wait.as_duration());
        }
        Ok(Self {
            options,
            platform: builder.build()?,
            target,
        })
    }

    fn screen(&self) -> Screen<'_> {
        Screen {
            options: self.options,
            target: &self.target,
            rendering: self.platform.rendering(),
        }
    }

    async fn make_plan(&self) -> Result<Plan> {
        let adopt = self
            .options
            .adopt
            .iter()
            .map(|text| self.adopted(text))
            .collect::<Result<Vec<_>>>()?;
        let wanted = PlanOptions::default()
            .with_only(self.options.only.iter().copied())
            .with_adopt(adopt);
        Ok(self.platform.plan_with(&wanted).await?)
    }

    /// `KIND/NAMESPACE/NAME`, where the kind may lack its API group.
    fn adopted(&self, text: &str) -> Result<ResourceId> {
        let Some((kind, name)) = text.split_once('/') else {
            bail!("--adopt {text}: write KIND/NAMESPACE/NAME, or KIND/NAME for what has no namespace");
        };
        let request = self.platform.request()?;
        let wanted = request
            .resources
            .iter()
            .find(|resource| {
                let id = &resource.id;
                (id.kind().short() == kind || id.kind().as_str() == kind) && id.name().as_str() == name
            })
            .map(|resource| resource.id.clone());
        if let Some(id) = wanted {
            return Ok(id);
        }
        // Not wanted under this name: the plan says so, with the id as it was typed.
        let place = Place::kubernetes("main")?;
        Ok(ResourceId::new(place, Kind::new(kind)?, Name::new(name)?))
    }

    async fn plan(&self, out: Option<&Path>) -> Result<Exit> {
        let start = Instant::now();
        let plan = self.make_plan().await?;
        self.screen().plan(&plan, start)?;
        if let Some(path) = out {
            write_private(path, plan.to_json()?.as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
            if self.options.output == Output::Text {
                print(&format!(
                    "Written to {}: `apply {}` does exactly this, or refuses.",
                    path.display(),
                    path.display()
                ))?;
            }
        }
        Ok(verdict(
            &plan,
            &approvals(&plan, self.options)?,
            self.platform.engine().policy(),
        ))
    }

    async fn drift(&self) -> Result<Exit> {
        let start = Instant::now();
        let mut plan = self.make_plan().await?;
        plan.steps.retain(|step| step.cause == Cause::Drift);
        if plan.steps.is_empty() && self.options.output == Output::Text {
            print(&format!(
                "{}\n\nNo drift: nobody changed what this platform set.",
                self.screen().title()
            ))?;
            return Ok(Exit::Done);
        }
        let drifted = !plan.steps.is_empty();
        self.screen().plan(&plan, start)?;
        Ok(if drifted { Exit::Changes } else { Exit::Done })
    }

    async fn outputs(&self) -> Result<Exit> {
        let plan = self.make_plan().await?;
        if plan
            .steps
            .iter()
            .all(|step| matches!(step.action, Action::Create | Action::Adopt))
        {
            bail!("nothing of {} is there yet: apply first", self.platform.set());
        }
        self.show_outputs(&plan.outputs)?;
        if !plan.is_empty() && self.options.output == Output::Text {
            print("Not everything stands as wanted; `plan` shows what differs.")?;
        }
        Ok(Exit::Done)
    }

    fn show_outputs(&self, outputs: &Value) -> Result<()> {
        let outputs = platform_core::engine::Outputs::new(outputs.clone());
        if self.options.output == Output::Json {
            return print(&stamped(outputs.document(), self.target.is_simulated()).to_string());
        }
        print(&format!(
            "Outputs of {}, {}:",
            self.platform.config().name,
            self.target.label()
        ))?;
        print(outputs.display_with(colour()).to_string().trim_end())
    }

    async fn apply(&self, stop: &Stop) -> Result<Exit> {
        let start = Instant::now();
        let plan = self.make_plan().await?;
        self.screen().plan(&plan, start)?;
        let approvals = approvals(&plan, self.options)?;
        let ready = verdict(&plan, &approvals, self.platform.engine().policy());
        if matches!(ready, Exit::Refused | Exit::Unapproved) {
            return Ok(ready);
        }
        if plan.is_empty() {
            self.show_outputs(&plan.outputs)?;
        } else {
            self.screen().consent("Apply this plan?")?;
            let report = run_apply(self.platform.engine(), &plan, &approvals, stop, &self.screen()).await?;
            self.screen().report(&report, false)?;
            if !report.is_success() {
                return Ok(Exit::Partly);
            }
            self.show_outputs(&report.outputs)?;
        }
        if self.options.output == Output::Text {
            print(&next::after_apply(self.options, &self.target, &plan.outputs))?;
        }
        Ok(Exit::Done)
    }

    async fn destroy(&self, stop: &Stop) -> Result<Exit> {
        if !self.options.only.is_empty() {
            bail!("destroy removes the whole platform; to remove one capability take its block out of the config");
        }
        let start = Instant::now();
        let plan = self.platform.destroy_plan().await?;
        self.screen().plan(&plan, start)?;
        let approvals = approvals(&plan, self.options)?;
        let ready = verdict(&plan, &approvals, self.platform.engine().policy());
        if matches!(ready, Exit::Refused | Exit::Unapproved) {
            return Ok(ready);
        }
        if !plan.is_empty() {
            self.screen().consent("Destroy this platform?")?;
        }
        let report = run_apply(self.platform.engine(), &plan, &approvals, stop, &self.screen()).await?;
        self.screen().report(&report, true)?;
        if !report.is_success() {
            return Ok(Exit::Partly);
        }
        if self.options.output == Output::Text {
            print(&next::after_destroy(self.options, &self.target, &report))?;
        }
        Ok(Exit::Done)
    }
}

/// Applies a stored plan: observes and previews what it holds, reads no config.
async fn apply_file(file: &Path, options: &Options, stop: &Stop) -> Result<Exit> {
    if options.config.is_some() || !options.set.is_empty() || !options.only.is_empty() || !options.adopt.is_empty() {
        bail!("apply FILE takes everything from the file: --config, --set, --only and --adopt belong to plan");
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let plan = Plan::from_json(&text)?;
    let Connection { stack, clock, target } = connect(options).await?;
    let mut engine = Engine::builder(clock)
        .policy(policy_of(&plan))
        .holder(holder())
        .provider(stack.provider());
    if let Some(ttl) = target.lease_ttl() {
        engine = engine.lease_ttl(ttl);
    }
    if let Some(wait) = options.wait {
        engine = engine.lease_wait(wait.as_duration());
    }
    let engine = engine.build();
    let screen = Screen {
        options,
        target: &target,
        rendering: RenderOptions::default()
            .with_title(format!("Set {}, plan of {}", plan.request.set, plan.as_of))
            .with_policy(engine.policy().clone()),
    };
    screen.plan(&plan, Instant::now())?;
    let approvals = approvals(&plan, options)?;
    let report = run_apply(&engine, &plan, &approvals, stop, &screen).await?;
    let destroys = plan.request.resources.is_empty();
    screen.report(&report, destroys)?;
    Ok(if report.is_success() { Exit::Done } else { Exit::Partly })
}

/// The policy of the environment that a set's name carries; every risk where it carries none.
fn policy_of(plan: &Plan) -> Policy {
    let environments = [Environment::Local, Environment::Dev, Environment::Staging];
    let named = plan.request.set.as_str().rsplit('-').nth(1);
    let environment = environments
        .into_iter()
        .find(|environment| named == Some(environment.as_str()))
        .unwrap_or(Environment::Prod);
    Policy::of(environment)
}

async fn run_apply(
    engine: &Engine,
    plan: &Plan,
    approvals: &Approvals,
    stop: &Stop,
    screen: &Screen<'_>,
) -> Result<Report> {
    let mut progress = Progress::new(screen.options.output, screen.target.is_simulated());
    let how = ApplyOptions::default().with_stop(stop.clone());
    let result = engine
        .apply_with(plan, approvals, &how, &mut |event| progress.on(&event))
        .await;
    progress.finish();
    Ok(result?)
}

/// The approvals that the command line gives.
fn approvals(plan: &Plan, options: &Options) -> Result<Approvals> {
    let demands = plan.demands();
    let by = holder();
    let mut approvals = demands.accept(&options.accept, &by, &options.reason);
    for token in &options.approve {
        match demands.accept_one(token, &by, &options.reason) {
            Some(approval) => approvals = approvals.with(approval),
            None => bail!("--approve {token}: this plan has no such demand; copy one from the plan"),
        }
    }
    Ok(approvals)
}

/// What an apply of the plan would come to.
fn verdict(plan: &Plan, approvals: &Approvals, policy: &Policy) -> Exit {
    let approved = |resource: &ResourceId, risk| {
        approvals
            .iter()
            .any(|approval| &approval.resource == resource && approval.risk == risk)
    };
    let missing = plan.demands().iter().any(|demand| {
        !demand.optional && policy.risks.contains(&demand.risk) && !approved(&demand.resource, demand.risk)
    });
    if plan.counts().blocked > 0 {
        Exit::Refused
    } else if missing {
        Exit::Unapproved
    } else if plan.is_empty() {
        Exit::Done
    } else {
        Exit::Changes
    }
}

/// Prints what belongs to one run.
struct Screen<'a> {
    options: &'a Options,
    target: &'a Target,
    rendering: RenderOptions,
}

impl Screen<'_> {
    fn title(&self) -> String {
        let title = self.rendering.title.clone().unwrap_or_default();
        format!("{title}, {}", self.target.label())
    }

    fn plan(&self, plan: &Plan, since: Instant) -> Result<()> {
        if self.options.output == Output::Json {
            return print(&stamped(plan.document(), self.target.is_simulated()).to_string());
        }
        let rendering = self
            .rendering
            .clone()
            .with_title(self.title())
            .with_took(since.elapsed())
            .with_colour(colour());
        print(plan.display_with(rendering).to_string().trim_end())
    }

    fn report(&self, report: &Report, sweep: bool) -> Result<()> {
        if self.options.output == Output::Json {
            return print(&stamped(report.document(), self.target.is_simulated()).to_string());
        }
        if self.target.is_simulated() {
            print(&format!("\n{} run:", World::LABEL))?;
        } else {
            print("")?;
        }
        let rendering = RenderOptions::default().with_colour(colour()).with_sweep(sweep);
        print(report.display_with(rendering).to_string().trim_end())
    }

    /// Asks on a terminal; elsewhere consent must have been typed. The embedded world is free to try.
    fn consent(&self, question: &str) -> Result<()> {
        if self.options.yes || self.target.is_simulated() {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            bail!("nobody can be asked here: add --yes, or apply a plan file");
        }
        let mut out = std::io::stdout();
        write!(out, "{question} [y/N] ")?;
        out.flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            Ok(())
        } else {
            bail!("not confirmed; nothing was changed")
        }
    }
}

fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Writes a line; a closed pipe is an error, not a panic.
fn print(text: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

/// `user@host:pid`, as others read who holds the lease and who approved.
fn holder() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    let host = std::env::var("HOSTNAME")
        .ok()
        .or_else(|| std::fs::read_to_string("/etc/hostname").ok())
        .unwrap_or_default();
    let host = match host.trim() {
        "" => "somewhere",
        host => host,
    };
    format!("{user}@{host}:{}", std::process::id())
}
