//! Proves that client and daemon each survive the other, and that engines on one folder keep apart: a client that was
//! there first, a daemon that was killed and came back, a second daemon, two programs that embed.

use std::collections::BTreeMap;
use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use plugind_tests::{
    Call, CargoProject, Daemon, Home, Process, answers, cc, cc_plugin, end_of_last_load, ended,
    replace, until,
};
use plugind_wire::event::{Event, Kind};
use plugind_wire::status::{Mode, Outcome, Status};

const HOST: &str = env!("CARGO_BIN_EXE_embedded-host");

fn folder(home: &Home) -> PathBuf {
    let folder = home.work().join("plugins");
    fs::create_dir_all(&folder).expect("the folder to watch");
    folder
}

/// Builds a C plugin that answers `n`, and puts it into the folder.
fn deliver(home: &Home, n: i64) {
    let image = cc_plugin(&home.build().join(n.to_string()), "x", &answers(n, 0));
    replace(&image, &folder(home).join("libx.so"));
}

/// A plugin whose constructor leaves process id and `n` in the file `CONSTRUCTED`, and whose `count` counts its calls
/// from 1000 n.
fn deliver_marking(home: &Home, n: i64) {
    let image = home.build().join(n.to_string()).join("libx.so");
    cc(
        &image,
        &format!(
            "#include <fcntl.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n\
             static long long calls = {n}000;\n\
             long long count(void) {{ return ++calls; }}\n\
             __attribute__((constructor)) static void constructed(void) {{\n\
               char line[64];\n\
               int len = snprintf(line, sizeof line, \"%d {n}\\n\", (int)getpid());\n\
               int file = open(getenv(\"CONSTRUCTED\"), O_WRONLY | O_APPEND | O_CREAT, 0600);\n\
               if (file >= 0 && write(file, line, len) == len) close(file);\n\
             }}\n"
        ),
        &[],
    );
    replace(&image, &folder(home).join("libx.so"));
}

/// Waits for two calls that begin after now: one may be on its way.
fn goes_on(call: &Call) -> u64 {
    let before = call.lines().len();
    let (mut version, mut calls) = (0, 0);
    until(&format!("two more answers\n{}", call.dump()), || {
        let lines = call.lines();
        calls = lines.len();
        version = lines.last()?.line.version;
        (calls >= before + 2).then_some(())
    });
    version
}

#[test]
fn a_client_that_was_there_before_daemon_and_plugin() {
    let home = Home::new();
    let folder = folder(&home);
    let call = Call::watch(&home, "x", "answer");
    until("it says that it waits", || {
        call.stderr().contains("`plugind watch`").then_some(())
    });
    let daemon = Daemon::watch(&home, &folder, &[]);
    daemon.wait("the client connects", |event| {
        event.event == Kind::ClientConnected
            && event
                .client
                .as_ref()
                .is_some_and(|client| client.pid == call.pid())
    });
    until("it says that it waits for the plugin", || {
        call.stderr().contains("version of x").then_some(())
    });
    deliver(&home, 1);
    assert_eq!(call.wait_result(1).line.version, 1);
    deliver(&home, 2);
    call.wait_result(2);
    let stderr = call.stderr();
    let said: Vec<_> = stderr.lines().collect();
    assert_eq!(said.len(), 2, "each is said once: {stderr}");
    assert!(said.iter().all(|line| line.contains("waiting")), "{stderr}");
}

