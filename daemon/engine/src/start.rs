//! Starting and ending an engine.

use std::fs::{self, File};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::Timestamp;
use plugind_wire::PROTOCOL;
use plugind_wire::message::EngineHello;
use plugind_wire::place::{self, Card, PlaceError};
use plugind_wire::status::Mode;

use crate::config::ConfigError;
use crate::engine::{Loop, Parts};
use crate::options::Options;
use crate::quarantine::Quarantine;
use crate::server::{self, Input, Server, Shared};
use crate::settings::Settings;
use crate::socket_lock;
use crate::state::State;
use crate::workers::Workers;

/// Messages of all clients that wait for the engine's thread.
const INPUTS: usize = 1024;

/// Why an engine does not start. Nothing that runs is touched.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A directory or socket path cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// What is to be done differently cannot be understood.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Somebody serves the folder.
    #[error("process {pid} serves {} already; ask it with `plugind status`, or end it with `plugind stop`", folder.display())]
    Served {
        /// The folder.
        folder: PathBuf,
        /// Who, as the lock says.
        pid: String,
    },
    /// Somebody uses the state directory.
    #[error("process {pid} uses the state directory {} already; end it or choose another one with --state-dir", path.display())]
    StateInUse {
        /// Which.
        path: PathBuf,
        /// Who, as the lock says.
        pid: String,
    },
    /// The state was written by another release.
    #[error("{} has schema {found} and this plugind reads {expected}; use the plugind that wrote it or remove the file", path.display())]
    StateSchema {
        /// Which file.
        path: PathBuf,
        /// What it has.
        found: u32,
        /// What is read.
        expected: u32,
    },
    /// The state cannot be read.
    #[error("cannot read {}; remove it to start with an empty history, or choose another one with --state-dir", path.display())]
    StateUnreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No image in the store could ever be opened.
    #[error("the store {} is on a file system mounted noexec, from which no plugin can be opened; choose another one with --state-dir", path.display())]
    NoExec {
        /// Which.
        path: PathBuf,
    },
    /// The watched path is a file.
    #[error("{} is a file; give the folder that the build writes to", path.display())]
    NotAFolder {
        /// Which.
        path: PathBuf,
    },
    /// The socket or a thread could not be made.
    #[error("cannot listen on {}", socket.display())]
    Listen {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A running engine. Dropping it ends it; images stay in the store, and what clients mapped stays mapped.
pub struct Engine {
    hello: EngineHello,
    socket: PathBuf,
    server: Option<Server>,
    stop: Sender<&'static str>,
    thread: Option<JoinHandle<Receiver<Input>>>,
    // Held as long as the socket is served.
    lock: Option<File>,
}

/// The engine's thread panicked; the panic's message went to stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the engine ended by a defect of its own; start it again, clients will connect by themselves"
)]
pub struct Panicked;

/// Ends an engine.
#[derive(Debug, Clone)]
pub struct Stopper {
    stop: Sender<&'static str>,
}

impl Stopper {
    /// Asks the engine to end, and says why; [`Engine::wait`] returns when it has.
    pub fn stop(&self, reason: &'static str) {
        // Full means that somebody asked already.
        let _ = self.stop.try_send(reason);
    }
}

impl Engine {
    /// Starts an engine: when this returns its socket answers, and the folder is watched or waited for.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn start(options: Options) -> Result<Self, StartError> {
        let folder = options.folder.path().to_owned();
        if fs::metadata(&folder).is_ok_and(|found| !found.is_dir()) {
            return Err(StartError::NotAFolder { path: folder });
        }
        let Settings {
            poll,
            allowed,
            trust,
            trials,
            policies,
            groups,
        } = Settings::of(&folder, &options)?;
        let trust = Arc::new(trust);
        remove_dead_sockets(&options.runtime_dir);
        let (socket, state_dir, lock) = claim(&options)?;
        let state = State::open(&state_dir)?;
        let hello = EngineHello {
            protocol: PROTOCOL,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            mode: options.mode,
            folder,
            state: state.id().to_owned(),
            refused: None,
        };
        let (inputs, received) = bounded(INPUTS);
        let (stop, stopped) = bounded(1);
        let catalogue = Arc::new(ArcSwap::default());
        let listen = |source| StartError::Listen {
            socket: socket.clone(),
            source,
        };
        let base = options.state_dir.join(options.folder.key());
        let quarantine = Arc::new(Quarantine::new(&base, options.mode));
        let workers = Workers::start(
            options.mode,
            trials,
            Arc::clone(&trust),
            Arc::clone(&quarantine),
        )
        .map_err(listen)?;
        let embedded = match options.mode {
            Mode::Daemon => others(&options.runtime_dir, &hello),
            Mode::Embedded => Vec::new(),
        };
        let parts = Parts {
            state,
            quarantine,
            workers,
            published: Arc::clone(&catalogue),
            inputs: received,
            stopped,
            stop: stop.clone(),
            hello: hello.clone(),
            poll,
            trust,
            events: options.events,
            warnings: embedded,
            policies,
            groups,
            manual: options.manual,
        };
        // Watched before the socket answers: who hears `watching` may write at once.
        let running = Loop::new(parts);
        let server = Server::start(Shared {
            hello: hello.clone(),
            socket: socket.clone(),
            since: Timestamp::now(),
            catalogue,
            inputs,
            allowed: Arc::new(allowed),
        })
        .map_err(listen)?;
        let card = Card {
            folder: hello.folder.clone(),
            pid: hello.pid,
            mode: hello.mode,
            release: hello.release.clone(),
            socket: socket.clone(),
        };
        server::write_card(&socket, &card).map_err(listen)?;
        let thread = thread::Builder::new()
            .name("plugind-engine".to_owned())
            .spawn(move || running.run())
            .map_err(listen)?;
        Ok(Self {
            hello,
            socket,
            server: Some(server),
            stop,
            thread: Some(thread),
            lock,
        })
    }

    /// What the engine says of itself.
    pub fn hello(&self) -> &EngineHello {
        &self.hello
    }

    /// Where it answers.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A connection from inside this process; the first line to write is a client's hello.
    ///
    /// # Errors
    ///
    /// When the process is out of descriptors or threads.
    pub fn connect(&self) -> io::Result<UnixStream> {
        match &self.server {
            Some(server) => server.connect(),
            None => Err(io::Error::from(io::ErrorKind::NotConnected)),
        }
    }

    /// A handle for another thread, such as a signal's.
    pub fn stopper(&self) -> Stopper {
        Stopper {
            stop: self.stop.clone(),
        }
    }

    /// Waits until somebody ends it: a [`Stopper`], or a client's stop.
    ///
    /// # Errors
    ///
    /// If it ended by a defect of its own.
    pub fn wait(mut self) -> Result<(), Panicked> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Panicked> {
        let joined = self.thread.take().map(JoinHandle::join);
        let (joined, left) = match joined {
            Some(Ok(left)) => (Ok(()), Some(left)),
            Some(Err(_)) => (Err(Panicked), None),
            None => (Ok(()), None),
        };
        if let Some(server) = self.server.take() {
            server.end(left);
            server::remove_card(&self.socket);
        }
        if let Some(lock) = self.lock.take() {
            socket_lock::give_back(lock, &self.socket);
        }
        joined
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stopper().stop("the program that embeds it lets it go");
        // The panic was printed when it happened.
        let _ = self.end();
    }
}

