//! Turns copies into versions, and sends them to be examined.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plugind_wire::VersionId;
use plugind_wire::event::{Kind, Stage, Timings};
use plugind_wire::history;
use plugind_wire::message::Failure;
use plugind_wire::probe::Probe;
use plugind_wire::status::{self, Mode, Outcome};

use crate::catalogue::{Artifact, Progress, Version};
use crate::engine::Loop;
use crate::events::of_version;
use crate::inspect::{InspectError, Inspected, declared, file_name};
use crate::lanes;
use crate::settle::Before;
use crate::stage::{Copied, Copying, Known, StageError, Staged, place};
use crate::turns::Held;
use crate::workers::{Examination, Finished, Source};
use plugind_wire::sentence;

/// What every proc macro exports; cargo leaves them beside plugins.
const PROC_MACRO: &str = "__rustc_proc_macro_decls_";

impl Loop {
    /// Puts the versions of earlier runs back on the list.
    pub(crate) fn remember(&mut self) {
        let records = self.state.records::<Version>();
        self.complete_history(&records);
        for mut version in records {
            if version.progress == Progress::OnItsWay {
                continue;
            }
            if version.progress != Progress::Rejected && !version.shown.image.exists() {
                continue;
            }
            if version.shown.quarantined.is_some() {
                // Another engine, or another release, may have forgotten it.
                let known = self.quarantine.find(&version.shown.digest);
                version.shown.quarantined = known.map(|record| record.since);
            }
            self.catalogue.put(version);
        }
        self.forget_rejected();
        self.note_cut_of_earlier_runs();
    }

    /// Takes in a worker's result.
    pub(crate) fn finished(&mut self, finished: Finished) {
        match finished {
            Finished::Copied(source, result) => {
                let result = result.map(|copying| self.of_one_state(&source, copying));
                let turn = match &source {
                    Source::Watched { turn, .. } => *turn,
                    Source::Opened { .. } => None,
                };
                let free = match turn {
                    // It changed while it was copied, and comes again.
                    Some(turn) if matches!(result, Ok(Copying::Changed { .. })) => {
                        self.give_up_turn(turn);
                        vec![(source, result)]
                    }
                    Some(turn) => self.turns.take(turn, Some((source, result))),
                    None => vec![(source, result)],
                };
                self.copied_all(free);
            }
            Finished::Rested(version, result) => self.rested(&version, result),
            Finished::Inspected(inspected) => self.defer(*inspected),
            Finished::Probed(probed) => self.ready.push(*probed),
            Finished::Failed(failed) => self.fail_probe(*failed),
            Finished::Rejected(rejected) => self.reject(*rejected),
        }
    }

    /// A file that was found at the start is not finished yet, or never will be: the younger ones go on.
    pub(crate) fn give_up_turn(&mut self, turn: usize) {
        let free = self.turns.take(turn, None);
        self.copied_all(free);
    }

    /// Files found at the start that are still not finished lose their place.
    pub(crate) fn end_late_turns(&mut self) {
        let free = self.turns.take_late(Instant::now());
        self.copied_all(free);
    }

    fn copied_all(&mut self, copies: Vec<Held>) {
        for (source, result) in copies {
            self.copied(source, result);
        }
    }

    fn copied(&mut self, source: Source, result: Result<Copying, StageError>) {
        match (source, result) {
            (Source::Watched { path, lane, .. }, Ok(Copying::Done(copied))) => {
                // A program maps nothing of the folder that a build writes to, not even by the engine inside it.
                let hold = self.hello.mode == Mode::Daemon;
                let before = self.copied_from(&path, Some(Before::of(&copied.settled, hold)));
                self.watched(&path, &lane, *copied);
                // The last to hold a file that its builder has replaced frees its memory, and the version that has just
                // been handed on need not wait for that.
                drop(before);
            }
            (Source::Watched { path, .. }, Ok(Copying::Changed { heard, content })) => {
                self.look_again(&path, heard, content);
            }
            (Source::Watched { path, lane, .. }, Err(error)) => {
                self.copied_from(&path, None);
                if error.is_of_the_file() {
                    self.turn_down_file(&path);
                }
                self.reject_file(&path, &lane, error.stage(), &sentence(&error));
            }
            (Source::Opened { path }, Ok(Copying::Done(copied))) => self.opened(&path, *copied),
            (Source::Opened { path }, Ok(Copying::Changed { .. })) => self.open_again(&path),
            (Source::Opened { path }, Err(error)) => {
                let reason = format!("{}: {}", path.display(), sentence(&error));
                self.fail_opening(&path, Failure::Rejected, &reason);
            }
        }
    }

