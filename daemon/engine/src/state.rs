//! What the engine keeps on disk, private to its user: an id, the numbers that were given, the images and what became
//! of them.
//!
//! ```text
//! <state>/lock                                held while an engine uses the directory
//! <state>/state.json                          id, and the last number given per plugin
//! <state>/store/tmp*                          copies in the making
//! <state>/store/<plugin>/<n>-<digest>/        a version's own directory: the image, links to what it needs
//! <state>/store/<plugin>/<n>-<digest>.json    the version's record, written when it was accepted or rejected
//! <state>/store/needed/<digest>/              copies of needed libraries
//! ```
//!
//! A number is written down before it is used, by a rename, so that a kill at any instant leaves the old file or the
//! new one and no number is ever given twice. The machine losing power is not guarded against.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use plugind_wire::place::{PlaceError, private_dir};
use plugind_wire::{Digest, VersionId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::StartError;

/// The layout of `state.json` and of the records.
const SCHEMA: u32 = 1;

/// The state directory of one engine.
#[derive(Debug)]
pub(crate) struct State {
    dir: PathBuf,
    numbers: Numbers,
    _lock: File,
}

#[derive(Debug, Serialize, Deserialize)]
struct Numbers {
    schema: u32,
    id: String,
    last: BTreeMap<String, u64>,
}

/// A failure to keep the books; the version at hand is rejected, what serves goes on.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub(crate) struct WriteError {
    path: PathBuf,
    source: io::Error,
}

impl State {
    /// Opens or makes the directory and takes its lock.
    pub(crate) fn open(dir: &Path) -> Result<Self, StartError> {
        private_dir(dir, "XDG_STATE_HOME")?;
        let failed = |source| {
            StartError::Place(PlaceError::Directory {
                path: dir.to_owned(),
                variable: "XDG_STATE_HOME",
                source,
            })
        };
        let lock = File::create(dir.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StartError::StateInUse {
                    path: dir.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        fs::create_dir_all(dir.join("store")).map_err(failed)?;
        refuse_noexec(dir)?;
        remove_leftovers(&dir.join("store")).map_err(failed)?;
        let path = dir.join("state.json");
        let numbers = match read_json::<Numbers>(&path) {
            Ok(Some(numbers)) if numbers.schema == SCHEMA => numbers,
            Ok(Some(numbers)) => {
                return Err(StartError::StateSchema {
                    path,
                    found: numbers.schema,
                    expected: SCHEMA,
                });
            }
            Ok(None) => Numbers {
                schema: SCHEMA,
                id: random_id()?,
                last: BTreeMap::new(),
            },
            Err(source) => return Err(StartError::StateUnreadable { path, source }),
        };
        let state = Self {
            dir: dir.to_owned(),
            numbers,
            _lock: lock,
        };
        state.save().map_err(|error| failed(error.source))?;
        Ok(state)
    }

    /// The directory's random id.
    pub(crate) fn id(&self) -> &str {
        &self.numbers.id
    }

    /// Where images are kept.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// Gives the plugin's next number, which is on disk when this returns.
    pub(crate) fn next(&mut self, plugin: &str) -> Result<VersionId, WriteError> {
        let last = self.numbers.last.entry(plugin.to_owned()).or_default();
        *last += 1;
        let number = *last;
        self.save()?;
        Ok(VersionId {
            plugin: plugin.to_owned(),
            number,
        })
    }

    fn save(&self) -> Result<(), WriteError> {
        write_json(&self.dir.join("state.json"), &self.numbers)
    }

    /// The directory that a version of this number and content has to itself.
    pub(crate) fn version_dir(&self, version: &VersionId, digest: &Digest) -> PathBuf {
        let folder = plugin_dir(&version.plugin);
        self.store()
            .join(folder)
            .join(format!("{}-{}", version.number, digest.short()))
    }

    /// Writes a version's record beside its directory.
    pub(crate) fn record<T: Serialize>(
        &self,
        version: &VersionId,
        digest: &Digest,
        record: &T,
    ) -> Result<(), WriteError> {
        write_json(&record_path(&self.version_dir(version, digest)), record)
    }

    /// The records of earlier runs that can still be read, in no particular order. One that cannot is left alone.
    pub(crate) fn records<T: DeserializeOwned>(&self) -> Vec<T> {
        let folders = fs::read_dir(self.store()).into_iter().flatten().flatten();
        folders
            .flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten())
            .filter(|entry| entry.path().extension().is_some_and(|e| e == "json"))
            .filter_map(|entry| read_json(&entry.path()).ok().flatten())
            .collect()
    }
}

/// A plugin's folder in the store. Names from a file are free text, so what is unusual in a folder's name is replaced;
/// two plugins that then share a folder still differ by number and digest, or fail to stage and say so.
fn plugin_dir(plugin: &str) -> String {
    let plain: String = plugin
        .chars()
        .take(64)
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => c,
            _ => '_',
        })
        .collect();
    format!("p-{plain}")
}

fn record_path(version_dir: &Path) -> PathBuf {
    let mut path = version_dir.as_os_str().to_owned();
    path.push(".json");
    path.into()
}

fn random_id() -> Result<String, StartError> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 8];
    File::open(source)
        .and_then(|mut file| io::Read::read_exact(&mut file, &mut bytes))
        .map_err(|error| StartError::StateUnreadable {
            path: source.to_owned(),
            source: error,
        })?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

/// An image in a store that is mounted noexec can be read but never opened.
fn refuse_noexec(dir: &Path) -> Result<(), StartError> {
    let mounted = rustix::fs::statvfs(dir).map_err(|error| StartError::StateUnreadable {
        path: dir.to_owned(),
        source: error.into(),
    })?;
    if mounted
        .f_flag
        .contains(rustix::fs::StatVfsMountFlags::NOEXEC)
    {
        return Err(StartError::NoExec {
            path: dir.to_owned(),
        });
    }
    Ok(())
}

/// Removes copies that an engine which was killed left half made. Only the holder of the lock comes here.
fn remove_leftovers(store: &Path) -> io::Result<()> {
    for entry in fs::read_dir(store)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("tmp") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), WriteError> {
    let write = || {
        let dir = path.parent().unwrap_or(Path::new("."));
        let mut temporary = tempfile::Builder::new().prefix("tmp").tempfile_in(dir)?;
        serde_json::to_writer(&mut temporary, value)?;
        temporary.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|source| WriteError {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_after_a_restart_and_only_one_engine_gives_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let mut state = State::open(&path).unwrap();
        assert_eq!(state.next("hello").unwrap().number, 1);
        assert_eq!(state.next("hello").unwrap().number, 2);
        assert_eq!(state.next("other").unwrap().number, 1);
        assert!(matches!(
            State::open(&path),
            Err(StartError::StateInUse { .. })
        ));
        let id = state.id().to_owned();
        drop(state);
        let mut state = State::open(&path).unwrap();
        assert_eq!(state.id(), id);
        assert_eq!(state.next("hello").unwrap().number, 3);
    }

    #[test]
    fn garbage_is_refused_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        drop(State::open(&path).unwrap());
        fs::write(path.join("state.json"), b"garbage").unwrap();
        let error = State::open(&path).unwrap_err();
        assert!(error.to_string().contains("state.json"), "{error}");
    }
}
