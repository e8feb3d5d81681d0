//! Proves that a file can be probed on request, and that what the sandbox, the loader and the registrations have against
//! it is told.

use std::fs;
use std::path::Path;
use std::process::Command;

use plugind_tests::{
    Daemon, Ended, Home, Process, Signal, answers, cc, cc_plugin, ended, holds, plugind, replace,
    sdk_plugin, until, victim,
};
use plugind_wire::event::{Event, Kind, Stage};
use plugind_wire::probe::{Level, Phase, Probe, Trial};

/// The rejection of the next version.
fn rejected(daemon: &Daemon, mark: usize, what: &str) -> Event {
    let event = daemon.wait_from(mark, what, |event| {
        assert_ne!(event.event, Kind::Published, "{what} is let through");
        event.event == Kind::Rejected
    });
    event.line
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
        let all = std::env::var_os("PLUGIND_TEST_ALL").is_some_and(|all| all == "1");
        assert!(
            !all,
            "Landlock is missing, and PLUGIND_TEST_ALL=1 allows no skips"
        );
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

/// Where the sandbox does not keep it from starting processes, they end with it.
#[test]
fn a_probe_leaves_no_process() {
    let home = Home::new();
    let told = home.path().join("child");
    let constructor = format!(
        "int child = fork(); if (!child) for (;;) pause(); \
         dprintf(open(\"{}\", O_WRONLY | O_CREAT, 0600), \"%d\", child);",
        told.display()
    );
    let image = victim(&home, "starts a process", &constructor);
    assert_eq!(
        probe(&home, &image, &["--unsandboxed"]).probe,
        Probe::Passed
    );
    let child = fs::read_to_string(told).expect("the process that it started");
    until("it ends too", || {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
}

/// Ctrl-C and SIGTERM in the middle of it, from its first moment on.
#[test]
fn a_probe_that_is_interrupted_leaves_no_copy() {
    let home = Home::new();
    let image = victim(&home, "hangs", "for (;;) pause();");
    let store = home.state().join("probe");
    let copies = || fs::read_dir(&store).map_or(0, |entries| entries.flatten().count());
    for signal in [Signal::INT, Signal::TERM, Signal::INT, Signal::TERM] {
        let mut command = home.plugind(["probe", "--json", "--timeout", "60"]);
        command.arg(&image);
        let mut probing = Process::<Trial>::spawn(command);
        until("it has begun", || (copies() > 0).then_some(()));
        probing.signal(signal);
        assert_eq!(probing.wait_exit().code(), Some(130), "{}", probing.dump());
        assert_eq!(copies(), 0, "after {signal:?}");
    }
    // One that ends by itself leaves none either.
    let good = cc_plugin(&home.build(), "good", &answers(1, 0));
    assert_eq!(probe(&home, &good, &[]).probe, Probe::Passed);
    assert_eq!(copies(), 0);
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
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
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
