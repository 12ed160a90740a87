//! What monitoring reads, alarms about and shows: only what exists, by the thresholds of the spec.

pub(crate) mod cases;
pub(crate) mod promql;

use platform_core::value::{Percent, Schedule, Span, Supplied};
use platform_core::{Capability, Channel, Context, ErrorKind, MonitoringSpec, PodSecurity, Receiver, Severity};
use platform_tests::manifests::{Wanted, context};
use promql::metrics;
use provider_k8s::monitoring::{Watched, alertmanager, dashboards, document, job, rules, scrape};
use provider_k8s::{Flavour, KnownFlavour};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Longest age of a good backup in the fixtures: a weekly one, and a day.
pub(crate) const BACKUP_AGE: u64 = 8 * 86_400;

pub(crate) fn spec() -> MonitoringSpec {
    let percent = |n| Percent::new(n).unwrap();
    MonitoringSpec::new("ml-platform", percent(80), percent(5), percent(85))
}

fn supplied(name: &str) -> Supplied {
    Supplied {
        supplied: name.to_owned(),
        revision: 1,
    }
}

/// A spec with every way to tell somebody.
pub(crate) fn loud_spec() -> MonitoringSpec {
    let receiver = |channel, from| Receiver { channel, from };
    spec()
        .with_heartbeat(supplied("SWITCH_URL"))
        .with_receiver(
            "hook",
            receiver(
                Channel::Webhook {
                    url: supplied("HOOK_URL"),
                },
                Severity::Info,
            ),
        )
        .with_receiver(
            "chat",
            receiver(
                Channel::Slack {
                    url: supplied("SLACK_URL"),
                    channel: "#alarms".to_owned(),
                },
                Severity::Warning,
            ),
        )
        .with_receiver(
            "mail",
            receiver(
                Channel::Email {
                    to: "oncall@example.com".to_owned(),
                    from: "platform@example.com".to_owned(),
                    server: "smtp.example.com:587".to_owned(),
                    user: "platform".to_owned(),
                    password: supplied("SMTP_PASSWORD"),
                },
                Severity::Warning,
            ),
        )
        .with_receiver(
            "pager",
            receiver(
                Channel::PagerDuty {
                    routing_key: supplied("PAGERDUTY_KEY"),
                },
                Severity::Critical,
            ),
        )
}

/// Of which everything exists that there are rules for.
pub(crate) fn full() -> Context {
    without(|_| {})
}

/// All of that but what is taken away.
fn without(what: impl Fn(&mut Wanted)) -> Context {
    let mut wanted = Wanted::local();
    wanted.options = wanted.options.with_s3(Flavour::Known(KnownFlavour::Minio));
    wanted.cache.replicas = 2;
    what(&mut wanted);
    context(&wanted).unwrap()
}

/// Every fixture: the most, what `local` is, one with a prefix, and a platform of which only monitoring is left.
pub(crate) fn contexts() -> Vec<(&'static str, Context)> {
    let mut least = full();
    least.security.allow.clear();
    least.surfaces.0.clear();
    vec![
        ("full", full()),
        ("local", context(&Wanted::local()).unwrap()),
        ("strict", context(&Wanted::strict()).unwrap()),
        ("least", least),
    ]
}

pub(crate) fn watched<'a>(spec: &'a MonitoringSpec, context: &'a Context) -> Watched<'a> {
    Watched::new(spec, context).unwrap()
}

/// Every expression of every panel, by dashboard and title.
pub(crate) fn panel_expressions(watched: &Watched<'_>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (file, text) in dashboards::files(watched) {
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                found.push((
                    format!("{file} {}", panel["title"].as_str().unwrap()),
                    target["expr"].as_str().unwrap().to_owned(),
                ));
            }
        }
    }
    found
}

fn all_expressions(watched: &Watched<'_>) -> Vec<String> {
    let of_rules = rules::groups(watched)
        .into_iter()
        .flat_map(|group| group.rules)
        .map(|rule| rule.expr);
    let of_panels = panel_expressions(watched).into_iter().map(|(_, expr)| expr);
    of_rules.chain(of_panels).collect()
}

