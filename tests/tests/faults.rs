//! Faults around the engine harm nothing and hide nothing: a copy that keeps size and time, a limit on the length of
//! files, an output that nobody reads.

use std::fs::{self, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use plugind_tests::{Call, Daemon, Home, Signal, answers, cc_plugin, need, replace, run, until};
use plugind_wire::Digest;
use plugind_wire::event::{Kind, Stage};
use rustix::process::{Pid, kill_process};

const PLUGIN: &str = "x";

/// A home whose watched folder has version 1 of a C plugin, and further builds of equal length that answer from 2 on.
struct Scene {
    home: Home,
    artifact: PathBuf,
    builds: Vec<PathBuf>,
}

impl Scene {
    fn new(padding: usize) -> Self {
        let home = Home::new();
        let folder = home.work().join("plugins");
        fs::create_dir(&folder).expect("the folder to watch");
        let build = |n: i64| {
            let dir = home.build().join(n.to_string());
            cc_plugin(&dir, PLUGIN, &answers(n, padding))
        };
        let artifact = folder.join("libx.so");
        replace(&build(1), &artifact);
        let builds: Vec<_> = (2..=3).map(build).collect();
        let length = |path: &Path| path.metadata().expect("a build").len();
        assert!(builds.iter().all(|path| length(path) == length(&artifact)));
        Self {
            home,
            artifact,
            builds,
        }
    }

    fn folder(&self) -> &Path {
        self.artifact.parent().expect("it lies in a folder")
    }

    fn watch(&self, args: &[&str]) -> Daemon<'_> {
        let daemon = Daemon::watch(&self.home, self.folder(), args);
        daemon.wait_version(Kind::Published, PLUGIN, 1);
        daemon
    }
}

fn digest(path: &Path) -> Digest {
    Digest::of(&fs::read(path).expect("a build"))
}

#[test]
fn a_scan_finds_a_copy_that_keeps_size_and_time() {
    let scene = Scene::new(0);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for path in scene.builds.iter().chain([&scene.artifact]) {
        let file = OpenOptions::new().write(true).open(path).expect("a build");
        file.set_modified(time).expect("our own file");
    }
    let daemon = scene.watch(&["--poll"]);
    run(Command::new("cp")
        .arg("-p")
        .args([&scene.builds[0], &scene.artifact]));
    let second = daemon.wait_version(Kind::Published, PLUGIN, 2).line;
    assert_eq!(second.digest, Some(digest(&scene.builds[0])));
    assert_eq!(Call::once(&scene.home, PLUGIN, "answer").result, 2);
}

#[test]
fn a_limit_on_the_length_of_files_rejects_a_file_and_ends_nothing() {
    if !need("prlimit") {
        return;
    }
    let scene = Scene::new(0);
    let mut limited = scene.home.command("prlimit");
    limited
        .arg("--fsize=65536")
        .arg("--")
        .arg(plugind_tests::plugind())
        .args(["watch", "--json"])
        .arg(scene.folder());
    let daemon = Daemon::spawn(&scene.home, limited);
    daemon.wait_version(Kind::Published, PLUGIN, 1);
    let large = cc_plugin(
        &scene.home.build().join("large"),
        PLUGIN,
        &answers(9, 1 << 20),
    );
    replace(&large, &scene.artifact);
    let rejected = daemon.wait("it is rejected", |event| event.event == Kind::Rejected);
    assert_eq!(rejected.line.stage, Some(Stage::Stage));
    let reason = rejected.line.reason.expect("a rejection says why");
    assert!(reason.contains("File too large"), "{reason}");
    replace(&scene.builds[0], &scene.artifact);
    daemon.wait("the next one", |event| {
        event.event == Kind::Published && event.digest == Some(digest(&scene.builds[0]))
    });
}

#[test]
fn an_output_that_nobody_reads_does_not_keep_the_daemon() {
    let scene = Scene::new(0);
    let (unread, full) = std::io::pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&full, true).expect("a pipe");
    while rustix::io::write(&full, &[b'.'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&full, false).expect("a pipe");
    let mut command = scene.home.plugind(["watch", "--json"]);
    let mut daemon = command
        .arg(scene.folder())
        .stdin(Stdio::null())
        .stdout(full)
        .spawn()
        .expect("it starts");
    until("its socket answers", || {
        let status = scene.home.plugind(["status"]).output().expect("it starts");
        status.status.success().then_some(())
    });
    let pid = Pid::from_child(&daemon);
    kill_process(pid, Signal::TERM).expect("our own child");
    let status = until("it ends", || daemon.try_wait().expect("our own child"));
    assert_eq!((status.code(), status.signal()), (Some(0), None));
    drop(unread);
}
