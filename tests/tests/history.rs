//! Proves that `plugind history` has every outcome once, with what is known of it, across restarts; that following it
//! leaves none out; and that what cannot be read of it is told and left out.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use plugind_tests::{
    Call, Daemon, EndOnDrop, Past, Process, connect, ended, outcomes, replace, run, until,
};
use plugind_wire::event::{Kind, Stage};
use plugind_wire::history::{Entry, Outcome};

use Outcome::{Live, Published, Refused, Rejected, Superseded};

/// The slowest of the constructors, in microseconds.
const SLOW: u64 = 60_000;

fn all(daemon: &Daemon<'_>, past: &Past, wanted: &[(u64, Outcome)]) -> Vec<Entry> {
    let mut entries = Vec::new();
    until(&format!("{wanted:?}\n{}", daemon.dump()), || {
        entries = past.history();
        let mut found = outcomes(&entries);
        let mut wanted = wanted.to_vec();
        let order = |(number, outcome): &(u64, Outcome)| (*number, outcome.word());
        found.sort_by_key(order);
        wanted.sort_by_key(order);
        (found == wanted).then_some(())
    });
    entries
}

#[test]
fn every_outcome_once_with_what_is_known_of_it_and_across_restarts() {
    let past = Past::new();
    let mut daemon = past.watch(&[]);
    past.deliver_with(1, &format!("usleep({SLOW});"));
    daemon.wait_version(Kind::Published, "x", 1);
    let mut call = Call::watch(&past.home, "x", "answer");
    call.wait_result(1);
    daemon.wait_client(Kind::Live, "x", 1, call.pid());
    past.deliver_with(2, "abort();");
    daemon.wait_version(Kind::Rejected, "x", 2);
    // A client that stands still has been told of 3 and has not taken it when 4 comes.
    call.freeze();
    past.deliver(3);
    daemon.wait_version(Kind::Published, "x", 3);
    past.deliver(4);
    daemon.wait_version(Kind::Published, "x", 4);
    call.kill9();
    // A file that becomes no version.
    fs::write(past.folder.join("libtorn.so"), b"no image").expect("a file");
    daemon.wait("a file is rejected", |event| {
        let artifact = event.artifact.as_deref().unwrap_or_default();
        event.event == Kind::Rejected && artifact.ends_with("libtorn.so")
    });
    let wanted = [
        (1, Published),
        (1, Live),
        (2, Rejected),
        (3, Published),
        (3, Superseded),
        (4, Published),
    ];
    let before = all(&daemon, &past, &wanted);
    let status = daemon.status();
    check(&before, &status, call.pid());

    // Another daemon lists the same, and what comes then. Without a probe only a client can see what is missing.
    assert!(daemon.stop().success());
    daemon = past.watch(&["--probe", "off"]);
    until("the rejected file is seen again", || {
        (!daemon.status().rejected_files.is_empty()).then_some(())
    });
    assert_eq!(past.history(), before, "{}", daemon.dump());
    let call = Call::watch(&past.home, "x", "answer");
    call.wait_result(4);
    past.deliver_with(5, "nowhere();");
    daemon.wait_client(Kind::Refused, "x", 5, call.pid());
    let wanted: Vec<_> = [&wanted[..], &[(4, Live), (5, Published), (5, Refused)]].concat();
    let after = all(&daemon, &past, &wanted);
    assert_eq!(after[..before.len()], before[..]);
    let refused = after.last().expect("an entry");
    let by = refused.client.as_ref().expect("who refused it");
    assert_eq!((refused.outcome, by.pid), (Refused, call.pid()));
    let reason = refused.reason.as_deref().unwrap_or_default();
    assert!(reason.contains("nowhere"), "{reason}");

    // The client tells the next daemon what it runs; that is no news.
    assert!(daemon.stop().success());
    let mut daemon = past.watch(&["--probe", "off"]);
    daemon.wait_client(Kind::Live, "x", 4, call.pid());
    assert_eq!(all(&daemon, &past, &wanted), after);

    selected(&past, &after);
    assert!(daemon.stop().success());
    ended(past.command(&[])).expect(3, &["nothing serves", "plugind watch"]);
}

/// What each entry of the first daemon says, beside what its status says.
fn check(entries: &[Entry], status: &plugind_wire::status::Status, client: u32) {
    let versions = &status.plugins[0].versions;
    assert!(entries.is_sorted_by_key(|entry| entry.time), "{entries:#?}");
    for entry in entries {
        assert_eq!(entry.state, status.state);
        let Some(number) = entry.version else {
            assert!(entry.artifact.ends_with("libtorn.so"), "{entry:#?}");
            assert_eq!(
                (entry.outcome, entry.stage),
                (Rejected, Some(Stage::Settle))
            );
            assert!(entry.reason.is_some());
            continue;
        };
        let version = versions.iter().find(|version| version.version == number);
        let version = version.expect("it is in the status");
        assert_eq!(entry.digest, Some(version.digest));
        assert_eq!(entry.lane, version.lane);
        assert_eq!(Path::new(&entry.artifact), version.artifact);
        let timings = entry.timings_us.expect("how long each stage took");
        assert_eq!(timings.stage, version.timings_us.stage);
        assert!(entry.time >= version.staged);
        assert!(
            timings.stage > 0 && timings.total > timings.stage,
            "{timings:?}"
        );
        assert_eq!(entry.opened_us.is_some(), entry.outcome == Live);
        match entry.outcome {
            Live => {
                assert_eq!(entry.client.as_ref().map(|name| name.pid), Some(client));
                let opened = entry.opened_us.expect("how long it took");
                assert!(opened >= SLOW, "the constructor took longer than {opened}");
            }
            Rejected => {
                assert_eq!(entry.stage, Some(Stage::Probe));
                assert_eq!(entry.reason, version.why("x"));
                let reason = entry.reason.as_deref().unwrap_or_default();
                assert!(reason.contains("SIGABRT"), "{reason}");
            }
            _ => assert_eq!(entry.reason, None),
        }
    }
    assert_eq!(entries.len(), 7, "{entries:#?}");
}

