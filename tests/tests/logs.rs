//! What a plugin logs reaches the program's subscriber, with the plugin's name and version; what nobody wants is not even
//! formatted.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use plugind_tests::contract::{Actor, Stage, StageRef};
use plugind_tests::{DEADLINE, Home, Troupe, embed, until};
use tracing_subscriber::filter::LevelFilter;

const PLAYER: &str = r#"
use std::sync::atomic::{AtomicU32, Ordering};
static FORMATTED: AtomicU32 = AtomicU32::new(0);
struct Counted;
impl std::fmt::Display for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        FORMATTED.fetch_add(1, Ordering::Relaxed);
        f.write_str("counted")
    }
}
struct Player;
#[plugin]
impl Actor for Player {
    type State = u32;
    fn start() -> u32 { 0 }
    fn act(steps: &mut u32, _: &mut StageRef<'_>) -> (u32, String) {
        *steps += 1;
        log::info!("{Counted} a log of step {steps}");
        tracing::warn!(step = *steps, "{Counted} a trace");
        log::debug!("{Counted} nobody wants this log");
        tracing::debug!("{Counted} nobody wants this trace");
        (FORMATTED.load(Ordering::Relaxed), String::new())
    }
    fn stumble(_: &mut u32) -> u32 { 0 }
}
"#;

struct Nobody;

impl Stage for Nobody {
    fn light(&mut self, _: &plugind_tests::contract::Colour) -> u32 {
        0
    }
    fn title(&self) -> String {
        String::new()
    }
    fn measure(&self, _: &str, _: &[u32]) -> (usize, u32) {
        (0, 0)
    }
}

/// Everything that was logged.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics").write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    /// The lines of plugins.
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().expect("nobody panics");
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().filter(|line| line.contains("plugind::plugin"));
        lines.map(str::to_owned).collect()
    }
}

#[test]
fn a_plugin_is_heard_and_nothing_is_formatted_in_vain() {
    let written = Written::default();
    let to = written.clone();
    tracing_subscriber::fmt()
        .with_writer(move || to.clone())
        .with_ansi(false)
        .with_max_level(LevelFilter::INFO)
        .init();
    let home = Home::new();
    let troupe = Troupe::new(&home);
    let needs = "log = \"0.4\"\ntracing = { version = \"0.1\", default-features = false, features = [\"std\"] }\n";
    troupe.plugin_with("player", PLAYER, &["log", "tracing"], needs);
    troupe.build();
    let client = embed(&home, &troupe.target(), DEADLINE);
    let mut player = client.start::<dyn Actor>("player").expect("it fits");
    let formatted = player
        .act(&mut StageRef::new(&mut Nobody))
        .expect("it acts")
        .0;
    assert_eq!(formatted, 2, "what is wanted, once each");
    let has = |line: &str, parts: &[&str]| parts.iter().all(|part| line.contains(part));
    let lines = written.lines();
    let [log, trace] = lines.as_slice() else {
        panic!("{lines:#?}");
    };
    let both = ["version=1", "plugins/player/src/lib.rs:", "from=\"player_"];
    assert!(
        has(log, &["INFO", "player", "counted a log of step 1"]) && has(log, &both),
        "{log}"
    );
    assert!(
        has(trace, &["WARN", "player", "counted a trace step=1"]) && has(trace, &both),
        "{trace}"
    );

    // Each version is another image, with a logger of its own.
    troupe.plugin_with(
        "player",
        &PLAYER.replace("a log", "a second log"),
        &["log", "tracing"],
        needs,
    );
    troupe.build();
    until("the second version", || {
        client.sync([&mut player]);
        (player.version().number == 2).then_some(())
    });
    player
        .act(&mut StageRef::new(&mut Nobody))
        .expect("it acts");
    let lines = written.lines();
    let second = lines
        .iter()
        .find(|line| line.contains("a second log of step 2"));
    assert!(
        second.is_some_and(|line| line.contains("version=2")),
        "{lines:#?}"
    );
}
