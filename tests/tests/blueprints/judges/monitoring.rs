//! Prometheus's own tools, and the schema of Grafana's dashboards.

use crate::monitoring::cases::{ALWAYS, cases, test_files};
use crate::monitoring::{contexts, full, loud_spec, panel_expressions, spec, watched};
use platform_core::MonitoringSpec;
use platform_core::value::Percent;
use provider_k8s::monitoring::{alertmanager, dashboards, document, rules, scrape};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};
use xtask::peer::{Debian, Python};

fn run(package: Debian, program: &str, arguments: &[&str], folder: &Path) -> Output {
    package
        .ready()
        .unwrap()
        .command(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn promtool(arguments: &[&str], folder: &Path) -> Output {
    run(Debian::Prometheus, "promtool", arguments, folder)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn passes(output: &Output, name: &str) {
    assert!(output.status.success(), "{name}: {}", text(output));
}

#[test]
fn promtool_reads_every_rule_file() {
    let spec = spec();
    for (name, context) in contexts() {
        let watched = watched(&spec, &context);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rules.yml"), document(&rules::file(&watched))).unwrap();
        let output = promtool(
            &["check", "rules", "--lint=all", "--lint-fatal", "rules.yml"],
            folder.path(),
        );
        passes(&output, name);
        let count: usize = rules::groups(&watched).iter().map(|group| group.rules.len()).sum();
        assert!(
            text(&output).contains(&format!("{count} rules found")),
            "{}",
            text(&output)
        );
    }
}

/// Every alarm is raised where it must be, with its texts filled in, and nowhere else.
#[test]
fn every_alarm_is_raised_and_quiet() {
    let (spec, context) = (spec(), full());
    let names: Vec<&str> = rules::groups(&watched(&spec, &context))
        .iter()
        .flat_map(|group| group.rules.iter().map(|rule| rule.alert))
        .collect();
    let mut tried = BTreeSet::new();
    for case in cases() {
        assert!(tried.insert(case.alert), "{} stands twice", case.alert);
        assert!(!case.raised.is_empty(), "{} is never raised", case.alert);
        assert_eq!(
            case.quiet.is_empty(),
            case.alert == ALWAYS,
            "{} is never quiet",
            case.alert
        );
    }
    assert_eq!(tried, names.iter().copied().collect());
    assert_eq!(tried.len(), names.len(), "each name once");

    // A file for each group: promtool evaluates every rule of a file in each of its tests.
    let folder = tempfile::tempdir().unwrap();
    let (files, raised, quiet) = test_files();
    let mut arguments = vec!["test".to_owned(), "rules".to_owned()];
    for (group, file) in &files {
        arguments.push(format!("{group}.test.yml"));
        std::fs::write(folder.path().join(format!("{group}.test.yml")), file.to_string()).unwrap();
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let judge = |spec: &MonitoringSpec| {
        for group in rules::file(&watched(spec, &context))["groups"].as_array().unwrap() {
            let file = format!("{}.rules.yml", group["name"].as_str().unwrap());
            std::fs::write(folder.path().join(file), document(&json!({ "groups": [group] }))).unwrap();
        }
        promtool(&arguments, folder.path())
    };
    passes(&judge(&spec), "rules");
    println!("{} alarms: {raised} times raised, {quiet} times quiet", names.len());
    assert!(raised >= names.len() && quiet >= names.len() - 1);

    // The judge is awake: thresholds that are off by a little fail every rule that has one, each way.
    let percent = |n| Percent::new(n).unwrap();
    for (connections, errors, utilisation) in [(83, 7, 91), (77, 3, 79)] {
        let off = MonitoringSpec::new("p", percent(connections), percent(errors), percent(utilisation));
        let expected: BTreeSet<String> = rules::groups(&watched(&spec, &context))
            .into_iter()
            .zip(rules::groups(&watched(&off, &context)))
            .flat_map(|(right, wrong)| right.rules.into_iter().zip(wrong.rules))
            .filter(|(right, wrong)| right.expr != wrong.expr)
            .map(|(right, _)| right.alert.to_owned())
            .collect();
        assert_eq!(expected.len(), 16);
        let output = text(&judge(&off));
        let failed: BTreeSet<String> = output
            .lines()
            .filter_map(|line| line.trim().strip_prefix("alertname: "))
            .filter_map(|line| Some(line.split_once(',')?.0.to_owned()))
            .collect();
        assert_eq!(failed, expected, "{connections} {errors} {utilisation}");
    }
}

/// What panels ask is PromQL.
#[test]
fn promtool_reads_every_panel() {
    let (spec, mut panels) = (spec(), 0);
    for (name, context) in contexts() {
        let watched = watched(&spec, &context);
        let rules: Vec<Value> = panel_expressions(&watched)
            .into_iter()
            .enumerate()
            .map(|(index, (panel, expr))| json!({ "record": format!("panel:{index}"), "expr": expr, "labels": { "panel": panel } }))
            .collect();
        panels = panels.max(rules.len());
        let folder = tempfile::tempdir().unwrap();
        let file = json!({ "groups": [{ "name": "panels", "rules": rules }] });
        std::fs::write(folder.path().join("panels.yml"), file.to_string()).unwrap();
        passes(&promtool(&["check", "rules", "panels.yml"], folder.path()), name);
    }
    println!("{panels} expressions of panels");
    assert!(panels > 60, "{panels}");
}

/// Debian's build knows no discovery in Kubernetes: all else of the scrape config is judged, with files where the pod
/// has them.
#[test]
fn promtool_reads_every_scrape_config() {
    let spec = spec();
    for (name, context) in contexts() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = scrape::config(&watched(&spec, &context));
        let mut discovered = 0;
        for job in config["scrape_configs"].as_array_mut().unwrap() {
            let job = job.as_object_mut().unwrap();
            discovered += job.remove("kubernetes_sd_configs").unwrap().as_array().unwrap().len();
            job.insert("static_configs".to_owned(), json!([{ "targets": ["127.0.0.1:9"] }]));
        }
        assert!(discovered >= 3, "{name}");
        let mut text = document(&config);
        for path in [scrape::CA, scrape::TOKEN, scrape::CLUSTER_CA] {
            let file = folder.path().join(path.replace('/', "-"));
            std::fs::write(&file, "x").unwrap();
            text = text.replace(path, file.to_str().unwrap());
        }
        let rules = folder.path().join("rules");
        std::fs::create_dir(&rules).unwrap();
        std::fs::write(
            rules.join("rules.yml"),
            document(&rules::file(&watched(&spec, &context))),
        )
        .unwrap();
        text = text.replace(scrape::RULES, rules.to_str().unwrap());
        std::fs::write(folder.path().join("prometheus.yml"), &text).unwrap();
        passes(&promtool(&["check", "config", "prometheus.yml"], folder.path()), name);
        // RE2 knows no back-reference; the judge would see one.
        let wrong = text.replace("\"Succeeded|Failed\"", "\"(a)\\\\1\"");
        std::fs::write(folder.path().join("prometheus.yml"), &wrong).unwrap();
        let refused = promtool(&["check", "config", "prometheus.yml"], folder.path());
        assert_eq!(refused.status.success(), wrong == text, "{name}");
    }
}

#[test]
fn amtool_reads_whom_to_tell() {
    for (name, spec, receivers) in [("nobody", spec(), 1), ("all", loud_spec(), 6)] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = alertmanager::config(&spec).unwrap();
        assert_eq!(config["receivers"].as_array().unwrap().len(), receivers);
        // Alertmanager reads the URL of a webhook from a file since 0.26, which Debian's is not.
        for receiver in config["receivers"].as_array_mut().unwrap() {
            if let Some(hook) = receiver.pointer_mut("/webhook_configs/0") {
                assert!(hook.as_object_mut().unwrap().remove("url_file").is_some());
                hook["url"] = json!("http://127.0.0.1:9/");
            }
        }
        let text = document(&config);
        std::fs::write(folder.path().join("alertmanager.yml"), &text).unwrap();
        let check = || {
            run(
                Debian::Alertmanager,
                "amtool",
                &["check-config", "alertmanager.yml"],
                folder.path(),
            )
        };
        let output = check();
        passes(&output, name);
        assert!(
            self::text(&output).contains(&format!("{receivers} receivers")),
            "{}",
            self::text(&output)
        );
        // Who gets what, by Alertmanager's own reading of the routes.
        if name == "all" {
            for (labels, expected) in [
                (&["alertname=Watchdog", "severity=info"][..], "heartbeat"),
                (&["alertname=VolumeHigh", "severity=warning"], "chat,hook,mail"),
                (&["alertname=DatabaseDown", "severity=critical"], "chat,hook,mail,pager"),
                (&["alertname=PodSecurityWarned", "severity=info"], "hook"),
            ] {
                let mut arguments = vec!["config", "routes", "test", "--config.file=alertmanager.yml"];
                arguments.extend(labels);
                let output = run(Debian::Alertmanager, "amtool", &arguments, folder.path());
                assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{labels:?}");
            }
        }
        std::fs::write(
            folder.path().join("alertmanager.yml"),
            text.replace("receiver: ", "reciever: "),
        )
        .unwrap();
        assert!(!check().status.success());
    }
}

/// The parts of Grafana's dashboard format that are used, and nothing else; each panel asks the platform's data source.
#[test]
fn dashboards_fit_their_schema() {
    const VALIDATE: &str = "import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
wrong = [f'{name}: {error.json_path}: {error.message}' for name in sys.argv[2:] for error in validator.iter_errors(json.load(open(name)))]
print('\\n'.join(wrong))
sys.exit(bool(wrong))";
    let python = Python::Judges.programs().unwrap().join("python");
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/grafana-dashboard.schema.json");
    let judge = |files: &BTreeMap<String, String>| {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(&python);
        command.args(["-c", VALIDATE, schema]).current_dir(folder.path());
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
            command.arg(name);
        }
        command.output().unwrap()
    };
    let spec = spec();
    for (name, context) in contexts() {
        let files = dashboards::files(&watched(&spec, &context));
        passes(&judge(&files), name);
        let mut uids = BTreeSet::new();
        for (file, text) in &files {
            let dashboard: Value = serde_json::from_str(text).unwrap();
            let uid = dashboard["uid"].as_str().unwrap();
            assert_eq!(format!("{uid}.json"), format!("platform-{file}"));
            assert!(uids.insert(uid.to_owned()));
            no_panel_covers_another(&dashboard);
        }
        let expected = match name {
            "least" => &["infrastructure.json", "storage.json"][..],
            _ => &[
                "application.json",
                "database.json",
                "infrastructure.json",
                "storage.json",
            ],
        };
        assert_eq!(files.keys().collect::<Vec<_>>(), expected, "{name}");
        for (right, wrong) in [
            ("\"expr\"", "\"exp\""),
            ("\"percentunit\"", "\"per cent\""),
            ("\"h\": 8", "\"h\": -8"),
        ] {
            let broken = files
                .iter()
                .map(|(file, text)| (file.clone(), text.replace(right, wrong)))
                .collect();
            assert!(!judge(&broken).status.success(), "{name}: {wrong} passes");
        }
    }
}

fn no_panel_covers_another(dashboard: &Value) {
    let (mut taken, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24);
        assert!(ids.insert(panel["id"].as_u64().unwrap()));
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{}", panel["title"]);
            }
        }
    }
}
