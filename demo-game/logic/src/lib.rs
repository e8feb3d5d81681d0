//! How the ball moves and looks. Change a number, build, and the running program follows.
#![forbid(unsafe_code)]

const WIDTH: i64 = 48;
const BALL: char = 'o';

/// The ball's column at a tick: it walks to and fro between the walls.
extern "C" fn column(tick: i64) -> i64 {
    let period = 2 * (WIDTH - 1);
    let phase = tick.rem_euclid(period);
    phase.min(period - phase)
}

/// The ball's character.
extern "C" fn ball() -> i64 {
    i64::from(u32::from(BALL))
}

plugind_plugin::register! { column, ball }
