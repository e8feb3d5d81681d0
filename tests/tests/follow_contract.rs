//! Every plugin of a contract, now and later: plugins are added, replaced and removed while threads iterate, each over a
//! follow of its own; none is lost, none is there twice, and every state goes on.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use plugind_client::{Change, Client, Follow, Outcome};
use plugind_tests::contract::{Actor, Prompter};
use plugind_tests::{DEADLINE, EndOnDrop, Home, Troupe, embed, until};

/// An actor whose `stumble` counts its calls.
fn actor(round: u32) -> String {
    format!(
        "pub struct Player;\n#[plugin]\nimpl Actor for Player {{\n    type State = u32;\n    fn start() -> u32 {{ 0 }}\n\
         fn act(_: &mut u32, _: &mut StageRef<'_>) -> (u32, String) {{ ({round}, String::new()) }}\n\
         fn stumble(calls: &mut u32) -> u32 {{ *calls += 1; *calls }}\n}}\n"
    )
}

const PROMPTER: &str = "struct Whisper;\n#[plugin]\nimpl Prompter for Whisper {\n\
    fn prompt(line: &str, times: u32) -> String { line.repeat(times as usize) }\n\
    fn forget() -> u32 { 0 }\n}\n";

fn client(home: &Home, troupe: &Troupe<'_>) -> Client {
    embed(home, &troupe.target(), DEADLINE)
}

/// One thread's follow, and what it was told.
struct Seen {
    actors: Follow<dyn Actor>,
    /// By plugin: the version that the changes tell, and how often it was called.
    told: BTreeMap<String, (u64, u32)>,
    removed: Vec<String>,
}

impl Seen {
    fn new(client: &Client) -> Self {
        Self {
            actors: client.follow().expect("the client lives"),
            told: BTreeMap::new(),
            removed: Vec::new(),
        }
    }

    /// One frame.
    fn frame(&mut self, client: &Client) {
        let [outcome] = client.sync([&mut self.actors]);
        let changes = match outcome {
            Outcome::Followed(changes) => changes,
            other => {
                assert_eq!(other, Outcome::UpToDate);
                Vec::new()
            }
        };
        for change in changes {
            match change {
                Change::Added { version } => {
                    let before = self.told.insert(version.plugin, (version.number, 0));
                    assert_eq!(before, None, "none is there twice");
                }
                Change::Swapped { from, to } => {
                    let told = self.told.get_mut(&to.plugin).expect("it was added");
                    assert_eq!(told.0, from.number, "no change is lost");
                    assert!(to.number > from.number);
                    told.0 = to.number;
                }
                Change::Removed { plugin } => {
                    assert!(self.told.remove(&plugin).is_some(), "it was added");
                    self.removed.push(plugin);
                }
                other => panic!("{other:?}"),
            }
        }
        let there: Vec<_> = self
            .actors
            .iter()
            .map(|(name, _)| name.to_owned())
            .collect();
        assert!(there.iter().eq(self.told.keys()), "{there:?}");
        for (name, actor) in self.actors.iter_mut() {
            let (version, calls) = self.told.get_mut(name).expect("as compared above");
            assert_eq!(actor.version().number, *version);
            *calls += 1;
            assert_eq!(actor.stumble(), Ok(*calls), "{name}: the state goes on");
        }
    }
}

/// Version by plugin.
type Versions = BTreeMap<String, u64>;

#[test]
fn plugins_come_change_and_go_under_eight_threads() {
    let home = Home::new();
    let troupe = Troupe::new(&home);
    troupe.plugin("a", &actor(1));
    // Implements another contract, and is nobody's here.
    troupe.plugin("whisper", PROMPTER);
    troupe.build();
    let client = client(&home, &troupe);
    let done = AtomicBool::new(false);
    let seen: Mutex<Vec<Versions>> = Mutex::new(vec![Versions::new(); 8]);
    let all_see = |what: &str, wanted: &[(&str, u64)]| {
        let wanted: Versions = wanted.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
        until(&format!("{what}: {wanted:?}"), || {
            let seen = seen.lock().expect("no thread failed");
            seen.iter().all(|seen| *seen == wanted).then_some(())
        });
    };
    let follow = |nth: usize| {
        let mut own = Seen::new(&client);
        while !done.load(Ordering::Relaxed) {
            own.frame(&client);
            let told = own.told.iter();
            let versions = told.map(|(name, (version, _))| (name.clone(), *version));
            seen.lock().expect("no thread failed")[nth] = versions.collect();
        }
        own.removed
    };
    thread::scope(|scope| {
        let end = EndOnDrop(&done);
        let threads: Vec<_> = (0..8).map(|nth| scope.spawn(move || follow(nth))).collect();
        all_see("what was there", &[("a", 1)]);
        troupe.plugin("b", &actor(1));
        troupe.plugin("c", &actor(1));
        troupe.build();
        all_see("two more", &[("a", 1), ("b", 1), ("c", 1)]);
        for round in 2..=6 {
            troupe.plugin("a", &actor(u32::try_from(round).expect("small")));
            troupe.plugin("b", &actor(u32::try_from(round).expect("small")));
            troupe.build();
            all_see("replaced", &[("a", round), ("b", round), ("c", 1)]);
        }
        // Gone from the disk is not gone.
        troupe.remove("c");
        until("absent", || {
            let status = client.status().expect("a status");
            let plugin = status.plugins.iter().find(|plugin| plugin.plugin == "c")?;
            (!plugin.artifacts[0].present).then_some(())
        });
        all_see("still", &[("a", 6), ("b", 6), ("c", 1)]);
        assert!(client.remove("c").expect("the client lives"));
        assert!(!client.remove("c").expect("the client lives"));
        all_see("removed", &[("a", 6), ("b", 6)]);
        assert!(client.remove("b").expect("the client lives"));
        troupe.plugin("a", &actor(7));
        troupe.plugin("b", &actor(7));
        troupe.build();
        all_see("what is left", &[("a", 7)]);
        drop(end);
        for thread in threads {
            assert_eq!(thread.join().expect("no assertion failed"), ["c", "b"]);
        }
    });
    let whisper = home.status(std::process::id());
    let uses: Vec<_> = whisper.clients[0]
        .plugins
        .iter()
        .map(|used| &used.plugin)
        .collect();
    assert_eq!(uses, ["a"], "nothing else was opened, nothing else is used");
    let maps = std::fs::read_to_string("/proc/self/maps").expect("our own maps");
    assert!(
        !maps.contains("libwhisper.so"),
        "another contract's plugin was not opened"
    );

    // Asked for by name it is there again.
    let mut prompters = client.follow::<dyn Prompter>().expect("the client lives");
    until("the prompter", || {
        client.sync([&mut prompters]);
        prompters.get("whisper").map(drop)
    });
    assert_eq!(
        prompters.get("whisper").expect("as seen").prompt("x", 2),
        Ok("xx".to_owned())
    );
    let b = client
        .start::<dyn Actor>("b")
        .expect("it is followed again");
    assert_eq!(b.version().number, 7);
}
