//! Opens an image, once per process and for good.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use plugind_abi::log::Attach;

use crate::check::{CheckError, Checked, Place, Start, check};
use crate::elf::ElfError;
use crate::fatal;
use crate::manifest::{Contract, Manifest, Misfit, ReadError, Toolchain, Unfit, fits_here};
use crate::register::{RegistrationError, Registrations, collect};

/// An open image. It stays mapped until the process ends, so what is looked up in it never dangles.
#[derive(Debug)]
pub struct Image {
    pub(crate) path: PathBuf,
    /// None for a plugin that is linked into the program.
    pub(crate) library: Option<Library>,
    pub(crate) registrations: Option<Registrations>,
    pub(crate) exports: OnceLock<Vec<String>>,
    /// Takes in a sink for the plugin's log records.
    pub(crate) attach: Option<Attach>,
    pub(crate) logs: OnceLock<()>,
    /// None for a plugin that is linked into the program.
    pub(crate) opened: Option<Duration>,
}

impl Image {
    /// The file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long the system's loader took to open it in this process: mapping, relocation, and its constructors. None
    /// for a plugin that is linked into the program.
    pub fn opened(&self) -> Option<Duration> {
        self.opened
    }

    /// What its notes declare; nothing for a raw plugin and for one that is linked in. The file is read again: few ask,
    /// and a version that is kept for good should hold little.
    ///
    /// # Errors
    ///
    /// [`NotesError`] if the file is gone or another.
    pub fn manifest(&self) -> Result<Option<Manifest>, NotesError> {
        if self.library.is_none() {
            return Ok(None);
        }
        let (notes, little_endian) = Start::of(&self.path)?.notes()?;
        Ok(Manifest::read(&notes, little_endian)?)
    }

    /// What the plugin registered; `None` for a raw plugin.
    pub fn registrations(&self) -> Option<&Registrations> {
        self.registrations.as_ref()
    }
}

/// Why an image was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is not what was announced.
    #[error("cannot open {}", path.display())]
    Check {
        /// The image.
        path: PathBuf,
        /// Why.
        source: CheckError,
    },
    /// Its notes cannot be read.
    #[error("cannot read what {} declares", path.display())]
    Notes {
        /// The image.
        path: PathBuf,
        /// Why.
        source: NotesError,
    },
    /// It cannot work in this process.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// It does not fit a contract of this program.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// The system's loader turned it down.
    #[error("the system's loader cannot open {}{}", path.display(), advice(source))]
    Load {
        /// The image.
        path: PathBuf,
        /// Why.
        source: libloading::Error,
    },
    /// What it registered cannot be used.
    #[error("cannot use what {} registered", path.display())]
    Register {
        /// The image.
        path: PathBuf,
        /// Why.
        source: RegistrationError,
    },
}

/// Why an image's notes cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NotesError {
    /// The file cannot be read any more.
    #[error("the file cannot be read")]
    Unreadable(#[from] io::Error),
    /// They are not where the image's tables say.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// They say nothing that can be understood.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// One step that helps, for the failures that people meet.
fn advice(error: &libloading::Error) -> &'static str {
    let text =
        std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    if text.contains("failed to map segment") {
        "; its folder may be mounted noexec: choose another one with --state-dir or XDG_STATE_HOME"
    } else if text.contains("undefined symbol") {
        "; link the library that defines the symbol into the plugin"
    } else if text.contains("cannot open shared object file") {
        "; put the library it needs beside the plugin and link with -Wl,-rpath,$ORIGIN"
    } else {
        ""
    }
}

/// The open images of this process, whichever client opened them.
type Opened = HashMap<Place, &'static Image>;

/// Opens an image and collects what it registered.
///
/// The file's owner and mode are checked first, and that the BLAKE3 hash of its first `mapped` bytes is `digest`; the
/// loader must need no others (see [`crate::elf::Elf::mapped_end`]). Then its notes are compared with this process and
/// with the program's contracts, so that nothing runs of what does not fit; an image without notes fits if nothing is
/// `expected`. Every symbol is bound now (`RTLD_NOW`), so that a missing
/// one is an error here and not a crash later, and none is offered to other images (`RTLD_LOCAL`). An image that this
/// process has open already is handed out again without running anything; that is decided by device and inode.
///
/// Constructors of the image run on the calling thread, under the loader's lock. The image is never closed.
///
/// # Errors
///
/// See [`OpenError`]. An image whose registrations cannot be used stays mapped, as everything does.
pub fn open(
    path: &Path,
    mapped: u64,
    digest: &[u8; 32],
    expected: &[Contract],
) -> Result<&'static Image, OpenError> {
    static OPENED: OnceLock<Mutex<Opened>> = OnceLock::new();

    let checked = check(path, mapped, digest).map_err(|source| OpenError::Check {
        path: path.to_owned(),
        source,
    })?;
    let place = checked.place;
    fits(path, checked, expected)?;
    // Held while the image is opened: two threads that open one image run its constructors once.
    let mut opened = OPENED
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(image) = opened.get(&place) {
        return Ok(image);
    }
    // SAFETY: the constructors are the plugin's own code, which the user chose to run in this process (kept by the
    // user; DESIGN: a plugin runs with the program's rights).
    let open = || unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    let sentence = || format!("plugind: {} crashed: opening it was ended", path.display());
    let began = Instant::now();
    let library = fatal::during(sentence, open).map_err(|source| OpenError::Load {
        path: path.to_owned(),
        source,
    })?;
    let took = began.elapsed();
    // Leaked before anything can fail, because dropping a library closes it under whatever its constructors started.
    let image = Box::leak(Box::new(Image {
        path: path.to_owned(),
        library: Some(library),
        registrations: None,
        exports: OnceLock::new(),
        attach: None,
        logs: OnceLock::new(),
        opened: Some(took),
    }));
    if let Some(library) = &image.library {
        let collected = collect(library).map_err(|source| OpenError::Register {
            path: path.to_owned(),
            source,
        })?;
        if let Some((registrations, attach)) = collected {
            (image.registrations, image.attach) = (Some(registrations), attach);
        }
    }
    opened.insert(place, image);
    Ok(image)
}

/// Compares what the image declares with this process and with the program's contracts.
fn fits(path: &Path, checked: Checked, expected: &[Contract]) -> Result<(), OpenError> {
    let unreadable = |source| OpenError::Notes {
        path: path.to_owned(),
        source,
    };
    let notes = checked.start.notes();
    let (notes, little_endian) = notes.map_err(|error| unreadable(error.into()))?;
    let manifest =
        Manifest::read(&notes, little_endian).map_err(|error| unreadable(error.into()))?;
    if let Some(manifest) = &manifest {
        fits_here(&manifest.identity)?;
    }
    let manifest = manifest.unwrap_or_default();
    for contract in expected {
        manifest.fits(contract, &Toolchain::own())?;
    }
    Ok(())
}
