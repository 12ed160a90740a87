//! What monitoring reads, when it raises an alarm, whom it tells and what it shows.
//!
//! All of it follows from [`Watched`], and is pure: the same platform gives the same bytes.

pub mod alertmanager;
pub mod dashboards;
mod exporters;
mod grafana;
pub mod rules;
pub mod scrape;
mod servers;
mod stateless;
mod watched;
mod yaml;

pub use watched::{Watched, job};
pub use yaml::document;

use super::stateful::{claim, port_numbers, selector, with_surface};
use crate::kubernetes::{KubernetesOptions, Shared};
use crate::limits::{self, Needs};
use crate::object::Scope;
use crate::policy;
use async_trait::async_trait;
use exporters::{STATE_PORT, STATE_TELEMETRY, node_port};
use platform_core::engine::Engine;
use platform_core::value::{Place, ResourceId, Size, Span};
use platform_core::{
    AlarmSubject, Blueprint, Call, Capability, Channel, Context, Credentials, DataAsset, Endpoint, Error, ErrorKind,
    Holds, Monitoring, MonitoringFeatures, MonitoringOutputs, MonitoringSpec, Result, Scrape, Surface, Workload,
};
use servers::{ALERTMANAGER_PORT, PROMETHEUS_PORT, Site};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const PROMETHEUS: &str = "prometheus";
const ALERTMANAGER: &str = "alertmanager";
const GRAFANA: &str = "prometheus-grafana";
const KUBE_STATE: &str = "kube-state-metrics";
const NODE_EXPORTER: &str = "node-exporter";
/// Where kubelets answer.
const KUBELET_PORT: u16 = 10250;
/// Where receivers are reached that are URLs.
const HTTPS: u16 = 443;
/// Where the agent of EKS Pod Identity listens, at 169.254.170.23.
const POD_IDENTITY: u16 = 80;

/// Prometheus, Alertmanager, Grafana and what they read.
#[derive(Debug)]
pub(crate) struct KubernetesMonitoring(pub(crate) Arc<Shared>);

/// Names after the caller's overrides.
#[derive(Debug)]
struct Names {
    prometheus: String,
    alertmanager: String,
    grafana: String,
    kube_state: String,
    node_exporter: String,
}

impl Names {
    fn new(scope: &Scope<'_>) -> Result<Self> {
        Ok(Self {
            prometheus: scope.name(PROMETHEUS)?,
            alertmanager: scope.name(ALERTMANAGER)?,
            grafana: scope.name(GRAFANA)?,
            kube_state: scope.name(KUBE_STATE)?,
            node_exporter: scope.name(NODE_EXPORTER)?,
        })
    }
}

#[async_trait]
impl Monitoring for KubernetesMonitoring {
    fn features(&self) -> MonitoringFeatures {
        let mut features = MonitoringFeatures::default();
        features.dashboards = true;
        features.node_exporter = true;
        features
    }

    fn surface(&self, spec: &MonitoringSpec, context: &Context) -> Result<Surface> {
        check(spec)?;
        let scope = self.scope(context)?;
        let names = Names::new(&scope)?;
        let mut workloads = workloads(&scope, &names, spec, &self.0.options);
        let mut scrapes = vec![
            scrape_of(job::PROMETHEUS, &names.prometheus, job::PROMETHEUS),
            scrape_of(job::ALERTMANAGER, &names.alertmanager, job::ALERTMANAGER),
            scrape_of(job::GRAFANA, &names.grafana, job::GRAFANA),
            scrape_of(job::KUBE_STATE, &names.kube_state, "metrics"),
        ];
        if spec.node_exporter {
            workloads.push(Workload {
                name: names.node_exporter.clone(),
                namespace: exporters::node_scope(&scope)?.namespace().to_owned(),
                labels: selector(&names.node_exporter),
                ports: BTreeMap::from([("metrics".to_owned(), node_port(scope.context()))]),
                calls: Vec::new(),
            });
            scrapes.push(scrape_of(job::NODE, &names.node_exporter, "metrics"));
        }
        let endpoint = |name: &str, workload: &str, port| Endpoint {
            name: name.to_owned(),
            host: format!("{workload}.{}.svc", scope.namespace()),
            port,
            tls: false,
            workload: Some(workload.to_owned()),
        };
        let data = |workload: &str| -> Result<DataAsset> {
            Ok(DataAsset {
                id: scope.id("PersistentVolumeClaim", &claim(workload))?,
                holds: Holds::Rebuildable,
                workload: Some(workload.to_owned()),
            })
        };
        Ok(Surface {
            endpoints: vec![
                endpoint(job::PROMETHEUS, &names.prometheus, PROMETHEUS_PORT),
                endpoint(job::ALERTMANAGER, &names.alertmanager, ALERTMANAGER_PORT),
                endpoint(job::GRAFANA, &names.grafana, grafana::SERVICE_PORT),
            ],
            workloads,
            scrapes,
            data: vec![data(&names.prometheus)?, data(&names.alertmanager)?],
            subjects: vec![AlarmSubject {
                what: "utilisation".to_owned(),
                capability: Capability::Monitoring,
                limit: Some(spec.storage.bytes()),
                subject: names.prometheus,
            }],
            ..Surface::default()
        })
    }

