//! Proves that `plugind wait` ends when what was on disk runs in every program, and not before: not on an older version's
//! word, not while somebody is inside an older one; and that it says who is behind, and on what.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use plugind_client::Until;
use plugind_tests::{
    Call, Daemon, EndOnDrop, Ended, Home, Process, answers, cc_plugin, connect, ended, replace,
    until,
};
use plugind_wire::event::Kind;
use serde_json::Value;

const PLUGIN: &str = "x";

/// A folder with version 1 of a plugin, and builds that answer 2 and 3.
struct Scene {
    home: Home,
    folder: PathBuf,
    builds: Vec<PathBuf>,
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        let folder = home.work().join("plugins");
        fs::create_dir(&folder).expect("the folder to watch");
        let build = |n: i64| cc_plugin(&home.build().join(n.to_string()), PLUGIN, &answers(n, 0));
        let builds: Vec<_> = (1..=3).map(build).collect();
        replace(&builds[0], &folder.join("libx.so"));
        Self {
            home,
            folder,
            builds,
        }
    }

    fn deliver(&self, answer: usize) {
        replace(&self.builds[answer - 1], &self.folder.join("libx.so"));
    }

    fn daemon(&self) -> Daemon<'_> {
        Daemon::watch(&self.home, &self.folder, &[])
    }

    fn command(&self, args: &[&str]) -> Command {
        self.home.plugind([&["wait", PLUGIN], args].concat())
    }

    /// Runs `plugind wait` to its end.
    fn wait(&self, args: &[&str]) -> Ended {
        ended(self.command(args))
    }

    /// Starts `plugind wait`, which goes on.
    fn start(&self, args: &[&str]) -> Process<Value> {
        Process::spawn(self.command(&[args, &["--json"]].concat()))
    }
}

/// What it printed in the end: versions by process.
fn reached(mut process: Process<Value>) -> Vec<(u64, u64)> {
    let status = process.wait_exit();
    assert!(status.success(), "{}", process.dump());
    let line = process.lines().pop().expect("a document").line;
    let clients = line["clients"].as_array().expect("clients");
    let number = |client: &Value, key: &str| client[key].as_u64().expect("a number");
    clients
        .iter()
        .map(|client| (number(client, "pid"), number(client, "version")))
        .collect()
}

#[test]
fn what_was_on_disk_is_what_runs() {
    let scene = Scene::new();
    let daemon = scene.daemon();
    let call = Call::watch(&scene.home, PLUGIN, "answer");
    call.wait_result(1);
    let pid = u64::from(call.pid());
    for round in 2..20 {
        scene.deliver(2 + round % 2);
        let version = reached(scene.start(&[]));
        assert_eq!(version, [(pid, round as u64)]);
    }
    // What no event has told yet.
    daemon.freeze();
    scene.deliver(1);
    let waiting = scene.start(&["--executing", "--timeout", "60s"]);
    daemon.thaw();
    assert_eq!(reached(waiting), [(pid, 20)]);
    assert_eq!(daemon.status().clients[0].plugins[0].live, Some(20));
}

#[test]
fn a_program_that_is_stopped_is_waited_for() {
    let scene = Scene::new();
    let _daemon = scene.daemon();
    let other = Call::watch(&scene.home, PLUGIN, "answer");
    let call = Call::watch(&scene.home, PLUGIN, "answer");
    other.wait_result(1);
    call.wait_result(1);
    scene.wait(&["--clients", "2"]).expect(0, &[]);
    call.freeze();
    scene.deliver(2);
    let pid = format!("(pid {})", call.pid());
    let late = scene.wait(&["--timeout", "1"]);
    late.expect(7, &[&pid, "does not answer: it is stopped"]);
    assert!(
        !late.stderr.contains(&format!("(pid {})", other.pid())),
        "{late:?}"
    );
    let waiting = scene.start(&["--timeout", "60"]);
    call.thaw();
    let mut reached = reached(waiting);
    reached.sort_unstable();
    let mut both = [(call.pid().into(), 2), (other.pid().into(), 2)];
    both.sort_unstable();
    assert_eq!(reached, both);
}

