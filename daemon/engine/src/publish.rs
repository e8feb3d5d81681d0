//! Decides what becomes of an examined version: announced, or turned down; and answers those who asked for one.

use std::fs;

use plugind_wire::VersionId;
use plugind_wire::event::{Kind, Stage, Timings};
use plugind_wire::history;
use plugind_wire::message::{Failure, Reply};
use plugind_wire::probe::Probe;
use plugind_wire::sentence;
use plugind_wire::status::Outcome;

use crate::catalogue::{Progress, Version};
use crate::clients::Waiter;
use crate::diff::KeptNotes;
use crate::engine::Loop;
use crate::events::of_probed;
use crate::json_file::write_json;
use crate::probe::{Failed, Probed, Tried};
use crate::rejected::Rejected;
use crate::versions::timings;

impl Loop {
    /// Announces everything that left the probe, to each client in one message.
    pub(crate) fn publish(&mut self) {
        if self.ready.is_empty() {
            if self.change_groups() {
                self.announce();
            }
            return;
        }
        let ready = std::mem::take(&mut self.ready);
        let ids: Vec<_> = ready
            .into_iter()
            .map(|probed| self.accept(probed))
            .collect();
        self.hold();
        self.change_groups();
        self.tell_implementing();
        self.announce();
        for id in ids {
            for waiter in self.waiting.remove(&id).unwrap_or_default() {
                self.hand_out(&id, waiter);
            }
        }
    }

    fn accept(&mut self, probed: Probed) -> VersionId {
        let Probed {
            inspected,
            tried,
            probe,
            done,
        } = probed;
        let id = inspected.staged.version.clone();
        let before = self.offered(&id);
        let mut deferred = false;
        let mut timings = timings(&inspected.staged, inspected.inspect, probe, Some(done));
        self.catalogue.change(&id, |version| {
            deferred = version.shown.probe == Probe::Deferred;
            if deferred {
                // What came before lies back long.
                let before = version.shown.timings_us;
                timings = Timings {
                    probe: timings.probe,
                    ..before
                };
            }
            version.progress = Progress::Accepted;
            version.shown.outcome = Outcome::Published;
            version.shown.semver = inspected.manifest.semver;
            (
                version.shown.probe,
                version.shown.level,
                version.shown.not_probed,
            ) = match tried {
                Tried::Passed(level) => (Probe::Passed, Some(level), None),
                Tried::NotProbed(why) => (Probe::NotProbed, None, Some(why)),
            };
            if !deferred {
                version.needed = inspected.staged.needed;
            }
            version.contracts = inspected.manifest.contracts;
            version.shown.warnings = inspected.manifest.warnings;
            version.shown.timings_us = timings;
        });
        self.supersede(before, &id);
        self.warn_of_libraries(&id);
        self.keep(&id);
        self.record(&id, history::Outcome::Published);
        if !deferred {
            self.tell_published(&id);
        }
        id
    }

    /// The version that is wanted current in a version's lane, if somebody was told of it.
    fn offered(&self, id: &VersionId) -> Option<VersionId> {
        let lane = self.catalogue.version(id)?.shown.lane.as_deref()?;
        let old = self.catalogue.plugins.get(&id.plugin)?.selected(lane)?.id();
        let offered = self.sessions.values().any(|session| {
            session
                .follows
                .get(&old.plugin)
                .is_some_and(|follow| follow.announced == Some(old.number))
        });
        (offered && old != *id).then_some(old)
    }

    /// Marks the version that another one took the place of before anybody had swapped it in.
    fn supersede(&mut self, old: Option<VersionId>, by: &VersionId) {
        let lane = self
            .catalogue
            .version(by)
            .and_then(|by| by.shown.lane.as_deref());
        let plugin = self.catalogue.plugins.get(&by.plugin);
        let selected = plugin.and_then(|plugin| plugin.selected(lane?));
        let takes_over = selected.is_some_and(|selected| selected.id() == *by);
        if let Some(old) = old.filter(|_| takes_over) {
            let waits = |version: &Version| version.shown.outcome == Outcome::Published;
            if self.catalogue.version(&old).is_some_and(|v| waits(v)) {
                self.catalogue
                    .change(&old, |version| version.shown.outcome = Outcome::Superseded);
                self.record(&old, history::Outcome::Superseded);
            }
        }
    }

