//! Another login for applications, on the platform of the example: made, accepted, and only then handed out.

use crate::crash::{Scenario, exhaust};
use crate::platform::{EXAMPLE, empty, request};
use crate::stage::{LAG, Stage, nothing};
use libtest_mimic::Trial;
use platform_core::engine::{Event, PlanRequest};
use platform_core::value::ResourceId;
use std::collections::BTreeMap;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial("rotation::a_login_is_handed_out_last", handed_out_last),
        crate::trial("rotation::killed_anywhere", || {
            exhaust(&scenario(2), None).unwrap();
        }),
        crate::trial("rotation::second_killed_anywhere", || {
            exhaust(&scenario(3), None).unwrap();
        }),
    ]
}

fn wished(revision: u32) -> PlanRequest {
    let line = "security:\n";
    assert!(EXAMPLE.contains(line));
    let more = format!(
        "{line}  revisions: {{ database: {revision}, cache: {revision}, monitoring: {revision} }}\n  applications:\n    \
         - {{ name: training, uses: [database, cache] }}\n"
    );
    request(&EXAMPLE.replace(line, &more))
}

fn id(text: &str) -> ResourceId {
    format!("k8s/main:{text}").parse().unwrap()
}

fn standing(revision: u32) -> Stage {
    let stage = empty();
    for revision in 1..=revision {
        stage.settle(&wished(revision), &nothing).unwrap();
        stage.clock.advance(LAG.window);
    }
    stage
}

fn value(stage: &Stage, secret: &str, key: &str) -> String {
    stage.world.secrets(&id(&format!("Secret/{secret}")))[&format!(".data.{key}")].clone()
}

fn handed_out_last() {
    let stage = standing(1);
    let first = value(&stage, "database/postgres-credentials", "password");
    let first_of_cache = value(&stage, "cache/redis-credentials", "password");
    let firsts: BTreeMap<String, String> = [
        ("database/postgres", "admin"),
        ("database/postgres", "exporter"),
        ("cache/redis", "probe"),
        ("cache/redis", "replica"),
    ]
    .map(|(server, who)| {
        let first = value(&stage, &format!("{server}-internal"), &format!("{who}-password"));
        (format!("{server} {who}"), first)
    })
    .into();
    let plan = stage.plan(&wished(2)).unwrap();
    let restarts = plan
        .changes()
        .filter(|step| matches!(step.id.kind().as_str(), "StatefulSet.apps" | "Deployment.apps") && step.writes());
    let restarts: Vec<String> = restarts.map(|step| step.id.label()).collect();
    assert_eq!(
        restarts,
        ["Deployment monitoring/prometheus-grafana"],
        "only Grafana restarts"
    );
    let mut done = Vec::new();
    let report = stage
        .apply_telling(&plan, &nothing(&plan), &mut |event| {
            if let Event::Done { id, .. } = event {
                done.push(id);
            }
        })
        .unwrap();
    assert!(report.is_success(), "{}", report.display());
    let at = |what: &str| {
        let found = done.iter().position(|id| id.to_string().contains(what));
        found.unwrap_or_else(|| panic!("no {what} in {done:#?}"))
    };
    for [made, accepted, handed, passed] in [
        [
            "Secret/database/postgres-internal",
            "Job.batch/database/database-roles-",
            "Secret/database/postgres-credentials",
            "Secret/training/database-client",
        ],
        [
            "Secret/cache/redis-internal",
            "Job.batch/cache/cache-users-",
            "Secret/cache/redis-credentials",
            "Secret/training/cache-client",
        ],
    ] {
        assert!(
            at(made) < at(accepted) && at(accepted) < at(handed) && at(handed) < at(passed),
            "{done:#?}"
        );
    }
    stage.clock.advance(LAG.window);
    assert!(stage.plan(&wished(2)).unwrap().is_empty());
    let second = value(&stage, "database/postgres-credentials", "password");
    assert_ne!(second, first);
    assert_eq!(value(&stage, "database/postgres-internal", "next"), second);
    assert_eq!(value(&stage, "training/database-client", "password"), second);
    // Whoever is inside has another one as soon as the server accepts it, and in the cache one rotation later.
    let inside = |server: &str, kind: &str, key: &str| value(&stage, &format!("{server}-{kind}"), key);
    assert!(at("Job.batch/database/database-roles-") < at("Secret/database/postgres-accepted"));
    assert!(at("Job.batch/cache/cache-users-") < at("Secret/cache/redis-accepted"));
    for (server, who) in [
        ("database/postgres", "admin"),
        ("database/postgres", "exporter"),
        ("cache/redis", "probe"),
        ("cache/redis", "replica"),
    ] {
        let (password, next) = (format!("{who}-password"), format!("{who}-next"));
        let first = inside(server, "internal", &password);
        assert_eq!(first, firsts[&format!("{server} {who}")], "{who} is locked out");
        let second = inside(server, "accepted", &password);
        assert_eq!(second, inside(server, "internal", &next));
        assert_ne!(first, second);
    }
    let second_of_probe = inside("cache/redis", "accepted", "probe-password");
    let first_of_probe = inside("cache/redis", "internal", "probe-password");
    // The servers of the cache know both.
    assert_eq!(value(&stage, "cache/redis-internal", "app-password"), first_of_cache);
    let second_of_cache = value(&stage, "cache/redis-credentials", "password");
    assert_eq!(value(&stage, "cache/redis-internal", "next"), second_of_cache);
    assert_ne!(second_of_cache, first_of_cache);

    // The next one leaves nothing of the first.
    stage.settle(&wished(3), &nothing).unwrap();
    assert_eq!(value(&stage, "cache/redis-internal", "app-password"), second_of_cache);
    assert_ne!(value(&stage, "training/database-client", "password"), second);
    assert_eq!(value(&stage, "cache/redis-internal", "probe-password"), second_of_probe);
    let third_of_probe = value(&stage, "cache/redis-accepted", "probe-password");
    assert!(third_of_probe != second_of_probe && third_of_probe != first_of_probe);
    assert_eq!(
        value(&stage, "database/postgres-internal", "admin-password"),
        firsts["database/postgres admin"],
        "a restored database begins with it"
    );
}

/// What applications log in with, and what the cache goes on to accept.
fn is_of_a_login(key: &str) -> bool {
    [
        ".data.password",
        ".data.secret-key",
        ".data.app-password",
        ".data.username",
        ".data.users.acl",
    ]
    .contains(&key)
}

fn scenario(revision: u32) -> Scenario {
    Scenario {
        name: "rotation",
        stage: empty,
        start: standing(revision - 1).world.snapshot().unwrap(),
        request: wished(revision),
        consent: nothing,
        // What the first rotation makes is made once; the second one makes it again.
        changes: if revision == 2 {
            |(_, key)| is_of_a_login(key)
        } else {
            |(id, key)| {
                let inside = id.to_string().ends_with("-accepted") || id.to_string().contains("/redis-internal");
                is_of_a_login(key) || key == ".data.next" || key.ends_with("-next") || inside
            }
        },
    }
}
