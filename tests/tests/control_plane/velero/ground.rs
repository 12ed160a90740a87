//! A platform with backups, the real Velero in the place of its container, and a real store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use composition::{Backups, Platform};

use composition::config::PlatformConfig;
use composition::kubernetes::{KubeProvider, Kubernetes};
use platform_core::value::{SecretSource, SecretText, SystemClock};
use platform_core::{BackupStatus, Error};
use serde_json::{Value, json};
use xtask::control_plane::CONTEXT;
use xtask::velero::{Store, Velero};

use super::agent::Agents;
use super::now;
use crate::configured::{apply, apply_in};
use crate::shared::{control_plane, kubectl, object, prefix};

pub(crate) const BUCKET: &str = "backups";

#[derive(Debug)]
struct Vault(String);

#[async_trait::async_trait]
impl SecretSource for Vault {
    async fn get(&self, _name: &str) -> Result<SecretText, Error> {
        Ok(SecretText::new(self.0.clone()))
    }
}

pub(crate) struct Ground {
    pub(crate) prefix: String,
    scope: String,
    more: String,
    pub(crate) store: Store<'static>,
    pub(crate) agents: Agents,
    pub(crate) platform: Platform,
    velero: Option<Velero<'static>>,
}

impl Ground {
    /// Nothing is applied yet.
    pub(crate) async fn new(scope: &str, more: &str) -> Self {
        let prefix = prefix();
        let store = Store::start(control_plane(), &format!("{prefix}store"), &[BUCKET, "elsewhere"]).expect("a store");
        let platform = platform(control_plane().admin().kubeconfig(), &prefix, scope, more, &store).await;
        Self {
            scope: scope.to_owned(),
            more: more.to_owned(),
            agents: Agents::start(&format!("{prefix}backup")),
            prefix,
            store,
            platform,
            velero: None,
        }
    }

    /// The same platform as another process sees it through this kubeconfig.
    pub(crate) async fn elsewhere(&self, kubeconfig: &Path) -> Backups {
        let platform = platform(kubeconfig, &self.prefix, &self.scope, &self.more, &self.store).await;
        platform.backups().unwrap().expect("backups are wanted")
    }

    /// Asks for other data from now on.
    pub(crate) async fn rescope(&mut self, scope: &str) {
        scope.clone_into(&mut self.scope);
        let admin = control_plane().admin().kubeconfig();
        self.platform = platform(admin, &self.prefix, scope, &self.more, &self.store).await;
    }

    /// Asks for more, or for less, from now on: lines of the block.
    pub(crate) async fn ask(&mut self, more: &str) {
        more.clone_into(&mut self.more);
        let admin = control_plane().admin().kubeconfig();
        self.platform = platform(admin, &self.prefix, &self.scope, more, &self.store).await;
    }

    /// Ends the server.
    pub(crate) fn stop(&mut self) {
        self.velero = None;
    }

    pub(crate) fn namespace(&self) -> String {
        format!("{}backup", self.prefix)
    }

    pub(crate) fn backups(&self) -> Backups {
        self.platform.backups().unwrap().expect("backups are wanted")
    }