#[test]
fn a_thread_inside_an_old_version_is_named() {
    let scene = Scene::new();
    let daemon = scene.daemon();
    let client = connect(&scene.home, &scene.folder);
    let plugin = client.plugin(PLUGIN).expect("it is built");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let end = EndOnDrop(&done);
        for n in 0..7 {
            let mut reader = client.reader();
            let (plugin, done) = (&plugin, &done);
            let work = move || {
                while !done.load(Ordering::Relaxed) {
                    let frame = reader.enter();
                    frame.table(plugin).version();
                    drop(frame);
                    thread::yield_now();
                }
            };
            let named = thread::Builder::new().name(format!("worker-{n}"));
            named.spawn_scoped(scope, work).expect("a thread");
        }
        let (go, going) = mpsc::channel::<()>();
        let (inside, is_inside) = mpsc::channel();
        let mut reader = client.reader();
        let blocked = thread::Builder::new().name("blocked".to_owned());
        let blocked = blocked.spawn_scoped(scope, move || {
            let frame = reader.enter();
            inside
                .send(rustix::thread::gettid().as_raw_pid().cast_unsigned())
                .expect("the test");
            let _ = going.recv();
            drop(frame);
            reader
        });
        let blocked = blocked.expect("a thread");
        let thread = is_inside.recv().expect("it entered");
        scene.deliver(2);
        scene.wait(&["--executing"]).expect(0, &[]);
        let pid = format!("(pid {})", std::process::id());
        let named = format!("thread {thread} blocked is inside v1 since before 20");
        scene.wait(&["--timeout", "1"]).expect(7, &[&pid, &named]);
        let wait = plugind_client::Wait {
            until: Until::Executing,
            ..Default::default()
        };
        let reached = client.wait(PLUGIN, &wait).expect("the others enter it");
        assert_eq!((reached.len(), reached[0].version), (1, 2));

        let who = client.who().expect("an answer");
        let report = who.clients[0].report.as_ref().expect("it answers");
        assert_eq!(report.current[0].version.number, 2);
        assert_eq!(report.readers.len(), 8);
        let version = |reader: &plugind_wire::who::Reader| {
            let running = reader.executes(PLUGIN);
            running.map(|running| running.version.number)
        };
        let (old, new): (Vec<_>, Vec<_>) = report
            .readers
            .iter()
            .partition(|reader| version(reader) == Some(1));
        assert_eq!((old.len(), old[0].thread), (1, thread));
        assert!(
            old[0]
                .inside
                .as_ref()
                .is_some_and(|it| it.since_before.is_some())
        );
        assert!(
            new.iter()
                .all(|reader| matches!(version(reader), None | Some(2)))
        );
        assert_eq!(report.retired[0].number, 1);
        let page = plugind_tests::run(&mut scene.home.plugind(["who", PLUGIN]));
        plugind_tests::holds(
            &page,
            &[
                "runs x v2",
                "blocked",
                "inside x v1 since",
                "still holds x v1",
            ],
        );

        let waiting = scene.start(&["--timeout", "60"]);
        go.send(()).expect("it waits");
        let _idle = blocked.join().expect("the thread");
        assert_eq!(self::reached(waiting), [(std::process::id().into(), 2)]);
        drop(end);
    });
    let report = client.who().expect("an answer").clients.remove(0).report;
    assert_eq!(report.expect("it answers").retired, []);
    drop(daemon);
}

#[test]
fn a_build_that_nobody_will_run_is_told() {
    let scene = Scene::new();
    ended(scene.home.plugind(["wait", PLUGIN])).expect(3, &["plugind watch"]);
    let daemon = scene.daemon();
    scene
        .wait(&["--timeout", "1"])
        .expect(7, &["no program uses it"]);
    ended(scene.home.plugind(["wait", "y"])).expect(4, &["no plugin y", PLUGIN]);
    let call = Call::watch(&scene.home, PLUGIN, "answer");
    call.wait_result(1);
    scene
        .wait(&["--timeout", "1", "--clients", "2"])
        .expect(7, &["1 of 2 programs"]);
    let ends = "long long answer(void) { return 2; }\n\
        __attribute__((constructor)) static void ends(void) { __builtin_trap(); }\n";
    let breaks = cc_plugin(&scene.home.build().join("breaks"), PLUGIN, ends);
    replace(&breaks, &scene.folder.join("libx.so"));
    scene
        .wait(&[])
        .expect(5, &["x v2 was rejected at probe", "SIGILL"]);
    // Cut short, so that it never becomes a version.
    let image = fs::read(&scene.builds[1]).expect("a build");
    fs::write(scene.folder.join("new"), &image[..image.len() / 2]).expect("a file");
    fs::rename(scene.folder.join("new"), scene.folder.join("libx.so")).expect("a rename");
    scene.wait(&[]).expect(5, &["libx.so", "rejected at"]);
    let waiting = scene.start(&["--version", "3", "--timeout", "60"]);
    scene.deliver(2);
    assert_eq!(reached(waiting), [(call.pid().into(), 3)]);
    scene
        .wait(&["--version", "2"])
        .expect(5, &["x v2 was rejected"]);
    assert_eq!(daemon.numbers(Kind::Live, PLUGIN), [1, 3]);
}

#[test]
fn a_program_that_is_paused_says_so() {
    let scene = Scene::new();
    let _daemon = scene.daemon();
    let client = connect(&scene.home, &scene.folder);
    let plugin = client.plugin(PLUGIN).expect("it is built");
    client.pause();
    scene.deliver(2);
    let pid = format!("(pid {})", std::process::id());
    scene.wait(&[]).expect(6, &[&pid, "is paused"]);
    let page = plugind_tests::run(&mut scene.home.plugind(["who"]));
    plugind_tests::holds(&page, &["is paused"]);
    client.resume();
    scene.wait(&[]).expect(0, &[]);
    assert_eq!(plugin.current().version().number, 2);
    // A client that nobody reads with has drained every older version.
    until("it is there", || {
        (client.who().ok()?.clients[0].report.as_ref()?.current[0]
            .version
            .number
            == 2)
            .then_some(())
    });
}

/// `cargo build && plugind wait` in a script.
#[test]
fn the_first_build_is_waited_for_too() {
    let scene = Scene::new();
    let artifact: &Path = &scene.folder.join("libx.so");
    fs::remove_file(artifact).expect("a file");
    let daemon = scene.daemon();
    let call = Call::watch(&scene.home, PLUGIN, "answer");
    daemon.wait("the program is there", |event| {
        event.event == Kind::ClientConnected
    });
    scene.deliver(1);
    assert_eq!(reached(scene.start(&[])), [(call.pid().into(), 1)]);
}
