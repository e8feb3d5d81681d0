//! What must hold of an image before it may be opened: a read-only file of this user, and in the part that the loader
//! maps the content that was announced. What comes behind that part may still be written.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::elf::{self, ElfError, Note};

/// Why an image is not opened.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The file cannot be read.
    #[error("the image cannot be read")]
    Unreadable(#[source] io::Error),
    /// It is a directory, a link or something else.
    #[error("the image is no regular file")]
    NotAFile,
    /// Somebody else owns it.
    #[error("the image belongs to user {owner}, and this program runs as user {user}")]
    Owner {
        /// Its owner.
        owner: u32,
        /// Who runs this program.
        user: u32,
    },
    /// Its mode lets somebody write it.
    #[error("the image has mode {mode:04o} and must be read-only")]
    Writable {
        /// Its mode.
        mode: u32,
    },
    /// Its content is not what was announced.
    #[error(
        "the image's content changed after it was staged (announced {announced}, found {found})"
    )]
    Content {
        /// BLAKE3, hexadecimal.
        announced: String,
        /// BLAKE3, hexadecimal.
        found: String,
    },
}

/// Device and inode, which identify an image in this process.
pub(crate) type Place = (u64, u64);

/// An image that may be looked into.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Which inode it is.
    pub(crate) place: Place,
    /// Where its notes are.
    pub(crate) start: Start,
}

/// As much of an image's beginning as usually holds the notes, and the way to the rest.
#[derive(Debug)]
pub(crate) struct Start {
    bytes: Vec<u8>,
    file: File,
    /// Where what is mapped ends.
    end: u64,
}

/// Linkers put notes right behind the headers.
const START: usize = 64 << 10;

impl Start {
    /// Of a file whose content was checked before.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let mut bytes = Vec::new();
        (&file).take(START as u64).read_to_end(&mut bytes)?;
        let end = file.metadata()?.len();
        Ok(Self { bytes, file, end })
    }

    /// The notes, and the image's byte order.
    pub(crate) fn notes(mut self) -> Result<(Vec<Note>, bool), ElfError> {
        match elf::read_notes(&self.bytes) {
            Err(ElfError::Truncated { .. }) if (self.bytes.len() as u64) < self.end => {
                let read = self.bytes.len() as u64;
                // What cannot be read is missed by the reader, which says so.
                let mut file = &self.file;
                let _ = file
                    .seek(SeekFrom::Start(read))
                    .and_then(|_| file.take(self.end - read).read_to_end(&mut self.bytes));
                elf::read_notes(&self.bytes)
            }
            read => read,
        }
    }
}

/// Checks owner, mode and the content of the mapped part.
pub(crate) fn check(path: &Path, mapped: u64, digest: &[u8; 32]) -> Result<Checked, CheckError> {
    let unreadable = |error: rustix::io::Errno| CheckError::Unreadable(error.into());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(unreadable)?);
    let found = file.metadata().map_err(CheckError::Unreadable)?;
    if !found.is_file() {
        return Err(CheckError::NotAFile);
    }
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        return Err(CheckError::Owner {
            owner: found.uid(),
            user,
        });
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o222 != 0 {
        return Err(CheckError::Writable { mode });
    }
    let (hash, start) = hash((&file).take(mapped)).map_err(CheckError::Unreadable)?;
    if hash.as_bytes() != digest {
        return Err(CheckError::Content {
            announced: blake3::Hash::from_bytes(*digest).to_hex().to_string(),
            found: hash.to_hex().to_string(),
        });
    }
    Ok(Checked {
        place: (found.dev(), found.ino()),
        start: Start {
            bytes: start,
            file,
            end: mapped,
        },
    })
}

/// Enough for BLAKE3 to use every lane of the vector unit, and little enough for the stack.
const PIECE: usize = 32 << 10;

/// Where it begins with a page, like what is read, some processors copy it several times as fast.
#[repr(align(4096))]
struct Piece([u8; PIECE]);

/// The hash, and the first bytes.
fn hash(mut file: impl Read) -> io::Result<(blake3::Hash, Vec<u8>)> {
    let mut start = Vec::new();
    let mut hasher = blake3::Hasher::new();
    let mut piece = Piece([0; PIECE]);
    loop {
        match file.read(&mut piece.0)? {
            0 => return Ok((hasher.finalize(), start)),
            n => {
                let wanted = (START - start.len()).min(n);
                start.extend_from_slice(&piece.0[..wanted]);
                hasher.update(&piece.0[..n]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_mapped_part_must_be_what_was_announced() {
        let path = std::env::temp_dir().join(format!("plugind-check-{}", std::process::id()));
        let digest = *blake3::hash(b"mapped").as_bytes();
        let check_with = |content: &[u8], mode| {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let checked = check(&path, 6, &digest);
            fs::remove_file(&path).unwrap();
            checked
        };
        assert!(check_with(b"mapped", 0o400).is_ok());
        assert!(check_with(b"mapped and the rest", 0o400).is_ok());
        for other in [&b"mapper and the rest"[..], b"mappe", b""] {
            let checked = check_with(other, 0o400);
            assert!(
                matches!(checked, Err(CheckError::Content { .. })),
                "{checked:?}"
            );
        }
        let checked = check_with(b"mapped", 0o600);
        assert!(matches!(checked, Err(CheckError::Writable { mode: 0o600 })));
    }
}