/// Every metric that a rule or panel names.
pub(crate) fn all_metrics() -> BTreeSet<String> {
    let (spec, context) = (spec(), full());
    let watched = watched(&spec, &context);
    all_expressions(&watched)
        .iter()
        .flat_map(|expr| metrics(expr))
        .collect()
}

fn alerts(watched: &Watched<'_>) -> BTreeSet<&'static str> {
    rules::groups(watched)
        .into_iter()
        .flat_map(|group| group.rules)
        .map(|rule| rule.alert)
        .collect()
}

/// Takes a part away: its rules, panels and scrapes go, and nothing else of them.
#[test]
fn there_is_nothing_about_what_does_not_exist() {
    let spec = spec();
    let everything = full();
    let all = alerts(&watched(&spec, &everything));
    assert!(all.len() >= 40, "{}", all.len());
    let strip_capability = |capability| {
        let mut context = full();
        context.surfaces.0.remove(&capability);
        context
    };
    let strip_job = |job: &str| {
        let mut context = full();
        let surface = context.surfaces.0.get_mut(&Capability::Monitoring).unwrap();
        surface.scrapes.retain(|scrape| scrape.job != job);
        context
    };
    let mut no_applications = full();
    no_applications.security.allow.clear();
    let cases: Vec<(Context, &str, &[&str])> = vec![
        (strip_capability(Capability::Database), "pg_", &["Database"]),
        (strip_capability(Capability::Cache), "redis_", &["Cache"]),
        (strip_capability(Capability::Storage), "minio_", &["ObjectStore"]),
        (
            without(|wanted| wanted.options = Wanted::local().options),
            "minio_",
            &["ObjectStore"],
        ),
        (
            without(|wanted| wanted.cache.replicas = 0),
            "redis_master_",
            &["CacheReplica"],
        ),
        (strip_capability(Capability::Backup), "velero_", &["Backup"]),
        (strip_job(job::NODE), "node_", &["Node"]),
        (
            strip_job(job::KUBE_STATE),
            "kube_",
            &[
                "Container",
                "Quota",
                "StatefulSet",
                "Deployment",
                "DaemonSet",
                "Job",
                "Namespace",
            ],
        ),
        (strip_job(job::PROMETHEUS), "prometheus_", &["Rules"]),
        (strip_job(job::ALERTMANAGER), "alertmanager_", &["Notifications"]),
        (no_applications, "http_", &["Application"]),
    ];
    for (context, metric, gone) in cases {
        let watched = watched(&spec, &context);
        let left = alerts(&watched);
        for alert in &all {
            let named = gone.iter().any(|prefix| alert.starts_with(prefix));
            assert_eq!(left.contains(alert), !named, "{metric}: {alert}");
        }
        for expr in all_expressions(&watched) {
            let stray = metrics(&expr).into_iter().find(|name| name.starts_with(metric));
            assert_eq!(stray, None, "{expr}");
        }
    }
    assert!(all_metrics().len() > 60, "{:?}", all_metrics());
}

#[test]
fn thresholds_come_from_the_spec() {
    let context = full();
    let percent = |n| Percent::new(n).unwrap();
    let usual = spec();
    let changed = [
        (
            MonitoringSpec::new("p", percent(61), percent(5), percent(85)),
            "0.61",
            2,
        ),
        (
            MonitoringSpec::new("p", percent(80), percent(7), percent(85)),
            "0.07",
            5,
        ),
        (
            MonitoringSpec::new("p", percent(80), percent(5), percent(93)),
            "0.93",
            9,
        ),
    ];
    let texts = |spec: &MonitoringSpec| -> BTreeMap<&'static str, (String, String)> {
        rules::groups(&watched(spec, &context))
            .into_iter()
            .flat_map(|group| group.rules)
            .map(|rule| (rule.alert, (rule.expr, rule.description)))
            .collect()
    };
    let before = texts(&usual);
    for (spec, number, rules) in changed {
        let after = texts(&spec);
        let different: Vec<_> = before.keys().filter(|alert| before[*alert] != after[*alert]).collect();
        assert_eq!(different.len(), rules, "{number}: {different:?}");
        for alert in different {
            assert!(after[alert].0.contains(&format!("> {number}")), "{alert}");
            assert_ne!(before[alert].1, after[alert].1, "{alert} tells its limit");
        }
    }
    // The limit of a backup's age is the surface's.
    assert!(before["BackupStale"].0.ends_with(&format!("> {BACKUP_AGE}")));
    let weekly: Schedule = "0 3 * * 0".parse().unwrap();
    assert_eq!(weekly.longest_interval().plus(Span::days(1)), Span::seconds(BACKUP_AGE));
    // The stricter standard leaves no room for the laxer.
    let mut strict = full();
    strict.security = strict.security.with_pod_security(PodSecurity::Restricted);
    let unconfined = rules::groups(&watched(&usual, &strict))
        .into_iter()
        .flat_map(|group| group.rules)
        .find(|rule| rule.alert == "NamespaceUnconfined")
        .unwrap();
    assert!(
        unconfined.expr.contains("enforce=~\"restricted\""),
        "{}",
        unconfined.expr
    );
}

