//! The sub-commands.

use crate::Exit;
use crate::args::{Cli, Command, Format, Options, Output, Promoted};
use crate::backups;
use crate::consent::{approvals, holder, verdict};
use crate::next;
use crate::progress::Progress;
use crate::promote;
use crate::screen::{Screen, print};
use crate::site::{Connection, Site, Target};
use crate::world_file::write_private;
use anyhow::{Context as _, Result, bail};
use composition::config::{Difference, PlatformConfig};
use composition::{PlanOptions, Platform};
use platform_core::engine::{Action, ApplyOptions, Approvals, Engine, Plan, Report, Step, Stop};
use platform_core::value::ResourceId;
use platform_core::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Instant;

pub(crate) async fn run<S: Site>(cli: &Cli<S>, stop: &Stop) -> Result<Exit> {
    let options = &cli.options;
    match &cli.command {
        Some(Command::Config { explain }) => config(options, *explain),
        Some(Command::Diff { other }) => diff(options, other),
        Some(Command::Apply {
            file: Some(file),
            promoted,
        }) => apply_file(file, options, promoted, stop).await,
        Some(Command::Plan { out, destroy, promoted }) => {
            let session = Session::open(options).await?;
            session.plan(out.as_deref(), *destroy, promoted).await
        }
        Some(Command::Drift) => Session::open(options).await?.drift().await,
        Some(Command::Outputs) => Session::open(options).await?.outputs().await,
        Some(Command::Export { format, of }) => Session::open(options).await?.export(*format, of.as_deref()),
        Some(Command::Rights { destroy }) => Session::open(options).await?.rights(*destroy).await,
        Some(Command::Destroy) => Session::open(options).await?.destroy(stop).await,
        Some(Command::Backup { verb }) => {
            let session = Session::open(options).await?;
            backups::run(verb, &session.platform, &session.screen()).await
        }
        Some(Command::Apply { file: None, promoted }) => Session::open(options).await?.apply(promoted, stop).await,
        None => Session::open(options).await?.apply(&Promoted::default(), stop).await,
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

fn config_file<S: Site>(options: &Options<S>) -> PathBuf {
    match &options.config {
        Some(path) => path.clone(),
        None if Path::new(S::CONFIG).exists() => PathBuf::from(S::CONFIG),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(S::CONFIG),
    }
}

fn load<S: Site>(options: &Options<S>) -> Result<PlatformConfig> {
    let layers = PlatformConfig::layers().file(config_file(options));
    Ok(options
        .set
        .iter()
        .fold(layers, |layers, assignment| layers.set(assignment.as_str()))
        .load()?)
}

fn config<S: Site>(options: &Options<S>, explain: bool) -> Result<Exit> {
    let config = load(options)?;
    if options.output == Output::Json {
        if explain {
            bail!("config --explain is for people: leave --output json out");
        }
        print(&config.to_json().to_string())?;
        return Ok(Exit::Done);
    }
    let text = config.explain();
    for line in text.lines() {
        let shown = match line.split_once("  # ") {
            Some((value, _)) if !explain => value.trim_end(),
            _ => line,
        };
        print(shown)?;
    }
    Ok(Exit::Done)
}

/// What another config says differently, key by key.
fn diff<S: Site>(options: &Options<S>, other: &Path) -> Result<Exit> {
    let beside = config_file(options).with_file_name(format!("{}.yaml", other.display()));
    let file = if other.components().count() == 1 && other.extension().is_none() && beside.exists() {
        &beside
    } else {
        other
    };
    let (here, there) = (load(options)?, PlatformConfig::load(file)?);
    let differences = here.differences(&there);
    if options.output == Output::Json {
        let side = |side: &Option<(String, String)>| {
            side.as_ref()
                .map(|(value, from)| serde_json::json!({ "value": value, "from": from }))
        };
        for one in &differences {
            let line = serde_json::json!({ "key": one.key, "here": side(&one.here), "there": side(&one.there) });
            print(&line.to_string())?;
        }
    } else if differences.is_empty() {
        print("No difference: both mean the same.")?;
    } else {
        print(&table(&differences))?;
    }
    Ok(if differences.is_empty() {
        Exit::Done
    } else {
        Exit::Changes
    })
}

fn table(differences: &[Difference]) -> String {
    let value = |side: &Option<(String, String)>| side.as_ref().map_or("-".to_owned(), |(value, _)| value.clone());
    let from = |side: &Option<(String, String)>| side.as_ref().map_or("-".to_owned(), |(_, from)| from.clone());
    let rows: Vec<[String; 3]> = differences
        .iter()
        .map(|one| {
            let values = format!("{} -> {}", value(&one.here), value(&one.there));
            [
                one.key.clone(),
                values,
                format!("{} -> {}", from(&one.here), from(&one.there)),
            ]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (keys, values) = (width(0), width(1));
    let lines: Vec<String> = rows
        .iter()
        .map(|[key, value, from]| format!("{key:keys$}  {value:values$}  # {from}"))
        .collect();
    lines.join("\n")
}

/// A config, connected.
struct Session<'a, S: Site> {
    options: &'a Options<S>,
    platform: Platform,
    target: Target,
}

impl<'a, S: Site> Session<'a, S> {
    async fn open(options: &'a Options<S>) -> Result<Self> {
        let config = load(options)?;
        let Connection { clock, target, wiring } = options.site.connect(options, Some(&config)).await?;
        let mut builder = wiring.platform(Platform::builder(config).clock(clock).holder(holder()));
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
            title: self.platform.title(),
            name: self.platform.config().name.clone(),
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
            .into_iter()
            .map(|resource| resource.id)
            .find(|id| (id.kind().short() == kind || id.kind().as_str() == kind) && id.name().as_str() == name);
        wanted.with_context(|| {
            format!("--adopt {text}: the config asks for no such object; copy one that the plan shows as blocked")
        })
    }

    async fn destroy_plan(&self) -> Result<Plan> {
        if !self.options.only.is_empty() {
            bail!("destroy removes the whole platform; to remove one capability take its block out of the config");
        }
        Ok(self.platform.destroy_plan().await?)
    }

    async fn plan(&self, out: Option<&Path>, destroy: bool, promoted: &Promoted) -> Result<Exit> {
        let start = Instant::now();
        let earlier = promoted.read()?;
        let plan = self.plan_to(destroy).await?;
        let beside = earlier.map(|earlier| plan.promotion().compare(&earlier));
        let screen = self.screen();
        screen.plan(&plan, beside.as_ref(), start)?;
        if let Some(path) = out {
            write_private(path, plan.to_json()?.as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
            if screen.is_text() {
                print(&next::after_plan(S::COMMAND, self.options, &self.target, path))?;
            }
        }
        let verdict = verdict(&plan, &approvals(&plan, self.options)?);
        let differs = beside.is_some_and(|beside| beside.extras().next().is_some());
        Ok(if differs && verdict != Exit::Refused {
            Exit::Differs
        } else {
            verdict
        })
    }

    async fn plan_to(&self, destroy: bool) -> Result<Plan> {
        if destroy {
            self.destroy_plan().await
        } else {
            self.make_plan().await
        }
    }

    async fn rights(&self, destroy: bool) -> Result<Exit> {
        let plan = self.plan_to(destroy).await?;
        let plan = plan.under(&approvals(&plan, self.options)?);
        let rights = self.platform.rights(&plan);
        print(&serde_json::to_string_pretty(&rights)?)?;
        Ok(Exit::Done)
    }

    async fn drift(&self) -> Result<Exit> {
        let start = Instant::now();
        let mut plan = self.make_plan().await?;
        self.stands(&plan)?;
        plan.steps = plan.mends().cloned().collect();
        let screen = self.screen();
        let drifted = !plan.steps.is_empty();
        if !drifted && screen.is_text() {
            print(&format!(
                "{}\n\nNo drift: nobody changed what this platform set.",
                screen.heading()
            ))?;
            return Ok(Exit::Done);
        }
        screen.plan(&plan, None, start)?;
        if screen.is_text() && plan.steps.iter().any(|step| step.action == Action::Create) {
            print("What would be created was deleted outside, or is wanted only since the last apply.")?;
        }
        Ok(if drifted { Exit::Changes } else { Exit::Done })
    }

    /// Refuses to tell of a platform of which nothing is there.
    fn stands(&self, plan: &Plan) -> Result<()> {
        let is_absent = |step: &Step| matches!(step.action, Action::Create | Action::Adopt);
        if plan.steps.iter().all(is_absent) {
            bail!("nothing of {} is there yet: apply first", self.platform.set());
        }
        Ok(())
    }

    async fn outputs(&self) -> Result<Exit> {
        let plan = self.make_plan().await?;
        self.stands(&plan)?;
        self.screen().outputs(&plan.outputs)?;
        if !plan.is_empty() && self.options.output == Output::Text {
            print("Not everything stands as wanted; `plan` shows what differs.")?;
        }
        Ok(Exit::Done)
    }

    fn export(&self, format: Format, of: Option<&str>) -> Result<Exit> {
        let request = self.platform.request()?;
        let exported = S::export(self.platform.config(), &request.resources, format, of)?;
        print(&exported.to_string())?;
        Ok(Exit::Done)
    }

    async fn apply(&self, promoted: &Promoted, stop: &Stop) -> Result<Exit> {
        let start = Instant::now();
        let earlier = promoted.read()?;
        let plan = self.make_plan().await?;
        let screen = self.screen();
        let beside = earlier.map(|earlier| plan.promotion().compare(&earlier));
        screen.plan(&plan, beside.as_ref(), start)?;
        promote::refuse_extras(beside.as_ref())?;
        let approvals = approvals(&plan, self.options)?;
        let ready = verdict(&plan, &approvals);
        if matches!(ready, Exit::Refused | Exit::Unapproved) {
            return Ok(ready);
        }
        if plan.is_empty() {
            screen.outputs(&plan.outputs)?;
        } else {
            screen.consent("Apply this plan?")?;
            let report = run_apply(self.platform.engine(), &plan, &approvals, stop, &screen).await?;
            screen.report(&report, false)?;
            if !report.is_success() {
                return Ok(Exit::Partly);
            }
            screen.outputs(&report.outputs)?;
        }
        if screen.is_text() {
            print(&next::after_apply(
                S::COMMAND,
                self.options,
                &self.target,
                &plan.outputs,
            ))?;
        }
        Ok(Exit::Done)
    }

    async fn destroy(&self, stop: &Stop) -> Result<Exit> {
        let start = Instant::now();
        let plan = self.destroy_plan().await?;
        let screen = self.screen();
        screen.plan(&plan, None, start)?;
        let approvals = approvals(&plan, self.options)?;
        let ready = verdict(&plan, &approvals);
        if matches!(ready, Exit::Refused | Exit::Unapproved) {
            return Ok(ready);
        }
        if !plan.is_empty() {
            screen.consent("Destroy this platform?")?;
        }
        let report = run_apply(self.platform.engine(), &plan, &approvals, stop, &screen).await?;
        screen.report(&report, true)?;
        if !report.is_success() {
            return Ok(Exit::Partly);
        }
        if screen.is_text() {
            print(&next::after_destroy(S::COMMAND, self.options, &self.target, &report))?;
        }
        Ok(Exit::Done)
    }
}

/// Applies a stored plan: observes and previews what it holds, reads no config.
async fn apply_file<S: Site>(file: &Path, options: &Options<S>, promoted: &Promoted, stop: &Stop) -> Result<Exit> {
    if options.config.is_some() || !options.set.is_empty() || !options.only.is_empty() || !options.adopt.is_empty() {
        bail!("apply FILE takes everything from the file: --config, --set, --only and --adopt belong to plan");
    }
    let plan = promote::stored(file)?;
    let beside = promoted.read()?.map(|earlier| plan.promotion().compare(&earlier));
    let Connection { clock, target, wiring } = options.site.connect(options, None).await?;
    let mut engine = wiring.engine(
        Engine::builder(clock).policy(plan.policy.clone()).holder(holder()),
        &plan,
    );
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
        title: format!("Set {}, plan of {}", plan.request.set, plan.as_of),
        name: plan.request.set.to_string(),
    };
    screen.plan(&plan, beside.as_ref(), Instant::now())?;
    promote::refuse_extras(beside.as_ref())?;
    let approvals = approvals(&plan, options)?;
    let ready = verdict(&plan, &approvals);
    if matches!(ready, Exit::Refused | Exit::Unapproved) {
        return Ok(ready);
    }
    let report = run_apply(&engine, &plan, &approvals, stop, &screen).await?;
    let destroys = plan.request.resources.is_empty();
    screen.report(&report, destroys)?;
    if !report.is_success() {
        return Ok(Exit::Partly);
    }
    if !destroys {
        screen.outputs(&report.outputs)?;
        if let Some(page) = next::reach(&target, &report.outputs).filter(|_| screen.is_text()) {
            print(&page)?;
        }
    }
    Ok(Exit::Done)
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
