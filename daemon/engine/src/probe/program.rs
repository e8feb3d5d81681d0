//! Which program tries a plugin: `plugind` itself, or a program that embeds the engine and can be started again.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use plugind_wire::status::Mode;

use super::entry;

/// This program, also after its file was replaced or removed.
const SELF: &str = "/proc/self/exe";

/// The programs to ask, best first. A daemon is `plugind` already; an embedded engine prefers one to starting its whole
/// program again.
pub(crate) fn candidates(mode: Mode) -> Vec<PathBuf> {
    let own = entry::is_entered().then(|| PathBuf::from(SELF));
    if mode == Mode::Daemon && own.is_some() {
        return own.into_iter().collect();
    }
    let named = env::var_os("PLUGIND_BIN").map(PathBuf::from);
    let beside = env::current_exe()
        .ok()
        .map(|own| own.with_file_name("plugind"));
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path)
        .map(|folder| folder.join("plugind"))
        .find(|program| is_program(program));
    let mut programs: Vec<_> = named.into_iter().collect();
    for program in [beside, on_path].into_iter().flatten() {
        if is_program(&program) && !programs.contains(&program) {
            programs.push(program);
        }
    }
    programs.extend(own);
    programs
}

/// A name without a folder would mean another program in every directory.
fn is_program(path: &Path) -> bool {
    path.is_absolute()
        && path
            .metadata()
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Why nobody tries a plugin.
pub(crate) fn nobody(tried: &[String]) -> String {
    if tried.is_empty() {
        "there is no `plugind` beside this program or on PATH, and its `main` does not begin with \
         `plugind_client::probe_entry()`; install one, name it in PLUGIND_BIN, or add the line"
            .to_owned()
    } else {
        format!(
            "{}; install the `plugind` of this release, or begin `main` with `plugind_client::probe_entry()`",
            tried.join("; ")
        )
    }
}
