//! What this client needs of a plugin: contracts that its versions must fit before they are swapped in, and contracts
//! whose plugins are followed, whoever they are.

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crossbeam_channel::Sender;
use plugind_loader::manifest::{self, Toolchain};
use plugind_loader::{BindError, Contract};
use plugind_wire::Bytes;
use plugind_wire::message::{Required, ToEngine};

use crate::error::ClientError;
use crate::loader::Loader;
use crate::request::FollowNews;
use crate::snapshot::{Refused, SymbolTable};

/// A contract that a version must fit.
#[derive(Clone, Copy)]
pub(crate) struct Requirement {
    contract: TypeId,
    name: &'static str,
    description: &'static [u8],
    expected: fn() -> manifest::Contract,
    fits: fn(&SymbolTable) -> Result<(), BindError>,
}

impl Requirement {
    pub(crate) fn of<C: Contract + ?Sized>() -> Self {
        Self {
            contract: TypeId::of::<C>(),
            name: C::NAME,
            description: C::MANIFEST,
            expected: manifest::Contract::of::<C>,
            fits: |table| table.bind::<C>().map(drop),
        }
    }

    /// Whether both are of one contract.
    pub(crate) fn is(self, other: Self) -> bool {
        self.contract == other.contract
    }

    /// The contract's description, to be compared before anything is opened.
    pub(crate) fn expected(self) -> manifest::Contract {
        (self.expected)()
    }

    /// As the engine is told of it.
    pub(crate) fn required(self) -> Required {
        let toolchain = Toolchain::own();
        Required {
            description: Bytes(self.description.to_vec()),
            rustc: toolchain.rustc,
            target: toolchain.target,
        }
    }

    /// Binds the version's functions, which is done once per version and contract.
    pub(crate) fn check(self, table: &SymbolTable) -> Result<(), ClientError> {
        (self.fits)(table).map_err(|reason| ClientError::Bind {
            version: table.version().clone(),
            reason: Box::new(reason),
        })
    }
}

/// The plugins of one contract, and who follows them all.
#[derive(Default)]
pub(crate) struct Implementing {
    plugins: BTreeSet<Arc<str>>,
    listeners: Vec<(Requirement, Sender<FollowNews>)>,
}

/// By the contract's name.
pub(crate) type AllImplementing = BTreeMap<String, Implementing>;

impl Loader {
    /// From now on a version of the plugin must fit the contract; the current one must already.
    pub(crate) fn require(
        &mut self,
        slot: usize,
        requirement: Requirement,
    ) -> Result<(), ClientError> {
        let Some(followed) = self.followed.get_mut(slot) else {
            return Ok(());
        };
        if let Some(current) = &followed.current {
            requirement.check(&current.table)?;
        }
        if followed.add(requirement)
            && let Some((_, writer)) = &self.engine
        {
            writer.send(&ToEngine::Require {
                plugin: followed.name.to_string(),
                requires: requirement.required(),
            });
        }
        Ok(())
    }

    /// Follows every plugin of a contract; `news` hears of each when its first version is current.
    pub(crate) fn follow_contract(&mut self, requirement: Requirement, news: Sender<FollowNews>) {
        let known = self.implementing.contains_key(requirement.name);
        let implementing = self
            .implementing
            .entry(requirement.name.to_owned())
            .or_default();
        let plugins: Vec<_> = implementing.plugins.iter().cloned().collect();
        implementing.listeners.push((requirement, news.clone()));
        for plugin in plugins {
            self.follow_for(plugin, requirement, news.clone());
        }
        if !known {
            self.ask_for_contract(requirement);
        }
    }

    /// Tells who follows these contracts of a version that nobody could open.
    pub(crate) fn tell_followers(&mut self, contracts: &[String], refused: &Arc<Refused>) {
        for contract in contracts {
            if let Some(implementing) = self.implementing.get_mut(contract) {
                implementing.listeners.retain(|(_, news)| {
                    news.send(FollowNews::Refused(Arc::clone(refused))).is_ok()
                });
            }
        }
    }

    fn ask_for_contract(&self, requirement: Requirement) {
        if let Some((_, writer)) = &self.engine {
            writer.send(&ToEngine::FollowContract {
                contract: requirement.name.to_owned(),
                requires: Some(requirement.required()),
            });
        }
    }

    /// A new engine is told of every contract.
    pub(crate) fn ask_for_contracts(&self) {
        for implementing in self.implementing.values() {
            if let Some((requirement, _)) = implementing.listeners.first() {
                self.ask_for_contract(*requirement);
            }
        }
    }

    /// Plugins that implement a contract.
    pub(crate) fn implementing(&mut self, contract: &str, plugins: Vec<String>) {
        let Some(implementing) = self.implementing.get_mut(contract) else {
            return;
        };
        let mut found = Vec::new();
        for plugin in plugins {
            let plugin: Arc<str> = plugin.into();
            if !self.removed.contains(&plugin) && implementing.plugins.insert(Arc::clone(&plugin)) {
                let listeners = implementing.listeners.iter();
                found.extend(
                    listeners.map(|(requirement, news)| {
                        (Arc::clone(&plugin), *requirement, news.clone())
                    }),
                );
            }
        }
        for (plugin, requirement, news) in found {
            self.follow_for(plugin, requirement, news);
        }
    }

    fn follow_for(&mut self, plugin: Arc<str>, requirement: Requirement, news: Sender<FollowNews>) {
        self.follow(Arc::clone(&plugin), Some(requirement), news);
        if let Some(slot) = self.slot(&plugin) {
            // A current version that does not fit is told where an instance of it is started.
            let _ = self.require(slot, requirement);
        }
    }

    /// Leaves a plugin: no later version of it is opened, and who follows its contract drops it.
    pub(crate) fn remove(&mut self, plugin: Arc<str>) -> bool {
        let Some(slot) = self.slot(&plugin) else {
            return false;
        };
        self.followed[slot].removed = true;
        if let Some((_, writer)) = &self.engine {
            writer.send(&ToEngine::Unfollow {
                plugin: plugin.to_string(),
            });
        }
        for implementing in self.implementing.values_mut() {
            if implementing.plugins.remove(&plugin) {
                implementing.listeners.retain(|(_, news)| {
                    news.send(FollowNews::Removed(Arc::clone(&plugin))).is_ok()
                });
            }
        }
        self.removed.insert(plugin);
        true
    }
}