    fn blueprint(&self, spec: &MonitoringSpec, context: &Context) -> Result<Blueprint<MonitoringOutputs>> {
        let surface = self.surface(spec, context)?;
        let mut context = context.clone();
        context.surfaces = with_surface(&context, Capability::Monitoring, surface);
        let scope = self.scope(&context)?;
        let names = Names::new(&scope)?;
        let watched = Watched::new(spec, &context)?;
        let site = Site {
            scope: &scope,
            shared: &self.0,
            spec,
        };
        let surfaces = &context.surfaces;
        let mut resources = self.0.own_foundation(Capability::Monitoring, &context)?;

        let servers = [
            site.prometheus(&names.prometheus, &watched)?,
            site.alertmanager(&names.alertmanager)?,
        ];
        let grafana = grafana::container(&site)?;
        let state = exporters::state_container(&site)?;
        let running = servers
            .iter()
            .flat_map(|server| &server.containers)
            .chain([&grafana, &state]);
        let needs = Needs::of(running, 4, Some(servers::volumes(spec)));
        let mut first = limits::of_platform(&scope, needs)?;
        first.extend(policy::of_workloads(
            &scope.under(Capability::Security.as_str()),
            Capability::Monitoring,
            surfaces,
            &self.0.options,
        )?);
        let before: BTreeSet<ResourceId> = first.iter().map(|one| one.id.clone()).collect();

        let mut running = exporters::prometheus_rights(&scope, &names.prometheus)?;
        for server in servers {
            let ports = port_numbers(surfaces, server.name);
            running.extend(server.into_objects(&ports, Vec::new())?);
        }
        running.extend(grafana::resources(&site, &names.grafana, grafana, &watched)?);
        running.extend(exporters::state_resources(&site, &names.kube_state, state)?);
        for one in &mut running {
            if matches!(
                one.id.kind().as_str(),
                "PersistentVolumeClaim" | "StatefulSet.apps" | "Deployment.apps"
            ) {
                one.after.extend(before.iter().cloned());
            }
        }
        resources.extend(first);
        resources.extend(running);
        if spec.node_exporter {
            resources.extend(exporters::node_resources(&site, &names.node_exporter, surfaces)?);
        }
        Blueprint::new(resources, &outputs(&scope, &names, spec)?)
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }
}

impl KubernetesMonitoring {
    fn scope<'a>(&'a self, context: &'a Context) -> Result<Scope<'a>> {
        Scope::new(self.0.place(), context, Capability::Monitoring)
    }
}

/// Refuses what this provider cannot do.
fn check(spec: &MonitoringSpec) -> Result<()> {
    let invalid = |what: &str, help: &str| Err(Error::new(ErrorKind::Invalid, what).with_help(help));
    if spec.retention < Span::days(1) {
        return invalid("metrics of less than a day show no day", "keep them for at least 1d");
    }
    if spec.storage < Size::gib(1) {
        return invalid(
            "metrics need a volume of at least 1Gi",
            "raise the storage of monitoring",
        );
    }
    if spec.memory < Size::mib(256) {
        return invalid(
            "Prometheus needs at least 256Mi of memory",
            "raise the memory of monitoring",
        );
    }
    alertmanager::config(spec).map(|_| ())
}

/// The namespace and the service account of Grafana in a platform.
///
/// # Errors
/// `Invalid` when a name of the context cannot be one.
pub fn grafana_account(context: &Context) -> Result<(String, String)> {
    let place = Place::kubernetes("any")?;
    let scope = Scope::new(&place, context, Capability::Monitoring)?;
    Ok((scope.namespace().to_owned(), scope.name(GRAFANA)?))
}

