//! Proves that bytes which broke in the probe are not tried again: not when they are built again, not by the next
//! engine; that a status shows them; and that `plugind retry` has them tried again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use plugind_tests::{
    Call, Daemon, VICTIM, VictimFolder, connect, ended, holds, is_untried, plugind, rejected, run,
    until,
};
use plugind_wire::event::Kind;
use plugind_wire::probe::Cause;
use plugind_wire::status::{Outcome, Status, Version};

fn versions(daemon: &Daemon<'_>) -> Vec<Version> {
    let mut plugins = daemon.status().plugins;
    plugins.retain(|plugin| plugin.plugin == VICTIM);
    plugins.pop().expect("the victim").versions
}

#[test]
fn the_same_bytes_are_tried_once() {
    let victims = VictimFolder::new();
    // Where its constructor may leave a mark.
    let args = ["--probe", "unsandboxed"];
    let daemon = victims.watch(&args);
    let call = Call::watch(&victims.home, VICTIM, "answer");
    call.wait_result(1);
    let mended = victims.home.path().join("mended");
    let constructor = format!("if (access(\"{}\", F_OK)) abort();", mended.display());
    let broken = victims.build(2, &constructor, &[]);

    let mark = daemon.mark();
    victims.deliver(&broken);
    let first = rejected(&daemon, mark, "a first build");
    assert_eq!((first.version, first.cause), (Some(2), Some(Cause::Plugin)));
    assert!(first.quarantined.is_some() && !is_untried(&first));
    assert_eq!(victims.probes(&call), 1);

    // A better build, and then the edit is undone.
    victims.deliver(&victims.build_good(3));
    call.wait_result(3);
    daemon.wait_version(Kind::Published, VICTIM, 3);
    let words = ["SIGABRT", "in quarantine since", "`plugind retry victim`"];
    for version in [4, 5] {
        let mark = daemon.mark();
        victims.deliver(&broken);
        let again = rejected(&daemon, mark, "the same bytes");
        assert_eq!(again.version, Some(version));
        assert_eq!(
            (again.quarantined, again.cause, again.phase),
            (first.quarantined, first.cause, first.phase)
        );
        assert!(is_untried(&again));
        holds(&again.reason.expect("a reason"), &words);
    }
    // The same file again is listed once.
    let listed = |daemon: &Daemon<'_>| -> Vec<_> {
        let versions = versions(daemon).into_iter();
        versions
            .map(|version| (version.version, version.outcome == Outcome::Rejected))
            .collect()
    };
    assert_eq!(
        listed(&daemon),
        [(1, false), (2, true), (3, false), (5, true)]
    );
    until("the client is told", || {
        let told = call.stderr().matches("in quarantine since").count();
        (told == 3).then_some(())
    });

    // Two restarts, one of them sudden.
    let mut daemon = victims.restart(daemon, &args);
    assert!(is_untried(&rejected(&daemon, 0, "a restart")));
    daemon.kill9();
    let daemon = victims.watch(&args);
    let last = rejected(&daemon, 0, "a sudden restart");
    assert_eq!((is_untried(&last), last.version), (true, Some(7)));
    assert_eq!(
        listed(&daemon),
        [(1, false), (2, true), (3, false), (7, true)]
    );
    holds(
        &victims.page(),
        &["rejected at probe: ", words[1], words[2]],
    );
    ended(victims.home.plugind(["call", "victim@7", "answer"])).expect(5, &words);
    assert_eq!(victims.probes(&call), 1, "it was tried once");

    // Whoever says so has it tried again.
    let retry = || ended(victims.home.plugind(["retry", VICTIM]));
    retry().expect(5, &["victim v8 was rejected at probe: ", "SIGABRT"]);
    assert_eq!(victims.probes(&call), 2);
    fs::write(&mended, "").expect("a file");
    daemon.wait("the event of what was tried again", |event| {
        event.event == Kind::Rejected && event.version == Some(8)
    });
    let mark = daemon.mark();
    victims.deliver(&broken);
    assert!(is_untried(&rejected(&daemon, mark, "the same bytes")));
    assert_eq!(victims.probes(&call), 2);
    let said = run(&mut victims.home.plugind(["retry", VICTIM]));
    assert_eq!(said, "victim v10 is published\n");
    call.wait_result(2);
    assert_eq!(victims.probes(&call), 3);
    assert!(!victims.page().contains("quarantine"), "{}", victims.page());
    retry().expect(4, &["no build of victim waits to be tried again"]);
    let nobody = ended(victims.home.plugind(["retry", "nobody"]));
    nobody.expect(4, &["there is no plugin nobody"]);

    // That it passed is not forgotten either.
    let daemon = victims.restart(daemon, &args);
    daemon.wait("unchanged", |event| {
        event.event == Kind::Unchanged && event.version == Some(10)
    });
    assert_eq!(victims.probes(&call), 3);
    assert_eq!(call.answers(), [(1, 1), (3, 3), (10, 2)]);
}

/// A status shows it until its file holds something else, however many builds another file brings.
#[test]
fn a_status_shows_it_until_it_is_mended() {
    let victims = VictimFolder::new();
    let daemon = victims.watch(&[]);
    let call = Call::watch(&victims.home, VICTIM, "answer");
    call.wait_result(1);
    let mark = daemon.mark();
    victims.deliver(&victims.build(2, "abort();", &[]));
    rejected(&daemon, mark, "a build that breaks");
    for answer in 3..10 {
        victims.deliver_beside(&victims.build_good(answer));
        call.wait_result(answer);
    }
    let line = "\n    v2 ";
    let page = victims.page();
    holds(
        &page,
        &[line, "SIGABRT", "in quarantine since", "and 3 older"],
    );
    victims.deliver(&victims.build_good(10));
    call.wait_result(10);
    let page = victims.page();
    assert!(
        !page.contains(line) && !page.contains("quarantine"),
        "{page}"
    );
}

