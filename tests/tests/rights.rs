//! Proves who may decide what runs: files and folders that other people can write are not taken, those of another user
//! only where that user is trusted, and nobody else's program may ask or command.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use plugind_tests::{
    Call, Daemon, Home, Other, answers, cc_plugin, ended, holds, need_root, replace, run,
};
use plugind_wire::Digest;
use plugind_wire::event::{Event, Kind, Stage};

/// Somebody who runs nothing here.
const WRITER: u32 = 4242;

/// How long a file must be quiet where the kernel does not tell whether somebody can write it: 250 ms, less some room
/// for the clock.
const QUIET: Duration = Duration::from_millis(220);

/// What a slow writer pauses: longer than where the kernel tells.
const PAUSE: Duration = Duration::from_millis(60);

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
}

fn image(home: &Home, n: i64) -> PathBuf {
    cc_plugin(&home.build().join(n.to_string()), "x", &answers(n, 0))
}

/// A watched folder, and the plugin in it.
fn folder(home: &Home) -> (PathBuf, PathBuf) {
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    mode(&folder, 0o755);
    let path = folder.join("libx.so");
    (folder, path)
}

fn rejected(event: &Event, words: &[&str]) -> bool {
    let reason = event.reason.as_deref().unwrap_or_default();
    event.event == Kind::Rejected && words.iter().all(|word| reason.contains(word))
}

#[test]
fn a_file_that_everybody_may_write() {
    let home = Home::new();
    let (folder, path) = folder(&home);
    replace(&image(&home, 1), &path);
    let daemon = Daemon::watch(&home, &folder, &[]);
    let call = Call::watch(&home, "x", "answer");
    call.wait_result(1);
    let open = image(&home, 2);
    mode(&open, 0o666);
    replace(&open, &path);
    let told = daemon.wait("a rejection", |event| rejected(event, &["may write"]));
    assert_eq!(told.line.stage, Some(Stage::Settle));
    assert_eq!(told.line.artifact.as_deref(), path.to_str());
    holds(
        &told.line.reason.expect("a reason"),
        &["the file", "owner ", "mode 0666", "`chmod o-w`"],
    );
    holds(
        &run(&mut home.plugind(["status"])),
        &["libx.so", "everybody may write the file"],
    );
    assert_eq!(Call::once(&home, "x", "answer").result, 1);
    // Once that is taken away it is followed, without another build.
    mode(&path, 0o664);
    call.wait_result(2);
    assert_eq!(call.answers(), [(1, 1), (2, 2)]);
    // Who is trusted without exception is trusted with that too.
    drop(daemon);
    mode(&open, 0o666);
    replace(&open, &folder.join("liby.so"));
    let daemon = Daemon::watch(&home, &folder, &["--trust-owner", "*"]);
    daemon.wait_version(Kind::Published, "y", 1);
}

#[test]
fn a_folder_that_everybody_may_write() {
    let home = Home::new();
    let (folder, path) = folder(&home);
    let lane = folder.join("debug");
    fs::create_dir(&lane).expect("a lane");
    replace(&image(&home, 1), &lane.join("liby.so"));
    mode(&lane, 0o777);
    replace(&image(&home, 1), &path);
    let daemon = Daemon::watch(&home, &folder, &[]);
    daemon.wait_version(Kind::Published, "x", 1);
    let told = daemon.wait("a warning", |event| event.event == Kind::Warning);
    let told = told.line.reason.expect("a reason");
    let named = format!("nothing is taken from {}", lane.display());
    holds(
        &told,
        &[&named, "the folder", "owner ", "mode 0777", "`chmod o-w`"],
    );
    assert!(daemon.status().warnings.contains(&told));
    assert!(daemon.events(Kind::Published, "y").is_empty());
    // With the sticky bit nobody can take the place of somebody else's file.
    mode(&lane, 0o1777);
    daemon.wait_version(Kind::Published, "y", 1);
    assert_eq!(daemon.status().warnings, [""; 0]);

    // A lane that becomes one: what comes then waits for its end.
    let mark = daemon.mark();
    mode(&lane, 0o777);
    daemon.wait_from(mark, "another warning", |event| {
        event.event == Kind::Warning
    });
    replace(&image(&home, 2), &lane.join("liby.so"));
    daemon.wait("a rejection", |event| {
        rejected(event, &["it lies in ", "/debug", "the folder", "mode 0777"])
    });
    mode(&lane, 0o755);
    daemon.wait_version(Kind::Published, "y", 2);
    assert!(daemon.status().rejected_files.is_empty());
    assert_eq!(daemon.numbers(Kind::Published, "y"), [1, 2]);
}

