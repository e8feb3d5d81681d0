//! Another user, whom file modes bind: root can be one.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::{Home, plugind};

/// A user who owns the parts of a home that plugind writes, and a copy of the program where that user reaches it.
pub struct Other {
    program: PathBuf,
}

impl Other {
    /// The user's number: nobody's.
    pub const UID: u32 = 65534;

    /// Hands the home over, as far as the other user needs it.
    ///
    /// # Panics
    ///
    /// If this is not root.
    pub fn enter(home: &Home) -> Self {
        for dir in [home.path().to_owned(), home.work()] {
            fs::set_permissions(dir, Permissions::from_mode(0o755)).expect("chmod");
        }
        for dir in ["run", "state", "home"] {
            let id = Some(Self::UID);
            chown(home.path().join(dir), id, id).expect("chown");
        }
        let program = home.path().join("plugind");
        // By another process: a program that this one has open for writing, or a child of it that is being started,
        // could not be run.
        let copied = Command::new("cp").arg(plugind()).arg(&program).status();
        assert!(copied.expect("cp runs").success(), "a copy of plugind");
        fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("chmod");
        Self { program }
    }

    /// `plugind` as that user.
    pub fn plugind(&self, home: &Home, args: &[&str]) -> Command {
        let mut command = home.command(&self.program);
        command.args(args).uid(Self::UID).gid(Self::UID);
        command
    }
}
