//! What tells one state of a file from another.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What tells one state of a file from another. It proves a change, never sameness of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    dev: u64,
    ino: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    pub(crate) fn of(found: &Metadata) -> Self {
        Self {
            dev: found.dev(),
            ino: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// What is under a name now.
    pub(crate) fn now(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::of)
    }

    /// In bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The same file, whatever is in it.
    pub(crate) fn same_inode(&self, other: &Self) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }

    /// Whether a write after this state could have left the same times: file systems with coarse clocks give one time
    /// to everything that happens within a tick, 10 ms at most.
    pub(crate) fn may_hide_a_write(&self) -> bool {
        let (seconds, nanos) = self.changed.max(self.modified);
        let changed = Duration::new(
            u64::try_from(seconds).unwrap_or(0),
            u32::try_from(nanos).unwrap_or(0),
        );
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        now.saturating_sub(changed) < Duration::from_millis(50)
    }

    /// Equal but for the time of the last change of mode, owner or link count.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        let without_change = |id: &Self| (id.dev, id.ino, id.size, id.modified);
        without_change(self) == without_change(other)
    }
}
