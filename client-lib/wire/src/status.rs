//! The document of `plugind status --json`: what the engine knows, and what its clients acknowledged.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::choice::Hold;
use crate::difference::Difference;
use crate::event::{Readers, Stage, Timings};
use crate::probe::{Cause, Level, Phase, Probe};
use crate::{Digest, VersionId};

/// Everything that one engine serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// The watched folder, as it was named.
    pub folder: PathBuf,
    /// The socket it answers on.
    pub socket: PathBuf,
    /// The engine's process.
    pub pid: u32,
    /// Daemon or embedded.
    pub mode: Mode,
    /// The plugind release that runs it.
    pub release: String,
    /// The random id of its state directory; numbers compare only within one.
    pub state: String,
    /// Since when it serves.
    pub since: Timestamp,
    /// By name.
    pub plugins: Vec<Plugin>,
    /// Files that could not become a version: incomplete, unreadable or rejected before a number was given.
    pub rejected_files: Vec<RejectedFile>,
    /// By process id.
    pub clients: Vec<Client>,
    /// What hinders watching, in sentences.
    pub warnings: Vec<String>,
    /// No build takes over by itself.
    #[serde(default)]
    pub paused: bool,
}

/// Where an engine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// In `plugind watch`.
    Daemon,
    /// On the threads of a program that uses plugins.
    Embedded,
}

/// One plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugin {
    /// Its name.
    pub plugin: String,
    /// True when its newest version has no plugind note.
    pub raw: bool,
    /// Per lane, the version the engine wants current.
    pub selected: Vec<Selected>,
    /// The files that become its versions.
    pub artifacts: Vec<Artifact>,
    /// Oldest first.
    pub versions: Vec<Version>,
}

/// The version that the engine wants current in a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selected {
    /// The lane.
    pub lane: String,
    /// The version's number.
    pub version: u64,
    /// Its content.
    pub digest: Digest,
    /// Why it is not the newest that may be opened.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hold: Option<Hold>,
    /// It stays, whatever is built.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub pinned: bool,
    /// The sentence about it, where a member of its group was rejected.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<String>,
    /// The number of that one then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub newest: Option<u64>,
}

/// A file that a build writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Where.
    pub path: PathBuf,
    /// Its lane.
    pub lane: String,
    /// There, or gone since.
    pub present: bool,
}

/// One staged version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Its number.
    pub version: u64,
    /// The plugin's semantic version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub semver: Option<String>,
    /// Its content.
    pub digest: Digest,
    /// The lane it came from; absent for a file that was opened by path.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lane: Option<String>,
    /// The file it is a copy of.
    pub artifact: PathBuf,
    /// The copy.
    pub image: PathBuf,
    /// When it was staged.
    pub staged: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
    /// The stage that rejected it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stage: Option<Stage>,
    /// Why it was rejected, or why a client refused it before any had swapped it in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// If it fits no program: what differs from what the first of them requires.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub differences: Vec<Difference>,
    /// Whether it was tried in a sacrificial process, and what came of it.
    pub probe: Probe,
    /// Why it was not tried.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub not_probed: Option<String>,
    /// Which of the sandbox's parts the kernel granted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub level: Option<Level>,
    /// How far a probe came that failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub phase: Option<Phase>,
    /// What it failed by in the probe.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<Cause>,
    /// Since when its bytes are in quarantine: they are not tried again until somebody says `retry`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quarantined: Option<Timestamp>,
    /// What to know before relying on it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
    /// How long each stage took.
    pub timings_us: Timings,
}

impl Version {
    /// Why it was turned down, in full, if it was; `plugin` is whose version it is.
    pub fn why(&self, plugin: &str) -> Option<String> {
        let reason = self.reason.as_deref()?;
        let quarantine = self.quarantined.map_or_else(String::new, |since| {
            format!(
                "; in quarantine since {since:.0}: the same bytes are not tried again until `plugind retry {plugin}`"
            )
        });
        Some(format!("{reason}{quarantine}"))
    }
}

/// What is true of an artifact that is gone, given the newest version from it that was not rejected, and the one that is
/// wanted current in its lane.
pub fn what_goes_on(newest: Option<u64>, selected: Option<u64>) -> String {
    match (newest, selected) {
        (Some(number), Some(selected)) if number != selected => {
            format!(
                "v{selected} from another file is current, and its v{number} stays in the store"
            )
        }
        (Some(number), _) => format!("its v{number} goes on"),
        (None, _) => "no version of it was accepted, so nothing of it goes on".to_owned(),
    }
}

/// What became of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Between its number and its announcement.
    OnItsWay,
    /// At least one client swapped it in.
    Live,
    /// Announced; no client has swapped it in.
    Published,
    /// A stage turned it down.
    Rejected,
    /// A newer one took its place before any client swapped it in.
    Superseded,
}

impl Outcome {
    /// The word in JSON and in people's output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::OnItsWay => "on_its_way",
            Self::Live => "live",
            Self::Published => "published",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
        }
    }
}

/// A file that could not become a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedFile {
    /// Where.
    pub path: PathBuf,
    /// The stage that turned it down.
    pub stage: Stage,
    /// Why.
    pub reason: String,
}

/// One client process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its process id.
    pub pid: u32,
    /// Its program's name.
    pub program: String,
    /// What it uses.
    pub plugins: Vec<Use>,
}

/// What one client acknowledged about one plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// The plugin's name.
    pub plugin: String,
    /// The lane the client follows.
    pub lane: String,
    /// The version current in the client.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub live: Option<u64>,
    /// The content of that version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
    /// How many of its readers execute it.
    pub executing: Readers,
    /// True when no reader is inside a frame or request on an older version.
    pub drained: bool,
    /// The version it turned down last, and why, as long as that is the newest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<Refused>,
}

/// A version that a client turned down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which.
    pub version: VersionId,
    /// Why.
    pub reason: String,
}
