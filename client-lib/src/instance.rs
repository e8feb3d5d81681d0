//! A plugin's state in this program, carried from version to version at frame boundaries.
//!
//! An instance is a reader of its own, for its plugin alone: it stays inside a snapshot from one sync to the next, and
//! what its word says is what the engine is told.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crossbeam_channel::Sender;
use plugind_loader::{Carried, Contract, Table};
use plugind_wire::VersionId;

use crate::error::ClientError;
use crate::follow::Change;
use crate::plugin::Plugin;
use crate::reader::{Reader, Readers};
use crate::request::{Kept, Request};
use crate::snapshot::{Refused, Snapshot, SymbolTable};

/// A state that a plugin made, with the contract's methods. From one [`Client::sync`](crate::Client::sync) to the next
/// it is of one version.
pub struct Instance<C: Contract + ?Sized> {
    // Dropped before the reader, which says until then that the version is in use.
    carried: Carried<C>,
    table: Arc<SymbolTable>,
    /// The contract's functions in `table`.
    bound: &'static Table<C>,
    plugin: Plugin,
    reader: Reader,
    loader: Sender<Request>,
    /// The epoch of the snapshot with which it was found to be up to date.
    settled: Option<u64>,
    /// The version that could not take the state.
    kept_from: Option<Arc<SymbolTable>>,
    /// The version that could not be opened, or does not fit, and was said.
    refused: Option<VersionId>,
}

/// What [`Client::sync`](crate::Client::sync) did with one instance, or with all of a [`Follow`](crate::Follow).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// There is nothing new: it is of the newest version, or has said why it is not.
    UpToDate,
    /// It is of another version now.
    Swapped {
        /// The version before.
        from: VersionId,
        /// The version now.
        to: VersionId,
    },
    /// It stays with its version, state untouched: a newer one does not fit, cannot be opened, or cannot take the state.
    /// Said once for each such version.
    Kept {
        /// The version that it was not carried to.
        version: VersionId,
        /// Why.
        reason: String,
    },
    /// What was not used is gone: what is built is the version that it is of, again.
    Unchanged {
        /// Its version.
        version: VersionId,
    },
    /// What changed among the plugins of a [`Follow`](crate::Follow), if anything did.
    Followed(Vec<Change>),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpToDate => f.write_str("up to date"),
            Self::Swapped { from, to } => write!(f, "{to} took over from v{}", from.number),
            Self::Kept { version, reason } => write!(f, "{version} is not used: {reason}"),
            Self::Unchanged { version } => write!(f, "{version} is what is built again"),
            Self::Followed(changes) => {
                let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
                f.write_str(&changes.join("; "))
            }
        }
    }
}

impl<C: Contract + ?Sized> Instance<C> {
    pub(crate) fn start(plugin: Plugin, loader: Sender<Request>) -> Result<Self, ClientError> {
        let mut reader = Reader::new(Arc::clone(&plugin.readers), Some(plugin.slot()));
        let snapshot = reader.stay();
        Self::start_with(reader, &snapshot, plugin, loader)
    }

    /// Starts one in a frame that has begun; nothing if its snapshot is not the newest any more, because nobody may
    /// enter an older one.
    pub(crate) fn start_in(
        frame: &Moved,
        plugin: Plugin,
        loader: Sender<Request>,
    ) -> Result<Option<Self>, ClientError> {
        let mut reader = Reader::new(Arc::clone(&plugin.readers), Some(plugin.slot()));
        let newest = reader.stay();
        if newest.epoch != frame.snapshot.epoch {
            return Ok(None);
        }
        Self::start_with(reader, &newest, plugin, loader).map(Some)
    }

    fn start_with(
        reader: Reader,
        snapshot: &Snapshot,
        plugin: Plugin,
        loader: Sender<Request>,
    ) -> Result<Self, ClientError> {
        let table = Arc::clone(plugin.table_in(snapshot));
        let bound = table.bind::<C>().map_err(|reason| ClientError::Bind {
            version: table.version().clone(),
            reason: Box::new(reason),
        })?;
        let carried = Carried::start(bound).map_err(|fault| ClientError::Fault(Box::new(fault)))?;
        Ok(Self {
            carried,
            table,
            bound,
            plugin,
            reader,
            loader,
            settled: None,
            kept_from: None,
            refused: None,
        })
    }

    /// The version that the state is with.
    pub fn version(&self) -> &VersionId {
        self.table.version()
    }

