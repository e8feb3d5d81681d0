//! Proves that plugind tells what clients did, not what they were told: a frozen client is not live, a reader inside an
//! old frame keeps a version from being drained, and after `drained` no reader returns an older version's answer.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::SystemTime;

use plugind_client::{Client, ClientEvent, Plugin, Reader};
use plugind_tests::{
    Call, CargoProject, DEADLINE, Daemon, EndOnDrop, Home, answers, cc_plugin, replace, say, until,
};
use plugind_wire::event::{Event, Kind, Readers};

const PLUGIN: &str = "x";

type Answer = unsafe extern "C" fn() -> i64;

#[test]
fn a_frozen_client_is_neither_live_nor_executing() {
    let home = Home::new();
    let project = CargoProject::new(&home.work().join("project"), "hello");
    project.build();
    let daemon = Daemon::watch(&home, &project.target(), &[]);
    let frozen = Call::watch(&home, "hello", "answer");
    let awake = Call::watch(&home, "hello", "answer");
    daemon.wait_client(Kind::Executing, "hello", 1, frozen.pid());
    awake.wait_result(1);

    frozen.freeze();
    project.set_answer(2);
    project.build();
    daemon.wait_version(Kind::Published, "hello", 2);
    // The other client gets all the way, so whatever was sent to the frozen one has long been sent.
    daemon.wait_client(Kind::Executing, "hello", 2, awake.pid());
    daemon.wait_client(Kind::Drained, "hello", 2, awake.pid());
    for kind in [Kind::Live, Kind::Executing, Kind::Drained] {
        let numbers = daemon.numbers_by(kind, "hello", frozen.pid());
        assert!(
            !numbers.contains(&2),
            "{kind:?} {numbers:?}\n{}",
            daemon.dump()
        );
    }
    let status = daemon.status();
    let client = status
        .clients
        .iter()
        .find(|client| client.pid == frozen.pid());
    let used = &client.expect("a frozen client is still one").plugins[0];
    assert_eq!(used.live, Some(1), "{used:?}");

    let thawed = SystemTime::now();
    frozen.thaw();
    for kind in [Kind::Live, Kind::Executing, Kind::Drained] {
        let told = daemon.wait_client(kind, "hello", 2, frozen.pid());
        assert!(
            SystemTime::from(told.line.time) >= thawed,
            "{:?}",
            told.line
        );
    }
    assert_eq!(frozen.wait_result(2).line.version, 2);
}

/// A watched folder with one C plugin, a daemon, and this process as its client.
struct Scene<'h> {
    home: &'h Home,
    artifact: PathBuf,
    daemon: Daemon<'h>,
    client: Client,
    plugin: Plugin,
}

impl<'h> Scene<'h> {
    fn new(home: &'h Home, first: &Path) -> Self {
        let folder = home.work().join("plugins");
        fs::create_dir(&folder).expect("the folder to watch");
        let artifact = folder.join("libx.so");
        replace(first, &artifact);
        let daemon = Daemon::watch(home, &folder, &[]);
        let client = Client::builder(&folder)
            .state_dir(home.state())
            .runtime_dir(home.runtime())
            .deadline(DEADLINE)
            .connect()
            .expect("the daemon answers");
        let plugin = client.plugin(PLUGIN).expect("the first version");
        Self {
            home,
            artifact,
            daemon,
            client,
            plugin,
        }
    }

    fn wait(&self, kind: Kind, number: u64) -> Event {
        self.daemon
            .wait_client(kind, PLUGIN, number, std::process::id())
            .line
    }
}

fn build(home: &Home, n: i64) -> PathBuf {
    cc_plugin(&home.build().join(n.to_string()), PLUGIN, &answers(n, 0))
}

/// One frame: which version it is on, and what that one answers. `inside` runs before the frame is left.
fn one_frame(reader: &mut Reader, plugin: &Plugin, inside: impl FnOnce(u64, i64)) {
    let frame = reader.enter();
    let table = frame.table(plugin);
    // SAFETY: every plugin of this suite declares `answer` so (kept by `answers`).
    let answer = unsafe { table.lookup::<Answer>(c"answer") }.expect("it is exported");
    // SAFETY: it has no preconditions.
    let result = unsafe { answer() };
    inside(table.version().number, result);
}

