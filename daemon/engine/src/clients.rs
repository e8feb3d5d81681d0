//! What clients ask, and what they acknowledge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plugind_wire::event::{ClientName, Kind, Readers};
use plugind_wire::history;
use plugind_wire::message::{
    Acknowledged, Announcement, ClientHello, Failure, Reply, Running, ToClient, ToEngine,
};
use plugind_wire::status::{Mode, Outcome, Refused};
use plugind_wire::{Digest, VersionId};

use crate::catalogue::{Client, ClientId, Progress};
use crate::engine::Loop;
use crate::events::of_version;
use crate::expectation::Requirement;
use crate::lanes;
use crate::outcome::HistoryFollower;
use crate::require::requirements;
use crate::server::{Input, Outbox};

/// The engine's side of one connection.
pub(crate) struct Session {
    pub(crate) hello: ClientHello,
    /// The way to the client.
    pub(crate) outbox: Outbox,
    /// By plugin.
    pub(crate) follows: BTreeMap<String, Follow>,
    /// Contracts whose plugins it follows.
    pub(crate) contracts: BTreeMap<String, FollowedContract>,
    /// True once it asked for events.
    pub(crate) subscribed: bool,
    /// Its requests to be told of every outcome.
    pub(crate) history: Vec<HistoryFollower>,
    /// It was asked what it executes, and has not answered.
    pub(crate) asked: bool,
}

/// A contract whose plugins a client follows.
#[derive(Debug, Default)]
pub(crate) struct FollowedContract {
    /// The plugins that the client was told of.
    pub(crate) told: BTreeSet<String>,
    /// What they must fit.
    pub(crate) requires: Vec<Arc<Requirement>>,
}

/// A plugin that a client follows.
#[derive(Debug)]
pub(crate) struct Follow {
    /// What every version must fit.
    pub(crate) requires: Vec<Arc<Requirement>>,
    /// Fixed once it is known.
    pub(crate) lane: Option<String>,
    /// What the client was told last.
    pub(crate) announced: Option<u64>,
}

/// A request that is answered later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiter {
    client: ClientId,
    request: u64,
}

impl Loop {
    /// Takes in what a connection says.
    pub(crate) fn input(&mut self, input: Input) {
        match input {
            Input::Connected(id, hello, outbox) => self.connected(id, hello, outbox),
            Input::Said(id, message) => self.said(id, message),
            // Who asked may be gone.
            Input::Find(plugin, of, answer) => drop(answer.send(self.known(&plugin, of))),
            Input::History(question, answer) => drop(answer.send(self.history_for(question))),
            Input::Gone(id) => self.gone(id),
        }
    }

    fn connected(&mut self, id: ClientId, hello: ClientHello, outbox: Outbox) {
        if hello.opens {
            let name = ClientName {
                pid: hello.pid,
                program: hello.program.clone(),
            };
            let client = Client {
                name: name.clone(),
                uses: BTreeMap::new(),
            };
            self.catalogue.clients.insert(id, client.into());
            let mut event = plugind_wire::event::Event::new(Kind::ClientConnected);
            event.client = Some(name);
            self.tell(event);
        }
        self.sessions.insert(
            id,
            Session {
                hello,
                outbox,
                follows: BTreeMap::new(),
                contracts: BTreeMap::new(),
                subscribed: false,
                history: Vec::new(),
                asked: false,
            },
        );
    }

    fn gone(&mut self, id: ClientId) {
        self.sessions.remove(&id);
        if let Some(client) = self.catalogue.clients.remove(&id) {
            let mut event = plugind_wire::event::Event::new(Kind::ClientGone);
            event.client = Some(client.name.clone());
            self.tell(event);
        }
    }

