//! What an engine is told at its start.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel::Sender;
use plugind_wire::event::Event;
use plugind_wire::place::Folder;
use plugind_wire::probe::Confinement;
use plugind_wire::status::Mode;

use crate::rights::User;

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
    /// The configuration, instead of the `plugind.toml` nearest to the folder. What is `None` below is as it says.
    pub config: Option<PathBuf>,
    /// Scan instead of relying on the system's events.
    pub poll: Option<bool>,
    /// Begin with every build held back, as after a pause.
    pub manual: bool,
    /// How the versions of every plugin are tried before they are announced.
    pub probe: ProbeChoice,
    /// Users whose files are taken, beside this one's and root's.
    pub trust_owner: Option<Vec<User>>,
    /// Users who may ask and command, beside this one and root.
    pub allow_client: Option<Vec<User>>,
    /// Where every event goes as well. A full channel loses events and says so in the next one.
    pub events: Option<Sender<Event>>,
}

/// How versions are tried, as far as somebody chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProbeChoice {
    /// How long one may take.
    pub timeout: Option<Duration>,
    /// What plugins are kept from meanwhile.
    pub confinement: Option<Confinement>,
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

/// How the versions of each plugin are tried.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    /// What goes before everything else.
    pub(crate) chosen: ProbeChoice,
    /// By the plugin's name.
    pub(crate) by_plugin: BTreeMap<String, ProbeChoice>,
    /// For what nothing else is said of.
    pub(crate) general: ProbeChoice,
}

impl Trials {
    /// Every plugin in the same way.
    pub(crate) fn all(options: ProbeOptions) -> Self {
        Self {
            chosen: ProbeChoice {
                timeout: Some(options.timeout),
                confinement: Some(options.confinement),
            },
            ..Self::default()
        }
    }

    /// This plugin.
    pub(crate) fn of(&self, plugin: &str) -> ProbeOptions {
        let own = self.by_plugin.get(plugin).copied().unwrap_or_default();
        let order = [self.chosen, own, self.general];
        let otherwise = ProbeOptions::default();
        ProbeOptions {
            timeout: order
                .iter()
                .find_map(|choice| choice.timeout)
                .unwrap_or(otherwise.timeout),
            confinement: order
                .iter()
                .find_map(|choice| choice.confinement)
                .unwrap_or(otherwise.confinement),
        }
    }
}
