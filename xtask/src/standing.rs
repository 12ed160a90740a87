//! A control plane that stays up: `control-plane up` and `down`.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use xtask::{
    cache::{self, FileLock},
    control_plane::{self, CONTEXT, ControlPlane, Options},
};

/// What `up` and `down` agree on: files in one folder. The lock is held as long as the control plane is up.
struct Standing {
    kubeconfig: PathBuf,
    pid: PathBuf,
    log: PathBuf,
    lock: PathBuf,
}

impl Standing {
    fn in_folder(dir: Option<PathBuf>) -> Result<Self> {
        let dir = dir.map_or_else(|| cache::root().map(|cache| cache.join("control-plane")), Ok)?;
        fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let dir = dir.canonicalize().with_context(|| format!("find {}", dir.display()))?;
        Ok(Self {
            kubeconfig: dir.join("kubeconfig"),
            pid: dir.join("pid"),
            log: dir.join("log"),
            lock: dir.join("lock"),
        })
    }

    fn is_up(&self) -> bool {
        self.lock.exists() && FileLock::try_existing(&self.lock).is_none()
    }
}

pub(crate) fn up(dir: Option<PathBuf>, detach: bool, nodes: u32) -> Result<()> {
    let standing = Standing::in_folder(dir)?;
    if standing.is_up() {
        bail!(
            "a control plane is up already: kubeconfig {}; end it with `cargo xtask control-plane down`",
            standing.kubeconfig.display()
        );
    }
    // built here, so that its progress is seen and its time is not that of the start
    control_plane::build()?;
    if detach {
        start_detached(&standing, nodes)
    } else {
        stay_up(&standing, nodes)
    }
}

fn stay_up(standing: &Standing, nodes: u32) -> Result<()> {
    let _lock = FileLock::wait(&standing.lock)?;
    let began = Instant::now();
    let options = Options::default()
        .with_nodes(nodes)
        .with_removed_at_end(standing.kubeconfig.clone())
        .with_removed_at_end(standing.pid.clone());
    let plane = ControlPlane::start(&options)?;
    write_private(&standing.pid, &process::id().to_string())?;
    // last, and whole or not at all: whoever sees it may use it
    let unfinished = standing.kubeconfig.with_extension("new");
    write_private(&unfinished, &fs::read_to_string(plane.admin().kubeconfig())?)?;
    fs::rename(&unfinished, &standing.kubeconfig)?;
    println!(
        "Kubernetes {} is up after {:.1?}",
        control_plane::KUBERNETES_VERSION,
        began.elapsed()
    );
    print_use(standing, plane.kubectl());
    println!("Ctrl-C ends it");
    loop {
        // Ctrl-C and every other end of this process also end the components
        thread::park();
    }
}

fn start_detached(standing: &Standing, nodes: u32) -> Result<()> {
    let log = File::create(&standing.log).with_context(|| format!("make {}", standing.log.display()))?;
    let dir = standing.kubeconfig.parent().unwrap_or(Path::new("."));
    let mut child = Command::new(env::current_exe()?)
        .args(["control-plane", "up", "--nodes", &nodes.to_string(), "--dir"])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("start the process that holds the control plane")?;
    while !standing.kubeconfig.exists() {
        if let Some(status) = child.try_wait()? {
            bail!(
                "it ended ({status}): {}",
                fs::read_to_string(&standing.log).unwrap_or_default().trim()
            );
        }
        thread::sleep(Duration::from_millis(50));
    }
    println!("Kubernetes {} is up", control_plane::KUBERNETES_VERSION);
    print_use(standing, &control_plane::build()?.kubectl);
    println!("end it with: cargo xtask control-plane down");
    Ok(())
}

fn print_use(standing: &Standing, kubectl: &Path) {
    println!("kubeconfig: {}", standing.kubeconfig.display());
    println!("context:    {CONTEXT}");
    println!(
        "kubectl:    {} --kubeconfig {} get nodes",
        kubectl.display(),
        standing.kubeconfig.display()
    );
}

pub(crate) fn down(dir: Option<PathBuf>) -> Result<()> {
    let standing = Standing::in_folder(dir)?;
    if !standing.is_up() {
        println!("no control plane is up there");
        return Ok(());
    }
    let pid = fs::read_to_string(&standing.pid).context("it is just being started or ended")?;
    // the lock is held, so the pid in the file is that of its holder
    let status = Command::new("kill")
        .args(["-TERM", pid.trim()])
        .status()
        .context("run kill")?;
    if !status.success() {
        bail!("could not end process {}", pid.trim());
    }
    let began = Instant::now();
    while standing.is_up() || standing.kubeconfig.exists() {
        if began.elapsed() > Duration::from_secs(20) {
            bail!("process {} does not end", pid.trim());
        }
        thread::sleep(Duration::from_millis(20));
    }
    println!("down");
    Ok(())
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("write {}", path.display()))
}
