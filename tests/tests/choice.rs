//! Proves that somebody may choose which version runs, that no call fails meanwhile, that a choice outlives the engine, and
//! that it is told wherever the newest is not what runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use plugind_client::Client;
use plugind_tests::{
    Daemon, EndOnDrop, Home, answers, cc_plugin, connect, holds, replace, sdk_plugin_of, until,
};
use plugind_wire::event::Kind;

const PLUGIN: &str = "x";

/// A folder in which version N of a plugin answers N.
struct Scene {
    home: Home,
    folder: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        let folder = home.work().join("plugins");
        fs::create_dir(&folder).expect("the folder to watch");
        Self { home, folder }
    }

    fn deliver(&self, daemon: &Daemon<'_>, number: u64) {
        self.put(number);
        daemon.wait_version(Kind::Published, PLUGIN, number);
    }

    fn put(&self, number: u64) {
        let build = self.home.build().join(number.to_string());
        let image = cc_plugin(&build, PLUGIN, &answers(number as i64, 0));
        replace(&image, &self.folder.join("libx.so"));
    }

    fn daemon(&self, args: &[&str]) -> Daemon<'_> {
        Daemon::watch(&self.home, &self.folder, args)
    }

    /// Runs a command, which ends with this code and says all of this.
    fn run(&self, args: &[&str], code: i32, words: &[&str]) -> String {
        let output = self.home.plugind(args).output().expect("plugind starts");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).expect("text");
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        holds(&said, words);
        said
    }

    fn status(&self) -> String {
        self.run(&["status"], 0, &[])
    }
}

/// Calls the plugin until told to stop, and tells what answered last.
fn call_on(client: &Client, over: &AtomicBool, last: &AtomicU64) -> u64 {
    let plugin = client.plugin(PLUGIN).expect("a first version");
    let mut reader = client.reader();
    let mut calls = 0;
    while !over.load(Ordering::SeqCst) {
        let frame = reader.enter();
        let table = frame.table(&plugin);
        // SAFETY: every version of this suite declares `answer` so (kept by `answers`).
        let answer = unsafe { table.lookup::<unsafe extern "C" fn() -> i64>(c"answer") };
        // SAFETY: it has no preconditions.
        let answer = unsafe { answer.expect("no call fails")() } as u64;
        assert_eq!(
            answer,
            table.version().number,
            "the answer of another version"
        );
        last.store(answer, Ordering::SeqCst);
        calls += 1;
    }
    calls
}

