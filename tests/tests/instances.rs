//! Proves what instances of a contract promise: a panic costs one call, threads synchronise instances of their own, a
//! state is dropped once, by the version that has it last, and a start without a plugin says what there is instead.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::Receiver;
use plugind_client::{Client, ClientError, ClientEvent, Instance, Outcome};
use plugind_tests::{DEADLINE, Home, answers, cc_plugin, embed, replace, sdk_plugin, until};

/// A contract for this program, and its text for the plugins.
macro_rules! both {
    ($($contract:tt)*) => {
        $($contract)*
        const CONTRACT: &str = stringify!($($contract)*);
    };
}

both! {
    use plugind_macros::contract;

    /// Counts its turns.
    #[contract]
    pub trait Turns {
        /// So many.
        type State;
        /// None yet.
        fn start() -> Self::State;
        /// How many turns there were, this one included.
        fn turn(state: &mut Self::State) -> u32;
        /// Which build this is.
        fn which(state: &Self::State) -> u32;
    }
}

/// A plugin's source. Each state leaves a line in `marks` when it is dropped.
fn source(which: u32, marks: &Path) -> String {
    let plugin = r#"
        use std::io::Write;
        use plugind_macros::{StableType, plugin};

        #[derive(StableType)]
        pub struct World { turns: u32 }

        impl Drop for World {
            fn drop(&mut self) {
                let mut marks = std::fs::File::options().create(true).append(true).open(MARKS).unwrap();
                marks.write_all(format!("{} turns, dropped by {WHICH}\n", self.turns).as_bytes()).unwrap();
            }
        }

        struct Plain;

        #[plugin]
        impl Turns for Plain {
            type State = World;
            fn start() -> World { World { turns: 0 } }
            fn turn(world: &mut World) -> u32 {
                world.turns += 1;
                world.turns
            }
            fn which(_world: &World) -> u32 { WHICH }
        }
    "#;
    format!("{CONTRACT}\nconst WHICH: u32 = {which};\nconst MARKS: &str = {marks:?};\n{plugin}")
}

/// A watched folder in which builds of one plugin take each other's place.
struct Scene {
    home: Home,
    plugin: &'static str,
    folder: PathBuf,
    images: Vec<PathBuf>,
}

impl Scene {
    fn new(plugin: &'static str, builds: u32) -> Self {
        let home = Home::new();
        let folder = home.work().join("plugins");
        fs::create_dir(&folder).expect("the folder to watch");
        let build = |which| {
            let image = home.build().join(format!("{which}.so"));
            sdk_plugin(
                &image,
                plugin,
                &source(which, &home.path().join("marks")),
                &[],
            );
            image
        };
        let images = (1..=builds).map(build).collect();
        let scene = Self {
            home,
            plugin,
            folder,
            images,
        };
        scene.put(1);
        scene
    }

    /// Which build version `number` is.
    fn which(&self, number: u64) -> u32 {
        let build = (number - 1) % self.images.len() as u64;
        u32::try_from(build).expect("few builds") + 1
    }

    /// Puts version `number` into the folder.
    fn put(&self, number: u64) {
        let image = &self.images[self.which(number) as usize - 1];
        let name = format!("lib{}.so", self.plugin);
        replace(image, &self.folder.join(name));
    }

    fn client(&self) -> Client {
        embed(&self.home, &self.folder, DEADLINE)
    }

