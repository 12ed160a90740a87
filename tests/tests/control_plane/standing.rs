//! A control plane ends with its owner, however that ends.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use xtask::control_plane::{ControlPlane, Options, work_folders};

use crate::shared::within;

/// Set for the process that is to be killed: where it writes the pids of its components.
const VICTIM: &str = "MLPLAT_TEST_VICTIM";

#[test]
fn a_killed_owner_leaves_neither_process_nor_file() {
    if let Some(report) = env::var_os(VICTIM) {
        let plane = ControlPlane::start(&Options::default()).unwrap();
        let pids: Vec<String> = plane.pids().iter().map(u32::to_string).collect();
        let report = PathBuf::from(report);
        let unfinished = report.with_extension("new");
        fs::write(&unfinished, format!("{}\n{}", plane.folder().display(), pids.join(" "))).unwrap();
        fs::rename(unfinished, report).unwrap();
        std::thread::sleep(Duration::from_mins(2));
        panic!("was not killed");
    }
    let report = env::temp_dir().join(format!("mlplat-victim-{}", std::process::id()));
    let log = File::create(report.with_extension("log")).unwrap();
    let mut victim = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "standing::a_killed_owner_leaves_neither_process_nor_file",
            "--nocapture",
        ])
        .env(VICTIM, &report)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    within(Duration::from_mins(1), "the victim's control plane", || {
        assert!(
            victim.try_wait().unwrap().is_none(),
            "{}",
            fs::read_to_string(report.with_extension("log")).unwrap()
        );
        report.exists()
    });
    let text = fs::read_to_string(&report).unwrap();
    let (folder, pids) = text.split_once('\n').unwrap();
    let pids: Vec<&str> = pids.split(' ').collect();
    assert_eq!(pids.len(), 4);
    let runs = |pid: &&str| Path::new("/proc").join(pid).exists();
    assert!(pids.iter().all(runs) && work_folders().unwrap().contains(&PathBuf::from(folder)));

    victim.kill().unwrap();
    victim.wait().unwrap();
    within(Duration::from_mins(1), "all gone", || {
        !pids.iter().any(runs) && !Path::new(folder).exists()
    });
    fs::remove_file(&report).unwrap();
    fs::remove_file(report.with_extension("log")).unwrap();
}

#[test]
fn two_stand_side_by_side_and_stop_at_once() {
    let plane = ControlPlane::start(&Options::default().with_nodes(0)).unwrap();
    let other = crate::shared::control_plane();
    assert_ne!(plane.server(), other.server());
    let (folder, pids) = (plane.folder().to_owned(), plane.pids());
    let began = Instant::now();
    plane.stop().unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(!folder.exists());
    assert!(
        pids.iter()
            .all(|pid| !Path::new("/proc").join(pid.to_string()).exists())
    );
}
