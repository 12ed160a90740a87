//! 201 objects on the real control plane, beside kubectl in the same run: on the spot, and 30 ms away. Then the whole
//! local platform, all six capabilities: on the spot, and 50 ms away.
//!
//! `cargo bench -p platform-tests --bench control_plane [-- [whole] [ROUNDS]]`: the platform alone, and how often; each
//! figure is the best of the rounds (default 3).
#![allow(clippy::unwrap_used)]

use platform_tests::cost::{Cost, Costs, Count, Kubectl, ours};
use platform_tests::whole_cost::{definitions, documents, whole};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use xtask::control_plane::{AuditMark, ControlPlane, Options};
use xtask::proxy::{Proxy, Upstream};

/// One way between client and server.
const DISTANCE: Duration = Duration::from_millis(15);
const FAR: Duration = Duration::from_millis(25);
/// Asks this program to bring up the platform by itself, so that its memory is that of an apply alone.
const ALONE: &str = "--alone";

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let Some(at) = words.iter().position(|word| word == ALONE) {
        let kubeconfig = Path::new(&words[at + 1]);
        whole(kubeconfig, kubeconfig, "alone-", &|| 0);
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        println!("{}", peak.trim());
        return;
    }
    let rounds: usize = words.iter().find_map(|word| word.parse().ok()).unwrap_or(3);
    let plane = ControlPlane::start(&Options::default()).unwrap();
    // The server's own count, so that no proxy stands in the way.
    let asked = || {
        let (events, _) = plane.audit_since(AuditMark::default()).unwrap();
        events.iter().filter(|event| is_client(&event.user_agent)).count()
    };
    let admin = plane.admin().kubeconfig();
    let proxy = Proxy::start(Upstream::Kubeconfig(admin.to_owned())).unwrap();
    let far = plane.folder().join("far.kubeconfig");
    std::fs::write(&far, proxy.kubeconfig()).unwrap();
    if !words.iter().any(|word| word == "whole") {
        plain_objects(&plane, &proxy, &far, rounds, &asked);
    }
    the_whole_platform(&plane, &proxy, &far, rounds, &asked);
}

fn plain_objects(plane: &ControlPlane, proxy: &Proxy, far: &Path, rounds: usize, asked: Count<'_>) {
    let admin = plane.admin().kubeconfig();
    let here: Vec<(Costs, Costs)> = (0..rounds)
        .map(|round| {
            let theirs = format!("here-kubectls-{round}");
            let ours = ours(admin, &format!("here-ours-{round}"), asked);
            (ours, Kubectl::new(plane, admin, &theirs, asked).all())
        })
        .collect();
    heading(&format!(
        "201 objects: 150 ConfigMaps, 50 Deployments without pods, their namespace; ms, best of {rounds}"
    ));
    show("here", &here);

    proxy.set_delay(DISTANCE);
    let passed = || proxy.calls().len();
    // Distance outweighs chance: one round of kubectl, which takes a minute.
    let theirs = Kubectl::new(plane, far, "far-kubectls", &passed).all();
    let there: Vec<(Costs, Costs)> = (0..rounds)
        .map(|round| (ours(far, &format!("far-ours-{round}"), &passed), theirs))
        .collect();
    show("30 ms away", &there);
    proxy.set_delay(Duration::ZERO);
}

