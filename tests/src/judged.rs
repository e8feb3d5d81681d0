//! A program and its plugin, in crates of their own, with a contract and a dependency that each build may see in another
//! form; under a daemon.

use std::fs;
use std::path::PathBuf;
use std::process::{self, Command};

use plugind_wire::event::{Event, Kind, Stage};
use serde::Deserialize;

use crate::{Daemon, Home, Process, replace, run, scratch, workspace};

const CONTRACT: &str = include_str!("judged/contract.txt");
const HOST: &str = include_str!("judged/host.txt");
const PLUGIN: &str = include_str!("judged/plugin.txt");
const DEP: &str = "//! Somebody else's types.\nuse plugind_macros::StableType;\n\n\
    #[derive(StableType)]\n#[repr(C)]\npub struct Body {\n    pub mass: f32,\n    #[cfg(feature = \"more\")]\n    hidden: u8,\n}\n\n\
    impl Body {\n    pub fn new() -> Self {\n        Self { mass: 1.0, #[cfg(feature = \"more\")] hidden: 0 }\n    }\n}\n";

/// A compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toolchain {
    /// That which runs the test.
    This,
    /// rustup's nightly.
    Nightly,
}

/// A line of the program: what the plugin answers now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Said {
    /// The version's number; 0 where the program could not start.
    pub version: u64,
    /// Which build it is.
    pub which: u32,
    /// Why the newest version is not used.
    pub refused: Option<String>,
}

/// The crates, and the folder in which the plugin's builds take each other's place.
pub struct Judged<'h> {
    home: &'h Home,
    root: PathBuf,
    version: String,
    which: u32,
    /// Further arguments of the plugin's build.
    pub args: Vec<String>,
    /// What rustc is told when it compiles the plugin itself.
    pub flags: Vec<String>,
}

impl<'h> Judged<'h> {
    /// Writes the crates as they are. `nth` is the test's own number in its suite.
    pub fn new(home: &'h Home, nth: u32) -> Self {
        let judged = Self {
            home,
            root: home.work().join("judged"),
            version: format!("0.{}.{nth}", process::id()),
            which: 0,
            args: Vec::new(),
            flags: Vec::new(),
        };
        fs::create_dir_all(judged.folder()).expect("the folder to watch");
        let manifest =
            "[workspace]\nresolver = \"3\"\nmembers = [\"dep\", \"judge\", \"host\", \"judged\"]\n";
        fs::create_dir_all(&judged.root).expect("a folder");
        fs::write(judged.root.join("Cargo.toml"), manifest).expect("the manifest");
        // The versions that are there.
        fs::copy(
            workspace().join("Cargo.lock"),
            judged.root.join("Cargo.lock"),
        )
        .expect("a copy");
        judged.contract(&[]);
        judged.dependency("1.0.0", &[]);
        let host = "judge = { path = \"../judge\" }\nplugind-client = { path = CLIENT, default-features = false }\n";
        judged.write(
            "host",
            &judged.version,
            "[[bin]]\nname = \"host\"\npath = \"src/lib.rs\"\n",
            host,
            HOST,
        );
        judged.plugin(&[], "");
        judged
    }

    /// The watched folder.
    pub fn folder(&self) -> PathBuf {
        self.home.work().join("plugins")
    }

    /// Replaces texts of the contract, which must be there.
    pub fn contract(&self, changes: &[(&str, &str)]) {
        let needs = "dep = { path = \"../dep\" }\nplugind-abi = { path = ABI }\nplugind-macros = { path = MACROS }\n";
        self.write(
            "judge",
            &self.version,
            "",
            needs,
            &changed(CONTRACT, changes),
        );
    }

    /// The dependency, in a version.
    pub fn dependency(&self, version: &str, changes: &[(&str, &str)]) {
        let needs = "plugind-abi = { path = ABI }\nplugind-macros = { path = MACROS }\n[features]\nmore = []\n";
        self.write("dep", version, "", needs, &changed(DEP, changes));
    }

    /// Replaces texts of the plugin, which must be there; `features` go to the dependency.
    pub fn plugin(&self, changes: &[(&str, &str)], features: &str) {
        let needs = format!(
            "dep = {{ path = \"../dep\", features = [{features}] }}\njudge = {{ path = \"../judge\" }}\n\
             plugind-abi = {{ path = ABI }}\nplugind-macros = {{ path = MACROS }}\nplugind-plugin = {{ path = PLUGIN }}\n"
        );
        let marks = self.marks_file().display().to_string();
        let which = format!("WHICH: u32 = {}", self.which);
        let source = changed(PLUGIN, &[("WHICH: u32 = 0", &which), ("MARKS", &marks)]);
        let source = changed(&source, changes);
        self.write(
            "judged",
            &self.version,
            "[lib]\ncrate-type = [\"cdylib\"]\n",
            &needs,
            &source,
        );
    }

    /// Builds the program and starts it.
    pub fn host(&self, toolchain: Toolchain) -> Process<Said> {
        self.build("host", toolchain, &[], &[]);
        let built = self.root.join("target/debug/host");
        let mut command = self.home.command(built);
        command.arg(self.folder());
        Process::spawn(command)
    }

    /// Builds the next plugin, with these changes, and puts it into the watched folder; its number.
    pub fn offer(&mut self, changes: &[(&str, &str)], features: &str, toolchain: Toolchain) -> u32 {
        let image = self.built(changes, features, toolchain);
        replace(&image, &self.folder().join("libjudged.so"));
        self.which
    }

