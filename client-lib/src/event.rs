//! What happened in this client.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use plugind_loader::Fault;
use plugind_wire::VersionId;
use plugind_wire::event::Stage;

/// Events that wait for one listener.
const WAITING: usize = 1024;

/// What happened in this client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The engine answers.
    Connected,
    /// The engine is gone; what is open goes on, and the client tries to connect again.
    Disconnected,
    /// A call has waited for a plugin's first version for a second, and goes on waiting.
    Waiting {
        /// The plugin's name.
        plugin: String,
        /// What there is instead, and what to do.
        found: String,
    },
    /// The snapshot holds this version.
    Swapped {
        /// Which.
        version: VersionId,
    },
    /// No reader is inside a frame on an older version of the plugin.
    Drained {
        /// The current version.
        version: VersionId,
    },
    /// The engine turned a build down before any program opened it; what served goes on.
    Rejected {
        /// Which.
        version: VersionId,
        /// The stage that turned it down.
        stage: Stage,
        /// Why.
        reason: String,
    },
    /// The version was not opened; what served goes on.
    Refused {
        /// Which.
        version: VersionId,
        /// Why.
        reason: String,
    },
    /// A build that was not used is undone: what is built is the current version again.
    Unchanged {
        /// Which.
        version: VersionId,
    },
    /// A plugin panicked while it dropped a state or a result, which no call could return. Told by every client of this
    /// process.
    Faulted {
        /// Where, and what it said.
        fault: Fault,
    },
    /// The listener was slow and so many events were lost.
    Lost {
        /// How many.
        count: u64,
    },
}

impl fmt::Display for ClientEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("the engine is back"),
            Self::Disconnected => f.write_str("the engine is gone; what is open goes on"),
            Self::Waiting { plugin, found } => {
                write!(f, "waiting for a first version of {plugin}; {found}")
            }
            Self::Swapped { version } => write!(f, "{version} is current"),
            Self::Drained { version } => {
                write!(f, "nothing runs an older version than {version}")
            }
            Self::Rejected {
                version,
                stage,
                reason,
            } => write!(f, "{version} was rejected at {}: {reason}", stage.word()),
            Self::Refused { version, reason } => write!(f, "{version} is not used: {reason}"),
            Self::Unchanged { version } => write!(f, "{version} is what is built again"),
            Self::Faulted { fault } => write!(f, "{fault}"),
            Self::Lost { count } => write!(f, "{count} events were lost"),
        }
    }
}

/// What happens in a client, for one listener.
pub type Events = Receiver<ClientEvent>;

/// Everybody who listens.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    listeners: Mutex<Vec<Listener>>,
}

#[derive(Debug)]
struct Listener {
    to: Sender<ClientEvent>,
    lost: u64,
}

impl Listeners {
    pub(crate) fn add(&self) -> Events {
        let (to, from) = bounded(WAITING);
        self.lock().push(Listener { to, lost: 0 });
        from
    }

    pub(crate) fn tell(&self, event: &ClientEvent) {
        self.lock().retain_mut(|listener| listener.tell(event));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Listener>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    /// False when nobody listens any more.
    fn tell(&mut self, event: &ClientEvent) -> bool {
        if self.lost > 0
            && self
                .to
                .try_send(ClientEvent::Lost { count: self.lost })
                .is_ok()
        {
            self.lost = 0;
        }
        match self.to.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.lost += 1;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}
