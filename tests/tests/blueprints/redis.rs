//! The config, the users and the probe of the cache, run by a real Redis with TLS.

use crate::server::{Folder, Server, command, find, free_port, recipe, run, script, stranger_authority, text};
use platform_core::value::Digest;
use platform_tests::manifests::{Wanted, resources};
use std::collections::BTreeMap;
use std::process::Output;
use xtask::peer::Debian;

pub(crate) struct Redis {
    pub(crate) folder: Folder,
    pub(crate) port: u16,
    env: BTreeMap<&'static str, String>,
}

impl Redis {
    pub(crate) fn new() -> Self {
        Self::of(&Wanted::local())
    }

    /// The cache as a platform describes it.
    fn of(wanted: &Wanted) -> Self {
        let all = resources(wanted).unwrap();
        let config_map = &find(&all, "ConfigMap", "cache/redis-config").desired["data"];
        let folder = Folder::new();
        let programs = Debian::Redis.ready().unwrap();
        let port = free_port();
        folder.certificates(&["redis", "localhost"]);
        let passwords = [
            ("app-password", "app-pw"),
            ("probe-password", "probe-pw"),
            ("exporter-password", "exporter-pw"),
            ("backup-password", "backup-pw"),
            ("replica-password", "replica-pw"),
            ("reload-password", "reload-pw"),
        ];
        let users = derive(
            recipe("cache/redis-internal", "users.acl")["template"]
                .as_str()
                .unwrap(),
            &passwords,
        );
        for (_, password) in passwords {
            assert!(!users.contains(password), "the file holds hashes only");
        }
        folder.write("secret/users.acl", &users, 0o440);
        folder.write("secret/probe-password", "probe-pw", 0o440);
        folder.write("secret/backup-password", "backup-pw", 0o440);
        folder.write("secret/replica-password", "replica-pw", 0o440);
        folder.write("secret/reload-password", "reload-pw", 0o440);
        folder.write("conf/start.sh", &script("cache/redis-config", "start.sh"), 0o444);
        folder.write("conf/probe.sh", &script("cache/redis-config", "probe.sh"), 0o444);
        if let Some(script) = config_map["backup.sh"].as_str() {
            folder.write("conf/backup.sh", script, 0o444);
        }
        folder.folder("copy");
        let config = config_map["redis.conf"].as_str().unwrap();
        let config = config
            .replace("/etc/redis", folder.path().to_str().unwrap())
            .replace("dir /data", &format!("dir {}", folder.folder("data")))
            .replace("tls-port 6379", &format!("tls-port {port}"))
            .replace("bind * -::*", "bind 127.0.0.1");
        folder.write("conf/redis.conf", &config, 0o444);
        let mut env = BTreeMap::from([
            ("PATH", format!("{}:/usr/bin:/bin", programs.programs().display())),
            ("BACKUP", folder.text("copy")),
            ("CA", folder.text("tls/ca.crt")),
            ("CLIENT", "redis-cli".to_owned()),
            ("CONFIG", folder.text("conf/redis.conf")),
            ("DATA", folder.text("data/valkey")),
            ("SERVER", "redis-server".to_owned()),
            ("SECRETS", folder.text("secret")),
            ("PORT", port.to_string()),
            ("HOSTNAME", "redis-0".to_owned()),
            ("SCRATCH", folder.folder("scratch")),
        ]);
        let libraries = programs.command("redis-server");
        if let Some((_, Some(value))) = libraries.get_envs().find(|(key, _)| *key == "LD_LIBRARY_PATH") {
            env.insert("LD_LIBRARY_PATH", value.to_str().unwrap().to_owned());
        }
        Self { folder, port, env }
    }

    /// Another pod of the same StatefulSet: keys and scripts as mounted there, files of its own.
    fn replica(&self, ordinal: u32) -> Self {
        let folder = Folder::new();
        let port = free_port();
        let config = std::fs::read_to_string(self.folder.path().join("conf/redis.conf"))
            .unwrap()
            .replace(&format!("tls-port {}", self.port), &format!("tls-port {port}"))
            .replace(&self.folder.text("data"), &folder.folder("data"));
        let mut env = self.env.clone();
        env.extend([
            ("CONFIG", folder.write("redis.conf", &config, 0o444)),
            ("BACKUP", folder.folder("copy")),
            ("DATA", folder.text("data/valkey")),
            ("HOSTNAME", format!("redis-{ordinal}")),
            ("PORT", port.to_string()),
            ("PRIMARY", "127.0.0.1".to_owned()),
            ("PRIMARY_PORT", self.port.to_string()),
            ("SCRATCH", folder.folder("scratch")),
        ]);
        Self { folder, port, env }
    }