#[test]
fn whatever_was_rejected_is_tried_again() {
    let victims = VictimFolder::new();
    let daemon = victims.watch(&["--probe", "unsandboxed"]);
    let call = Call::watch(&victims.home, VICTIM, "answer");
    call.wait_result(1);
    let retry = || ended(victims.home.plugind(["retry", VICTIM]));
    // Two files, and one that is only opened by its path.
    let mark = daemon.mark();
    victims.deliver(&victims.build(2, "abort();", &[]));
    rejected(&daemon, mark, "a file");
    let mark = daemon.mark();
    victims.deliver_beside(&victims.build(3, "exit(3);", &[]));
    rejected(&daemon, mark, "a file beside it");
    assert_eq!(victims.probes(&call), 2);
    let client = connect(&victims.home, &victims.folder);
    let opened = victims.build(4, "raise(SIGTERM);", &[]);
    for _ in 0..2 {
        let error = client.open(&opened).expect_err("it breaks");
        holds(&error.to_string(), &["SIGTERM", "`plugind retry victim`"]);
        assert_eq!(victims.probes(&call), 3, "once");
    }
    retry().expect(5, &["rejected at probe", "SIGTERM"]);
    until("all three were tried again", || {
        (victims.probes(&call) == 6).then_some(())
    });
    // The newest is waited for, not the others.
    until("the others are rejected again", || {
        let versions = daemon.status().plugins.pop().expect("the victim").versions;
        let ends = |version: &Version| version.outcome != Outcome::OnItsWay;
        versions.iter().all(ends).then_some(())
    });
    // One that is gone is passed over.
    fs::remove_file(&opened).expect("a file");
    let retried = retry();
    retried.expect(5, &["rejected at probe"]);
    assert!(!retried.stderr.contains("SIGTERM"), "{retried:?}");
    until("both were tried again", || {
        (victims.probes(&call) == 8).then_some(())
    });
    for file in ["libvictim.so", "libvictim.so.1"] {
        fs::remove_file(victims.folder.join(file)).expect("a file of the folder");
    }
    until("they are gone", || {
        let plugin = daemon.status().plugins.pop().expect("the victim");
        let gone = plugin.artifacts.iter().all(|artifact| !artifact.present);
        gone.then_some(())
    });
    let gone = retry();
    assert_eq!(gone.code, Some(5), "{gone:?}");
    holds(
        &gone.stderr,
        &["libvictim.so, ", "libvictim.so.1", "gone; build it again"],
    );
    assert_eq!(victims.probes(&call), 8);
    assert_eq!(call.answers(), [(1, 1)]);
}

/// An engine inside a program begins with an empty store, and knows what broke in the program's last run. What does so
/// in one program may work in another.
#[test]
fn a_program_that_embeds_the_engine_remembers() {
    let victims = VictimFolder::new();
    victims.deliver(&victims.build(2, "dprintf(2, \"tried\\n\"); abort();", &[]));
    // What a probe writes stays.
    let written = victims.home.path().join("written");
    let probe = victims.home.path().join("probe");
    let script = format!(
        "#!/bin/sh\nexec {} \"$@\" 2>> {}\n",
        plugind().display(),
        written.display()
    );
    fs::write(&probe, script).expect("a script");
    fs::set_permissions(&probe, fs::Permissions::from_mode(0o755)).expect("chmod");
    let probes = || {
        let written = fs::read_to_string(&written).unwrap_or_default();
        written.lines().filter(|line| *line == "tried").count()
    };
    let run_by = |program: &Path| {
        let mut command = victims.home.command(program);
        command
            .arg("embed")
            .arg(&victims.folder)
            .args([VICTIM, "answer"]);
        command.env("PLUGIND_BIN", &probe);
        let call = Call::spawn(command);
        let version = until("it is rejected", || {
            let mut status = victims.home.command(plugind());
            status.args(["status", "--json", "--pid", &call.pid().to_string()]);
            let output = status.output().expect("plugind starts");
            let status: Status = serde_json::from_slice(&output.stdout).ok()?;
            let version = status.plugins.last()?.versions.last()?.clone();
            (version.outcome == Outcome::Rejected).then_some(version)
        });
        assert_eq!((version.version, version.cause), (1, Some(Cause::Plugin)));
        (call, version)
    };
    let host = Path::new(env!("CARGO_BIN_EXE_embedded-host"));
    let (call, first) = run_by(host);
    assert_eq!(probes(), 1);
    drop(call);
    let (call, second) = run_by(host);
    assert_eq!(probes(), 1, "it is known");
    assert_eq!(second.quarantined, first.quarantined);
    let pid = call.pid().to_string();
    let retry = victims.home.plugind(["retry", VICTIM, "--pid", &pid]);
    ended(retry).expect(5, &["rejected at probe", "SIGABRT"]);
    assert_eq!(probes(), 2, "it was tried again");
    drop(call);

    let other = victims.home.build().join("other");
    run(Command::new("cp").arg(host).arg(&other));
    let (_call, _) = run_by(&other);
    assert_eq!(probes(), 3, "another program has its own");
}