#[test]
fn any_of_the_last_ten_versions_is_one_command_away() {
    let scene = Scene::new();
    let mut daemon = scene.daemon(&[]);
    scene.deliver(&daemon, 1);
    let client = connect(&scene.home, &scene.folder);
    let (over, last) = (AtomicBool::new(false), AtomicU64::new(0));
    let runs = |number: u64| {
        until(&format!("the program calls v{number}"), || {
            (last.load(Ordering::SeqCst) == number).then_some(())
        });
    };
    let calls = thread::scope(|scope| {
        let ending = EndOnDrop(&over);
        let calling = scope.spawn(|| call_on(&client, &over, &last));
        runs(1);
        for number in 2..=11 {
            scene.deliver(&daemon, number);
        }
        runs(11);
        for number in (1..=10).rev() {
            let to = number.to_string();
            let selected =
                format!("x v{number} is selected: rolled back to v{number} until the next build");
            scene.run(&["rollback", PLUGIN, "--to", &to], 0, &[&selected]);
            runs(number);
            scene.run(
                &["wait", PLUGIN],
                6,
                &["x v11 does not take over: rolled back"],
            );
            scene.run(&["wait", PLUGIN, "--version", &to], 0, &[]);
        }
        // One back from wherever it is.
        scene.run(&["rollback", PLUGIN, "--to", "9"], 0, &[]);
        scene.run(&["rollback", PLUGIN], 0, &["x v8 is"]);
        runs(8);
        // The next good build takes over; one that is no good does not.
        fs::write(scene.folder.join("libx.so"), "not an image").expect("the file is written");
        daemon.wait("the file is rejected", |event| {
            event.event == Kind::Rejected
        });
        assert_eq!(last.load(Ordering::SeqCst), 8);
        scene.deliver(&daemon, 12);
        runs(12);
        scene.run(&["wait", PLUGIN], 0, &["v12"]);

        // Held, also by an engine that is killed and started again.
        scene.run(
            &["rollback", PLUGIN, "--to", "5", "--hold"],
            0,
            &["x v5 is selected: pinned to v5 until `plugind unpin x`"],
        );
        runs(5);
        scene.deliver(&daemon, 13);
        let told = daemon.wait_version(Kind::Published, PLUGIN, 13).line.held;
        assert_eq!(
            told.as_deref(),
            Some("pinned to v5 until `plugind unpin x`")
        );
        daemon.kill9();
        daemon = scene.daemon(&[]);
        scene.deliver(&daemon, 14);
        let status = scene.status();
        assert!(
            status.contains("v14 IS NOT CURRENT: pinned to v5"),
            "{status}"
        );
        assert!(status.contains("v14 is newer and not current"), "{status}");
        scene.run(
            &["wait", PLUGIN],
            6,
            &["x v14 does not take over: pinned to v5"],
        );
        assert_eq!(last.load(Ordering::SeqCst), 5);
        scene.run(
            &["promote", PLUGIN],
            6,
            &["pinned to v5 until `plugind unpin x`"],
        );
        scene.run(&["unpin", PLUGIN], 0, &["x v14 is selected"]);
        runs(14);
        let status = scene.status();
        assert!(!status.contains("NOT CURRENT"), "{status}");
        // A pin is told also while it holds nothing back, and one who goes back stays pinned.
        let pinned = "x v14 is selected: pinned to v14 until `plugind unpin x`";
        scene.run(&["pin", PLUGIN], 0, &[pinned]);
        holds(
            &scene.status(),
            &["  pinned to v14 until `plugind unpin x`"],
        );
        let pinned = "x v13 is selected: pinned to v13 until `plugind unpin x`";
        scene.run(&["rollback", PLUGIN], 0, &[pinned]);
        runs(13);
        drop(ending);
        calling.join().expect("no call failed")
    });
    assert!(calls > 0);
    // Each of them was opened once, however often it was current.
    let mapped = fs::read_to_string("/proc/self/maps").expect("this process's mappings");
    let images: std::collections::BTreeSet<_> = mapped
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .filter(|path| {
            path.ends_with("libx.so") && path.starts_with(&*scene.home.path().to_string_lossy())
        })
        .collect();
    assert!(images.len() <= 14, "{images:#?}");
}

#[test]
fn a_choice_that_cannot_be_made_changes_nothing() {
    let scene = Scene::new();
    let daemon = scene.daemon(&[]);
    scene.run(&["pin", PLUGIN], 4, &["no plugin has been built"]);
    scene.deliver(&daemon, 1);
    scene.deliver(&daemon, 2);
    scene.run(
        &["rollback", "y"],
        4,
        &["there is no plugin y", "there are: x"],
    );
    scene.run(&["rollback", PLUGIN, "--to", "7"], 4, &["there is no x v7"]);
    scene.run(
        &["promote", PLUGIN],
        1,
        &["take over by themselves", "plugind pause"],
    );
    scene.run(&["rollback", PLUGIN], 0, &["x v1 is"]);
    scene.run(&["rollback", PLUGIN], 4, &["no version of x before v1"]);
    scene.run(&["unpin", PLUGIN], 0, &["x v2 is selected"]);
    let image = daemon.status().plugins[0].versions[0].image.clone();
    fs::remove_file(image).expect("the image goes");
    scene.run(&["pin", PLUGIN, "1"], 4, &["the image of x v1 is gone"]);
    let selected = &daemon.status().plugins[0].selected[0];
    assert_eq!((selected.version, selected.hold), (2, None));
    assert!(
        daemon.events(Kind::Selected, PLUGIN).len() == 2,
        "{:?}",
        daemon.dump()
    );
}

