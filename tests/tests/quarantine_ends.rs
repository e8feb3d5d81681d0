//! Proves that a quarantine counts only as long as nothing changed that the version may have broken by.

use std::fs;
use std::path::PathBuf;

use plugind_tests::{
    Call, Home, VICTIM, VictimFolder, cc, ended, holds, is_untried, rejected, replace,
};
use plugind_wire::probe::Cause;

/// A constructor that breaks in one engine, and how the next ones are started.
struct Case {
    what: &'static str,
    constructor: &'static str,
    cause: Cause,
    /// Where it breaks.
    first: &'static [&'static str],
    /// Where it would break as well.
    same: &'static [&'static str],
    /// Where it may not.
    other: &'static [&'static str],
    /// Whether it does not.
    works: bool,
}

const CASES: [Case; 3] = [
    Case {
        what: "a constructor that takes its time",
        constructor: "usleep(700 * 1000);",
        cause: Cause::Time,
        first: &["--probe-timeout", "0.3"],
        same: &["--probe-timeout", "0.2"],
        other: &["--probe-timeout", "30"],
        works: true,
    },
    Case {
        what: "a constructor that starts a process",
        constructor: "pid_t child = fork(); if (!child) _exit(0); if (waitpid(child, 0, 0) != child) abort();",
        cause: Cause::Sandbox,
        first: &[],
        same: &["--probe-timeout", "20"],
        other: &["--probe", "unsandboxed"],
        works: true,
    },
    Case {
        what: "a constructor that crashes",
        constructor: "abort();",
        cause: Cause::Plugin,
        first: &[],
        same: &["--probe", "off"],
        other: &["--probe-timeout", "20"],
        works: false,
    },
];

#[test]
fn what_it_may_have_broken_by_has_changed() {
    for case in CASES {
        let what = case.what;
        let victims = VictimFolder::new();
        victims.deliver(&victims.build(2, case.constructor, &[]));
        let daemon = victims.watch(case.first);
        // Somebody asks for it.
        ended(victims.home.plugind(["call", VICTIM, "answer"])).expect(5, &["in quarantine"]);
        let event = rejected(&daemon, 0, what);
        assert_eq!(event.cause, Some(case.cause), "{what}: {event:?}");
        assert!(event.quarantined.is_some() && !is_untried(&event), "{what}");
        let daemon = victims.restart(daemon, case.same);
        assert!(is_untried(&rejected(&daemon, 0, what)), "{what}");
        let daemon = victims.restart(daemon, case.other);
        if case.works {
            assert_eq!(
                Call::once(&victims.home, VICTIM, "answer").result,
                2,
                "{what}"
            );
        } else {
            assert!(is_untried(&rejected(&daemon, 0, what)), "{what}");
        }
    }
}

/// What it lacked is elsewhere, so it is tried whenever it is built.
#[test]
fn what_lay_around_it_is_not_remembered() {
    let victims = VictimFolder::new();
    let daemon = victims.watch(&[]);
    let call = victims.follow();
    call.wait_result(1);
    let library = |answer: i64, constructor: &str| {
        let image = victims.home.build().join("beside/libbeside.so");
        let source = format!(
            "#include <stdlib.h>\nlong long beside(void) {{ return {answer}; }}\n\
             __attribute__((constructor)) static void constructed(void) {{ {constructor} }}\n"
        );
        cc(&image, &source, &["-Wl,-soname,libbeside.so"]);
        image
    };
    let needed = library(20, "");
    let source = "long long beside(void);\nlong long answer(void) { return beside() + 1; }\n";
    let image = victims.home.build().join("needs/libvictim.so");
    cc(
        &image,
        source,
        &[&needed.display().to_string(), "-Wl,-rpath,$ORIGIN"],
    );
    for what in ["a missing library", "again"] {
        let mark = daemon.mark();
        victims.deliver(&image);
        let event = rejected(&daemon, mark, what);
        assert_eq!(
            (event.cause, event.quarantined),
            (Some(Cause::Surroundings), None),
            "{what}"
        );
        assert!(!is_untried(&event), "{what}");
        holds(&event.reason.expect("a reason"), &["libbeside.so"]);
    }
    assert!(!victims.page().contains("quarantine"));

    // A library beside it that breaks is part of what broke.
    let beside = victims.folder.join("libbeside.so");
    replace(&library(21, "abort();"), &beside);
    for tried in [true, false] {
        let mark = daemon.mark();
        victims.deliver(&image);
        let event = rejected(&daemon, mark, "a library that breaks");
        assert_eq!(event.cause, Some(Cause::Plugin));
        assert_eq!(!is_untried(&event), tried);
    }
    replace(&library(22, ""), &beside);
    victims.deliver(&image);
    call.wait_result(23);
}

/// Another release may try otherwise, and a record that cannot be read is none.
#[test]
fn a_record_of_another_release_does_not_count() {
    let victims = VictimFolder::new();
    let daemon = victims.watch(&[]);
    let call = Call::watch(&victims.home, VICTIM, "answer");
    call.wait_result(1);
    let broken = victims.build(2, "abort();", &[]);
    let next = |what: &str| {
        let mark = daemon.mark();
        victims.deliver(&broken);
        is_untried(&rejected(&daemon, mark, what))
    };
    assert!(!next("a first build"));
    assert!(next("the same bytes"));
    let [record] = &records(&victims.home)[..] else {
        panic!("one record: {:?}", records(&victims.home));
    };
    let text = fs::read_to_string(record).expect("a record");
    let other = text.replace("\"release\":\"", "\"release\":\"0.0.0-");
    assert_ne!(text, other);
    fs::write(record, other).expect("a record");
    assert!(!next("a record of another release"));
    assert!(next("a record of this release"));
    fs::write(record, "garbage").expect("a record");
    assert!(!next("no record"));
    assert!(next("a record again"));
}

/// The files of the quarantine.
fn records(home: &Home) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![home.state()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.iter().any(|part| part == "quarantine") {
                files.push(path);
            }
        }
    }
    files
}