    /// Turns down a version that failed in the probe.
    pub(crate) fn fail_probe(&mut self, failed: Failed) {
        let Failed {
            inspected,
            failure,
            probe,
            memory,
        } = failed;
        let quarantined = self.remembered(memory);
        let id = inspected.staged.version.clone();
        let timings = timings(&inspected.staged, inspected.inspect, probe, None);
        self.catalogue.change(&id, |version| {
            version.shown.semver = inspected.manifest.semver;
            version.shown.probe = Probe::Failed;
            version.shown.phase = Some(failure.phase);
            version.shown.cause = Some(failure.cause);
            version.shown.quarantined = quarantined;
            version.shown.level = failure.level;
            version.shown.timings_us = timings;
        });
        let elf = inspected.staged.elf.as_ref().ok();
        let rejected = Rejected {
            contracts: inspected.manifest.contracts,
            notes: elf.and_then(KeptNotes::of),
            ..Rejected::new(id, Stage::Probe, failure.reason)
        };
        self.turn_down(rejected, failure.output);
    }

    /// Turns a version down.
    pub(crate) fn reject(&mut self, rejected: Rejected) {
        self.turn_down(rejected, None);
    }

    /// Its image goes, its record stays.
    fn turn_down(&mut self, rejected: Rejected, output: Option<String>) {
        let Rejected {
            version: ref id,
            stage,
            ref reason,
            misfit,
            ref differences,
            ref notes,
            ..
        } = rejected;
        self.catalogue.change(id, |version| {
            version.progress = Progress::Rejected;
            version.misfit = misfit;
            version.shown.outcome = Outcome::Rejected;
            version.shown.stage = Some(stage);
            version.shown.reason = Some(reason.clone());
            version.shown.differences.clone_from(differences);
        });
        self.keep(id);
        self.record(id, history::Outcome::Rejected);
        if let Some(notes) = notes {
            self.keep_notes(id, notes);
        }
        self.replace_rejected(id);
        self.forget_rejected();
        let mut why = reason.to_owned();
        if let Some(version) = self.catalogue.version(id) {
            why = version.shown.why(&id.plugin).unwrap_or(why);
            let mut event = of_probed(Kind::Rejected, version);
            event.probe = event.probe.filter(|_| stage == Stage::Probe);
            event.stage = Some(stage);
            event.reason = Some(why.clone());
            event.differences.clone_from(differences);
            event.output = output;
            let own = self.state.version_dir(id, &version.shown.digest);
            if let Err(error) = fs::remove_dir_all(&own) {
                tracing::warn!(%error, path = %own.display(), "a rejected image stays in the store");
            }
            self.tell(event);
        }
        let sentence = rejection(id, Some(stage), &why);
        for waiter in self.waiting.remove(id).unwrap_or_default() {
            self.fail(waiter, Failure::Rejected, &sentence);
        }
        self.tell_rejected(Rejected {
            reason: why,
            ..rejected
        });
        // The version before it may be one that nobody has been offered yet.
        self.announce();
    }

    /// The same file, rejected again, is listed once: a restart or a build that changes nothing is no news.
    fn replace_rejected(&mut self, id: &VersionId) {
        let plugin = self.catalogue.plugins.get(&id.plugin);
        let before = plugin.and_then(|plugin| plugin.rejected_before(plugin.version(id.number)?));
        let Some((old, digest)) = before.map(|before| (before.id(), before.shown.digest)) else {
            return;
        };
        self.catalogue.remove(&old);
        if let Err(error) = self.state.forget(&old, &digest) {
            tracing::warn!(%error, version = %old, "the record of a rejected version stays");
        }
    }

