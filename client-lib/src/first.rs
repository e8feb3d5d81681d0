//! Waits for the first version of a plugin, and says what there is instead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use plugind_loader::Contract;

use crate::client::Client;
use crate::error::ClientError;
use crate::event::ClientEvent;
use crate::linked;
use crate::missing;
use crate::plugin::Plugin;
use crate::request::{FollowNews, Request};
use crate::require::Requirement;
use crate::snapshot::SymbolTable;

/// Who waits longer for a first version is told what there is instead.
const SILENCE: Duration = Duration::from_secs(1);
/// What there is instead is asked for no longer.
const ANSWER: Duration = Duration::from_secs(1);
impl Client {
    /// Follows a plugin by name, waiting up to the deadline for its first version. Every later version takes its place
    /// by itself. After a second without one a [`ClientEvent::Waiting`] and a warning say what there is instead, once.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoVersion`] after the deadline lists what was found instead.
    pub fn plugin(&self, name: &str) -> Result<Plugin, ClientError> {
        if let Some(linked) = &self.inner.linked {
            return linked::find(linked, name);
        }
        self.first_version(name, None)
    }

    /// Waits for the first version of a plugin, whose versions must fit a contract from now on.
    fn first_version(
        &self,
        name: &str,
        requirement: Option<Requirement>,
    ) -> Result<Plugin, ClientError> {
        let started = Instant::now();
        let mut found = None;
        let mut silent = true;
        let news = self.ask_for(name, requirement)?;
        loop {
            let left = self.inner.deadline.saturating_sub(started.elapsed());
            let quiet = SILENCE.saturating_sub(started.elapsed());
            let wait = if silent { left.min(quiet) } else { left };
            match news.recv_timeout(wait) {
                Ok(FollowNews::Current(slot, table)) => return Ok(self.handle(name, slot, table)),
                Ok(
                    FollowNews::NothingBuilt | FollowNews::StillNothing | FollowNews::Removed(_),
                ) => {}
                Ok(FollowNews::Refused(refused)) => {
                    if refused.misfit && requirement.is_some() {
                        return Err(ClientError::Misfit {
                            version: refused.version.clone(),
                            reason: refused.reason.clone(),
                        });
                    }
                    found = Some(format!("{}: {}", refused.version, refused.reason));
                }
                Err(RecvTimeoutError::Timeout) if wait < left => {
                    silent = false;
                    let found = found.clone();
                    self.tell_waiting(name, found.unwrap_or_else(|| self.what_there_is(name)));
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(ClientError::NoVersion {
                        plugin: name.to_owned(),
                        waited: self.inner.deadline,
                        found: found.unwrap_or_else(|| self.what_there_is(name)),
                    });
                }
                Err(RecvTimeoutError::Disconnected) => return Err(ClientError::Disconnected),
            }
        }
    }

    /// Like [`Client::plugin`], but gives `None` as soon as the engine says that no version of that name has been
    /// built; the plugin stays followed.
    ///
    /// # Errors
    ///
    /// As [`Client::plugin`]; [`ClientError::Rejected`] if a version was built and cannot be opened here.
    pub fn plugin_if_built(&self, name: &str) -> Result<Option<Plugin>, ClientError> {
        if let Some(linked) = &self.inner.linked {
            return Ok(linked::find(linked, name).ok());
        }
        let news = self.ask_for(name, None)?;
        let first = loop {
            match news.recv_timeout(self.inner.deadline) {
                Ok(FollowNews::StillNothing) => {}
                first => break first,
            }
        };
        match first {
            Ok(FollowNews::Current(slot, table)) => Ok(Some(self.handle(name, slot, table))),
            Ok(FollowNews::NothingBuilt | FollowNews::StillNothing | FollowNews::Removed(_)) => {
                Ok(None)
            }
            Ok(FollowNews::Refused(refused)) => Err(ClientError::Rejected(format!(
                "{}: {}",
                refused.version, refused.reason
            ))),
            Err(RecvTimeoutError::Timeout) => Err(ClientError::NoVersion {
                plugin: name.to_owned(),
                waited: self.inner.deadline,
                found: self.what_there_is(name),
            }),
            Err(RecvTimeoutError::Disconnected) => Err(ClientError::Disconnected),
        }
    }

    fn ask_for(
        &self,
        name: &str,
        requirement: Option<Requirement>,
    ) -> Result<Receiver<FollowNews>, ClientError> {
        let (tell, news) = bounded(16);
        self.inner
            .requests
            .send(Request::Follow(name.into(), requirement, tell))
            .map_err(|_| ClientError::Disconnected)?;
        Ok(news)
    }

    fn handle(&self, name: &str, slot: usize, first: Arc<SymbolTable>) -> Plugin {
        Plugin::new(name.into(), slot, first, Arc::clone(&self.inner.readers))
    }

    fn tell_waiting(&self, plugin: &str, found: String) {
        tracing::warn!("waiting for a first version of {plugin}; {found}");
        let plugin = plugin.to_owned();
        self.inner
            .listeners
            .tell(&ClientEvent::Waiting { plugin, found });
    }

    /// What to say when a plugin did not come.
    fn what_there_is(&self, name: &str) -> String {
        match self.ask(Request::Status, self.inner.deadline.min(ANSWER)) {
            Ok(status) => missing::instead_of(name, &status),
            Err(_) => "the engine does not answer".to_owned(),
        }
    }

    /// A plugin whose current version and every later one fit contract `C`.
    pub(crate) fn fitting<C: Contract + ?Sized>(&self, name: &str) -> Result<Plugin, ClientError> {
        let requirement = Requirement::of::<C>();
        if let Some(linked) = &self.inner.linked {
            let plugin = linked::find(linked, name)?;
            requirement.check(&plugin.current())?;
            return Ok(plugin);
        }
        let plugin = self
            .first_version(name, Some(requirement))
            .inspect_err(|_| {
                // Another contract may be tried next.
                let _ = self
                    .inner
                    .requests
                    .send(Request::Release(name.into(), requirement));
            })?;
        let slot = plugin.slot();
        self.ask(
            |answer| Request::Require(slot, requirement, answer),
            self.inner.deadline,
        )?;
        Ok(plugin)
    }
}
