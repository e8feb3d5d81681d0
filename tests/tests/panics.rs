//! A panic is told to whoever made the call, or it is printed, and never both: one that ends a call is told, with its
//! place, by whichever side it happens on; one in a thread of the plugin's own is printed, as in any program.
//!
//! The play is acted in a process of its own, whose stderr is what was printed.

use std::env;
use std::fs;
use std::path::PathBuf;

use plugind_client::Instance;
use plugind_tests::{DEADLINE, Home, embed, sdk_plugin};

macro_rules! both {
    ($($contract:tt)*) => {
        $($contract)*
        const CONTRACT: &str = stringify!($($contract)*);
    };
}

both! {
    use plugind_macros::{contract, host};

    /// What the program offers.
    #[host]
    pub trait Friend {
        /// May panic.
        fn call(&mut self) -> u32;
    }

    /// Falls in many ways.
    #[contract]
    pub trait Falls {
        /// Its drop panics.
        type State;
        /// Makes it.
        fn start() -> Self::State;
        /// Panics.
        fn fall(state: &mut Self::State) -> u32;
        /// A thread of the plugin's panics.
        fn lose(state: &mut Self::State) -> u32;
        /// Panics and catches it.
        fn mend(state: &mut Self::State) -> u32;
        /// Calls the program.
        fn ask(state: &mut Self::State, friend: &mut FriendRef<'_>) -> u32;
    }
}

const PLUGIN: &str = r#"
    use plugind_macros::{StableType, plugin};

    #[derive(StableType)]
    pub struct Glass { calls: u32 }

    impl Drop for Glass {
        fn drop(&mut self) { panic!("MARK told: it shatters") }
    }

    struct Plain;

    #[plugin]
    impl Falls for Plain {
        type State = Glass;
        fn start() -> Glass { Glass { calls: 0 } }
        fn fall(_: &mut Glass) -> u32 { panic!("MARK told: it falls") }
        fn lose(_: &mut Glass) -> u32 {
            let thread = std::thread::spawn(|| panic!("MARK printed: a thread falls"));
            u32::from(thread.join().is_err())
        }
        fn mend(_: &mut Glass) -> u32 {
            let caught = std::panic::catch_unwind(|| panic!("MARK caught: it stumbles"));
            u32::from(caught.is_err())
        }
        fn ask(glass: &mut Glass, friend: &mut FriendRef<'_>) -> u32 {
            glass.calls += 1;
            friend.call()
        }
    }
"#;

/// Says to the process that it is the one whose stderr is read, and where the plugin is.
const STAGE: &str = "PLUGIND_TEST_PANICS";

/// The program's object, which calls another plugin.
struct Other(Instance<dyn Falls>);

impl Friend for Other {
    fn call(&mut self) -> u32 {
        let fault = self.0.fall().expect_err("it falls");
        panic!("MARK told: the friend heard `{}`", fault.message)
    }
}

fn act(folder: PathBuf) {
    let home = Home::new();
    let client = embed(&home, &folder, DEADLINE);
    let start = || client.start::<dyn Falls>("falls").expect("an instance");
    let mut falls = start();
    let mut other = Other(start());

    let in_plugin = |place: Option<String>| place.is_some_and(|at| at.contains("src/lib.rs:"));
    let fault = falls.fall().expect_err("it falls");
    assert_eq!(fault.message, "MARK told: it falls");
    assert!(in_plugin(fault.location), "the plugin's place");
    assert_eq!(falls.lose(), Ok(1));
    assert_eq!(falls.mend(), Ok(1));
    let asked = falls.ask(&mut FriendRef::new(&mut other));
    let fault = asked.expect_err("the friend panics");
    let said =
        "the program's `Friend::call` panicked: MARK told: the friend heard `MARK told: it falls`";
    assert_eq!(fault.message, said);
    let place = fault.location.unwrap_or_default();
    assert!(place.contains("panics.rs:"), "the program's place: {place}");
    // On the other side's turn again.
    let fault = falls.fall().expect_err("it falls");
    assert!(in_plugin(fault.location), "the plugin's place");
    drop((falls, other));
    let outside = std::thread::spawn(|| panic!("MARK printed: the program falls"));
    outside.join().expect_err("it falls");
}

#[test]
fn a_panic_is_told_or_printed() {
    if let Some(folder) = env::var_os(STAGE) {
        return act(folder.into());
    }
    let home = Home::new();
    for (name, args) in [("debug", &[][..]), ("release", &["--release"])] {
        let folder = home.work().join(name);
        fs::create_dir(&folder).expect("the folder to watch");
        let source = CONTRACT.to_owned() + PLUGIN;
        sdk_plugin(&folder.join("libfalls.so"), "falls", &source, args);
        let program = env::current_exe().expect("our own path");
        let output = home
            .command(program)
            .args(["--exact", "a_panic_is_told_or_printed", "--nocapture"])
            .env(STAGE, &folder)
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
        let marks = said.lines().filter(|line| line.contains("MARK"));
        let marks: Vec<_> = marks.map(str::trim).collect();
        let printed = [
            "MARK printed: a thread falls",
            "MARK printed: the program falls",
        ];
        assert_eq!(marks, printed, "{name}: {said}");
    }
}
