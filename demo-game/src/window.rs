//! A window, the arrow keys, and a title that says which version plays.

use anyhow::Result;
use demo_api::{HEIGHT, Input, WIDTH};
use minifb::{Key, Scale, Window, WindowOptions};

use crate::play::Play;

/// Opens the window; an error where there is no display.
pub(crate) fn open() -> Result<Window, minifb::Error> {
    let options = WindowOptions {
        scale: Scale::X2,
        ..WindowOptions::default()
    };
    let mut window = Window::new("breakout", WIDTH, HEIGHT, options)?;
    window.set_target_fps(60);
    Ok(window)
}

/// Plays until the window is closed, Escape is pressed, or so many frames were played.
pub(crate) fn run(mut window: Window, mut play: Play, frames: Option<u64>) -> Result<()> {
    let mut title = String::new();
    while window.is_open() && !window.is_key_down(Key::Escape) {
        play.step(&Input {
            left: window.is_key_down(Key::Left),
            right: window.is_key_down(Key::Right),
        });
        if title != play.title() {
            title = play.title();
            window.set_title(&title);
        }
        window.update_with_buffer(play.pixels(), WIDTH, HEIGHT)?;
        if frames.is_some_and(|frames| play.frame() >= frames) {
            break;
        }
    }
    Ok(())
}
