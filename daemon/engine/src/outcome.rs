//! Puts what becomes of versions into the history, before anybody is told of it, and tells those who follow it.

use std::io;
use std::path::Path;

use crossbeam_channel::{Sender, bounded};
use plugind_wire::event::{Event, Kind, Stage};
use plugind_wire::history::{Entry, Outcome};
use plugind_wire::message::{Failure, Reply, ToClient};
use plugind_wire::{VersionId, sentence};

use crate::catalogue::{ClientId, Version};
use crate::engine::Loop;
use crate::history::Held;
use crate::server::Input;

/// Somebody asks for the history; the files are read by the connection's own thread.
pub(crate) struct Question {
    pub(crate) client: ClientId,
    pub(crate) request: u64,
    pub(crate) plugin: Option<String>,
    pub(crate) follow: bool,
}

/// Why a question is not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoHistory {
    /// There is no plugin of that name.
    #[error("{0}")]
    UnknownPlugin(String),
    /// The files cannot be read.
    #[error("the history cannot be read; look at history.jsonl in plugind's state directory")]
    Unreadable(#[from] io::Error),
}

/// A request to be told of every later outcome.
#[derive(Debug)]
pub(crate) struct HistoryFollower {
    request: u64,
    plugin: Option<String>,
}

impl Loop {
    /// Puts a version's outcome into the history.
    pub(crate) fn record(&mut self, id: &VersionId, outcome: Outcome) {
        self.record_with(id, outcome, |_| {});
    }

    /// The same, with what is known besides.
    pub(crate) fn record_with(
        &mut self,
        id: &VersionId,
        outcome: Outcome,
        add: impl FnOnce(&mut Entry),
    ) {
        if let Some(version) = self.catalogue.version(id) {
            let mut entry = self.history.entry(outcome, version);
            add(&mut entry);
            self.put_down(entry);
        }
    }

    /// Puts down that a file became no version.
    pub(crate) fn record_file(&mut self, path: &Path, lane: &str, stage: Stage, reason: &str) {
        let artifact = self.catalogue.artifacts.get(path);
        let entry = Entry {
            plugin: artifact.and_then(|artifact| artifact.plugin.clone()),
            lane: Some(lane.to_owned()),
            stage: Some(stage),
            reason: Some(reason.to_owned()),
            ..self.history.of_file(Outcome::Rejected, path)
        };
        self.put_down(entry);
    }

    fn put_down(&mut self, entry: Entry) {
        let failed = self.history.fails();
        match self.history.add(&entry) {
            Ok(true) => self.tell_followers(&entry),
            Ok(false) => {}
            // Told already.
            Err(_) if failed => {}
            Err(error) => {
                let mut event = Event::new(Kind::Warning);
                event.reason = Some(format!(
                    "{}; free some space there, and what becomes of versions is put down again",
                    sentence(&error)
                ));
                self.tell(event);
            }
        }
    }

    fn tell_followers(&self, entry: &Entry) {
        for session in self.sessions.values() {
            for follower in &session.history {
                if entry.is_of(follower.plugin.as_deref()) {
                    session.outbox.send(ToClient::Recorded {
                        request: follower.request,
                        entry: Box::new(entry.clone()),
                    });
                }
            }
        }
    }

    /// Adds what earlier runs decided and were killed before they could put it down.
    pub(crate) fn complete_history(&mut self, records: &[Version]) {
        for entry in self.history.missing(records.iter()) {
            self.put_down(entry);
        }
    }

    /// Adds what could not be written when it happened.
    pub(crate) fn catch_up_history(&mut self) {
        if !self.history.was_incomplete() {
            return;
        }
        let plugins = self.catalogue.plugins.values();
        let versions = plugins.flat_map(|plugin| plugin.versions()).map(|v| &**v);
        for entry in self.history.missing(versions) {
            self.put_down(entry);
        }
    }

    /// The history until now, for a client that is told of everything later if it follows.
    pub(crate) fn history_for(&mut self, question: Question) -> Result<Held, NoHistory> {
        let Question {
            client,
            request,
            plugin,
            follow,
        } = question;
        if let Some(plugin) = &plugin
            && !self.catalogue.plugins.contains_key(plugin)
            && !self.history.knows_plugin(plugin)
        {
            return Err(NoHistory::UnknownPlugin(self.unknown_plugin(plugin)));
        }
        let held = self.history.hold()?;
        if follow && let Some(session) = self.sessions.get_mut(&client) {
            session.history.push(HistoryFollower { request, plugin });
        }
        Ok(held)
    }
}

/// Asks the engine's thread, and reads on this one; nothing if the engine ends.
pub(crate) fn ask(question: Question, last: Option<u64>, to: &Sender<Input>) -> Option<Reply> {
    let plugin = question.plugin.clone();
    let (tell, held) = bounded(1);
    to.send(Input::History(question, tell)).ok()?;
    let held = held.recv().ok()?;
    let entries = held.and_then(|held| Ok(held.entries(plugin.as_deref(), last)?));
    Some(match entries {
        Ok(entries) => Reply::History { entries },
        Err(error) => Reply::Failed {
            failure: match error {
                NoHistory::UnknownPlugin(_) => Failure::Unknown,
                NoHistory::Unreadable(_) => Failure::Unsupported,
            },
            reason: sentence(&error),
        },
    })
}
