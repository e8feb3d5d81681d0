//! `plugind call`, and any other program that prints its answers in the same lines.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Command, Output};

use crate::{Answer, Home, Process, Seen};

/// A client process whose answers are collected; see [`Process`] for its signals.
pub struct Call {
    process: Process<Answer>,
}

impl Call {
    /// Starts `plugind call PLUGIN FUNCTION --watch --json`.
    pub fn watch(home: &Home, plugin: &str, function: &str) -> Self {
        Self::spawn(home.plugind(["call", plugin, function, "--watch", "--json"]))
    }

    /// Starts the suites' host at `program` on `dir`; `mode` is `embed`, `connect` or `watch`, as the client library
    /// has them.
    pub fn host(
        home: &Home,
        program: &Path,
        mode: &str,
        dir: &Path,
        plugin: &str,
        function: &str,
    ) -> Self {
        let mut command = home.command(program);
        command.arg(mode).arg(dir).args([plugin, function]);
        Self::spawn(command)
    }

    /// Starts a command that prints such lines.
    pub fn spawn(command: Command) -> Self {
        Self {
            process: Process::spawn(command),
        }
    }

    /// One call, without `--watch`; `plugin` may say `hello@1`.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn once(home: &Home, plugin: &str, function: &str) -> Answer {
        let output = Self::output(home, plugin, function);
        assert!(
            output.status.success(),
            "plugind call {plugin} {function}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).expect("plugind call --json prints one answer")
    }

    /// One call, whatever comes of it.
    pub fn output(home: &Home, plugin: &str, function: &str) -> Output {
        home.plugind(["call", plugin, function, "--json"])
            .output()
            .expect("plugind starts")
    }

    /// The first answer ever that `wanted` accepts.
    ///
    /// # Panics
    ///
    /// After the deadline, with all answers so far and stderr.
    pub fn wait_answer(&self, what: &str, wanted: impl Fn(&Answer) -> bool) -> Seen<Answer> {
        self.process.wait(what, 0, wanted, String::new)
    }

    /// The first answer ever with this result.
    pub fn wait_result(&self, result: i64) -> Seen<Answer> {
        self.wait_answer(&format!("the answer {result}"), |answer| {
            answer.result == result
        })
    }

    /// The first answer of version `number`.
    pub fn wait_version(&self, number: u64) -> Seen<Answer> {
        self.wait_answer(&format!("an answer of version {number}"), |answer| {
            answer.version == number
        })
    }

    /// All answers until now, as version and result.
    pub fn answers(&self) -> Vec<(u64, i64)> {
        let lines = self.lines();
        lines
            .iter()
            .map(|seen| (seen.line.version, seen.line.result))
            .collect()
    }
}

impl Deref for Call {
    type Target = Process<Answer>;

    fn deref(&self) -> &Self::Target {
        &self.process
    }
}

impl DerefMut for Call {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.process
    }
}