/// Sentences about programs that embedded an engine for the folder before its daemon started.
fn others(runtime_dir: &Path, hello: &EngineHello) -> Vec<String> {
    place::serving(runtime_dir)
        .into_iter()
        .filter(|card| card.folder == hello.folder && card.mode == Mode::Embedded)
        .map(|card| {
            format!(
                "process {} watches the folder itself and will not follow this daemon; start it again to change that",
                card.pid
            )
        })
        .collect()
}

/// Finds the engine's socket and state directory, and makes sure that nobody else has them.
fn claim(options: &Options) -> Result<(PathBuf, PathBuf, Option<File>), StartError> {
    let folder = &options.folder;
    let base = options.state_dir.join(folder.key());
    match options.mode {
        Mode::Daemon => {
            let socket = match &options.socket {
                Some(socket) => socket.clone(),
                None => place::daemon_socket(&options.runtime_dir, folder),
            };
            place::check_socket_path(&socket)?;
            let lock = socket_lock::take(&socket, folder.path())?;
            place::private_dir(&options.state_dir, "XDG_STATE_HOME")?;
            Ok((socket, base, Some(lock)))
        }
        Mode::Embedded => {
            static ENGINES: AtomicU32 = AtomicU32::new(0);
            let (pid, nth) = (std::process::id(), ENGINES.fetch_add(1, Ordering::Relaxed));
            let socket = match &options.socket {
                Some(socket) => socket.clone(),
                None => place::embedded_socket(&options.runtime_dir, folder, pid, nth),
            };
            place::check_socket_path(&socket)?;
            place::private_dir(&options.state_dir, "XDG_STATE_HOME")?;
            place::private_dir(&base, "XDG_STATE_HOME")?;
            let all = base.join("embedded");
            place::private_dir(&all, "XDG_STATE_HOME")?;
            remove_orphans(&all);
            let own = match nth {
                0 => format!("{pid}-{}", start_time(pid).unwrap_or(0)),
                _ => format!("{pid}-{}-{nth}", start_time(pid).unwrap_or(0)),
            };
            Ok((socket, all.join(own), None))
        }
    }
}

/// Removes the sockets and cards of embedded engines that ended without doing so: a card is written when its socket
/// answers, so one whose socket refuses is nobody's.
fn remove_dead_sockets(runtime_dir: &Path) {
    for card in place::cards(runtime_dir) {
        let refused = place::connect(&card.socket)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        if card.mode == Mode::Embedded && refused {
            server::remove_card(&card.socket);
            let _ = server::remove_socket(&card.socket);
        }
    }
}

/// Removes the private directories of embedded engines that are gone: nobody holds their lock.
fn remove_orphans(all: &Path) {
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let mut parts = name.split('-').map(str::parse::<u64>);
        let (Some(Ok(pid)), Some(Ok(started))) = (parts.next(), parts.next()) else {
            continue;
        };
        // The process may be about to take its lock; and where it is not seen, in another PID namespace, the lock tells.
        let seen = u32::try_from(pid).ok().and_then(start_time) == Some(started);
        let locked =
            || File::open(entry.path().join("lock")).is_ok_and(|lock| lock.try_lock().is_err());
        if !seen
            && !locked()
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(%error, path = %entry.path().display(), "a leftover cannot be removed");
        }
    }
}

/// When a process started, in clock ticks since boot; tells it from a later one of the same number. Field 22 of
/// `/proc/<pid>/stat` (`proc_pid_stat(5)`); 0 where there is no `/proc`.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19)?.parse().ok()
}
