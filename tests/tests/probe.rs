//! Proves that a version which breaks when it is opened does so in a process of its own: it is rejected with what it
//! did, the version before goes on, and nothing of it ran anywhere else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use plugind_tests::{
    Call, Daemon, Ended, Home, answers, cc, cc_plugin, ended, plugind, replace, run, sdk_plugin,
};
use plugind_wire::event::{Event, Kind, Stage};
use plugind_wire::probe::{Level, Phase, Probe, Trial};

const VICTIM: &str = "victim";

/// A C plugin whose constructor first tells its process on descriptor 2.
fn victim(home: &Home, what: &str, constructor: &str) -> PathBuf {
    let image = home
        .build()
        .join(what.replace(' ', "-"))
        .join("libvictim.so");
    let source = format!(
        "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <netinet/in.h>\n#include <pthread.h>\n#include <signal.h>\n\
         #include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <sys/resource.h>\n\
         #include <sys/socket.h>\n#include <unistd.h>\n\
         static volatile int deep(int n) {{ volatile char page[4096]; page[0] = n; return deep(n + 1) + page[0]; }}\n\
         static void *nothing(void *given) {{ return given; }}\n\
         long long answer(void) {{ return 2; }}\n\
         long long other(void) {{ return deep(0) + (nothing(0) != 0); }}\n\
         __attribute__((constructor)) static void constructed(void) {{\n\
           dprintf(2, \"mark %d\\n\", (int)getpid());\n{constructor}\n}}\n"
    );
    cc(&image, &source, &["-w"]);
    image
}

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

/// The process that a constructor ran in, as it told on descriptor 2.
fn marks(text: &str) -> Vec<u32> {
    let marks = text.lines().filter_map(|line| line.strip_prefix("mark "));
    marks.filter_map(|pid| pid.parse().ok()).collect()
}

/// The rejection of the next version.
fn rejected(daemon: &Daemon, mark: usize, what: &str) -> Event {
    let event = daemon.wait_from(mark, what, |event| {
        assert_ne!(event.event, Kind::Published, "{what} is let through");
        event.event == Kind::Rejected
    });
    event.line
}

#[track_caller]
fn holds(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text:?}");
    }
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

#[test]
fn a_file_cannot_be_written() {
    let home = Home::new();
    let written = home.path().join("written");
    let constructor = format!(
        "int file = open(\"{}\", O_WRONLY | O_CREAT, 0600); if (file < 0) {{ perror(\"open\"); exit(3); }}",
        written.display()
    );
    let trial = probe(&home, &victim(&home, "writes", &constructor), &[]);
    if !trial.level.expect("a level").landlock {
        plugind_tests::say("a_file_cannot_be_written: this kernel has no Landlock");
        return;
    }
    assert_eq!(trial.level, Some(Level::FULL));
    let reason = trial.reason.expect("it is rejected");
    holds(
        &reason,
        &[
            "exit code 3",
            "lets it write no file",
            "unsandboxed",
            "Permission denied",
        ],
    );
    assert!(!written.exists());
    // It is one of the things that a plugin may be allowed.
    let trial = probe(
        &home,
        &victim(&home, "writes", &constructor),
        &["--unsandboxed"],
    );
    assert_eq!((trial.probe, trial.reason), (Probe::Passed, None));
    assert_eq!(trial.level, Some(Level::default()));
    assert!(written.exists());
}

/// `plugind probe FILE --json`.
fn probe(home: &Home, file: &Path, args: &[&str]) -> Trial {
    let output = home
        .plugind(["probe", "--json"])
        .arg(file)
        .args(args)
        .output()
        .expect("plugind starts");
    let trial: Trial = serde_json::from_slice(&output.stdout).expect("a trial");
    let code = if trial.reason.is_some() { 5 } else { 0 };
    assert_eq!(output.status.code(), Some(code), "{trial:?}");
    trial
}

