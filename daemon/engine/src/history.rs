//! Keeps what became of every version, in a file that survives the engine: each outcome once, none that was told lost.
//!
//! ```text
//! <state>/history.jsonl       the newest outcomes, one `plugind_wire::history::Entry` a line
//! <state>/history.old.jsonl   those before, until there are as many new ones again
//! ```
//!
//! An outcome is a line before anybody hears of it: one small write at the end of the file, which a kill of the process
//! cannot undo. The machine losing power is not guarded against. A line comes after the version's record, and a kill
//! between the two leaves a record without a line; the next start finds it and adds what is missing. What the files say
//! already is known, so that nothing is added twice.
//!
//! A line that cannot be read (half of one, other bytes, a newer release's) is left out of every answer, and told once.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use plugind_wire::SCHEMA;
use plugind_wire::event::Stage;
use plugind_wire::history::{Entry, Outcome};
use plugind_wire::status;

use crate::catalogue::{Progress, Version};
use crate::json_file::WriteError;
use crate::state::append;

/// How long one of the two files may become, in bytes. A line has 400 to 600 of them, so that at least the newest 6,000
/// outcomes are kept, and all of them together fit into one message (`plugind_wire::framing::MAX_LINE`).
const ROOM: u64 = 4 << 20;

/// The history of one state directory.
#[derive(Debug)]
pub(crate) struct History {
    dir: PathBuf,
    /// The state directory's id; entries under another one are shown, and their numbers mean nothing here.
    state: String,
    room: u64,
    file: Option<File>,
    /// What the newer file says.
    newer: Known,
    /// What the older one says.
    older: Known,
    /// Versions that were staged before this may have had lines that are gone.
    complete_since: Option<Timestamp>,
    /// A line could not be written.
    incomplete: bool,
    /// The newest line could not.
    fails: bool,
}

/// What a file says, in short.
#[derive(Debug, Default)]
struct Known {
    /// Plugins, and outcomes of their versions.
    said: HashSet<Key>,
    /// What was last said of files that became no version.
    files: HashMap<String, (Timestamp, Option<Stage>, Option<String>)>,
}

/// What stands for words in memory, which a long history would fill: the beginning of their hash, too long for two to meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key([u8; 16]);

impl Key {
    fn of_plugin(plugin: &str) -> Self {
        Self::of(&plugin)
    }

    /// A version can be refused by several, and be live first in one only.
    fn of_outcome(plugin: &str, number: u64, entry: &Entry) -> Self {
        let client = entry.client.as_ref();
        let refuser = client.filter(|_| entry.outcome == Outcome::Refused);
        let refuser = refuser.map(|client| (client.pid, &client.program));
        Self::of(&(plugin, number, entry.outcome.word(), refuser))
    }

    fn of(words: &impl std::fmt::Debug) -> Self {
        // Quotes and commas keep apart what stands side by side.
        let hash = blake3::hash(format!("{words:?}").as_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(&hash.as_bytes()[..16]);
        Self(key)
    }
}

/// The files as they were at one moment; what is added later is not seen.
pub(crate) struct Held(Vec<(File, u64)>);

impl History {
    /// Reads what there is, and says in a sentence what of it cannot be read.
    pub(crate) fn open(dir: &Path, state: &str) -> (Self, Option<String>) {
        Self::with_room(dir, state, ROOM)
    }

    fn with_room(dir: &Path, state: &str, room: u64) -> (Self, Option<String>) {
        let mut history = Self {
            dir: dir.to_owned(),
            state: state.to_owned(),
            room,
            file: None,
            newer: Known::default(),
            older: Known::default(),
            complete_since: None,
            incomplete: false,
            fails: false,
        };
        let problem = history.load();
        (history, problem)
    }

    fn load(&mut self) -> Option<String> {
        let (mut unreadable, mut first) = (0, None);
        let (mut older, mut newer) = (Known::default(), Known::default());
        let result = read(&self.older_path(), &mut |entry| match entry {
            Some(entry) => {
                first.get_or_insert(entry.time);
                older.add(&entry, &self.state);
            }
            None => unreadable += 1,
        })
        .and_then(|()| {
            drop_torn_line(&self.path())?;
            read(&self.path(), &mut |entry| match entry {
                Some(entry) => newer.add(&entry, &self.state),
                None => unreadable += 1,
            })
        });
        (self.older, self.newer, self.complete_since) = (older, newer, first);
        let dir = self.dir.display();
        match result {
            Err(error) => Some(format!(
                "the history in {dir} cannot be read: {error}; what becomes of versions may be missing from it"
            )),
            Ok(()) if unreadable > 0 => Some(format!(
                "lines of the history that cannot be read, or are a newer plugind's, are left out: {unreadable}; they \
                 are in {dir}/history*.jsonl"
            )),
            Ok(()) => None,
        }
    }

