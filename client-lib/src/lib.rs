//! What a program depends on that follows plugins while it runs.
//!
//! ```no_run
//! use plugind_client::{Client, Symbol};
//!
//! type Answer = unsafe extern "C" fn() -> i64;
//!
//! # fn main() -> Result<(), plugind_client::ClientError> {
//! let client = Client::watch("./target")?;
//! let hello = client.plugin("hello")?;
//! let mut reader = client.reader();
//! loop {
//!     let frame = reader.enter();
//!     let table = frame.table(&hello);
//!     // SAFETY: every version of `hello` registers `answer` with this signature.
//!     let answer: Symbol<Answer> = unsafe { table.lookup(c"answer") }?;
//!     // SAFETY: as above.
//!     println!("{} says {}", table.version(), unsafe { answer() });
//! #   break;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The client opens every new version beside the old ones, on a thread of its own, and swaps one immutable snapshot of
//! all symbol tables. A [`Reader`] sees one snapshot from [`Reader::enter`] until its [`Frame`] is dropped: one
//! version of every plugin. Nothing is ever closed, so nothing a program still holds ever dangles.
//!
//! The engine that watches the build runs in a daemon (`plugind watch`) or, where none serves the folder, on threads
//! of this process; see [`Client::watch`]. Most programs share a contract with their plugins and need no `unsafe`:
//! [`docs::contracts`]. How it works is in [`docs::architecture`], what a call costs in [`docs::performance`], and where
//! it ends in [`docs::limits`].
#![forbid(unsafe_code)]

mod builder;
mod client;
mod commands;
pub mod docs;
mod error;
mod event;
mod first;
mod follow;
mod followed;
mod handle;
mod instance;
mod link;
mod linked;
mod loader;
mod logs;
mod lost;
mod missing;
mod plugin;
mod probe;
mod progress;
mod reader;
mod recorded;
mod report;
mod request;
mod require;
mod snapshot;
mod swap;
mod view;
mod wait;

pub use builder::Builder;
pub use client::Client;
pub use error::ClientError;
pub use event::{ClientEvent, Events};
pub use follow::{Change, Follow};
pub use handle::{At, Handle};
pub use instance::{InSync, Instance, Outcome};
pub use plugin::Plugin;
#[doc(hidden)]
pub use plugind_loader::__registry;
pub use plugind_loader::{
    BindError, Contract, Fault, Image, Inscription, LookupError, OpenError, Registrations,
    Registry, Symbol, Table, report_fatal_signals,
};
pub use plugind_wire::difference::Diff;
pub use plugind_wire::event::Stage;
pub use plugind_wire::history;
#[cfg(feature = "embedded")]
pub use plugind_wire::probe::Confinement;
pub use plugind_wire::status::{Mode, Status};
pub use plugind_wire::who::Who;
pub use plugind_wire::{Digest, VersionId, sentence};
pub use probe::probe_entry;
pub use reader::{Frame, Reader};
pub use recorded::Recorded;
pub use snapshot::SymbolTable;
pub use view::{Stays, View};
pub use wait::{Reached, Until, Wait};

/// The README's program compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