#[test]
fn builds_wait_where_somebody_promotes_them() {
    let scene = Scene::new();
    fs::write(
        scene.home.work().join("plugind.toml"),
        "[plugin.x]\npolicy = \"manual\"\n",
    )
    .expect("a configuration");
    let mut daemon = scene.daemon(&[]);
    let current = |daemon: &Daemon<'_>| daemon.status().plugins[0].selected[0].version;
    // The first is current by itself.
    scene.deliver(&daemon, 1);
    scene.deliver(&daemon, 2);
    scene.deliver(&daemon, 3);
    assert_eq!(current(&daemon), 1);
    scene.run(&["wait", PLUGIN], 6, &["plugind promote x"]);
    scene.run(&["promote", PLUGIN, "v2"], 0, &["x v2 is"]);
    assert_eq!(current(&daemon), 2);
    scene.run(&["rollback", PLUGIN], 0, &["x v1 is"]);
    scene.deliver(&daemon, 4);
    assert_eq!(current(&daemon), 1);
    daemon.kill9();
    daemon = scene.daemon(&[]);
    daemon.wait("the folder was read", |event| {
        event.event == Kind::Unchanged
    });
    assert_eq!(current(&daemon), 1);
    scene.run(&["promote", PLUGIN], 0, &["x v4 is"]);
    assert_eq!(current(&daemon), 4);
}

#[test]
fn a_paused_engine_lets_nothing_take_over() {
    let scene = Scene::new();
    let mut daemon = scene.daemon(&["--manual"]);
    let current = |daemon: &Daemon<'_>| daemon.status().plugins[0].selected[0].version;
    scene.deliver(&daemon, 1);
    scene.deliver(&daemon, 2);
    assert_eq!(current(&daemon), 1);
    assert!(scene.status().contains("PAUSED: no build takes over"));
    scene.run(&["wait", PLUGIN], 6, &["paused at v1"]);
    scene.run(&["promote", PLUGIN], 0, &["x v2 is"]);
    scene.deliver(&daemon, 3);
    daemon.kill9();
    daemon = scene.daemon(&[]);
    let paused = daemon.wait("it says so", |event| event.event == Kind::Warning);
    assert!(paused.line.reason.expect("why").contains("plugind resume"));
    assert_eq!(current(&daemon), 2);
    scene.run(&["resume"], 0, &[]);
    assert_eq!(current(&daemon), 3);
    scene.deliver(&daemon, 4);
    assert_eq!(current(&daemon), 4);
    scene.run(&["pause"], 0, &["no build takes over"]);
    scene.deliver(&daemon, 5);
    assert_eq!(current(&daemon), 4);
}

/// Pre-releases are lower than their release, build metadata counts for nothing, and of equal ones the newest build counts.
#[test]
fn the_highest_version_is_current_where_that_is_the_policy() {
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    fs::write(home.work().join("plugind.toml"), "policy = \"highest\"\n").expect("a configuration");
    let daemon = Daemon::watch(&home, &folder, &[]);
    let image = home.build().join("libx.so");
    let builds = [
        ("1.0.0", 1),
        ("0.9.0", 1),
        ("1.0.1-beta.2", 3),
        ("1.0.1-beta.11", 4),
        ("1.0.1-alpha", 4),
        ("1.0.1", 6),
        ("1.0.1+build.7", 7),
        ("1.0.1-rc.1", 7),
        ("1.0.1", 9),
    ];
    for (nth, (semver, expected)) in (1..).zip(builds) {
        built(&image, semver, nth);
        replace(&image, &folder.join("libx.so"));
        let published = daemon.wait_version(Kind::Published, PLUGIN, nth).line;
        let selected = daemon.status().plugins[0].selected[0].clone();
        assert_eq!(selected.version, expected, "after {semver}");
        assert_eq!(published.held.is_some(), expected != nth, "{published:?}");
    }
}

fn built(image: &Path, semver: &str, nth: u64) {
    let source = format!(
        "extern \"C\" fn answer() -> i64 {{ {nth} }}\nplugind_plugin::register! {{ answer }}\n"
    );
    sdk_plugin_of(image, (PLUGIN, semver), &source, &[]);
}
