//! Proves who is who: several files of one plugin, lanes, proc macros, undone edits and touched files.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::time::SystemTime;

use plugind_tests::{Call, CargoProject, Daemon, Home, replace};
use plugind_wire::event::Kind;
use plugind_wire::status::Status;

const HOST: &str = env!("CARGO_BIN_EXE_embedded-host");

/// `touch`: a new modification time, and nothing else.
fn touch(path: &Path) {
    let file = File::options()
        .append(true)
        .open(path)
        .expect("the file to touch");
    file.set_modified(SystemTime::now()).expect("touch");
}

fn names(status: &Status) -> Vec<&str> {
    status
        .plugins
        .iter()
        .map(|found| found.plugin.as_str())
        .collect()
}

#[test]
fn two_files_of_one_plugin_are_its_versions() {
    let home = Home::new();
    let project = CargoProject::new(&home.work().join("project"), "hello");
    project.set_library("hello_v1");
    let v1 = project.build().artifact;
    assert_eq!(v1.file_name(), Some("libhello_v1.so".as_ref()));
    let daemon = Daemon::watch(&home, &project.target(), &[]);
    let call = Call::watch(&home, "hello", "answer");
    call.wait_result(1);

    project.set_library("hello_v2");
    project.set_answer(2);
    let v2 = project.build().artifact;
    assert!(v1.exists() && v2.ends_with("libhello_v2.so"));
    call.wait_result(2);
    assert_eq!(Call::once(&home, "hello@1", "answer").result, 1);
    assert_eq!(Call::once(&home, "hello@2", "answer").result, 2);

    // The older file gets the newer time; its content stands already.
    let mark = daemon.mark();
    touch(&v1);
    daemon.wait_from(mark, "unchanged libhello_v1.so", |event| {
        event.event == Kind::Unchanged
            && event
                .artifact
                .as_ref()
                .is_some_and(|path| path.ends_with("libhello_v1.so"))
    });
    assert_eq!(Call::once(&home, "hello", "answer").result, 2);
    assert_eq!(call.answers(), [(1, 1), (2, 2)]);

    let status = daemon.status();
    assert_eq!(names(&status), ["hello"]);
    assert_eq!(status.plugins[0].artifacts.len(), 2);
    assert_eq!(daemon.numbers(Kind::Published, "hello"), [1, 2]);
    assert_eq!(
        Call::output(&home, "hello@3", "answer").status.code(),
        Some(4)
    );
}

#[test]
fn files_found_at_start_count_in_the_order_of_their_times() {
    let home = Home::new();
    let project = CargoProject::new(&home.work().join("project"), "hello");
    // The older build has the later name.
    for (library, answer) in [("hello_z", 1), ("hello_a", 2)] {
        project.set_library(library);
        project.set_answer(answer);
        project.build();
    }
    let _daemon = Daemon::watch(&home, &project.target(), &[]);
    assert_eq!(
        Call::watch(&home, "hello", "answer")
            .wait_result(2)
            .line
            .version,
        2
    );
    assert_eq!(Call::once(&home, "hello@1", "answer").result, 1);
}

#[test]
fn a_release_build_leaves_a_debug_host_alone() {
    let home = Home::new();
    let project = CargoProject::new(&home.work().join("project"), "hello");
    project.build();
    let daemon = Daemon::watch(&home, &project.target(), &[]);
    // A host lies where cargo puts it: in the lane of its build.
    let host = project.target().join("debug/host");
    fs::copy(HOST, &host).expect("a copy of the host");
    let call = Call::host(
        &home,
        &host,
        "connect",
        &project.target(),
        "hello",
        "answer",
    );
    call.wait_result(1);

    project.set_answer(2);
    project.build_with(&["--release"]);
    let published = daemon.wait_version(Kind::Published, "hello", 2);
    assert_eq!(published.line.lane.as_deref(), Some("release"));
    // Whoever has no lane of its own may take it.
    assert_eq!(Call::once(&home, "hello@2", "answer").result, 2);

    // The next debug build passes the same way to the same host, so that what it did not get before, it does not get.
    project.set_answer(3);
    project.build();
    call.wait_result(3);
    assert_eq!(call.answers(), [(1, 1), (3, 3)]);
    daemon.wait_client(Kind::Live, "hello", 3, call.pid());
    assert_eq!(daemon.numbers_by(Kind::Live, "hello", call.pid()), [1, 3]);

    let status = daemon.status();
    let selected: BTreeSet<_> = status.plugins[0]
        .selected
        .iter()
        .map(|selected| (selected.lane.as_str(), selected.version))
        .collect();
    assert_eq!(selected, BTreeSet::from([("debug", 3), ("release", 2)]));
    let client = status
        .clients
        .iter()
        .find(|client| client.pid == call.pid());
    let used = &client.expect("the host is listed").plugins[0];
    assert_eq!((used.lane.as_str(), used.live), ("debug", Some(3)));
}

