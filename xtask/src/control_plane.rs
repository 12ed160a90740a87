//! A real Kubernetes control plane: etcd, API server, controller-manager and scheduler, without nodes but those of
//! [`fake_kubelet`].
//!
//! It needs no root, listens on 127.0.0.1 and unix sockets only, is up in about 4 seconds, and is gone - processes and
//! files - as soon as its owner drops it or dies.

mod audit;
mod beside;
mod build;
pub(crate) mod client;
mod components;
mod folder;
mod keys;
mod supervisor;

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use self::{
    audit::AuditLog,
    components::Component,
    folder::WorkFolder,
    keys::{Authority, Leaf, kubeconfig},
    supervisor::{Supervisor, runs},
};
pub use self::{
    audit::{AuditEvent, AuditMark},
    beside::Beside,
    build::{Binaries, ETCD_VERSION, KUBERNETES_VERSION, build},
    keys::CONTEXT,
};
use crate::{background::Background, fake_kubelet};

/// From the start of a component until it must answer. Two cores under full load need some ten seconds.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);

/// How to start a [`ControlPlane`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Simulated nodes, `node-1` and so on. Default 1; with 0 no pod ever runs.
    pub nodes: u32,
    /// Files outside the work folder that are to go with it. Default none.
    pub remove_at_end: Vec<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 1,
            remove_at_end: Vec::new(),
        }
    }
}

impl Options {
    /// Sets the number of simulated nodes.
    pub fn with_nodes(mut self, nodes: u32) -> Self {
        self.nodes = nodes;
        self
    }

    /// Adds a file that is removed when the control plane ends.
    pub fn with_removed_at_end(mut self, file: PathBuf) -> Self {
        self.remove_at_end.push(file);
        self
    }
}

/// A running control plane. Dropping it kills its processes and removes its files; so does the death of this process.
#[derive(Debug)]
pub struct ControlPlane {
    // order of drop: the kubelet's task first, then the processes with the folder, then the lock on the folder
    background: Background,
    supervisor: Mutex<Supervisor>,
    folder: WorkFolder,
    binaries: Binaries,
    authority: Authority,
    server: String,
    admin: User,
    audit: AuditLog,
    marks: AtomicU64,
    processes: Vec<(Component, u32)>,
}

/// Someone who may talk to the API server, proved by a client certificate.
#[derive(Clone, Debug)]
pub struct User {
    name: String,
    kubeconfig: PathBuf,
    authority: String,
    leaf: Leaf,
}

impl User {
    /// The name RBAC knows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A kubeconfig file with the one context [`CONTEXT`]; it goes with the control plane.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The text of a kubeconfig for this user at another address of the same API server (`https://...`).
    pub fn kubeconfig_at(&self, server: &str) -> String {
        kubeconfig(server, Some(&self.authority), Some(&self.leaf))
    }
}

impl ControlPlane {
    /// Builds what is missing, starts everything and blocks until a default service account exists and the nodes are
    /// Ready. May be called from blocking and from async code.
    ///
    /// # Errors
    /// The build failed, or a component ended or was not ready within 60 s; the last lines of its log are in the error.
    pub fn start(options: &Options) -> Result<Self> {
        let binaries = build()?;
        let mut attempts = 3;
        loop {
            attempts -= 1;
            match Self::start_once(&binaries, options) {
                // the free port was taken between our look and the server's bind
                Err(error) if attempts > 0 && format!("{error:#}").contains("address already in use") => {}
                outcome => return outcome,
            }
        }
    }

    fn start_once(binaries: &Binaries, options: &Options) -> Result<Self> {
        let background = Background::start("control-plane")?;
        let folder = WorkFolder::create()?;
        let supervisor = Supervisor::start(&folder.path, &options.remove_at_end)?;
        let authority = Authority::new()?;
        let server = format!("https://127.0.0.1:{}", free_port()?);
        let admin = write_user(&folder.path, &server, &authority, "admin", &["system:masters"])?;
        let audit = AuditLog {
            file: folder.path.join("audit.log"),
        };
        let mut plane = Self {
            background,
            supervisor: Mutex::new(supervisor),
            folder,
            binaries: binaries.clone(),
            authority,
            server,
            admin,
            audit,
            marks: AtomicU64::new(0),
            processes: Vec::new(),
        };
        components::write_files(&plane.folder.path, &plane.authority)?;
        plane.run(Component::Etcd)?;
        let socket = plane.folder.path.join(components::ETCD_SOCKET);
        plane.until("etcd's socket", || Ok(socket.exists()))?;

        plane.run(Component::Apiserver)?;
        let client = plane.client()?;
        plane.until_answers(&client, "/readyz")?;
        for component in [Component::ControllerManager, Component::Scheduler] {
            let user = component.user();
            write_user(&plane.folder.path, &plane.server, &plane.authority, user, &[])?;
            plane.run(component)?;
        }
        if options.nodes > 0 {
            let kubelet = write_user(
                &plane.folder.path,
                &plane.server,
                &plane.authority,
                "fake-kubelet",
                &["system:masters"],
            )?;
            let nodes = options.nodes;
            let running = plane.background.wait(async move {
                let client = client::connect(&kubelet.kubeconfig).await?;
                fake_kubelet::start(client, nodes).await
            })??;
            plane.background.spawn(running);
        }
        // without it the first bare pods are refused
        plane.until_answers(&client, "/api/v1/namespaces/default/serviceaccounts/default")?;
        Ok(plane)
    }

