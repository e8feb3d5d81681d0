//! Opens plugin images for good, and reads what they declare and what they registered.
//!
//! Whoever opens a plugin, a client or a sacrificial process, goes through [`open`]: the file is checked, opened with
//! every symbol bound and none shared, never closed, and the registrations that its constructors made are collected.
//!
//! This is the crate where `unsafe` about plugins lives. Its safe functions rely on one thing that no program can
//! check: that the plugin's own code follows the rules of the language it was written in.

mod barrier;
mod bind;
mod check;
mod contradiction;
pub mod elf;
mod fatal;
mod instance;
mod linked;
mod log;
pub mod manifest;
mod near;
mod open;
mod register;
pub mod sacrifice;
mod symbol;
mod thread;

pub use barrier::Barrier;
pub use bind::BindError;
pub use check::CheckError;
pub use contradiction::Contradiction;
pub use fatal::{Inscription, report_fatal_signals};
pub use instance::{Carried, Kept, stateless};
pub use linked::linked;
pub use log::{LogRecord, LogSink};
pub use near::near;
pub use open::{Image, NotesError, OpenError, open};
pub use plugind_abi::boundary::{Fault, hear_lost};
pub use plugind_abi::contract::{Contract, Table};
pub use plugind_abi::log::Level as LogLevel;
pub use plugind_abi::registration::Registry;
pub use register::{RegistrationError, Registrations};
pub use symbol::{LookupError, Symbol};
pub use thread::{this_thread, thread_name};
