//! The contract that both sides of a plugin boundary compile.
//!
//! A plugin says who it is twice. Its **note** ([`note`]) lies in the file and is read before any of the plugin has
//! run; its **registration** ([`registration`]) is a static node that the plugin's constructor pushes onto a list
//! inside the plugin, and is read through one exported entry after the plugin was opened.
//!
//! Everything here is `repr(C)`, starts with a version, and has no dependencies, so that two builds which never saw
//! each other's toolchain can still find out that they do not fit.

pub mod boundary;
pub mod contract;
pub mod describe;
pub mod fingerprint;
mod hook;
pub mod host;
pub mod log;
pub mod note;
pub mod registration;
pub mod stable;

/// The compiler of this build: what `rustc -V` says, and the commit.
pub const RUSTC: &str = env!("PLUGIND_RUSTC");
/// The target of this build.
pub const TARGET: &str = env!("PLUGIND_TARGET");
/// Both: types whose layout a compiler decides cross only between equal ones.
pub const TOOLCHAIN: &str = concat!(env!("PLUGIND_RUSTC"), " ", env!("PLUGIND_TARGET"));
