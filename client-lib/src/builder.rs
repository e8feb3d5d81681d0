//! How a client finds or starts its engine.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plugind_wire::PROTOCOL;
use plugind_wire::message::ClientHello;
use plugind_wire::place::{self, Folder};
#[cfg(feature = "embedded")]
use plugind_wire::probe::Confinement;
#[cfg(feature = "embedded")]
use plugind_wire::status::Mode;

use crate::client::Client;
use crate::error::ClientError;
use crate::link::Target;

/// How long waiting calls wait unless told otherwise.
const DEADLINE: Duration = Duration::from_secs(10);

/// A daemon that answers takes a millisecond; one that takes longer is stopped or stuck.
const ANSWERS_NOW: Duration = Duration::from_secs(1);

/// Choices to be made before a client starts; made by [`Client::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    folder: PathBuf,
    socket: Option<PathBuf>,
    runtime_dir: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    deadline: Duration,
    program: Option<String>,
    opens: bool,
    #[cfg(feature = "embedded")]
    probe: plugind_engine::ProbeChoice,
    #[cfg(feature = "embedded")]
    config: Option<PathBuf>,
    #[cfg(feature = "embedded")]
    trust_owner: Option<Vec<plugind_engine::User>>,
}

impl Builder {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            socket: env::var_os("PLUGIND_SOCKET").map(PathBuf::from),
            runtime_dir: None,
            state_dir: None,
            deadline: DEADLINE,
            program: None,
            opens: true,
            #[cfg(feature = "embedded")]
            probe: plugind_engine::ProbeChoice::default(),
            #[cfg(feature = "embedded")]
            config: None,
            #[cfg(feature = "embedded")]
            trust_owner: None,
        }
    }

    /// The socket of the engine, instead of the one that belongs to the folder (default: `PLUGIND_SOCKET`).
    #[must_use]
    pub fn socket(mut self, socket: impl Into<PathBuf>) -> Self {
        self.socket = Some(socket.into());
        self
    }

    /// The directory of the sockets (default: `$XDG_RUNTIME_DIR/plugind`).
    #[must_use]
    pub fn runtime_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.runtime_dir = Some(dir.into());
        self
    }

    /// The base of an embedded engine's state (default: `$XDG_STATE_HOME/plugind`).
    #[must_use]
    pub fn state_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(dir.into());
        self
    }

    /// How long waiting calls wait: for an engine, for a plugin's first version, for an answer (default: 10 s).
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The configuration of an embedded engine (default: the `plugind.toml` nearest to the folder, in it or above it). What
    /// the other methods say goes before it.
    #[cfg(feature = "embedded")]
    #[must_use]
    pub fn config(mut self, file: impl Into<PathBuf>) -> Self {
        self.config = Some(file.into());
        self
    }

    /// One more user whose files an embedded engine takes, by name or number, beside this program's and root's; `*`
    /// takes everybody's (default: as the configuration says).
    #[cfg(feature = "embedded")]
    #[must_use]
    pub fn trust_owner(mut self, user: impl Into<String>) -> Self {
        let user = plugind_engine::User::Name(user.into());
        self.trust_owner.get_or_insert_default().push(user);
        self
    }

    /// How long an embedded engine's probe of one version may take (default: as the configuration says, or 10 s).
    #[cfg(feature = "embedded")]
    #[must_use]
    pub fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.probe.timeout = Some(timeout);
        self
    }

    /// What an embedded engine keeps plugins from while it probes them (default: as the configuration says, or
    /// [`Confinement::Sandboxed`]).
    #[cfg(feature = "embedded")]
    #[must_use]
    pub fn probe_confinement(mut self, confinement: Confinement) -> Self {
        self.probe.confinement = Some(confinement);
        self
    }

    /// The name that `plugind status` shows for this program (default: the executable's).
    #[must_use]
    pub fn program(mut self, name: impl Into<String>) -> Self {
        self.program = Some(name.into());
        self
    }

    /// A client that only asks: it is not listed among those that open plugins.
    #[must_use]
    pub fn asks_only(mut self) -> Self {
        self.opens = false;
        self
    }

    /// Uses the daemon that serves the folder if one answers now, and embeds the engine otherwise. Decided once.
    ///
    /// # Errors
    ///
    /// See [`Builder::connect`] and [`Builder::embed`].
    pub fn watch(self) -> Result<Client, ClientError> {
        let socket = self.daemon_socket()?;
        if place::connect(&socket).is_ok() {
            match self.clone().connect_within(ANSWERS_NOW) {
                Ok(client) => {
                    tracing::info!(socket = %socket.display(), "a daemon serves the folder");
                    return Ok(client);
                }
                Err(ClientError::NothingServes { .. }) => {
                    tracing::warn!(socket = %socket.display(), "the daemon of the folder does not answer");
                }
                Err(error) => return Err(error),
            }
        }
        tracing::info!(folder = %self.folder.display(), "no daemon serves the folder; the engine runs in this process");
        self.embed()
    }

    /// Connects to a daemon, waiting for it up to the deadline. If it goes away later, the client runs on and
    /// connects again.
    ///
    /// # Errors
    ///
    /// [`ClientError::NothingServes`] after the deadline, [`ClientError::Protocol`] if the sides do not fit.
    pub fn connect(self) -> Result<Client, ClientError> {
        let deadline = self.deadline;
        self.connect_within(deadline)
    }

    fn connect_within(self, patience: Duration) -> Result<Client, ClientError> {
        let socket = self.daemon_socket()?;
        let hello = self.hello();
        let client = Client::launch(Target::Socket(socket.clone()), hello, self.deadline)?;
        client.await_engine(&socket, patience)?;
        Ok(client)
    }

    /// Runs the engine on threads of this process, with a private store and a socket of its own.
    ///
    /// # Errors
    ///
    /// [`ClientError::Start`]; [`ClientError::NotEmbeddable`] without the feature `embedded`.
    #[cfg(feature = "embedded")]
    pub fn embed(self) -> Result<Client, ClientError> {
        let engine = plugind_engine::Engine::start(plugind_engine::Options {
            folder: Folder::new(&self.folder)?,
            mode: Mode::Embedded,
            runtime_dir: self.sockets_dir()?,
            state_dir: match &self.state_dir {
                Some(dir) => dir.clone(),
                None => place::state_dir()?,
            },
            // A socket of the user's choice is a daemon's.
            socket: None,
            config: self.config.clone(),
            poll: None,
            probe: self.probe,
            trust_owner: self.trust_owner.clone(),
            allow_client: None,
            manual: false,
            events: None,
        })?;
        let stream = engine.connect().map_err(ClientError::Thread)?;
        let socket = engine.socket().to_owned();
        let mut client = Client::launch(Target::Stream(stream), self.hello(), self.deadline)?;
        client.keep(engine);
        client.await_engine(&socket, self.deadline)?;
        Ok(client)
    }

    /// Runs the engine on threads of this process, with a private store and a socket of its own.
    ///
    /// # Errors
    ///
    /// Always [`ClientError::NotEmbeddable`]: this build is without the feature `embedded`.
    #[cfg(not(feature = "embedded"))]
    pub fn embed(self) -> Result<Client, ClientError> {
        Err(ClientError::NotEmbeddable {
            folder: self.folder,
        })
    }

    fn sockets_dir(&self) -> Result<PathBuf, ClientError> {
        match &self.runtime_dir {
            Some(dir) => {
                place::private_dir(dir, "XDG_RUNTIME_DIR")?;
                Ok(dir.clone())
            }
            None => Ok(place::runtime_dir()?),
        }
    }

    fn daemon_socket(&self) -> Result<PathBuf, ClientError> {
        let socket = match &self.socket {
            Some(socket) => socket.clone(),
            None => place::daemon_socket(&self.sockets_dir()?, &Folder::new(&self.folder)?),
        };
        place::check_socket_path(&socket)?;
        Ok(socket)
    }

    fn hello(&self) -> ClientHello {
        let executable = env::current_exe().and_then(|path| path.canonicalize()).ok();
        let name = executable
            .as_deref()
            .and_then(Path::file_name)
            .map(|name| name.to_string_lossy().into_owned());
        ClientHello {
            protocol: PROTOCOL,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            program: self
                .program
                .clone()
                .or(name)
                .unwrap_or_else(|| "unknown".to_owned()),
            // One that is not UTF-8 cannot be told; its lane is then the one built last.
            executable: executable.filter(|path| path.to_str().is_some()),
            opens: self.opens,
        }
    }
}
