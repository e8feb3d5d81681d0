//! What happened, one JSON object each: the lines of `plugind watch --json`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::difference::Difference;
use crate::probe::{Cause, Level, Phase, Probe};

/// One event. Keys that do not apply are absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// When, RFC 3339.
    pub time: Timestamp,
    /// What.
    pub event: Kind,
    /// The plugin's name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub plugin: Option<String>,
    /// The version's number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<u64>,
    /// The plugin's semantic version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub semver: Option<String>,
    /// The image's content.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
    /// The lane, `.` for the watched folder itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lane: Option<String>,
    /// The watched folder; only in `watching`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub folder: Option<String>,
    /// The artifact's path.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact: Option<String>,
    /// The stage that rejected.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stage: Option<Stage>,
    /// Why, in a sentence that says what to do; of a published version, what to know before relying on it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Of a version that is not wanted current, or of one that stays so: why the newest does not take over.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<String>,
    /// Of a version that fits no program: what differs from what the first of them requires.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub differences: Vec<Difference>,
    /// Whether the version was tried in a sacrificial process, and what came of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub probe: Option<Probe>,
    /// Why it was not tried.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub not_probed: Option<String>,
    /// Which of the sandbox's parts the kernel granted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub level: Option<Level>,
    /// How far a probe came that failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub phase: Option<Phase>,
    /// What the version failed by in the probe.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<Cause>,
    /// Since when its bytes are in quarantine; before the event's time if it was not tried now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quarantined: Option<Timestamp>,
    /// What the plugin wrote in a probe that failed, the middle of it left out where it is long.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub output: Option<String>,
    /// The client concerned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client: Option<ClientName>,
    /// Of the client's readers, how many execute the version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub readers: Option<Readers>,
    /// How long each stage took, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timings_us: Option<Timings>,
}

impl Event {
    /// An event of now with nothing but its kind.
    pub fn new(event: Kind) -> Self {
        Self {
            schema: crate::SCHEMA,
            time: Timestamp::now(),
            event,
            plugin: None,
            version: None,
            semver: None,
            digest: None,
            lane: None,
            folder: None,
            artifact: None,
            stage: None,
            reason: None,
            held: None,
            differences: Vec::new(),
            probe: None,
            not_probed: None,
            level: None,
            phase: None,
            cause: None,
            quarantined: None,
            output: None,
            client: None,
            readers: None,
            timings_us: None,
        }
    }
}

/// What kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The folder is watched and the socket answers; always the first.
    Watching,
    /// A version was announced to every client that uses the plugin.
    Published,
    /// Somebody chose the version that is wanted current; `reason` says how, and who.
    Selected,
    /// An artifact was written again with the content of its newest version.
    Unchanged,
    /// A stage of the engine, named in `stage`, turned a file down; what served goes on serving.
    Rejected,
    /// A client turned a version down; what served there goes on serving.
    Refused,
    /// A client swapped the version in.
    Live,
    /// A reader of a client entered a frame or request on the version.
    Executing,
    /// No reader of a client is inside a frame or request on an older version.
    Drained,
    /// An artifact disappeared; `reason` says whether a version of it goes on.
    Absent,
    /// A client connected.
    ClientConnected,
    /// A client went away.
    ClientGone,
    /// Something hinders watching and is being worked around; `reason` says what and what to do.
    Warning,
    /// The engine ends.
    Stopping,
}

impl Kind {
    /// The word in JSON and in people's output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Watching => "watching",
            Self::Published => "published",
            Self::Selected => "selected",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::Live => "live",
            Self::Executing => "executing",
            Self::Drained => "drained",
            Self::Absent => "absent",
            Self::ClientConnected => "client_connected",
            Self::ClientGone => "client_gone",
            Self::Warning => "warning",
            Self::Stopping => "stopping",
        }
    }
}

/// A stage of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The file is not complete, or cannot be read.
    Settle,
    /// The copy could not be made.
    Stage,
    /// It is not signed by whom the configuration names.
    Signature,
    /// What the image declares does not fit.
    Inspect,
    /// It failed in the sacrificial process.
    Probe,
}

impl Stage {
    /// The word in JSON and in people's output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Settle => "settle",
            Self::Stage => "stage",
            Self::Signature => "signature",
            Self::Inspect => "inspect",
            Self::Probe => "probe",
        }
    }
}

/// Which client process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClientName {
    /// Its process id.
    pub pid: u32,
    /// Its program's name.
    pub program: String,
}

/// How many of a client's readers have entered a frame or request on a version since it became current there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Readers {
    /// Have entered.
    pub entered: u32,
    /// Of so many readers.
    pub of: u32,
}

/// How long each stage took, in whole microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timings {
    /// From the first hint of the change to the proof that the file is complete; includes waiting for its writer.
    pub settle: u64,
    /// Copying and hashing.
    pub stage: u64,
    /// Reading what it declares.
    pub inspect: u64,
    /// Trying it in a sacrificial process.
    pub probe: u64,
    /// From leaving the probe to the announcement.
    pub publish: u64,
    /// From the first hint to the announcement.
    pub total: u64,
}
