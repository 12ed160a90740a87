//! 201 objects on the real control plane, beside kubectl in the same run: on the spot, and 30 ms away.
//!
//! `cargo bench -p platform-tests --bench control_plane [-- ROUNDS]`; each figure is the best of the rounds (default 3).
#![allow(clippy::unwrap_used)]

use platform_tests::cost::{Cost, Costs, Kubectl, ours};
use std::time::Duration;
use xtask::control_plane::{AuditMark, ControlPlane, Options};
use xtask::proxy::{Proxy, Upstream};

/// One way between client and server.
const DISTANCE: Duration = Duration::from_millis(15);

fn main() {
    let rounds: usize = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(3);
    let plane = ControlPlane::start(&Options::default()).unwrap();
    println!("201 objects: 150 ConfigMaps, 50 Deployments without pods, their namespace; ms, best of {rounds}");
    println!(
        "{:<31}{:>10}{:>10}{:>10}{:>10}",
        "", "1st write", "accepted", "settled", "requests"
    );

    // The server's own count, so that no proxy stands in the way.
    let asked = || {
        let (events, _) = plane.audit_since(AuditMark::default()).unwrap();
        events.iter().filter(|event| is_client(&event.user_agent)).count()
    };
    let admin = plane.admin().kubeconfig();
    let here: Vec<(Costs, Costs)> = (0..rounds)
        .map(|round| {
            let theirs = format!("here-kubectls-{round}");
            (
                ours(admin, &format!("here-ours-{round}"), &asked),
                Kubectl::new(&plane, admin, &theirs, &asked).all(),
            )
        })
        .collect();
    show("here", &here);

    let proxy = Proxy::start(Upstream::Kubeconfig(admin.to_owned())).unwrap();
    let far = plane.folder().join("far.kubeconfig");
    std::fs::write(&far, proxy.kubeconfig()).unwrap();
    proxy.set_delay(DISTANCE);
    let passed = || proxy.calls().len();
    // Distance outweighs chance: one round of kubectl, which takes a minute.
    let theirs = Kubectl::new(&plane, &far, "far-kubectls", &passed).all();
    let there: Vec<(Costs, Costs)> = (0..rounds)
        .map(|round| (ours(&far, &format!("far-ours-{round}"), &passed), theirs))
        .collect();
    show("30 ms away", &there);
}

fn is_client(agent: &str) -> bool {
    agent.starts_with("mlplat/") || agent.starts_with("kubectl/")
}

fn show(distance: &str, rounds: &[(Costs, Costs)]) {
    let show = |verb: &str, command: &str, of: fn(&Costs) -> Cost| {
        let ours = best(rounds.iter().map(|(ours, _)| of(ours)));
        let theirs = best(rounds.iter().map(|(_, theirs)| of(theirs)));
        println!(
            "{distance:<11}{verb:<20}{:>10}{:>10}{:>10}{:>10}",
            milliseconds(ours.verified),
            milliseconds(ours.accepted),
            milliseconds(ours.settled),
            ours.requests
        );
        println!(
            "{:<11}{command:<20}{:>10}{:>10}{:>10}{:>10}",
            "  kubectl",
            "",
            milliseconds(theirs.accepted),
            "",
            theirs.requests
        );
    };
    show("create", "apply", |costs| costs.create);
    show("plan", "diff", |costs| costs.plan);
    show("apply again", "apply", |costs| costs.again);
    show("destroy", "delete --wait=false", |costs| costs.destroy);
}

fn best(costs: impl Iterator<Item = Cost>) -> Cost {
    costs
        .reduce(|one, other| Cost {
            verified: one.verified.min(other.verified),
            accepted: one.accepted.min(other.accepted),
            settled: one.settled.min(other.settled),
            requests: one.requests.max(other.requests),
        })
        .unwrap()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.0}", time.as_secs_f64() * 1e3)
}
