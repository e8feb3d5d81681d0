//! Proves that a running program follows a real build: ten rebuilds by cargo are eleven versions and ten new answers,
//! with a daemon and embedded, whatever the linker. Times are printed, never asserted.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use plugind_tests::{Call, CargoProject, Daemon, Home, Linker, need, report};
use plugind_wire::Digest;
use plugind_wire::event::Kind;

const HOST: &str = env!("CARGO_BIN_EXE_embedded-host");
const PLUGIN: &str = "follow-me";

/// One build at a time, so that the printed times are of one reload.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn project(home: &Home, linker: Linker) -> CargoProject {
    CargoProject::new(&home.work().join("project"), PLUGIN).with_linker(linker)
}

/// Rebuilds ten times, each time waiting for the new answer of `call`, and returns the digests of the eleven files.
fn ten_rebuilds(what: &str, project: &CargoProject, call: &Call) -> Vec<Digest> {
    let first = call.wait_result(1);
    assert_eq!(first.line.version, 1);
    let artifact = project.target().join("debug/libfollow_me.so");
    let mut digests = vec![digest(&artifact)];
    let mut latencies = Vec::new();
    for n in 2..=11 {
        project.set_answer(n);
        let built = project.build();
        assert_eq!((&built.artifact, built.fresh), (&artifact, false));
        let answer = call.wait_result(n);
        latencies.push(answer.at.saturating_duration_since(built.finished));
        // Afterwards: reading and hashing here would compete with what is being timed.
        digests.push(digest(&artifact));
    }
    report(&format!("{what}: finished file to answer"), &latencies);
    assert_eq!(
        call.answers(),
        (1..=11).map(|n| (n as u64, n)).collect::<Vec<_>>(),
        "eleven versions in order, each with the answer that was built into it, and nothing else"
    );
    let lines = call.lines();
    let answered: Vec<_> = lines.iter().map(|seen| seen.line.digest).collect();
    assert_eq!(
        answered, digests,
        "each answer names the content cargo wrote"
    );
    digests
}

fn digest(file: &Path) -> Digest {
    Digest::of(&fs::read(file).expect("cargo left the file"))
}

fn follows_with_a_daemon(linker: Linker) {
    if !need(linker.tool()) {
        return;
    }
    let _alone = alone();
    let home = Home::new();
    let project = project(&home, linker);
    let built = project.build();
    if let Some(trace) = linker.trace() {
        let bytes = fs::read(&built.artifact).expect("cargo left the file");
        assert!(
            bytes
                .windows(trace.len())
                .any(|part| part == trace.as_bytes()),
            "{linker:?} linked the plugin"
        );
    }
    let daemon = Daemon::watch(&home, &project.target(), &[]);
    let call = Call::watch(&home, PLUGIN, "answer");
    let digests = ten_rebuilds(&format!("daemon, {linker:?}"), &project, &call);

    for number in 1..=11 {
        daemon.wait_client(Kind::Live, PLUGIN, number, call.pid());
        daemon.wait_client(Kind::Executing, PLUGIN, number, call.pid());
    }
    daemon.wait_client(Kind::Drained, PLUGIN, 11, call.pid());
    let eleven: Vec<_> = (1..=11).collect();
    assert_eq!(daemon.numbers(Kind::Published, PLUGIN), eleven);
    assert_eq!(daemon.numbers_by(Kind::Live, PLUGIN, call.pid()), eleven);
    let published = daemon.events(Kind::Published, PLUGIN);
    for (event, digest) in published.iter().zip(&digests) {
        assert_eq!(event.digest, Some(*digest));
        assert_eq!(event.lane.as_deref(), Some("debug"));
        assert_eq!(event.semver.as_deref(), Some("0.1.0"));
        assert!(event.timings_us.is_some_and(|timings| timings.total > 0));
    }
    assert_eq!(daemon.events(Kind::Rejected, PLUGIN), []);
}

#[test]
fn ten_rebuilds_with_a_daemon() {
    follows_with_a_daemon(Linker::Default);
}

#[test]
fn ten_rebuilds_with_gnu_ld() {
    follows_with_a_daemon(Linker::Bfd);
}

#[test]
fn ten_rebuilds_with_gold() {
    follows_with_a_daemon(Linker::Gold);
}

#[test]
fn ten_rebuilds_with_mold() {
    follows_with_a_daemon(Linker::Mold);
}

#[test]
fn ten_rebuilds_embedded() {
    let _alone = alone();
    let home = Home::new();
    let project = project(&home, Linker::Default);
    project.build();
    let host = Path::new(HOST);
    let call = Call::host(&home, host, "embed", &project.target(), PLUGIN, "answer");
    ten_rebuilds("embedded, Default", &project, &call);

    let status = home.status(call.pid());
    assert_eq!(status.pid, call.pid());
    let plugins: Vec<_> = status.plugins.iter().map(|found| &found.plugin).collect();
    assert_eq!(plugins, [PLUGIN]);
    let numbers: Vec<_> = status.plugins[0]
        .versions
        .iter()
        .map(|version| version.version)
        .collect();
    assert_eq!(numbers, (1..=11).collect::<Vec<_>>());
}

#[test]
fn a_build_without_a_change_is_no_version() {
    let _alone = alone();
    let home = Home::new();
    let project = project(&home, Linker::Default);
    project.build();
    let daemon = Daemon::watch(&home, &project.target(), &[]);
    let call = Call::watch(&home, PLUGIN, "answer");
    call.wait_result(1);

    // The same source with a new time: cargo writes the same bytes to a new inode.
    project.set_answer(1);
    assert!(!project.build().fresh);
    daemon.wait("unchanged", |event| event.event == Kind::Unchanged);
    project.set_answer(2);
    project.build();
    assert_eq!(call.wait_result(2).line.version, 2);
    assert_eq!(call.answers(), [(1, 1), (2, 2)]);
}
