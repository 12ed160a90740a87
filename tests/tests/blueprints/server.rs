//! Real servers in temporary folders, run by the scripts and configs that the blueprints put into pods.

use platform_core::Resource;
use platform_tests::manifests::{Wanted, resources};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A loopback port that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The text of a key of a ConfigMap of the `local` platform.
pub(crate) fn script(config_map: &str, key: &str) -> String {
    let all = resources(&Wanted::local()).unwrap();
    find(&all, "ConfigMap", config_map).desired["data"][key]
        .as_str()
        .unwrap_or_else(|| panic!("{config_map} has no {key}"))
        .to_owned()
}

pub(crate) fn find<'a>(all: &'a [Resource], kind: &str, name: &str) -> &'a Resource {
    all.iter()
        .find(|one| one.id.kind().as_str() == kind && one.id.name().as_str() == name)
        .unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// The recipe of a key of a Secret.
pub(crate) fn recipe(secret: &str, key: &str) -> Value {
    let all = resources(&Wanted::local()).unwrap();
    find(&all, "Secret", secret).desired["data"][key]["$secret"].clone()
}

/// A folder that is removed with everything in it.
#[derive(Debug)]
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        set_mode(&path, mode);
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn folder(&self, name: &str) -> String {
        let path = self.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// `tls.crt`, `tls.key`, `ca.crt` as the recipes make them: an authority, and a leaf for these names.
    pub(crate) fn certificates(&self, names: &[&str]) {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        authority.distinguished_name.push(DnType::CommonName, "test authority");
        let authority_key = KeyPair::generate().unwrap();
        let authority_certificate = authority.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(authority, authority_key);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut leaf = CertificateParams::new(names.clone()).unwrap();
        leaf.distinguished_name.push(DnType::CommonName, names[0].clone());
        let leaf_key = KeyPair::generate().unwrap();
        let leaf_certificate = leaf.signed_by(&leaf_key, &issuer).unwrap();
        self.write("tls/ca.crt", &authority_certificate.pem(), 0o444);
        self.write("tls/tls.crt", &leaf_certificate.pem(), 0o444);
        self.write("tls/tls.key", &leaf_key.serialize_pem(), 0o400);
    }
}

/// Another authority than the folder's: what a client must not trust.
pub(crate) fn stranger_authority() -> String {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "stranger");
    authority.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

/// A command that is not root, with nothing of this process's environment but what is given.
///
/// Servers refuse to be root. Root gets a user namespace in which it is called nobody: it still reaches its own files,
/// above all programs in a cache folder that nobody else may enter.
pub(crate) fn command(program: &str, arguments: &[&str], env: &BTreeMap<&str, String>) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-user=65534", "--map-group=65534", "--", program]);
        command
    } else {
        Command::new(program)
    };
    command
        .args(arguments)
        .env_clear()
        .envs(env)
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

/// Runs to the end and returns what came out.
pub(crate) fn run(program: &str, arguments: &[&str], env: &BTreeMap<&str, String>) -> Output {
    command(program, arguments, env).output().unwrap()
}

pub(crate) fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

static STARTED: AtomicU32 = AtomicU32::new(0);

/// A running server; killed when dropped, with everything it started.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
    /// In the environment of everything it started, also of what left its process group.
    mark: String,
    data: Option<String>,
    /// What it held when it was killed.
    segment: Option<String>,
}

impl Server {
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Self {
        let file = std::fs::File::create(&log).unwrap();
        let mark = format!(
            "TEST_RUN={}.{}",
            std::process::id(),
            STARTED.fetch_add(1, Ordering::Relaxed)
        );
        let (key, value) = mark.split_once('=').unwrap();
        command.env(key, value).stdout(file.try_clone().unwrap()).stderr(file);
        Self {
            child: command.spawn().unwrap(),
            log,
            mark,
            data: None,
            segment: None,
        }
    }

    /// Waits until `ready` says so.
    pub(crate) fn wait(&mut self, what: &str, mut ready: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !ready() {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{what}: {ended:?}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether it ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn log(&self) -> String {
        let mut text = String::new();
        std::fs::File::open(&self.log)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args([signal, &pid]).stderr(Stdio::null()).status();
    }

    /// Kills it and all that it started at once, as a node's failure does.
    pub(crate) fn kill(&mut self) {
        self.segment = self.segment.take().or_else(|| self.shared_memory());
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What left it behind: its environment tells, or its arguments where a server wrote over that.
        let mark = self.mark.as_bytes();
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
            let arguments = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
            let by_environment = environment.split(|byte| *byte == 0).any(|variable| variable == mark);
            let by_arguments = self.data.as_ref().is_some_and(|data| arguments.contains(data));
            if by_environment || by_arguments {
                let pid = process.file_name();
                let _ = Command::new("kill")
                    .arg("-KILL")
                    .arg(pid)
                    .stderr(Stdio::null())
                    .status();
            }
        }
        // PostgreSQL's children write over both, and go by themselves once they notice; till then nobody else may start.
        let deadline = Instant::now() + Duration::from_secs(10);
        let in_use = |segment: &String| attached(segment).is_some_and(|users| users > 0);
        while self.segment.as_ref().is_some_and(in_use) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The System V segment by which a PostgreSQL server locks its data: the seventh line of `postmaster.pid`.
    pub(crate) fn shared_memory(&self) -> Option<String> {
        let lock = std::fs::read_to_string(Path::new(self.data.as_ref()?).join("postmaster.pid")).ok()?;
        Some(lock.lines().nth(6)?.split_whitespace().nth(1)?.to_owned())
    }

    /// The folder that only this server's processes name in their arguments.
    pub(crate) fn with_data(mut self, data: String) -> Self {
        self.data = Some(data);
        self
    }

    /// Asks it to stop and waits for its end.
    pub(crate) fn stop(&mut self, signal: &str) {
        self.signal(signal);
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "does not stop:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // The next server on the same data removes it, but there may have been none.
        if let Some(segment) = &self.segment {
            let _ = Command::new("ipcrm")
                .args(["--shmem-id", segment])
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// Whether the machine has a System V shared memory segment of this id.
pub(crate) fn has_segment(id: &str) -> bool {
    attached(id).is_some()
}

/// How many processes use a System V shared memory segment; `None` where it is gone.
fn attached(id: &str) -> Option<u32> {
    let all = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let line = all.lines().find(|line| line.split_whitespace().nth(1) == Some(id))?;
    line.split_whitespace().nth(6)?.parse().ok()
}
