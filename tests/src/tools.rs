//! Tools that may be missing, places for what is built once, and lines that are seen even when a test passes.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// True when `tool` is on the search path. Otherwise says so, adds a line to `skipped` in [`scratch`], which
/// `scripts/test` counts, and leaves it to the test to return.
///
/// # Panics
///
/// If the tool is missing and `PLUGIND_TEST_ALL=1`.
pub fn need(tool: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|folder| folder.join(tool).is_file()) {
        return true;
    }
    skip(tool)
}

/// True for root. Otherwise as [`need`].
///
/// # Panics
///
/// If this is not root and `PLUGIND_TEST_ALL=1`.
pub fn need_root() -> bool {
    rustix::process::geteuid().is_root() || skip("root")
}

fn skip(what: &str) -> bool {
    assert!(
        env::var_os("PLUGIND_TEST_ALL").is_none_or(|all| all != "1"),
        "this test needs {what}, and PLUGIND_TEST_ALL=1 allows no skips"
    );
    let test = thread::current().name().unwrap_or("?").to_owned();
    say(&format!("{test}: skipped: needs {what}"));
    let mut list = OpenOptions::new()
        .create(true)
        .append(true)
        .open(scratch().join("skipped"))
        .expect("the list of skipped tests");
    writeln!(list, "{test} needs {what}").expect("the list of skipped tests");
    false
}

/// The target directory's `tmp`, as cargo names it to tests (`CARGO_TARGET_TMPDIR`) but not to this library.
pub fn scratch() -> PathBuf {
    let test = env::current_exe().expect("the test's own path");
    // target/<profile>/deps/<test>
    let target = test
        .ancestors()
        .nth(3)
        .expect("a test runs in target/<profile>/deps");
    let scratch = target.join("tmp");
    fs::create_dir_all(&scratch).expect("the target directory's tmp");
    scratch
}

/// Writes a line to the terminal. The test framework swallows what `println!` writes in a test that passes.
pub fn say(line: &str) {
    // Nobody reads it: no reason to fail.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Says latencies, of what `what` says, with their median and worst. For people: no test fails on a time.
pub fn report(what: &str, latencies: &[Duration]) {
    let ms = |latency: &Duration| format!("{:.1}", latency.as_secs_f64() * 1e3);
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let (Some(median), Some(worst)) = (sorted.get(sorted.len() / 2), sorted.last()) else {
        return;
    };
    let each: Vec<_> = latencies.iter().map(ms).collect();
    say(&format!(
        "{what}, ms: {}; median {}, worst {}",
        each.join(" "),
        ms(median),
        ms(worst)
    ));
}
