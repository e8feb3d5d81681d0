//! What the demo's host and its plugin agree on: compiled by both.
#![forbid(unsafe_code)]

use plugind_macros::{StableType, contract, host};

/// The picture's width in pixels.
pub const WIDTH: usize = 320;
/// The picture's height in pixels.
pub const HEIGHT: usize = 240;

/// What the player does during one frame.
#[derive(Debug, Clone, Copy, Default, StableType)]
#[repr(C)]
pub struct Input {
    /// Moves the paddle left.
    pub left: bool,
    /// Moves the paddle right.
    pub right: bool,
}

/// A picture in the making: 0x00RRGGBB, row by row.
#[derive(StableType)]
pub struct Frame<'a> {
    /// [`WIDTH`] times [`HEIGHT`] pixels.
    pub pixels: &'a mut [u32],
}

impl Frame<'_> {
    /// Fills a rectangle; what lies outside the picture is left out.
    pub fn fill(&mut self, x: f32, y: f32, width: f32, height: f32, colour: u32) {
        let clamp = |value: f32, max: usize| value.clamp(0.0, max as f32) as usize;
        let (left, right) = (clamp(x, WIDTH), clamp(x + width, WIDTH));
        for row in clamp(y, HEIGHT)..clamp(y + height, HEIGHT) {
            self.pixels[row * WIDTH..][left..right].fill(colour);
        }
    }
}

/// What the program offers the game.
#[host]
pub trait Engine {
    /// A brick broke here; whatever effects there are hear of it.
    fn brick_broke(&mut self, x: f32, y: f32);
}

/// The game's rules and looks; the state lives on over a reload.
#[contract]
pub trait Game {
    /// Everything that must live from frame to frame.
    type State;
    /// A new game.
    fn start() -> Self::State;
    /// One frame, a sixtieth of a second.
    fn update(state: &mut Self::State, input: &Input, engine: &mut EngineRef<'_>);
    /// Draws what is there now.
    fn draw(state: &Self::State, frame: &mut Frame<'_>);
    /// Bricks broken so far.
    fn score(state: &Self::State) -> u32;
}

/// Something to look at, drawn over the game. Every plugin that implements it joins in.
#[contract]
pub trait Effect {
    /// Everything that must live from frame to frame.
    type State;
    /// Nothing to see yet.
    fn start() -> Self::State;
    /// A brick broke.
    fn brick_broke(state: &mut Self::State, x: f32, y: f32);
    /// One frame on, and draws.
    fn apply(state: &mut Self::State, frame: &mut Frame<'_>);
}
