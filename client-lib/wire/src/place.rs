//! Where engines and clients meet: one socket per watched folder, in a directory that only its user can enter.
//!
//! The name of a socket is derived from the folder, so that a client finds the engine of a folder without a registry;
//! a **card** (JSON) beside each socket lets commands list what is served. Linux and macOS; on Windows a named pipe
//! would take the socket's place (unwritten).

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Component, Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use serde::{Deserialize, Serialize};

use crate::status::Mode;

/// The longest path that a Unix socket can have, in bytes (`sun_path` less its final zero).
pub const MAX_SOCKET_PATH: usize = 107;

/// Why a place cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The directory could not be made or looked at.
    #[error("cannot use the directory {}; set {variable} to a directory of your own", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// The variable that moves it.
        variable: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Other people could enter the directory.
    #[error(
        "the directory {} is not private: it must belong to you and have mode 0700 (owner {owner}, mode {mode:04o}); \
         run `chmod 700` on it or set {variable} to another one", path.display()
    )]
    NotPrivate {
        /// Which.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its mode.
        mode: u32,
        /// The variable that moves it.
        variable: &'static str,
    },
    /// The path does not fit into a socket address.
    #[error(
        "the socket path {} has {} bytes and the system allows {MAX_SOCKET_PATH}; \
         set XDG_RUNTIME_DIR or --socket to a shorter one", path.display(), path.as_os_str().len()
    )]
    SocketPathTooLong {
        /// Which.
        path: PathBuf,
    },
    /// No home directory to keep state in.
    #[error("no home directory is known; set XDG_STATE_HOME or pass --state-dir")]
    NoHome,
    /// Paths travel as JSON.
    #[error("the path {} is not UTF-8, which plugind's messages cannot carry; rename the folder", path.display())]
    NotText {
        /// Which.
        path: PathBuf,
    },
    /// The folder's path cannot be made absolute.
    #[error("cannot tell where {} is", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A watched folder: an absolute path whose last component may be missing or a link that gets switched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Resolves everything but the last component: the folder itself may not exist yet, or be a link that is switched
    /// to another directory later.
    pub fn new(path: &Path) -> Result<Self, PlaceError> {
        let failed = |source| PlaceError::Folder {
            path: path.to_owned(),
            source,
        };
        let absolute = std::path::absolute(path).map_err(failed)?;
        let plain = match absolute.components().next_back() {
            Some(Component::Normal(name)) => {
                let parent = absolute.parent().unwrap_or(Path::new("/"));
                resolve_existing(parent).join(name)
            }
            _ => resolve_existing(&absolute),
        };
        if plain.to_str().is_none() {
            return Err(PlaceError::NotText { path: plain });
        }
        Ok(Self { path: plain })
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// 16 hexadecimal digits that stand for the folder in file names.
    pub fn key(&self) -> String {
        blake3::hash(self.path.as_os_str().as_bytes()).to_hex()[..16].to_owned()
    }
}

/// Resolves the part of a path that exists and keeps the rest as it is written.
fn resolve_existing(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            let rest = path.strip_prefix(ancestor).unwrap_or(Path::new(""));
            return if rest.as_os_str().is_empty() {
                real
            } else {
                real.join(rest)
            };
        }
    }
    path.to_owned()
}

/// The directory of the sockets: `$XDG_RUNTIME_DIR/plugind`, else `plugind-<uid>` under the temporary directory. Made
/// with mode 0700 if missing.
pub fn runtime_dir() -> Result<PathBuf, PlaceError> {
    let path = match env::var_os("XDG_RUNTIME_DIR").filter(|v| !v.is_empty()) {
        Some(base) => PathBuf::from(base).join("plugind"),
        None => env::temp_dir().join(format!("plugind-{}", rustix::process::getuid().as_raw())),
    };
    private_dir(&path, "XDG_RUNTIME_DIR")?;
    Ok(path)
}

/// The directory of state and store: `$XDG_STATE_HOME/plugind`, else `~/.local/state/plugind`. Not made here.
pub fn state_dir() -> Result<PathBuf, PlaceError> {
    match env::var_os("XDG_STATE_HOME").filter(|v| !v.is_empty()) {
        Some(base) => Ok(PathBuf::from(base).join("plugind")),
        None => env::home_dir()
            .filter(|home| !home.as_os_str().is_empty())
            .map(|home| home.join(".local/state/plugind"))
            .ok_or(PlaceError::NoHome),
    }
}

/// Makes a directory with mode 0700 where none is, and checks that what is there is private: `variable` is what the
/// error tells the user to set instead.
pub fn private_dir(path: &Path, variable: &'static str) -> Result<(), PlaceError> {
    let failed = |source| PlaceError::Directory {
        path: path.to_owned(),
        variable,
        source,
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed)?;
    let found = fs::metadata(path).map_err(failed)?;
    let mode = found.mode() & 0o7777;
    if found.uid() != rustix::process::geteuid().as_raw() || mode & 0o077 != 0 {
        return Err(PlaceError::NotPrivate {
            path: path.to_owned(),
            owner: found.uid(),
            mode,
            variable,
        });
    }
    Ok(())
}

