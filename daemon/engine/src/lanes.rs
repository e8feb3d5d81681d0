//! Which directories and files of a watched folder count.
//!
//! The folder itself and two levels below it are **lanes**: `.`, `debug`, `<triple>/release`. In a lane only `*.so`
//! and `*.so.N` count. What cargo keeps for itself (`deps`, `build`, ..) and hidden directories are left out, and so
//! is plugind's own store.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::rights::Users;

/// Directories in which cargo keeps what is not a finished artifact, or which are large and hold none.
const NOT_LANES: [&str; 9] = [
    "deps",
    "build",
    "incremental",
    "examples",
    "doc",
    "package",
    "tmp",
    "criterion",
    "node_modules",
];

/// What a watched folder looks like now.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// Lanes that exist.
    pub(crate) lanes: Vec<Lane>,
    /// Artifacts that exist, oldest first.
    pub(crate) artifacts: Vec<Found>,
    /// What could not be read, in sentences.
    pub(crate) problems: Vec<String>,
}

/// One directory that may hold artifacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lane {
    /// Relative to the folder; `.` for the folder itself.
    pub(crate) name: String,
    /// Its path below the folder as it was named.
    pub(crate) dir: PathBuf,
}

/// One artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its lane.
    pub(crate) lane: String,
    /// Its path below the folder as it was named.
    pub(crate) path: PathBuf,
    modified: SystemTime,
}

impl Layout {
    /// Reads the folder. A folder that is not there has no lanes, and is no problem.
    pub(crate) fn read(folder: &Path, own_store: &Path, owners: &Users) -> Self {
        let mut layout = Self::default();
        layout.add(folder, ".".to_owned(), (own_store, owners), 0);
        layout
            .artifacts
            .sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
        layout
    }

    fn add(&mut self, dir: &Path, name: String, with: (&Path, &Users), depth: u32) {
        let (own_store, owners) = with;
        let refused = fs::metadata(dir)
            .ok()
            .and_then(|found| owners.refuse(&found));
        if let Some(why) = refused {
            self.problems
                .push(format!("nothing is taken from {}: {why}", dir.display()));
            return;
        }
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                self.problems.push(format!(
                    "cannot read {}: {error}; make it readable for this user, it is looked at again every 30 s",
                    dir.display()
                ));
                return;
            }
        };
        for entry in entries.flatten() {
            let (path, entry_name) = (entry.path(), entry.file_name());
            if entry_name.to_str().is_none() {
                if depth < 2 && path.is_dir() {
                    self.problems.push(format!(
                        "{} is left out: its name is not UTF-8, which plugind's messages cannot carry; rename it",
                        path.display()
                    ));
                }
                continue;
            }
            // Follows links: a lane or an artifact may be one.
            let Ok(found) = fs::metadata(&path) else {
                if is_artifact(&entry_name) {
                    self.artifacts.push(Found {
                        lane: name.clone(),
                        path,
                        modified: SystemTime::UNIX_EPOCH,
                    });
                }
                continue;
            };
            if found.is_dir() && !is_artifact(&entry_name) {
                if depth < 2 && is_lane(&entry_name) && path != own_store {
                    let entry_name = entry_name.to_string_lossy();
                    let lane = if depth == 0 {
                        entry_name.into_owned()
                    } else {
                        format!("{name}/{entry_name}")
                    };
                    self.add(&path, lane, with, depth + 1);
                }
            } else if is_artifact(&entry_name) && !is_alias(&path) {
                self.artifacts.push(Found {
                    lane: name.clone(),
                    path,
                    modified: found.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                });
            }
        }
        self.lanes.push(Lane {
            name,
            dir: dir.to_owned(),
        });
    }
}

/// Whether a file name is one of an artifact: `*.so`, `*.so.N`, not hidden.
pub(crate) fn is_artifact(name: &OsStr) -> bool {
    stem(name).is_some()
}

/// The name of the plugin that a file name suggests: without `lib`, up to the first `.so`.
pub(crate) fn stem(name: &OsStr) -> Option<&str> {
    let name = name.to_str()?;
    let (stem, suffix) = name.split_once(".so")?;
    let numbers = suffix.is_empty()
        || suffix.strip_prefix('.').is_some_and(|rest| {
            rest.split('.')
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
        });
    let stem = stem
        .strip_prefix("lib")
        .filter(|rest| !rest.is_empty())
        .unwrap_or(stem);
    (numbers && !stem.is_empty() && !stem.starts_with('.')).then_some(stem)
}

/// Whether a directory name may be a lane's.
pub(crate) fn is_lane(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    !name.starts_with('.') && !NOT_LANES.contains(&&*name)
}

/// Whether a path is a second name, in its own directory, of a file that counts there under the same stem, as
/// `libz.so -> libz.so.1` is.
pub(crate) fn is_alias(path: &Path) -> bool {
    let Ok(target) = fs::read_link(path) else {
        return false;
    };
    let Some(name) = target.file_name() else {
        return false;
    };
    let parent = target.parent().unwrap_or(Path::new(""));
    let beside = parent.as_os_str().is_empty() || Some(parent) == path.parent();
    beside && stem(name).is_some() && stem(name) == path.file_name().and_then(stem)
}

/// The lane in which an executable lies, if it lies in the folder; both paths resolved.
pub(crate) fn lane_of(executable: &Path, folder: &Path) -> Option<String> {
    let dir = executable.strip_prefix(folder).ok()?.parent()?;
    let parts: Vec<_> = dir
        .components()
        .map(|part| part.as_os_str())
        .take_while(|part| is_lane(part))
        .take(2)
        .map(OsStr::to_string_lossy)
        .collect();
    Some(if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_at_the_first_so() {
        let stem_of = |name| stem(OsStr::new(name));
        assert_eq!(stem_of("libhello.so"), Some("hello"));
        assert_eq!(stem_of("hello.so"), Some("hello"));
        assert_eq!(stem_of("libz.so.1.2.13"), Some("z"));
        assert_eq!(stem_of("lib.so"), Some("lib"));
        for name in [
            "libx.so.tmp",
            ".libx.so",
            ".so",
            "libx.d",
            "libx.so.",
            "x.solid",
        ] {
            assert_eq!(stem_of(name), None, "{name}");
        }
    }

    #[test]
    fn an_executable_belongs_to_the_lane_it_lies_in() {
        let lane = |path| lane_of(Path::new(path), Path::new("/t"));
        assert_eq!(lane("/t/debug/game").as_deref(), Some("debug"));
        assert_eq!(lane("/t/debug/deps/test-1").as_deref(), Some("debug"));
        assert_eq!(
            lane("/t/x86_64-unknown-linux-gnu/release/game").as_deref(),
            Some("x86_64-unknown-linux-gnu/release")
        );
        assert_eq!(lane("/t/game").as_deref(), Some("."));
        assert_eq!(lane("/elsewhere/game"), None);
    }
}
