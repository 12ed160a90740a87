//! Logins replaced on a real API server: the next one is made, then accepted, and only then handed out. The scripts that
//! make the servers accept it run on real servers in the blueprints' suite.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use composition::Platform;
use xtask::proxy::{Fault, Rule};

use crate::configured::{apply, config, platform_at, try_apply, uids};
use crate::shared::{control_plane, object, prefix, proxied};
use crate::stage::{accepted, told};

/// Namespace, Secret and key of what applications and people log in with.
const LOGINS: [(&str, &str, &str); 5] = [
    ("apps", "database-client", "password"),
    ("database", "postgres-credentials", "password"),
    ("cache", "redis-credentials", "password"),
    ("storage", "minio-credentials", "secret-key"),
    ("monitoring", "prometheus-grafana-credentials", "password"),
];

/// What never leaves a namespace: its server, and the user that it is of.
const INSIDE: [(&str, &str, &str); 7] = [
    ("database", "postgres", "admin"),
    ("database", "postgres", "exporter"),
    ("cache", "redis", "backup"),
    ("cache", "redis", "exporter"),
    ("cache", "redis", "probe"),
    ("cache", "redis", "reload"),
    ("cache", "redis", "replica"),
];

struct Site {
    prefix: String,
    kubeconfig: PathBuf,
}

impl Site {
    async fn platform(&self, revision: u32) -> Platform {
        let text = config(
            &self.prefix,
            "{ storage: 1Gi }",
            "{ memory: 128Mi, replicas: 1 }",
            "{ capacity: 1Gi, flavour: minio, buckets: [{ name: models }] }",
            &format!(
                "monitoring: {{}}\nsecurity:\n  applications: [{{ name: apps, uses: [database, cache] }}]\n  revisions: \
                 {{ database: {revision}, cache: {revision}, storage: {revision}, monitoring: {revision} }}"
            ),
        );
        platform_at(&self.kubeconfig, &text, None).await
    }

    fn value(&self, (space, secret, key): (&str, &str, &str)) -> String {
        let secret = object(&format!("secret {secret} --namespace {}{space}", self.prefix)).unwrap();
        let value = STANDARD.decode(secret["data"][key].as_str().unwrap()).unwrap();
        String::from_utf8(value).unwrap()
    }

    fn logins(&self) -> Vec<String> {
        LOGINS.iter().map(|one| self.value(*one)).collect()
    }

    /// The passwords inside that this Secret of each server holds under this end of a key.
    fn inside(&self, secret: &str, end: &str) -> Vec<String> {
        INSIDE
            .iter()
            .map(|(space, server, who)| self.value((space, &format!("{server}-{secret}"), &format!("{who}-{end}"))))
            .collect()
    }

    fn kept(&self) -> Vec<String> {
        [
            ("storage", "minio-internal", "secret-key"),
            ("monitoring", "prometheus-grafana-credentials", "secret-key"),
        ]
        .map(|one| self.value(one))
        .into()
    }