/// The socket of the daemon that serves `folder`.
pub fn daemon_socket(runtime: &Path, folder: &Folder) -> PathBuf {
    runtime.join(format!("{}.sock", folder.key()))
}

/// The socket of an engine embedded in process `pid`; `nth` counts the engines of one process from 0.
pub fn embedded_socket(runtime: &Path, folder: &Folder, pid: u32, nth: u32) -> PathBuf {
    let key = folder.key();
    runtime.join(match nth {
        0 => format!("{key}-{pid}.sock"),
        _ => format!("{key}-{pid}-{nth}.sock"),
    })
}

/// Refuses a path that no socket can have, before anything is bound or connected.
pub fn check_socket_path(path: &Path) -> Result<(), PlaceError> {
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(PlaceError::SocketPathTooLong {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// Where the card of the engine at `socket` is.
pub fn card_path(socket: &Path) -> PathBuf {
    beside(socket, ".json")
}

/// Where the lock of the daemon at `socket` is.
pub fn lock_path(socket: &Path) -> PathBuf {
    beside(socket, ".lock")
}

/// Appended, not put in the place of an extension: the user may choose a socket's name.
fn beside(socket: &Path, suffix: &str) -> PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Connects to an engine if it answers now.
///
/// # Errors
///
/// Also when the engine's queue of connections is full, as a stopped engine's is sooner or later: this never waits.
pub fn connect(socket: &Path) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(socket)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&fd, &address)?;
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// What stands beside a socket for people and commands that look for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The watched folder.
    pub folder: PathBuf,
    /// The engine's process.
    pub pid: u32,
    /// Daemon or embedded.
    pub mode: Mode,
    /// The plugind release.
    pub release: String,
    /// The socket.
    pub socket: PathBuf,
}

/// The cards of all engines that answer now, in no particular order.
pub fn serving(runtime: &Path) -> Vec<Card> {
    let mut cards = cards(runtime);
    cards.retain(|card| connect(&card.socket).is_ok());
    cards
}

/// All cards, also those that an engine left behind when it was killed.
pub fn cards(runtime: &Path) -> Vec<Card> {
    let Ok(entries) = fs::read_dir(runtime) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.path().extension() == Some(OsStr::new("json")))
        .filter_map(|entry| serde_json::from_slice::<Card>(&fs::read(entry.path()).ok()?).ok())
        .collect()
}

/// The cards nearest to `here`: those whose folder contains `here`, the deepest first; else those below `here`, fewest
/// components first. More than one is returned only when they are equally near.
pub fn nearest(cards: Vec<Card>, here: &Path) -> Vec<Card> {
    let depth = |card: &Card| card.folder.components().count();
    // The folder may be a link, and `here` what it points to.
    let contains = |card: &Card| {
        here.starts_with(&card.folder)
            || card
                .folder
                .canonicalize()
                .is_ok_and(|real| here.starts_with(real))
    };
    let (containing, others): (Vec<_>, Vec<_>) = cards.into_iter().partition(contains);
    if let Some(deepest) = containing.iter().map(depth).max() {
        return containing
            .into_iter()
            .filter(|card| depth(card) == deepest)
            .collect();
    }
    let below: Vec<_> = others
        .into_iter()
        .filter(|card| card.folder.starts_with(here))
        .collect();
    let Some(shallowest) = below.iter().map(depth).min() else {
        return Vec::new();
    };
    below
        .into_iter()
        .filter(|card| depth(card) == shallowest)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(folder: &str, pid: u32) -> Card {
        Card {
            folder: folder.into(),
            pid,
            mode: Mode::Daemon,
            release: String::new(),
            socket: PathBuf::new(),
        }
    }

    fn pids(cards: &[Card], here: &str) -> Vec<u32> {
        let mut pids: Vec<_> = nearest(cards.to_vec(), Path::new(here))
            .iter()
            .map(|card| card.pid)
            .collect();
        pids.sort_unstable();
        pids
    }

    #[test]
    fn the_nearest_folder_wins_and_equals_are_listed() {
        let cards = [
            card("/p", 1),
            card("/p/target", 2),
            card("/q/a/target", 3),
            card("/q/target", 4),
            card("/q/target", 5),
        ];
        assert_eq!(pids(&cards, "/p/target/debug"), [2]);
        assert_eq!(pids(&cards, "/p/src"), [1]);
        assert_eq!(pids(&cards, "/q"), [4, 5]);
        assert_eq!(pids(&cards, "/elsewhere"), [0; 0]);
    }

    #[test]
    fn a_folder_keeps_its_key_when_it_becomes_a_link() {
        let base = env::temp_dir().join(format!("plugind-place-{}", std::process::id()));
        fs::create_dir_all(base.join("real")).unwrap();
        let before = Folder::new(&base.join("target")).unwrap().key();
        std::os::unix::fs::symlink(base.join("real"), base.join("target")).unwrap();
        let after = Folder::new(&base.join("target")).unwrap().key();
        fs::remove_dir_all(&base).unwrap();
        assert_eq!(before, after);
    }
}
