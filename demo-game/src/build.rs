//! Builds the plugins: at the start, and whenever one of their sources is saved.

use std::collections::BTreeMap;
use std::env::{self, consts::DLL_PREFIX, consts::DLL_SUFFIX};
use std::fs;
use std::io::{BufRead, BufReader, IsTerminal};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use plugind_client::{Client, ClientEvent};

/// How often the times of a handful of source files are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Where the plugins are built, and how the last build went.
pub(crate) struct Build {
    folder: PathBuf,
    /// The library of the rules.
    artifact: PathBuf,
    last: Arc<Mutex<Last>>,
}

#[derive(Default)]
struct Last {
    /// Why it failed.
    problem: Option<String>,
    /// When the source was saved that it was started for.
    saved: Option<SystemTime>,
}

/// What to build, and how: as this program was built.
struct Recipe {
    manifest: PathBuf,
    folder: PathBuf,
    lane: PathBuf,
    profile: String,
    sources: [PathBuf; 3],
}

impl Build {
    /// Builds the plugins, unless that is left to the user, and goes on watching their sources.
    pub(crate) fn start(by_hand: bool) -> Result<Self> {
        let recipe = Recipe::new()?;
        let build = Self {
            folder: recipe.folder.clone(),
            artifact: recipe
                .lane
                .join(format!("{DLL_PREFIX}breakout{DLL_SUFFIX}")),
            last: Arc::default(),
        };
        if by_hand {
            return Ok(build);
        }
        eprintln!("demo-game: building the plugins");
        // Taken before the build, so that what is saved while it runs is built next.
        let seen = recipe.times();
        if let Some(problem) = recipe.run()? {
            eprintln!(
                "demo-game: the plugins do not build ({problem}); the last good versions play, if there are any"
            );
            lock(&build.last).problem = Some(problem);
        }
        let shared = Arc::clone(&build.last);
        thread::Builder::new()
            .name("build".to_owned())
            .spawn(move || watch(&recipe, seen, &shared))?;
        Ok(build)
    }

    /// A client of the plugins that are built here.
    pub(crate) fn client(&self) -> Result<Client> {
        let client = Client::watch(&self.folder)?;
        let events = client.events();
        thread::Builder::new()
            .name("waiting".to_owned())
            .spawn(move || {
                let waits = |event: &ClientEvent| matches!(event, ClientEvent::Waiting { .. });
                for event in events.iter().filter(waits) {
                    eprintln!("demo-game: {event}");
                }
            })?;
        Ok(client)
    }

    /// The first line of the compiler's error, until it is mended.
    pub(crate) fn problem(&self) -> Option<String> {
        lock(&self.last).problem.clone()
    }

    /// How long ago the library of the rules was finished: when cargo linked the compiler's output to its place, which
    /// the file's change time tells.
    pub(crate) fn since_finished(&self) -> Option<Duration> {
        let file = fs::metadata(&self.artifact).ok()?;
        let since_epoch = Duration::new(
            file.ctime().try_into().ok()?,
            file.ctime_nsec().try_into().ok()?,
        );
        (UNIX_EPOCH + since_epoch).elapsed().ok()
    }

    /// How long ago the source was saved that this program built last; told once.
    pub(crate) fn since_saved(&self) -> Option<Duration> {
        lock(&self.last).saved.take()?.elapsed().ok()
    }
}

fn lock(last: &Mutex<Last>) -> MutexGuard<'_, Last> {
    last.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch(recipe: &Recipe, mut seen: BTreeMap<PathBuf, SystemTime>, last: &Mutex<Last>) {
    loop {
        thread::sleep(LOOK);
        let now = recipe.times();
        if now == seen {
            continue;
        }
        seen = now;
        lock(last).saved = seen.values().max().copied();
        let problem = recipe.run().unwrap_or_else(|error| Some(error.to_string()));
        lock(last).problem = problem;
    }
}

impl Recipe {
    /// This program lies in `<folder>/<profile>`, and its sources are where it was built.
    fn new() -> Result<Self> {
        let program = env::current_exe().context("cannot tell where this program lies")?;
        let lane = program.parent().context("this program lies nowhere")?;
        let folder = lane.parent().context("this program lies nowhere")?;
        let profile = match lane.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(profile) => profile,
        };
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        Ok(Self {
            manifest: own.join("Cargo.toml"),
            folder: folder.to_owned(),
            lane: lane.to_owned(),
            profile: profile.to_owned(),
            sources: ["logic", "effects", "api"].map(|plugin| own.join(plugin)),
        })
    }

    /// Runs cargo, its messages passed through; the first line of an error if there is one.
    fn run(&self) -> Result<Option<String>> {
        ensure!(
            self.manifest.exists(),
            "the game's sources are not at {} any more; play with --no-build",
            self.manifest.display()
        );
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut child = Command::new(cargo)
            .args([
                "build",
                "--quiet",
                if std::io::stderr().is_terminal() {
                    "--color=always"
                } else {
                    "--color=never"
                },
                "--profile",
                &self.profile,
                "--package=breakout",
                "--package=sparks",
                "--manifest-path",
            ])
            .arg(&self.manifest)
            .arg("--target-dir")
            .arg(&self.folder)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run cargo; play with --no-build")?;
        let mut first = None;
        for line in BufReader::new(child.stderr.take().context("cargo's messages")?).lines() {
            let line = line?;
            eprintln!("{line}");
            let plain = without_colours(&line);
            if first.is_none() && plain.starts_with("error") {
                first = Some(plain);
            }
        }
        let status = child.wait()?;
        Ok((!status.success()).then(|| first.unwrap_or_else(|| format!("cargo: {status}"))))
    }

    /// When each source was written last.
    fn times(&self) -> BTreeMap<PathBuf, SystemTime> {
        let files = self.sources.iter().flat_map(|dir| {
            let own = [dir.join("Cargo.toml")];
            let sources = fs::read_dir(dir.join("src"))
                .into_iter()
                .flatten()
                .flatten();
            own.into_iter().chain(sources.map(|entry| entry.path()))
        });
        files
            .filter_map(|path| {
                let modified = fs::metadata(&path).ok()?.modified().ok()?;
                Some((path, modified))
            })
            .collect()
    }
}

/// Without the escapes with which cargo colours its messages.
fn without_colours(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain + rest
}
