//! A ball on a line. How it moves and looks is the plugin's business (`logic`); this program runs, keeps the time,
//! and follows the plugin's build.
//!
//! `demo-game FOLDER [FRAMES]`: the folder that the plugin is built into, and how many frames to play (default: until
//! Ctrl-C).

use std::env;
use std::io::{IsTerminal, Write, stdout};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use plugind_client::{Client, Symbol, SymbolTable};

const FRAME: Duration = Duration::from_millis(50);

/// `column(tick)` and `ball()` of the plugin.
type Column = extern "C" fn(i64) -> i64;
type Ball = extern "C" fn() -> i64;

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let folder: PathBuf = arguments
        .next()
        .context("usage: demo-game FOLDER [FRAMES]")?
        .into();
    let frames: u64 = arguments
        .next()
        .map_or(Ok(u64::MAX), |frames| frames.parse())
        .context("FRAMES is a number")?;

    let client = Client::watch(folder)?;
    let logic = client.plugin("demo-logic")?;
    let mut reader = client.reader();
    for tick in 0..frames {
        let frame = reader.enter();
        let line = draw(frame.table(&logic), tick)?;
        drop(frame);
        show(&line)?;
        thread::sleep(FRAME);
    }
    Ok(())
}

fn draw(logic: &SymbolTable, tick: u64) -> Result<String> {
    // SAFETY: every version of `demo-logic` registers `column` with this type (kept by its source beside this one).
    let column: Symbol<Column> = unsafe { logic.lookup(c"column") }?;
    // SAFETY: as above, for `ball`.
    let ball: Symbol<Ball> = unsafe { logic.lookup(c"ball") }?;
    let column = usize::try_from(column(tick.cast_signed())).unwrap_or(0);
    let ball = u32::try_from(ball())
        .ok()
        .and_then(char::from_u32)
        .unwrap_or('?');
    Ok(format!(
        "{:<16}{:column$}{ball}",
        logic.version().to_string(),
        ""
    ))
}

/// On a terminal the line is drawn over, elsewhere each line stands.
fn show(line: &str) -> Result<()> {
    let mut out = stdout().lock();
    if out.is_terminal() {
        write!(out, "\r\x1b[K{line}")?;
    } else {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(())
}
