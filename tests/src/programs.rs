//! Programs that must end by themselves, compilers among them, and a client in the test's own process.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use plugind_client::Client;

use crate::{DEADLINE, Home, Process};

/// Runs a tool to its good end and returns what it printed.
///
/// # Panics
///
/// If it fails, with what it said.
pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Compiles C into the shared object `output`; the source is left beside it. `args` come last, as libraries must.
///
/// # Panics
///
/// If the compiler fails, with what it said.
pub fn cc(output: &Path, source: &str, args: &[&str]) {
    let input = written(output, "c", source);
    run(Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([output, &input])
        .args(args));
}

/// Compiles Rust into `output`, as the crate type that `args` say.
///
/// # Panics
///
/// If the compiler fails, with what it said.
pub fn rustc(output: &Path, source: &str, args: &[&str]) {
    let input = written(output, "rs", source);
    run(Command::new("rustc")
        .args(["--edition=2024", "-o"])
        .args([output, &input])
        .args(args));
}

fn written(output: &Path, extension: &str, source: &str) -> std::path::PathBuf {
    let input = output.with_extension(extension);
    std::fs::create_dir_all(output.parent().expect("a path in a folder")).expect("the folder");
    std::fs::write(&input, source).expect("the source");
    input
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// All of its stderr.
    pub stderr: String,
}

impl Ended {
    /// Checks the exit code, and that stderr contains every one of `words`.
    ///
    /// # Panics
    ///
    /// If not.
    pub fn expect(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {self:?}");
        }
    }
}

/// Runs a command that must end by itself.
///
/// # Panics
///
/// After [`DEADLINE`].
pub fn ended(command: Command) -> Ended {
    let mut process = Process::<serde_json::Value>::spawn(command);
    let code = process.wait_exit().code();
    Ended {
        code,
        stderr: process.stderr(),
    }
}

/// A client in this process, of the daemon that serves `folder` in `home`.
///
/// # Panics
///
/// If none does.
pub fn connect(home: &Home, folder: &Path) -> Client {
    Client::builder(folder)
        .state_dir(home.state())
        .runtime_dir(home.runtime())
        .deadline(DEADLINE)
        .connect()
        .expect("the daemon answers")
}

/// A client in this process, with an engine of its own on `folder`; its calls wait for at most `deadline`.
///
/// # Panics
///
/// If the engine does not start.
pub fn embed(home: &Home, folder: &Path, deadline: Duration) -> Client {
    Client::builder(folder)
        .state_dir(home.state())
        .runtime_dir(home.runtime())
        .deadline(deadline)
        .embed()
        .expect("the engine starts")
}
