//! A test's own home, state and runtime directories.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use plugind_wire::status::Status;
use tempfile::TempDir;

use crate::plugind;

/// Places that no other test and no other program uses; removed on drop. The path is short because a socket's is.
pub struct Home {
    _dir: TempDir,
    path: PathBuf,
    env: Vec<(OsString, OsString)>,
}

impl Home {
    /// Makes one.
    #[expect(clippy::new_without_default, reason = "it makes directories")]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("pd")
            .tempdir_in("/tmp")
            .expect("a directory under /tmp");
        // Resolved, so that paths can be compared with those of /proc.
        let path = dir.path().canonicalize().expect("the new directory");
        for part in ["run", "state", "home", "work", "build"] {
            fs::create_dir(path.join(part)).expect("a part of the new directory");
        }
        fs::set_permissions(path.join("run"), Permissions::from_mode(0o700)).expect("chmod");
        Self {
            _dir: dir,
            path,
            env: Vec::new(),
        }
    }

    /// Adds a variable to every command made from now on.
    pub fn set_env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        self.env
            .push((key.as_ref().to_owned(), value.as_ref().to_owned()));
    }

    /// All of it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where commands run, and where folders to watch belong.
    pub fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// A place nobody watches, on the same file system as [`Home::work`].
    pub fn build(&self) -> PathBuf {
        self.path.join("build")
    }

    /// plugind's state directory.
    pub fn state(&self) -> PathBuf {
        self.path.join("state/plugind")
    }

    /// The directory of plugind's sockets.
    pub fn runtime(&self) -> PathBuf {
        self.path.join("run/plugind")
    }

    /// A command that lives here.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        // rustup and cargo look for themselves below the home directory.
        for (variable, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if let (None, Some(home)) = (env::var_os(variable), env::home_dir()) {
                command.env(variable, home.join(folder));
            }
        }
        for (key, _) in env::vars_os() {
            if key.to_string_lossy().starts_with("PLUGIND_") {
                command.env_remove(key);
            }
        }
        command
            .current_dir(self.work())
            .env("XDG_RUNTIME_DIR", self.path.join("run"))
            .env("XDG_STATE_HOME", self.path.join("state"))
            .env("HOME", self.path.join("home"))
            .envs(self.env.iter().map(|(key, value)| (key, value)));
        command
    }

    /// `plugind` with `args`, to be run here.
    pub fn plugind<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.command(plugind());
        command.args(args);
        command
    }

    /// What the engine in process `pid` knows.
    pub fn status(&self, pid: u32) -> Status {
        let output = self
            .plugind(["status", "--json", "--pid", &pid.to_string()])
            .output()
            .expect("plugind starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "plugind status: {stderr}");
        serde_json::from_slice(&output.stdout).expect("plugind status --json prints a Status")
    }
}