/// What is listed of a plugin, and of the newest; and by the library.
fn selected(past: &Past, all: &[Entry]) {
    let mut of_x = all.to_vec();
    of_x.retain(|entry| entry.version.is_some());
    assert_eq!(past.listed(&["x", "--json"]), of_x);
    assert_eq!(past.listed(&["--json", "-n", "2"]), all[all.len() - 2..]);
    let client = connect(&past.home, &past.folder);
    assert_eq!(client.history(Some("x"), None).expect("answered"), of_x);
    ended(past.command(&["y"])).expect(4, &["no plugin y", "there are: x"]);
    let page = run(&mut past.command(&["x"]));
    let lines: Vec<_> = page.lines().collect();
    assert_eq!(lines.len(), of_x.len());
    for (line, entry) in lines.iter().zip(&of_x) {
        let version = format!(" x v{} ", entry.version.expect("a number"));
        assert!(line.contains(&version), "{line}");
        assert!(
            line.contains(&format!(" {} ", entry.outcome.word())),
            "{line}"
        );
    }
}

#[test]
fn who_follows_misses_nothing_and_sees_nothing_twice() {
    let past = Past::new();
    let builds = [past.build(1), past.build(2)];
    let mut daemon = past.watch(&["--probe", "off"]);
    replace(&builds[0], &past.folder.join("libx.so"));
    daemon.wait_version(Kind::Published, "x", 1);
    let end = AtomicBool::new(false);
    let mut followers = Vec::new();
    thread::scope(|threads| {
        let _end = EndOnDrop(&end);
        threads.spawn(|| {
            for (number, build) in (2..).zip(builds.iter().cycle().skip(1)) {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                replace(build, &past.folder.join("libx.so"));
                daemon.wait_version(Kind::Published, "x", number);
            }
        });
        for round in 0..8 {
            let mark = daemon.mark();
            daemon.wait_from(mark, "more come", |event| event.event == Kind::Published);
            let args: &[&str] = match round % 2 {
                0 => &["--follow", "--json"],
                _ => &["x", "--follow", "--json"],
            };
            let follower = Process::<Entry>::spawn(past.command(args));
            follower.wait("its first line", 0, |_| true, String::new);
            followers.push(follower);
        }
    });
    let mut status = daemon.status();
    until("the last build is decided", || {
        let before = std::mem::replace(&mut status, daemon.status());
        (before.plugins == status.plugins && past.history().len() > 8).then_some(())
    });
    let entries = past.history();
    let last = entries.last().expect("an entry");
    for follower in &followers {
        follower.wait("the last", 0, |entry| entry == last, || daemon.dump());
        let seen: Vec<_> = follower.lines().into_iter().map(|seen| seen.line).collect();
        let listed = &entries[..seen.len()];
        assert_eq!(outcomes(&seen), outcomes(listed), "{}", follower.dump());
        assert_eq!(seen, listed);
    }
    assert!(daemon.stop().success());
    for mut follower in followers {
        assert_eq!(follower.wait_exit().code(), Some(3), "{}", follower.dump());
    }
}

#[test]
fn what_cannot_be_read_is_left_out_and_told_once() {
    let past = Past::new();
    let mut daemon = past.watch(&[]);
    past.deliver(1);
    daemon.wait_version(Kind::Published, "x", 1);
    let before = past.history();
    daemon.kill9();
    let newer = serde_json::to_string(&Entry {
        schema: plugind_wire::SCHEMA + 1,
        ..before[0].clone()
    });
    past.append(newer.expect("JSON").as_bytes());
    past.append(b"\n\xff\xfe\0\x01 foreign\n{\"schema\":1,\"time\":\"2026-0");

    let mut daemon = past.watch(&[]);
    let told = |daemon: &Daemon<'_>| {
        let lines = daemon.lines();
        let reasons = lines.into_iter().filter_map(|seen| seen.line.reason);
        let about = reasons.filter(|reason| reason.contains("history"));
        about.collect::<Vec<_>>()
    };
    past.deliver(2);
    daemon.wait_version(Kind::Published, "x", 2);
    let reasons = told(&daemon);
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(reasons[0].contains("left out: 2;"), "{reasons:?}");
    let after = past.history();
    assert_eq!(outcomes(&after), [(1, Published), (2, Published)]);
    assert_eq!(after[..1], before[..]);
    let file = fs::read(past.file()).expect("the file");
    assert!(
        !file.windows(6).any(|part| part == b"2026-0\""),
        "half a line is gone"
    );

    // One that is no file at all stops nothing.
    assert!(daemon.stop().success());
    fs::remove_file(past.file()).expect("the file goes");
    fs::create_dir(past.file()).expect("a folder in its place");
    let daemon = past.watch(&[]);
    past.deliver(3);
    daemon.wait_version(Kind::Published, "x", 3);
    assert!(!told(&daemon).is_empty(), "{}", daemon.dump());
}
