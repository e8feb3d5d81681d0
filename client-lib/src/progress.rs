//! How far each followed plugin has come in this client, and what of that the engine was told.

use std::sync::Arc;

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
    /// The state directory under which its number was given.
    pub(crate) state: String,
    told_entered: Entered,
    told_drained: bool,
}

impl Current {
    /// It has just become current.
    pub(crate) fn new(table: Arc<SymbolTable>, since: u64, state: String) -> Self {
        Self {
            table,
            since,
            state,
            told_entered: Entered::default(),
            told_drained: false,
        }
    }

    /// True when it was told that the version is drained, which stays true until the next one.
    pub(crate) fn is_drained(&self) -> bool {
        self.told_drained
    }

    /// What the engine does not know yet, given what the readers' words say.
    pub(crate) fn news(&mut self, seen: Seen) -> Vec<Acknowledged> {
        let mut news = Vec::new();
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

    /// Everything that was told, for an engine that has just come.
    pub(crate) fn all(&self) -> Vec<Acknowledged> {
        let mut all = vec![Acknowledged::Live];
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