#[test]
fn a_reader_inside_an_old_frame_keeps_a_version_from_being_drained() {
    let home = Home::new();
    let scene = Scene::new(&home, &build(&home, 1));
    let other = Call::watch(scene.home, PLUGIN, "answer");
    other.wait_result(1);
    let (mut inside, mut busy) = (scene.client.reader(), scene.client.reader());
    // A reader that never enters anything hinders nobody.
    let mut idle = scene.client.reader();
    one_frame(&mut busy, &scene.plugin, |number, result| {
        assert_eq!((number, result), (1, 1))
    });
    scene.wait(Kind::Executing, 1);

    let frame = inside.enter();
    replace(&build(&home, 2), &scene.artifact);
    scene.wait(Kind::Live, 2);
    // Until a reader enters, nobody executes it.
    let me = |event: &Event| {
        event
            .client
            .as_ref()
            .is_some_and(|client| client.pid == std::process::id())
    };
    assert_eq!(
        scene
            .daemon
            .numbers_by(Kind::Executing, PLUGIN, std::process::id())
            .last(),
        Some(&1)
    );
    one_frame(&mut busy, &scene.plugin, |number, result| {
        assert_eq!((number, result), (2, 2))
    });
    let executing = scene.wait(Kind::Executing, 2);
    assert_eq!(executing.readers, Some(Readers { entered: 1, of: 3 }));
    // Another process gets as far as drained with the same version.
    scene
        .daemon
        .wait_client(Kind::Drained, PLUGIN, 2, other.pid());
    let drained = |number: u64| {
        let events = scene.daemon.events(Kind::Drained, PLUGIN);
        events
            .iter()
            .any(|event| me(event) && event.version == Some(number))
    };
    assert!(
        !drained(2),
        "a reader is inside version 1\n{}",
        scene.daemon.dump()
    );
    assert_eq!(
        frame.table(&scene.plugin).version().number,
        1,
        "a frame keeps its versions"
    );
    let used = scene.client.status().expect("a status").clients.into_iter();
    let mut used = used.filter(|client| client.pid == std::process::id());
    let used = used
        .next()
        .expect("this process is listed")
        .plugins
        .remove(0);
    assert_eq!((used.live, used.drained), (Some(2), false));

    // One more swap does not set the old frame free either.
    replace(&build(&home, 3), &scene.artifact);
    scene.wait(Kind::Live, 3);
    scene
        .daemon
        .wait_client(Kind::Drained, PLUGIN, 3, other.pid());
    one_frame(&mut busy, &scene.plugin, |number, _| assert_eq!(number, 3));
    scene.wait(Kind::Executing, 3);
    assert!(!drained(2) && !drained(3), "{}", scene.daemon.dump());

    let left = SystemTime::now();
    drop(frame);
    let told = scene.wait(Kind::Drained, 3);
    assert!(SystemTime::from(told.time) >= left, "{told:?}");
    one_frame(&mut inside, &scene.plugin, |number, _| {
        assert_eq!(number, 3)
    });
    one_frame(&mut idle, &scene.plugin, |number, _| assert_eq!(number, 3));
}

#[test]
fn after_drained_no_reader_returns_an_older_answer() {
    const SWAPS: u64 = 1000;
    const READERS: usize = 8;
    let home = Home::new();
    let variants: Vec<_> = (0..10).map(|n| build(&home, n)).collect();
    let variant = |number: u64| (number - 1) % 10;
    let scene = Scene::new(&home, &variants[0]);
    let events = scene.client.events();
    let (drained, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let newest_seen: Vec<_> = (0..READERS).map(|_| AtomicU64::new(0)).collect();

    let frames: u64 = thread::scope(|scope| {
        let readers: Vec<_> = newest_seen
            .iter()
            .enumerate()
            .map(|(nth, newest)| {
                let mut reader = scene.client.reader();
                let (plugin, drained, over) = (scene.plugin.clone(), &drained, &over);
                scope.spawn(move || {
                    let mut frames = 0_u64;
                    while !over.load(Ordering::SeqCst) {
                        one_frame(&mut reader, &plugin, |number, result| {
                            // Some frames are longer than a swap takes.
                            for _ in 0..nth * nth {
                                thread::yield_now();
                            }
                            let least = drained.load(Ordering::SeqCst);
                            assert!(
                                number >= least,
                                "version {number} answered {result} after {least} was drained"
                            );
                            assert_eq!(result as u64, variant(number), "version {number}");
                            let before = newest.swap(number, Ordering::SeqCst);
                            assert!(
                                number >= before,
                                "a reader went back from {before} to {number}"
                            );
                        });
                        frames += 1;
                        thread::yield_now();
                    }
                    frames
                })
            })
            .collect();
        // Ends the readers also when an assertion fails.
        let ending = EndOnDrop(&over);
        for number in 2..=SWAPS + 1 {
            replace(&variants[variant(number) as usize], &scene.artifact);
            let mut swapped = false;
            loop {
                let event = events.recv_timeout(DEADLINE).unwrap_or_else(|error| {
                    panic!("drained {number}: {error}\n{:#?}", scene.client.status())
                });
                match event {
                    ClientEvent::Swapped { version } if version.number == number => swapped = true,
                    ClientEvent::Drained { version } => {
                        drained.fetch_max(version.number, Ordering::SeqCst);
                        if version.number == number {
                            break;
                        }
                    }
                    ClientEvent::Refused { version, reason }
                    | ClientEvent::Rejected {
                        version, reason, ..
                    } => panic!("{version}: {reason}"),
                    _ => {}
                }
            }
            assert!(swapped, "drained before it was swapped in: {number}");
        }
        // Every reader comes to the last version.
        for newest in &newest_seen {
            until("every reader enters the last version", || {
                (newest.load(Ordering::SeqCst) == SWAPS + 1).then_some(())
            });
        }
        drop(ending);
        readers
            .into_iter()
            .map(|reader| reader.join().expect("a reader"))
            .sum()
    });
    say(&format!(
        "{SWAPS} swaps under {READERS} readers: {frames} frames"
    ));

    scene.wait(Kind::Drained, SWAPS + 1);
    let expected: Vec<_> = (1..=SWAPS + 1).collect();
    let me = std::process::id();
    assert_eq!(scene.daemon.numbers(Kind::Published, PLUGIN), expected);
    assert_eq!(scene.daemon.numbers_by(Kind::Live, PLUGIN, me), expected);
}
