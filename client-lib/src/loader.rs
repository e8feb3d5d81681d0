//! The loader thread: opens what is announced, swaps the snapshot, and acknowledges what really happened.
//!
//! Constructors run here and nowhere else, so that a caller's frame never pays for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, never, select};
use plugind_wire::message::{
    Announcement, EngineHello, Failure, Reply, Running, ToClient, ToEngine,
};
use plugind_wire::{PROTOCOL, VersionId};

use crate::error::ClientError;
use crate::event::{ClientEvent, Listeners};
use crate::followed::Followed;
use crate::link::{Arrived, Writer};
use crate::plugin::Plugin;
use crate::progress::Current;
use crate::reader::Readers;
use crate::recorded::Followers;
use crate::request::{FollowNews, Pending, Request};
use crate::require::AllImplementing;
use crate::snapshot::{Snapshot, SymbolTable};
use crate::swap::{acknowledge, open};

/// Everything the loader thread knows.
pub(crate) struct Loader {
    pub(crate) readers: Arc<Readers>,
    pub(crate) listeners: Arc<Listeners>,
    requests: Receiver<Request>,
    arrived: Receiver<Arrived>,
    pub(crate) engine: Option<(EngineHello, Writer)>,
    /// Why no engine will ever answer.
    hopeless: Option<EngineHello>,
    ready: Vec<Sender<Result<EngineHello, ClientError>>>,
    pub(crate) followed: Vec<Followed>,
    pending: HashMap<u64, Pending>,
    pub(crate) recorded: Followers,
    next_request: u64,
    /// Versions opened by number or path: the same one is the same table.
    pub(crate) beside: HashMap<(String, VersionId), Arc<SymbolTable>>,
    /// Who implements the contracts that are followed as such.
    pub(crate) implementing: AllImplementing,
    /// Plugins that are left.
    pub(crate) removed: BTreeSet<Arc<str>>,
    /// Set while new versions are held back: the newest of each plugin.
    pub(crate) held: Option<BTreeMap<String, Announcement>>,
    /// Snapshots that a reader may still hold; they are freed here and never on a reader's thread.
    pub(crate) retired: Vec<Arc<Snapshot>>,
}

impl Loader {
    pub(crate) fn new(
        readers: Arc<Readers>,
        listeners: Arc<Listeners>,
        requests: Receiver<Request>,
        arrived: Receiver<Arrived>,
    ) -> Self {
        Self {
            readers,
            listeners,
            requests,
            arrived,
            engine: None,
            hopeless: None,
            ready: Vec::new(),
            followed: Vec::new(),
            pending: HashMap::new(),
            recorded: Followers::new(),
            next_request: 0,
            beside: HashMap::new(),
            implementing: AllImplementing::new(),
            removed: BTreeSet::new(),
            held: None,
            retired: Vec::new(),
        }
    }

