//! What the commands of `plugind` ask of an engine, for programs.

use std::time::Duration;

use plugind_wire::VersionId;
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