    /// A copy of a watched artifact.
    fn watched(&mut self, path: &Path, lane: &str, copied: Copied) {
        if is_proc_macro(&copied) {
            self.not_numbered(path, "it is a proc macro now");
            return;
        }
        let before = self
            .catalogue
            .artifacts
            .get(path)
            .and_then(|artifact| artifact.plugin.clone());
        let plugin = match name(&copied, path, before) {
            Ok(plugin) => plugin,
            Err(error) => {
                self.reject_file(path, lane, Stage::Inspect, &sentence(&error));
                return;
            }
        };
        self.catalogue.artifacts.insert(
            path.to_owned(),
            Artifact {
                lane: lane.to_owned(),
                plugin: Some(plugin.clone()),
                present: true,
            },
        );
        // A copy that was made only to be sure is no news, not even of a version that was rejected.
        let confirming = self.was_confirming(path);
        let newest = self
            .catalogue
            .plugins
            .get(&plugin)
            .and_then(|versions| match confirming {
                true => versions.latest_from(path),
                false => versions.newest_from(path),
            });
        if let Some(newest) = newest
            && newest.shown.digest == copied.digest
            && (newest.is_sound() || confirming)
        {
            let (event, id) = (of_version(Kind::Unchanged, newest), newest.id());
            if newest.is_sound() {
                self.tell_unchanged(&id);
                self.mend(&id, copied);
            }
            if !confirming {
                self.catalogue.rebuilt(&id.plugin, lane);
                self.tell(event);
            }
            self.unchanged(path, &id);
            return;
        }
        match place(copied, &plugin, &mut self.state) {
            Ok((staged, rest)) => {
                let id = staged.version.clone();
                self.add_rest(&id, rest);
                self.numbered(path, &id);
                self.examine(staged, Some(lane));
            }
            Err(error) => {
                self.forget_copy(path);
                self.reject_file(path, lane, Stage::Stage, &sentence(&error));
            }
        }
    }

    /// A copy of a file that a client asked for. The same content is the same version.
    fn opened(&mut self, path: &Path, copied: Copied) {
        let Some(opening) = self.opening.remove(path) else {
            return;
        };
        let plugin = match name(&copied, path, None) {
            Ok(plugin) => plugin,
            Err(error) => {
                let reason = format!("{}: {}", path.display(), sentence(&error));
                for waiter in opening.waiters {
                    self.fail(waiter, Failure::Rejected, &reason);
                }
                return;
            }
        };
        let known = self.catalogue.by_content(&plugin, &copied.digest);
        let id = if let Some(known) = known {
            let id = known.id();
            self.mend(&id, copied);
            id
        } else {
            match place(copied, &plugin, &mut self.state) {
                Ok((staged, rest)) => {
                    let id = staged.version.clone();
                    self.add_rest(&id, rest);
                    self.waiting.entry(id.clone()).or_default();
                    self.examine(staged, None);
                    id
                }
                Err(error) => {
                    let reason = format!("{}: {}", path.display(), sentence(&error));
                    for waiter in opening.waiters {
                        self.fail(waiter, Failure::Rejected, &reason);
                    }
                    return;
                }
            }
        };
        for waiter in opening.waiters {
            self.hand_out(&id, waiter);
        }
    }

