//! Plugins of the contract in [`contract`], built by cargo from a copy of that contract.

pub mod contract;

use std::fs;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Home, run, scratch, workspace};

/// A contract crate and plugin crates of it in a throw-away workspace.
pub struct Troupe<'h> {
    home: &'h Home,
    root: PathBuf,
    /// Of all its packages. It is what cargo tells them from another troupe's by, where both are built.
    version: String,
}

impl<'h> Troupe<'h> {
    /// Writes the contract as it is.
    pub fn new(home: &'h Home) -> Self {
        static TROUPES: AtomicU32 = AtomicU32::new(0);
        let nth = TROUPES.fetch_add(1, Ordering::Relaxed);
        let troupe = Self {
            home,
            root: home.work().join("troupe"),
            version: format!("0.{}.{nth}", process::id()),
        };
        let manifest = "[workspace]\nresolver = \"3\"\nmembers = [\"contract\", \"plugins/*\"]\n";
        fs::create_dir_all(troupe.root.join("plugins")).expect("a folder");
        fs::write(troupe.root.join("Cargo.toml"), manifest).expect("the manifest");
        troupe.write("contract", "troupe", "", &["abi", "macros"], &source());
        troupe
    }

    /// Where the plugins are built.
    pub fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// Replaces texts of the contract, which must be there: what an older or a newer build of it looked like.
    pub fn contract_with(&self, changes: &[(&str, &str)]) {
        let mut source = source();
        for (from, to) in changes {
            assert!(source.contains(from), "no {from:?} in the contract");
            source = source.replace(from, to);
        }
        fs::write(self.root.join("contract/src/lib.rs"), source).expect("the contract");
    }

    /// Writes a plugin; `source` comes after the usual imports.
    pub fn plugin(&self, name: &str, source: &str) {
        self.plugin_with(name, source, &[], "");
    }

    /// The same with features of `plugind-plugin`, and further lines of dependencies.
    pub fn plugin_with(&self, name: &str, source: &str, features: &[&str], needs: &str) {
        let source = format!(
            "#![forbid(unsafe_code)]\n#![allow(unused_imports)]\n\
             use plugind_macros::{{StableType, plugin}};\nuse troupe::*;\n{source}"
        );
        self.write(
            &format!("plugins/{name}"),
            name,
            &format!(
                "[lib]\nname = {:?}\ncrate-type = [\"cdylib\"]\n",
                self.library(name)
            ),
            &["abi", "macros", "plugin"],
            &source,
        );
        let manifest = self.root.join("plugins").join(name).join("Cargo.toml");
        let mut text = fs::read_to_string(&manifest).expect("the manifest");
        text += needs;
        if !features.is_empty() {
            text += &format!("[dependencies.plugind-plugin]\nfeatures = {features:?}\n");
            let path = workspace().join("client-lib/plugin");
            text += &format!("path = {:?}\n", path.display().to_string());
            let plain = text
                .lines()
                .filter(|line| !line.starts_with("plugind-plugin = "));
            text = plain.collect::<Vec<_>>().join("\n") + "\n";
        }
        fs::write(manifest, text).expect("the manifest");
    }

    /// Removes what was built of a plugin, and the plugin.
    pub fn remove(&self, name: &str) {
        fs::remove_dir_all(self.root.join("plugins").join(name)).expect("the plugin");
        fs::remove_file(self.artifact(name)).expect("what was built");
    }

    /// Where a plugin is built.
    pub fn artifact(&self, name: &str) -> PathBuf {
        let library = self.library(name);
        self.target().join(format!("debug/lib{library}.so"))
    }

    /// A library's name. A build directory holds one `cdylib` of a name, which would go into every target directory,
    /// so that another troupe's must have another.
    fn library(&self, name: &str) -> String {
        format!("{name}_{}", self.version.replace('.', "_"))
    }

    /// Builds everything.
    pub fn build(&self) {
        let mut cargo = self.home.command(env!("CARGO"));
        cargo
            .args(["build", "--quiet", "--offline", "--target-dir"])
            .arg(self.target())
            // What all of them need is built once; what is finished still goes into a target directory of its own.
            .env("CARGO_BUILD_BUILD_DIR", scratch().join("troupe"))
            .current_dir(&self.root);
        run(&mut cargo);
    }

    fn write(&self, folder: &str, name: &str, more: &str, needs: &[&str], source: &str) {
        let folder = self.root.join(folder);
        fs::create_dir_all(folder.join("src")).expect("a folder");
        let mut manifest = format!(
            "[package]\nname = {name:?}\nversion = {:?}\nedition = \"2024\"\n{more}[dependencies]\n",
            self.version
        );
        if name != "troupe" {
            manifest += "troupe = { path = \"../../contract\" }\n";
        }
        for need in needs {
            let path = workspace().join("client-lib").join(need);
            manifest += &format!(
                "plugind-{need} = {{ path = {:?} }}\n",
                path.display().to_string()
            );
        }
        fs::write(folder.join("Cargo.toml"), manifest).expect("the manifest");
        fs::write(folder.join("src/lib.rs"), source).expect("the source");
    }
}

fn source() -> String {
    let path = workspace().join("tests/src/troupe/contract.rs");
    fs::read_to_string(path).expect("the contract")
}
