//! Compilers and targets, as they are compared and shown.

use std::fmt;

/// A compiler and a target. Layouts that a compiler decides are the same only between equal ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Toolchain {
    /// What `rustc -V` says, and the commit; empty if it is not known.
    pub rustc: String,
    /// The target triple; empty if it is not known.
    pub target: String,
}

impl Toolchain {
    /// Of this build.
    pub fn own() -> Self {
        Self {
            rustc: plugind_abi::RUSTC.to_owned(),
            target: plugind_abi::TARGET.to_owned(),
        }
    }

    /// Whether both are known and the same.
    pub fn agrees_with(&self, other: &Self) -> bool {
        !self.rustc.is_empty() && self == other
    }
}

/// Without the commit, which `rustc -V` begins.
impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.rustc.split(" commit ").next().unwrap_or_default();
        match (version, &*self.target) {
            ("", _) => f.write_str("an unknown compiler"),
            (version, "") => f.write_str(version),
            (version, target) => write!(f, "{version} for {target}"),
        }
    }
}
