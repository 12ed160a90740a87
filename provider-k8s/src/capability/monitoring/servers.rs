//! Prometheus and Alertmanager: one server with one volume each.

use super::{Watched, alertmanager, document, rules, scrape};
use crate::capability::stateful::Server;
use crate::foundation;
use crate::kubernetes::Shared;
use crate::object::Scope;
use crate::pod::{Container, Resources, config_volume, scratch_volume, secret_volume, token_volume};
use platform_core::value::{Percent, Recipe, Size};
use platform_core::{Capability, Holds, MonitoringSpec, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const PROMETHEUS_PORT: u16 = 9090;
pub(super) const ALERTMANAGER_PORT: u16 = 9093;

/// Alertmanager keeps silences and who was told, which is little.
const ALERTMANAGER_VOLUME: Size = Size::gib(1);
/// Where a client finds its token.
pub(super) const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What both servers are made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    pub(super) scope: &'a Scope<'a>,
    pub(super) shared: &'a Shared,
    pub(super) spec: &'a MonitoringSpec,
}

impl<'a> Site<'a> {
    fn storage_class(&self) -> Option<&'a str> {
        self.shared.storage_class(self.spec.storage_class.as_ref())
    }

    /// Prometheus, which evaluates the rules.
    ///
    /// # Errors
    /// When the catalogue has no image, or a name is none.
    pub(super) fn prometheus(&self, name: &'a str, watched: &Watched<'_>) -> Result<Server<'a>> {
        let spec = self.spec;
        let config = format!("{name}-config");
        let authority = format!("{name}-ca");
        // A block is cut every two hours and the journal comes on top: the rest of the volume is for them.
        let bytes = Percent::new(80).unwrap_or(Percent::ALL).of(spec.storage.bytes());
        let args = [
            "--config.file=/etc/prometheus/config/prometheus.yml".to_owned(),
            "--storage.tsdb.path=/prometheus".to_owned(),
            format!("--storage.tsdb.retention.time={}", spec.retention),
            format!("--storage.tsdb.retention.size={}MB", bytes >> 20),
            format!("--web.listen-address=:{PROMETHEUS_PORT}"),
        ];
        let image = self.shared.options.images.image("prometheus", None)?;
        let container = Container::new("prometheus", image, Resources::server(1000, spec.memory))
            .args(args)
            .ports(&BTreeMap::from([("prometheus".to_owned(), PROMETHEUS_PORT)]))
            // It reads its journal first.
            .probes(&get("/-/ready", "prometheus"), &get("/-/healthy", "prometheus"), 900)
            .mount("data", "/prometheus")
            .mount("tmp", "/tmp")
            .mount_read_only("config", "/etc/prometheus/config")
            .mount_read_only("rules", scrape::RULES)
            .mount_read_only("ca", "/etc/prometheus/tls")
            .mount_read_only("token", TOKEN);
        Ok(Server {
            scope: self.scope,
            shared: self.shared,
            capability: Capability::Monitoring,
            name,
            serves: BTreeMap::from([(PROMETHEUS_PORT, "prometheus")]),
            followers: None,
            volume: Some(spec.storage),
            storage_class: self.storage_class(),
            holds: Holds::Rebuildable,
            format: "prometheus".to_owned(),
            config: BTreeMap::from([
                ("prometheus.yml", document(&scrape::config(watched))),
                ("platform.yml", document(&rules::file(watched))),
            ]),
            // It writes its head to the volume.
            grace: 120,
            containers: vec![container],
            volumes: vec![
                config_volume("config", &config, &["prometheus.yml"]),
                config_volume("rules", &config, &["platform.yml"]),
                secret_volume("ca", &authority, &[("ca.crt", "ca.crt")]),
                token_volume("token"),
                scratch_volume("tmp", Size::mib(64), false),
            ],
            pod_annotations: BTreeMap::new(),
            secrets: vec![foundation::certificate_of_authority(self.scope, &authority, name)?],
            jobs: Vec::new(),
        })
    }

    /// Alertmanager, alone: it looks for no others.
    ///
    /// # Errors
    /// When the catalogue has no image, or a receiver cannot be one.
    pub(super) fn alertmanager(&self, name: &'a str) -> Result<Server<'a>> {
        let image = self.shared.options.images.image("alertmanager", None)?;
        let mut container = Container::new("alertmanager", image, Resources::server(100, Size::mib(128)))
            .args([
                "--config.file=/etc/alertmanager/config/alertmanager.yml".to_owned(),
                "--storage.path=/alertmanager".to_owned(),
                format!("--web.listen-address=:{ALERTMANAGER_PORT}"),
                "--cluster.listen-address=".to_owned(),
            ])
            .ports(&BTreeMap::from([("alertmanager".to_owned(), ALERTMANAGER_PORT)]))
            .probes(
                &get("/-/ready", "alertmanager"),
                &get("/-/healthy", "alertmanager"),
                120,
            )
            .mount("data", "/alertmanager")
            .mount_read_only("config", "/etc/alertmanager/config");
        let mut volumes = vec![config_volume("config", &format!("{name}-config"), &[])];
        let mut secrets = Vec::new();
        let supplied = alertmanager::secrets(self.spec);
        if !supplied.is_empty() {
            let secret = format!("{name}-receivers");
            let recipes = supplied
                .iter()
                .map(|(file, supplied)| (file.as_str(), Recipe::Supplied(supplied.clone())))
                .collect();
            secrets.push(self.scope.remade_secret(&secret, name, &recipes)?);
            volumes.push(secret_volume("receivers", &secret, &[]));
            // Read anew for every message, so that a new value counts without a restart.
            container = container.mount_read_only("receivers", alertmanager::SECRETS);
        }
        Ok(Server {
            scope: self.scope,
            shared: self.shared,
            capability: Capability::Monitoring,
            name,
            serves: BTreeMap::from([(ALERTMANAGER_PORT, "alertmanager")]),
            followers: None,
            volume: Some(ALERTMANAGER_VOLUME),
            storage_class: self.storage_class(),
            holds: Holds::Rebuildable,
            format: "alertmanager".to_owned(),
            config: BTreeMap::from([("alertmanager.yml", document(&alertmanager::config(self.spec)?))]),
            grace: 30,
            containers: vec![container],
            volumes,
            pod_annotations: BTreeMap::new(),
            secrets,
            jobs: Vec::new(),
        })
    }
}

/// What servers of both together ask for on volumes.
pub(super) fn volumes(spec: &MonitoringSpec) -> Size {
    Size::mib(spec.storage.as_mib() + ALERTMANAGER_VOLUME.as_mib())
}

pub(super) fn get(path: &str, port: &str) -> Value {
    json!({ "httpGet": { "path": path, "port": port, "scheme": "HTTP" } })
}
