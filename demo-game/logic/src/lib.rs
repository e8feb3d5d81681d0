//! Breakout. Change a number or a colour, save, and the running game follows; score, ball and bricks go on.
#![forbid(unsafe_code)]

use demo_api::{EngineRef, Frame, Game, HEIGHT, Input, WIDTH};
use plugind_macros::{StableType, plugin};

const BALL_COLOUR: u32 = 0x00ff_d166;
const PADDLE_COLOUR: u32 = 0x0006_d6a0;
const BRICK_COLOURS: [u32; 4] = [0x00ef_476f, 0x00f7_8c6b, 0x0011_8ab2, 0x0007_3b4c];
const BACKGROUND: u32 = 0x0010_1018;

const BALL_SIZE: f32 = 6.0;
const BALL_SPEED: f32 = 2.4;
const PADDLE_WIDTH: f32 = 56.0;
const PADDLE_SPEED: f32 = 4.0;

const PADDLE_HEIGHT: f32 = 6.0;
const PADDLE_TOP: f32 = HEIGHT as f32 - 16.0;
const ROWS: usize = 4;
const COLUMNS: usize = 10;
const BRICK_WIDTH: f32 = WIDTH as f32 / COLUMNS as f32;
const BRICK_HEIGHT: f32 = 12.0;
const BRICKS_TOP: f32 = 24.0;

/// What lives on over a reload.
#[derive(StableType)]
pub struct World {
    ball: [f32; 2],
    direction: [f32; 2],
    paddle: f32,
    bricks: [[bool; COLUMNS]; ROWS],
    score: u32,
}

/// The game.
pub struct Breakout;

#[plugin]
impl Game for Breakout {
    type State = World;

    fn start() -> World {
        World {
            ball: [WIDTH as f32 / 2.0, PADDLE_TOP - 20.0],
            direction: [0.6, -0.8],
            paddle: (WIDTH as f32 - PADDLE_WIDTH) / 2.0,
            bricks: [[true; COLUMNS]; ROWS],
            score: 0,
        }
    }

    fn update(world: &mut World, input: &Input, engine: &mut EngineRef<'_>) {
        let way = f32::from(u8::from(input.right)) - f32::from(u8::from(input.left));
        world.paddle = (world.paddle + way * PADDLE_SPEED).clamp(0.0, WIDTH as f32 - PADDLE_WIDTH);
        world.move_ball();
        if let Some([x, y]) = world.break_brick() {
            engine.brick_broke(x, y);
        }
        if world.bricks.iter().flatten().all(|brick| !brick) {
            world.bricks = [[true; COLUMNS]; ROWS];
        }
    }

    fn draw(world: &World, frame: &mut Frame<'_>) {
        frame.pixels.fill(BACKGROUND);
        for (row, bricks) in world.bricks.iter().enumerate() {
            for (column, _) in bricks.iter().enumerate().filter(|(_, brick)| **brick) {
                let (x, y) = (
                    column as f32 * BRICK_WIDTH,
                    BRICKS_TOP + row as f32 * BRICK_HEIGHT,
                );
                frame.fill(
                    x + 1.0,
                    y + 1.0,
                    BRICK_WIDTH - 2.0,
                    BRICK_HEIGHT - 2.0,
                    BRICK_COLOURS[row],
                );
            }
        }
        frame.fill(
            world.paddle,
            PADDLE_TOP,
            PADDLE_WIDTH,
            PADDLE_HEIGHT,
            PADDLE_COLOUR,
        );
        let [x, y] = world.ball;
        frame.fill(x, y, BALL_SIZE, BALL_SIZE, BALL_COLOUR);
    }

    fn score(world: &World) -> u32 {
        world.score
    }
}

impl World {
    fn move_ball(&mut self) {
        for axis in 0..2 {
            self.ball[axis] += self.direction[axis] * BALL_SPEED;
        }
        let [x, y] = self.ball;
        if x < 0.0 || x + BALL_SIZE > WIDTH as f32 {
            self.direction[0] = if x < 0.0 {
                self.direction[0].abs()
            } else {
                -self.direction[0].abs()
            };
        }
        if y < 0.0 {
            self.direction[1] = self.direction[1].abs();
        }
        let over_paddle = x + BALL_SIZE > self.paddle && x < self.paddle + PADDLE_WIDTH;
        if y + BALL_SIZE > PADDLE_TOP && y < PADDLE_TOP + PADDLE_HEIGHT && over_paddle {
            // Where it hits decides where it goes.
            let off = (x + BALL_SIZE / 2.0 - self.paddle) / PADDLE_WIDTH - 0.5;
            let angle = off * 2.0;
            self.direction = [angle.sin(), -angle.cos()];
        }
        if y > HEIGHT as f32 {
            // Lost: it comes back, and nothing else is lost.
            self.ball = [WIDTH as f32 / 2.0, PADDLE_TOP - 60.0];
            self.direction = [0.6, -0.8];
        }
    }

    /// Where a brick broke, if one did.
    fn break_brick(&mut self) -> Option<[f32; 2]> {
        let [x, y] = [
            self.ball[0] + BALL_SIZE / 2.0,
            self.ball[1] + BALL_SIZE / 2.0,
        ];
        let row = (y - BRICKS_TOP) / BRICK_HEIGHT;
        let column = x / BRICK_WIDTH;
        if row < 0.0 || column < 0.0 {
            return None;
        }
        let brick = self
            .bricks
            .get_mut(row as usize)
            .and_then(|bricks| bricks.get_mut(column as usize))?;
        if !std::mem::take(brick) {
            return None;
        }
        self.score += 1;
        self.direction[1] = -self.direction[1];
        Some([x, y])
    }
}
