//! What the engine and the process that it starts say to each other: one order, then lines of JSON back.

use std::path::PathBuf;

use plugind_abi::registration::ABI;
use plugind_wire::message::Mapped;
use plugind_wire::probe::{Confinement, Level, Phase};
use serde::{Deserialize, Serialize};

/// What the first argument of a probe is. Nobody gives it by chance.
pub(crate) const ARGUMENT: &str = "--plugind-probe";

/// Of these messages; it changes with their meaning.
const MESSAGES: u32 = 2;

/// What two programs must have in common for one to try plugins for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation {
    messages: u32,
    /// Of what plugins register.
    abi: u32,
}

impl Generation {
    /// This program's.
    pub(crate) const THIS: Self = Self {
        messages: MESSAGES,
        abi: ABI,
    };
}

/// One image to try.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Of the engine's program; read before anything else.
    pub(crate) generation: Generation,
    /// The engine's process, without which there is nobody to try anything for.
    pub(crate) parent: u32,
    /// What to open.
    pub(crate) image: PathBuf,
    /// What of it is mapped.
    pub(crate) mapped: Mapped,
    /// What it is kept from.
    pub(crate) confinement: Confinement,
    /// How many seconds of processor time it has.
    pub(crate) processor_seconds: u64,
}

/// What a probe says, a line each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "snake_case")]
pub(crate) enum Said {
    /// Who it is: always the first.
    Hello {
        /// Its release.
        release: String,
        /// It goes on only if the engine's is the same.
        generation: Generation,
    },
    /// It gave up what the kernel let it give up, and opens the image now.
    Confined {
        /// What it gave up.
        level: Level,
    },
    /// The image is open; its registrations are read now.
    Opened,
    /// The image is good.
    Passed,
    /// It is not.
    Failed {
        /// Where.
        phase: Phase,
        /// Why.
        reason: String,
    },
    /// A system call ended the probe. A signal handler writes this one, from [`FORBIDDEN`].
    Forbidden {
        /// Its number.
        call: u32,
    },
}

/// [`Said::Forbidden`] around its number.
pub(crate) const FORBIDDEN: (&str, &str) = ("{\"said\":\"forbidden\",\"call\":", "}\n");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_signal_handler_writes_can_be_read() {
        let (before, after) = FORBIDDEN;
        let read: Said = serde_json::from_str(&format!("{before}41{after}")).unwrap();
        assert_eq!(read, Said::Forbidden { call: 41 });
    }
}
