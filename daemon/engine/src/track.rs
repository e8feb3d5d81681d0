//! Follows each artifact from a hint to a finished file.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plugind_wire::event::{Kind, Stage};
use plugind_wire::status::what_goes_on;

use crate::catalogue::Version;
use crate::engine::Loop;
use crate::events::of_file;
use crate::identity::Identity;
use crate::lanes::{self, Layout};
use crate::opening::Opening;
use crate::seen::Seen;
use crate::settle::{Before, Look, Settled, Settling};
use crate::stage::Copying;
use crate::tracked::{Phase, Tracked};
use crate::watch::{Change, Hint};
use crate::workers::{Copy, Source};

impl Loop {
    /// What is there at the start, oldest first: it gets its numbers in that order.
    pub(crate) fn begin(&mut self, layout: Layout) {
        self.note_problems(&layout);
        let now = Instant::now();
        for found in layout.artifacts {
            let turn = self.turns.give();
            let tracked = self.track(&found.lane, &found.path);
            tracked.turn = Some(turn);
            tracked.settling(&found.path, now);
            self.look_at(&found.path, now);
        }
    }

    /// Compares the folder with what is tracked.
    pub(crate) fn compare(&mut self, layout: Layout) {
        self.note_problems(&layout);
        let there: HashSet<_> = layout
            .artifacts
            .iter()
            .map(|found| found.path.clone())
            .collect();
        let gone: Vec<_> = self
            .tracked
            .keys()
            .filter(|path| !there.contains(*path))
            .cloned()
            .collect();
        for found in &layout.artifacts {
            self.hint(&found.lane, &found.path, Change::Scanned);
        }
        for path in gone {
            self.hint("", &path, Change::Vanished);
        }
    }

    fn note_problems(&mut self, layout: &Layout) {
        let mut problems = layout.problems.clone();
        problems.extend(self.watch.failure().map(str::to_owned));
        self.catalogue
            .warnings
            .retain(|known| problems.contains(known));
        for problem in problems {
            self.warn(&problem);
        }
    }

    /// Takes in an event; true asks for a look at everything.
    pub(crate) fn hear(&mut self, event: &notify::Event) -> bool {
        let mut everything = false;
        for hint in self.watch.hints(event) {
            match hint {
                Hint::Everything => everything = true,
                Hint::Path { lane, path, change } => self.hint(&lane, &path, change),
            }
        }
        everything
    }

    fn hint(&mut self, lane: &str, path: &Path, change: Change) {
        let now = Instant::now();
        let known = self.tracked.contains_key(path);
        if lanes::is_alias(path) {
            self.forget(path);
            return;
        }
        if !known && change == Change::Vanished
            || change == Change::Signed && self.trust.signers.are_none()
        {
            return;
        }
        let tracked = self.track(lane, path);
        match &mut tracked.phase {
            Phase::Settling { settling, next } => {
                settling.hear(change, now);
                *next = now;
            }
            Phase::Copying { settling, heard } => {
                settling.hear(change, now);
                let before = heard.filter(|before| before.is_content());
                *heard = before.or(Some(change));
            }
            Phase::Absent if change == Change::Vanished => {}
            Phase::Idle | Phase::Absent => {
                if tracked.wants_a_look(path, change) {
                    // An event that comes late, of a file that a scan has found.
                    tracked.confirming = tracked.is_as_settled(path);
                    tracked.settling(path, now).hear(change, now);
                } else if change == Change::Scanned && tracked.may_be_another(path) {
                    tracked.settling(path, now);
                    tracked.confirming = true;
                }
            }
        }
    }

    fn track(&mut self, lane: &str, path: &Path) -> &mut Tracked {
        self.tracked
            .entry(path.to_owned())
            .or_insert_with(|| Tracked {
                lane: lane.to_owned(),
                phase: Phase::Idle,
                settled: None,
                rejected: None,
                turn: None,
                confirming: false,
                confirmed: false,
            })
    }

    /// When the next file is due.
    pub(crate) fn next_due(&self) -> Instant {
        let watched = self
            .tracked
            .values()
            .filter_map(|tracked| match &tracked.phase {
                Phase::Settling { next, .. } => Some(*next),
                _ => None,
            });
        let opened = self.opening.values().filter_map(Opening::due);
        let far = Instant::now() + Duration::from_secs(3600);
        watched.chain(opened).min().unwrap_or(far)
    }

