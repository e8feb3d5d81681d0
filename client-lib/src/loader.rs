//! The loader thread: opens what is announced, swaps the snapshot, and acknowledges what really happened.
//!
//! Constructors run here and nowhere else, so that a caller's frame never pays for them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, never, select};
use plugind_wire::message::{
    Acknowledged, Announcement, EngineHello, Failure, Reply, Running, ToClient, ToEngine,
};
use plugind_wire::status::Status;
use plugind_wire::{PROTOCOL, VersionId};

use crate::error::ClientError;
use crate::event::{ClientEvent, Listeners};
use crate::link::{Arrived, Writer};
use crate::progress::Current;
use crate::reader::Readers;
use crate::snapshot::{Snapshot, SymbolTable};

/// What a caller asks of the loader thread.
pub(crate) enum Request {
    /// Follow a plugin; every news about it is told until the first version is current.
    Follow(Arc<str>, Sender<FollowNews>),
    /// Open one version beside the others.
    Version(VersionId, Sender<Result<Arc<SymbolTable>, ClientError>>),
    /// Have a file staged, and open that.
    Open(PathBuf, Sender<Result<Arc<SymbolTable>, ClientError>>),
    /// The engine's status.
    Status(Sender<Result<Box<Status>, ClientError>>),
    /// End the engine.
    Stop(Sender<Result<(), ClientError>>),
    /// Tell when the engine has said hello.
    Ready(Sender<Result<EngineHello, ClientError>>),
    /// End this thread.
    End,
}

/// News about a plugin that has no version here yet.
pub(crate) enum FollowNews {
    /// The engine knows no version of it.
    NothingBuilt,
    /// The first version is current, in this slot.
    Current(usize, Arc<SymbolTable>),
    /// A version could not be opened.
    Refused(String),
}

/// Who waits for a reply of the engine.
enum Pending {
    Table(Sender<Result<Arc<SymbolTable>, ClientError>>),
    Status(Sender<Result<Box<Status>, ClientError>>),
    Done(Sender<Result<(), ClientError>>),
}

/// A followed plugin.
struct Followed {
    name: Arc<str>,
    /// Chosen by the engine once, and kept.
    lane: Option<String>,
    current: Option<Current>,
    waiters: Vec<Sender<FollowNews>>,
    nothing_built: bool,
}

