//! A window, the arrow keys and those of `keys`, a title that says which version plays, and over the picture why the last build failed.

use anyhow::Result;
use demo_api::{Frame, HEIGHT, Input, WIDTH};
use minifb::{Key, Scale, Window, WindowOptions};

use crate::play::Play;
use crate::text;

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
    #[cfg(not(feature = "static"))]
    let mut keys = crate::keys::Keys::new(play.client(), crate::play::GAME);
    let mut title = String::new();
    let mut shown = Vec::new();
    while window.is_open() && !window.is_key_down(Key::Escape) {
        #[cfg(not(feature = "static"))]
        keys.look(&window);
        play.step(&Input {
            left: window.is_key_down(Key::Left),
            right: window.is_key_down(Key::Right),
        });
        if title != play.title() {
            title = play.title();
            window.set_title(&title);
        }
        // Beside the game's own picture, which stays what the plugin drew.
        shown.clear();
        shown.extend_from_slice(play.pixels());
        if let Some(problem) = play.build_problem() {
            let mut picture = Frame { pixels: &mut shown };
            text::banner(&mut picture, &problem);
        }
        window.update_with_buffer(&shown, WIDTH, HEIGHT)?;
        if frames.is_some_and(|frames| play.frame() >= frames) {
            break;
        }
    }
    Ok(())
}
