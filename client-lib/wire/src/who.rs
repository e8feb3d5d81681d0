//! The document of `plugind who --json`: what every reader of every client executes, in the readers' own words.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Digest, VersionId};

/// What all clients of one engine execute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// By process id.
    pub clients: Vec<Client>,
}

/// One client process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its process id.
    pub pid: u32,
    /// Its program's name.
    pub program: String,
    /// What it said. Absent if it did not answer within a second: it is stopped, or opens a plugin.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub report: Option<Report>,
}

/// What one client executes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The version of each plugin that its readers enter from now on.
    pub current: Vec<Running>,
    /// Its readers, in the order in which they were made.
    pub readers: Vec<Reader>,
    /// It holds new versions back.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub paused: bool,
    /// Older versions that a reader may still be inside of.
    pub retired: Vec<VersionId>,
}

/// A version that is open in a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Which.
    pub version: VersionId,
    /// Its content.
    pub digest: Digest,
}

/// One reader: a thread's view of the plugins, or an instance of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reader {
    /// The thread that was seen with it last, as the system numbers threads.
    pub thread: u32,
    /// That thread's name, if it still runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// The plugin that it is an instance of; none for a reader of all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instance_of: Option<String>,
    /// Where it is; none if it is idle.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub inside: Option<Inside>,
}

/// A stay in a frame or request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// The version of each plugin there.
    pub versions: Vec<Running>,
    /// It has been inside since before this moment, when nobody could enter these versions any more. Absent while
    /// readers enter them: no reader looks at a clock.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since_before: Option<Timestamp>,
}

impl Reader {
    /// The version of a plugin that it executes.
    pub fn executes(&self, plugin: &str) -> Option<&Running> {
        let inside = self.inside.as_ref()?;
        let mut versions = inside.versions.iter();
        versions.find(|running| running.version.plugin == plugin)
    }
}
