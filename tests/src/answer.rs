//! One line of `plugind call --json`, and of the suites' own `embedded-host`.

use plugind_wire::Digest;
use serde::{Deserialize, Serialize};

/// What a called function returned, and which version returned it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The schema of the line.
    pub schema: u32,
    /// What the function returned.
    pub result: i64,
    /// The plugin's name.
    pub plugin: String,
    /// The version's number.
    pub version: u64,
    /// The content of the version's image.
    pub digest: Digest,
}
