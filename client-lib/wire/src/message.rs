//! The messages, in the order in which a conversation sees them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::choice::Choose;
use crate::difference::Diff;
use crate::event::{Event, Readers, Stage};
use crate::history::Entry;
use crate::status::{Mode, Status};
use crate::who::{Report, Who};
use crate::{Bytes, Digest, VersionId};

/// The first line of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientHello {
    /// [`crate::PROTOCOL`], read before anything else.
    pub protocol: u32,
    /// The plugind release the client was built with.
    pub release: String,
    /// The client's process id.
    pub pid: u32,
    /// The client's program, as people know it.
    pub program: String,
    /// The client's executable; if it lies in the watched folder, its lane is the client's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub executable: Option<PathBuf>,
    /// True for a client that opens plugins; a command that only asks is not listed.
    pub opens: bool,
}

/// The first line of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineHello {
    /// [`crate::PROTOCOL`], read before anything else.
    pub protocol: u32,
    /// The plugind release the engine was built with.
    pub release: String,
    /// The engine's process id.
    pub pid: u32,
    /// Daemon or embedded.
    pub mode: Mode,
    /// The watched folder.
    pub folder: PathBuf,
    /// The random id of the state directory: numbers compare only within one.
    pub state: String,
    /// Why the client is not served; then nothing follows, and folder and state are not told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<String>,
}

/// What a client says after its hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToEngine {
    /// Follows a plugin by name: the engine answers [`ToClient::Following`], then announces the lane's version when
    /// there is one, and every later one.
    Follow {
        /// The plugin's name.
        plugin: String,
        /// The lane the client keeps from an earlier connection; absent lets the engine choose.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        lane: Option<String>,
        /// The version the client runs already, after a reconnect.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        running: Option<Running>,
        /// The contracts that every version must fit; in the place of those that were told before.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        requires: Vec<Required>,
    },
    /// One contract more that every version of a plugin must fit.
    Require {
        /// The plugin's name.
        plugin: String,
        /// The contract.
        requires: Required,
    },
    /// Follows a plugin no more.
    Unfollow {
        /// The plugin's name.
        plugin: String,
    },
    /// Asks which plugins implement a contract; the answers are [`ToClient::Implementing`], now and whenever there are
    /// more.
    FollowContract {
        /// The contract's name.
        contract: String,
        /// The contract: a plugin that implements it must fit it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        requires: Option<Required>,
    },
    /// Asks for one version by number; the answer is a [`Reply::Version`].
    Version {
        /// Comes back in the reply.
        request: u64,
        /// Which.
        version: VersionId,
    },
    /// Asks the engine to stage a file; the answer is a [`Reply::Version`].
    Open {
        /// Comes back in the reply.
        request: u64,
        /// The file, absolute.
        path: PathBuf,
    },
    /// Has the rejected builds of a plugin tried again, whatever is remembered of them; the answer, once the newest has
    /// been, is a [`Reply::Version`].
    Retry {
        /// Comes back in the reply.
        request: u64,
        /// The plugin's name.
        plugin: String,
    },
    /// Chooses the version of a plugin that is wanted current; the answer is a [`Reply::Version`] with the one that is.
    Choose {
        /// Comes back in the reply.
        request: u64,
        /// The plugin's name.
        plugin: String,
        /// What.
        choose: Choose,
    },
    /// Makes the engine hold every build back, or stop to; the answer is a [`Reply::Done`].
    Pause {
        /// Comes back in the reply.
        request: u64,
        /// Hold them back.
        pause: bool,
    },
    /// Asks what changed between two versions of a plugin; the answer is a [`Reply::Diff`].
    Diff {
        /// Comes back in the reply.
        request: u64,
        /// The plugin's name.
        plugin: String,
        /// The number of the first.
        expected: u64,
        /// The number of the other.
        found: u64,
    },
    /// Tells what the client did with a version.
    Acknowledge {
        /// Which.
        version: VersionId,
        /// Its content, as it was announced; the client has found the mapped part to be what was announced with it.
        digest: Digest,
        /// What happened.
        what: Acknowledged,
    },
    /// Asks for the status; the answer is a [`Reply::Status`].
    Status {
        /// Comes back in the reply.
        request: u64,
    },
    /// Asks what became of every version; the answer is a [`Reply::History`].
    History {
        /// Comes back in the reply.
        request: u64,
        /// Only of this plugin.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        plugin: Option<String>,
        /// Only the newest so many.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        last: Option<u64>,
        /// And each later one, as [`ToClient::Recorded`].
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        follow: bool,
    },
    /// Has the engine look at every file that may be a build of a plugin. The answer, a [`Reply::Done`], comes when it
    /// has decided what becomes of what it found.
    Scan {
        /// Comes back in the reply.
        request: u64,
        /// The plugin's name.
        plugin: String,
    },
    /// Asks what all clients execute; the answer is a [`Reply::Who`].
    Who {
        /// Comes back in the reply.
        request: u64,
    },
    /// The answer to [`ToClient::Report`].
    Report {
        /// What this client executes.
        report: Report,
    },
    /// Asks for every event from now on, as [`ToClient::Event`].
    Subscribe,
    /// Asks the daemon to end; the answer is a [`Reply::Done`].
    Stop {
        /// Comes back in the reply.
        request: u64,
    },
}

