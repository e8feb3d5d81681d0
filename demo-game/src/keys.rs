//! Keys that choose which version plays: R goes back by one, 1 to 9 to that version, until the next build; P pins the one
//! that plays, or lets the newest take over again.

use std::fmt::Display;
use std::thread;

use minifb::{Key, KeyRepeat, Window};
use plugind_client::{Client, ClientError};

/// The keys of versions, and whether one is pinned.
pub(crate) struct Keys {
    client: Client,
    plugin: &'static str,
    is_pinned: bool,
}

impl Keys {
    pub(crate) fn new(client: Client, plugin: &'static str) -> Self {
        Self {
            client,
            plugin,
            is_pinned: false,
        }
    }

    /// Asks for what was pressed since the last frame. The answer is a later frame's news.
    pub(crate) fn look(&mut self, window: &Window) {
        const NUMBERS: [Key; 9] = [
            Key::Key1,
            Key::Key2,
            Key::Key3,
            Key::Key4,
            Key::Key5,
            Key::Key6,
            Key::Key7,
            Key::Key8,
            Key::Key9,
        ];
        let plugin = self.plugin;
        for key in window.get_keys_pressed(KeyRepeat::No) {
            let number = (1..).zip(NUMBERS).find(|(_, own)| *own == key);
            match (key, number) {
                (Key::R, _) => self.ask(move |client| client.rollback(plugin, None, false)),
                (Key::P, _) if self.is_pinned => {
                    self.is_pinned = false;
                    self.ask(move |client| client.unpin(plugin));
                }
                (Key::P, _) => {
                    self.is_pinned = true;
                    self.ask(move |client| client.pin(plugin, None));
                    eprintln!("demo-game: pinned; P lets the newest take over again");
                }
                (_, Some((number, _))) => {
                    self.ask(move |client| client.rollback(plugin, Some(number), false));
                }
                _ => {}
            }
        }
    }

    /// No frame waits for the engine.
    fn ask<T: Display>(
        &self,
        what: impl FnOnce(&Client) -> Result<T, ClientError> + Send + 'static,
    ) {
        let client = self.client.clone();
        thread::spawn(move || {
            if let Err(error) = what(&client) {
                eprintln!("demo-game: {error}");
            }
        });
    }
}