/// What runs in monitoring's own namespace, and whom it calls.
fn workloads(scope: &Scope<'_>, names: &Names, spec: &MonitoringSpec, options: &KubernetesOptions) -> Vec<Workload> {
    let workload = |name: &str, ports: &[(&str, u16)], calls: Vec<Call>| Workload {
        name: name.to_owned(),
        namespace: scope.namespace().to_owned(),
        labels: selector(name),
        ports: ports.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect(),
        calls,
    };
    let call = |name: &str, port: &str| Call::Workload {
        name: name.to_owned(),
        port: port.to_owned(),
    };
    let mut of_prometheus = vec![
        Call::Dns,
        Call::ApiServer,
        Call::Scrapes,
        Call::Nodes { port: KUBELET_PORT },
        call(&names.alertmanager, ALERTMANAGER),
    ];
    if spec.node_exporter {
        of_prometheus.push(Call::Nodes {
            port: node_port(scope.context()),
        });
    }
    let receivers = receiver_ports(spec);
    let mut of_alertmanager: Vec<Call> = receivers.into_iter().map(|port| Call::Outside { port }).collect();
    if !of_alertmanager.is_empty() {
        of_alertmanager.push(Call::Dns);
    }
    let mut of_grafana = vec![Call::Dns, call(&names.prometheus, PROMETHEUS)];
    if options.cloudwatch.is_some() {
        // CloudWatch, and the agent on its node that gives it its role.
        of_grafana.extend([HTTPS, POD_IDENTITY].map(|port| Call::Outside { port }));
    }
    vec![
        workload(&names.prometheus, &[(job::PROMETHEUS, PROMETHEUS_PORT)], of_prometheus),
        workload(
            &names.alertmanager,
            &[(job::ALERTMANAGER, ALERTMANAGER_PORT)],
            of_alertmanager,
        ),
        workload(&names.grafana, &[(job::GRAFANA, grafana::PORT)], of_grafana),
        workload(
            &names.kube_state,
            &[("metrics", STATE_PORT), ("telemetry", STATE_TELEMETRY)],
            vec![Call::ApiServer],
        ),
    ]
}

/// Ports on which receivers listen: URLs are secrets, so they are taken to be HTTPS at its usual port.
fn receiver_ports(spec: &MonitoringSpec) -> BTreeSet<u16> {
    let of_channels = spec.receivers.values().map(|receiver| match &receiver.channel {
        Channel::Webhook { .. } | Channel::Slack { .. } | Channel::PagerDuty { .. } => Some(HTTPS),
        Channel::Email { server, .. } => server.rsplit_once(':').and_then(|(_, port)| port.parse().ok()),
    });
    let of_heartbeat = spec.heartbeat.iter().map(|_| Some(HTTPS));
    of_channels.chain(of_heartbeat).flatten().collect()
}

fn scrape_of(job: &str, workload: &str, port: &str) -> Scrape {
    Scrape {
        job: job.to_owned(),
        workload: workload.to_owned(),
        port: port.to_owned(),
        path: "/metrics".to_owned(),
        tls: false,
    }
}

fn outputs(scope: &Scope<'_>, names: &Names, spec: &MonitoringSpec) -> Result<MonitoringOutputs> {
    let address = |name: &str| format!("http://{name}.{}.svc", scope.namespace());
    let told: Vec<&str> = spec.receivers.keys().map(String::as_str).collect();
    let told = if told.is_empty() {
        "shown there alone: nobody is named as a receiver".to_owned()
    } else {
        format!("sent to {}", told.join(", "))
    };
    Ok(MonitoringOutputs {
        dashboards: BTreeMap::from([
            ("grafana".to_owned(), address(&names.grafana)),
            (
                "prometheus".to_owned(),
                format!("{}:{PROMETHEUS_PORT}", address(&names.prometheus)),
            ),
        ]),
        credentials: Some(Credentials {
            location: scope.id("Secret", &grafana::credentials(&names.grafana))?.label(),
            username: grafana::USER.to_owned(),
            password_key: grafana::PASSWORD.to_owned(),
            ca: None,
        }),
        alarms: format!("{}:{ALERTMANAGER_PORT}, {told}", address(&names.alertmanager)),
    })
}
