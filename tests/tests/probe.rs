//! Proves that a version which breaks when it is opened does so in a process of its own: it is rejected with what it
//! did, the version before goes on, and nothing of it ran anywhere else.

use std::fs;
use std::path::PathBuf;

use plugind_tests::{
    Call, Daemon, Home, answers, cc_plugin, ended, holds, marks, replace, run, victim,
};
use plugind_wire::event::{Event, Kind, Stage};
use plugind_wire::probe::{Phase, Probe};

const VICTIM: &str = "victim";

fn folder(home: &Home) -> PathBuf {
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    folder
}

/// A folder with a good version of the victim.
fn folder_with_victim(home: &Home) -> PathBuf {
    let folder = folder(home);
    let good = cc_plugin(&home.build().join("good"), VICTIM, &answers(1, 0));
    replace(&good, &folder.join("libvictim.so"));
    folder
}

/// The rejection of the next version.
fn rejected(daemon: &Daemon, mark: usize, what: &str) -> Event {
    let event = daemon.wait_from(mark, what, |event| {
        assert_ne!(event.event, Kind::Published, "{what} is let through");
        event.event == Kind::Rejected
    });
    event.line
}

#[test]
fn constructors_that_break() {
    let home = Home::new();
    let folder = folder_with_victim(&home);
    let daemon = Daemon::watch(&home, &folder, &["--probe-timeout", "1"]);
    let mut call = Call::watch(&home, VICTIM, "answer");
    call.wait_result(1);
    let in_constructor: [(&str, &str, &[&str]); 15] = [
        (
            "a null write",
            "*(volatile int *)0 = 1;",
            &["crashed", "SIGSEGV"],
        ),
        ("an abort", "abort();", &["crashed", "SIGABRT"]),
        ("an exit", "exit(0);", &["exit code 0", "must return"]),
        (
            "an endless loop",
            "for (;;);",
            &["did not end within 1s", "--probe-timeout"],
        ),
        (
            "a stack overflow",
            "deep(0);",
            &["SIGABRT", "has overflowed its stack"],
        ),
        (
            "an allocation of 8 GB",
            "char *all = malloc(8ULL << 30); if (!all) { perror(\"8 GB\"); abort(); } memset(all, 1, 8ULL << 30);",
            &[
                "SIGABRT",
                "4 GB of memory",
                "unsandboxed",
                "Cannot allocate memory",
            ],
        ),
        (
            "a fork loop",
            "for (;;) fork();",
            &["start a process", "`clone`", "SIGSYS", "unsandboxed"],
        ),
        (
            "a program in its place",
            "execl(\"/bin/true\", \"true\", (char *)0);",
            &["run a program", "`execve`", "unsandboxed"],
        ),
        (
            "a program beside it",
            "system(\"true\");",
            &["SIGSYS", "starting a program", "unsandboxed"],
        ),
        (
            "a connection",
            "struct sockaddr_in to = { AF_INET }; connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&to, sizeof to);",
            &["open a socket", "`socket`", "unsandboxed"],
        ),
        (
            "a signal to its group",
            "kill(0, SIGKILL);",
            &["send a signal to another process", "`kill`"],
        ),
        (
            "a signal to its parent",
            "kill(getppid(), SIGKILL);",
            &["send a signal to another process", "`kill`"],
        ),
        (
            "another limit",
            "struct rlimit limit; getrlimit(RLIMIT_NOFILE, &limit); setrlimit(RLIMIT_NOFILE, &limit);",
            &["change a limit", "`prlimit64`"],
        ),
        (
            "a signal of its own",
            "raise(SIGTERM);",
            &["crashed", "SIGTERM"],
        ),
        (
            "a signal as if forbidden",
            "raise(SIGSYS);",
            &["crashed", "SIGSYS"],
        ),
    ];
    let mut number = 1;
    let mut pids = Vec::new();
    for (what, constructor, words) in in_constructor {
        number += 1;
        let mark = daemon.mark();
        replace(
            &victim(&home, what, constructor),
            &folder.join("libvictim.so"),
        );
        let event = rejected(&daemon, mark, what);
        assert_eq!(event.version, Some(number), "{what}");
        assert_eq!(
            (event.stage, event.probe),
            (Some(Stage::Probe), Some(Probe::Failed)),
            "{what}"
        );
        assert_eq!(event.phase, Some(Phase::Constructors), "{what}");
        holds(&event.reason.expect("a reason"), words);
        pids.extend(marks(&event.output.expect("the constructor's mark")));
        assert_eq!(
            pids.len() as u64,
            number - 1,
            "{what}: it ran once: {pids:?}"
        );
        assert!(event.timings_us.expect("timings").probe > 0, "{what}");
        assert!(call.is_running(), "{what}");
        assert_eq!(Call::once(&home, VICTIM, "answer").version, 1, "{what}");
    }
    assert!(
        pids.iter()
            .all(|pid| *pid != daemon.pid() && *pid != call.pid())
    );
    // Descriptor 2 of everybody else: the constructors ran in the probes alone.
    assert!(marks(&daemon.stderr()).is_empty());
    assert!(marks(&call.stderr()).is_empty());
    assert_eq!(call.answers(), [(1, 1)]);

    // The status tells the last, and asking for that version by number ends with what it did.
    let output = run(&mut home.plugind(["status"]));
    holds(&output, &["rejected at probe: ", "SIGSYS"]);
    let asked = ended(home.plugind(["call", &format!("{VICTIM}@{number}"), "answer"]));
    asked.expect(5, &["rejected at probe", "SIGSYS"]);
    assert!(marks(&asked.stderr).is_empty());

    // And the next good version is followed.
    let good = cc_plugin(&home.build().join("next"), VICTIM, &answers(3, 0));
    replace(&good, &folder.join("libvictim.so"));
    call.wait_result(3);
}

