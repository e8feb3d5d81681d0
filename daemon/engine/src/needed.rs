//! Libraries that an image needs through `$ORIGIN`: they must lie beside the copy as they lie beside the artifact.
//!
//! They are copied too, once per content, because a library in the watched folder may be overwritten while programs
//! map it. What the copy's directory holds is a link to that copy under the name the image asks for; the loader tells
//! libraries apart by the inode behind the link, so versions share a library as long as its content is the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use plugind_loader::elf::{self, Elf};
use plugind_wire::Digest;
use plugind_wire::event::Stage;

use crate::trust::{Distrust, Trust};

/// A needed library that could not be copied, or must not be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NeededError {
    #[error("cannot copy the needed library {}", path.display())]
    Copy { path: PathBuf, source: io::Error },
    #[error("it needs {}, which is not taken", path.display())]
    Distrusted { path: PathBuf, source: Distrust },
}

impl NeededError {
    /// The stage that it ends.
    pub(crate) fn stage(&self) -> Stage {
        match self {
            Self::Distrusted {
                source: Distrust::Signature(_),
                ..
            } => Stage::Signature,
            _ => Stage::Stage,
        }
    }
}

/// The sub-directory in which the image must lie so that every `$ORIGIN/..` stays inside the version's directory.
pub(crate) fn room(search_paths: &[String]) -> PathBuf {
    let ups = search_paths
        .iter()
        .filter_map(|path| below_origin(path))
        .map(|below| {
            below
                .components()
                .filter(|part| *part == Component::ParentDir)
                .count()
        })
        .max()
        .unwrap_or(0);
    std::iter::repeat_n("d", ups.min(8)).collect()
}

/// Puts links to copies of the libraries that `elf` needs through `$ORIGIN` where its copy in `dir` looks for them, and
/// likewise for what those need. Nothing is put outside `own`, whatever a search path says, and nothing is taken that is
/// not trusted to be a part of `plugin`. Tells which content has which name.
pub(crate) fn link(
    elf: &Elf,
    artifact: &Path,
    dir: &Path,
    own: &Path,
    store: &Path,
    (trust, plugin): (&Trust, &str),
) -> Result<BTreeMap<String, Digest>, NeededError> {
    let mut linked = BTreeMap::new();
    let origin = artifact.parent().unwrap_or(Path::new("/"));
    let mut seen = BTreeSet::new();
    let mut queue: VecDeque<_> = wanted(elf, origin, dir).collect();
    while let Some(Wanted { from, to }) = queue.pop_front() {
        if !to.starts_with(own) || !from.is_file() || !seen.insert(to.clone()) || to.exists() {
            continue;
        }
        let failed = |source| NeededError::Copy {
            path: from.clone(),
            source,
        };
        let bytes = match trust.read_needed(&from, plugin) {
            Ok(bytes) => bytes,
            Err(Distrust::Read(source)) => return Err(failed(source)),
            Err(source) => return Err(NeededError::Distrusted { path: from, source }),
        };
        let copy = copy(&bytes, &from, store).map_err(failed)?;
        let name = from.file_name().unwrap_or_default().to_string_lossy();
        linked
            .entry(name.into_owned())
            .or_insert_with(|| Digest::of(&bytes));
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        symlink(&copy, &to).map_err(failed)?;
        if let (Ok(elf), Some(origin), Some(dir)) = (elf::read(&bytes), from.parent(), to.parent())
        {
            queue.extend(wanted(&elf, origin, dir));
        }
    }
    Ok(linked)
}

struct Wanted {
    from: PathBuf,
    to: PathBuf,
}

/// Where the libraries may lie beside the artifact, and where the copy will look.
fn wanted(elf: &Elf, origin: &Path, dir: &Path) -> impl Iterator<Item = Wanted> {
    let below: Vec<PathBuf> = elf
        .search_paths
        .iter()
        .filter_map(|p| below_origin(p))
        .collect();
    let names = elf.needed.iter().filter(|name| !name.contains('/'));
    let pairs: Vec<_> = names
        .flat_map(|name| {
            below.iter().map(move |below| Wanted {
                from: origin.join(below).join(name),
                to: plain(&dir.join(below).join(name)),
            })
        })
        .collect();
    pairs.into_iter()
}

/// What follows `$ORIGIN/` in a search path, if it starts so.
fn below_origin(search_path: &str) -> Option<PathBuf> {
    let rest = search_path
        .strip_prefix("$ORIGIN")
        .or_else(|| search_path.strip_prefix("${ORIGIN}"))?;
    (rest.is_empty() || rest.starts_with('/')).then(|| PathBuf::from(rest.trim_start_matches('/')))
}

/// Without `..`, by name: the directories of the store are no links.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// The one copy of this content in the store.
fn copy(bytes: &[u8], from: &Path, store: &Path) -> io::Result<PathBuf> {
    let dir = store.join("needed").join(Digest::of(bytes).to_string());
    let copy = dir.join(from.file_name().unwrap_or("library.so".as_ref()));
    if copy.exists() {
        return Ok(copy);
    }
    fs::create_dir_all(&dir)?;
    let temporary = tempfile::Builder::new().prefix("tmp").tempfile_in(store)?;
    fs::write(temporary.path(), bytes)?;
    fs::set_permissions(temporary.path(), Permissions::from_mode(0o400))?;
    temporary.persist(&copy).map_err(|error| error.error)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_lies_deep_enough_for_every_way_up() {
        let paths = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(room(&paths(&["$ORIGIN", "/usr/lib"])), Path::new(""));
        assert_eq!(
            room(&paths(&["${ORIGIN}/../../lib", "$ORIGIN/.."])),
            Path::new("d/d")
        );
        assert_eq!(room(&paths(&["$ORIGINAL/.."])), Path::new(""));
    }
}