    /// An entry of now about a version.
    pub(crate) fn entry(&self, outcome: Outcome, version: &Version) -> Entry {
        let shown = &version.shown;
        let reason = match outcome {
            Outcome::Rejected => shown.why(&version.plugin),
            Outcome::Published if !shown.warnings.is_empty() => Some(shown.warnings.join("; ")),
            _ => None,
        };
        Entry {
            plugin: Some(version.plugin.clone()),
            version: Some(shown.version),
            semver: shown.semver.clone(),
            digest: Some(shown.digest),
            lane: shown.lane.clone(),
            stage: shown.stage.filter(|_| outcome == Outcome::Rejected),
            reason,
            timings_us: Some(shown.timings_us),
            ..self.of_file(outcome, &shown.artifact)
        }
    }

    /// An entry of now about a file.
    pub(crate) fn of_file(&self, outcome: Outcome, artifact: &Path) -> Entry {
        Entry {
            schema: SCHEMA,
            time: Timestamp::now(),
            outcome,
            state: self.state.clone(),
            plugin: None,
            version: None,
            semver: None,
            digest: None,
            lane: None,
            artifact: artifact.display().to_string(),
            stage: None,
            reason: None,
            client: None,
            timings_us: None,
            opened_us: None,
        }
    }

    /// Adds an entry; false if the outcome is there already. On a full disk nothing of it is.
    pub(crate) fn add(&mut self, entry: &Entry) -> Result<bool, WriteError> {
        if self.knows(entry) {
            return Ok(false);
        }
        let written = self.write(entry);
        self.fails = written.is_err();
        self.incomplete |= self.fails;
        written.map_err(|source| WriteError {
            path: self.path(),
            source,
        })?;
        let state = std::mem::take(&mut self.state);
        self.newer.add(entry, &state);
        self.state = state;
        Ok(true)
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_string(entry)?;
        line.push('\n');
        let path = self.path();
        let mut file = match self.file.take() {
            Some(file) => file,
            None => appending(&path)?,
        };
        if file.metadata()?.len() >= self.room {
            fs::rename(&path, self.older_path())?;
            file = appending(&path)?;
            self.older = std::mem::take(&mut self.newer);
            // Whatever was staged before now may have lines among those that are gone.
            self.complete_since = Some(entry.time);
        }
        append(self.file.insert(file), &line)
    }

    fn knows(&self, entry: &Entry) -> bool {
        self.newer.has(entry) || self.older.has(entry)
    }

    /// Whether anything is said of a plugin.
    pub(crate) fn knows_plugin(&self, plugin: &str) -> bool {
        [&self.newer, &self.older]
            .iter()
            .any(|known| known.said.contains(&Key::of_plugin(plugin)))
    }

    /// Whether the newest line could not be written.
    pub(crate) fn fails(&self) -> bool {
        self.fails
    }

    /// Whether a line could not be written since this was asked last.
    pub(crate) fn was_incomplete(&mut self) -> bool {
        std::mem::take(&mut self.incomplete)
    }

    /// What the records of versions say and the files do not, oldest first: plugind was killed in between, or the disk
    /// was full.
    pub(crate) fn missing<'a>(&self, versions: impl Iterator<Item = &'a Version>) -> Vec<Entry> {
        let mut missing: Vec<_> = versions
            .filter(|version| {
                let since = self.complete_since;
                since.is_none_or(|since| version.shown.staged >= since)
            })
            .flat_map(|version| outcomes(version).iter().map(move |o| (*o, version)))
            .map(|(outcome, version)| Entry {
                time: decided(version),
                ..self.entry(outcome, version)
            })
            .filter(|entry| !self.knows(entry))
            .collect();
        missing.sort_by_key(|entry| entry.time);
        missing
    }