    pub(crate) fn velero(&self) -> &Velero<'static> {
        self.velero.as_ref().expect("Velero runs")
    }

    /// Applies the platform; Velero starts when its Deployment is there.
    pub(crate) async fn up(&mut self) {
        let plan = self.platform.plan().await.expect("plan");
        let namespace = self.namespace();
        let starting = tokio::task::spawn_blocking(move || start(&namespace));
        // what the plan waits for comes from Velero alone: its end ends the test
        let starting = async { starting.await.expect("Velero starts") };
        let (_, velero) = tokio::join!(apply_in(Duration::from_mins(4), &self.platform, &plan), starting);
        self.velero = Some(velero);
    }

    /// Applies the platform as it is asked for now.
    pub(crate) async fn apply(&self) {
        let plan = self.platform.plan().await.expect("plan");
        apply(&self.platform, &plan).await;
    }

    /// What the store was started with.
    pub(crate) fn store_key(&self) -> String {
        format!("key-of-{}store", self.prefix)
    }

    /// Ends the server and starts it again.
    pub(crate) fn restart(&mut self) {
        self.velero = None;
        self.velero = Some(start(&self.namespace()));
    }

    /// A week passes for Velero: the status with a good backup of the schedule.
    pub(crate) async fn a_week_passes(&mut self) -> BackupStatus {
        let last = json!({ "status": { "lastBackup": "2026-01-01T03:00:00Z" } });
        self.plant("schedules.velero.io", "ml", &last);
        self.restart();
        self.until("a backup of the schedule", |status| status.newest_good(now()).is_some())
            .await
    }

    /// What the Secrets of a capability's namespace hold, by name.
    pub(crate) fn secrets(&self, base: &str) -> BTreeMap<String, Value> {
        let secrets = object(&format!("secrets --namespace={}{base}", self.prefix)).unwrap();
        let items = secrets["items"].as_array().unwrap().iter();
        items
            .map(|one| {
                let name = one["metadata"]["name"].as_str().unwrap().to_owned();
                (name, one["data"].clone())
            })
            .collect()
    }

    /// The status as soon as it is so.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&BackupStatus) -> bool) -> BackupStatus {
        let (backups, began) = (self.backups(), Instant::now());
        loop {
            let status = backups.status().await.expect("the status");
            if holds(&status) {
                return status;
            }
            assert!(
                began.elapsed() < Duration::from_mins(1),
                "{what}: not within a minute: {status:#?}\n{}",
                self.velero().log()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Everything of the platform's namespaces that does not come and go by itself, and these.
    pub(crate) fn everything(&self) -> BTreeSet<String> {
        let kinds = "configmaps,jobs,networkpolicies,pods,secrets,serviceaccounts,services,statefulsets,\
                     backups.velero.io,restores.velero.io,leases";
        let namespaces = kubectl(&["get", "namespaces", "--output=name"]);
        let objects = kubectl(&[
            "get",
            kinds,
            "--all-namespaces",
            "--no-headers",
            "--output=custom-columns=A:.kind,B:.metadata.namespace,C:.metadata.name",
        ]);
        let ours = |line: &&str| line.contains(&self.prefix);
        namespaces
            .lines()
            .chain(objects.lines())
            .filter(ours)
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    /// What has come to be and was not there, but for leases.
    pub(crate) fn new_since(&self, before: &BTreeSet<String>) -> Vec<String> {
        self.everything().difference(before).cloned().collect()
    }

    /// Changes an object of Velero's as nobody but Velero should.
    pub(crate) fn plant(&self, kind: &str, name: &str, patch: &Value) {
        let (namespace, patch) = (self.namespace(), patch.to_string());
        kubectl(&[
            "patch",
            kind,
            name,
            "--namespace",
            &namespace,
            "--type=merge",
            "--patch",
            &patch,
        ]);
    }

    /// The files in the store of this backup.
    pub(crate) fn stored(&self, backup: &str) -> PathBuf {
        let set = self.platform.set().as_str();
        self.store.bucket(BUCKET).join(set).join("backups").join(backup)
    }
}

fn start(namespace: &str) -> Velero<'static> {
    let mut deployment = None;
    crate::shared::within(Duration::from_mins(1), "the Deployment of Velero", || {
        deployment = object(&format!("deployments velero --namespace={namespace}"));
        deployment.is_some()
    });
    let arguments = &deployment.unwrap()["spec"]["template"]["spec"]["containers"][0]["args"];
    let arguments: Vec<String> = serde_json::from_value(arguments.clone()).unwrap();
    Velero::start(control_plane(), namespace, &arguments).unwrap_or_else(|why| panic!("{why:#}"))
}

async fn platform(kubeconfig: &Path, prefix: &str, scope: &str, more: &str, store: &Store<'_>) -> Platform {
    let text = format!(
        "name: ml\nenvironment: local\nprovider: kubernetes\nnamespace_prefix: {prefix}\n\
         database: {{ storage: 1Gi }}\nstorage: {{ capacity: 1Gi, flavour: minio }}\n\
         backup:\n  schedule: \"0 3 * * 0\"\n  retention: 8d\n  scope: {scope}\n{more}  store:\n    endpoint: {}\n    \
         bucket: {BUCKET}\n    region: us-east-1\n    access: {{ supplied: STORE, revision: 1 }}\n",
        store.endpoint()
    );
    let config = PlatformConfig::parse(&text, "test.yaml").unwrap_or_else(|errors| panic!("{errors}"));
    let provider = KubeProvider::builder(kubeconfig, CONTEXT)
        .home_namespace(format!("{prefix}ml"))
        .secrets(Arc::new(Vault(store.credentials())))
        .connect()
        .await
        .expect("connect");
    Platform::builder(config)
        .provider(Kubernetes::on(Arc::new(provider), Arc::new(SystemClock::new())))
        .holder("tests@here:1:one")
        .lease_ttl(Duration::from_secs(1))
        .build()
        .expect("build")
}