#[test]
fn a_file_is_probed_on_request() {
    let home = Home::new();
    let good = cc_plugin(&home.build(), "good", &answers(1, 0));
    let trial = probe(&home, &good, &[]);
    assert_eq!(trial.probe, Probe::Passed);
    assert_eq!(trial.plugin.as_deref(), Some("good"));
    assert!(trial.probe_us > 0);

    let bad = victim(&home, "bad", "abort();");
    let trial = probe(&home, &bad, &[]);
    assert_eq!(
        (trial.stage, trial.phase),
        (Some(Stage::Probe), Some(Phase::Constructors))
    );
    let shown = page(home.plugind(["probe"]).arg(&bad), 5);
    holds(
        &shown,
        &[
            "rejected     at probe: ",
            "SIGABRT",
            "constructors",
            "seccomp",
            " ms\n",
            "it wrote     mark ",
        ],
    );

    // Of what the program that starts it has open it has 0, 1 and 2; its own two sockets come next.
    let scan = "for (int n = 5; n < 1000; n++) if (fcntl(n, F_GETFD) >= 0) abort();";
    let mut command = home.command("sh");
    command.args([
        "-c",
        "exec 7</dev/null 9</dev/null; exec \"$0\" probe \"$1\"",
    ]);
    command
        .arg(plugind())
        .arg(victim(&home, "descriptors", scan));
    holds(&page(&mut command, 0), &["probe        passed"]);

    let text = home.build().join("libtext.so");
    fs::write(&text, "INPUT(-lc)\n").expect("a file");
    let trial = probe(&home, &text, &[]);
    assert_eq!(
        (trial.stage, trial.probe),
        (Some(Stage::Inspect), Probe::NotProbed)
    );

    let missing = ended(home.plugind(["probe", "missing.so"]));
    missing.expect(1, &["cannot probe missing.so"]);
    let usage = ended(home.plugind(["probe", "missing.so", "--timeout", "0"]));
    usage.expect(2, &["number of seconds above 0"]);
    // Nothing stays.
    let left = fs::read_dir(home.state().join("probe")).expect("its place");
    assert_eq!(left.count(), 0);
}

fn page(command: &mut Command, code: i32) -> String {
    let output = command.output().expect("plugind starts");
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn what_the_loader_or_the_registrations_say() {
    let home = Home::new();
    let folder = folder(&home);
    let daemon = Daemon::watch(&home, &folder, &[]);

    // A symbol that nobody has.
    let missing = home.build().join("libmissing.so");
    cc(
        &missing,
        "void nowhere(void);\nvoid call(void) { nowhere(); }\n",
        &[],
    );
    let trial = probe(&home, &missing, &[]);
    assert_eq!(
        (trial.stage, trial.phase),
        (Some(Stage::Probe), Some(Phase::Open))
    );
    holds(
        &trial.reason.expect("it is rejected"),
        &["undefined symbol: nowhere", "link the library"],
    );

    // A constructor in Rust that panics.
    let panics = home.build().join("libpanics.so");
    sdk_plugin(
        &panics,
        "probe-panics",
        "extern \"C\" fn run() { panic!(\"no luck\") }\n\
         #[used]\n#[unsafe(link_section = \".init_array\")]\nstatic RUN: extern \"C\" fn() = run;\n\
         extern \"C\" fn answer() -> i64 { 42 }\nplugind_plugin::register! { answer }\n",
        &[],
    );
    let mark = daemon.mark();
    replace(&panics, &folder.join("libpanics.so"));
    let event = rejected(&daemon, mark, "a panic");
    assert_eq!(
        (event.stage, event.phase),
        (Some(Stage::Probe), Some(Phase::Constructors))
    );
    holds(
        &event.reason.expect("a reason"),
        &["SIGABRT", "panicked at", "no luck"],
    );
    let none: Ended = ended(home.plugind(["call", "probe-panics", "answer"]));
    none.expect(
        5,
        &["no version of probe-panics", "rejected at probe", "no luck"],
    );

    // Notes that declare another version than the constructors register.
    let good = home.build().join("libcontradicts.so");
    let source = "extern \"C\" fn answer() -> i64 { 42 }\nplugind_plugin::register! { answer }\n";
    sdk_plugin(&good, "contradicts", source, &[]);
    let mut image = fs::read(&good).expect("the image");
    let field = [&2_u32.to_ne_bytes()[..], &5_u32.to_ne_bytes(), b"0.1.0"].concat();
    let at = image
        .windows(field.len())
        .position(|window| window == field);
    image[at.expect("the version in the notes") + 8] = b'9';
    fs::write(&good, image).expect("the image");
    let mark = daemon.mark();
    replace(&good, &folder.join("libcontradicts.so"));
    let event = rejected(&daemon, mark, "a contradiction");
    assert_eq!(
        (event.stage, event.phase),
        (Some(Stage::Probe), Some(Phase::Registrations))
    );
    let words = ["declare contradicts 9.1.0", "register contradicts 0.1.0"];
    holds(&event.reason.expect("a reason"), &words);
}
