//! Proves that the plugins of a group change together or not at all: in every frame of every reader, when one of them is
//! rejected, when a program refuses one, and when one build writes a hundred.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crossbeam_channel::Receiver;
use plugind_client::{Client, ClientEvent, Frame, Plugin};
use plugind_tests::{
    Call, DEADLINE, Daemon, EndOnDrop, Home, answers, cc_plugin, connect, holds, replace, run, say,
    until, victim,
};
use plugind_wire::event::Kind;

const NAMES: [&str; 3] = ["one", "two", "three"];
const READERS: usize = 8;
const ROUNDS: u64 = 1000;
/// So many builds of each plugin take turns.
const BUILDS: u64 = 10;

type Answer = unsafe extern "C" fn() -> i64;

/// A folder whose three plugins stand in a group.
struct Scene {
    home: Home,
    folder: PathBuf,
    builds: Vec<[PathBuf; 3]>,
}

impl Scene {
    fn new(builds: u64) -> Self {
        let home = Home::new();
        let folder = home.work().join("plugins");
        fs::create_dir(&folder).expect("the folder to watch");
        let group = format!("[[group]]\nplugins = {NAMES:?}\n");
        fs::write(home.work().join("plugind.toml"), group).expect("a configuration");
        let build = |n: u64| {
            let dir = home.build().join(n.to_string());
            NAMES.map(|name| cc_plugin(&dir, name, &answers(n as i64, 0)))
        };
        let builds = (0..builds).map(build).collect();
        Self {
            home,
            folder,
            builds,
        }
    }

    fn path(&self, nth: usize) -> PathBuf {
        self.folder.join(format!("lib{}.so", NAMES[nth]))
    }

    /// As cargo builds: with its lock held from before the first file to after the last.
    fn deliver(&self, builds: [&Path; 3]) {
        let lock = File::create(self.folder.join(".cargo-lock")).expect("cargo's lock");
        lock.lock().expect("nobody else builds");
        for (nth, build) in builds.into_iter().enumerate() {
            replace(build, &self.path(nth));
        }
    }

    fn deliver_all(&self, build: u64) {
        let [one, two, three] = &self.builds[build as usize];
        self.deliver([one, two, three]);
    }

    fn daemon(&self) -> Daemon<'_> {
        Daemon::watch(&self.home, &self.folder, &[])
    }

    fn status(&self) -> String {
        let output = self
            .home
            .plugind(["status"])
            .output()
            .expect("plugind starts");
        String::from_utf8(output.stdout).expect("text")
    }
}

/// The plugins' versions, each with what it answers.
fn look(frame: &Frame<'_>, plugins: &[Plugin]) -> Vec<(u64, i64)> {
    let one = |plugin: &Plugin| {
        let table = frame.table(plugin);
        // SAFETY: every plugin of this suite declares `answer` so (kept by `answers` and `hundred`).
        let answer = unsafe { table.lookup::<Answer>(c"answer") }.expect("it is exported");
        // SAFETY: it has no preconditions.
        (table.version().number, unsafe { answer() })
    };
    plugins.iter().map(one).collect()
}

/// Looks in frame after frame; all plugins answer the same in each, and no version goes back.
fn read(client: &Client, plugins: &[Plugin], seen: &AtomicU64, over: &AtomicBool) -> u64 {
    let mut reader = client.reader();
    let mut frames = 0;
    let mut last = 0;
    while !over.load(Ordering::SeqCst) {
        let looked = look(&reader.enter(), plugins);
        // The engine and the loader need the processor too.
        thread::yield_now();
        let (number, answer) = looked[0];
        assert!(
            looked.iter().all(|one| one.1 == answer),
            "a mixture: {looked:?}"
        );
        assert!(number >= last, "v{number} after v{last}");
        last = number;
        seen.store(number, Ordering::SeqCst);
        frames += 1;
    }
    frames
}

/// Waits until this version of the last of the three is swapped in.
fn swapped(events: &Receiver<ClientEvent>, number: u64) {
    loop {
        let event = events.recv_timeout(DEADLINE);
        match event.unwrap_or_else(|error| panic!("v{number}: {error}")) {
            ClientEvent::Swapped { version }
                if version.number == number && version.plugin == NAMES[2] =>
            {
                return;
            }
            ClientEvent::Refused { version, reason }
            | ClientEvent::Rejected {
                version, reason, ..
            } => panic!("{version}: {reason}"),
            _ => {}
        }
    }
}

