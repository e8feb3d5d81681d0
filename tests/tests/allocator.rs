//! Proves that a plugin may have an allocator of its own if it says so, and that no memory of it is then freed by
//! anybody else: nothing that was allocated on one side of a call, or by one version, ends on another.

use std::fs;
use std::path::{Path, PathBuf};

use plugind_client::{Client, Instance, Outcome};
use plugind_tests::{DEADLINE, Home, embed, replace, sdk_plugin, until};

/// A contract for this program, and its text for the plugins.
macro_rules! both {
    ($($contract:tt)*) => {
        $($contract)*
        const CONTRACT: &str = stringify!($($contract)*);
    };
}

both! {
    use plugind_macros::contract;

    /// Keeps lines.
    #[contract]
    pub trait Lines {
        /// All of them.
        type State;
        /// None yet.
        fn start() -> Self::State;
        /// Adds one, and gives all.
        fn add(state: &mut Self::State, line: String) -> Vec<String>;
        /// Panics with a line.
        fn stumble(state: &mut Self::State, line: String) -> Vec<String>;
        /// Which build this is, and how many blocks its allocator has given and not taken back.
        fn blocks(state: &Self::State) -> (u32, i64);
    }
}

/// What there is without an allocator of one's own.
const SYSTEM: &str = "fn live() -> i64 { 0 }";

/// Counts its blocks, and marks each with the version that it belongs to: one from elsewhere ends the process, and so
/// does the system's allocator when it is given one of these.
const COUNTING: &str = r#"
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

    static LIVE: AtomicI64 = AtomicI64::new(0);
    fn live() -> i64 { LIVE.load(SeqCst) }
    /// Its address is one for each version.
    static MARK: u64 = 0;
    const ROOM: usize = 64;

    struct Counting;

    fn whole(layout: Layout) -> Layout {
        assert!(layout.align() <= ROOM);
        Layout::from_size_align(layout.size() + ROOM, ROOM).unwrap()
    }

    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            LIVE.fetch_add(1, SeqCst);
            unsafe {
                let block = System.alloc(whole(layout));
                block.cast::<*const u64>().write(&raw const MARK);
                block.add(ROOM)
            }
        }
        unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
            LIVE.fetch_sub(1, SeqCst);
            unsafe {
                let block = at.sub(ROOM);
                if block.cast::<*const u64>().read() != &raw const MARK {
                    std::process::abort();
                }
                System.dealloc(block, whole(layout));
            }
        }
    }

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;
"#;

/// A plugin's source. Each state leaves a line in `marks` when it is dropped.
fn source(which: u32, marks: &Path, attribute: &str, allocator: &str) -> String {
    let plugin = r#"
        use std::io::Write;
        use plugind_macros::{StableType, plugin};

        #[derive(StableType)]
        pub struct World { lines: Vec<String> }

        impl Drop for World {
            fn drop(&mut self) {
                let mut marks = std::fs::File::options().create(true).append(true).open(MARKS).unwrap();
                marks.write_all(format!("{:?} dropped by {WHICH}\n", self.lines).as_bytes()).unwrap();
            }
        }

        struct Plain;

        ATTRIBUTE
        impl Lines for Plain {
            type State = World;
            fn start() -> World { World { lines: Vec::new() } }
            fn add(world: &mut World, line: String) -> Vec<String> {
                world.lines.push(line);
                world.lines.clone()
            }
            fn stumble(_world: &mut World, line: String) -> Vec<String> { panic!("over {line}") }
            fn blocks(_world: &World) -> (u32, i64) { (WHICH, live()) }
        }
    "#
    .replace("ATTRIBUTE", attribute);
    format!(
        "{CONTRACT}\nconst WHICH: u32 = {which};\nconst MARKS: &str = {marks:?};\n{plugin}{allocator}"
    )
}

const FEATURE: [&str; 2] = ["--features", "plugind-plugin/own_allocator"];

/// A watched folder for builds of one plugin, some with an allocator of their own.
struct Scene {
    home: Home,
    plugin: &'static str,
    folder: PathBuf,
}

impl Scene {
    fn new(plugin: &'static str) -> Self {
        let home = Home::new();
        let folder = home.work().join("plugins");
        fs::create_dir(&folder).expect("the folder to watch");
        Self {
            home,
            plugin,
            folder,
        }
    }

    /// Builds the plugin with the system's allocator.
    fn put(&self, which: u32) {
        self.put_with(which, "#[plugin]", SYSTEM, &[]);
    }

    /// Builds the plugin with an allocator of its own.
    fn put_counting(&self, which: u32) {
        self.put_with(which, "#[plugin(own_allocator)]", COUNTING, &FEATURE);
    }

    fn put_with(&self, which: u32, attribute: &str, allocator: &str, args: &[&str]) {
        let image = self.home.build().join(format!("{which}.so"));
        let source = source(which, &self.marks_file(), attribute, allocator);
        sdk_plugin(&image, self.plugin, &source, args);
        replace(&image, &self.folder.join(format!("lib{}.so", self.plugin)));
    }

    fn marks_file(&self) -> PathBuf {
        self.home.path().join("marks")
    }

