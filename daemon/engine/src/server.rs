//! The socket: one thread that accepts, two per connection, and a bounded queue towards each client.
//!
//! A client that does not read fills its queue and is disconnected; it connects again and is told what is current, so
//! nothing is lost and nobody else waits.

use std::fs;
use std::io::{self, BufReader};
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use plugind_wire::message::{ClientHello, EngineHello, Failure, Reply, ToClient, ToEngine};
use plugind_wire::{PROTOCOL, framing, place};

use crate::catalogue::{Catalogue, ClientId};
use crate::diff::{self, Known};
use crate::history::Held;
use crate::outcome::{self, NoHistory, Question};
use crate::rights::{self, Users};

/// Messages that wait for one client.
const OUTBOX: usize = 1024;
/// A connection has so long to say hello.
const HELLO: Duration = Duration::from_secs(10);
/// A client that does not read has so long to take the last messages.
const GOODBYE: Duration = Duration::from_millis(500);
/// How often it is seen whether the last connections have ended.
const PAUSE: Duration = Duration::from_millis(2);
/// Enough for a message; a thousand connections cost address space, not memory.
const STACK: usize = 256 << 10;

/// What connections tell the engine's thread.
pub(crate) enum Input {
    /// A client said hello.
    Connected(ClientId, ClientHello, Outbox),
    /// A client said something else.
    Said(ClientId, ToEngine),
    /// Somebody asks for two versions of a plugin, to compare them.
    Find(String, [u64; 2], Sender<Result<[Known; 2], String>>),
    /// Somebody asks what became of versions.
    History(Question, Sender<Result<Held, NoHistory>>),
    /// A client is gone.
    Gone(ClientId),
}

/// The way to one client.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Sender<ToClient>,
    stream: Arc<UnixStream>,
}

impl Outbox {
    /// Puts a message into the queue. A full queue ends the connection.
    pub(crate) fn send(&self, message: ToClient) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(message) {
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }
}

/// What every connection needs.
#[derive(Clone)]
pub(crate) struct Shared {
    /// What the engine says first.
    pub(crate) hello: EngineHello,
    /// The engine's socket.
    pub(crate) socket: PathBuf,
    /// Since when it serves.
    pub(crate) since: jiff::Timestamp,
    /// The published catalogue, from which a status is answered without asking the engine's thread.
    pub(crate) catalogue: Arc<ArcSwap<Catalogue>>,
    /// To the engine's thread.
    pub(crate) inputs: Sender<Input>,
    /// Who may connect.
    pub(crate) allowed: Arc<Users>,
}

/// The listening socket and its connections.
pub(crate) struct Server {
    shared: Shared,
    listener: Arc<UnixListener>,
    stopping: Arc<AtomicBool>,
    connections: Arc<Connections>,
    /// What the engine's thread did not take in before it ended.
    left: Option<Receiver<Input>>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Connections {
    next: AtomicU64,
    open: Mutex<Vec<(Arc<UnixStream>, JoinHandle<()>)>>,
}

impl Server {
    /// Binds `shared.socket`, which nobody else serves, and starts accepting.
    pub(crate) fn start(shared: Shared) -> io::Result<Self> {
        remove_socket(&shared.socket)?;
        let listener = Arc::new(UnixListener::bind(&shared.socket)?);
        // Where others may connect, each connection says whose it is.
        let mode = if shared.allowed.has_others() {
            0o666
        } else {
            0o600
        };
        fs::set_permissions(&shared.socket, fs::Permissions::from_mode(mode))?;
        let mut server = Self {
            shared,
            listener: Arc::clone(&listener),
            stopping: Arc::new(AtomicBool::new(false)),
            connections: Arc::default(),
            left: None,
            accepting: None,
        };
        let (shared, stopping, connections) = (
            server.shared.clone(),
            Arc::clone(&server.stopping),
            Arc::clone(&server.connections),
        );
        server.accepting = Some(
            thread::Builder::new()
                .name("plugind-accept".to_owned())
                .stack_size(STACK)
                .spawn(move || accept(&listener, &shared, &stopping, &connections))?,
        );
        Ok(server)
    }