#[test]
fn a_release_build_leaves_an_embedding_debug_host_alone() {
    let home = Home::new();
    let project = CargoProject::new(&home.work().join("project"), "hello");
    project.build();
    let host = project.target().join("debug/host");
    fs::copy(HOST, &host).expect("a copy of the host");
    let call = Call::host(&home, &host, "embed", &project.target(), "hello", "answer");
    call.wait_result(1);
    project.set_answer(2);
    project.build_with(&["--release"]);
    project.set_answer(3);
    project.build();
    call.wait_result(3);
    assert_eq!(call.answers(), [(1, 1), (3, 3)]);
    let versions = &home.status(call.pid()).plugins[0].versions;
    let lanes: Vec<_> = versions
        .iter()
        .map(|version| version.lane.as_deref())
        .collect();
    assert_eq!(lanes, [Some("debug"), Some("release"), Some("debug")]);
}

#[test]
fn a_proc_macro_is_no_plugin() {
    let home = Home::new();
    let project = CargoProject::new(&home.work().join("project"), "hello");
    project.add_proc_macro("mymacros");
    project.build();
    let uplifted = project.target().join("debug/libmymacros.so");
    assert!(
        uplifted.exists(),
        "cargo uplifts a proc macro that is a root"
    );
    let daemon = Daemon::watch(&home, &project.target(), &[]);
    daemon.wait_version(Kind::Published, "hello", 1);
    // Written again while watched, and before the plugin, whose new version tells that the file was looked at.
    replace(&uplifted, &uplifted);
    project.set_answer(2);
    project.build();
    daemon.wait_version(Kind::Published, "hello", 2);
    let status = daemon.status();
    assert_eq!(names(&status), ["hello"]);
    assert_eq!(status.rejected_files, []);
    let spoken_of = |seen: &plugind_wire::event::Event| {
        serde_json::to_string(seen).is_ok_and(|text| text.contains("mymacros"))
    };
    assert!(!daemon.lines().iter().any(|seen| spoken_of(&seen.line)));
}

#[test]
fn an_undone_edit_is_a_version_of_its_own() {
    let home = Home::new();
    let project = CargoProject::new(&home.work().join("project"), "hello");
    let first = fs::read(project.build().artifact).expect("the first build");
    let daemon = Daemon::watch(&home, &project.target(), &[]);
    let call = Call::watch(&home, "hello", "count");
    // The first version's own count goes past 1.
    call.wait_answer("v1 counts on", |answer| {
        answer.version == 1 && answer.result >= 2
    });

    project.set_answer(2);
    project.build();
    call.wait_version(2);
    project.set_answer(1);
    let undone = fs::read(project.build().artifact).expect("the third build");
    assert!(first == undone, "cargo writes the first bytes again");
    let third = call.wait_version(3).line;
    assert_eq!(third.result, 1, "the statics start anew");
    assert_eq!(
        third.digest,
        call.wait_version(1).line.digest,
        "the content is the first's"
    );
    daemon.wait_version(Kind::Published, "hello", 3);
    assert_eq!(daemon.numbers(Kind::Published, "hello"), [1, 2, 3]);
    assert_eq!(daemon.events(Kind::Unchanged, "hello"), []);
}
