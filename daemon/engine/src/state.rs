//! What the engine keeps on disk, private to its user: an id, the numbers that were given, the images and what became
//! of them.
//!
//! ```text
//! <state>/lock                                held while an engine uses the directory
//! <state>/state.json                          id, and the last number per plugin's folder, as of the last start
//! <state>/store/<id>/choices.json                 which versions somebody chose: see the module `choice`
//! <state>/numbers                             the numbers given since, a line each
//! <state>/store/<id>/tmp*                         files and directories in the making
//! <state>/store/<id>/<plugin>/<n>-<digest>/       a version's own directory: the image, links to what it needs
//! <state>/store/<id>/<plugin>/<n>-<digest>.json   the version's record, written when it was accepted or rejected
//! <state>/store/<id>/<plugin>/<n>-<digest>.notes  the notes of a rejected version, whose image goes
//! <state>/store/<id>/needed/<digest>/             copies of needed libraries
//! <state>/quarantine/                             what broke in the probe: see the module of that name
//! <state>/history*.jsonl                          what became of every version: see the module of that name
//! ```
//!
//! The id is part of every path: the loader knows libraries by name, so a name that was given once must never stand for
//! another image, also after somebody removed `state.json` and the numbers began anew.
//!
//! A number is on disk before it is used, by one small write at the end of a file, so a kill at any instant leaves no
//! number to be given twice. The machine losing power is not guarded against. (Replacing `state.json` for every number
//! would do as well, but ext4 starts to write a replaced file's blocks at once, and on a busy disk that takes 20 to
//! 250 ms.)

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use plugind_wire::place::{PlaceError, private_dir};
use plugind_wire::{Digest, VersionId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tempfile::TempDir;

use crate::StartError;
use crate::choice::Choices;
use crate::json_file::{WriteError, read_json, remove_if_there, write_json};
use crate::pid_lock;

/// The layout of `state.json` and of the records.
const SCHEMA: u32 = 2;

/// The state directory of one engine.
#[derive(Debug)]
pub(crate) struct State {
    dir: PathBuf,
    numbers: Numbers,
    /// What was given since `numbers` was saved.
    given: File,
    _lock: File,
}

#[derive(Debug, Serialize, Deserialize)]
struct Numbers {
    schema: u32,
    id: String,
    /// By the plugin's folder in the store.
    last: BTreeMap<String, u64>,
}

impl Numbers {
    fn read(path: &Path) -> Result<Option<Self>, StartError> {
        match read_json::<Self>(path) {
            Ok(Some(numbers)) if numbers.schema != SCHEMA => Err(StartError::StateSchema {
                path: path.to_owned(),
                found: numbers.schema,
                expected: SCHEMA,
            }),
            Ok(numbers) => Ok(numbers),
            Err(source) => Err(StartError::StateUnreadable {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Takes in lines of a folder and a number each; true if there was one.
    fn add(&mut self, given: &File) -> io::Result<bool> {
        let mut any = false;
        for line in BufReader::new(given).lines() {
            let line = line?;
            any = true;
            if let Some((folder, number)) = line.split_once(' ')
                && let Ok(number) = number.parse::<u64>()
            {
                let last = self.last.entry(folder.to_owned()).or_default();
                *last = number.max(*last);
            }
        }
        Ok(any)
    }
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
        let lock = dir.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(lock)
            .map_err(failed)?;
        let lock = pid_lock::take(lock)
            .map_err(failed)?
            .map_err(|pid| StartError::StateInUse {
                path: dir.to_owned(),
                pid,
            })?;
        refuse_noexec(dir)?;
        let saved = Numbers::read(&dir.join("state.json"))?;
        let is_new = saved.is_none();
        let mut numbers = match saved {
            Some(numbers) => numbers,
            None => Numbers {
                schema: SCHEMA,
                id: random_id()?,
                last: BTreeMap::new(),
            },
        };
        let given = dir.join("numbers");
        if is_new {
            // Those of another id.
            remove_if_there(&given).map_err(failed)?;
        }
        let given = File::options()
            .create(true)
            .read(true)
            .append(true)
            .open(given)
            .map_err(failed)?;
        let has_more = numbers.add(&given).map_err(failed)?;
        let state = Self {
            dir: dir.to_owned(),
            numbers,
            given,
            _lock: lock,
        };
        fs::create_dir_all(state.store()).map_err(failed)?;
        if is_new || has_more {
            state.save().map_err(|error| failed(error.source))?;
            state.given.set_len(0).map_err(failed)?;
        }
        remove_leftovers(&state.store()).map_err(failed)?;
        Ok(state)
    }

    /// The directory's random id.
    pub(crate) fn id(&self) -> &str {
        &self.numbers.id
    }

    /// The directory itself.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where images are kept.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.join("store").join(&self.numbers.id)
    }

    /// Gives the plugin's next number, and makes `made` the directory that the version of this content has to itself.
    pub(crate) fn next(
        &mut self,
        plugin: &str,
        digest: &Digest,
        made: TempDir,
    ) -> Result<(VersionId, PathBuf), WriteError> {
        let folder = plugin_dir(plugin);
        let last = self.numbers.last.entry(folder.clone()).or_default();
        *last += 1;
        let version = VersionId {
            plugin: plugin.to_owned(),
            number: *last,
        };
        let line = format!("{folder} {}\n", version.number);
        append(&mut self.given, &line).map_err(|source| WriteError {
            path: self.dir.join("numbers"),
            source,
        })?;
        let own = self.version_dir(&version, digest);
        let folder = own.parent().unwrap_or(&own);
        fs::create_dir_all(folder)
            .and_then(|()| fs::rename(made.path(), &own))
            .map_err(|source| WriteError {
                path: own.clone(),
                source,
            })?;
        // Its old path is nobody's to remove.
        let _ = made.keep();
        Ok((version, own))
    }

    fn save(&self) -> Result<(), WriteError> {
        write_json(&self.dir.join("state.json"), &self.store(), &self.numbers)
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
        let path = record_path(&self.version_dir(version, digest));
        write_json(&path, &self.store(), record)
    }

    /// What somebody chose.
    pub(crate) fn choices(&self) -> io::Result<Choices> {
        Ok(read_json(&self.choices_path())?.unwrap_or_default())
    }

    /// Writes what somebody chose.
    pub(crate) fn choose(&self, choices: &Choices) -> Result<(), WriteError> {
        write_json(&self.choices_path(), &self.store(), choices)
    }

    /// In the store, because numbers mean something within one id.
    fn choices_path(&self) -> PathBuf {
        self.store().join("choices.json")
    }

    /// Where the notes of a rejected version are kept.
    pub(crate) fn notes_path(&self, version: &VersionId, digest: &Digest) -> PathBuf {
        beside(&self.version_dir(version, digest), ".notes")
    }

    /// Removes a version's record and what lies beside it.
    pub(crate) fn forget(&self, version: &VersionId, digest: &Digest) -> io::Result<()> {
        remove_if_there(&self.notes_path(version, digest))?;
        remove_if_there(&record_path(&self.version_dir(version, digest)))
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

/// A plugin's folder in the store. Names from a file are free text, so unusual bytes are percent-encoded, and a name
/// too long for a folder is cut and told apart by its hash: no two plugins share a folder.
fn plugin_dir(plugin: &str) -> String {
    let mut dir = String::from("p-");
    for byte in plugin.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => dir.push(byte.into()),
            _ => dir.push_str(&format!("%{byte:02x}")),
        }
    }
    if dir.len() > 100 {
        dir.truncate(80);
        dir = format!("{dir}~{}", Digest::of(plugin.as_bytes()).short());
    }
    dir
}

fn record_path(version_dir: &Path) -> PathBuf {
    beside(version_dir, ".json")
}

fn beside(version_dir: &Path, suffix: &str) -> PathBuf {
    let mut path = version_dir.as_os_str().to_owned();
    path.push(suffix);
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

/// Removes what an engine that was killed left half made: temporary files, and versions without a record, which were
/// never announced. Only the holder of the lock comes here.
fn remove_leftovers(store: &Path) -> io::Result<()> {
    for entry in fs::read_dir(store)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("tmp") && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else if name.starts_with("tmp") {
            fs::remove_file(entry.path())?;
        } else if name.starts_with("p-") {
            for version in fs::read_dir(entry.path())?.flatten() {
                if version.path().is_dir() && !record_path(&version.path()).exists() {
                    fs::remove_dir_all(version.path())?;
                }
            }
        }
    }
    Ok(())
}

/// Adds a line whole or, on a full disk, not at all.
pub(crate) fn append(file: &mut File, line: &str) -> io::Result<()> {
    let before = file.metadata()?.len();
    let written = file.write_all(line.as_bytes());
    if written.is_err() {
        file.set_len(before)?;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_after_a_restart_and_only_one_engine_gives_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let mut state = State::open(&path).unwrap();
        let next = |state: &mut State, plugin: &str, content: &[u8]| {
            let made = TempDir::new_in(state.store()).unwrap();
            let next = state.next(plugin, &Digest::of(content), made);
            next.unwrap().0.number
        };
        assert_eq!(next(&mut state, "hello", b"a"), 1);
        assert_eq!(next(&mut state, "hello", b"a"), 2);
        assert_eq!(next(&mut state, "other", b"b"), 1);
        assert!(matches!(
            State::open(&path),
            Err(StartError::StateInUse { .. })
        ));
        let id = state.id().to_owned();
        drop(state);
        // What was never announced is cleared away at the first start; its number is known at the second, too.
        drop(State::open(&path).unwrap());
        let mut state = State::open(&path).unwrap();
        assert_eq!(state.id(), id);
        assert_eq!(
            fs::read_dir(state.store().join("p-hello")).unwrap().count(),
            0
        );
        assert_eq!(next(&mut state, "hello", b"c"), 3);
        let store = state.store();
        drop(state);
        fs::remove_file(path.join("state.json")).unwrap();
        let state = State::open(&path).unwrap();
        assert_ne!(
            state.store(),
            store,
            "numbers that begin anew need paths of their own"
        );
    }

    #[test]
    fn no_two_plugins_share_a_folder() {
        let long = "x".repeat(300);
        let names = ["a_b", "a.b", "a b", "a%b", "a%2eb", "ä", &long, &long[1..]];
        let dirs: std::collections::HashSet<_> =
            names.iter().map(|name| plugin_dir(name)).collect();
        assert_eq!(dirs.len(), names.len());
        assert!(
            dirs.iter()
                .all(|dir| dir.len() <= 100 && !dir.contains('/'))
        );
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