    /// The servers' pods, without what a new Job or another key of Grafana or of the store brings.
    fn servers(&self) -> BTreeMap<String, String> {
        let mut pods = uids(&self.prefix, "pods");
        pods.retain(|name, _| {
            ["postgres-0", "redis-0", "redis-1"]
                .iter()
                .any(|one| name.ends_with(one))
        });
        assert_eq!(pods.len(), 3, "{pods:?}");
        pods
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_replaced_and_handed_out_last() {
    let (proxy, kubeconfig) = proxied(control_plane().admin());
    let site = Site {
        prefix: prefix(),
        kubeconfig,
    };
    let platform = site.platform(1).await;
    apply(&platform, &platform.plan().await.unwrap()).await;
    let first = site.logins();
    let (inside_first, kept_first) = (site.inside("internal", "password"), site.kept());
    let (servers, claims) = (site.servers(), uids(&site.prefix, "persistentvolumeclaims"));

    // The process gets no further than the Secrets that applications read.
    let platform = site.platform(2).await;
    let plan = platform.plan().await.unwrap();
    let demands = plan.demands();
    let demands: Vec<String> = demands
        .iter()
        .map(|one| format!("{:?} {}", one.risk, one.resource.label()))
        .collect();
    let restarts = [
        "Deployment {}monitoring/prometheus-grafana",
        "StatefulSet {}storage/minio",
    ]
    .map(|one| format!("Downtime {}", one.replace("{}", &site.prefix)));
    assert_eq!(demands, restarts, "data is never at risk");
    proxy.set_rules([Rule::new(Fault::refusal(403, "Forbidden", "no"))
        .writes()
        .path("-credentials")]);
    let report = try_apply(&platform, &plan, &accepted(&plan)).await.unwrap();
    assert_eq!(report.failures().count(), 4, "{}", report.display());
    proxy.set_rules([]);
    assert_eq!(site.logins(), first, "nothing is handed out yet");
    let made = |server: &str| {
        let (space, secret) = server.split_once('/').unwrap();
        site.value((space, secret, "next"))
    };
    let next = [
        "database/postgres-internal",
        "cache/redis-internal",
        "storage/minio-internal",
    ]
    .map(made);

    // The same plan goes on with what is made.
    apply(&platform, &plan).await;
    let after = platform.plan().await.unwrap();
    assert_eq!(told(&after), Vec::<String>::new());
    let second = site.logins();
    assert_eq!(second[0], second[1], "applications have what the server accepts");
    assert_eq!(second[1..4], next, "no password is made twice");
    assert!(first.iter().zip(&second).all(|(first, second)| first != second));
    assert_eq!(site.value(("apps", "database-client", "username")), "app_r2");
    assert_eq!(site.value(("storage", "minio-credentials", "access-key")), "app-r2");
    assert_eq!(site.value(("cache", "redis-internal", "app-password")), first[2]);
    assert_eq!(site.servers(), servers, "no server restarts but the store");
    let (inside_of_first, inside_of_second) = (site.inside("internal", "password"), site.inside("internal", "next"));
    assert_eq!(inside_of_first, inside_first, "whoever is inside goes on");
    assert_eq!(site.inside("accepted", "password"), inside_of_second);
    assert_eq!(
        site.value(("database", "postgres-accepted", "admin-user")),
        "platform_admin_r2"
    );
    let kept_of_second = site.kept();
    assert!(
        kept_first
            .iter()
            .zip(&kept_of_second)
            .all(|(first, second)| first != second)
    );

    // The next round leaves nothing of the first, and loses nothing.
    let platform = site.platform(3).await;
    let plan_of_third = platform.plan().await.unwrap();
    let report_of_third = try_apply(&platform, &plan_of_third, &accepted(&plan_of_third))
        .await
        .unwrap();
    assert!(report_of_third.is_success(), "{}", report_of_third.display());
    let third = site.logins();
    assert!(second.iter().zip(&third).all(|(second, third)| second != third));
    assert_eq!(site.value(("cache", "redis-internal", "app-password")), second[2]);
    assert_eq!(uids(&site.prefix, "persistentvolumeclaims"), claims);
    let inside_of_third = site.inside("accepted", "password");
    assert!(
        inside_of_third
            .iter()
            .zip(&inside_of_second)
            .all(|(third, second)| third != second)
    );
    // In the cache they are one rotation behind what its servers accept; in the database the first one is kept.
    let behind = site.inside("internal", "password");
    assert_eq!(behind[..2], inside_of_first[..2]);
    assert_eq!(behind[2..], inside_of_second[2..]);

    let said = [
        plan.display().to_string(),
        serde_json::to_string(&plan).unwrap(),
        format!("{plan_of_third:?}"),
        report.display().to_string(),
        format!("{report_of_third:?}"),
    ];
    let outside = first.iter().chain(&second).chain(&third);
    let inside = inside_of_first.iter().chain(&inside_of_second).chain(&inside_of_third);
    for value in outside.chain(inside).chain(&kept_first).chain(&kept_of_second) {
        assert!(said.iter().all(|text| !text.contains(value)), "a password is told");
    }
}