    /// A replica of this one that has the data.
    pub(crate) fn followed(&self) -> (Self, Server) {
        let replica = self.replica(1);
        let mut server = replica.starting(self);
        let probe = self.folder.text("conf/probe.sh");
        server.wait("follow", || run("/bin/sh", &[&probe], &replica.env).status.success());
        (replica, server)
    }

    fn starting(&self, scripts: &Self) -> Server {
        let start = scripts.folder.text("conf/start.sh");
        Server::start(command("/bin/sh", &[&start], &self.env), self.folder.path().join("log"))
    }

    pub(crate) fn serving(&self) -> Server {
        let mut server = self.starting(self);
        server.wait("serve", || self.probe().status.success());
        server
    }

    fn probe(&self) -> Output {
        run("/bin/sh", &[&self.folder.text("conf/probe.sh")], &self.env)
    }

    pub(crate) fn cli(&self, user: &str, password: &str, words: &[&str]) -> String {
        let mut env = self.env.clone();
        env.insert("REDISCLI_AUTH", password.to_owned());
        let port = self.port.to_string();
        let ca = self.env["CA"].clone();
        let mut arguments = vec![
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "--tls",
            "--cacert",
            &ca,
            "--no-auth-warning",
        ];
        if !user.is_empty() {
            arguments.extend(["--user", user]);
        }
        arguments.extend(words);
        text(&run("redis-cli", &arguments, &env)).trim().to_owned()
    }
}

/// The recipe as it is documented: `{key}` is the value, `{sha256:key}` its hash.
fn derive(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |text, (key, value)| {
        text.replace(&format!("{{sha256:{key}}}"), Digest::of_text(value).as_str())
            .replace(&format!("{{{key}}}"), value)
    })
}