    /// Whether the methods are those of its version: they may have been exchanged with another instance's.
    fn is_own(&self) -> bool {
        std::ptr::eq(self.carried.table(), self.bound)
    }

    fn carry(&mut self, to: &Arc<SymbolTable>) -> Result<(), String> {
        let bound = to.bind::<C>().map_err(|error| error.to_string())?;
        self.carried.carry(bound).map_err(|kept| {
            let version = |table: &SymbolTable| table.version().number;
            let (old, new) = (&*self.table, &**to);
            kept.explained(C::NAME, (old, version(old)), (new, version(new)))
                .to_string()
        })?;
        self.table = Arc::clone(to);
        self.bound = bound;
        self.kept_from = None;
        self.refused = None;
        Ok(())
    }

    /// Says once why a newer version is not in the snapshot, and once that there is none any more.
    fn look_at_refused(&mut self, snapshot: &Snapshot) -> Outcome {
        let Some(Refused {
            version, reason, ..
        }) = snapshot.refused(self.plugin.slot())
        else {
            return match self.refused.take() {
                Some(_) => Outcome::Unchanged {
                    version: self.version().clone(),
                },
                None => Outcome::UpToDate,
            };
        };
        if self.refused.as_ref() == Some(version) {
            return Outcome::UpToDate;
        }
        self.refused = Some(version.clone());
        Outcome::Kept {
            version: version.clone(),
            reason: reason.clone(),
        }
    }

    /// Notes that the state stays, and tells it.
    fn keep(&mut self, from: &Arc<SymbolTable>, reason: &str) {
        self.kept_from = Some(Arc::clone(from));
        // Nobody hears it when the client is gone: then nothing is swapped any more.
        let _ = self.loader.send(Request::Kept(Kept {
            slot: self.plugin.slot(),
            version: from.version().clone(),
            digest: from.digest(),
            reason: reason.to_owned(),
        }));
    }
}

/// What can be synchronised with the newest snapshot.
pub trait InSync {
    /// Whether moving would find everything up to date, as it was when it moved last.
    #[doc(hidden)]
    fn is_settled(&self, now: &Now<'_>) -> bool;

    /// Moves on to a snapshot, if the state can be carried to the version there.
    #[doc(hidden)]
    fn move_to(&mut self, to: &Moved) -> Outcome;
}

/// The epoch of the newest snapshot, and whose it is.
#[doc(hidden)]
pub struct Now<'a> {
    pub(crate) epoch: u64,
    pub(crate) readers: &'a Arc<Readers>,
}

/// A snapshot to move to, and whose it is.
#[doc(hidden)]
pub struct Moved {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) readers: Arc<Readers>,
}

impl<C: Contract + ?Sized> InSync for Instance<C> {
    fn is_settled(&self, now: &Now<'_>) -> bool {
        self.settled == Some(now.epoch)
            && Arc::ptr_eq(now.readers, &self.plugin.readers)
            && self.is_own()
    }

    fn move_to(&mut self, Moved { snapshot, readers }: &Moved) -> Outcome {
        assert!(
            Arc::ptr_eq(readers, &self.plugin.readers),
            "the instance belongs to another client"
        );
        let to = self.plugin.table_in(snapshot);
        if Arc::ptr_eq(&self.table, to) && self.is_own() {
            self.reader.stay_on(snapshot);
            self.settled = Some(snapshot.epoch);
            return self.look_at_refused(snapshot);
        }
        if let Some(known) = &self.kept_from
            && Arc::ptr_eq(known, to)
        {
            self.settled = Some(snapshot.epoch);
            return Outcome::UpToDate;
        }
        let (from, to) = (self.version().clone(), Arc::clone(to));
        match self.carry(&to) {
            Ok(()) => {
                self.reader.stay_on(snapshot);
                Outcome::Swapped {
                    from,
                    to: to.version().clone(),
                }
            }
            Err(reason) => {
                // The reader stays where it is: what runs is the old version.
                self.keep(&to, &reason);
                Outcome::Kept {
                    version: to.version().clone(),
                    reason,
                }
            }
        }
    }
}

impl<C: Contract + ?Sized> Deref for Instance<C> {
    type Target = C::Functions;

    fn deref(&self) -> &C::Functions {
        self.carried.functions()
    }
}

impl<C: Contract + ?Sized> DerefMut for Instance<C> {
    fn deref_mut(&mut self) -> &mut C::Functions {
        self.carried.functions_mut()
    }
}

impl<C: Contract + ?Sized> fmt::Debug for Instance<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instance({} of {})", C::NAME, self.version())
    }
}
