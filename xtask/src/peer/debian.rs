//! Servers from Debian packages: the machine's own if it has them, else unpacked into the cache folder.

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{self, Command},
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::cache::{self, FileLock};

/// A package, with the upstream version that the tests are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Debian {
    /// PostgreSQL 15: `initdb`, `postgres`, `pg_ctl`, `psql`.
    Postgres,
    /// Redis 7: `redis-server`, `redis-cli`.
    Redis,
    /// Prometheus 2: `prometheus`, `promtool`. Built without discovery in Kubernetes.
    Prometheus,
    /// Alertmanager 0: `prometheus-alertmanager`, `amtool`.
    Alertmanager,
    /// `prometheus-postgres-exporter` 0.
    PostgresExporter,
    /// `prometheus-redis-exporter` 1.
    RedisExporter,
}

/// Programs of one package, wherever they lie.
#[derive(Clone, Debug)]
pub struct Unpacked {
    programs: PathBuf,
    libraries: Option<PathBuf>,
    never_root: bool,
    /// What it looks for in `/usr/share` and the machine does not have there.
    share: Option<PathBuf>,
}

impl Unpacked {
    /// A command that runs `program` of the package with the libraries it was unpacked with.
    ///
    /// PostgreSQL run by root gets a user namespace in which root is called nobody: it is content, and still reaches
    /// every file that root does. Alertmanager gets one in which its own templates lie in `/usr/share`.
    pub fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        if let Some(share) = &self.share {
            let script = "mount --bind \"$1\" /usr/share && shift && exec \"$@\"";
            let mut command = Command::new("unshare");
            command
                .args([
                    "--user",
                    "--map-root-user",
                    "--mount",
                    "--",
                    "/bin/sh",
                    "-c",
                    script,
                    "sh",
                ])
                .args([share, &program]);
            return command;
        }
        let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        let mut command = if self.never_root && root {
            let mut command = Command::new("unshare");
            command
                .args(["--user", "--map-user=65534", "--map-group=65534", "--"])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    /// The folder of the programs.
    pub fn programs(&self) -> &Path {
        &self.programs
    }
}

impl Debian {
    /// Name of the package.
    pub fn package(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql-15",
            Self::Redis => "redis-server",
            Self::Prometheus => "prometheus",
            Self::Alertmanager => "prometheus-alertmanager",
            Self::PostgresExporter => "prometheus-postgres-exporter",
            Self::RedisExporter => "prometheus-redis-exporter",
        }
    }

    /// Go programs need no library that the machine does not have, and nothing else of what their packages want.
    fn stands_alone(self) -> bool {
        !matches!(self, Self::Postgres | Self::Redis)
    }

