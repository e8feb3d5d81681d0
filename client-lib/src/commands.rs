//! What the commands of `plugind` ask of an engine, for programs.

use std::time::Duration;

use plugind_wire::VersionId;
use plugind_wire::choice::Choose;
use plugind_wire::difference::Diff;
use plugind_wire::status::Status;
use plugind_wire::who::Who;

use crate::client::Client;
use crate::error::ClientError;
use crate::request::Request;

/// How long a version may take that is tried again: the engine knows its deadline, a client does not.
const RETRY: Duration = Duration::from_secs(600);
/// The engine waits so long for a client that does not answer.
const ANSWER: Duration = Duration::from_secs(1);

impl Client {
    /// Has the rejected builds of a plugin tried again: what was remembered of them is forgotten, and each file is
    /// copied and probed anew. Waits for the newest, at most ten minutes, and answers with the version that it became.
    /// A file that could not become a version is named by its path or file name.
    ///
    /// # Errors
    ///
    /// [`ClientError::Rejected`] if it fails again, [`ClientError::Unknown`] if nothing of that name is rejected.
    pub fn retry(&self, plugin: &str) -> Result<VersionId, ClientError> {
        let plugin = plugin.to_owned();
        self.ask(|answer| Request::Retry(plugin, answer), RETRY)
    }

    /// What changed between two versions of a plugin: contracts, functions, types field by field. Neither need be open
    /// anywhere, and a rejected version can be compared too.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unknown`] if one of them does not exist, [`ClientError::Rejected`] if what it declares cannot be
    /// read.
    pub fn diff(&self, plugin: &str, expected: u64, found: u64) -> Result<Diff, ClientError> {
        let plugin = plugin.to_owned();
        self.ask(
            |answer| Request::Diff(plugin, [expected, found], answer),
            self.inner.deadline,
        )
        .map(|diff| *diff)
    }

    /// Goes back to an earlier version of a plugin, the one before the current one if none is named, until the next build
    /// is accepted; with `hold` until [`unpin`](Self::unpin). A client that has the version open swaps it in as it is,
    /// another opens it from the store. Answers with the version that the engine wants current now, as the following do;
    /// [`wait`](Self::wait) tells when clients run it. A version decides which lane it is about; else it is the lane that
    /// was built last.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unknown`] if there is no such version, or its image is gone. [`ClientError::Rejected`] if it was
    /// turned down. [`ClientError::Unsupported`] if the engine cannot write the choice down; nothing changed then.
    pub fn rollback(
        &self,
        plugin: &str,
        to: Option<u64>,
        hold: bool,
    ) -> Result<VersionId, ClientError> {
        self.choose(plugin, Choose::Rollback { to, hold })
    }

    /// Keeps a version of a plugin, the current one if none is named, until [`unpin`](Self::unpin), also over restarts of
    /// the engine. Builds are staged, probed and listed meanwhile, and do not take over.
    ///
    /// # Errors
    ///
    /// As [`rollback`](Self::rollback).
    pub fn pin(&self, plugin: &str, version: Option<u64>) -> Result<VersionId, ClientError> {
        self.choose(plugin, Choose::Pin { version })
    }

    /// Ends what pins and rollbacks hold back, in every lane: the version that the policy prefers takes over.
    ///
    /// # Errors
    ///
    /// As [`rollback`](Self::rollback).
    pub fn unpin(&self, plugin: &str) -> Result<VersionId, ClientError> {
        self.choose(plugin, Choose::Unpin)
    }

    /// Lets a version take over, the newest if none is named, where builds do not by themselves: under
    /// `policy = "manual"`, or while the engine is paused.
    ///
    /// # Errors
    ///
    /// As [`rollback`](Self::rollback), [`ClientError::Held`] if one is pinned, and [`ClientError::Unsupported`] where
    /// builds take over by themselves.
    pub fn promote(&self, plugin: &str, version: Option<u64>) -> Result<VersionId, ClientError> {
        self.choose(plugin, Choose::Promote { version })
    }

    /// Makes the engine hold every build back, for all clients and over restarts, until it is promoted or
    /// [`resume_engine`](Self::resume_engine). The first version of a plugin is current all the same.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unsupported`] if the engine cannot write it down.
    pub fn pause_engine(&self) -> Result<(), ClientError> {
        let deadline = self.inner.deadline;
        self.ask(|answer| Request::PauseEngine(true, answer), deadline)
    }

    /// Ends [`pause_engine`](Self::pause_engine): the newest versions take over.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unsupported`] if the engine cannot write it down.
    pub fn resume_engine(&self) -> Result<(), ClientError> {
        let deadline = self.inner.deadline;
        self.ask(|answer| Request::PauseEngine(false, answer), deadline)
    }

    fn choose(&self, plugin: &str, choose: Choose) -> Result<VersionId, ClientError> {
        let plugin = plugin.to_owned();
        let deadline = self.inner.deadline;
        self.ask(|answer| Request::Choose(plugin, choose, answer), deadline)
    }

    /// What the engine knows.
    ///
    /// # Errors
    ///
    /// [`ClientError::Disconnected`], [`ClientError::TimedOut`].
    pub fn status(&self) -> Result<Status, ClientError> {
        self.ask(Request::Status, self.inner.deadline)
            .map(|status| *status)
    }

    /// Asks the daemon to end.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unsupported`] for an embedded engine, whose program must end instead.
    pub fn stop_engine(&self) -> Result<(), ClientError> {
        self.ask(Request::Stop, self.inner.deadline)
    }

    /// What every reader of every client executes, in the readers' own words. Takes up to a second where a client does
    /// not answer.
    ///
    /// # Errors
    ///
    /// [`ClientError::Disconnected`], [`ClientError::TimedOut`].
    pub fn who(&self) -> Result<Who, ClientError> {
        let deadline = self.inner.deadline + ANSWER;
        self.ask(Request::Who, deadline)
    }
}
