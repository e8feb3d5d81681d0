//! What plugind's engine and its clients say to each other, and where they meet.
//!
//! One JSON object per line over a Unix stream socket. The first line of each side is a hello that starts with the
//! protocol's version; unknown fields are ignored, so that a side may learn new ones. The types of [`event`],
//! [`history`] and [`status`] are also what `plugind --json` prints: one set of words for sockets, scripts and the library.
#![forbid(unsafe_code)]

mod bytes;
pub mod choice;
pub mod contract;
pub mod difference;
pub mod event;
pub mod framing;
pub mod history;
pub mod manifest;
pub mod message;
pub mod place;
pub mod probe;
mod sentence;
pub mod status;
mod version;
pub mod who;

pub use bytes::Bytes;
pub use sentence::sentence;
pub use version::{Digest, DigestError, VersionId};

/// The protocol that this crate speaks. Two sides with different numbers part with a sentence that names both.
pub const PROTOCOL: u32 = 5;

/// The `schema` number of every JSON document; it changes when a field changes its meaning or goes away.
pub const SCHEMA: u32 = 1;
