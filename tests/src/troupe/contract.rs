//! The contract of the suites of contracts; written out as a crate for their plugins.

use plugind_macros::{StableType, contract, host};

/// What a program offers.
#[host]
pub trait Stage {
    /// Adds a light, and tells how many there are.
    fn light(&mut self, colour: &Colour) -> u32;
    /// What is played, in the program's memory.
    fn title(&self) -> String;
    /// Tells the length of a text and the sum of some numbers.
    fn measure(&self, text: &str, numbers: &[u32]) -> (usize, u32);
}

/// Three parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, StableType)]
#[repr(C)]
pub struct Colour {
    /// Red, green, blue.
    pub parts: [u8; 3],
}

/// What a plugin does.
#[contract]
pub trait Actor {
    /// The plugin's own.
    type State;
    /// Makes one.
    fn start() -> Self::State;
    /// Lights a light at every odd step, and answers with the number of steps and what the program said.
    fn act(state: &mut Self::State, stage: &mut StageRef<'_>) -> (u32, String);
    /// Panics at every odd call.
    fn stumble(state: &mut Self::State) -> u32;
    /// Added later: a plugin may lack it.
    fn bow(times: u32, to: &str) -> String {
        format!("{times} nods to {to}")
    }
}

/// What another plugin does, without a state.
#[contract]
pub trait Prompter {
    /// Repeats a text.
    fn prompt(line: &str, times: u32) -> String;
    /// Panics.
    fn forget() -> u32;
}
