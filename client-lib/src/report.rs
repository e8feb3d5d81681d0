//! Tells what this client executes, in the words of its readers.

use std::collections::BTreeSet;
use std::sync::Arc;

use plugind_loader::thread_name;
use plugind_wire::who::{self, Inside, Report, Running};

use crate::loader::Loader;
use crate::reader::Stand;
use crate::snapshot::{Snapshot, SymbolTable};

impl Loader {
    /// What the readers say now.
    pub(crate) fn report(&mut self) -> Report {
        // One: nobody but this list holds it.
        self.retired.retain(|old| Arc::strong_count(old) > 1);
        let stands = self.readers.stands();
        let newest = self.readers.snapshot.load_full();
        let current = self.running(&newest, None);
        let retired: BTreeSet<_> = self
            .retired
            .iter()
            .flat_map(|old| self.running(old, None))
            .filter(|old| !current.contains(old))
            .map(|old| old.version)
            .collect();
        Report {
            readers: stands
                .into_iter()
                .map(|stand| self.reader(stand, &newest, &current))
                .collect(),
            current,
            paused: self.held.is_some(),
            retired: retired.into_iter().collect(),
        }
    }

    fn reader(&self, stand: Stand, newest: &Snapshot, current: &[Running]) -> who::Reader {
        let inside = stand.inside.map(|epoch| {
            // One that is not there any more was left while this was asked.
            let old = self.retired.iter().find(|old| old.epoch == epoch);
            let snapshot = old.map_or(newest, |old| old);
            let versions = self.running(snapshot, stand.slot);
            let is_behind = versions.iter().any(|version| !current.contains(version));
            Inside {
                since_before: snapshot.ended.get().copied().filter(|_| is_behind),
                versions,
            }
        });
        who::Reader {
            thread: stand.thread,
            name: thread_name(stand.thread),
            instance_of: stand.slot.map(|slot| self.followed[slot].name.to_string()),
            inside,
        }
    }

    /// The versions in a snapshot, or the one in `slot`.
    fn running(&self, snapshot: &Snapshot, slot: Option<usize>) -> Vec<Running> {
        let running = |table: &Arc<SymbolTable>| Running {
            version: table.version().clone(),
            digest: table.digest(),
        };
        let tables = snapshot.tables.iter().enumerate();
        tables
            .filter(|(of, _)| slot.map_or(!self.followed[*of].removed, |slot| slot == *of))
            .filter_map(|(_, table)| table.as_ref())
            .map(running)
            .collect()
    }
}
