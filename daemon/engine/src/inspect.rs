//! Reads what an image declares, without running any of it, and refuses what cannot work here.
//!
//! The input is untrusted bytes: any file gives an answer.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use plugind_abi::note;
use plugind_loader::elf::{self, Elf, ElfError};
use plugind_loader::manifest::{Manifest as Declared, Misfit, ReadError, Unfit, fits_here};
use plugind_wire::manifest::{Inspection, Manifest};
use plugind_wire::{Digest, SCHEMA};

use crate::expectation::{self, Expectation};
use crate::stage::Staged;
use crate::{declares, lanes, size_limit};

/// A version whose declaration fits.
#[derive(Debug)]
pub(crate) struct Inspected {
    /// The version.
    pub(crate) staged: Staged,
    /// What it declares.
    pub(crate) manifest: Manifest,
    /// How long that took.
    pub(crate) inspect: Duration,
}

/// Why an image is refused before any of it ran.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InspectError {
    #[error("{0}")]
    Elf(#[from] ElfError),
    #[error(
        "it is for {found} and this machine is {expected}; build it for this machine's target ({target})",
        expected = this_machine(), target = THIS_TARGET
    )]
    Machine { found: String },
    #[error(
        "it is no shared object (ELF type {found}); build it as a `cdylib`, or with `cc -shared`"
    )]
    Type { found: u16 },
    #[error(transparent)]
    Note(#[from] note::NoteError),
    #[error(transparent)]
    Notes(#[from] ReadError),
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error("{misfit} ({program}, pid {pid}, requires it)")]
    Misfit {
        misfit: Misfit,
        program: String,
        pid: u32,
    },
    #[error("its notes name it {first} and {second}; only one crate of a plugin may use register!")]
    TwoNames { first: String, second: String },
    #[error(
        "its note names it {name:?}; a plugin's name has 1 to 128 characters and no slash, `@` or control \
         character"
    )]
    Name { name: String },
    #[error(
        "its file suggests the name {name:?}; a plugin's name has 1 to 128 characters and no slash, `@` or control \
         character: rename the file"
    )]
    FileName { name: String },
    #[error("its note gives it the version {semver:?}, which is none such as 1.2.3")]
    Semver { semver: String },
}

/// What this build of plugind runs on, in the words of the ELF header.
const THIS: (u8, bool, u16) = (
    if cfg!(target_pointer_width = "64") {
        64
    } else {
        32
    },
    cfg!(target_endian = "little"),
    if cfg!(target_arch = "x86_64") {
        62
    } else if cfg!(target_arch = "aarch64") {
        183
    } else if cfg!(target_arch = "riscv64") {
        243
    } else if cfg!(target_arch = "arm") {
        40
    } else if cfg!(target_arch = "x86") {
        3
    } else {
        0
    },
);

/// As people name it.
const THIS_TARGET: &str = std::env::consts::ARCH;

/// `ET_DYN` of the ELF header.
const SHARED_OBJECT: u16 = 3;

/// Decides about a staged version, for the programs that use its plugin.
pub(crate) fn inspect(
    staged: Staged,
    expected: &[Expectation],
) -> Result<Inspected, Box<(Staged, InspectError)>> {
    let started = Instant::now();
    let elf = match &staged.elf {
        Ok(elf) => elf,
        Err(error) => {
            let error = InspectError::Elf(error.clone());
            return Err(Box::new((staged, error)));
        }
    };
    match decide(elf, &staged.version.plugin, expected) {
        Ok(manifest) => Ok(Inspected {
            staged,
            manifest,
            inspect: started.elapsed(),
        }),
        Err(error) => Err(Box::new((staged, error))),
    }
}

fn decide(elf: &Elf, plugin: &str, expected: &[Expectation]) -> Result<Manifest, InspectError> {
    fits_header(elf)?;
    let declared = read_notes(elf)?;
    fits_process(declared.as_ref())?;
    let mut manifest = manifest(elf, declared.as_ref(), || plugin.to_owned())?;
    let across = expectation::check(&declared.unwrap_or_default(), expected)?;
    manifest.warnings.extend(across);
    Ok(manifest)
}

/// All of a file that somebody named.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::options()
        .read(true)
        // A FIFO or a device must not make anybody wait.
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    size_limit::read(&file, &mut bytes)?;
    Ok(bytes)
}

/// The document of `plugind inspect`: what would be decided about a file.
///
/// # Errors
///
/// If the file cannot be read.
pub fn inspect_file(path: &Path) -> io::Result<Inspection> {
    let bytes = read_file(path)?;
    let stem = || {
        let name = path.file_name().unwrap_or(OsStr::new("plugin"));
        lanes::stem(name).map_or_else(|| name.to_string_lossy().into_owned(), str::to_owned)
    };
    let read = elf::read(&bytes);
    let (manifest, rejected) = match &read {
        Err(error) => (None, Some(InspectError::Elf(error.clone()))),
        Ok(elf) => look(elf, stem),
    };
    Ok(Inspection {
        schema: SCHEMA,
        file: path.to_owned(),
        size: bytes.len() as u64,
        digest: Digest::of(&bytes),
        rejected: rejected.map(|error| error.to_string()),
        manifest,
    })
}