    /// Ends, as dropping does, after the engine's thread, which did not take in what is `left`.
    pub(crate) fn end(mut self, left: Option<Receiver<Input>>) {
        self.left = left;
    }

    /// A connection from inside this process.
    pub(crate) fn connect(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        self.connections.serve(ours, &self.shared)?;
        Ok(theirs)
    }
}

impl Server {
    /// Whether all these connections have ended. Some wait for an answer to what nobody takes in any more; it is thrown
    /// away, and they know.
    fn have_ended(&self, open: &[(Arc<UnixStream>, JoinHandle<()>)]) -> bool {
        let left = self.left.iter();
        left.for_each(|left| left.try_iter().for_each(drop));
        open.iter().all(|(_, thread)| thread.is_finished())
    }
}

impl Drop for Server {
    /// Ends every connection and joins every thread.
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, whatever became of the socket's file.
        let _ = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        let open = std::mem::take(&mut *self.connections.lock());
        for (stream, _) in &open {
            // Half: what is still in a queue, the goodbye among it, is written before the writer ends.
            let _ = stream.shutdown(Shutdown::Read);
        }
        let patience = Instant::now() + GOODBYE;
        while !self.have_ended(&open) && Instant::now() < patience {
            thread::sleep(PAUSE);
        }
        for (stream, _) in &open {
            let _ = stream.shutdown(Shutdown::Both);
        }
        while !self.have_ended(&open) {
            thread::sleep(PAUSE);
        }
        for (_, thread) in open {
            let _ = thread.join();
        }
        let _ = remove_socket(&self.shared.socket);
    }
}

/// Removes a socket that nobody serves any more, and nothing else: the path may be the user's choice.
pub(crate) fn remove_socket(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::Error::other(
            "the path is taken by something that is no socket",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

impl Connections {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Arc<UnixStream>, JoinHandle<()>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: UnixStream, shared: &Shared) -> io::Result<()> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let stream = Arc::new(stream);
        let (ours, shared) = (Arc::clone(&stream), shared.clone());
        let thread = thread::Builder::new()
            .name(format!("plugind-client-{id}"))
            .stack_size(STACK)
            .spawn(move || converse(id, &ours, &shared))?;
        let mut open = self.lock();
        open.retain(|(_, thread)| !thread.is_finished());
        open.push((stream, thread));
        Ok(())
    }
}

