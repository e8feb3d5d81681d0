//! What callers ask of the loader thread, and who waits for which answer.

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::Sender;
use plugind_wire::choice::Choose;
use plugind_wire::difference::Diff;
use plugind_wire::history::Entry;
use plugind_wire::message::EngineHello;
use plugind_wire::status::Status;
use plugind_wire::who::Who;
use plugind_wire::{Digest, VersionId};

use crate::error::ClientError;
use crate::plugin::Plugin;
use crate::recorded::Question;
use crate::require::Requirement;
use crate::snapshot::{Refused, SymbolTable};

/// What a caller asks of the loader thread.
pub(crate) enum Request {
    /// Follow a plugin, whose versions must fit a contract from now on; every news about it is told until the first
    /// version is current.
    Follow(Arc<str>, Option<Requirement>, Sender<FollowNews>),
    /// A contract that no version fitted is not asked for any more.
    Release(Arc<str>, Requirement),
    /// Open one version beside the others.
    Version(VersionId, Sender<Result<Arc<SymbolTable>, ClientError>>),
    /// Have a file staged, and open that.
    Open(PathBuf, Sender<Result<Arc<SymbolTable>, ClientError>>),
    /// Have the rejected builds of a plugin tried again.
    Retry(String, Sender<Result<VersionId, ClientError>>),
    /// Choose the version of a plugin that is wanted current.
    Choose(String, Choose, Sender<Result<VersionId, ClientError>>),
    /// Have the engine hold every build back, or stop to.
    PauseEngine(bool, Sender<Result<(), ClientError>>),
    /// What changed between two versions of a plugin.
    Diff(String, [u64; 2], Sender<Result<Box<Diff>, ClientError>>),
    /// Every later version of the plugin in this slot must fit a contract.
    Require(usize, Requirement, Sender<Result<(), ClientError>>),
    /// Follow every plugin of a contract.
    FollowContract(Requirement, Sender<FollowNews>),
    /// Leave a plugin; answers whether it was followed.
    Remove(Arc<str>, Sender<Result<bool, ClientError>>),
    /// The plugins that are followed and have a current version.
    Plugins(Sender<Result<Vec<Plugin>, ClientError>>),
    /// Hold new versions back, or stop to.
    Pause(bool),
    /// Have every file looked at that may be a build of a plugin.
    Scan(String, Sender<Result<(), ClientError>>),
    /// What all clients execute.
    Who(Sender<Result<Who, ClientError>>),
    /// What became of versions.
    History(Question),
    /// The engine's status.
    Status(Sender<Result<Box<Status>, ClientError>>),
    /// End the engine.
    Stop(Sender<Result<(), ClientError>>),
    /// Tell when the engine has said hello.
    Ready(Sender<Result<EngineHello, ClientError>>),
    /// An instance's state could not be carried to a new version.
    Kept(Kept),
    /// End this thread.
    End,
}

/// An instance that stays with its version.
pub(crate) struct Kept {
    /// The plugin's slot.
    pub(crate) slot: usize,
    /// The new version.
    pub(crate) version: VersionId,
    /// Its content.
    pub(crate) digest: Digest,
    /// Why.
    pub(crate) reason: String,
}

/// News about a plugin that has no version here yet.
pub(crate) enum FollowNews {
    /// The engine knows no version of it.
    NothingBuilt,
    /// The first version is current, in this slot.
    Current(usize, Arc<SymbolTable>),
    /// A version is not used.
    Refused(Arc<Refused>),
    /// The plugin is not followed any more.
    Removed(Arc<str>),
    /// Nothing new.
    StillNothing,
}

/// Who waits for a reply of the engine.
pub(crate) enum Pending {
    Table(Sender<Result<Arc<SymbolTable>, ClientError>>),
    Passed(Sender<Result<VersionId, ClientError>>),
    Status(Sender<Result<Box<Status>, ClientError>>),
    Diff(Sender<Result<Box<Diff>, ClientError>>),
    Who(Sender<Result<Who, ClientError>>),
    History(Sender<Result<Vec<Entry>, ClientError>>),
    Done(Sender<Result<(), ClientError>>),
}

impl Pending {
    /// Answers that it cannot be done.
    pub(crate) fn fail(self, error: ClientError) {
        match self {
            Self::Table(answer) => drop(answer.send(Err(error))),
            Self::Passed(answer) => drop(answer.send(Err(error))),
            Self::Status(answer) => drop(answer.send(Err(error))),
            Self::Diff(answer) => drop(answer.send(Err(error))),
            Self::Who(answer) => drop(answer.send(Err(error))),
            Self::History(answer) => drop(answer.send(Err(error))),
            Self::Done(answer) => drop(answer.send(Err(error))),
        }
    }
}
