//! The demo game follows the build of its plugin while it is played: what a new version looks like is seen from its
//! first frame, the state goes on, and nothing that a version does wrong ends the game.
//!
//! The host is the real one; the plugin is built from a copy of the game's sources, which the tests edit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use plugind_tests::{DEADLINE, Home, Signal, demo_game, need, run, scratch, until, workspace};
use plugind_wire::event::Stage;
use plugind_wire::probe::Probe;
use plugind_wire::status::Outcome;
use rustix::process::{Pid, kill_process};

/// What the host prints of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    frame: u64,
    hash: String,
    score: u32,
    version: u64,
}

/// A copy of the plugin's sources, and the host beside what is built of them.
struct Game {
    home: Home,
    sources: PathBuf,
    target: PathBuf,
}

impl Game {
    fn new() -> Self {
        let home = Home::new();
        let (sources, target) = (home.work().join("logic"), home.work().join("target"));
        fs::create_dir_all(sources.join("src")).expect("a folder");
        fs::create_dir_all(target.join("debug")).expect("a folder");
        let original = workspace().join("demo-game/logic");
        fs::copy(original.join("src/lib.rs"), sources.join("src/lib.rs")).expect("the source");
        fs::write(sources.join("Cargo.toml"), manifest("logic")).expect("the manifest");
        // The host follows the lane it lies in. By another process: see the suite of bad places.
        run(Command::new("cp")
            .arg(demo_game())
            .arg(target.join("debug/demo-game")));
        Self {
            home,
            sources,
            target,
        }
    }

    /// Replaces a text of the plugin's source, which must be there.
    fn edit(&self, from: &str, to: &str) {
        let path = self.sources.join("src/lib.rs");
        let source = fs::read_to_string(&path).expect("the source");
        assert!(source.contains(from), "no {from:?} in the source");
        fs::write(path, source.replace(from, to)).expect("the source");
    }

    /// Builds the effects, which the game knows nothing of until then.
    fn build_effects(&self) {
        let sources = self.home.work().join("effects");
        fs::create_dir_all(sources.join("src")).expect("a folder");
        let original = workspace().join("demo-game/effects/src/lib.rs");
        fs::copy(original, sources.join("src/lib.rs")).expect("the source");
        fs::write(sources.join("Cargo.toml"), manifest("effects")).expect("the manifest");
        self.build_in(&sources);
    }

    fn build(&self) {
        self.build_in(&self.sources);
    }

    fn build_in(&self, sources: &Path) {
        let mut cargo = self.home.command(env!("CARGO"));
        cargo
            .args(["build", "--quiet", "--offline", "--target-dir"])
            .arg(&self.target)
            .current_dir(sources);
        run(&mut cargo);
    }

    fn host(&self, args: &[&str]) -> Command {
        let mut host = self.home.command(self.target.join("debug/demo-game"));
        host.args(["--headless", "--no-build"]).args(args);
        host
    }

    /// Plays `frames` frames at once.
    fn play(&self, frames: u64) -> Vec<Line> {
        lines(&run(&mut self.host(&[
            "--fast",
            "--frames",
            &frames.to_string(),
        ])))
    }

    /// Plays in the background until the end of the test.
    fn start(&self) -> Playing {
        self.start_with(|host| host)
    }

    /// The same, with changes to the host's command.
    fn start_with(&self, change: impl FnOnce(&mut Command) -> &mut Command) -> Playing {
        let (output, errors) = (
            self.home.path().join("frames"),
            self.home.path().join("errors"),
        );
        let child = change(&mut self.host(&["--frames", "100000"]))
            .stdin(Stdio::null())
            .stdout(fs::File::create(&output).expect("a file"))
            .stderr(fs::File::create(&errors).expect("a file"))
            .spawn()
            .expect("the host starts");
        Playing {
            child,
            output,
            errors,
        }
    }
}

/// A plugin's manifest, as it is but for the paths.
fn manifest(plugin: &str) -> String {
    let root = workspace();
    let manifest = root.join("demo-game").join(plugin).join("Cargo.toml");
    let text = fs::read_to_string(manifest).expect("the manifest");
    let path = |to: &str| format!("{{ path = {:?} }}", root.join(to).display().to_string());
    let mut manifest = text.replace("{ path = \"../api\" }", &path("demo-game/api"));
    for (name, folder) in [("abi", "abi"), ("macros", "macros"), ("plugin", "plugin")] {
        manifest = manifest.replace(
            &format!("plugind-{name}.workspace = true"),
            &format!("plugind-{name} = {}", path(&format!("client-lib/{folder}"))),
        );
    }
    manifest + "\n[workspace]\n"
}