    /// The lines that dropped states left, in their order.
    fn marks(&self) -> Vec<String> {
        let text = fs::read_to_string(self.marks_file()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn client(&self) -> Client {
        embed(&self.home, &self.folder, DEADLINE)
    }
}

/// Synchronises until the newest version is another one, and tells what became of the instance.
fn outcome(client: &Client, lines: &mut Instance<dyn Lines>) -> Outcome {
    until("a newer version comes", || {
        let [outcome] = client.sync([&mut *lines]);
        (outcome != Outcome::UpToDate).then_some(outcome)
    })
}

/// The reason for which version `number` did not take the state.
fn kept(outcome: Outcome, number: u64) -> String {
    match outcome {
        Outcome::Kept { version, reason } if version.number == number => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_an_allocator_of_ones_own_gave_goes_back_to_it() {
    let scene = Scene::new("counting");
    scene.put_counting(1);
    let client = scene.client();
    let start = || {
        client
            .start::<dyn Lines>(scene.plugin)
            .expect("an instance")
    };
    let mut lines = start();
    for nth in 1..=3 {
        assert_eq!(lines.add("one".to_owned()).expect("lines").len(), nth);
    }
    // Arguments, results and panics leave nothing behind, on either side.
    let fault = lines.stumble("a stone".to_owned()).expect_err("a panic");
    assert_eq!(fault.message, "over a stone");
    let (_, before) = lines.blocks().expect("a count");
    assert!(before > 3, "only {before} blocks: it is not this allocator");
    for _ in 0..100 {
        lines.stumble("a stone".to_owned()).expect_err("a panic");
        assert_eq!(lines.blocks(), Ok((1, before)));
    }

    // A version with the same state, which is not handed over, and says why, once and to the engine.
    scene.put_counting(2);
    let reason = kept(outcome(&client, &mut lines), 2);
    for part in ["the plugin", "an allocator of its own", "own_allocator"] {
        assert!(reason.contains(part), "no {part:?} in {reason:?}");
    }
    let [again] = client.sync([&mut lines]);
    assert_eq!(again, Outcome::UpToDate);
    until("the engine is told", || {
        let text = serde_json::to_string(&client.status().ok()?).ok()?;
        text.contains("an allocator of its own").then_some(())
    });
    assert_eq!(lines.add("two".to_owned()).expect("lines").len(), 4);
    assert_eq!(lines.blocks().expect("a count").0, 1);

    // What starts now is the new version's own.
    let mut newer = start();
    assert_eq!(newer.add("new".to_owned()), Ok(vec!["new".to_owned()]));
    assert_eq!(newer.blocks().expect("a count").0, 2);

    assert!(scene.marks().is_empty(), "nothing is dropped yet");
    drop(newer);
    assert_eq!(scene.marks(), [r#"["new"] dropped by 2"#]);
    drop(lines);
    assert_eq!(
        scene.marks()[1..],
        [r#"["one", "one", "one", "two"] dropped by 1"#]
    );
}

#[test]
fn a_state_goes_neither_to_nor_from_a_version_with_an_allocator_of_its_own() {
    let scene = Scene::new("turning");
    scene.put(1);
    let client = scene.client();
    let start = || {
        client
            .start::<dyn Lines>(scene.plugin)
            .expect("an instance")
    };
    let mut first = start();
    first.add("one".to_owned()).expect("lines");

    // With the system's allocator it goes on: nothing but the allocator holds the others up.
    scene.put(2);
    let swapped = outcome(&client, &mut first);
    assert!(matches!(swapped, Outcome::Swapped { .. }), "{swapped:?}");

    scene.put_counting(3);
    let reason = kept(outcome(&client, &mut first), 3);
    assert!(reason.starts_with("the new version is"), "{reason}");
    let mut second = start();
    second.add("two".to_owned()).expect("lines");
    assert_eq!(second.blocks().expect("a count").0, 3);

    // Back to the system's: the first goes on, the second stays.
    scene.put(4);
    let reason = until("v4 comes", || match outcome(&client, &mut second) {
        Outcome::Kept { version, reason } if version.number == 4 => Some(reason),
        _ => None,
    });
    assert!(
        reason.starts_with("the version that made the state is"),
        "{reason}"
    );
    let [swapped] = client.sync([&mut first]);
    assert!(matches!(swapped, Outcome::Swapped { .. }), "{swapped:?}");
    assert_eq!(first.blocks(), Ok((4, 0)));

    drop((first, second));
    assert_eq!(
        scene.marks(),
        [r#"["one"] dropped by 4"#, r#"["two"] dropped by 3"#]
    );
}

#[test]
fn a_plugin_built_beside_one_with_an_allocator_keeps_its_state_too() {
    // Cargo gives all plugins of one build the same features, and which of them asked cannot be seen from inside.
    let scene = Scene::new("beside");
    scene.put_with(1, "#[plugin]", SYSTEM, &FEATURE);
    let client = scene.client();
    let mut lines = client
        .start::<dyn Lines>(scene.plugin)
        .expect("an instance");
    lines.add("one".to_owned()).expect("lines");
    scene.put_with(2, "#[plugin]", SYSTEM, &FEATURE);
    kept(outcome(&client, &mut lines), 2);
    drop(lines);
    assert_eq!(scene.marks(), [r#"["one"] dropped by 1"#]);
}

/// What cargo says of a plugin that does not compile.
fn refusal(attribute: &str, allocator: &str) -> String {
    let scene = Scene::new("refused");
    let built = std::panic::catch_unwind(|| scene.put_with(1, attribute, allocator, &[]));
    let said = built.expect_err("it compiles");
    said.downcast_ref::<String>().expect("a message").clone()
}

#[test]
fn an_allocator_that_nobody_asked_for_does_not_compile() {
    let said = refusal("#[plugin]", COUNTING);
    for part in ["global_allocator", "in this crate", "plugind_plugin"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    let said = refusal("#[plugin(own_allocator)]", COUNTING);
    for part in [
        "features = [\"own_allocator\"]",
        "`plugind-plugin`",
        "lib.rs:",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}
