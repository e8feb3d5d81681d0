//! The plugins that a client follows, and what their versions must fit.

use std::sync::Arc;

use crossbeam_channel::{Sender, TrySendError};
use plugind_loader::manifest;
use plugind_wire::message::{Required, ToEngine};

use crate::loader::Loader;
use crate::progress::Current;
use crate::request::FollowNews;
use crate::require::Requirement;
use crate::snapshot::Refused;

/// A followed plugin.
pub(crate) struct Followed {
    pub(crate) name: Arc<str>,
    /// Chosen by the engine once, and kept.
    pub(crate) lane: Option<String>,
    pub(crate) current: Option<Current>,
    pub(crate) waiters: Vec<Sender<FollowNews>>,
    pub(crate) nothing_built: bool,
    /// Why the newest version is not used, as long as none is current.
    pub(crate) refused: Option<Arc<Refused>>,
    /// Contracts that every version must fit.
    pub(crate) requirements: Vec<Requirement>,
    /// What does not fit is the last word only if its number is higher.
    pub(crate) reconsidered: u64,
    /// Not followed any more; its slot is not given to another.
    pub(crate) removed: bool,
}

impl Followed {
    /// True if it was not required before.
    pub(crate) fn add(&mut self, requirement: Requirement) -> bool {
        let is_new = !self.requirements.iter().any(|known| known.is(requirement));
        if is_new {
            self.requirements.push(requirement);
        }
        is_new
    }

    /// What a version must fit before it is opened.
    pub(crate) fn expected(&self) -> Vec<manifest::Contract> {
        self.requirements.iter().map(|one| one.expected()).collect()
    }

    pub(crate) fn required(&self) -> Vec<Required> {
        self.requirements.iter().map(|one| one.required()).collect()
    }

    /// Tells everybody who waits for a first version, and forgets those who do not any more.
    pub(crate) fn tell(&mut self, news: impl Fn() -> FollowNews) {
        self.waiters.retain(|waiter| {
            !matches!(waiter.try_send(news()), Err(TrySendError::Disconnected(_)))
        });
    }
}

impl Loader {
    pub(crate) fn follow(
        &mut self,
        name: Arc<str>,
        requirement: Option<Requirement>,
        news: Sender<FollowNews>,
    ) {
        let Some(slot) = self.slot(&name) else {
            self.followed.push(Followed {
                name,
                lane: None,
                current: None,
                waiters: vec![news],
                nothing_built: false,
                refused: None,
                reconsidered: 0,
                requirements: requirement.into_iter().collect(),
                removed: false,
            });
            self.ask_for(self.followed.len() - 1);
            return;
        };
        let followed = &mut self.followed[slot];
        if let Some(current) = &followed.current {
            let _ = news.try_send(FollowNews::Current(slot, Arc::clone(&current.table)));
            return;
        }
        // Those who gave up are not kept for ever.
        if followed.waiters.len() == followed.waiters.capacity() {
            followed.tell(|| FollowNews::StillNothing);
        }
        if requirement.is_some_and(|requirement| followed.add(requirement)) {
            // What was turned down was not asked this.
            followed.waiters.push(news);
            self.ask_again(slot);
            return;
        }
        if let Some(refused) = &followed.refused {
            let _ = news.try_send(FollowNews::Refused(Arc::clone(refused)));
        } else if followed.nothing_built {
            let _ = news.try_send(FollowNews::NothingBuilt);
        }
        followed.waiters.push(news);
    }

    /// No version fitted the contract, and nobody asks for it any more. A version that is current fits what it must.
    pub(crate) fn release(&mut self, name: &str, requirement: Requirement) {
        let Some(slot) = self.slot(name) else { return };
        let followed = &mut self.followed[slot];
        if followed.current.is_none() {
            followed.requirements.retain(|known| !known.is(requirement));
            self.ask_again(slot);
        }
    }

    /// Has the engine announce a plugin once more.
    fn ask_again(&mut self, slot: usize) {
        self.followed[slot].refused = None;
        self.ask_for(slot);
    }

    fn ask_for(&self, slot: usize) {
        let followed = &self.followed[slot];
        if let Some((_, writer)) = &self.engine {
            writer.send(&ToEngine::Follow {
                plugin: followed.name.to_string(),
                lane: followed.lane.clone(),
                running: None,
                requires: followed.required(),
            });
        }
    }
}
