//! What the probe found: a version's trial in a process that may die.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::event::Stage;

/// Whether a version was tried in a sacrificial process, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// It was opened there, and registered what it declares.
    Passed,
    /// It failed there.
    Failed,
    /// It was not tried.
    NotProbed,
    /// A raw plugin that no client has asked for yet.
    Deferred,
}

impl Probe {
    /// The word in JSON and in people's output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotProbed => "not_probed",
            Self::Deferred => "deferred",
        }
    }
}

/// What a plugin is kept from while it is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confinement {
    /// From new processes and sockets, from writing files, and from more than its share of memory and processor.
    #[default]
    Sandboxed,
    /// From nothing; it still is a process of its own, with a deadline.
    Unsandboxed,
    /// It is not probed at all.
    Off,
}

/// A word that is no [`Confinement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a probe is `sandboxed`, `unsandboxed` or `off`")]
pub struct ConfinementError;

impl FromStr for Confinement {
    type Err = ConfinementError;

    fn from_str(word: &str) -> Result<Self, ConfinementError> {
        match word {
            "sandboxed" => Ok(Self::Sandboxed),
            "unsandboxed" => Ok(Self::Unsandboxed),
            "off" => Ok(Self::Off),
            _ => Err(ConfinementError),
        }
    }
}

/// Which of the sandbox's parts the kernel granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Level {
    /// New processes, programs and sockets end the probe.
    pub seccomp: bool,
    /// No file can be written.
    pub landlock: bool,
    /// Memory, processor time and file sizes are limited.
    pub limits: bool,
}

impl Level {
    /// All of them.
    pub const FULL: Self = Self {
        seccomp: true,
        landlock: true,
        limits: true,
    };
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.seccomp, "seccomp"),
            (self.landlock, "landlock"),
            (self.limits, "limits"),
        ];
        let granted: Vec<_> = parts
            .iter()
            .filter(|(granted, _)| *granted)
            .map(|(_, name)| *name)
            .collect();
        match granted.as_slice() {
            [] => f.write_str("no sandbox"),
            granted => f.write_str(&granted.join(", ")),
        }
    }
}

/// How far a probe came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The process was being started.
    Spawn,
    /// It was giving up its rights.
    Sandbox,
    /// The system's loader turned the image down.
    Open,
    /// The image was being opened, which runs its constructors.
    Constructors,
    /// What it registered was being read.
    Registrations,
}

impl Phase {
    /// The word in JSON and in people's output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Spawn => "spawn",
            Self::Sandbox => "sandbox",
            Self::Open => "open",
            Self::Constructors => "constructors",
            Self::Registrations => "registrations",
        }
    }
}

/// What a version failed by, and so what has to change before it can pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its own bytes.
    Plugin,
    /// What the sandbox forbids.
    Sandbox,
    /// The deadline, or the limit on processor time.
    Time,
    /// What lay around it: a library or a symbol was missing, the probe could not be started, somebody ended it.
    Surroundings,
}

impl Cause {
    /// The word in JSON and in people's output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Plugin => "plugin",
            Self::Sandbox => "sandbox",
            Self::Time => "time",
            Self::Surroundings => "surroundings",
        }
    }
}

/// The document of `plugind probe FILE --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// The file.
    pub file: PathBuf,
    /// Its content.
    pub digest: Digest,
    /// The name of its plugin, where it can be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub plugin: Option<String>,
    /// Whether it was tried, and what came of it.
    pub probe: Probe,
    /// Why it was not tried.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub not_probed: Option<String>,
    /// The stage that would reject it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stage: Option<Stage>,
    /// How far the probe came.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub phase: Option<Phase>,
    /// What it failed by in the probe.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<Cause>,
    /// Why it would be rejected.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Which of the sandbox's parts the kernel granted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub level: Option<Level>,
    /// What the plugin wrote meanwhile, the middle of it left out where it is long.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub output: Option<String>,
    /// How long the probe took, in microseconds.
    pub probe_us: u64,
}
