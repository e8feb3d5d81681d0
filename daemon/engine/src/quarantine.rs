//! Remembers by content what broke in the probe, so that the same bytes are not tried again: not when they are built
//! again, not after a restart, not by another engine of the same folder and program.
//!
//! A verdict is kept with what it may have come from, and counts only as long as that is the same: the libraries beside
//! the plugin, the release of plugind, for what the sandbox forbade the sandbox, for what took too long the deadline.
//! What lay around the plugin (a library or a symbol that is missing, a probe that could not be started or that somebody
//! ended) is not kept at all: it changes without the plugin's bytes, and to find it again costs a probe and no
//! constructor.
//!
//! ```text
//! <state of the folder>/quarantine/<program>/<digest>.json
//! ```
//!
//! It lies outside the private directories of embedded engines, which end with their process. Several engines use it at
//! once and without a lock: a record is one file, written whole, and read when it is asked for, so what one clears the
//! others do not find.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use plugind_wire::Digest;
use plugind_wire::probe::{Cause, Confinement, Level, Phase};
use plugind_wire::status::Mode;
use serde::{Deserialize, Serialize};

use crate::inspect::Inspected;
use crate::json_file::{WriteError, read_json, remove_if_there, write_json};
use crate::options::ProbeOptions;
use crate::probe::Failure;

/// How many records there may be; the oldest go.
pub(crate) const ROOM: usize = 256;

/// The records of one folder and program.
#[derive(Debug)]
pub(crate) struct Quarantine {
    dir: PathBuf,
}

/// A version that broke.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Of the plugind that tried it.
    release: String,
    /// Whose version it was.
    plugin: String,
    /// Content of the libraries beside it, by name.
    needed: BTreeMap<String, Digest>,
    /// How long it had.
    timeout: Duration,
    /// When it broke first.
    pub(crate) since: Timestamp,
    /// What it broke by.
    pub(crate) cause: Cause,
    /// How far it came.
    pub(crate) phase: Phase,
    /// What it did, and what to do.
    pub(crate) reason: String,
    /// What the probe had given up.
    pub(crate) level: Option<Level>,
}

/// A record that was made.
#[derive(Debug)]
pub(crate) struct Kept {
    /// When its bytes broke.
    pub(crate) since: Timestamp,
    /// The content whose records had to go for it.
    pub(crate) forgotten: Vec<Digest>,
}

impl Quarantine {
    /// That of the folder whose state lies in `base`, for this program: what breaks in one may work in another, which
    /// has other symbols.
    pub(crate) fn new(base: &Path, mode: Mode) -> Self {
        let program = match mode {
            Mode::Daemon => "daemon".to_owned(),
            Mode::Embedded => {
                let own = std::env::current_exe().unwrap_or_default();
                Digest::of(own.as_os_str().as_encoded_bytes()).short()
            }
        };
        Self {
            dir: base.join("quarantine").join(program),
        }
    }

    /// What is remembered of this content. A record that cannot be read is none.
    pub(crate) fn find(&self, digest: &Digest) -> Option<Record> {
        read_json(&self.path(digest)).ok().flatten()
    }

    /// Remembers what broke; nothing if it may break otherwise the next time.
    pub(crate) fn keep(
        &self,
        broken: &Inspected,
        options: &ProbeOptions,
        failure: &Failure,
    ) -> Result<Option<Kept>, WriteError> {
        if failure.cause == Cause::Surroundings {
            return Ok(None);
        }
        let record = Record {
            release: RELEASE.to_owned(),
            plugin: broken.staged.version.plugin.clone(),
            needed: broken.staged.needed.clone(),
            timeout: options.timeout,
            since: Timestamp::now(),
            cause: failure.cause,
            phase: failure.phase,
            reason: failure.reason.clone(),
            level: failure.level,
        };
        self.write(&broken.staged.digest, &record).map(Some)
    }

    fn write(&self, digest: &Digest, record: &Record) -> Result<Kept, WriteError> {
        write_json(&self.path(digest), &self.dir, record)?;
        Ok(Kept {
            since: record.since,
            forgotten: self.make_room(),
        })
    }

    /// Removes the oldest records above [`ROOM`], and tells which content they were of.
    fn make_room(&self) -> Vec<Digest> {
        let mut all: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        all.sort();
        all.truncate(all.len().saturating_sub(ROOM));
        all.iter()
            .filter(|(_, path)| fs::remove_file(path).is_ok())
            .filter_map(|(_, path)| path.file_stem()?.to_str()?.parse().ok())
            .collect()
    }

    /// Forgets this content.
    pub(crate) fn forget(&self, digest: &Digest) -> io::Result<()> {
        remove_if_there(&self.path(digest))
    }

    /// Forgets everything of a plugin.
    pub(crate) fn forget_plugin(&self, plugin: &str) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let record = read_json::<Record>(&entry.path()).ok().flatten();
            if record.is_some_and(|record| record.plugin == plugin) {
                remove_if_there(&entry.path())?;
            }
        }
        Ok(())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(format!("{digest}.json"))
    }
}

const RELEASE: &str = env!("CARGO_PKG_VERSION");

impl Record {
    /// Whether a probe with these options, here and now, would find the same.
    pub(crate) fn counts(&self, now: &Inspected, options: &ProbeOptions) -> bool {
        let same = self.release == RELEASE && self.needed == now.staged.needed;
        same && match self.cause {
            Cause::Plugin => true,
            Cause::Sandbox => options.confinement == Confinement::Sandboxed,
            Cause::Time => {
                options.confinement != Confinement::Off && options.timeout <= self.timeout
            }
            Cause::Surroundings => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::new(dir.path(), Mode::Daemon);
        let digest = |n: u64| Digest::of(&n.to_le_bytes());
        let record = |plugin: &str| Record {
            release: RELEASE.to_owned(),
            plugin: plugin.to_owned(),
            needed: BTreeMap::new(),
            timeout: Duration::from_secs(10),
            since: Timestamp::now(),
            cause: Cause::Plugin,
            phase: Phase::Constructors,
            reason: "it crashed".to_owned(),
            level: None,
        };
        let room = ROOM as u64;
        for n in 0..room {
            let kept = quarantine.write(&digest(n), &record("a")).unwrap();
            assert_eq!(kept.forgotten, []);
            // The files' times may be coarser than this loop is fast.
            let file = fs::File::options()
                .append(true)
                .open(quarantine.path(&digest(n)));
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(n);
            file.unwrap().set_modified(time).unwrap();
        }
        for n in [0, 1] {
            let kept = quarantine.write(&digest(room + n), &record("b")).unwrap();
            assert_eq!(kept.forgotten, [digest(n)]);
        }
        assert!(quarantine.find(&digest(1)).is_none());
        quarantine.forget(&digest(2)).unwrap();
        quarantine.forget(&digest(2)).unwrap();
        quarantine.forget_plugin("b").unwrap();
        let left = |n| quarantine.find(&digest(n)).is_some();
        assert_eq!(
            [2, 3, room - 1, room, room + 1].map(left),
            [false, true, true, false, false]
        );
    }
}
