//! What the engine's thread does with the quarantine: lists what is in it, and on request tries rejected builds again
//! from their files, whatever is remembered of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use plugind_wire::event::{Event, Kind};
use plugind_wire::message::Failure;
use plugind_wire::{Digest, VersionId, sentence};

use crate::catalogue::{Catalogue, Plugin, Progress};
use crate::clients::Waiter;
use crate::engine::Loop;
use crate::lanes;
use crate::probe::Memory;
use crate::quarantine::ROOM;

/// So many rejected files are told to who asks for something else.
const FILES: usize = 5;

impl Loop {
    /// Since when a version that failed is in quarantine, if it is.
    pub(crate) fn remembered(&mut self, memory: Memory) -> Option<Timestamp> {
        match memory {
            Memory::Known(since) => Some(since),
            Memory::New(kept) => {
                self.forgotten(&kept.forgotten);
                Some(kept.since)
            }
            Memory::Nothing => None,
            Memory::Lost(error) => {
                let error = sentence(&error);
                self.warn(&format!(
                    "a build that broke will be tried again: {error}; free some space there"
                ));
                None
            }
        }
    }

    /// The quarantine is full, and what was in it longest is not any more.
    fn forgotten(&mut self, content: &[Digest]) {
        if content.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.quarantine_is_full, true) {
            let mut event = Event::new(Kind::Warning);
            event.reason = Some(format!(
                "the quarantine has room for {ROOM} builds, so the oldest are forgotten, and tried again if they are \
                 built again"
            ));
            self.tell(event);
        }
        let plugins = self.catalogue.plugins.values();
        let released: Vec<_> = plugins
            .flat_map(|plugin| plugin.versions())
            .filter(|version| {
                version.shown.quarantined.is_some() && content.contains(&version.shown.digest)
            })
            .map(|version| version.id())
            .collect();
        for id in released {
            self.catalogue
                .change(&id, |version| version.shown.quarantined = None);
        }
    }

    /// Tries every file of the plugin again that is there and whose newest version was rejected. The newest of them is
    /// what is waited for. A file that could not become a version is known by its path or name, as a status lists it.
    pub(crate) fn retry(&mut self, name: &str, waiter: Waiter) {
        let name = &match self.catalogue.plugin_of(name) {
            Some(plugin) => plugin.to_owned(),
            None => return self.retry_files(name, waiter),
        };
        let Some(plugin) = self.catalogue.plugins.get(name) else {
            return self.retry_files(name, waiter);
        };
        let rejected = plugin.rejected_files();
        if rejected.is_empty() {
            let reason = format!(
                "no build of {name} waits to be tried again: the newest of each file was not rejected"
            );
            self.fail(waiter, Failure::Unknown, &reason);
            return;
        }
        self.release(name);
        let mut waiter = Some(waiter);
        for file in rejected.values().rev().filter(|file| file.exists()) {
            self.try_again(file, waiter.take());
        }
        if let Some(waiter) = waiter {
            let files: Vec<_> = rejected
                .values()
                .map(|file| file.display().to_string())
                .collect();
            let reason = format!("{} is gone; build it again", files.join(", "));
            self.fail(waiter, Failure::Rejected, &reason);
        }
    }

    /// Tries files again that gave no version, so that nothing is remembered of them.
    fn retry_files(&mut self, name: &str, waiter: Waiter) {
        let files = self.catalogue.rejected_files.keys();
        let meant: Vec<_> = files
            .filter(|file| is_called(file, name))
            .cloned()
            .collect();
        let mut waiter = Some(waiter);
        for file in &meant {
            let waiting = self.retrying.entry(file.clone()).or_default();
            waiting.extend(waiter.take());
            self.copy_again(file);
        }
        if let Some(waiter) = waiter {
            let files = self.catalogue.rejected_files.keys().take(FILES);
            let files: Vec<_> = files.map(|file| file.display().to_string()).collect();
            let mut reason = self.unknown_plugin(name);
            if !files.is_empty() {
                reason += &format!(
                    "; these files are rejected and can be named: {}",
                    files.join(", ")
                );
            }
            self.fail(waiter, Failure::Unknown, &reason);
        }
    }

    /// Forgets what is remembered of a plugin.
    fn release(&mut self, name: &str) {
        let Some(plugin) = self.catalogue.plugins.get(name) else {
            return;
        };
        let held: Vec<_> = plugin
            .versions()
            .filter(|version| version.shown.quarantined.is_some())
            .map(|version| (version.id(), version.shown.digest))
            .collect();
        // Those of an earlier run of a program that embeds this engine are known by the plugin's name alone.
        let mut released = self.quarantine.forget_plugin(name);
        for (id, digest) in held {
            released = released.and(self.quarantine.forget(&digest));
            self.catalogue
                .change(&id, |version| version.shown.quarantined = None);
            self.keep(&id);
        }
        if let Err(error) = released {
            self.warn(&format!(
                "a build of {name} stays in quarantine: {error}; remove its file by hand"
            ));
        }
    }

    fn try_again(&mut self, file: &Path, waiter: Option<Waiter>) {
        if self.catalogue.artifacts.contains_key(file) {
            let waiting = self.retrying.entry(file.to_owned()).or_default();
            waiting.extend(waiter);
            self.copy_again(file);
        } else {
            // It was opened by its path.
            self.open(file.to_owned(), waiter);
        }
    }

    /// The artifact became a version: who waits for it waits for that.
    pub(crate) fn numbered(&mut self, artifact: &Path, id: &VersionId) {
        if let Some(waiters) = self.retrying.remove(artifact) {
            self.waiting.entry(id.clone()).or_default().extend(waiters);
        }
    }

    /// The artifact is what this version was.
    pub(crate) fn unchanged(&mut self, artifact: &Path, id: &VersionId) {
        for waiter in self.retrying.remove(artifact).into_iter().flatten() {
            self.hand_out(id, waiter);
        }
    }

    /// The artifact became no version.
    pub(crate) fn not_numbered(&mut self, artifact: &Path, why: &str) {
        for waiter in self.retrying.remove(artifact).into_iter().flatten() {
            let reason = format!("{}: {why}", artifact.display());
            self.fail(waiter, Failure::Rejected, &reason);
        }
    }
}

/// Whether `name` is the file's path, its name, or what a plugin in it would be called.
fn is_called(file: &Path, name: &str) -> bool {
    let own = file.file_name();
    file == Path::new(name) || own.is_some_and(|own| own == name || lanes::stem(own) == Some(name))
}

impl Catalogue {
    /// The plugin of this name, else the one that a watched file of this path or name gave.
    fn plugin_of<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        if self.plugins.contains_key(name) {
            return Some(name);
        }
        let (_, artifact) = self
            .artifacts
            .iter()
            .find(|(file, _)| is_called(file, name))?;
        artifact.plugin.as_deref()
    }
}

impl Plugin {
    /// The files whose newest version was rejected, by its number.
    fn rejected_files(&self) -> BTreeMap<u64, PathBuf> {
        let mut newest = BTreeMap::new();
        for version in self.versions() {
            newest.insert(version.shown.artifact.as_path(), version);
        }
        newest
            .into_iter()
            .filter(|(_, version)| version.progress == Progress::Rejected)
            .map(|(artifact, version)| (version.shown.version, artifact.to_owned()))
            .collect()
    }
}