    /// The files as they are now.
    pub(crate) fn hold(&self) -> io::Result<Held> {
        let mut held = Vec::new();
        for path in [self.older_path(), self.path()] {
            match File::open(path) {
                Ok(file) => {
                    let length = file.metadata()?.len();
                    held.push((file, length));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Held(held))
    }

    fn path(&self) -> PathBuf {
        self.dir.join("history.jsonl")
    }

    fn older_path(&self) -> PathBuf {
        self.dir.join("history.old.jsonl")
    }
}

impl Held {
    /// The entries of a plugin, or of all; the newest `last` of them, oldest first.
    pub(crate) fn entries(self, plugin: Option<&str>, last: Option<u64>) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for (file, length) in self.0 {
            each_line(file.take(length), &mut |entry| {
                entries.extend(entry.filter(|entry| entry.is_of(plugin)));
            })?;
        }
        let last = last.map_or(usize::MAX, |last| {
            usize::try_from(last).unwrap_or(usize::MAX)
        });
        entries.drain(..entries.len().saturating_sub(last));
        Ok(entries)
    }
}

impl Known {
    fn add(&mut self, entry: &Entry, state: &str) {
        match (&entry.plugin, entry.version) {
            (Some(plugin), Some(number)) if entry.state == state => {
                self.said.insert(Key::of_plugin(plugin));
                self.said.insert(Key::of_outcome(plugin, number, entry));
            }
            (_, None) => {
                let said = (entry.time, entry.stage, entry.reason.clone());
                self.files.insert(entry.artifact.clone(), said);
            }
            _ => {}
        }
    }

    fn has(&self, entry: &Entry) -> bool {
        let (Some(plugin), Some(number)) = (&entry.plugin, entry.version) else {
            let said = self.files.get(&entry.artifact);
            return said.is_some_and(|(time, stage, reason)| {
                (stage, reason) == (&entry.stage, &entry.reason)
                    && !changed_since(Path::new(&entry.artifact), *time)
            });
        };
        self.said.contains(&Key::of_outcome(plugin, number, entry))
    }
}

/// Whether the file was written after what was said of it. A file that is gone was not.
fn changed_since(file: &Path, time: Timestamp) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(file).is_ok_and(|found| {
        let nanos = i32::try_from(found.ctime_nsec()).unwrap_or(0);
        Timestamp::new(found.ctime(), nanos).is_ok_and(|changed| changed > time)
    })
}

/// What a version's record says of it.
fn outcomes(version: &Version) -> &'static [Outcome] {
    match (version.progress, version.shown.outcome) {
        (Progress::Rejected, _) => &[Outcome::Rejected],
        (_, status::Outcome::Published) => &[Outcome::Published],
        (_, status::Outcome::Live) => &[Outcome::Published, Outcome::Live],
        (_, status::Outcome::Superseded) => &[Outcome::Published, Outcome::Superseded],
        _ => &[],
    }
}

/// When a version left the line, as far as its record tells.
fn decided(version: &Version) -> Timestamp {
    let took = version.shown.timings_us;
    let micros = [took.inspect, took.probe, took.publish].iter().sum::<u64>();
    let took = SignedDuration::from_micros(i64::try_from(micros).unwrap_or(0));
    let decided = version.shown.staged.checked_add(took);
    decided.unwrap_or(version.shown.staged)
}

fn appending(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

/// Cuts off what a writer that was killed left of its last line: the next one must begin on a line of its own.
fn drop_torn_line(path: &Path) -> io::Result<()> {
    let content = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        content => content?,
    };
    let whole = content.iter().rposition(|byte| *byte == b'\n');
    let whole = whole.map_or(0, |at| at + 1);
    if whole < content.len() {
        tracing::warn!(path = %path.display(), "half of a line is dropped");
        File::options()
            .write(true)
            .open(path)?
            .set_len(whole as u64)?;
    }
    Ok(())
}

fn read(path: &Path, each: &mut dyn FnMut(Option<Entry>)) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => each_line(file, each),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Gives each line's entry, or nothing for one that cannot be read.
fn each_line(file: impl Read, each: &mut dyn FnMut(Option<Entry>)) -> io::Result<()> {
    let mut file = BufReader::new(file);
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        let entry = serde_json::from_slice::<Entry>(&line).ok();
        each(entry.filter(|entry| entry.schema == SCHEMA));
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