#[test]
fn constructors_that_may() {
    let home = Home::new();
    let folder = folder_with_victim(&home);
    let daemon = Daemon::watch(&home, &folder, &[]);
    let call = Call::watch(&home, VICTIM, "answer");
    call.wait_result(1);
    for (what, constructor) in [
        (
            "a thread",
            "pthread_t thread; if (pthread_create(&thread, 0, nothing, 0)) abort(); pthread_join(thread, 0);",
        ),
        (
            "the end of its input",
            "char byte; if (read(0, &byte, 1) != 0) abort();",
        ),
        (
            "a pair of sockets",
            "int pair[2]; if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) abort();",
        ),
        (
            "a limit that it reads",
            "struct rlimit limit; if (getrlimit(RLIMIT_NOFILE, &limit)) abort();",
        ),
        (
            "a signal to itself",
            "signal(SIGUSR1, SIG_IGN); kill(getpid(), SIGUSR1); raise(SIGUSR1);",
        ),
        (
            "nothing to nowhere",
            "int null = open(\"/dev/null\", O_WRONLY); if (write(null, \"\", 1) != 1) abort();",
        ),
        (
            "more than a pipe holds",
            "for (int n = 0; n < 100000; n++) dprintf(1, \"line %d\\n\", n);",
        ),
    ] {
        let mark = daemon.mark();
        replace(
            &victim(&home, what, constructor),
            &folder.join("libvictim.so"),
        );
        let event = daemon.wait_from(mark, what, |event| {
            assert_ne!(event.event, Kind::Rejected, "{what}");
            event.event == Kind::Published
        });
        assert_eq!(event.line.probe, Some(Probe::Passed), "{what}");
        let level = event.line.level.expect("a level");
        assert!(level.seccomp && level.limits, "{what}: {level}");
        let number = event.line.version.expect("a version");
        daemon.wait_client(Kind::Live, VICTIM, number, call.pid());
    }
}
