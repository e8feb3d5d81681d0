//! What became of every version, and of every later one as it happens.

use std::collections::HashMap;

use crossbeam_channel::{Receiver, Sender, unbounded};
use plugind_wire::history::Entry;
use plugind_wire::message::ToEngine;

use crate::client::Client;
use crate::error::ClientError;
use crate::loader::Loader;
use crate::request::{Pending, Request};

/// A question about the history.
pub(crate) struct Question {
    plugin: Option<String>,
    last: Option<u64>,
    later: Option<Sender<Entry>>,
    answer: Sender<Result<Vec<Entry>, ClientError>>,
}

/// Who is told of later outcomes, by request.
pub(crate) type Followers = HashMap<u64, Sender<Entry>>;

/// Outcomes, oldest first: what there was, then what comes, each once and none left out. Waits for the next one, and
/// ends when the connection to the engine does.
#[derive(Debug)]
pub struct Recorded {
    first: std::vec::IntoIter<Entry>,
    later: Receiver<Entry>,
}

impl Iterator for Recorded {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        self.first.next().or_else(|| self.later.recv().ok())
    }
}

impl Client {
    /// What became of every version of a plugin, or of all plugins: the newest `last` outcomes, or all that are kept,
    /// oldest first. They survive the engine's end; those of an embedded engine go with its program.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unknown`] if there is no plugin of that name, [`ClientError::Disconnected`],
    /// [`ClientError::TimedOut`].
    pub fn history(
        &self,
        plugin: Option<&str>,
        last: Option<u64>,
    ) -> Result<Vec<Entry>, ClientError> {
        self.ask_history(plugin, last, None)
    }

    /// The same, and then every later outcome. What is not read is kept in memory.
    ///
    /// # Errors
    ///
    /// As [`Client::history`].
    pub fn follow_history(
        &self,
        plugin: Option<&str>,
        last: Option<u64>,
    ) -> Result<Recorded, ClientError> {
        // Unbounded, because the loader thread never waits; a message per outcome.
        let (tell, later) = unbounded();
        let first = self.ask_history(plugin, last, Some(tell))?.into_iter();
        Ok(Recorded { first, later })
    }

    fn ask_history(
        &self,
        plugin: Option<&str>,
        last: Option<u64>,
        later: Option<Sender<Entry>>,
    ) -> Result<Vec<Entry>, ClientError> {
        let question = |answer| {
            Request::History(Question {
                plugin: plugin.map(str::to_owned),
                last,
                later,
                answer,
            })
        };
        self.ask(question, self.inner.deadline)
    }
}

impl Loader {
    pub(crate) fn ask_history(&mut self, question: Question) {
        let Question {
            plugin,
            last,
            later,
            answer,
        } = question;
        let follow = later.is_some();
        let mut asked = None;
        self.ask(Pending::History(answer), |request| {
            asked = Some(request);
            ToEngine::History {
                request,
                plugin,
                last,
                follow,
            }
        });
        self.recorded.extend(asked.zip(later));
    }

    /// An outcome, for who follows by this request.
    pub(crate) fn recorded(&mut self, request: u64, entry: Entry) {
        if let Some(later) = self.recorded.get(&request)
            && later.send(entry).is_err()
        {
            self.recorded.remove(&request);
        }
    }
}
