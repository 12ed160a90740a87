//! Every metric that a rule or panel names is shown by the real exporter, where that runs here.
//!
//! node_exporter is the image's own version. Debian's exporters of PostgreSQL and Redis are older: what differs is data
//! below, and expressions are written for both.

use crate::buckets::Store;
use crate::monitoring::promql::metrics;
use crate::monitoring::{all_metrics, full, loud_spec, panel_expressions, spec, watched};
use crate::postgres::Postgres;
use crate::redis::Redis;
use crate::server::{Folder, Server, find, free_port};
use platform_core::BucketSpec;
use platform_tests::manifests::{Wanted, resources};
use platform_tests::metrics::{KUBE_STATE, VELERO};
use provider_k8s::monitoring::{alertmanager, document, job, rules, scrape};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;
use xtask::peer::{Debian, exporters};

/// Names that no exporter shows here, and where they are written down.
const ELSEWHERE: &[(&str, &str)] = &[
    ("container_cpu_usage_seconds_total", CADVISOR),
    ("container_memory_working_set_bytes", CADVISOR),
    ("container_network_receive_bytes_total", CADVISOR),
    ("container_network_transmit_bytes_total", CADVISOR),
    ("http_request_duration_seconds_bucket", CONVENTION),
    ("http_requests_total", CONVENTION),
    ("kubelet_volume_stats_capacity_bytes", KUBELET),
    ("kubelet_volume_stats_inodes", KUBELET),
    ("kubelet_volume_stats_inodes_used", KUBELET),
    ("kubelet_volume_stats_used_bytes", KUBELET),
    ("minio_s3_requests_5xx_errors_total", MINIO),
    ("pg_stat_statements_calls_total", STATEMENTS),
    ("pg_stat_statements_seconds_total", STATEMENTS),
];
const CADVISOR: &str = "cAdvisor, metrics/prometheus.go; needs a kubelet with containers";
const CONVENTION: &str = "what Prometheus's client libraries and their HTTP middlewares call it";
const KUBELET: &str = "Kubernetes, pkg/kubelet/metrics/collectors/volume_stats.go; needs a kubelet with volumes";
const MINIO: &str = "MinIO, cmd/metrics-v2.go; shown from the first error on";
const STATEMENTS: &str = "postgres_exporter, collector/pg_stat_statements.go, since 0.13; Debian has 0.11";

/// What differs between Debian's exporters and the images', as far as an expression could see it.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "pg_settings_max_connections",
        "server",
        "0.20 has no label `server`: expressions add up by namespace and pod",
    ),
    (
        "pg_stat_activity_count",
        "server",
        "0.20 has no label `server`, and labels such as `backend_type` of which 0.11 has none",
    ),
];

/// The metrics in what an exporter shows, each with the labels of one of its series.
fn shown(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let end = line.find(['{', ' ']).unwrap();
            let labels = line[end..].split('}').next().unwrap_or_default();
            (line[..end].to_owned(), labels.to_owned())
        })
        .collect()
}

/// What a loopback server answers, if it does.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200 ").then(|| body.to_owned())
}

/// Runs a Debian program on a port until the end of the test.
fn serve(package: Debian, program: &str, arguments: &[String], env: &[(&str, String)], folder: &Folder) -> Server {
    let mut command = package.ready().unwrap().command(program);
    command
        .args(arguments)
        .env_clear()
        .envs(env.iter().cloned())
        .current_dir(folder.path());
    Server::start(command, folder.path().join(format!("{program}.log")))
}

/// Waits until what is shown at `/metrics` has every metric that begins with `prefix` and is to be proved.
fn prove(server: &mut Server, port: u16, prefix: &str) -> BTreeMap<String, String> {
    let wanted = proved_here(prefix);
    let mut seen = BTreeMap::new();
    let mut missing = wanted.clone();
    let mut tries = 0;
    server.wait("show metrics", || {
        tries += 1;
        if let Some(text) = get(port, "/metrics") {
            seen = shown(&text);
            missing = wanted
                .iter()
                .filter(|name| !seen.contains_key(*name))
                .cloned()
                .collect();
        }
        missing.is_empty() || tries > 300
    });
    assert!(
        missing.is_empty(),
        "{missing:?} are not among {:?}\n{}",
        seen.keys(),
        server.log()
    );
    println!("{} metrics of {prefix} proved", wanted.len());
    seen
}

/// The expression of a rule with every limit so low that whatever there is passes it.
fn without_limits(expr: &str) -> String {
    let mut words: Vec<&str> = expr.split(' ').collect();
    for at in 1..words.len() {
        if matches!(words[at - 1], ">" | "==" | "!=") {
            let brackets = words[at].len() - words[at].trim_end_matches(')').len();
            words[at - 1] = ">=";
            words[at] = &"0))))"[..=brackets];
        }
    }
    words.join(" ")
}