    fn examine(&mut self, staged: Staged, lane: Option<&str>) {
        let raw = staged
            .elf
            .as_ref()
            .is_ok_and(|elf| matches!(declared(elf), Ok(None)));
        self.catalogue.put(Version {
            plugin: staged.version.plugin.clone(),
            raw,
            progress: Progress::OnItsWay,
            needed: BTreeMap::new(),
            contracts: Vec::new(),
            misfit: false,
            mapped: staged.mapped,
            size: staged.size,
            shown: status::Version {
                version: staged.version.number,
                semver: None,
                digest: staged.digest,
                lane: lane.map(str::to_owned),
                artifact: staged.artifact.clone(),
                image: staged.image.clone(),
                staged: Timestamp::now(),
                outcome: Outcome::OnItsWay,
                stage: None,
                reason: None,
                differences: Vec::new(),
                probe: Probe::NotProbed,
                not_probed: None,
                level: None,
                phase: None,
                cause: None,
                quarantined: None,
                warnings: Vec::new(),
                timings_us: Timings::default(),
            },
        });
        let probe = !raw || self.is_wanted(&staged.version);
        let expected = self.expectations(&staged.version.plugin);
        self.workers.examine(Examination::Staged {
            expected,
            staged: Box::new(staged),
            probe,
            store: self.state.store(),
        });
    }

    /// Whether a client follows the plugin or waits for this version.
    fn is_wanted(&self, id: &VersionId) -> bool {
        self.waiting.contains_key(id)
            || self
                .sessions
                .values()
                .any(|session| session.follows.contains_key(&id.plugin))
    }

    /// A raw plugin that nobody has asked for stops here.
    fn defer(&mut self, inspected: Inspected) {
        let id = inspected.staged.version.clone();
        let timings = timings(
            &inspected.staged,
            inspected.inspect,
            Duration::ZERO,
            Some(Instant::now()),
        );
        self.catalogue.change(&id, |version| {
            version.progress = Progress::Deferred;
            version.shown.outcome = Outcome::Published;
            version.shown.probe = Probe::Deferred;
            version.needed = inspected.staged.needed;
            version.shown.warnings = inspected.manifest.warnings;
            version.shown.timings_us = timings;
        });
        self.warn_of_libraries(&id);
        self.keep(&id);
        self.hold();
        self.record(&id, history::Outcome::Published);
        self.tell_published(&id);
        if self.is_wanted(&id) {
            self.want(&id);
        }
    }

    /// Sends a deferred version through the rest of the line.
    pub(crate) fn want(&mut self, id: &VersionId) {
        let Some(version) = self.catalogue.version(id) else {
            return;
        };
        if version.progress != Progress::Deferred {
            return;
        }
        let known = Known {
            version: id.clone(),
            digest: version.shown.digest,
            mapped: version.mapped,
            size: version.size,
            image: version.shown.image.clone(),
            artifact: version.shown.artifact.clone(),
            needed: version.needed.clone(),
        };
        self.catalogue
            .change(id, |version| version.progress = Progress::OnItsWay);
        let expected = self.expectations(&id.plugin);
        self.workers.examine(Examination::Known(known, expected));
    }
}

fn is_proc_macro(copied: &Copied) -> bool {
    copied.elf.as_ref().is_ok_and(|elf| {
        elf.exports
            .iter()
            .any(|export| export.name.starts_with(PROC_MACRO))
    })
}

/// Which plugin is it? The note's name; if the note cannot be read, the plugin this file last gave; else the stem.
fn name(copied: &Copied, path: &Path, before: Option<String>) -> Result<String, InspectError> {
    let declared = copied.elf.as_ref().ok().map(declared);
    let stem = || {
        let name = path.file_name().unwrap_or(OsStr::new("plugin"));
        let stem = lanes::stem(name);
        file_name(stem.map_or_else(|| name.to_string_lossy().into_owned(), str::to_owned))
    };
    match declared {
        Some(Ok(Some(declared))) => Ok(declared.plugin.to_owned()),
        Some(Ok(None)) => stem(),
        _ => before.map_or_else(stem, Ok),
    }
}

/// The durations of a version's way; what was not reached is zero.
pub(crate) fn timings(
    staged: &Staged,
    inspect: Duration,
    probe: Duration,
    done: Option<Instant>,
) -> Timings {
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    Timings {
        settle: micros(staged.settle),
        stage: micros(staged.stage),
        inspect: micros(inspect),
        probe: micros(probe),
        publish: done.map_or(0, |done| micros(done.elapsed())),
        total: micros(staged.heard.elapsed()),
    }
}
