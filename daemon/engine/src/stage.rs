//! Gives a finished artifact a path and an inode of its own.
//!
//! A copy, never a hard link: the loader tells images apart by inode and would hand back the old version. The copy is
//! made under a temporary name, hashed on the way, and only then gets its number and its final place; it is read-only
//! and is never touched again while anyone maps it.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plugind_loader::elf::{self, Elf, ElfError};
use plugind_wire::{Digest, VersionId};
use tempfile::TempPath;

use crate::needed;
use crate::settle::{Settled, Since};
use crate::state::{State, WriteError};

/// Why a finished artifact could not be staged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    #[error("cannot copy it into the store {}; make room there, or choose another one with --state-dir", store.display())]
    Copy { store: PathBuf, source: io::Error },
    #[error("cannot give it a number")]
    Number(#[from] WriteError),
    #[error("cannot put it into the store at {}", path.display())]
    Place { path: PathBuf, source: io::Error },
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
    /// What was read of it.
    pub(crate) elf: Result<Elf, ElfError>,
    temporary: TempPath,
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

/// A version of this or an earlier run, read again from its image.
pub(crate) fn revive(
    version: VersionId,
    digest: Digest,
    image: PathBuf,
    artifact: PathBuf,
) -> Staged {
    let now = Instant::now();
    // An image that cannot be read gives no bytes, and inspect says that they are no plugin.
    let bytes = fs::read(&image).unwrap_or_default();
    Staged {
        needed: BTreeMap::new(),
        own: PathBuf::new(),
        version,
        digest,
        elf: elf::read(&bytes),
        image,
        artifact,
        heard: now,
        settle: Duration::ZERO,
        stage: Duration::ZERO,
    }
}

/// Copies and hashes a settled artifact, and proves afterwards that it was one state of it.
///
/// `bytes` holds the content meanwhile. Memory that was used before costs no page faults, which for a file of some
/// megabytes take longer than everything else here.
pub(crate) fn copy(
    settled: Settled,
    store: &Path,
    bytes: &mut Vec<u8>,
) -> Result<Copying, StageError> {
    let started = Instant::now();
    let failed = |source| StageError::Copy {
        store: store.to_owned(),
        source,
    };
    bytes.clear();
    (&settled.file).read_to_end(bytes).map_err(failed)?;
    // Somebody may have removed the store to free its space.
    fs::create_dir_all(store).map_err(failed)?;
    let mut temporary = tempfile::Builder::new()
        .prefix("tmp")
        .tempfile_in(store)
        .map_err(failed)?;
    temporary.write_all(bytes).map_err(failed)?;
    temporary
        .as_file()
        .set_permissions(Permissions::from_mode(0o400))
        .map_err(failed)?;
    // The descriptor that wrote it is closed here; nobody can write the image any more.
    let temporary = temporary.into_temp_path();
    let since = settled.since();
    if since != Since::Nothing {
        return Ok(Copying::Changed {
            heard: settled.heard,
            content: since == Since::Written,
        });
    }
    Ok(Copying::Done(Box::new(Copied {
        digest: Digest::of(bytes),
        elf: elf::read(bytes),
        settled,
        temporary,
        took: started.elapsed(),
    })))
}

/// Gives a copy its number, its directory and what it needs beside it.
pub(crate) fn place(
    copied: Copied,
    plugin: &str,
    state: &mut State,
) -> Result<Staged, (Option<VersionId>, StageError)> {
    let version = state.next(plugin).map_err(|error| (None, error.into()))?;
    let (started, digest) = (Instant::now(), copied.digest);
    match place_as(copied, &version, state) {
        Ok(mut staged) => {
            staged.stage += started.elapsed();
            Ok(staged)
        }
        Err(error) => {
            // What was made of it so far is nobody's.
            let _ = fs::remove_dir_all(state.version_dir(&version, &digest));
            Err((Some(version), error))
        }
    }
}

fn place_as(copied: Copied, version: &VersionId, state: &State) -> Result<Staged, StageError> {
    let Copied {
        settled,
        digest,
        elf,
        temporary,
        took,
        ..
    } = copied;
    let own = state.version_dir(version, &digest);
    let failed = |source| StageError::Place {
        path: own.clone(),
        source,
    };
    fs::create_dir_all(own.parent().unwrap_or(&own)).map_err(failed)?;
    fs::create_dir(&own).map_err(failed)?;
    let search_paths = elf.as_ref().map_or(&[][..], |elf| &elf.search_paths);
    let dir = own.join(needed::room(search_paths));
    fs::create_dir_all(&dir).map_err(failed)?;
    let image = dir.join(settled.path.file_name().unwrap_or("plugin.so".as_ref()));
    temporary
        .persist(&image)
        .map_err(|error| failed(error.error))?;
    Ok(Staged {
        needed: BTreeMap::new(),
        own,
        version: version.clone(),
        digest,
        elf,
        image,
        artifact: settled.path,
        heard: settled.heard,
        settle: settled.took,
        stage: took,
    })
}
