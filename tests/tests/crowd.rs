//! Proves that what the engine reports is what runs, through two hundred builds of five plugins in front of twenty
//! programs, while engine and programs are killed at moments that a seed chooses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use plugind_tests::{Call, CargoProject, Daemon, Home, answers, cc_plugin, replace, say, until};
use plugind_wire::Digest;
use plugind_wire::event::Kind;
use plugind_wire::history::{Entry, Outcome};
use plugind_wire::who::Who;

const PLUGINS: u64 = 5;
const CLIENTS: usize = 20;
const ROUNDS: u64 = 200;
/// Every so many rounds cargo builds.
const BY_CARGO: u64 = 20;
const SEED: u64 = 0x5eed;

/// Marsaglia's xorshift64 (2003, "Xorshift RNGs"): the same choices in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn name(nth: u64) -> String {
    format!("p{nth}")
}

fn client(home: &Home, nth: usize) -> Call {
    Call::watch(home, &name(nth as u64 % PLUGINS), "answer")
}

#[test]
fn what_is_reported_is_what_runs() {
    let home = Home::new();
    // The last of the plugins is cargo's, which decides where all lie.
    let project = CargoProject::new(&home.work().join("crate"), &name(PLUGINS - 1));
    project.set_answer(0);
    project.build();
    let folder = project.target().join("debug");
    let image = |nth: u64, token: u64| -> PathBuf {
        let dir = home.build().join(format!("{nth}-{token}"));
        cc_plugin(&dir, &name(nth), &answers(token as i64, 0))
    };
    let deliver = |nth: u64, token: u64| {
        replace(
            &image(nth, token),
            &folder.join(format!("lib{}.so", name(nth))),
        );
    };
    (0..PLUGINS - 1).for_each(|nth| deliver(nth, 0));
    let mut chance = Chance(SEED);
    let mut daemon = Daemon::watch(&home, &project.target(), &[]);
    let mut clients: Vec<_> = (0..CLIENTS).map(|nth| client(&home, nth)).collect();
    clients
        .iter()
        .for_each(|client| drop(client.wait_result(0)));
    let mut tokens = [0; PLUGINS as usize];
    let mut numbered = BTreeMap::new();
    let mut kills = [0, 0];
    for round in 1..=ROUNDS {
        let nth = if round % BY_CARGO == 0 {
            PLUGINS - 1
        } else {
            chance.below(PLUGINS - 1)
        };
        let mark = daemon.mark();
        if nth == PLUGINS - 1 {
            project.set_answer(round as i64);
            project.build();
        } else {
            deliver(nth, round);
        }
        tokens[nth as usize] = round;
        if chance.below(8) == 0 {
            // At any moment of what that began.
            std::hint::black_box((0..chance.below(3_000_000)).sum::<u64>());
            note_numbers(&daemon, &mut numbered);
            daemon.kill9();
            drop(daemon);
            daemon = Daemon::watch(&home, &project.target(), &[]);
            kills[0] += 1;
        } else if chance.below(2) == 0 {
            let plugin = name(nth);
            daemon.wait_from(mark, "the build is published", |event| {
                event.event == Kind::Published && event.plugin.as_ref() == Some(&plugin)
            });
        }
        if chance.below(5) == 0 {
            let one = chance.below(CLIENTS as u64) as usize;
            clients[one].kill9();
            clients[one] = client(&home, one);
            kills[1] += 1;
        }
    }
    // The last builds are there before the engine is, and the programs come back to it.
    note_numbers(&daemon, &mut numbered);
    daemon.kill9();
    drop(daemon);
    for nth in 0..PLUGINS - 1 {
        deliver(nth, ROUNDS + 1);
        tokens[nth as usize] = ROUNDS + 1;
    }
    let daemon = Daemon::watch(&home, &project.target(), &[]);
    for (nth, client) in clients.iter().enumerate() {
        let token = tokens[nth % PLUGINS as usize] as i64;
        until("the last answer is that of the newest build", || {
            let answers = client.answers();
            answers
                .last()
                .is_some_and(|(_, answer)| *answer == token)
                .then_some(())
        });
    }
    for nth in 0..PLUGINS {
        let output = home
            .plugind(["wait", &name(nth), "--clients", "4"])
            .output();
        let output = output.expect("plugind starts");
        assert!(output.status.success(), "{output:?}");
    }
    note_numbers(&daemon, &mut numbered);
    is_named(&home, &daemon, &folder);
    is_kept(&home, &numbered);
    say(&format!(
        "{ROUNDS} builds, {CLIENTS} programs: the engine was killed {} times, programs {} times",
        kills[0], kills[1]
    ));
}

/// No number is given twice.
fn note_numbers(daemon: &Daemon<'_>, numbered: &mut BTreeMap<(String, u64), Digest>) {
    for event in daemon.lines().into_iter().map(|seen| seen.line) {
        let published = event.event == Kind::Published;
        if let (true, Some(plugin), Some(number)) = (published, event.plugin, event.version) {
            let digest = event.digest.expect("its content");
            let before = numbered.insert((plugin.clone(), number), digest);
            assert!(
                before.is_none_or(|it| it == digest),
                "{plugin} v{number} twice"
            );
        }
    }
}

/// Status and `who` name the content of the files for every program.
fn is_named(home: &Home, daemon: &Daemon<'_>, folder: &std::path::Path) {
    let status = daemon.status();
    let output = home
        .plugind(["who", "--json"])
        .output()
        .expect("plugind starts");
    let who: Who = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!(
        (status.clients.len(), who.clients.len()),
        (CLIENTS, CLIENTS)
    );
    let built = |plugin: &str| {
        let file = fs::read(folder.join(format!("lib{plugin}.so"))).expect("the artifact");
        Digest::of(&file)
    };
    for used in status.clients.iter().flat_map(|client| &client.plugins) {
        assert_eq!(used.digest, Some(built(&used.plugin)), "{used:?}");
        assert!(used.drained, "{used:?}");
    }
    for client in &who.clients {
        let report = client.report.as_ref().expect("it answers");
        let [current] = &report.current[..] else {
            panic!("one plugin each: {report:?}");
        };
        assert_eq!(current.digest, built(&current.version.plugin), "{client:?}");
    }
}

/// The history holds each outcome once, and every version that was told of.
fn is_kept(home: &Home, numbered: &BTreeMap<(String, u64), Digest>) {
    let output = home
        .plugind(["history", "--json"])
        .output()
        .expect("plugind starts");
    let text = String::from_utf8(output.stdout).expect("text");
    let entries: Vec<Entry> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("an entry"))
        .collect();
    let mut outcomes = BTreeSet::new();
    let mut published = BTreeMap::new();
    for entry in &entries {
        let id = (
            entry.plugin.clone().expect("a plugin"),
            entry.version.expect("a number"),
        );
        assert!(
            outcomes.insert((id.clone(), entry.outcome.word())),
            "twice: {entry:?}"
        );
        if entry.outcome == Outcome::Published {
            published.insert(id, entry.digest.expect("its content"));
        }
    }
    for (id, digest) in numbered {
        assert_eq!(published.get(id), Some(digest), "{id:?}");
    }
}
