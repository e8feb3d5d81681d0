//! What changed between two versions of a plugin, read from what each declares. Nothing of either runs, and no program
//! need have them open.
//!
//! A version that may be opened declares it in its image, which stays in the store. The image of a rejected version goes;
//! its notes are kept beside its record, as long as they are no longer than honest ones.
//!
//! The engine's thread only looks versions up. Reading and comparing is done by the thread of the connection that asks,
//! on a thread of its own: what is read is a plugin's word, and a defect over it costs one answer.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use plugind_loader::elf::{self, Elf, ElfError, Note};
use plugind_loader::manifest::{Manifest, ReadError, Sides, compare_versions};
use plugind_wire::difference::{Diff, Side};
use plugind_wire::message::{Failure, Reply};
use plugind_wire::{Bytes, Digest, SCHEMA, VersionId, sentence};
use serde::{Deserialize, Serialize};

use crate::catalogue::{Progress, Version};
use crate::engine::Loop;
use crate::json_file::read_json;
use crate::{declares, differences};

/// Bytes of the notes that are kept of one rejected version.
const KEPT: usize = 256 << 10;
/// So many differences are told.
const TOLD: usize = 1024;
/// For types that are nested as deep as the comparison goes.
const STACK: usize = 4 << 20;

/// The notes of a rejected version, as they lie beside its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptNotes {
    little_endian: bool,
    notes: Vec<(u32, Bytes)>,
}

impl KeptNotes {
    /// Those of an image; nothing if it has none, or more than anybody writes.
    pub(crate) fn of(elf: &Elf) -> Option<Self> {
        let all: usize = elf.notes.iter().map(|note| note.desc.len()).sum();
        let notes = elf.notes.iter();
        (0 < all && all <= KEPT).then(|| Self {
            little_endian: elf.little_endian,
            notes: notes
                .map(|note| (note.kind, Bytes(note.desc.clone())))
                .collect(),
        })
    }

    fn into_notes(self) -> (Vec<Note>, bool) {
        let notes = self.notes.into_iter();
        let notes = notes.map(|(kind, Bytes(desc))| Note { kind, desc });
        (notes.collect(), self.little_endian)
    }
}

/// A version, and where its notes are if it was rejected.
pub(crate) struct Known {
    version: Arc<Version>,
    notes: PathBuf,
}

/// Why two versions cannot be compared.
#[derive(Debug, thiserror::Error)]
enum DiffError {
    #[error("what {version} declares was not kept when it was rejected ({reason}); build it again")]
    NotKept { version: VersionId, reason: String },
    #[error("the copy {} of {version} cannot be read; build it again", image.display())]
    Image {
        version: VersionId,
        image: PathBuf,
        source: io::Error,
    },
    #[error("the copy {} of {version} was changed after it was staged; build it again", image.display())]
    Changed { version: VersionId, image: PathBuf },
    #[error("what {version} declares cannot be read")]
    Elf {
        version: VersionId,
        source: ElfError,
    },
    #[error("what {version} declares cannot be read")]
    Notes {
        version: VersionId,
        source: ReadError,
    },
}

impl Loop {
    /// Looks versions of a plugin up.
    ///
    /// # Errors
    ///
    /// A sentence about the first that does not exist.
    pub(crate) fn known(&self, plugin: &str, numbers: [u64; 2]) -> Result<[Known; 2], String> {
        let known = |number| -> Result<Known, String> {
            let id = VersionId {
                plugin: plugin.to_owned(),
                number,
            };
            let version = self.catalogue.version(&id);
            let version = version.ok_or_else(|| self.unknown_version(&id))?;
            Ok(Known {
                version: Arc::clone(version),
                notes: self.state.notes_path(&id, &version.shown.digest),
            })
        };
        let [expected, found] = numbers.map(known);
        Ok([expected?, found?])
    }
}

