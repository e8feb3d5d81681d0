//! Proves which program tries the versions, that it is told where none does, and that a probe ends with the engine that
//! ordered it and leaves nothing behind.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use plugind_tests::{Call, Daemon, Home, answers, cc_plugin, holds, plugind, replace, run, until};
use plugind_wire::event::Stage;
use plugind_wire::probe::{Level, Phase, Probe};
use plugind_wire::status::{Outcome, Version};

const VICTIM: &str = "victim";

/// A folder with a first version, and a host that lies where no `plugind` is.
struct Scene {
    home: Home,
    folder: PathBuf,
    host: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        let (folder, host) = (home.work().join("plugins"), home.build().join("host"));
        fs::create_dir(&folder).expect("the folder to watch");
        // By another process, which may not still have it open for writing when it is started.
        let built = Path::new(env!("CARGO_BIN_EXE_embedded-host"));
        run(Command::new("cp").arg(built).arg(&host));
        let scene = Self { home, folder, host };
        scene.deliver(&answers(1, 0));
        scene
    }

    /// Puts a version of the victim into the folder.
    fn deliver(&self, source: &str) {
        let image = cc_plugin(&self.home.build().join("next"), VICTIM, source);
        replace(&image, &self.folder.join("libvictim.so"));
    }

    /// Delivers a version that cannot be opened.
    fn deliver_broken(&self) {
        self.deliver(&broken("*(volatile int *)0 = 1;"));
    }

    /// The host with an engine of its own, and no search path.
    fn command(&self) -> Command {
        let mut command = self.home.command(&self.host);
        command
            .arg("embed")
            .arg(&self.folder)
            .args([VICTIM, "answer"]);
        command.env("PATH", "/nowhere");
        command
    }

    /// Starts it, and tells what became of its first version.
    fn start(&self, command: Command) -> (Call, Version) {
        let call = Call::spawn(command);
        call.wait_result(1);
        let version = newest(&self.home, call.pid());
        (call, version)
    }

    /// `plugind status` about it.
    fn page(&self, call: &Call) -> String {
        run(&mut self
            .home
            .plugind(["status", "--pid", &call.pid().to_string()]))
    }
}

fn broken(constructor: &str) -> String {
    format!(
        "#include <stdlib.h>\n#include <sys/wait.h>\n#include <unistd.h>\n{}\
         __attribute__((constructor)) static void constructed(void) {{ {constructor} }}\n",
        answers(2, 0)
    )
}

fn newest(home: &Home, pid: u32) -> Version {
    let mut plugins = home.status(pid).plugins;
    let mut versions = plugins.pop().expect("the victim").versions;
    versions.pop().expect("a version")
}

/// Waits until the newest version is a rejected one.
fn rejected(home: &Home, pid: u32) -> Version {
    until("it is rejected", || {
        let version = newest(home, pid);
        assert_ne!(version.outcome, Outcome::Live, "{version:?}");
        (version.outcome == Outcome::Rejected).then_some(version)
    })
}

#[test]
fn a_program_is_its_own_probe() {
    let scene = Scene::new();
    let (mut call, first) = scene.start(scene.command());
    assert_eq!(
        (first.probe, first.not_probed.clone()),
        (Probe::Passed, None)
    );
    assert!(first.level.expect("a level").seccomp);
    scene.deliver_broken();
    let second = rejected(&scene.home, call.pid());
    assert_eq!(
        (second.stage, second.phase),
        (Some(Stage::Probe), Some(Phase::Constructors))
    );
    holds(&second.reason.expect("a reason"), &["SIGSEGV"]);
    assert!(call.is_running());
    assert!(!scene.page(&call).to_lowercase().contains("not probed"));
    scene.deliver(&answers(3, 0));
    call.wait_result(3);
    assert_eq!(call.answers(), [(1, 1), (3, 3)]);
}

#[test]
fn where_nobody_tries_it_is_told() {
    let scene = Scene::new();
    let mut command = scene.command();
    command.env("NO_PROBE_ENTRY", "1");
    let (call, first) = scene.start(command);
    assert_eq!((first.probe, first.level), (Probe::NotProbed, None));
    holds(
        &first.not_probed.expect("why"),
        &["no `plugind` beside", "probe_entry()", "PLUGIND_BIN"],
    );
    holds(
        &scene.page(&call),
        &["  NOT PROBED  ", "not probed: there is no `plugind` beside"],
    );
}

/// A program that looks like a `plugind` and says that it is of another release.
fn other_plugind(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    let path = folder.join("plugind");
    let hello = r#"{"said":"hello","release":"9.9.9","generation":{"messages":99,"abi":99}}"#;
    let script = format!("#!/bin/sh\necho '{hello}' >&0\necho '{{\"said\":\"passed\"}}' >&0\n");
    fs::write(&path, script).expect("a script");
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("chmod");
}