/// A rotation gives applications and everybody inside another password while the one before works on; the next one ends
/// it. The Job waits for the file that the servers read, may be killed while it does, and may be run again. The probe
/// succeeds and the replica follows all the time.
#[test]
fn passwords_are_rotated_without_a_restart() {
    const INSIDE: [&str; 5] = ["backup", "exporter", "probe", "reload", "replica"];
    let redis = Redis::new();
    let mut server = redis.serving();
    let (replica, mut following) = redis.followed();
    let works = |password: &str| redis.cli("app", password, &["ping"]) == "PONG";
    assert!(works("app-pw"));
    assert_eq!(redis.cli("app", "app-pw", &["set", "kept", "1"]), "OK");
    let mut rotated = Wanted::local();
    rotated.context.security.revisions.cache = 2;
    let all = resources(&rotated).unwrap();
    let job = find(&all, "ConfigMap", "cache/cache-users").desired["data"]["users.sh"].clone();
    let job = redis.folder.write("users.sh", job.as_str().unwrap(), 0o444);
    let template = &find(&all, "Secret", "cache/redis-internal").desired["data"]["users.acl"]["$secret"]["template"];
    let of = |user: &str, revision: u32| match revision {
        1 => format!("{user}-pw"),
        later => format!("{user}-pw{later}"),
    };
    // What the kubelet does some time after the Secret was written.
    let arrives = |revision: u32| {
        let mut values = vec![
            ("app-password".to_owned(), of("app", revision - 1)),
            ("next".to_owned(), of("app", revision)),
        ];
        for user in INSIDE {
            values.extend([
                (format!("{user}-password"), of(user, revision - 1)),
                (format!("{user}-next"), of(user, revision)),
            ]);
            redis
                .folder
                .write(&format!("secret/{user}-password"), &of(user, revision - 1), 0o440);
        }
        let values: Vec<(&str, &str)> = values
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        redis
            .folder
            .write("secret/users.acl", &derive(template.as_str().unwrap(), &values), 0o440);
    };
    // What the Job has comes with its pod.
    let env = |server: &Redis, revision: u32, tries: &str| {
        let folder = format!("job-{revision}");
        for user in ["reload", "replica"] {
            redis
                .folder
                .write(&format!("{folder}/{user}-password"), &of(user, revision - 1), 0o440);
        }
        redis
            .folder
            .write(&format!("{folder}/app-password"), &of("app", revision), 0o440);
        let mut env = server.env.clone();
        env.insert("HOSTS", "127.0.0.1 localhost".to_owned());
        env.insert("TRIES", tries.to_owned());
        env.insert("REVISION", revision.to_string());
        env.insert("SECRETS", redis.folder.text(&folder));
        env
    };
    let probe = redis.folder.text("conf/probe.sh");
    let goes_on = |what: &str| {
        for server in [&redis, &replica] {
            let probed = run("/bin/sh", &[&probe], &server.env);
            assert!(probed.status.success(), "{what}: {}", text(&probed));
        }
    };
    let early = run("/bin/sh", &[&job], &env(&redis, 2, "2"));
    assert!(!early.status.success());
    assert!(
        text(&early).contains("does not accept the next password"),
        "{}",
        text(&early)
    );
    for round in 0..2 {
        let waiting = command("/bin/sh", &[&job], &env(&redis, 2, "30"));
        let mut waiting = Server::start(waiting, redis.folder.path().join(format!("job-{round}.log")));
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(works("app-pw"), "round {round}");
        if round == 0 {
            waiting.kill();
            continue;
        }
        arrives(2);
        goes_on("before the first server has read");
        waiting.wait("end", || works("app-pw2"));
    }
    let mut said = String::new();
    for revision in 2..=4 {
        if revision > 2 {
            arrives(revision);
            goes_on("before anybody has read");
        }
        // Killed in the middle, the replica has another password, and nobody has read the users.
        for host in [&replica, &redis] {
            let mut cut = env(host, revision, "1");
            cut.insert("HOSTS", "127.0.0.1 nowhere.invalid".to_owned());
            let killed = run("/bin/sh", &[&job], &cut);
            assert!(!killed.status.success());
            goes_on("after a kill");
        }
        for server in [&replica, &redis] {
            for round in 0..2 {
                let again = run("/bin/sh", &[&job], &env(server, revision, "5"));
                assert!(again.status.success(), "round {round}: {}", text(&again));
                let accepts = format!("localhost accepts the password of revision {revision}");
                assert!(text(&again).contains(&accepts), "{}", text(&again));
                said.push_str(&text(&again));
            }
            goes_on("after the Job");
        }
        for user in INSIDE.iter().chain(&["app"]) {
            let knows = |number: u32| redis.cli(user, &of(user, number), &["ping"]) == "PONG";
            assert!(knows(revision) && knows(revision - 1), "{user} of {revision}");
            assert!(revision == 2 || !knows(revision - 2), "{user} of {revision}");
        }
        let (key, password) = (format!("of-{revision}"), of("app", revision));
        assert_eq!(redis.cli("app", &password, &["set", &key, "1"]), "OK");
        following.wait("follow", || replica.cli("app", &password, &["get", &key]) == "1");
    }
    assert_eq!(redis.cli("app", "app-pw4", &["get", "kept"]), "1");
    let copied = run("/bin/sh", &[&redis.folder.text("conf/backup.sh")], &redis.env);
    assert!(copied.status.success(), "{}", text(&copied));
    // Who reads the users again can do nothing else that harms them.
    for words in [
        &["get", "kept"][..],
        &["acl", "list"],
        &["acl", "setuser", "reload", "+@all"],
        &["config", "get", "*"],
        &["replicaof", "no", "one"],
    ] {
        assert!(
            redis.cli("reload", "reload-pw4", words).starts_with("NOPERM"),
            "{words:?}"
        );
    }
    for secret in ["app-pw2", "app-pw3", "reload-pw", "replica-pw"] {
        let logs = [server.log(), following.log(), said.clone()];
        assert!(logs.iter().all(|log| !log.contains(secret)), "{secret}");
    }
    following.stop("-TERM");
    server.stop("-TERM");
}

