//! Every refusal that people meet, provoked and compared word for word with `tests/corpus/errors/`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use platform_core::engine::{Plan, Report};
use platform_core::{Error, Resource};
use provider_k8s::KubeProvider;
use serde_json::{Value, json};
use xtask::control_plane::CONTEXT;
use xtask::proxy::{Fault, Rule};

use crate::shared::{apply, control_plane, prefix, proxied};
use crate::stage::{Stage, provider};

/// Compares with the kept text; a missing file is written and fails, so that a person reads it before it is kept.
fn same(name: &str, prefix: &str, text: &str) {
    let mut plain = text.replace(prefix, "t-");
    plain = plain.replace(&control_plane().folder().display().to_string(), "FOLDER");
    plain = numbers_after(&plain, "127.0.0.1:", "PORT");
    plain = numbers_after(&plain, "[::1]:", "PORT");
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("corpus/errors/{name}.txt"));
    let Ok(kept) = std::fs::read_to_string(&file) else {
        std::fs::write(&file, format!("{plain}\n")).expect("write the corpus");
        panic!("{} is new: read it, then keep it:\n{plain}", file.display());
    };
    assert_eq!(
        kept.trim_end(),
        plain.trim_end(),
        "{name}: remove the file to write it anew"
    );
}

fn numbers_after(text: &str, mark: &str, word: &str) -> String {
    let mut parts = text.split(mark);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(mark);
        plain.push_str(word);
        plain.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    plain
}

fn blocked(plan: &Plan) -> String {
    let texts: Vec<String> = plan
        .steps
        .iter()
        .filter_map(|step| step.blocked.as_ref())
        .map(|blocked| format!("{}\n  what to do: {}", blocked.why, blocked.help))
        .collect();
    texts.join("\n")
}

fn failures(report: &Report) -> String {
    report
        .failures()
        .map(|(_, why)| why.report())
        .collect::<Vec<_>>()
        .join("\n")
}

/// A kubeconfig file with this text.
fn file(name: &str, text: &str) -> PathBuf {
    let file = control_plane().folder().join(format!("{}{name}.kubeconfig", prefix()));
    std::fs::write(&file, text).expect("write a kubeconfig");
    file
}