fn accept(listener: &UnixListener, shared: &Shared, stopping: &AtomicBool, to: &Connections) {
    for stream in listener.incoming() {
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        if let Ok(stream) = &stream
            && let Some(why) = refusal(stream, &shared.allowed)
        {
            tracing::warn!(%why, "a connection is refused");
            turn_away(stream, why, &shared.hello);
            continue;
        }
        if let Err(error) = stream.and_then(|stream| to.serve(stream, shared)) {
            tracing::warn!(%error, "a connection could not be served");
            // Out of descriptors or threads: others must end before this can go on.
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Why whoever connects may not (`SO_PEERCRED`, `unix(7)`: the kernel says who it was at that moment).
fn refusal(stream: &UnixStream, allowed: &Users) -> Option<String> {
    let user = match rustix::net::sockopt::socket_peercred(stream) {
        Ok(peer) => peer.uid.as_raw(),
        Err(error) => return Some(format!("the system does not tell who connects: {error}")),
    };
    if allowed.contain(user) {
        return None;
    }
    let name = rights::name(user);
    Some(format!(
        "{name} may not connect; who runs plugind can allow it with --allow-client {name} or `allow_client` in \
         plugind.toml"
    ))
}

/// Tells somebody who may not connect only that. The line fits into a new connection, so this waits for nobody.
fn turn_away(mut stream: &UnixStream, why: String, hello: &EngineHello) {
    let hello = EngineHello {
        folder: PathBuf::new(),
        state: String::new(),
        refused: Some(why),
        ..hello.clone()
    };
    let told = stream.set_nonblocking(true);
    // Who went away need not be told.
    let _ = told.map(|()| framing::write(&mut stream, &hello));
}

/// One connection from its hello to its end.
fn converse(id: ClientId, stream: &Arc<UnixStream>, shared: &Shared) {
    let mut from = BufReader::new(&**stream);
    let Some(hello) = greet(&mut from, stream, shared) else {
        return;
    };
    let (queue, messages) = bounded(OUTBOX);
    let ours = Arc::clone(stream);
    let writer = thread::Builder::new()
        .name(format!("plugind-client-{id}-out"))
        .stack_size(STACK)
        .spawn(move || write_all(&ours, messages));
    let Ok(writer) = writer else {
        return;
    };
    let outbox = Outbox {
        queue: queue.clone(),
        stream: Arc::clone(stream),
    };
    if shared
        .inputs
        .send(Input::Connected(id, hello, outbox))
        .is_ok()
    {
        listen(id, from, &queue, shared);
        let _ = shared.inputs.send(Input::Gone(id));
    }
    drop(queue);
    let _ = writer.join();
    let _ = stream.shutdown(Shutdown::Both);
}

/// The hellos of both sides; `None` if the conversation ends there.
fn greet(from: &mut impl io::BufRead, stream: &UnixStream, shared: &Shared) -> Option<ClientHello> {
    stream.set_read_timeout(Some(HELLO)).ok()?;
    stream.set_write_timeout(Some(HELLO)).ok()?;
    let hello = framing::read::<serde_json::Value>(from).ok().flatten()?;
    // Whatever the other side speaks: it reads the protocol in this line and says what does not fit.
    framing::write(stream, &shared.hello).ok()?;
    if hello["protocol"] != PROTOCOL {
        return None;
    }
    let hello = serde_json::from_value::<ClientHello>(hello).ok()?;
    stream.set_read_timeout(None).ok()?;
    stream.set_write_timeout(None).ok()?;
    Some(hello)
}

fn listen(id: ClientId, mut from: impl io::BufRead, queue: &Sender<ToClient>, shared: &Shared) {
    loop {
        match framing::read::<ToEngine>(&mut from) {
            Ok(Some(ToEngine::Status { request })) => {
                let catalogue = shared.catalogue.load();
                let status = catalogue.status(&shared.hello, &shared.socket, shared.since);
                let message = ToClient::Reply {
                    request,
                    reply: Reply::Status {
                        status: Box::new(status),
                    },
                };
                if queue.send(message).is_err() {
                    return;
                }
            }
            Ok(Some(ToEngine::Diff {
                request,
                plugin,
                expected,
                found,
            })) => {
                let Some(reply) = compare(plugin, [expected, found], shared) else {
                    return;
                };
                if queue.send(ToClient::Reply { request, reply }).is_err() {
                    return;
                }
            }
            Ok(Some(ToEngine::History {
                request,
                plugin,
                last,
                follow,
            })) => {
                let question = Question {
                    client: id,
                    request,
                    plugin,
                    follow,
                };
                let Some(reply) = outcome::ask(question, last, &shared.inputs) else {
                    return;
                };
                if queue.send(ToClient::Reply { request, reply }).is_err() {
                    return;
                }
            }
            Ok(Some(message)) => {
                if shared.inputs.send(Input::Said(id, message)).is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(client = id, %error, "a connection ends");
                return;
            }
        }
    }
}

/// What changed between two versions; nothing if the engine ends.
fn compare(plugin: String, numbers: [u64; 2], shared: &Shared) -> Option<Reply> {
    let (tell, known) = bounded(1);
    shared
        .inputs
        .send(Input::Find(plugin, numbers, tell))
        .ok()?;
    Some(match known.recv().ok()? {
        Ok(known) => diff::answer(known),
        Err(reason) => Reply::Failed {
            failure: Failure::Unknown,
            reason,
        },
    })
}

fn write_all(stream: &UnixStream, messages: Receiver<ToClient>) {
    for message in messages {
        if framing::write(stream, &message).is_err() {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Writes the card beside a socket.
pub(crate) fn write_card(socket: &Path, card: &plugind_wire::place::Card) -> io::Result<()> {
    fs::write(place::card_path(socket), serde_json::to_vec(card)?)
}

/// Removes the card beside a socket.
pub(crate) fn remove_card(socket: &Path) {
    let _ = fs::remove_file(place::card_path(socket));
}
