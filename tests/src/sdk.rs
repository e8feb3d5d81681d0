//! Plugins built with the whole SDK, contracts included, from a source that a suite writes.

use std::fs;
use std::path::Path;

use crate::cargo::{cargo, messages};
use crate::{scratch, workspace};

/// Builds a plugin crate with this `lib.rs` and puts the library at `image`. `args` go to `cargo build`.
///
/// What it depends on is built once for all suites. Two tests that run at the same time need two names.
///
/// # Panics
///
/// If it does not build, with what cargo said.
pub fn sdk_plugin(image: &Path, package: &str, source: &str, args: &[&str]) {
    sdk_plugin_of(image, (package, "0.1.0"), source, args);
}

/// [`sdk_plugin`] of a package with this name and semantic version.
///
/// # Panics
///
/// If it does not build, with what cargo said.
pub fn sdk_plugin_of(image: &Path, package: (&str, &str), source: &str, args: &[&str]) {
    let (package, semver) = package;
    let folder = image.with_extension("crate");
    let path = |to: &str| workspace().join("client-lib").join(to);
    let manifest = format!(
        "[package]\nname = {package:?}\nversion = {semver:?}\nedition = \"2024\"\n\n[workspace]\n\n\
         [lib]\ncrate-type = [\"cdylib\"]\n\n[dependencies]\n\
         plugind-abi = {{ path = {:?} }}\n\
         plugind-macros = {{ path = {:?} }}\n\
         plugind-plugin = {{ path = {:?} }}\n",
        path("abi"),
        path("macros"),
        path("plugin")
    );
    fs::create_dir_all(folder.join("src")).expect("the crate's folder");
    fs::write(folder.join("Cargo.toml"), manifest).expect("the crate's manifest");
    fs::write(folder.join("src/lib.rs"), source).expect("the crate's source");
    let mut command = cargo("build");
    command
        .current_dir(&folder)
        .args(["--offline", "--target-dir"])
        .arg(scratch().join("sdk"))
        .args(args);
    let messages = messages(command);
    let ours = messages
        .iter()
        .filter(|message| message["target"]["name"] == package.replace('-', "_"))
        .find_map(|message| message["filenames"][0].as_str());
    fs::copy(ours.expect("cargo names the plugin"), image).expect("a copy of the plugin");
}
