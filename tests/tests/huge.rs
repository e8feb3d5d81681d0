//! Proves that a file of any size gives a verdict at once, and costs no memory: one of 3 GB, one of 1 TiB, and one that is
//! an image but for its length; in the watched folder, beside a plugin that needs it, and given to a command.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plugind_client::ClientError;
use plugind_tests::{
    Call, Daemon, Home, answers, cc, cc_plugin, connect, ended, holds, need, replace,
};
use plugind_wire::event::{Kind, Stage};

/// Holes of the file system, which take no room.
const SIZES: [(&str, u64); 2] = [("3 GB", 3_000_000_000), ("1 TiB", 1 << 40)];
/// A verdict takes no longer; to read the smaller one takes a second at best, the larger one minutes.
const SOON: Duration = Duration::from_secs(10);
/// So much address space has a command; none of the files would fit.
const ADDRESSES: u64 = 2 << 30;

/// A file with a beginning and nothing but zeros behind it.
fn huge(path: &Path, beginning: &[u8], size: u64) {
    fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder");
    fs::write(path, beginning).expect("its beginning");
    let file = File::options().write(true).open(path).expect("the file");
    file.set_len(size).expect("a file system with holes");
}

/// The beginnings: nothing, and all of a plugin.
fn beginnings(home: &Home) -> [Vec<u8>; 2] {
    let image = cc_plugin(&home.build().join("small"), "x", &answers(9, 0));
    [Vec::new(), fs::read(image).expect("the image")]
}

#[test]
fn a_command_says_what_is_wrong_with_it() {
    if !need("prlimit") {
        return;
    }
    let home = Home::new();
    // What it takes to build it is not its own time.
    plugind_tests::plugind();
    for (index, beginning) in beginnings(&home).into_iter().enumerate() {
        for (what, size) in SIZES {
            let file = home.build().join(format!("{index}/libx.so"));
            huge(&file, &beginning, size);
            for command in ["inspect", "probe"] {
                let started = Instant::now();
                let mut limited = home.command("prlimit");
                limited
                    .arg(format!("--as={ADDRESSES}"))
                    .arg("--")
                    .arg(plugind_tests::plugind())
                    .arg(command)
                    .arg(&file);
                ended(limited).expect(
                    5,
                    &[
                        &format!("it has {size} bytes"),
                        "files of up to 1073741824",
                        "`strip`",
                        "libx.so",
                    ],
                );
                assert!(started.elapsed() < SOON, "{command} {what}");
            }
        }
    }
}

/// The most memory that a process ever had, in kB.
fn most(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let size = line.and_then(|line| line.trim().strip_suffix(" kB"));
    size.expect("a size").trim().parse().expect("a number")
}

fn in_the_folder(args: &[&str]) {
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    let path = folder.join("libx.so");
    let good = cc_plugin(&home.build().join("1"), "x", &answers(1, 0));
    replace(&good, &path);
    let daemon = Daemon::watch(&home, &folder, args);
    let call = Call::watch(&home, "x", "answer");
    call.wait_result(1);
    let before = most(daemon.pid());
    let client = connect(&home, &folder);
    for beginning in beginnings(&home) {
        for (what, size) in SIZES {
            let file = home.build().join("huge/libx.so");
            huge(&file, &beginning, size);
            let mark = daemon.mark();
            let started = Instant::now();
            fs::rename(&file, &path).expect("it comes");
            let rejected = |event: &plugind_wire::event::Event| event.event == Kind::Rejected;
            let event = daemon.wait_from(mark, what, rejected).line;
            assert!(started.elapsed() < SOON, "{what}");
            let reason = event.reason.expect("a reason");
            match &*beginning {
                // Its first bytes say enough.
                [] => holds(&reason, &["ELF"]),
                _ => {
                    assert_eq!(event.stage, Some(Stage::Stage));
                    holds(&reason, &[&format!("it has {size} bytes"), "`strip`"]);
                }
            }
            // By its path it is no other.
            let opened: PathBuf = home.build().join("opened/libx.so");
            huge(&opened, &beginning, size);
            let error = client.open(&opened).expect_err("it is no plugin");
            assert!(matches!(error, ClientError::Rejected(_)), "{error:?}");
            assert_eq!(Call::once(&home, "x", "answer").result, 1);
            // The same of the next is news again.
            let mark = daemon.mark();
            replace(&good, &path);
            daemon.wait_from(mark, "what it was", |event| event.event == Kind::Unchanged);
        }
    }
    // Nobody looks at it again, and a good build goes live.
    let told = |daemon: &Daemon<'_>| daemon.events(Kind::Rejected, "x").len();
    let rejections = told(&daemon);
    replace(
        &cc_plugin(&home.build().join("2"), "x", &answers(2, 0)),
        &path,
    );
    call.wait_result(2);
    assert_eq!((told(&daemon), rejections), (4, 4));
    let after = most(daemon.pid());
    assert!(after < before + 100_000, "kB: {before}, then {after}");
}

#[test]
fn in_the_watched_folder_it_is_rejected_and_nothing_else_happens() {
    in_the_folder(&[]);
}

#[test]
fn where_the_folder_is_scanned_too() {
    in_the_folder(&["--poll"]);
}

#[test]
fn a_library_that_a_plugin_needs() {
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    let beside = home.build().join("libbeside.so");
    cc(&beside, "long long beside(void) { return 7; }\n", &[]);
    let image = home.build().join("libx.so");
    let source = "long long beside(void);\nlong long answer(void) { return beside(); }\n";
    let search = format!("-L{}", home.build().display());
    cc(&image, source, &[&search, "-lbeside", "-Wl,-rpath,$ORIGIN"]);
    let daemon = Daemon::watch(&home, &folder, &[]);
    let before = most(daemon.pid());
    let library = fs::read(&beside).expect("the library");
    huge(&folder.join("libbeside.so"), &library, 1 << 40);
    replace(&image, &folder.join("libx.so"));
    let event = daemon.wait("it is rejected", |event| {
        event.event == Kind::Rejected && event.plugin.as_deref() == Some("x")
    });
    let reason = event.line.reason.expect("a reason");
    holds(&reason, &["libbeside.so", "it has 1099511627776 bytes"]);
    assert!(most(daemon.pid()) < before + 100_000);
}