#[test]
fn a_daemon_that_was_killed_and_came_back() {
    let mut home = Home::new();
    let marks = home.path().join("constructed");
    home.set_env("CONSTRUCTED", &marks);
    let folder = folder(&home);
    deliver_marking(&home, 1);
    let mut daemon = Daemon::watch(&home, &folder, &[]);
    let state = daemon.status().state;
    let call = Call::watch(&home, "x", "count");
    call.wait_version(1);
    deliver_marking(&home, 2);
    call.wait_version(2);
    daemon.wait_client(Kind::Live, "x", 2, call.pid());

    daemon.kill9();
    assert_eq!(goes_on(&call), 2, "it answers while nobody serves");

    let mut back = Daemon::watch(&home, &folder, &[]);
    back.wait("the client connects again", |event| {
        event.event == Kind::ClientConnected
            && event
                .client
                .as_ref()
                .is_some_and(|client| client.pid == call.pid())
    });
    let status = until("the new daemon learns what the client runs", || {
        let status = back.status();
        (live(&status, call.pid()) == Some(2)).then_some(status)
    });
    assert_eq!(status.state, state, "numbers compare");
    assert_eq!(numbers(&status), [1, 2]);
    assert_eq!(goes_on(&call), 2);
    assert_eq!(
        back.numbers(Kind::Published, "x"),
        [0; 0],
        "{}",
        back.dump()
    );

    deliver_marking(&home, 3);
    call.wait_version(3);

    // A build while nobody serves is the next version too.
    back.kill9();
    deliver_marking(&home, 4);
    assert_eq!(goes_on(&call), 3);
    let last = Daemon::watch(&home, &folder, &[]);
    call.wait_version(4);
    last.wait_client(Kind::Live, "x", 4, call.pid());
    assert_eq!(numbers(&last.status()), [1, 2, 3, 4]);

    // Every version counted on from its own start, and was initialised once: nothing began anew.
    let mut counted = BTreeMap::new();
    for (version, result) in call.answers() {
        let before = counted.insert(version, result);
        let expected = before.map_or(version as i64 * 1000 + 1, |before| before + 1);
        assert_eq!(result, expected, "{}", call.dump());
    }
    let mut runs: Vec<_> = (1..=4).map(|n| format!("{} {n}", call.pid())).collect();
    let marks = fs::read_to_string(&marks).expect("the marks");
    let by = |pid: u32| {
        let own = format!("{pid} ");
        let lines = marks.lines().filter(move |line| line.starts_with(&own));
        lines.map(str::to_owned)
    };
    let mut seen: Vec<_> = by(call.pid()).collect();
    runs.sort();
    seen.sort();
    assert_eq!(seen, runs, "the client ran each constructor once");
    assert_eq!(by(last.pid()).count(), 0, "a daemon runs none: {marks}");
    // A client that comes now gets the old versions as well.
    assert_eq!(Call::once(&home, "x@1", "count").result, 1001);
}

/// The version of `x` that client `pid` runs.
fn live(status: &Status, pid: u32) -> Option<u64> {
    let client = status.clients.iter().find(|client| client.pid == pid)?;
    client.plugins.iter().find(|used| used.plugin == "x")?.live
}

/// The versions of the one plugin.
fn numbers(status: &Status) -> Vec<u64> {
    let versions = &status.plugins[0].versions;
    versions.iter().map(|version| version.version).collect()
}

#[test]
fn a_second_daemon_is_told_who_serves() {
    let home = Home::new();
    let folder = folder(&home);
    deliver(&home, 1);
    let mut first = Daemon::watch(&home, &folder, &[]);
    let call = Call::watch(&home, "x", "answer");
    call.wait_result(1);
    let mut second = home.plugind(["watch", "--json"]);
    second.arg(&folder);
    let pid = first.pid().to_string();
    ended(second).expect(1, &[&pid, "plugins", "plugind stop"]);
    // The folder's other names are the same folder.
    let mut second = home.plugind(["watch", "--json"]);
    second.arg(folder.join("../plugins/."));
    ended(second).expect(1, &[&pid]);

    // The first is none the worse.
    deliver(&home, 2);
    call.wait_result(2);
    assert_eq!(first.status().pid, first.pid());
    first.kill9();
    let heir = Daemon::watch(&home, &folder, &[]);
    deliver(&home, 3);
    call.wait_result(3);
    heir.wait_client(Kind::Live, "x", 3, call.pid());
}

