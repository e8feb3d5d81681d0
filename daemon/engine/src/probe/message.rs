//! What the engine and the process that it starts say to each other: one order, then lines of JSON back.

use std::path::PathBuf;

use plugind_abi::registration::ABI;
use plugind_loader::Registrations;
use plugind_wire::manifest::Manifest;
use plugind_wire::message::Mapped;
use plugind_wire::probe::{Confinement, Level, Phase};
use serde::{Deserialize, Serialize};

/// What the first argument of a probe is. Nobody gives it by chance.
pub(crate) const ARGUMENT: &str = "--plugind-probe";

/// Of these messages; it changes with their meaning.
const MESSAGES: u32 = 1;

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
    /// What it is to register; nothing for a raw plugin.
    pub(crate) expected: Option<Identity>,
    /// What it is kept from.
    pub(crate) confinement: Confinement,
    /// How many seconds of processor time it has.
    pub(crate) processor_seconds: u64,
}

/// What a plugin says it is, once in its notes and once in its registrations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    plugin: String,
    semver: String,
    /// Sorted.
    contracts: Vec<String>,
}

impl Identity {
    /// By its notes; `None` for a raw plugin.
    pub(crate) fn declared(manifest: &Manifest) -> Option<Self> {
        let mut contracts = manifest.contracts.clone();
        contracts.sort_unstable();
        Some(Self {
            plugin: manifest.plugin.clone(),
            semver: manifest.semver.clone()?,
            contracts,
        })
    }

    /// By its registrations.
    pub(crate) fn registered(registrations: &Registrations) -> Self {
        Self {
            plugin: registrations.plugin().to_owned(),
            semver: registrations.semver().to_owned(),
            contracts: registrations.contracts().map(str::to_owned).collect(),
        }
    }

    /// How the two contradict each other.
    pub(crate) fn contradiction(
        declared: Option<&Self>,
        registered: Option<&Self>,
    ) -> Option<String> {
        let (declares, registers) = match (declared, registered) {
            (None, None) => return None,
            // One in another language may leave it at exported functions.
            (Some(declared), None) if declared.contracts.is_empty() => return None,
            (Some(declared), Some(registered)) => declared.difference(registered)?,
            (Some(declared), None) => (declared.name(), "nothing".to_owned()),
            (None, Some(registered)) => ("nothing".to_owned(), registered.name()),
        };
        Some(format!(
            "its notes declare {declares} and its constructors register {registers}; build it anew, with one plugind \
             release for all its crates"
        ))
    }

    fn name(&self) -> String {
        format!("{} {}", self.plugin, self.semver)
    }

    fn difference(&self, other: &Self) -> Option<(String, String)> {
        if self.name() != other.name() {
            return Some((self.name(), other.name()));
        }
        let list = |contracts: &[String]| match contracts {
            [] => "no contract".to_owned(),
            contracts => contracts.join(", "),
        };
        (self.contracts != other.contracts).then(|| (list(&self.contracts), list(&other.contracts)))
    }
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

    fn identity(plugin: &str, contracts: &[&str]) -> Identity {
        Identity {
            plugin: plugin.to_owned(),
            semver: "1.0.0".to_owned(),
            contracts: contracts.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn what_a_signal_handler_writes_can_be_read() {
        let (before, after) = FORBIDDEN;
        let read: Said = serde_json::from_str(&format!("{before}41{after}")).unwrap();
        assert_eq!(read, Said::Forbidden { call: 41 });
    }

    #[test]
    fn a_contradiction_names_both_sides() {
        let (a, b) = (identity("a", &["Game"]), identity("b", &["Game"]));
        let sentence = |declared: Option<&Identity>, registered: Option<&Identity>| {
            Identity::contradiction(declared, registered).unwrap_or_default()
        };
        assert_eq!(sentence(Some(&a), Some(&a)), "");
        assert_eq!(sentence(None, None), "");
        assert_eq!(sentence(Some(&identity("a", &[])), None), "");
        let told = [
            (
                sentence(Some(&a), Some(&b)),
                "declare a 1.0.0 and its constructors register b 1.0.0",
            ),
            (
                sentence(Some(&a), None),
                "declare a 1.0.0 and its constructors register nothing",
            ),
            (
                sentence(None, Some(&b)),
                "declare nothing and its constructors register b 1.0.0",
            ),
            (
                sentence(Some(&a), Some(&identity("a", &[]))),
                "declare Game and its constructors register no contract",
            ),
        ];
        for (sentence, words) in told {
            assert!(sentence.contains(words), "{sentence}");
        }
    }
}