    /// Answers with a version, now or when it has passed.
    pub(crate) fn hand_out(&mut self, id: &VersionId, waiter: Waiter) {
        let Some(version) = self.catalogue.version(id) else {
            let reason = self.unknown_version(id);
            self.fail(waiter, Failure::Unknown, &reason);
            return;
        };
        match version.progress {
            Progress::Accepted => {
                let announcement = version.announcement();
                self.reply(waiter, Reply::Version { announcement });
            }
            Progress::Rejected => {
                let why = version.shown.why(&id.plugin).unwrap_or_default();
                let why = rejection(id, version.shown.stage, &why);
                self.fail(waiter, Failure::Rejected, &why);
            }
            Progress::OnItsWay | Progress::Deferred => {
                self.waiting.entry(id.clone()).or_default().push(waiter);
                self.want(id);
            }
        }
    }

    /// A sentence about a version that does not exist.
    pub(crate) fn unknown_version(&self, id: &VersionId) -> String {
        match self.catalogue.plugins.get(&id.plugin) {
            Some(_) => format!(
                "there is no {id}; `plugind status` lists the versions of {}",
                id.plugin
            ),
            None => self.unknown_plugin(&id.plugin),
        }
    }

    /// A sentence about a plugin that does not exist, with those that do.
    pub(crate) fn unknown_plugin(&self, plugin: &str) -> String {
        let known: Vec<_> = self
            .catalogue
            .plugins
            .keys()
            .take(20)
            .map(String::as_str)
            .collect();
        let folder = self.hello.folder.display();
        if known.is_empty() {
            format!("no plugin has been built in {folder} yet")
        } else {
            format!(
                "there is no plugin {plugin} in {folder}; there are: {}",
                known.join(", ")
            )
        }
    }

    /// Adds what the libraries beside a version mean for programs that run.
    pub(crate) fn warn_of_libraries(&mut self, id: &VersionId) {
        let plugin = self.catalogue.plugins.get(&id.plugin);
        let warnings = plugin.map(|plugin| plugin.changed_libraries(id.number));
        self.catalogue.change(id, |version| {
            version.shown.warnings.extend(warnings.unwrap_or_default());
        });
    }

    pub(crate) fn tell_published(&mut self, id: &VersionId) {
        if let Some(version) = self.catalogue.version(id) {
            let mut event = of_probed(Kind::Published, version);
            let lane = version.shown.lane.as_deref().unwrap_or_default();
            event.held = self.held(&id.plugin, lane);
            if !version.shown.warnings.is_empty() {
                event.reason = Some(version.shown.warnings.join("; "));
            }
            self.tell(event);
        }
    }

    /// Writes a version's record. Without it a restart would number the same content again, which harms nobody.
    pub(crate) fn keep(&mut self, id: &VersionId) {
        let Some(version) = self.catalogue.version(id) else {
            return;
        };
        if let Err(error) = self.state.record(id, &version.shown.digest, &**version) {
            let warning = format!("{}; free some space there", sentence(&error));
            self.warn(&warning);
        }
    }
}

impl Loop {
    /// Keeps what a rejected version declares; without it nothing else is lost than a comparison.
    fn keep_notes(&mut self, id: &VersionId, notes: &KeptNotes) {
        if let Some(version) = self.catalogue.version(id)
            && let path = self.state.notes_path(id, &version.shown.digest)
            && let Err(error) = write_json(&path, &self.state.store(), notes)
        {
            let warning = format!("{}; free some space there", sentence(&error));
            self.warn(&warning);
        }
    }
}

/// Why there is no such version to open.
fn rejection(id: &VersionId, stage: Option<Stage>, reason: &str) -> String {
    let stage = stage.map_or("", Stage::word);
    format!("{id} was rejected at {stage}: {reason}")
}
