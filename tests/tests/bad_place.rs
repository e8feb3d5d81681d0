//! Proves that places that cannot be used are told in one sentence that names them and says what to do: folders,
//! sockets, stores, and the kernel's limits, which scanning makes up for.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use plugind_client::Client;
use plugind_tests::{Call, Daemon, Home, Other, answers, cc_plugin, ended, need, plugind, replace};
use plugind_wire::event::{Event, Kind};

const HOST: &str = env!("CARGO_BIN_EXE_embedded-host");

/// How often a folder is read again although events can be relied on: three such scans take twice as long at least.
const SAFETY_SCAN: Duration = Duration::from_secs(30);

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
}

fn image(home: &Home, n: i64) -> PathBuf {
    cc_plugin(&home.build().join(n.to_string()), "x", &answers(n, 0))
}

fn says(kind: Kind, words: &'static [&'static str]) -> impl Fn(&Event) -> bool {
    move |event| {
        let reason = event.reason.as_deref().unwrap_or_default();
        event.event == kind && words.iter().all(|word| reason.contains(word))
    }
}

#[test]
fn a_folder_that_may_not_be_read() {
    let home = Home::new();
    let folder = home.work().join("secret");
    fs::create_dir(&folder).expect("the folder to watch");
    replace(&image(&home, 1), &folder.join("libx.so"));
    mode(&folder, 0o000);
    let mut command = match rustix::process::geteuid().is_root() {
        // Whom file modes bind.
        true => Other::enter(&home).plugind(&home, &["watch", "--json"]),
        false => home.plugind(["watch", "--json"]),
    };
    command.arg(&folder);
    let daemon = Daemon::spawn(&home, command);
    daemon.wait("a warning", says(Kind::Warning, &["/secret", "readable"]));
    // Once it may be read, it is.
    mode(&folder, 0o755);
    daemon.wait_version(Kind::Published, "x", 1);

    let hidden = home.build().join("hidden.so");
    fs::copy(image(&home, 2), &hidden).expect("a copy");
    mode(&hidden, 0o000);
    fs::rename(&hidden, folder.join("libhidden.so")).expect("the file comes");
    let told = daemon.wait("a rejection", says(Kind::Rejected, &["read", "chmod"]));
    assert!(
        told.line
            .artifact
            .is_some_and(|path| path.ends_with("/libhidden.so"))
    );
    replace(&image(&home, 3), &folder.join("libx.so"));
    daemon.wait_version(Kind::Published, "x", 2);
}

#[test]
fn a_folder_that_is_a_file() {
    let home = Home::new();
    let file = home.work().join("libx.so");
    fs::write(&file, "").expect("a file");
    let mut command = home.plugind(["watch"]);
    command.arg(&file);
    ended(command).expect(1, &["libx.so is a file", "folder"]);
    let told = embed(&home, &file, &home.runtime());
    assert!(told.contains("libx.so is a file"), "{told}");
}

/// Why a program cannot embed the engine.
fn embed(home: &Home, folder: &Path, runtime: &Path) -> String {
    let builder = Client::builder(folder)
        .state_dir(home.state())
        .runtime_dir(runtime);
    builder.embed().expect_err("it cannot work").to_string()
}

#[test]
fn a_folder_that_is_no_workspace() {
    let home = Home::new();
    ended(home.plugind(["watch"])).expect(2, &["Cargo.toml", "folder to watch"]);
}

#[test]
fn a_socket_path_that_is_too_long() {
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    let long = home.path().join("s".repeat(120));
    let told = ["bytes", "107", "--socket", "XDG_RUNTIME_DIR"];
    for args in [
        &["watch", "plugins"][..],
        &["status"],
        &["call", "x", "answer"],
        &["stop"],
    ] {
        let mut command = home.plugind(args);
        command.arg("--socket").arg(&long);
        ended(command).expect(1, &told);
    }
    let mut command = home.plugind(["watch", "plugins"]);
    command.env("XDG_RUNTIME_DIR", &long);
    ended(command).expect(1, &told);
    let embedded = embed(&home, &folder, &long);
    assert!(
        told.iter().all(|word| embedded.contains(word)),
        "{embedded}"
    );
    // The longest that fits is fine.
    let fits = home
        .path()
        .join("s".repeat(107 - home.path().as_os_str().len() - 1));
    let socket = fits.to_str().expect("a readable path");
    assert_eq!(socket.len(), 107);
    let mut command = home.plugind(["watch", "--json", "--socket", socket]);
    command.arg(&folder);
    let mut daemon = Daemon::spawn(&home, command);
    ended(home.plugind(["stop", "--socket", socket])).expect(0, &[]);
    assert_eq!(daemon.wait_exit().code(), Some(0));
}

