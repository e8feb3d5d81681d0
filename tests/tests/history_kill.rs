//! Proves that `plugind history` holds each outcome once when daemon and clients are killed: at any instant, before
//! every write of the daemon in turn, and with a full disk.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::Duration;

use plugind_tests::{Call, Daemon, Past, Process, Trace, need, outcomes, replace, until};
use plugind_wire::event::{Event, Kind};
use plugind_wire::history::{Entry, Outcome};

use Outcome::{Live, Published, Refused, Rejected};

type Told = BTreeSet<(u64, &'static str)>;

/// What a daemon told of versions.
fn told(daemon: &Daemon<'_>) -> Told {
    let lines = daemon.lines().into_iter();
    let outcome = |event: Event| {
        let outcome = match event.event {
            Kind::Published => Published,
            Kind::Rejected => Rejected,
            Kind::Live => Live,
            Kind::Refused => Refused,
            _ => return None,
        };
        Some((event.version?, outcome.word()))
    };
    lines.filter_map(|seen| outcome(seen.line)).collect()
}

/// Checks that everything that was told is there, and each once.
fn holds(entries: &[Entry], told: &Told) {
    let found: Vec<_> = outcomes(entries)
        .into_iter()
        .map(|(number, outcome)| (number, outcome.word()))
        .collect();
    let once: BTreeSet<_> = found.iter().copied().collect();
    assert_eq!(once.len(), found.len(), "each once: {entries:#?}");
    let lost: Vec<_> = told.difference(&once).collect();
    assert!(lost.is_empty(), "{lost:?} in {entries:#?}");
    // What was decided before something else was is not told after it.
    for (at, (number, outcome)) in found.iter().enumerate() {
        if *outcome == Live.word() {
            let published = found[..at].contains(&(*number, Published.word()));
            assert!(
                published,
                "v{number} is live before it is published: {entries:#?}"
            );
        }
    }
}

/// Checks that the history says of every version what the status says.
fn agrees(entries: &[Entry], daemon: &Daemon<'_>) {
    let found: BTreeSet<_> = outcomes(entries)
        .into_iter()
        .map(|(number, outcome)| (number, outcome.word()))
        .collect();
    for version in daemon.status().plugins.iter().flat_map(|it| &it.versions) {
        let outcome = (version.version, version.outcome.word());
        assert!(found.contains(&outcome), "no {outcome:?} in {found:?}");
    }
}

/// A generator of numbers that look random, the same ones for the same seed (Knuth's MMIX constants).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn each_outcome_is_there_once_after_kills_of_daemon_and_clients() {
    const ROUNDS: u64 = 40;
    let past = Past::new();
    let builds = [past.build(1), past.build(2), past.build(3)];
    let broken = past.home.build().join("broken.so");
    // Its tables end before its content does.
    let whole = fs::read(&builds[0]).expect("a build");
    let mut text = whole.clone();
    text[18] = 0xff;
    fs::write(&broken, text).expect("a build for no processor");
    let mut chance = Chance(12);
    let mut all = Told::new();
    let mut client: Option<Call> = None;
    let mut daemon = past.watch(&["--probe", "off"]);
    for round in 0..ROUNDS {
        if client.is_none() {
            client = Some(Call::watch(&past.home, "x", "answer"));
        }
        for _ in 0..=chance.below(3) {
            let build = match chance.below(4) {
                3 => &broken,
                nth => &builds[nth as usize],
            };
            replace(build, &past.folder.join("libx.so"));
        }
        // An instant of no meaning: the check is what is there afterwards.
        thread::sleep(Duration::from_micros(chance.below(30_000)));
        if chance.below(3) == 0
            && let Some(mut client) = client.take()
        {
            client.kill9();
        }
        match round % 4 {
            3 => assert!(daemon.stop().success()),
            _ => drop(daemon.kill9()),
        }
        all.extend(told(&daemon));
        daemon = past.watch(&["--probe", "off"]);
    }
    // One more build, so that everything before it is decided.
    let last = past.build(4);
    replace(&last, &past.folder.join("libx.so"));
    let call = client.unwrap_or_else(|| Call::watch(&past.home, "x", "answer"));
    call.wait_result(4);
    daemon.wait("the last is live", |event| {
        event.event == Kind::Live
            && call.lines().last().map(|seen| seen.line.version) == event.version
    });
    all.extend(told(&daemon));
    assert!(all.len() > ROUNDS as usize / 2, "it was worth it: {all:?}");
    let entries = past.history();
    holds(&entries, &all);
    agrees(&entries, &daemon);
    assert!(daemon.stop().success());
    let again = past.watch(&["--probe", "off"]);
    assert_eq!(past.history(), entries, "{}", again.dump());
}

