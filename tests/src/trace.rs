//! The system calls of a program, as `strace` writes them down or hinders them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Home, until};

/// A file that `strace` fills.
pub struct Trace {
    file: PathBuf,
}

impl Trace {
    /// Turns `command` into one whose opens and mappings are written down. The command keeps its process id: the
    /// tracer runs beside it, not above it.
    pub fn of(home: &Home, command: &Command) -> (Self, Command) {
        let file = home.path().join("trace");
        let mut traced = home.command("strace");
        traced
            .args(["-D", "-f", "-q", "-y", "-s", "4096"])
            .args(["-e", "trace=?open,openat,?openat2,mmap", "-o"])
            .arg(&file)
            .arg(command.get_program());
        traced.args(command.get_args().map(OsString::from));
        (Self { file }, traced)
    }

    /// Turns `command` into one some of whose system calls fail, wait, or are the program's last, as `inject` says it
    /// to `strace -e`; only those on the file at `on`, if it is given. The command keeps its process id.
    pub fn hinder(home: &Home, command: &Command, inject: &str, on: Option<&Path>) -> Command {
        let mut hindered = home.command("strace");
        hindered.args(["-D", "-f", "-q", "-e", inject, "-o", "/dev/null"]);
        if let Some(path) = on {
            hindered.arg("-P").arg(path);
        }
        hindered.arg(command.get_program());
        hindered.args(command.get_args().map(OsString::from));
        hindered
    }

    /// Every line, once process `pid`, which has ended, has ended in the trace too.
    pub fn finished(&self, pid: u32) -> Vec<String> {
        let end = format!("{pid} ");
        until("strace writes the end of the process", || {
            let text = fs::read_to_string(&self.file).ok()?;
            let ended = text
                .lines()
                .any(|line| line.starts_with(&end) && line.contains("+++"));
            ended.then(|| text.lines().map(str::to_owned).collect())
        })
    }
}
