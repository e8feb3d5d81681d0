//! What is known of one watched artifact, and whether a hint about it is worth a look.

use std::path::Path;
use std::time::Instant;

use crate::identity::Identity;
use crate::seen::Seen;
use crate::settle::{Before, Settling};
use crate::watch::Change;

/// One watched artifact.
pub(crate) struct Tracked {
    pub(crate) lane: String,
    pub(crate) phase: Phase,
    /// What was copied last.
    pub(crate) settled: Option<Before>,
    /// What was rejected last; the same state is not looked at again.
    pub(crate) rejected: Option<Seen>,
    /// Its place among what was found at the start, until it has a number or lost the place.
    pub(crate) turn: Option<usize>,
    /// It is copied once more only to be sure that no write hid behind equal times.
    pub(crate) confirming: bool,
    /// The copy that came back last was such a one.
    pub(crate) confirmed: bool,
}

/// How far its newest content has come.
pub(crate) enum Phase {
    /// Nothing is known that was not taken.
    Idle,
    /// It is being written, perhaps.
    Settling {
        /// Whether it is finished.
        settling: Box<Settling>,
        /// When to look next.
        next: Instant,
    },
    /// It is finished, and a thread copies it.
    Copying {
        /// How it was found finished; what is heard meanwhile can still show that it was not.
        settling: Box<Settling>,
        /// What was heard meanwhile that may matter.
        heard: Option<Change>,
    },
    /// Its name is gone.
    Absent,
}

impl Tracked {
    /// What was copied last.
    pub(crate) fn settled_identity(&self) -> Option<Identity> {
        self.settled.as_ref().map(|before| before.identity)
    }

    /// Sets the time of the next look.
    pub(crate) fn look_at(&mut self, at: Instant) {
        if let Phase::Settling { next, .. } = &mut self.phase {
            *next = at;
        }
    }

    /// It is finished: from now on it is copied.
    pub(crate) fn copying(&mut self) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Settling { settling, .. } => Phase::Copying {
                settling,
                heard: None,
            },
            other => other,
        };
    }

    /// Whether what is being copied was heard to be written in pieces, of which the copy may have some.
    pub(crate) fn is_copied_in_pieces(&self) -> bool {
        matches!(&self.phase, Phase::Copying { settling, .. } if settling.is_in_pieces())
    }

    /// Starts to settle, now.
    pub(crate) fn settling(&mut self, path: &Path, now: Instant) -> &mut Settling {
        self.phase = Phase::Settling {
            settling: Box::new(Settling::new(path.to_owned(), self.settled.clone(), now)),
            next: now,
        };
        match &mut self.phase {
            Phase::Settling { settling, .. } => settling,
            _ => unreachable!("it was assigned in the line above"),
        }
    }

    /// Events about content always ask for a look; the others only if the file is not what was seen last.
    pub(crate) fn wants_a_look(&self, path: &Path, change: Change) -> bool {
        if !matches!(change, Change::Attributes | Change::Scanned) {
            return true;
        }
        // Mode, owner or signature may have been what was wrong.
        if let Some(rejected) = self.rejected {
            return rejected != Seen::now(path);
        }
        let same = |seen: Identity| Identity::now(path).is_some_and(|now| seen.same_content(&now));
        !self.settled_identity().is_some_and(same) || matches!(self.phase, Phase::Absent)
    }

    /// Whether it is, by all that can be told, what was copied last.
    pub(crate) fn is_as_settled(&self, path: &Path) -> bool {
        let settled = self.settled_identity();
        settled.is_some() && settled == Identity::now(path)
    }

    /// Whether its content may have changed although size and time of change did not, as a copy leaves them that sets
    /// the time. The time that nobody can set tells, but it changes with mode, owner and links as well.
    pub(crate) fn may_be_another(&self, path: &Path) -> bool {
        let seen = self.settled_identity().filter(|_| self.rejected.is_none());
        seen.is_some_and(|seen| Identity::now(path).is_some_and(|now| seen != now))
    }
}
