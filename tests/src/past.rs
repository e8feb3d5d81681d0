//! A folder with a plugin whose history is looked at.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use plugind_wire::history::{Entry, Outcome};

use crate::{Daemon, Home, answers, cc, cc_plugin, replace};

/// The folder, in a home of its own.
pub struct Past {
    /// Where everything is.
    pub home: Home,
    /// What is watched.
    pub folder: PathBuf,
}

impl Past {
    /// An empty folder.
    #[expect(clippy::new_without_default, reason = "it makes directories")]
    pub fn new() -> Self {
        let home = Home::new();
        let folder = home.work().join("plugins");
        fs::create_dir(&folder).expect("the folder to watch");
        Self { home, folder }
    }

    /// A build of plugin `x` that answers `n`.
    pub fn build(&self, n: i64) -> PathBuf {
        cc_plugin(&self.home.build().join(n.to_string()), "x", &answers(n, 0))
    }

    /// Builds it and puts it into the folder.
    pub fn deliver(&self, n: i64) {
        replace(&self.build(n), &self.folder.join("libx.so"));
    }

    /// A build that has `code` in its constructor and needs what `code` names.
    pub fn deliver_with(&self, n: i64, code: &str) {
        let image = self.home.build().join(n.to_string()).join("libx.so");
        let source = answers(n, 0);
        let source = format!(
            "#include <stdlib.h>\n#include <unistd.h>\nextern void nowhere(void);\n{source}\
             __attribute__((constructor)) static void constructed(void) {{ {code} }}\n"
        );
        cc(&image, &source, &[]);
        replace(&image, &self.folder.join("libx.so"));
    }

    /// `plugind watch` on the folder.
    pub fn watch(&self, args: &[&str]) -> Daemon<'_> {
        Daemon::watch(&self.home, &self.folder, args)
    }

    /// `plugind history` with `args`.
    pub fn command(&self, args: &[&str]) -> Command {
        self.home.plugind([&["history"], args].concat())
    }

    /// All that `plugind history --json` lists.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn history(&self) -> Vec<Entry> {
        self.listed(&["--json"])
    }

    /// What `plugind history` with `args` lists, which must make it print JSON.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn listed(&self, args: &[&str]) -> Vec<Entry> {
        let output = self.command(args).output().expect("plugind starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "plugind history: {stderr}");
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("an entry"))
            .collect()
    }

    /// The file in which the daemon keeps it.
    ///
    /// # Panics
    ///
    /// If there is none, or more than one.
    pub fn file(&self) -> PathBuf {
        let states = fs::read_dir(self.home.state()).expect("the state directory");
        let states: Vec<_> = states
            .map(|entry| entry.expect("an entry").path())
            .collect();
        let [state] = &states[..] else {
            panic!("not one state: {states:?}");
        };
        state.join("history.jsonl")
    }

    /// Puts bytes at the end of that file.
    pub fn append(&self, bytes: &[u8]) {
        let file = File::options().append(true).open(self.file());
        file.and_then(|mut file| file.write_all(bytes))
            .expect("the history's file");
    }
}

/// Number and outcome of entries about versions.
pub fn outcomes(entries: &[Entry]) -> Vec<(u64, Outcome)> {
    let numbered = entries
        .iter()
        .filter_map(|entry| Some((entry.version?, entry.outcome)));
    numbered.collect()
}
