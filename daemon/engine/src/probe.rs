//! Where a version is tried in a process that may die. That process does not exist yet: every version is let through
//! and every status says `not_probed`.

use std::time::{Duration, Instant};

use plugind_wire::status::Probe;

use crate::inspect::Inspected;

/// A version that may be announced.
#[derive(Debug)]
pub(crate) struct Probed {
    /// The version.
    pub(crate) inspected: Inspected,
    /// What is known of its behaviour.
    pub(crate) verdict: Probe,
    /// How long that took.
    pub(crate) probe: Duration,
    /// When it was done.
    pub(crate) done: Instant,
}

/// Lets a version through, and says that it was not tried.
pub(crate) fn probe(inspected: Inspected) -> Probed {
    let started = Instant::now();
    Probed {
        inspected,
        verdict: Probe::NotProbed,
        probe: started.elapsed(),
        done: started,
    }
}
