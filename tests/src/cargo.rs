//! Real cargo: the `plugind` under test, and throw-away workspaces with a plugin in them.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use crate::{scratch, since_change};

/// The `plugind` under test, built once per test process into a target directory of its own: a nested cargo on the
/// outer one's would wait for it for ever.
pub fn plugind() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("plugind"))
}

/// The demo's host under test, built likewise.
pub fn demo_game() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("demo-game"))
}

fn built(package: &str) -> PathBuf {
    let mut command = cargo("build");
    command
        .current_dir(workspace())
        .args(["--locked", "-p", package, "--target-dir"])
        .arg(scratch().join("plugind"));
    messages(command)
        .iter()
        .filter(|message| message["target"]["name"] == package)
        .find_map(|message| message["executable"].as_str())
        .map(PathBuf::from)
        .expect("cargo names the executable")
}

/// The root of the workspace under test.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package lies in the workspace")
        .to_owned()
}

/// The linker of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linker {
    /// rustc's own choice: rust-lld.
    Default,
    /// GNU ld.
    Bfd,
    /// gold.
    Gold,
    /// mold.
    Mold,
}

impl Linker {
    /// The tool that must be there.
    pub fn tool(self) -> &'static str {
        match self {
            Self::Default => "rustc",
            Self::Bfd => "ld.bfd",
            Self::Gold => "ld.gold",
            Self::Mold => "mold",
        }
    }

    /// What this linker alone leaves in a file; GNU ld leaves nothing.
    pub fn trace(self) -> Option<&'static str> {
        match self {
            Self::Default => Some("Linker: LLD"),
            Self::Bfd => None,
            Self::Gold => Some(".note.gnu.gold-version"),
            Self::Mold => Some("mold "),
        }
    }

    fn flags(self) -> Option<String> {
        let name = match self {
            Self::Default => return None,
            Self::Bfd => "bfd",
            Self::Gold => "gold",
            Self::Mold => "mold",
        };
        Some(format!("-Clinker-features=-lld -Clink-arg=-fuse-ld={name}"))
    }
}

/// What a build left.
#[derive(Debug, Clone)]
pub struct Built {
    /// The plugin's file.
    pub artifact: PathBuf,
    /// When it was complete: its change time, see [`since_change`].
    pub finished: Instant,
    /// True if cargo found nothing to do.
    pub fresh: bool,
}

/// A throw-away workspace with one plugin crate, built by cargo into its own `target`.
pub struct CargoProject {
    root: PathBuf,
    package: String,
    linker: Linker,
}

impl CargoProject {
    /// Writes the workspace into `root`, with a plugin whose `answer` is 1.
    pub fn new(root: &Path, package: &str) -> Self {
        let project = Self {
            root: root.to_owned(),
            package: package.to_owned(),
            linker: Linker::Default,
        };
        fs::create_dir_all(root).expect("the workspace's folder");
        fs::write(
            root.join("Cargo.toml"),
            "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n",
        )
        .expect("the workspace's manifest");
        project.set_library(&package.replace('-', "_"));
        project.set_answer(1);
        project
    }

    /// Chooses the linker of later builds.
    pub fn with_linker(mut self, linker: Linker) -> Self {
        self.linker = linker;
        self
    }

    /// The target directory.
    pub fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// Names the library, and with it the file: `lib{library}.so`. The package keeps its name.
    pub fn set_library(&self, library: &str) {
        let sdk = workspace().join("client-lib/plugin");
        self.write_member(
            &self.package,
            &format!(
                "[lib]\nname = {library:?}\ncrate-type = [\"cdylib\"]\n\n\
                 [dependencies]\nplugind-plugin = {{ path = {:?} }}\n",
                sdk.to_str().expect("the workspace has a readable path")
            ),
        );
    }

