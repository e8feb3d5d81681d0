//! What an engine is told at its start.

use std::path::PathBuf;

use crossbeam_channel::Sender;
use plugind_wire::event::Event;
use plugind_wire::place::Folder;
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
    /// Where every event goes as well. A full channel loses events and says so in the next one.
    pub events: Option<Sender<Event>>,
}
