//! What a real API server shows of what monitoring keeps of it.

use http::Request;
use provider_k8s::monitoring::scrape::API_SERVER_METRICS;
use serde_json::json;

use crate::shared::{api, apply, control_plane, kubectl_as, prefix};

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
