//! Numbers of what is found at the start are given by age, whichever copy is done first; a file that is not finished
//! in time loses its place, so that the others need not wait for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::stage::{Copying, StageError};
use crate::workers::Source;

/// The order of what was found at the start: numbers are given by age, whichever copy is done first.
#[derive(Default)]
pub(crate) struct Turns {
    given: usize,
    next: usize,
    /// What is done before its turn; nothing for a file that lost its place.
    held: BTreeMap<usize, Option<Held>>,
    deadline: Option<Instant>,
}

/// A copy that waits for its turn.
pub(crate) type Held = (Source, Result<Copying, StageError>);

/// A file that is not finished so long after the start loses its place in the order.
const PATIENCE: Duration = Duration::from_secs(1);

impl Turns {
    /// The next place in the order.
    pub(crate) fn give(&mut self) -> usize {
        self.deadline
            .get_or_insert_with(|| Instant::now() + PATIENCE);
        self.given += 1;
        self.given - 1
    }

    /// Everything found at the start has a number or lost its place.
    pub(crate) fn are_over(&self) -> bool {
        self.next == self.given
    }

    /// When the rest loses its place; nothing when there is no rest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| !self.are_over())
    }

    /// What may go on now that this place in the order is done, or lost.
    pub(crate) fn take(&mut self, turn: usize, held: Option<Held>) -> Vec<Held> {
        if turn < self.next {
            return held.into_iter().collect();
        }
        self.held.insert(turn, held);
        let mut free = Vec::new();
        while let Some(held) = self.held.remove(&self.next) {
            self.next += 1;
            free.extend(held);
        }
        free
    }

    /// What may go on if the deadline has passed: everything that is held, in order.
    pub(crate) fn take_late(&mut self, now: Instant) -> Vec<Held> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        self.next = self.given;
        std::mem::take(&mut self.held)
            .into_values()
            .flatten()
            .collect()
    }
}
