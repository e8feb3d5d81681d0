//! plugind's engine: watches a folder that builds write to, and tells its clients of every finished version.
//!
//! ```text
//! watch -> settle -> stage -> inspect -> probe -> publish ==socket==> client
//! ```
//!
//! A module is a stage, and what leaves it is the type that the next one takes, so that no stage can be left out:
//! a hint becomes a `Settled` file, a `Staged` version, then `Inspected`, then `Probed`. Every stage may end the way
//! with a reason, which is announced and listed while the older version goes on serving.
//!
//! One thread owns the books ([`Engine`]'s); it looks at files (microseconds) and never copies, parses or waits for a
//! client. Worker threads copy and examine; each connection has two threads of its own.
#![deny(unsafe_code)]

mod buffers;
mod built_last;
mod catalogue;
mod choice;
mod clients;
mod complete;
mod config;
mod declares;
mod diff;
mod differences;
mod engine;
mod events;
mod expectation;
mod file_limit;
mod forget;
mod group;
mod history;
mod identity;
mod inspect;
mod json_file;
mod lanes;
mod lease;
mod mend;
mod needed;
mod opening;
mod options;
mod outcome;
mod pid_lock;
mod probe;
mod publish;
mod quarantine;
mod rejected;
mod require;
mod rest;
mod retry;
mod rights;
mod scanned;
mod seen;
mod server;
mod settings;
mod settle;
mod signature;
mod size_limit;
mod socket_lock;
mod stage;
mod start;
mod state;
mod track;
mod tracked;
mod truncation;
mod trust;
mod turns;
mod versions;
mod watch;
mod who;
mod workers;

pub use config::ConfigError;
pub use inspect::inspect_file;
pub use options::{Options, ProbeChoice, ProbeOptions};
pub use probe::{abandon_probe, probe_entry, probe_file};
pub use rights::User;
pub use size_limit::TooLarge;
pub use start::{Engine, Panicked, StartError, Stopper};