    /// The lines that dropped states left, sorted.
    fn marks(&self) -> Vec<String> {
        let text = fs::read_to_string(self.home.path().join("marks")).unwrap_or_default();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

fn swapped(events: &Receiver<ClientEvent>, number: u64) {
    loop {
        match events.recv_timeout(DEADLINE) {
            Ok(ClientEvent::Swapped { version }) if version.number == number => return,
            Ok(
                ClientEvent::Refused { version, reason }
                | ClientEvent::Rejected {
                    version, reason, ..
                },
            ) => panic!("{version}: {reason}"),
            Ok(_) => {}
            Err(error) => panic!("v{number} is not swapped in: {error}"),
        }
    }
}

#[test]
fn a_panic_costs_one_call() {
    let home = Home::new();
    let source = source(1, &home.path().join("marks")).replace(
        "world.turns += 1;",
        "world.turns += 1;\nassert!(world.turns % 2 == 0, \"turn {} is odd\", world.turns);",
    );
    let line = source.lines().position(|line| line.starts_with("assert!"));
    let place = format!("src/lib.rs:{}:", line.expect("the assertion") + 1);
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    sdk_plugin(&folder.join("libodd.so"), "odd", &source, &[]);
    let client = embed(&home, &folder, DEADLINE);
    let mut turns = client.start::<dyn Turns>("odd").expect("an instance");

    let (mut good, mut bad) = (0, 0);
    for turn in 1..=200 {
        match turns.turn() {
            Ok(count) => {
                // What the state went through in the calls that panicked stays done.
                assert_eq!((count, turn % 2), (turn, 0));
                good += 1;
            }
            Err(fault) => {
                assert_eq!(turn % 2, 1, "{fault}");
                assert_eq!((fault.plugin.as_str(), fault.version), ("odd", 1));
                assert_eq!(fault.function, "turn");
                assert_eq!(fault.message, format!("turn {turn} is odd"));
                let location = fault.location.as_deref().unwrap_or_default();
                assert!(location.starts_with(&place), "{location:?} is not {place}");
                assert!(fault.to_string().contains(location), "{fault}");
                bad += 1;
            }
        }
    }
    assert_eq!((good, bad), (100, 100));
    assert_eq!(turns.which(), Ok(1));
}

/// What one thread of the test below does, until it has come to the last version.
fn play(scene: &Scene, client: &Client, seen: &AtomicU64, last: u64) {
    let mut turns = client
        .start::<dyn Turns>(scene.plugin)
        .expect("an instance");
    let mut count = 0;
    while turns.version().number < last {
        let before = turns.version().number;
        let [outcome] = client.sync([&mut turns]);
        let now = turns.version().number;
        match &outcome {
            Outcome::UpToDate => assert_eq!(before, now),
            Outcome::Swapped { from, to } => assert_eq!((from.number, to.number), (before, now)),
            kept => panic!("{kept:?}"),
        }
        assert!(now >= before, "back from v{before} to v{now}");
        count += 1;
        assert_eq!(turns.turn(), Ok(count), "the state is this thread's alone");
        assert_eq!(turns.which(), Ok(scene.which(now)), "v{now}");
        seen.store(now, Ordering::SeqCst);
        thread::yield_now();
    }
}

#[test]
fn two_threads_synchronise_an_instance_each() {
    const ROUNDS: u64 = 100;
    let scene = Scene::new("shared", 3);
    let client = scene.client();
    client.plugin(scene.plugin).expect("a first version");
    let events = client.events();
    let seen: [AtomicU64; 2] = Default::default();
    thread::scope(|scope| {
        for seen in &seen {
            scope.spawn(|| play(&scene, &client, seen, ROUNDS));
        }
        for number in 2..=ROUNDS {
            scene.put(number);
            swapped(&events, number);
        }
        for seen in &seen {
            until("both threads come to the last version", || {
                (seen.load(Ordering::SeqCst) == ROUNDS).then_some(())
            });
        }
    });
}

/// Takes so many turns.
fn turned(mut turns: Instance<dyn Turns>, times: u32) -> Instance<dyn Turns> {
    for _ in 0..times {
        turns.turn().expect("a turn");
    }
    turns
}

#[test]
fn a_state_is_dropped_once_by_the_version_that_has_it_last() {
    let scene = Scene::new("dropped", 4);
    let client = scene.client();
    let start = || {
        client
            .start::<dyn Turns>(scene.plugin)
            .expect("an instance")
    };
    let stays = turned(start(), 1);
    let mut carried = turned(start(), 2);
    let events = client.events();
    for number in 2..=4 {
        scene.put(number);
        swapped(&events, number);
        let [outcome] = client.sync([&mut carried]);
        assert!(matches!(outcome, Outcome::Swapped { .. }), "{outcome:?}");
    }
    let newest = turned(start(), 3);

    // Retired since three versions, and as good as before.
    let stays = turned(stays, 10);
    assert_eq!((stays.version().number, stays.which()), (1, Ok(1)));
    assert!(scene.marks().is_empty(), "nothing is dropped yet");
    drop(stays);
    assert_eq!(scene.marks(), ["11 turns, dropped by 1"]);
    drop(carried);
    // What is dropped after the client is dropped as well.
    drop((events, client));
    drop(newest);
    assert_eq!(
        scene.marks(),
        [
            "11 turns, dropped by 1",
            "2 turns, dropped by 4",
            "3 turns, dropped by 4"
        ]
    );
}

#[test]
fn an_undone_build_takes_back_what_was_said_of_it() {
    let scene = Scene::new("undone", 1);
    let client = scene.client();
    let mut turns = turned(client.start(scene.plugin).expect("an instance"), 3);
    let file = scene.folder.join(format!("lib{}.so", scene.plugin));
    let events = client.events();
    let mut outcome = |what: &str| {
        until(what, || {
            let [outcome] = client.sync([&mut turns]);
            (outcome != Outcome::UpToDate).then_some(outcome)
        })
    };
    for broken in 2..=3 {
        // It implements nothing.
        let plain = scene.home.build().join(broken.to_string());
        let image = cc_plugin(&plain, scene.plugin, &answers(broken, 0));
        replace(&image, &file);
        let kept = outcome("the bad one is not used");
        let Outcome::Kept { version, .. } = kept else {
            panic!("{kept:?}");
        };
        assert_eq!(version.number, broken as u64);
        scene.put(1);
        let undone = outcome("the good one is back");
        assert_eq!(undone.to_string(), "undone v1 is what is built again");
        assert!(matches!(undone, Outcome::Unchanged { .. }), "{undone:?}");
    }
    assert_eq!(turns.turn(), Ok(4), "the state went on");
    let told = events.try_iter().map(|event| event.to_string());
    let told = told.filter(|event| event == "undone v1 is what is built again");
    assert_eq!(told.count(), 2);
}

#[test]
fn a_start_without_the_plugin_says_what_there_is_instead() {
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    let client = embed(&home, &folder, Duration::from_secs(1));
    let start = |plugin| match client.start::<dyn Turns>(plugin) {
        Err(error) => error,
        Ok(instance) => panic!("{instance:?}"),
    };
    let missing = |words: &[&str]| {
        let error = start("turns");
        assert!(matches!(error, ClientError::NoVersion { .. }), "{error:?}");
        let text = error.to_string();
        for word in [&["turns"], words].concat() {
            assert!(text.contains(word), "no {word:?} in {text:?}");
        }
    };
    let in_folder = folder.to_str().expect("a readable path");
    missing(&["no plugin has been built", in_folder, "cdylib"]);

    let put = |name| {
        let image = cc_plugin(&home.build().join(name), name, &answers(1, 0));
        replace(&image, &folder.join(format!("lib{name}.so")));
        let built = || {
            client
                .status()
                .ok()?
                .plugins
                .into_iter()
                .find(|p| p.plugin == name)
        };
        until("it is built", built);
    };
    put("other");
    missing(&["there are in", in_folder, "other"]);

    // A plugin of this name that implements nothing.
    put("plain");
    let error = start("plain");
    assert!(matches!(error, ClientError::Misfit { .. }), "{error:?}");
    let text = plugind_wire::sentence(&error);
    assert!(
        text.contains("plain v1") && text.contains("`Turns`"),
        "{text}"
    );

    fs::write(folder.join("libturns.so"), "no library").expect("a bad file");
    until("it is rejected", || {
        let status = client.status().ok()?;
        let listed = status.plugins.iter().any(|plugin| plugin.plugin == "turns");
        (listed || !status.rejected_files.is_empty()).then_some(())
    });
    missing(&["ELF"]);
}
