//! Why a client could not do what was asked. Nothing that runs is touched by any of it.
//!
//! `{:?}` of an error that a program may meet is its sentence, causes included, and not its fields: that is what a `main`
//! that returns the error prints, and what `expect` does.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use plugind_loader::{BindError, Fault, LookupError, OpenError};
use plugind_wire::event::ClientName;
use plugind_wire::place::PlaceError;
use plugind_wire::{VersionId, sentence};

/// Why a client could not do what was asked.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A directory or socket path cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// No engine answers.
    #[error("nothing serves {} (waited {waited:?}); start `plugind watch` there", socket.display())]
    NothingServes {
        /// Where an engine was expected.
        socket: PathBuf,
        /// How long.
        waited: Duration,
    },
    /// The engine speaks another protocol.
    #[error(
        "this program speaks plugind's protocol {ours} (release {our_release}) and the engine speaks {theirs} \
         (release {their_release}); use the same release on both sides"
    )]
    Protocol {
        /// This side's.
        ours: u32,
        /// This side's.
        our_release: String,
        /// The engine's.
        theirs: u32,
        /// The engine's.
        their_release: String,
    },
    /// The engine serves others, and not this user.
    #[error("{0}")]
    NotAllowed(String),
    /// The embedded engine does not start.
    #[cfg(feature = "embedded")]
    #[error(transparent)]
    Start(#[from] plugind_engine::StartError),
    /// This program was built without the feature `embedded`.
    #[error("no daemon serves {}, and this program was built without the feature `embedded`; start `plugind watch` there", folder.display())]
    NotEmbeddable {
        /// The folder.
        folder: PathBuf,
    },
    /// No version of the plugin came in time.
    #[error("no version of plugin {plugin} after {waited:?}: {found}")]
    NoVersion {
        /// The plugin's name.
        plugin: String,
        /// How long.
        waited: Duration,
        /// What there is instead.
        found: String,
    },
    /// No plugin or version of that name or number.
    #[error("{0}")]
    Unknown(String),
    /// A stage of the engine turned it down.
    #[error("{0}")]
    Rejected(String),
    /// The engine does not do this.
    #[error("{0}")]
    Unsupported(String),
    /// The image cannot be opened here.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The plugin does not fit the contract, and nothing of it was opened.
    #[error("{version}: {reason}")]
    Misfit {
        /// Which version.
        version: VersionId,
        /// What differs, and what to do.
        reason: String,
    },
    /// What the plugin registered does not fit the contract.
    #[error("{version} does not fit: {reason}")]
    Bind {
        /// Which version.
        version: VersionId,
        /// Why.
        reason: Box<BindError>,
    },
    /// The plugin panicked.
    #[error(transparent)]
    Fault(Box<Fault>),
    /// A name was not found.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The engine went away before it answered.
    #[error(
        "the engine went away before it answered; what was open goes on, try again when it is back"
    )]
    Disconnected,
    /// The engine did not answer in time.
    #[error("the engine did not answer within {waited:?}")]
    TimedOut {
        /// How long.
        waited: Duration,
    },
    /// Not every client that uses the plugin came as far as was waited for.
    #[error("{plugin} is not there after {waited:?}: {so_far}")]
    NotReached {
        /// The plugin's name.
        plugin: String,
        /// How long.
        waited: Duration,
        /// Who is behind, on what.
        so_far: String,
    },
    /// A client holds new versions of the plugin back.
    #[error("{} (pid {}) is paused and takes no new version of {plugin}; it must call `resume`", client.program, client.pid)]
    Paused {
        /// The plugin's name.
        plugin: String,
        /// The client.
        client: ClientName,
    },
    /// The newest version of the plugin is not wanted current: an older one is pinned, or builds are held back.
    #[error("{0}")]
    Held(String),
    /// A thread could not be started.
    #[error("cannot start a thread of the client")]
    Thread(#[source] io::Error),
}

impl fmt::Debug for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sentence(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the standard library prints of an error that `main` returns.
    fn printed(error: impl fmt::Debug) -> String {
        format!("Error: {error:?}")
    }

    #[test]
    fn a_main_that_returns_an_error_prints_its_sentence() {
        let thread = ClientError::Thread(io::Error::other("no room"));
        assert_eq!(
            printed(thread),
            "Error: cannot start a thread of the client: no room"
        );
        let fault = || Fault {
            plugin: "x".to_owned(),
            version: 2,
            function: "f",
            message: "it fell".to_owned(),
            location: Some("src/lib.rs:1:2".to_owned()),
        };
        let said = "Error: x v2 panicked in `f`: it fell (src/lib.rs:1:2)";
        assert_eq!(printed(fault()), said);
        assert_eq!(printed(ClientError::Fault(Box::new(fault()))), said);
        let boxed: Box<dyn std::error::Error> = ClientError::Rejected("no".to_owned()).into();
        assert_eq!(printed(boxed), "Error: no");
        let unknown = LookupError::Unknown {
            name: "f".to_owned(),
            near: Vec::new(),
            count: 0,
            names: Vec::new(),
        };
        assert_eq!(
            printed(unknown),
            "Error: no symbol `f`; the plugin has 0 symbols"
        );
        let reason = BindError::Missing {
            contract: "C".to_owned(),
            expected: "fn f()".to_owned(),
        };
        assert!(printed(reason).starts_with("Error: it lacks `fn f()`"));
    }
}
