//! Proves how `plugind call` ends when it cannot answer: the exit code says which kind of failure it was, stderr says
//! what to do, and a crash of the called code names the version and harms nobody else.

use std::fs;
use std::path::PathBuf;

use plugind_tests::{Call, Daemon, Ended, Home, cc, ended, replace};
use plugind_wire::event::Kind;

const GOOD: &str = "long long calls;\nlong long count(void) { return ++calls; }\n\
                    long long add(long long a, long long b, long long c, long long d, long long e, long long f) {\n\
                      return a + 10 * b + 100 * c + 1000 * d + 10000 * e + 100000 * f;\n\
                    }\n";

/// A home whose watched folder is `plugins`, empty and served by nobody.
fn home() -> (Home, PathBuf) {
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    (home, folder)
}

fn deliver(home: &Home, name: &str, source: &str) {
    let image = home.build().join(name);
    cc(&image, source, &[]);
    replace(&image, &home.work().join("plugins").join(name));
}

fn call(home: &Home, args: &[&str]) -> Ended {
    ended(home.plugind([&["call", "--json"], args].concat()))
}

#[test]
fn nothing_serves() {
    let (home, folder) = home();
    let nothing = ["nothing serves", "plugind watch"];
    call(&home, &["x", "count"]).expect(3, &nothing);
    ended(home.plugind(["status"])).expect(3, &nothing);
    ended(home.plugind(["stop"])).expect(3, &nothing);
    // A daemon that serves another folder does not serve this one.
    let _daemon = Daemon::watch(&home, &folder, &[]);
    let mut elsewhere = home.plugind(["call", "x", "count"]);
    elsewhere.current_dir(home.build());
    ended(elsewhere).expect(3, &nothing);
}

#[test]
fn unknown_names_and_numbers() {
    let (home, folder) = home();
    deliver(&home, "libx.so", GOOD);
    let _daemon = Daemon::watch(&home, &folder, &[]);
    call(&home, &["nobody", "count"]).expect(4, &["nobody", "there are: x"]);
    call(&home, &["x@99", "count"]).expect(4, &["x", "99"]);
    call(&home, &["nobody@1", "count"]).expect(4, &["nobody"]);
    call(&home, &["x", "nothing"]).expect(4, &["`nothing`", "x v1"]);
    call(&home, &["x@1", "nothing"]).expect(4, &["`nothing`", "x v1"]);
    call(&home, &["x@first", "count"]).expect(2, &["first"]);
    call(&home, &["x", "add", "1", "2", "3", "4", "5", "6", "7"]).expect(2, &["7"]);
    call(&home, &["x", "add", "one"]).expect(2, &["one"]);
    call(&home, &["x"]).expect(2, &["FUNCTION"]);
}

#[test]
fn an_engine_that_does_not_answer() {
    let (home, folder) = home();
    deliver(&home, "libx.so", GOOD);
    let daemon = Daemon::watch(&home, &folder, &[]);
    daemon.wait_version(Kind::Published, "x", 1);
    daemon.freeze();
    // Nobody waits for it longer than is said; side by side, because that is seconds.
    std::thread::scope(|scope| {
        for args in [
            &["status"][..],
            &["call", "x", "count"],
            &["call", "x@1", "count"],
            &["stop"],
        ] {
            let home = &home;
            scope.spawn(move || ended(home.plugind(args)).expect(7, &[]));
        }
    });
    daemon.thaw();
    assert_eq!(Call::once(&home, "x", "count").result, 1);
}

