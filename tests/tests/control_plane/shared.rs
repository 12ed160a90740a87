//! What the suites of this binary share.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Output},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use xtask::{
    control_plane::{ControlPlane, Options, User},
    proxy::{Proxy, Upstream},
};

/// All of them together take five minutes.
const ALL: Duration = Duration::from_mins(20);
/// For one command of kubectl that waits for something to go.
const KUBECTL: &str = "120";

/// The control plane of this binary, started by whoever asks first. It ends with the process.
pub(crate) fn control_plane() -> &'static ControlPlane {
    static PLANE: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
    // a failure is kept too: trying again would cost every test its minute
    let plane = PLANE.get_or_init(|| {
        fail_soon();
        ControlPlane::start(&Options::default()).map_err(|error| format!("{error:#}"))
    });
    plane.as_ref().expect("start the control plane")
}

/// Tells of a failure when it happens, past what the harness holds back until all is over, and ends a binary that hangs.
fn fail_soon() {
    let harness = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |why| {
        let thread = std::thread::current();
        let line = format!("\n{}: {why}\n", thread.name().unwrap_or("a task"));
        // there is nobody to tell that telling failed
        let _ = std::io::stderr().write_all(line.as_bytes());
        harness(why);
    }));
    std::thread::spawn(|| {
        std::thread::sleep(ALL);
        let _ = std::io::stderr().write_all(format!("\nsome tests did not end within {ALL:?}\n").as_bytes());
        std::process::exit(101);
    });
}

/// A prefix for every namespace and cluster-wide name of one test: `t1-` and so on. Nothing waits for their removal.
pub(crate) fn prefix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    format!("t{}-", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Waits until nobody else adds kinds to the cluster or needs that nobody does, and takes out what was added before:
/// also by a test that failed.
pub(crate) async fn kinds() -> tokio::sync::MutexGuard<'static, ()> {
    static KINDS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let turn = KINDS.lock().await;
    forget_kinds();
    turn
}

/// A proxy to the API server that acts as `user`, and a kubeconfig that leads to it.
pub(crate) fn proxied(user: &User) -> (Proxy, PathBuf) {
    let proxy = Proxy::start(Upstream::Kubeconfig(user.kubeconfig().to_owned())).expect("start a proxy");
    let file = control_plane().folder().join(format!("{}proxy.kubeconfig", prefix()));
    std::fs::write(&file, proxy.kubeconfig()).expect("write a kubeconfig");
    (proxy, file)
}

/// A client as admin, of the runtime that this is called in.
pub(crate) async fn api() -> kube::Client {
    platform_tests::client::client(control_plane().admin().kubeconfig()).await
}

/// What a GET of this path is answered with; `None` for "not found".
pub(crate) async fn get(api: &kube::Client, path: &str) -> Option<Value> {
    let request = http::Request::get(path).body(Vec::new()).expect("a request");
    match api.request::<Value>(request).await {
        Ok(found) => Some(found),
        Err(kube::Error::Api(status)) if status.code == 404 => None,
        Err(why) => panic!("GET {path}: {why}"),
    }
}

/// Runs kubectl as `user`, without anything of the machine's.
pub(crate) fn kubectl_as(user: &User, arguments: &[&str]) -> Output {
    let mut command = Command::new("/usr/bin/timeout");
    command
        .env_clear()
        .env("HOME", control_plane().folder())
        .arg(KUBECTL)
        .arg(control_plane().kubectl())
        .arg("--kubeconfig")
        .arg(user.kubeconfig())
        .args(arguments);
    command.output().expect("run kubectl")
}

/// Runs kubectl as admin and returns what it printed; it must succeed.
pub(crate) fn kubectl(arguments: &[&str]) -> String {
    let output = kubectl_as(control_plane().admin(), arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    assert!(
        status.success(),
        "kubectl {arguments:?}: {status} (124: took {KUBECTL} s): {errors}"
    );
    String::from_utf8(output.stdout).expect("kubectl prints UTF-8")
}

/// Applies objects as admin.
pub(crate) fn apply(objects: &[Value]) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    let file = control_plane()
        .folder()
        .join(format!("apply-{}.json", COUNT.fetch_add(1, Ordering::Relaxed)));
    std::fs::write(&file, list.to_string()).expect("write the objects");
    kubectl(&[
        "apply",
        "--server-side",
        "--filename",
        file.to_str().expect("a plain path"),
    ]);
}

/// The object that kubectl finds under these words (`pod x -n y`), if there is one.
pub(crate) fn object(words: &str) -> Option<Value> {
    let mut arguments = vec!["get", "--ignore-not-found", "--output=json"];
    arguments.extend(words.split_whitespace());
    let text = kubectl(&arguments);
    (!text.trim().is_empty()).then(|| serde_json::from_str(&text).expect("kubectl prints JSON"))
}

/// Asks every 50 ms until the answer is `true`; more than `limit` is a failure that names `what`.
pub(crate) fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// [`within`] of an answer that is waited for.
pub(crate) async fn becomes(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The kinds that were added to the cluster.
pub(crate) fn definitions() -> Vec<String> {
    let names = kubectl(&["get", "crd", "--output=name"]);
    names
        .lines()
        .filter_map(|line| line.split_once('/'))
        .map(|(_, name)| name.to_owned())
        .collect()
}

fn forget_kinds() {
    let definitions = definitions();
    if definitions.is_empty() {
        return;
    }
    if definitions.iter().any(|name| name == "restores.velero.io") {
        // A Restore waits for a Velero that is gone by now.
        let restores = object("restores.velero.io --all-namespaces");
        for restore in restores.iter().flat_map(|list| list["items"].as_array().unwrap()) {
            let [space, name] = ["namespace", "name"].map(|key| restore["metadata"][key].as_str().unwrap());
            let freed = r#"{"metadata":{"finalizers":null}}"#;
            kubectl(&[
                "patch",
                "restores.velero.io",
                name,
                "-n",
                space,
                "--type=merge",
                "-p",
                freed,
            ]);
        }
    }
    let mut arguments = vec!["delete", "--wait=true", "crd"];
    arguments.extend(definitions.iter().map(String::as_str));
    kubectl(&arguments);
}