#[test]
fn of_many_daemons_at_once_one_serves_and_the_others_name_it() {
    const DAEMONS: usize = 6;
    let home = Home::new();
    let folder = folder(&home);
    for _ in 0..5 {
        let start = |_| {
            let mut command = home.plugind(["watch", "--json"]);
            command.arg(&folder);
            Process::<Event>::spawn(command)
        };
        let mut daemons: Vec<_> = (0..DAEMONS).map(start).collect();
        until("all but one have ended", || {
            let running = daemons
                .iter_mut()
                .filter_map(|daemon| daemon.is_running().then_some(()));
            (running.count() == 1).then_some(())
        });
        let at = daemons
            .iter_mut()
            .position(Process::is_running)
            .expect("one serves");
        let serves = daemons.remove(at);
        serves.wait(
            "it watches",
            0,
            |event| event.event == Kind::Watching,
            String::new,
        );
        let named = format!("process {} serves", serves.pid());
        for mut told in daemons {
            assert_eq!(told.wait_exit().code(), Some(1));
            let stderr = told.stderr();
            assert!(stderr.contains(&named), "no {named:?} in {stderr:?}");
        }
        // Its card is left to the next round, as after a crash.
        let mut serves = serves;
        serves.kill9();
    }
}

fn embed(home: &Home) -> Call {
    Call::host(home, Path::new(HOST), "embed", &folder(home), "x", "answer")
}