    /// The API server's address, `https://127.0.0.1:PORT`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The user `admin` of `system:masters`, whom RBAC does not stop.
    pub fn admin(&self) -> &User {
        &self.admin
    }

    /// kubectl of the server's version.
    pub fn kubectl(&self) -> &Path {
        &self.binaries.kubectl
    }

    /// A folder that goes with the control plane, for files of tests.
    pub fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// Makes a user with no rights but those that RBAC gives to `name` or `groups` (at most two).
    ///
    /// # Errors
    /// More than two groups, or the kubeconfig cannot be written.
    pub fn user(&self, name: &str, groups: &[&str]) -> Result<User> {
        write_user(&self.folder.path, &self.server, &self.authority, name, groups)
    }

    /// Now, in the audit log: every request answered before this call lies before the mark.
    ///
    /// # Errors
    /// The API server does not answer, or its log cannot be read.
    pub fn audit_mark(&self) -> Result<AuditMark> {
        Ok(self.audit_since(AuditMark(0))?.1)
    }

    /// Every request that ended since `mark` (the default mark is the server's start), whoever made it, and the mark
    /// after the last. An open watch is not among them before it ends.
    ///
    /// # Errors
    /// The API server does not answer, or its log cannot be read.
    pub fn audit_since(&self, mark: AuditMark) -> Result<(Vec<AuditEvent>, AuditMark)> {
        // a line is written after its answer has gone out: when that of a later request is there, so are all before
        let uri = format!("/version?mark={}", self.marks.fetch_add(1, Ordering::Relaxed));
        let client = self.client()?;
        let path = uri.clone();
        self.background
            .wait(async move { client::get(&client, &path).await })??;
        let began = Instant::now();
        loop {
            let (mut events, end) = self.audit.since(mark)?;
            if events.iter().any(|event| event.uri == uri) {
                events.retain(|event| !event.uri.starts_with("/version?mark="));
                return Ok((events, end));
            }
            if began.elapsed() > PATIENCE {
                bail!("the audit log shows no {uri}");
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The pids of the components, in the order of their start.
    pub fn pids(&self) -> Vec<u32> {
        self.processes.iter().map(|(_, pid)| *pid).collect()
    }

    /// Kills every process, removes every file and waits until that is done; about 0.1 s.
    ///
    /// # Errors
    /// The files could not be removed.
    pub fn stop(self) -> Result<()> {
        self.supervisor().stop()
    }

    fn supervisor(&self) -> MutexGuard<'_, Supervisor> {
        self.supervisor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&mut self, component: Component) -> Result<()> {
        let program = component.program(&self.binaries);
        let arguments = component.arguments(&self.folder.path, &self.server);
        let pid = self.supervisor().spawn(program, &arguments, &self.log(component))?;
        self.processes.push((component, pid));
        Ok(())
    }

    fn log(&self, component: Component) -> PathBuf {
        self.folder.path.join(format!("{}.log", component.name()))
    }

    fn client(&self) -> Result<kube::Client> {
        let file = self.admin.kubeconfig.clone();
        self.background.wait(async move { client::connect(&file).await })?
    }

    fn until_answers(&self, client: &kube::Client, path: &str) -> Result<()> {
        self.until(path, || {
            let (client, path) = (client.clone(), path.to_owned());
            // refused connections and 404 are what is waited out
            Ok(self
                .background
                .wait(async move { client::get(&client, &path).await })?
                .is_ok())
        })
    }

    fn until(&self, what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
        let began = Instant::now();
        while !done()? {
            for (component, pid) in &self.processes {
                if !runs(*pid) {
                    bail!("{} ended:\n{}", component.name(), tail(&self.log(*component)));
                }
            }
            if began.elapsed() > PATIENCE {
                let last = self
                    .processes
                    .last()
                    .map_or(String::new(), |(component, _)| tail(&self.log(*component)));
                bail!("no {what} within {} s:\n{last}", PATIENCE.as_secs());
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}

/// The work folders of all control planes of this user on this machine.
///
/// # Errors
/// The folder above them cannot be read.
pub fn work_folders() -> Result<Vec<PathBuf>> {
    folder::existing()
}

/// A kubeconfig without credentials for a plain address.
pub(crate) fn plain_kubeconfig(server: &str) -> String {
    kubeconfig(server, None, None)
}

fn write_user(folder: &Path, server: &str, authority: &Authority, name: &str, groups: &[&str]) -> Result<User> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let leaf = authority.user(name, groups)?;
    let text = kubeconfig(server, Some(&authority.certificate()), Some(&leaf));
    // components look their file up by the user's name; of the others a name may come twice
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
        .collect();
    let mut file = folder.join(components::kubeconfig_name(&plain));
    if file.exists() {
        file = folder.join(components::kubeconfig_name(&format!(
            "{plain}-{}",
            COUNT.fetch_add(1, Ordering::Relaxed)
        )));
    }
    fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    Ok(User {
        name: name.to_owned(),
        kubeconfig: file,
        authority: authority.certificate(),
        leaf,
    })
}

/// A port of 127.0.0.1 that nobody listens on just now.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("look for a free port")?;
    Ok(listener.local_addr().context("look for a free port")?.port())
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
