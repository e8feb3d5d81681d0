//! Every plugin that implements a contract, now and later.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use plugind_loader::Contract;
use plugind_wire::VersionId;

use crate::instance::{InSync, Instance, Moved, Now, Outcome};
use crate::plugin::Plugin;
use crate::request::{FollowNews, Request};
use crate::snapshot::SymbolTable;

/// Instances of every plugin that implements contract `C`, by the plugin's name. Plugins come and go at
/// [`Client::sync`](crate::Client::sync) only.
pub struct Follow<C: Contract + ?Sized> {
    instances: BTreeMap<Arc<str>, Instance<C>>,
    /// Plugins of which no instance could be started, with the version and what it said.
    waiting: Vec<Waiting>,
    news: Receiver<FollowNews>,
    loader: Sender<Request>,
}

struct Waiting {
    plugin: Plugin,
    tried: Option<Arc<SymbolTable>>,
}

/// What [`Client::sync`](crate::Client::sync) did with one plugin of a [`Follow`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It came: it was built, or had been when the follow was made.
    Added {
        /// Its version.
        version: VersionId,
    },
    /// It is of another version now, with its state.
    Swapped {
        /// The version before.
        from: VersionId,
        /// The version now.
        to: VersionId,
    },
    /// It stays with its version, state untouched.
    Kept {
        /// The version that it was not carried to.
        version: VersionId,
        /// Why.
        reason: String,
    },
    /// It implements the contract, and no instance could be started; its next version is tried again.
    Refused {
        /// The version that was tried.
        version: VersionId,
        /// Why.
        reason: String,
    },
    /// What was not used is gone: what is built is the version that it is of, again.
    Unchanged {
        /// Its version.
        version: VersionId,
    },
    /// [`Client::remove`](crate::Client::remove) was called; its state is dropped.
    Removed {
        /// The plugin's name.
        plugin: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { version } => write!(f, "{version} joined"),
            Self::Swapped { from, to } => write!(f, "{to} took over from v{}", from.number),
            Self::Kept { version, reason } | Self::Refused { version, reason } => {
                write!(f, "{version} is not used: {reason}")
            }
            Self::Unchanged { version } => write!(f, "{version} is what is built again"),
            Self::Removed { plugin } => write!(f, "{plugin} was removed"),
        }
    }
}

impl<C: Contract + ?Sized> Follow<C> {
    pub(crate) fn new(news: Receiver<FollowNews>, loader: Sender<Request>) -> Self {
        Self {
            instances: BTreeMap::new(),
            waiting: Vec::new(),
            news,
            loader,
        }
    }

    /// The instances in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Instance<C>)> {
        let instances = self.instances.iter();
        instances.map(|(name, instance)| (&**name, instance))
    }

    /// The instances in the order of their names.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&str, &mut Instance<C>)> {
        let instances = self.instances.iter_mut();
        instances.map(|(name, instance)| (&**name, instance))
    }

    /// The instance of one plugin.
    pub fn get(&self, plugin: &str) -> Option<&Instance<C>> {
        self.instances.get(plugin)
    }

    /// The instance of one plugin.
    pub fn get_mut(&mut self, plugin: &str) -> Option<&mut Instance<C>> {
        self.instances.get_mut(plugin)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.instances.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    /// Takes in who came and who went.
    fn take_in(&mut self, to: &Moved, changes: &mut Vec<Change>) {
        while let Ok(news) = self.news.try_recv() {
            match news {
                FollowNews::Current(slot, table) => {
                    let name = Arc::from(&*table.version().plugin);
                    let plugin = Plugin::new(name, slot, table, Arc::clone(&to.readers));
                    self.waiting.push(Waiting {
                        plugin,
                        tried: None,
                    });
                }
                FollowNews::Removed(plugin) => {
                    self.waiting
                        .retain(|waiting| waiting.plugin.name() != &*plugin);
                    if self.instances.remove(&plugin).is_some() {
                        changes.push(Change::Removed {
                            plugin: plugin.to_string(),
                        });
                    }
                }
                FollowNews::Refused(refused) => changes.push(Change::Refused {
                    version: refused.version.clone(),
                    reason: refused.reason.clone(),
                }),
                FollowNews::NothingBuilt | FollowNews::StillNothing => {}
            }
        }
    }

    /// Starts an instance of each plugin that has none, if its version was not tried before.
    fn start(&mut self, to: &Moved, changes: &mut Vec<Change>) {
        let (instances, loader) = (&mut self.instances, &self.loader);
        self.waiting.retain_mut(|waiting| {
            let table = Arc::clone(waiting.plugin.table_in(&to.snapshot));
            let same = |tried: &Arc<SymbolTable>| Arc::ptr_eq(tried, &table);
            if waiting.tried.as_ref().is_some_and(same) {
                return true;
            }
            let version = table.version().clone();
            match Instance::start_in(to, waiting.plugin.clone(), loader.clone()) {
                // At the next sync.
                Ok(None) => true,
                Ok(Some(instance)) => {
                    instances.insert(Arc::from(waiting.plugin.name()), instance);
                    changes.push(Change::Added { version });
                    false
                }
                Err(error) => {
                    let reason = plugind_wire::sentence(&error);
                    changes.push(Change::Refused { version, reason });
                    waiting.tried = Some(table);
                    true
                }
            }
        });
    }
}

impl<C: Contract + ?Sized> InSync for Follow<C> {
    fn is_settled(&self, now: &Now<'_>) -> bool {
        self.news.is_empty()
            && self.waiting.is_empty()
            && self
                .instances
                .values()
                .all(|instance| instance.is_settled(now))
    }

    fn move_to(&mut self, to: &Moved) -> Outcome {
        let mut changes = Vec::new();
        self.take_in(to, &mut changes);
        for instance in self.instances.values_mut() {
            match instance.move_to(to) {
                Outcome::Swapped { from, to } => changes.push(Change::Swapped { from, to }),
                Outcome::Kept { version, reason } => {
                    changes.push(Change::Kept { version, reason });
                }
                Outcome::Unchanged { version } => changes.push(Change::Unchanged { version }),
                Outcome::UpToDate | Outcome::Followed(_) => {}
            }
        }
        self.start(to, &mut changes);
        if changes.is_empty() {
            Outcome::UpToDate
        } else {
            Outcome::Followed(changes)
        }
    }
}

impl<C: Contract + ?Sized> fmt::Debug for Follow<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.instances.keys();
        write!(f, "Follow({}: ", C::NAME)?;
        f.debug_set().entries(names).finish()?;
        f.write_str(")")
    }
}