/// What can be read of a file, and the first reason why it would be turned down.
fn look(elf: &Elf, stem: impl FnOnce() -> String) -> (Option<Manifest>, Option<InspectError>) {
    let header = fits_header(elf).err();
    let declared = match read_notes(elf) {
        Ok(declared) => declared,
        Err(error) => return (None, header.or(Some(error))),
    };
    let process = fits_process(declared.as_ref()).err();
    match manifest(elf, declared.as_ref(), stem) {
        Ok(manifest) => (Some(manifest), header.or(process)),
        Err(error) => (None, header.or(Some(error))),
    }
}

/// Whether what it declares can work in a process like this.
fn fits_process(declared: Option<&Declared>) -> Result<(), InspectError> {
    declared.map_or(Ok(()), |declared| Ok(fits_here(&declared.identity)?))
}

fn read_notes(elf: &Elf) -> Result<Option<Declared>, InspectError> {
    Ok(Declared::read(&elf.notes, elf.little_endian)?)
}

/// Whether this machine could run it.
fn fits_header(elf: &Elf) -> Result<(), InspectError> {
    if (elf.class, elf.little_endian, elf.machine) != THIS {
        return Err(InspectError::Machine {
            found: describe(elf.class, elf.little_endian, &elf.machine_name()),
        });
    }
    if elf.file_type != SHARED_OBJECT {
        return Err(InspectError::Type {
            found: elf.file_type,
        });
    }
    Ok(())
}

fn this_machine() -> String {
    let (class, little_endian, _) = THIS;
    describe(class, little_endian, THIS_TARGET)
}

fn describe(class: u8, little_endian: bool, machine: &str) -> String {
    let order = if little_endian { "little" } else { "big" };
    format!("{machine} ({class}-bit, {order}-endian)")
}

/// The name and semantic version in the notes; `None` for a raw plugin. Several notes must agree.
pub(crate) fn declared(elf: &Elf) -> Result<Option<note::Declared<'_>>, InspectError> {
    let mut found: Option<note::Declared<'_>> = None;
    for note in elf.notes.iter().filter(|note| note.kind == note::IDENTITY) {
        let declared = note::read(&note.desc, elf.little_endian)?;
        if let Some(first) = found
            && first != declared
        {
            return Err(InspectError::TwoNames {
                first: format!("{} {}", first.plugin, first.semver),
                second: format!("{} {}", declared.plugin, declared.semver),
            });
        }
        found = Some(declared);
    }
    match found {
        Some(declared) if !is_name(declared.plugin) => Err(InspectError::Name {
            name: declared.plugin.chars().take(200).collect(),
        }),
        Some(declared) if !is_semver(declared.semver) => Err(InspectError::Semver {
            semver: declared.semver.chars().take(200).collect(),
        }),
        found => Ok(found),
    }
}

/// The names of the contracts that it says it implements, as far as they can be read.
pub(crate) fn contract_names(elf: &Elf) -> Vec<String> {
    let notes = elf.notes.iter();
    let contracts = notes.filter(|note| note.kind == note::IMPLEMENTS);
    let names = contracts.filter_map(|note| {
        let name = note::texts(&note.desc, elf.little_endian, [note::CONTRACT]);
        Some(name.ok()?[0]?.to_owned())
    });
    names.collect()
}

/// The characters of a semantic version, which begins with a number.
fn is_semver(semver: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
    semver.len() <= 128
        && semver.starts_with(|c: char| c.is_ascii_digit())
        && semver.chars().all(allowed)
}

/// The name that a raw plugin's file gives it, if it can be one.
pub(crate) fn file_name(name: String) -> Result<String, InspectError> {
    if is_name(&name) {
        Ok(name)
    } else {
        let name = name.chars().take(200).collect();
        Err(InspectError::FileName { name })
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= 128
        && !name
            .chars()
            .any(|c| c == '/' || c == '\\' || c == '@' || c.is_control())
}

fn manifest(
    elf: &Elf,
    declared: Option<&Declared>,
    stem: impl FnOnce() -> String,
) -> Result<Manifest, InspectError> {
    let named = self::declared(elf)?;
    let plugin = match named {
        Some(declared) => declared.plugin.to_owned(),
        None => file_name(stem())?,
    };
    let contracts = declared
        .map_or(&[][..], |declared| &declared.contracts)
        .iter();
    Ok(Manifest {
        plugin,
        semver: named.map(|declared| declared.semver.to_owned()),
        raw: declared.is_none(),
        contracts: contracts.clone().map(|c| c.name.clone()).collect(),
        implements: contracts.map(declares::contract).collect(),
        build: declared.map(|declared| declares::build(&declared.identity)),
        machine: elf.machine_name(),
        build_id: elf.build_id.clone(),
        soname: elf.soname.clone(),
        needed: elf.needed.clone(),
        search_paths: elf.search_paths.clone(),
        exports: elf
            .exports
            .iter()
            .filter(|export| !export.is_linkers())
            .map(|export| export.name.clone())
            .collect(),
        mapped_bytes: elf.mapped_bytes,
        warnings: declares::warnings(elf, declared),
    })
}
