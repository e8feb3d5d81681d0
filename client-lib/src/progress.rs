//! How far each followed plugin has come in this client, and what of that the engine was told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use plugind_wire::event::Readers as Entered;
use plugind_wire::message::Acknowledged;

use crate::reader::Seen;
use crate::snapshot::SymbolTable;

/// A followed plugin's current version.
#[derive(Debug)]
pub(crate) struct Current {
    /// The version.
    pub(crate) table: Arc<SymbolTable>,
    /// The epoch of the snapshot with which it became current.
    pub(crate) since: u64,
    /// When it became current: who is behind it has been inside for longer.
    became: Instant,
    /// The state directory under which its number was given.
    pub(crate) state: String,
    /// Why an instance's state stayed with an older version.
    kept: Option<String>,
    /// Everything here is of this version; before that nothing else is told of it.
    live: bool,
    told_entered: Entered,
    told_drained: bool,
}

impl Current {
    /// It has just become current.
    pub(crate) fn new(table: Arc<SymbolTable>, since: u64, state: String) -> Self {
        Self {
            table,
            since,
            became: Instant::now(),
            state,
            kept: None,
            live: false,
            told_entered: Entered::default(),
            told_drained: false,
        }
    }

    /// For how long it has been current.
    pub(crate) fn age(&self) -> Duration {
        self.became.elapsed()
    }

    /// An instance's state could not be carried to it.
    pub(crate) fn keep(&mut self, reason: String) {
        self.kept = Some(reason);
    }

    /// True when it was told that the version is drained, which stays true until the next one.
    pub(crate) fn is_drained(&self) -> bool {
        self.told_drained
    }

    /// What the engine does not know yet, given what the readers' words say.
    pub(crate) fn news(&mut self, seen: Seen) -> Vec<Acknowledged> {
        let mut news = Vec::new();
        if seen.instances_behind > 0 {
            return news;
        }
        if !self.live {
            self.live = true;
            self.kept = None;
            news.push(self.swapped_in());
        }
        let entered = Entered {
            entered: seen.entered,
            of: seen.readers,
        };
        // Latched: a reader that ends takes nothing back.
        if entered != self.told_entered && entered.entered >= self.told_entered.entered.max(1) {
            self.told_entered = entered;
            news.push(Acknowledged::Executing { readers: entered });
        }
        if seen.behind == 0 && !self.told_drained {
            self.told_drained = true;
            news.push(Acknowledged::Drained);
        }
        news
    }

    fn swapped_in(&self) -> Acknowledged {
        let opened = self.table.opened();
        Acknowledged::Live {
            opened_us: opened.map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
        }
    }

    /// Everything that was told, for an engine that has just come.
    pub(crate) fn all(&self) -> Vec<Acknowledged> {
        if !self.live {
            let kept = self.kept.iter().cloned();
            return kept
                .map(|reason| Acknowledged::Refused { reason })
                .collect();
        }
        let mut all = vec![self.swapped_in()];
        if self.told_entered.entered > 0 {
            all.push(Acknowledged::Executing {
                readers: self.told_entered,
            });
        }
        if self.told_drained {
            all.push(Acknowledged::Drained);
        }
        all
    }
}
