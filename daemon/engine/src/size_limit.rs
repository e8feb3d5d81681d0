//! How large a file may be. It is read into memory whole, because what is copied, hashed and read must be one state of it.

use std::fs::File;
use std::io::{self, Read};

/// Above this no plugin is read. The largest debug builds have some hundred megabytes.
const LARGEST: u64 = 1 << 30;

/// A file is larger than anything that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it has {size} bytes, and plugind reads files of up to {LARGEST}; leave debug information out of it (`strip`, or \
     `split-debuginfo` in the profile)"
)]
pub struct TooLarge {
    size: u64,
}

impl TooLarge {
    /// Whether this is why a file was not read.
    pub fn is_reason_of(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

/// An error for a file of so many bytes, if nobody reads it.
pub(crate) fn refuse(size: u64) -> io::Result<()> {
    match size {
        size if size > LARGEST => Err(io::Error::other(TooLarge { size })),
        _ => Ok(()),
    }
}

/// Adds all of a file to `content`, which is worth nothing after an error. A file that grows meanwhile costs no more.
pub(crate) fn read(file: &File, content: &mut Vec<u8>) -> io::Result<()> {
    refuse(file.metadata()?.len())?;
    let read = file.take(LARGEST + 1).read_to_end(content)?;
    refuse(read as u64)
}
