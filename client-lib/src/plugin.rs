//! A plugin that the client follows.

use std::fmt;
use std::sync::Arc;

use crate::reader::Readers;
use crate::snapshot::{Snapshot, SymbolTable};

/// A plugin that the client follows: every new version takes the place of the one before.
#[derive(Clone)]
pub struct Plugin {
    name: Arc<str>,
    slot: usize,
    first: Arc<SymbolTable>,
    pub(crate) readers: Arc<Readers>,
}

impl Plugin {
    pub(crate) fn new(
        name: Arc<str>,
        slot: usize,
        first: Arc<SymbolTable>,
        readers: Arc<Readers>,
    ) -> Self {
        Self {
            name,
            slot,
            first,
            readers,
        }
    }

    pub(crate) fn slot(&self) -> usize {
        self.slot
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version that is current now. Two calls may see two versions; a [`crate::Frame`] sees one. What is called
    /// outside a frame counts neither for `executing` nor for `drained`.
    pub fn current(&self) -> Arc<SymbolTable> {
        Arc::clone(self.table_in(&self.readers.snapshot.load()))
    }

    /// The version in a snapshot; the first one if the snapshot is older than that.
    pub(crate) fn table_in<'a>(&'a self, snapshot: &'a Snapshot) -> &'a Arc<SymbolTable> {
        match snapshot.tables.get(self.slot) {
            Some(Some(table)) => table,
            _ => &self.first,
        }
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin({})", self.name)
    }
}