#[test]
fn a_plugind_of_another_release_is_not_believed() {
    let scene = Scene::new();
    let path = scene.home.path().join("path");
    other_plugind(&path);
    scene.deliver_broken();
    let with = |variable: &str, value: &Path, entry: bool| {
        let mut command = scene.command();
        command.env(variable, value);
        if !entry {
            command.env("NO_PROBE_ENTRY", "1");
        }
        command
    };
    // The program itself does it instead.
    let call = Call::spawn(with("PATH", &path, true));
    let version = rejected_of(&scene.home, call.pid());
    assert_eq!(version.probe, Probe::Failed);
    drop(call);

    scene.deliver(&answers(1, 0));
    let (call, version) = scene.start(with("PATH", &path, false));
    assert_eq!(version.probe, Probe::NotProbed);
    let why = version.not_probed.expect("why");
    holds(&why, &["/path/plugind is plugind 9.9.9", "of 0.1.0"]);
    holds(&scene.page(&call), &["NOT PROBED", "9.9.9"]);
    drop(call);

    for (program, words) in [
        (
            "/bin/false",
            "/bin/false does not try plugins (it exited with code 1)",
        ),
        ("/nowhere/plugind", "/nowhere/plugind cannot be started"),
    ] {
        let (_call, version) = scene.start(with("PLUGIND_BIN", Path::new(program), false));
        holds(&version.not_probed.expect("why"), &[words]);
    }
    let (_call, version) = scene.start(with("PLUGIND_BIN", plugind(), false));
    assert_eq!(version.probe, Probe::Passed);
    // One that lies beside it needs no name.
    run(Command::new("cp")
        .arg(plugind())
        .arg(scene.host.with_file_name("plugind")));
    let (_call, version) = scene.start(with("PATH", Path::new("/nowhere"), false));
    assert_eq!(version.probe, Probe::Passed);
}

/// The same for a host that has no first version yet, and whose socket may not answer yet.
fn rejected_of(home: &Home, pid: u32) -> Version {
    until("a status with a rejected version", || {
        let output = home
            .plugind(["status", "--json", "--pid", &pid.to_string()])
            .output()
            .expect("plugind starts");
        let status: plugind_wire::status::Status = serde_json::from_slice(&output.stdout).ok()?;
        let version = status.plugins.last()?.versions.last()?.clone();
        (version.outcome == Outcome::Rejected).then_some(version)
    })
}

#[test]
fn a_probe_may_be_wider_or_left_out() {
    let scene = Scene::new();
    scene.deliver(&broken(
        "pid_t child = fork(); if (!child) _exit(0); if (waitpid(child, 0, 0) != child) abort();",
    ));
    for (how, probe, level) in [
        ("sandboxed", Probe::Failed, None),
        ("unsandboxed", Probe::Passed, Some(Level::default())),
        ("off", Probe::NotProbed, None),
    ] {
        let daemon = Daemon::watch(&scene.home, &scene.folder, &["--probe", how]);
        let call = Call::watch(&scene.home, VICTIM, "answer");
        let version = until("it is examined", || {
            let version = newest(&scene.home, daemon.pid());
            (version.probe != Probe::Deferred && version.outcome != Outcome::OnItsWay)
                .then_some(version)
        });
        assert_eq!(version.probe, probe, "{how}");
        if probe != Probe::Failed {
            assert_eq!(version.level, level, "{how}");
            call.wait_result(2);
        }
        let why = version.not_probed.unwrap_or_default();
        assert_eq!(why.contains("switched off"), how == "off", "{why}");
        drop((call, daemon));
        // The next one is a first one.
        fs::remove_dir_all(scene.home.state()).expect("its state");
    }
}

/// The probes that a process has started and that run.
fn probes_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let read =
                |what: &str| fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
            // pid (name) STATE PARENT ..; the name may hold anything but ends at the last parenthesis.
            let stat = read("stat");
            let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
            fields.split(' ').nth(1) == Some(&parent.to_string())
                && read("cmdline").contains("--plugind-probe")
        })
        .collect()
}

fn is_gone(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

#[test]
fn a_probe_ends_with_its_engine() {
    let scene = Scene::new();
    let start = || {
        let daemon = Daemon::watch(&scene.home, &scene.folder, &["--probe-timeout", "600"]);
        let call = Call::watch(&scene.home, VICTIM, "answer");
        call.wait_result(1);
        scene.deliver(&broken(&format!("for (;;); /* {} */", daemon.pid())));
        let probe = until("its probe", || probes_of(daemon.pid()).pop());
        (daemon, probe)
    };
    let (mut daemon, probe) = start();
    run(&mut scene.home.plugind(["stop"]));
    assert!(daemon.wait_exit().success());
    assert!(is_gone(probe), "it is reaped before the daemon ends");

    scene.deliver(&answers(1, 0));
    let (mut daemon, probe) = start();
    daemon.kill9();
    until("the probe ends too", || is_gone(probe).then_some(()));
}

#[test]
fn a_daemon_whose_file_is_gone_goes_on_probing() {
    let scene = Scene::new();
    let own = scene.home.build().join("plugind");
    run(Command::new("cp").arg(plugind()).arg(&own));
    let mut command = scene.home.command(&own);
    command.args(["watch", "--json"]).arg(&scene.folder);
    let daemon = Daemon::spawn(&scene.home, command);
    fs::write(own.with_extension("new"), "#!/bin/sh\nexit 1\n").expect("another file");
    fs::rename(own.with_extension("new"), &own).expect("a new release");
    let call = Call::watch(&scene.home, VICTIM, "answer");
    call.wait_result(1);
    assert_eq!(newest(&scene.home, daemon.pid()).probe, Probe::Passed);
}
