//! Answers when what is on disk has been decided: `newest` is then what was there when somebody asked.

use std::collections::HashSet;
use std::path::PathBuf;

use plugind_wire::message::{Failure, Reply};

use crate::catalogue::Progress;
use crate::clients::Waiter;
use crate::engine::Loop;
use crate::tracked::Phase;

/// Somebody who waits for it.
pub(crate) struct Scanning {
    waiter: Waiter,
    plugin: String,
    /// What may be the plugin's, and is not decided yet.
    open: HashSet<PathBuf>,
}

impl Loop {
    /// Looks at everything, without waiting for an event that may be on its way.
    pub(crate) fn scan_for(&mut self, plugin: String, waiter: Waiter) {
        self.scan();
        // Times that a write may hide behind prove nothing.
        let doubtful: Vec<_> = self
            .tracked
            .iter()
            .filter(|(path, tracked)| self.may_be(path, &plugin) && tracked.may_hide_a_write())
            .map(|(path, _)| path.clone())
            .collect();
        for path in doubtful {
            self.confirm(&path);
        }
        let open = self
            .tracked
            .iter()
            .filter(|(path, tracked)| tracked.is_busy() && self.may_be(path, &plugin))
            .map(|(path, _)| path.clone())
            .collect();
        self.scanning.push(Scanning {
            waiter,
            plugin,
            open,
        });
    }

    /// Whether an artifact may be a plugin's. Whose a new one is its content will say.
    fn may_be(&self, path: &PathBuf, plugin: &str) -> bool {
        let artifact = self.catalogue.artifacts.get(path);
        let known = artifact.and_then(|artifact| artifact.plugin.as_deref());
        known.is_none_or(|known| known == plugin)
    }

    /// Answers those for whom everything is decided and in the status.
    pub(crate) fn answer_scanned(&mut self) {
        let mut scanning = std::mem::take(&mut self.scanning);
        scanning.retain_mut(|one| {
            one.open
                .retain(|path| self.tracked.get(path).is_some_and(|it| it.is_busy()));
            let plugin = self.catalogue.plugins.get(&one.plugin);
            let on_its_way = plugin.is_some_and(|plugin| {
                let mut versions = plugin.versions();
                versions.any(|version| version.progress == Progress::OnItsWay)
            });
            if on_its_way || !one.open.is_empty() || self.gathers(&one.plugin) {
                return true;
            }
            match plugin {
                Some(_) => self.reply(one.waiter, Reply::Done),
                None => {
                    let reason = self.unknown_plugin(&one.plugin);
                    self.fail(one.waiter, Failure::Unknown, &reason);
                }
            }
            false
        });
        self.scanning = scanning;
    }
}

impl crate::tracked::Tracked {
    /// Whether a change of it is not decided yet.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.phase, Phase::Settling { .. } | Phase::Copying { .. })
    }

    fn may_hide_a_write(&self) -> bool {
        let settled = self.settled_identity();
        settled.is_some_and(|identity| identity.may_hide_a_write())
    }
}