/// A command that runs after `script` in namespaces of its own, or none where that is not possible.
fn unshared(home: &Home, flags: &str, script: &str, program: &Path) -> Option<Command> {
    if !need("unshare") {
        return None;
    }
    let tried = Command::new("unshare")
        .args([flags, "sh", "-c", script, "true"])
        .output();
    if !tried.is_ok_and(|output| output.status.success()) {
        need(&format!("unshare {flags}"));
        return None;
    }
    let mut command = home.command("unshare");
    let script = format!("{script}; exec \"$0\" \"$@\"");
    command.args([flags, "sh", "-c", &script]).arg(program);
    Some(command)
}

#[test]
fn a_store_from_which_nothing_can_be_opened() {
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    replace(&image(&home, 1), &folder.join("libx.so"));
    let store = home.path().join("noexec");
    fs::create_dir(&store).expect("a place to mount at");
    let script = format!(
        "set -e; mount -t tmpfs -o noexec,mode=0700 tmpfs {}",
        store.display()
    );
    let Some(mut command) = unshared(&home, "-Urm", &script, plugind()) else {
        return;
    };
    command
        .args(["watch", "plugins", "--json", "--state-dir"])
        .arg(&store);
    ended(command).expect(1, &["/noexec", "mounted noexec", "--state-dir"]);

    let host = Path::new(HOST);
    let mut host = unshared(&home, "-Urm", &script, host).expect("it worked before");
    host.env("XDG_STATE_HOME", &store);
    host.arg("embed").arg(&folder).args(["x", "answer"]);
    let told = ended(host);
    assert!(
        told.code == Some(1) && told.stderr.contains("mounted noexec"),
        "{told:?}"
    );
}

/// A folder with more lanes than the kernel lets be watched: what is built in the last of them arrives all the same.
fn exhausted(limit: &str, allowed: u32, sysctl: &'static [&'static str]) {
    let home = Home::new();
    let folder = home.work().join("target");
    let lanes: Vec<_> = ('a'..='l')
        .map(|name| folder.join(name.to_string()))
        .collect();
    for lane in &lanes {
        fs::create_dir_all(lane).expect("a lane");
    }
    let last = lanes.last().expect("a lane").join("libx.so");
    replace(&image(&home, 1), &last);
    let script = format!("set -e; echo {allowed} > /proc/sys/user/{limit}");
    let Some(mut command) = unshared(&home, "-Ur", &script, plugind()) else {
        return;
    };
    command.args(["watch", "--json"]).arg(&folder);
    let daemon = Daemon::spawn(&home, command);
    let told = daemon.wait("a warning", says(Kind::Warning, sysctl)).line;
    assert!(
        daemon
            .status()
            .warnings
            .contains(&told.reason.expect("a reason"))
    );
    let call = Call::watch(&home, "x", "answer");
    call.wait_result(1);
    // Renamed, linked anew and overwritten: three scans.
    let started = Instant::now();
    replace(&image(&home, 2), &last);
    call.wait_result(2);
    fs::remove_file(&last).expect("it goes");
    fs::hard_link(image(&home, 3), &last).expect("a link");
    call.wait_result(3);
    fs::copy(image(&home, 4), &last).expect("cp");
    call.wait_result(4);
    let took = started.elapsed();
    assert!(
        took < 2 * SAFETY_SCAN,
        "only the safety scan found it: {took:?}"
    );
    daemon.wait_client(Kind::Live, "x", 4, call.pid());
    assert_eq!(call.answers(), [(1, 1), (2, 2), (3, 3), (4, 4)]);
    let warned = daemon
        .lines()
        .into_iter()
        .filter(|seen| seen.line.event == Kind::Warning);
    assert_eq!(warned.count(), 1, "it is said once\n{}", daemon.dump());
}

#[test]
fn too_few_watches() {
    let words = &[
        "the limit of inotify watches",
        "sysctl fs.inotify.max_user_watches=",
    ];
    exhausted("max_inotify_watches", 6, words);
}

#[test]
fn no_instance_of_inotify_left() {
    exhausted(
        "max_inotify_instances",
        0,
        &["sysctl fs.inotify.max_user_instances="],
    );
}
