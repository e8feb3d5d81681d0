//! Gives a finished artifact a path and an inode of its own.
//!
//! A copy, never a hard link: the loader tells images apart by inode and would hand back the old version. The copy is
//! made in a temporary directory, which gets its number and its final place by one rename; it is read-only.
//!
//! Most of a debug build is what debuggers and backtraces read, and writing it takes longer than all other stages
//! together. So the part that a loader maps is written first and goes on alone; the [`Rest`] is added to the same inode
//! once the version has its number, while it is examined and opened. No byte that anybody has mapped is ever touched again. (It is the
//! directory that is renamed because renaming a file waits for whoever writes it.)

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use plugind_loader::elf::{self, Elf, ElfError};
use plugind_wire::event::Stage;
use plugind_wire::message::Mapped;
use plugind_wire::{Digest, VersionId};
use tempfile::TempDir;

use crate::buffers::Buffers;
use crate::inspect::declared;
use crate::json_file::WriteError;
use crate::lanes;
use crate::needed;
use crate::rest::Rest;
use crate::settle::{Settled, Since};
use crate::signature::{SignatureError, Signers};
use crate::size_limit::{self, TooLarge};
use crate::state::State;

/// Why a finished artifact could not be staged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    #[error("cannot copy it into the store {}; make room there, or choose another one with --state-dir", store.display())]
    Copy { store: PathBuf, source: io::Error },
    #[error("cannot give it a number and a place in the store")]
    Number(#[from] WriteError),
    #[error(transparent)]
    TooLarge(io::Error),
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error("plugind panicked over it; please report this, with the file")]
    Panicked,
}

impl StageError {
    /// Whether the same file would be turned down again.
    pub(crate) fn is_of_the_file(&self) -> bool {
        matches!(self, Self::Signature(_) | Self::TooLarge(_))
    }

    /// The stage that it ends.
    pub(crate) fn stage(&self) -> Stage {
        match self {
            Self::Signature(_) => Stage::Signature,
            _ => Stage::Stage,
        }
    }
}

/// The image of a known version cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("its copy {} cannot be read; build it again", image.display())]
pub(crate) struct ReviveError {
    image: PathBuf,
    source: io::Error,
}

/// How many bytes may wait to be added to images: a burst of builds must not fill the memory.
const WAITING: usize = 256 << 20;

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
    rest: Option<Rest>,
    took: Duration,
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
    /// Content of the libraries beside it, by name.
    pub(crate) needed: BTreeMap<String, Digest>,
}

/// A version of this or an earlier run, read again from its image.
pub(crate) fn revive(known: Known) -> Result<Staged, ReviveError> {
    let now = Instant::now();
    let mut bytes = Vec::new();
    // The rest may not be there yet.
    let read = File::open(&known.image)
        .and_then(|image| image.take(known.mapped.bytes).read_to_end(&mut bytes));
    if let Err(source) = read {
        return Err(ReviveError {
            image: known.image,
            source,
        });
    }
    Ok(Staged {
        needed: known.needed,
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
    })
}

/// Copies the mapped part of a settled artifact, after proving that what was read is one state of it. The rest is left
/// for later, unless more than [`WAITING`] bytes wait already.
pub(crate) fn copy(
    settled: Settled,
    store: &Path,
    signers: &Signers,
    buffers: &Arc<Buffers>,
) -> Result<Copying, StageError> {
    let started = Instant::now();
    let failed = |source| StageError::Copy {
        store: store.to_owned(),
        source,
    };
    let mut content = buffers.take();
    size_limit::refuse(settled.identity.size())
        .and_then(|()| content.read(&settled.file, settled.identity.size()))
        .map_err(|error| match TooLarge::is_reason_of(&error) {
            true => StageError::TooLarge(error),
            false => failed(error),
        })?;
    let since = settled.since();
    if since != Since::Nothing {
        return Ok(Copying::Changed {
            heard: settled.heard,
            content: since == Since::Written,
        });
    }
    let elf = read(&settled.path, &content, signers, elf::read)?;
    let size = content.len() as u64;
    // What is no plugin is kept whole until inspect has said so.
    let end = elf.as_ref().map_or(size, |elf| elf.mapped_end.min(size));
    let first = usize::try_from(end).map_or(&content[..], |end| &content[..end]);
    let whole = buffers.held().saturating_add(content.len()) > WAITING;
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
    file.write_all(if whole { &content } else { first })
        .map_err(failed)?;
    file.set_permissions(Permissions::from_mode(0o400))
        .map_err(failed)?;
    let (mapped, digest) = (
        Mapped {
            bytes: end,
            digest: Digest::of(first),
        },
        Digest::of(&content),
    );
    let rest = (!whole && end < size).then(|| Rest::new(file, end, content));
    Ok(Copying::Done(Box::new(Copied {
        digest,
        mapped,
        size,
        elf,
        settled,
        temporary,
        image,
        rest,
        took: started.elapsed(),
    })))
}

/// Reads what was copied, once its signature has been found good, if it needs one.
fn read(
    artifact: &Path,
    content: &[u8],
    signers: &Signers,
    look: impl FnOnce(&[u8]) -> Result<Elf, ElfError>,
) -> Result<Result<Elf, ElfError>, SignatureError> {
    if signers.are_none() {
        return Ok(look(content));
    }
    let checked = signers.check(artifact, content)?;
    let elf = look(content);
    let says = elf.as_ref().ok().and_then(|elf| declared(elf).ok()?);
    let stem = artifact.file_name().and_then(lanes::stem);
    checked.suffices_for(says.map_or(stem.unwrap_or_default(), |says| says.plugin))?;
    Ok(elf)
}

impl Copied {
    /// The rest, the directory, and the copy below it.
    pub(crate) fn into_parts(self) -> (Option<Rest>, TempDir, PathBuf) {
        (self.rest, self.temporary, self.image)
    }
}

/// Gives a copy its number and its place; what is left of it is the rest.
pub(crate) fn place(
    copied: Copied,
    plugin: &str,
    state: &mut State,
) -> Result<(Staged, Option<Rest>), StageError> {
    let started = Instant::now();
    let (version, own) = state.next(plugin, &copied.digest, copied.temporary)?;
    let staged = Staged {
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
    };
    Ok((staged, copied.rest))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::signature::Signer;

    #[test]
    fn nobody_looks_into_what_must_be_signed_and_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        let key = Signer::try_from(key.to_owned()).unwrap();
        let all = Signers {
            general: Some(key.clone()),
            by_plugin: BTreeMap::new(),
        };
        let own = Signers {
            general: None,
            by_plugin: BTreeMap::from([("guarded".to_owned(), key)]),
        };
        let looked_into = |name: &str, signers: &Signers| {
            let mut looked = false;
            let read = read(&dir.path().join(name), b"no plugin", signers, |content| {
                looked = true;
                elf::read(content)
            });
            (looked, read.is_ok())
        };
        assert_eq!(looked_into("libany.so", &all), (false, false));
        assert_eq!(looked_into("libguarded.so", &own), (false, false));
        // Only its own note tells whether this one must be.
        assert_eq!(looked_into("libother.so", &own), (true, true));
        assert_eq!(looked_into("libany.so", &Signers::default()), (true, true));
    }
}