    /// Runs until a request ends it.
    pub(crate) fn run(mut self) {
        loop {
            let nothing = never();
            // A link that has ended for good leaves a closed channel, which would be ready for ever.
            let arrived = if self.hopeless.is_some() {
                &nothing
            } else {
                &self.arrived
            };
            select! {
                recv(self.requests) -> request => match request {
                    Ok(Request::End) | Err(_) => break,
                    Ok(request) => self.request(request),
                },
                recv(arrived) -> arrived => match arrived {
                    Ok(arrived) => self.arrived(arrived),
                    Err(_) => self.arrived = never(),
                },
                recv(self.readers.woken) -> _ => self.look_at_readers(),
            }
        }
        // A program that calls once and ends has executed the version; the engine is told before the end.
        self.look_at_readers();
        if let Some((_, writer)) = &self.engine {
            writer.end();
        }
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Follow(name, requirement, news) => {
                self.removed.remove(&name);
                self.follow(name, requirement, news);
            }
            Request::Release(name, requirement) => self.release(&name, requirement),
            Request::Version(version, answer) => {
                let known = self
                    .beside_key(&version)
                    .and_then(|key| self.beside.get(&key));
                if let Some(table) = known {
                    let _ = answer.send(Ok(Arc::clone(table)));
                } else {
                    self.ask(Pending::Table(answer), |request| ToEngine::Version {
                        request,
                        version,
                    });
                }
            }
            Request::Open(path, answer) => {
                self.ask(Pending::Table(answer), |request| ToEngine::Open {
                    request,
                    path,
                });
            }
            Request::Retry(plugin, answer) => {
                self.ask(Pending::Passed(answer), |request| ToEngine::Retry {
                    request,
                    plugin,
                });
            }
            Request::Choose(plugin, choose, answer) => {
                self.ask(Pending::Passed(answer), |request| ToEngine::Choose {
                    request,
                    plugin,
                    choose,
                });
            }
            Request::PauseEngine(pause, answer) => {
                self.ask(Pending::Done(answer), |request| ToEngine::Pause {
                    request,
                    pause,
                });
            }
            Request::Diff(plugin, [expected, found], answer) => {
                self.ask(Pending::Diff(answer), |request| ToEngine::Diff {
                    request,
                    plugin,
                    expected,
                    found,
                });
            }
            Request::Require(slot, requirement, answer) => {
                let _ = answer.send(self.require(slot, requirement));
            }
            Request::FollowContract(requirement, news) => self.follow_contract(requirement, news),
            Request::Remove(plugin, answer) => {
                let _ = answer.send(Ok(self.remove(plugin)));
            }
            Request::Plugins(answer) => {
                let _ = answer.send(Ok(self.plugins()));
            }
            Request::Pause(true) => drop(self.held.get_or_insert_default()),
            Request::Pause(false) => {
                let held = self.held.take().unwrap_or_default();
                self.announced(held.into_values().collect());
            }
            Request::Scan(plugin, answer) => {
                self.ask(Pending::Done(answer), |request| ToEngine::Scan {
                    request,
                    plugin,
                });
            }
            Request::Who(answer) => {
                self.ask(Pending::Who(answer), |request| ToEngine::Who { request });
            }
            Request::History(question) => self.ask_history(question),
            Request::Status(answer) => {
                self.ask(Pending::Status(answer), |request| ToEngine::Status {
                    request,
                });
            }
            Request::Stop(answer) => {
                self.ask(Pending::Done(answer), |request| ToEngine::Stop { request });
            }
            Request::Ready(answer) => match (&self.engine, &self.hopeless) {
                (Some((hello, _)), _) => {
                    let _ = answer.send(Ok(hello.clone()));
                }
                (None, Some(theirs)) => {
                    let _ = answer.send(Err(hopeless(theirs)));
                }
                (None, None) => self.ready.push(answer),
            },
            Request::Kept(kept) => self.kept(kept),
            Request::End => {}
        }
    }

    pub(crate) fn ask(&mut self, pending: Pending, message: impl FnOnce(u64) -> ToEngine) {
        let Some((_, writer)) = &self.engine else {
            pending.fail(ClientError::Disconnected);
            return;
        };
        self.next_request += 1;
        self.pending.insert(self.next_request, pending);
        writer.send(&message(self.next_request));
    }

    /// Those that have a current version.
    fn plugins(&self) -> Vec<Plugin> {
        let followed = self.followed.iter().enumerate();
        followed
            .filter(|(_, followed)| !followed.removed)
            .filter_map(|(slot, followed)| {
                let first = Arc::clone(&followed.current.as_ref()?.table);
                let name = Arc::clone(&followed.name);
                Some(Plugin::new(name, slot, first, Arc::clone(&self.readers)))
            })
            .collect()
    }

    pub(crate) fn slot(&self, name: &str) -> Option<usize> {
        self.followed
            .iter()
            .position(|followed| &*followed.name == name && !followed.removed)
    }

    fn arrived(&mut self, arrived: Arrived) {
        match arrived {
            Arrived::Connected(hello, writer) => self.connected(hello, writer),
            Arrived::Message(message) => self.message(message),
            Arrived::Lost => {
                self.engine = None;
                self.recorded.clear();
                for (_, pending) in self.pending.drain() {
                    pending.fail(ClientError::Disconnected);
                }
                tracing::warn!("plugind's engine is gone; what is open goes on");
                self.listeners.tell(&ClientEvent::Disconnected);
            }
            Arrived::Hopeless(theirs) => {
                tracing::error!(error = %hopeless(&theirs));
                for ready in self.ready.drain(..) {
                    let _ = ready.send(Err(hopeless(&theirs)));
                }
                self.hopeless = Some(theirs);
            }
        }
    }

    /// A new engine is told what this client follows and runs.
    fn connected(&mut self, hello: EngineHello, writer: Writer) {
        tracing::info!(folder = %hello.folder.display(), pid = hello.pid, mode = ?hello.mode, "connected to plugind");
        for followed in self.followed.iter().filter(|followed| !followed.removed) {
            let running = followed.current.as_ref().map(|current| Running {
                state: current.state.clone(),
                number: current.table.version().number,
                digest: current.table.digest(),
            });
            let knows = running
                .as_ref()
                .is_some_and(|running| running.state == hello.state);
            writer.send(&ToEngine::Follow {
                plugin: followed.name.to_string(),
                lane: followed.lane.clone(),
                running,
                requires: followed.required(),
            });
            for what in followed
                .current
                .iter()
                .filter(|_| knows)
                .flat_map(Current::all)
            {
                acknowledge(&writer, followed.current.as_ref(), what);
            }
        }
        self.listeners.tell(&ClientEvent::Connected);
        // Last, so that who waited for the connection and listens from then on is not told of it.
        for ready in self.ready.drain(..) {
            let _ = ready.send(Ok(hello.clone()));
        }
        self.engine = Some((hello, writer));
        self.ask_for_contracts();
    }

    fn message(&mut self, message: ToClient) {
        match message {
            ToClient::Following {
                plugin,
                lane,
                reconsidering,
            } => {
                if let Some(slot) = self.slot(&plugin) {
                    let followed = &mut self.followed[slot];
                    followed.reconsidered = reconsidering.unwrap_or_default();
                    followed.nothing_built = lane.is_none();
                    if lane.is_none() {
                        followed.tell(|| FollowNews::NothingBuilt);
                    }
                    followed.lane = lane;
                }
            }
            ToClient::Recorded { request, entry } => self.recorded(request, *entry),
            ToClient::Implementing { contract, plugins } => self.implementing(&contract, plugins),
            ToClient::Announce { versions } => {
                let versions = self.hold_back(versions);
                self.announced(versions);
            }
            ToClient::Rejected(rejection) => self.rejected(rejection),
            ToClient::Unchanged { version } => self.unchanged(&version),
            ToClient::Reply { request, reply } => {
                if let Some(pending) = self.pending.remove(&request) {
                    self.replied(pending, reply);
                }
            }
            ToClient::Report => {
                let report = self.report();
                if let Some((_, writer)) = &self.engine {
                    writer.send(&ToEngine::Report { report });
                }
            }
            ToClient::Event { .. } => {}
            ToClient::Goodbye { reason } => tracing::info!(reason, "plugind's engine ends"),
        }
    }

    /// While the client is paused only first versions go on.
    fn hold_back(&mut self, versions: Vec<Announcement>) -> Vec<Announcement> {
        if self.held.is_none() {
            return versions;
        }
        let (later, first): (Vec<_>, Vec<_>) = versions.into_iter().partition(|version| {
            let slot = self.slot(&version.version.plugin);
            slot.is_some_and(|slot| self.followed[slot].current.is_some())
        });
        if let Some(held) = &mut self.held {
            held.extend(later.into_iter().map(|v| (v.version.plugin.clone(), v)));
        }
        first
    }

    fn replied(&mut self, pending: Pending, reply: Reply) {
        match (pending, reply) {
            (Pending::Table(answer), Reply::Version { announcement }) => {
                let _ = answer.send(self.open_beside(announcement));
            }
            (Pending::Passed(answer), Reply::Version { announcement }) => {
                let _ = answer.send(Ok(announcement.version));
            }
            (Pending::Status(answer), Reply::Status { status }) => drop(answer.send(Ok(status))),
            (Pending::Diff(answer), Reply::Diff { diff }) => drop(answer.send(Ok(diff))),
            (Pending::Who(answer), Reply::Who { who }) => drop(answer.send(Ok(who))),
            (Pending::History(answer), Reply::History { entries }) => {
                drop(answer.send(Ok(entries)))
            }
            (Pending::Done(answer), Reply::Done) => drop(answer.send(Ok(()))),
            (pending, Reply::Failed { failure, reason }) => pending.fail(match failure {
                Failure::Unknown => ClientError::Unknown(reason),
                Failure::Rejected => ClientError::Rejected(reason),
                Failure::Held => ClientError::Held(reason),
                Failure::Unsupported => ClientError::Unsupported(reason),
            }),
            (pending, _) => pending.fail(ClientError::Disconnected),
        }
    }

    fn beside_key(&self, version: &VersionId) -> Option<(String, VersionId)> {
        let (hello, _) = self.engine.as_ref()?;
        Some((hello.state.clone(), version.clone()))
    }

    fn open_beside(&mut self, announcement: Announcement) -> Result<Arc<SymbolTable>, ClientError> {
        let key = self.beside_key(&announcement.version);
        if let Some(table) = key.as_ref().and_then(|key| self.beside.get(key)) {
            return Ok(Arc::clone(table));
        }
        let (id, digest) = (announcement.version.clone(), announcement.digest);
        let table = match open(announcement, &[]) {
            Ok(table) => Arc::new(table),
            Err(error) => {
                self.refuse(id, digest, plugind_wire::sentence(&error));
                return Err(error);
            }
        };
        if let Some(key) = key {
            self.beside.insert(key, Arc::clone(&table));
        }
        Ok(table)
    }
}

/// Why an engine that said this is of no use.
fn hopeless(theirs: &EngineHello) -> ClientError {
    if let Some(why) = &theirs.refused {
        return ClientError::NotAllowed(why.clone());
    }
    ClientError::Protocol {
        ours: PROTOCOL,
        our_release: env!("CARGO_PKG_VERSION").to_owned(),
        theirs: theirs.protocol,
        their_release: theirs.release.clone(),
    }
}