    /// Builds the next plugin; the file.
    pub fn built(
        &mut self,
        changes: &[(&str, &str)],
        features: &str,
        toolchain: Toolchain,
    ) -> PathBuf {
        self.which += 1;
        self.plugin(changes, features);
        let args: Vec<_> = self.args.iter().map(String::as_str).collect();
        self.build("judged", toolchain, &args, &self.flags);
        let profile = if args.contains(&"--release") {
            "release"
        } else {
            "debug"
        };
        let image = self.home.build().join(format!("{}.so", self.which));
        fs::copy(
            self.root.join(format!("target/{profile}/libjudged.so")),
            &image,
        )
        .expect("a copy");
        image
    }

    /// A daemon that serves the folder. Its probes may write, so that a constructor leaves its mark there too.
    pub fn daemon(&self) -> Daemon<'h> {
        Daemon::watch(self.home, &self.folder(), &["--probe", "unsandboxed"])
    }

    /// The builds whose constructors ran anywhere, in order.
    pub fn ran(&self) -> Vec<u32> {
        let mut builds: Vec<_> = self.marks().into_iter().map(|(which, _)| which).collect();
        builds.dedup();
        builds
    }

    /// The builds whose constructors ran in a process, in order.
    pub fn ran_in(&self, pid: u32) -> Vec<u32> {
        let marks = self.marks().into_iter();
        marks
            .filter(|(_, process)| *process == pid)
            .map(|(which, _)| which)
            .collect()
    }

    /// Every constructor that ran: of which build, and in which process.
    fn marks(&self) -> Vec<(u32, u32)> {
        let text = fs::read_to_string(self.marks_file()).unwrap_or_default();
        let mark = |line: &str| {
            let (which, process) = line.split_once(" in ").expect("a mark");
            (
                which.parse().expect("a number"),
                process.parse().expect("a process"),
            )
        };
        text.lines().map(mark).collect()
    }

    fn marks_file(&self) -> PathBuf {
        self.home.path().join("marks")
    }

    fn build(&self, package: &str, toolchain: Toolchain, args: &[&str], flags: &[String]) {
        let mut cargo = match toolchain {
            Toolchain::This => self.home.command(env!("CARGO")),
            Toolchain::Nightly => {
                let mut rustup: Command = self.home.command("rustup");
                rustup
                    .args(["run", "nightly", "cargo"])
                    .env_remove("RUSTUP_TOOLCHAIN");
                rustup
            }
        };
        let command = if flags.is_empty() { "build" } else { "rustc" };
        cargo.args([
            command,
            "--quiet",
            "--offline",
            "-p",
            package,
            "--target-dir",
        ]);
        cargo
            .arg(self.root.join("target"))
            .args(args)
            .current_dir(&self.root);
        let built = scratch().join(format!("judged-{toolchain:?}"));
        cargo.env("CARGO_BUILD_BUILD_DIR", built);
        cargo.env_remove("RUSTC").env_remove("RUSTFLAGS");
        if !flags.is_empty() {
            cargo.arg("--").args(flags);
        }
        run(&mut cargo);
    }

    fn write(&self, name: &str, version: &str, more: &str, needs: &str, source: &str) {
        let folder = self.root.join(name);
        fs::create_dir_all(folder.join("src")).expect("a folder");
        let mut manifest = format!(
            "[package]\nname = {name:?}\nversion = {version:?}\nedition = \"2024\"\n{more}[dependencies]\n{needs}"
        );
        for (word, folder) in [
            ("ABI", "abi"),
            ("MACROS", "macros"),
            ("PLUGIN", "plugin"),
            ("CLIENT", ""),
        ] {
            let path = workspace().join("client-lib").join(folder);
            manifest = manifest.replace(
                &format!("path = {word}"),
                &format!("path = {:?}", path.display().to_string()),
            );
        }
        fs::write(folder.join("Cargo.toml"), manifest).expect("the manifest");
        fs::write(folder.join("src/lib.rs"), source).expect("the source");
    }
}

fn changed(source: &str, changes: &[(&str, &str)]) -> String {
    let mut source = source.to_owned();
    for (from, to) in changes {
        assert!(source.contains(from), "no {from:?} in\n{source}");
        source = source.replace(from, to);
    }
    source
}

impl Daemon<'_> {
    /// Waits for what becomes of version `number` of the plugin `judged`, which must be rejected at inspect with these
    /// words.
    ///
    /// # Panics
    ///
    /// If it is published, or if a word is missing.
    pub fn expect_rejected(&self, number: u64, words: &[&str]) -> String {
        let event = self.decided(number);
        let reason = event.reason.unwrap_or_default();
        assert_eq!(event.event, Kind::Rejected, "{words:?}");
        assert_eq!(event.stage, Some(Stage::Inspect), "{reason}");
        for word in words {
            assert!(reason.contains(word), "no {word:?} in {reason:?}");
        }
        reason
    }

    /// Waits for what becomes of version `number` of the plugin `judged`.
    pub fn decided(&self, number: u64) -> Event {
        let decides = |event: &Event| matches!(event.event, Kind::Published | Kind::Rejected);
        let seen = self.wait(&format!("judged v{number} is decided"), |event| {
            decides(event) && event.version == Some(number)
        });
        seen.line
    }
}
