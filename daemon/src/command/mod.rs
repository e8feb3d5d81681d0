//! One file per command.

pub(crate) mod call;
pub(crate) mod choose;
mod contract;
pub(crate) mod diff;
pub(crate) mod history;
pub(crate) mod inspect;
pub(crate) mod probe;
pub(crate) mod retry;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod wait;
pub(crate) mod watch;
pub(crate) mod who;

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

/// Prints one JSON document, or one line of a stream.
fn print_json<T: Serialize>(value: &T) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// Prints text; a reader that went away ends the command like any other failure to write. File names and plugins' words
/// are among it, so what a terminal would obey is made visible instead.
fn print(text: &str) -> Result<()> {
    let visible = |c: char| c == '\n' || c == '\t' || !c.is_control();
    let text: String = text
        .chars()
        .map(|c| {
            if visible(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            }
        })
        .collect();
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