/// Prometheus reads the exporter under the platform's labels: every panel that needs nothing else has an answer, and
/// every rule something to compare with its limit.
fn expressions_find_data(exporter: u16, job: &str, labels: &Value, prefix: &str) {
    let folder = Folder::new();
    let port = free_port();
    let target = json!({ "targets": [format!("127.0.0.1:{exporter}")], "labels": labels });
    let config = json!({
        "global": { "scrape_interval": "1s" },
        "scrape_configs": [{ "job_name": job, "static_configs": [target] }],
    });
    folder.write("prometheus.yml", &document(&config), 0o444);
    let arguments = [
        format!("--config.file={}", folder.text("prometheus.yml")),
        format!("--storage.tsdb.path={}", folder.folder("prometheus")),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    let mut prometheus = serve(Debian::Prometheus, "prometheus", &arguments, &[], &folder);
    let (spec, context) = (spec(), full());
    let watched = watched(&spec, &context);
    let of_rules = rules::groups(&watched)
        .into_iter()
        .flat_map(|group| group.rules)
        .map(|rule| (rule.alert.to_owned(), without_limits(&rule.expr)));
    let mut open: Vec<(String, String)> = panel_expressions(&watched)
        .into_iter()
        .chain(of_rules)
        .filter(|(_, expr)| {
            let names = metrics(expr);
            let here = |name: &String| name.starts_with(prefix) && ELSEWHERE.iter().all(|(listed, _)| listed != name);
            !names.is_empty() && names.iter().all(here)
        })
        .collect();
    let all = open.len();
    let mut tries = 0;
    // A rate needs two readings.
    prometheus.wait("answer", || {
        tries += 1;
        open.retain(|(_, expr)| {
            let query = expr
                .bytes()
                .fold(String::new(), |query, byte| format!("{query}%{byte:02X}"));
            let answer = get(port, &format!("/api/v1/query?query={query}")).unwrap_or_default();
            let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
            answer["data"]["result"].as_array().is_none_or(Vec::is_empty)
        });
        open.is_empty() || tries > 300
    });
    assert!(open.is_empty(), "no data: {open:#?}");
    assert!(all >= 6, "{all}");
    println!("{all} expressions have data of {job}");
    prometheus.stop("-TERM");
}

/// The metrics of rules and panels with this beginning that must be shown here.
fn proved_here(prefix: &str) -> BTreeSet<String> {
    let wanted: BTreeSet<String> = all_metrics()
        .into_iter()
        .filter(|name| name.starts_with(prefix) && ELSEWHERE.iter().all(|(listed, _)| listed != name))
        .collect();
    assert!(!wanted.is_empty(), "{prefix}");
    wanted
}

/// Every metric is proved by one of the tests here or beside the real API server, or listed with its source; the list
/// names nothing that nobody uses.
#[test]
fn every_metric_is_proved_or_listed() {
    let proved = [
        "pg_",
        "redis_",
        "node_",
        "minio_",
        "prometheus_",
        "alertmanager_",
        "ALERTS",
        "up",
    ];
    let used = all_metrics();
    for name in &used {
        let listed = ELSEWHERE.iter().any(|(listed, _)| listed == name);
        let elsewhere = [scrape::API_SERVER_METRICS, KUBE_STATE, VELERO]
            .iter()
            .any(|proved| proved.contains(&name.as_str()));
        let here = proved.iter().any(|prefix| name.starts_with(prefix)) && !listed;
        assert_eq!(
            [listed, elsewhere, here].iter().filter(|one| **one).count(),
            1,
            "{name} is neither proved nor listed"
        );
    }
    for (name, source) in ELSEWHERE {
        assert!(used.contains(*name), "{name} is listed and not used");
        assert!(source.len() > 20);
    }
    let unused = KUBE_STATE.iter().chain(VELERO).find(|name| !used.contains(**name));
    assert_eq!(unused, None, "proved and not used");
    println!("{} metrics, {} of them listed", used.len(), ELSEWHERE.len());
}

#[test]
fn postgres_exporter_shows_them() {
    let postgres = Postgres::new();
    let mut server = postgres.serving();
    assert!(postgres.roles().status.success());
    let port = free_port();
    let source = format!(
        "localhost:{}/postgres?sslmode=verify-full&sslrootcert={}",
        postgres.port,
        postgres.folder.text("tls/ca.crt")
    );
    let env = [
        ("DATA_SOURCE_URI", source),
        ("DATA_SOURCE_USER", "postgres_exporter".to_owned()),
        (
            "DATA_SOURCE_PASS_FILE",
            postgres.folder.text("secret/exporter-password"),
        ),
    ];
    let arguments = [format!("--web.listen-address=127.0.0.1:{port}")];
    let mut exporter = serve(
        Debian::PostgresExporter,
        "prometheus-postgres-exporter",
        &arguments,
        &env,
        &postgres.folder,
    );
    let seen = prove(&mut exporter, port, "pg_");
    for label in ["datname", "state"] {
        assert!(seen["pg_stat_activity_count"].contains(&format!("{label}=")), "{label}");
    }
    assert!(seen["pg_stat_database_numbackends"].contains("datname="));
    assert!(seen["pg_locks_count"].contains("mode="));
    expressions_find_data(
        port,
        "postgres",
        &json!({ "namespace": "database", "pod": "postgres-0" }),
        "pg_",
    );
    // A difference that is gone need not be borne any longer.
    for (metric, label, what) in DIFFERENCES {
        assert!(seen[*metric].contains(&format!("{label}=")), "{what}");
    }
    exporter.stop("-TERM");
    server.stop("-INT");
}

/// At a replica, whose exporter shows what the first server's does and its link to that one.
#[test]
fn redis_exporter_shows_them() {
    let first = Redis::new();
    let mut primary = first.serving();
    assert_eq!(first.cli("app", "app-pw", &["SET", "k", "text"]), "OK");
    let (redis, mut server) = first.followed();
    assert!(redis.cli("app", "app-pw", &["LLEN", "k"]).contains("WRONGTYPE"));
    let port = free_port();
    let all = resources(&Wanted::local()).unwrap();
    let pod = &find(&all, "StatefulSet.apps", "cache/redis").desired["spec"]["template"]["spec"];
    let container = pod["containers"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "exporter")
        .unwrap();
    // 1.45 looks for the server alone, the image's version for the user at the server.
    let passwords = json!({
        format!("rediss://exporter@localhost:{}", redis.port): "exporter-pw",
        format!("rediss://localhost:{}", redis.port): "exporter-pw",
    });
    first
        .folder
        .write("secret/exporter.json", &passwords.to_string(), 0o440);
    let mut arguments: Vec<String> = container["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|argument| {
            argument
                .as_str()
                .unwrap()
                .replace(":6379", &format!(":{}", redis.port))
                .replace("/etc/redis", first.folder.path().to_str().unwrap())
        })
        .collect();
    arguments.push(format!("--web.listen-address=127.0.0.1:{port}"));
    let mut exporter = serve(
        Debian::RedisExporter,
        "prometheus-redis-exporter",
        &arguments,
        &[],
        &redis.folder,
    );
    let seen = prove(&mut exporter, port, "redis_");
    assert!(seen["redis_commands_failed_calls_total"].contains("cmd="));
    assert!(seen["redis_db_keys"].contains("db="));
    expressions_find_data(
        port,
        "redis",
        &json!({ "namespace": "cache", "pod": "redis-1" }),
        "redis_",
    );
    let link = || {
        let text = get(port, "/metrics").unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("redis_master_link_up{"));
        line.and_then(|line| line.split(' ').next_back()).map(str::to_owned)
    };
    assert_eq!(link().as_deref(), Some("1"));
    primary.stop("-TERM");
    server.wait("see that the link is gone", || link().as_deref() == Some("0"));
    exporter.stop("-TERM");
    server.stop("-TERM");
}

