//! Gives a finished artifact a path and an inode of its own.
//!
//! A copy, never a hard link: the loader tells images apart by inode and would hand back the old version. The copy is
//! made in a temporary directory, which gets its number and its final place by one rename; it is read-only.
//!
//! Most of a debug build is what debuggers and backtraces read, and writing it takes longer than all other stages
//! together. So the part that a loader maps is written first and goes on alone; the [`Rest`] is added to the same inode
//! while the version is examined and opened. No byte that anybody has mapped is ever touched again. (It is the
//! directory that is renamed because renaming a file waits for whoever writes it.)

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plugind_loader::elf::{self, Elf, ElfError};
use plugind_wire::message::Mapped;
use plugind_wire::{Digest, VersionId};
use tempfile::TempDir;

use crate::needed;
use crate::settle::{Settled, Since};
use crate::state::{State, WriteError};

/// Why a finished artifact could not be staged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    #[error("cannot copy it into the store {}; make room there, or choose another one with --state-dir", store.display())]
    Copy { store: PathBuf, source: io::Error },
    #[error("cannot give it a number and a place in the store")]
    Number(#[from] WriteError),
    #[error("plugind panicked over it; please report this, with the file")]
    Panicked,
}

/// A copy that has no number yet.
#[derive(Debug)]
pub(crate) struct Copied {
    /// What it is a copy of.
    pub(crate) settled: Settled,
    /// Its content.
    pub(crate) digest: Digest,
    /// What of it was written first.
    mapped: Mapped,
    /// How long it is when the rest is there.
    size: u64,
    /// What was read of it.
    pub(crate) elf: Result<Elf, ElfError>,
    temporary: TempDir,
    /// Below that directory.
    image: PathBuf,
    took: Duration,
}

/// What is to be added to a copy behind its mapped part.
#[derive(Debug)]
pub(crate) struct Rest {
    file: File,
    from: u64,
}

impl Rest {
    /// Adds it, from the bytes that were copied. In pieces, because whoever removes the file waits for the write.
    pub(crate) fn add(&self, bytes: &[u8]) -> io::Result<()> {
        const PIECE: usize = 256 << 10;
        let rest = usize::try_from(self.from).map_or(&[][..], |from| &bytes[from..]);
        let starts = (self.from..).step_by(PIECE);
        rest.chunks(PIECE)
            .zip(starts)
            .try_for_each(|(piece, at)| self.file.write_all_at(piece, at))
    }
}

/// What became of a copy.
#[derive(Debug)]
pub(crate) enum Copying {
    /// It is a copy of one state of the artifact.
    Done(Box<Copied>),
    /// The artifact changed meanwhile; the copy is gone.
    Changed {
        /// When the change that was being copied was first heard of.
        heard: Instant,
        /// Not only mode, owner or link count.
        content: bool,
    },
}

/// A version: a copy with a number, a place and an inode of its own.
#[derive(Debug)]
pub(crate) struct Staged {
    /// Content of the libraries beside it, by name; known once they are linked.
    pub(crate) needed: BTreeMap<String, Digest>,
    /// The version's own directory.
    pub(crate) own: PathBuf,
    /// Which.
    pub(crate) version: VersionId,
    /// Its content.
    pub(crate) digest: Digest,
    /// The part of it that a loader maps.
    pub(crate) mapped: Mapped,
    /// Its length; the file may still grow to it.
    pub(crate) size: u64,
    /// What was read of it.
    pub(crate) elf: Result<Elf, ElfError>,
    /// The copy.
    pub(crate) image: PathBuf,
    /// The artifact.
    pub(crate) artifact: PathBuf,
    /// When the change was first heard of.
    pub(crate) heard: Instant,
    /// How long settling took.
    pub(crate) settle: Duration,
    /// How long copying took.
    pub(crate) stage: Duration,
}

/// What there is to know of a version without reading it.
#[derive(Debug)]
pub(crate) struct Known {
    /// Which.
    pub(crate) version: VersionId,
    /// Its content.
    pub(crate) digest: Digest,
    /// The part of it that a loader maps.
    pub(crate) mapped: Mapped,
    /// Its length.
    pub(crate) size: u64,
    /// The image in the store.
    pub(crate) image: PathBuf,
    /// What it is a copy of.
    pub(crate) artifact: PathBuf,
}

