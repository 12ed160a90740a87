//! What to type next.

use crate::args::Options;
use crate::connect::Target;
use platform_core::Owner;
use platform_core::engine::Report;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

const COMMAND: &str = "cargo run --bin local --";

pub(crate) fn after_apply(options: &Options, target: &Target, outputs: &Value) -> String {
    let same = flags(options, target);
    let mut lines = vec![
        (format!("{COMMAND} plan{same}"), "nothing left to change"),
        (
            format!("{COMMAND} plan{same} --set database.storage=20Gi"),
            "a change, field by field",
        ),
        (format!("{COMMAND} destroy{same}"), "removes it, keeps the data"),
    ];
    if !outputs["backup"].is_null() {
        lines.extend([
            (format!("{COMMAND} backup run{same}"), "takes a backup now"),
            (format!("{COMMAND} backup drill{same}"), "proves it by restoring it"),
        ]);
    }
    match target {
        Target::World(_) => lines.push((
            format!("{COMMAND} apply --context kind-ml-platform"),
            "the same on a real cluster",
        )),
        Target::Cluster { .. } => lines.extend(reached(target, outputs)),
    }
    page(&lines)
}

/// How to reach what runs on a real cluster.
pub(crate) fn reach(target: &Target, outputs: &Value) -> Option<String> {
    let lines: Vec<_> = reached(target, outputs).collect();
    (!lines.is_empty()).then(|| page(&lines))
}

fn reached(target: &Target, outputs: &Value) -> impl Iterator<Item = (String, &'static str)> {
    let lines = match target {
        Target::World(_) => Vec::new(),
        Target::Cluster { context, kubeconfig } => forwards(&kubectl(context, kubeconfig.as_deref()), outputs),
    };
    lines.into_iter().map(|line| (line, ""))
}

pub(crate) fn after_plan(options: &Options, target: &Target, file: &Path) -> String {
    let shown = file.display().to_string();
    let mut command = format!("{COMMAND} apply {}", quoted(&shown));
    place(&mut command, options, target);
    page(&[(command, "exactly this, or a refusal")])
}

pub(crate) fn after_destroy(options: &Options, target: &Target, report: &Report) -> String {
    let same = flags(options, target);
    let kept = report.left.iter().any(|live| live.owner == Owner::Retained);
    let again = if kept {
        "takes the kept data over again"
    } else {
        "makes it anew"
    };
    page(&[(format!("{COMMAND} apply{same}"), again)])
}

fn page(lines: &[(String, &str)]) -> String {
    let width = lines
        .iter()
        .filter(|(_, what)| !what.is_empty())
        .map(|(line, _)| line.chars().count())
        .max()
        .unwrap_or(0);
    let mut page = "Next:".to_owned();
    for (line, what) in lines {
        let _ = write!(page, "\n  {}", format!("{line:width$}  {what}").trim_end());
    }
    page
}

/// The flags that lead to the same config and place again.
fn flags(options: &Options, target: &Target) -> String {
    let mut flags = String::new();
    if let Some(config) = &options.config {
        flag(&mut flags, "--config", &config.display().to_string());
    }
    for assignment in &options.set {
        flag(&mut flags, "--set", assignment);
    }
    place(&mut flags, options, target);
    flags
}

/// The flags that lead to the same place again.
fn place(command: &mut String, options: &Options, target: &Target) {
    if let Some(world) = &options.world {
        flag(command, "--world", &world.display().to_string());
    }
    if let Target::Cluster { context, kubeconfig } = target {
        flag(command, "--context", context);
        if let Some(kubeconfig) = kubeconfig {
            flag(command, "--kubeconfig", &kubeconfig.display().to_string());
        }
    }
}

fn flag(command: &mut String, name: &str, value: &str) {
    let _ = write!(command, " {name} {}", quoted(value));
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

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::{forwards, quoted};

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

    #[test]
    fn words_survive_a_shell() {
        for (word, shell) in [
            ("a/b.yaml", "a/b.yaml"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), shell);
        }
    }
}