/// Everything the loader thread knows.
pub(crate) struct Loader {
    readers: Arc<Readers>,
    listeners: Arc<Listeners>,
    requests: Receiver<Request>,
    arrived: Receiver<Arrived>,
    engine: Option<(EngineHello, Writer)>,
    /// Why no engine will ever answer.
    hopeless: Option<EngineHello>,
    ready: Vec<Sender<Result<EngineHello, ClientError>>>,
    followed: Vec<Followed>,
    pending: HashMap<u64, Pending>,
    next_request: u64,
    /// Versions opened by number or path: the same one is the same table.
    beside: HashMap<(String, VersionId), Arc<SymbolTable>>,
    /// Snapshots that a reader may still hold; they are freed here and never on a reader's thread.
    retired: Vec<Arc<Snapshot>>,
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
            next_request: 0,
            beside: HashMap::new(),
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
            Request::Follow(name, news) => self.follow(name, news),
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
                    let _ = answer.send(Err(incompatible(theirs)));
                }
                (None, None) => self.ready.push(answer),
            },
            Request::End => {}
        }
    }

    fn ask(&mut self, pending: Pending, message: impl FnOnce(u64) -> ToEngine) {
        let Some((_, writer)) = &self.engine else {
            pending.fail(ClientError::Disconnected);
            return;
        };
        self.next_request += 1;
        self.pending.insert(self.next_request, pending);
        writer.send(&message(self.next_request));
    }

    fn follow(&mut self, name: Arc<str>, news: Sender<FollowNews>) {
        if let Some(slot) = self.slot(&name) {
            let followed = &mut self.followed[slot];
            if let Some(current) = &followed.current {
                let _ = news.try_send(FollowNews::Current(slot, Arc::clone(&current.table)));
                return;
            }
            if followed.nothing_built {
                let _ = news.try_send(FollowNews::NothingBuilt);
            }
            followed.waiters.push(news);
            return;
        }
        if let Some((_, writer)) = &self.engine {
            writer.send(&ToEngine::Follow {
                plugin: name.to_string(),
                lane: None,
                running: None,
            });
        }
        self.followed.push(Followed {
            name,
            lane: None,
            current: None,
            waiters: vec![news],
            nothing_built: false,
        });
    }

    fn slot(&self, name: &str) -> Option<usize> {
        self.followed
            .iter()
            .position(|followed| &*followed.name == name)
    }

    fn arrived(&mut self, arrived: Arrived) {
        match arrived {
            Arrived::Connected(hello, writer) => self.connected(hello, writer),
            Arrived::Message(message) => self.message(message),
            Arrived::Lost => {
                self.engine = None;
                for (_, pending) in self.pending.drain() {
                    pending.fail(ClientError::Disconnected);
                }
                tracing::warn!("plugind's engine is gone; what is open goes on");
                self.listeners.tell(&ClientEvent::Disconnected);
            }
            Arrived::Incompatible(theirs) => {
                let error = incompatible(&theirs);
                tracing::error!(%error);
                for ready in self.ready.drain(..) {
                    let _ = ready.send(Err(incompatible(&theirs)));
                }
                self.hopeless = Some(theirs);
            }
        }
    }

    /// A new engine is told what this client follows and runs.
    fn connected(&mut self, hello: EngineHello, writer: Writer) {
        tracing::info!(folder = %hello.folder.display(), pid = hello.pid, mode = ?hello.mode, "connected to plugind");
        for ready in self.ready.drain(..) {
            let _ = ready.send(Ok(hello.clone()));
        }
        for followed in &self.followed {
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
        self.engine = Some((hello, writer));
        self.listeners.tell(&ClientEvent::Connected);
    }

    fn message(&mut self, message: ToClient) {
        match message {
            ToClient::Following { plugin, lane } => {
                if let Some(slot) = self.slot(&plugin) {
                    let followed = &mut self.followed[slot];
                    followed.nothing_built = lane.is_none();
                    if lane.is_none() {
                        followed
                            .waiters
                            .iter()
                            .for_each(|waiter| drop(waiter.try_send(FollowNews::NothingBuilt)));
                    }
                    followed.lane = lane;
                }
            }
            ToClient::Announce { versions } => self.announced(versions),
            ToClient::Reply { request, reply } => {
                if let Some(pending) = self.pending.remove(&request) {
                    self.replied(pending, reply);
                }
            }
            ToClient::Event { .. } => {}
            ToClient::Goodbye { reason } => tracing::info!(reason, "plugind's engine ends"),
        }
    }

    fn replied(&mut self, pending: Pending, reply: Reply) {
        match (pending, reply) {
            (Pending::Table(answer), Reply::Version { announcement }) => {
                let _ = answer.send(self.open_beside(announcement));
            }
            (Pending::Status(answer), Reply::Status { status }) => {
                let _ = answer.send(Ok(status));
            }
            (Pending::Done(answer), Reply::Done) => {
                let _ = answer.send(Ok(()));
            }
            (pending, Reply::Failed { failure, reason }) => pending.fail(match failure {
                Failure::Unknown => ClientError::Unknown(reason),
                Failure::Rejected => ClientError::Rejected(reason),
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
        let table = Arc::new(open(announcement)?);
        if let Some(key) = key {
            self.beside.insert(key, Arc::clone(&table));
        }
        Ok(table)
    }

    /// Opens a batch and swaps what could be opened, together.
    fn announced(&mut self, versions: Vec<Announcement>) {
        let state = self
            .engine
            .as_ref()
            .map_or_else(String::new, |(hello, _)| hello.state.clone());
        let mut snapshot = (**self.readers.snapshot.load()).clone();
        snapshot.epoch += 1;
        let mut swapped = Vec::new();
        for announcement in versions {
            let Some(slot) = self.slot(&announcement.version.plugin) else {
                continue;
            };
            let id = announcement.version.clone();
            let digest = announcement.digest;
            match self.table(slot, &state, announcement) {
                Ok(table) => {
                    if snapshot.tables.len() <= slot {
                        snapshot.tables.resize(slot + 1, None);
                    }
                    snapshot.tables[slot] = Some(Arc::clone(&table));
                    swapped.push((slot, table));
                }
                Err(error) => {
                    let reason = sentence(&error);
                    tracing::warn!(version = %id, reason, "refused; the older version goes on");
                    for waiter in &self.followed[slot].waiters {
                        let _ = waiter.try_send(FollowNews::Refused(format!("{id}: {reason}")));
                    }
                    if let Some((_, writer)) = &self.engine {
                        writer.send(&ToEngine::Acknowledge {
                            version: id.clone(),
                            digest,
                            what: Acknowledged::Refused {
                                reason: reason.clone(),
                            },
                        });
                    }
                    self.listeners.tell(&ClientEvent::Refused {
                        version: id,
                        reason,
                    });
                }
            }
        }
        if swapped.is_empty() {
            return;
        }
        let epoch = snapshot.epoch;
        let old = self.readers.snapshot.load_full();
        self.retired.push(old);
        self.readers.swap(snapshot);
        // One: nobody but this list holds it.
        self.retired.retain(|old| Arc::strong_count(old) > 1);
        for (slot, table) in swapped {
            self.swapped(slot, table, epoch, &state);
        }
        self.look_at_readers();
    }

    /// The announced version, open. The same content under another state directory's numbers is not opened anew.
    fn table(
        &self,
        slot: usize,
        state: &str,
        announcement: Announcement,
    ) -> Result<Arc<SymbolTable>, ClientError> {
        if let Some(current) = &self.followed[slot].current
            && current.state != state
            && current.table.digest() == announcement.digest
        {
            return Ok(Arc::new(current.table.relabelled(announcement)));
        }
        Ok(Arc::new(open(announcement)?))
    }

    fn swapped(&mut self, slot: usize, table: Arc<SymbolTable>, epoch: u64, state: &str) {
        let followed = &mut self.followed[slot];
        let version = table.version().clone();
        tracing::info!(version = %version, digest = table.digest().short(), "live");
        followed.current = Some(Current::new(Arc::clone(&table), epoch, state.to_owned()));
        for waiter in followed.waiters.drain(..) {
            let _ = waiter.try_send(FollowNews::Current(slot, Arc::clone(&table)));
        }
        if let Some((_, writer)) = &self.engine {
            acknowledge(writer, followed.current.as_ref(), Acknowledged::Live);
        }
        self.listeners.tell(&ClientEvent::Swapped { version });
    }

    /// Reads the readers' words and tells what is new.
    fn look_at_readers(&mut self) {
        for followed in &mut self.followed {
            let Some(current) = &mut followed.current else {
                continue;
            };
            let seen = self.readers.look(current.since);
            let was_drained = current.is_drained();
            let news = current.news(seen);
            if let Some((_, writer)) = &self.engine {
                for what in news {
                    acknowledge(writer, Some(current), what);
                }
            }
            if current.is_drained() && !was_drained {
                self.listeners.tell(&ClientEvent::Drained {
                    version: current.table.version().clone(),
                });
            }
        }
    }
}

impl Pending {
    fn fail(self, error: ClientError) {
        match self {
            Self::Table(answer) => drop(answer.send(Err(error))),
            Self::Status(answer) => drop(answer.send(Err(error))),
            Self::Done(answer) => drop(answer.send(Err(error))),
        }
    }
}

fn open(announcement: Announcement) -> Result<SymbolTable, ClientError> {
    let image = plugind_loader::open(&announcement.image, announcement.digest.as_bytes())?;
    Ok(SymbolTable::new(announcement, image))
}

fn acknowledge(writer: &Writer, current: Option<&Current>, what: Acknowledged) {
    if let Some(current) = current {
        writer.send(&ToEngine::Acknowledge {
            version: current.table.version().clone(),
            digest: current.table.digest(),
            what,
        });
    }
}

fn incompatible(theirs: &EngineHello) -> ClientError {
    ClientError::Protocol {
        ours: PROTOCOL,
        our_release: env!("CARGO_PKG_VERSION").to_owned(),
        theirs: theirs.protocol,
        their_release: theirs.release.clone(),
    }
}

/// An error and its causes in one line.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