struct Playing {
    child: std::process::Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Playing {
    fn lines(&self) -> Vec<Line> {
        let text = fs::read_to_string(&self.output).unwrap_or_default();
        // The last line may be half written.
        lines(text.rsplit_once('\n').map_or("", |(whole, _)| whole))
    }

    /// The first frame of a version.
    fn first_of(&self, version: u64) -> Line {
        self.wait(&format!("a frame of v{version}"), || {
            self.lines()
                .into_iter()
                .find(|line| line.version == version)
        })
    }

    /// Waits for a sentence on the host's stderr.
    fn says(&self, words: &[&str]) -> String {
        self.wait(&format!("a sentence with {words:?}"), || {
            let said = fs::read_to_string(&self.errors).unwrap_or_default();
            let line = said
                .lines()
                .find(|line| words.iter().all(|word| line.contains(word)));
            line.map(str::to_owned)
        })
    }

    /// Waits for a frame after all that there are.
    fn goes_on(&mut self) {
        let last = self.lines().last().map_or(0, |line| line.frame);
        self.wait("another frame", || {
            self.lines().into_iter().find(|line| line.frame > last + 1)
        });
        assert!(matches!(self.child.try_wait(), Ok(None)), "the host lives");
    }

    fn wait<T>(&self, what: &str, mut state: impl FnMut() -> Option<T>) -> T {
        let started = Instant::now();
        until(what, || {
            let found = state();
            assert!(
                found.is_some() || started.elapsed() < DEADLINE / 2,
                "{what}: the host said\n{}\nand played {:?}",
                fs::read_to_string(&self.errors).unwrap_or_default(),
                self.lines().last()
            );
            found
        })
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn lines(text: &str) -> Vec<Line> {
    text.lines()
        .map(|line| {
            let parts: Vec<_> = line.split(' ').collect();
            let [frame, hash, score, version] = parts.as_slice() else {
                panic!("no frame: {line}");
            };
            Line {
                frame: frame.parse().expect("a frame's number"),
                hash: (*hash).to_owned(),
                score: score.parse().expect("a score"),
                version: version.trim_start_matches('v').parse().expect("a version"),
            }
        })
        .collect()
}

fn pictures(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.hash.as_str()).collect()
}

/// Every frame, one after the other, no score lost.
fn assert_unbroken(lines: &[Line]) {
    for (index, pair) in lines.windows(2).enumerate() {
        assert_eq!(pair[0].frame, index as u64 + 1, "every frame is played");
        assert!(pair[1].score >= pair[0].score, "the score drops: {pair:?}");
        assert!(
            pair[1].version >= pair[0].version,
            "a version goes back: {pair:?}"
        );
    }
}

#[test]
fn a_changed_colour_is_seen_from_its_first_frame_on() {
    let game = Game::new();
    game.build();
    let plain = game.play(100);
    assert_eq!(
        pictures(&plain),
        pictures(&game.play(100)),
        "the same seed, the same game"
    );

    let playing = game.start();
    playing.wait("some frames", || (playing.lines().len() > 30).then_some(()));
    game.edit(
        "BACKGROUND: u32 = 0x0010_1018",
        "BACKGROUND: u32 = 0x0018_1010",
    );
    game.build();
    let first = playing.first_of(2);
    playing.wait("more frames", || {
        (playing.lines().len() as u64 > first.frame + 30).then_some(())
    });
    playing.says(&[
        "breakout v2 took over from v1",
        &format!("frame {}", first.frame),
    ]);

    let played = playing.lines();
    drop(playing);
    game.edit(
        "BACKGROUND: u32 = 0x0018_1010",
        "BACKGROUND: u32 = 0x0010_1018",
    );
    game.build();
    let plain = game.play(played.len() as u64);
    assert_unbroken(&played);
    let (before, after) = played.split_at(first.frame as usize - 1);
    assert_eq!(pictures(before), pictures(&plain[..before.len()]));
    for (line, same_frame) in after.iter().zip(&plain[before.len()..]) {
        assert_ne!(
            line.hash, same_frame.hash,
            "frame {} looks as before",
            line.frame
        );
        assert_eq!(
            line.score, same_frame.score,
            "the game went on where it was"
        );
    }
}

#[test]
fn rebuilds_that_change_no_behaviour_change_no_picture() {
    let game = Game::new();
    game.build();
    let playing = game.start();
    playing.first_of(1);
    for round in 1..=100 {
        // Another name in the debug information, the same game.
        let (from, to) = (
            format!("// round {}\n", round - 1),
            format!("// round {round}\n"),
        );
        if round == 1 {
            game.edit("impl World {\n", &format!("{to}impl World {{\n"));
        } else {
            game.edit(&from, &format!("{to}\n"));
        }
        game.edit("fn move_ball", &format!("fn move_ball_{round}"));
        game.edit("world.move_ball", &format!("world.move_ball_{round}"));
        game.build();
        playing.first_of(round + 1);
        game.edit(&format!("fn move_ball_{round}"), "fn move_ball");
        game.edit(&format!("world.move_ball_{round}"), "world.move_ball");
    }
    let played = playing.lines();
    drop(playing);
    assert_unbroken(&played);
    let plain = game.play(played.len() as u64);
    assert_eq!(pictures(&played), pictures(&plain));
}

#[test]
fn a_state_that_cannot_be_carried_keeps_the_old_version_and_says_so() {
    let game = Game::new();
    game.build();
    let mut playing = game.start();
    playing.first_of(1);
    game.edit("    score: u32,\n}", "    score: u32,\n    lives: u8,\n}");
    game.edit(
        "            score: 0,\n",
        "            score: 0,\n            lives: 3,\n",
    );
    game.build();
    playing.says(&[
        "breakout v2 is not used",
        "state",
        "field `lives: u8` was added to `World`",
        "after `score`",
    ]);
    playing.goes_on();
    // The engine knows: acknowledged is what runs, and the refusal.
    let used = playing.wait("the refusal in the status", || {
        let status = game.home.status(playing.child.id());
        let client = status.clients.into_iter().next()?;
        let used = client.plugins.into_iter().next()?;
        used.refused.is_some().then_some(used)
    });
    assert_eq!((used.live, used.drained), (Some(1), true));
    assert_eq!(used.refused.expect("it was refused").version.number, 2);

    // Undone, with another look, so that it is a version of its own.
    game.edit("    score: u32,\n    lives: u8,\n}", "    score: u32,\n}");
    game.edit(
        "            score: 0,\n            lives: 3,\n",
        "            score: 0,\n",
    );
    game.edit("BALL_SIZE: f32 = 6.0", "BALL_SIZE: f32 = 7.0");
    game.build();
    playing.first_of(3);
    let played = playing.lines();
    assert_unbroken(&played);
    assert!(
        played.iter().all(|line| line.version != 2),
        "v2 never played"
    );
}

#[test]
fn a_panic_ends_a_call_and_not_the_game() {
    let game = Game::new();
    game.build();
    let mut playing = game.start();
    playing.first_of(1);
    game.edit(
        "world.move_ball();",
        "if world.paddle >= 0.0 { panic!(\"out of luck at {}\", world.score) }",
    );
    game.build();
    playing.says(&[
        "breakout v2 panicked in `update`",
        "out of luck at ",
        "lib.rs:",
    ]);
    playing.goes_on();
    game.edit(
        "if world.paddle >= 0.0 { panic!(\"out of luck at {}\", world.score) }",
        "world.move_ball();",
    );
    game.edit("BALL_SIZE: f32 = 6.0", "BALL_SIZE: f32 = 7.0");
    game.build();
    playing.first_of(3);
    assert_unbroken(&playing.lines());
}

#[test]
fn effects_join_a_running_game() {
    let game = Game::new();
    game.build();
    let playing = game.start();
    playing.wait("some frames", || (playing.lines().len() > 10).then_some(()));
    game.build_effects();
    playing.says(&["sparks v1 joined at frame "]);
    // Once a brick breaks there is more to see than without them, and nothing else is different.
    let score = playing.lines().last().map_or(0, |line| line.score);
    playing.wait("a broken brick", || {
        playing.lines().into_iter().find(|line| line.score > score)
    });
    playing.wait("some frames after it", || {
        let lines = playing.lines();
        let broken = lines.iter().position(|line| line.score > score)?;
        (lines.len() > broken + 10).then_some(())
    });
    let played = playing.lines();
    drop(playing);
    fs::remove_file(game.target.join("debug/libsparks.so")).expect("what was built");
    let plain = game.play(played.len() as u64);
    assert_unbroken(&played);
    let broken = played
        .iter()
        .position(|line| line.score > score)
        .expect("as waited for");
    assert_ne!(pictures(&played[broken..]), pictures(&plain[broken..]));
    let scores = |lines: &[Line]| -> Vec<_> { lines.iter().map(|line| line.score).collect() };
    assert_eq!(scores(&played), scores(&plain));
}

#[test]
fn a_game_with_its_plugins_linked_in_plays_the_same_and_can_open_nothing() {
    if !need("nm") {
        return;
    }
    let target = scratch().join("linked");
    let game = Game::new();
    let mut cargo = game.home.command(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--offline", "--package=demo-game"])
        .args(["--no-default-features", "--features=static", "--target-dir"])
        .arg(&target)
        .current_dir(workspace());
    run(&mut cargo);
    let linked = target.join("debug/demo-game");
    let mut host = game.home.command(&linked);
    let plays = run(host.args(["--headless", "--fast", "--frames", "600"]));

    game.build();
    game.build_effects();
    // At its own pace, so that the effects, which join as soon as they are open, are there before a brick breaks.
    let plain = lines(&run(&mut game.host(&["--frames", "600"])));
    assert!(plain.last().is_some_and(|line| line.score > 0), "{plain:?}");
    assert_eq!(pictures(&lines(&plays)), pictures(&plain));

    let mut nm = game.home.command("nm");
    let symbols = run(nm.arg(&linked));
    assert!(
        symbols.contains("plugind_registry"),
        "nm lists what is there"
    );
    let needs: Vec<_> = symbols
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("U "))
        .map(|name| name.split('@').next().unwrap_or_default())
        .collect();
    for name in [
        "dlopen",
        "dlsym",
        "inotify_init1",
        "socket",
        "bind",
        "listen",
        "connect",
    ] {
        assert!(!needs.contains(&name), "it needs {name}");
    }
}

/// As a fresh clone has it: no daemon, no `plugind` anywhere.
#[test]
fn a_constructor_that_crashes_does_so_elsewhere() {
    let game = Game::new();
    game.build();
    let mut playing = game.start_with(|host| host.env("PATH", "/nowhere"));
    playing.first_of(1);
    let newest = || {
        let status = game.home.status(playing.child.id());
        let breakout = status
            .plugins
            .into_iter()
            .find(|plugin| plugin.plugin == "breakout");
        breakout
            .and_then(|mut plugin| plugin.versions.pop())
            .expect("a version")
    };
    let first = newest();
    assert_eq!(
        first.probe,
        Probe::Passed,
        "the game is its own probe: {first:?}"
    );

    let path = game.sources.join("src/lib.rs");
    let good = fs::read_to_string(&path).expect("the source");
    game.edit("#![forbid(unsafe_code)]", "");
    let source = fs::read_to_string(&path).expect("the source");
    let constructor = "extern \"C\" fn null() { unsafe { std::ptr::null_mut::<u8>().write_volatile(1) } }\n\
         #[used]\n#[unsafe(link_section = \".init_array\")]\nstatic NULL: extern \"C\" fn() = null;\n";
    fs::write(&path, source + constructor).expect("the source");
    game.build();
    let second = playing.wait("the second version is turned down", || {
        let version = newest();
        (version.outcome == Outcome::Rejected).then_some(version)
    });
    assert_eq!((second.version, second.stage), (2, Some(Stage::Probe)));
    playing.says(&["breakout v2 is not used: rejected at probe: ", "SIGSEGV"]);
    playing.goes_on();
    assert_eq!(playing.lines().last().expect("a frame").version, 1);

    // What was wrong is taken back when the old source is.
    fs::write(&path, &good).expect("the source");
    game.build();
    playing.says(&["breakout v1 is what is built again"]);
    game.edit(
        "BACKGROUND: u32 = 0x0010_1018",
        "BACKGROUND: u32 = 0x0018_1010",
    );
    game.build();
    playing.first_of(3);
    assert_unbroken(&playing.lines());
}