    /// The package that holds the program asked for its version, the folder and the beginning of that version.
    fn probe(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Postgres => ("usr/lib/postgresql/15/bin", "postgres", "postgres (PostgreSQL) 15."),
            Self::Redis => ("usr/bin", "redis-server", "Redis server v=7."),
            Self::Prometheus => ("usr/bin", "promtool", "promtool, version 2."),
            Self::Alertmanager => ("usr/bin", "amtool", "amtool, version 0."),
            Self::PostgresExporter => (
                "usr/bin",
                "prometheus-postgres-exporter",
                "postgres_exporter, version 0.",
            ),
            Self::RedisExporter => ("usr/bin", "prometheus-redis-exporter", "Redis Metrics Exporter 1."),
        }
    }

    /// Finds or fetches the package: some seconds the first time.
    ///
    /// # Errors
    /// Neither is the package installed nor can apt (which needs no root for this) download and unpack it, or its
    /// version is not the one the tests are written for.
    pub fn ready(self) -> Result<Unpacked> {
        let (folder, program, _) = self.probe();
        let own = Path::new("/").join(folder);
        if own.join(program).exists() {
            let never_root = self == Self::Postgres;
            return self.checked(Unpacked {
                programs: own,
                libraries: None,
                never_root,
                share: None,
            });
        }
        let home = cache::root()?.join("debian");
        fs::create_dir_all(&home).with_context(|| format!("make {}", home.display()))?;
        let root = home.join(self.package());
        if !root.is_dir() {
            let _lock = FileLock::wait(&home.join("lock"))?;
            if !root.is_dir() {
                self.unpack(&home, &root)?;
            }
        }
        self.checked(Unpacked {
            programs: root.join(folder),
            libraries: Some(root.join("libraries")),
            never_root: self == Self::Postgres,
            share: (self == Self::Alertmanager).then(|| root.join("usr/share")),
        })
    }

    fn checked(self, unpacked: Unpacked) -> Result<Unpacked> {
        let (_, program, version) = self.probe();
        let output = unpacked
            .command(program)
            .arg("--version")
            .output()
            .with_context(|| format!("run {program}"))?;
        // one of them writes its version to stderr, another into a line of its log
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let log = text.split_once("msg=\"").map(|(_, message)| message);
        if !text.starts_with(version) && !log.is_some_and(|log| log.starts_with(version)) {
            bail!("{}: {version}x is needed, found {}", self.package(), text.trim());
        }
        Ok(unpacked)
    }

    fn unpack(self, home: &Path, root: &Path) -> Result<()> {
        eprintln!("fetching the Debian package {} (once)", self.package());
        let began = Instant::now();
        let stage = home.join(format!(".{}-{}", self.package(), process::id()));
        fs::create_dir_all(stage.join("root"))?;
        let outcome = self.unpack_into(home, &stage).and_then(|()| {
            fs::rename(stage.join("root"), root).with_context(|| format!("move it to {}", root.display()))
        });
        let removed = fs::remove_dir_all(&stage);
        outcome?;
        removed.with_context(|| format!("remove {}", stage.display()))?;
        eprintln!("fetched {} in {:.0?}", self.package(), began.elapsed());
        Ok(())
    }

    fn unpack_into(self, home: &Path, stage: &Path) -> Result<()> {
        let apt = Apt::new(home)?;
        let wanted: Vec<String> = if self.stands_alone() {
            vec![self.package().to_owned()]
        } else {
            // what it would install beside what the machine has: exactly the libraries that are missing
            let plan = apt.run(
                stage,
                &["install", "--simulate", "--no-install-recommends", self.package()],
            )?;
            plan.lines().filter_map(installed_by).collect()
        };
        if wanted.is_empty() {
            bail!("apt would install nothing for {}", self.package());
        }
        let mut download = vec!["download"];
        download.extend(wanted.iter().map(String::as_str));
        apt.run(stage, &download)?;
        let root = stage.join("root");
        for file in fs::read_dir(stage)? {
            let file = file?.path();
            if file.extension().is_some_and(|end| end == "deb") {
                let status = Command::new("dpkg")
                    .arg("--extract")
                    .arg(&file)
                    .arg(&root)
                    .status()
                    .context("run dpkg")?;
                if !status.success() {
                    bail!("dpkg --extract {} failed ({status})", file.display());
                }
            }
        }
        // one name for the folder of libraries, whatever the architecture is called
        let folder = fs::read_dir(root.join("usr/lib"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name())
            .find(|name| name.to_string_lossy().contains("-linux-gnu"));
        match folder {
            Some(name) => std::os::unix::fs::symlink(Path::new("usr/lib").join(name), root.join("libraries"))?,
            None => fs::create_dir(root.join("libraries"))?,
        }
        Ok(())
    }
}

/// `NAME=VERSION` of a line `Inst NAME (VERSION Debian:12/stable [amd64])`.
fn installed_by(line: &str) -> Option<String> {
    let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
    let version = rest.split_once('(')?.1.split_whitespace().next()?;
    Some(format!("{name}={version}"))
}

/// apt with lists and archives of its own, so that neither root nor the machine's lists are needed.
struct Apt {
    options: Vec<OsString>,
}

impl Apt {
    fn new(home: &Path) -> Result<Self> {
        let state = home.join("apt");
        fs::create_dir_all(state.join("lists/partial"))?;
        fs::create_dir_all(state.join("cache/archives/partial"))?;
        let mut options = Vec::new();
        for (name, folder) in [("Dir::State::Lists", "lists"), ("Dir::Cache", "cache")] {
            options.push(OsString::from("-o"));
            options.push(OsString::from(format!("{name}={}", state.join(folder).display())));
        }
        options.extend(["-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1", "-qq"].map(OsString::from));
        let apt = Self { options };
        apt.run(home, &["update"])?;
        Ok(apt)
    }

    fn run(&self, folder: &Path, arguments: &[&str]) -> Result<String> {
        let output = Command::new("apt-get")
            .current_dir(folder)
            .env("LC_ALL", "C")
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .args(&self.options)
            // `-qq` implies yes, and `--simulate` then still only prints
            .args(arguments)
            .output()
            .context("apt-get is needed to fetch a server that is not installed")?;
        if !output.status.success() {
            bail!(
                "apt-get {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_apt_would_install() {
        let cases = [
            ("Inst liblzf1 (3.6-3 Debian:12.0/stable [amd64])", Some("liblzf1=3.6-3")),
            (
                "Inst libpq5 [15.1-1] (15.20-0+deb12u1 Debian-Security:12/oldstable-security [amd64]) []",
                Some("libpq5=15.20-0+deb12u1"),
            ),
            ("Conf liblzf1 (3.6-3 Debian:12.0/stable [amd64])", None),
        ];
        for (line, expected) in cases {
            assert_eq!(installed_by(line).as_deref(), expected);
        }
    }
}