#[test]
fn arguments_and_the_line_that_people_read() {
    let (home, folder) = home();
    deliver(&home, "libx.so", GOOD);
    let daemon = Daemon::watch(&home, &folder, &[]);
    let published = daemon.wait_version(Kind::Published, "x", 1).line;
    let short = published.digest.expect("a digest").short();
    let line = |args: &[&str]| {
        let output = home.plugind(args).output().expect("plugind starts");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let add = |numbers: &[&str]| line(&[&["call", "x", "add"], numbers].concat());
    assert_eq!(
        add(&["1", "2", "3", "4", "5", "6"]),
        format!("654321\tx v1\t{short}\n")
    );
    assert_eq!(add(&["-1", "-2"]), format!("-21\tx v1\t{short}\n"));
    assert_eq!(
        add(&["9223372036854775807"]),
        format!("{}\tx v1\t{short}\n", i64::MAX)
    );
    assert_eq!(
        line(&["call", "x@1", "count"]),
        format!("1\tx v1\t{short}\n")
    );
}

/// It has no plugin's name, and is found by what a status shows of it.
#[test]
fn a_rejected_file_is_tried_again_by_its_name_or_path() {
    let (home, folder) = home();
    let file = folder.join("libbad.so");
    fs::write(&file, [b'x'; 4096]).expect("a bad build");
    let daemon = Daemon::watch(&home, &folder, &[]);
    daemon.wait("rejected", |event| event.event == Kind::Rejected);
    let retry = |name: &str| ended(home.plugind(["retry", name]));
    let path = file.to_str().expect("a readable path");
    for name in ["libbad.so", "bad", path, "plugins/libbad.so"] {
        retry(name).expect(5, &["libbad.so", "not an ELF file"]);
    }
    retry("nobody").expect(4, &["no plugin", "can be named", path]);
    // The plugin of a watched file is found by the file, too.
    deliver(&home, "libx.so", GOOD);
    daemon.wait_version(Kind::Published, "x", 1);
    retry("libx.so").expect(4, &["x waits to be tried again"]);
    let newer = fs::read(folder.join("libx.so")).expect("a good build");
    fs::write(home.build().join("good"), newer).expect("a copy");
    replace(&home.build().join("good"), &file);
    daemon.wait_version(Kind::Published, "bad", 1);
}

/// What is said of a file that is gone is true of what it gave.
#[test]
fn an_absent_file_goes_on_only_as_far_as_it_was_accepted() {
    let (home, folder) = home();
    let daemon = Daemon::watch(&home, &folder, &[]);
    deliver(&home, "libx.so", GOOD);
    daemon.wait_version(Kind::Published, "x", 1);
    let broken = "long long missing(void);\nlong long count(void) { return missing(); }\n";
    deliver(&home, "liby.so", broken);
    daemon.wait_version(Kind::Published, "y", 1);
    call(&home, &["y", "count"]).expect(5, &["undefined symbol"]);
    let gone = |name: &str, plugin: &str, what: &str| {
        fs::remove_file(folder.join(name)).expect("somebody removes it");
        let event = daemon.wait("absent", |event| {
            event.event == Kind::Absent && event.plugin.as_deref() == Some(plugin)
        });
        assert_eq!(event.line.reason.as_deref(), Some(what));
        let page = home.plugind(["status"]).output().expect("plugind starts");
        let page = String::from_utf8(page.stdout).expect("text");
        assert!(page.contains(&format!("{name}; {what}\n")), "{page}");
    };
    gone("libx.so", "x", "its v1 goes on");
    let nothing = "no version of it was accepted, so nothing of it goes on";
    gone("liby.so", "y", nothing);
}

#[test]
fn rejected_versions() {
    let (home, folder) = home();
    fs::write(folder.join("libbad.so"), [b'x'; 4096]).expect("a bad build");
    let daemon = Daemon::watch(&home, &folder, &[]);
    daemon.wait("rejected", |event| event.event == Kind::Rejected);
    // It never became a version of anything, and the answer says why.
    call(&home, &["bad", "count"]).expect(5, &["libbad.so", "not an ELF file"]);
    // A version that inspect accepts and the system's loader does not. It is raw: nobody has asked for it yet.
    deliver(
        &home,
        "libx.so",
        "long long missing(void);\nlong long count(void) { return missing(); }\n",
    );
    daemon.wait_version(Kind::Published, "x", 1);
    let reason = ["x v1", "rejected at probe", "undefined symbol: missing"];
    call(&home, &["x", "count"]).expect(5, &reason);
    call(&home, &["x@1", "count"]).expect(5, &reason);
    let rejected = daemon.wait_version(Kind::Rejected, "x", 1).line;
    assert!(rejected.reason.is_some_and(|said| said.contains(reason[2])));
    // Whoever comes now is told at once.
    call(&home, &["x", "count"]).expect(5, &["x", "v1 was rejected at probe", reason[2]]);
}

const CRASHES: &str = "#include <stdlib.h>\n\
    static long long *volatile nowhere;\n\
    long long null(void) { return *nowhere; }\n\
    long long aborts(void) { abort(); }\n\
    static long long deeper(volatile char *above, long long n) {\n\
      volatile char frame[4096];\n\
      frame[0] = above[0] + 1;\n\
      return deeper(frame, n + 1) + frame[0];\n\
    }\n\
    long long overflows(void) { volatile char top[1] = {0}; return deeper(top, 0); }\n\
    long long traps(void) { __builtin_trap(); }\n\
    long long fine(void) { return 5; }\n";

#[test]
fn crashes_of_the_called_code() {
    let (home, folder) = home();
    deliver(&home, "libgood.so", GOOD);
    deliver(&home, "libbad.so", "long long fine(void) { return 4; }\n");
    let mut daemon = Daemon::watch(&home, &folder, &[]);
    let bystander = Call::watch(&home, "good", "count");
    bystander.wait_version(1);
    daemon.wait_version(Kind::Published, "bad", 1);
    deliver(&home, "libbad.so", CRASHES);
    let digest = daemon.wait_version(Kind::Published, "bad", 2).line.digest;
    let short = digest.expect("a digest").short();

    for (function, signal) in [
        ("null", "SIGSEGV"),
        ("aborts", "SIGABRT"),
        ("overflows", "SIGSEGV"),
        ("traps", "SIGILL"),
    ] {
        let named = ["bad v2", &short, function, signal];
        call(&home, &["bad", function]).expect(5, &named);
        call(&home, &["bad@2", function]).expect(5, &named);
        call(&home, &["bad", function, "--watch"]).expect(5, &named);
    }

    let before = bystander.lines().len();
    bystander.wait_answer("the bystander answers on", |answer| {
        answer.result as usize > before
    });
    assert!(daemon.is_running());
    assert_eq!(Call::once(&home, "bad", "fine").result, 5);
    assert_eq!(Call::once(&home, "bad@1", "fine").result, 4);
}

#[test]
fn a_crash_after_the_new_version_came() {
    let (home, folder) = home();
    deliver(&home, "libx.so", "long long answer(void) { return 1; }\n");
    let _daemon = Daemon::watch(&home, &folder, &[]);
    let mut call = Call::watch(&home, "x", "answer");
    call.wait_result(1);
    deliver(
        &home,
        "libx.so",
        "#include <stdlib.h>\nlong long answer(void) { abort(); }\n",
    );
    assert_eq!(call.wait_exit().code(), Some(5), "{}", call.dump());
    let stderr = call.stderr();
    assert!(
        stderr.contains("x v2") && stderr.contains("SIGABRT"),
        "{stderr}"
    );
    // What a client before it did is no version's fault.
    assert_eq!(Call::once(&home, "x@1", "answer").result, 1);
}