#[test]
fn users_may_do_what_they_need_and_no_more() {
    let redis = Redis::new();
    let mut server = redis.serving();
    for (user, password, words, answer) in [
        ("app", "app-pw", &["SET", "k", "v"][..], "OK"),
        ("app", "app-pw", &["GET", "k"], "v"),
        ("app", "app-pw", &["EVAL", "return 1", "0"], "1"),
        ("app", "app-pw", &["CLIENT", "SETNAME", "me"], "OK"),
        ("app", "app-pw", &["FLUSHALL"], "NOPERM"),
        ("app", "app-pw", &["CONFIG", "GET", "maxmemory"], "NOPERM"),
        ("app", "app-pw", &["CLIENT", "KILL", "ID", "1"], "NOPERM"),
        ("app", "app-pw", &["ACL", "LIST"], "NOPERM"),
        ("app", "app-pw", &["KEYS", "*"], "NOPERM"),
        ("app", "app-pw", &["SHUTDOWN"], "NOPERM"),
        ("probe", "probe-pw", &["PING"], "PONG"),
        ("probe", "probe-pw", &["GET", "k"], "NOPERM"),
        (
            "exporter",
            "exporter-pw",
            &["CONFIG", "GET", "maxmemory"],
            "maxmemory\n201326592",
        ),
        ("exporter", "exporter-pw", &["DBSIZE"], "1"),
        ("exporter", "exporter-pw", &["GET", "k"], "NOPERM"),
        ("backup", "backup-pw", &["GET", "k"], "NOPERM"),
        ("replica", "replica-pw", &["GET", "k"], "NOPERM"),
        ("replica", "replica-pw", &["REPLICAOF", "NO", "ONE"], "NOPERM"),
        ("backup", "backup-pw", &["CONFIG", "GET", "maxmemory"], "NOPERM"),
        ("", "", &["PING"], "NOAUTH"),
        ("default", "app-pw", &["PING"], "NOAUTH"),
    ] {
        let got = redis.cli(user, password, words);
        assert!(
            got.starts_with(answer) || got.contains(&format!("{answer} ")),
            "{user} {words:?}: {got}"
        );
    }
    // The exporter's password file names the user as the exporter looks it up.
    let file = derive(
        recipe("cache/redis-internal", "exporter.json")["template"]
            .as_str()
            .unwrap(),
        &[("exporter-password", "exporter-pw")],
    );
    let file: BTreeMap<String, String> = serde_json::from_str(&file).unwrap();
    assert_eq!(file["rediss://exporter@localhost:6379"], "exporter-pw");
    server.stop("-TERM");
}

/// A replica follows over TLS with a password of its own, is ready once it has the data, keeps serving it while the first
/// is away, and takes no writes.
#[test]
fn replicas_follow_over_tls_and_serve_what_they_have() {
    let first = Redis::new();
    let mut primary = first.serving();
    assert_eq!(first.cli("app", "app-pw", &["SET", "k", "v"]), "OK");

    let (second, mut replica) = first.followed();
    let scripts = |script: &str, env: &BTreeMap<&'static str, String>| {
        run("/bin/sh", &[&first.folder.text(&format!("conf/{script}"))], env)
    };
    let ready = |redis: &Redis| scripts("probe.sh", &redis.env).status.success();
    assert_eq!(second.cli("app", "app-pw", &["GET", "k"]), "v");
    let refused = second.cli("app", "app-pw", &["SET", "k", "w"]);
    assert!(refused.starts_with("READONLY"), "{refused}");
    let log = replica.log();
    assert!(!log.contains("replica-pw"), "{log}");
    let figures = first.cli("exporter", "exporter-pw", &["INFO", "replication"]);
    assert!(figures.contains("connected_slaves:1"), "{figures}");

    // What is read and written goes on as far as it can.
    primary.stop("-TERM");
    assert!(ready(&second), "{}", text(&scripts("probe.sh", &second.env)));
    assert_eq!(second.cli("app", "app-pw", &["GET", "k"]), "v");
    let mut primary = first.serving();
    assert_eq!(first.cli("app", "app-pw", &["SET", "later", "w"]), "OK");
    replica.wait("follow again", || second.cli("app", "app-pw", &["GET", "later"]) == "w");

    // A backup copies the first alone.
    let copied = scripts("backup.sh", &second.env);
    assert!(
        copied.status.success() && text(&copied).contains("replica"),
        "{}",
        text(&copied)
    );
    assert!(!second.folder.path().join("copy/dump.rdb").exists());

    // Started again it has to follow anew before it is ready; with another password it never does.
    replica.stop("-TERM");
    let mut third = first.replica(2);
    for secret in ["users.acl", "probe-password"] {
        let kept = std::fs::read_to_string(first.folder.path().join("secret").join(secret)).unwrap();
        third.folder.write(&format!("secret/{secret}"), &kept, 0o440);
    }
    third.folder.write("secret/replica-password", "wrong", 0o440);
    third.env.insert("SECRETS", third.folder.text("secret"));
    third.folder.write("scratch/followed", "", 0o644);
    let mut stranger = third.starting(&first);
    stranger.wait("answer", || {
        text(&scripts("probe.sh", &third.env)).contains("does not follow yet")
    });
    stranger.stop("-TERM");
    primary.stop("-TERM");
}

