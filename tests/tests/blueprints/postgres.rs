//! The scripts and the config of the database, run by a real PostgreSQL with TLS.

use crate::server::{Folder, Server, command, free_port, has_segment, run, script, stranger_authority, text};
use std::collections::BTreeMap;
use std::path::Path;
use xtask::peer::{Debian, Unpacked};

const ADMIN: &str = "platform_admin";

/// What the image's entrypoint does, in its order: fill an empty directory, serve on a socket alone, run the steps of
/// the first start, then serve. It takes a directory with `PG_VERSION` for a finished one.
const ENTRYPOINT: &str = r#"#!/bin/bash
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --no-sync --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS --pgdata="$PGDATA"
  export PGPASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")" PGHOST="$SOCKETS" PGPORT="$SOCKET_PORT"
  pg_ctl --pgdata="$PGDATA" --wait -o "-c listen_addresses='' -c config_file=$CONFIG" start
  psql --username="$POSTGRES_USER" --dbname=postgres --command "CREATE DATABASE $POSTGRES_DB"
  [ -z "${PAUSE:-}" ] || { touch "$PAUSE"; sleep 60; }
  for step in "$STEPS"/*; do . "$step"; done
  pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
  unset PGPASSWORD PGHOST PGPORT
fi
exec "$@"
"#;

pub(crate) struct Postgres {
    pub(crate) folder: Folder,
    programs: Unpacked,
    pub(crate) port: u16,
    env: BTreeMap<&'static str, String>,
}

impl Postgres {
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        let programs = Debian::Postgres.ready().unwrap();
        let port = free_port();
        folder.certificates(&["postgres", "localhost"]);
        for (name, value) in [
            ("admin-password", "adm1n"),
            ("app-password", "s3cret'x"),
            ("exporter-password", "exp0rt"),
        ] {
            folder.write(&format!("secret/{name}"), value, 0o440);
        }
        folder.write("bin/docker-entrypoint.sh", ENTRYPOINT, 0o755);
        folder.write("conf/start.sh", &script("database/postgres-config", "start.sh"), 0o444);
        folder.write(
            "steps/99-first-start-done.sh",
            &script("database/postgres-config", "99-first-start-done.sh"),
            0o444,
        );
        for name in ["admin.sh", "backup.sh", "backup.sql", "exporter.sh", "rows.sql"] {
            folder.write(
                &format!("conf/{name}"),
                &script("database/postgres-config", name),
                0o444,
            );
        }
        folder.write(
            "steps/50-restore.sh",
            &script("database/postgres-config", "50-restore.sh"),
            0o444,
        );
        for name in ["admin.sh", "roles.sh", "roles.sql"] {
            folder.write(
                &format!("scripts/{name}"),
                &script("database/database-roles", name),
                0o444,
            );
        }
        // The config as it is, but for where things lie in a pod.
        let config = script("database/postgres-config", "postgresql.conf")
            .replace("/etc/postgres", folder.path().to_str().unwrap())
            .replace("/var/run/postgresql", &folder.folder("run"))
            .replace("port = 5432", &format!("port = {port}"))
            .replace("shared_buffers = '256MB'", "shared_buffers = '16MB'");
        // Shared memory outlives a killed server; as files of the folder it goes with the folder.
        let config = format!("{config}dynamic_shared_memory_type = mmap\n");
        // No statement is too fast to be logged: what must not be in the log would be.
        let config = config.replace(
            "log_min_duration_statement = 1000",
            "log_min_duration_statement = 0\nlog_statement = 'all'",
        );
        folder.write("conf/postgresql.conf", &config, 0o444);
        folder.write(
            "conf/pg_hba.conf",
            &script("database/postgres-config", "pg_hba.conf"),
            0o444,
        );
        folder.folder("volume");
        folder.folder("tmp");
        let path = format!("{}:{}:/usr/bin:/bin", folder.text("bin"), programs.programs().display());
        let mut env = BTreeMap::from([
            ("PATH", path),
            ("TMPDIR", folder.text("tmp")),
            ("PGDATA", folder.text("volume/pgdata")),
            ("VOLUME", folder.text("volume")),
            ("PG_MAJOR", "15".to_owned()),
            ("POSTGRES_USER", ADMIN.to_owned()),
            ("POSTGRES_DB", "app".to_owned()),
            ("POSTGRES_PASSWORD_FILE", folder.text("secret/admin-password")),
            (
                "POSTGRES_INITDB_ARGS",
                "--data-checksums --auth-host=scram-sha-256 --auth-local=scram-sha-256".to_owned(),
            ),
            ("CONFIG", folder.text("conf/postgresql.conf")),
            ("BACKUP", folder.folder("copy")),
            ("SCRIPTS", folder.text("conf")),
            ("SECRETS", folder.text("secret")),
            ("SOCKETS", folder.text("run")),
            ("SOCKET_PORT", port.to_string()),
            ("STEPS", folder.text("steps")),
        ]);
        let libraries = programs.command("postgres");
        if let Some((_, Some(value))) = libraries.get_envs().find(|(key, _)| *key == "LD_LIBRARY_PATH") {
            env.insert("LD_LIBRARY_PATH", value.to_str().unwrap().to_owned());
        }
        Self {
            folder,
            programs,
            port,
            env,
        }
    }

    fn start(&self, more: &[(&'static str, String)]) -> Server {
        let mut env = self.env.clone();
        env.extend(more.iter().cloned());
        let config = format!("config_file={}", self.folder.text("conf/postgresql.conf"));
        let script = self.folder.text("conf/start.sh");
        let command = command("/bin/sh", &[&script, "postgres", "-c", &config], &env);
        Server::start(command, self.folder.path().join("log")).with_data(self.folder.text("volume/pgdata"))
    }

    pub(crate) fn serving(&self) -> Server {
        let mut server = self.start(&[]);
        server.wait("serve", || self.is_ready());
        server
    }

    /// The readiness probe's question.
    fn is_ready(&self) -> bool {
        run(
            "pg_isready",
            &["--quiet", "--host=127.0.0.1", &format!("--port={}", self.port)],
            &self.env,
        )
        .status
        .success()
    }

    fn client_env(&self) -> BTreeMap<&'static str, String> {
        let mut env = self.env.clone();
        env.extend([
            ("LOGIN", "app".to_owned()),
            ("PGHOST", "localhost".to_owned()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", ADMIN.to_owned()),
            ("PGDATABASE", "app".to_owned()),
            ("PGSSLMODE", "verify-full".to_owned()),
            ("PGSSLROOTCERT", self.folder.text("tls/ca.crt")),
            ("SCRIPTS", self.folder.text("scripts")),
            ("TRIES", "5".to_owned()),
        ]);
        env
    }

    pub(crate) fn roles(&self) -> std::process::Output {
        run("/bin/sh", &[&self.folder.text("scripts/roles.sh")], &self.client_env())
    }

    fn query(&self, user: &str, password: &str, sql: &str, more: &[(&'static str, &str)]) -> std::process::Output {
        let mut env = self.client_env();
        env.insert("PGUSER", user.to_owned());
        env.insert("PGPASSWORD", password.to_owned());
        env.extend(more.iter().map(|(key, value)| (*key, (*value).to_owned())));
        run(
            "psql",
            &["--no-psqlrc", "--no-align", "--tuples-only", "--command", sql],
            &env,
        )
    }

    /// Runs the roles script up to this statement, and kills it there.
    fn roles_killed_before(&self, statement: &str, mut env: BTreeMap<&'static str, String>) {
        let sql = script("database/database-roles", "roles.sql");
        let (begun, _) = sql.split_once(statement).unwrap();
        let cut = self.folder.folder("scripts-cut");
        let paused = format!("{begun}\n\\! touch '{cut}/reached'\nSELECT pg_sleep(4);\n");
        self.folder.write("scripts-cut/roles.sql", &paused, 0o444);
        let login = script("database/database-roles", "admin.sh");
        self.folder.write("scripts-cut/admin.sh", &login, 0o444);
        env.insert("SCRIPTS", cut.clone());
        let mut killed = Server::start(
            command("/bin/sh", &[&self.folder.text("scripts/roles.sh")], &env),
            self.folder.path().join("killed.log"),
        );
        killed.wait("the middle", || Path::new(&cut).join("reached").exists());
        killed.kill();
    }

    /// What a rotation does once the Job has ended: who is accepted now comes to the pods, all at once.
    fn promote(&self, login: &str) {
        let suffix = login.strip_prefix("app").unwrap();
        let folder = format!("secret/of{suffix}");
        for (who, base) in [("admin", ADMIN), ("exporter", "postgres_exporter")] {
            let next = std::fs::read_to_string(self.folder.path().join(format!("secret/{who}-next"))).unwrap();
            if !self.folder.path().join(format!("{folder}/{who}-password")).exists() {
                self.folder
                    .write(&format!("{folder}/{who}-user"), &format!("{base}{suffix}"), 0o440);
                self.folder.write(&format!("{folder}/{who}-password"), &next, 0o440);
            }
        }
        let link = self.folder.path().join("secret/accepted");
        let new = link.with_extension("new");
        std::os::unix::fs::symlink(self.folder.text(&folder), &new).unwrap();
        std::fs::rename(new, link).unwrap();
    }

    fn backup(&self) -> std::process::Output {
        let mut env = self.env.clone();
        env.insert("PGPORT", self.port.to_string());
        run("/bin/sh", &[&self.folder.text("conf/backup.sh")], &env)
    }

    fn answer(&self, user: &str, password: &str, sql: &str) -> String {
        let output = self.query(user, password, sql, &[]);
        assert!(output.status.success(), "{sql}: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

#[test]
fn roles_are_made_twice_and_after_a_kill() {
    let postgres = Postgres::new();
    assert!(postgres.programs.programs().is_dir());
    let mut server = postgres.serving();

    // Killed in the middle: after the roles exist, before they may log in.
    postgres.roles_killed_before("ALTER ROLE app", postgres.client_env());
    assert_eq!(
        postgres.answer(
            ADMIN,
            "adm1n",
            "SELECT count(*) FROM pg_roles WHERE rolname = 'app' AND NOT rolcanlogin"
        ),
        "1"
    );

    for round in 0..2 {
        let output = postgres.roles();
        assert!(output.status.success(), "round {round}: {}", text(&output));
        for secret in ["adm1n", "s3cret", "exp0rt"] {
            assert!(!text(&output).contains(secret));
        }
        let made = "SELECT string_agg(rolname || rolcanlogin || rolsuper || rolcreatedb || rolconnlimit, ' ' ORDER BY rolname) \
                    FROM pg_roles WHERE rolname IN ('app', 'postgres_exporter')";
        assert_eq!(
            postgres.answer(ADMIN, "adm1n", made),
            "apptruefalsefalse-1 postgres_exportertruefalsefalse5"
        );
    }

    // The application owns its database and nothing more.
    let own = "CREATE TABLE IF NOT EXISTS t (i int); INSERT INTO t VALUES (1); SELECT count(*) > 0 FROM t";
    assert!(postgres.answer("app", "s3cret'x", own).ends_with('t'));
    assert!(
        !postgres
            .query("app", "s3cret'x", "CREATE ROLE mine", &[])
            .status
            .success()
    );
    assert!(!postgres.query("app", "wrong", "SELECT 1", &[]).status.success());
    // The exporter sees figures, but gets into no application data.
    let figures = [("PGDATABASE", "postgres")];
    let seen = postgres.query(
        "postgres_exporter",
        "exp0rt",
        "SELECT count(*) > 0 FROM pg_stat_statements",
        &figures,
    );
    assert!(seen.status.success(), "{}", text(&seen));
    let refused = postgres.query("postgres_exporter", "exp0rt", "SELECT 1", &[]);
    assert!(
        text(&refused).contains("permission denied for database"),
        "{}",
        text(&refused)
    );

    // Nobody without TLS, nobody with another authority, TLS 1.2 at least.
    let plain = postgres.query("app", "s3cret'x", "SELECT 1", &[("PGSSLMODE", "disable")]);
    assert!(text(&plain).contains("no encryption"), "{}", text(&plain));
    let stranger = postgres.folder.write("stranger.crt", &stranger_authority(), 0o444);
    let other = postgres.query("app", "s3cret'x", "SELECT 1", &[("PGSSLROOTCERT", &stranger)]);
    assert!(text(&other).contains("certificate verify failed"), "{}", text(&other));
    assert!(
        postgres
            .answer(
                "app",
                "s3cret'x",
                "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            )
            .starts_with("TLSv1.")
    );

    // Passwords are neither in the log, which has every statement here, nor in the statements' figures.
    assert!(
        server.log().contains("CREATE TABLE IF NOT EXISTS t"),
        "the log has statements"
    );
    let kept = postgres.query(ADMIN, "adm1n", "SELECT query FROM pg_stat_statements", &figures);
    for secret in ["s3cret", "exp0rt", "adm1n"] {
        assert!(!server.log().contains(secret), "{secret} in the log");
        assert!(!text(&kept).contains(secret), "{secret} in pg_stat_statements");
    }
    server.stop("-INT");
}

fn exporter_log(postgres: &Postgres) -> String {
    std::fs::read_to_string(postgres.folder.path().join("exporter.log")).unwrap_or_default()
}

/// What the exporter does with its login, but for the metrics: it reads it once, and logs in again and again.
const EXPORTER: &str = r#"#!/bin/sh
export PGUSER="$DATA_SOURCE_USER" PGPASSWORD="$(cat "$DATA_SOURCE_PASS_FILE")" PGDATABASE=postgres
while :; do
  if psql --no-psqlrc --quiet --command 'SELECT 1' > /dev/null 2>&1; then echo "$PGUSER"; else echo refused; fi
  sleep 0.1
done
"#;

/// A rotation gives applications, the exporter and whoever may do everything another login while the one before works on;
/// the next one ends it. Each of them is run twice, and one is killed in the middle. Whoever is inside goes on all the time.
#[test]
fn a_login_is_rotated_while_the_one_before_works() {
    let postgres = Postgres::new();
    let mut server = postgres.serving();
    assert!(postgres.roles().status.success());
    let first = "s3cret'x";
    postgres.answer("app", first, "CREATE TABLE t (i int)");
    let works = |user: &str, password: &str| {
        postgres
            .query(user, password, "INSERT INTO t VALUES (1)", &[])
            .status
            .success()
    };
    let as_login = |role: &str, password: &str| {
        postgres.folder.write("secret/app-password", password, 0o440);
        for who in ["admin", "exporter"] {
            let password = format!("{password}-{who}");
            postgres.folder.write(&format!("secret/{who}-next"), &password, 0o440);
        }
        let mut env = postgres.client_env();
        env.insert("LOGIN", role.to_owned());
        env
    };
    let job = |role: &str, password: &str| {
        run(
            "/bin/sh",
            &[&postgres.folder.text("scripts/roles.sh")],
            &as_login(role, password),
        )
    };

    let inside = |user: &str, password: &str| {
        let figures = [("PGDATABASE", "postgres")];
        let output = postgres.query(user, password, "SELECT pg_ls_waldir() IS NULL LIMIT 1", &figures);
        output.status.success()
    };
    let mut env = postgres.client_env();
    env.extend([
        ("FIRST_USER", "postgres_exporter".to_owned()),
        ("PAUSE", "0.1".to_owned()),
    ]);
    let exporter = postgres.folder.write("bin/exporter", EXPORTER, 0o755);
    let script = postgres.folder.text("conf/exporter.sh");
    let mut exporter = Server::start(
        command("/bin/sh", &[&script, &exporter], &env),
        postgres.folder.path().join("exporter.log"),
    );
    let scraped_by = |exporter: &mut Server, user: &str| {
        exporter.wait(user, || exporter_log(&postgres).lines().last() == Some(user));
    };
    scraped_by(&mut exporter, "postgres_exporter");

    // Killed before the new role is there for others to see: nothing of it is left.
    postgres.roles_killed_before("SELECT format('ALTER ROLE %I SET role", as_login("app_r2", "s3cond'y"));
    assert!(works("app", first) && inside(ADMIN, "adm1n"));

    for round in 0..2 {
        let output = job("app_r2", "s3cond'y");
        assert!(output.status.success(), "round {round}: {}", text(&output));
        assert!(works("app", first) && works("app_r2", "s3cond'y"), "round {round}");
        for (user, before, next) in [
            ("platform_admin", "adm1n", "s3cond'y-admin"),
            ("postgres_exporter", "exp0rt", "s3cond'y-exporter"),
        ] {
            assert!(
                inside(user, before) && inside(&format!("{user}_r2"), next),
                "round {round}: {user}"
            );
        }
        let copied = postgres.backup();
        assert!(copied.status.success(), "round {round}: {}", text(&copied));
        postgres.promote("app_r2");
    }
    scraped_by(&mut exporter, "postgres_exporter_r2");
    postgres.answer("app_r2", "s3cond'y", "CREATE TABLE made_by_second (i int)");
    let owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'made_by_second'";
    assert_eq!(postgres.answer("app", first, owner), "app");
    postgres.answer("app", first, "DROP TABLE made_by_second");
    // Even what it makes without acting as the owner goes over to that in the end.
    let by_itself = "RESET role; CREATE SCHEMA mine; CREATE TABLE mine.own (i int)";
    postgres.answer(ADMIN, "adm1n", "GRANT CREATE ON DATABASE app TO app_r2");
    postgres.answer(
        "app_r2",
        "s3cond'y",
        &by_itself.replace("RESET role", "SET role TO app_r2"),
    );

    // A session of the first login, which the second rotation ends.
    let mut old = postgres.client_env();
    old.extend([("PGUSER", "app".to_owned()), ("PGPASSWORD", first.to_owned())]);
    let mut session = Server::start(
        command("psql", &["--no-psqlrc", "--command", "SELECT pg_sleep(60)"], &old),
        postgres.folder.path().join("session.log"),
    );
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND query LIKE '%pg_sleep(60)%'";
    session.wait("a session", || postgres.answer(ADMIN, "adm1n", sleeps) == "1");
    // Who administers is another one now, and whatever they make belongs to the first.
    let (admin, of_admin) = ("platform_admin_r2", "s3cond'y-admin");
    assert_eq!(
        postgres.answer(admin, of_admin, "SELECT session_user || ' ' || current_user"),
        "platform_admin_r2 platform_admin"
    );
    for round in 0..2 {
        let output = job("app_r3", "th1rd\"z");
        assert!(output.status.success(), "round {round}: {}", text(&output));
        assert!(!works("app", first), "round {round}: the first login goes on");
        assert!(
            works("app_r2", "s3cond'y") && works("app_r3", "th1rd\"z"),
            "round {round}"
        );
        for (user, first) in [("platform_admin", "adm1n"), ("postgres_exporter", "exp0rt")] {
            assert!(!inside(user, first), "round {round}: {user} goes on");
            assert!(
                inside(
                    &format!("{user}_r2"),
                    &format!("s3cond'y-{}", if user == ADMIN { "admin" } else { "exporter" })
                ),
                "round {round}: {user}"
            );
        }
        let copied = postgres.backup();
        assert!(copied.status.success(), "round {round}: {}", text(&copied));
    }
    assert_eq!(postgres.answer(admin, of_admin, sleeps), "0", "its sessions go on");
    // Killed here, and another number wished: numbers that are left out end nothing but what is older than the one before,
    // and never who is inside meanwhile.
    let output = job("app_r7", "s3venth");
    assert!(output.status.success(), "{}", text(&output));
    assert!(works("app_r3", "th1rd\"z") && works("app_r7", "s3venth") && !works("app_r2", "s3cond'y"));
    let left =
        "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname ~ '^(app|platform|postgres)'";
    assert_eq!(
        postgres.answer(admin, of_admin, left),
        "app app_r3 app_r7 platform_admin platform_admin_r2 platform_admin_r3 platform_admin_r7 postgres_exporter \
         postgres_exporter_r2 postgres_exporter_r3 postgres_exporter_r7"
    );
    let own = "SELECT tableowner FROM pg_tables WHERE tablename = 'own'";
    assert_eq!(postgres.answer(admin, of_admin, own), "app");
    postgres.promote("app_r7");
    scraped_by(&mut exporter, "postgres_exporter_r7");
    assert!(
        !exporter_log(&postgres).contains("refused"),
        "{}",
        exporter_log(&postgres)
    );

    // With what is accepted lost, the Job goes on with what it made itself.
    std::fs::remove_file(postgres.folder.path().join("secret/accepted")).unwrap();
    let output = job("app_r7", "s3venth");
    assert!(output.status.success(), "{}", text(&output));
    let left = postgres.answer(
        "platform_admin_r7",
        "s3venth-admin",
        "SELECT count(*) FROM pg_roles WHERE rolname ~ '^platform_admin_r'",
    );
    assert_eq!(left, "2");
    postgres.promote("app_r7");
    let (admin, of_admin) = ("platform_admin_r7", "s3venth-admin");

    // Back to a number that was: its password is another one, which nobody gets to see.
    let back = job("app_r3", "an0ther");
    assert!(!back.status.success());
    assert!(
        text(&back).contains("raise security.revisions.database"),
        "{}",
        text(&back)
    );
    assert!(works("app_r3", "th1rd\"z"));
    let figures = [("PGDATABASE", "postgres")];
    let kept = postgres.query(admin, of_admin, "SELECT query FROM pg_stat_statements", &figures);
    assert!(kept.status.success(), "{}", text(&kept));
    for secret in ["s3cret", "s3cond", "th1rd", "s3venth", "adm1n", "an0ther"] {
        assert!(!server.log().contains(secret), "{secret} in the log");
        assert!(!text(&kept).contains(secret), "{secret} in pg_stat_statements");
    }
    session.kill();
    exporter.stop("-TERM");
    server.stop("-INT");
}

#[test]
fn the_roles_job_says_what_is_missing() {
    let postgres = Postgres::new();
    let mut env = postgres.client_env();
    env.insert("TRIES", "1".to_owned());
    let script = postgres.folder.text("scripts/roles.sh");
    let away = run("/bin/sh", &[&script], &env);
    assert!(
        !away.status.success() && text(&away).contains("does not answer at localhost:"),
        "{}",
        text(&away)
    );
    std::fs::remove_file(postgres.folder.path().join("secret/app-password")).unwrap();
    let output = run("/bin/sh", &[&script], &env);
    assert!(
        !output.status.success() && text(&output).contains("no app-password"),
        "{}",
        text(&output)
    );
}

/// Killed in its first start, the server starts it again; killed later, it keeps every row.
#[test]
fn a_first_start_killed_half_way_starts_again() {
    let postgres = Postgres::new();
    let marker = postgres.folder.path().join("volume/.first-start");
    let version = postgres.folder.path().join("volume/pgdata/PG_VERSION");
    let paused = postgres.folder.text("tmp/paused");

    let mut first = postgres.start(&[("PAUSE", paused.clone())]);
    first.wait("the middle of the first start", || Path::new(&paused).exists());
    assert!(!postgres.is_ready(), "nobody connects during the first start");
    let mut segments = vec![first.shared_memory().unwrap()];
    first.kill();
    assert!(marker.exists() && version.exists(), "it looks finished and is not");

    let mut second = postgres.serving();
    assert!(
        second.log().contains("the first start did not finish"),
        "{}",
        second.log()
    );
    assert!(!marker.exists());
    assert!(postgres.roles().status.success());
    postgres.answer(
        "app",
        "s3cret'x",
        "CREATE TABLE t AS SELECT generate_series(1, 1000) AS i",
    );
    segments.push(second.shared_memory().unwrap());
    let dynamic = postgres.folder.path().join("volume/pgdata/pg_dynshmem");
    assert!(std::fs::read_dir(dynamic).unwrap().count() > 0);
    second.kill();

    let mut third = postgres.serving();
    assert_eq!(postgres.answer("app", "s3cret'x", "SELECT count(*) FROM t"), "1000");
    assert!(!third.log().contains("the first start did not finish"));
    third.stop("-INT");

    // Another major version is refused and touches nothing.
    let mut newer = postgres.start(&[
        ("PG_MAJOR", "16".to_owned()),
        ("PGDATA", postgres.folder.text("volume/16/docker")),
    ]);
    let ended = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !newer.log().contains("upgrade the data first") {
        assert!(std::time::Instant::now() < ended, "{}", newer.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    newer.kill();
    let mut again = postgres.serving();
    assert_eq!(postgres.answer("app", "s3cret'x", "SELECT count(*) FROM t"), "1000");
    again.stop("-INT");

    // Nothing of the killed ones stays on this machine.
    drop((first, second));
    assert!(segments.iter().all(|id| !has_segment(id)), "{segments:?}");
}

/// A backup's copy is of one moment, is loaded in the first start of an empty volume with owners and rows, and a copy that
/// is not whole keeps the server from serving.
#[test]
fn a_lost_database_comes_back_from_the_copy() {
    let postgres = Postgres::new();
    let mut server = postgres.serving();
    assert!(postgres.roles().status.success());
    postgres.answer(
        "app",
        "s3cret'x",
        "CREATE TABLE runs (id bigserial PRIMARY KEY, note text); INSERT INTO runs (note) SELECT 'run ' || n FROM generate_series(1, 500) n; \
         CREATE SCHEMA \"Odd Names\"; CREATE TABLE \"Odd Names\".\"Empty one\" ();",
    );
    let backup = || postgres.backup();
    for round in 0..2 {
        let copied = backup();
        assert!(copied.status.success(), "{round}: {}", text(&copied));
        assert!(text(&copied).contains("copied 2 tables"), "{}", text(&copied));
    }
    let rows = std::fs::read_to_string(postgres.folder.path().join("copy/copy/rows")).unwrap();
    assert_eq!(rows, "Odd Names.Empty one|0\npublic.runs|500\n");
    postgres.answer("app", "s3cret'x", "DELETE FROM runs");
    server.stop("-INT");
    let failed = backup();
    assert!(!failed.status.success(), "a server that is away makes no copy");

    let lose = || std::fs::remove_dir_all(postgres.folder.path().join("volume/pgdata")).unwrap();
    lose();
    let mut server = postgres.serving();
    assert_eq!(postgres.answer(ADMIN, "adm1n", "SELECT count(*) FROM runs"), "500");
    assert!(postgres.roles().status.success());
    postgres.answer("app", "s3cret'x", "INSERT INTO runs (note) VALUES ('after')");
    postgres.answer("app", "s3cret'x", "DELETE FROM runs WHERE note = 'after'");
    let script = include_str!("../../../provider-k8s/src/capability/database/check.sh");
    let check = postgres.folder.write("conf/check.sh", script, 0o444);
    let checked = || {
        let mut env = postgres.client_env();
        env.insert("SCRIPTS", postgres.folder.text("conf"));
        run("/bin/sh", &[&check], &env)
    };
    assert!(
        text(&checked()).contains("2 tables are as the backup recorded"),
        "{}",
        text(&checked())
    );
    postgres.answer(ADMIN, "adm1n", "DROP TABLE runs");
    let missing = checked();
    assert!(
        !missing.status.success() && text(&missing).contains("1 tables can be read"),
        "{}",
        text(&missing)
    );
    server.stop("-INT");

    // A truncated dump, and one with other rows than were recorded.
    let dump = postgres.folder.path().join("copy/copy/app.dump");
    let whole = std::fs::read(&dump).unwrap();
    for (name, bytes, rows) in [
        ("truncated", &whole[..whole.len() / 2], rows.clone()),
        ("other rows", &whole[..], rows.replace("500", "501")),
    ] {
        lose();
        std::fs::write(&dump, bytes).unwrap();
        std::fs::write(postgres.folder.path().join("copy/copy/rows"), rows).unwrap();
        let mut server = postgres.start(&[]);
        for _ in 0..1500 {
            assert!(!postgres.is_ready(), "{name}: it serves");
            if server.ended() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(server.ended(), "{name}: {}", server.log());
        server.kill();
    }

    // No copy at all: a new, empty database, which the check tells from a restored one.
    lose();
    std::fs::remove_dir_all(postgres.folder.path().join("copy/copy")).unwrap();
    let mut server = postgres.serving();
    let empty = checked();
    assert!(
        !empty.status.success() && text(&empty).contains("is a new, empty one"),
        "{}",
        text(&empty)
    );
    server.stop("-INT");
}