async fn connect_error(kubeconfig: &Path, context: &str) -> Error {
    KubeProvider::builder(kubeconfig, context)
        .connect()
        .await
        .expect_err("no connection")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_connect_is_told_why() {
    let admin = control_plane().admin();
    let good: Value = serde_json::from_str(&std::fs::read_to_string(admin.kubeconfig()).unwrap()).unwrap();

    let renamed = file("contexts", &good.to_string());
    let no_context = connect_error(&renamed, "production").await.report();
    let name = renamed.file_name().unwrap().to_str().unwrap();
    same("no-such-context", "t-", &no_context.replace(name, "NAME.kubeconfig"));

    // A port that was free a moment ago.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = file("unreachable", &admin.kubeconfig_at(&format!("https://{closed}")));
    same("unreachable", "t-", &connect_error(&nobody, CONTEXT).await.report());

    let mut other = good.clone();
    other["clusters"][0]["cluster"]["certificate-authority-data"] = json!(ANOTHER_AUTHORITY);
    let stranger = file("stranger", &other.to_string());
    same(
        "unknown-certificate",
        "t-",
        &connect_error(&stranger, CONTEXT).await.report(),
    );

    let mut expired = good;
    expired["users"][0]["user"] = json!({ "token": "expired" });
    let expired = file("expired", &expired.to_string());
    same(
        "credentials-expired",
        "t-",
        &connect_error(&expired, CONTEXT).await.report(),
    );

    let (proxy, through) = proxied(admin);
    proxy.set_rules([Rule::new(Fault::answer(200, r#"{"major":"1","minor":"29+"}"#)).path("/version")]);
    same("too-old", "t-", &connect_error(&through, CONTEXT).await.report());
}

/// A self-signed certificate of nobody, base64.
const ANOTHER_AUTHORITY: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJrRENDQVRXZ0F3SUJBZ0lVTFp3UnJKZThMN1U4azdBaFdkd2hYNUNxcmJnd0NnWUlLb1pJemowRUF3SXcKSERFYU1CZ0dBMVVFQXd3UllXNXZkR2hsY2lCaGRYUm9iM0pwZEhrd0lCY05Nall4TVRJME1UUXhPVFEzV2hnUApNakV5TmpFd016RXhOREU1TkRkYU1Cd3hHakFZQmdOVkJBTU1FV0Z1YjNSb1pYSWdZWFYwYUc5eWFYUjVNRmt3CkV3WUhLb1pJemowQ0FRWUlLb1pJemowREFRY0RRZ0FFN0R3MFhMNnVMZzV0NFZ2c3ZOUUpYcHphNWU1ZVI3emQKTlNIRjNDQkwxM1V3aGJTa0Jkc0NXaE9ONEtqZ2lZdksyMm51VzNaOUZJeUsxSjBUMWZWWURxTlRNRkV3SFFZRApWUjBPQkJZRUZHckpINE1xRndSMlpuVG1STXNNR0s1b0lmVjdNQjhHQTFVZEl3UVlNQmFBRkdySkg0TXFGd1IyClpuVG1STXNNR0s1b0lmVjdNQThHQTFVZEV3RUIvd1FGTUFNQkFmOHdDZ1lJS29aSXpqMEVBd0lEU1FBd1JnSWgKQU9qN1R4bXY0K1NFSXc3RTNqd1JUeXhJTzZBK0xRRDU4KzlRdUJyTHlCblZBaUVBM21MT0djT2VyYVU0eTBtcwpzMUlhcGxwd3F2Y01zckVsS3BURFF0aldaYnc9Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K";

#[tokio::test(flavor = "multi_thread")]
async fn servers_in_trouble_are_told_from_refusals() {
    let (proxy, through) = proxied(control_plane().admin());
    let stage = Stage::at(&through, prefix()).await;
    let wanted = || vec![stage.resource("Namespace", &stage.space(), json!({}))];
    let plan = stage.plan(wanted()).await;
    let at_namespaces = |fault: Fault| Rule::new(fault).writes().path("/api/v1/namespaces?");
    for (name, fault) in [
        (
            "throttled",
            Fault::refusal(
                429,
                "TooManyRequests",
                "the server has received too many requests and has asked us to try again later",
            ),
        ),
        (
            "store-full",
            Fault::refusal(500, "", "etcdserver: mvcc: database space exceeded"),
        ),
        ("connection-cut", Fault::DropBefore),
    ] {
        proxy.set_rules([at_namespaces(fault)]);
        let why = stage.try_apply(&plan).await.expect_err(name);
        same(name, &stage.prefix, &why.report());
    }
    proxy.set_rules([]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_name_the_rule_and_what_to_do() {
    let stage = Stage::new().await;
    let space = stage.space();
    let namespace = || {
        stage.resource(
            "Namespace",
            &space,
            json!({ "metadata": { "labels": {
                "pod-security.kubernetes.io/enforce": "restricted", "refusals": stage.prefix.trim_end_matches('-'),
            }}}),
        )
    };
    let with = |more: Resource| vec![namespace(), more];
    let config = |name: &str| stage.resource("ConfigMap", name, json!({ "data": { "a": "b" } }));
    stage.apply(vec![namespace()]).await;

    // Pod Security, as the workload's own state tells it.
    let web = stage.resource("Deployment.apps", "web", json!({ "spec": {
        "selector": { "matchLabels": { "app": "web" } },
        "template": {
            "metadata": { "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "main", "image": "registry.invalid/main:1", "securityContext": { "privileged": true } }] },
        },
    }}));
    let plan = stage.plan(with(web)).await;
    let report = stage.try_apply(&plan).await.unwrap();
    let text = failures(&report);
    let pod = text.split('"').nth(1).unwrap_or_default().to_owned();
    same("pod-security", &stage.prefix, &text.replace(&pod, "web-POD"));

    // The same of a StatefulSet, whose status never says so: its events do.
    let db = stage.resource("StatefulSet.apps", "db", json!({ "spec": {
        "serviceName": "db", "selector": { "matchLabels": { "app": "db" } },
        "template": {
            "metadata": { "labels": { "app": "db" } },
            "spec": { "containers": [{ "name": "main", "image": "registry.invalid/main:1", "securityContext": { "privileged": true } }] },
        },
    }}));
    let plan = stage.plan(with(db)).await;
    let report = stage.try_apply(&plan).await.unwrap();
    same("pod-security-by-event", &stage.prefix, &failures(&report));

    let mut typo = config("typo");
    *typo.desired_mut() = json!({ "dta": { "a": "b" } });
    same("unknown-field", &stage.prefix, &blocked(&stage.plan(with(typo)).await));

    let nowhere = Resource::new(
        platform_core::value::ResourceId::new(
            stage.place(),
            "ConfigMap".parse().unwrap(),
            format!("{}nowhere/a", stage.prefix).parse().unwrap(),
        ),
        "tests",
        json!({}),
    );
    same(
        "no-namespace",
        &stage.prefix,
        &blocked(&stage.plan(with(nowhere)).await),
    );

    crate::shared::kubectl(&["create", "namespace", &format!("{}theirs", stage.prefix)]);
    apply(&[json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "few", "namespace": space },
        "spec": { "hard": { "count/services": "0" } },
    })]);
    let service = || stage.resource("Service", "more", json!({ "spec": { "ports": [{ "port": 80 }] } }));
    let mut text = String::new();
    let mut tries = 0;
    while text.is_empty() && tries < 40 {
        text = blocked(&stage.plan(with(service())).await);
        tries += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    same("quota-exceeded", &stage.prefix, &text);

    apply(&[json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": format!("{}down", stage.prefix) },
        "webhooks": [{
            "name": "down.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail",
            "clientConfig": { "url": "https://127.0.0.1:1/" }, "timeoutSeconds": 1,
            "namespaceSelector": { "matchLabels": { "refusals": stage.prefix.trim_end_matches('-') } },
            "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"] }],
        }],
    })]);
    let mut outcome = None;
    for _ in 0..40 {
        outcome = stage.engine.plan(&stage.request(with(config("hooked")))).await.err();
        if outcome.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    same(
        "webhook-down",
        &stage.prefix,
        &outcome.expect("the webhook is asked").report(),
    );

    apply(&[json!({
        "apiVersion": "v1", "kind": "Service", "spec": { "ports": [{ "port": 80 }] },
        "metadata": { "name": "theirs", "namespace": format!("{}theirs", stage.prefix), "labels": { "kapp.k14s.io/app": "chart" } },
    })]);
    let theirs = Resource::new(
        format!("{}:Service/{}theirs/theirs", stage.place(), stage.prefix)
            .parse()
            .unwrap(),
        "tests",
        json!({ "spec": { "ports": [{ "port": 80 }] } }),
    );
    same("name-taken", &stage.prefix, &blocked(&stage.plan(with(theirs)).await));

    let mut elsewhere = stage.plan(vec![namespace()]).await;
    let planned = platform_core::value::PlaceIdentity("PLANNED".to_owned());
    let found = elsewhere.places.insert(stage.place(), planned).unwrap();
    let why = stage.try_apply(&elsewhere).await.unwrap_err().report();
    same("wrong-cluster", &stage.prefix, &why.replace(&found.0, "FOUND"));

    let nobody = control_plane().user(&format!("{}nobody", stage.prefix), &[]).unwrap();
    // Who the cluster is and what is recorded there are asked at once: what is told hangs on no answer's time.
    let (proxy, through) = proxied(&nobody);
    let provider = provider(&through, &stage.prefix).await.unwrap();
    let engine = crate::stage::engine(&provider, "tests@here:3:three");
    for late in ["/namespaces/kube-system", "/configmaps"] {
        proxy.set_rules([Rule::new(Fault::Delay(Duration::from_millis(500))).path(late)]);
        let why = engine.plan(&stage.request(vec![namespace()])).await.unwrap_err();
        same("forbidden", &stage.prefix, &why.report());
    }
}