#[test]
fn a_kill_before_any_write_loses_nothing_that_was_told() {
    if !need("strace") {
        return;
    }
    // Each thread counts its own; the thread that decides makes about ten a version.
    const CALLS: &str = "write,sendto,rename,ftruncate";
    let mut killed = 0;
    for nth in 1..=24 {
        let past = Past::new();
        let first = past.watch(&["--probe", "off"]);
        past.deliver(1);
        first.wait_version(Kind::Published, "x", 1);
        let mut all = told(&first);
        drop(first);
        // The build is there already, so that the daemon meets its end on the way of version 2.
        past.deliver(2);
        let mut command = past.home.plugind(["watch", "--json", "--probe", "off"]);
        command.arg(&past.folder);
        let inject = format!("inject={CALLS}:signal=SIGKILL:when={nth}");
        let hindered = Trace::hinder(&past.home, &command, &inject, None);
        let mut victim = Process::<Event>::spawn(hindered);
        let ended = until("it is killed, or has told of version 2", || {
            let lines = victim.lines();
            let done = lines
                .iter()
                .any(|seen| seen.line.event == Kind::Published && seen.line.version >= Some(2));
            (done || !victim.is_running()).then_some(!done)
        });
        killed += u32::from(ended);
        victim.kill9();
        all.extend(victim.lines().into_iter().filter_map(|seen| {
            let event = seen.line;
            (event.event == Kind::Published).then_some((event.version?, Published.word()))
        }));
        let daemon = past.watch(&["--probe", "off"]);
        let call = Call::watch(&past.home, "x", "answer");
        call.wait_result(2);
        daemon.wait("it is live", |event| event.event == Kind::Live);
        all.extend(told(&daemon));
        let entries = past.history();
        holds(&entries, &all);
        agrees(&entries, &daemon);
    }
    assert!(killed >= 8, "only {killed} kills");
}

#[test]
fn a_record_without_a_line_gets_its_line_once() {
    let past = Past::new();
    let mut daemon = past.watch(&["--probe", "off"]);
    past.deliver(1);
    daemon.wait_version(Kind::Published, "x", 1);
    let call = Call::watch(&past.home, "x", "answer");
    call.wait_result(1);
    daemon.wait_client(Kind::Live, "x", 1, call.pid());
    let whole = fs::read(past.file()).expect("the file");
    past.deliver(2);
    daemon.wait_version(Kind::Published, "x", 2);
    daemon.wait_client(Kind::Live, "x", 2, call.pid());
    let told = told(&daemon);
    daemon.kill9();
    drop(call);
    // As if it had been killed between version 2's record and its line.
    fs::write(past.file(), whole).expect("the file");
    for _ in 0..2 {
        let mut daemon = past.watch(&["--probe", "off"]);
        holds(&past.history(), &told);
        daemon.kill9();
    }
}

#[test]
fn an_outcome_is_a_line_before_anybody_is_told() {
    if !need("strace") {
        return;
    }
    let past = Past::new();
    // Makes the file, so that the tracer finds it.
    past.deliver(1);
    let first = past.watch(&["--probe", "off"]);
    first.wait_version(Kind::Published, "x", 1);
    drop(first);
    let file = past.file();
    let mut command = past.home.plugind(["watch", "--json", "--probe", "off"]);
    command.arg(&past.folder);
    // Whoever is told first has a third of a second to find that there is no line.
    let inject = "inject=write:delay_enter=300000";
    let command = Trace::hinder(&past.home, &command, inject, Some(&file));
    let daemon = Daemon::spawn(&past.home, command);
    let call = Call::watch(&past.home, "x", "answer");
    let is_there = |line: &str| {
        let text = fs::read_to_string(&file).expect("the file");
        assert!(text.contains(line), "no {line} in {text}");
    };
    call.wait_result(1);
    daemon.wait_version(Kind::Live, "x", 1);
    is_there("\"outcome\":\"live\"");
    past.deliver(2);
    daemon.wait_version(Kind::Published, "x", 2);
    is_there("\"version\":2");
    past.deliver(3);
    call.wait_result(3);
    is_there("\"version\":3");
    past.deliver_with(4, "nowhere();");
    daemon.wait_version(Kind::Refused, "x", 4);
    is_there("\"outcome\":\"refused\"");
    fs::write(past.home.build().join("text"), "x").expect("a file");
    let torn = past.folder.join("libtorn.so");
    fs::rename(past.home.build().join("text"), &torn).expect("it comes");
    daemon.wait("it is rejected", |event| event.event == Kind::Rejected);
    is_there("\"outcome\":\"rejected\"");
}

#[test]
fn a_full_disk_stops_nothing_and_is_told_once() {
    if !need("strace") {
        return;
    }
    let past = Past::new();
    past.deliver(1);
    let first = past.watch(&["--probe", "off"]);
    first.wait_version(Kind::Published, "x", 1);
    drop(first);
    let file = past.file();
    let mut command = past.home.plugind(["watch", "--json", "--probe", "off"]);
    command.arg(&past.folder);
    let inject = "inject=write:error=ENOSPC:when=1..3";
    let command = Trace::hinder(&past.home, &command, inject, Some(&file));
    let mut daemon = Daemon::spawn(&past.home, command);
    for n in 2..=5 {
        past.deliver(n);
        daemon.wait_version(Kind::Published, "x", n as u64);
    }
    let reasons: Vec<_> = daemon
        .lines()
        .into_iter()
        .filter(|seen| seen.line.event == Kind::Warning)
        .filter_map(|seen| seen.line.reason)
        .collect();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(reasons[0].contains("history.jsonl") && reasons[0].contains("No space"));
    let numbers = |entries: &[Entry]| {
        let mut numbers: Vec<_> = outcomes(entries).into_iter().map(|(n, _)| n).collect();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(numbers(&past.history()), [1, 5], "{}", daemon.dump());
    daemon.kill9();
    let daemon = past.watch(&["--probe", "off"]);
    assert_eq!(
        numbers(&past.history()),
        [1, 2, 3, 4, 5],
        "{}",
        daemon.dump()
    );
}