#[test]
fn a_file_that_somebody_else_owns() {
    if !need_root() {
        return;
    }
    let home = Home::new();
    let (folder, path) = folder(&home);
    let theirs = image(&home, 1);
    let give = |to: &Path| {
        let copy = theirs.with_extension("theirs");
        fs::copy(&theirs, &copy).expect("a copy");
        chown(&copy, Some(WRITER), Some(WRITER)).expect("chown");
        fs::rename(&copy, to).expect("one file system");
    };
    give(&path);
    let daemon = Daemon::watch(&home, &folder, &[]);
    let words = [
        "the file belongs to 4242",
        "mode 0",
        "this runs as root",
        "--trust-owner 4242",
        "trust_owner",
    ];
    daemon.wait("a rejection", |event| rejected(event, &words));
    // What a client names is no other matter.
    let opened = plugind_tests::connect(&home, &folder).open(&path);
    holds(&opened.expect_err("it is not taken").to_string(), &words);
    // Whoever makes it theirs says what runs.
    chown(&path, Some(0), Some(0)).expect("chown");
    daemon.wait_version(Kind::Published, "x", 1);

    // A folder of theirs is as good as the file.
    let mark = daemon.mark();
    chown(&folder, Some(WRITER), None).expect("chown");
    let told = daemon.wait_from(mark, "a warning", |event| event.event == Kind::Warning);
    holds(
        &told.line.reason.expect("a reason"),
        &["the folder belongs to 4242", "--trust-owner 4242"],
    );
    drop(daemon);

    // Trusted by a flag, by the environment, and not by what the flag leaves out.
    give(&path);
    for (variable, args) in [
        (None, &["--trust-owner", "4242"][..]),
        (Some("1,4242"), &[]),
        (Some("1"), &["--trust-owner", "4242"]),
    ] {
        let mut command = home.plugind(["watch", "--json"]);
        command.args(args).arg(&folder);
        if let Some(variable) = variable {
            command.env("PLUGIND_TRUST_OWNER", variable);
        }
        let daemon = Daemon::spawn(&home, command);
        let call = Call::once(&home, "x", "answer");
        assert_eq!(call.result, 1, "{}", daemon.dump());
    }
    let daemon = Daemon::watch(&home, &folder, &["--trust-owner", "1"]);
    daemon.wait("a warning", |event| event.event == Kind::Warning);
    drop(daemon);
    let mut command = home.plugind(["watch", "--trust-owner", "no-such-user"]);
    command.arg(&folder);
    ended(command).expect(2, &["no-such-user", "trust_owner", "name or number"]);
}

/// Writes `bytes` over what is at `path` in ten pieces, each through a descriptor of its own, and tells the longest
/// pause.
fn write_slowly(path: &Path, bytes: &[u8]) -> Duration {
    let size = bytes.len().div_ceil(10);
    let mut longest = Duration::ZERO;
    let mut last = Instant::now();
    for (nth, piece) in bytes.chunks(size).enumerate() {
        let file = OpenOptions::new().write(true).open(path);
        let file = file.expect("the file");
        file.write_all_at(piece, (nth * size) as u64).expect("room");
        drop(file);
        longest = longest.max(last.elapsed());
        last = Instant::now();
        thread::sleep(PAUSE);
    }
    longest
}

