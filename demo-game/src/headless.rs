//! Plays without a window: the same seed and the same versions give the same pictures.

use std::io::{Write, stdout};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use demo_api::Input;

use crate::Options;
use crate::play::Play;

/// Sixty frames a second.
const FRAME: Duration = Duration::from_nanos(16_666_667);
/// Ten seconds.
const FRAMES: u64 = 600;

pub(crate) fn run(mut play: Play, options: &Options) -> Result<()> {
    let mut player = Player(options.seed.max(1));
    let started = Instant::now();
    for frame in 1..=options.frames.unwrap_or(FRAMES) {
        play.step(&player.keys(frame));
        let score = play
            .score()
            .map_or_else(|| "?".to_owned(), |score| score.to_string());
        let (number, hash, version) = (play.frame(), hash(play.pixels()), play.version());
        writeln!(stdout(), "{number} {hash:016x} {score} v{version}")?;
        if !options.fast {
            let due = FRAME * u32::try_from(frame).unwrap_or(u32::MAX);
            thread::sleep(due.saturating_sub(started.elapsed()));
        }
    }
    Ok(())
}

/// Draws keys from a seed: xorshift64 (Marsaglia, 2003), a new choice every 16 frames.
struct Player(u64);

impl Player {
    fn keys(&mut self, frame: u64) -> Input {
        if frame.is_multiple_of(16) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
        }
        Input {
            left: self.0 & 1 == 1,
            right: self.0 & 2 == 2,
        }
    }
}

/// FNV-1a with 64 bits: tells pictures apart, the same in every build.
fn hash(pixels: &[u32]) -> u64 {
    pixels
        .iter()
        .flat_map(|pixel| pixel.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}