#[test]
fn node_exporter_shows_them() {
    let folder = Folder::new();
    let port = free_port();
    let mut command = Command::new(exporters().unwrap().node_exporter);
    command
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .env_clear();
    let mut exporter = Server::start(command, folder.path().join("log"));
    let seen = prove(&mut exporter, port, "node_");
    assert!(seen["node_cpu_seconds_total"].contains("mode="));
    for label in ["mountpoint", "fstype"] {
        assert!(seen["node_filesystem_avail_bytes"].contains(label));
        assert!(seen["node_filesystem_readonly"].contains(label));
    }
    assert!(seen["node_network_receive_bytes_total"].contains("device="));
    expressions_find_data(port, job::NODE, &json!({ "node": "n1" }), "node_");
    exporter.stop("-TERM");
}

#[test]
fn minio_shows_them() {
    let store = Store::new();
    store.describe(&[BucketSpec::new("models")]);
    assert!(store.run(0).1);
    let wanted = proved_here("minio_");
    let mut missing = wanted.clone();
    for _ in 0..120 {
        let output = store.mc(&["admin", "prometheus", "metrics", "store", "cluster"]);
        let seen = shown(&String::from_utf8_lossy(&output.stdout));
        missing.retain(|name| !seen.contains_key(name));
        if missing.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(missing.is_empty(), "{missing:?}");
    println!("{} metrics of MinIO proved", wanted.len());
}

/// Prometheus evaluates every rule, Alertmanager gets the Watchdog and the dead man's switch is called: with the
/// platform's own rules and receivers.
#[test]
fn an_alarm_goes_all_the_way() {
    let folder = Folder::new();
    let (prometheus_port, alertmanager_port) = (free_port(), free_port());
    let switch = TcpListener::bind("127.0.0.1:0").unwrap();
    let switch_port = switch.local_addr().unwrap().port();
    let (sender, calls) = mpsc::channel();
    std::thread::spawn(move || {
        // Ends with the process: nobody calls after that.
        for mut stream in switch.incoming().flatten() {
            let mut text = Vec::new();
            let mut buffer = [0; 4096];
            let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                text.extend_from_slice(&buffer[..read]);
                if text.ends_with(b"}\n") {
                    break;
                }
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            if sender.send(String::from_utf8_lossy(&text).into_owned()).is_err() {
                break;
            }
        }
    });

    let mut config = alertmanager::config(&loud_spec()).unwrap();
    for receiver in config["receivers"].as_array_mut().unwrap() {
        if let Some(hook) = receiver.pointer_mut("/webhook_configs/0") {
            hook.as_object_mut().unwrap().remove("url_file").unwrap();
            hook["url"] = json!(format!("http://127.0.0.1:{switch_port}/{}", "call"));
        }
    }
    for file in alertmanager::secrets(&loud_spec()).keys() {
        folder.write(&format!("secret/{file}"), "http://127.0.0.1:9/", 0o444);
    }
    let text = document(&config).replace(alertmanager::SECRETS, &folder.text("secret"));
    folder.write("alertmanager.yml", &text, 0o444);
    let (spec, context) = (spec(), full());
    folder.write("rules.yml", &document(&rules::file(&watched(&spec, &context))), 0o444);
    let target = |port: u16| json!([{ "targets": [format!("127.0.0.1:{port}")] }]);
    let config = json!({
        "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
        "rule_files": ["rules.yml"],
        "alerting": { "alertmanagers": [{ "static_configs": target(alertmanager_port) }] },
        "scrape_configs": [
            { "job_name": "prometheus", "static_configs": target(prometheus_port) },
            { "job_name": "alertmanager", "static_configs": target(alertmanager_port) },
        ],
    });
    folder.write("prometheus.yml", &document(&config), 0o444);

    let arguments = [
        format!("--config.file={}", folder.text("alertmanager.yml")),
        format!("--storage.path={}", folder.folder("alertmanager")),
        format!("--web.listen-address=127.0.0.1:{alertmanager_port}"),
        "--cluster.listen-address=".to_owned(),
    ];
    let mut alertmanager = serve(
        Debian::Alertmanager,
        "prometheus-alertmanager",
        &arguments,
        &[],
        &folder,
    );
    alertmanager.wait("answer", || get(alertmanager_port, "/-/ready").is_some());
    let arguments = [
        format!("--config.file={}", folder.text("prometheus.yml")),
        format!("--storage.tsdb.path={}", folder.folder("prometheus")),
        format!("--web.listen-address=127.0.0.1:{prometheus_port}"),
        // The first time it knows of no Alertmanager yet.
        "--rules.alert.resend-delay=1s".to_owned(),
    ];
    let mut prometheus = serve(Debian::Prometheus, "prometheus", &arguments, &[], &folder);
    prove(&mut prometheus, prometheus_port, "prometheus_");
    prove(&mut alertmanager, alertmanager_port, "alertmanager_");

    let ask = |path: &str| -> Value {
        let answer = get(prometheus_port, path).unwrap_or_default();
        serde_json::from_str(&answer).unwrap_or_default()
    };
    let healthy = || -> (usize, Vec<Value>) {
        let answer = ask("/api/v1/rules");
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        let all: Vec<Value> = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default())
            .collect();
        let ill = all.iter().filter(|rule| rule["health"] != "ok").cloned().collect();
        (all.len(), ill)
    };
    prometheus.wait("evaluate every rule", || {
        let (all, ill) = healthy();
        all > 40 && ill.is_empty()
    });
    for name in ["ALERTS", "up"] {
        prometheus.wait(name, || {
            let answer = ask(&format!("/api/v1/query?query={name}"));
            answer["data"]["result"]
                .as_array()
                .is_some_and(|found| !found.is_empty())
        });
    }
    let call = calls.recv_timeout(Duration::from_secs(40)).unwrap();
    assert!(call.contains("\"alertname\":\"Watchdog\""), "{call}");
    assert!(call.contains("docs/runbooks/monitoring.md#watchdog"), "{call}");
    prometheus.stop("-TERM");
    alertmanager.stop("-TERM");
}