#[test]
fn no_frame_mixes_what_changes_together() {
    let scene = Scene::new(BUILDS);
    scene.deliver_all(0);
    let daemon = scene.daemon();
    let client = connect(&scene.home, &scene.folder);
    let plugins = NAMES.map(|name| client.plugin(name).expect("its first version"));
    let events = client.events();
    let over = AtomicBool::new(false);
    let seen: [AtomicU64; READERS] = Default::default();
    let frames: u64 = thread::scope(|scope| {
        let ending = EndOnDrop(&over);
        let readers = seen.each_ref().map(|seen| {
            let (client, plugins, over) = (&client, &plugins, &over);
            scope.spawn(move || read(client, plugins, seen, over))
        });
        for round in 1..=ROUNDS {
            scene.deliver_all(round % BUILDS);
            swapped(&events, round + 1);
            let ended = readers.iter().any(|reader| reader.is_finished());
            assert!(!ended, "a reader ended in round {round}");
        }
        for seen in &seen {
            until("every reader comes to the last versions", || {
                (seen.load(Ordering::SeqCst) == ROUNDS + 1).then_some(())
            });
        }
        drop(ending);
        let frames = readers.map(|reader| reader.join().expect("a reader"));
        frames.iter().sum()
    });
    for name in NAMES {
        let published = daemon.numbers(Kind::Published, name);
        assert_eq!(published, (1..=ROUNDS + 1).collect::<Vec<_>>(), "{name}");
    }
    say(&format!(
        "{ROUNDS} rounds of a group of three under {READERS} readers: {frames} frames"
    ));
}

#[test]
fn a_rejected_member_holds_its_group() {
    let scene = Scene::new(3);
    scene.deliver_all(0);
    let mut daemon = scene.daemon();
    let calls = NAMES.map(|name| Call::watch(&scene.home, name, "answer"));
    calls.iter().for_each(|call| drop(call.wait_result(0)));
    let bad = victim(&scene.home, "aborts", "abort();");
    let [one, _, three] = &scene.builds[1];
    let mark = daemon.mark();
    scene.deliver([one, &bad, three]);
    daemon.wait_version(Kind::Rejected, "two", 2);
    for name in ["one", "three"] {
        daemon.wait_version(Kind::Published, name, 2);
    }
    // Longer than anything is waited for: an engine that is asked to look has decided everything.
    let waited = scene
        .home
        .plugind(["wait", "one"])
        .output()
        .expect("plugind starts");
    let said = String::from_utf8_lossy(&waited.stderr).into_owned();
    assert_eq!(waited.status.code(), Some(6), "{said}");
    holds(
        &said,
        &["one v2 does not take over: waits for two of its group, which was rejected"],
    );
    holds(
        &scene.status(),
        &["v2 IS NOT CURRENT: waits for two of its group"],
    );
    let live = |daemon: &Daemon<'_>| {
        let lines = daemon.lines();
        let mut live = lines[mark..]
            .iter()
            .filter(|seen| seen.line.event == Kind::Live);
        live.next().map(|seen| seen.line.clone())
    };
    assert_eq!(live(&daemon), None);
    // Nor after a restart, for programs that were there and for new ones.
    daemon.kill9();
    drop(daemon);
    let daemon = scene.daemon();
    let answer = Call::once(&scene.home, "one", "answer");
    assert_eq!((answer.version, answer.result), (1, 0));
    // Mended alone it takes the others along, which wait since then.
    replace(&scene.builds[1][1], &scene.path(1));
    for call in &calls {
        call.wait_result(1);
        assert!(
            call.answers()
                .iter()
                .all(|(_, result)| [0, 1].contains(result))
        );
    }
    daemon.wait_version(Kind::Live, "one", 2);
    daemon.wait_version(Kind::Live, "three", 2);
}

