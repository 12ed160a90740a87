//! What a real API server, and kube-state-metrics beside it, show of what rules and panels name.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::Duration,
};

use http::Request;
use platform_tests::metrics::KUBE_STATE;
use provider_k8s::monitoring::scrape::API_SERVER_METRICS;
use serde_json::{Value, json};
use xtask::fake_kubelet::hook;
use xtask::peer::exporters;

use crate::shared::{api, apply, control_plane, kubectl_as, prefix, within};

#[tokio::test(flavor = "multi_thread")]
async fn api_servers_show_what_rules_and_panels_name() {
    let namespace = format!("{}confined", prefix());
    apply(&[json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": namespace, "labels": { "pod-security.kubernetes.io/enforce": "restricted" } },
    })]);
    let refused = kubectl_as(
        control_plane().admin(),
        &["run", "careless", "--image=x", "--namespace", &namespace],
    );
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("violates PodSecurity"),
        "{}",
        String::from_utf8_lossy(&refused.stderr)
    );
    let text = api()
        .await
        .request_text(Request::get("/metrics").body(Vec::new()).unwrap())
        .await
        .unwrap();
    for name in API_SERVER_METRICS {
        let found = text.lines().any(|line| line.starts_with(&format!("{name}{{")));
        assert!(found, "the API server shows no {name}");
    }
    // With the labels by which rules select and add up.
    let denied = text
        .lines()
        .find(|line| line.starts_with("pod_security_evaluations_total{decision=\"deny\"") && line.contains("enforce"))
        .unwrap();
    for label in [
        "mode=\"enforce\"",
        "policy_level=\"restricted\"",
        "resource=\"pod\"",
        "request_operation=\"create\"",
    ] {
        assert!(denied.contains(label), "{denied}");
    }
    let exempted = text
        .lines()
        .find(|line| line.starts_with("pod_security_exemptions_total{"))
        .unwrap();
    assert!(
        exempted.contains("request_operation=") && exempted.contains("resource="),
        "{exempted}"
    );
    assert!(
        text.lines()
            .any(|line| line.starts_with("authentication_attempts{result=\"success\""))
    );
}

/// kube-state-metrics as the platform runs it, killed when dropped.
struct KubeState(Child);

impl Drop for KubeState {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What a loopback server answers, if it does.
pub(crate) fn loopback(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn kube_state_metrics_shows_what_rules_and_panels_name() {
    let namespace = format!("{}state", prefix());
    let labels = json!({ "app": "x" });
    let pod = |restart: &str, annotations: &Value| {
        json!({
            "metadata": { "labels": labels, "annotations": annotations },
            "spec": { "restartPolicy": restart, "containers": [{
                "name": "c", "image": "x", "resources": { "limits": { "cpu": "1", "memory": "64Mi" } },
            }]},
        })
    };
    let workload = |kind: &str, spec: Value| {
        json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": "w", "namespace": namespace },
            "spec": spec,
        })
    };
    let always = pod("Always", &json!({}));
    let selector = json!({ "matchLabels": labels });
    apply(&[
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": namespace, "labels": { "pod-security.kubernetes.io/enforce": "baseline" } } }),
        json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "quota", "namespace": namespace },
            "spec": { "hard": { "pods": "9" } } }),
        json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": "default-deny", "namespace": namespace },
            "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] } }),
        workload(
            "StatefulSet",
            json!({ "serviceName": "w", "replicas": 1, "selector": selector, "template": always }),
        ),
        workload(
            "Deployment",
            json!({ "replicas": 1, "selector": selector, "template": always }),
        ),
        workload("DaemonSet", json!({ "selector": selector, "template": always })),
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "fails", "namespace": namespace },
            "spec": { "backoffLimit": 0, "template": pod("Never", &json!({ hook::EXIT_CODE: "1" })) } }),
    ]);

    let (port, telemetry) = (free_port(), free_port());
    let log = std::fs::File::create(control_plane().folder().join(format!("{namespace}.log"))).unwrap();
    let child = Command::new(exporters().unwrap().kube_state_metrics)
        .env_clear()
        .arg(format!(
            "--kubeconfig={}",
            control_plane().admin().kubeconfig().display()
        ))
        .args(["--host=127.0.0.1", "--telemetry-host=127.0.0.1"])
        .args([format!("--port={port}"), format!("--telemetry-port={telemetry}")])
        .arg("--resources=namespaces,pods,resourcequotas,daemonsets,deployments,statefulsets,jobs,networkpolicies")
        .arg("--metric-labels-allowlist=namespaces=[pod-security.kubernetes.io/enforce]")
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let _running = KubeState(child);
    // Of this test's namespace, with the labels by which rules select and add up, and the values that they compare.
    let samples = [
        ("kube_daemonset_status_desired_number_scheduled", "daemonset=\"w\"", ""),
        ("kube_daemonset_status_number_ready", "daemonset=\"w\"", ""),
        ("kube_deployment_spec_replicas", "deployment=\"w\"", "1"),
        ("kube_deployment_status_replicas_available", "deployment=\"w\"", "1"),
        ("kube_job_failed", "job_name=\"fails\",condition=\"true\"", "1"),
        (
            "kube_namespace_labels",
            "label_pod_security_kubernetes_io_enforce=\"baseline\"",
            "1",
        ),
        ("kube_namespace_status_phase", "phase=\"Active\"", "1"),
        ("kube_networkpolicy_created", "networkpolicy=\"default-deny\"", ""),
        ("kube_pod_container_resource_limits", "resource=\"cpu\"", "1"),
        ("kube_pod_container_resource_limits", "resource=\"memory\"", ""),
        ("kube_pod_container_status_restarts_total", "container=\"c\"", "0"),
        ("kube_pod_status_phase", "phase=\"Running\"", "1"),
        ("kube_resourcequota", "resource=\"pods\",type=\"hard\"", "9"),
        ("kube_resourcequota", "resource=\"pods\",type=\"used\"", ""),
        ("kube_statefulset_replicas", "statefulset=\"w\"", "1"),
        ("kube_statefulset_status_replicas_ready", "statefulset=\"w\"", "1"),
    ];
    let proved: BTreeSet<&str> = samples.iter().map(|(name, _, _)| *name).collect();
    assert_eq!(proved, KUBE_STATE.iter().copied().collect());
    let ours = format!("namespace=\"{namespace}\"");
    for (name, labels, value) in samples {
        within(Duration::from_mins(1), &format!("{name}{{{labels}}} {value}"), || {
            let text = loopback(port).unwrap_or_default();
            text.lines().any(|line| {
                line.starts_with(&format!("{name}{{"))
                    && line.contains(&ours)
                    && line.contains(labels)
                    && line.ends_with(value)
            })
        });
    }
}
