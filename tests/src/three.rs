//! A program in three crates, as the README makes one: contract, plugin, host, in a workspace of their own.

use std::fs;
use std::path::PathBuf;
use std::process::{self, Command};

use crate::cargo::{cargo, messages};
use crate::{Home, Process, scratch, workspace};

const CONTRACT: &str = "
#[plugind_macros::contract]
pub trait Counter {
    type State;
    fn start() -> Self::State;
    fn count(state: &mut Self::State) -> u32;
}
";

const COUNTER: &str = "
struct Plain;

#[plugind_macros::plugin]
impl contract::Counter for Plain {
    type State = u32;
    fn start() -> u32 {
        0
    }
    fn count(state: &mut u32) -> u32 {
        *state += 1;
        *state
    }
}
";

/// Prints a line per frame: its own build, the version, the count.
const HOST: &str = "
const BUILD: u32 = 0;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = plugind_client::Client::watch(\"target\")?;
    let mut counter = client.start::<dyn contract::Counter>(\"counter\")?;
    loop {
        let [outcome] = client.sync([&mut counter]);
        if outcome != plugind_client::Outcome::UpToDate {
            eprintln!(\"{outcome}\");
        }
        let count = counter.count()?;
        println!(\"[{BUILD},{},{count}]\", counter.version().number);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
";

/// The crates, in a home of their own.
pub struct ThreeCrates<'h> {
    home: &'h Home,
    root: PathBuf,
}

/// A frame of the host: its build, the version of the plugin, the count.
pub type CountedFrame = (u32, u64, u32);

impl<'h> ThreeCrates<'h> {
    /// Writes them; the host is build 0 and the plugin counts by one.
    pub fn new(home: &'h Home) -> Self {
        let root = home.work().join("three");
        let crates = Self { home, root };
        crates.write("contract", CONTRACT, &["abi", "macros"], "", "");
        let cdylib = "[lib]\ncrate-type = [\"cdylib\"]\n";
        let sdk = ["abi", "macros", "plugin"];
        let contract = "contract = { path = \"../contract\" }\n";
        crates.write("counter", COUNTER, &sdk, contract, cdylib);
        crates.write("host", HOST, &["client"], contract, "");
        let members =
            "[workspace]\nresolver = \"3\"\nmembers = [\"contract\", \"counter\", \"host\"]\n";
        fs::write(crates.root.join("Cargo.toml"), members).expect("the manifest");
        // Of what is needed, the versions that are there.
        let lock = workspace().join("Cargo.lock");
        fs::copy(lock, crates.root.join("Cargo.lock")).expect("the versions");
        crates
    }

    /// Edits the host.
    pub fn set_build(&self, build: u32) {
        let source = HOST.replace("u32 = 0", &format!("u32 = {build}"));
        fs::write(self.root.join("host/src/main.rs"), source).expect("the source");
    }

    /// Edits the plugin.
    pub fn set_step(&self, step: u32) {
        let source = COUNTER.replace("+= 1", &format!("+= {step}"));
        fs::write(self.root.join("counter/src/lib.rs"), source).expect("the source");
    }

    /// `cargo build` with `args`. Gives, of all that the build consists of, what it compiled, and how much it found fresh.
    pub fn build(&self, args: &[&str]) -> (Vec<String>, usize) {
        let mut command = cargo("build");
        command
            .current_dir(&self.root)
            .args(["--offline", "--target-dir"])
            .arg(self.root.join("target"))
            .env("CARGO_BUILD_BUILD_DIR", scratch().join("three"))
            .args(args);
        let messages = messages(command);
        let artifacts = messages
            .iter()
            .filter(|message| message["reason"] == "compiler-artifact");
        let (fresh, compiled): (Vec<_>, Vec<_>) =
            artifacts.partition(|message| message["fresh"] == true);
        let name = |message: &&serde_json::Value| {
            let name = message["target"]["name"].as_str();
            name.expect("a target has a name").to_owned()
        };
        (compiled.iter().map(name).collect(), fresh.len())
    }

    /// Starts the host, as it was built last.
    pub fn start_host(&self) -> Process<CountedFrame> {
        let mut command: Command = self.home.command(self.root.join("target/debug/host"));
        command.current_dir(&self.root);
        Process::spawn(command)
    }

    fn write(&self, name: &str, source: &str, needs: &[&str], needed: &str, more: &str) {
        let folder = self.root.join(name);
        fs::create_dir_all(folder.join("src")).expect("a folder");
        // The version is what cargo tells these packages by from those of another test, where both are built.
        let mut manifest = format!(
            "[package]\nname = {name:?}\nversion = \"0.0.{}\"\nedition = \"2024\"\n{more}[dependencies]\n{needed}",
            process::id()
        );
        for need in needs {
            let path = workspace().join("client-lib");
            let path = if *need == "client" {
                path
            } else {
                path.join(need)
            };
            manifest += &format!("plugind-{need} = {{ path = {path:?} }}\n");
        }
        fs::write(folder.join("Cargo.toml"), manifest).expect("the manifest");
        let file = if name == "host" { "main.rs" } else { "lib.rs" };
        fs::write(folder.join("src").join(file), source).expect("the source");
    }
}