/// The names below the runtime directory that end so.
fn runtime_files(home: &Home, end: &str) -> Vec<String> {
    let entries = fs::read_dir(home.runtime()).expect("the runtime directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(end)).collect()
}

/// The private directories of engines that run in programs, whatever folder they serve.
fn private_dirs(home: &Home) -> Vec<String> {
    let folders = fs::read_dir(home.state()).expect("the state directory");
    let all = folders.map(|folder| folder.expect("an entry").path().join("embedded"));
    let entries = all.filter_map(|all| fs::read_dir(all).ok()).flatten();
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn two_programs_that_embed_keep_apart() {
    let home = Home::new();
    deliver(&home, 1);
    let (mut one, mut two) = (embed(&home), embed(&home));
    for call in [&one, &two] {
        assert_eq!(call.wait_result(1).line.version, 1);
    }
    let pids = [&one, &two].map(|call| call.pid().to_string());
    let sockets = runtime_files(&home, ".sock");
    assert_eq!(sockets.len(), 2, "{sockets:?}");

    let status = |args: &[&str]| ended(home.plugind([&["status"], args].concat()));
    status(&[]).expect(2, &[&pids[0], &pids[1], "--pid"]);
    for call in [&one, &two] {
        let status = home.status(call.pid());
        assert_eq!((status.pid, status.mode), (call.pid(), Mode::Embedded));
        let clients: Vec<_> = status.clients.iter().map(|client| client.pid).collect();
        assert_eq!(clients, [call.pid()], "each has its own client only");
        assert_eq!(live(&status, call.pid()), Some(1));
    }
    for (call, pid) in [&mut one, &mut two].into_iter().zip(&pids) {
        ended(home.plugind(["stop", "--pid", pid])).expect(1, &[pid, "that program"]);
        assert!(call.is_running());
    }
    deliver(&home, 2);
    for call in [&one, &two] {
        assert_eq!(call.wait_result(2).line.version, 2);
    }

    one.kill9();
    deliver(&home, 3);
    assert_eq!(two.wait_result(3).line.version, 3);
    // The one that is left is now the nearest by itself.
    status(&[]).expect(0, &[]);
    let left_over = |pid: &str, names: Vec<String>| {
        let own = |name: &String| name.split(['-', '.']).any(|part| part == pid);
        names.into_iter().filter(own).collect::<Vec<_>>()
    };
    assert_eq!(left_over(&pids[0], private_dirs(&home)).len(), 1);

    let three = embed(&home);
    assert_eq!(three.wait_result(3).line.version, 1, "it counts from 1");
    let gone = left_over(&pids[0], private_dirs(&home));
    assert_eq!(gone, [""; 0], "the killed one's directory is gone");
    assert_eq!(private_dirs(&home).len(), 2, "the living ones' are not");
    deliver(&home, 4);
    for (call, version) in [(&two, 4), (&three, 2)] {
        assert_eq!(call.wait_result(4).line.version, version);
    }
    // A daemon and programs that embed do not mind each other.
    let daemon = Daemon::watch(&home, &folder(&home), &[]);
    daemon.wait_version(Kind::Published, "x", 1);
    deliver(&home, 5);
    for (call, version) in [(&two, 5), (&three, 3)] {
        assert_eq!(call.wait_result(5).line.version, version);
    }
    assert_eq!(two.answers(), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
}

#[test]
fn programs_that_embed_at_once_do_not_take_each_other_for_leftovers() {
    let home = Home::new();
    deliver(&home, 1);
    for _ in 0..20 {
        let calls: Vec<_> = (0..8).map(|_| embed(&home)).collect();
        for call in &calls {
            call.wait_result(1);
        }
        assert_eq!(private_dirs(&home).len(), calls.len());
    }
}

#[test]
fn a_killed_program_that_embedded_leaves_no_socket_behind() {
    let home = Home::new();
    deliver(&home, 1);
    let mut killed = embed(&home);
    killed.wait_result(1);
    killed.kill9();
    embed(&home).wait_result(1);
    let files = runtime_files(&home, "");
    let pid = format!("-{}", killed.pid());
    assert!(!files.iter().any(|name| name.contains(&pid)), "{files:?}");
}

#[test]
fn ends_and_what_is_left_of_them() {
    use plugind_tests::Signal;

    let home = Home::new();
    let folder = folder(&home);
    deliver(&home, 1);
    let call = {
        let _daemon = Daemon::watch(&home, &folder, &[]);
        let call = Call::watch(&home, "x", "count");
        call.wait_version(1);
        call
    };
    let stop = |daemon: &mut Daemon| {
        ended(home.plugind(["stop"])).expect(0, &[]);
        daemon.wait_exit()
    };
    let signalled = |signal: Signal| {
        move |daemon: &mut Daemon| {
            daemon.signal(signal);
            daemon.wait_exit()
        }
    };
    type End<'a> = &'a dyn Fn(&mut Daemon) -> std::process::ExitStatus;
    let (term, interrupt) = (signalled(Signal::TERM), signalled(Signal::INT));
    let ends: [(&str, End, i32); 3] = [
        ("stop", &stop, 0),
        ("SIGTERM", &term, 0),
        ("Ctrl-C", &interrupt, 130),
    ];
    for (what, end, code) in ends {
        let mut daemon = Daemon::watch(&home, &folder, &[]);
        assert_eq!(end(&mut daemon).code(), Some(code), "{what}");
        let last = daemon.lines().pop().expect("an event").line;
        assert_eq!(last.event, Kind::Stopping, "{what}");
        assert_eq!(runtime_files(&home, ""), [""; 0], "{what}");
        ended(home.plugind(["status"])).expect(3, &["plugind watch"]);
        assert_eq!(goes_on(&call), 1, "the client answers on after {what}");
    }
    // Nothing was published twice, whatever ended the engine.
    let back = Daemon::watch(&home, &folder, &[]);
    assert_eq!(numbers(&back.status()), [1]);
    // What was live is so after all that, and was it when the client is gone.
    let outcome = |daemon: &Daemon<'_>| daemon.status().plugins[0].versions[0].outcome;
    back.wait_client(Kind::Live, "x", 1, call.pid());
    assert_eq!(outcome(&back), Outcome::Live);
    drop(call);
    drop(back);
    let last = Daemon::watch(&home, &folder, &[]);
    assert_eq!(outcome(&last), Outcome::Live);
    let page = home.plugind(["status"]).output().expect("plugind starts");
    let page = String::from_utf8_lossy(&page.stdout);
    assert!(page.contains("  was live "), "{page}");
}

/// The lock is removed while daemons wait for it: whoever gets a removed one must not serve by it.
#[test]
fn daemons_that_come_while_one_ends_do_not_serve_together() {
    const DAEMONS: usize = 5;
    let home = Home::new();
    let folder = folder(&home);
    let start = || {
        let mut command = home.plugind(["watch", "--json"]);
        command.arg(&folder);
        Process::<Event>::spawn(command)
    };
    let watches = |daemon: &Process<Event>| !daemon.lines().is_empty();
    let mut serves = start();
    for round in 0..10 {
        until("it watches", || watches(&serves).then_some(()));
        // Those that come first wait for the lock that goes, those that come last find none.
        let mut heirs: Vec<_> = (0..DAEMONS).map(|_| start()).collect();
        serves.signal(plugind_tests::Signal::TERM);
        heirs.extend((0..DAEMONS).map(|_| start()));
        assert_eq!(serves.wait_exit().code(), Some(0));
        until("each serves or was told who does", || {
            let mut open = heirs.iter_mut().filter_map(|heir| {
                let decided = watches(heir) || !heir.is_running();
                (!decided).then_some(())
            });
            open.next().is_none().then_some(())
        });
        heirs.retain_mut(Process::is_running);
        assert!(heirs.len() <= 1, "{} serve in round {round}", heirs.len());
        serves = heirs.pop().unwrap_or_else(start);
    }
}

#[test]
fn an_image_that_a_killed_daemon_left_cut_is_mended() {
    let home = Home::new();
    let project = CargoProject::new(&home.work().join("project"), "x");
    let artifact = fs::read(project.build().artifact).expect("the plugin");
    let mapped = end_of_last_load(&artifact);
    let folder = project.target();
    let mut daemon = Daemon::watch(&home, &folder, &[]);
    daemon.wait_version(Kind::Published, "x", 1);
    let image = daemon.status().plugins[0].versions[0].image.clone();
    until("the whole image", || {
        (fs::read(&image).ok()? == artifact).then_some(())
    });
    daemon.kill9();

    // What it leaves if it is killed before the rest was added: some pages.
    let mapped = mapped.next_multiple_of(64 << 10);
    fs::set_permissions(&image, Permissions::from_mode(0o600)).expect("our own file");
    fs::write(&image, &artifact[..mapped]).expect("our own file");
    fs::set_permissions(&image, Permissions::from_mode(0o400)).expect("our own file");
    let daemon = Daemon::watch(&home, &folder, &[]);
    daemon.wait("unchanged", |event| event.event == Kind::Unchanged);
    until("the whole image again", || {
        (fs::read(&image).ok()? == artifact).then_some(())
    });
    assert_eq!(Call::once(&home, "x", "answer").result, 1);
}

#[test]
fn a_number_is_not_given_again_although_the_store_is_gone() {
    let home = Home::new();
    deliver(&home, 1);
    let mut daemon = Daemon::watch(&home, &folder(&home), &[]);
    let call = Call::watch(&home, "x", "answer");
    call.wait_result(1);
    for state in fs::read_dir(home.state())
        .expect("the state directories")
        .flatten()
    {
        let store = state.path().join("store");
        // The daemon may be writing there what the client has said.
        until("somebody makes room", || {
            fs::remove_dir_all(&store).is_ok().then_some(())
        });
    }
    daemon.kill9();
    deliver(&home, 2);
    let _daemon = Daemon::watch(&home, &folder(&home), &[]);
    assert_eq!(
        call.wait_result(2).line.version,
        2,
        "the client goes on with the new build"
    );
}
