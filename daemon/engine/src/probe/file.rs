//! `plugind probe`: what the line would do with a file, without an engine.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use plugind_loader::elf;
use plugind_wire::event::Stage;
use plugind_wire::message::Mapped;
use plugind_wire::probe::{Probe, Trial};
use plugind_wire::{Digest, SCHEMA, VersionId, sentence};

use super::{Prober, Tried};
use crate::inspect::{inspect, read_file};
use crate::lanes;
use crate::needed;
use crate::options::ProbeOptions;
use crate::stage::Staged;
use crate::trust::Trust;

/// Copies a file into `store`, inspects and probes the copy, and removes it.
///
/// # Errors
///
/// If the file cannot be read, or `store` not be written.
pub fn probe_file(path: &Path, store: &Path, options: ProbeOptions) -> io::Result<Trial> {
    let path = &std::path::absolute(path)?;
    let bytes = read_file(path)?;
    let mut trial = Trial {
        schema: SCHEMA,
        file: path.clone(),
        digest: Digest::of(&bytes),
        plugin: None,
        probe: Probe::NotProbed,
        not_probed: None,
        stage: None,
        phase: None,
        cause: None,
        reason: None,
        level: None,
        output: None,
        probe_us: 0,
    };
    fs::create_dir_all(store)?;
    remove_old(store);
    let own = tempfile::Builder::new()
        .prefix(&own_prefix())
        .tempdir_in(store)?;
    let staged = match copy(path, &bytes, own.path()) {
        Ok(staged) => staged,
        Err(error) => {
            reject(&mut trial, Stage::Stage, sentence(&error));
            return Ok(trial);
        }
    };
    let inspected = match inspect(staged, &[]) {
        Ok(inspected) => inspected,
        Err(rejected) => {
            let (_, error) = *rejected;
            reject(&mut trial, Stage::Inspect, sentence(&error));
            return Ok(trial);
        }
    };
    trial.plugin = Some(inspected.manifest.plugin.clone());
    let micros = |took: Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    match Prober::once(options).probe(inspected) {
        Ok(probed) => {
            trial.probe_us = micros(probed.probe);
            match probed.tried {
                Tried::Passed(level) => {
                    trial.probe = Probe::Passed;
                    trial.level = Some(level);
                }
                Tried::NotProbed(why) => trial.not_probed = Some(why),
            }
        }
        Err(failed) => {
            trial.probe_us = micros(failed.probe);
            trial.probe = Probe::Failed;
            trial.phase = Some(failed.failure.phase);
            trial.cause = Some(failed.failure.cause);
            trial.level = failed.failure.level;
            trial.output = failed.failure.output;
            reject(&mut trial, Stage::Probe, failed.failure.reason);
        }
    }
    Ok(trial)
}

/// Removes what [`probe_file`] has in `store`, for a process that is about to end in the middle of it.
pub fn abandon_probe(store: &Path) {
    // Whoever is copying may add a file meanwhile.
    const TRIES: u32 = 100;
    let prefix = own_prefix();
    for _ in 0..TRIES {
        let entries = fs::read_dir(store).into_iter().flatten().flatten();
        let own: Vec<_> = entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .collect();
        if own.is_empty() {
            return;
        }
        for entry in own {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// How the names of this process's directories begin.
fn own_prefix() -> String {
    format!("tmp{}-", std::process::id())
}

/// Removes what a probe left that was killed, long ago.
fn remove_old(store: &Path) {
    const LONG: Duration = Duration::from_secs(24 * 60 * 60);
    for entry in fs::read_dir(store).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|found| found.modified());
        let age = age.ok().and_then(|changed| changed.elapsed().ok());
        if age.is_some_and(|age| age > LONG) {
            // Somebody else may be at it.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn reject(trial: &mut Trial, stage: Stage, reason: String) {
    trial.stage = Some(stage);
    trial.reason = Some(reason);
}

/// A version of nobody's, in a directory of its own.
fn copy(path: &Path, bytes: &[u8], own: &Path) -> Result<Staged, CopyError> {
    let started = Instant::now();
    let elf = elf::read(bytes);
    let search_paths = elf.as_ref().map_or(&[][..], |elf| &elf.search_paths);
    let dir = own.join("image").join(needed::room(search_paths));
    let name = path.file_name().unwrap_or("plugin.so".as_ref());
    let image = dir.join(name);
    fs::create_dir_all(&dir)?;
    fs::write(&image, bytes)?;
    fs::set_permissions(&image, Permissions::from_mode(0o400))?;
    let needed = match &elf {
        Ok(elf) => {
            let trust = &Trust::everybody();
            needed::link(elf, path, &dir, &own.join("image"), own, (trust, ""))?
        }
        Err(_) => Default::default(),
    };
    let end = elf
        .as_ref()
        .map_or(bytes.len(), |elf| elf.mapped_end as usize);
    Ok(Staged {
        needed,
        own: own.to_owned(),
        version: VersionId {
            plugin: lanes::stem(name)
                .map_or_else(|| name.to_string_lossy().into_owned(), str::to_owned),
            number: 0,
        },
        digest: Digest::of(bytes),
        mapped: Mapped {
            bytes: end as u64,
            digest: Digest::of(&bytes[..end.min(bytes.len())]),
        },
        size: bytes.len() as u64,
        elf,
        image,
        artifact: path.to_owned(),
        heard: started,
        settle: Duration::ZERO,
        stage: started.elapsed(),
    })
}

#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error("cannot copy it")]
    Copy(#[from] io::Error),
    #[error(transparent)]
    Needed(#[from] needed::NeededError),
}