/// The example config beside kubectl on the manifests that it renders to.
fn the_whole_platform(plane: &ControlPlane, proxy: &Proxy, far: &Path, rounds: usize, asked: Count<'_>) {
    let admin = plane.admin().kubeconfig();
    Kubectl::of(plane, admin, ("definitions", &definitions()), asked).apply();
    // A new kind is refused for a second until the server's cache of it is there.
    for kind in ["backupstoragelocations.velero.io", "schedules.velero.io"] {
        Kubectl::asks(
            plane,
            &["wait", "--for=condition=Established", "--timeout=10m", "crd", kind],
        );
        Kubectl::asks(plane, &["get", kind, "--all-namespaces"]);
    }
    let kubectl = |kubeconfig, prefix: String, count| {
        let (manifest, objects) = documents(&prefix);
        (
            Kubectl::of(plane, kubeconfig, (&format!("{prefix}whole"), &manifest), count).all(),
            objects,
        )
    };
    let mut objects = 0;
    come_to_rest(plane);
    let here: Vec<(Costs, Costs)> = (0..rounds)
        .map(|round| {
            let ours = whole(admin, admin, &format!("here-{round}-"), asked);
            come_to_rest(plane);
            let theirs = kubectl(admin, format!("kubectl-{round}-"), asked);
            come_to_rest(plane);
            objects = theirs.1;
            (ours, theirs.0)
        })
        .collect();
    heading(&format!(
        "the whole local platform: {objects} objects; ms, best of {rounds}; Velero's definitions are there before"
    ));
    show("here", &here);
    proxy.set_delay(FAR);
    let passed = || proxy.calls().len();
    let theirs = kubectl(far, "kubectl-far-".to_owned(), &passed).0;
    let there: Vec<(Costs, Costs)> = (0..rounds)
        .map(|round| {
            come_to_rest(plane);
            (whole(far, admin, &format!("far-{round}-"), &passed), theirs)
        })
        .collect();
    show("50 ms away", &there);
    let output = Command::new(std::env::current_exe().unwrap())
        .arg(ALONE)
        .arg(admin)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let peak = String::from_utf8_lossy(&output.stdout);
    println!(
        "peak memory of a process that applies, plans and destroys it: {}",
        peak.trim()
    );
}

/// Waits till no namespace is on its way out, so that controllers do not clean up while the next round is measured.
fn come_to_rest(plane: &ControlPlane) {
    let phases = "jsonpath={.items[*].status.phase}";
    for _ in 0..600 {
        if !Kubectl::asks(plane, &["get", "namespaces", "--output", phases]).contains("Terminating") {
            return;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    println!("namespaces are still being removed: what follows is too slow");
}

fn is_client(agent: &str) -> bool {
    agent.starts_with("mlplat/") || agent.starts_with("kubectl/")
}

fn heading(what: &str) {
    println!("\n{what}");
    println!(
        "{:<31}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "", "1st write", "unwaited", "accepted", "settled", "requests"
    );
}

fn show(distance: &str, rounds: &[(Costs, Costs)]) {
    let show = |verb: &str, command: &str, of: fn(&Costs) -> Cost| {
        let ours = best(rounds.iter().map(|(ours, _)| of(ours)));
        let theirs = best(rounds.iter().map(|(_, theirs)| of(theirs)));
        println!(
            "{distance:<11}{verb:<20}{:>10}{:>10}{:>10}{:>10}{:>10}",
            milliseconds(ours.verified),
            milliseconds(ours.unwaited),
            milliseconds(ours.accepted),
            milliseconds(ours.settled),
            ours.requests
        );
        println!(
            "{:<11}{command:<20}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "  kubectl",
            "",
            "",
            milliseconds(theirs.accepted),
            "",
            theirs.requests
        );
    };
    show("create", "apply", |costs| costs.create);
    show("plan", "diff", |costs| costs.plan);
    show("plan, new process", "diff", |costs| costs.first_plan);
    show("apply again", "apply", |costs| costs.again);
    show("destroy", "delete --wait=false", |costs| costs.destroy);
}

fn best(costs: impl Iterator<Item = Cost>) -> Cost {
    costs
        .reduce(|one, other| Cost {
            verified: one.verified.min(other.verified),
            unwaited: one.unwaited.min(other.unwaited),
            accepted: one.accepted.min(other.accepted),
            settled: one.settled.min(other.settled),
            requests: one.requests.max(other.requests),
        })
        .unwrap()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.0}", time.as_secs_f64() * 1e3)
}
