//! What an engine is told at its start.

use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel::Sender;
use plugind_wire::event::Event;
use plugind_wire::place::Folder;
use plugind_wire::probe::Confinement;
use plugind_wire::status::Mode;

/// What an engine is told at its start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder to watch; it need not exist yet.
    pub folder: Folder,
    /// Daemon or embedded: decides the names of socket and state directory.
    pub mode: Mode,
    /// The directory of the sockets ([`plugind_wire::place::runtime_dir`]).
    pub runtime_dir: PathBuf,
    /// The base of the state directories ([`plugind_wire::place::state_dir`]).
    pub state_dir: PathBuf,
    /// A socket path of the user's choice.
    pub socket: Option<PathBuf>,
    /// Scan instead of relying on the system's events.
    pub poll: bool,
    /// How versions are tried before they are announced.
    pub probe: ProbeOptions,
    /// Where every event goes as well. A full channel loses events and says so in the next one.
    pub events: Option<Sender<Event>>,
}

/// How versions are tried before they are announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeOptions {
    /// How long one may take.
    pub timeout: Duration,
    /// What plugins are kept from meanwhile.
    pub confinement: Confinement,
}

impl Default for ProbeOptions {
    /// Ten seconds, in the sandbox.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            confinement: Confinement::default(),
        }
    }
}