/// The probe tells a server that lives from one that does not, that is not ours, or that refuses it.
#[test]
fn the_probe_believes_only_an_answer() {
    let redis = Redis::new();
    assert!(!redis.probe().status.success(), "nobody there");
    let mut server = redis.serving();
    assert!(redis.probe().status.success() && redis.probe().status.success());
    let stranger = redis.folder.write("stranger.crt", &stranger_authority(), 0o444);
    let mut env = redis.env.clone();
    env.insert("CA", stranger);
    let script = redis.folder.text("conf/probe.sh");
    assert!(!run("/bin/sh", &[&script], &env).status.success(), "another authority");
    redis.folder.write("wrong/probe-password", "wrong", 0o440);
    env = redis.env.clone();
    env.insert("SECRETS", redis.folder.text("wrong"));
    assert!(!run("/bin/sh", &[&script], &env).status.success(), "a wrong password");
    // Plain TCP gets nothing.
    let port = redis.port.to_string();
    let plain = run("redis-cli", &["-h", "127.0.0.1", "-p", &port, "PING"], &redis.env);
    assert!(!text(&plain).contains("PONG"), "{}", text(&plain));
    server.stop("-TERM");
}

/// In memory alone, a key lives as long as its server and nothing is written down.
#[test]
fn without_persistence_nothing_is_written() {
    let mut wanted = Wanted::local();
    wanted.cache = wanted.cache.with_persistence(false);
    let redis = Redis::of(&wanted);
    let mut first = redis.serving();
    assert_eq!(redis.cli("app", "app-pw", &["SET", "before", "stop"]), "OK");
    first.stop("-TERM");
    let written = std::fs::read_dir(redis.folder.path().join("data/valkey")).unwrap();
    assert_eq!(written.count(), 0);
    let mut second = redis.serving();
    assert_eq!(redis.cli("app", "app-pw", &["GET", "before"]), "");
    second.stop("-TERM");
}

/// What was acknowledged a second before a kill is there afterwards, and all of it after an ordered stop.
#[test]
fn keys_survive_kill_and_stop() {
    let redis = Redis::new();
    let mut first = redis.serving();
    assert_eq!(redis.cli("app", "app-pw", &["SET", "before", "kill"]), "OK");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    first.kill();
    let mut second = redis.serving();
    assert_eq!(redis.cli("app", "app-pw", &["GET", "before"]), "kill");
    assert_eq!(redis.cli("app", "app-pw", &["SET", "just", "now"]), "OK");
    second.stop("-TERM");
    let mut third = redis.serving();
    assert_eq!(redis.cli("app", "app-pw", &["GET", "just"]), "now");
    third.stop("-TERM");
}

/// A backup's copy is whole, is loaded in the place of a lost volume, and is not taken for data beside it.
#[test]
fn a_lost_volume_comes_back_from_the_copy() {
    let redis = Redis::new();
    let mut server = redis.serving();
    assert_eq!(redis.cli("app", "app-pw", &["SET", "model", "weights"]), "OK");
    let backup = || run("/bin/sh", &[&redis.folder.text("conf/backup.sh")], &redis.env);
    for round in 0..2 {
        let copied = backup();
        assert!(copied.status.success(), "{round}: {}", text(&copied));
    }
    assert_eq!(redis.cli("app", "app-pw", &["SET", "model", "newer"]), "OK");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    server.stop("-TERM");

    let mut server = redis.serving();
    assert_eq!(
        redis.cli("app", "app-pw", &["GET", "model"]),
        "newer",
        "its own data first"
    );
    server.stop("-TERM");
    std::fs::remove_dir_all(redis.folder.path().join("data/valkey")).unwrap();
    let mut server = redis.serving();
    assert_eq!(redis.cli("app", "app-pw", &["GET", "model"]), "weights");
    let mut env = redis.env.clone();
    env.insert("HOST", "localhost".to_owned());
    env.insert("TRIES", "3".to_owned());
    let script = include_str!("../../../provider-k8s/src/capability/cache/check.sh");
    let check = redis.folder.write("conf/check.sh", script, 0o444);
    let checked = run("/bin/sh", &[&check], &env);
    assert!(text(&checked).contains("1 keys loaded"), "{}", text(&checked));
    server.stop("-TERM");

    let unanswered = run("/bin/sh", &[&check], &env);
    assert!(!unanswered.status.success());
    assert!(text(&unanswered).contains("does not answer"), "{}", text(&unanswered));
    let failed = backup();
    assert!(!failed.status.success(), "a server that is away makes no copy");
}
