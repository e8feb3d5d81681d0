//! How many rejected versions are remembered. Each is a record in memory and two small files, so a folder in which
//! everything breaks, under ever new names, would fill both.
//!
//! The oldest go. A version that is what its file still holds goes last: that is the one which somebody is to mend.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use plugind_wire::VersionId;

use crate::catalogue::{Catalogue, Progress, Version};
use crate::engine::Loop;

/// How many rejected versions are remembered, of all plugins together.
const ROOM: usize = 256;

impl Loop {
    /// Forgets what there is no room for.
    pub(crate) fn forget_rejected(&mut self) {
        for id in self.catalogue.without_room(ROOM) {
            let Some(digest) = self.catalogue.version(&id).map(|one| one.shown.digest) else {
                continue;
            };
            self.catalogue.remove(&id);
            if let Err(error) = self.state.forget(&id, &digest) {
                tracing::warn!(%error, version = %id, "the record of a rejected version stays");
            }
        }
    }
}

impl Catalogue {
    /// Forgets a version, and a plugin that has no other.
    pub(crate) fn remove(&mut self, id: &VersionId) {
        if let Some(plugin) = self.plugins.get_mut(&id.plugin) {
            let versions = &mut Arc::make_mut(plugin).versions;
            versions.remove(&id.number);
            if versions.is_empty() {
                self.plugins.remove(&id.plugin);
            }
        }
    }

    /// The rejected versions that are more than `room`, in the order in which they are to go.
    fn without_room(&self, room: usize) -> Vec<VersionId> {
        let versions = || self.plugins.values().flat_map(|plugin| plugin.versions());
        let is_rejected = |version: &Version| version.progress == Progress::Rejected;
        let surplus = versions()
            .filter(|version| is_rejected(version))
            .count()
            .saturating_sub(room);
        if surplus == 0 {
            return Vec::new();
        }
        let age = |version: &Version| (version.shown.staged, version.shown.version);
        let mut newest: HashMap<&Path, _> = HashMap::new();
        for version in versions() {
            let of_file = newest
                .entry(version.shown.artifact.as_path())
                .or_insert_with(|| age(version));
            *of_file = age(version).max(*of_file);
        }
        let mut rejected: Vec<_> = versions()
            .filter(|version| is_rejected(version))
            .map(|version| {
                let unmended = newest.get(version.shown.artifact.as_path()) == Some(&age(version));
                (unmended, age(version), version.id())
            })
            .collect();
        rejected.sort();
        rejected.truncate(surplus);
        rejected.into_iter().map(|(_, _, id)| id).collect()
    }
}