    /// Looks at every file that is due.
    pub(crate) fn look_at_due(&mut self) {
        let now = Instant::now();
        let mut due: Vec<_> = self
            .tracked
            .iter()
            .filter(|(_, tracked)| matches!(&tracked.phase, Phase::Settling { next, .. } if *next <= now))
            .map(|(path, tracked)| (tracked.turn.unwrap_or(usize::MAX), path.clone()))
            .collect();
        // Those found at the start in the order of their age.
        due.sort();
        for (_, path) in due {
            self.look_at(&path, now);
        }
        self.look_at_due_openings(now);
    }

    fn look_at(&mut self, path: &Path, now: Instant) {
        let Some(tracked) = self.tracked.get_mut(path) else {
            return;
        };
        let Phase::Settling { settling, .. } = &mut tracked.phase else {
            return;
        };
        let look = settling.look(now, &self.trust.owners);
        if !matches!(look, Look::Settled(_) | Look::Quiet(_))
            && let Some(turn) = tracked.turn.take()
        {
            self.give_up_turn(turn);
        }
        let Some(tracked) = self.tracked.get_mut(path) else {
            return;
        };
        match look {
            Look::Again(at) | Look::Quiet(at) => tracked.look_at(at),
            Look::Settled(settled) => {
                tracked.copying();
                let source = Source::Watched {
                    path: path.to_owned(),
                    lane: tracked.lane.clone(),
                    turn: tracked.turn.take(),
                };
                let confirming = tracked.confirming;
                self.submit_copy(source, settled, confirming);
            }
            Look::Absent => self.absent(path),
            Look::Rejected { reason, identity } => {
                tracked.phase = Phase::Idle;
                tracked.rejected = Some(Seen {
                    file: identity,
                    ..Seen::now(path)
                });
                let lane = tracked.lane.clone();
                self.reject_file(path, &lane, Stage::Settle, &reason);
            }
        }
    }

    pub(crate) fn submit_copy(&mut self, source: Source, settled: Settled, confirming: bool) {
        self.workers.copy(Copy {
            source,
            settled,
            store: self.state.store(),
            confirming,
        });
    }

    fn absent(&mut self, path: &Path) {
        self.catalogue.rejected_files.remove(path);
        self.not_numbered(path, "it is gone; build it again");
        let Some(artifact) = self.catalogue.artifacts.get_mut(path) else {
            // It never gave a plugin.
            self.tracked.remove(path);
            return;
        };
        artifact.present = false;
        let (lane, plugin) = (artifact.lane.clone(), artifact.plugin.clone());
        if let Some(tracked) = self.tracked.get_mut(path) {
            tracked.phase = Phase::Absent;
            tracked.settled = None;
        }
        let mut event = of_file(Kind::Absent, path, Some(&lane), None);
        let versions = plugin
            .as_ref()
            .and_then(|plugin| self.catalogue.plugins.get(plugin));
        let newest = versions.and_then(|versions| versions.newest_from(path));
        let selected = versions.and_then(|versions| versions.selected(&lane));
        let number = |version: &Arc<Version>| version.shown.version;
        event.reason = Some(what_goes_on(newest.map(number), selected.map(number)));
        event.plugin = plugin;
        self.tell(event);
    }

    /// Lists and tells of a file that became no version.
    pub(crate) fn reject_file(&mut self, path: &Path, lane: &str, stage: Stage, reason: &str) {
        self.not_numbered(path, reason);
        let listed = (stage, reason.to_owned());
        let before = self
            .catalogue
            .rejected_files
            .insert(path.to_owned(), listed.clone());
        if before == Some(listed) {
            return;
        }
        self.record_file(path, lane, stage, reason);
        let mut event = of_file(Kind::Rejected, path, Some(lane), Some((stage, reason)));
        event.plugin = self
            .catalogue
            .artifacts
            .get(path)
            .and_then(|artifact| artifact.plugin.clone());
        self.tell(event);
    }

