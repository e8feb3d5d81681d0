//! The game in this program: the plugins' instances, the picture, and what to say about versions.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use demo_api::{Effect, Engine, EngineRef, Frame, Game, HEIGHT, Input, WIDTH};
use plugind_client::{Change, Client, Follow, Instance, Outcome};

#[cfg(not(feature = "static"))]
use crate::build::Build;
#[cfg(feature = "static")]
use crate::linked::Build;

/// Where bricks broke during one frame.
struct Broken(Vec<(f32, f32)>);

impl Engine for Broken {
    fn brick_broke(&mut self, x: f32, y: f32) {
        self.0.push((x, y));
    }
}

/// The plugin that is the game.
pub(crate) const GAME: &str = "breakout";

/// A running game.
pub(crate) struct Play {
    client: Client,
    game: Instance<dyn Game>,
    effects: Follow<dyn Effect>,
    build: Build,
    pixels: Vec<u32>,
    frame: u64,
    /// From the finished library to the first frame of its rules.
    took: Option<Duration>,
    /// What the plugin did wrong last, told once.
    fault: Option<String>,
}

impl Play {
    /// Follows the plugin and has it make a game.
    pub(crate) fn start(build: Build) -> Result<Self> {
        let client = build.client()?;
        let game = client
            .start::<dyn Game>(GAME)
            .context("the game cannot start")?;
        let effects = client.follow::<dyn Effect>()?;
        Ok(Self {
            client,
            game,
            effects,
            build,
            pixels: vec![0; WIDTH * HEIGHT],
            frame: 0,
            took: None,
            fault: None,
        })
    }

    /// What follows the plugins.
    #[cfg(all(feature = "window", not(feature = "static")))]
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// One frame: the newest version, then the rules, then the picture.
    pub(crate) fn step(&mut self, input: &Input) {
        self.frame += 1;
        let [game, effects] = self.client.sync([&mut self.game, &mut self.effects]);
        self.look_at_game(game);
        if let Outcome::Followed(changes) = effects {
            changes
                .into_iter()
                .for_each(|change| self.look_at_effect(change));
        }
        self.update(input);
        self.draw();
    }

    fn look_at_game(&mut self, outcome: Outcome) {
        match &outcome {
            Outcome::Swapped { from, to } if to.number < from.number => {
                self.took = None;
                self.fault = None;
                eprintln!(
                    "demo-game: {to} plays again instead of v{} at frame {}",
                    from.number, self.frame
                );
            }
            Outcome::Swapped { from, to } => {
                self.took = self.build.since_finished();
                self.fault = None;
                eprintln!(
                    "demo-game: {to} took over from v{} at frame {}{}{}",
                    from.number,
                    self.frame,
                    after(self.took, "its build"),
                    after(self.build.since_saved(), "the save")
                );
            }
            Outcome::Kept { version, reason } => {
                self.tell(format!("{version} is not used: {reason}"));
            }
            Outcome::Unchanged { .. } => self.is_mended(&outcome),
            _ => {}
        }
    }

    /// What was wrong is so no longer.
    fn is_mended(&mut self, what: &dyn fmt::Display) {
        self.fault = None;
        eprintln!("demo-game: {what}");
    }

    fn look_at_effect(&mut self, change: Change) {
        match &change {
            Change::Added { version } => {
                eprintln!("demo-game: {version} joined at frame {}", self.frame);
            }
            Change::Swapped { from, to } => {
                self.fault = None;
                eprintln!(
                    "demo-game: {to} took over from v{} at frame {}",
                    from.number, self.frame
                );
            }
            Change::Kept { version, reason } | Change::Refused { version, reason } => {
                self.tell(format!("{version} is not used: {reason}"));
            }
            Change::Unchanged { .. } | Change::Removed { .. } => self.is_mended(&change),
            _ => {}
        }
    }

    /// The rules. What they call reaches the effects.
    fn update(&mut self, input: &Input) {
        let mut broken = Broken(Vec::new());
        if let Err(fault) = self.game.update(input, &mut EngineRef::new(&mut broken)) {
            self.tell(fault.to_string());
        }
        for (x, y) in broken.0 {
            let effects = self.effects.iter_mut();
            let faults: Vec<_> = effects
                .filter_map(|(_, effect)| effect.brick_broke(x, y).err())
                .collect();
            faults
                .into_iter()
                .for_each(|fault| self.tell(fault.to_string()));
        }
    }

    /// The picture.
    fn draw(&mut self) {
        let mut frame = Frame {
            pixels: &mut self.pixels,
        };
        let mut faults = Vec::new();
        faults.extend(self.game.draw(&mut frame).err());
        for (_, effect) in self.effects.iter_mut() {
            faults.extend(effect.apply(&mut frame).err());
        }
        faults
            .into_iter()
            .for_each(|fault| self.tell(fault.to_string()));
    }

    fn tell(&mut self, what: String) {
        if self.fault.as_ref() != Some(&what) {
            eprintln!("demo-game: {what}");
            self.fault = Some(what);
        }
    }

    /// The picture: [`WIDTH`] times [`HEIGHT`] pixels.
    pub(crate) fn pixels(&self) -> &[u32] {
        &self.pixels
    }

    /// The number of the last frame, from 1.
    pub(crate) fn frame(&self) -> u64 {
        self.frame
    }

    /// Bricks broken so far; nothing if the plugin does not say.
    pub(crate) fn score(&self) -> Option<u32> {
        self.game.score().ok()
    }

    /// The version's number.
    pub(crate) fn version(&self) -> u64 {
        self.game.version().number
    }

    /// Why the plugin's last build failed, until it is mended.
    #[cfg_attr(
        not(feature = "window"),
        expect(dead_code, reason = "only a window shows it all the time")
    )]
    pub(crate) fn build_problem(&self) -> Option<String> {
        self.build.problem()
    }

    /// What a title says: the version, how long after its build it played, and what is wrong.
    #[cfg_attr(
        not(feature = "window"),
        expect(dead_code, reason = "only a window has a title")
    )]
    pub(crate) fn title(&self) -> String {
        let problem = self.build.problem().or_else(|| self.fault.clone());
        let problem = problem.map_or_else(String::new, |problem| format!(" · {problem}"));
        let took = self.took.map(|took| format!(" · {:.1} ms", ms(took)));
        let took = took.unwrap_or_default();
        format!("breakout v{}{took}{problem}", self.version())
    }
}

/// A part of a sentence, if the time is known.
fn after(time: Option<Duration>, what: &str) -> String {
    time.map_or_else(String::new, |time| {
        format!(", {:.0} ms after {what}", ms(time))
    })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