#[test]
fn a_deployment_by_another_user_goes_live_once_and_complete() {
    if !need_root() {
        return;
    }
    for _ in 0..5 {
        let home = Home::new();
        let (folder, path) = folder(&home);
        let other = Other::enter(&home);
        let command = other.plugind(
            &home,
            &["watch", "--json", "--trust-owner", "4242", "plugins"],
        );
        let daemon = Daemon::spawn(&home, command);
        let [first, second] = [1, 2].map(|n| {
            let build = home.build().join(format!("slow{n}"));
            fs::read(cc_plugin(&build, "x", &answers(n, 20 << 10))).expect("an image")
        });
        assert_eq!(first.len(), second.len());
        File::create_new(&path).expect("the new file");
        mode(&path, 0o644);
        chown(&path, Some(WRITER), Some(WRITER)).expect("chown");
        chown(&folder, Some(WRITER), Some(WRITER)).expect("chown");
        // A new file, then its second version over it: between two pieces of that one the file is a complete library,
        // which nobody has built.
        let mut longest = write_slowly(&path, &first);
        let call = other.plugind(&home, &["call", "x", "answer", "--watch", "--json"]);
        let call = Call::spawn(call);
        if longest < QUIET {
            call.wait_result(1);
            longest = longest.max(write_slowly(&path, &second));
        }
        if longest >= QUIET {
            // The machine held the writer up: what was published meanwhile proves nothing.
            continue;
        }
        call.wait_result(2);
        daemon.wait_client(Kind::Live, "x", 2, call.pid());
        let published = daemon.events(Kind::Published, "x");
        let digests: Vec<_> = published.iter().map(|event| event.digest).collect();
        let built = [&first, &second].map(|bytes| Some(Digest::of(bytes)));
        assert_eq!(digests, built, "{}", daemon.dump());
        assert_eq!(call.answers(), [(1, 1), (2, 2)], "{}", daemon.dump());
        // The kernel did not tell: both waited for the quiet.
        for event in published {
            let settle = event.timings_us.expect("timings").settle;
            assert!(settle as u128 >= QUIET.as_micros(), "{settle} us");
        }
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid()));
        holds(&status.expect("a process"), &["Uid:\t65534\t65534"]);
        return;
    }
    panic!("this machine is too busy for a writer that keeps its pace");
}

#[test]
fn another_users_program() {
    if !need_root() {
        return;
    }
    let home = Home::new();
    let (folder, path) = folder(&home);
    replace(&image(&home, 1), &path);
    let other = Other::enter(&home);
    // Theirs is only what is made for them.
    for dir in ["run", "state"] {
        chown(home.path().join(dir), Some(0), Some(0)).expect("chown");
    }
    let reached = home.path().join("reached");
    fs::create_dir(&reached).expect("a folder that everybody reaches");
    mode(&reached, 0o755);
    let socket = reached.join("engine.sock");
    let socket = socket.to_str().expect("a readable path");
    let serve = |args: &[&str], variable: &str| {
        let mut command = home.plugind(["watch", "--json", "--socket", socket]);
        command.args(args).arg(&folder);
        if !variable.is_empty() {
            command.env("PLUGIND_ALLOW_CLIENT", variable);
        }
        Daemon::spawn(&home, command)
    };
    let asked = |args: &[&str]| {
        let mut command = other.plugind(&home, args);
        command.args(["--socket", socket]).current_dir("/");
        command
    };
    // The kernel keeps them out.
    let daemon = serve(&[], "");
    let told = ended(asked(&["status"]));
    told.expect(3, &["may not connect", "--allow-client"]);
    drop(daemon);
    // Where somebody else may connect, the engine does.
    let mut daemon = serve(&["--allow-client", "4242"], "");
    for args in [&["status"][..], &["stop"], &["call", "x", "answer"]] {
        let words = ["nobody may not connect", "--allow-client nobody"];
        ended(asked(args)).expect(1, &words);
    }
    assert!(daemon.is_running());
    let mut writer = home.command(home.path().join("plugind"));
    writer.args(["status", "--json", "--socket", socket]);
    writer.uid(WRITER).gid(WRITER).current_dir("/");
    holds(&run(&mut writer), &["\"x\""]);
    // And who may ask may command.
    drop(daemon);
    let daemon = serve(&[], "4242,nobody");
    holds(&run(&mut asked(&["status", "--json"])), &["\"x\""]);
    drop(daemon);
    daemon_ends(
        serve(&["--allow-client", "nobody"], "4242"),
        asked(&["stop"]),
    );
}

fn daemon_ends(mut daemon: Daemon<'_>, stop: std::process::Command) {
    ended(stop).expect(0, &[]);
    assert_eq!(daemon.wait_exit().code(), Some(0));
}
