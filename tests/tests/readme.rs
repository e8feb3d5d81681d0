//! The README's commands work as they stand: each of them, but for the test command itself, is run literally in a copy
//! of the repository in an empty folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use plugind_tests::{Home, Signal, within};
use rustix::process::{Pid, kill_process};

/// What runs in the background may have to build first.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn every_command_of_the_readme_works_in_an_empty_folder() {
    let mut home = Home::new();
    let install = home.path().join("installed");
    let path = std::env::var("PATH").expect("a search path");
    home.set_env("CARGO_INSTALL_ROOT", &install);
    home.set_env("PATH", format!("{}/bin:{path}", install.display()));
    let repository = copy_of_the_repository(&home.work().join("plugind"));
    let readme = fs::read_to_string(repository.join("README.md")).expect("the README");

    let mut shell = Shell {
        home: &home,
        here: repository,
        background: Vec::new(),
    };
    let mut ran = 0;
    for block in shell_blocks(&readme) {
        let block = block.replace("cargo test --workspace\n", "");
        shell.run(&block);
        ran += block.lines().count();
        if block.contains("cargo run -p host") {
            let lines = block.lines().count();
            assert!(lines <= 60, "one's own three crates take {lines} lines");
            shell.wait_for_output("-p host", "3 from counter v1");
        }
        if block.contains("+= 10") {
            let counted = counted(&shell.wait_for_output("-p host", "from counter v2"));
            let first = counted.iter().position(|(_, version)| *version == 2);
            let first = first.expect("as waited for");
            assert_eq!(
                counted[first].0,
                counted[first - 1].0 + 10,
                "the state goes on"
            );
        }
        if block.contains("--watch") {
            shell.wait_for_output("--watch", "42\thello v1\t");
        }
        if block.contains("s/42/43/") {
            shell.wait_for_output("--watch", "43\thello v2\t");
            let events = shell.wait_for_output("plugind watch", "v2");
            assert!(events.contains("published"), "{events}");
        }
    }
    assert!(ran > 15, "only {ran} lines of the README were run");
    let daemon = shell.end("plugind watch");
    assert_eq!(daemon, Some(0), "`plugind stop` ends the daemon with 0");
}

/// Runs blocks one after the other; a directory that one changes into is the next one's.
struct Shell<'a> {
    home: &'a Home,
    here: PathBuf,
    background: Vec<Background>,
}

/// A command that does not end by itself.
struct Background {
    command: String,
    child: Child,
    output: PathBuf,
}

impl Shell<'_> {
    fn run(&mut self, block: &str) {
        let (foreground, background) = match block.trim_end().rsplit_once('\n') {
            _ if !runs_on(block.trim_end()) => (block.to_owned(), None),
            Some((before, last)) => (format!("{before}\n"), Some(last)),
            None => (String::new(), Some(block.trim_end())),
        };
        let cwd = self.home.path().join("cwd");
        let script = format!("set -eu\n{foreground}pwd > {}\n", cwd.display());
        let output = self.command(&script).output().expect("sh starts");
        assert!(
            output.status.success(),
            "the README says:\n{block}\nwhich gave {}:\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        self.here = fs::read_to_string(&cwd)
            .expect("where it ended")
            .trim_end()
            .into();
        if let Some(command) = background {
            self.start(command);
        }
    }

    fn start(&mut self, command: &str) {
        let output = self
            .home
            .path()
            .join(format!("output-{}", self.background.len()));
        let file = File::create(&output).expect("a file for the output");
        let child = self
            .command(&format!("exec {command}"))
            .stderr(file.try_clone().expect("the file"))
            .stdout(file)
            .spawn()
            .expect("sh starts");
        self.background.push(Background {
            command: command.to_owned(),
            child,
            output,
        });
        if command == "plugind watch" {
            self.wait_for_output(command, "watching");
        }
    }

    fn command(&self, script: &str) -> Command {
        let mut command = self.home.command("sh");
        command
            .args(["-c", script])
            .current_dir(&self.here)
            .env_remove("CARGO_TARGET_DIR")
            .stdin(Stdio::null());
        command
    }

    fn wait_for_output(&self, command: &str, wanted: &str) -> String {
        let process = self
            .background
            .iter()
            .find(|process| process.command.contains(command))
            .unwrap_or_else(|| panic!("nothing runs {command}"));
        within(PATIENCE, || {
            let output = fs::read_to_string(&process.output).unwrap_or_default();
            match output.contains(wanted) {
                true => Ok(output),
                false => Err(format!("`{command}` has not printed {wanted:?}:\n{output}")),
            }
        })
    }

    /// Waits for a background command to end by itself.
    fn end(&mut self, command: &str) -> Option<i32> {
        let process = self
            .background
            .iter_mut()
            .find(|process| process.command.contains(command))?;
        process.child.wait().ok()?.code()
    }
}

impl Drop for Shell<'_> {
    fn drop(&mut self) {
        for process in &mut self.background {
            if let Ok(None) = process.child.try_wait() {
                let _ = kill_process(Pid::from_child(&process.child), Signal::TERM);
                let _ = process.child.wait();
            }
        }
    }
}

fn runs_on(block: &str) -> bool {
    let last = block.lines().last().unwrap_or_default();
    ["plugind watch", "cargo run -p host"].contains(&last) || last.ends_with("--watch")
}

/// What the host printed: the count and the version.
fn counted(output: &str) -> Vec<(u32, u64)> {
    let lines = output.lines().filter_map(|line| {
        let (count, version) = line.split_once(" from counter v")?;
        Some((count.parse().ok()?, version.parse().ok()?))
    });
    lines.collect()
}

fn shell_blocks(readme: &str) -> Vec<String> {
    readme
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("```")?.0.to_owned()))
        .collect()
}

/// Every file that belongs to the repository, as it is now.
fn copy_of_the_repository(to: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the repository");
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .expect("git lists the files");
    assert!(listed.status.success(), "this is no git checkout");
    let names = String::from_utf8(listed.stdout).expect("file names");
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        let from = root.join(name);
        if from.is_file() {
            let to = to.join(name);
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            fs::copy(&from, &to).expect("a copy");
        }
    }
    to.to_owned()
}