/// A contract as a program has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Required {
    /// Its description, as in the note of a plugin that implements it.
    pub description: Bytes,
    /// The compiler that built the program.
    pub rustc: String,
    /// The program's target.
    pub target: String,
}

/// A version that a client has current.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The state directory's id under which the number was given.
    pub state: String,
    /// Its number.
    pub number: u64,
    /// Its content.
    pub digest: Digest,
}

/// What a client did with a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Acknowledged {
    /// Swapped in.
    Live {
        /// How long the system's loader took to open it, its constructors included, in microseconds. Absent for a
        /// version that no loader opened.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        opened_us: Option<u64>,
    },
    /// So many of the client's readers have entered a frame or request on it.
    Executing {
        /// How many of how many.
        readers: Readers,
    },
    /// No reader is inside a frame or request on an older version.
    Drained,
    /// Turned down; what served goes on serving.
    Refused {
        /// Why.
        reason: String,
    },
}

/// A version that was turned down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Which.
    pub version: VersionId,
    /// The stage that turned it down.
    pub stage: Stage,
    /// Why.
    pub reason: String,
    /// True if an older version is there, announced or on its way.
    pub has_older: bool,
    /// True if it does not fit what this or another program requires.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub misfit: bool,
    /// The contracts that it says it implements.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub contracts: Vec<String>,
}

/// What an engine says after its hello.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToClient {
    /// The plugin is followed in this lane. Without a lane nothing of that name has been built yet; the answer comes
    /// again when it has.
    Following {
        /// The plugin's name.
        plugin: String,
        /// The lane.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        lane: Option<String>,
        /// The newest version, which fitted nobody who was there, and which is examined again, under a new number, for
        /// this client. Until that is decided older ones are no last word.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reconsidering: Option<u64>,
    },
    /// Plugins that implement a contract, besides those that were named before.
    Implementing {
        /// The contract's name.
        contract: String,
        /// The plugins' names.
        plugins: Vec<String>,
    },
    /// Versions to swap in together.
    Announce {
        /// The batch.
        versions: Vec<Announcement>,
    },
    /// A version was turned down before anybody could open it; what was announced before goes on.
    Rejected(Rejection),
    /// What is built is this version again, after one that was turned down.
    Unchanged {
        /// Which.
        version: VersionId,
    },
    /// The answer to a request.
    Reply {
        /// Of the request.
        request: u64,
        /// What.
        reply: Reply,
    },
    /// Asks what the client executes, for a [`ToEngine::Report`].
    Report,
    /// One event, after [`ToEngine::Subscribe`].
    Event {
        /// What happened.
        event: Box<Event>,
    },
    /// An outcome that is not in the [`Reply::History`] of the same request, which may come after it.
    Recorded {
        /// Of the request.
        request: u64,
        /// Which.
        entry: Box<Entry>,
    },
    /// The engine ends.
    Goodbye {
        /// Why.
        reason: String,
    },
}

/// One version, ready to be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Which.
    pub version: VersionId,
    /// Its content.
    pub digest: Digest,
    /// The part of the image that a loader maps; a client hashes it before it opens the image.
    pub mapped: Mapped,
    /// The lane it came from; absent for a file that was opened by path.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lane: Option<String>,
    /// The plugin's semantic version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub semver: Option<String>,
    /// True for an image without a plugind note.
    pub raw: bool,
    /// The file to open. What comes behind the mapped part may still be on its way into it.
    pub image: PathBuf,
    /// The members of the group in which the plugin changes: all that are announced together are swapped in, or none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub group: Vec<String>,
}

/// The first bytes of an image: all that is read or mapped when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapped {
    /// How many.
    pub bytes: u64,
    /// Their content.
    pub digest: Digest,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Reply {
    /// A version to open.
    Version {
        /// Which, and where.
        announcement: Announcement,
    },
    /// The status.
    Status {
        /// All of it.
        status: Box<Status>,
    },
    /// What changed between two versions.
    Diff {
        /// All of it.
        diff: Box<Diff>,
    },
    /// What became of versions.
    History {
        /// Oldest first.
        entries: Vec<Entry>,
    },
    /// What all clients execute.
    Who {
        /// All of it.
        who: Who,
    },
    /// It was done.
    Done,
    /// It was not done.
    Failed {
        /// What kind of failure.
        failure: Failure,
        /// Why, in a sentence that says what to do.
        reason: String,
    },
}

/// Kinds of failure that a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No plugin or version of that name or number.
    Unknown,
    /// A stage turned it down.
    Rejected,
    /// A version is pinned.
    Held,
    /// The engine does not do this.
    Unsupported,
}
