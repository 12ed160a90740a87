//! How to reach what runs in a cluster.

use platform_command::{Reach, quoted};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Port-forwards and readings of Secrets, by kubectl.
#[derive(Debug)]
pub(crate) struct Kubectl {
    pub(crate) context: String,
    pub(crate) kubeconfig: Option<PathBuf>,
}

impl Reach for Kubectl {
    fn lines(&self, outputs: &Value) -> Vec<String> {
        forwards(&kubectl(&self.context, self.kubeconfig.as_deref()), outputs)
    }
}

fn kubectl(context: &str, kubeconfig: Option<&Path>) -> String {
    let mut command = "kubectl".to_owned();
    if let Some(path) = kubeconfig {
        let _ = write!(command, " --kubeconfig {}", quoted(&path.display().to_string()));
    }
    let _ = write!(command, " --context {}", quoted(context));
    command
}

/// How to reach each service and read its password, from the outputs.
fn forwards(kubectl: &str, outputs: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for output in outputs.as_object().into_iter().flat_map(|map| map.values()) {
        let mut addresses = Vec::new();
        if let (Some(host), Some(port)) = (output["host"].as_str(), output["port"].as_u64()) {
            addresses.extend(u16::try_from(port).map(|port| (host.to_owned(), port)));
        }
        let dashboards = output["dashboards"]
            .as_object()
            .into_iter()
            .flat_map(|map| map.values());
        let urls = [&output["endpoint"]].into_iter().chain(dashboards);
        addresses.extend(urls.filter_map(Value::as_str).filter_map(host_and_port));
        for (host, port) in addresses {
            let mut labels = host.split('.');
            if let (Some(service), Some(namespace), Some("svc")) = (labels.next(), labels.next(), labels.next()) {
                // Ports below 1024 are not everybody's to open.
                let local = if port < 1024 { 8000 + port } else { port };
                lines.push(format!(
                    "{kubectl} -n {namespace} port-forward svc/{service} {local}:{port}"
                ));
            }
        }
        let secret = output["credentials"]["location"]
            .as_str()
            .and_then(|location| location.strip_prefix("Secret "))
            .and_then(|name| name.split_once('/'));
        if let (Some((namespace, name)), Some(key)) = (secret, output["credentials"]["password_key"].as_str()) {
            lines.push(format!(
                "{kubectl} -n {namespace} get secret {name} -o go-template='{{{{index .data \"{key}\" | base64decode}}}}'"
            ));
        }
    }
    lines
}

/// Host and port of a URL.
fn host_and_port(url: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    match authority.split_once(':') {
        Some((host, port)) => Some((host.to_owned(), port.parse().ok()?)),
        None => Some((authority.to_owned(), if scheme == "https" { 443 } else { 80 })),
    }
}

#[cfg(test)]
mod tests {
    use super::forwards;

    #[test]
    fn outputs_tell_how_to_reach_a_service() {
        let outputs = serde_json::json!({
            "database": {
                "host": "postgres.database.svc", "port": 5432,
                "credentials": {"location": "Secret database/postgres", "username": "app", "password_key": "password", "ca": "ca.crt"},
            },
            "storage": {"endpoint": "https://minio.storage.svc:9000"},
            "monitoring": {
                "alarms": "http://alertmanager.monitoring.svc:9093, sent to oncall",
                "credentials": {"location": "Secret monitoring/grafana", "username": "admin", "password_key": "password"},
                "dashboards": {
                    "grafana": "http://prometheus-grafana.monitoring.svc", "prometheus": "http://prometheus.monitoring.svc:9090",
                    "cloud": "https://console.example.com/dashboards",
                },
            },
            "security": {"ca": null, "secrets": {}},
        });
        assert_eq!(
            forwards("kubectl --context c", &outputs),
            [
                "kubectl --context c -n database port-forward svc/postgres 5432:5432",
                "kubectl --context c -n database get secret postgres -o go-template='{{index .data \"password\" | base64decode}}'",
                "kubectl --context c -n monitoring port-forward svc/prometheus-grafana 8080:80",
                "kubectl --context c -n monitoring port-forward svc/prometheus 9090:9090",
                "kubectl --context c -n monitoring get secret grafana -o go-template='{{index .data \"password\" | base64decode}}'",
                "kubectl --context c -n storage port-forward svc/minio 9000:9000",
            ]
        );
    }
}
