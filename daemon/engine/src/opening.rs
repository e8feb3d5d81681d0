//! Follows a file that a client asked for by path until it is finished. It is not watched: it is looked at again and
//! again until it is a plugin or cannot become one.

use std::path::{Path, PathBuf};
use std::time::Instant;

use plugind_wire::message::Failure;

use crate::clients::Waiter;
use crate::engine::Loop;
use crate::settle::{Look, Settling};
use crate::workers::Source;

/// A file that clients asked for by path.
pub(crate) struct Opening {
    settling: Option<(Settling, Instant)>,
    /// Who asked.
    pub(crate) waiters: Vec<Waiter>,
}

impl Opening {
    /// When it is to be looked at, unless it is being copied.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.settling.as_ref().map(|(_, next)| *next)
    }
}

impl Loop {
    /// Looks at every such file that is due.
    pub(crate) fn look_at_due_openings(&mut self, now: Instant) {
        let due: Vec<_> = self
            .opening
            .iter()
            .filter(|(_, opening)| opening.due().is_some_and(|due| due <= now))
            .map(|(path, _)| path.clone())
            .collect();
        for path in due {
            self.look_at_opened(&path, now);
        }
    }

    /// Starts to settle a file that a client asked for.
    pub(crate) fn open(&mut self, path: PathBuf, waiters: impl IntoIterator<Item = Waiter>) {
        let now = Instant::now();
        let opening = self.opening.entry(path.clone()).or_insert_with(|| Opening {
            settling: Some((Settling::new(path, None, now), now)),
            waiters: Vec::new(),
        });
        opening.waiters.extend(waiters);
    }

    fn look_at_opened(&mut self, path: &Path, now: Instant) {
        let Some(opening) = self.opening.get_mut(path) else {
            return;
        };
        let Some((settling, next)) = &mut opening.settling else {
            return;
        };
        let reason = match settling.look(now, &self.trust.owners) {
            Look::Again(at) | Look::Quiet(at) => {
                *next = at;
                return;
            }
            Look::Settled(settled) => {
                opening.settling = None;
                let source = Source::Opened {
                    path: path.to_owned(),
                };
                self.submit_copy(source, settled, false);
                return;
            }
            Look::Absent => "it does not exist; check the path, or build it".to_owned(),
            Look::Rejected { reason, .. } => reason,
        };
        let reason = format!("{}: {reason}", path.display());
        self.fail_opening(path, Failure::Rejected, &reason);
    }

    /// The file changed while it was copied.
    pub(crate) fn open_again(&mut self, path: &Path) {
        let now = Instant::now();
        if let Some(opening) = self.opening.get_mut(path) {
            opening.settling = Some((Settling::new(path.to_owned(), None, now), now));
        }
    }

    /// Answers everybody who asked for a file.
    pub(crate) fn fail_opening(&mut self, path: &Path, failure: Failure, reason: &str) {
        let waiters = self.opening.remove(path).map(|opening| opening.waiters);
        for waiter in waiters.into_iter().flatten() {
            self.fail(waiter, failure, reason);
        }
    }
}