/// The answer to a client.
pub(crate) fn answer(known: [Known; 2]) -> Reply {
    let compared = thread::Builder::new()
        .name("plugind-diff".to_owned())
        .stack_size(STACK)
        .spawn(move || diff(&known))
        .map(thread::JoinHandle::join);
    let reason = match compared {
        Ok(Ok(Ok(diff))) => {
            let diff = Box::new(diff);
            return Reply::Diff { diff };
        }
        Ok(Ok(Err(error))) => sentence(&error),
        Ok(Err(_)) => "plugind panicked over them; please report this, with both files".to_owned(),
        Err(error) => format!("they cannot be compared now: {error}; free threads or memory"),
    };
    Reply::Failed {
        failure: Failure::Rejected,
        reason,
    }
}

fn diff([expected, found]: &[Known; 2]) -> Result<Diff, DiffError> {
    let (old, new) = (expected.declared()?, found.declared()?);
    let name = |known: &Known| format!("v{}", known.version.shown.version);
    let (old_name, new_name) = (name(expected), name(found));
    let sides = Sides {
        expected: &old_name,
        found: &new_name,
    };
    // A raw plugin implements no contract.
    let nothing = Manifest::default();
    let changed = compare_versions(
        old.as_ref().unwrap_or(&nothing),
        new.as_ref().unwrap_or(&nothing),
        sides,
    );
    let changed = changed.iter();
    let told = changed.flat_map(|one| differences::of_contract(&one.contract, &one.differences));
    let mut told: Vec<_> = told.take(TOLD + 1).collect();
    let more = told.len() > TOLD;
    told.truncate(TOLD);
    Ok(Diff {
        schema: SCHEMA,
        plugin: expected.version.plugin.clone(),
        expected: expected.side(old.as_ref()),
        found: found.side(new.as_ref()),
        differences: differences::without_advice(told),
        more,
    })
}

impl Known {
    fn side(&self, declared: Option<&Manifest>) -> Side {
        let shown = &self.version.shown;
        let contracts = declared.map_or(&[][..], |declared| &declared.contracts);
        Side {
            version: shown.version,
            semver: declared.map(|declared| declared.identity.semver.clone()),
            digest: shown.digest,
            raw: declared.is_none(),
            outcome: shown.outcome,
            stage: shown.stage,
            contracts: contracts.iter().map(|one| one.name.clone()).collect(),
            build: declared.map(|declared| declares::build(&declared.identity)),
        }
    }

    /// What it declares; nothing if it is raw.
    fn declared(&self) -> Result<Option<Manifest>, DiffError> {
        if self.version.raw {
            return Ok(None);
        }
        let (notes, little_endian) = match self.version.progress {
            Progress::Rejected => self.kept()?,
            _ => self.in_image()?,
        };
        Manifest::read(&notes, little_endian).map_err(|source| DiffError::Notes {
            version: self.version.id(),
            source,
        })
    }

    fn kept(&self) -> Result<(Vec<Note>, bool), DiffError> {
        let kept = read_json::<KeptNotes>(&self.notes).ok().flatten();
        kept.map(KeptNotes::into_notes)
            .ok_or_else(|| DiffError::NotKept {
                version: self.version.id(),
                reason: self.version.shown.reason.clone().unwrap_or_default(),
            })
    }

    fn in_image(&self) -> Result<(Vec<Note>, bool), DiffError> {
        let (version, image) = (self.version.id(), self.version.shown.image.clone());
        let mapped = self.version.mapped;
        let mut bytes = Vec::new();
        let read =
            File::open(&image).and_then(|file| file.take(mapped.bytes).read_to_end(&mut bytes));
        if let Err(source) = read {
            return Err(DiffError::Image {
                version,
                image,
                source,
            });
        }
        if Digest::of(&bytes) != mapped.digest {
            return Err(DiffError::Changed { version, image });
        }
        elf::read_notes(&bytes).map_err(|source| DiffError::Elf { version, source })
    }
}
