//! Proves that a panic in a plugin's destructor, where there is no call to return it, is told: by plugin, version and
//! place, once each, by event and log, while the program goes on.

use std::fs;
use std::sync::{Arc, Mutex};

use plugind_client::ClientEvent;
use plugind_tests::{DEADLINE, Home, embed, sdk_plugin};

/// A contract for this program, and its text for the plugin.
macro_rules! both {
    ($($contract:tt)*) => {
        $($contract)*
        const CONTRACT: &str = stringify!($($contract)*);
    };
}

both! {
    use plugind_macros::{StableType, contract};

    /// A result that minds being dropped where it was made.
    #[derive(StableType, Debug)]
    pub struct Glass {
        /// It is no copy.
        pub is_first: bool,
        /// How much is in it.
        pub held: Vec<u32>,
    }

    impl Clone for Glass {
        fn clone(&self) -> Self {
            Self { is_first: false, held: self.held.clone() }
        }
    }

    impl Drop for Glass {
        fn drop(&mut self) {
            assert!(!self.is_first, "a glass broke");
        }
    }

    /// Pours.
    #[contract]
    pub trait Bar {
        /// It minds, too.
        type State;
        /// Opens.
        fn open() -> Self::State;
        /// One more.
        fn pour(state: &mut Self::State) -> Glass;
    }
}

const PLUGIN: &str = r#"
    use plugind_macros::plugin;

    #[derive(StableType)]
    pub struct House { poured: u32 }

    impl Drop for House {
        fn drop(&mut self) { panic!("the house fell after {}", self.poured); }
    }

    struct Plain;

    #[plugin]
    impl Bar for Plain {
        type State = House;
        fn open() -> House { House { poured: 0 } }
        fn pour(house: &mut House) -> Glass {
            house.poured += 1;
            Glass { is_first: true, held: vec![house.poured; 100] }
        }
    }
"#;

/// What is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_in_a_destructor_is_told_and_ends_nothing() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    let source = format!("{CONTRACT}\n{PLUGIN}");
    sdk_plugin(&folder.join("libbar.so"), "bar", &source, &[]);
    let client = embed(&home, &folder, DEADLINE);
    let mut bar = client.start::<dyn Bar>("bar").expect("an instance");
    let events = client.events();
    for round in 1..=3 {
        let glass = bar.pour().expect("the call itself is good");
        assert_eq!(glass.held, vec![round; 100]);
    }
    drop(bar);

    let faults: Vec<_> = events
        .try_iter()
        .filter_map(|event| match event {
            ClientEvent::Faulted { fault } => Some(fault),
            _ => None,
        })
        .collect();
    let said: Vec<_> = faults.iter().map(|fault| fault.message.as_str()).collect();
    let broke = "a glass broke";
    assert_eq!(said, [broke, broke, broke, "the house fell after 3"]);
    for fault in &faults {
        assert_eq!((fault.plugin.as_str(), fault.version), ("bar", 1));
        let location = fault.location.as_deref().expect("a place");
        assert!(location.starts_with("src/lib.rs:"), "{location}");
    }
    assert_eq!(faults[0].function, "drop of pour's result");
    assert_eq!(faults[3].function, "drop of the state");
    let log = String::from_utf8(log.0.lock().expect("no panic").clone()).expect("text");
    let told = log.lines().filter(|line| line.contains("ERROR"));
    let told: Vec<_> = told
        .filter(|line| line.contains("bar v1 panicked in"))
        .collect();
    assert_eq!(told.len(), 4, "{log}");
    // The plugin goes on for whoever comes next.
    let mut again = client.start::<dyn Bar>("bar").expect("an instance");
    assert_eq!(again.pour().expect("a call").held[0], 1);
}