    /// A copy has come back: the artifact is free for its next change. What was known of it before is returned, because
    /// letting go of it can take long.
    pub(crate) fn copied_from(&mut self, path: &Path, copied: Option<Before>) -> Option<Before> {
        let tracked = self.tracked.get_mut(path)?;
        let heard = match tracked.phase {
            Phase::Copying { heard, .. } => heard,
            _ => None,
        };
        tracked.phase = Phase::Idle;
        tracked.rejected = None;
        tracked.confirmed = std::mem::take(&mut tracked.confirming);
        let mut before = None;
        if copied.is_some() {
            before = std::mem::replace(&mut tracked.settled, copied);
            self.catalogue.rejected_files.remove(path);
        }
        // What was heard while it was copied may have come before the copy was proved, and then says nothing new.
        if let Some(heard) = heard {
            let now = Identity::now(path);
            if tracked.settled_identity() != now {
                tracked.settling(path, Instant::now());
            } else if heard.is_content() && now.is_some_and(|now| now.may_hide_a_write()) {
                tracked.settling(path, Instant::now());
                tracked.confirming = true;
            }
        }
        before
    }

    /// A copy that may have some of the pieces in which its artifact is being written is none.
    pub(crate) fn of_one_state(&self, source: &Source, copying: Copying) -> Copying {
        match (source, copying) {
            (Source::Watched { path, .. }, Copying::Done(copied))
                if self
                    .tracked
                    .get(path)
                    .is_some_and(Tracked::is_copied_in_pieces) =>
            {
                Copying::Changed {
                    heard: copied.settled.heard,
                    content: true,
                }
            }
            (_, copying) => copying,
        }
    }

    /// Whether the copy that has just come back was made only to be sure.
    pub(crate) fn was_confirming(&mut self, path: &Path) -> bool {
        self.tracked
            .get_mut(path)
            .is_some_and(|tracked| std::mem::take(&mut tracked.confirmed))
    }

    /// Has the same file copied once more, as if it had been built now. One that is on its way arrives without that.
    pub(crate) fn copy_again(&mut self, path: &Path) {
        if let Some(tracked) = self.tracked.get_mut(path)
            && matches!(tracked.phase, Phase::Idle)
        {
            tracked.settling(path, Instant::now());
        }
    }

    /// Has the same file copied once more, which is no news by itself.
    pub(crate) fn confirm(&mut self, path: &Path) {
        if let Some(tracked) = self.tracked.get_mut(path)
            && matches!(tracked.phase, Phase::Idle)
        {
            tracked.settling(path, Instant::now());
            tracked.confirming = true;
        }
    }

    /// Artifacts whose newest image somebody removed are copied again.
    pub(crate) fn forget_what_is_gone(&mut self) {
        for (path, tracked) in &mut self.tracked {
            let plugin = self
                .catalogue
                .artifacts
                .get(path)
                .and_then(|artifact| self.catalogue.plugins.get(artifact.plugin.as_ref()?));
            let newest = plugin.and_then(|plugin| plugin.newest_from(path));
            if newest.is_some_and(|newest| !newest.shown.image.exists()) {
                tracked.settled = None;
            }
        }
    }

    /// The copy could not be used: the same file is tried again at the next scan.
    pub(crate) fn forget_copy(&mut self, path: &Path) {
        if let Some(tracked) = self.tracked.get_mut(path) {
            tracked.settled = None;
        }
    }

    /// The copy was turned down for what it is: the same file is not tried again before it or its signature changes.
    pub(crate) fn turn_down_file(&mut self, path: &Path) {
        if let Some(tracked) = self.tracked.get_mut(path) {
            tracked.rejected = Some(Seen::now(path));
        }
    }

    /// The name is no artifact any more.
    fn forget(&mut self, path: &Path) {
        if let Some(turn) = self.tracked.remove(path).and_then(|tracked| tracked.turn) {
            self.give_up_turn(turn);
        }
        self.catalogue.artifacts.remove(path);
        self.catalogue.rejected_files.remove(path);
        self.not_numbered(path, "it is a link to another plugin");
    }

    /// The artifact changed while it was copied: it is looked at again.
    pub(crate) fn look_again(&mut self, path: &Path, heard: Instant, content_changed: bool) {
        if let Some(tracked) = self.tracked.get_mut(path) {
            tracked.phase = Phase::Settling {
                settling: Box::new(Settling::again(path.to_owned(), heard, content_changed)),
                next: Instant::now(),
            };
        }
    }
}