#[test]
fn a_program_that_refuses_a_member_keeps_all() {
    let scene = Scene::new(3);
    scene.deliver_all(0);
    let daemon = scene.daemon();
    let client = connect(&scene.home, &scene.folder);
    let plugins = NAMES.map(|name| client.plugin(name).expect("its first version"));
    let other = Call::watch(&scene.home, "one", "answer");
    other.wait_result(0);
    // The image of `three` is not what was announced when the programs come to it.
    let lock = File::create(scene.folder.join(".cargo-lock")).expect("cargo's lock");
    lock.lock().expect("nobody else builds");
    replace(&scene.builds[1][2], &scene.path(2));
    daemon.wait_version(Kind::Published, "three", 2);
    let status = daemon.status();
    let three = status
        .plugins
        .iter()
        .find(|plugin| plugin.plugin == "three");
    let image = &three.expect("it is listed").versions[1].image;
    let mut bytes = fs::read(image).expect("the image");
    fs::remove_file(image).expect("the image goes");
    let last = bytes.len() / 2;
    bytes[last] ^= 1;
    fs::write(image, bytes).expect("another image");
    for nth in [0, 1] {
        replace(&scene.builds[1][nth], &scene.path(nth));
    }
    drop(lock);
    for name in NAMES {
        daemon.wait_client(Kind::Refused, name, 2, std::process::id());
    }
    // A program that does not use `three` is not concerned.
    other.wait_result(1);
    let mut reader = client.reader();
    let versions: Vec<_> = look(&reader.enter(), &plugins);
    assert_eq!(versions, [(1, 0); 3]);
    // The next build of that one brings all.
    replace(&scene.builds[2][2], &scene.path(2));
    daemon.wait_client(Kind::Live, "three", 3, std::process::id());
    let looked = look(&reader.enter(), &plugins);
    assert_eq!(looked, [(2, 1), (2, 1), (3, 2)]);
}

/// What depends on how cargo writes: a workspace of many plugins, built by one command.
#[test]
fn a_hundred_plugins_of_one_build_are_one_swap() {
    const MANY: usize = 100;
    let home = Home::new();
    let workspace = home.work().join("hundred");
    let names: Vec<_> = (0..MANY).map(|n| format!("p{n}")).collect();
    let target = hundred(&home, &workspace, &names, 1);
    fs::write(
        workspace.join("plugind.toml"),
        format!("[[group]]\nplugins = {names:?}\n"),
    )
    .expect("a configuration");
    let daemon = Daemon::watch(&home, &target, &[]);
    let client = connect(&home, &target);
    let plugins: Vec<_> = names
        .iter()
        .map(|name| client.plugin(name).expect("its first version"))
        .collect();
    let (over, seen) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let ending = EndOnDrop(&over);
        let reading = scope.spawn(|| read(&client, &plugins, &seen, &over));
        hundred(&home, &workspace, &names, 2);
        until("the program has swapped", || {
            assert!(!reading.is_finished(), "the reader ended");
            (seen.load(Ordering::SeqCst) == 2).then_some(())
        });
        drop(ending);
        reading.join().expect("no frame mixes")
    });
    for name in &names {
        daemon.wait_client(Kind::Live, name, 2, std::process::id());
        assert_eq!(daemon.numbers(Kind::Live, name), [1, 2], "{name}");
    }
}

/// Builds a workspace of these plugins, which all answer `n`; returns its target directory.
fn hundred(home: &Home, workspace: &Path, names: &[String], n: i64) -> PathBuf {
    fs::create_dir_all(workspace).expect("the workspace");
    let manifest =
        format!("[workspace]\nresolver = \"3\"\nmembers = {names:?}\n[profile.dev]\ndebug = 0\n");
    fs::write(workspace.join("Cargo.toml"), manifest).expect("the workspace's manifest");
    for name in names {
        let folder = workspace.join(name);
        fs::create_dir_all(folder.join("src")).expect("a crate");
        let manifest = format!(
            "[package]\nname = {name:?}\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n"
        );
        fs::write(folder.join("Cargo.toml"), manifest).expect("the crate's manifest");
        let source = format!("#[unsafe(no_mangle)]\nextern \"C\" fn answer() -> i64 {{ {n} }}\n");
        fs::write(folder.join("src/lib.rs"), source).expect("the crate's source");
    }
    let target = workspace.join("target");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--offline", "--quiet", "--target-dir"])
        .arg(&target)
        .current_dir(workspace)
        .env_remove("CARGO_TARGET_DIR");
    let _ = home;
    run(&mut cargo);
    target
}
