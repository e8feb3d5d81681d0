//! Sparks where a brick breaks. A plugin of its own: the game goes on without it, and takes it in when it is built.
#![forbid(unsafe_code)]

use demo_api::{Effect, Frame, HEIGHT};
use plugind_macros::{StableType, plugin};

const COLOURS: [u32; 3] = [0x00ff_f3b0, 0x00ff_d166, 0x00ef_476f];
const SPARKS: u8 = 12;
const SPEED: f32 = 1.6;
const GRAVITY: f32 = 0.05;
/// In frames.
const LIFE: u8 = 40;

/// One of them.
#[derive(StableType)]
struct Spark {
    at: [f32; 2],
    speed: [f32; 2],
    age: u8,
}

/// What lives on over a reload.
#[derive(StableType)]
pub struct Sky {
    sparks: Vec<Spark>,
}

/// The effect.
pub struct Sparks;

#[plugin]
impl Effect for Sparks {
    type State = Sky;

    fn start() -> Sky {
        Sky { sparks: Vec::new() }
    }

    fn brick_broke(sky: &mut Sky, x: f32, y: f32) {
        let burst = (0..SPARKS).map(|nth| {
            let angle = f32::from(nth) / f32::from(SPARKS) * std::f32::consts::TAU;
            Spark {
                at: [x, y],
                speed: [angle.cos() * SPEED, angle.sin() * SPEED],
                age: 0,
            }
        });
        sky.sparks.extend(burst);
    }

    fn apply(sky: &mut Sky, frame: &mut Frame<'_>) {
        for spark in &mut sky.sparks {
            spark.age += 1;
            spark.speed[1] += GRAVITY;
            spark.at[0] += spark.speed[0];
            spark.at[1] += spark.speed[1];
            let colour = COLOURS[usize::from(spark.age) * COLOURS.len() / (usize::from(LIFE) + 1)];
            frame.fill(spark.at[0], spark.at[1], 2.0, 2.0, colour);
        }
        sky.sparks
            .retain(|spark| spark.age < LIFE && spark.at[1] < HEIGHT as f32);
    }
}
