//! The game in this program: the plugin's instance, the picture, and what to say about versions.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use demo_api::{Frame, Game, HEIGHT, Input, WIDTH};
use plugind_client::{Client, Instance, Outcome};

use crate::build::Build;

/// A running game.
pub(crate) struct Play {
    client: Client,
    game: Instance<dyn Game>,
    build: Build,
    pixels: Vec<u32>,
    frame: u64,
    /// How long the last swap took.
    took: Duration,
    /// What the plugin did wrong last, told once.
    fault: Option<String>,
}

impl Play {
    /// Follows the plugin and has it make a game.
    pub(crate) fn start(build: Build) -> Result<Self> {
        let client = Client::watch(build.folder())?;
        let game = client
            .start::<dyn Game>("breakout")
            .context("the game cannot start")?;
        Ok(Self {
            client,
            game,
            build,
            pixels: vec![0; WIDTH * HEIGHT],
            frame: 0,
            took: Duration::ZERO,
            fault: None,
        })
    }

    /// One frame: the newest version, then the rules, then the picture.
    pub(crate) fn step(&mut self, input: &Input) {
        self.frame += 1;
        let started = Instant::now();
        let [outcome] = self.client.sync([&mut self.game]);
        match outcome {
            Outcome::UpToDate => {}
            Outcome::Swapped { from, to } => {
                self.took = started.elapsed();
                self.fault = None;
                eprintln!(
                    "demo-game: {to} took over from v{} at frame {}",
                    from.number, self.frame
                );
            }
            Outcome::Kept { from, reason } => {
                self.tell(format!("{from} is not used: {reason}"));
            }
            _ => {}
        }
        if let Err(fault) = self.game.update(input) {
            self.tell(fault.to_string());
        }
        let mut frame = Frame {
            pixels: &mut self.pixels,
        };
        if let Err(fault) = self.game.draw(&mut frame) {
            self.tell(fault.to_string());
        }
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

    /// What a title says: version and how long its swap took, or what is wrong.
    #[cfg_attr(
        not(feature = "window"),
        expect(dead_code, reason = "only a window has a title")
    )]
    pub(crate) fn title(&self) -> String {
        let problem = self.build.problem().or_else(|| self.fault.clone());
        let problem = problem.map_or_else(String::new, |problem| format!(" · {problem}"));
        format!(
            "breakout v{} · {:.1} ms{problem}",
            self.version(),
            self.took.as_secs_f64() * 1e3
        )
    }
}