#[test]
fn the_same_platform_gives_the_same_bytes_and_every_job_is_guarded() {
    let spec = loud_spec();
    for (name, context) in contexts() {
        let once = watched(&spec, &context);
        let texts = || {
            let mut texts = vec![
                document(&scrape::config(&once)),
                document(&rules::file(&once)),
                document(&alertmanager::config(&spec).unwrap()),
                document(&dashboards::data_sources(&once, Some("eu-west-1"))),
                document(&dashboards::provider(&once)),
            ];
            texts.extend(dashboards::files(&once).into_values());
            texts
        };
        assert_eq!(texts(), texts(), "{name}");
        let config = scrape::config(&once);
        let jobs: BTreeSet<&str> = config["scrape_configs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["job_name"].as_str().unwrap())
            .filter(|name| *name != job::APPLICATIONS)
            .collect();
        let file = document(&rules::file(&once));
        for one in jobs {
            assert!(
                file.contains(&format!("absent(up{{job=\\\"{one}\\\"}})")),
                "{name}: {one}"
            );
        }
        // A selector of a job that nobody reads finds nothing, for ever.
        let known: BTreeSet<String> = config["scrape_configs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["job_name"].as_str().unwrap().to_owned())
            .collect();
        for expr in all_expressions(&once) {
            for wanted in expr.split("job=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(known.contains(wanted), "{name}: nobody reads {wanted}: {expr}");
            }
        }
    }
}

/// Pods are looked for in their own namespaces only, over TLS by a name that their certificate has.
#[test]
fn scrapes_find_the_pods_of_the_surfaces() {
    let (spec, context) = (spec(), full());
    let config = scrape::config(&watched(&spec, &context));
    let job = |name: &str| {
        config["scrape_configs"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["job_name"] == name)
            .cloned()
            .unwrap()
    };
    let postgres = job("postgres");
    assert_eq!(
        postgres["kubernetes_sd_configs"],
        json!([{
            "role": "pod",
            "namespaces": { "names": ["database"] },
            "selectors": [{ "role": "pod", "label": "app.kubernetes.io/name=postgres" }],
        }])
    );
    assert_eq!(postgres["relabel_configs"][0]["regex"], "metrics");
    assert_eq!(postgres.get("scheme"), None);
    let minio = job("minio");
    assert_eq!(minio["scheme"], "https");
    assert_eq!(minio["metrics_path"], "/minio/v2/metrics/cluster");
    assert_eq!(
        minio["tls_config"],
        json!({ "ca_file": scrape::CA, "server_name": "minio.storage.svc" })
    );
    assert_eq!(
        job("applications")["kubernetes_sd_configs"],
        json!([{ "role": "pod", "namespaces": { "names": ["ml-apps"] } }])
    );
    let alertmanagers = &config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"];
    assert_eq!(*alertmanagers, json!(["alertmanager.monitoring.svc:9093"]));
    let named: usize = config["scrape_configs"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|one| one["kubernetes_sd_configs"].as_array().unwrap())
        .filter(|one| one["role"] == "pod")
        .map(|one| one["namespaces"]["names"].as_array().unwrap().len())
        .sum();
    assert_eq!(named, 11, "each pod job names its namespaces");
}

/// What a job's filter drops, no rule or panel can see.
#[test]
fn filters_keep_what_is_used() {
    let kept: BTreeSet<&str> = [
        scrape::API_SERVER_METRICS,
        scrape::KUBELET_METRICS,
        scrape::CADVISOR_METRICS,
    ]
    .concat()
    .into_iter()
    .collect();
    let used = all_metrics();
    let filtered = [
        "apiserver_",
        "authentication_",
        "pod_security_",
        "kubelet_",
        "container_",
    ];
    let seen: BTreeSet<&str> = used
        .iter()
        .map(String::as_str)
        .filter(|name| filtered.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    assert_eq!(seen, kept);
}

/// Every alarm leads to a heading of a runbook, and no heading is left of one that is gone.
#[test]
fn every_alarm_has_a_runbook() {
    let (spec, context) = (spec(), full());
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for group in rules::groups(&watched(&spec, &context)) {
        let path = format!("{root}/docs/runbooks/{}.md", group.name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let headings: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let alerts: BTreeSet<&str> = group.rules.iter().map(|rule| rule.alert).collect();
        assert_eq!(headings, alerts, "{path}");
        for section in text.split("\n## ").skip(1) {
            for part in ["Means:", "Look at:", "Do:"] {
                assert!(section.contains(part), "{path}: no {part} in {section}");
            }
        }
        for rule in &group.rules {
            let expected = format!("docs/runbooks/{}.md#{}", group.name, rule.alert.to_lowercase());
            assert_eq!(group.runbook(rule), expected);
            assert!(
                !rule.summary.is_empty() && rule.description.ends_with('.'),
                "{}",
                rule.alert
            );
        }
    }
}

/// Receivers get what is as bad as they ask for, by files whose content is supplied.
#[test]
fn receivers_are_named_by_files() {
    let spec = loud_spec();
    let config = alertmanager::config(&spec).unwrap();
    let text = config.to_string();
    let files = alertmanager::secrets(&spec);
    assert_eq!(files.len(), 5);
    for (file, supplied) in &files {
        assert!(text.contains(&format!("{}/{file}\"", alertmanager::SECRETS)), "{file}");
        assert!(!text.contains(&supplied.supplied));
    }
    let routes = config["route"]["routes"].as_array().unwrap();
    let matcher = |name: &str| {
        routes
            .iter()
            .find(|route| route["receiver"] == name)
            .map(|route| route["matchers"][0].clone())
    };
    assert_eq!(matcher("heartbeat"), Some(json!("alertname=\"Watchdog\"")));
    assert_eq!(matcher("hook"), Some(json!("severity=~\"info|warning|critical\"")));
    assert_eq!(matcher("chat"), Some(json!("severity=~\"warning|critical\"")));
    assert_eq!(matcher("pager"), Some(json!("severity=~\"critical\"")));
    assert_eq!(
        routes[0]["receiver"], "heartbeat",
        "the first route that matches ends it"
    );
}

#[test]
fn receivers_that_cannot_be_are_refused() {
    let email = |to: &str, server: &str| Channel::Email {
        to: to.to_owned(),
        from: "platform@example.com".to_owned(),
        server: server.to_owned(),
        user: "u".to_owned(),
        password: supplied("P"),
    };
    let slack = |channel: &str| Channel::Slack {
        url: supplied("S"),
        channel: channel.to_owned(),
    };
    let hook = || Channel::Webhook { url: supplied("H") };
    for (name, channel, what) in [
        ("nobody", hook(), "name of a receiver"),
        ("heartbeat", hook(), "name of a receiver"),
        ("On Call", hook(), "name of a receiver"),
        ("../../etc", hook(), "name of a receiver"),
        ("mail", email("oncall", "smtp.example.com:587"), "mail address"),
        ("mail", email("a@b,c@d", "smtp.example.com:587"), "mail address"),
        ("mail", email("a@{{ .x }}", "smtp.example.com:587"), "mail address"),
        ("mail", email("a@example.com", "smtp.example.com"), "mail server"),
        ("mail", email("a@example.com", "smtp.example.com:0"), "mail server"),
        ("chat", slack(""), "Slack channel"),
        ("chat", slack("#a b"), "Slack channel"),
    ] {
        let receiver = Receiver {
            channel,
            from: Severity::Warning,
        };
        let error = alertmanager::config(&spec().with_receiver(name, receiver)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}");
        assert!(error.to_string().contains(what), "{error}");
    }
}
