//! Exit codes, and errors as people read them.

use plugind_client::ClientError;
use plugind_engine::{StartError, TooLarge};

/// A failure with an exit code of its own; any other error is code 1.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Code 2.
    #[error("{0}")]
    Usage(String),
    /// Code 3.
    #[error("{0}")]
    NothingServes(String),
    /// Code 4.
    #[error("{0}")]
    Unknown(String),
    /// Code 5.
    #[error("{0}")]
    Rejected(String),
}

/// What a signal handler makes of Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;
/// The called code crashed.
pub(crate) const CRASHED: i32 = 5;

/// The code of an error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Code(u8);

impl Code {
    pub(crate) fn code(self) -> u8 {
        self.0
    }
}

impl Failure {
    /// The code that an error ends with.
    pub(crate) fn of(error: &anyhow::Error) -> Code {
        if let Some(failure) = error.downcast_ref::<Self>() {
            return Code(match failure {
                Self::Usage(_) => 2,
                Self::NothingServes(_) => 3,
                Self::Unknown(_) => 4,
                Self::Rejected(_) => 5,
            });
        }
        let causes = error
            .chain()
            .filter_map(<dyn std::error::Error>::downcast_ref);
        if causes.into_iter().any(TooLarge::is_reason_of) {
            return Code(5);
        }
        if let Some(StartError::Config(_)) = error.downcast_ref() {
            return Code(2);
        }
        Code(match error.downcast_ref::<ClientError>() {
            Some(ClientError::NothingServes { .. }) => 3,
            Some(ClientError::Unknown(_)) => 4,
            Some(ClientError::Rejected(_) | ClientError::Open(_)) => 5,
            Some(ClientError::Paused { .. } | ClientError::Held(_)) => 6,
            Some(
                ClientError::TimedOut { .. }
                | ClientError::NoVersion { .. }
                | ClientError::NotReached { .. },
            ) => 7,
            _ => 1,
        })
    }
}

/// Whether an error is only that nobody reads the output any more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let kind = cause
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind)
            .or_else(|| cause.downcast_ref::<serde_json::Error>()?.io_error_kind());
        kind == Some(std::io::ErrorKind::BrokenPipe)
    })
}

/// Text from a file's name or a plugin, fit for one line of a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let kept = (!c.is_control()).then_some(c);
            escaped.into_iter().flatten().chain(kept)
        })
        .collect()
}