/// A version of this or an earlier run, read again from its image.
pub(crate) fn revive(known: Known) -> Staged {
    let now = Instant::now();
    let mut bytes = Vec::new();
    // The rest may not be there yet. An image that cannot be read gives no bytes, and inspect says that they are no
    // plugin.
    let _ = File::open(&known.image)
        .and_then(|image| image.take(known.mapped.bytes).read_to_end(&mut bytes));
    Staged {
        needed: BTreeMap::new(),
        own: PathBuf::new(),
        version: known.version,
        digest: known.digest,
        mapped: known.mapped,
        size: known.size,
        elf: elf::read_mapped(&bytes),
        image: known.image,
        artifact: known.artifact,
        heard: now,
        settle: Duration::ZERO,
        stage: Duration::ZERO,
    }
}

/// Copies the mapped part of a settled artifact, after proving that what was read is one state of it.
///
/// `bytes` holds the content then, for the rest. Memory that was used before costs no page faults, which for a file of
/// some megabytes take longer than everything else here.
pub(crate) fn copy(
    settled: Settled,
    store: &Path,
    bytes: &mut Vec<u8>,
) -> Result<(Copying, Option<Rest>), StageError> {
    let started = Instant::now();
    let failed = |source| StageError::Copy {
        store: store.to_owned(),
        source,
    };
    bytes.clear();
    (&settled.file).read_to_end(bytes).map_err(failed)?;
    let since = settled.since();
    if since != Since::Nothing {
        let changed = Copying::Changed {
            heard: settled.heard,
            content: since == Since::Written,
        };
        return Ok((changed, None));
    }
    let elf = elf::read(bytes);
    let size = bytes.len() as u64;
    // What is no plugin is kept whole until inspect has said so.
    let end = elf.as_ref().map_or(size, |elf| elf.mapped_end.min(size));
    let first = usize::try_from(end).map_or(&bytes[..], |end| &bytes[..end]);
    // Somebody may have removed the store to free its space.
    fs::create_dir_all(store).map_err(failed)?;
    let temporary = tempfile::Builder::new()
        .prefix("tmp")
        .tempdir_in(store)
        .map_err(failed)?;
    let search_paths = elf.as_ref().map_or(&[][..], |elf| &elf.search_paths);
    let room = needed::room(search_paths);
    let image = room.join(settled.path.file_name().unwrap_or("plugin.so".as_ref()));
    fs::create_dir_all(temporary.path().join(room)).map_err(failed)?;
    let mut file = File::create_new(temporary.path().join(&image)).map_err(failed)?;
    file.write_all(first).map_err(failed)?;
    file.set_permissions(Permissions::from_mode(0o400))
        .map_err(failed)?;
    let mapped = Mapped {
        bytes: end,
        digest: Digest::of(first),
    };
    let copied = Copied {
        digest: Digest::of(bytes),
        mapped,
        size,
        elf,
        settled,
        temporary,
        image,
        took: started.elapsed(),
    };
    let rest = (end < size).then_some(Rest { file, from: end });
    Ok((Copying::Done(Box::new(copied)), rest))
}

impl Copied {
    /// Takes the place of an image of the same content that lacks its rest.
    pub(crate) fn mend(self, image: &Path) -> io::Result<()> {
        fs::rename(self.temporary.path().join(self.image), image)
    }
}

/// Gives a copy its number and its place.
pub(crate) fn place(copied: Copied, plugin: &str, state: &mut State) -> Result<Staged, StageError> {
    let started = Instant::now();
    let (version, own) = state.next(plugin, &copied.digest, copied.temporary)?;
    Ok(Staged {
        needed: BTreeMap::new(),
        version,
        digest: copied.digest,
        mapped: copied.mapped,
        size: copied.size,
        elf: copied.elf,
        image: own.join(copied.image),
        own,
        artifact: copied.settled.path,
        heard: copied.settled.heard,
        settle: copied.settled.took,
        stage: copied.took + started.elapsed(),
    })
}
