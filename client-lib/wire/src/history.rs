//! What became of every version, one JSON object each: the lines of `plugind history --json`, and of the file in which
//! an engine keeps them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::event::{ClientName, Stage, Timings};

/// One outcome. Keys that do not apply are absent.
///
/// A version has at most one entry of each outcome, across restarts; of `refused`, one per client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// When, RFC 3339.
    pub time: Timestamp,
    /// What became of the version.
    pub outcome: Outcome,
    /// The random id of the state directory: numbers compare only within one.
    pub state: String,
    /// The plugin's name; absent for a file that was turned down before it gave a plugin.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub plugin: Option<String>,
    /// The version's number; absent for a file that was turned down before it got one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<u64>,
    /// The plugin's semantic version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub semver: Option<String>,
    /// The image's content.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
    /// The lane, `.` for the watched folder itself; absent for a file that was opened by path.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lane: Option<String>,
    /// The file it is a copy of.
    pub artifact: String,
    /// The stage that rejected it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stage: Option<Stage>,
    /// Why, in a sentence that says what to do; of a published version, what to know before relying on it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Who refused it, or swapped it in first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client: Option<ClientName>,
    /// How long each stage took on its way to the announcement, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timings_us: Option<Timings>,
    /// Of a version that is live: how long the system's loader took to open it in that client, its constructors
    /// included, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub opened_us: Option<u64>,
}

/// What became of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was announced.
    Published,
    /// A stage of the engine turned it down.
    Rejected,
    /// A client swapped it in, the first to do so.
    Live,
    /// A client turned it down.
    Refused,
    /// A newer one took its place before any client swapped it in.
    Superseded,
}

impl Outcome {
    /// The word in JSON and in people's output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Rejected => "rejected",
            Self::Live => "live",
            Self::Refused => "refused",
            Self::Superseded => "superseded",
        }
    }
}

impl Entry {
    /// Whether it is about a plugin of this name; about any, if none is named.
    pub fn is_of(&self, plugin: Option<&str>) -> bool {
        plugin.is_none_or(|plugin| self.plugin.as_deref() == Some(plugin))
    }
}
