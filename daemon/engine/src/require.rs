//! What clients require of plugins: who must be asked when a version is inspected, and who is told when one was turned
//! down.

use std::sync::Arc;
use std::time::Instant;

use plugind_wire::message::{Rejection, Required, ToClient};
use plugind_wire::{VersionId, sentence};

use crate::catalogue::{ClientId, Progress};
use crate::clients::FollowedContract;
use crate::engine::Loop;
use crate::expectation::{Expectation, Requirement};
use crate::rejected::Rejected;

/// What can be read of what a client says.
pub(crate) fn requirements(required: &[Required]) -> Vec<Arc<Requirement>> {
    let read = required.iter().filter_map(|required| {
        let read = Requirement::read(required);
        read.inspect_err(|error| {
            tracing::warn!(
                error = sentence(error),
                "a client's contract cannot be read"
            );
        })
        .ok()
    });
    read.collect()
}

impl Loop {
    /// What the connected programs require of a plugin, the one that connected first being first.
    pub(crate) fn expectations(&self, plugin: &str) -> Vec<Expectation> {
        let sessions = self.sessions.values().filter(|session| session.hello.opens);
        let expected = sessions.map(|session| {
            let follow = session.follows.get(plugin);
            let contracts = session.contracts.values();
            Expectation {
                program: session.hello.program.clone(),
                pid: session.hello.pid,
                always: follow.map(|f| f.requires.clone()).unwrap_or_default(),
                if_implemented: contracts.flat_map(|c| c.requires.clone()).collect(),
            }
        });
        expected
            .filter(|one| !one.always.is_empty() || !one.if_implemented.is_empty())
            .collect()
    }

    /// Tells every client that follows a contract of the plugins that implement it and that it does not know yet.
    pub(crate) fn tell_implementing(&mut self) {
        for session in self.sessions.values_mut() {
            for (contract, FollowedContract { told, .. }) in &mut session.contracts {
                let plugins = self.catalogue.plugins.iter();
                let new: Vec<_> = plugins
                    .filter(|(name, plugin)| !told.contains(*name) && plugin.implements(contract))
                    .map(|(name, _)| name.clone())
                    .collect();
                if !new.is_empty() {
                    told.extend(new.iter().cloned());
                    session.outbox.send(ToClient::Implementing {
                        contract: contract.clone(),
                        plugins: new,
                    });
                }
            }
        }
    }

    /// The newest build fitted nobody who was there when it was inspected; it may fit who has come since. It is looked
    /// at as if it had just been built.
    pub(crate) fn reconsider(&mut self, client: ClientId, plugin: &str) {
        let session = self.sessions.get(&client);
        let Some(follow) = session.and_then(|session| session.follows.get(plugin)) else {
            return;
        };
        let versions = self.catalogue.plugins.get(plugin);
        let misfit = versions.and_then(|versions| versions.misfit(follow.lane.as_deref()));
        if let Some(artifact) = misfit.map(|misfit| misfit.shown.artifact.clone()) {
            self.look_again(&artifact, Instant::now(), false);
        }
    }

    /// Tells those whom a version was meant for that it was turned down.
    pub(crate) fn tell_rejected(&self, rejected: Rejected) {
        let Rejected {
            version,
            stage,
            reason,
            misfit,
            contracts,
            ..
        } = rejected;
        let plugin = self.catalogue.plugins.get(&version.plugin);
        let shown = plugin.and_then(|plugin| Some(&plugin.version(version.number)?.shown));
        let (Some(plugin), Some(lane)) = (plugin, shown.and_then(|shown| shown.lane.as_deref()))
        else {
            // It was opened by its path, and who asked for it is answered.
            return;
        };
        let rejection = Rejection {
            has_older: plugin.selected(lane).is_some(),
            version,
            stage,
            reason,
            misfit,
            contracts,
        };
        for session in self.sessions.values() {
            let told = match session.follows.get(&rejection.version.plugin) {
                Some(follow) => follow.lane.as_deref().is_none_or(|own| own == lane),
                None => {
                    let mut contracts = rejection.contracts.iter();
                    contracts.any(|contract| session.contracts.contains_key(contract))
                }
            };
            if told {
                session.outbox.send(ToClient::Rejected(rejection.clone()));
            }
        }
    }

    /// A file holds a version's content again; if what was built in between was turned down, that is over.
    pub(crate) fn tell_unchanged(&mut self, id: &VersionId) {
        let Some(version) = self.catalogue.version(id) else {
            return;
        };
        let lane = version.shown.lane.clone();
        let plugin = self.catalogue.plugins.get(&id.plugin);
        let newer = plugin.and_then(|plugin| plugin.newest_in(lane.as_deref()?));
        if newer.is_none_or(|newer| newer.progress != Progress::Rejected) {
            return;
        }
        for session in self.sessions.values() {
            let follow = session.follows.get(&id.plugin);
            if follow.is_some_and(|follow| follow.lane == lane) {
                session.outbox.send(ToClient::Unchanged {
                    version: id.clone(),
                });
            }
        }
    }
}
