//! What a rejection was about. The same is not looked at again; whatever of it changes may be what was asked for.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::identity::Identity;
use crate::signature::beside;

/// What decides whether an artifact is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The file, its mode and owner among it.
    pub(crate) file: Option<Identity>,
    /// Who may put another in its place: its directory's owner and mode.
    pub(crate) folder: Option<(u32, u32)>,
    /// The signature beside it.
    pub(crate) signature: Option<Identity>,
}

impl Seen {
    /// As it is now.
    pub(crate) fn now(path: &Path) -> Self {
        let folder = path.parent().and_then(|dir| fs::metadata(dir).ok());
        Self {
            file: Identity::now(path),
            folder: folder.map(|found| (found.uid(), found.mode())),
            signature: Identity::now(&beside(path)),
        }
    }
}