    /// Rewrites the plugin so that `answer` returns `n`; `count` counts its own calls from 1.
    pub fn set_answer(&self, n: i64) {
        self.set_source(&format!(
            "use std::sync::atomic::{{AtomicI64, Ordering}};\n\n\
             static CALLS: AtomicI64 = AtomicI64::new(0);\n\n\
             extern \"C\" fn answer() -> i64 {{\n    {n}\n}}\n\n\
             extern \"C\" fn count() -> i64 {{\n    CALLS.fetch_add(1, Ordering::Relaxed) + 1\n}}\n\n\
             plugind_plugin::register! {{ answer, count, static CALLS }}\n"
        ));
    }

    /// Rewrites the plugin.
    pub fn set_source(&self, source: &str) {
        self.write_source(&self.package, source);
    }

    /// Adds a crate that exports a procedural macro, a shared object too.
    pub fn add_proc_macro(&self, package: &str) {
        self.write_member(package, "[lib]\nproc-macro = true\n");
        self.write_source(
            package,
            "use proc_macro::TokenStream;\n\n\
             #[proc_macro]\npub fn same(input: TokenStream) -> TokenStream {\n    input\n}\n",
        );
    }

    /// `cargo build` of the whole workspace.
    ///
    /// # Panics
    ///
    /// If it fails, with what it said.
    pub fn build(&self) -> Built {
        self.build_with(&[])
    }

    /// `cargo build` with `args`, such as `--release`.
    pub fn build_with(&self, args: &[&str]) -> Built {
        let mut command = self.cargo("build");
        command.args(args);
        let messages = messages(command);
        let ours = messages
            .iter()
            .filter(|message| message["reason"] == "compiler-artifact")
            .find(|message| message["target"]["crate_types"][0] == "cdylib")
            .expect("cargo names the plugin");
        let artifact = PathBuf::from(ours["filenames"][0].as_str().expect("a path"));
        let finished = since_change(&artifact.metadata().expect("cargo left the plugin"));
        Built {
            artifact,
            finished,
            fresh: ours["fresh"] == true,
        }
    }

    /// `cargo clean`.
    pub fn clean(&self) {
        let output = self.cargo("clean").output().expect("cargo starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo clean: {stderr}");
    }

    fn cargo(&self, command: &str) -> Command {
        let mut command = cargo(command);
        command
            .current_dir(&self.root)
            .arg("--offline")
            .arg("--target-dir")
            .arg(self.target());
        if let Some(flags) = self.linker.flags() {
            command.env("RUSTFLAGS", flags);
        }
        command
    }

    fn write_member(&self, package: &str, rest: &str) {
        let folder = self.root.join("crates").join(package);
        fs::create_dir_all(folder.join("src")).expect("the crate's folder");
        let manifest =
            format!("[package]\nname = {package:?}\nversion = \"0.1.0\"\nedition = \"2024\"\n\n");
        fs::write(folder.join("Cargo.toml"), manifest + rest).expect("the crate's manifest");
    }

    fn write_source(&self, package: &str, source: &str) {
        let folder = self.root.join("crates").join(package);
        fs::write(folder.join("src/lib.rs"), source).expect("the crate's source");
    }
}

/// The cargo that runs this test, without what the outer build was told.
pub(crate) fn cargo(command: &str) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.arg(command);
    for (key, _) in env::vars_os() {
        let name = key.to_string_lossy();
        let told = ["CARGO_BUILD_", "CARGO_PKG_", "CARGO_PROFILE_", "CARGO_BIN_"];
        if told.iter().any(|prefix| name.starts_with(prefix)) {
            cargo.env_remove(key);
        }
    }
    for key in [
        "CARGO_TARGET_DIR",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_MANIFEST_DIR",
    ] {
        cargo.env_remove(key);
    }
    cargo
}

/// Runs a cargo command to its good end, and reads its JSON messages.
pub(crate) fn messages(mut cargo: Command) -> Vec<serde_json::Value> {
    let output = cargo
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .output()
        .expect("cargo starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{cargo:?}:\n{stderr}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("cargo prints JSON"))
        .collect()
}
