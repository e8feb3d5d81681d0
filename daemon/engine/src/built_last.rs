//! Which lane of a plugin was built last: a program that lies in none follows that one. A build that leaves the same bytes
//! counts as well, as far as its file says that there was one.

use std::sync::Arc;

use crate::catalogue::{Catalogue, Plugin, Progress};

impl Plugin {
    /// The lane that was built last.
    pub(crate) fn newest_lane(&self) -> Option<&str> {
        let (newest, lane) = self.versions().rev().find_map(|version| {
            let lane = version.shown.lane.as_deref()?;
            (version.progress != Progress::Rejected).then_some((version.shown.version, lane))
        })?;
        let rebuilt = self.rebuilt.as_ref().filter(|(_, then)| *then >= newest);
        Some(rebuilt.map_or(lane, |(lane, _)| lane))
    }
}

impl Catalogue {
    /// A build in this lane left the bytes of a version again.
    pub(crate) fn rebuilt(&mut self, plugin: &str, lane: &str) {
        if let Some(plugin) = self.plugins.get_mut(plugin) {
            let newest = plugin.versions().next_back();
            let newest = newest.map(|newest| (lane.to_owned(), newest.shown.version));
            Arc::make_mut(plugin).rebuilt = newest;
        }
    }
}
