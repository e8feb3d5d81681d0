//! Breakout, whose rules and looks are a plugin: edit `logic/src/lib.rs`, save, and the running game follows.
//!
//! This program keeps the time, the keys and the picture. It builds the plugin at its start and whenever a source file
//! is saved, and follows what is built.
#![forbid(unsafe_code)]

#[cfg(not(feature = "static"))]
mod build;
mod headless;
#[cfg(all(feature = "window", not(feature = "static")))]
mod keys;
#[cfg(feature = "static")]
mod linked;
mod play;
#[cfg(feature = "window")]
mod text;
#[cfg(feature = "window")]
mod window;

use anyhow::Result;
use clap::Parser;

#[cfg(feature = "static")]
use crate::linked as build;
use crate::play::Play;

/// A game that changes while it is played.
#[derive(Debug, Parser)]
struct Options {
    /// Play without a window and print a line per frame: number, hash of the picture, score, version
    #[arg(long)]
    headless: bool,
    /// End after so many frames
    #[arg(long, value_name = "N")]
    frames: Option<u64>,
    /// What the headless player's keys are drawn from
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Play headless as fast as it goes instead of 60 frames a second
    #[arg(long)]
    fast: bool,
    /// Leave building to you: neither at the start nor on save
    #[arg(long)]
    no_build: bool,
}

fn main() -> Result<()> {
    plugind_client::probe_entry();
    let options = Options::parse();
    let build = build::Build::start(options.no_build)?;
    let play = Play::start(build)?;
    if options.headless {
        return headless::run(play, &options);
    }
    windowed(play, &options)
}

#[cfg(feature = "window")]
fn windowed(play: Play, options: &Options) -> Result<()> {
    match window::open() {
        Ok(window) => window::run(window, play, options.frames),
        Err(error) => {
            eprintln!("demo-game: no window can be opened here ({error}); playing headless");
            headless::run(play, options)
        }
    }
}

#[cfg(not(feature = "window"))]
fn windowed(play: Play, options: &Options) -> Result<()> {
    eprintln!("demo-game: built without the feature `window`; playing headless");
    headless::run(play, options)
}