    fn said(&mut self, id: ClientId, message: ToEngine) {
        let waiter = |request| Waiter {
            client: id,
            request,
        };
        match message {
            ToEngine::Follow {
                plugin,
                lane,
                running,
                requires,
            } => {
                self.follow(id, &plugin, lane, running, requirements(&requires));
                self.reconsider(id, &plugin);
            }
            ToEngine::Require { plugin, requires } => {
                let session = self.sessions.get_mut(&id);
                if let Some(follow) = session.and_then(|s| s.follows.get_mut(&plugin)) {
                    follow.requires.extend(requirements(&[requires]));
                }
                self.reconsider(id, &plugin);
            }
            ToEngine::Version { request, version } => {
                self.hand_out(&version, waiter(request));
            }
            ToEngine::Unfollow { plugin } => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.follows.remove(&plugin);
                }
                self.catalogue.end_use(id, &plugin);
            }
            ToEngine::FollowContract { contract, requires } => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    let followed = session.contracts.entry(contract).or_default();
                    followed.requires = requirements(requires.as_slice());
                }
                self.tell_implementing();
            }
            ToEngine::Open { request, path } => self.open(path, [waiter(request)]),
            ToEngine::Retry { request, plugin } => {
                self.retry(&plugin, waiter(request));
            }
            ToEngine::Choose {
                request,
                plugin,
                choose,
            } => self.choose(&plugin, choose, waiter(request)),
            ToEngine::Pause { request, pause } => self.pause(pause, waiter(request)),
            ToEngine::Acknowledge {
                version,
                digest,
                what,
            } => self.acknowledged(id, &version, digest, what),
            ToEngine::Scan { request, plugin } => {
                self.scan_for(plugin, waiter(request));
            }
            ToEngine::Who { request } => self.who(waiter(request)),
            ToEngine::Report { report } => self.reported(id, &report),
            // Answered by the connection's own thread.
            ToEngine::Status { .. } | ToEngine::Diff { .. } | ToEngine::History { .. } => {}
            ToEngine::Subscribe => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.subscribed = true;
                }
            }
            ToEngine::Stop { request } => self.asked_to_stop(waiter(request)),
        }
    }

    fn asked_to_stop(&mut self, waiter: Waiter) {
        match self.hello.mode {
            Mode::Daemon => {
                self.reply(waiter, Reply::Done);
                let _ = self.stop.try_send("a client asked it to");
            }
            Mode::Embedded => {
                let reason = format!(
                    "the engine that serves {} runs inside process {}; end that program instead",
                    self.hello.folder.display(),
                    self.hello.pid
                );
                self.fail(waiter, Failure::Unsupported, &reason);
            }
        }
    }

    fn follow(
        &mut self,
        id: ClientId,
        plugin: &str,
        lane: Option<String>,
        running: Option<Running>,
        requires: Vec<Arc<Requirement>>,
    ) {
        let newest_lane = self
            .catalogue
            .plugins
            .get(plugin)
            .and_then(|plugin| plugin.newest_lane().map(str::to_owned));
        let folder = self.hello.folder.canonicalize();
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let own_lane = || {
            let executable = session.hello.executable.as_deref()?;
            lanes::lane_of(executable, folder.as_deref().ok()?)
        };
        let lane = lane.or_else(own_lane).or(newest_lane);
        // A number means nothing by itself where the state directory was tampered with.
        let running = running.filter(|running| {
            let id = VersionId {
                plugin: plugin.to_owned(),
                number: running.number,
            };
            let known = self.catalogue.version(&id);
            running.state == self.hello.state
                && known.is_some_and(|version| version.shown.digest == running.digest)
        });
        let follow = Follow {
            requires,
            lane: lane.clone(),
            announced: running.as_ref().map(|running| running.number),
        };
        session.follows.insert(plugin.to_owned(), follow);
        let versions = self.catalogue.plugins.get(plugin);
        let misfit = versions.and_then(|versions| versions.misfit(lane.as_deref()));
        session.outbox.send(ToClient::Following {
            plugin: plugin.to_owned(),
            lane: lane.clone(),
            reconsidering: misfit.map(|misfit| misfit.shown.version),
        });
        if let Some(lane) = lane {
            self.catalogue
                .change_use(id, plugin, |used| used.lane = lane);
        }
        self.announce();
    }

    /// Tells every client of the selected versions it follows and has not been told of, each in one message.
    pub(crate) fn announce(&mut self) {
        let mut wanted = Vec::new();
        let mut lanes_chosen = Vec::new();
        for (id, session) in &mut self.sessions {
            let mut batch: Vec<Announcement> = Vec::new();
            for (name, follow) in &mut session.follows {
                let Some(plugin) = self.catalogue.plugins.get(name) else {
                    continue;
                };
                if follow.lane.is_none() {
                    let Some(lane) = plugin.newest_lane() else {
                        continue;
                    };
                    follow.lane = Some(lane.to_owned());
                    lanes_chosen.push((*id, name.clone(), lane.to_owned()));
                    session.outbox.send(ToClient::Following {
                        plugin: name.clone(),
                        lane: follow.lane.clone(),
                        reconsidering: None,
                    });
                }
                let lane = follow.lane.as_deref().unwrap_or_default();
                let Some(selected) = plugin.selected(lane) else {
                    continue;
                };
                match selected.progress {
                    Progress::Accepted if follow.announced != Some(selected.shown.version) => {
                        follow.announced = Some(selected.shown.version);
                        batch.push(Announcement {
                            group: self.catalogue.group_of(name).to_vec(),
                            ..selected.announcement()
                        });
                    }
                    Progress::Deferred => wanted.push(selected.id()),
                    _ => {}
                }
            }
            // A member that the client refused because of another comes again with it.
            let news: BTreeSet<_> = batch.iter().map(|it| it.version.plugin.clone()).collect();
            let members = batch.iter().flat_map(|it| it.group.clone());
            let members: BTreeSet<_> = members.filter(|it| !news.contains(it)).collect();
            for member in members {
                let follow = session.follows.get(&member);
                let lane = follow.and_then(|follow| follow.lane.as_deref());
                let plugin = self.catalogue.plugins.get(&member);
                let selected = plugin.and_then(|plugin| plugin.selected(lane?));
                if let Some(selected) = selected.filter(|it| it.progress == Progress::Accepted) {
                    batch.push(Announcement {
                        group: self.catalogue.group_of(&member).to_vec(),
                        ..selected.announcement()
                    });
                }
            }
            if !batch.is_empty() {
                session.outbox.send(ToClient::Announce { versions: batch });
            }
        }
        for (client, plugin, lane) in lanes_chosen {
            self.catalogue
                .change_use(client, &plugin, |used| used.lane = lane);
        }
        for id in wanted {
            self.want(&id);
        }
    }

    fn acknowledged(
        &mut self,
        client: ClientId,
        id: &VersionId,
        digest: Digest,
        what: Acknowledged,
    ) {
        let known = self
            .catalogue
            .version(id)
            .filter(|version| version.shown.digest == digest);
        let (Some(version), Some(record)) = (known, self.catalogue.clients.get(&client)) else {
            tracing::warn!(version = %id, "a client acknowledges a version that was never announced");
            return;
        };
        let kind = match &what {
            Acknowledged::Live { .. } => Kind::Live,
            Acknowledged::Executing { .. } => Kind::Executing,
            Acknowledged::Drained => Kind::Drained,
            Acknowledged::Refused { .. } => Kind::Refused,
        };
        let mut event = of_version(kind, version);
        let name = record.name.clone();
        event.client = Some(name.clone());
        let mut news = true;
        let mut first_live = None;
        match what {
            Acknowledged::Live { opened_us } => {
                first_live = (version.shown.outcome != Outcome::Live).then_some(opened_us);
                self.catalogue.change_use(client, &id.plugin, |used| {
                    used.live = Some(id.number);
                    used.digest = Some(digest);
                    used.executing = Readers::default();
                    used.drained = false;
                    used.refused = None;
                });
            }
            Acknowledged::Executing { readers } => {
                event.readers = Some(readers);
                self.catalogue.change_use(client, &id.plugin, |used| {
                    news = used.live == Some(id.number) && used.executing.entered == 0;
                    if used.live == Some(id.number) {
                        used.executing = readers;
                    }
                });
            }
            Acknowledged::Drained => self.catalogue.change_use(client, &id.plugin, |used| {
                news = used.live == Some(id.number) && !used.drained;
                used.drained |= news;
            }),
            Acknowledged::Refused { reason } => {
                event.reason = Some(reason.clone());
                let by = format!("refused by {} (pid {}): {reason}", name.program, name.pid);
                self.record_with(id, history::Outcome::Refused, |entry| {
                    (entry.client, entry.reason) = (Some(name), Some(reason.clone()));
                });
                self.catalogue.change(id, |version| {
                    if version.shown.outcome != Outcome::Live {
                        version.shown.reason = Some(by);
                    }
                });
                self.catalogue.change_use(client, &id.plugin, |used| {
                    used.refused = Some(Refused {
                        version: id.clone(),
                        reason,
                    });
                });
            }
        }
        if let Some(opened_us) = first_live {
            self.record_with(id, history::Outcome::Live, |entry| {
                (entry.client, entry.opened_us) = (event.client.clone(), opened_us);
            });
            self.catalogue.change(id, |version| {
                version.shown.outcome = Outcome::Live;
                version.shown.reason = None;
            });
            // It is the last word about the version, also after a restart, whether or not the client is still there.
            self.keep(id);
        }
        if news {
            self.tell(event);
        }
    }

    /// Who asked, if they are still there.
    pub(crate) fn name(&self, waiter: Waiter) -> Option<ClientName> {
        let hello = &self.sessions.get(&waiter.client)?.hello;
        Some(ClientName {
            pid: hello.pid,
            program: hello.program.clone(),
        })
    }

    /// Answers a request.
    pub(crate) fn reply(&self, waiter: Waiter, reply: Reply) {
        if let Some(session) = self.sessions.get(&waiter.client) {
            session.outbox.send(ToClient::Reply {
                request: waiter.request,
                reply,
            });
        }
    }

    /// Answers a request that cannot be met.
    pub(crate) fn fail(&self, waiter: Waiter, failure: Failure, reason: &str) {
        let reason = reason.to_owned();
        self.reply(waiter, Reply::Failed { failure, reason });
    }
}
