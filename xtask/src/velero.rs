//! The real Velero beside a control plane, and the S3 server that it keeps backups in.
//!
//! It takes the place of the container that the simulated node only pretends to run: started with the arguments of its
//! Deployment, it does everything but copy volumes, which is the work of the agents on nodes.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    control_plane::{Beside, ControlPlane, free_port},
    peer,
};

/// From the start of a program until it must answer.
const PATIENCE: Duration = Duration::from_secs(30);
const ACCESS_KEY: &str = "backups";

/// An S3 server with TLS whose objects are plain files.
#[derive(Debug)]
pub struct Store<'a> {
    plane: &'a ControlPlane,
    name: String,
    folder: PathBuf,
    port: u16,
    secret_key: String,
    running: Option<Beside<'a>>,
}

impl<'a> Store<'a> {
    /// Starts one with these buckets. The name must be its own among those of the control plane.
    ///
    /// # Errors
    /// The server cannot be built, or does not listen within 30 s.
    pub fn start(plane: &'a ControlPlane, name: &str, buckets: &[&str]) -> Result<Self> {
        let folder = plane.folder().join(name);
        for bucket in buckets {
            let path = folder.join(bucket);
            fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        }
        let mut store = Self {
            plane,
            name: name.to_owned(),
            folder,
            port: free_port()?,
            secret_key: format!("key-of-{name}"),
            running: None,
        };
        store.resume()?;
        Ok(store)
    }

    /// `https://localhost:PORT`; its certificate is signed by the control plane's authority.
    pub fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The file of AWS credentials that opens it.
    pub fn credentials(&self) -> String {
        format!(
            "[default]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={}\n",
            self.secret_key
        )
    }

    /// The folder whose files are the objects of this bucket.
    pub fn bucket(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Ends the server; what it holds stays.
    pub fn interrupt(&mut self) {
        self.running = None;
    }

    /// Starts it again where it was, with another key if one is given.
    ///
    /// # Errors
    /// It does not listen within 30 s.
    pub fn resume_with_key(&mut self, secret_key: &str) -> Result<()> {
        self.interrupt();
        secret_key.clone_into(&mut self.secret_key);
        self.resume()
    }

    /// Starts it again where it was.
    ///
    /// # Errors
    /// It does not listen within 30 s.
    pub fn resume(&mut self) -> Result<()> {
        let file = |name: &str| self.plane.folder().join(name).display().to_string();
        let arguments = [
            "--port",
            &format!("127.0.0.1:{}", self.port),
            "--region",
            "us-east-1",
            "--cert",
            &file("apiserver.crt"),
            "--key",
            &file("apiserver.key"),
            "--quiet",
            "posix",
            &self.folder.display().to_string(),
        ]
        .map(str::to_owned);
        let environment = BTreeMap::from([
            ("ROOT_ACCESS_KEY", ACCESS_KEY.to_owned()),
            ("ROOT_SECRET_KEY", self.secret_key.clone()),
        ]);
        let program = peer::velero()?.store;
        let running = self.plane.run_beside(&self.name, &program, &arguments, &environment)?;
        until(&running, "versitygw", || listens(self.port))?;
        self.running = Some(running);
        Ok(())
    }
}

/// A running Velero.
#[derive(Debug)]
pub struct Velero<'a> {
    running: Beside<'a>,
    metrics: u16,
}

impl<'a> Velero<'a> {
    /// Starts the server of this namespace, with the arguments of its container but for addresses and paths, and waits
    /// until it shows metrics. The definitions and the namespace must be there.
    ///
    /// # Errors
    /// It cannot be built, ends by itself, or does not answer within 30 s.
    pub fn start(plane: &'a ControlPlane, namespace: &str, arguments: &[String]) -> Result<Self> {
        let programs = peer::velero()?;
        let (metrics, name) = (free_port()?, format!("velero-{namespace}"));
        let home = plane.folder().join(&name);
        fs::create_dir_all(&home).with_context(|| format!("make {}", home.display()))?;
        let home = home.display().to_string();
        let mut words: Vec<String> = arguments
            .iter()
            .filter(|word| !word.starts_with("--metrics-address="))
            .cloned()
            .collect();
        words.extend([
            format!("--metrics-address=127.0.0.1:{metrics}"),
            "--profiler-address=127.0.0.1:0".to_owned(),
            format!("--kubeconfig={}", plane.admin().kubeconfig().display()),
            format!("--plugin-dir={}", programs.plugins.display()),
        ]);
        let environment = BTreeMap::from([
            ("HOME", home.clone()),
            // credentials of stores and the index of a repository lie there
            ("TMPDIR", home.clone()),
            ("VELERO_NAMESPACE", namespace.to_owned()),
            ("VELERO_SCRATCH_DIR", home),
            ("SSL_CERT_FILE", plane.folder().join("ca.crt").display().to_string()),
        ]);
        let running = plane.run_beside(&name, &programs.velero, &words, &environment)?;
        let velero = Self { running, metrics };
        until(&velero.running, "velero", || listens(metrics))?;
        Ok(velero)
    }

    /// Where it shows its metrics on 127.0.0.1.
    pub fn metrics_port(&self) -> u16 {
        self.metrics
    }

    /// Its log so far, those of earlier servers of the namespace before it.
    pub fn log(&self) -> String {
        self.running.output()
    }
}

fn until(program: &Beside<'_>, name: &str, mut done: impl FnMut() -> bool) -> Result<()> {
    let began = Instant::now();
    while !done() {
        if !program.is_running() || began.elapsed() > PATIENCE {
            bail!("{name} does not answer:\n{}", program.last_words());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn listens(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}
