//! The proxy in front of the real API server: it passes everything on, and its faults are what a client meets.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use xtask::proxy::{Fault, Proxy, Rule};

use crate::shared::{control_plane, object, prefix, proxied, within};

/// A proxy to the API server as admin, and kubectl through it.
fn through() -> (Proxy, impl Fn(&[&str]) -> Command) {
    let (proxy, file) = proxied(control_plane().admin());
    let kubectl = move |arguments: &[&str]| {
        let mut command = Command::new(control_plane().kubectl());
        command
            .env_clear()
            .env("HOME", control_plane().folder())
            .arg("--kubeconfig")
            .arg(&file)
            .args(arguments);
        command
    };
    (proxy, kubectl)
}

#[test]
fn calls_pass_and_are_counted_and_an_answer_can_be_lost() {
    let space = format!("{}lost", prefix());
    let (proxy, kubectl) = through();
    let create = || kubectl(&["create", "namespace", &space]).output().unwrap();

    proxy.set_rules([Rule::new(Fault::refusal(429, "TooManyRequests", "slow down"))
        .writes()
        .first(1)]);
    let text = String::from_utf8(create().stderr).unwrap();
    assert!(text.contains("slow down"), "{text}");

    proxy.set_rules([Rule::new(Fault::DropAfter).writes().nth(1)]);
    let text = String::from_utf8(create().stderr).unwrap();
    assert!(text.contains("EOF"), "{text}");
    assert!(
        object(&format!("namespace {space}")).is_some(),
        "made, though nobody was told"
    );
    assert!(String::from_utf8(create().stderr).unwrap().contains("AlreadyExists"));

    let writes: Vec<_> = proxy.calls().into_iter().filter(xtask::proxy::Call::writes).collect();
    let seen: Vec<_> = writes.iter().map(|call| (call.status, call.forwarded)).collect();
    assert_eq!(seen, [(Some(429), 0), (None, 1), (Some(409), 1)]);
    assert!(
        writes.iter().all(|call| call.path.starts_with("/api/v1/namespaces?")),
        "{writes:?}"
    );
}

#[test]
fn watches_pass_and_time_is_added() {
    let space = format!("{}watched", prefix());
    let (proxy, kubectl) = through();
    let mut watch = kubectl(&["get", "namespaces", "--watch", "--output=name"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    within(Duration::from_mins(1), "an open watch", || {
        proxy
            .calls()
            .iter()
            .any(|call| call.path.contains("watch=") && call.status == Some(200))
    });
    assert!(
        kubectl(&["create", "namespace", &space])
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    );
    assert!(
        lines.any(|line| line.unwrap() == format!("namespace/{space}")),
        "the watch is still open and tells"
    );
    watch.kill().unwrap();
    watch.wait().unwrap();

    proxy.set_delay(Duration::from_millis(300));
    let began = Instant::now();
    assert!(
        kubectl(&["get", "--raw", "/version"])
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    );
    assert!(began.elapsed() >= Duration::from_millis(600), "{:?}", began.elapsed());
}
