//! Where the loader of a probe looks for libraries that an image needs: where cargo lets a program find them that it
//! runs, although the image is a copy in another place.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::inspect::Inspected;

const VARIABLE: &str = "LD_LIBRARY_PATH";

/// What is inherited, then the artifact's folder, its `deps`, and the libraries of the toolchain that runs here. Only
/// where one of these has a library that the image needs: the probe's own program is loaded with them too, and nothing
/// that happens to lie beside a plugin should be part of it. Nothing otherwise.
pub(crate) fn for_image(inspected: &Inspected) -> Option<OsString> {
    let artifact = &inspected.staged.artifact;
    let beside = artifact.parent().into_iter();
    let folders: Vec<_> = beside
        .flat_map(|folder| [folder.to_owned(), folder.join("deps")])
        .chain(toolchain())
        // One with a colon in its name cannot be told to the loader.
        .filter(|folder| env::join_paths([folder]).is_ok())
        .collect();
    let needed = &inspected.manifest.needed;
    let has_one = |folder: &PathBuf| needed.iter().any(|name| folder.join(name).is_file());
    if !folders.iter().any(has_one) {
        return None;
    }
    let inherited = env::var_os(VARIABLE).unwrap_or_default();
    // An empty one would stand for whatever directory this is.
    let inherited = env::split_paths(&inherited).filter(|folder| !folder.as_os_str().is_empty());
    env::join_paths(inherited.chain(folders)).ok()
}

/// As rustup tells its children.
fn toolchain() -> Option<PathBuf> {
    let name = env::var_os("RUSTUP_TOOLCHAIN")?;
    let rustup = match env::var_os("RUSTUP_HOME") {
        Some(rustup) => PathBuf::from(rustup),
        None => env::home_dir()?.join(".rustup"),
    };
    Some(rustup.join("toolchains").join(name).join("lib"))
}
