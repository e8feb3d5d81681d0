//! What must hold of an image before it may be opened: a read-only file of this user, and in the part that the loader
//! maps the content that was announced. What comes behind that part may still be written.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

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

/// Checks owner, mode and the content of the mapped part, and tells which inode it looked at.
pub(crate) fn check(path: &Path, mapped: u64, digest: &[u8; 32]) -> Result<Place, CheckError> {
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
    let hash = hash(file.take(mapped)).map_err(CheckError::Unreadable)?;
    if hash.as_bytes() != digest {
        return Err(CheckError::Content {
            announced: blake3::Hash::from_bytes(*digest).to_hex().to_string(),
            found: hash.to_hex().to_string(),
        });
    }
    Ok((found.dev(), found.ino()))
}

fn hash(mut file: impl Read) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    // Large enough for BLAKE3 to use every lane of the vector unit.
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            n => hasher.update(&buffer[..n]),
        };
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
